"""A bare store under load, for the recording shim and for kill -9: what it acknowledges goes to a marker file.

    python load.py DIRECTORY MARKER FLUSH GROUPS SEED

A line of the marker says what is acknowledged from now on: the next offset of each queue, the number of state changes,
the number of metadata changes. Everything can be told from its place: the content of a message from its queue and
offset, and so on.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import struct
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings

QUEUES = 4
KIND = 7


def body(queue: int, offset: int) -> bytes:
    size = random.Random(queue << 32 | offset).choice([1, 40, 200, 700, 3000, 9000])
    return (b"%d/%d " % (queue, offset)).ljust(12) * (size // 12 + 1)


def stored(timestamp: int, content: bytes) -> bytearray:
    message = bytearray(88) + content
    struct.pack_into(">q", message, 56, timestamp)
    return message


class Loop:
    """As much of a reactor as a store needs: cheap enough to be forked."""

    def __init__(self) -> None:
        self._calls: list[tuple[float, int, Call]] = []
        self._number = 0
        self._from_threads: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()
        self.running = True

    def seconds(self) -> float:
        return time.monotonic()

    def callLater(self, delay: float, function: Callable[..., object], *arguments: object) -> Call:  # noqa: N802
        call = Call(function, arguments)
        self._number += 1
        heapq.heappush(self._calls, (self.seconds() + delay, self._number, call))
        return call

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:  # noqa: N802
        self._from_threads.put((function, arguments))

    def run(self) -> None:
        while self.running:
            while self._calls and self._calls[0][0] <= self.seconds():
                heapq.heappop(self._calls)[2].run()
            wait = min(self._calls[0][0] - self.seconds(), 1.0) if self._calls else 1.0
            try:
                function, arguments = self._from_threads.get(timeout=max(wait, 0.0001))
            except Empty:
                continue
            function(*arguments)


class Call:
    """See IDelayedCall."""

    def __init__(self, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self._function, self._arguments, self._cancelled = function, arguments, False

    def cancel(self) -> None:
        self._cancelled = True

    def run(self) -> None:
        if not self._cancelled:
            self._function(*self._arguments)


class SkippingDisk(Disk):
    """The planted fault: every third sync of the log is forgotten."""

    count = 0

    def fdatasync(self, fd: int) -> None:
        self.count += 1
        if self.count % 3:
            super().fdatasync(fd)


class Owner:
    """State: how many changes there were. Pieces are numbers, so a lost or doubled one shows."""

    def __init__(self) -> None:
        self.state: list[int] = []

    def register(self, store: DurableStore) -> None:
        store.register_state(
            KIND,
            lambda piece: self.state.extend(json.loads(piece)),
            lambda payload: self.state.append(int(payload)),
            lambda: [json.dumps(self.state[at : at + 100]).encode() for at in range(0, len(self.state), 100)],
        )


SETTINGS: dict[str, object] = {
    "segment_bytes": 1 << 18, "snapshot_bytes": 1 << 19, "group_bytes": 1 << 16, "snapshot_interval": 0.05, "disk_limit": 1.0,
}  # fmt: skip


def run(directory: str, marker: int, flush: str, groups: int, seed: int) -> None:
    """Load the store until so many groups were acknowledged, then close it (or be killed before)."""
    loop, chance, owner = Loop(), random.Random(seed), Owner()
    disk = SkippingDisk() if flush == "skipping" else Disk()
    wanted = StoreSettings(flush="async" if flush == "async" else "sync", **SETTINGS)  # type: ignore[arg-type]
    store = DurableStore(directory, loop, wanted, disk=disk)  # type: ignore[arg-type]
    owner.register(store)
    store.open()
    state = {"groups": 0, "changes": int(store.metadata.get("counters", "changes") or b"0")}

    def acknowledged(line: bytes, error: BaseException | None) -> None:
        if error is not None:
            raise error
        os.write(marker, line)
        state["groups"] += 1
        if state["groups"] >= groups and groups:
            if state["groups"] == groups:
                store.close().addCallback(lambda _: setattr(loop, "running", False))
        else:
            step()

    def step() -> None:
        for _ in range(chance.choice([1, 2, 5, 20])):
            number = chance.randrange(QUEUES)
            queue = store.queue(1, number)
            content = body(number, queue.next_offset)
            queue.append(stored(int(time.time() * 1000), content), [b"%d#%d" % (number, queue.next_offset)])
            if chance.random() < 0.3:
                owner.state.append(len(owner.state))
                store.append_state(KIND, b"%d" % (len(owner.state) - 1))
        if chance.random() < 0.2:
            state["changes"] += 1
            value = b"%d" % state["changes"]
            store.metadata.change([("counters", "changes", value), ("topics", f"topic{state['changes']}", value)])
        offsets = [store.queue(1, number).next_offset for number in range(QUEUES)]
        line = json.dumps([offsets, len(owner.state), state["changes"]]).encode() + b"\n"
        store.when_durable(lambda error: acknowledged(line, error))

    for _ in range(3):
        loop.callLater(0, step)
    loop.run()


def check(store: DurableStore, owner: Owner, line: bytes) -> list[str]:
    """What an opened store lacks of what was acknowledged, and what is in it that was never sent."""
    wrong: list[str] = []
    offsets, states, changes = json.loads(line) if line else ([0] * QUEUES, 0, 0)
    for number in range(QUEUES):
        queue = store.queue(1, number)
        if queue.max_offset < offsets[number]:
            wrong.append(f"queue {number} ends at {queue.max_offset}, acknowledged were {offsets[number]}")
        offset = queue.min_offset
        if offset:
            wrong.append(f"queue {number} begins at {offset}")
        while offset < queue.max_offset:
            messages = queue.read(offset, 32, 1 << 22)
            if not messages:
                if offset < offsets[number]:
                    wrong.append(f"queue {number} gives nothing at {offset}")
                break
            for message in messages:
                there = int.from_bytes(message[20:28], "big")
                if there != offset and offset < offsets[number]:
                    wrong.append(f"queue {number} has {there} instead of {offset}")
                if message[88:] != body(number, there):
                    wrong.append(f"queue {number} has garbage at {there}")
                offset = there + 1
    if owner.state[:states] != list(range(states)):
        wrong.append(f"state is {len(owner.state)} changes long or wrong, acknowledged were {states}")
    if owner.state != sorted(set(owner.state)):
        wrong.append("state changes are doubled or in the wrong order")
    if int(store.metadata.get("counters", "changes") or b"0") < changes:
        wrong.append(f"metadata are older than the acknowledged change {changes}")
    for change in range(1, changes + 1):
        if store.metadata.get("topics", f"topic{change}") != b"%d" % change:
            wrong.append(f"topic{change} is lost")
            break
    return wrong


if __name__ == "__main__":
    mark = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run(sys.argv[1], mark, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    assert threading.active_count() == 1
