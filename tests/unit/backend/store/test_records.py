"""The layouts of the log and of index files: what was packed is read, anything else is not."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.backend.store import records
from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.sidecar import KeyTable, Sidecar, SidecarHeader, build_parts
from rmqgateway.backend.store.snapshot import SnapshotWriter, open_snapshot

number = st.integers(0, (1 << 32) - 1)


@given(st.integers(1, 6), st.integers(0, 255), number, number, st.integers(0, 1 << 62), st.binary(max_size=300),
       st.lists(number, max_size=5), st.binary(max_size=40))  # fmt: skip
def test_records_round_trip(
    kind: int, sub: int, topic: int, queue: int, position: int, payload: bytes, hashes: list[int], after: bytes
) -> None:
    trailer = b"".join(it.to_bytes(4, "big") for it in hashes)
    whole = records.frame(kind, sub, topic, queue, position, payload, trailer) + payload + trailer
    if kind == records.PAD:
        whole = records.pad(position, records.RECORD_HEADER + len(payload)) + payload
    buffer = memoryview(b"12345" + whole + after)
    found = records.parse(buffer, 5, position)
    assert found is not None
    assert records.size_at(buffer, 5, position) == found.total == len(whole)
    assert bytes(buffer[found.begin : found.end]) == payload
    if kind != records.PAD:
        assert (found.kind, found.sub, found.topic, found.queue, found.keys) == (kind, sub, topic, queue, len(hashes))
        assert records.parse(buffer[: 5 + len(whole) - 1], 5, position) is None
    assert records.parse(buffer, 5, position + 1) is None
    assert records.size_at(buffer, 5, position + 1) == 0


@given(st.binary(max_size=200), st.integers(0, 7), st.data())
def test_a_flipped_bit_shows(payload: bytes, bit: int, data: st.DataObject) -> None:
    whole = bytearray(records.frame(records.STATE, 1, 0, 0, 64, payload) + payload)
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << bit
    assert records.parse(memoryview(whole), 0, 64) is None


@given(st.binary(max_size=100), st.integers(-3, 100))
def test_garbage_is_no_record(garbage: bytes, position: int) -> None:
    assert records.parse(memoryview(garbage), 0, position) is None
    assert records.size_at(garbage, 0, position) == 0
    assert records.unpack_segment_header(garbage) is None


changes = st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.one_of(st.none(), st.binary(max_size=20))))


@given(changes)
def test_changes_round_trip(wanted: list[tuple[str, str, bytes | None]]) -> None:
    assert list(records.unpack_changes(records.pack_changes(wanted))) == wanted


def test_segment_headers() -> None:
    header = records.pack_segment_header(1 << 40, 1 << 26)
    assert records.unpack_segment_header(header) == (records.VERSION, 1 << 40, 1 << 26)
    assert records.unpack_segment_header(header[:-1] + b"x") is None


def test_index_of_many_queues(tmp_path: Path) -> None:
    base = 1 << 30
    touched = [array("Q", [key << 8, key, *range(base + key, base + key + 3 * 100, 100), 0]) for key in range(5000, 0, -1)]
    touched.append(array("Q", [7, 0, *range(base + 1, base + 5001)]))
    keys = KeyTable()
    for place in range(1000):
        keys.hashes.append(place % 10 << 16 | 5)
        keys.places.append(place + 1)
    parts: list[bytes] = []
    assert sum(1 for _ in build_parts(base, touched, keys, (10, 20), 99, parts)) > 10, "it pauses"
    path = tmp_path / "x.index"
    Disk().write_file(str(path), parts)
    header = SidecarHeader.read(parts[0], base)
    assert header is not None
    assert (header.min_time, header.max_time, header.messages, header.queues) == (10, 20, 99, 5001)
    assert SidecarHeader.read(parts[0], base + 1) is None
    index = Sidecar(Disk(), str(path), header)
    for key in (1, 63, 64, 65, 4999, 5000):
        found = index.find(key << 8)
        assert found is not None
        assert (found[0], found[2]) == (key, 4)
        assert index.positions(found[1], 4) == [base + key, base + key + 100, base + key + 200, 0]
    assert index.find(0) is index.find(6) is index.find(1 << 50) is index.find(3 << 8 | 1) is None
    assert [it[0] for it in index.entries()] == sorted(it[0] for it in touched)
    assert list(index.find_key(3 << 16 | 5)) == [base + place + 1 for place in range(993, 0, -10)]
    assert list(index.find_key(77)) == []
    assert list(keys.find(3 << 16 | 5)) == [place + 1 for place in range(993, 0, -10)]
    index.close()
    index.close()
    header.checked[:] = [False, False]
    path.write_bytes(path.read_bytes()[:-1])
    index = Sidecar(Disk(), str(path), header)
    with pytest.raises(ValueError, match="short"):
        list(index.find_key(5))
    index.close()


@pytest.mark.parametrize("order", ["rising", "falling", "mixed", "in turn", "none"])
def test_the_queues_of_an_index_are_in_order_however_they_came(order: str) -> None:
    keys = [number * 3 for number in range(9001)]
    if order == "falling":
        keys.reverse()
    elif order == "mixed":
        random.Random(1).shuffle(keys)
    elif order == "in turn":
        keys = [key for begin in range(100) for key in keys[begin::100]]
    elif order == "none":
        keys = []
    touched = [array("Q", [key, key + 1, 1000 + at]) for at, key in enumerate(keys)]
    if keys:
        touched[4000].extend([0, *range(20_000, 30_000)])
    parts: list[bytes] = []
    for _ in build_parts(1000 - 96, touched, KeyTable(), (10, 20), len(keys), parts):
        pass
    directory, places = array("Q", parts[1]), array("I", parts[2])
    wanted = sorted(touched, key=lambda index: index[0])
    assert list(directory[0::3]) == [index[0] for index in wanted]
    assert list(directory[1::3]) == [index[1] for index in wanted]
    for run, index in zip(directory[2::3], wanted, strict=True):
        found = places[run >> 32 : (run >> 32) + (run & 0xFFFFFFFF)]
        assert list(found) == [position - 904 if position else 0 for position in index[2:]]


def test_a_snapshot_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    writer = SnapshotWriter(5, 1)
    writer.add(4, 7, b"piece")
    writer.end()
    content = b"".join(writer.take())
    path = tmp_path / "s.snapshot"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert open_snapshot(str(path)) is None
    path.write_bytes(content)
    snapshot = open_snapshot(str(path))
    assert snapshot is not None
    assert (snapshot.position, snapshot.oldest) == (5, 1)
