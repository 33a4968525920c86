"""Messages that are named by their place in a log, before two brokers: only the one that has it is asked to do anything."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.backend.cluster.handles import make_handle
from rmqgateway.commands import Action
from rmqgateway.commands.administering import ConsumeDirectly, QueryConsumeQueue, QueryMessages, ViewMessage
from rmqgateway.commands.maintaining import ResumeTransaction
from rmqgateway.commands.producing import EndTransaction, ForwardToDeadLetterQueue, SendBack
from rmqgateway.errors import Code, GatewayError
from rmqgateway.session import host_to_bytes
from rmqgateway.wire.message_id import decode_offset_message_id, encode_offset_message_id
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.world import NOW, OK, A, Answer, B, World, stored

#: `stored` puts a message at 1000 + its queue offset.
PLACE = 1000
GIVEN_UP = "TRANS_CHECK_MAX_TIME_TOPIC"
VIEW, BACK, RESUME = (
    RequestCode.VIEW_MESSAGE_BY_ID,
    RequestCode.CONSUMER_SEND_MSG_BACK,
    RequestCode.RESUME_CHECK_HALF_MESSAGE,
)
DIRECTLY = RequestCode.CONSUME_MESSAGE_DIRECTLY


def missing(_: RemotingCommand) -> Answer:
    return int(ResponseCode.SYSTEM_ERROR), {}, b""


def world_of(a: bytes = b"", b: bytes = b"") -> World:
    """Two brokers that show these bytes wherever they are asked, or nothing."""
    world = World(brokers=(A, B))
    for address, body in ((A, a), (B, b)):
        server = world.servers[address]
        server.script[VIEW] = missing if not body else lambda _, body=body: (0, {}, body)
        for code in (BACK, RESUME, DIRECTLY):
            server.script[code] = lambda _: OK
        server.codes()
    return world


def asked(world: World, code: int) -> list[str]:
    return [address for address in (A, B) if code in world.servers[address].codes()]


def half(topic: str = "T") -> bytes:
    return stored(GIVEN_UP, b"half", properties=encode_properties({"REAL_TOPIC": topic}))


def test_a_message_is_seen_at_whichever_broker_has_it() -> None:
    message = stored("T", b"of b")
    for world in (world_of(a=message), world_of(b=message)):
        assert world.do(ViewMessage(PLACE)).messages == (message,)
    assert world_of().do(ViewMessage(PLACE)).code is Code.MESSAGE_NOT_FOUND


def test_what_two_brokers_have_is_told_apart_by_topic_or_name_or_not_at_all() -> None:
    one, other = stored("T", b"of a"), stored("U", b"of b")
    world = world_of(one, other)
    error = world.do(ViewMessage(PLACE))
    assert error.code is Code.BAD_REQUEST and "broker-a, broker-b" in error.message
    assert world.do(ViewMessage(PLACE, "U")).messages == (other,)
    assert world.do(ViewMessage(PLACE, broker_name="broker-a")).messages == (one,)
    assert world.do(ViewMessage(PLACE, broker_name="broker-x")).code is Code.UPSTREAM_UNAVAILABLE


def test_a_message_is_shown_to_those_who_may_read_its_topic() -> None:
    world = world_of(stored("T", b"of a"))
    judged = []

    class Guard:
        def require_topic(self, context: Any, topic: str, group: str, actions: Any) -> None:
            judged.append(topic)
            raise GatewayError(Code.FORBIDDEN, "no")

    world.context.guard = Guard()
    assert world.do(ViewMessage(PLACE)).code is Code.FORBIDDEN
    assert world.do(ViewMessage(PLACE, "T", "broker-a")).code is Code.FORBIDDEN
    assert judged == ["T", "T"]


class Refusing:
    """A guard of a user who may do nothing. :ivar judged: what it was asked."""

    def __init__(self) -> None:
        self.judged: list[tuple[str, str, tuple[Action, ...]]] = []

    def require_topic(self, context: Any, topic: str, group: str, actions: tuple[Action, ...]) -> None:
        self.judged.append((topic, group, actions))
        raise GatewayError(Code.FORBIDDEN, "no")


@pytest.mark.parametrize(
    ("command", "code", "actions"),
    [
        (SendBack("G", PLACE, topic="mine", broker_name="broker-a"), BACK, (Action.SUB,)),
        (
            ConsumeDirectly("G", "client", PLACE, topic="mine", broker_name="broker-a"),
            DIRECTLY,
            (Action.SUB, Action.GET),
        ),
    ],
)
def test_what_hands_a_message_over_is_judged_by_the_message_s_own_topic(command: Any, code: int, actions: Any) -> None:
    world = world_of(stored("secret", b"x"))
    guard = world.context.guard = Refusing()
    assert world.do(command).code is Code.FORBIDDEN
    assert guard.judged == [("secret", "G", actions)]
    assert asked(world, code) == []
    world.context.guard = None
    found = world.do(command)
    assert found is None or found.code == 0
    assert asked(world, code) == [A]


def test_a_handle_that_somebody_wrote_makes_no_dead_letter_of_another_topic_s_message() -> None:
    handle = make_handle(0, NOW, 60_000, 0, "0", "broker-a", 0, 0, PLACE)
    world = world_of(stored("secret", b"x"))
    world.servers[A].script[RequestCode.ACK_MESSAGE] = lambda _: OK
    guard = world.context.guard = Refusing()
    assert world.do(ForwardToDeadLetterQueue("G", "mine", handle)).code is Code.FORBIDDEN
    assert guard.judged == [("secret", "G", (Action.SUB,))]
    assert asked(world, BACK) == []
    world.context.guard = None
    assert world.do(ForwardToDeadLetterQueue("G", "mine", handle)) is None
    assert asked(world, BACK) == [A]


def test_what_a_producer_wrote_into_a_body_is_no_message() -> None:
    """It would end in the messages behind it: its body or its properties are these, and it cannot know them."""
    for forged in (stored("T", b"mine").replace(b"mine", b"them"), stored("T", b"", properties=b"A\x01\xda\xa3\x20\xa7\x02")):
        world = world_of(forged)
        assert world.do(ViewMessage(PLACE, broker_name="broker-a")).code is Code.MESSAGE_NOT_FOUND


@pytest.mark.parametrize("topic", ["T", "U"])
def test_a_transaction_of_elsewhere_is_ended_by_who_may_send_to_its_topic(topic: str) -> None:
    message = stored("RMQ_SYS_TRANS_HALF_TOPIC", b"x", properties=encode_properties({"REAL_TOPIC": topic}))
    world = world_of(message)
    for address in (A, B):
        world.servers[address].script[RequestCode.END_TRANSACTION] = lambda _: OK
    world.context.guard = Refusing()
    found = world.do(EndTransaction("T", "PG", 8, "K", queue_offset=0, physical_offset=PLACE))
    if topic == "T":
        assert found is None
        assert asked(world, RequestCode.END_TRANSACTION) == [A]
    else:
        assert found.code is Code.TRANSACTION_NOT_FOUND
        assert asked(world, RequestCode.END_TRANSACTION) == []


def test_another_topic_s_message_with_the_same_hash_is_not_found_by_key() -> None:
    """A broker's index holds nothing but a hash of topic and key."""
    named = encode_properties({"KEYS": "k"})
    one, other = stored("T", b"x", properties=named), stored("U", b"y", properties=named)
    world = world_of()
    world.servers[A].script[RequestCode.QUERY_MESSAGE] = lambda _: (0, {}, one + other)
    world.servers[B].script[RequestCode.QUERY_MESSAGE] = lambda _: (0, {}, other)
    assert world.do(QueryMessages("T", "k")).messages == (one,)


def test_a_retried_message_is_known_by_its_own_topic() -> None:
    message = stored("%RETRY%G", b"x", properties=encode_properties({"RETRY_TOPIC": "T"}))
    assert world_of(stored("U", b"of a"), message).do(ViewMessage(PLACE, "T")).messages == (message,)


@pytest.mark.parametrize("body", [b"garbage", b"\x00" * 100, stored("T", b"elsewhere", offset=5), stored("T", b"x")[:-3]])
def test_what_is_no_message_of_this_place_is_none(body: bytes) -> None:
    message = stored("T", b"of b")
    assert world_of(body, message).do(ViewMessage(PLACE)).messages == (message,)
    assert world_of(body).do(ViewMessage(PLACE)).code is Code.MESSAGE_NOT_FOUND


def test_a_broker_that_is_away_may_have_it() -> None:
    world = world_of(b=stored("T", b"of b"))
    world.servers[A].go()
    assert world.do(ViewMessage(PLACE)).code is Code.UPSTREAM_UNAVAILABLE
    assert world.do(ViewMessage(PLACE, broker_name="broker-b")).messages


def test_what_a_broker_forbids_is_said() -> None:
    world = world_of(b=stored("T", b"of b"))
    world.servers[A].script[VIEW] = lambda _: (int(ResponseCode.NO_PERMISSION), {}, b"")
    assert world.do(ViewMessage(PLACE)).code is Code.FORBIDDEN


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (SendBack("G", PLACE, topic="T"), BACK),
        (ConsumeDirectly("G", "client", PLACE, "T"), DIRECTLY),
        (ResumeTransaction(PLACE, "T"), RESUME),
    ],
)
def test_what_changes_something_goes_to_the_broker_that_has_it(command: Any, code: int) -> None:
    message = half() if code == RESUME else stored("T", b"of b")
    world = world_of(b=message)
    found = world.do(command)
    assert not hasattr(found, "code") or found.code == 0, found
    assert asked(world, code) == [B]
    world = world_of(message, message)
    assert world.do(command).code is Code.BAD_REQUEST
    assert asked(world, code) == []
    world = world_of()
    assert world.do(command).code is Code.MESSAGE_NOT_FOUND
    assert asked(world, code) == []


def test_an_offset_message_id_says_which_broker() -> None:
    message = stored("T", b"x")
    for address in (A, B):
        message_id = encode_offset_message_id(host_to_bytes(address), PLACE)
        world = world_of(message, message)
        assert world.do(SendBack("G", PLACE, message_id=message_id)) is None
        assert asked(world, BACK) == [address]
        world = world_of(message, message)
        assert world.do(ConsumeDirectly("G", "client", -1, message_id=message_id)).code == 0
        ext = world.servers[address].last(DIRECTLY).ext_fields
        assert decode_offset_message_id(ext["msgId"])[1] == PLACE
        assert asked(world, DIRECTLY) == [address]
    assert world.do(ConsumeDirectly("G", "client", -1, message_id="none")).code is Code.MESSAGE_NOT_FOUND


def test_only_a_half_message_that_was_given_up_is_resumed() -> None:
    """A broker would put any message among the half messages."""
    for body, topic, broker, code in (
        (stored("T", b"x"), "T", "broker-b", Code.BAD_REQUEST),
        (half(), "U", "", Code.BAD_REQUEST),
        (stored("T", b"x"), "T", "", Code.MESSAGE_NOT_FOUND),
    ):
        world = world_of(b=body)
        assert world.do(ResumeTransaction(PLACE, topic, broker)).code is code
        assert asked(world, RESUME) == []
    world = world_of(stored("T", b"another's"), half())
    assert world.do(ResumeTransaction(PLACE, "T")) is None
    assert asked(world, RESUME) == [B]
    world = world_of(half("U"), half("T"))
    assert world.do(ResumeTransaction(PLACE, "T", "broker-b")) is None
    assert asked(world, RESUME) == [B]


def test_a_queue_of_several_brokers_can_be_looked_into_by_name() -> None:
    world = world_of()
    world.servers[B].script[RequestCode.QUERY_CONSUME_QUEUE] = lambda _: (
        0,
        {},
        b'{"queueData":[{"physicOffset":7,"physicSize":9,"tagsCode":1}],"minQueueIndex":0,"maxQueueIndex":1}',
    )
    assert world.do(QueryConsumeQueue("T", 0, 0, 1)).code is Code.BAD_REQUEST
    assert world.do(QueryConsumeQueue("T", 0, 0, 1, broker_name="broker-b")).entries[0].physical_offset == 7
