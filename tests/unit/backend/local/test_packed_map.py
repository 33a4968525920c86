"""The packed map against a dict."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.backend.local.packed_map import PackedMap

_KEYS = st.integers(0, 60) | st.integers((1 << 64) - 5, (1 << 64) - 1)
_STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "set", "pop", "pop", "take", "pieces", "restart"]), _KEYS, st.integers(0, 9)), max_size=120
)


def _restored(pieces: list[tuple[bytes, bytes]]) -> PackedMap:
    found = PackedMap(8)
    for keys, values in pieces:
        found.restore(keys, values)
    return found


def _items(packed: PackedMap) -> list[tuple[int, int]]:
    return [pair for block in packed.blocks for pair in zip(block.keys, block.values, strict=True)]


@given(_STEPS)
def test_it_is_a_sorted_dict(steps: list[tuple[str, int, int]]) -> None:
    packed, plain = PackedMap(8), dict[int, int]()
    kept = []
    for what, key, value in steps:
        if what == "set":
            block = packed.set(key, value)
            plain[key] = value
            assert key in block.keys and block is packed.block_of(key)
        elif what == "pop":
            assert packed.pop(key) == plain.pop(key, None)
        elif what == "pieces":
            kept.append((packed.pieces(), sorted(plain.items()), list[tuple[bytes, bytes]]()))
        elif what == "take":
            for pieces, _, taken in kept:
                taken += islice(pieces, value)
        else:
            packed = _restored(list(packed.pieces()))
        assert _items(packed) == sorted(plain.items())
        assert len(packed) == len(plain)
        assert packed.get(key) == plain.get(key)
        assert packed.following(key) == min((other for other in plain if other > key), default=None)
        assert packed.count_before(key) == sum(other < key for other in plain)
        assert packed.key_of(value) == min((other for other in plain if plain[other] == value), default=None)
        assert all(1 <= len(block.keys) <= 8 for block in packed.blocks)
    for pieces, expected, taken in kept:
        assert _items(_restored([*taken, *pieces])) == expected, "pieces show the moment of the call"


def test_what_is_left_of_many_is_packed_again() -> None:
    packed = PackedMap(64)
    for key in range(64_000):
        packed.set(key, key)
    for key in range(64_000):
        if key % 100:
            packed.pop(key)
    assert len(packed) == 640 and len(packed.blocks) <= 640 // 16 + 1


def test_taking_pieces_copies_nothing() -> None:
    packed = PackedMap(256)
    for key in range(50_000):
        packed.set(key, key)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pieces = packed.pieces()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
        packed.pop(7)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
    assert len(_restored(list(pieces))) == 50_000
    block = packed.block_of(40_000)
    assert packed.set(40_000, 1) is block, "once it is given out it is not copied"


@pytest.mark.parametrize("keys, values", [((), ()), ((5,), (5, 6)), ((3,), (1,)), ((2,), (1,))])
def test_pieces_that_are_none_are_refused(keys: tuple[int, ...], values: tuple[int, ...]) -> None:
    packed = PackedMap(8)
    packed.set(3, 1)
    with pytest.raises(ValueError, match="expected"):
        packed.restore(*(b"".join(number.to_bytes(8, "little") for number in numbers) for numbers in (keys, values)))
    assert _items(packed) == [(3, 1)]
