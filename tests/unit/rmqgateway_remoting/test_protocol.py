"""One connection: what is answered and what is not, in any split, under load, and at the end."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from rmqgateway.commands import (
    AckMessages,
    AckResult,
    AckResults,
    AnswerRelay,
    GetConsumerOffset,
    PulledMessages,
    PullMessages,
    PullStatus,
    SendMessages,
    SendResult,
    SendResults,
    UnlockQueues,
    UpdateConsumerOffset,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ConsumersChanged, Event, GoAway, RunningInformationAsked
from rmqgateway.wire.remoting import encode_request, encode_response
from rmqgateway.wire.stored_message import encode
from rmqgateway_remoting.frontend import RemotingSettings
from rmqgateway_remoting.table import OPERATIONS, REFUSED
from tests.unit.rmqgateway_remoting.fakes import Client, FakeGateway

SEND = {
    "a": "Group",
    "b": "Topic",
    "c": "TBW102",
    "d": "4",
    "e": "2",
    "f": "0",
    "g": "1700000000000",
    "h": "7",
    "i": "KEYS\x01k\x02UNIQ_KEY\x01AC11000155\x02",
    "j": "0",
    "k": "false",
    "m": "false",
}
PULL = {
    "consumerGroup": "Group",
    "topic": "Topic",
    "queueId": "0",
    "queueOffset": "0",
    "maxMsgNums": "32",
    "sysFlag": "2",
    "commitOffset": "0",
    "suspendTimeoutMillis": "15000",
    "subVersion": "0",
}
SENT = SendResults((SendResult(2, 77, 123456, "AC11000155"),))
OFFSET = {"consumerGroup": "G", "topic": "T", "queueId": "0", "commitOffset": "5"}


@pytest.fixture()
def client() -> Client:
    client = Client()
    client.gateway.replies[SendMessages] = SENT
    client.gateway.replies[UpdateConsumerOffset] = None
    return client


def test_a_send_is_answered_with_the_host_that_the_client_reached(client: Client) -> None:
    response = client.ask(310, SEND, b"hello")
    assert response.code == 0
    assert response.ext_fields == {
        "msgId": "0A01020300002694000000000001E240",
        "queueId": "2",
        "queueOffset": "77",
        "transactionId": "AC11000155",
        "MSG_REGION": "DefaultRegion",
        "TRACE_ON": "true",
    }
    (command,) = client.gateway.commands
    assert isinstance(command, SendMessages)
    assert (command.topic, command.producer_group, command.default_queues) == ("Topic", "Group", 4)
    (message,) = command.messages
    assert (message.body, message.queue_id, message.flag, message.born_timestamp) == (b"hello", 2, 7, 1700000000000)
    assert message.properties == b"KEYS\x01k\x02UNIQ_KEY\x01AC11000155\x02"


def test_the_answer_has_the_serialization_of_the_request(client: Client) -> None:
    assert client.ask(310, SEND, b"x", serialization=1).serialization == 1
    assert client.ask(310, SEND, b"x").serialization == 0
    assert client.ask(15, OFFSET, serialization=1).serialization == 1
    assert client.ask(777, serialization=1).serialization == 1


@pytest.mark.parametrize("serialization", [0, 1])
def test_requests_split_at_every_byte_are_answered_alike(serialization: int) -> None:
    frames = encode_request(310, 1, SEND, b"body", serialization=serialization)
    frames += encode_request(15, 2, OFFSET, serialization=serialization)
    for place in range(len(frames) + 1):
        client = Client()
        client.gateway.replies = {SendMessages: SENT, UpdateConsumerOffset: None}
        client.protocol.dataReceived(frames[:place])
        client.protocol.dataReceived(frames[place:])
        assert [(frame.opaque, frame.code) for frame in client.received()] == [(1, 0), (2, 0)]


def test_replies_of_one_turn_leave_in_one_write(client: Client) -> None:
    writes: list[bytes] = []
    client.protocol._write = writes.append
    client.protocol.dataReceived(b"".join(encode_request(310, number, SEND, b"x") for number in range(20)))
    assert len(writes) == 1


def test_one_way_requests_get_no_answer(client: Client) -> None:
    client.send(310, SEND, b"x", oneway=True)
    client.send(15, OFFSET, oneway=True)
    client.send(777, oneway=True)
    client.send(15, {}, oneway=True)
    client.send(42, {}, b"not json", oneway=True)
    client.gateway.replies[UnlockQueues] = GatewayError(Code.INTERNAL, "no")
    client.send(42, {}, b'{"clientId":"c","consumerGroup":"g","mqSet":[]}', oneway=True)
    assert client.received() == []
    assert len(client.gateway.commands) == 3


def test_one_way_failures_that_come_later_get_no_answer(client: Client) -> None:
    waiting: Deferred[Any] = Deferred()
    client.gateway.replies[UpdateConsumerOffset] = waiting
    client.send(15, OFFSET, oneway=True)
    waiting.errback(GatewayError(Code.TOPIC_NOT_FOUND, "no"))
    assert client.received() == []


def test_unknown_and_refused_codes_are_named(client: Client) -> None:
    response = client.ask(901)
    assert response.code == 3
    assert response.remark is not None and "GET_BROKER_MEMBER_GROUP(901)" in response.remark
    assert client.ask(31337).remark == "request code unknown(31337) is not served by this gateway"
    for code in (25, 318, 1009):
        response = client.ask(code, {}, b"rocketmqHome=/tmp")
        assert response.code == 16
        assert response.remark is not None and "cannot be changed over the network" in response.remark
    assert client.gateway.commands == []


def test_no_code_is_both_served_and_refused() -> None:
    assert not set(OPERATIONS) & set(REFUSED)
    assert all(code == operation.code for code, operation in OPERATIONS.items())


def test_what_the_backend_does_not_serve_is_refused_by_name(client: Client) -> None:
    response = client.ask(14, {"consumerGroup": "G", "topic": "T", "queueId": "1"})
    assert response.code == 3
    assert response.remark is not None and "GetConsumerOffset" in response.remark


@pytest.mark.parametrize("field", ["a", "b", "d", "e", "f", "g", "h"])
def test_a_missing_field_is_named(client: Client, field: str) -> None:
    ext = {name: value for name, value in SEND.items() if name != field}
    response = client.ask(310, ext, b"x")
    assert response.code == 29
    assert response.remark is not None
    assert f"({field})" in response.remark and "got none" in response.remark
    assert "SEND_MESSAGE_V2(310)" in response.remark


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("e", "two", "an int32"), ("g", "1e3", "an int64"), ("h", "99999999999", "an int32"), ("d", "", "an int32")],
)
def test_a_wrong_number_is_named(client: Client, field: str, value: str, expected: str) -> None:
    response = client.ask(310, {**SEND, field: value}, b"x")
    assert response.code == 29
    assert response.remark is not None
    assert f"({field})" in response.remark and expected in response.remark and repr(value) in response.remark
    assert client.gateway.commands == []


def test_a_header_that_is_no_json_is_answered_if_its_opaque_is_known(client: Client) -> None:
    header = b'{"code":310,"opaque":42,"extFields":[]}'
    client.protocol.dataReceived(struct.pack(">II", 4 + len(header), len(header)) + header)
    (response,) = client.received()
    assert (response.opaque, response.code) == (42, 29)
    assert response.remark is not None and "extFields" in response.remark
    garbage = b"not json"
    client.protocol.dataReceived(struct.pack(">II", 4 + len(garbage), len(garbage)) + garbage)
    assert client.received() == []
    # The framing was intact, so the connection lives.
    assert client.ask(310, SEND, b"x").code == 0


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">II", 0x7FFFFFFF, 10),
        struct.pack(">II", 3, 0),
        struct.pack(">II", 100, 200),
        struct.pack(">II", 100, 2 << 24 | 20),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_lying_frame_ends_the_connection_after_what_was_answered(client: Client, frame: bytes) -> None:
    client.protocol.dataReceived(encode_request(310, 5, SEND, b"x") + frame)
    assert [response.opaque for response in client.received()] == [5]
    assert client.transport.disconnecting
    client.protocol.dataReceived(encode_request(310, 6, SEND, b"x"))
    assert len(client.gateway.commands) == 1


def test_errors_are_translated_and_operations_may_differ(client: Client) -> None:
    client.gateway.replies[SendMessages] = GatewayError(Code.TOPIC_NOT_FOUND, "no topic Topic")
    response = client.ask(310, SEND, b"x")
    assert (response.code, response.remark) == (17, "no topic Topic")
    client.gateway.replies[GetConsumerOffset] = GatewayError(Code.OFFSET_NOT_FOUND, "none", upstream_code=22)
    assert client.ask(14, {"consumerGroup": "G", "topic": "T", "queueId": "1"}).code == 22
    client.gateway.replies[AckMessages] = AckResults((AckResult("h", "BAD_RECEIPT_HANDLE", "not ours"),))
    ack = {"consumerGroup": "G", "topic": "T", "queueId": "0", "extraInfo": "0 1 2 0 0 b 0 0", "offset": "0"}
    response = client.ask(200051, ack)
    assert (response.code, response.remark) == (13, "not ours")


def test_replies_that_come_later_are_written_later(client: Client) -> None:
    waits: list[Deferred[Any]] = []

    def wait(context: Any, command: Any) -> Deferred[Any]:
        waits.append(Deferred())
        return waits[-1]

    client.gateway.replies[SendMessages] = wait
    first = client.send(310, SEND, b"1")
    second = client.send(310, SEND, b"2")
    assert client.received() == []
    waits[1].callback(SENT)
    waits[0].errback(GatewayError(Code.BUSY, "later"))
    assert [(frame.opaque, frame.code) for frame in client.received()] == [(second, 0), (first, 2)]


def test_a_reply_that_cannot_be_written_is_an_error_and_not_silence(client: Client) -> None:
    client.gateway.replies[SendMessages] = SendResults(())
    assert client.ask(310, SEND, b"x").code == 1


def test_an_unexpected_failure_is_an_internal_error(client: Client) -> None:
    failing: Deferred[Any] = Deferred()
    client.gateway.replies[PullMessages] = failing
    client.send(11, PULL)
    failing.errback(RuntimeError("secret"))
    (response,) = client.received()
    assert response.code == 1
    assert response.remark is not None and "secret" not in response.remark


def test_a_refused_session_closes_the_connection() -> None:
    gateway = FakeGateway()
    gateway.refuse_sessions = GatewayError(Code.TOO_MANY_REQUESTS, "full")
    client = Client(gateway)
    assert client.transport.disconnecting
    client.protocol.dataReceived(encode_request(310, 1, SEND, b"x"))
    client.protocol.connectionLost(Failure(ConnectionDone()))
    assert gateway.commands == [] and gateway.reactor.getDelayedCalls() == []


# One-way sends are not lost.


def test_one_way_sends_that_cannot_be_taken_yet_are_kept_in_order(client: Client) -> None:
    gateway = client.gateway
    gateway.replies[SendMessages] = GatewayError(Code.BUSY, "full")
    client.send(310, SEND, b"1", oneway=True)
    client.send(310, SEND, b"2", oneway=True)
    assert len(gateway.commands) == 1  # the second waits behind the first
    gateway.reactor.advance(0.06)
    assert len(gateway.commands) == 2
    gateway.replies[SendMessages] = SENT
    gateway.commands.clear()
    gateway.reactor.advance(0.06)
    assert [command.messages[0].body for command in gateway.commands if isinstance(command, SendMessages)] == [b"1", b"2"]
    assert client.received() == []
    assert client.protocol._in_flight_bytes == 0


def test_one_way_sends_refused_later_are_kept_too(client: Client) -> None:
    gateway = client.gateway
    waiting: Deferred[Any] = Deferred()
    gateway.replies[SendMessages] = waiting
    client.send(310, SEND, b"1", oneway=True)
    waiting.errback(GatewayError(Code.STORE_FULL, "full"))
    gateway.replies[SendMessages] = SENT
    gateway.commands.clear()
    gateway.reactor.advance(0.06)
    assert len(gateway.commands) == 1


def test_a_one_way_send_that_is_wrong_is_not_tried_again(client: Client) -> None:
    client.gateway.replies[SendMessages] = GatewayError(Code.MESSAGE_TOO_LARGE, "too large")
    client.send(310, SEND, b"1", oneway=True)
    assert len(client.protocol._held) == 0


def test_reading_stops_while_too_much_is_kept_and_goes_on_after() -> None:
    client = Client(settings=RemotingSettings(in_flight_bytes=1000))
    gateway = client.gateway
    gateway.replies[SendMessages] = GatewayError(Code.BUSY, "full")
    for _ in range(3):
        client.send(310, SEND, b"x" * 400, oneway=True)
    assert client.transport.producerState == "paused"
    gateway.replies[SendMessages] = SENT
    gateway.reactor.advance(0.06)
    assert client.transport.producerState == "producing"
    assert len({id(command) for command in gateway.commands}) == 3


# Back-pressure.


def test_reading_stops_while_too_much_is_under_way() -> None:
    client = Client(settings=RemotingSettings(in_flight_bytes=1000))
    waits: list[Deferred[Any]] = []

    def wait(context: Any, command: Any) -> Deferred[Any]:
        waits.append(Deferred())
        return waits[-1]

    client.gateway.replies[SendMessages] = wait
    for _ in range(3):
        client.send(310, SEND, b"x" * 400)
    assert client.transport.producerState == "paused"
    waits[0].callback(SENT)
    assert client.transport.producerState == "paused"  # not before it has come down to half
    waits[1].callback(SENT)
    assert client.transport.producerState == "producing"


def test_waiting_pulls_do_not_stop_reading() -> None:
    client = Client(settings=RemotingSettings(in_flight_requests=10))
    client.gateway.replies[PullMessages] = lambda context, command: Deferred()
    for _ in range(50):
        client.send(11, PULL)
    assert client.transport.producerState == "producing"


def _clogged(settings: RemotingSettings) -> Client:
    """A client whose transport takes one write and then no more."""
    client = Client(settings=settings)
    client.gateway.replies[SendMessages] = SENT
    written = client.transport.write

    def write(data: bytes) -> None:
        written(data)
        client.protocol.pauseProducing()

    client.protocol._write = write
    return client


def test_a_client_that_does_not_read_is_not_read_and_then_cut() -> None:
    client = _clogged(RemotingSettings(unsent_bytes=1000, stalled_seconds=30))
    for _ in range(10):
        client.send(310, SEND, b"x")
    assert client.transport.producerState == "paused"
    client.gateway.reactor.advance(29)
    assert not client.transport.disconnecting
    client.gateway.reactor.advance(2)
    assert client.transport.disconnecting


def test_a_client_that_reads_slowly_is_not_cut_and_gets_everything() -> None:
    client = _clogged(RemotingSettings(unsent_bytes=1000, stalled_seconds=30))
    for _ in range(10):
        client.send(310, SEND, b"x")
    for _ in range(10):
        client.gateway.reactor.advance(20)
        client.protocol.resumeProducing()
    assert not client.transport.disconnecting
    assert client.transport.producerState == "producing"
    assert len(client.received()) == 10


def test_a_client_over_its_budget_is_cut_at_once() -> None:
    client = _clogged(RemotingSettings(unsent_bytes=1000, max_unsent_bytes=1500))
    for _ in range(20):
        client.send(310, SEND, b"x")
    assert client.transport.disconnecting


def test_many_small_requests_with_large_answers_are_served_as_they_are_taken() -> None:
    client = _clogged(RemotingSettings(unsent_bytes=1000, max_unsent_bytes=5000))
    answer = PulledMessages(PullStatus.FOUND, 1, 0, 1, (stored_message_of(900),))
    client.gateway.replies[PullMessages] = answer
    client.protocol.dataReceived(b"".join(encode_request(11, number, PULL) for number in range(50)))
    opaques: list[int] = []
    for _ in range(200):
        client.gateway.reactor.advance(0.001)
        client.protocol.resumeProducing()
        opaques += [frame.opaque for frame in client.received()]
        assert client.protocol._unsent_bytes <= 5000
    assert opaques == list(range(50))
    assert not client.transport.disconnecting
    assert client.transport.producerState == "producing"


def stored_message_of(size: int) -> bytes:
    return bytes(encode(b"Topic", 0, b"x" * size))


def test_large_answers_go_out_in_pieces(client: Client) -> None:
    sizes: list[int] = []
    client.protocol._write = lambda data: sizes.append(len(data))
    client.protocol._pending.append(b"x" * 1_000_000)
    client.protocol.flush()
    assert sum(sizes) == 1_000_000 and max(sizes) <= 256 * 1024


# Ends.


def test_waits_are_cancelled_when_the_client_goes(client: Client) -> None:
    cancelled: list[object] = []
    client.gateway.replies[PullMessages] = lambda context, command: Deferred(cancelled.append)
    client.send(11, PULL)
    client.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(cancelled) == 1
    assert client.gateway.sessions[0].ended
    assert client.gateway.reactor.getDelayedCalls() == []


def test_replies_after_the_end_are_dropped(client: Client) -> None:
    waiting: Deferred[Any] = Deferred()
    client.gateway.replies[SendMessages] = waiting
    client.send(310, SEND, b"x")
    client.protocol.connectionLost(Failure(ConnectionDone()))
    waiting.callback(SENT)
    assert client.received() == []


def test_a_silent_client_is_closed_and_a_talking_one_is_not(client: Client) -> None:
    clock = client.gateway.reactor
    for _ in range(4):
        clock.advance(100)
        client.ask(15, OFFSET)
    assert not client.transport.disconnecting
    clock.advance(121)
    assert client.transport.disconnecting


def test_draining_tells_new_clients_to_go_and_serves_old_ones(client: Client) -> None:
    client.gateway.sessions[0].drain(30, "restart")
    response = client.ask(310, SEND, b"x", version=513)
    assert response.code == 1500
    assert client.ask(310, SEND, b"x", version=409).code == 0
    client.send(310, SEND, b"kept", oneway=True)
    assert isinstance(client.gateway.commands[-1], SendMessages)
    assert client.gateway.commands[-1].messages[0].body == b"kept"
    assert not client.transport.disconnecting
    client.gateway.reactor.advance(2)
    assert client.transport.disconnecting  # quiet by then


def test_draining_leaves_a_busy_client_between_two_of_its_requests(client: Client) -> None:
    """Clients up to 5.3.1 and those in Go know no GO_AWAY, and one that sends all the time is never quiet."""
    client.gateway.sessions[0].drain(30, "restart")
    for _ in range(4):
        client.gateway.reactor.advance(0.2)
        assert client.ask(310, SEND, b"x", version=409).code == 0
        assert not client.transport.disconnecting
    client.gateway.replies[SendMessages] = lambda context, command: under_way
    under_way: Deferred[Any] = Deferred()
    client.send(310, SEND, b"x", version=409)
    client.gateway.reactor.pump([0.1] * 30)
    assert not client.transport.disconnecting
    under_way.errback(GatewayError(Code.TOO_MANY_REQUESTS, "busy"))
    client.gateway.reactor.advance(0.1)
    assert client.transport.disconnecting and len(client.received()) == 1


@pytest.mark.parametrize(("version", "code"), [(513, 1500), (409, 14), (0, 14)])
def test_draining_answers_who_waits_for_messages(client: Client, version: int, code: int) -> None:
    """Go's client waits for the answer to a poll for as long as it set, also when the connection has ended."""
    cancelled: list[object] = []
    client.gateway.replies[PullMessages] = lambda context, command: Deferred(cancelled.append)
    client.send(11, PULL, version=version)
    assert not client.received()
    client.gateway.sessions[0].drain(30, "restart")
    assert [one.code for one in client.received()] == [code] and len(cancelled) == 1


def test_draining_ends_at_its_deadline(client: Client) -> None:
    client.gateway.replies[SendMessages] = lambda context, command: Deferred()
    client.gateway.sessions[0].drain(5, "restart")
    client.send(310, SEND, b"x", version=409)
    for _ in range(9):
        client.gateway.reactor.advance(0.5)
    assert not client.transport.disconnecting
    for _ in range(3):
        client.gateway.reactor.advance(0.5)
    assert client.transport.disconnecting


# Events.


class _Unheard(Event, frozen=True):
    pass


def test_events_are_pushed_with_opaques_of_our_own(client: Client) -> None:
    session = client.gateway.sessions[0]
    assert session.deliver(ConsumersChanged("Group"))
    assert session.deliver(ConsumersChanged("Other"))
    first, second = client.received()
    assert (first.code, first.ext_fields, first.is_oneway) == (40, {"consumerGroup": "Group"}, True)
    assert second.opaque == first.opaque + 1
    assert not session.deliver(_Unheard())


def test_answers_to_questions_are_relayed_and_others_ignored(client: Client) -> None:
    client.gateway.replies[AnswerRelay] = None
    session = client.gateway.sessions[0]
    assert session.deliver(RunningInformationAsked(99, "Group", "c@1", True))
    (question,) = client.received()
    assert question.code == 307 and not question.is_oneway
    assert question.ext_fields == {"consumerGroup": "Group", "clientId": "c@1", "jstackEnable": "true"}
    client.protocol.dataReceived(encode_response(question.opaque + 1, 0, body=b"{}"))
    assert client.gateway.commands == []
    client.protocol.dataReceived(encode_response(question.opaque, 0, body=b'{"a":1}'))
    assert client.gateway.commands == [AnswerRelay(99, 0, "", b'{"a":1}')]
    client.protocol.dataReceived(encode_response(question.opaque, 0, body=b"again"))
    assert len(client.gateway.commands) == 1


def test_go_away_is_a_drain(client: Client) -> None:
    assert client.gateway.sessions[0].deliver(GoAway("restart", 10))
    assert client.ask(310, SEND, b"x").code == 1500


def test_nothing_is_delivered_to_who_does_not_read() -> None:
    client = _clogged(RemotingSettings(unsent_bytes=1000))
    for _ in range(10):
        client.send(310, SEND, b"x")
    assert not client.gateway.sessions[0].deliver(ConsumersChanged("Group"))


# Who asks.


def test_a_signature_is_a_credential_whose_content_is_made_when_asked_for(client: Client) -> None:
    client.ask(310, {**SEND, "AccessKey": "AK", "Signature": "c2ln", "SecurityToken": "tok"}, b"body")
    credential = client.gateway.contexts[0].credential
    assert credential is not None
    assert (credential.access_key, credential.signature, credential.security_token) == ("AK", b"sig", "tok")
    # The values in the order of their names: capitals first, the signature left out, then the body.
    names = sorted([*SEND, "AccessKey", "SecurityToken"])
    values = {**SEND, "AccessKey": "AK", "SecurityToken": "tok"}
    assert credential.signed == "".join(values[name] for name in names).encode() + b"body"
    client.ask(310, SEND, b"x")
    assert client.gateway.contexts[1].credential is None


@pytest.mark.parametrize(("version", "signed"), [(399, b"AK"), (401, b"AKtrue")])
def test_what_old_clients_add_after_signing_is_left_out(client: Client, version: int, signed: bytes) -> None:
    query = {"AccessKey": "AK", "Signature": "", "_UNIQUE_KEY_QUERY": "true"}
    client.ask(310, {**SEND, **query}, b"", version=version)
    credential = client.gateway.contexts[0].credential
    assert credential is not None
    rest = "".join(SEND[name] for name in sorted(SEND)).encode()
    assert credential.signed == signed + rest


# Namespaces of the second version.


def test_plain_names_outside_and_whole_ones_inside(client: Client) -> None:
    client.ask(310, {**SEND, "ns": "space", "nsd": "true"}, b"x")
    command, context = client.gateway.commands[0], client.gateway.contexts[0]
    assert isinstance(command, SendMessages)
    assert (command.topic, command.producer_group, context.namespace) == ("space%Topic", "space%Group", "space")
    assert client.gateway.sessions[0].deliver(ConsumersChanged("space%Group"))
    assert client.received()[0].ext_fields == {"consumerGroup": "Group"}
    client.ask(310, {**SEND, "ns": "space", "nsd": "false"}, b"x")
    assert client.gateway.contexts[1].namespace == ""


def test_a_namespace_that_cannot_be_written_is_refused(client: Client) -> None:
    ext = {**SEND, "i": "PGROUP\x01P\x02", "ns": "a\x01b", "nsd": "true"}
    assert client.ask(310, ext, b"x").code == 29


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_garbage_ends_the_connection_or_is_dropped_and_nothing_else(pieces: list[bytes]) -> None:
    client = Client()
    for piece in pieces:
        client.protocol.dataReceived(piece)
    assert client.gateway.commands == []


@given(
    st.sampled_from(sorted(OPERATIONS)),
    st.dictionaries(st.sampled_from([*SEND, *PULL, "group", "offset", "msgId", "namespace", "extraInfo"]), st.text(max_size=9)),
    st.binary(max_size=60),
)
def test_whatever_a_request_says_it_gets_one_answer(code: int, ext: dict[str, str], body: bytes) -> None:
    client = Client()
    client.ask(code, ext, body)
