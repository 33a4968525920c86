"""A store of a million messages opens within two seconds, in little memory, after a close and after a crash."""

from __future__ import annotations

import os
import resource
import struct
import time
from pathlib import Path

from twisted.internet.task import Clock

from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.worker import InlineWorker

COUNT = 1_000_000
QUEUES = 80_000


def resident() -> float:
    """MB of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def open_store(path: Path) -> tuple[DurableStore, Clock, float]:
    clock = Clock()
    store = DurableStore(str(path), clock, writer=InlineWorker(clock), chores=InlineWorker(clock))
    started = time.process_time()  # so that a busy machine does not matter: opening computes, it hardly waits
    store.open()
    return store, clock, time.process_time() - started


def test_a_million_messages_in_80000_queues(tmp_path: Path) -> None:
    before = resident()
    store, clock, _ = open_store(tmp_path / "store")
    queues = [store.queue(number >> 3, number & 7) for number in range(QUEUES)]
    for number in range(COUNT):
        message = bytearray(190)
        struct.pack_into(">q", message, 56, number)
        queues[number % QUEUES].append(message, (b"t#%d" % number,))
        if not number % 500:
            clock.advance(0)
    clock.advance(0)
    filled = resident()
    store.log.close()
    store.directory.close()
    del queues, store

    store, clock, after_crash = open_store(tmp_path / "store")
    closed = store.close()
    for _ in range(100000):
        if closed.called:
            break
        clock.advance(0)
    assert closed.called
    store, clock, after_close = open_store(tmp_path / "store")
    print(f"opened after a crash in {after_crash:.2f} s, after a close in {after_close:.2f} s; {filled - before:.0f} MB")
    assert max(after_crash, after_close) < 2
    assert filled - before < 150
    for number in (0, 77, 79_999):
        queue = store.queue(number >> 3, number & 7)
        assert queue.max_offset == 13 - (number >= COUNT % QUEUES)
        found = queue.read(0, 32, 1 << 20)
        assert [int.from_bytes(it[56:64], "big") for it in found] == list(range(number, COUNT, QUEUES))
    assert len(store.query_key(b"t#500000", 0, COUNT, 5)) >= 1
    size = sum(os.path.getsize(path) for path in (tmp_path / "store" / "state").iterdir())
    assert size < 10_000_000
    store.log.close()
    store.directory.close()
