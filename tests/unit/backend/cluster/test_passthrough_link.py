"""One client, one broker, the gateway between: what goes through, what does not, and how both ends live and die together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rmqgateway.backend.cluster.passthrough_link import proxy_header
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.interfaces import IPassthrough, IPassthroughClient, IPassthroughLink
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id, host_bytes
from rmqgateway.wire.remoting import decode_frame, encode_request, encode_response
from rmqgateway.wire.request_codes import ResponseCode
from rmqgateway_remoting.frontend import RemotingSettings
from tests.unit.backend.cluster.pair import BROKER, KEY, PORT, Pair

OLD = host_bytes("10.0.0.1", 10911)
NEW = host_bytes("127.0.0.1", PORT)
SEND = encode_request(310, 7, {"b": "T"}, b"x" * 100)
SENT = encode_response(7, 0, {"msgId": encode_offset_message_id(OLD, 5), "queueId": "0"})


def test_the_parts_are_what_they_say() -> None:
    pair = Pair().connect()
    verifyObject(IPassthrough, pair.passthrough)
    verifyObject(IPassthroughClient, pair.protocol)
    verifyObject(IPassthroughLink, pair.protocol._link)


def test_a_request_goes_up_as_it_is_and_its_answer_comes_down_with_our_address() -> None:
    pair = Pair()
    assert pair.reactor.tcpClients[-1][:2] == ("10.0.0.1", 10911)
    pair.connect()
    pair.protocol.dataReceived(SEND)
    assert pair.broker.value() == SEND
    pair.upstream.dataReceived(SENT)
    assert pair.client.commands()[0].ext_fields["msgId"] == encode_offset_message_id(NEW, 5)


def test_what_came_before_the_broker_was_connected_to_is_kept_and_no_more_is_read() -> None:
    pair = Pair()
    pair.protocol.dataReceived(SEND)
    assert pair.client.producerState == "paused"
    pair.connect()
    assert pair.broker.value() == SEND
    assert pair.client.producerState == "producing"


@given(st.lists(st.integers(1, 400), max_size=12))
@settings(max_examples=60, deadline=None)
def test_frames_may_be_cut_anywhere(cuts: list[int]) -> None:
    messages = stored_message.encode(b"T", 0, b"y" * 30, store_host=OLD) * 3
    requests = SEND + encode_request(11, 8, {"topic": "T"}) + encode_request(34, 9, {}, b"{}")
    answers = SENT + encode_response(8, 0, {"o": "1"}, None, messages) + encode_response(9)
    pair = Pair().connect()
    for data, receive in ((requests, pair.protocol.dataReceived), (answers, pair.upstream.dataReceived)):
        at = 0
        for size in [*cuts, len(data)]:
            receive(data[at : at + size])
            at += size
            if at >= len(data):
                break
    assert pair.broker.value() == requests
    sent, pulled, beaten = pair.client.commands()
    assert sent.ext_fields["msgId"] == encode_offset_message_id(NEW, 5)
    assert [one.store_host for one in stored_message.iterate(pulled.body)] == [NEW] * 3
    assert beaten.opaque == 9
    assert pair.passthrough._held == 0


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (25, ResponseCode.NO_PERMISSION),
        (318, ResponseCode.NO_PERMISSION),
        (103, ResponseCode.NO_PERMISSION),
        (105, ResponseCode.NO_PERMISSION),
        (39, ResponseCode.NO_PERMISSION),
        (777, ResponseCode.REQUEST_CODE_NOT_SUPPORTED),
    ],
)
@pytest.mark.parametrize("serialization", [0, 1])
def test_what_is_not_for_a_broker_is_answered_here(code: int, answer: int, serialization: int) -> None:
    pair = Pair().connect()
    refused = encode_request(code, 3, {}, serialization=serialization)
    pair.protocol.dataReceived(SEND + refused + encode_request(code, 4, {}, oneway=True) + SEND)
    assert pair.broker.value() == SEND + SEND
    (told,) = pair.client.commands()
    assert (told.code, told.opaque, told.serialization) == (answer, 3, serialization)
    assert f"({code})" in (told.remark or "")


def test_a_broker_asks_its_client_and_gets_the_answer() -> None:
    pair = Pair().connect()
    ask = encode_request(307, 99, {"consumerGroup": "G"})
    pair.upstream.dataReceived(ask)
    assert pair.client.value() == ask
    answer = encode_response(99, 0, {}, None, b"{}")
    pair.protocol.dataReceived(answer)
    assert pair.broker.value() == answer


def test_what_a_broker_should_not_ask_is_not_passed_on() -> None:
    pair = Pair().connect()
    pair.upstream.dataReceived(encode_request(25, 5, {}) + encode_request(25, 6, {}, oneway=True))
    assert pair.client.value() == b""
    (told,) = pair.broker.commands()
    assert (told.code, told.opaque) == (ResponseCode.REQUEST_CODE_NOT_SUPPORTED, 5)


def test_an_answer_to_nobody_is_dropped() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND)
    pair.upstream.dataReceived(encode_response(12345) + SENT + SENT)
    assert [each.opaque for each in pair.client.commands()] == [7]


def test_an_answer_that_does_not_fit_becomes_an_error_of_its_request() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(encode_request(11, 8, {"topic": "T"}) + SEND)
    pair.upstream.dataReceived(encode_response(8, 0, {}, None, b"no messages") + SENT)
    refused, sent = pair.client.commands()
    assert (refused.opaque, refused.code) == (8, ResponseCode.SYSTEM_ERROR)
    assert "broker-a:0" in (refused.remark or "")
    assert (sent.opaque, sent.code) == (7, 0)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\xff" * 64])
def test_garbage_of_a_broker_ends_both_connections(garbage: bytes) -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND)
    pair.upstream.dataReceived(SENT + garbage)
    assert [each.opaque for each in pair.client.commands()] == [7]
    assert pair.broker.aborted
    assert pair.client.disconnecting


@pytest.mark.parametrize(
    "garbage", [b"\x00\x00\x00\x03abcd", b"\x7f" * 64, b"\x00\x00\x00\x20\x02\x00\x00\x02{}" + bytes(30)]
)
def test_garbage_of_a_client_ends_its_connection_after_what_was_right(garbage: bytes) -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND + garbage)
    assert pair.broker.value() == SEND
    assert pair.client.disconnecting


def test_a_header_that_cannot_be_read_is_refused_alone() -> None:
    pair = Pair().connect()
    broken = b'\x00\x00\x00\x0e\x00\x00\x00\x0a{"code":1}'
    pair.protocol.dataReceived(broken + SEND)
    assert pair.broker.value() == SEND
    assert not pair.client.disconnecting


def test_a_broker_that_cannot_be_reached_is_an_error_of_each_request() -> None:
    pair = Pair()
    pair.protocol.dataReceived(
        SEND + encode_request(34, 8, {}, b"{}") + encode_request(15, 9, {}, oneway=True)
    )
    pair.reactor.tcpClients[-1][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    told = pair.client.commands()
    assert [(each.opaque, each.code) for each in told] == [
        (7, ResponseCode.SERVICE_NOT_AVAILABLE),
        (8, ResponseCode.SERVICE_NOT_AVAILABLE),
    ]
    assert "broker-a:0" in (told[0].remark or "")
    assert pair.client.disconnecting


def test_a_broker_that_no_name_server_knows() -> None:
    pair = Pair(known=False)
    pair.protocol.dataReceived(SEND)
    pair.reactor.advance(0.1)
    assert [each.code for each in pair.client.commands()] == [ResponseCode.SERVICE_NOT_AVAILABLE]
    assert pair.client.disconnecting


def test_connecting_has_a_time() -> None:
    pair = Pair(cluster=ClusterSettings(namesrv="10.0.0.9:9876", connect_s=1.5))
    assert pair.reactor.tcpClients[-1][3] == 1.5


def test_both_ends_go_together() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND)
    pair.upstream.connectionLost(Failure(ConnectionDone()))
    assert pair.client.disconnecting

    pair = Pair().connect()
    pair.protocol.connectionLost(Failure(ConnectionDone()))
    assert pair.broker.disconnecting
    assert pair.backend.sessions == 0
    assert not pair.reactor.getDelayedCalls()


def test_a_client_that_goes_before_the_broker_is_there() -> None:
    pair = Pair()
    pair.protocol.connectionLost(Failure(ConnectionDone()))
    pair.connect()
    assert pair.broker.aborted
    assert pair.broker.value() == b""


def test_pressure_of_a_slow_client_reaches_the_broker_and_back() -> None:
    pair = Pair().connect()
    pair.protocol.pauseProducing()
    assert pair.broker.producerState == "paused"
    pair.protocol.resumeProducing()
    assert pair.broker.producerState == "producing"
    pair.upstream.pauseProducing()
    assert pair.client.producerState == "paused"
    pair.upstream.resumeProducing()
    assert pair.client.producerState == "producing"


def test_a_client_that_reads_nothing_is_cut() -> None:
    pair = Pair().connect()
    pair.protocol.pauseProducing()
    pair.reactor.advance(29)
    assert not pair.client.aborted
    pair.reactor.advance(2)
    assert pair.client.aborted


def test_a_broker_that_takes_nothing_is_given_up() -> None:
    pair = Pair(stalled_s=20.0).connect()
    pair.upstream.pauseProducing()
    pair.reactor.advance(19)
    pair.upstream.resumeProducing()
    pair.reactor.advance(19)
    assert not pair.broker.aborted
    pair.upstream.pauseProducing()
    pair.reactor.advance(21)
    assert pair.broker.aborted
    assert pair.client.disconnecting


def test_a_client_that_says_nothing_is_closed() -> None:
    pair = Pair(remoting=RemotingSettings(idle_seconds=10)).connect()
    pair.reactor.advance(6)
    pair.protocol.dataReceived(SEND)
    pair.reactor.advance(6)
    assert not pair.client.disconnecting
    pair.reactor.advance(5)
    assert pair.client.disconnecting


def test_a_client_that_waits_for_too_many_answers_is_not_read() -> None:
    pair = Pair(pending_requests=10).connect()
    pair.protocol.dataReceived(b"".join(encode_request(34, number, {}, b"{}") for number in range(11)))
    assert pair.client.producerState == "paused"
    pair.upstream.dataReceived(b"".join(encode_response(number) for number in range(5)))
    assert pair.client.producerState == "paused"
    pair.upstream.dataReceived(encode_response(5))
    assert pair.client.producerState == "producing"


def test_requests_that_are_never_answered_are_forgotten() -> None:
    pair = Pair(forget_s=60, remoting=RemotingSettings(idle_seconds=1000)).connect()
    pair.protocol.dataReceived(SEND)
    pair.reactor.advance(61)
    assert not pair.protocol._link._pending
    pair.upstream.dataReceived(SENT)
    assert pair.client.value() == b""


def test_unfinished_frames_have_a_budget() -> None:
    pair = Pair(held_bytes=1000).connect()
    start = (1_000_000).to_bytes(4, "big") + b"\x00\x00\x00\x02{}"
    pair.protocol.dataReceived(start + bytes(900))
    assert not pair.client.aborted
    pair.protocol.dataReceived(bytes(200))
    assert pair.client.aborted
    pair.protocol.connectionLost(Failure(ConnectionDone()))
    assert pair.passthrough._held == 0


def test_what_is_answered_is_counted() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND)
    pair.reactor.advance(0.02)
    pair.upstream.dataReceived(SENT)
    (meter,) = [meter for meter in pair.gateway.meters if meter.name == "SendMessages"]
    assert meter.succeeded == 1
    assert meter.latency_sum == pytest.approx(0.02)


def test_brokers_know_clients_by_our_end_of_the_connection() -> None:
    pair = Pair().connect()
    assert pair.passthrough.clients == {"10.0.0.3:5000": "192.0.2.7:4000"}
    pair.protocol.dataReceived(encode_request(203, 1, {"consumerGroup": "G"}))
    pair.upstream.dataReceived(
        encode_response(1, 0, {}, None, b'{"connectionSet":[{"clientAddr":"10.0.0.3:5000"}]}')
    )
    assert pair.client.commands()[0].body == b'{"connectionSet":[{"clientAddr":"192.0.2.7:4000"}]}'
    pair.protocol.connectionLost(Failure(ConnectionDone()))
    assert pair.passthrough.clients == {}


def test_the_client_is_told_to_the_broker_by_proxy_protocol() -> None:
    pair = Pair(proxy_protocol=True).connect()
    own = IPv4Address("TCP", "10.0.0.3", 5000)
    header = proxy_header("192.0.2.7:4000", own)
    assert pair.broker.value() == header
    assert header == bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000207 0a000003 0fa0 1388")
    assert proxy_header("0.0.0.0", own)[12:] == b"\x20\x00\x00\x00"
    mixed = proxy_header("[2001:db8::1]:4000", own)
    assert mixed[13:16] == b"\x21\x00\x24"
    assert len(mixed) == 16 + 36


def test_a_drain_tells_newer_clients_to_go_and_lets_what_is_under_way_finish() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND)
    pair.gateway.drain(10.0, "the gateway is shutting down")
    new = encode_request(310, 20, {"b": "T"}, b"x", version=500)
    old = encode_request(310, 21, {"b": "T"}, b"x", version=401)
    pair.protocol.dataReceived(new + old)
    assert [each.opaque for each in pair.broker.commands()] == [7, 21]
    assert [(each.opaque, each.code) for each in pair.client.commands()] == [(20, ResponseCode.GO_AWAY)]
    pair.reactor.pump([0.5] * 6)
    assert not pair.client.disconnecting
    pair.upstream.dataReceived(SENT + encode_response(21, 0, {"msgId": "0"}))
    pair.reactor.pump([0.5] * 4)
    assert pair.client.disconnecting


def test_a_drain_does_not_wait_for_pulls_that_wait() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(encode_request(11, 8, {"topic": "T"}))
    pair.gateway.drain(10.0, "the gateway is shutting down")
    pair.reactor.pump([0.5] * 4)
    assert pair.client.disconnecting


def test_a_drain_answers_pulls_that_wait_and_leaves_pops_alone() -> None:
    """Go's client waits for the answer to a pull whatever becomes of the connection; a pop may have taken messages."""
    pair = Pair().connect()
    pair.protocol.dataReceived(encode_request(11, 8, {"topic": "T"}) + encode_request(200050, 9, {"topic": "T"}))
    pair.gateway.drain(10.0, "the gateway is shutting down")
    assert [(each.opaque, each.code) for each in pair.client.commands()] == [(8, ResponseCode.SERVICE_NOT_AVAILABLE)]
    pair.upstream.dataReceived(encode_response(8, 19) + encode_response(9, 209))
    assert [(each.opaque, each.code) for each in pair.client.commands()] == [(9, 209)]


def test_a_drain_has_an_end() -> None:
    pair = Pair().connect()
    pair.protocol.dataReceived(SEND)
    pair.gateway.drain(3.0, "the gateway is shutting down")
    pair.reactor.pump([0.5] * 7)
    assert pair.client.disconnecting


def test_a_broker_that_moved_is_found_at_its_new_address() -> None:
    pair = Pair()
    assert pair.passthrough.brokers.addresses == {KEY: BROKER}
    pair.passthrough.brokers.learn(KEY, "10.0.0.77:10911")
    link = pair.passthrough.open(pair.protocol, pair.protocol._session, f"broker {KEY}", {})
    assert pair.reactor.tcpClients[-1][:2] == ("10.0.0.77", 10911)
    link.close()


def test_frames_are_not_touched_by_looking_at_them() -> None:
    """An answer that needs no change is the same object's bytes, whatever fields it has."""
    pair = Pair().connect()
    pair.protocol.dataReceived(encode_request(34, 8, {}, b"{}"))
    odd = b'{"opaque":8,"flag":1,"code":0,"newField":{"a":[1,2]},"language":"RUST"}'
    answer = (len(odd) + 4).to_bytes(4, "big") + len(odd).to_bytes(4, "big") + odd
    pair.upstream.dataReceived(answer)
    assert pair.client.value() == answer
    assert decode_frame(answer).opaque == 8
