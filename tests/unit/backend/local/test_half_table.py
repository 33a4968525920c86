"""Undecided half messages, packed, against a plain list of them."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.backend.local.half_table import MOST_CHECKS, HalfTable, id_hash

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "end", "move", "wait", "wait", "restart"]), st.integers(0, 3000), st.integers(0, 40)
    ),
    max_size=80,
)


def _restarted(table: HalfTable) -> HalfTable:
    again = HalfTable()
    for piece in table.pieces():
        again.restore(*piece)
    return again


@given(_STEPS)
def test_each_is_due_when_it_is_in_its_order(steps: list[tuple[str, int, int]]) -> None:
    table = HalfTable()
    known: dict[int, tuple[int, int, int]] = {}  # by offset: when, checks, key
    now = offset = 0
    for what, number, pick in steps:
        chosen = sorted(known)[pick % len(known)] if known else -1
        if what == "add":
            table.add(offset, offset + 5000, now + number)
            known[offset] = (now + number, 0, offset + 5000)
            offset += 1 + pick % 3
        elif what == "end":
            table.remove(chosen, known.pop(chosen)[2] if known else 0)
        elif what == "move" and known:
            known[offset] = known.pop(chosen)
            table.move(chosen, offset, known[offset][2])
            offset += 1
        elif what == "wait":
            now += number
            while (due := table.first_due(now)) is not None:
                when, checks, key = known[due]
                assert (when, checks, due) == min((*it[:2], one) for one, it in known.items()) and when <= now
                if pick % 2:
                    table.checked(due, now + pick + 1)
                    known[due] = (now + pick + 1, checks + 1, key)
                else:
                    table.postpone(due, now + 5)
                    known[due] = (now + 5, checks, key)
            assert all(it[0] > now for it in known.values())
        elif what == "restart":
            table = _restarted(table)
        assert len(table) == len(known)
        assert table.count_before(offset // 2) == sum(one < offset // 2 for one in known)
        assert table.following(chosen) == min((one for one in known if one > chosen), default=None)
        for one, (when, checks, key) in known.items():
            assert one in table and table.checks(one) == checks and table.find(key) == one and table.key_of(one) == key
            next_time = table.next_time()
            assert next_time is not None and next_time <= when


def test_many_blocks_in_any_order() -> None:
    table = HalfTable()
    for offset in range(3000):
        table.add(offset, id_hash(str(offset)), 1_000_000 + offset * 7919 % 3000)
    for offset in range(0, 3000, 3):
        table.remove(offset, id_hash(str(offset)))
    found = []
    while (offset := table.first_due(1_003_000)) is not None:  # type: ignore[assignment]
        found.append(offset)
        table.remove(offset, id_hash(str(offset)))
    expected = [offset for offset in range(3000) if offset % 3]
    assert found == sorted(expected, key=lambda offset: offset * 7919 % 3000)
    assert len(table) == 0 and table.next_time() is None and list(table.pieces()) == []


def test_an_offset_out_of_its_order_is_not_forgotten() -> None:
    table = HalfTable()
    for offset in range(0, 2000, 2):
        table.add(offset, offset, 10)
    for offset in range(1, 2000, 2):
        table.add(offset, offset, 5)
    found = []
    while (due := table.first_due(10)) is not None:
        found.append(due)
        table.remove(due, due)
    assert sorted(found[:1000]) == list(range(1, 2000, 2)) and sorted(found[1000:]) == list(range(0, 2000, 2))


def test_decided_ones_leave_nothing_that_waits() -> None:
    table = HalfTable()
    for offset in range(200_000):
        table.add(offset, offset, 1_000_000_000 - offset)
        table.remove(offset, offset)
    assert len(table) == 0 and len(table._dues) < 100


def test_the_newest_of_one_id_is_found() -> None:
    table = HalfTable()
    table.add(1, 77, 10)
    table.add(2, 77, 10)
    assert table.find(77) == 2
    table.remove(1, 77)
    assert table.find(77) == 2
    table.add(3, 77, 10)
    table.remove(3, 77)
    assert table.find(77) == -1 and 2 in table


def test_checks_are_counted_up_to_a_limit() -> None:
    table = HalfTable()
    table.add(1, 77, -5, MOST_CHECKS - 1)
    table.checked(1, 1 << 60)
    table.checked(1, 1 << 60)
    assert table.checks(1) == MOST_CHECKS and table.next_time() == 0
    table.checked(2, 10)
    table.postpone(2, 10)
    table.move(2, 3, 77)
    assert len(table) == 1 and table.find(77) == 1
    with pytest.raises(ValueError, match="kind"):
        table.restore(2, b"", b"")


def test_a_hash_is_the_same_in_every_process() -> None:
    assert id_hash("7F00000100002A9F0000000000000001") == 0xE59948F88FD42321
    assert id_hash("\ud800") == id_hash("?")


@pytest.mark.parametrize("restarted", [False, True])
def test_an_undecided_half_message_takes_few_bytes(restarted: bool) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        table = HalfTable()
        for offset in range(20_000):
            table.add(offset, id_hash(f"{offset:032X}"), 1_700_000_000_000 + offset * 7919 % 3_600_000)
        if restarted:
            table = _restarted(table)
        each = (tracemalloc.get_traced_memory()[0] - before) / len(table)
    finally:
        tracemalloc.stop()
    assert each < 40
