"""One gRPC call on the wire: frames, trailers, compression, deadlines, what is unknown; health and reflection."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.interfaces import IRequestFrontEnd
from rmqgateway.wire.grpc_framing import GrpcDecoder, encode_message
from rmqgateway_grpc.descriptors import HEALTH, REFLECTION, classes_of
from rmqgateway_grpc.frontend import GrpcFrontEnd, GrpcSettings
from tests.unit.apis.fakes import SERVICE, FakeRequest, Tester, metadata

ROUTE = service.QueryRouteRequest(topic=v2.Resource(name="topic")).SerializeToString()


class Server:
    """The front-end over a gateway in memory."""

    def __init__(self, settings: GrpcSettings | None = None) -> None:
        self.tester = Tester()
        self.front_end = GrpcFrontEnd()
        self.front_end.configure(settings or GrpcSettings())
        (self.route, *_) = self.front_end.routes()

    def call(self, path: str, body: bytes = b"", last: bool = True, **more: bytes) -> FakeRequest:
        fields = {**metadata(), **{name.replace("_", "-").encode(): value for name, value in more.items()}}
        request = FakeRequest(self.tester, path, fields, body, last)
        self.front_end.respond(self.tester.world.gateway, request, self.route)
        self.tester.world.settle()
        return request


@pytest.fixture
def server() -> Server:
    return Server()


def status(request: FakeRequest) -> tuple[int, str]:
    assert request.done and request.head is not None and request.head[0] == 200
    return int(request.trailers[b"grpc-status"]), request.trailers.get(b"grpc-message", b"").decode()


def messages(request: FakeRequest, encoding: bytes = b"identity") -> list[bytes]:
    return GrpcDecoder(encoding).receive_data(request.body)


def test_it_is_a_front_end(server: Server) -> None:
    verifyObject(IRequestFrontEnd, server.front_end)
    assert "application/grpc" in server.route.media_types
    with pytest.raises(ValueError, match="max_body"):
        server.front_end.configure(GrpcSettings(max_body=0))
    with pytest.raises(ValueError, match="min_poll_ms"):
        server.front_end.configure(GrpcSettings(min_poll_ms=30_000))


def test_a_unary_call(server: Server) -> None:
    request = server.call(SERVICE + "QueryRoute", encode_message(ROUTE))
    assert status(request) == (0, "")
    assert request.head is not None and request.head[1][b"content-type"] == b"application/grpc"
    assert request.credited == 0, "its window reopens with the answer"
    data = encode_message(ROUTE)
    request = server.call(SERVICE + "QueryRoute", data[:7], last=False)
    request.feed(data[7:], True)
    assert status(request) == (0, "") and request.credited == len(data)
    (message,) = messages(request)
    assert service.QueryRouteResponse.FromString(message).status.code == v2.OK


def test_one_byte_at_a_time(server: Server) -> None:
    request = server.call(SERVICE + "QueryRoute", last=False)
    data = encode_message(ROUTE)
    for at in range(len(data)):
        request.feed(data[at : at + 1])
    request.feed(b"", True)
    server.tester.world.settle()
    assert status(request) == (0, "") and len(messages(request)) == 1


def test_what_is_unknown_is_unimplemented(server: Server) -> None:
    assert status(server.call("/some.Service/Method")) == (12, "unknown service some.Service")
    assert status(server.call(SERVICE + "Nothing")) == (
        12, "unknown method apache.rocketmq.v2.MessagingService/Nothing",
    )  # fmt: skip
    assert status(server.call(SERVICE + "QueryRoute", grpc_encoding=b"snappy"))[0] == 12


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 13),
        (b"\x00\x00\x00", 13),
        (b"\x01\x00\x00\x00\x01x", 13),
        (b"\x07\x00\x00\x00\x01x", 13),
        (b"\x00\x7f\x00\x00\x00", 8),
        (encode_message(b"\xff\xff"), 13),
    ],
)
def test_what_is_malformed(server: Server, body: bytes, code: int) -> None:
    assert status(server.call(SERVICE + "QueryRoute", body))[0] == code


def test_a_second_message_of_a_unary_call_is_refused(server: Server) -> None:
    wait = service.ReceiveMessageRequest(
        group=v2.Resource(name="g"), message_queue=v2.MessageQueue(topic=v2.Resource(name="topic")), batch_size=1,
        auto_renew=True,
    )  # fmt: skip
    wait.long_polling_timeout.seconds = 20
    server.call(SERVICE + "QueryRoute", encode_message(ROUTE))
    body = encode_message(wait.SerializeToString())
    assert status(server.call(SERVICE + "ReceiveMessage", body * 2))[0] == 12


def test_a_deadline_that_is_none(server: Server) -> None:
    assert status(server.call(SERVICE + "QueryRoute", encode_message(ROUTE), grpc_timeout=b"soon"))[0] == 13


def test_a_deadline_ends_the_call_and_what_it_waits_for(server: Server) -> None:
    request = server.call(SERVICE + "Telemetry", last=False, grpc_timeout=b"2S")
    server.tester.world.advance(1.9)
    assert not request.done
    server.tester.world.advance(0.2)
    assert status(request) == (4, "the deadline has passed")


def test_deadlines_of_calls_that_are_over_cost_nothing(server: Server) -> None:
    server.call(SERVICE + "QueryRoute", encode_message(ROUTE), grpc_timeout=b"1S")
    server.tester.world.advance(2)
    (_, api) = server.front_end._apis[id(server.tester.world.gateway)]
    assert not api.deadlines._slots


def test_gzip_both_ways(server: Server) -> None:
    data = b"\x01" + len(gzip.compress(ROUTE)).to_bytes(4, "big") + gzip.compress(ROUTE)
    request = server.call(
        SERVICE + "QueryRoute", data, grpc_encoding=b"gzip", grpc_accept_encoding=b"identity,deflate,gzip"
    )
    assert request.head is not None and request.head[1][b"grpc-encoding"] == b"gzip"
    assert request.body[0] == 1
    (message,) = messages(request, b"gzip")
    assert len(service.QueryRouteResponse.FromString(message).message_queues) == 8
    request = server.call(SERVICE + "QueryRoute", data, grpc_encoding=b"gzip")
    assert request.body[0] == 0


def test_a_message_that_inflates_too_far_is_refused() -> None:
    server = Server(GrpcSettings(max_message=100_000, max_body=1000))
    data = gzip.compress(bytes(200_000))
    request = server.call(
        SERVICE + "QueryRoute", b"\x01" + len(data).to_bytes(4, "big") + data, grpc_encoding=b"gzip"
    )
    assert status(request)[0] == 8


def test_an_unfinished_message_counts_as_the_connection_s_and_is_refused_beyond_its_budget(server: Server) -> None:
    data = encode_message(bytes(5000))
    request = server.call(SERVICE + "QueryRoute", data[:1000], last=False)
    assert request.held == 1000
    request.feed(data[1000:2000])
    assert request.held == 2000 and not request.done
    request.may_hold = 2500
    request.feed(data[2000:3000])
    assert status(request) == (8, "the unfinished requests of this connection hold too much (setting http.in_flight_bytes)")
    telemetry = server.call(SERVICE + "Telemetry", data[:1000], last=False)
    telemetry.feed(data[1000:])
    assert telemetry.held == 0, "what is complete does not count"


def test_a_method_may_say_what_the_end_of_the_client_s_side_means(server: Server) -> None:
    seen: list[bytes] = []

    def ended(rpc: Rpc) -> bytes:
        return b"".join(seen)

    method = Method(
        "Join", lambda rpc, data: seen.append(data), lambda _: b"", bidirectional=True, anonymous=True, ended=ended
    )
    server.call(SERVICE + "QueryRoute", encode_message(ROUTE))
    server.front_end._methods["/a/Join"] = method
    request = server.call("/a/Join", encode_message(b"a") + encode_message(b"b"), last=False)
    assert not request.done
    request.feed(encode_message(b"c"), True)
    assert status(request) == (0, "") and messages(request) == [b"abc"]
    method.ended = lambda rpc: rpc.api.no_such_thing  # type: ignore[attr-defined]
    assert status(server.call("/a/Join", encode_message(b"a")))[0] == 13


def test_what_comes_after_the_client_has_gone_is_dropped(server: Server) -> None:
    request = server.call(SERVICE + "Telemetry", last=False)
    request.gone("reset")
    request.feed(encode_message(b""), True)
    assert request.head is None


def test_error_texts_are_escaped(server: Server) -> None:
    text = status(server.call("/ä/b"))[1]
    assert text == "unknown service %C3%A4"


# Health.

_health = classes_of(HEALTH)


def check(server: Server, name: str, method: str = "Check", last: bool = True) -> Any:
    body = encode_message(_health["HealthCheckRequest"](service=name).SerializeToString())
    return server.call(f"/grpc.health.v1.Health/{method}", body, last)


@pytest.mark.parametrize("name", ["", "apache.rocketmq.v2.MessagingService"])
def test_health(server: Server, name: str) -> None:
    (message,) = messages(check(server, name))
    assert _health["HealthCheckResponse"].FromString(message).status == 1


def test_health_of_what_is_unknown(server: Server) -> None:
    assert status(check(server, "nothing"))[0] == 5


@pytest.mark.parametrize(("name", "health"), [("", 1), ("nothing", 3)])
def test_watching_health_stays_open(server: Server, name: str, health: int) -> None:
    request = check(server, name, "Watch")
    (message,) = messages(request)
    assert _health["HealthCheckResponse"].FromString(message).status == health
    assert not request.done


# Reflection.


@pytest.mark.parametrize("version", list(REFLECTION))
def test_reflection(version: str) -> None:
    server = Server()
    classes = classes_of(REFLECTION[version])
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    request = server.call(path, last=False)
    asked = [
        {"list_services": ""},
        {"file_containing_symbol": "apache.rocketmq.v2.MessagingService"},
        {"file_containing_symbol": "apache.rocketmq.v2.OffsetOption.Policy"},
        {"file_by_filename": HEALTH.name},
        {"file_by_filename": "nothing.proto"},
        {"all_extension_numbers_of_type": "apache.rocketmq.v2.Message"},
        {"file_containing_extension": {"containing_type": "x", "extension_number": 1}},
    ]
    for one in asked:
        request.feed(encode_message(classes["ServerReflectionRequest"](**one).SerializeToString()))
    request.feed(b"", True)
    assert status(request) == (0, "")
    answers = [classes["ServerReflectionResponse"].FromString(message) for message in messages(request)]
    names = [one.name for one in answers[0].list_services_response.service]
    assert "apache.rocketmq.v2.MessagingService" in names and "grpc.health.v1.Health" in names
    assert len(answers[1].file_descriptor_response.file_descriptor_proto) >= 4
    assert len(answers[2].file_descriptor_response.file_descriptor_proto) >= 3
    assert len(answers[3].file_descriptor_response.file_descriptor_proto) == 1
    assert answers[4].error_response.error_code == 5
    assert answers[5].all_extension_numbers_response.base_type_name == "apache.rocketmq.v2.Message"
    assert answers[6].error_response.error_code == 5


def test_reflection_can_be_switched_off() -> None:
    server = Server(GrpcSettings(reflection=False))
    request = server.call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    assert status(request)[0] == 12
