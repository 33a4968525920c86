"""Lite topics: sent to one by one, received together by who is subscribed."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    CreateGroups,
    CreateTopics,
    GroupConfig,
    ListTopics,
    LiteOffset,
    QueryMessages,
    ReceivedMessages,
    ReceiveMessages,
    SendMessages,
    SyncLiteSubscription,
    TopicConfig,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import LiteTopicUnsubscribed
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
    assert caught.value.upstream_code == 2018
    with pytest.raises(GatewayError):
        sync(world, session, "COMPLETE_ADD", "w", "x", "y", "z")  # and what there was is kept
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


def make_group(world: World, session: TestSession, **attributes: str) -> None:
    named = {name.replace("_", "."): value for name, value in attributes.items()}
    world.execute(session, CreateGroups((GroupConfig(GROUP, attributes=named),)))


def test_a_group_s_own_quota(world: World, session: TestSession) -> None:
    make_group(world, session, lite_sub_client_quota="1")
    sync(world, session, "PARTIAL_ADD", "a")
    with pytest.raises(GatewayError, match=r"at most 1 lite topics of a client \(lite.sub.client.quota"):
        sync(world, session, "PARTIAL_ADD", "b")
    make_group(world, session)
    sync(world, session, "PARTIAL_ADD", "b", "c")
    make_group(world, session, lite_sub_client_quota="1")
    sync(world, session, "PARTIAL_ADD", "a")  # what it has is not taken away
    sync(world, session, "COMPLETE_REMOVE")
    assert bodies(receive(world, session)) == []


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (LiteOffset.UNCHANGED, 0, ["3"]),
        (LiteOffset.MIN, 0, ["0", "1", "2", "3"]),
        (LiteOffset.MAX, 0, []),
        (LiteOffset.AT, 2, ["2", "3"]),
        (LiteOffset.AT, 99, []),
        (LiteOffset.BEFORE, 2, ["1", "2", "3"]),
        (LiteOffset.BEFORE, 99, ["0", "1", "2", "3"]),
        (LiteOffset.TIME, 1500, ["2", "3"]),
    ],
)
def test_where_a_subscription_goes_on(
    world: World, session: TestSession, offset: LiteOffset, value: int, expected: list[str]
) -> None:
    began = world.wall_ms
    sync(world, session, "PARTIAL_ADD", "a")
    for number in range(3):
        send(world, session, str(number), "a")
        world.advance(1)
    for one in receive(world, session).messages[:2]:
        world.execute(session, AckMessages(GROUP, PARENT, (one.receipt_handle,)))
    sync(world, session, "COMPLETE_REMOVE")
    send(world, session, "3", "a")
    value += began if offset is LiteOffset.TIME else 0
    command = SyncLiteSubscription(GROUP, PARENT, CLIENT, "PARTIAL_ADD", ("a", "nothing"), 0, offset, value)
    world.execute(session, command)
    assert bodies(receive(world, session)) == expected


def test_tail_of_a_lite_topic_where_the_group_never_was(world: World, session: TestSession) -> None:
    send(world, session, "a", "a")
    world.execute(
        session, SyncLiteSubscription(GROUP, PARENT, CLIENT, "PARTIAL_ADD", ("a",), 0, LiteOffset.BEFORE, 5)
    )
    assert bodies(receive(world, session)) == ["a"]


@pytest.mark.parametrize("anew", ["false", "true"])
def test_an_exclusive_group_s_lite_topic_is_one_client_s(world: World, session: TestSession, anew: str) -> None:
    make_group(world, session, lite_sub_model="Exclusive", lite_sub_reset_offset_exclusive=anew)
    other = world.session()
    sync(world, session, "PARTIAL_ADD", "a", "b")
    send(world, session, "1", "a")
    (one,) = receive(world, session).messages
    world.execute(session, AckMessages(GROUP, PARENT, (one.receipt_handle,)))
    sync(world, other, "PARTIAL_ADD", "a", client="other")
    assert session.events == [LiteTopicUnsubscribed(GROUP, "a")]
    for name in "ab":
        send(world, session, f"{name}2", name)
    assert bodies(receive(world, session)) == ["b2"]
    assert bodies(receive(world, other, "other")) == (["1", "a2"] if anew == "true" else ["a2"])


def test_a_group_that_begins_anew_when_it_unsubscribes(world: World, session: TestSession) -> None:
    make_group(world, session, lite_sub_reset_offset_unsubscribe="true")
    sync(world, session, "PARTIAL_ADD", "a", "b")
    for name in "ab":
        send(world, session, name, name)
    for one in receive(world, session).messages:
        world.execute(session, AckMessages(GROUP, PARENT, (one.receipt_handle,)))
    sync(world, session, "PARTIAL_REMOVE", "a", "never")
    sync(world, session, "PARTIAL_ADD", "a")
    assert bodies(receive(world, session)) == ["a"]


def test_a_wildcard_group_receives_all(world: World, session: TestSession) -> None:
    make_group(world, session, lite_sub_wildcard="*")
    send(world, session, "before", "a")
    world.execute(session, CreateTopics((TopicConfig("parent2", 4, 4, message_type=MessageType.LITE),)))
    with pytest.raises(GatewayError, match="receives all lite topics"):
        sync(world, session, "PARTIAL_ADD", "a")
    sync(world, session, "COMPLETE_ADD")
    assert bodies(receive(world, session)) == ["before"]
    waiting = world.start(session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT, wait_ms=5000))
    world.settle()
    send(world, session, "new", "b")
    assert bodies(result_of(waiting)) == ["new"]


def test_messages_of_several_lite_topics_are_acknowledged_together(world: World, session: TestSession) -> None:
    sync(world, session, "PARTIAL_ADD", "a", "b", "c")
    for name in "abc":
        send(world, session, name, name)
    handles = tuple([one.receipt_handle for one in receive(world, session).messages])
    settled = world.execute(session, AckMessages(GROUP, PARENT, handles, lite_topic="a"))
    assert [one.code for one in settled.results] == ["", "", ""]
    world.advance(11)
    assert bodies(receive(world, session)) == []
