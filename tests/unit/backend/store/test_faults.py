"""Disks that fail or fill up, retention, and what the contract suite does not reach."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from rmqgateway.errors import Code, StoreError
from tests.contract.test_stores import Owner, offset_in, settle_clock, stored

SEGMENT = 1 << 16


class BadDisk(Disk):
    """Fails where it is told to."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self.used = 0.1
        self.calls: list[str] = []

    def _check(self, name: str) -> None:
        self.calls.append(name)
        if name in self.errors:
            raise OSError(self.errors[name], os.strerror(self.errors[name]))

    def pwritev(self, fd: int, parts: Sequence[bytes], at: int) -> None:
        self._check("pwritev")
        super().pwritev(fd, parts, at)

    def pread(self, fd: int, size: int, at: int) -> bytes:
        self._check("pread")
        return super().pread(fd, size, at)

    def fdatasync(self, fd: int) -> None:
        self._check("fdatasync")
        super().fdatasync(fd)

    def allocate(self, path: str, size: int, header: bytes) -> None:
        self._check("allocate")
        super().allocate(path, size, header)

    def write_file(self, path: str, parts: Sequence[bytes]) -> None:
        self._check("write_file")
        super().write_file(path, parts)

    def rename(self, old: str, new: str) -> None:
        self._check("rename")
        super().rename(old, new)

    def used_ratio(self, path: str) -> float:
        self._check("used_ratio")
        return self.used


class Bench:
    """A store on a bad disk, with a clock and a time of day."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk = BadDisk()
        self.time = 1.0
        self.open()

    def open(self, flush: str = "sync", **changes: object) -> None:
        self.clock = Clock()
        self.owner = Owner()
        wanted: dict[str, object] = {"segment_bytes": SEGMENT, "flush": flush, "cache_bytes": 1 << 14, **changes}
        self.store = DurableStore(
            str(self.path), self.clock, StoreSettings(**wanted),  # type: ignore[arg-type]
            writer=InlineWorker(self.clock), chores=InlineWorker(self.clock), disk=self.disk, now=lambda: self.time,
        )  # fmt: skip
        self.owner.register(self.store)
        self.store.open()

    def settle(self, seconds: float = 0) -> None:
        settle_clock(self.clock, seconds)

    def fill(self, count: int, queue: int = 0, size: int = 500, topic: int = 1) -> None:
        it = self.store.queue(topic, queue)
        for number in range(count):
            it.append(stored(int(self.time * 1000), b"x" * size), [b"t#%d" % it.next_offset])
            if number % 10 == 9:
                self.settle()
        self.settle()

    def close(self) -> None:
        closed = self.store.close()
        self.settle()
        assert closed.called

    def crash(self) -> None:
        self.store.log.close()
        self.store.directory.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    it = Bench(tmp_path / "store")
    yield it
    it.crash()


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
def test_an_io_error_fails_the_group_and_the_store(bench: Bench, call: str) -> None:
    bench.fill(5)
    bench.disk.errors[call] = errno.EIO
    store, queue = bench.store, bench.store.queue(1, 0)
    outcomes: list[BaseException | None] = []
    queue.append(stored(1))
    store.when_durable(outcomes.append)
    changed: list[object] = []
    store.metadata.change([("t", "k", b"v")]).addErrback(changed.append)
    queue.append(stored(2, bytes(20000)))
    for _ in range(60):  # more than one group
        queue.append(stored(2, bytes(20000)))
    store.when_durable(outcomes.append)
    bench.settle()
    assert [type(it) for it in outcomes] == [StoreError] * 2
    assert len(changed) == 1
    assert store.failed is not None
    assert "Input/output error" in store.failed
    assert (queue.max_offset, len(queue.read(0, 10, 10000))) == (5, 5)
    bench.disk.errors.clear()
    for call_again in (lambda: queue.append(stored(3)), lambda: store.append_state(7, b"x"), lambda: store.drop_topic(1)):
        with pytest.raises(StoreError) as caught:
            call_again()
        assert caught.value.code is Code.STORE_FAILED
    late: list[BaseException | None] = []
    store.when_durable(late.append)
    assert isinstance(late[0], StoreError)
    bench.settle(100)
    bench.close()
    bench.open()
    assert bench.store.queue(1, 0).max_offset >= 5
    bench.fill(1)
    assert bench.store.failed is None


def test_async_is_written_at_once_and_synced_later(bench: Bench) -> None:
    bench.close()
    bench.open(flush="async")
    bench.disk.calls.clear()
    outcomes: list[BaseException | None] = []
    bench.store.queue(1, 0).append(stored(1))
    bench.store.when_durable(outcomes.append)
    bench.settle()
    assert (outcomes, bench.disk.calls) == ([None], ["pwritev"])
    bench.settle(0.6)
    assert bench.disk.calls.count("fdatasync") == 1
    bench.fill(1)
    bench.disk.errors["fdatasync"] = errno.EIO
    bench.settle(0.6)
    assert bench.store.failed is not None
    assert "syncing" in bench.store.failed


def test_async_syncs_before_a_snapshot_and_at_close(bench: Bench) -> None:
    bench.close()
    bench.open(flush="async")
    bench.fill(1)
    bench.disk.calls.clear()
    bench.close()
    assert bench.disk.calls.index("fdatasync") < bench.disk.calls.index("rename")
    bench.open()


def test_a_disk_over_its_limit_refuses_messages_and_goes_on_with_the_rest(bench: Bench) -> None:
    bench.fill(5)
    bench.disk.used = 0.95
    bench.settle(1.1)
    store, queue = bench.store, bench.store.queue(1, 0)
    assert store.is_full
    with pytest.raises(StoreError, match=r"95\.0%") as caught:
        queue.append(stored(1))
    assert caught.value.code is Code.STORE_FULL
    assert len(queue.read(0, 10, 10000)) == 5
    store.append_state(7, b"acks")
    changed = store.metadata.change([("t", "k", b"v")])
    bench.settle()
    assert changed.called
    bench.disk.used = 0.5
    bench.settle(1.1)
    assert not store.is_full
    bench.fill(1)
    bench.disk.errors["used_ratio"] = errno.EIO
    bench.settle(1.1)
    assert store.is_full
    assert store.statistics()["disk_used_ratio"] == 1.0


def test_a_disk_that_is_over_its_limit_at_the_start_is_seen_at_once(bench: Bench) -> None:
    bench.fill(3)
    bench.close()
    bench.disk.used = 0.95
    bench.open()
    with pytest.raises(StoreError, match=r"95\.0%"):
        bench.store.queue(1, 0).append(stored(1))


def test_no_room_for_another_segment(bench: Bench) -> None:
    bench.disk.errors["allocate"] = errno.ENOSPC
    with pytest.raises(StoreError) as caught:
        bench.fill(1000)
    assert caught.value.code is Code.STORE_FULL
    store, queue = bench.store, bench.store.queue(1, 0)
    kept = queue.next_offset
    bench.settle()
    assert (store.is_full, queue.max_offset, store.failed) == (True, kept, None)
    with pytest.raises(StoreError) as caught:
        for _ in range(10000):
            store.append_state(7, b"x" * 100)
    assert caught.value.code is Code.STORE_FULL
    bench.settle()
    found, offset = 0, 0
    while some := queue.read(offset, 32, 1 << 20):
        found += len(some)
        offset += len(some)
    assert found == kept
    bench.disk.errors.clear()
    bench.settle(1.1)
    assert not store.is_full
    bench.fill(10)
    assert queue.max_offset == kept + 10


def test_a_message_larger_than_a_segment_is_refused(bench: Bench) -> None:
    with pytest.raises(StoreError) as caught:
        bench.store.queue(1, 0).append(stored(1, bytes(SEGMENT)))
    assert caught.value.code is Code.MESSAGE_TOO_LARGE
    bench.fill(3)


def test_an_index_that_cannot_be_written_is_written_later(bench: Bench) -> None:
    bench.disk.errors["write_file"] = errno.ENOSPC
    bench.fill(300)
    assert not list((bench.path / "log").glob("*.index"))
    assert [offset_in(it) for it in bench.store.queue(1, 0).read(20, 3, 10000)] == [20, 21, 22]
    assert [offset_in(it) for it in bench.store.query_key(b"t#20", 0, 1 << 60, 3)] == [20]
    bench.disk.errors.clear()
    bench.settle(11)
    assert list((bench.path / "log").glob("*.index"))
    assert [offset_in(it) for it in bench.store.query_key(b"t#20", 0, 1 << 60, 3)] == [20]


@pytest.mark.parametrize("call", ["pwritev", "rename"])
def test_a_snapshot_that_cannot_be_written_changes_nothing(bench: Bench, call: str) -> None:
    bench.fill(10)
    bench.owner.state.append(b"once")
    bench.store.append_state(7, b"once")
    bench.settle()
    bench.disk.errors[call] = errno.ENOSPC
    bench.settle(61)
    assert not list((bench.path / "state").iterdir())
    bench.disk.errors.clear()
    bench.settle(61)
    assert len(list((bench.path / "state").iterdir())) == 1
    bench.crash()
    bench.open()
    assert bench.owner.state == [b"once"]


def test_an_owner_whose_snapshot_fails_does_not_stop_the_store(bench: Bench) -> None:
    bench.store.snapshot[7] = lambda: [b"fine", 5]  # type: ignore[list-item]
    bench.fill(10)
    bench.settle(61)
    bench.fill(10)
    assert not list((bench.path / "state").glob("*.snapshot"))


def test_a_large_snapshot_is_written_in_parts(bench: Bench) -> None:
    pieces = [bytes([number]) * 300000 for number in range(20)]
    bench.store.snapshot[7] = lambda: iter(pieces)
    bench.fill(1)
    bench.close()
    bench.clock = Clock()
    restored: list[bytes] = []
    bench.open()
    bench.crash()
    store = DurableStore(str(bench.path), bench.clock, writer=InlineWorker(bench.clock), chores=InlineWorker(bench.clock))
    store.register_state(7, restored.append, print, list)
    store.open()
    assert restored == pieces
    store.log.close()
    store.directory.close()
    bench.open()


def log_files(bench: Bench) -> list[str]:
    return sorted(it.name for it in (bench.path / "log").iterdir())


def test_retention_by_time_drops_whole_segments(bench: Bench) -> None:
    bench.fill(200)
    bench.fill(5, queue=1)
    bench.store.queue(2, 0)
    before = log_files(bench)
    bench.time = 3 * 86400.0 + 100
    bench.fill(100)
    bench.settle(11)
    assert set(before) <= set(log_files(bench)), "nothing is dropped that no snapshot covers"
    bench.settle(61)
    bench.fill(1)
    bench.settle(61)
    bench.fill(1)
    bench.settle(61)
    bench.settle(11)
    store = bench.store
    queue = store.queue(1, 0)
    assert f"{0:020}.seg" not in log_files(bench)
    assert 0 < queue.min_offset < 200
    assert queue.max_offset == 302
    assert queue.read(0, 5, 1000) == []
    assert [offset_in(it) for it in queue.read(queue.min_offset, 2, 10000)] == [queue.min_offset, queue.min_offset + 1]
    assert store.query_key(b"t#10", 0, 1 << 60, 5) == []
    assert store.read_at(64) is None
    low = queue.min_offset
    assert queue.offset_by_time(0) == low
    for crash in (True, False, False):
        if crash:
            bench.crash()
        else:
            bench.close()
        bench.open()
        queue = bench.store.queue(1, 0)
        assert (queue.min_offset, queue.max_offset) == (low, 302)
        assert bench.store.queue(1, 1).max_offset == 5
    bench.fill(1)
    bench.settle(61)
    bench.settle(61)
    first = bench.store.log.segments[0].base
    assert all(int(name[:20]) >= first for name in log_files(bench)), "index files of dropped segments go, too"


def test_a_queue_whose_messages_all_went_is_empty_at_its_end(bench: Bench) -> None:
    bench.fill(5, queue=3)
    bench.fill(300)
    bench.close()
    bench.open()
    bench.fill(1)
    bench.close()
    bench.open(retention_bytes=2 * SEGMENT)
    bench.settle(11)
    queue = bench.store.queue(1, 3)
    assert (queue.min_offset, queue.max_offset, queue.read(0, 9, 999), queue.read(5, 9, 999)) == (5, 5, [], [])
    assert len(bench.store.log.segments) <= 3
    bench.fill(2, queue=3)
    assert [offset_in(it) for it in queue.read(5, 9, 9999)] == [5, 6]


def test_dropped_topics_are_forgotten_with_their_last_segment(bench: Bench) -> None:
    bench.fill(5, topic=9)
    bench.store.drop_topic(9)
    bench.fill(300)
    bench.close()
    bench.open()
    assert 9 in bench.store.dropped
    bench.fill(1)
    bench.close()
    bench.open(retention_bytes=2 * SEGMENT)
    bench.settle(11)
    assert 9 not in bench.store.dropped


def test_a_read_error_is_one_message_not_the_store(bench: Bench) -> None:
    bench.fill(200)
    bench.disk.errors["pread"] = errno.EIO
    queue = bench.store.queue(1, 0)
    with pytest.raises(StoreError):
        queue.read(0, 3, 10000)
    with pytest.raises(StoreError):
        bench.store.read_at(64)
    assert queue.read(199, 1, 10000)
    bench.disk.errors.clear()
    assert bench.store.failed is None
    assert queue.read(199, 1, 10000)


def test_an_unreadable_disk_at_open_is_a_store_error(bench: Bench) -> None:
    bench.fill(3)
    bench.crash()
    bench.disk.errors["pread"] = errno.EIO
    with pytest.raises(StoreError, match="Input/output"):
        bench.open()
    bench.disk.errors.clear()
    bench.open()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="segment_bytes"):
        StoreSettings(segment_bytes=5)
    with pytest.raises(ValueError, match="disk_limit"):
        StoreSettings(disk_limit=1.5)


def test_queue_numbers_out_of_range_are_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        bench.store.queue(1, -1)


def test_close_twice_and_close_without_open(bench: Bench, tmp_path: Path) -> None:
    bench.fill(1)
    assert bench.store.close() is bench.store.close()
    bench.settle()
    never = DurableStore(str(tmp_path / "never"), bench.clock)
    assert never.close().called
    bench.open()


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, parts, at: real(fd, [b"".join(parts)[:5]], at))
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    Disk().pwritev(fd, [b"abc", b"defg", b"hij"], 2)
    assert os.pread(fd, 100, 0) == b"\0\0abcdefghij"
    os.close(fd)


def test_recent_messages_come_from_memory(bench: Bench) -> None:
    bench.fill(10)
    bench.disk.calls.clear()
    assert len(bench.store.queue(1, 0).read(0, 10, 100000)) == 10
    assert bench.disk.calls == []


def test_the_log_goes_on_after_a_snapshot_that_covers_more_than_is_left(bench: Bench) -> None:
    """The end of the log was damaged, and a snapshot says how far it went: positions are never used twice."""
    bench.fill(20)
    bench.close()
    bench.open()
    tail, path, base = bench.store.tail, bench.store.active.path, bench.store.base
    bench.crash()
    with open(path, "r+b") as file:
        file.seek(tail - base - 700)
        file.write(bytes(700))
    bench.open()
    assert bench.store.tail == tail
    bench.fill(3)
    queue = bench.store.queue(1, 0)
    assert queue.max_offset == 23
    assert [offset_in(it) for it in queue.read(15, 20, 100000)] == [15, 16, 17, 20, 21, 22]
    bench.crash()
    bench.open()
    queue = bench.store.queue(1, 0)
    assert [offset_in(it) for it in queue.read(15, 20, 100000)] == [15, 16, 17, 20, 21, 22]


def test_the_log_goes_on_after_all_its_last_segments_are_lost(bench: Bench) -> None:
    bench.fill(300)
    bench.close()
    tail = bench.store.tail
    names = [name for name in log_files(bench) if name.endswith(".seg")]
    for name in names[1:]:
        (bench.path / "log" / name).unlink()
    bench.open()
    assert bench.store.tail > tail
    bench.fill(3)
    queue = bench.store.queue(1, 0)
    assert queue.max_offset == 303
    assert [offset_in(it) for it in queue.read(300, 5, 10000)] == [300, 301, 302]
    bench.close()
    bench.open()
    assert bench.store.queue(1, 0).max_offset == 303


def test_an_index_lost_while_running_is_made_again(bench: Bench) -> None:
    bench.fill(300)
    for path in (bench.path / "log").glob("*.index"):
        path.write_bytes(path.read_bytes()[:-5] if path.name.startswith("0" * 20) else b"")
    found = bench.store.query_key(b"t#3", 0, 1 << 60, 3)
    assert [offset_in(it) for it in found] == [3]
    queue = bench.store.queue(1, 0)
    assert [offset_in(it) for it in queue.read(150, 3, 10000)] == [150, 151, 152]
    assert list((bench.path / "damaged").iterdir())


def test_a_segment_of_another_size_may_follow(bench: Bench) -> None:
    bench.fill(100)
    bench.close()
    bench.open(segment_bytes=2 * SEGMENT)
    bench.fill(300)
    bench.close()
    bench.open()
    queue = bench.store.queue(1, 0)
    assert len(queue.read(0, 400, 1 << 20)) == 400
    assert {segment.size for segment in bench.store.log.segments} == {SEGMENT, 2 * SEGMENT}


def big_segments(bench: Bench) -> None:
    bench.close()
    for path in sorted(bench.path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    bench.open(segment_bytes=16 << 20)


def test_messages_larger_than_a_scans_window(bench: Bench) -> None:
    big_segments(bench)
    queue = bench.store.queue(1, 0)
    for number in range(3):
        bench.fill(3, size=100)
        queue.append(stored(1000, bytes([number]) * (4200000 + number)))
        bench.settle()
    bench.crash()
    bench.open(segment_bytes=16 << 20)
    queue = bench.store.queue(1, 0)
    assert [len(it) for it in queue.read(0, 20, 1 << 30)] == [188, 188, 188, 4200088] * 1 + [188, 188, 188, 4200089] + [
        188, 188, 188, 4200090]  # fmt: skip
    position = int.from_bytes(queue.read(7, 1, 1)[0][28:36], "big")
    path = bench.store.active.path
    bench.crash()
    with open(path, "r+b") as file:
        file.seek(position + 3000000)
        file.write(b"damage")
    bench.open(segment_bytes=16 << 20)
    queue = bench.store.queue(1, 0)
    assert [offset_in(it) for it in queue.read(5, 9, 1 << 30)] == [5, 6, 8, 9, 10, 11]
    assert queue.max_offset == 12


def test_catching_up_reads_chunks_and_verifies_them(bench: Bench) -> None:
    big_segments(bench)
    bench.fill(3000, size=600)
    bench.crash()
    bench.open(segment_bytes=16 << 20)
    queue = bench.store.queue(1, 0)
    bench.disk.calls.clear()
    offset = 0
    while offset < 3000:
        some = queue.read(offset, 32, 1 << 20)
        assert [offset_in(it) for it in some] == list(range(offset, offset + len(some)))
        offset += len(some)
    assert bench.disk.calls.count("pread") < 50
    assert len(queue.read(0, 32, 2000)) == 2
    assert len(queue.read(0, 32, 1)) == 1
    position = int.from_bytes(queue.read(2500, 1, 1)[0][28:36], "big")
    path = bench.store.active.path
    bench.crash()
    bench.open(segment_bytes=16 << 20)  # scanned undamaged; the bits flip later
    with open(path, "r+b") as file:
        file.seek(position + 300)
        file.write(b"damage")
        file.seek(0)
    queue = bench.store.queue(1, 0)
    assert [offset_in(it) for it in queue.read(2498, 5, 1 << 20)] == [2498, 2499, 2501, 2502, 2503]
    with open(path, "r+b") as file:
        file.seek(position + 636 + 88 + 4)
        file.write(b"header")
    bench.disk.errors["pread"] = errno.EIO
    with pytest.raises(StoreError):
        queue.read(100, 5, 1 << 20)
    bench.disk.errors.clear()
    assert len(queue.read(100, 5, 1 << 20)) == 5


def test_a_group_is_closed_at_its_size(bench: Bench) -> None:
    big_segments(bench)
    queue = bench.store.queue(1, 0)
    seen: list[int] = []
    for number in range(30):
        queue.append(stored(5, bytes(200000)))
        bench.store.when_durable(lambda error, number=number: seen.append(number))  # type: ignore[misc]
    bench.settle()
    assert seen == list(range(30))
    assert int(bench.store.statistics()["commit_groups"]) >= 5
    assert queue.max_offset == 30


def test_many_old_files_are_not_all_open(bench: Bench) -> None:
    bench.fill(8000, size=500)
    assert len(bench.store.log.segments) > 68
    queue = bench.store.queue(1, 0)
    offset = 0
    while offset < 8000:
        offset += len(queue.read(offset, 32, 1 << 20))
    assert sum(segment.fd >= 0 for segment in bench.store.log.segments) <= 67
    assert queue.store_timestamp(3) == 1000
    bench.crash()
    for index in (bench.path / "log").glob("*.index"):
        index.unlink()
    bench.open()
    assert len(bench.store.log.segments) > 68
    for segment in bench.store.log.segments:
        bench.store.log.file(segment)
    assert bench.store.active.fd >= 0, "the file that is written to stays open"
    bench.fill(50)
    assert bench.store.queue(1, 0).max_offset == 8050


def test_a_full_disk_does_not_stop_the_start_on_damaged_data(bench: Bench) -> None:
    bench.fill(20)
    position = int.from_bytes(bench.store.queue(1, 0).read(7, 1, 1)[0][28:36], "big")
    path = bench.store.active.path
    bench.crash()
    with open(path, "r+b") as file:
        file.seek(position + 100)
        file.write(b"damage")
    bench.disk.errors["write_file"] = errno.ENOSPC
    bench.open()
    assert [offset_in(it) for it in bench.store.queue(1, 0).read(6, 3, 10000)] == [6, 8, 9]


def test_an_unused_segment_with_the_wrong_place_is_removed(bench: Bench) -> None:
    bench.fill(3)
    bench.crash()
    from rmqgateway.backend.store.records import pack_segment_header

    far = bench.path / "log" / f"{SEGMENT * 9:020}.seg"
    far.write_bytes(pack_segment_header(SEGMENT * 9, SEGMENT).ljust(SEGMENT, b"\0"))
    bench.open()
    assert not far.exists()
    bench.fill(200)


def test_a_damaged_index_of_a_dropped_segment_is_just_removed(bench: Bench) -> None:
    bench.fill(300)
    bench.close()
    orphan = bench.path / "log" / f"{5:020}.index"
    orphan.write_bytes(b"garbage")
    bench.open()
    bench.fill(1)
    bench.settle(61)
    assert not orphan.exists()


def test_an_index_of_a_segment_that_is_not_at_its_end_is_stale(bench: Bench) -> None:
    """The END record and the segments after it are lost, the index is not: appends go on in its segment."""
    bench.fill(50)
    bench.owner.state.append(b"once")
    bench.store.append_state(7, b"once")
    bench.fill(200)
    bench.crash()
    names = [name for name in log_files(bench) if name.endswith(".seg")]
    for name in names[1:]:
        (bench.path / "log" / name).unlink()
    first = bench.path / "log" / names[0]
    content = first.read_bytes()
    end = content.rfind(b"\xd1RQ\xae")
    first.write_bytes(content[:end] + bytes(len(content) - end))
    assert f"{0:020}.index" in log_files(bench)
    bench.open()
    queue = bench.store.queue(1, 0)
    kept = queue.max_offset
    assert 50 < kept < 250
    assert bench.owner.state == [b"once"]
    assert f"{0:020}.index" not in log_files(bench)
    bench.fill(200)
    offset = 0
    while offset < kept + 200:
        some = queue.read(offset, 32, 1 << 20)
        assert [offset_in(it) for it in some] == list(range(offset, offset + len(some)))
        offset += len(some)


def test_all_snapshots_lost_after_retention_keeps_every_message_that_is_left(bench: Bench) -> None:
    bench.fill(300)
    for _ in range(2):
        bench.close()
        bench.open(retention_bytes=2 * SEGMENT)
        bench.fill(1)
    bench.settle(11)
    low, high = bench.store.queue(1, 0).min_offset, bench.store.queue(1, 0).max_offset
    assert low > 0
    bench.close()
    for path in (bench.path / "state").iterdir():
        path.unlink()
    bench.open()
    queue = bench.store.queue(1, 0)
    assert (queue.min_offset, queue.max_offset) == (low, high)
    assert [offset_in(it) for it in queue.read(low, 2, 10000)] == [low, low + 1]


def test_a_segment_that_cannot_be_allocated_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="large"):
        Disk().allocate(str(tmp_path / "x"), (1 << 63) - 1, b"")
    assert list(tmp_path.iterdir()) == []
    Disk().unlink(str(tmp_path / "x"))
