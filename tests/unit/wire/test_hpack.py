"""HPACK: the vectors of RFC 7541, every refusal, and the hpack package as an oracle."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack import (
    Header,
    HeaderListTooLarge,
    HpackDecoder,
    HpackEncoder,
    field_is_valid,
    huffman_decode,
    huffman_encode,
)
from rmqgateway.wire.hpack_huffman import huffman_size
from rmqgateway.wire.hpack_tables import HUFFMAN_CODES, STATIC_TABLE

_REQUEST_1 = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"www.example.com"),
]
_REQUEST_2 = [*_REQUEST_1, (b"cache-control", b"no-cache")]
_REQUEST_3 = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]
_DATE = b"Mon, 21 Oct 2013 20:13:21 GMT"
_LOCATION = (b"location", b"https://www.example.com")
_PRIVATE = (b"cache-control", b"private")
_RESPONSE_1 = [(b":status", b"302"), _PRIVATE, (b"date", _DATE), _LOCATION]
_RESPONSE_2 = [(b":status", b"307"), _PRIVATE, (b"date", _DATE), _LOCATION]
_RESPONSE_3 = [
    (b":status", b"200"),
    _PRIVATE,
    (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
    _LOCATION,
    (b"content-encoding", b"gzip"),
    (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
]

#: RFC 7541 appendix C: table size, then (block, list, bytes in the dynamic table afterwards).
_VECTORS: dict[str, tuple[int, list[tuple[str, list[Header], int]]]] = {
    "C.2.1": (
        4096,
        [
            (
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                [(b"custom-key", b"custom-header")],
                55,
            )
        ],
    ),
    "C.2.2": (4096, [("040c 2f73 616d 706c 652f 7061 7468", [(b":path", b"/sample/path")], 0)]),
    "C.2.3": (4096, [("1008 7061 7373 776f 7264 0673 6563 7265 74", [(b"password", b"secret")], 0)]),
    "C.2.4": (4096, [("82", [(b":method", b"GET")], 0)]),
    "C.3": (
        4096,
        [
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", _REQUEST_1, 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", _REQUEST_2, 110),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", _REQUEST_3, 164),
        ],
    ),
    "C.4": (
        4096,
        [
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", _REQUEST_1, 57),
            ("8286 84be 5886 a8eb 1064 9cbf", _REQUEST_2, 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", _REQUEST_3, 164),
        ],
    ),
    "C.5": (
        256,
        [
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133"
                "3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                _RESPONSE_1,
                222,
            ),
            ("4803 3330 37c1 c0bf", _RESPONSE_2, 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a"
                "6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d"
                "6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                _RESPONSE_3,
                215,
            ),
        ],
    ),
    "C.6": (
        256,
        [
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d"
                "29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                _RESPONSE_1,
                222,
            ),
            ("4883 640e ffc1 c0bf", _RESPONSE_2, 222),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d"
                "d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106"
                "3d50 07",
                _RESPONSE_3,
                215,
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", _VECTORS)
def test_the_vectors_of_the_rfc(name: str) -> None:
    table_size, steps = _VECTORS[name]
    decoder = HpackDecoder(table_size)
    for block, headers, size in steps:
        assert decoder.decode(bytes.fromhex(block)) == headers
        assert decoder.size == size
    assert not decoder.tainted


@pytest.mark.parametrize(("name", "huffman"), [("C.3", False), ("C.4", True)])
def test_the_encoder_writes_the_vectors_of_the_rfc(name: str, huffman: bool) -> None:
    names = frozenset(header[0] for header in _REQUEST_2 + _REQUEST_3)
    encoder = HpackEncoder(huffman=huffman, indexed=names)
    decoder = HpackDecoder()
    for block, headers, _ in _VECTORS[name][1]:
        assert encoder.encode(headers) == bytes.fromhex(block)
        decoder.decode(bytes.fromhex(block))
        assert encoder.entries == decoder.entries


def test_tables_are_those_of_the_rfc() -> None:
    from hpack import huffman_constants, table

    assert [code for code, _ in HUFFMAN_CODES] == huffman_constants.REQUEST_CODES
    assert [length for _, length in HUFFMAN_CODES] == huffman_constants.REQUEST_CODES_LENGTH
    assert STATIC_TABLE[1:] == tuple(table.HeaderTable.STATIC_TABLE)


@given(st.binary(max_size=300))
def test_huffman_round_trip(data: bytes) -> None:
    coded = huffman_encode(data)
    assert len(coded) == huffman_size(data)
    assert huffman_decode(coded) == data


@pytest.mark.parametrize(
    "coded",
    [
        "ffffffff",  # EOS
        "1fff",  # 'a' and then 11 bits of padding
        "18",  # 'a' and padding of zeros
        "ff",  # 8 bits of padding
    ],
)
def test_huffman_refuses_bad_endings(coded: str) -> None:
    for _ in range(2):  # the second time from the memo
        with pytest.raises(WireError):
            huffman_decode(bytes.fromhex(coded))


_BAD_BLOCKS = {
    "index 0": "80",
    "index beyond the static table": "be",
    "index far beyond": "ffff7f",
    "name index beyond": "7f0000",
    "integer without end": "ff",
    "integer of six bytes": "ff808080808001",
    "string longer than the block": "00036162",
    "value longer than the block": "000161056263",
    "long string beyond the block": "007fff7f61",
    "no value": "000161",
    "no name": "00",
    "table size after a field": "8220",
    "table size above the limit": "3fe21f",
    "Huffman with a bad end": "0081ff00",
}


@pytest.mark.parametrize("name", _BAD_BLOCKS)
def test_every_bad_block_is_a_fatal_wire_error(name: str) -> None:
    with pytest.raises(WireError) as caught:
        HpackDecoder().decode(bytes.fromhex(_BAD_BLOCKS[name]))
    assert caught.value.fatal


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = HpackDecoder(64)
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.size == 34
    decoder.decode(b"\x40\x01a\x40" + b"v" * 64)
    assert (decoder.size, decoder.entries) == (0, [])


def test_table_size_update_evicts_and_may_grow_again() -> None:
    decoder = HpackDecoder()
    decoder.decode(b"\x40\x01a\x01b\x40\x01c\x01d")
    decoder.decode(b"\x3f\x03")  # 34: one entry
    assert decoder.entries == [(b"c", b"d")]
    decoder.decode(b"\x20\x3f\xe1\x1f\xbe"[:4])  # 0 and then 4096
    assert (decoder.entries, decoder.table_size) == ([], 4096)


def test_a_smaller_table_must_be_confirmed() -> None:
    decoder = HpackDecoder()
    decoder.decode(b"\x82")
    decoder.set_max_table_size(100)
    with pytest.raises(WireError):
        decoder.decode(b"\x82")
    decoder = HpackDecoder()
    decoder.set_max_table_size(100)
    with pytest.raises(WireError):
        decoder.decode(b"")
    decoder = HpackDecoder()
    decoder.set_max_table_size(100)
    assert decoder.decode(b"\x3f\x45\x82") == [(b":method", b"GET")]
    assert decoder.decode(b"\x82") == [(b":method", b"GET")]


def test_a_list_over_the_limit_is_refused_with_the_table_in_step() -> None:
    decoder = HpackDecoder(max_header_list_size=1000)
    with pytest.raises(HeaderListTooLarge) as caught:
        decoder.decode(b"\x40\x01a\x7f\xe1\x07" + b"v" * 1120)
    assert not caught.value.fatal
    assert decoder.decode(b"\x7e\x01w") == [(b"a", b"w")]


def test_a_bomb_of_references_is_refused() -> None:
    decoder = HpackDecoder(max_headers=10**6)
    decoder.decode(b"\x40\x01a\x7f\x81\x1e" + b"v" * 3968)
    with pytest.raises(HeaderListTooLarge):
        decoder.decode(b"\xbe" * 5)
    with pytest.raises(HeaderListTooLarge):
        HpackDecoder().decode(b"\x82" * 129)
    assert len(HpackDecoder().decode(b"\x82" * 128)) == 128


def test_blocks_are_remembered_until_the_table_changes() -> None:
    decoder = HpackDecoder()
    decoder.decode(b"\x40\x01a\x01b")
    first = decoder.decode(b"\x82\xbe")
    first.append((b"mine", b""))
    assert decoder.decode(b"\x82\xbe") == [(b":method", b"GET"), (b"a", b"b")]
    decoder.decode(b"\x40\x01c\x01d")
    assert decoder.decode(b"\x82\xbe") == [(b":method", b"GET"), (b"c", b"d")]
    for number in range(100):
        decoder.decode(b"\x00\x01n\x01%c" % (33 + number % 90))
    assert len(decoder._blocks) <= 16


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        (b"a-b_c.1", b"x y", True),
        (b"A", b"x", False),
        (b"", b"x", False),
        (b":path", b"/", True),
        (b":unknown", b"/", False),
        (b"a", b"x\ny", False),
        (b"a", b"x\0", False),
        (b"a", b" x", False),
        (b"a", b"x\t", False),
        (b"a", b"", True),
        (b"a", b"\xff\x01", True),
    ],
)
def test_fields_that_http_forbids_taint_the_connection(name: bytes, value: bytes, valid: bool) -> None:
    decoder = HpackDecoder()
    assert decoder.decode(hpack.Encoder().encode([(name, value)])) == [(name, value)]
    assert decoder.tainted is not valid
    assert field_is_valid(name, value) is valid


def test_sensitive_fields_are_never_indexed() -> None:
    encoder = HpackEncoder()
    assert encoder.encode([(b"x-mq-session-token", b"t")])[0] == 0x10
    assert encoder.encode([(b"set-cookie", b"c")])[:2] == b"\x1f\x28"  # name 55
    assert encoder.entries == []


def test_the_encoder_remembers_lists_until_its_table_changes() -> None:
    encoder = HpackEncoder()
    head = ((b":status", b"200"), (b"content-type", b"application/grpc"))
    first = encoder.encode(head)
    second = encoder.encode(head)
    assert len(second) == 2 < len(first)
    assert encoder.encode(list(head)) is second  # one entry, whatever it is given in
    encoder.encode([(b"server", b"x")])
    assert encoder.encode(head) == b"\x88\xbf"
    for number in range(200):
        encoder.encode([(b"n", b"%d" % number)])
    assert len(encoder._blocks) <= 64


def test_encoder_announces_a_changed_table_size() -> None:
    encoder = HpackEncoder()
    decoder = HpackDecoder()
    decoder.decode(encoder.encode([(b"server", b"x")]))
    encoder.set_table_size(4096)
    assert encoder.encode([(b"server", b"x")]) == b"\xbe"
    encoder.set_table_size(0)
    encoder.set_table_size(200)
    block = encoder.encode([(b"server", b"x")])
    assert block[:3] == b"\x20\x3f\xa9"  # 0, then 200
    assert decoder.decode(block) == [(b"server", b"x")]
    assert decoder.table_size == 200
    assert HpackEncoder(0).encode([(b"server", b"x")]) == b"\x20\x0f\x27\x01x"


_FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"a", b"server", b"content-type", b"x-long-name", b"cookie", b":status", b"grpc-status"]
        )
        | st.binary(min_size=1, max_size=12),
        st.sampled_from([b"", b"200", b"application/grpc"]) | st.binary(max_size=60),
    ),
    max_size=12,
)


@given(st.lists(st.tuples(_FIELDS, st.booleans(), st.none() | st.integers(0, 4096)), max_size=12))
def test_the_decoder_reads_what_the_hpack_package_writes(
    steps: list[tuple[list[Header], bool, int | None]],
) -> None:
    encoder = hpack.Encoder()
    decoder = HpackDecoder()
    for headers, huffman, size in steps:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(headers, huffman=huffman)) == headers


@given(
    st.booleans(),
    st.integers(0, 5000),
    st.lists(st.tuples(_FIELDS, st.none() | st.integers(0, 4096)), max_size=12),
)
def test_the_hpack_package_reads_what_the_encoder_writes(
    huffman: bool, largest: int, steps: list[tuple[list[Header], int | None]]
) -> None:
    encoder = HpackEncoder(largest, huffman=huffman)
    decoder = hpack.Decoder()
    ours = HpackDecoder(4096)
    for headers, size in steps:
        if size is not None:
            encoder.set_table_size(size)
        block = encoder.encode(headers)
        assert [(bytes(n), bytes(v)) for n, v in decoder.decode(block, raw=True)] == headers
        assert ours.decode(block) == headers
        assert ours.entries == encoder.entries


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_garbage_raises_only_wire_errors(blocks: list[bytes]) -> None:
    decoder = HpackDecoder()
    for block in blocks:
        try:
            decoder.decode(block)
        except WireError:
            pass
        assert decoder.size <= 4096
