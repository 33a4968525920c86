"""gRPC-web: binary and text over HTTP, streams, trailers frames; both directions over improbable's WebSocket transport."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.context import Context
from rmqgateway.interfaces import IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway.wire.grpc_framing import GrpcDecoder, decode_web_headers, encode_message
from rmqgateway_grpcweb.frontend import GrpcWebFrontEnd, GrpcWebSettings
from tests.unit.apis.fakes import SERVICE, FakeRequest, Tester, metadata
from tests.unit.apis.test_service import consumer_settings, producer_settings, send

ROUTE = service.QueryRouteRequest(topic=v2.Resource(name="topic")).SerializeToString()
BINARY, TEXT = b"application/grpc-web+proto", b"application/grpc-web-text"


class FakeSocket:
    """As much of the core's WebSocket as a call uses."""

    protocol = "grpc-websockets"

    def __init__(self, request: FakeRequest) -> None:
        self.request = request
        self.sent: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    def send(self, message: bytes, is_binary: bool) -> None:
        assert is_binary and self.closed is None
        self.sent.append(message)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def buffered(self) -> int:
        return 0

    def on_drain(self, callback: Callable[[], None]) -> None:
        callback()


class Server:
    """The front-end over a gateway in memory."""

    def __init__(self, settings: GrpcWebSettings | None = None) -> None:
        self.tester = Tester()
        self.front_end = GrpcWebFrontEnd()
        self.front_end.configure(settings or GrpcWebSettings())
        (self.route,) = self.front_end.routes()

    def call(
        self, path: str, body: bytes, media_type: bytes = BINARY, last: bool = True, **more: bytes
    ) -> FakeRequest:
        fields = {**metadata(), b"content-type": media_type, b"x-grpc-web": b"1"}
        fields |= {name.replace("_", "-").encode(): value for name, value in more.items()}
        request = FakeRequest(self.tester, path, fields, body, last)
        self.front_end.respond(self.tester.world.gateway, request, self.route)
        self.tester.world.settle()
        return request

    def open(self, path: str) -> tuple[Any, FakeSocket]:
        socket = FakeSocket(FakeRequest(self.tester, path, {}, last=False))
        context = Context(self.tester.connection.session)
        return self.front_end.open(self.tester.world.gateway, context, socket), socket


@pytest.fixture
def server() -> Server:
    return Server()


def frames(data: bytes) -> tuple[list[bytes], dict[bytes, bytes] | None]:
    """The messages of a body, and its trailers."""
    messages: list[bytes] = []
    trailers = None
    while data:
        size = int.from_bytes(data[1:5], "big")
        assert len(data) >= 5 + size and trailers is None
        if data[0] == 0x80:
            trailers = dict(decode_web_headers(data[5 : 5 + size]))
        else:
            assert data[0] == 0
            messages.append(data[5 : 5 + size])
        data = data[5 + size :]
    return messages, trailers


def parts_of_text(data: bytes) -> bytes:
    """base64 whose parts may each end by padding."""
    return b"".join(base64.b64decode(data[at : at + 4]) for at in range(0, len(data), 4))


def test_it_is_a_front_end(server: Server) -> None:
    verifyObject(IRequestFrontEnd, server.front_end)
    verifyObject(IWebSocketFrontEnd, server.front_end)
    with pytest.raises(ValueError, match="receive_batch"):
        server.front_end.configure(GrpcWebSettings(receive_batch=0))


def test_a_unary_call(server: Server) -> None:
    request = server.call(SERVICE + "QueryRoute", encode_message(ROUTE))
    assert request.head is not None and request.head[0] == 200
    assert request.head[1][b"content-type"] == b"application/grpc-web+proto"
    (message,), trailers = frames(request.body)
    assert service.QueryRouteResponse.FromString(message).status.code == v2.OK
    assert trailers == {b"grpc-status": b"0"} and request.trailers == {}


def test_a_unary_call_as_text(server: Server) -> None:
    request = server.call(SERVICE + "QueryRoute", base64.b64encode(encode_message(ROUTE)), TEXT)
    assert request.head is not None
    assert request.head[1][b"content-type"] == b"application/grpc-web-text+proto"
    (message,), trailers = frames(parts_of_text(request.body))
    assert service.QueryRouteResponse.FromString(message).status.code == v2.OK
    assert trailers == {b"grpc-status": b"0"}


@pytest.mark.parametrize("media_type", [BINARY, TEXT])
def test_one_byte_at_a_time(server: Server, media_type: bytes) -> None:
    data = encode_message(ROUTE)
    if media_type == TEXT:
        data = base64.b64encode(data)
    request = server.call(SERVICE + "QueryRoute", b"", media_type, last=False)
    for at in range(len(data)):
        request.feed(data[at : at + 1])
    request.feed(b"", True)
    server.tester.world.settle()
    assert request.done and request.credited == len(data)


@pytest.mark.parametrize("media_type", [BINARY, TEXT])
def test_a_stream(server: Server, media_type: bytes) -> None:
    for body in (b"one", b"two"):
        send(server.tester, body)
    wanted = service.ReceiveMessageRequest(
        group=v2.Resource(name="g"), message_queue=v2.MessageQueue(topic=v2.Resource(name="topic")), batch_size=9
    )
    wanted.invisible_duration.seconds = 10
    body = encode_message(wanted.SerializeToString())
    request = server.call(
        SERVICE + "ReceiveMessage", base64.b64encode(body) if media_type == TEXT else body, media_type
    )
    messages, trailers = frames(parts_of_text(request.body) if media_type == TEXT else request.body)
    responses = [service.ReceiveMessageResponse.FromString(message) for message in messages]
    assert [one.WhichOneof("content") for one in responses] == ["status", "message", "message", "delivery_timestamp"]
    assert trailers == {b"grpc-status": b"0"}


@pytest.mark.parametrize(
    ("path", "body", "media_type", "code"),
    [
        ("/some.Service/Method", b"", BINARY, b"12"),
        (SERVICE + "QueryRoute", b"", BINARY, b"13"),
        (SERVICE + "QueryRoute", b"\x00\x00", BINARY, b"13"),
        (SERVICE + "QueryRoute", b"\x00\x7f\xff\xff\xff", BINARY, b"8"),
        (SERVICE + "QueryRoute", b"!!!!", TEXT, b"13"),
        (SERVICE + "QueryRoute", b"AAA", TEXT, b"13"),
        (SERVICE + "QueryRoute", encode_message(b"\xff"), BINARY, b"13"),
    ],
)
def test_what_is_refused(server: Server, path: str, body: bytes, media_type: bytes, code: bytes) -> None:
    request = server.call(path, body, media_type)
    data = parts_of_text(request.body) if media_type == TEXT else request.body
    messages, trailers = frames(data)
    assert not messages and trailers is not None and trailers[b"grpc-status"] == code
    assert trailers[b"grpc-message"]


def test_a_browser_without_web_sockets_is_told_things_too(server: Server) -> None:
    command = service.TelemetryCommand(settings=producer_settings("topic")).SerializeToString()
    request = server.call(SERVICE + "Telemetry", encode_message(command))
    messages, trailers = frames(request.body)
    assert len(messages) == 1 and trailers is None and not request.done
    send(server.tester, message_type=v2.TRANSACTION)
    server.tester.world.advance(8, 0.5)
    assert len(frames(request.body)[0]) == 2
    request.gone("the page is closed")


# WebSocket.


def headers(**more: str) -> bytes:
    fields = {**metadata(), b"content-type": BINARY}
    fields.update({name.replace("_", "-").encode(): value.encode() for name, value in more.items()})
    return b"".join(name + b": " + value + b"\r\n" for name, value in fields.items())


def test_both_directions_over_a_web_socket(server: Server) -> None:
    calls, socket = server.open(SERVICE + "Telemetry")
    calls.message_received(headers(), True)
    command = service.TelemetryCommand(settings=consumer_settings()).SerializeToString()
    calls.message_received(b"\x00" + encode_message(command), True)
    server.tester.world.settle()
    head, settings = socket.sent
    assert frames(head)[1] == {b"content-type": BINARY}
    assert service.TelemetryCommand.FromString(frames(settings)[0][0]).settings.subscription.receive_batch_size == 32
    server.tester.world.gateway.drain(10, "restart")
    (told,), _ = frames(socket.sent[2])
    assert service.TelemetryCommand.FromString(told).WhichOneof("command") == "reconnect_endpoints_command"
    calls.message_received(b"\x01", True)
    assert frames(socket.sent[3])[1] == {b"grpc-status": b"0"}
    assert socket.closed == (1000, "")
    calls.message_received(b"\x01", True)
    calls.closed(1000, "")


@pytest.mark.parametrize("media_type", [BINARY, TEXT])
def test_who_compresses_its_request_gets_a_compressed_answer_if_it_takes_one(server: Server, media_type: bytes) -> None:
    body = encode_message(ROUTE, gzip=True)
    if media_type is TEXT:
        body = base64.b64encode(body)
    for accepts, flag in ((b"gzip", 1), (b"identity", 0)):
        request = server.call(
            SERVICE + "QueryRoute", body, media_type, grpc_encoding=b"gzip", grpc_accept_encoding=accepts
        )
        answer = base64.b64decode(request.body) if media_type is TEXT else request.body
        assert answer[0] == flag and request.head is not None
        assert (request.head[1].get(b"grpc-encoding") == b"gzip") == bool(flag)
        (message,) = GrpcDecoder(b"gzip").receive_data(answer[: 5 + int.from_bytes(answer[1:5], "big")])
        assert len(service.QueryRouteResponse.FromString(message).message_queues) == 8


def test_an_unfinished_message_counts_as_the_connection_s(server: Server) -> None:
    data = encode_message(bytes(5000))
    request = server.call(SERVICE + "QueryRoute", data[:1000], last=False)
    assert request.held == 1000
    request.may_hold = 1500
    request.feed(data[1000:2000])
    assert request.done and b"grpc-status: 8" in request.body


def test_a_unary_call_over_a_web_socket(server: Server) -> None:
    calls, socket = server.open(SERVICE + "QueryRoute")
    calls.message_received(headers(), True)
    data = encode_message(ROUTE)
    for at in range(len(data)):
        calls.message_received(b"\x00" + data[at : at + 1], True)
    calls.message_received(b"\x01", True)
    server.tester.world.settle()
    _, message, trailers = socket.sent
    assert service.QueryRouteResponse.FromString(frames(message)[0][0]).status.code == v2.OK
    assert frames(trailers)[1] == {b"grpc-status": b"0"}


@pytest.mark.parametrize("said", [b"", b"\x02abc"])
def test_what_is_no_piece_of_a_body_closes_the_web_socket(server: Server, said: bytes) -> None:
    calls, socket = server.open(SERVICE + "Telemetry")
    calls.message_received(headers(), True)
    calls.message_received(said, True)
    assert socket.closed is not None and socket.closed[0] == 1002


@pytest.mark.parametrize("block", [b"no colon\r\n", b"a: " + b"x" * 70_000])
def test_headers_that_are_none_close_the_web_socket(server: Server, block: bytes) -> None:
    calls, socket = server.open(SERVICE + "Telemetry")
    calls.message_received(block, True)
    assert socket.closed is not None and socket.closed[0] == 1002 and not socket.sent


@pytest.mark.parametrize(
    ("path", "more", "said", "code"),
    [
        ("/x/y", {}, None, b"12"),
        (SERVICE + "Telemetry", {"grpc_timeout": "soon"}, None, b"13"),
        (SERVICE + "Telemetry", {"grpc_encoding": "br"}, None, b"12"),
        (SERVICE + "Telemetry", {}, b"\x00\x07\x00\x00\x00\x00", b"13"),
    ],
)
def test_calls_that_end_by_a_status(
    server: Server, path: str, more: dict[str, str], said: bytes | None, code: bytes
) -> None:
    calls, socket = server.open(path)
    calls.message_received(headers(**more), True)
    if said is not None:
        calls.message_received(said, True)
    trailers = frames(socket.sent[-1])[1]
    assert trailers is not None and trailers[b"grpc-status"] == code
    assert socket.closed == (1000, "")


def test_a_web_socket_that_is_lost_ends_its_stream(server: Server) -> None:
    calls, _ = server.open(SERVICE + "Telemetry")
    calls.message_received(headers(), True)
    command = service.TelemetryCommand(settings=consumer_settings()).SerializeToString()
    calls.message_received(b"\x00" + encode_message(command), True)
    server.tester.world.settle()
    calls.closed(1006, "lost")
    (_, api) = server.front_end._apis[id(server.tester.world.gateway)]
    assert api.clients.get(b"client-1").stream is None
