"""kill -9 of a bare store process under load, again and again on the same directory: nothing acknowledged is lost.

The processes are forked, so a round costs little; each opens what the one before left. (A kill keeps the page cache: what
this shows is that any moment's files can be opened. Power failures are in test_power_failure.)
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from pathlib import Path

from twisted.internet.task import Clock

from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from tests.durability import load

ROUNDS = int(os.environ.get("RMQGATEWAY_TEST_KILL_ROUNDS", "180"))
#: The directory is started anew now and then, or a check of all that is in it would cost more and more.
ANEW = 20


def start(directory: Path, seed: int) -> tuple[int, int]:
    """Fork a process that loads the store; (its id, the end of a pipe that its acknowledgements come through)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            load.run(str(directory), writer, "sync", 0, seed)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    return pid, reader


def kill_after(pid: int, reader: int, seconds: float) -> bytes:
    """Let it run, kill it, and return the last whole line that it wrote; empty if it was too early."""
    received = b""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            received += os.read(reader, 1 << 16)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it ended by itself"
    while more := os.read(reader, 1 << 16):
        received += more
    os.close(reader)
    lines = received.split(b"\n")[:-1]
    return lines[-1] if lines else b""


def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(11)
    acknowledged, groups = b"", 0
    for number in range(ROUNDS):
        directory = tmp_path / f"store{number // ANEW}"
        if number % ANEW == 0:
            acknowledged = b""
        pid, reader = start(directory, number)
        line = kill_after(pid, reader, chance.uniform(0.01, 0.12))
        groups += bool(line)
        acknowledged = line or acknowledged
        clock, owner = Clock(), load.Owner()
        settings = StoreSettings(segment_bytes=1 << 18, disk_limit=1.0)
        store = DurableStore(str(directory), clock, settings, writer=InlineWorker(clock), chores=InlineWorker(clock))
        owner.register(store)
        store.open()
        assert load.check(store, owner, acknowledged) == [], f"round {number}"
        store.log.close()
        store.directory.close()
        kept = [name for name in os.listdir(directory / "damaged") if not name.endswith(".tail")]
        assert kept == [], "only a write that was under way may need to be cut"
    assert groups > ROUNDS // 2, "most rounds must have acknowledged something, or they prove nothing"
