"""Messages for any point in time, and taking them back."""

from __future__ import annotations

import base64

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import AckMessages, RecallMessage, ReceiveMessages, SendMessages, SendResult
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

TOPIC = "topic"


def send(world: World, session: TestSession, body: str, **properties: object) -> SendResult:
    encoded = encode_properties({name: str(value) for name, value in properties.items()})
    return world.execute(session, SendMessages(TOPIC, (Message(body.encode(), encoded),))).results[0]


def received(world: World, session: TestSession) -> list[str]:
    reply = world.execute(session, ReceiveMessages("group", TOPIC))
    world.execute(session, AckMessages("group", TOPIC, tuple(one.receipt_handle for one in reply.messages)))
    return [stored_message.body(one.message).decode() for one in reply.messages]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def test_never_early_and_hardly_late(world: World, session: TestSession) -> None:
    start = world.wall_ms
    send(world, session, "at", TIMER_DELIVER_MS=start + 5000)
    send(world, session, "ms", TIMER_DELAY_MS=1500)
    send(world, session, "sec", TIMER_DELAY_SEC=3)
    send(world, session, "past", TIMER_DELIVER_MS=start - 1000)
    assert received(world, session) == ["past"]
    for until, bodies in (
        (1450, []),
        (1550, ["ms"]),
        (2950, []),
        (3050, ["sec"]),
        (4950, []),
        (5050, ["at"]),
    ):
        world.advance((start + until - world.wall_ms) / 1000)
        assert received(world, session) == bodies


def test_a_waiting_receive_is_woken(world: World, session: TestSession) -> None:
    send(world, session, "a", TIMER_DELAY_MS=700)
    waiting = world.start(session, ReceiveMessages("group", TOPIC, wait_ms=10_000))
    world.advance(0.8)
    found: list[object] = []
    waiting.addCallback(found.append)
    assert len(found) == 1


def test_recalled_in_time_never_comes(world: World, session: TestSession) -> None:
    kept = send(world, session, "kept", TIMER_DELAY_MS=1000)
    gone = send(world, session, "gone", TIMER_DELAY_MS=1000)
    assert kept.recall_handle != gone.recall_handle
    reply = world.execute(session, RecallMessage(TOPIC, gone.recall_handle))
    assert reply.unique_key == gone.unique_key
    with pytest.raises(GatewayError) as caught:
        world.execute(session, RecallMessage(TOPIC, gone.recall_handle))
    assert caught.value.code is Code.MESSAGE_NOT_FOUND
    world.advance(1.1)
    assert received(world, session) == ["kept"]
    with pytest.raises(GatewayError) as caught:
        world.execute(session, RecallMessage(TOPIC, kept.recall_handle))
    assert caught.value.code is Code.MESSAGE_NOT_FOUND


@pytest.mark.parametrize(
    "handle",
    ["", "x", "é", base64.urlsafe_b64encode(b"v2 topic rmqgateway 1 k").decode(),
     base64.urlsafe_b64encode(b"v1 other rmqgateway 1 k").decode(),
     base64.urlsafe_b64encode(b"v1 topic other 1 k").decode(),
     base64.urlsafe_b64encode(b"v1 topic rmqgateway x k").decode()],
)  # fmt: skip
def test_bad_recall_handles(world: World, session: TestSession, handle: str) -> None:
    send(world, session, "a", TIMER_DELAY_MS=1000)
    with pytest.raises(GatewayError) as caught:
        world.execute(session, RecallMessage(TOPIC, handle))
    assert caught.value.code is Code.BAD_RECEIPT_HANDLE


def test_too_far_ahead_is_refused(session: TestSession) -> None:
    world = World(LocalSettings(timer_max_delay_s=10))
    with pytest.raises(GatewayError) as caught:
        send(world, world.session(), "a", TIMER_DELAY_SEC=11)
    assert caught.value.code is Code.BAD_DELIVERY_TIME
    assert "timer_max_delay_s" in caught.value.message


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_pending_ones_survive_and_late_ones_come_at_once(
    world: World, session: TestSession, how: str
) -> None:
    send(world, session, "fired", TIMER_DELAY_MS=100)
    send(world, session, "late", TIMER_DELAY_MS=2000)
    send(world, session, "later", TIMER_DELAY_MS=60_000)
    gone = send(world, session, "gone", TIMER_DELAY_MS=60_000)
    world.execute(session, RecallMessage(TOPIC, gone.recall_handle))
    world.advance(0.2)
    assert received(world, session) == ["fired"]
    world.wall_ms += 5000  # the machine was off
    world = getattr(world, how)()
    session = world.session()
    world.advance(0.1)
    assert received(world, session) == ["late"]
    world.advance(60)
    assert received(world, session) == ["later"]


def test_a_full_store_delays_but_loses_nothing(world: World, session: TestSession) -> None:
    send(world, session, "a", TIMER_DELAY_MS=500)
    world.store.is_full = True
    world.advance(3)
    world.store.is_full = False
    world.advance(1.2)
    assert received(world, session) == ["a"]
