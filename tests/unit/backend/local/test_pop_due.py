"""Many who wait: what is planned for them, who is woken, and what a group that has caught up looks at."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.backend.local.pop_queue import NEVER_DUE, PopPlace, PopQueue
from rmqgateway.backend.local.pop_receive import Place
from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    CreateTopics,
    QueryRoute,
    ReceivedMessages,
    ReceiveMessages,
    ResetOffset,
    SendMessages,
    TopicConfig,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Filter, Message
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of
from rmqgateway.wire import stored_message


def send(world: World, session: TestSession, body: str, queue_id: int = -1, properties: bytes = b"") -> None:
    world.execute(session, SendMessages("topic", (Message(body.encode(), properties, queue_id),)))


def receive(group: str = "g", **more: Any) -> ReceiveMessages:
    return ReceiveMessages(group=group, topic="topic", **{"invisible_ms": 10_000, "wait_ms": 20_000, **more})


def bodies(reply: ReceivedMessages) -> list[str]:
    return [stored_message.body(one.message).decode() for one in reply.messages]


def answered(waiting: list[Any]) -> list[int]:
    found = []
    for number, one in enumerate(waiting):
        try:
            if result_of(one).messages:
                found.append(number)
        except NoReplyYet:
            continue
    return found


def place(world: World, group: str = "g") -> Place:
    backend: Any = world.backend
    found: Place = backend.popping.place(group, backend.topics.find("topic"))
    return found


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    session = world.session()
    world.execute(session, CreateTopics((TopicConfig("topic", 4, 4),)))
    return session


def test_messages_in_flight_of_a_hundred_groups_are_one_planned_call(world: World, session: TestSession) -> None:
    send(world, session, "first", 0)
    for number in range(100):
        world.execute(session, receive(f"g{number}", invisible_ms=10_000 + number))
    before = len(world.clock.getDelayedCalls())
    waiting = [world.start(session, receive(f"g{number}")) for number in range(100)]
    assert len(world.clock.getDelayedCalls()) <= before + 2  # the time-outs, and what becomes visible
    world.advance(9.9)
    assert not answered(waiting)
    world.advance(0.3)
    assert answered(waiting) == list(range(100))


def test_who_has_waited_longest_is_served_and_nobody_else_is_asked(
    world: World, session: TestSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [world.start(session, receive()) for _ in range(1000)]
    looks = []
    real = Place.has_work
    monkeypatch.setattr(Place, "has_work", lambda *arguments: looks.append(1) or real(*arguments))  # type: ignore[func-returns-value]
    for number in range(5):
        send(world, session, str(number))
        assert answered(waiting) == list(range(number + 1))
    assert len(looks) <= 15  # not one for each of a thousand


def test_who_wants_something_else_keeps_nobody_from_being_served(world: World, session: TestSession) -> None:
    """They are asked in turn: the filters of one group may differ while it changes its mind."""
    first = world.start(session, receive(filter=Filter("red")))
    others = [world.start(session, receive(filter=Filter("red || blue"))) for _ in range(3)]
    send(world, session, "r", 0, b"TAGS\x01red\x02")
    assert answered([first, *others]) == [0]


def test_the_time_comes_nearer_when_a_message_is_given_back(world: World, session: TestSession) -> None:
    send(world, session, "a", 1)
    (message,) = world.execute(session, receive(invisible_ms=60_000)).messages
    waiting = world.start(session, receive())
    world.advance(1)
    changed = world.execute(session, ChangeInvisibleDuration("g", "topic", message.receipt_handle, 3000))
    world.advance(2.9)
    assert not answered([waiting])
    world.advance(0.2)
    assert bodies(result_of(waiting)) == ["a"]
    assert changed.receipt_handle != message.receipt_handle


def test_a_group_that_has_caught_up_looks_at_what_is_new_only(
    world: World, session: TestSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        world.start(session, receive())  # the first finds out where the group begins
    there = place(world)
    assert there.caught == [0, 0, 0, 0] and there.popped.first_due == NEVER_DUE
    asked = []
    real = PopQueue.next_pop_time
    monkeypatch.setattr(PopQueue, "next_pop_time", lambda *arguments: asked.append(1) or real(*arguments))  # type: ignore[func-returns-value]
    for queue_id in (2, 0, 2):
        send(world, session, "x", queue_id)
        world.start(session, receive())
    assert there.caught == [1, 0, 2, 0] and len(asked) == 3


def test_moving_the_offset_back_shows_everything_again(world: World, session: TestSession) -> None:
    for queue_id in range(4):
        send(world, session, f"old {queue_id}", queue_id)
    reply = world.execute(session, receive(max_messages=32))
    world.execute(session, AckMessages("g", "topic", tuple(one.receipt_handle for one in reply.messages)))
    waiting = world.start(session, receive(max_messages=32))
    world.advance(1)
    assert not answered([waiting])
    world.execute(session, ResetOffset("topic", "g", 0))
    world.advance(1)
    found = bodies(result_of(waiting)) + bodies(world.execute(session, receive(max_messages=32)))
    assert sorted(found) == [f"old {number}" for number in range(4)]


def test_more_queues_are_looked_at_at_once(world: World, session: TestSession) -> None:
    waiting = world.start(session, receive())
    world.execute(session, CreateTopics((TopicConfig("topic", 8, 8),)))
    send(world, session, "new", 7)
    assert bodies(result_of(waiting)) == ["new"]


def test_what_is_settled_gathers_nowhere() -> None:
    queue = PopQueue(0, PopPlace())
    for offset in range(1000):
        queue.delivered([offset], [1], offset, 60_000 + offset, offset + 1)
        if offset >= 3:
            assert queue.settled(offset - 3)
    assert len(queue.expiries) < 10
    assert queue.next_visible_at(0) == 60_997


def test_nothing_is_due_before_the_first_time_of_a_place() -> None:
    where = PopPlace()
    queue = PopQueue(0, where)
    where.first_due = NEVER_DUE
    queue.delivered([0, 1], [1, 1], 5, 500, 2)
    assert where.first_due == 500
    queue.changed(0, 6, 300)
    assert where.first_due == 300
    queue.changed(0, 7, 900)
    assert where.first_due == 300
    assert queue.take_due(600, 5) == [1]
    where.first_due = NEVER_DUE
    queue.put_back([1])
    assert where.first_due == 0
    where.first_due = NEVER_DUE
    queue.reset(0)
    assert where.first_due == 0


@pytest.mark.parametrize("through_execute", [False, True])
def test_a_receive_that_is_cancelled_says_so_once_and_takes_nothing(
    world: World, session: TestSession, through_execute: bool
) -> None:
    told: list[tuple[Any, Any, Any]] = []
    if through_execute:
        waiting = world.gateway.execute(session.context(), receive())
        waiting.addErrback(lambda failure: told.append((None, None, failure.value)))
    else:
        waiting = world.gateway.perform(session.context(), receive(), lambda *it: told.append(it), None)
    world.settle()
    assert not told and waiting is not None
    waiting.cancel()
    waiting.cancel()
    ((_, reply, error),) = told
    assert reply is None and isinstance(error, GatewayError) and error.code is Code.CANCELLED
    send(world, session, "a")
    assert bodies(world.execute(session, receive())) == ["a"]
    assert world.gateway.commands_under_way == 0


def test_a_receive_cancelled_before_its_record_is_durable_gives_back(world: World, session: TestSession) -> None:
    send(world, session, "a")
    world.store.manual = True
    told: list[Any] = []
    waiting = world.gateway.perform(session.context(), receive(), lambda *it: told.append(it[2]), None)
    waiting.cancel()
    assert [error.code for error in told] == [Code.CANCELLED]
    world.store.manual = False
    world.store.commit()
    (message,) = world.execute(session, receive()).messages
    assert message.delivery_attempt == 1 and len(told) == 1


def test_commands_that_are_done_have_nothing_to_cancel(world: World, session: TestSession) -> None:
    assert world.gateway.perform(session.context(), QueryRoute("topic"), lambda *_: None, None) is None
