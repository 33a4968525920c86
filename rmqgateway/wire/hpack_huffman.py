"""Huffman coding of HPACK strings (RFC 7541 section 5.2), decoded a byte at a time.

A state is a node of the code tree at which a byte can end; its row maps the next input byte to the row that follows
and the symbols that this byte completed. A whole table has 65,000 entries and costs 60 ms to build; text touches a few
hundred of them, so an entry is worked out when it is first met. That memo is a function of the RFC alone.
"""

from __future__ import annotations

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_tables import EOS, HUFFMAN_CODES

__all__ = ["huffman_decode", "huffman_encode", "huffman_size"]


class _Node:
    """An inner node of the code tree: its two children are nodes, or symbols."""

    __slots__ = ("children", "row")

    def __init__(self) -> None:
        self.children: list[_Node | int | None] = [None, None]
        self.row: _Row | None = None


class _Row(dict[int, "tuple[_Row, bytes]"]):
    """The transitions of one state, filled as they are met."""

    __slots__ = ("may_end", "node")

    def __init__(self, node: _Node) -> None:
        super().__init__()
        self.node = node
        # A string may end here: what was read since the last symbol is a proper prefix of EOS, at most 7 bits.
        self.may_end = False

    def __missing__(self, byte: int) -> tuple[_Row, bytes]:
        node = self.node
        symbols = bytearray()
        for shift in range(7, -1, -1):
            child = node.children[byte >> shift & 1]
            if isinstance(child, _Node):
                node = child
            elif child is None or child == EOS:
                raise WireError("HPACK Huffman string: contains the end-of-string symbol")
            else:
                symbols.append(child)
                node = _ROOT
        if node.row is None:
            node.row = _Row(node)
        entry = self[byte] = (node.row, bytes(symbols))
        return entry


def _build_tree() -> tuple[_Node, _Row]:
    root = _Node()
    for symbol, (code, length) in enumerate(HUFFMAN_CODES):
        node = root
        for shift in range(length - 1, 0, -1):
            child = node.children[code >> shift & 1]
            if not isinstance(child, _Node):
                child = node.children[code >> shift & 1] = _Node()
            node = child
        node.children[code & 1] = symbol
    row = root.row = _Row(root)
    node = root
    for _ in range(8):  # the root and the seven nodes on the way of ones
        if node.row is None:
            node.row = _Row(node)
        node.row.may_end = True
        follower = node.children[1]
        if not isinstance(follower, _Node):
            break
        node = follower
    return root, row


_ROOT, _START = _build_tree()


def huffman_decode(data: bytes) -> bytes:
    """The string coded in `data`; padding and end-of-string faults are a WireError."""
    row = _START
    parts: list[bytes] = []
    append = parts.append
    for byte in data:
        row, symbols = row[byte]
        append(symbols)
    if not row.may_end:
        raise WireError("HPACK Huffman string: padding is not the first bits of the end-of-string symbol")
    return b"".join(parts)


def huffman_size(data: bytes) -> int:
    """Bytes that `huffman_encode` would need for `data`."""
    codes = HUFFMAN_CODES
    bits = 0
    for byte in data:
        bits += codes[byte][1]
    return (bits + 7) >> 3


def huffman_encode(data: bytes) -> bytes:
    """`data` Huffman coded, padded with ones to a whole byte."""
    codes = HUFFMAN_CODES
    value = length = 0
    for byte in data:
        code, bits = codes[byte]
        value = value << bits | code
        length += bits
    padding = -length & 7
    return (value << padding | (1 << padding) - 1).to_bytes((length + padding) >> 3, "big")
