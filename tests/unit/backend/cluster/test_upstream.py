"""Connections to brokers, and where they are: garbage, silence, loss, routes that change; the settings of both."""

from __future__ import annotations

import pytest

from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.commands import (
    GetConsumerOffset,
    Heartbeat,
    PullMessages,
    PullStatus,
    QueryRoute,
    ReceiveMessages,
    SendMessages,
)
from rmqgateway.errors import Code
from rmqgateway.message import MessageType
from rmqgateway.wire.remoting import encode_response
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.test_backend import message
from tests.unit.backend.cluster.world import A_SLAVE, A, B, World, stored

# Connections.


def test_garbage_ends_the_connection_and_the_next_request_takes_another() -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.SEND_MESSAGE_V2] = lambda _: None
    found = world.begin(SendMessages("T", (message(),)))
    protocol, transport = server.connections[-1]
    protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert transport.aborted
    assert found[0].code is Code.UPSTREAM_ERROR
    server.connections.remove((protocol, transport))
    server.script[RequestCode.SEND_MESSAGE_V2] = world._send
    assert world.do(SendMessages("T", (message(),))).results


def test_an_answer_cut_in_the_middle_is_no_answer() -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.SEND_MESSAGE_V2] = lambda _: None
    found = world.begin(SendMessages("T", (message(),)))
    frame = encode_response(server.last(RequestCode.SEND_MESSAGE_V2).opaque, 0, {"msgId": "0" * 32})
    server.connections[-1][0].dataReceived(frame[: len(frame) // 2])
    assert not found
    server.lose()
    assert found[0].code is Code.UPSTREAM_UNAVAILABLE


def test_late_answers_and_those_to_nothing_are_dropped() -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.SEND_MESSAGE_V2] = lambda _: None
    found = world.begin(SendMessages("T", (message(),)))
    server.connections[-1][0].dataReceived(encode_response(9_999, 0, {}))
    assert not found
    opaque = server.last(RequestCode.SEND_MESSAGE_V2).opaque
    world.advance(4)
    server.connections[-1][0].dataReceived(encode_response(opaque, 1, {}, "no"))
    assert found[0].code is Code.UPSTREAM_ERROR
    server.connections[-1][0].dataReceived(encode_response(opaque, 0, {}))
    assert len(found) == 1


def test_a_broker_that_returns_is_used_within_seconds() -> None:
    world = World()
    server = world.servers[A]
    assert world.do(SendMessages("T", (message(),))).results
    server.up = False
    server.lose()
    assert world.do(SendMessages("T", (message(),))).code is Code.UPSTREAM_UNAVAILABLE
    server.up = True
    world.advance(1)
    assert world.do(SendMessages("T", (message(),))).results


def test_idle_connections_are_closed() -> None:
    world = World(idle_s=10.0)
    world.do(SendMessages("T", (message(),)))
    transport = world.servers[A].connections[-1][1]
    world.advance(12)
    assert transport.disconnecting
    assert not transport.aborted


def test_leaving_groups_is_said_before_the_connections_go() -> None:
    world = World()
    world.do(Heartbeat("client", producers=("PG",)))
    transport = world.servers[A].connections[0][1]
    world.backend.stop()
    world.pump()
    assert world.servers[A].last(RequestCode.UNREGISTER_CLIENT).ext_fields["producerGroup"] == "PG"
    assert transport.disconnecting
    assert not transport.aborted


def test_what_a_broker_asks_that_is_not_known_is_refused() -> None:
    world = World()
    world.do(SendMessages("T", (message(),)))
    server = world.servers[A]
    transport = server.connections[0][1]
    transport.clear()
    server.push(4711, {})
    (answer,) = transport.commands()
    assert (answer.code, answer.opaque, answer.flag & 1) == (ResponseCode.REQUEST_CODE_NOT_SUPPORTED, 7, 1)


# Routes.


def test_not_ready_until_a_name_server_tells_of_brokers() -> None:
    world = World(start=False)
    names = world.servers[world.settings.addresses[0]]
    names.up = False
    world.backend.start()
    world.pump()
    assert "10.0.0.9:9876" in str(world.backend.ready())
    world.advance(3)
    names.up = True
    world.addresses, kept = {}, world.addresses
    world.advance(3)
    assert "no broker" in str(world.backend.ready())
    world.addresses = kept
    world.advance(3)
    assert world.backend.ready() is None


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"brokerDatas":7}'])
def test_a_route_that_is_none_is_an_error(body: bytes) -> None:
    world = World()
    world.servers[world.settings.addresses[0]].script[RequestCode.GET_ROUTEINFO_BY_TOPIC] = lambda _: (
        0,
        {},
        body,
    )
    assert world.do(QueryRoute("T2")).code is Code.UPSTREAM_ERROR


def test_a_dead_name_server_is_skipped_and_routes_are_kept_without_any() -> None:
    world = World(namesrv="10.0.0.9:9876;10.0.0.10:9876", start=False)
    first, second = (world.servers[address] for address in world.settings.addresses)
    first.up = False
    world.backend.start()
    world.pump()
    assert world.backend.ready() is None
    assert world.do(SendMessages("T", (message(),))).results
    second.up = False
    second.lose()
    world.advance(65)
    assert world.do(SendMessages("T", (message(),))).results


def test_a_widened_topic_is_noticed() -> None:
    world = World()
    assert world.do(QueryRoute("T")).queues[0].write_queues == 4
    world.topics["T"] = 16
    world.advance(32, 0.5)
    assert world.do(QueryRoute("T")).queues[0].write_queues == 16


def test_addresses_in_routes_are_the_gateways_own() -> None:
    world = World()
    assert [address for broker in world.do(QueryRoute("T")).brokers for address in broker.addresses] == [
        (0, "")
    ]


def test_a_topic_is_created_where_brokers_do_so_by_themselves() -> None:
    world = World()

    def create(request: object) -> tuple[int, dict[str, str], bytes]:
        world.topics["new"] = 8
        return 0, {}, b""

    world.servers[A].script[RequestCode.UPDATE_AND_CREATE_TOPIC] = create
    assert world.do(SendMessages("new", (message(),))).code is Code.TOPIC_NOT_FOUND  # no broker does
    world.topics["TBW102"] = 8
    assert world.do(SendMessages("new", (message(),))).results
    assert world.do(SendMessages("bad name", (message(),))).code is Code.BAD_TOPIC_NAME
    # These come into being with their first message: who waits for a dead letter asks until then.
    for own in ("%DLQ%G", "%RETRY%G"):
        assert world.do(QueryRoute(own, create=True)).code is Code.TOPIC_NOT_FOUND


@pytest.mark.parametrize("group", ["a b", "a/b", "x" * 256, "中文", ""])
def test_of_groups_that_cannot_be_no_broker_is_asked(group: str) -> None:
    world = World()
    world.topics["T"] = 8
    asked = len(world.servers[A].asked)
    assert world.do(ReceiveMessages(group, "T")).code is Code.BAD_GROUP_NAME
    assert len(world.servers[A].asked) == asked


def test_a_broker_that_is_going_has_not_looked_at_a_send() -> None:
    world = World(brokers=(A, B))
    for address in (A, B):
        world.servers[address].script[RequestCode.SEND_MESSAGE_V2] = lambda _: (int(ResponseCode.GO_AWAY), {}, b"")
    world.servers[B].script[RequestCode.SEND_MESSAGE_V2] = world._send
    for _ in range(2):
        assert world.do(SendMessages("T", (message(),))).results
    world.servers[B].script[RequestCode.SEND_MESSAGE_V2] = world.servers[A].script[RequestCode.SEND_MESSAGE_V2]
    assert world.do(SendMessages("T", (message(),))).code is Code.UPSTREAM_UNAVAILABLE


def test_reads_go_to_the_slave_while_the_master_is_away() -> None:
    world = World(brokers=(A, A_SLAVE))
    for address in (A, A_SLAVE):
        world.servers[address].script[RequestCode.PULL_MESSAGE] = lambda _: (
            0,
            {"nextBeginOffset": "1", "minOffset": "0", "maxOffset": "1"},
            stored("T", b"m"),
        )
    assert world.do(PullMessages("G", "T", 0, 0)).status is PullStatus.FOUND
    assert RequestCode.PULL_MESSAGE in world.servers[A].codes()
    world.servers[A].up = False
    world.servers[A].lose()
    world.do(PullMessages("G", "T", 0, 0))
    assert world.do(PullMessages("G", "T", 0, 0)).messages
    assert RequestCode.PULL_MESSAGE in world.servers[A_SLAVE].codes()


def test_what_is_configured_is_asked_of_another_broker_while_one_is_away() -> None:
    world = World(brokers=(A, B))
    world.servers[A].go()
    world.servers[B].script[RequestCode.POP_MESSAGE] = lambda _: (int(ResponseCode.POLLING_TIMEOUT), {}, b"")
    assert world.do(SendMessages("T", (message(),), check_type=True)).results
    assert world.do(QueryRoute("T")).message_type is MessageType.NORMAL
    assert world.do(ReceiveMessages("G", "T")).messages == ()


def test_a_queue_number_at_several_brokers_needs_the_brokers_name() -> None:
    world = World(brokers=(A, B))
    world.servers[B].script[RequestCode.QUERY_CONSUMER_OFFSET] = lambda _: (0, {"offset": "42"}, b"")
    assert world.do(GetConsumerOffset("G", "T", 0)).code is Code.BAD_REQUEST
    assert world.do(GetConsumerOffset("G", "T", 0, broker_name="broker-b")).offset == 42
    assert world.do(GetConsumerOffset("G", "T", 99)).code is Code.BAD_OFFSET


# Settings.


@pytest.mark.parametrize(
    "settings",
    [
        {"namesrv": "nothing"},
        {"namesrv": ":1"},
        {"connections": 0},
        {"access_key": "a"},
        {"tls_ca": "x"},
        {"request_s": -1.0},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        ClusterSettings(**settings)  # type: ignore[arg-type]


def test_name_servers_are_listed_as_by_apaches_clients() -> None:
    assert ClusterSettings(namesrv="a:1; b:2 ,a:1;").addresses == ("a:1", "b:2")


def test_a_silent_connection_is_given_up_but_not_at_the_first_request_that_times_out() -> None:
    world = World(request_s=2.0)
    server = world.servers[A]
    server.script[RequestCode.SEND_MESSAGE_V2] = lambda _: None
    transport = None
    for seconds in (2.5, 2.5, 2.5):
        found = world.begin(SendMessages("T", (message(),)))
        transport = transport or server.connections[-1][1]
        assert not transport.aborted
        world.advance(seconds)
        assert found[0].code is Code.TIMEOUT
    assert transport is not None
    assert transport.aborted
