"""Waiting for messages without taking them, and who waits."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    AckMessages,
    AwaitMessages,
    CreateGroups,
    GetPollingInformation,
    GroupConfig,
    ReceiveMessages,
    SendMessages,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of

GROUP, TOPIC = "group", "topic"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def send(world: World, session: TestSession, queue_id: int = 0) -> None:
    world.execute(session, SendMessages(TOPIC, (Message(b"x", queue_id=queue_id),)))


def test_it_says_what_is_there_and_takes_nothing(world: World, session: TestSession) -> None:
    send(world, session)
    for _ in range(2):
        assert world.execute(session, AwaitMessages(GROUP, TOPIC, wait_ms=1000)).has_messages
    assert not world.execute(session, AwaitMessages(GROUP, TOPIC, queue_id=1)).has_messages
    assert len(world.execute(session, ReceiveMessages(GROUP, TOPIC)).messages) == 1
    assert not world.execute(session, AwaitMessages(GROUP, TOPIC)).has_messages


def test_it_wakes_on_a_new_message_and_on_one_that_is_due_again(world: World, session: TestSession) -> None:
    send(world, session)
    world.execute(session, ReceiveMessages(GROUP, TOPIC, invisible_ms=5000))
    waiting = world.start(session, AwaitMessages(GROUP, TOPIC, wait_ms=20_000))
    world.advance(4.9)
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    world.advance(0.2)
    assert result_of(waiting).has_messages
    for message in world.execute(session, ReceiveMessages(GROUP, TOPIC)).messages:
        world.execute(session, AckMessages(GROUP, TOPIC, (message.receipt_handle,)))
    waiting = world.start(session, AwaitMessages(GROUP, TOPIC, wait_ms=20_000))
    other = world.start(session, AwaitMessages(GROUP, TOPIC, queue_id=1, wait_ms=20_000))
    world.settle()
    send(world, session)
    world.settle()
    assert result_of(waiting).has_messages
    with pytest.raises(NoReplyYet):
        result_of(other)
    world.advance(20.1)
    assert not result_of(other).has_messages


def test_in_order_a_queue_with_a_message_in_flight_has_nothing(world: World, session: TestSession) -> None:
    world.execute(session, CreateGroups((GroupConfig(GROUP),)))
    send(world, session)
    send(world, session)
    world.execute(session, ReceiveMessages(GROUP, TOPIC, max_messages=1))
    assert world.execute(session, AwaitMessages(GROUP, TOPIC)).has_messages
    assert not world.execute(session, AwaitMessages(GROUP, TOPIC, fifo=True)).has_messages


def test_too_many_that_wait_are_told_so() -> None:
    world = World(LocalSettings(max_waits=1))
    session = world.session()
    send(world, session)
    (message,) = world.execute(session, ReceiveMessages(GROUP, TOPIC)).messages
    world.execute(session, AckMessages(GROUP, TOPIC, (message.receipt_handle,)))
    world.start(session, AwaitMessages(GROUP, TOPIC, wait_ms=1000))
    reply = world.execute(session, AwaitMessages(GROUP, TOPIC, wait_ms=1000))
    assert reply.polling_full and not reply.has_messages


def test_the_end_of_a_session_and_cancelling_end_the_wait(world: World, session: TestSession) -> None:
    send(world, session)
    world.execute(session, ReceiveMessages(GROUP, TOPIC))
    leaving = world.session()
    waiting = world.start(leaving, AwaitMessages(GROUP, TOPIC, wait_ms=10_000))
    cancelled = world.start(session, AwaitMessages(GROUP, TOPIC, wait_ms=10_000))
    assert world.backend.waits.count == 2
    leaving.session.end()
    cancelled.cancel()
    for deferred in (waiting, cancelled):
        with pytest.raises(GatewayError) as caught:
            result_of(deferred)
        assert caught.value.code is Code.CANCELLED
    assert world.backend.waits.count == 0


def test_how_many_receives_wait(world: World, session: TestSession) -> None:
    send(world, session)
    (message,) = world.execute(session, ReceiveMessages(GROUP, TOPIC)).messages
    world.execute(session, AckMessages(GROUP, TOPIC, (message.receipt_handle,)))

    def waiting(queue_id: int = -1) -> int:
        return world.execute(session, GetPollingInformation(GROUP, TOPIC, queue_id)).waiting

    assert waiting() == 0
    receives = [world.start(session, ReceiveMessages(GROUP, TOPIC, wait_ms=5000)) for _ in range(3)]
    one = world.start(session, ReceiveMessages(GROUP, TOPIC, queue_id=1, wait_ms=5000))
    assert (waiting(), waiting(1), waiting(2)) == (3, 1, 0)
    receives[0].cancel()
    receives[0].addErrback(lambda _: None)
    one.cancel()
    one.addErrback(lambda _: None)
    assert (waiting(), waiting(1)) == (2, 0)
    world.advance(5.1)
    assert waiting() == 0


def test_what_a_receive_refuses_is_refused(world: World, session: TestSession) -> None:
    send(world, session)
    world.execute(session, CreateGroups((GroupConfig("paused", consume_enable=False),)))
    for command, code in (
        (AwaitMessages(GROUP, "none"), Code.TOPIC_NOT_FOUND),
        (AwaitMessages("paused", TOPIC), Code.GROUP_DISABLED),
        (AwaitMessages(GROUP, TOPIC, queue_id=99), Code.BAD_OFFSET),
        (GetPollingInformation("paused", TOPIC), Code.GROUP_DISABLED),
    ):
        with pytest.raises(GatewayError) as caught:
            world.execute(session, command)
        assert caught.value.code is code
