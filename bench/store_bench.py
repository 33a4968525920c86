"""What the durable store costs: appends per group size, reads, opening, memory. Prints one line per figure.

    python bench/store_bench.py [DIRECTORY] [MESSAGES]

CPU us per message is user + system time of the whole process, threads included.
"""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

BODY = os.urandom(1024)


def message(now: int, size: int = 1100) -> bytearray:
    """Something with a store timestamp where a stored message has it."""
    it = bytearray(size)
    it[100:1124] = BODY[: size - 100]
    struct.pack_into(">q", it, 56, now)
    return it


def rss() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def appends(directory: str, per_group: int, seconds: float) -> str:
    """A closed loop: every durable message lets the next one be appended."""
    from twisted.internet import reactor

    from rmqgateway.backend.store.durable import DurableStore

    store = DurableStore(directory, reactor)
    store.open()
    queues = [store.queue(1, n) for n in range(8)]
    state = {"n": 0, "stop": 0.0, "longest": 0.0}

    def go(error: BaseException | None) -> None:
        if error is not None:
            raise error
        now = time.time()
        if now > state["stop"]:
            reactor.stop()
            return
        stamp = int(now * 1000)
        for i in range(per_group):
            queues[i & 7].append(message(stamp), (b"topic#%d" % i, b"topic#key"))
        state["n"] += per_group
        store.when_durable(go)

    def start() -> None:
        state["stop"] = time.time() + seconds
        go(None)

    last = [time.thread_time()]

    def beat() -> None:
        now = time.thread_time()  # of the reactor's thread: what others take from it is not its turn's length
        state["longest"] = max(state["longest"], now - last[0])
        last[0] = now
        reactor.callLater(0.001, beat)

    reactor.callWhenRunning(start)
    reactor.callWhenRunning(beat)
    cpu = time.process_time()
    system = os.times().system
    reactor.run()
    cpu = time.process_time() - cpu
    system = os.times().system - system
    it = store.statistics()
    return (
        f"{state['n'] / seconds:8.0f} msg/s {cpu / state['n'] * 1e6:6.2f} us CPU per message, "
        f"{system / state['n'] * 1e6:.2f} of it system, "
        f"commit p50 {float(it['commit_seconds_p50']) * 1e3:.2f} p99 {float(it['commit_seconds_p99']) * 1e3:.2f} ms, "
        f"longest reactor turn {state['longest'] * 1e3:.1f} ms, RSS {rss():.0f} MB"
    )


def fill(directory: str, count: int, queues: int, size: int) -> str:
    from twisted.internet.task import Clock

    from rmqgateway.backend.store.durable import DurableStore
    from rmqgateway.backend.store.worker import InlineWorker

    clock = Clock()
    store = DurableStore(directory, clock, writer=InlineWorker(clock), chores=InlineWorker(clock))
    store.open()
    started, cpu = time.perf_counter(), time.process_time()
    all_queues = [store.queue(n >> 3, n & 7) for n in range(queues)]
    for i in range(count):
        all_queues[i % queues].append(message(1000 + i // 100, size), (b"topic#%d" % i,))
        if not i % 256:
            clock.advance(0)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    memory = rss()
    closed = store.close()
    for _ in range(1000000):
        if closed.called:
            break
        clock.advance(0)
    return f"{elapsed:.1f} s, {cpu / count * 1e6:.2f} us CPU per message, RSS {memory:.0f} MB before close, {rss():.0f} MB after"


def opening(directory: str, queues: int) -> str:
    from twisted.internet.task import Clock

    from rmqgateway.backend.store.durable import DurableStore
    from rmqgateway.backend.store.worker import InlineWorker

    clock = Clock()
    before = rss()
    store = DurableStore(directory, clock, writer=InlineWorker(clock), chores=InlineWorker(clock))
    started = time.perf_counter()
    store.open()
    took = time.perf_counter() - started
    opened = rss()
    line = f"opened in {took:.3f} s, RSS {before:.0f} -> {opened:.0f} MB"
    some = list(store.queues.values())[:8]
    reads = n = 0
    started, cpu = time.perf_counter(), time.process_time()
    places = [queue.min_offset for queue in some]
    longest = 0.0
    while n < 200000 and any(place < queue.max_offset for place, queue in zip(places, some, strict=True)):
        for i, queue in enumerate(some):
            begin = time.perf_counter()
            found = queue.read(places[i], 32, 1 << 20)
            longest = max(longest, time.perf_counter() - begin)
            places[i] += len(found)
            n += len(found)
            reads += 1
    cpu = time.process_time() - cpu
    line += f"; catching up: {cpu / max(n, 1) * 1e6:.2f} us CPU per message, longest read {longest * 1e3:.1f} ms ({n} messages)"
    return line + f", RSS {rss():.0f} MB"


def tail_reads(directory: str) -> str:
    from twisted.internet.task import Clock

    from rmqgateway.backend.store.durable import DurableStore
    from rmqgateway.backend.store.worker import InlineWorker

    clock = Clock()
    store = DurableStore(directory, clock, writer=InlineWorker(clock), chores=InlineWorker(clock))
    store.open()
    queue = store.queue(1, 0)
    for i in range(4096):
        queue.append(message(i))
        clock.advance(0)
    out = []
    for count in (1, 32):
        n = 0
        cpu = time.process_time()
        for _ in range(200):
            for offset in range(2048, 4096 - count, count):
                n += len(queue.read(offset, count, 1 << 20))
        cpu = time.process_time() - cpu
        out.append(f"{cpu / n * 1e6:.2f} us per message in reads of {count}")
    return ", ".join(out)


def main() -> None:
    base = sys.argv[1] if len(sys.argv) > 1 else "."
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000000
    if len(sys.argv) > 3:
        what, directory = sys.argv[3], sys.argv[4]
        if what == "append":
            print(f"append, {sys.argv[5]:>4} per group:", appends(directory, int(sys.argv[5]), 3.0))
        elif what == "fill":
            line = fill(directory, count, int(sys.argv[5]), int(sys.argv[6]))
            print(f"fill, {count} messages of {sys.argv[6]} B, {sys.argv[5]} queues:", line)
        elif what == "open":
            print("open:", opening(directory, int(sys.argv[5])))
        else:
            print("tail:", tail_reads(directory))
        return

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, __file__, base, str(count), *arguments], check=True)

    def fresh() -> str:
        return tempfile.mkdtemp(dir=base)

    for per_group in ("1", "16", "256"):
        directory = fresh()
        run("append", directory, per_group)
        shutil.rmtree(directory)
    directory = fresh()
    run("tail", directory)
    shutil.rmtree(directory)
    for queues in ("8", "80000"):
        directory = fresh()
        run("fill", directory, queues, "600")
        run("open", directory, queues)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
