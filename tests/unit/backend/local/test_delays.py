"""Delay levels: exact, in order, over restarts and crashes, never lost."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties, encode_properties


def send(world: World, session: TestSession, body: str, level: int, queue_id: int = 0) -> None:
    properties = encode_properties({"UNIQ_KEY": body, "TAGS": "A", "DELAY": str(level)})
    world.execute(
        session, SendMessages("t", (Message(body.encode(), properties, queue_id, born_timestamp=77),))
    )


def came(world: World, session: TestSession, queue_id: int = 0) -> list[str]:
    reply = world.execute(session, PullMessages("g", "t", queue_id, 0, max_messages=1000))
    return [stored_message.body(message).decode() for message in reply.messages]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


@pytest.mark.parametrize(("level", "seconds"), [(1, 1), (2, 5), (5, 60)])
def test_a_message_comes_at_its_time(world: World, session: TestSession, level: int, seconds: int) -> None:
    send(world, session, "a", level)
    world.advance(seconds - 0.05)
    assert came(world, session) == []
    world.advance(0.1)
    assert came(world, session) == ["a"]
    world.advance(seconds * 2, step=0.5)
    assert came(world, session) == ["a"]


def test_it_comes_as_it_was_sent(world: World, session: TestSession) -> None:
    send(world, session, "a", 1, queue_id=3)
    world.advance(1.1)
    (message,) = world.execute(session, PullMessages("g", "t", 3, 0)).messages
    parts = stored_message.decode(message)
    named = decode_properties(parts.properties)
    assert (parts.topic, parts.queue_id, parts.born_timestamp) == (b"t", 3, 77)
    assert parts.born_host == session.session.peer_bytes
    assert "DELAY" not in named
    assert (named["UNIQ_KEY"], named["TAGS"], named["REAL_TOPIC"]) == ("a", "A", "t")
    assert len(world.store.query_key(b"t#a", 0, 1 << 62, 10)) == 1


def test_levels_do_not_wait_for_each_other(world: World, session: TestSession) -> None:
    send(world, session, "5 s", 2)
    send(world, session, "1 s", 1)
    world.advance(0.5)
    send(world, session, "1 s too", 1)
    world.advance(1.1)
    assert came(world, session) == ["1 s", "1 s too"]
    world.advance(4)
    assert came(world, session) == ["1 s", "1 s too", "5 s"]


def test_many_at_once(world: World, session: TestSession) -> None:
    for number in range(300):
        send(world, session, str(number), 1)
    world.advance(1.2)
    assert came(world, session) == [str(number) for number in range(300)]


def test_too_high_a_level_is_the_last() -> None:
    world = World(LocalSettings(delay_levels="1s 2s"))
    session = world.session()
    send(world, session, "a", 99)
    world.advance(1.9)
    assert came(world, session) == []
    world.advance(0.2)
    assert came(world, session) == ["a"]


@pytest.mark.parametrize("crash", [True, False])
def test_over_a_restart(world: World, session: TestSession, crash: bool) -> None:
    send(world, session, "delivered", 1)
    world.advance(1.1)
    send(world, session, "waits", 1)
    send(world, session, "waits longer", 2)
    world.advance(0.5)
    after = world.crash() if crash else world.restart()
    session = after.session()
    after.advance(0.4)
    assert came(after, session) == ["delivered"]
    after.advance(0.2)
    assert came(after, session) == ["delivered", "waits"]
    again = after.crash() if crash else after.restart()
    again.advance(4.2)
    assert came(again, again.session()) == ["delivered", "waits", "waits longer"]


def test_what_was_due_while_nobody_ran_comes_at_once(world: World, session: TestSession) -> None:
    send(world, session, "a", 2)
    world.wall_ms += 3_600_000
    after = world.crash()
    assert came(after, after.session()) == ["a"]


def test_a_wall_clock_that_is_set_forward_is_noticed(world: World, session: TestSession) -> None:
    send(world, session, "a", 5)
    world.wall_ms += 3_600_000
    world.advance(11)
    assert came(world, session) == ["a"]


def test_a_wall_clock_that_is_set_back_does_not_keep_messages(world: World, session: TestSession) -> None:
    for body in "abc":
        send(world, session, body, 1)
    world.advance(0.5)
    world.wall_ms -= 3_600_000
    world.advance(0.4)
    assert came(world, session) == []
    world.advance(2)
    assert came(world, session) == ["a", "b", "c"]


def test_a_full_store_delays_further_and_loses_nothing(world: World, session: TestSession) -> None:
    send(world, session, "a", 1)
    world.store.is_full = True
    world.advance(5)
    assert came(world, session) == []
    world.store.is_full = False
    world.advance(1.2)
    assert came(world, session) == ["a"]


def test_messages_of_a_deleted_topic_go_with_it(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("u", (Message(b"x"),)))
    send(world, session, "a", 1)
    world.backend.topics.delete("t")
    world.execute(session, SendMessages("u", (Message(b"b", encode_properties({"DELAY": "1"}), 0),)))
    world.advance(1.2)
    assert len(world.execute(session, PullMessages("g", "u", 0, 0)).messages) >= 1
    assert world.backend.topics.get("t") is None
