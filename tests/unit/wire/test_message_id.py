"""Offset message ids and unique ids."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.message_id import (
    UniqueIdGenerator,
    decode_offset_message_id,
    encode_offset_message_id,
    host_bytes,
    host_text,
    unique_id_time,
)


def at(*moment: int) -> int:
    return int(time.mktime((*moment, 0, -1))) * 1000  # type: ignore[arg-type]


@given(st.binary(min_size=8, max_size=8) | st.binary(min_size=20, max_size=20), st.integers(0, 2**63 - 1))
def test_offset_id_round_trip(host: bytes, offset: int) -> None:
    message_id = encode_offset_message_id(host, offset)
    assert len(message_id) in (32, 56)
    assert decode_offset_message_id(message_id) == (host, offset)


def test_offset_id_as_a_broker_writes_it() -> None:
    host = host_bytes("127.0.0.1", 10911)
    assert encode_offset_message_id(host, 1234) == "7F00000100002A9F00000000000004D2"
    assert host_text(host) == ("127.0.0.1", 10911)
    assert host_text(host_bytes("fe80::1%eth0", 1)) == ("fe80::1", 1)


@pytest.mark.parametrize("text", ["", "7F", "G" * 32, "7F " * 10 + "7F", " " * 32, "F" * 30 + "é" * 2])
def test_bad_ids(text: str) -> None:
    for read in (decode_offset_message_id, lambda text: unique_id_time(text, 0)):
        with pytest.raises(WireError) as caught:
            read(text)
        assert not caught.value.fatal


@pytest.mark.parametrize(
    ("address", "port"), [("localhost", 1), ("1.2.3", 1), ("1.2.3.4", 65536), ("1.2.3.4", -1)]
)
def test_bad_hosts(address: str, port: int) -> None:
    with pytest.raises(WireError):
        host_bytes(address, port)
    with pytest.raises(WireError):
        host_text(b"123")


def test_unique_ids_say_their_time() -> None:
    now = at(2026, 11, 21, 10, 30, 0, 0)
    generator = UniqueIdGenerator(b"\x7f\0\0\1", 0x12345, 0x18B4AAC2)
    unique_id = generator.next(now)
    assert unique_id.startswith("7F000001234518B4AAC2")
    assert unique_id.endswith("0000")
    assert generator.next(now).endswith("0001")
    assert unique_id_time(unique_id, now + 5) == now
    # Read in the next month, the id's time is in the month before.
    assert unique_id_time(unique_id, at(2026, 12, 3, 0, 0, 0, 0)) == now


def test_unique_ids_over_new_year_and_a_clock_set_back() -> None:
    generator = UniqueIdGenerator(bytes(16), 1, 1)
    december = at(2026, 12, 31, 23, 59, 59, 0)
    january = at(2027, 1, 1, 0, 0, 1, 0)
    assert unique_id_time(generator.next(december), december + 1) == december
    assert unique_id_time(generator.next(january), january + 1) == january
    assert unique_id_time(generator.next(january - 60_000), january + 1) == at(2027, 1, 1, 0, 0, 0, 0)
    assert unique_id_time(generator.next(december - 10**7), december) == december - 10**7
    with pytest.raises(WireError):
        UniqueIdGenerator(b"123", 1, 1)


def test_counter_wraps() -> None:
    generator = UniqueIdGenerator(bytes(4), 1, 1)
    ids = [generator.next(0) for _ in range(65537)]
    assert len(set(ids)) == 65536
    assert ids[0] == ids[-1]
