"""HPACK decoding (RFC 7541): a header block in, the header list out.

The table is a list with the newest entry last, so entry 62 of the RFC is ``[-1]`` and a wrong index is an IndexError.
A block that changed nothing in the table is remembered until the table changes: an idle poller that repeats its block
is answered from there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_huffman import huffman_decode
from rmqgateway.wire.hpack_tables import ENTRY_OVERHEAD, STATIC_TABLE, Header

__all__ = ["HeaderBomb", "HeaderListTooLarge", "HpackDecoder"]

#: What both sides assume before SETTINGS say otherwise (RFC 9113 section 6.5.2).
DEFAULT_TABLE_SIZE = 4096

_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol", b":status"})
# RFC 9110 section 5.1 token, lower case only (RFC 9113 section 8.2.1).
_valid_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
# RFC 9113 section 8.2.1: no NUL, CR or LF, no white space at either end.
_valid_value = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])").fullmatch

#: Up to so many coded bytes a string may be one that comes again and again: names, versions, languages. What is new with
#: each request (ids, signatures) is longer.
_SHORT = 20
_decode_short = lru_cache(512)(huffman_decode)

_CACHED_BLOCKS = 16
_CACHED_BLOCK_SIZE = 512
#: A block of so many times the fields that a list may have is no mistake.
_BOMB = 8
#: Bytes of a block between two looks at how many fields it has; most blocks are shorter.
_LOOK_EVERY = 1024


def field_is_valid(name: bytes, value: bytes) -> bool:
    """Whether HTTP/2 permits this field name and value in any section (RFC 9113 section 8.2.1)."""
    if not _valid_name(name) and name not in _PSEUDO:
        return False
    return _valid_value(value) is not None


class HeaderListTooLarge(WireError):
    """The block was decoded and the table is in step, but its list is over a limit: refuse this one stream."""

    def __init__(self, message: str) -> None:
        super().__init__(message, fatal=False)


class HeaderBomb(WireError):
    """The block has far more fields than any list may have; the table is not in step any more."""


class HpackDecoder:
    """The decoding half of one connection.

    :param max_table_size: bytes of dynamic table that our SETTINGS permit (see :meth:`set_max_table_size`).
    :param max_header_list_size: bytes of one decoded list, 32 per field included; as our SETTINGS announce.
    :param max_headers: fields of one list.
    :ivar tainted: once true, some field on this connection was not what HTTP/2 permits (:func:`field_is_valid`);
        every list has to be looked at. While false, all fields ever decoded were valid: indexed ones cost no check.
    """

    __slots__ = (
        "_blocks",
        "_entries",
        "_largest",
        "_must_shrink",
        "_size",
        "max_header_list_size",
        "max_headers",
        "max_table_size",
        "table_size",
        "tainted",
    )

    def __init__(
        self,
        max_table_size: int = DEFAULT_TABLE_SIZE,
        max_header_list_size: int = 16 * 1024,
        max_headers: int = 128,
    ) -> None:
        self.max_table_size = max_table_size
        self.max_header_list_size = max_header_list_size
        self.max_headers = max_headers
        self.table_size = min(max_table_size, DEFAULT_TABLE_SIZE)
        self.tainted = False
        self._entries: list[Header] = []
        self._size = 0
        # Never below the size of any field that was ever seen: bounds a list without adding it up.
        self._largest = 64
        self._must_shrink = False
        self._blocks: dict[bytes, tuple[Header, ...]] = {}

    @property
    def entries(self) -> list[Header]:
        """The dynamic table, newest first."""
        return self._entries[::-1]

    @property
    def size(self) -> int:
        """Bytes in the dynamic table by the RFC's count."""
        return self._size

    def set_max_table_size(self, size: int) -> None:
        """Our SETTINGS_HEADER_TABLE_SIZE was acknowledged; a smaller one must be confirmed by the next block
        (RFC 7541 section 4.2)."""
        self.max_table_size = size
        self._must_shrink = self.table_size > size
        self._blocks.clear()

    def decode(self, block: bytes) -> list[Header]:
        """The header list of `block`.

        Raises :class:`HeaderListTooLarge` for a list over the limits, HeaderBomb for one so far over them that it is not
        decoded to its end, else a fatal WireError: COMPRESSION_ERROR.
        """
        known = self._blocks.get(block)
        if known is not None:
            return list(known)
        entries = self._entries
        headers: list[Header] = []
        append = headers.append
        static = STATIC_TABLE
        untouched = True
        pos = 0
        end = len(block)
        stop = end if end < _LOOK_EVERY else _LOOK_EVERY
        most = _BOMB * self.max_headers
        if self._must_shrink and (not block or block[0] & 0xE0 != 0x20):
            raise WireError("HPACK: the smaller table of our SETTINGS was not confirmed by the encoder")
        try:
            while True:
                while pos < stop:
                    byte = block[pos]
                    pos += 1
                    if byte >= 0x80:  # indexed field (section 6.1)
                        if byte >= 0xBE:
                            if byte != 0xFF:
                                append(entries[0xBD - byte])
                            else:
                                index, pos = _integer(block, pos, 0x7F)
                                append(entries[61 - index])
                        elif byte != 0x80:
                            append(static[byte & 0x7F])
                        else:
                            raise WireError("HPACK: index 0 in an indexed field")
                        continue
                    if byte >= 0x40:  # literal with incremental indexing (section 6.2.1)
                        index = byte & 0x3F
                        mask = 0x3F
                    elif byte >= 0x20:  # table size update (section 6.3)
                        size = byte & 0x1F
                        if size == 0x1F:
                            size, pos = _integer(block, pos, 0x1F)
                        self._resize(size, bool(headers))
                        untouched = False
                        continue
                    else:  # literal without indexing, or never indexed (sections 6.2.2, 6.2.3)
                        index = byte & 0x0F
                        mask = 0x0F
                    if index == mask:
                        index, pos = _integer(block, pos, mask)
                    if index == 0:
                        length = block[pos]
                        pos += 1
                        if length >= 0x7F:
                            name, pos = _string(block, pos, length)
                        else:
                            name = block[pos : pos + length]
                            pos += length
                        if not _valid_name(name) and name not in _PSEUDO:
                            self.tainted = True
                    elif index <= 61:
                        name = static[index][0]
                    else:
                        name = entries[61 - index][0]
                    length = block[pos]
                    pos += 1
                    if length >= 0x7F:
                        value, pos = _string(block, pos, length)
                    else:
                        value = block[pos : pos + length]
                        pos += length
                    if not _valid_value(value):
                        self.tainted = True
                    header = (name, value)
                    append(header)
                    size = len(name) + len(value) + ENTRY_OVERHEAD
                    if size > self._largest:
                        self._largest = size
                    if mask == 0x3F:
                        untouched = False
                        entries.append(header)
                        self._size += size
                        if self._size > self.table_size:
                            self._evict()
                if pos >= end:
                    break
                if len(headers) > most:
                    raise HeaderBomb(f"HPACK: a header block of over {most} fields")
                stop = min(end, pos + _LOOK_EVERY)
        except IndexError:
            raise WireError("HPACK: block ends within a field, or an index is beyond the table") from None
        if pos != end:
            raise WireError("HPACK: a string is longer than its block")
        if len(headers) * self._largest > self.max_header_list_size or len(headers) > self.max_headers:
            self._check_list(headers)
        blocks = self._blocks
        if not untouched:
            if blocks:
                blocks.clear()
        elif end <= _CACHED_BLOCK_SIZE and len(blocks) < _CACHED_BLOCKS:
            blocks[block] = tuple(headers)
        return headers

    def _check_list(self, headers: list[Header]) -> None:
        if len(headers) > self.max_headers:
            raise HeaderListTooLarge(f"header list: at most {self.max_headers} fields, got {len(headers)}")
        size = sum(len(name) + len(value) for name, value in headers) + ENTRY_OVERHEAD * len(headers)
        if size > self.max_header_list_size:
            raise HeaderListTooLarge(f"header list: at most {self.max_header_list_size} bytes, got {size}")

    def _resize(self, size: int, late: bool) -> None:
        if late:
            raise WireError("HPACK: table size update after a field (section 4.2)")
        if size > self.max_table_size:
            raise WireError(f"HPACK: table size at most {self.max_table_size}, got {size}")
        self._must_shrink = False
        self.table_size = size
        if self._size > size:
            self._evict()

    def _evict(self) -> None:
        entries = self._entries
        size = self._size
        count = 0
        while size > self.table_size:
            name, value = entries[count]
            size -= len(name) + len(value) + ENTRY_OVERHEAD
            count += 1
        del entries[:count]
        self._size = size


def _integer(block: bytes, pos: int, prefix: int) -> tuple[int, int]:
    """The value and end of an integer whose prefix was all ones (section 5.1); at most 28 bits more."""
    value = prefix
    shift = 0
    while shift < 28:
        byte = block[pos]
        pos += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
    raise WireError("HPACK: integer of more than five bytes")


def _string(block: bytes, pos: int, first: int) -> tuple[bytes, int]:
    """The string whose length byte was `first`, long or Huffman coded, and where it ends (section 5.2)."""
    length = first & 0x7F
    if length == 0x7F:
        length, pos = _integer(block, pos, 0x7F)
    end = pos + length
    if end > len(block):
        raise WireError("HPACK: a string is longer than its block")
    if first >= 0x80:
        coded = block[pos:end]
        return (_decode_short(coded) if length <= _SHORT else huffman_decode(coded)), end
    return block[pos:end], end
