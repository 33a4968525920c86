"""Which files this process has open: what was closed must keep none."""

from __future__ import annotations

import gc
import os
from pathlib import Path

__all__ = ["open_files"]


def open_files(below: Path | str) -> list[str]:
    """The open files below a directory, deleted ones too, but those that only garbage holds."""
    found = _list(below)
    if found:
        gc.collect()  # a snapshot that a crash left half-way through
        found = _list(below)
    return found


def _list(below: Path | str) -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one that lists them
            continue
        if name.startswith(f"{below}/"):
            found.append(name)
    return sorted(found)
