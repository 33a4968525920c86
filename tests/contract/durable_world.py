"""A world over the durable store on a disk whose power fails: between any two calls, keeping a first part of unsynced writes."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from rmqgateway.testing import World

__all__ = ["DurableWorld", "FailingDisk"]

_Write = tuple[int, bytes]


class FailingDisk(Disk):
    """Real files, without the time that real syncs take. What was written since the last sync of its file may be lost.

    :ivar calls: how many calls that change anything were made. :ivar fail_at: before which of them the power goes, or None.
    :ivar dead: it has gone: nothing is changed any more, whatever is asked.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.fail_at: int | None = None
        self.dead = False
        #: By inode: a descriptor of our own, and what was there before each unsynced write, oldest first.
        self._unsynced: dict[int, tuple[int, list[_Write]]] = {}

    def _goes_on(self) -> bool:
        self.calls += 1
        if self.fail_at is not None and self.calls >= self.fail_at:
            self.dead = True
        return not self.dead

    def pwritev(self, fd: int, parts: Sequence[bytes], at: int) -> None:
        if not self._goes_on():
            return
        inode = os.fstat(fd).st_ino
        if inode not in self._unsynced:
            self._unsynced[inode] = os.dup(fd), []
        for part in parts:  # each may be kept or lost on its own
            self._unsynced[inode][1].append((at, os.pread(fd, len(part), at)))
            os.pwrite(fd, part, at)
            at += len(part)

    def fdatasync(self, fd: int) -> None:
        if self._goes_on():
            self._forget(os.fstat(fd).st_ino)

    def _forget(self, inode: int) -> None:
        known = self._unsynced.pop(inode, None)
        if known is not None:
            os.close(known[0])

    def allocate(self, path: str, size: int, header: bytes) -> None:
        if self._goes_on():
            self._create(path, size, [header])

    def write_file(self, path: str, parts: Sequence[bytes]) -> None:
        if self._goes_on():
            self._create(path, 0, parts)

    @staticmethod
    def _create(path: str, size: int, parts: Sequence[bytes]) -> None:
        with open(path + ".new", "wb") as file:
            file.write(b"".join(parts))
            file.truncate(max(size, file.tell()))
        os.rename(path + ".new", path)

    def rename(self, old: str, new: str) -> None:
        if self._goes_on():
            os.rename(old, new)

    def unlink(self, path: str) -> None:
        if self._goes_on():
            super().unlink(path)

    def sync_directory(self, path: str) -> None:
        self._goes_on()

    def used_ratio(self, path: str) -> float:
        return 0.1

    def close(self) -> None:
        """Not used any more."""
        for inode in list(self._unsynced):
            self._forget(inode)

    def power_off(self, chance: random.Random) -> None:
        """Undo any of the writes that were not synced, as a disk may that writes in an order of its own; be as new."""
        for inode, (fd, writes) in list(self._unsynced.items()):
            share = chance.random()
            for at, before in reversed(writes):
                if chance.random() < share:
                    os.pwrite(fd, before, at)
            self._forget(inode)
        self.fail_at = None
        self.dead = False


class _Ground:
    """What survives a process."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="rmqgateway-model-")
        self.disk = FailingDisk()


class DurableWorld(World):
    """See the module. :ivar chance: decides what a power failure leaves."""

    chance = random.Random(1)

    def make_store(self, contents: Any) -> Any:
        self.ground: _Ground = contents if contents is not None else _Ground()
        settings = StoreSettings(
            segment_bytes=1 << 16,
            group_bytes=1 << 13,
            cache_bytes=1 << 14,
            snapshot_bytes=1 << 15,
            snapshot_interval=20.0,
            read_ahead_bytes=1 << 17,
            index_files=2,
            disk_limit=1.0,
        )
        store: Any = DurableStore(
            self.ground.path,
            self.clock,
            settings,
            writer=InlineWorker(self.clock),
            chores=InlineWorker(self.clock),
            disk=self.ground.disk,
            now=lambda: self.wall_ms / 1000,
        )
        store.contents = self.ground
        return store

    @property
    def disk(self) -> FailingDisk:
        return self.ground.disk

    def crash(self) -> World:
        """The process is gone, and the power with it."""
        store: Any = self.store
        store.log.close()
        store.directory.close()
        self.disk.power_off(self.chance)
        return super().crash()

    def clean(self) -> None:
        """The end of a test: nothing is left in the file system."""
        store: Any = self.store
        store.log.close()
        store.directory.close()
        self.disk.close()
        shutil.rmtree(self.ground.path, ignore_errors=True)
