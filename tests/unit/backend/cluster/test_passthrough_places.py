"""With users, requests that say a message's place: the message's own topic is judged, whatever the request names."""

from __future__ import annotations

import pytest

from rmqgateway.commands import Policy, PolicyEntry, UserType
from rmqgateway.governance.users import UserRecord
from rmqgateway.session import host_to_bytes
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.remoting import RemotingCommand, encode_request, encode_response
from rmqgateway.wire.remoting_scan import splice_opaque
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.pair import BROKER, Pair
from tests.unit.backend.cluster.test_passthrough_users import SEND, signed
from tests.unit.backend.cluster.world import stored

#: `stored` puts a message at 1000 + its queue offset.
PLACE = 1000
FIRST_OWN = -(1 << 31)
HALF, GIVEN_UP = "RMQ_SYS_TRANS_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC"
VIEW = {"offset": str(PLACE), "topic": "mine"}
MESSAGE_ID = encode_offset_message_id(host_to_bytes(BROKER), PLACE)
NO, BAD = int(ResponseCode.NO_PERMISSION), int(ResponseCode.INVALID_PARAMETER)


def guarded(forget_s: float = 180.0) -> Pair:
    """User "u" may do everything to topic and group "mine"."""
    pair = Pair(forget_s=forget_s).connect()
    entries = (PolicyEntry("Topic:mine", ("All",)), PolicyEntry("Group:mine", ("All",)))
    pair.gateway.guard.users.take(UserRecord("boss", "s3cret", UserType.SUPER))
    pair.gateway.guard.users.take(UserRecord("u", "s3cret", policies=(Policy(entries=entries),)))
    return pair


def ask(pair: Pair, code: int, ext: dict[str, str], opaque: int = 5, key: str = "u", oneway: bool = False) -> bytes:
    """The client asks; returns its frame."""
    frame = signed(code, opaque, ext, "s3cret", key=key)
    if oneway:
        frame = frame.replace(b'"flag":0', b'"flag":2')
    pair.protocol.dataReceived(frame)
    return frame


def answer(pair: Pair, request: RemotingCommand, body: bytes = b"", code: int = 0) -> None:
    pair.upstream.dataReceived(encode_response(request.opaque, code, None, None if not code else "no", body))


def half(topic: str, place: str = HALF) -> bytes:
    return stored(place, b"half", properties=encode_properties({"REAL_TOPIC": topic}))


# What is judged by its answer.


@pytest.mark.parametrize(("topic", "code"), [("mine", 0), ("secret", NO), ("%RETRY%other", NO)])
def test_a_message_is_shown_to_those_who_may_read_its_topic(topic: str, code: int) -> None:
    pair = guarded()
    frame = ask(pair, 33, VIEW)
    assert pair.broker.value() == splice_opaque(frame, FIRST_OWN)
    (request,) = pair.broker.commands()
    message = stored(topic, b"text")
    answer(pair, request, message)
    (told,) = pair.client.commands()
    assert (told.opaque, told.code) == (5, code)
    if code:
        assert told.body == b"" and b"text" not in (told.remark or "").encode()
    else:
        # Its address is changed, as ever.
        assert stored_message.body(told.body) == b"text"
        assert stored_message.store_host(told.body) == host_to_bytes("127.0.0.1:10911")


def test_who_may_do_everything_and_who_has_no_users_see_what_they_ask_for() -> None:
    pair = guarded()
    frame = ask(pair, 33, VIEW, key="boss")
    assert pair.broker.value() == frame
    pair = Pair().connect()
    plain = encode_request(33, 5, VIEW)
    pair.protocol.dataReceived(plain)
    assert pair.broker.value() == plain


@pytest.mark.parametrize(
    "body",
    [stored("mine", b"x", offset=1), stored("mine", b"x").replace(b"x", b"y"), b"\x00" * 100, b"garbage"],
    ids=["elsewhere", "another body", "zeros", "garbage"],
)
def test_what_was_not_stored_there_is_not_shown(body: bytes) -> None:
    """Brokers show whatever is at a place, also what a producer wrote into a body."""
    pair = guarded()
    ask(pair, 33, VIEW)
    answer(pair, pair.broker.commands()[0], body)
    (told,) = pair.client.commands()
    assert (told.opaque, told.code, told.body) == (5, ResponseCode.SYSTEM_ERROR, b"")


def test_what_the_broker_refuses_goes_on_as_it_says_it() -> None:
    pair = guarded()
    ask(pair, 33, VIEW)
    answer(pair, pair.broker.commands()[0], code=1)
    (told,) = pair.client.commands()
    assert (told.opaque, told.code, told.remark) == (5, 1, "no")


def test_no_other_answer_passes_for_one_that_is_judged() -> None:
    pair = guarded()
    ask(pair, 33, VIEW)
    offset = {"topic": "mine", "queueId": "0"}
    ask(pair, RequestCode.GET_MAX_OFFSET, offset)  # of the same opaque
    view, other = pair.broker.commands()
    assert view.opaque != other.opaque == 5
    answer(pair, view, stored("secret", b"text"))
    answer(pair, other)
    assert [told.code for told in pair.client.commands()] == [NO, 0]
    # Nor can the gateway's own be used.
    ask(pair, RequestCode.GET_MAX_OFFSET, offset, opaque=FIRST_OWN)
    assert [(told.opaque, told.code) for told in pair.client.commands()] == [
        (FIRST_OWN, ResponseCode.INVALID_PARAMETER)
    ]
    # Brokers answer this one-way request as well.
    ask(pair, 33, VIEW, oneway=True)
    assert pair.broker.value() == b"" and pair.client.value() == b""


def test_of_what_has_a_key_only_what_may_be_read_is_shown() -> None:
    """The index holds hashes of topic and key: others can have the same."""
    ext = {"topic": "mine", "key": "k", "maxNum": "9", "beginTimestamp": "0", "endTimestamp": "9"}
    mine, secret = stored("mine", b"of mine"), stored("secret", b"of another", offset=1)
    for body, shown in ((mine, [b"of mine"]), (secret + mine + secret, [b"of mine"]), (secret, [])):
        pair = guarded()
        ask(pair, RequestCode.QUERY_MESSAGE, ext)
        answer(pair, pair.broker.commands()[0], body)
        (told,) = pair.client.commands()
        assert (told.opaque, told.code) == (5, 0 if shown else ResponseCode.QUERY_NOT_FOUND)
        assert [message.body for message in stored_message.iterate(told.body)] == shown
    pair = guarded()
    ask(pair, RequestCode.QUERY_MESSAGE, ext)
    answer(pair, pair.broker.commands()[0], b"garbage")
    assert pair.client.commands()[0].code == ResponseCode.SYSTEM_ERROR


# What is looked at before.

BACK = {"group": "mine", "offset": str(PLACE), "delayLevel": "0", "originTopic": "mine", "originMsgId": "x"}
DIRECTLY = {"consumerGroup": "mine", "clientId": "c", "msgId": MESSAGE_ID, "topic": "mine"}
RESUME = {"topic": "mine", "msgId": MESSAGE_ID}
END = {
    "producerGroup": "P",
    "tranStateTableOffset": "0",
    "commitLogOffset": str(PLACE),
    "commitOrRollback": "8",
    "topic": "mine",
}
OLD_END = {name: value for name, value in END.items() if name != "topic"}
ACTING = [
    (RequestCode.CONSUMER_SEND_MSG_BACK, BACK, stored("mine", b"x"), stored("secret", b"x"), NO),
    (RequestCode.CONSUMER_SEND_MSG_BACK, BACK, stored("%RETRY%mine", b"x"), stored("%RETRY%other", b"x"), NO),
    (RequestCode.CONSUME_MESSAGE_DIRECTLY, DIRECTLY, stored("mine", b"x"), stored("secret", b"x"), NO),
    (RequestCode.RESUME_CHECK_HALF_MESSAGE, RESUME, half("mine", GIVEN_UP), stored("mine", b"x"), BAD),
    (RequestCode.RESUME_CHECK_HALF_MESSAGE, RESUME, half("mine", GIVEN_UP), half("secret", GIVEN_UP), BAD),
    (RequestCode.END_TRANSACTION, END, half("mine"), half("secret"), NO),
    (RequestCode.END_TRANSACTION, OLD_END, half("mine"), half("secret"), NO),
    (RequestCode.END_TRANSACTION, END, half("mine"), half("secret", "mine"), ResponseCode.SYSTEM_ERROR),
]


@pytest.mark.parametrize(
    ("code", "ext", "good", "bad", "refused"), [pytest.param(*case, id=RequestCode(case[0]).name) for case in ACTING]
)
def test_brokers_are_asked_to_act_on_what_the_caller_may_touch(
    code: int, ext: dict[str, str], good: bytes, bad: bytes, refused: int
) -> None:
    for message in (good, bad, b""):
        pair = guarded()
        frame = ask(pair, code, ext)
        (look,) = pair.broker.commands()
        assert (look.code, look.ext_fields["offset"]) == (33, str(PLACE))
        assert look.ext_fields["AccessKey"] == "u" and look.ext_fields["Signature"]
        assert pair.protocol._is_busy()
        answer(pair, look, message, 0 if message else 1)
        if message is good:
            assert pair.broker.value() == frame
            assert pair.client.value() == b""
            answer(pair, pair.broker.commands()[0])
            assert [(told.opaque, told.code) for told in pair.client.commands()] == [(5, 0)]
        else:
            assert pair.broker.value() == b""
            (told,) = pair.client.commands()
            assert told.opaque == 5 and told.code
            if message:
                assert told.code == refused, told.remark
        assert pair.passthrough._held == 0


@pytest.mark.parametrize("case", ACTING, ids=lambda case: RequestCode(case[0]).name)
def test_one_way_it_is_the_same_without_a_word(case: tuple[int, dict[str, str], bytes, bytes, int]) -> None:
    code, ext, good, bad, _ = case
    for message in (good, bad):
        pair = guarded()
        frame = ask(pair, code, ext, oneway=True)
        answer(pair, pair.broker.commands()[0], message)
        assert pair.broker.value() == (frame if message is good else b"")
        assert pair.client.value() == b""


@pytest.mark.parametrize("case", ACTING, ids=lambda case: RequestCode(case[0]).name)
def test_who_may_do_everything_is_not_made_to_wait(case: tuple[int, dict[str, str], bytes, bytes, int]) -> None:
    pair = guarded()
    frame = ask(pair, case[0], case[1], key="boss")
    assert pair.broker.value() == frame


def test_an_unknown_end_of_a_transaction_does_nothing_and_goes_on() -> None:
    pair = guarded()
    frame = ask(pair, RequestCode.END_TRANSACTION, {**END, "commitOrRollback": "0"})
    assert pair.broker.value() == frame


def test_a_commit_of_a_client_that_leaves_is_passed_on() -> None:
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    for comes in (True, False):
        pair = guarded()
        frame = ask(pair, RequestCode.END_TRANSACTION, END, oneway=True)
        (look,) = pair.broker.commands()
        pair.protocol.connectionLost(Failure(ConnectionDone()))
        assert not pair.broker.disconnecting
        if comes:
            answer(pair, look, half("mine"))
            assert pair.broker.value() == frame
        else:
            pair.reactor.advance(5.0)
            assert pair.broker.value() == b""
        assert pair.broker.disconnecting
        assert pair.passthrough._held == 0
        assert not pair.reactor.getDelayedCalls()


def test_a_look_that_is_never_answered_ends_in_an_error() -> None:
    pair = guarded(20.0)
    ask(pair, RequestCode.CONSUMER_SEND_MSG_BACK, BACK)
    ask(pair, 33, VIEW, opaque=6)
    looks = pair.broker.commands()
    pair.reactor.advance(20.0)
    assert sorted((told.opaque, bool(told.code)) for told in pair.client.commands()) == [(5, True), (6, True)]
    assert pair.passthrough._held == 0
    for look in looks:
        answer(pair, look, stored("mine", b"late"))
    assert pair.client.value() == pair.broker.value() == b""


def test_a_broker_that_goes_leaves_nothing_unsaid() -> None:
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    pair = guarded()
    ask(pair, RequestCode.CONSUMER_SEND_MSG_BACK, BACK)
    ask(pair, 33, VIEW, opaque=6)
    pair.upstream.connectionLost(Failure(ConnectionDone()))
    assert sorted(told.opaque for told in pair.client.commands()) == [5, 6]
    assert pair.client.disconnecting
    assert pair.passthrough._held == 0


def test_a_namespace_beside_the_names_changes_nothing_of_what_the_broker_does() -> None:
    """Brokers do not look at it: who may send to "ns%T" could send to T by it."""
    pair = Pair().connect()
    entries = (PolicyEntry("Topic:ns%*", ("All",)),)
    pair.gateway.guard.users.take(UserRecord("u", "s3cret", policies=(Policy(entries=entries),)))
    ask(pair, 310, {**SEND, "ns": "ns", "nsd": "true"})
    assert pair.broker.value() == b""
    assert [told.code for told in pair.client.commands()] == [NO]
    frame = ask(pair, 310, {**SEND, "b": "ns%T"})
    assert pair.broker.value() == frame


def test_a_check_reaches_those_who_could_have_sent_the_message() -> None:
    """Brokers take everybody for a member of a producer group who says so."""
    beat = b'{"clientID":"c","producerDataSet":[{"groupName":"P"}],"consumerDataSet":[]}'
    for topic, comes in (("mine", True), ("secret", False)):
        pair = guarded()
        frame = signed(RequestCode.HEART_BEAT, 5, {}, "s3cret", beat, key="u")
        pair.protocol.dataReceived(frame)
        assert pair.broker.value() == frame
        ext = {"tranStateTableOffset": "0", "commitLogOffset": "1000", "offsetMsgId": MESSAGE_ID}
        body = stored(topic, b"half", properties=encode_properties({"PGROUP": "P"}))
        pair.upstream.dataReceived(encode_request(RequestCode.CHECK_TRANSACTION_STATE, 9, ext, body))
        assert [told.code for told in pair.client.commands()] == ([39] if comes else [])
