"""Property strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.message_const import (
    PROPERTY_KEYS,
    SYSTEM_PROPERTIES,
    CompressionType,
    compression_type,
)
from rmqgateway.wire.message_properties import (
    decode_properties,
    encode_properties,
    find_property,
    set_property,
    without_property,
)

word = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x01\x02"), min_size=1, max_size=8
)


@given(st.dictionaries(word, word, max_size=8))
def test_round_trip(properties: dict[str, str]) -> None:
    assert decode_properties(encode_properties(properties)) == properties


@given(st.lists(st.sampled_from([b"a", b"b", b"ab", b"\x01", b"\x02", b"\xff"]), max_size=12).map(b"".join))
def test_finding_agrees_with_decoding(data: bytes) -> None:
    everything = decode_properties(data)
    for name in (b"a", b"b", b"ab", b"ba"):
        found = find_property(data, name)
        assert (None if found is None else found.decode("utf-8", "replace")) == everything.get(name.decode())


@given(st.lists(st.sampled_from([b"a", b"b", b"\x01", b"\x02"]), max_size=12).map(b"".join))
def test_setting_and_removing_touch_nothing_else(data: bytes) -> None:
    expected = decode_properties(data)
    expected.pop("a", None)
    assert decode_properties(without_property(data, b"a")) == expected
    expected["a"] = "new"
    assert decode_properties(set_property(data, b"a", b"new")) == expected


def test_a_name_a_hundred_thousand_times() -> None:
    # Copying all that is left for each of them would take minutes.
    assert set_property(b"a\x01b\x02" * 100_000, b"a", b"c") == b"a\x01c\x02"
    assert find_property(b"xa\x01b\x02" * 100_000, b"a") is None


def test_what_java_passes_over() -> None:
    assert decode_properties(b"KEYS\x01k1 k2\x02nothing\x02\x01v\x02n\x01\x02x\x01a\x01b\x02last\x01one") == {
        "KEYS": "k1 k2",
        "x": "a\x01b",
        "last": "one",
    }


@pytest.mark.parametrize("properties", [{"a\x01": "b"}, {"a": "b\x02"}, {"a": "\ud800"}])
def test_what_cannot_be_written(properties: dict[str, str]) -> None:
    with pytest.raises(WireError) as caught:
        encode_properties(properties)
    assert not caught.value.fatal


@pytest.mark.parametrize(("name", "value"), [(b"", b"v"), (b"n", b""), (b"n\x01", b"v"), (b"n", b"v\x02")])
def test_what_cannot_be_set(name: bytes, value: bytes) -> None:
    with pytest.raises(WireError):
        set_property(b"", name, value)


def test_constants() -> None:
    assert PROPERTY_KEYS in SYSTEM_PROPERTIES
    assert compression_type(0x100) is None
    assert compression_type(0x001) is CompressionType.ZLIB
    assert compression_type(0x101) is CompressionType.LZ4
    assert compression_type(0x201) is CompressionType.ZSTD
    assert compression_type(0x301) is CompressionType.ZLIB
    with pytest.raises(ValueError, match="7"):
        compression_type(0x701)
