"""The guarded JSON decoder."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.jsonlimits import check_depth, decode_json


class Thing(msgspec.Struct):
    name: str
    parts: list[int] = []


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


values = st.recursive(
    st.none() | st.integers(-1000, 1000) | st.text('ab{}[]"\\é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('a["\\', max_size=3), inner, max_size=3)
    ),
)


@given(values, st.booleans())
def test_depth_is_counted_outside_strings(value: object, spaced: bool) -> None:
    data = json.dumps(value, indent=1 if spaced else None).encode()
    deep = depth(value)
    assert decode_json(data, 10**6, deep) == value
    if deep:
        with pytest.raises(WireError, match=r"levels, got more \(byte \d+\)"):
            check_depth(data, deep - 1)


@given(st.binary(max_size=60) | st.text('{}[]:,"\\u12eE-.', max_size=40).map(str.encode), st.booleans())
def test_garbage_raises_only_wire_errors(data: bytes, refuse: bool) -> None:
    try:
        decode_json(data, 1000, 5, refuse)
    except WireError as error:
        assert not error.fatal


def test_types() -> None:
    assert decode_json(b'{"name":"x","parts":[1]}', 100, type=Thing) == Thing("x", [1])
    with pytest.raises(WireError, match=r"Expected `int`.*\$\.parts\[0\]"):
        decode_json(b'{"name":"x","parts":["1"]}', 100, type=Thing)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"x" * 101, "at most 100 bytes, got 101"),
        (b"[" * 50, "at most 8 levels"),
        (b'["' + b'\\"' * 40 + b"[" * 9, "truncated"),
        (b'"' + b"[" * 20 + b"\\", "truncated"),
        (b'{"a":1', "truncated"),
        (b'"\xff"', "UTF-8"),
        (b'{"a":1e999}', "out of range"),
        (b'"\\ud800"', "truncated"),
        (b"nan", "truncated"),
    ],
)
def test_bad_documents(data: bytes, expected: str) -> None:
    with pytest.raises(WireError) as caught:
        decode_json(data, 100, 8)
    assert not caught.value.fatal
    assert expected in caught.value.message


def test_duplicates() -> None:
    data = b'{"a":1,"b":{"x":1,"\\u0078":2}}'
    assert decode_json(data, 100) == {"a": 1, "b": {"x": 2}}
    with pytest.raises(WireError, match="'x' twice"):
        decode_json(data, 100, refuse_duplicates=True)
    assert decode_json(b'{"a":{"x":1},"b":{"x":1}}', 100, refuse_duplicates=True) is not None


def test_huge_integers_never_escape() -> None:
    for refuse in (False, True):
        with pytest.raises(WireError):
            decode_json(b"1" * 100_000, 10**6, refuse_duplicates=refuse)


def test_checking_depth_is_linear() -> None:
    check_depth(b'"' + b'\\"' * 1_000_000 + b"[" * 100, 8)
    check_depth(b'"\\' + b'"\\' * 1_000_000 + b"[" * 0, 8)
