"""What administrators see of who consumes, how far they are, and what was counted."""

from __future__ import annotations

import pytest

from rmqgateway import commands as c
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import TAG_ALL, Filter, Message, MessageQueue
from rmqgateway.testing import TestSession, World
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.stored_message import physical_offset

GROUP, TOPIC = "group", "topic"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def send(world: World, session: TestSession, count: int = 1, queue_id: int = 0, **properties: str) -> None:
    message = Message(b"x", encode_properties(properties), queue_id)
    for _ in range(count):
        world.execute(session, c.SendMessages(TOPIC, (message,)))


def test_a_client_that_says_nothing_of_itself_is_seen_by_what_it_does(world: World, session: TestSession) -> None:
    send(world, session, 3)
    with pytest.raises(GatewayError) as caught:
        world.execute(session, c.ListConsumerConnections(GROUP))
    assert caught.value.code is Code.GROUP_NOT_FOUND
    silent = world.session()
    world.execute(silent, c.ReceiveMessages(GROUP, TOPIC, max_messages=2, filter=Filter("*")))
    reply = world.execute(session, c.ListConsumerConnections(GROUP))
    (connection,) = reply.connections
    assert connection == c.Connection("", silent.session.peer, protocol="test", in_flight=2)
    assert reply.consumer is not None
    assert reply.consumer.mode is c.ConsumeMode.POP
    assert reply.consumer.subscriptions == (c.Subscribed(TOPIC, Filter("*")),)
    assert TOPIC in {one.topic for one in world.execute(session, c.ListConsumeProgress()).progresses}
    silent.session.end()
    with pytest.raises(GatewayError):
        world.execute(session, c.ListConsumerConnections(GROUP))


def test_what_each_client_has_in_flight(world: World, session: TestSession) -> None:
    send(world, session, 6)
    members = [world.session(), world.session()]
    subscribed = (c.Consumer(GROUP, c.ConsumeMode.POP, subscriptions=(c.Subscribed(TOPIC, TAG_ALL),)),)
    for number, member in enumerate(members):
        world.execute(member, c.Heartbeat(f"member{number}", "GO", "V5_0_7", consumers=subscribed))

    def in_flight() -> dict[str, int | None]:
        found = world.execute(session, c.ListConsumerConnections(GROUP)).connections
        return {one.client_id: one.in_flight for one in found}

    first = world.execute(
        members[0],
        c.ReceiveMessages(GROUP, TOPIC, max_messages=3, invisible_ms=60_000, client_id="member0"),
    ).messages
    world.execute(
        members[1],
        c.ReceiveMessages(GROUP, TOPIC, max_messages=1, invisible_ms=10_000, client_id="member1"),
    )
    assert in_flight() == {"member0": 3, "member1": 1}
    world.execute(members[0], c.AckMessages(GROUP, TOPIC, (first[0].receipt_handle,)))
    world.execute(members[0], c.ChangeInvisibleDuration(GROUP, TOPIC, first[1].receipt_handle, 90_000))
    assert in_flight() == {"member0": 2, "member1": 1}
    world.advance(10.1)
    assert in_flight() == {"member0": 2, "member1": 0}


def test_of_a_group_that_pulls_nobody_knows_what_is_in_flight(world: World, session: TestSession) -> None:
    send(world, session)
    subscribed = (c.Consumer(GROUP, subscriptions=(c.Subscribed(TOPIC, TAG_ALL),)),)
    world.execute(session, c.Heartbeat("puller", "JAVA", "V5_5_0", consumers=subscribed))
    world.execute(session, c.PullMessages(GROUP, TOPIC, 0, 0))
    (connection,) = world.execute(session, c.ListConsumerConnections(GROUP)).connections
    assert connection.in_flight is None
    (queue, *_) = world.execute(session, c.GetConsumeProgress(GROUP, TOPIC)).queues
    assert queue.in_flight is None
    assert queue.broker_offset - queue.consumer_offset == 1


def test_the_lag_of_a_group_that_receives_is_what_is_not_acknowledged(world: World, session: TestSession) -> None:
    send(world, session, 5)
    found = world.execute(session, c.ReceiveMessages(GROUP, TOPIC, max_messages=3)).messages
    world.execute(session, c.AckMessages(GROUP, TOPIC, (found[1].receipt_handle,)))
    (place,) = [
        one for one in world.execute(session, c.ListConsumeProgress()).progresses if one.topic == TOPIC
    ]
    queue = next(one for one in place.progress.queues if one.queue.queue_id == 0)
    assert (place.group, queue.broker_offset - queue.consumer_offset, queue.in_flight) == (GROUP, 4, 2)
    assert queue.pull_offset - queue.consumer_offset == 2


def test_what_retention_dropped_is_no_lag(world: World, session: TestSession) -> None:
    send(world, session, 5)
    world.execute(session, c.CreateGroups((c.GroupConfig(GROUP),)))
    world.execute(session, c.UpdateConsumerOffset(GROUP, TOPIC, 0, 1))
    world.backend.topics.find(TOPIC).queue(0).stored.drop_before(3)  # type: ignore[attr-defined]
    queue = world.execute(session, c.GetConsumeProgress(GROUP, TOPIC)).queues[0]
    assert (queue.consumer_offset, queue.broker_offset) == (3, 5)


def test_only_ordered_topics_if_asked_for(world: World, session: TestSession) -> None:
    world.execute(session, c.CreateTopics((c.TopicConfig("ordered", 1, 1, order=True),)))
    send(world, session)
    world.execute(session, c.CreateGroups((c.GroupConfig(GROUP),)))
    for topic in ("ordered", TOPIC):
        world.execute(session, c.UpdateConsumerOffset(GROUP, topic, 0, 0))
    found = world.execute(session, c.ListConsumeProgress(ordered_only=True)).progresses
    assert [(one.group, one.topic) for one in found] == [(GROUP, "ordered")]


def test_receives_are_counted_like_pulls(world: World, session: TestSession) -> None:
    send(world, session, 4)
    world.execute(session, c.ReceiveMessages(GROUP, TOPIC, max_messages=3))
    world.execute(session, c.PullMessages("pullers", TOPIC, 0, 0))

    def count(name: str, key: str) -> int:
        return int(dict(world.execute(session, c.GetStatistics(name, key)).table)["day.sum"])

    assert count("GROUP_GET_NUMS", f"{TOPIC}@{GROUP}") == 3
    assert count("GROUP_GET_SIZE", f"{TOPIC}@{GROUP}") > 3 * 90
    assert count("GROUP_GET_NUMS", f"{TOPIC}@pullers") == 4
    assert count("TOPIC_PUT_NUMS", TOPIC) == 4
    assert count("BROKER_PUT_NUMS", "DefaultCluster") == 4
    assert count("BROKER_GET_NUMS", "DefaultCluster") == 7


def test_how_long_sends_took(world: World, session: TestSession) -> None:
    told = dict(world.execute(session, c.GetRuntimeInformation()).table)
    assert told["putMessageDistributeTime"].startswith("[<=0ms]:0 [0~10ms]:0 [10~50ms]:0")
    assert told["putMessageDistributeTime"].endswith("[10s~]:0")


def given_up(world: World, session: TestSession) -> bytes:
    world.execute(session, c.SendMessages(TOPIC, (Message(b"half", encode_properties({"TRAN_MSG": "true"})),)))
    for _ in range(world.settings.transaction_check_max + 1):
        world.advance(world.settings.transaction_interval_s, step=1)
    pull = c.PullMessages("operators", "TRANS_CHECK_MAX_TIME_TOPIC", 0, 0, filter=TAG_ALL)
    return world.execute(session, pull).messages[-1]


def test_a_half_message_that_was_given_up_can_be_asked_about_again() -> None:
    world = World(LocalSettings(transaction_check_max=2))
    session = world.session()
    offset = physical_offset(given_up(world, session))
    assert world.backend.transactions.undecided == 0
    with pytest.raises(GatewayError) as caught:
        world.execute(session, c.ResumeTransaction(offset, "another"))
    assert caught.value.code is Code.BAD_REQUEST
    world.execute(session, c.ResumeTransaction(offset, TOPIC))
    assert world.backend.transactions.undecided == 1
    with pytest.raises(GatewayError) as caught:
        world.execute(session, c.ResumeTransaction(offset))
    assert caught.value.code is Code.BAD_REQUEST
    again = world.restart()
    assert again.backend.transactions.undecided == 1
    with pytest.raises(GatewayError) as caught:
        again.execute(again.session(), c.ResumeTransaction(4711))
    assert caught.value.code is Code.MESSAGE_NOT_FOUND


def test_locks_of_a_queue_are_no_consumers(world: World, session: TestSession) -> None:
    send(world, session)
    world.execute(session, c.LockQueues(GROUP, "client", (MessageQueue(TOPIC, "rmqgateway", 0),)))
    with pytest.raises(GatewayError):
        world.execute(session, c.ListConsumerConnections(GROUP))


def test_a_group_that_only_receives_has_a_route_for_tools(world: World, session: TestSession) -> None:
    """mqadmin's consumerProgress finds the broker by the route of ``%RETRY%group``."""
    send(world, session)
    with pytest.raises(GatewayError) as caught:
        world.execute(session, c.QueryRoute(f"%RETRY%{GROUP}"))
    assert caught.value.code is Code.TOPIC_NOT_FOUND
    world.execute(session, c.ReceiveMessages(GROUP, TOPIC))
    (queues,) = world.execute(session, c.QueryRoute(f"%RETRY%{GROUP}")).queues
    assert queues.read_queues == 1
