"""Bodies of batch sends."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.message_batch import BatchedMessage, decode_batch, encode_batch

messages = st.builds(
    BatchedMessage, st.binary(max_size=50), st.binary(max_size=50), st.integers(-(2**31), 2**31 - 1)
)


@given(st.lists(messages, max_size=5))
def test_round_trip(many: list[BatchedMessage]) -> None:
    assert decode_batch(encode_batch(many)) == many


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_lies_raise_only_wire_errors(many: list[BatchedMessage], data: st.DataObject) -> None:
    raw = bytearray(encode_batch(many))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_batch(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except WireError as error:
        assert not error.fatal
    else:
        assert sum(len(one.body) + len(one.properties) + 22 for one in found) <= len(raw)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"short", "at least 22"),
        (struct.pack(">IiiiIH", 21, 0, 0, 0, 0, 0), "expected 22..22"),
        (struct.pack(">IiiiIH", 0xFFFFFFFF, 0, 0, 0, 0, 0), "expected 22..22"),
        (struct.pack(">IiiiIH", 22, 0, 0, 0, 1, 0), "body size: expected at most 0"),
        (struct.pack(">IiiiIH", 22, 0, 0, 0, 0, 1), "properties size: expected 0"),
    ],
)
def test_named_lies(data: bytes, expected: str) -> None:
    with pytest.raises(WireError, match=expected) as caught:
        decode_batch(data)
    assert not caught.value.fatal


def test_limits() -> None:
    data = encode_batch([BatchedMessage(b"")] * 3)
    with pytest.raises(WireError, match="at most 2"):
        decode_batch(data, max_messages=2)
    with pytest.raises(WireError, match="32767"):
        encode_batch([BatchedMessage(b"", b"p" * 32768)])
