"""The registry of topics."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message, MessageType, Permission
from rmqgateway.testing import NoReplyYet, World, result_of


def created(world: World, found: Topic | Deferred[Topic]) -> Topic:
    world.settle()
    return result_of(found) if isinstance(found, Deferred) else found


def test_the_system_topics_of_a_real_broker_are_there() -> None:
    topics = World().backend.topics
    assert topics.find("TBW102").config.permission == 7
    assert topics.find("TBW102").write_queues == 8
    assert topics.find("SCHEDULE_TOPIC_XXXX").write_queues == 18
    assert topics.find("rmqgateway").system and topics.find("DefaultCluster").system
    for name in (
        "RMQ_SYS_TRACE_TOPIC",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "DefaultCluster_REPLY_TOPIC",
        "SELF_TEST_TOPIC",
    ):
        assert topics.find(name).system


@pytest.mark.parametrize(("wanted", "queues"), [(4, 4), (16, 8), (0, 8), (-1, 8)])
def test_an_automatic_topic_has_the_smaller_number_of_queues_and_takes_everything(
    wanted: int, queues: int
) -> None:
    world = World()
    topic = created(world, world.backend.topics.for_sending("t", wanted))
    assert (topic.read_queues, topic.write_queues) == (queues, queues)
    assert topic.config.message_type is MessageType.MIXED


def test_no_topic_is_created_when_told_so() -> None:
    world = World(LocalSettings(auto_create_topics=False))
    assert world.backend.topics.get("TBW102") is None
    with pytest.raises(GatewayError) as caught:
        world.backend.topics.for_sending("t")
    assert caught.value.code is Code.TOPIC_NOT_FOUND
    # A group's retry topic is made all the same, as RocketMQ does.
    assert created(world, world.backend.topics.for_sending("%RETRY%g")).write_queues == 1


def test_a_topic_is_known_when_it_is_durable_and_not_before() -> None:
    world = World()
    world.store.manual = True
    session = world.session()
    sent = world.start(session, SendMessages("t", (Message(b"1"),)))
    other = world.start(session, SendMessages("t", (Message(b"2"),)))
    assert world.backend.topics.get("t") is None
    world.store.commit()
    assert world.backend.topics.get("t") is not None
    with pytest.raises(NoReplyYet):
        result_of(sent)
    world.store.commit()
    assert result_of(sent).results[0].physical_offset < result_of(other).results[0].physical_offset


def test_numbers_are_never_used_again() -> None:
    world = World()
    topics = world.backend.topics
    first = created(world, topics.for_sending("t"))
    topics.delete("t")
    world.settle()
    assert topics.get("t") is None
    assert created(world, topics.for_sending("t")).number > first.number
    newest = created(world, topics.for_sending("u")).number
    topics.delete("u")
    world.settle()
    again = world.restart()
    assert created(again, again.backend.topics.for_sending("v")).number > newest


def test_a_deleted_topics_messages_are_gone_and_its_waits_end() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"1", queue_id=0),)))
    waiting = world.start(session, PullMessages("g", "t", 0, 1, wait_ms=10_000))
    world.backend.topics.delete("t")
    world.settle()
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.TOPIC_NOT_FOUND
    world.execute(session, SendMessages("t", (Message(b"2", queue_id=0),)))
    reply = world.execute(session, PullMessages("g", "t", 0, 0))
    assert len(reply.messages) == 1 and b"2" in reply.messages[0]


def test_configurations_survive_a_restart() -> None:
    world = World()
    done = world.backend.topics.create(
        [TopicConfig("t", 3, 2, Permission.READ, MessageType.FIFO, 0, True, {"a": "b"})]
    )
    world.settle()
    result_of(done)
    version = world.backend.topics.version
    again = world.restart().backend.topics
    assert again.find("t").config == TopicConfig(
        "t", 3, 2, Permission.READ, MessageType.FIFO, 0, True, {"a": "b"}
    )
    assert again.version == version
    assert not again.find("t").writable


def test_changing_a_topic_keeps_its_messages() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"1", queue_id=3),)))
    number = world.backend.topics.find("t").number
    world.backend.topics.create([TopicConfig("t", 8, 2)])
    world.settle()
    assert world.backend.topics.find("t").number == number
    assert len(world.execute(session, PullMessages("g", "t", 3, 0)).messages) == 1


def test_there_is_a_limit() -> None:
    world = World(LocalSettings(max_topics=13))
    topics = world.backend.topics
    room = 13 - len(topics.by_name)
    for number in range(room):
        created(world, topics.for_sending(f"t{number}"))
    with pytest.raises(GatewayError) as caught:
        topics.for_sending("more")
    assert caught.value.code is Code.STORE_FULL


def test_create_waits_for_an_automatic_creation_of_the_same_name() -> None:
    world = World()
    topics = world.backend.topics
    automatic = topics.for_sending("t")
    done = topics.create([TopicConfig("t", 2, 2)])
    world.settle()
    result_of(done)
    assert created(world, automatic).write_queues == 2


def test_a_failed_store_fails_the_creation() -> None:
    world = World()
    world.store.manual = True
    found = world.backend.topics.for_sending("t")
    world.store.fail("disk gone")
    assert isinstance(found, Deferred)
    with pytest.raises(GatewayError):
        result_of(found)
    assert world.backend.topics.get("t") is None


def test_the_automatic_topic_follows_the_settings_over_restarts() -> None:
    world = World()
    contents = world.store.contents
    assert (
        World(LocalSettings(default_queues=3), contents=contents).backend.topics.find("TBW102").write_queues
        == 3
    )
    assert (
        World(LocalSettings(auto_create_topics=False), contents=contents).backend.topics.get("TBW102") is None
    )


def test_a_damaged_record_does_not_keep_the_backend_from_starting() -> None:
    world = World()
    created(world, world.backend.topics.for_sending("good"))
    created(world, world.backend.topics.for_sending("bad"))
    world.store.contents.tables["topics"]["bad"] = b"\xff\xff"
    world.store.contents.tables["groups"] = {"bad": b"\xff"}
    after = world.crash()
    assert after.backend.topics.get("good") is not None
    assert after.backend.topics.get("bad") is None
