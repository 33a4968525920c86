"""Lite topics go with their parent, and after a time without messages where the parent says so."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    CreateTopics,
    DeleteTopic,
    GetBrokerLiteInformation,
    ReceiveMessages,
    SendMessages,
    SyncLiteSubscription,
    TopicConfig,
)
from rmqgateway.message import Message, MessageType
from rmqgateway.testing import TestSession, World, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

PARENT, GROUP, CLIENT = "parent", "group", "client"
MINUTE = 60.0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def make(world: World, session: TestSession, name: str = PARENT, expiration: str = "") -> None:
    attributes = {"lite.topic.expiration": expiration} if expiration else {}
    config = TopicConfig(name, 4, 4, message_type=MessageType.LITE, attributes=attributes)
    world.execute(session, CreateTopics((config,)))


def send(world: World, session: TestSession, body: str, lite_topic: str, parent: str = PARENT) -> None:
    properties = encode_properties({"__LITE_TOPIC": lite_topic})
    world.execute(session, SendMessages(parent, (Message(body.encode(), properties),)))


def subscribe(world: World, session: TestSession, *names: str) -> None:
    world.execute(session, SyncLiteSubscription(GROUP, PARENT, CLIENT, "COMPLETE_ADD", names))


def received(world: World, session: TestSession) -> list[str]:
    reply = world.execute(session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT))
    return sorted(stored_message.body(one.message).decode() for one in reply.messages)


def there(world: World) -> list[str]:
    return sorted(name for name in world.backend.topics.by_name if "LMQ" in name)


def test_they_go_with_their_parent(world: World, session: TestSession) -> None:
    make(world, session)
    make(world, session, "parent2")
    subscribe(world, session, "a")
    for name in ("a", "b", "c"):
        send(world, session, "old", name)
    send(world, session, "kept", "a", "parent2")
    world.execute(session, DeleteTopic(PARENT))
    world.advance(1)
    assert there(world) == ["%LMQ%$parent2$a"]
    world = world.crash()
    assert there(world) == ["%LMQ%$parent2$a"]


def test_a_new_parent_of_the_name_has_none_of_them(world: World, session: TestSession) -> None:
    make(world, session)
    for number in range(9):
        send(world, session, "old", f"n{number}")
    world.execute(session, DeleteTopic(PARENT))
    make(world, session)
    assert len(there(world)) > 5, "a few at a time"
    subscribe(world, session, "n0", "n8")
    assert received(world, session) == []
    assert world.execute(session, GetBrokerLiteInformation()).lite_topics == 0
    send(world, session, "new", "n8")
    assert received(world, session) == ["new"]
    world.advance(2)
    assert there(world) == ["%LMQ%$parent$n8"]
    assert world.execute(session, GetBrokerLiteInformation()).lite_topics == 1


def test_what_was_not_gone_at_the_end_goes_after_the_start(world: World, session: TestSession) -> None:
    make(world, session)
    for number in range(9):
        send(world, session, "old", f"n{number}")
    world.execute(session, DeleteTopic(PARENT))
    make(world, session)
    assert len(there(world)) > 5
    world = world.crash()
    session = world.session()
    subscribe(world, session, "n0")
    assert received(world, session) == []
    world.advance(2)
    assert there(world) == []


def test_they_go_after_a_time_without_messages(world: World, session: TestSession) -> None:
    make(world, session, expiration="30")
    make(world, session, "parent2", "-1")
    make(world, session, "parent3")
    send(world, session, "old", "a")
    send(world, session, "old", "b")
    for parent in ("parent2", "parent3"):
        send(world, session, "stays", "a", parent)
    world.advance(20 * MINUTE, 1.0)
    send(world, session, "newer", "b")
    world.advance(8 * MINUTE, 1.0)
    assert len(there(world)) == 4
    world.advance(5 * MINUTE, 1.0)
    stay = ["%LMQ%$parent2$a", "%LMQ%$parent3$a"]
    assert there(world) == ["%LMQ%$parent$b", *stay]
    world.advance(20 * MINUTE, 1.0)
    assert there(world) == stay


def test_never_before_fifteen_minutes(world: World, session: TestSession) -> None:
    make(world, session, expiration="1")
    send(world, session, "old", "a")
    world.advance(14 * MINUTE, 1.0)
    assert len(there(world)) == 1
    world.advance(5 * MINUTE, 1.0)
    assert there(world) == []


def test_who_subscribed_gets_what_comes_later(world: World, session: TestSession) -> None:
    make(world, session, expiration="15")
    subscribe(world, session, "a")
    send(world, session, "old", "a")
    world.advance(20 * MINUTE, 1.0)
    assert there(world) == []
    waiting = world.start(session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT, wait_ms=20_000))
    world.settle()
    send(world, session, "new", "a")
    (one,) = result_of(waiting).messages
    assert stored_message.body(one.message) == b"new"


def test_one_that_was_just_found_for_a_message_stays(world: World, session: TestSession) -> None:
    """Between finding the topic and storing the message the time may be over."""
    make(world, session, expiration="15")
    send(world, session, "old", "a")
    world.advance(16 * MINUTE, 1.0)
    parent = world.backend.topics.find(PARENT)
    world.backend.lite.ensure(parent, "a")
    world.advance(2 * MINUTE, 1.0)
    assert there(world) == ["%LMQ%$parent$a"]
    world.advance(5 * MINUTE, 1.0)
    assert there(world) == []


def test_one_whose_messages_retention_took(session: TestSession) -> None:
    world = World(LocalSettings(retention_hours=1.0))
    session = world.session()
    make(world, session, expiration="90")
    make(world, session, "parent2", "30")
    for parent in (PARENT, "parent2"):
        send(world, session, "old", "a", parent)
        stored = world.backend.topics.find(f"%LMQ%${parent}$a").queue(0).stored
        stored.min_offset = stored.max_offset  # type: ignore[misc]
    world.advance(6 * MINUTE, 1.0)
    assert there(world) == ["%LMQ%$parent$a"], "at least an hour old: is it 90 minutes?"
