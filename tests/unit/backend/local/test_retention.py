"""Retention drops no message that a timer, a delay level or a transaction still needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from rmqgateway.backend.local.backend import LocalBackend
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from rmqgateway.commands import (
    EndTransaction,
    PullMessages,
    RecallMessage,
    SendMessages,
    SendResult,
    TransactionResolution,
)
from rmqgateway.errors import GatewayError
from rmqgateway.gateway import Gateway
from rmqgateway.message import TAG_ALL, Message
from rmqgateway.outbox import Outbox
from rmqgateway.testing import START_MS, TestSession, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

SEGMENT = 1 << 16


class Bench:
    """The local backend over a durable store of small segments that keeps few of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wall_ms = START_MS
        self.open()

    def open(self) -> None:
        self.clock = Clock()
        settings = StoreSettings(
            segment_bytes=SEGMENT, cache_bytes=1 << 14, retention_bytes=3 * SEGMENT, snapshot_interval=5.0
        )
        self.store = DurableStore(
            str(self.path), self.clock, settings,
            writer=InlineWorker(self.clock), chores=InlineWorker(self.clock), now=lambda: self.wall_ms / 1000,
        )  # fmt: skip
        outbox = Outbox()
        self.backend = LocalBackend(self.store, LocalSettings(), self.clock, outbox, lambda: self.wall_ms)
        self.gateway = Gateway(self.backend, self.clock, outbox=outbox)
        self.backend.start()
        self.settle()
        self.session = TestSession(self.gateway, IPv4Address("TCP", "127.0.0.1", 4711), "127.0.0.1:9876")

    def settle(self) -> None:
        for _ in range(10_000):
            due = [call for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds()]
            if not due:
                return
            self.clock.advance(0)
        raise AssertionError("something is always due")

    def advance(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(int(seconds / step)):
            self.wall_ms += int(step * 1000)
            self.clock.advance(step)
            self.settle()

    def execute(self, command: Any) -> Any:
        deferred = self.gateway.execute(self.session.context(), command)
        self.settle()
        return result_of(deferred) if hasattr(deferred, "addCallback") else deferred

    def send(self, body: bytes, sys_flag: int = 0, **properties: str) -> SendResult:
        message = Message(body, encode_properties(properties), 0, sys_flag=sys_flag)
        return self.execute(SendMessages("t", (message,), "producers")).results[0]  # type: ignore[no-any-return]

    def turn_over(self) -> None:
        """Send so much that everything before is dropped."""
        before = self.store.tail
        for _ in range(30):
            for _ in range(20):
                self.send(b"x" * 1000)
            self.advance(11)
            if self.store.log.segments[0].base >= before:
                return
        raise AssertionError(f"nothing was dropped: {[segment.base for segment in self.store.log.segments]}")

    def received(self, *wanted: bytes) -> list[bytes]:
        """Which of these bodies are in the topic, in order."""
        stored = self.backend.topics.find("t").queue(0).stored
        found = []
        offset = stored.min_offset
        while offset < stored.max_offset:
            reply = self.execute(PullMessages("g", "t", 0, offset, max_messages=256, filter=TAG_ALL))
            found += [stored_message.body(message) for message in reply.messages]
            offset = reply.next_offset
        return [body for body in found if body in wanted]

    def stop(self) -> None:
        self.backend.stop()
        self.settle()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    it = Bench(tmp_path / "store")
    yield it
    it.stop()


def test_timers_fire_although_their_segments_were_dropped(bench: Bench) -> None:
    at = bench.wall_ms + 3_600_000
    for number in range(5):
        bench.send(b"timer %d" % number, TIMER_DELIVER_MS=str(at + number))
    recalled = bench.send(b"recalled", TIMER_DELIVER_MS=str(at))
    bench.execute(RecallMessage("t", recalled.recall_handle))
    later = bench.send(b"later", TIMER_DELIVER_MS=str(at))
    bench.turn_over()
    assert bench.backend.timers.wheel.count == 6
    # The handle given before is good for the message that was stored again.
    bench.execute(RecallMessage("t", later.recall_handle))
    bench.turn_over()
    assert bench.backend.timers.wheel.count == 5
    waiting = bench.backend.topics.find("rmq_sys_wheel_timer").queue(0).stored
    assert waiting.min_offset >= 7, "what was stored before is gone"
    bench.stop()
    bench.open()
    assert bench.backend.timers.wheel.count == 5
    bench.advance((at - bench.wall_ms) / 1000 + 20, step=10)
    wanted = [b"timer %d" % number for number in range(5)]
    assert bench.received(*wanted, b"recalled", b"later") == wanted
    assert bench.backend.timers.wheel.count == 0


def test_a_half_message_ends_although_its_segment_was_dropped(bench: Bench) -> None:
    half = {"TRAN_MSG": "true", "PGROUP": "producers", "CHECK_IMMUNITY_TIME_IN_SECONDS": "99999"}
    first, second, third = [bench.send(b"half %d" % number, 4, **half) for number in range(3)]

    def end(sent: SendResult, resolution: TransactionResolution, by_id: bool = False) -> None:
        physical, offset = (-1, -1) if by_id else (sent.physical_offset, sent.queue_offset)
        bench.execute(EndTransaction("t", "producers", resolution, sent.unique_key, "", offset, physical))

    bench.turn_over()
    assert bench.backend.transactions.undecided == 3
    end(first, TransactionResolution.COMMIT)
    with pytest.raises(GatewayError):
        end(first, TransactionResolution.COMMIT)
    bench.stop()
    bench.open()
    end(second, TransactionResolution.ROLLBACK)
    bench.turn_over()
    end(third, TransactionResolution.COMMIT, by_id=True)
    assert bench.received(b"half 0", b"half 1", b"half 2") == [b"half 2"], "the first one has been dropped since"
    assert bench.backend.transactions.undecided == 0


def test_segments_stay_while_a_delay_level_needs_them(bench: Bench) -> None:
    bench.send(b"delayed", DELAY="18")
    with pytest.raises(AssertionError, match="nothing was dropped"):
        bench.turn_over()
    bench.advance(7_200, step=10)
    assert bench.received(b"delayed") == [b"delayed"]
    bench.turn_over()


def test_what_is_needed_by_half_is_not_written_again_and_again(bench: Bench) -> None:
    at = str(bench.wall_ms + 3_600_000)
    for _ in range(400):
        bench.send(b"x" * 1000, TIMER_DELIVER_MS=at)
    bench.advance(30)
    size = bench.store.tail
    assert len(bench.store.log.segments) > 4
    bench.advance(120)
    assert bench.store.tail - size < SEGMENT, "nothing is stored again to no purpose"
    assert bench.backend.timers.wheel.count == 400
