"""Lite topics: sent to one by one, received together by who is subscribed."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    CreateTopics,
    ListTopics,
    QueryMessages,
    ReceivedMessages,
    ReceiveMessages,
    SendMessages,
    SyncLiteSubscription,
    TopicConfig,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message, MessageType
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

PARENT, GROUP, CLIENT = "parent", "group", "client"


@pytest.fixture
def world() -> World:
    return World(LocalSettings(max_lite_subscriptions=3))


@pytest.fixture
def session(world: World) -> TestSession:
    found = world.session()
    world.execute(found, CreateTopics((TopicConfig(PARENT, 4, 4, message_type=MessageType.LITE),)))
    return found


def send(world: World, session: TestSession, body: str, lite_topic: str) -> None:
    properties = encode_properties({"__LITE_TOPIC": lite_topic, "KEYS": "key"})
    world.execute(session, SendMessages(PARENT, (Message(body.encode(), properties),), check_type=True))


def sync(
    world: World, session: TestSession, change: str, *names: str, client: str = CLIENT, version: int = 0
) -> None:
    world.execute(session, SyncLiteSubscription(GROUP, PARENT, client, change, names, version))


def receive(world: World, session: TestSession, client: str = CLIENT) -> ReceivedMessages:
    return world.execute(session, ReceiveMessages(GROUP, PARENT, client_id=client, invisible_ms=10_000))


def bodies(reply: ReceivedMessages) -> list[str]:
    return sorted(stored_message.body(one.message).decode() for one in reply.messages)


def test_only_what_is_subscribed_comes(world: World, session: TestSession) -> None:
    sync(world, session, "PARTIAL_ADD", "a", "b")
    for name in ("a", "b", "c"):
        send(world, session, name, name)
    reply = receive(world, session)
    assert bodies(reply) == ["a", "b"]
    assert {stored_message.topic(one.message) for one in reply.messages} == {PARENT.encode()}
    for one in reply.messages:
        name = stored_message.body(one.message).decode()
        settled = world.execute(session, AckMessages(GROUP, PARENT, (one.receipt_handle,), lite_topic=name))
        assert settled.results[0].code == ""
    world.advance(11)
    assert bodies(receive(world, session)) == []
    sync(world, session, "PARTIAL_ADD", "c")
    assert bodies(receive(world, session)) == ["c"]


def test_a_waiting_receive_is_woken_by_the_first_message_of_a_lite_topic(
    world: World, session: TestSession
) -> None:
    sync(world, session, "PARTIAL_ADD", "new")
    waiting = world.start(session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT, wait_ms=5000))
    world.settle()
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    send(world, session, "first", "new")
    assert bodies(result_of(waiting)) == ["first"]


def test_a_waiting_receive_is_woken_by_a_new_subscription(world: World, session: TestSession) -> None:
    send(world, session, "a", "a")
    sync(world, session, "PARTIAL_ADD", "b")
    waiting = world.start(session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT, wait_ms=5000))
    sync(world, session, "PARTIAL_ADD", "a")
    assert bodies(result_of(waiting)) == ["a"]


def test_a_message_comes_again_after_its_time(world: World, session: TestSession) -> None:
    sync(world, session, "COMPLETE_ADD", "a")
    send(world, session, "a", "a")
    (one,) = receive(world, session).messages
    world.execute(session, ChangeInvisibleDuration(GROUP, PARENT, one.receipt_handle, 500, lite_topic="a"))
    waiting = world.start(session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT, wait_ms=5000))
    world.advance(0.6)
    (again,) = result_of(waiting).messages
    assert again.delivery_attempt == 2


def test_changes_of_a_subscription(world: World, session: TestSession) -> None:
    sync(world, session, "PARTIAL_ADD", "a", "b", "c")
    with pytest.raises(GatewayError) as caught:
        sync(world, session, "PARTIAL_ADD", "d")
    assert caught.value.code is Code.TOO_MANY_REQUESTS
    sync(world, session, "PARTIAL_REMOVE", "a")
    sync(world, session, "PARTIAL_ADD", "d", version=7)
    sync(world, session, "COMPLETE_REMOVE", version=6)  # overtaken
    for name in "abcd":
        send(world, session, name, name)
    assert bodies(receive(world, session)) == ["b", "c", "d"]
    sync(world, session, "COMPLETE_ADD", "a", version=8)
    assert bodies(receive(world, session)) == ["a"]


def test_the_end_of_the_session_ends_its_subscription(world: World, session: TestSession) -> None:
    send(world, session, "a", "a")
    other = world.session()
    sync(world, other, "PARTIAL_ADD", "a", client="other")
    other.session.end()
    assert bodies(receive(world, session, client="other")) == []


def test_what_is_behind_is_not_shown_but_found_by_key(world: World, session: TestSession) -> None:
    send(world, session, "a", "a")
    assert not [topic for topic in world.execute(session, ListTopics()).topics if "LMQ" in topic.name]
    assert len(world.execute(session, QueryMessages(PARENT, "key")).messages) == 1


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_it_survives(world: World, session: TestSession, how: str) -> None:
    sync(world, session, "PARTIAL_ADD", "a")
    send(world, session, "one", "a")
    send(world, session, "two", "a")
    (first, _) = receive(world, session).messages
    world.execute(session, AckMessages(GROUP, PARENT, (first.receipt_handle,), lite_topic="a"))
    world = getattr(world, how)()
    session = world.session()
    sync(world, session, "PARTIAL_ADD", "a")
    assert bodies(receive(world, session)) == []
    world.advance(11)
    assert len(receive(world, session).messages) == 1


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65])
def test_bad_names(world: World, session: TestSession, name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        sync(world, session, "PARTIAL_ADD", name)
    assert caught.value.code is Code.BAD_TOPIC_NAME
    if name:
        with pytest.raises(GatewayError) as caught:
            send(world, session, "x", name)
        assert caught.value.code is Code.BAD_TOPIC_NAME


def test_other_topics_have_no_lite_topics(world: World, session: TestSession) -> None:
    world.execute(session, CreateTopics((TopicConfig("plain", 1, 1),)))
    with pytest.raises(GatewayError) as caught:
        world.execute(session, SyncLiteSubscription(GROUP, "plain", CLIENT, "PARTIAL_ADD", ("a",)))
    assert caught.value.code is Code.BAD_MESSAGE_TYPE
    with pytest.raises(GatewayError) as caught:
        sync(world, session, "SOMETHING")
    assert caught.value.code is Code.BAD_REQUEST
