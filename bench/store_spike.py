"""The store spike: segment files against SQLite under the real reactor at full CPU (design section 5).

Fake sends are decoded (a JSON header and a 1 KB body) and answered (one small write per turn) in the reactor's thread; a
closed loop keeps `in flight` of them going, so the reactor is busy unless it waits for the disk. Each engine commits one
group at a time in one thread of its own; what arrives meanwhile is the next group.

    python bench/store_spike.py [DIRECTORY] [SECONDS]

Prints, per engine and number in flight: messages per second, CPU us per message of the whole process (user + system),
commit latency p50 and p99 (append to callback) and the longest stall of the reactor.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sqlite3
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable

from twisted.internet import reactor

HEADER = json.dumps({"code": 310, "extFields": {c: "value of " + c for c in "abcdefghijklmn"}, "opaque": 1}).encode()
BODY = os.urandom(1024)
SEGMENT = 64 << 20
Group = list[tuple[int, int, bytes]]


class Segments:
    """Preallocated files, one pwritev + fdatasync per group, a CRC per record."""

    def __init__(self, directory: str, zeros: bool, dsync: bool = False) -> None:
        self.directory, self.zeros, self.dsync = directory, zeros, dsync
        self.number = 0
        self.tail = 0
        self.ready: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        threading.Thread(target=self._allocate, daemon=True).start()
        self.wanted.put(True)
        self.wanted.put(True)
        self.fd = self.ready.get()

    def _allocate(self) -> None:
        while self.wanted.get():
            self.number += 1
            fd = os.open(os.path.join(self.directory, f"{self.number}.seg"), os.O_RDWR | os.O_CREAT)
            os.posix_fallocate(fd, 0, SEGMENT)
            if self.zeros:
                chunk = bytes(1 << 20)
                for at in range(0, SEGMENT, len(chunk)):
                    os.pwrite(fd, chunk, at)
            os.fsync(fd)
            self.ready.put(fd)

    def commit(self, group: Group) -> None:
        parts: list[bytes] = []
        size = 0
        for queue_id, offset, message in group:
            rest = struct.pack(">IIIQ", len(message), queue_id, offset, self.tail + size)
            parts.append(struct.pack(">I", zlib.crc32(message, zlib.crc32(rest))) + rest)
            parts.append(message)
            size += 24 + len(message)
        if self.tail + size > SEGMENT:
            os.close(self.fd)
            self.fd, self.tail = self.ready.get(), 0
            self.wanted.put(True)
        for i in range(0, len(parts), 1024):
            some = parts[i : i + 1024]
            if self.dsync:
                self.tail += os.pwritev(self.fd, some, self.tail, os.RWF_DSYNC)
            else:
                self.tail += os.pwritev(self.fd, some, self.tail)
        if not self.dsync:
            os.fdatasync(self.fd)


class Sqlite:
    """WAL, synchronous=FULL: an append-only log by rowid and a small index table; commit and checkpoint in one thread."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, "store.sqlite")
        self.db: sqlite3.Connection | None = None
        self.row = 0

    def commit(self, group: Group) -> None:
        if self.db is None:
            self.db = sqlite3.connect(self.path, isolation_level=None)
            self.db.executescript(
                "pragma journal_mode=wal; pragma synchronous=full;"
                "create table log(id integer primary key, message blob);"
                "create table place(queue integer, first integer, ids blob, primary key(queue, first)) without rowid;"
            )
        db = self.db
        db.execute("begin")
        queues: dict[int, list[int]] = {}
        first: dict[int, int] = {}
        rows = []
        for queue_id, offset, message in group:
            self.row += 1
            rows.append((self.row, message))
            queues.setdefault(queue_id, []).append(self.row)
            first.setdefault(queue_id, offset)
        db.executemany("insert into log values (?, ?)", rows)
        db.executemany(
            "insert into place values (?, ?, ?)",
            [(q, first[q], struct.pack(f">{len(ids)}Q", *ids)) for q, ids in queues.items()],
        )
        db.execute("commit")


def run(commit: Callable[[Group], None], in_flight: int, seconds: float) -> str:
    jobs: queue.SimpleQueue[Group | None] = queue.SimpleQueue()
    latencies: list[float] = []
    offsets = [0] * 8
    state = {"under way": False, "messages": 0, "stall": 0.0, "last": time.perf_counter(), "groups": 0}
    collected: Group = []
    times: list[float] = []
    sink = os.open("/dev/null", os.O_WRONLY)
    perf = time.perf_counter

    def writer() -> None:
        while (group := jobs.get()) is not None:
            commit(group)
            reactor.callFromThread(done, len(group))  # type: ignore[attr-defined]

    under_way: list[list[float]] = []

    def begin() -> None:
        nonlocal collected, times
        if collected and not under_way:
            group, collected = collected, []
            under_way.append(times)
            times = []
            jobs.put(group)

    def send() -> None:
        # Decode and answer: what a front-end does around the store, with one system call for 16 of them.
        header = json.loads(HEADER)
        message = b"".join((HEADER[:100], BODY))
        zlib.crc32(BODY)
        queue_id = header["opaque"] + state["messages"] & 7
        collected.append((queue_id, offsets[queue_id], message))
        offsets[queue_id] += 1
        times.append(perf())

    def done(count: int) -> None:
        now = perf()
        latencies.extend(now - at for at in under_way.pop())
        state["messages"] += count
        state["groups"] += 1
        begin()
        answer(count)

    def answer(count: int) -> None:
        for i in range(0, count, 16):
            some = min(16, count - i)
            os.write(sink, b"".join([json.dumps({"code": 0, "opaque": 1}).encode() for _ in range(some)]))
            reactor.callLater(0, turn, some)  # type: ignore[attr-defined]

    def turn(count: int) -> None:
        for _ in range(count):
            send()
        begin()

    def beat() -> None:
        now = perf()
        state["stall"] = max(state["stall"], now - state["last"])
        state["last"] = now
        if now < end:
            reactor.callLater(0, beat)  # type: ignore[attr-defined]
        else:
            reactor.stop()  # type: ignore[attr-defined]

    thread = threading.Thread(target=writer)
    end = perf() + seconds
    reactor.callWhenRunning(lambda: (thread.start(), turn(in_flight), beat()))  # type: ignore[attr-defined]
    cpu = time.process_time()
    reactor.run()  # type: ignore[attr-defined]
    cpu = time.process_time() - cpu
    jobs.put(None)
    thread.join()
    latencies.sort()
    n = int(state["messages"])
    return (
        f"{n / seconds:8.0f} msg/s  {cpu / n * 1e6:6.1f} us  p50 {latencies[n // 2] * 1e3:6.2f} ms  "
        f"p99 {latencies[n * 99 // 100] * 1e3:6.2f} ms  stall {float(state['stall']) * 1e3:5.1f} ms  "
        f"{n / int(state['groups']):5.1f} per group"
    )


ENGINES: dict[str, Callable[[str], Segments | Sqlite]] = {
    "segments, zeros written": lambda d: Segments(d, zeros=True),
    "segments, fallocate only": lambda d: Segments(d, zeros=False),
    "segments, zeros, RWF_DSYNC": lambda d: Segments(d, zeros=True, dsync=True),
    "SQLite WAL FULL": Sqlite,
}


def main() -> None:
    base = sys.argv[1] if len(sys.argv) > 1 else "."
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    if len(sys.argv) > 4:  # one measurement per process: a reactor runs once
        directory = tempfile.mkdtemp(dir=base)
        try:
            print(f"{sys.argv[3]:28} x{sys.argv[4]:4}", run(ENGINES[sys.argv[3]](directory).commit, int(sys.argv[4]), seconds))
        finally:
            sys.stdout.flush()
            shutil.rmtree(directory)
        return
    print(f"sqlite {sqlite3.sqlite_version}, python {sys.version.split()[0]}, {os.cpu_count()} cores")
    for in_flight in ("1", "64", "256"):
        for name in ENGINES:
            os.spawnv(os.P_WAIT, sys.executable, [sys.executable, __file__, base, str(seconds), name, in_flight])


if __name__ == "__main__":
    main()
