"""fastjson's dialect."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.fastjson import ObjectKey, decode_fastjson, encode_fastjson, parse_fastjson

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
number = st.integers(-(2**53), 2**53)
plain = st.recursive(
    st.none() | st.booleans() | number | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
)
key = text | number | st.dictionaries(text, number | text, max_size=3).map(ObjectKey)
dialect = st.recursive(
    plain, lambda inner: st.dictionaries(key, inner, max_size=3) | st.lists(inner, max_size=3)
)


class Queue(msgspec.Struct, frozen=True, rename="camel"):
    broker_name: str
    queue_id: int


class Table(msgspec.Struct, rename="camel"):
    offset_table: dict[Queue, int]
    addresses: dict[int, str] = {}
    remark: str | None = None
    flags: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET


@given(dialect)
def test_round_trip(value: object) -> None:
    assert parse_fastjson(encode_fastjson(value)) == value


@given(plain)
def test_standard_json_is_read_as_json_reads_it(value: object) -> None:
    for written in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert parse_fastjson(written.encode()) == json.loads(written)


@given(dialect)
def test_standard_output_is_json(value: object) -> None:
    json.loads(encode_fastjson(value, standard=True))


@given(st.text(alphabet="{}[]:,\"'\\01eE.-x \nnulltrue\ud7ff", max_size=30) | st.text(max_size=20))
def test_garbage_raises_only_wire_errors(data: str) -> None:
    try:
        parse_fastjson(data.encode("utf-8", "surrogatepass"))
    except WireError as error:
        assert not error.fatal


def test_maps_into_structs_and_back() -> None:
    data = b'{"offsetTable":{{"brokerName":"b","queueId":0}:5},"addresses":{0:"a",1:"b"}}'
    table = decode_fastjson(data, Table)
    assert table.offset_table == {Queue("b", 0): 5}
    assert table.addresses == {0: "a", 1: "b"}
    assert encode_fastjson(table) == data
    assert encode_fastjson(table, standard=True) == (
        b'{"offsetTable":{"{\\"brokerName\\":\\"b\\",\\"queueId\\":0}":5},"addresses":{"0":"a","1":"b"}}'
    )
    assert encode_fastjson(Table({}, flags=())) == b'{"offsetTable":{},"addresses":{},"flags":[]}'


def test_what_fastjson_takes_besides() -> None:
    assert parse_fastjson(b"{'a':'it\\'s',b:1,$c:{},\"a2\":[1,,2,],}") == {
        "a": "it's",
        "b": 1,
        "$c": {},
        "a2": [1, 2],
    }
    assert parse_fastjson(b'"\\x41\\u4f60\\0\\ud83d\\ude00\\ud83d"') == "A你\0😀\ufffd"
    assert parse_fastjson(b'["raw\ttab\n", 1L, 2.5D, -3e2]') == ["raw\ttab\n", 1, 2.5, -300.0]
    assert parse_fastjson(b'{1:{x:"loose"}}') == {1: {"x": "loose"}}
    assert parse_fastjson(b'{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "a value, got the end"),
        (b"{", "a value"),
        (b'{"a"', "':'"),
        (b'{"a":1', "',' or '}'"),
        (b"[1", "',' or ']'"),
        (b'"abc', "a string that ends"),
        (b'"\\q"', "a known escape"),
        (b"1 2", "the end, got '2'"),
        (b"{1.5:2}", "a key"),
        (b"{,:1}", "a value"),
        (b"1.2.3", "a value"),
        (b"1" * 500, "a value"),
        (b"\xff", "UTF-8"),
        (b"[" * 65, "at most 64 levels"),
        (b"{1:" * 65, "at most 64 levels"),
        (b"'\"'" + b"[" * 5000, "the end"),
        (b"['\"'," + b"[" * 5000, "at most 64 levels"),
        (b" " * 2000, "at most 1000 bytes"),
    ],
)
def test_bad_input_names_the_place(data: bytes, expected: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_fastjson(data, max_bytes=1000 if b"  " in data else 10**6)
    assert not caught.value.fatal
    assert expected in caught.value.message


def test_recursion_is_a_wire_error_whatever_the_limit() -> None:
    with pytest.raises(WireError, match="too deep"):
        parse_fastjson(b"[" * 5000, max_depth=10**6)


def test_wrong_type_names_the_field() -> None:
    with pytest.raises(WireError, match="offsetTable"):
        decode_fastjson(b'{"offsetTable":5}', Table)
