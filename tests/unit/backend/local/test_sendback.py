"""Messages that were not consumed: the ladder of retries, and the dead-letter queue."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.administering import GroupConfig
from rmqgateway.commands.producing import SendBack, SendMessages
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id
from rmqgateway.wire.message_properties import decode_properties, encode_properties


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def sent(world: World, session: TestSession) -> int:
    """The position of a new message."""
    message = Message(b"body", encode_properties({"UNIQ_KEY": "U", "TAGS": "A"}), 0, flag=3)
    return world.execute(session, SendMessages("t", (message,))).results[0].physical_offset


def newest(world: World, session: TestSession, topic: str) -> stored_message.StoredMessage | None:
    try:
        reply = world.execute(session, PullMessages("g", topic, 0, 0, max_messages=100))
    except GatewayError as error:
        assert error.code is Code.TOPIC_NOT_FOUND
        return None
    return stored_message.decode(reply.messages[-1]) if reply.messages else None


def test_the_ladder(world: World, session: TestSession) -> None:
    """10 s, 30 s, 1 min, … and after the group's limit the dead letters."""
    world.backend.groups.create([GroupConfig("g", retry_max_times=3)])
    position = first = sent(world, session)
    for times, seconds in ((1, 10), (2, 30), (3, 60)):
        world.execute(session, SendBack("g", position))
        world.advance(seconds - 0.1, step=0.5)
        before = newest(world, session, "%RETRY%g")
        assert before is None or before.reconsume_times < times
        world.advance(0.3)
        message = newest(world, session, "%RETRY%g")
        assert message is not None and message.reconsume_times == times
        assert message.body == b"body" and message.flag == 3
        named = decode_properties(message.properties)
        assert named["RETRY_TOPIC"] == "t" and named["TAGS"] == "A" and named["UNIQ_KEY"] == "U"
        assert named["ORIGIN_MESSAGE_ID"] == encode_offset_message_id(session.session.host_bytes, first)
        position = message.physical_offset
    world.execute(session, SendBack("g", position))
    dead = newest(world, session, "%DLQ%g")
    assert dead is not None and dead.reconsume_times == 4
    assert decode_properties(dead.properties)["RETRY_TOPIC"] == "t"
    assert world.backend.statistics.dead_letters["g"].messages == 1
    assert world.backend.statistics.send_backs["g", "t"].messages == 4


def test_the_consumer_may_choose_the_delay(world: World, session: TestSession) -> None:
    world.execute(session, SendBack("g", sent(world, session), delay_level=1))
    world.advance(1.1)
    assert newest(world, session, "%RETRY%g") is not None


@pytest.mark.parametrize("command", [{"delay_level": -1}, {"max_reconsume_times": 0}])
def test_straight_to_the_dead_letters(world: World, session: TestSession, command: dict[str, Any]) -> None:
    world.execute(session, SendBack("g", sent(world, session), **command))
    assert newest(world, session, "%DLQ%g") is not None
    world.advance(15)
    assert newest(world, session, "%RETRY%g") is None


def test_it_is_durable_when_answered(world: World, session: TestSession) -> None:
    world.execute(session, SendBack("g", sent(world, session)))
    after = world.crash()
    after.advance(10.2)
    assert newest(after, after.session(), "%RETRY%g") is not None


def test_a_group_without_retries_loses_the_message(world: World, session: TestSession) -> None:
    world.backend.groups.create([GroupConfig("g", retry_queues=0)])
    world.execute(session, SendBack("g", sent(world, session)))
    world.advance(15)
    assert world.backend.topics.get("%RETRY%g") is None


def test_what_is_refused() -> None:
    world = World(LocalSettings(auto_create_groups=False))
    session = world.session()
    with pytest.raises(GatewayError) as caught:
        world.execute(session, SendBack("g", 0))
    assert caught.value.code is Code.GROUP_NOT_FOUND
    world.backend.groups.create([GroupConfig("g")])
    for position in (-1, 5, 1 << 62):
        with pytest.raises(GatewayError) as caught:
            world.execute(session, SendBack("g", position))
        assert caught.value.code is Code.MESSAGE_NOT_FOUND
