"""Which half messages are undecided: a pure structure, below 40 bytes for each.

Kept of a half message are its offset in the half topic, when its producers are asked next and how often they were, and a
hash of its transaction id; the id itself is read from the stored message when it is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from heapq import heapify, heappop, heappush, heapreplace
from itertools import chain

from rmqgateway.backend.local.packed_map import Block, PackedMap

__all__ = ["MOST_CHECKS", "HalfTable", "id_hash"]

#: How far checks are counted.
MOST_CHECKS = 0xFFFF
_CHECK_BITS = 16
_LATEST = (1 << 46) - 1
_ROWS, _IDS = range(2)


def id_hash(transaction_id: str) -> int:
    """64 bits for a transaction id, the same in every process."""
    return int.from_bytes(blake2b(transaction_id.encode("utf-8", "replace"), digest_size=8).digest(), "big")


class HalfTable:
    """Undecided half messages by offset. Offsets are added in rising order.

    A hash names the newest half message that it was added for: where the id of an older one has the same, that is not found
    by its id any more, as if it were of the same transaction. Whoever looks for an id must compare it with the stored one.
    """

    def __init__(self) -> None:
        #: By offset: when to check (ms) << 16 | checks so far.
        self._rows = PackedMap(256)
        #: By hash: offset.
        self._ids = PackedMap(512)
        # (when, an offset of the block): one is true for each block of rows, its `due`; the others are passed over. A due time
        # is when the first of the block is to be checked, or earlier: it is put right when it has come.
        self._dues: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, offset: int) -> bool:
        return offset >= 0 and self._rows.get(offset) is not None

    def add(self, offset: int, key: int, check_at: int, checks: int = 0) -> None:
        """One more, with the `id_hash` of its transaction id, to be checked at a time (ms)."""
        self._put(offset, check_at, checks)
        self._ids.set(key, offset)

    def _put(self, offset: int, check_at: int, checks: int) -> None:
        check_at = min(max(check_at, 0), _LATEST)
        blocks = self._rows.blocks
        many = len(blocks)
        block = self._rows.set(offset, check_at << _CHECK_BITS | checks)
        if check_at < block.due:
            self._wait(block, check_at, offset)
        if many < len(blocks) and block is not blocks[-1]:
            self._collect_dues()  # one was split, as only an offset out of its order does

    def _wait(self, block: Block, when: int, offset: int) -> None:
        block.due = when
        heappush(self._dues, (when, offset))
        if len(self._dues) > 64 + 2 * len(self._rows.blocks):
            self._collect_dues()

    def _collect_dues(self) -> None:
        self._dues = [(block.due, block.keys[0]) for block in self._rows.blocks]
        heapify(self._dues)

    def remove(self, offset: int, key: int) -> None:
        """It is decided; nothing happens if it is not there."""
        self._rows.pop(offset)
        if self._ids.get(key) == offset:
            self._ids.pop(key)

    def move(self, old: int, new: int, key: int) -> None:
        """It was stored again."""
        value = self._rows.pop(old)
        if value is None:
            return
        self._put(new, value >> _CHECK_BITS, value & MOST_CHECKS)
        if self._ids.get(key) == old:
            self._ids.set(key, new)

    def find(self, key: int) -> int:
        """The offset for an `id_hash`, or -1."""
        offset = self._ids.get(key)
        return -1 if offset is None or offset not in self else offset

    def key_of(self, offset: int) -> int:
        """The `id_hash` that leads to an offset, or 0. Looks through everything: for messages that cannot be read."""
        return self._ids.key_of(offset) or 0

    def following(self, offset: int) -> int | None:
        """The first one after an offset (or after -1), or None."""
        if offset < 0:
            return self._rows.blocks[0].keys[0] if self._rows.blocks else None
        return self._rows.following(offset)

    def count_before(self, end: int) -> int:
        """How many have an offset below `end`."""
        return self._rows.count_before(max(end, 0))

    # Checks.

    def checks(self, offset: int) -> int:
        """How often its producers were asked, as far as `MOST_CHECKS`; 0 if it is not there."""
        return (self._rows.get(offset) or 0) & MOST_CHECKS

    def checked(self, offset: int, check_at: int) -> None:
        """Its producers were asked once more; the next time (ms) is this."""
        value = self._rows.get(offset)
        if value is not None:
            self._put(offset, check_at, min((value & MOST_CHECKS) + 1, MOST_CHECKS))

    def postpone(self, offset: int, check_at: int) -> None:
        """Its producers could not be asked; the next time (ms) is this."""
        value = self._rows.get(offset)
        if value is not None:
            self._put(offset, check_at, value & MOST_CHECKS)

    def first_due(self, now: int) -> int | None:
        """The offset of the first one whose time to be checked has come, or None."""
        dues = self._dues
        while dues and dues[0][0] <= now:
            when, hint = dues[0]
            block = self._rows.block_of(hint)
            if block is None or block.due != when:
                heappop(dues)
                continue
            first = min(block.values)
            if first >> _CHECK_BITS <= when:
                return block.keys[block.values.index(first)]
            block.due = first >> _CHECK_BITS
            heapreplace(dues, (block.due, hint))
        return None

    def next_time(self) -> int | None:
        """When to ask `first_due` again, or None if there is nothing to be checked."""
        return self._dues[0][0] if self._dues else None

    # Snapshots.

    def pieces(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Everything as of now, for `restore`."""
        # Hashes first: they change all over, and what is given out is copied no more.
        hashes = ((_IDS, *piece) for piece in self._ids.pieces())
        return chain(hashes, ((_ROWS, *piece) for piece in self._rows.pieces()))

    def restore(self, kind: int, keys: bytes, values: bytes) -> None:
        """Take back one of the `pieces`, in their order.

        :raise ValueError: it is none of them.
        """
        if kind == _ROWS:
            block = self._rows.restore(keys, values)
            self._wait(block, min(block.values) >> _CHECK_BITS, block.keys[0])
        elif kind == _IDS:
            self._ids.restore(keys, values)
        else:
            raise ValueError(f"a piece of half messages: expected kind 0 or 1, got {kind}")
