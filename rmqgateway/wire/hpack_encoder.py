"""HPACK encoding (RFC 7541): a header list in, a block out.

What a server says is nearly always the same: only fields of stated names enter the dynamic table, and a list whose
encoding changed nothing in the table is remembered until the table changes. A typical gRPC response costs one look-up.
"""

from __future__ import annotations

from collections.abc import Iterable

from rmqgateway.wire.hpack_huffman import huffman_encode
from rmqgateway.wire.hpack_tables import ENTRY_OVERHEAD, STATIC_TABLE, Header

__all__ = ["INDEXED_NAMES", "SENSITIVE_NAMES", "HpackEncoder"]

#: Names whose values repeat on one connection, so that a place in the table pays.
INDEXED_NAMES = frozenset(
    {
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"cache-control",
        b"content-encoding",
        b"content-type",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"grpc-status",
        b"server",
        b"vary",
    }
)
#: Names whose values must not enter any table on the way (RFC 7541 section 7.1.3).
SENSITIVE_NAMES = frozenset(
    {b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"x-mq-session-token"}
)

_STATIC_FIELDS = {field: index for index, field in reversed(list(enumerate(STATIC_TABLE))) if index}
_STATIC_NAMES = {field[0]: index for index, field in reversed(list(enumerate(STATIC_TABLE))) if index}

_CACHED_LISTS = 64
_LONGEST_CACHED = 512
_LONGEST_HUFFMAN = 1024


class HpackEncoder:
    """The encoding half of one connection.

    :param max_table_size: bytes that we are willing to keep, whatever the peer permits; 0 never indexes.
    :param huffman: code strings where that is shorter; costs far more than the bytes that it saves on a fast network.
    :param indexed: names whose fields enter the dynamic table.
    :param sensitive: names whose fields are marked never indexed.
    """

    __slots__ = (
        "_blocks",
        "_entries",
        "_huffman",
        "_indexed",
        "_largest",
        "_least",
        "_sensitive",
        "_size",
        "_table_size",
    )

    def __init__(
        self,
        max_table_size: int = 4096,
        *,
        huffman: bool = False,
        indexed: frozenset[bytes] = INDEXED_NAMES,
        sensitive: frozenset[bytes] = SENSITIVE_NAMES,
    ) -> None:
        self._largest = max_table_size
        self._table_size = 4096
        # The least size passed through since the last block, where a change is to be announced.
        self._least: int | None = None
        self._huffman = huffman
        self._indexed = indexed
        self._sensitive = sensitive
        self._entries: list[Header] = []
        self._size = 0
        self._blocks: dict[tuple[Header, ...], bytes] = {}
        if max_table_size < 4096:
            self.set_table_size(max_table_size)

    @property
    def entries(self) -> list[Header]:
        """The dynamic table, newest first."""
        return self._entries[::-1]

    def set_table_size(self, permitted: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE; a change is announced in the next block."""
        size = min(permitted, self._largest)
        if size == self._table_size and self._least is None:
            return
        self._least = size if self._least is None else min(self._least, size)
        self._table_size = size
        self._blocks.clear()
        self._evict(size)

    def encode(self, headers: Iterable[Header]) -> bytes:
        """The block of `headers`; blocks must leave in the order of these calls."""
        key = headers if type(headers) is tuple else tuple(headers)
        block = self._blocks.get(key)
        if block is not None:
            return block
        out = bytearray()
        changed = False
        if self._least is not None:
            changed = True
            if self._least < self._table_size:
                _put_integer(out, 0x20, 0x1F, self._least)
            _put_integer(out, 0x20, 0x1F, self._table_size)
            self._least = None
        for header in key:
            if self._put(out, header):
                changed = True
        block = bytes(out)
        if changed:
            self._blocks.clear()
        elif len(block) <= _LONGEST_CACHED:
            if len(self._blocks) >= _CACHED_LISTS:
                self._blocks.clear()
            self._blocks[key] = block
        return block

    def _put(self, out: bytearray, header: Header) -> bool:
        """Append one field; true where it entered the table."""
        name, value = header
        name_index = _STATIC_NAMES.get(name, 0)
        if name in self._sensitive:
            _put_integer(out, 0x10, 0x0F, name_index)
        else:
            index = _STATIC_FIELDS.get(header)
            if index is None and header in self._entries:
                index = 61 + len(self._entries) - self._entries.index(header)
            if index is not None:
                _put_integer(out, 0x80, 0x7F, index)
                return False
            size = len(name) + len(value) + ENTRY_OVERHEAD
            if name in self._indexed and size <= self._table_size >> 2:
                _put_integer(out, 0x40, 0x3F, name_index)
                if not name_index:
                    self._put_string(out, name)
                self._put_string(out, value)
                self._evict(self._table_size - size)
                self._entries.append(header)
                self._size += size
                return True
            _put_integer(out, 0x00, 0x0F, name_index)
        if not name_index:
            self._put_string(out, name)
        self._put_string(out, value)
        return False

    def _put_string(self, out: bytearray, data: bytes) -> None:
        if self._huffman and len(data) <= _LONGEST_HUFFMAN:
            coded = huffman_encode(data)
            if len(coded) < len(data):
                _put_integer(out, 0x80, 0x7F, len(coded))
                out += coded
                return
        _put_integer(out, 0x00, 0x7F, len(data))
        out += data

    def _evict(self, room: int) -> None:
        """Drop the oldest entries until the rest fit into `room` bytes."""
        count = 0
        while self._size > room:
            name, value = self._entries[count]
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD
            count += 1
        del self._entries[:count]


def _put_integer(out: bytearray, pattern: int, prefix: int, value: int) -> None:
    """An integer after the bits of `pattern`; `prefix` is the largest value that fits beside them (section 5.1)."""
    if value < prefix:
        out.append(pattern | value)
        return
    out.append(pattern | prefix)
    value -= prefix
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
