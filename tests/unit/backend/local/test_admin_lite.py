"""What administrators see of lite topics, and of who consumes them."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.commands import (
    AckMessages,
    BrokerLiteInformation,
    Command,
    CreateGroups,
    CreateTopics,
    GetBrokerLiteInformation,
    GetLiteClientInformation,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetParentTopicInformation,
    GroupConfig,
    LiteLag,
    ParentTopicInformation,
    ReceiveMessages,
    SendMessages,
    SyncLiteSubscription,
    TopicConfig,
    TriggerLiteDispatch,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message, MessageType
from rmqgateway.testing import TestSession, World, result_of
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.stored_message import store_timestamp

PARENT, GROUP, CLIENT = "parent", "group", "client"


class Lite:
    """A parent topic with lite topics, and a group bound to it."""

    def __init__(self) -> None:
        self.world = World()
        self.session = self.world.session()
        expiring = {"lite.topic.expiration": "120"}
        parent = TopicConfig(PARENT, 4, 4, message_type=MessageType.LITE, attributes=expiring)
        self.do(CreateTopics((parent, TopicConfig("plain"))))
        self.do(CreateGroups((GroupConfig(GROUP, attributes={"lite.bind.topic": PARENT}), GroupConfig("other"))))

    def do(self, command: Command[Any], session: TestSession | None = None) -> Any:
        return self.world.execute(session or self.session, command)

    def send(self, *lite_topics: str) -> None:
        for name in lite_topics:
            self.world.advance(1)
            self.do(SendMessages(PARENT, (Message(b"x", encode_properties({"__LITE_TOPIC": name})),)))

    def subscribe(self, *names: str, group: str = GROUP, client: str = CLIENT, parent: str = PARENT) -> None:
        self.do(SyncLiteSubscription(group, parent, client, "COMPLETE_ADD", names))

    def receive(self, count: int) -> list[Any]:
        found = self.do(ReceiveMessages(GROUP, PARENT, max_messages=count, client_id=CLIENT, invisible_ms=60_000))
        return list(found.messages)

    def acknowledge(self, message: Any, lite_topic: str) -> None:
        reply = self.do(AckMessages(GROUP, PARENT, (message.receipt_handle,), lite_topic=lite_topic))
        assert reply.results[0].code == ""

    def refused(self, command: Command[Any]) -> Code:
        with pytest.raises(GatewayError) as caught:
            self.do(command)
        return caught.value.code


@pytest.fixture
def lite() -> Lite:
    return Lite()


def test_what_there_is_in_all(lite: Lite) -> None:
    before = lite.do(GetBrokerLiteInformation())
    assert (before.lite_topics, before.subscriptions, before.clients, before.in_flight) == (0, 0, 0, 0)
    lite.send("a", "a", "b", "c")
    lite.subscribe("a", "b")
    lite.subscribe("a", group="other", client="another")
    lite.receive(1)
    found = lite.do(GetBrokerLiteInformation())
    assert found == BrokerLiteInformation(
        "rmqgateway",
        lite.world.settings.max_topics,
        3,
        3,
        1,
        before.topics + 3,
        before.offsets + 1,
        2,
        {PARENT: 120},
        {PARENT: (GROUP, "other")},
    )


def test_a_parent_topic(lite: Lite) -> None:
    lite.send("a", "b")
    assert lite.do(GetParentTopicInformation(PARENT)) == ParentTopicInformation(PARENT, 120, (GROUP,), 2, 2)
    lite.do(CreateTopics((TopicConfig("parent2", message_type=MessageType.LITE),)))
    assert lite.do(GetParentTopicInformation("parent2")) == ParentTopicInformation("parent2", -1, (), 0, 2)


def test_topics_that_have_no_lite_topics(lite: Lite) -> None:
    for asked in (GetParentTopicInformation, lambda name: GetLiteTopicInformation(name, "a")):
        assert lite.refused(asked("plain")) is Code.BAD_MESSAGE_TYPE
        assert lite.refused(asked("none")) is Code.TOPIC_NOT_FOUND
    assert lite.refused(GetLiteClientInformation("plain", GROUP, CLIENT)) is Code.BAD_MESSAGE_TYPE


def test_one_lite_topic(lite: Lite) -> None:
    lite.send("a", "b", "a")
    lite.subscribe("a")
    lite.subscribe("a", "b", group="other", client="another")
    sent = lite.world.wall_ms
    found = lite.do(GetLiteTopicInformation(PARENT, "a"))
    assert found.subscribers == (("another", "other"), (CLIENT, GROUP))
    assert (found.min_offset, found.max_offset) == (0, 2)
    assert sent - 1000 <= found.last_update <= sent
    nothing = lite.do(GetLiteTopicInformation(PARENT, "never"))
    assert (nothing.subscribers, nothing.min_offset, nothing.max_offset, nothing.last_update) == ((), 0, 0, 0)


def test_a_group_that_has_all_lite_topics_is_told_as_a_whole(lite: Lite) -> None:
    wildcard = {"lite.bind.topic": PARENT, "lite.sub.wildcard": "true"}
    lite.do(CreateGroups((GroupConfig("all", attributes=wildcard),)))
    lite.send("a", "b")
    lite.subscribe(group="all", client="one")
    lite.subscribe(group="all", client="two")
    assert lite.do(GetLiteTopicInformation(PARENT, "a")).subscribers == (("*", "all"),)
    told = lite.do(GetLiteClientInformation(PARENT, "all", "one"))
    assert (told.count, set(told.lite_topics)) == (2, {"a", "b"})
    assert lite.do(GetLiteGroupInformation("all")).lag == 2


def test_one_client(lite: Lite) -> None:
    lite.subscribe("a", "b", "c")
    then = lite.world.wall_ms
    found = lite.do(GetLiteClientInformation(PARENT, GROUP, CLIENT))
    assert (found.count, found.lite_topics, found.last_access) == (3, ("a", "b", "c"), then)
    few = lite.do(GetLiteClientInformation(PARENT, GROUP, CLIENT, 2))
    assert (few.count, few.lite_topics) == (3, ("a", "b"))
    assert lite.do(GetLiteClientInformation(PARENT, GROUP, CLIENT, -1)).lite_topics == ()
    lite.world.advance(5)
    lite.receive(1)
    assert lite.do(GetLiteClientInformation(PARENT, GROUP, CLIENT)).last_access >= then + 5000
    unknown = lite.do(GetLiteClientInformation(PARENT, GROUP, "nobody"))
    assert (unknown.count, unknown.lite_topics, unknown.last_access) == (None, (), -1)
    assert lite.refused(GetLiteClientInformation(PARENT, "none", CLIENT)) is Code.GROUP_NOT_FOUND
    lite.do(CreateGroups((GroupConfig("bound", attributes={"lite.bind.topic": "elsewhere"}),)))
    assert lite.refused(GetLiteClientInformation(PARENT, "bound", CLIENT)) is Code.BAD_REQUEST


def test_how_far_a_group_is(lite: Lite) -> None:
    lite.send("a", "b", "b", "c", "b")
    lite.subscribe("a", "b")
    start = lite.do(GetLiteGroupInformation(GROUP))
    assert (start.topic, start.lite_topic, start.lag) == (PARENT, "", 4)
    assert [(one.lite_topic, one.count) for one in start.most] == [("b", 3), ("a", 1)]
    assert [one.lite_topic for one in start.oldest] == ["a", "b"]
    assert start.since == start.oldest[0].since > 0
    assert lite.do(GetLiteGroupInformation(GROUP, top=1)).most == start.most[:1]
    assert lite.do(GetLiteGroupInformation(GROUP, top=0)).most == ()

    messages = lite.receive(10)
    assert len(messages) == 4
    lite.acknowledge(messages[0], "a")
    found = lite.do(GetLiteGroupInformation(GROUP))
    assert (found.lag, found.most) == (3, (LiteLag("b", 3, store_timestamp(messages[1].message)),))
    lite.acknowledge(messages[1], "b")
    one = lite.do(GetLiteGroupInformation(GROUP, "b"))
    assert (one.lag, one.since) == (2, store_timestamp(messages[2].message))
    assert one.place is not None
    assert (one.place.broker_offset, one.place.consumer_offset, one.place.pull_offset) == (3, 1, 3)
    assert one.place.last_timestamp > 0
    for message in messages[2:]:
        lite.acknowledge(message, "b")
    done = lite.do(GetLiteGroupInformation(GROUP))
    assert (done.lag, done.since, done.most, done.oldest) == (0, -1, (), ())


def test_lite_topics_that_a_group_does_not_consume(lite: Lite) -> None:
    lite.send("a")
    found = lite.do(GetLiteGroupInformation(GROUP, "a"))
    assert (found.lag, found.since, found.place) == (0, -1, None)
    assert lite.do(GetLiteGroupInformation(GROUP, "never")).lag is None


def test_groups_without_lite_topics_or_with_those_of_several_parents(lite: Lite) -> None:
    for asked in (GetLiteGroupInformation, TriggerLiteDispatch):
        assert lite.refused(asked("none")) is Code.GROUP_NOT_FOUND
        assert lite.refused(asked("other")) is Code.BAD_REQUEST
    lite.subscribe("a", group="other")
    assert lite.do(GetLiteGroupInformation("other")).topic == PARENT
    lite.do(CreateTopics((TopicConfig("parent2", message_type=MessageType.LITE),)))
    lite.subscribe("a", group="other", parent="parent2")
    assert lite.refused(GetLiteGroupInformation("other")) is Code.BAD_REQUEST
    assert lite.do(TriggerLiteDispatch("other")) is None


def test_who_waits_looks_again(lite: Lite) -> None:
    lite.subscribe("a")
    waiting = lite.world.start(
        lite.session, ReceiveMessages(GROUP, PARENT, client_id=CLIENT, wait_ms=20_000, invisible_ms=10_000)
    )
    lite.world.settle()
    looked: list[str] = []
    parent = lite.world.backend.topics.find(PARENT)
    parent.waiting[_Watched(looked)] = None  # type: ignore[index]
    assert lite.do(TriggerLiteDispatch(GROUP, CLIENT)) is None
    assert looked == ["woken"]
    lite.send("a")
    assert len(result_of(waiting).messages) == 1


class _Watched:
    """Waits at a topic, and notes that it was woken."""

    def __init__(self, looked: list[str]) -> None:
        self._looked = looked

    def wake(self) -> None:
        self._looked.append("woken")
