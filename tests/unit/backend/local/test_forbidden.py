"""A group's members are paused at one topic, and go on."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    CreateGroups,
    DeleteGroup,
    GroupConfig,
    GroupForbidden,
    Heartbeat,
    ListGroups,
    PulledMessages,
    PullMessages,
    PullStatus,
    ReceiveMessages,
    SendMessages,
    UpdateGroupForbidden,
)
from rmqgateway.commands.clients import Consumer, Subscribed
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import TAG_ALL, Filter, Message
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of

GROUP, TOPIC, OTHER = "group", "topic", "other"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    session = world.session()
    for topic in (TOPIC, OTHER):
        world.execute(session, SendMessages(topic, (Message(b"x", queue_id=0),)))
    subscriptions = tuple(Subscribed(topic, Filter("*")) for topic in (TOPIC, OTHER))
    world.execute(session, Heartbeat("client", consumers=(Consumer(GROUP, subscriptions=subscriptions),)))
    return session


def readable(
    world: World, session: TestSession, value: bool | None = None, topic: str = TOPIC, group: str = GROUP
) -> bool:
    reply = world.execute(session, UpdateGroupForbidden(group, topic, value))
    assert reply == GroupForbidden(group, topic, reply.readable)
    return reply.readable


def pull(world: World, session: TestSession, topic: str = TOPIC) -> PulledMessages:
    return world.execute(session, PullMessages(GROUP, topic, 0, 0, filter=None))


def refused(world: World, session: TestSession, topic: str = TOPIC) -> str:
    with pytest.raises(GatewayError) as caught:
        pull(world, session, topic)
    assert caught.value.code is Code.GROUP_DISABLED
    return caught.value.message


def test_a_pull_by_the_announced_subscription_is_refused_until_it_may_read_again(
    world: World, session: TestSession
) -> None:
    assert readable(world, session) is True
    assert pull(world, session).status is PullStatus.FOUND
    assert readable(world, session, False) is False
    assert readable(world, session) is False
    assert "group[group] is forbidden for topic[topic]" in refused(world, session)
    assert pull(world, session, OTHER).status is PullStatus.FOUND
    assert readable(world, session, True) is True
    assert pull(world, session).status is PullStatus.FOUND


def test_one_topic_goes_on_and_the_other_stays_paused(world: World, session: TestSession) -> None:
    readable(world, session, False, TOPIC)
    readable(world, session, False, OTHER)
    assert readable(world, session, True, OTHER)
    assert pull(world, session, OTHER).status is PullStatus.FOUND
    refused(world, session)


def test_as_in_a_real_broker_a_filter_of_the_pull_s_own_and_receives_are_not_held_back(
    world: World, session: TestSession
) -> None:
    readable(world, session, False)
    pulled = world.execute(session, PullMessages(GROUP, TOPIC, 0, 0, filter=TAG_ALL))
    assert pulled.status is PullStatus.FOUND
    session.session.end()
    receiver = world.session()
    assert len(world.execute(receiver, ReceiveMessages(GROUP, TOPIC)).messages) == 1


def test_who_waits_is_paused_too(world: World, session: TestSession) -> None:
    waiting = world.start(session, PullMessages(GROUP, TOPIC, 0, 1, wait_ms=20_000, filter=None))
    readable(world, session, False)
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    world.execute(session, SendMessages(TOPIC, (Message(b"y", queue_id=0),)))
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.GROUP_DISABLED


def test_who_waits_in_a_group_that_may_consume_no_more_gets_nothing_either(world: World, session: TestSession) -> None:
    waiting = world.start(session, PullMessages(GROUP, TOPIC, 0, 1, wait_ms=20_000, filter=None))
    world.execute(session, CreateGroups((GroupConfig(GROUP, consume_enable=False),)))
    world.execute(session, SendMessages(TOPIC, (Message(b"y", queue_id=0),)))
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.GROUP_DISABLED


def test_it_stays_through_restarts_and_changes_of_the_group_until_that_is_deleted(
    world: World, session: TestSession
) -> None:
    readable(world, session, False)
    world.execute(session, CreateGroups((GroupConfig(GROUP, retry_max_times=3),)))
    world = world.crash()
    session = world.session()
    assert not readable(world, session)
    assert world.execute(session, ListGroups()).forbidden == {GROUP: (TOPIC,)}
    world.execute(session, DeleteGroup(GROUP))
    assert readable(world, session)
    world = world.crash()
    session = world.session()
    assert readable(world, session)
    assert world.execute(session, ListGroups()).forbidden == {}


def test_what_is_told_of_groups_counts_as_changed(world: World, session: TestSession) -> None:
    before = world.execute(session, ListGroups()).version
    readable(world, session, False)
    after = world.execute(session, ListGroups()).version
    assert after > before
    readable(world, session, False)
    assert world.execute(session, ListGroups()).version == after, "nothing changed"


def test_a_group_that_nobody_knows_is_made_and_bad_names_are_not(world: World, session: TestSession) -> None:
    assert readable(world, session, None, group="unknown")
    assert "unknown" not in world.backend.groups.by_name
    assert not readable(world, session, False, group="unknown")
    assert "unknown" in world.backend.groups.by_name
    for group, topic, code in (("a b", TOPIC, Code.BAD_GROUP_NAME), (GROUP, "a b", Code.BAD_TOPIC_NAME)):
        with pytest.raises(GatewayError) as caught:
            readable(world, session, False, topic, group)
        assert caught.value.code is code


def test_there_is_a_limit() -> None:
    world = World(LocalSettings(max_groups=9))
    session = world.session()
    for number in range(9):
        readable(world, session, False, f"t{number}")
    with pytest.raises(GatewayError) as caught:
        readable(world, session, False, "t9")
    assert caught.value.code is Code.STORE_FULL
    assert readable(world, session, True, "t0")
    assert not readable(world, session, False, "t9")
