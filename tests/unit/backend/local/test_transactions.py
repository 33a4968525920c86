"""Half messages: prepared, ended, checked, on a fake clock."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    AckMessages,
    EndTransaction,
    Heartbeat,
    ReceiveMessages,
    SendMessages,
    SendResult,
    TransactionResolution,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties, encode_properties

TOPIC, PRODUCERS = "topic", "producers"


def prepare(world: World, session: TestSession, body: bytes = b"half", **properties: str) -> SendResult:
    encoded = encode_properties({"TRAN_MSG": "true", "PGROUP": PRODUCERS, **properties})
    command = SendMessages(TOPIC, (Message(body, encoded, sys_flag=4),), PRODUCERS)
    return world.execute(session, command).results[0]


def end(world: World, session: TestSession, half: SendResult, resolution: int, **changes: object) -> None:
    fields = {
        "topic": TOPIC,
        "producer_group": PRODUCERS,
        "resolution": resolution,
        "transaction_id": half.unique_key,
        "queue_offset": half.queue_offset,
        "physical_offset": half.physical_offset,
        **changes,
    }
    world.execute(session, EndTransaction(**fields))  # type: ignore[arg-type]


def received(world: World, session: TestSession, topic: str = TOPIC, group: str = "group") -> list[bytes]:
    reply = world.execute(session, ReceiveMessages(group, topic))
    world.execute(session, AckMessages(group, topic, tuple(one.receipt_handle for one in reply.messages)))
    return [one.message for one in reply.messages]


def bodies(messages: list[bytes]) -> list[bytes]:
    return [stored_message.body(message) for message in messages]


@pytest.fixture
def world() -> World:
    return World(LocalSettings(transaction_check_s=6.0, transaction_interval_s=30.0, transaction_check_max=3))


@pytest.fixture
def session(world: World) -> TestSession:
    found = world.session()
    world.execute(found, Heartbeat("client", producers=(PRODUCERS,)))
    world.execute(found, SendMessages(TOPIC, (Message(b"first"),)))
    received(world, found)
    return found


def test_committed_is_visible_once_and_as_it_was_sent(world: World, session: TestSession) -> None:
    half = prepare(world, session, KEYS="k", own="value")
    assert bodies(received(world, session)) == []
    end(world, session, half, TransactionResolution.COMMIT)
    (message,) = received(world, session)
    assert stored_message.body(message) == b"half"
    named = decode_properties(stored_message.properties(message))
    assert named["own"] == "value" and named["KEYS"] == "k" and named["UNIQ_KEY"] == half.unique_key
    assert "REAL_TOPIC" not in named
    assert stored_message.prepared_transaction_offset(message) == half.physical_offset
    with pytest.raises(GatewayError) as caught:
        end(world, session, half, TransactionResolution.COMMIT)
    assert caught.value.code is Code.TRANSACTION_NOT_FOUND
    assert bodies(received(world, session)) == []


def test_rolled_back_is_never_visible(world: World, session: TestSession) -> None:
    half = prepare(world, session)
    end(world, session, half, TransactionResolution.ROLLBACK)
    world.advance(200)
    assert bodies(received(world, session)) == []
    assert session.events == []


def test_a_transaction_id_is_enough(world: World, session: TestSession) -> None:
    half = prepare(world, session)
    end(world, session, half, TransactionResolution.COMMIT, queue_offset=-1, physical_offset=-1)
    assert bodies(received(world, session)) == [b"half"]


def test_an_undecided_producer_is_asked_and_another_member_when_it_is_gone(
    world: World, session: TestSession
) -> None:
    half = prepare(world, session)
    end(world, session, half, TransactionResolution.UNKNOWN)
    world.advance(5.9)
    assert session.events == []
    world.advance(0.2)
    (event,) = session.events
    assert isinstance(event, CheckTransaction)
    assert event.transaction_id == half.unique_key
    assert event.queue_offset == half.queue_offset and event.physical_offset == half.physical_offset
    assert stored_message.topic(event.message) == TOPIC.encode()
    assert decode_properties(stored_message.properties(event.message))["TRANSACTION_CHECK_TIMES"] == "1"
    other = world.session()
    world.execute(other, Heartbeat("other", producers=(PRODUCERS,)))
    session.session.end()
    world.advance(30)
    (again,) = other.events
    assert isinstance(again, CheckTransaction)
    end(world, other, half, TransactionResolution.COMMIT, from_check=True)
    assert bodies(received(world, other)) == [b"half"]


def test_a_member_that_cannot_be_asked_is_passed_over(world: World, session: TestSession) -> None:
    deaf = world.session(takes_events=False)
    world.execute(deaf, Heartbeat("deaf", producers=(PRODUCERS,)))
    prepare(world, session)
    world.advance(40)
    assert len(session.events) == 2


def test_after_the_last_check_it_is_put_aside(world: World, session: TestSession) -> None:
    prepare(world, session)
    world.advance(6.1 + 3 * 30 + 1, step=0.5)
    assert len(session.events) == 3
    assert bodies(received(world, session)) == []
    assert bodies(received(world, session, "TRANS_CHECK_MAX_TIME_TOPIC")) == [b"half"]


def test_the_producer_may_ask_for_a_later_first_check(world: World, session: TestSession) -> None:
    prepare(world, session, CHECK_IMMUNITY_TIME_IN_SECONDS="20")
    world.advance(19.9)
    assert session.events == []
    world.advance(0.2)
    assert len(session.events) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"producer_group": "others"}, Code.FORBIDDEN),
        ({"queue_offset": 99}, Code.TRANSACTION_NOT_FOUND),
        ({"physical_offset": 1}, Code.TRANSACTION_NOT_FOUND),
        ({"topic": "other"}, Code.BAD_REQUEST),
        ({"resolution": 5}, Code.BAD_REQUEST),
    ],
)
def test_bad_ends_change_nothing(
    world: World, session: TestSession, changes: dict[str, object], code: Code
) -> None:
    half = prepare(world, session)
    with pytest.raises(GatewayError) as caught:
        end(world, session, half, **{"resolution": TransactionResolution.COMMIT, **changes})  # type: ignore[arg-type]
    assert caught.value.code is code
    end(world, session, half, TransactionResolution.COMMIT)
    assert bodies(received(world, session)) == [b"half"]


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_undecided_ones_survive(world: World, session: TestSession, how: str) -> None:
    half, decided = prepare(world, session), prepare(world, session, b"decided")
    end(world, session, decided, TransactionResolution.COMMIT)
    world = getattr(world, how)()
    session = world.session()
    world.execute(session, Heartbeat("client", producers=(PRODUCERS,)))
    world.advance(6.2)
    assert [event.transaction_id for event in session.events if isinstance(event, CheckTransaction)] == [
        half.unique_key
    ]
    end(world, session, half, TransactionResolution.COMMIT)
    assert sorted(bodies(received(world, session))) == [b"decided", b"half"]
