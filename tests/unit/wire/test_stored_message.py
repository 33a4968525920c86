"""The stored-message layout: made, read, patched, and lied about."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message as sm

int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
host = st.binary(min_size=8, max_size=8) | st.binary(min_size=20, max_size=20)


@st.composite
def messages(draw: st.DrawFn) -> sm.StoredMessage:
    body = draw(st.binary(max_size=100))
    born, store = draw(host), draw(host)
    bits = draw(int32) & ~0x30 | (0x10 if len(born) == 20 else 0) | (0x20 if len(store) == 20 else 0)
    return sm.StoredMessage(
        draw(st.binary(max_size=10) | st.binary(min_size=126, max_size=300)),
        draw(int32),
        body,
        draw(st.binary(max_size=20) | st.just(b"p" * 1500)),
        draw(int32),
        bits,
        draw(int64),
        draw(int64),
        draw(int64),
        born,
        draw(int64),
        store,
        draw(int32),
        draw(int64),
        zlib.crc32(body) & 0x7FFFFFFF,
    )


def encoded(message: sm.StoredMessage) -> bytearray:
    return sm.encode(
        message.topic,
        message.queue_id,
        message.body,
        message.properties,
        message.flag,
        message.sys_flag,
        message.born_timestamp,
        message.born_host,
        message.store_timestamp,
        message.store_host,
        message.reconsume_times,
        message.prepared_transaction_offset,
        message.queue_offset,
        message.physical_offset,
    )


@given(messages(), st.sampled_from([bytes, bytearray, memoryview]))
def test_round_trip_and_readers(message: sm.StoredMessage, kind: type) -> None:
    raw = kind(bytes(encoded(message)))
    assert sm.decode(raw) == message
    assert sm.total_size(raw) == len(raw)
    for field in message.__struct_fields__:
        assert getattr(sm, field)(raw) == getattr(message, field), field
    assert bytes(sm.body_view(raw)) == message.body


@given(st.lists(messages(), max_size=4))
def test_many_in_one_body(many: list[sm.StoredMessage]) -> None:
    data = b"".join(map(encoded, many))
    assert list(sm.iterate(data)) == many
    assert [total for _, total in sm.message_sizes(data)] == [len(encoded(one)) for one in many]


@given(messages(), int64, int64, int64, host, int32)
def test_patching(
    message: sm.StoredMessage, offset: int, position: int, time: int, new_host: bytes, bits: int
) -> None:
    raw = encoded(message)
    sm.patch_offsets(raw, offset, position)
    sm.patch_store_timestamp(raw, time)
    sm.patch_sys_flag(raw, bits)
    message.queue_offset, message.physical_offset, message.store_timestamp = offset, position, time
    message.sys_flag = bits & ~0x30 | message.sys_flag & 0x30
    assert sm.decode(raw) == message
    moved = sm.with_store_host(bytes(raw), new_host)
    if len(new_host) == len(message.store_host):
        sm.patch_store_host(raw, new_host)
        assert moved == raw
    else:
        with pytest.raises(WireError):
            sm.patch_store_host(raw, new_host)
    message.store_host = new_host
    message.sys_flag = message.sys_flag & ~0x20 | (0x20 if len(new_host) == 20 else 0)
    assert sm.decode(moved) == message


@given(messages(), st.data())
def test_lies_raise_only_wire_errors(message: sm.StoredMessage, data: st.DataObject) -> None:
    raw = encoded(message)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for lie in (bytes(raw), bytes(raw[:cut]), bytes(raw) + b"\0"):
        try:
            for one in sm.iterate(lie):
                assert len(one.body) <= len(lie)
            sm.decode(lie)
        except WireError as error:
            assert not error.fatal


def patched(at: int, form: str, value: int) -> bytes:
    raw = sm.encode(b"topic", 1, b"body", b"props")
    struct.pack_into(form, raw, at, value)
    return bytes(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "at least 91"),
        (patched(0, ">I", 90), "a size of"),
        (patched(0, ">I", 1000), "a size of"),
        (patched(4, ">I", 0xCBD43194), "magic number, got 0xcbd43194"),
        (patched(36, ">i", 0x30), "at least 115"),
        (patched(84, ">I", 0xFFFFFFFF), "a body of at most"),
        (patched(92, ">B", 100), "topic of 100"),
        (patched(98, ">H", 3), "properties of 5 bytes, got 3"),
        (patched(98, ">H", 60), "properties of 5 bytes, got 60"),
    ],
)
def test_named_lies(raw: bytes, expected: str) -> None:
    with pytest.raises(WireError, match=expected) as caught:
        sm.decode(raw)
    assert not caught.value.fatal


def test_too_many_messages() -> None:
    data = bytes(sm.encode(b"t", 0, b"")) * 3
    assert len(sm.message_sizes(data, 3)) == 3
    with pytest.raises(WireError, match="at most 2"):
        sm.message_sizes(data, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"topic": b"t" * 32768},
        {"properties": b"p" * 32768},
        {"queue_id": 2**31},
        {"born_host": b"1234567"},
        {"store_host": b"1" * 16},
        {"born_host": b"1" * 20, "queue_id": 2**31},
    ],
)
def test_what_does_not_fit(arguments: dict[str, object]) -> None:
    with pytest.raises(WireError) as caught:
        sm.encode(**{"topic": b"t", "queue_id": 0, "body": b"", **arguments})  # type: ignore[arg-type]
    assert not caught.value.fatal


def test_host_of_a_wrong_length() -> None:
    with pytest.raises(WireError):
        sm.with_store_host(sm.encode(b"t", 0, b""), b"1234567")


def test_magic_follows_the_topic() -> None:
    assert struct.unpack_from(">I", sm.encode(b"t" * 127, 0, b""), 4)[0] == sm.MAGIC_V1
    assert struct.unpack_from(">I", sm.encode(b"t" * 128, 0, b""), 4)[0] == sm.MAGIC_V2


@given(messages(), int32)
def test_another_reconsume_count(message: sm.StoredMessage, times: int) -> None:
    changed = sm.with_reconsume_times(bytes(encoded(message)), times)
    message.reconsume_times = times
    assert sm.decode(changed) == message


def _forged(properties_size: int = 0, body_size: int = 0) -> bytes:
    """A message in a producer's body that claims that many bytes of what is stored behind it."""
    behind = bytes(sm.encode(b"secret", 0, b"s" * 200, b"KEYS\x01k\x02", physical_offset=500))
    if body_size:
        made = bytearray(sm.encode(b"mine", 0, b"m", physical_offset=7))
        start = made.index(b"m\x04mine")
        made = made[:start] + behind[:body_size] + made[start + 1 :]
        made[start - 4 : start] = body_size.to_bytes(4, "big")
    else:
        made = bytearray(sm.encode(b"mine", 0, b"m", physical_offset=7)) + behind[:properties_size]
        at = len(made) - properties_size - 2
        made[at : at + 2] = properties_size.to_bytes(2, "big")
    made[:4] = len(made).to_bytes(4, "big")
    sm.message_sizes(made)  # every length in it fits
    return bytes(made)


def test_what_is_stored_at_a_place_says_so_and_is_whole() -> None:
    message = bytes(sm.encode(b"T", 0, b"body", "KEYS\x01schlüssel\x02".encode(), physical_offset=7))
    assert sm.is_stored_at(message, 7)
    assert not sm.is_stored_at(message, 8)
    assert not sm.is_stored_at(message * 2, 7)
    for data in (b"", b"x", message[:-1], message + b"x", message.replace(b"body", b"BODY")):
        assert not sm.is_stored_at(data, 7)


@pytest.mark.parametrize("forged", [_forged(properties_size=30), _forged(properties_size=150), _forged(body_size=150)])
def test_a_message_within_a_body_cannot_reach_into_those_behind_it(forged: bytes) -> None:
    assert sm.decode(forged).physical_offset == 7
    assert not sm.is_stored_at(forged, 7)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_it_is_only_said_whether(data: bytes) -> None:
    assert not sm.is_stored_at(data, 7)
