"""Pulling: what is found, where an offset is moved to, long polls, filters."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.memory import MemoryQueue
from rmqgateway.commands.administering import GroupConfig, TopicConfig
from rmqgateway.commands.clients import Consumer, Heartbeat, MessageModel, Subscribed
from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import (
    GetConsumerOffset,
    OffsetOf,
    PulledMessages,
    PullMessages,
    PullStatus,
    QueryOffset,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Filter, FilterType, Message, Permission
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties


def send(world: World, session: TestSession, *bodies: str, queue_id: int = 0, **named: str) -> None:
    for body in bodies:
        message = Message(body.encode(), encode_properties({"UNIQ_KEY": body, **named}), queue_id)
        world.execute(session, SendMessages("t", (message,)))


def bodies(reply: PulledMessages) -> list[str]:
    return [stored_message.body(message).decode() for message in reply.messages]


def queue(world: World, queue_id: int = 0) -> MemoryQueue:
    found = world.backend.topics.find("t").queue(queue_id).stored
    assert isinstance(found, MemoryQueue)
    return found


def code_of(world: World, session: TestSession, command: PullMessages) -> Code:
    with pytest.raises(GatewayError) as caught:
        world.execute(session, command)
    return caught.value.code


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def test_messages_come_in_order_from_the_offset_on(world: World, session: TestSession) -> None:
    send(world, session, "a", "b", "c", "d")
    reply = world.execute(session, PullMessages("g", "t", 0, 1, max_messages=2))
    assert bodies(reply) == ["b", "c"]
    assert (reply.status, reply.next_offset, reply.min_offset, reply.max_offset) == (
        PullStatus.FOUND,
        3,
        0,
        4,
    )


def test_no_more_bytes_than_wanted_but_one_message_at_least(world: World, session: TestSession) -> None:
    send(world, session, "a" * 500, "b" * 500, "c" * 500)
    assert len(world.execute(session, PullMessages("g", "t", 0, 0, max_bytes=1)).messages) == 1
    assert len(world.execute(session, PullMessages("g", "t", 0, 0, max_bytes=2600)).messages) == 2


def test_the_settings_limit_a_pull() -> None:
    world = World(LocalSettings(pull_max_messages=2))
    session = world.session()
    send(world, session, "a", "b", "c")
    assert bodies(world.execute(session, PullMessages("g", "t", 0, 0, max_messages=1 << 30))) == ["a", "b"]
    assert bodies(world.execute(session, PullMessages("g", "t", 0, 0, max_messages=-5))) == ["a"]


@pytest.mark.parametrize(
    ("offset", "status", "following"),
    [
        (-1, PullStatus.OFFSET_MOVED, 2),
        (0, PullStatus.OFFSET_MOVED, 2),
        (1, PullStatus.OFFSET_MOVED, 2),
        (2, PullStatus.FOUND, 5),
        (5, PullStatus.NO_NEW_MESSAGE, 5),
        (6, PullStatus.OFFSET_MOVED, 5),
        (1 << 62, PullStatus.OFFSET_MOVED, 5),
    ],
)
def test_where_an_offset_is_moved_to(offset: int, status: PullStatus, following: int) -> None:
    world = World()
    session = world.session()
    send(world, session, "a", "b", "c", "d", "e")
    queue(world).drop_before(2)
    reply = world.execute(session, PullMessages("g", "t", 0, offset))
    assert (reply.status, reply.next_offset, reply.min_offset, reply.max_offset) == (status, following, 2, 5)


@pytest.mark.parametrize(("offset", "status"), [(0, PullStatus.NO_NEW_MESSAGE), (7, PullStatus.OFFSET_MOVED)])
def test_an_empty_queue(world: World, session: TestSession, offset: int, status: PullStatus) -> None:
    world.backend.topics.create([TopicConfig("t")])
    world.settle()
    reply = world.execute(session, PullMessages("g", "t", 0, offset))
    assert (reply.status, reply.next_offset) == (status, 0)


def test_a_long_poll_is_answered_in_the_scope_of_the_append(world: World, session: TestSession) -> None:
    send(world, session, "a")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=30_000))
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    send(world, session, "b")  # no time passes
    assert bodies(result_of(waiting)) == ["b"]
    assert world.backend.waits.count == 0


def test_a_long_poll_sees_what_was_under_way_when_it_began(world: World, session: TestSession) -> None:
    send(world, session, "a")
    world.store.manual = True
    sent = world.start(session, SendMessages("t", (Message(b"b", encode_properties({"UNIQ_KEY": "b"}), 0),)))
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=30_000))
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    world.store.commit()
    result_of(sent)
    assert bodies(result_of(waiting)) == ["b"]


def test_messages_of_other_queues_do_not_wake(world: World, session: TestSession) -> None:
    send(world, session, "a")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=30_000))
    send(world, session, "b", queue_id=1)
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    waiting.addErrback(lambda failure: None)


def test_a_long_poll_ends_at_its_time_and_not_before(world: World, session: TestSession) -> None:
    send(world, session, "a")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000))
    world.advance(14.95)
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    world.advance(0.15)
    reply = result_of(waiting)
    assert (reply.status, reply.next_offset) == (PullStatus.NO_NEW_MESSAGE, 1)


def test_no_wait_is_longer_than_the_setting() -> None:
    world = World(LocalSettings(long_poll_max_ms=1000))
    session = world.session()
    send(world, session, "a")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=1 << 40))
    world.advance(1.2)
    assert result_of(waiting).status is PullStatus.NO_NEW_MESSAGE


def test_cancelling_ends_the_wait(world: World, session: TestSession) -> None:
    send(world, session, "a")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000))
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    assert world.backend.waits.count == 0
    send(world, session, "b")
    world.advance(20)


def test_the_end_of_a_session_ends_its_waits(world: World, session: TestSession) -> None:
    send(world, session, "a")
    other = world.session()
    waiting = world.start(other, PullMessages("g", "t", 0, 1, wait_ms=15_000))
    mine = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000))
    other.session.end()
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.CANCELLED
    assert world.backend.waits.count == 1
    send(world, session, "b")
    assert bodies(result_of(mine)) == ["b"]


def test_too_many_waits_are_refused() -> None:
    world = World(LocalSettings(max_waits=1))
    session = world.session()
    send(world, session, "a")
    world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000))
    assert code_of(world, session, PullMessages("g", "t", 0, 1, wait_ms=15_000)) is Code.BUSY
    world.advance(16)
    world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000))


def test_stopping_ends_all_waits(world: World, session: TestSession) -> None:
    send(world, session, "a")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000))
    world.backend.stop()
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.SHUTTING_DOWN


def test_tags_are_compared_exactly(world: World, session: TestSession) -> None:
    # "Aa" and "BB" have the same hash code in Java.
    for tag in ("Aa", "BB", "C", "Aa"):
        send(world, session, "of " + tag, TAGS=tag)
    send(world, session, "of none")
    reply = world.execute(session, PullMessages("g", "t", 0, 0, filter=Filter("Aa || C")))
    assert bodies(reply) == ["of Aa", "of C", "of Aa"]
    assert reply.next_offset == 5


def test_sql_is_evaluated(world: World, session: TestSession) -> None:
    for age in ("5", "50"):
        send(world, session, "age " + age, age=age)
    reply = world.execute(session, PullMessages("g", "t", 0, 0, filter=Filter("age > 10", FilterType.SQL92)))
    assert bodies(reply) == ["age 50"]
    bad = PullMessages("g", "t", 0, 0, filter=Filter("age >", FilterType.SQL92))
    assert code_of(world, session, bad) is Code.BAD_FILTER


def test_nothing_matched_moves_on(world: World, session: TestSession) -> None:
    send(world, session, "a", "b", TAGS="X")
    reply = world.execute(session, PullMessages("g", "t", 0, 0, wait_ms=1000, filter=Filter("Y")))
    assert (reply.status, reply.next_offset) == (PullStatus.NO_MATCHED_MESSAGE, 2)


def test_one_pull_looks_at_so_many_messages_only() -> None:
    world = World(LocalSettings(pull_max_scan=100))
    session = world.session()
    send(world, session, *(str(number) for number in range(150)), TAGS="X")
    send(world, session, "last", TAGS="Y")
    reply = world.execute(session, PullMessages("g", "t", 0, 0, filter=Filter("Y")))
    assert (reply.status, reply.next_offset) == (PullStatus.NO_MATCHED_MESSAGE, 100)
    assert bodies(world.execute(session, PullMessages("g", "t", 0, 100, filter=Filter("Y")))) == ["last"]


def test_a_filtered_pull_respects_its_limits(world: World, session: TestSession) -> None:
    send(world, session, *("x" * 500 for _ in range(5)), TAGS="X")
    reply = world.execute(session, PullMessages("g", "t", 0, 0, max_messages=2, filter=Filter("X")))
    assert (len(reply.messages), reply.next_offset) == (2, 2)
    reply = world.execute(session, PullMessages("g", "t", 0, 0, max_bytes=1400, filter=Filter("X")))
    assert (len(reply.messages), reply.next_offset) == (1, 1)


def test_a_wait_goes_on_after_messages_that_do_not_match(world: World, session: TestSession) -> None:
    send(world, session, "a", TAGS="X")
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=15_000, filter=Filter("Y")))
    send(world, session, "b", TAGS="X")
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    send(world, session, "c", TAGS="Y")
    assert bodies(result_of(waiting)) == ["c"]
    # At its end it tells how far it has looked.
    waiting = world.start(session, PullMessages("g", "t", 0, 3, wait_ms=1000, filter=Filter("Y")))
    send(world, session, "d", TAGS="X")
    world.advance(1.2)
    assert (result_of(waiting).status, result_of(waiting).next_offset) == (PullStatus.NO_MATCHED_MESSAGE, 4)


def test_the_filter_of_the_heartbeat(world: World, session: TestSession) -> None:
    send(world, session, "a", TAGS="X")
    send(world, session, "b", TAGS="Y")
    pull = PullMessages("g", "t", 0, 0, filter=None, subscription_version=5)
    assert code_of(world, session, pull) is Code.SUBSCRIPTION_INCONSISTENT  # no member
    world.execute(
        session, Heartbeat("c", consumers=(Consumer("g", subscriptions=(Subscribed("u", Filter()),)),))
    )
    assert code_of(world, session, pull) is Code.SUBSCRIPTION_INCONSISTENT  # not this topic
    world.execute(
        session, Heartbeat("c", consumers=(Consumer("g", subscriptions=(Subscribed("t", Filter("X"), 4),)),))
    )
    assert code_of(world, session, pull) is Code.SUBSCRIPTION_INCONSISTENT  # older
    world.execute(
        session, Heartbeat("c", consumers=(Consumer("g", subscriptions=(Subscribed("t", Filter("Y"), 5),)),))
    )
    assert bodies(world.execute(session, pull)) == ["b"]


def test_a_group_that_may_not_broadcast(world: World, session: TestSession) -> None:
    send(world, session, "a")
    world.backend.groups.create([GroupConfig("g", consume_broadcast_enable=False)])
    subscriptions = (Subscribed("t", Filter()),)
    consumer = Consumer("g", model=MessageModel.BROADCASTING, subscriptions=subscriptions)
    world.execute(session, Heartbeat("c", consumers=(consumer,)))
    assert code_of(world, session, PullMessages("g", "t", 0, 0, filter=None)) is Code.GROUP_DISABLED


def test_what_is_refused(world: World, session: TestSession) -> None:
    send(world, session, "a")
    assert code_of(world, session, PullMessages("g", "u", 0, 0)) is Code.TOPIC_NOT_FOUND
    assert code_of(world, session, PullMessages("g g", "t", 0, 0)) is Code.BAD_GROUP_NAME
    for queue_id in (-1, 8, 1 << 40):
        assert code_of(world, session, PullMessages("g", "t", queue_id, 0)) is Code.BAD_OFFSET
    world.backend.groups.create([GroupConfig("off", consume_enable=False)])
    assert code_of(world, session, PullMessages("off", "t", 0, 0)) is Code.GROUP_DISABLED
    world.backend.topics.create([TopicConfig("t", permission=Permission.WRITE)])
    world.settle()
    assert code_of(world, session, PullMessages("g", "t", 0, 0)) is Code.TOPIC_NOT_READABLE


def test_a_pull_records_its_commit_offset(world: World, session: TestSession) -> None:
    send(world, session, "a", "b")
    world.execute(session, PullMessages("g", "t", 0, 1, commit_offset=1))
    assert world.execute(session, GetConsumerOffset("g", "t", 0)).offset == 1
    world.execute(session, PullMessages("g", "t", 0, 1))
    assert world.execute(session, GetConsumerOffset("g", "t", 0)).offset == 1


def test_offsets_of_a_queue(world: World, session: TestSession) -> None:
    times = []
    for body in "abc":
        world.advance(1)
        times.append(world.wall_ms)
        send(world, session, body)
    queue(world).drop_before(1)

    def ask(of: OffsetOf, timestamp: int = 0) -> int:
        return world.execute(session, QueryOffset("t", 0, of, timestamp)).offset

    assert (ask(OffsetOf.MIN), ask(OffsetOf.MAX)) == (1, 3)
    assert ask(OffsetOf.EARLIEST_STORE_TIME) == times[1]
    assert ask(OffsetOf.TIMESTAMP, times[2]) == ask(OffsetOf.TIMESTAMP, times[1] + 1) == 2
    assert ask(OffsetOf.TIMESTAMP_UPPER, times[2] - 1) == 1
    with pytest.raises(GatewayError) as caught:
        world.execute(session, QueryOffset("t", 8, OffsetOf.MAX))
    assert caught.value.code is Code.BAD_OFFSET


def test_what_was_handed_out_is_counted(world: World, session: TestSession) -> None:
    send(world, session, "a", "b")
    world.execute(session, PullMessages("g", "t", 0, 0))
    topic = world.backend.topics.find("t")
    assert (topic.put_messages, topic.get_messages) == (2, 2)
    assert topic.put_bytes == topic.get_bytes > 0
    assert world.backend.statistics.gets["g", "t"].messages == 2
