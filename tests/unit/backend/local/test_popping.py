"""Receiving and acknowledging in the local backend, through the door, on a fake clock."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    ConsumeMode,
    CreateGroups,
    CreateTopics,
    ForwardToDeadLetterQueue,
    GroupConfig,
    PeekMessages,
    PullMessages,
    ReceivedMessages,
    ReceiveMessages,
    SendBack,
    SendMessages,
    TopicConfig,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Filter, FilterType, Message, MessageType
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

GROUP, TOPIC = "group", "topic"


def send(world: World, session: TestSession, *bodies: str, queue_id: int = 0, **properties: str) -> None:
    encoded = encode_properties(properties)
    for body in bodies:
        world.execute(session, SendMessages(TOPIC, (Message(body.encode(), encoded, queue_id),)))


def bodies(reply: ReceivedMessages) -> list[str]:
    return [stored_message.body(message.message).decode() for message in reply.messages]


def receive(world: World, session: TestSession, **wanted: object) -> ReceivedMessages:
    command = ReceiveMessages(**{"group": GROUP, "topic": TOPIC, "invisible_ms": 10_000, **wanted})  # type: ignore[arg-type]
    return world.execute(session, command)


def ack(world: World, session: TestSession, *handles: str, strict: bool = True) -> list[str]:
    return [one.code for one in world.execute(session, AckMessages(GROUP, TOPIC, handles, strict)).results]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def test_what_is_received_is_invisible_until_its_time_is_over(world: World, session: TestSession) -> None:
    send(world, session, "a", "b")
    first = receive(world, session)
    assert bodies(first) == ["a", "b"]
    assert [one.delivery_attempt for one in first.messages] == [1, 1]
    assert bodies(receive(world, session)) == []
    world.advance(9.9)
    assert bodies(receive(world, session)) == []
    assert ack(world, session, first.messages[1].receipt_handle) == [""]
    world.advance(0.2)
    again = receive(world, session)
    assert bodies(again) == ["a"]
    assert again.messages[0].delivery_attempt == 2
    assert stored_message.reconsume_times(again.messages[0].message) == 1
    assert again.messages[0].receipt_handle != first.messages[0].receipt_handle
    # The old handle settles nothing any more; acknowledging twice is fine.
    assert ack(world, session, first.messages[0].receipt_handle) == ["RECEIPT_HANDLE_EXPIRED"]
    assert ack(world, session, again.messages[0].receipt_handle) == [""]
    assert ack(world, session, again.messages[0].receipt_handle) == [""]
    world.advance(20)
    assert bodies(receive(world, session)) == []


def test_groups_do_not_disturb_each_other(world: World, session: TestSession) -> None:
    send(world, session, "a")
    assert bodies(receive(world, session)) == ["a"]
    assert bodies(receive(world, session, group="other")) == ["a"]


def test_a_receive_waits_and_is_woken_by_the_append(world: World, session: TestSession) -> None:
    send(world, session, "a")
    receive(world, session)
    waiting = world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    world.settle()
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    send(world, session, "b", queue_id=3)
    assert bodies(result_of(waiting)) == ["b"]


def test_a_receive_waits_and_is_woken_when_a_message_becomes_visible(
    world: World, session: TestSession
) -> None:
    send(world, session, "a")
    receive(world, session, invisible_ms=1000)
    waiting = world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    world.advance(0.9)
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    world.advance(0.15)
    assert bodies(result_of(waiting)) == ["a"]


def test_a_receive_that_finds_nothing_ends_in_time_and_empty(world: World, session: TestSession) -> None:
    send(world, session, "a")
    receive(world, session, invisible_ms=60_000)
    waiting = world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=1000))
    world.advance(1.2)
    assert result_of(waiting).messages == ()


def test_waiting_receives_are_served_in_turn_each_message_once(world: World, session: TestSession) -> None:
    send(world, session, "x")
    receive(world, session)
    waiting = [
        world.start(session, ReceiveMessages(GROUP, TOPIC, max_messages=1, wait_ms=5000)) for _ in range(3)
    ]
    world.settle()
    send(world, session, "a", "b")
    assert bodies(result_of(waiting[0])) == ["a"]
    assert bodies(result_of(waiting[1])) == ["b"]
    with pytest.raises(NoReplyYet):
        result_of(waiting[2])


def test_cancelling_gives_back_what_was_taken(session: TestSession) -> None:
    world = World(manual=False)
    session = world.session()
    send(world, session, "a")
    taken = world.start(session, ReceiveMessages(GROUP, TOPIC))
    taken.addErrback(lambda _: None)
    taken.cancel()  # taken, but its record is not durable yet
    reply = receive(world, session)
    assert bodies(reply) == ["a"]
    assert reply.messages[0].delivery_attempt == 1
    waiting = world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    send(world, session, "b")
    assert bodies(receive(world, session)) == ["b"]


def test_the_end_of_the_session_ends_its_waits(world: World, session: TestSession) -> None:
    send(world, session, "a")
    other = world.session()
    receive(world, other, invisible_ms=500)
    waiting = world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    session.session.end()
    world.settle()
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.CANCELLED
    world.advance(0.6)
    assert bodies(receive(world, other)) == ["a"]


def test_the_invisible_duration_can_be_changed(world: World, session: TestSession) -> None:
    send(world, session, "a")
    (message,) = receive(world, session).messages
    change = ChangeInvisibleDuration(GROUP, TOPIC, message.receipt_handle, 30_000)
    new = world.execute(session, change).receipt_handle
    assert ack(world, session, message.receipt_handle) == ["RECEIPT_HANDLE_EXPIRED"]
    world.advance(29)
    assert bodies(receive(world, session)) == []
    world.execute(session, ChangeInvisibleDuration(GROUP, TOPIC, new, 0))
    again = receive(world, session)
    assert bodies(again) == ["a"]
    assert again.messages[0].delivery_attempt == 2
    with pytest.raises(GatewayError) as caught:
        world.execute(session, ChangeInvisibleDuration(GROUP, TOPIC, new, 0))
    assert caught.value.code is Code.RECEIPT_HANDLE_EXPIRED


def test_a_change_wakes_who_waits(world: World, session: TestSession) -> None:
    send(world, session, "a")
    (message,) = receive(world, session).messages
    waiting = world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    world.settle()
    world.execute(session, ChangeInvisibleDuration(GROUP, TOPIC, message.receipt_handle, 0))
    assert bodies(result_of(waiting)) == ["a"]


@pytest.mark.parametrize(
    ("handle", "code"),
    [
        ("", "BAD_RECEIPT_HANDLE"),
        ("x" * 5000, "BAD_RECEIPT_HANDLE"),
        ("0 1 1 0 0 rmqgateway 0 x", "BAD_RECEIPT_HANDLE"),
        ("0 1 1 0 7 rmqgateway 0 0", "BAD_RECEIPT_HANDLE"),
        ("0 1 1 0 0 other 0 0", "BAD_RECEIPT_HANDLE"),
        ("0 1 1 0 0 rmqgateway 0 999", "BAD_RECEIPT_HANDLE"),
        ("0 1 1 0 0 rmqgateway 77 0", "BAD_RECEIPT_HANDLE"),
        ("0 1 1 0 0 rmqgateway 0 0", "RECEIPT_HANDLE_EXPIRED"),  # received, but not at that time
        ("0 1 1 0 0 rmqgateway 0 99999999999999999999", "BAD_RECEIPT_HANDLE"),
    ],
)
def test_bad_handles_are_refused_one_by_one(
    world: World, session: TestSession, handle: str, code: str
) -> None:
    send(world, session, "a")
    (message,) = receive(world, session).messages
    assert ack(world, session, handle, message.receipt_handle) == [code, ""]


def test_an_expired_handle_counts_unless_strict(world: World, session: TestSession) -> None:
    send(world, session, "a")
    (message,) = receive(world, session).messages
    world.advance(11)
    assert ack(world, session, message.receipt_handle) == ["RECEIPT_HANDLE_EXPIRED"]
    assert ack(world, session, message.receipt_handle, strict=False) == [""]
    assert bodies(receive(world, session)) == []


@pytest.mark.parametrize("wanted", [Filter("A || B"), Filter("n > 5", FilterType.SQL92)])
def test_filters(world: World, session: TestSession, wanted: Filter) -> None:
    send(world, session, "yes", TAGS="A", n="6")
    send(world, session, "no", TAGS="C", n="5")
    send(world, session, "yes2", TAGS="B", n="7")
    assert bodies(receive(world, session, filter=wanted)) == ["yes", "yes2"]
    assert bodies(receive(world, session, filter=wanted)) == []


def test_a_filter_that_does_not_parse_is_refused_with_the_position(
    world: World, session: TestSession
) -> None:
    send(world, session, "a")
    with pytest.raises(GatewayError) as caught:
        receive(world, session, filter=Filter("a >", FilterType.SQL92))
    assert caught.value.code is Code.BAD_FILTER
    assert "character 4" in caught.value.message


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"invisible_ms": 0}, Code.BAD_INVISIBLE_DURATION),
        ({"invisible_ms": 13 * 3600 * 1000}, Code.BAD_INVISIBLE_DURATION),
        ({"max_messages": 0}, Code.BAD_REQUEST),
        ({"topic": "missing"}, Code.TOPIC_NOT_FOUND),
        ({"queue_id": 99}, Code.BAD_OFFSET),
        ({"group": "../x"}, Code.BAD_GROUP_NAME),
    ],
)
def test_bad_requests(world: World, session: TestSession, wanted: dict[str, object], code: Code) -> None:
    send(world, session, "a")
    with pytest.raises(GatewayError) as caught:
        receive(world, session, **wanted)
    assert caught.value.code is code


def test_one_queue_and_limits(world: World, session: TestSession) -> None:
    send(world, session, "a", "b", "c", queue_id=2)
    send(world, session, "d", queue_id=5)
    assert bodies(receive(world, session, queue_id=5)) == ["d"]
    assert bodies(receive(world, session, queue_id=2, max_messages=1)) == ["a"]
    assert bodies(receive(world, session, max_bytes=10)) == ["b"]  # the first one always fits
    assert bodies(receive(world, session)) == ["c"]


def test_after_the_last_attempt_comes_the_dead_letter_queue(world: World, session: TestSession) -> None:
    world.execute(session, CreateGroups((GroupConfig(GROUP, retry_max_times=2),)))
    send(world, session, "a", "b")
    for attempt in (1, 2, 3):
        reply = receive(world, session, invisible_ms=1000)
        assert [one.delivery_attempt for one in reply.messages] == [attempt, attempt]
        world.advance(1.1)
    receive(world, session)  # creates the dead-letter topic
    world.settle()
    assert bodies(receive(world, session)) == []
    dead = world.execute(session, ReceiveMessages("undertaker", "%DLQ%" + GROUP))
    assert sorted(bodies(dead)) == ["a", "b"]
    properties = stored_message.properties(dead.messages[0].message)
    assert b"RETRY_TOPIC\x01topic\x02" in properties
    world.advance(100)
    assert bodies(receive(world, session)) == []


def test_a_message_can_be_forwarded_to_the_dead_letter_queue(world: World, session: TestSession) -> None:
    send(world, session, "a")
    (message,) = receive(world, session).messages
    world.execute(session, ForwardToDeadLetterQueue(GROUP, TOPIC, message.receipt_handle))
    world.execute(session, ForwardToDeadLetterQueue(GROUP, TOPIC, message.receipt_handle))  # once is enough
    assert bodies(world.execute(session, ReceiveMessages("undertaker", "%DLQ%" + GROUP))) == ["a"]
    world.advance(100)
    assert bodies(receive(world, session)) == []


def test_peeking_takes_nothing(world: World, session: TestSession) -> None:
    send(world, session, "a")
    assert bodies(world.execute(session, PeekMessages(GROUP, TOPIC))) == ["a"]
    assert bodies(receive(world, session)) == ["a"]


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_handles_and_attempts_survive(world: World, session: TestSession, how: str) -> None:
    send(world, session, "a", "b", "c")
    first = receive(world, session)
    ack(world, session, first.messages[0].receipt_handle)
    new = world.execute(
        session, ChangeInvisibleDuration(GROUP, TOPIC, first.messages[1].receipt_handle, 60_000)
    )
    world = getattr(world, how)()
    session = world.session()
    assert bodies(receive(world, session)) == []
    assert ack(world, session, new.receipt_handle, first.messages[2].receipt_handle) == ["", ""]
    world.advance(100)
    assert bodies(receive(world, session)) == []
    send(world, session, "d")
    assert bodies(receive(world, session)) == ["d"]


def test_a_receive_whose_record_is_lost_was_never_answered() -> None:
    world = World()
    session = world.session()
    send(world, session, "a")
    world.store.manual = True
    unanswered = world.start(session, ReceiveMessages(GROUP, TOPIC))
    with pytest.raises(NoReplyYet):
        result_of(unanswered)
    world = world.crash()
    reply = receive(world, world.session())
    assert bodies(reply) == ["a"]
    assert reply.messages[0].delivery_attempt == 1


# In order.


@pytest.fixture
def fifo(world: World, session: TestSession) -> World:
    world.execute(session, CreateTopics((TopicConfig(TOPIC, 1, 1),)))
    world.execute(
        session, CreateGroups((GroupConfig(GROUP, consume_message_orderly=True, retry_max_times=2),))
    )
    return world


def test_only_the_blocked_message_group_waits(fifo: World, session: TestSession) -> None:
    send(fifo, session, "a1", __SHARDINGKEY="a")
    assert bodies(receive(fifo, session)) == ["a1"]
    send(fifo, session, "a2", __SHARDINGKEY="a")
    send(fifo, session, "b1", __SHARDINGKEY="b")
    second = receive(fifo, session)
    assert bodies(second) == ["b1"]
    send(fifo, session, "a3", __SHARDINGKEY="a")
    assert bodies(receive(fifo, session)) == []
    fifo.advance(10.1)
    again = receive(fifo, session)
    assert bodies(again) == ["a1", "a2", "b1", "a3"]
    assert [one.delivery_attempt for one in again.messages] == [2, 1, 2, 1]


def test_the_acknowledgement_of_the_first_frees_the_next(fifo: World, session: TestSession) -> None:
    send(fifo, session, "a1", __SHARDINGKEY="a")
    (first,) = receive(fifo, session).messages
    send(fifo, session, "a2", __SHARDINGKEY="a")
    waiting = fifo.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    fifo.settle()
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    ack(fifo, session, first.receipt_handle)
    fifo.settle()
    assert bodies(result_of(waiting)) == ["a2"]


def test_order_survives_a_restart(fifo: World, session: TestSession) -> None:
    send(fifo, session, "a1", __SHARDINGKEY="a")
    (first,) = receive(fifo, session).messages
    send(fifo, session, "a2", __SHARDINGKEY="a")
    assert bodies(receive(fifo, session)) == []
    world = fifo.restart()
    session = world.session()
    assert bodies(receive(world, session)) == []
    ack(world, session, first.receipt_handle)
    assert bodies(receive(world, session)) == ["a2"]


def test_the_same_attempt_gets_the_same_messages(fifo: World, session: TestSession) -> None:
    send(fifo, session, "a1", "a2", __SHARDINGKEY="a")
    first = receive(fifo, session, attempt_id="one")
    again = receive(fifo, session, attempt_id="one")
    assert bodies(first) == bodies(again) == ["a1", "a2"]
    assert [one.delivery_attempt for one in again.messages] == [1, 1]
    assert ack(fifo, session, first.messages[0].receipt_handle) == ["RECEIPT_HANDLE_EXPIRED"]
    assert bodies(receive(fifo, session, attempt_id="two")) == []


def test_a_dead_letter_unblocks_its_message_group(fifo: World, session: TestSession) -> None:
    send(fifo, session, "a1", "a2", __SHARDINGKEY="a")
    for _ in range(3):
        assert bodies(receive(fifo, session, max_messages=1, invisible_ms=1000)) == ["a1"]
        fifo.advance(1.1)
    receive(fifo, session, max_messages=1)
    fifo.settle()
    assert bodies(receive(fifo, session, max_messages=1)) == ["a2"]


# By priority.


def test_the_highest_priority_comes_first(world: World, session: TestSession) -> None:
    topic = TopicConfig(TOPIC, 4, 4, message_type=MessageType.PRIORITY)
    world.execute(session, CreateTopics((topic,)))
    for priority in ("0", "2", "99", "99999999999", "1"):
        send(world, session, priority, queue_id=-1, _SYS_MSG_PRIORITY_=priority)
    got = [bodies(receive(world, session, max_messages=1))[0] for _ in range(5)]
    assert got == ["99", "99999999999", "2", "1", "0"]


def test_a_message_of_another_type_has_no_priority(world: World, session: TestSession) -> None:
    send(world, session, "a", queue_id=3, _SYS_MSG_PRIORITY_="5", __SHARDINGKEY="k")
    send(world, session, "b", queue_id=3, _SYS_MSG_PRIORITY_="x")
    found = receive(world, session).messages
    assert [stored_message.queue_id(one.message) for one in found] == [3, 3]
    assert not any(b"PRIORITY" in stored_message.properties(one.message) for one in found)


# Between pull and pop.


def test_one_mode_at_a_time(world: World, session: TestSession) -> None:
    send(world, session, "a")
    receive(world, session)
    other = world.session()
    with pytest.raises(GatewayError) as caught:
        world.execute(other, PullMessages(GROUP, TOPIC, 0, 0))
    assert caught.value.code is Code.CONSUME_MODE_CONFLICT
    assert ConsumeMode.POP.value in caught.value.message


def test_what_was_in_flight_comes_to_pull_consumers(world: World, session: TestSession) -> None:
    send(world, session, "a", "b")
    first = receive(world, session)
    ack(world, session, first.messages[0].receipt_handle)
    session.session.end()
    puller = world.session()
    world.execute(puller, PullMessages(GROUP, TOPIC, 0, 2))
    world.settle()
    retries = world.execute(puller, PullMessages(GROUP, "%RETRY%" + GROUP, 0, 0))
    assert [stored_message.body(message) for message in retries.messages] == [b"b"]
    assert stored_message.reconsume_times(retries.messages[0]) == 1
    # And back again, not twice.
    puller.session.end()
    assert bodies(receive(world, world.session(), wait_ms=5000)) == ["b"]
    assert bodies(receive(world, world.session())) == []


def test_what_pull_consumers_gave_back_comes_to_receives(world: World, session: TestSession) -> None:
    send(world, session, "a")
    (message,) = world.execute(session, PullMessages(GROUP, TOPIC, 0, 0)).messages
    position = stored_message.physical_offset(message)
    world.execute(session, SendBack(GROUP, position, delay_level=1))
    session.session.end()
    world.advance(1.5)
    receiver = world.session()
    assert [one.delivery_attempt for one in receive(world, receiver).messages] == [1]
    (retried,) = receive(world, receiver, wait_ms=5000).messages
    assert retried.delivery_attempt == 2
    assert stored_message.body(retried.message) == b"a"
    assert stored_message.topic(retried.message) == TOPIC.encode()
    assert ack(world, receiver, retried.receipt_handle) == [""]
    world.advance(100)
    assert [one.delivery_attempt for one in receive(world, receiver).messages] == [
        2
    ]  # the first one, in its queue


def test_a_full_house_says_so() -> None:
    world = World(LocalSettings(max_waits=1))
    session = world.session()
    send(world, session, "a")
    receive(world, session)
    world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000))
    assert receive(world, session, wait_ms=5000).polling_full
