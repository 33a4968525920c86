"""Reads what the shim recorded, and makes what a power failure may leave at any point of it.

Durable is what was synced: data by fdatasync or fsync of the file, names by fsync of the directory. Of later writes any
subset may be there, torn at sectors; of later changes of names any first part per directory.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Files", "records"]

_HEAD = struct.Struct("<ccHIqq")
Record = tuple[str, str, int, int, bytes]


def records(log: Path) -> Iterator[Record]:
    """(op, path, a, b, data)."""
    content = log.read_bytes()
    at = 0
    while at < len(content):
        op, _, path_size, data_size, a, b = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        path = content[at : at + path_size].decode()
        at += path_size
        yield op.decode(), path, a, b, content[at : at + data_size]
        at += data_size


class File:
    """One inode: what is durable of it, and what was done to it since."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.later: list[tuple[str, int, bytes]] = []

    @staticmethod
    def apply(content: bytearray, op: str, at: int, data: bytes) -> None:
        if op == "W":
            if len(content) < at:
                content.extend(bytes(at - len(content)))
            content[at : at + len(data)] = data
        elif op == "A" and len(content) < at:
            content.extend(bytes(at - len(content)))
        elif op == "T":
            content[at:] = bytes(max(at - len(content), 0))

    def sync(self) -> None:
        for op, at, data in self.later:
            self.apply(self.durable, op, at, data)
        self.later = []

    def after_crash(self, chance: random.Random) -> bytearray:
        content = bytearray(self.durable)
        share = chance.choice([0.0, 0.0, 0.3, 0.7, 1.0])
        sector = chance.choice([512, 4096])
        for op, at, data in self.later:
            if op != "W":
                if chance.random() < share:
                    self.apply(content, op, at, data)
                continue
            begin = 0
            while begin < len(data):
                end = min(len(data), (at + begin) // sector * sector + sector - at)
                if chance.random() < share:
                    self.apply(content, "W", at + begin, data[begin:end])
                begin = end
        return content


class Files:
    """The files below one directory while records are played back."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._names: dict[str, File] = {}
        self._durable_names: dict[str, File] = {}
        self._later: list[tuple[str, str, str, File | None]] = []
        self.marked = b""

    def play(self, record: Record) -> None:
        """One more thing was done."""
        op, path, a, b, data = record
        if op == "M":
            self.marked = data
        elif op == "O":
            if path not in self._names and b & os.O_CREAT:
                self._names[path] = File()
                self._later.append((os.path.dirname(path), "", path, self._names[path]))
            if path in self._names and b & os.O_TRUNC:
                self._names[path].later.append(("T", 0, b""))
        elif op == "S":
            if path in self._names:
                self._names[path].sync()
            else:
                self._sync_names(path)
        elif op == "R":
            new = data.decode()
            file = self._names.pop(path)
            self._names[new] = file
            self._later.append((os.path.dirname(new), path, new, file))
        elif op == "U":
            self._names.pop(path, None)
            self._later.append((os.path.dirname(path), path, "", None))
        else:
            self._names[path].later.append((op, a, data))

    @staticmethod
    def _apply(names: dict[str, File], change: tuple[str, str, str, File | None]) -> None:
        _, old, new, file = change
        names.pop(old, None)
        if file is not None:
            names[new] = file

    def _sync_names(self, directory: str) -> None:
        for change in self._later:
            if change[0] == directory:
                self._apply(self._durable_names, change)
        self._later = [change for change in self._later if change[0] != directory]

    def after_crash(self, into: Path, chance: random.Random) -> None:
        """Write what a power failure now may leave."""
        names = dict(self._durable_names)
        left = {directory: chance.randint(0, 4) for directory in {change[0] for change in self._later}}
        for change in self._later:
            if left[change[0]] > 0:
                left[change[0]] -= 1
                self._apply(names, change)
            else:
                left[change[0]] = -1
        for directory in ("log", "state", "damaged"):
            (into / directory).mkdir(parents=True, exist_ok=True)
        for path, file in names.items():
            target = into / os.path.relpath(path, self._directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.after_crash(chance))
