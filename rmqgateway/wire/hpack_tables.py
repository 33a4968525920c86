"""The constants of HPACK (RFC 7541): the static table and the Huffman code.

The code of appendix B is canonical: codes count upwards within a length and lengths ascend, so the lengths alone say
everything. They are kept here as (length in bits, symbols) and expanded at import.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["ENTRY_OVERHEAD", "EOS", "HUFFMAN_CODES", "STATIC_TABLE", "Header"]

#: A header field: name and value.
Header: TypeAlias = tuple[bytes, bytes]

#: What an entry counts in a table or list beyond its name and value (RFC 7541 section 4.1).
ENTRY_OVERHEAD = 32

#: The symbol that never occurs in a string; its first bits pad one (RFC 7541 section 5.2).
EOS = 256

_METHODS_AND_STATUS: tuple[Header, ...] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
)

_NAMES_ONLY = (
    b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control"
    b" content-disposition content-encoding content-language content-length content-location content-range"
    b" content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range"
    b" if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range"
    b" referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary"
    b" via www-authenticate"
)

#: Appendix A. Entry n of the RFC stands at position n; position 0 is no entry.
STATIC_TABLE: tuple[Header, ...] = (
    (b"", b""),
    *_METHODS_AND_STATUS,
    *((name, b"") for name in _NAMES_ONLY.split(b" ")),
)

_SYMBOLS_BY_LENGTH: tuple[tuple[int, bytes], ...] = (
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b'!"()?'),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\x00$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\\xc3\xd0"),
    (20, b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"),
    (21, b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6"),
    (
        22,
        b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4"
        b"\xc6\xe4\xe8\xe9",
    ),
    (
        23,
        b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4"
        b"\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    ),
    (24, b"\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed"),
    (25, b"\xc7\xcf\xea\xeb"),
    (26, b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff"),
    (27, b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe"),
    (
        28,
        b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b"
        b"\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    ),
    (30, b"\x0a\x0d\x16"),
)


def _canonical_codes() -> tuple[tuple[int, int], ...]:
    codes = [(0, 0)] * 257
    code = length = 0
    for bits, symbols in _SYMBOLS_BY_LENGTH:
        code <<= bits - length
        length = bits
        for symbol in symbols:
            codes[symbol] = (code, bits)
            code += 1
    codes[EOS] = (code, length)
    return tuple(codes)


#: (code, length in bits) of each of the 256 symbols and of EOS (appendix B).
HUFFMAN_CODES: tuple[tuple[int, int], ...] = _canonical_codes()
