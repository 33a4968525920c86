"""How long the disk takes to make 4 KB durable: without this figure a rate of durable sends says nothing."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

__all__ = ["sync_latency"]

SIZE, BLOCK = 16 * 1024 * 1024, 4096


def sync_latency(directory: Path, rounds: int = 300) -> dict[str, float]:
    """``p50``, ``p99`` and ``max`` in ms: 4 KB written and fdatasync, in a file that has its blocks."""
    taken = []
    with tempfile.TemporaryFile(dir=directory) as file:
        number = file.fileno()
        os.pwrite(number, bytes(SIZE), 0)
        os.fsync(number)
        for i in range(rounds):
            start = time.perf_counter()
            os.pwrite(number, bytes([i % 256]) * BLOCK, i * BLOCK % SIZE)
            os.fdatasync(number)
            taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    return {"p50": taken[rounds // 2], "p99": taken[rounds * 99 // 100], "max": taken[-1]}
