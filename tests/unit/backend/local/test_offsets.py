"""Consumer offsets: durable when answered, one record for each group and turn, forgotten with topic or group."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.state import StateKind
from rmqgateway.commands.clients import Consumer, Heartbeat, ListConsumers, Subscribed
from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import GetConsumerOffset, PullMessages, UpdateConsumerOffset
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import TAG_ALL, Message
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"a", queue_id=0),)))
    return session


def records(world: World) -> list[bytes]:
    return [
        entry[1]
        for entry in world.store.contents.log
        if entry[0] == StateKind.OFFSETS and isinstance(entry[1], bytes)
    ]


def get(world: World, session: TestSession, group: str = "g", queue_id: int = 0) -> int:
    return world.execute(session, GetConsumerOffset(group, "t", queue_id, zero_if_new=False)).offset


def test_an_answered_update_survives_a_crash(world: World, session: TestSession) -> None:
    world.execute(session, UpdateConsumerOffset("g", "t", 0, 1))
    after = world.crash()
    assert get(after, after.session()) == 1


def test_it_is_not_answered_before_it_is_durable(world: World, session: TestSession) -> None:
    world.store.manual = True
    reply = world.start(session, UpdateConsumerOffset("g", "t", 0, 1))
    world.settle()
    with pytest.raises(NoReplyYet):
        result_of(reply)
    world.store.commit()
    result_of(reply)


def test_updates_of_a_turn_are_one_record_for_each_group(world: World, session: TestSession) -> None:
    replies = [world.start(session, UpdateConsumerOffset("g", "t", queue_id, 1)) for queue_id in range(8)]
    replies += [world.start(session, UpdateConsumerOffset("g", "t", 0, offset)) for offset in range(100)]
    replies.append(world.start(session, UpdateConsumerOffset("h", "t", 0, 5)))
    world.settle()
    for reply in replies:
        result_of(reply)
    assert len(records(world)) == 2
    after = world.crash()
    assert [get(after, after.session(), queue_id=queue_id) for queue_id in range(8)] == [
        99,
        1,
        1,
        1,
        1,
        1,
        1,
        1,
    ]


def test_a_failed_store_fails_the_update(world: World, session: TestSession) -> None:
    world.store.manual = True
    reply = world.start(session, UpdateConsumerOffset("g", "t", 0, 1))
    world.settle()
    world.store.fail("I/O error")
    late = world.start(session, UpdateConsumerOffset("g", "t", 0, 2))
    world.settle()
    for one in (reply, late):
        with pytest.raises(GatewayError) as caught:
            result_of(one)
        assert caught.value.code is Code.STORE_FAILED


def test_offsets_that_nobody_waits_for_are_recorded_soon(world: World, session: TestSession) -> None:
    world.backend.offsets.record("g", "t", 0, 1)
    world.settle()
    assert records(world) == []
    world.backend.offsets.record("g", "t", 0, 1)
    world.advance(0.3)
    assert len(records(world)) == 1
    world.backend.offsets.record("g", "t", 0, 1)  # no change
    world.advance(0.3)
    assert len(records(world)) == 1


def test_they_survive_a_restart_by_the_snapshot(world: World, session: TestSession) -> None:
    for queue_id in range(8):
        world.execute(session, UpdateConsumerOffset("g", "t", queue_id, queue_id))
    world.backend.offsets.record("g", "t", 7, 70)
    again = world.restart().restart()
    assert again.backend.offsets.of("g", "t") == {**{queue_id: queue_id for queue_id in range(7)}, 7: 70}


def test_a_new_group(world: World, session: TestSession) -> None:
    with pytest.raises(GatewayError) as caught:
        get(world, session)
    assert caught.value.code is Code.OFFSET_NOT_FOUND
    # A young queue is read from its beginning; an empty one has no offset.
    assert world.execute(session, GetConsumerOffset("g", "t", 0)).offset == 0
    for queue_id in (1, 99, -1):
        with pytest.raises(GatewayError) as caught:
            world.execute(session, GetConsumerOffset("g", "t", queue_id))
        assert caught.value.code is Code.OFFSET_NOT_FOUND
    with pytest.raises(GatewayError) as caught:
        world.execute(session, GetConsumerOffset("g", "unknown", 0))
    assert caught.value.code is Code.TOPIC_NOT_FOUND


@pytest.mark.parametrize("committed", [False, True])
def test_a_consumer_that_balances_anew_after_a_restart_skips_nothing(world: World, session: TestSession, committed: bool) -> None:
    """As Java's push consumer does, which begins at the end (CONSUME_FROM_LAST_OFFSET) where it is told of no place: until its
    heartbeat nobody is there, and it keeps what it has; then it is there, and told where it was, or the beginning."""
    consumer = Consumer("g", subscriptions=(Subscribed("t", TAG_ALL),))
    world.execute(session, Heartbeat("client", consumers=(consumer,)))
    world.execute(session, SendMessages("t", (Message(b"b", queue_id=0),)))
    if committed:
        world.execute(session, UpdateConsumerOffset("g", "t", 0, 1))
    for again in (world.restart, world.crash):
        after = again()
        client = after.session()
        with pytest.raises(GatewayError) as caught:
            after.execute(client, ListConsumers("g"))
        assert caught.value.code is Code.GROUP_NOT_FOUND
        after.execute(client, Heartbeat("client", consumers=(consumer,)))
        assert after.execute(client, ListConsumers("g")).client_ids == ("client",)
        place = after.execute(client, GetConsumerOffset("g", "t", 0)).offset
        assert place == int(committed)
        assert len(after.execute(client, PullMessages("g", "t", 0, place)).messages) == 2 - place


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (UpdateConsumerOffset("g", "unknown", 0, 1), Code.TOPIC_NOT_FOUND),
        (UpdateConsumerOffset("g", "t", 8, 1), Code.BAD_OFFSET),
        (UpdateConsumerOffset("g", "t", -1, 1), Code.BAD_OFFSET),
        (UpdateConsumerOffset("g", "t", 0, -1), Code.BAD_OFFSET),
    ],
)
def test_what_is_refused(
    world: World, session: TestSession, command: UpdateConsumerOffset, code: Code
) -> None:
    with pytest.raises(GatewayError) as caught:
        world.execute(session, command)
    assert caught.value.code is code


def test_forgetting(world: World, session: TestSession) -> None:
    offsets = world.backend.offsets
    for group in ("g", "h"):
        for topic in ("t", "u"):
            for queue_id in (0, 1):
                offsets.record(group, topic, queue_id, 5)
    offsets.forget("g", "t", 0)
    offsets.forget("g", "u")
    offsets.forget("h")
    offsets.record("h", "t", 1, 7)
    world.advance(0.3)
    for one in (world, world.crash()):
        found = one.backend.offsets
        assert found.of("g", "t") == {1: 5}
        assert found.of("g", "u") == {}
        assert found.topics_of("h") == ["t"] and found.of("h", "t") == {1: 7}
        assert found.groups_of("t") == ["g", "h"] and sorted(found) == ["g", "h"]


def test_a_deleted_topic_takes_its_offsets_along(world: World, session: TestSession) -> None:
    world.execute(session, UpdateConsumerOffset("g", "t", 0, 1))
    world.backend.topics.delete("t")
    world.advance(0.3)
    assert world.backend.offsets.get("g", "t", 0) == -1
    assert world.crash().backend.offsets.groups_of("t") == []
