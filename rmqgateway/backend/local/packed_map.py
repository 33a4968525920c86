"""Whole numbers by whole numbers, in order, in about 18 bytes each: a pure structure, for a million small facts.

Keys and values lie in sorted blocks of two arrays each, so a look is two bisections and a change moves a few kilobytes at
most. What `pieces` gave shows the moment of the call whatever changes later: a block is copied before it is changed if
pieces of it may still be wanted (copy on write), so taking a snapshot costs a list of the blocks, not a copy of everything.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

__all__ = ["NEVER", "Block", "PackedMap"]

#: `Block.due` of a block whose owner waits for nothing; later than any time.
NEVER = 1 << 62


class Block:
    """Some consecutive keys, never none, and their values.

    :ivar due: the owner's: the least of something about the values, or less; that of two merged blocks is the lesser one.
    """

    __slots__ = ("due", "epoch", "keys", "values")

    def __init__(self, epoch: int, keys: array[int], values: array[int], due: int = NEVER) -> None:
        self.epoch = epoch
        self.keys = keys
        self.values = values
        self.due = due


class PackedMap:
    """A sorted map of unsigned 64-bit numbers.

    :param most: how many keys a block has at most. A block is begun when a key comes after the last of a full one, and split
        where it comes between.
    """

    __slots__ = ("_epoch", "_firsts", "_most", "blocks", "count")

    def __init__(self, most: int) -> None:
        self.blocks: list[Block] = []
        self.count = 0
        self._firsts: list[int] = []  # no key of a block is below its first; it is not lowered by removals
        self._most = most
        self._epoch = 0

    def __len__(self) -> int:
        return self.count

    def _number(self, key: int) -> int:
        """Which block a key belongs to; there must be one."""
        return max(bisect_right(self._firsts, key) - 1, 0)

    def block_of(self, key: int) -> Block | None:
        """The block that a key belongs to, whether it is there or not; None if there is none at all."""
        return self.blocks[self._number(key)] if self.blocks else None

    def _own(self, number: int) -> Block:
        """A block that may be changed."""
        block = self.blocks[number]
        if block.epoch != self._epoch:
            block = Block(self._epoch, block.keys[:], block.values[:], block.due)
            self.blocks[number] = block
        return block

    def get(self, key: int) -> int | None:
        """The value, or None."""
        if not self.blocks:
            return None
        block = self.blocks[self._number(key)]
        at = bisect_left(block.keys, key)
        return block.values[at] if at < len(block.keys) and block.keys[at] == key else None

    def following(self, key: int) -> int | None:
        """The first key after this one, or None."""
        if self.blocks:
            number = self._number(key)
            for block in self.blocks[number : number + 2]:
                at = bisect_right(block.keys, key)
                if at < len(block.keys):
                    return block.keys[at]
        return None

    def count_before(self, end: int) -> int:
        """How many keys are less than `end`."""
        if not self.blocks:
            return 0
        number = self._number(end)
        return sum(len(block.keys) for block in self.blocks[:number]) + bisect_left(self.blocks[number].keys, end)

    def set(self, key: int, value: int) -> Block:
        """Add a key, or give it another value: the block it is in now."""
        if not self.blocks:
            return self._begin(0, key, value)
        number = self._number(key)
        block = self._own(number)
        keys = block.keys
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            block.values[at] = value
            return block
        if len(keys) >= self._most:
            if at == len(keys):
                return self._begin(number + 1, key, value)
            half = len(keys) // 2
            self.blocks.insert(number + 1, Block(self._epoch, keys[half:], block.values[half:], block.due))
            self._firsts.insert(number + 1, keys[half])
            del keys[half:], block.values[half:]
            if at > half:
                block, at = self.blocks[number + 1], at - half
        block.keys.insert(at, key)
        block.values.insert(at, value)
        if key < self._firsts[number]:
            self._firsts[number] = key
        self.count += 1
        return block

    def _begin(self, number: int, key: int, value: int) -> Block:
        block = Block(self._epoch, array("Q", (key,)), array("Q", (value,)))
        self.blocks.insert(number, block)
        self._firsts.insert(number, key)
        self.count += 1
        return block

    def pop(self, key: int) -> int | None:
        """Take a key away: its value, or None if it is not there."""
        if not self.blocks:
            return None
        number = self._number(key)
        keys = self.blocks[number].keys
        at = bisect_left(keys, key)
        if at == len(keys) or keys[at] != key:
            return None
        self.count -= 1
        if len(keys) == 1:
            value = self.blocks.pop(number).values[0]
            del self._firsts[number]
            return value
        block = self._own(number)
        del block.keys[at]
        value = block.values.pop(at)
        if len(block.keys) < self._most // 4:
            self._merge(number)
        return value

    def _merge(self, number: int) -> None:
        """Make one of a block and one beside it, where that is half a block."""
        for left in (number - 1, number):
            if left < 0 or left + 1 == len(self.blocks):
                continue
            right = self.blocks[left + 1]
            if len(self.blocks[left].keys) + len(right.keys) <= self._most // 2:
                block = self._own(left)
                block.keys.extend(right.keys)
                block.values.extend(right.values)
                block.due = min(block.due, right.due)
                del self.blocks[left + 1], self._firsts[left + 1]
                return

    def key_of(self, value: int) -> int | None:
        """The first key with this value. Looks through everything."""
        for block in self.blocks:
            if value in block.values:
                return block.keys[block.values.index(value)]
        return None

    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of everything as of now, block by block, as `restore` takes them (little-endian)."""
        self._epoch += 1
        return self._pieces(self.blocks[:], self._epoch)

    def _pieces(self, blocks: list[Block], epoch: int) -> Iterator[tuple[bytes, bytes]]:
        for block in blocks:
            yield _packed(block.keys), _packed(block.values)
            if epoch == self._epoch:
                block.epoch = epoch  # nobody wants it any more as it was

    def restore(self, keys: bytes, values: bytes) -> Block:
        """Take a piece back, after those that came before it.

        :raise ValueError: it is none, or not after those.
        """
        block = Block(self._epoch, _unpacked(keys), _unpacked(values))
        last = self.blocks[-1].keys[-1] if self.blocks else -1
        if not block.keys or len(block.keys) != len(block.values) or block.keys[0] <= last:
            raise ValueError(f"a piece of {len(keys)} and {len(values)} bytes: expected as many of keys above {last}")
        self.blocks.append(block)
        self._firsts.append(block.keys[0])
        self.count += len(block.keys)
        return block


def _packed(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _unpacked(content: bytes) -> array[int]:
    numbers = array("Q")
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
