"""Damage: a flipped bit anywhere loses at most the record that it is in, and `open` never fails because of it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from rmqgateway.backend.store import recovery
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from rmqgateway.errors import StoreError
from tests.contract.test_stores import Owner, offset_in, settle_clock, stored

QUEUES = 3
MESSAGES = 900


class Opened:
    """An open store with an owner of state."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.owner = Owner()
        self.store = DurableStore(
            str(path), self.clock, StoreSettings(segment_bytes=1 << 16, disk_limit=1.0, snapshot_bytes=1 << 17),
            writer=InlineWorker(self.clock), chores=InlineWorker(self.clock), now=lambda: 1.0,
        )  # fmt: skip
        self.owner.register(self.store)
        self.store.open()

    def close(self) -> None:
        closed = self.store.close()
        settle_clock(self.clock)
        assert closed.called

    def crash(self) -> None:
        self.store.log.close()
        self.store.directory.close()

    def messages(self) -> set[tuple[int, int]]:
        found = set()
        for queue in range(QUEUES):
            it = self.store.queue(1, queue)
            offset = it.min_offset
            while offset < it.max_offset:
                some = it.read(offset, 32, 1 << 20)
                if not some:
                    break
                for message in some:
                    assert bytes(message[88:]) == body(queue, offset_in(message))
                    found.add((queue, offset_in(message)))
                offset = offset_in(some[-1]) + 1
        return found


def body(queue: int, offset: int) -> bytes:
    return (b"%d/%d " % (queue, offset)) * 20


def fill(it: Opened) -> None:
    for number in range(MESSAGES):
        queue = it.store.queue(1, number % QUEUES)
        queue.append(stored(1000 + number, body(number % QUEUES, queue.next_offset)), [b"t#%d" % number])
        if number % 9 == 0:
            piece = b"%04d" % number
            it.owner.state.append(piece)
            it.store.append_state(7, piece)
        if number % 100 == 50:
            it.store.metadata.change([("topics", f"topic{number}", b"settings")])
        if number % 10 == 9:
            settle_clock(it.clock)
    settle_clock(it.clock)


@pytest.fixture(scope="module", params=["closed", "crashed"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("template") / "store"
    it = Opened(path)
    fill(it)
    if request.param == "closed":
        it.close()
        it = Opened(path)
        it.store.append_state(7, b"last")  # so that there are two snapshots, and something behind the newer one
        it.owner.state.append(b"last")
        settle_clock(it.clock)
        it.close()
    else:
        it.crash()
    return path


def lost(path: Path) -> int:
    """Open a damaged store; how many things are missing. Everything that is there must be right."""
    it = Opened(path)
    found = it.messages()
    wanted_state = [b"%04d" % number for number in range(0, MESSAGES, 9)]
    state = [piece for piece in it.owner.state if piece != b"last"]
    assert state == [piece for piece in wanted_state if piece in set(state)]
    topics = [key for key, _ in it.store.metadata.items("topics")]
    assert sorted(topics) == sorted(f"topic{number}" for number in range(50, MESSAGES, 100))
    missing = QUEUES * MESSAGES // QUEUES - len(found) + len(wanted_state) - len(state)
    # It goes on: what is appended now is there after the next start.
    queue = it.store.queue(1, 0)
    offset = queue.next_offset
    assert offset >= max((o for q, o in found if q == 0), default=-1) + 1
    queue.append(stored(9000, body(0, offset)))
    settle_clock(it.clock)
    it.close()
    again = Opened(path)
    assert again.messages() == found | {(0, offset)}
    assert [piece for piece in again.owner.state if piece != b"last"] == state
    assert len(list(again.store.metadata.items("topics"))) == len(topics)
    again.crash()
    return missing


def files(path: Path) -> list[str]:
    return sorted(str(it.relative_to(path)) for it in path.rglob("*") if it.is_file() and it.stat().st_size)


def flip(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_a_flipped_bit_in_any_file_loses_at_most_its_record(template: Path, tmp_path: Path) -> None:
    random_ = random.Random(7)
    names = files(template)
    assert len([name for name in names if name.endswith(".seg")]) >= 5
    assert [name for name in names if name.endswith(".index")]
    assert {"STORE", "STORE.copy"} <= set(names)
    for name in names:
        size = (template / name).stat().st_size
        places = {random_.randrange(min(size, 64)), random_.randrange(size), random_.randrange(size), size - 1}
        for at in sorted(places):
            copy = tmp_path / "copy"
            shutil.copytree(template, copy)
            flip(copy / name, at, random_.randrange(8))
            assert lost(copy) <= 1, (name, at)
            shutil.rmtree(copy)


@pytest.mark.parametrize("ending", [".index", ".snapshot"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b""),
                                    lambda path: path.write_bytes(path.read_bytes()[:100])])  # fmt: skip
def test_files_made_from_the_log_may_be_missing_or_cut(
    template: Path, tmp_path: Path, ending: str, damage: Callable[[Path], object]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    for name in files(copy):
        if name.endswith(ending):
            damage(copy / name)
    if ending == ".snapshot" and not any(name.endswith(ending) for name in files(template)):
        pytest.fail("the template has no snapshot")
    assert lost(copy) == 0


def test_a_cut_tail_loses_only_what_was_in_it(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    it = Opened(copy)
    wanted = it.messages()
    active = Path(it.store.active.path)
    at = it.store.tail - it.store.base
    it.crash()
    with open(active, "r+b") as file:
        file.truncate(at - 150)
    it = Opened(copy)
    assert len(wanted - it.messages()) <= 1
    it.crash()


def test_garbage_behind_the_tail_is_cut_kept_and_never_seen(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    it = Opened(copy)
    wanted, tail, active = it.messages(), it.store.tail, Path(it.store.active.path)
    base = it.store.base
    it.crash()
    before = set(os.listdir(copy / "damaged"))
    with open(active, "r+b") as file:
        file.seek(tail - base)
        file.write(os.urandom(5000))
    it = Opened(copy)
    assert it.messages() == wanted
    assert it.store.tail == tail
    assert len(set(os.listdir(copy / "damaged")) - before) == 1
    it.crash()
    it = Opened(copy)
    assert it.messages() == wanted
    assert len(set(os.listdir(copy / "damaged")) - before) == 1
    it.crash()


def test_a_stale_record_behind_the_tail_does_not_come_back(tmp_path: Path) -> None:
    """Unacknowledged records of a torn group must not follow the records that are written in their place."""
    it = Opened(tmp_path / "store")
    queue = it.store.queue(1, 0)
    first = queue.append(stored(1, body(0, 0)))
    second = queue.append(stored(2, body(0, 1)))
    settle_clock(it.clock)
    path = Path(it.store.active.path)
    it.crash()
    content = bytearray(path.read_bytes())
    content[first:second] = bytes(second - first)  # the first of the two never reached the disk
    path.write_bytes(content)
    it = Opened(tmp_path / "store")
    assert it.messages() == {(0, 1)}
    assert it.store.queue(1, 0).next_offset == 2
    it.crash()


def test_damage_found_while_reading_is_reported_once_and_left_out(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    it = Opened(copy)
    position = int.from_bytes(it.store.queue(1, 0).read(5, 1, 1)[0][28:36], "big")
    it.crash()
    flip(copy / "log" / f"{0:020}.seg", position + 150, 3)
    it = Opened(copy)
    queue = it.store.queue(1, 0)
    for _ in range(3):
        assert [offset_in(message) for message in queue.read(4, 3, 1 << 20)] == [4, 6, 7]
    assert len([name for name in os.listdir(copy / "damaged") if name.endswith(".record")]) == 1
    assert queue.store_timestamp(5) == -1
    assert queue.offset_by_time(1012) == 4
    assert queue.offset_by_time(1015) in (5, 6)
    assert it.store.read_at(position) is None
    assert it.store.query_key(b"t#15", 0, 1 << 60, 3) == []
    it.crash()


def test_state_that_its_owner_cannot_read_does_not_stop_the_start(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)

    def fails(payload: bytes) -> None:
        raise ValueError("planted")

    clock = Clock()
    store = DurableStore(str(copy), clock, writer=InlineWorker(clock), chores=InlineWorker(clock))
    store.register_state(7, fails, fails, list)
    store.register_replay(lambda topic, queue, offset, message: fails(b""))
    store.open()
    assert store.queue(1, 0).max_offset == 300
    store.log.close()
    store.directory.close()


def test_a_lost_segment_is_a_gap(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    segments = sorted((copy / "log").glob("*.seg"))
    segments[2].unlink()
    segments[2].with_suffix(".index").unlink(missing_ok=True)
    it = Opened(copy)
    found = it.messages()
    assert 0 < len(found) < MESSAGES
    assert (0, 0) in found
    assert (0, 299) in found
    it.close()
    it = Opened(copy)
    assert it.messages() == found
    it.crash()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "store"


def test_a_second_process_is_refused_by_name(new: Path) -> None:
    it = Opened(new)
    with pytest.raises(StoreError) as caught:
        Opened(new)
    assert str(new) in str(caught.value)
    assert str(os.getpid()) in str(caught.value)
    it.close()
    Opened(new).crash()


def test_a_foreign_directory_is_refused_and_left_alone(new: Path) -> None:
    new.mkdir()
    (new / "precious.txt").write_text("mine")
    (new / "STORE").write_text("a shop")
    with pytest.raises(StoreError, match=r"precious\.txt"):
        Opened(new)
    assert sorted(os.listdir(new)) == ["STORE", "precious.txt"]


def test_a_newer_format_is_refused(new: Path) -> None:
    Opened(new).close()
    body_ = b'{"format": "rmqgateway store", "version": 2}'
    import zlib

    (new / "STORE").write_bytes(body_ + b" %08x\n" % zlib.crc32(body_))
    with pytest.raises(StoreError, match="version 2"):
        Opened(new)


def test_a_newer_segment_is_refused(new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rmqgateway.backend.store.records as records

    monkeypatch.setattr(records, "VERSION", 9)
    Opened(new).crash()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="version 9"):
        Opened(new)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/store"):
        Opened(tmp_path / "file" / "store")


@pytest.mark.parametrize("content", [b"", b"garbage", b"[] 3b7cbd4d\n", b"{} 0b24edb7"])
def test_a_damaged_mark_is_written_anew(new: Path, content: bytes) -> None:
    it = Opened(new)
    it.store.queue(1, 0).append(stored(1, body(0, 0)))
    it.close()
    (new / "STORE").write_bytes(content)
    (new / "STORE.copy").write_bytes(content)
    it = Opened(new)
    assert it.messages() == {(0, 0)}
    it.crash()


def test_interrupted_files_are_removed(new: Path) -> None:
    Opened(new).close()
    (new / "log" / "00000000000000000000.index.new").write_text("half")
    (new / "state" / "x.snapshot.new").write_text("half")
    (new / "log" / "notes.txt").write_text("not ours, not touched")
    Opened(new).crash()
    assert not list((new / "state").glob("*.new"))
    assert not list((new / "log").glob("*.new"))
    assert (new / "log" / "notes.txt").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_each_copy_of_a_metadata_change_is_enough(template: Path, tmp_path: Path, number: int) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    for snapshot in (copy / "state").glob("*.snapshot"):
        snapshot.unlink()  # so that the log alone has to tell
    hits = 0
    for segment in (copy / "log").glob("*.seg"):
        content = segment.read_bytes()
        first = content.find(b"topic450")
        at = first if number == 0 else content.find(b"topic450", first + 1)
        if at >= 0:
            flip(segment, at, 1)
            hits += 1
    assert hits == 1
    assert lost(copy) == 0


def test_damage_at_the_end_of_a_segment_that_is_not_the_last_is_kept_aside(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    for path in [*(copy / "state").glob("*.snapshot"), *(copy / "log").glob("*.index")]:
        path.unlink()
    first = copy / "log" / f"{0:020}.seg"
    content = first.read_bytes()
    end = content.rfind(b"\xd1RQ\xae")  # the END record
    last = content.rfind(b"\xd1RQ\xae", 0, end)
    first.write_bytes(content[: last + 50] + b"damage" + bytes(len(content) - last - 56))
    it = Opened(copy)
    assert len(it.messages()) + len([p for p in it.owner.state if p != b"last"]) == MESSAGES + MESSAGES // 9 - 1
    assert [name for name in os.listdir(copy / "damaged") if name.endswith(".tail")]
    it.crash()


@pytest.mark.parametrize("window", range(4096, 4096 + 400, 7))
def test_a_record_at_the_end_of_what_is_read_at_a_time_is_whole(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    """Where fewer bytes than a header were left of a window, a good record was taken for damage and put aside."""
    monkeypatch.setattr(recovery, "_WINDOW", window)
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    for index in (copy / "log").glob("*.index"):
        index.unlink()  # so that every segment is read
    before = set(os.listdir(copy / "damaged"))
    assert lost(copy) == 0
    assert set(os.listdir(copy / "damaged")) == before
