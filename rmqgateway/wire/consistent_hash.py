"""Which queue a message group goes to: Java's ``String.hashCode`` and Guava's ``Hashing.consistentHash``.

Apache's proxy chooses the queue of an ordered message so (``SendMessageActivity`` of 5.5.0): a group keeps its queue while
the number of queues stays, and few groups move when it grows.
"""

from __future__ import annotations

__all__ = ["consistent_hash", "java_hash"]

_MASK = (1 << 64) - 1


def java_hash(text: str) -> int:
    """``text.hashCode()`` of Java: over UTF-16 code units, as a signed 32-bit number."""
    value = 0
    if text.isascii():
        for unit in text.encode():
            value = value * 31 + unit & 0xFFFFFFFF
    else:
        data = text.encode("utf-16-le", "surrogatepass")
        for at in range(0, len(data), 2):
            value = value * 31 + (data[at] | data[at + 1] << 8) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def consistent_hash(value: int, buckets: int) -> int:
    """The bucket, 0 to `buckets` - 1, of a number. :param buckets: at least 1."""
    state = value & _MASK
    candidate = 0
    while True:
        # Guava's linear congruential generator; its double is exact.
        state = (2862933555777941757 * state + 1) & _MASK
        following = int((candidate + 1) / (((state >> 33) + 1) / 2147483648.0))
        if following >= buckets:
            return candidate
        candidate = following
