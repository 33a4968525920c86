"""What is acknowledged survives a power failure at any moment; without a sync it does not, and this test says so.

The shim records a loaded store; at hundreds of random points after a reply the files are made again from what was synced
and any part of what was written later, a store is opened on them and everything acknowledged must be there. kill -9
proves nothing of this: the page cache survives it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from tests.durability import load
from tests.durability.crashes import Files, records

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
POINTS = int(os.environ.get("RMQGATEWAY_TEST_CRASH_POINTS", "250"))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the recording shim (install gcc)")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "shim.c"), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


def record(shim: Path, path: Path, flush: str, groups: int, seed: int) -> tuple[Path, str]:
    """Run the load below the shim; (what it recorded, the directory)."""
    store, log, mark = path / "store", path / "shim.log", path / "mark"
    environment = {
        **os.environ, "LD_PRELOAD": str(shim), "SHIM_DIR": str(store), "SHIM_LOG": str(log), "SHIM_MARK": str(mark),
        "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, str(HERE / "load.py"), str(store), str(mark), flush, str(groups), str(seed)]
    subprocess.run(command, env=environment, check=True, timeout=60)
    return log, str(store)


def violations(log: Path, directory: str, path: Path, points: int, seed: int) -> tuple[int, list[str]]:
    """Crash at random points; (how many were tried, what was wrong)."""
    chance = random.Random(seed)
    everything = list(records(log))
    marks = [number for number, it in enumerate(everything) if it[0] == "M"]
    assert len(marks) > 50
    chosen = set(chance.sample(marks, min(points * 2 // 3, len(marks))))
    chosen |= {chance.randrange(marks[0], len(everything)) for _ in range(points // 3)}
    files = Files(directory)
    wrong: list[str] = []
    for number, it in enumerate(everything):
        files.play(it)
        if number not in chosen:
            continue
        image = path / "image"
        files.after_crash(image, chance)
        clock, owner = Clock(), load.Owner()
        settings = StoreSettings(segment_bytes=1 << 18, disk_limit=1.0)
        store = DurableStore(str(image), clock, settings, writer=InlineWorker(clock), chores=InlineWorker(clock))
        owner.register(store)
        store.open()
        wrong += [f"after record {number}: {text}" for text in load.check(store, owner, files.marked)]
        store.log.close()
        store.directory.close()
        shutil.rmtree(image)
    return len(chosen), wrong


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_acknowledged_is_lost_by_a_power_failure(shim: Path, tmp_path: Path, seed: int) -> None:
    log, directory = record(shim, tmp_path, "sync", 300, seed)
    tried, wrong = violations(log, directory, tmp_path, POINTS // 2, seed)
    assert tried > POINTS // 3
    assert wrong == []


@pytest.mark.parametrize("fault", ["async", "skipping"])
def test_without_its_syncs_it_would_be_lost(shim: Path, tmp_path: Path, fault: str) -> None:
    """The planted faults: if this test does not see them, the one above proves nothing."""
    log, directory = record(shim, tmp_path, fault, 150, 3)
    _, wrong = violations(log, directory, tmp_path, 60, 3)
    assert len(wrong) > 3
