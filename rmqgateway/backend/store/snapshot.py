"""Snapshots: the state at a position of the log, one file each.

The two newest are kept: if a bit of the newest flips, the older one and the log after it give the same state. Layout
(big-endian): magic (8) | u32 version | u32 zero | u64 position | u64 oldest position of the log, then frames
``u8 type | u8 kind | u16 zero | u32 length | payload``, the last of type END with the crc32 of all before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from rmqgateway.backend.store.records import VERSION, pack_changes

if TYPE_CHECKING:
    from rmqgateway.backend.store.durable import DurableStore

__all__ = ["CHANGES", "DROPPED", "PIECE", "QUEUES", "Snapshot", "frames", "open_snapshot", "snapshot_path"]

_HEADER = Struct(">8sIIQQ")
_FRAME = Struct(">BBHI")
_MAGIC = b"RMQGWSNP"
QUEUE = Struct(">QQQ")  # topic << 32 | queue, min offset, next offset
TOPIC = Struct(">QQ")  # topic, position where it was dropped

QUEUES, CHANGES, DROPPED, PIECE, _END = range(1, 6)


class Snapshot(NamedTuple):
    """An undamaged snapshot file."""

    path: str
    position: int
    oldest: int


def snapshot_path(directory: str, position: int, number: int) -> str:
    """Where a snapshot is kept; `number` tells two at the same position apart."""
    return os.path.join(directory, f"{position:020}-{number}.snapshot")


def frames(store: DurableStore, position: int) -> Iterator[tuple[int, int, bytes]]:
    """(type, kind, payload) of everything that a snapshot at `position` (where the log ends now) holds.

    The owners' `snapshot` and the metadata are asked before the first frame is given; queues may be newer than
    `position`, which does no harm: replay only moves them on.
    """
    pieces = [(kind, snapshot()) for kind, snapshot in store.snapshot.items()]
    changes = store.metadata.all()
    dropped = list(store.dropped.items())

    def generate() -> Iterator[tuple[int, int, bytes]]:
        for at in range(0, len(changes), 500):
            yield CHANGES, 0, pack_changes(changes[at : at + 500])
        for at in range(0, len(dropped), 500):
            yield DROPPED, 0, b"".join([TOPIC.pack(*entry) for entry in dropped[at : at + 500]])
        queues = list(store.queues.values())
        for at in range(0, len(queues), 500):
            part = [QUEUE.pack(q.key, q.min_offset, q.next_offset) for q in queues[at : at + 500] if not q.dropped]
            yield QUEUES, 0, b"".join(part)
        for kind, payloads in pieces:
            for payload in payloads:
                yield PIECE, kind, payload

    return generate()


class SnapshotWriter:
    """Turns frames into the parts of a file."""

    def __init__(self, position: int, oldest: int) -> None:
        self._crc = 0
        self.parts: list[bytes] = []
        self.size = 0
        self._add(_HEADER.pack(_MAGIC, VERSION, 0, position, oldest))

    def _add(self, part: bytes) -> None:
        self._crc = crc32(part, self._crc)
        self.parts.append(part)
        self.size += len(part)

    def add(self, kind_of_frame: int, kind: int, payload: bytes) -> None:
        """One more frame."""
        self._add(_FRAME.pack(kind_of_frame, kind, 0, len(payload)))
        self._add(payload)

    def end(self) -> None:
        """The last one."""
        self.parts.append(_FRAME.pack(_END, 0, 0, 4) + self._crc.to_bytes(4, "big"))

    def take(self) -> list[bytes]:
        """What is to be written since the last call."""
        parts, self.parts, self.size = self.parts, [], 0
        return parts


def open_snapshot(path: str) -> Snapshot | None:
    """Check a whole file; None if it is damaged or of another version."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = file.read(_HEADER.size)
        left = size - _HEADER.size - _FRAME.size - 4
        if len(header) < _HEADER.size or left < 0:
            return None
        crc = crc32(header)
        while left:
            part = file.read(min(left, 1 << 20))
            crc = crc32(part, crc)
            left -= len(part)
        if file.read() != _FRAME.pack(_END, 0, 0, 4) + crc.to_bytes(4, "big"):
            return None
    magic, version, _, position, oldest = _HEADER.unpack(header)
    return Snapshot(path, position, oldest) if magic == _MAGIC and version == VERSION else None


def read_frames(snapshot: Snapshot, take: Callable[[int, int, bytes], None]) -> None:
    """Give every (type, kind, payload) of a checked file to `take`."""
    with open(snapshot.path, "rb", buffering=1 << 18) as file:
        file.seek(_HEADER.size)
        while True:
            kind_of_frame, kind, _, length = _FRAME.unpack(file.read(_FRAME.size))
            if kind_of_frame == _END:
                return
            take(kind_of_frame, kind, file.read(length))


def list_snapshots(directory: str) -> list[str]:
    """Paths of all snapshot files, newest first."""
    names: Iterable[str] = sorted((name for name in os.listdir(directory) if name.endswith(".snapshot")), reverse=True)
    return [os.path.join(directory, name) for name in names]
