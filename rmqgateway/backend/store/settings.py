"""The settings of the durable store."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["StoreSettings"]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the durable store keeps what it is given. Sizes in bytes, times in seconds."""

    #: "sync": a group's callbacks run after its fdatasync. "async": after its write; synced every `sync_interval`.
    flush: Literal["sync", "async"] = "sync"
    sync_interval: float = 0.5
    #: One file of the log; retention drops whole ones. 1 MiB to 2 GiB; the largest message must fit.
    segment_bytes: int = 64 << 20
    #: A group is written when it reaches this size, even if more has arrived.
    group_bytes: int = 1 << 20
    #: Recent messages kept in memory: readers at the tail touch no disk.
    cache_bytes: int = 32 << 20
    #: Parts of older segments kept in memory for catching-up readers, and index files kept open for them.
    read_ahead_bytes: int = 4 << 20
    index_files: int = 64
    #: Above this share of the file system in use messages are refused until there is room again.
    disk_limit: float = 0.90
    disk_check_interval: float = 1.0
    #: Segments go when their youngest message is older, or when all together are larger (0: no limit).
    retention_seconds: float = 3 * 86400.0
    retention_bytes: int = 0
    retention_interval: float = 10.0
    #: A snapshot of the state is taken after so much log, or after this time if anything changed.
    snapshot_bytes: int = 64 << 20
    snapshot_interval: float = 60.0
    #: Longest time that housekeeping keeps the reactor in one go.
    slice_seconds: float = 0.002

    def __post_init__(self) -> None:
        if not 1 << 16 <= self.segment_bytes <= 1 << 31:
            raise ValueError(f"segment_bytes must be within 64 KiB and 2 GiB, not {self.segment_bytes}")
        if not 0 < self.disk_limit <= 1:
            raise ValueError(f"disk_limit is a share of the disk, above 0 and at most 1, not {self.disk_limit}")
