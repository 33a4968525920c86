"""Half messages: prepared, ended, checked, on a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from rmqgateway.backend.local import transactions
from rmqgateway.backend.local.backend import LocalBackend
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.local.writing import Draft
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.worker import InlineWorker
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
from rmqgateway.gateway import Gateway
from rmqgateway.message import Message
from rmqgateway.outbox import Outbox
from rmqgateway.testing import START_MS, TestSession, World, result_of
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


def test_each_half_message_is_shown_to_every_member_in_turn(world: World, session: TestSession) -> None:
    """However many others are checked at the same times: one member may be a producer without a listener."""
    other = world.session()
    world.execute(other, Heartbeat("other", producers=(PRODUCERS,)))
    halves = {prepare(world, session).queue_offset for _ in range(2)}
    world.advance(40)
    for asked in (session, other):
        assert {event.queue_offset for event in asked.events if isinstance(event, CheckTransaction)} == halves


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


class LateWorker(InlineWorker):
    """Does what it is given when it is told to: a slow disk."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._late: list[tuple[Callable[[], object], Callable[[BaseException | None], None] | None]] = []

    def submit(
        self, job: Callable[[], object], done: Callable[[BaseException | None], None] | None = None
    ) -> None:
        self._late.append((job, done))

    def go_on(self) -> None:
        while self._late:
            super().submit(*self._late.pop(0))


class SlowBench:
    """The local backend over a durable store on a disk that waits."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.disk = LateWorker(self.clock)
        store = DurableStore(str(path), self.clock, writer=self.disk, chores=InlineWorker(self.clock))
        outbox = Outbox()
        self.backend = LocalBackend(
            store, LocalSettings(), self.clock, outbox, lambda: START_MS + int(self.clock.seconds() * 1000)
        )
        self.gateway = Gateway(self.backend, self.clock, outbox=outbox)
        self.backend.start()
        self.settle()
        self.session = TestSession(self.gateway, IPv4Address("TCP", "127.0.0.1", 4711), "127.0.0.1:9876")

    def settle(self) -> None:
        for _ in range(20):
            self.disk.go_on()
            self.clock.advance(0)

    def start(self, command: object) -> object:
        return self.gateway.execute(self.session.context(), command)  # type: ignore[arg-type]

    def execute(self, command: object) -> object:
        started = self.start(command)
        self.settle()
        return result_of(started) if hasattr(started, "addCallback") else started


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowBench]:
    bench = SlowBench(tmp_path / "store")
    yield bench
    bench.backend.stop()
    bench.settle()


def test_one_that_is_not_durable_yet_is_neither_given_up_nor_ended(slow: SlowBench) -> None:
    slow.execute(Heartbeat("client", producers=(PRODUCERS,)))
    slow.execute(SendMessages(TOPIC, (Message(b"first"),)))
    named = {"TRAN_MSG": "true", "PGROUP": PRODUCERS, "UNIQ_KEY": "mine", "CHECK_IMMUNITY_TIME_IN_SECONDS": "0"}
    slow.start(SendMessages(TOPIC, (Message(b"half", encode_properties(named), sys_flag=4),), PRODUCERS))
    slow.clock.advance(0.01)
    with pytest.raises(GatewayError) as caught:
        slow.start(EndTransaction(TOPIC, PRODUCERS, TransactionResolution.COMMIT, "mine"))
    assert caught.value.code is Code.TRANSACTION_NOT_FOUND
    assert slow.backend.transactions.undecided == 1 and slow.session.events == []
    slow.settle()
    slow.clock.advance(0.2)
    slow.settle()
    (event,) = slow.session.events
    assert isinstance(event, CheckTransaction) and event.transaction_id == "mine"
    slow.execute(EndTransaction(TOPIC, PRODUCERS, TransactionResolution.COMMIT, "mine"))
    assert slow.backend.transactions.undecided == 0


def test_a_transaction_with_the_hash_of_another_is_not_ended_in_its_place(
    world: World, session: TestSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "id_hash", lambda transaction_id: 4711)
    half = prepare(world, session)
    with pytest.raises(GatewayError) as caught:
        end(world, session, half, TransactionResolution.COMMIT, transaction_id="other", queue_offset=-1)
    assert caught.value.code is Code.TRANSACTION_NOT_FOUND
    end(world, session, half, TransactionResolution.COMMIT, queue_offset=-1)
    assert bodies(received(world, session)) == [b"half"]


def test_of_two_with_one_id_the_newer_is_meant(world: World, session: TestSession) -> None:
    older = prepare(world, session, b"older", UNIQ_KEY="same")
    newer = prepare(world, session, b"newer", UNIQ_KEY="same")
    end(world, session, newer, TransactionResolution.COMMIT, queue_offset=-1, physical_offset=-1)
    assert bodies(received(world, session)) == [b"newer"]
    with pytest.raises(GatewayError):
        end(world, session, newer, TransactionResolution.COMMIT, queue_offset=-1, physical_offset=-1)
    end(world, session, older, TransactionResolution.COMMIT)
    assert bodies(received(world, session)) == [b"older"]


def test_one_that_cannot_be_put_aside_is_tried_again(
    world: World, session: TestSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(world, session, b"bad")
    prepare(world, session, b"good")
    put = world.backend.writer.put

    def refuse(draft: Draft) -> SendResult:
        if draft.body == b"bad":
            raise GatewayError(Code.PROPERTIES_TOO_LARGE, "too large")
        return put(draft)

    monkeypatch.setattr(world.backend.writer, "put", refuse)
    world.advance(6.1 + 3 * 30 + 1, step=0.5)
    assert bodies(received(world, session, "TRANS_CHECK_MAX_TIME_TOPIC")) == [b"good"]
    monkeypatch.undo()
    world.advance(30, step=0.5)
    assert bodies(received(world, session, "TRANS_CHECK_MAX_TIME_TOPIC")) == [b"bad"]
    assert world.backend.transactions.undecided == 0


def test_state_of_another_version_is_refused(world: World) -> None:
    for take in (world.backend.transactions.apply, world.backend.transactions.restore):
        with pytest.raises(ValueError, match="version 2, got 1"):
            take(b"\x01\x90")
