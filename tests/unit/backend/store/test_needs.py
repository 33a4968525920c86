"""A change of state that needs messages of its own turn does not outlive them: a disk that loses power in the middle of a
group keeps any part of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from tests.contract.test_stores import Owner, settle_clock, stored


class Opened:
    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.owner = Owner()
        settings = StoreSettings(segment_bytes=1 << 16, disk_limit=1.0, snapshot_bytes=1 << 30)
        self.store = DurableStore(
            str(path),
            self.clock,
            settings,
            writer=InlineWorker(self.clock),
            chores=InlineWorker(self.clock),
            now=lambda: 1.0,
        )
        self.owner.register(self.store)
        self.store.open()

    def put(self, text: bytes) -> int:
        return self.store.queue(1, 0).append(stored(1000, text))

    def crash(self) -> None:
        settle_clock(self.clock)
        self.store.log.close()
        self.store.directory.close()


def lose(path: Path, position: int, size: int = 100) -> None:
    """What a disk does that never got to write these bytes."""
    for segment in sorted((path / "log").glob("*.seg")):
        base = int(segment.stem)
        content = bytearray(segment.read_bytes())
        if base <= position < base + len(content):
            content[position - base : position - base + size] = bytes(size)
            segment.write_bytes(content)


def state_after(path: Path) -> list[bytes]:
    """Opened twice: the second time must see what the first one left."""
    seen = []
    for _ in range(2):
        it = Opened(path)
        seen.append(list(it.owner.state))
        it.crash()
    assert seen[0] == seen[1]
    return seen[0]


@pytest.mark.parametrize("lost", [0, 1, 2, None])
def test_it_stands_with_all_that_it_needs_and_falls_with_any(tmp_path: Path, lost: int | None) -> None:
    it = Opened(tmp_path / "s")
    it.store.append_state(7, b"before")
    it.put(b"unrelated" * 9)
    copies = [it.put(b"copy %d" % number * 9) for number in range(3)]
    it.store.append_state(7, b"settled", copies[0])
    it.store.append_state(7, b"free")
    it.crash()
    if lost is not None:
        lose(tmp_path / "s", copies[lost])
    wanted = [b"before", b"free"] if lost is not None else [b"before", b"settled", b"free"]
    assert state_after(tmp_path / "s") == wanted


def test_what_was_lost_before_does_not_matter(tmp_path: Path) -> None:
    it = Opened(tmp_path / "s")
    unrelated = it.put(b"unrelated" * 9)
    copy = it.put(b"copy" * 9)
    it.store.append_state(7, b"settled", copy)
    it.crash()
    lose(tmp_path / "s", unrelated)
    assert state_after(tmp_path / "s") == [b"settled"]


@pytest.mark.parametrize("damaged", [False, True])
def test_over_the_end_of_a_segment(tmp_path: Path, damaged: bool) -> None:
    it = Opened(tmp_path / "s")
    while it.store.limit - it.store.tail > 400:
        it.put(b"x" * 200)
    copy = it.put(b"y" * (it.store.limit - it.store.tail - 160))
    first = it.store.active
    it.store.append_state(7, b"settled" * 40, copy)
    assert it.store.active is not first
    it.crash()
    if damaged:
        lose(tmp_path / "s", copy)
    assert state_after(tmp_path / "s") == ([] if damaged else [b"settled" * 40])
