"""Jobs in threads and at once; the store with its real threads."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from twisted.internet.task import Clock

from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker, ThreadWorker
from tests.durability import load


def fail() -> None:
    raise OSError("planted")


def test_jobs_run_in_order_in_one_thread_and_their_ends_come_home() -> None:
    loop = load.Loop()
    worker = ThreadWorker(loop, "test")  # type: ignore[arg-type]
    ends: list[object] = []
    where: list[int] = []
    worker.submit(lambda: where.append(threading.get_ident()))
    worker.submit(fail, ends.append)

    def last(error: BaseException | None) -> None:
        ends.append(error)
        ends.append(threading.get_ident())
        loop.running = False

    worker.submit(lambda: where.append(threading.get_ident()), last)
    loop.run()
    worker.stop()
    worker.stop()
    assert str(ends[0]) == "planted"
    assert ends[1:] == [None, threading.get_ident()]
    assert where[0] == where[1] != threading.get_ident()


def test_inline_jobs_end_in_the_next_turn() -> None:
    clock = Clock()
    worker = InlineWorker(clock)
    ends: list[object] = []
    worker.submit(fail, ends.append)
    worker.submit(lambda: ends.append("ran"))
    assert ends == ["ran"]
    clock.advance(0)
    assert str(ends[1]) == "planted"
    worker.stop()


def test_a_store_with_threads_takes_a_load_and_comes_back(tmp_path: Path) -> None:
    for flush, seed in (("sync", 1), ("async", 2)):
        reader, writer = os.pipe()
        path = tmp_path / flush
        load.run(str(path), writer, flush, 60, seed)
        os.close(writer)
        line = os.read(reader, 1 << 16).split(b"\n")[-2]
        os.close(reader)
        clock, owner = Clock(), load.Owner()
        settings = StoreSettings(segment_bytes=1 << 18, disk_limit=1.0)
        store = DurableStore(str(path), clock, settings, writer=InlineWorker(clock), chores=InlineWorker(clock))
        owner.register(store)
        store.open()
        assert load.check(store, owner, line) == []
        assert store.tail > 1000
        store.log.close()
        store.directory.close()
