"""gRPC's length-prefixed messages, their limits, and the text forms of gRPC-web."""

from __future__ import annotations

import base64
import gzip
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.grpc_framing import (
    GrpcDecoder,
    GrpcError,
    GrpcStatus,
    WebTextDecoder,
    decode_status_message,
    decode_timeout,
    decode_web_headers,
    encode_message,
    encode_status_message,
    encode_timeout,
    encode_web_text,
    encode_web_trailers,
)


def _split(data: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


_SIZES = st.lists(st.integers(0, 40), max_size=30)


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=6), _SIZES)
def test_messages_come_out_whatever_the_split(messages: list[tuple[bytes, bool]], sizes: list[int]) -> None:
    wire = b"".join(encode_message(message, gzip=squeezed) for message, squeezed in messages)
    decoder = GrpcDecoder(b"gzip")
    found = [message for part in _split(wire, sizes) for message in decoder.receive_data(part)]
    decoder.end()
    assert found == [message for message, _ in messages]


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from([b"gzip", b"identity"]))
def test_garbage_raises_only_wire_errors(parts: list[bytes], encoding: bytes) -> None:
    decoder = GrpcDecoder(encoding, max_message=1000)
    try:
        for part in parts:
            decoder.receive_data(part)
        decoder.end()
    except WireError as error:
        assert not error.fatal


def _status(data: bytes, encoding: bytes = b"identity", max_message: int = 1 << 20) -> GrpcStatus:
    decoder = GrpcDecoder(encoding, max_message=max_message)
    with pytest.raises(GrpcError) as caught:
        decoder.receive_data(data)
        decoder.end()
    return caught.value.status


def test_refusals_name_their_status() -> None:
    assert _status(b"\1\0\0\0\0") is GrpcStatus.INTERNAL  # compressed without an encoding
    assert _status(b"\2\0\0\0\0") is GrpcStatus.INTERNAL
    assert _status(b"\x80\0\0\0\0") is GrpcStatus.INTERNAL  # a client sends no trailers frame
    assert _status(b"\0\0\0\0\5abc") is GrpcStatus.INTERNAL
    assert _status(b"\0\0\0") is GrpcStatus.INTERNAL
    assert _status(encode_message(b"x" * 11), max_message=10) is GrpcStatus.RESOURCE_EXHAUSTED
    assert _status(b"\1\0\0\0\3abc", b"gzip") is GrpcStatus.INTERNAL
    whole = gzip.compress(b"hello")
    for data in (whole[:-1], whole + b"x", whole + whole):
        assert _status(struct.pack(">BI", 1, len(data)) + data, b"gzip") is GrpcStatus.INTERNAL
    with pytest.raises(GrpcError) as caught:
        GrpcDecoder(b"snappy\xff")
    assert caught.value.status is GrpcStatus.UNIMPLEMENTED


def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come() -> None:
    assert _status(b"\0\xff\xff\xff\xff") is GrpcStatus.RESOURCE_EXHAUSTED


def test_a_bomb_is_stopped_by_ratio_and_size() -> None:
    bomb = encode_message(b"\0" * (64 << 20), gzip=True)
    tracemalloc.start()
    assert _status(bomb, b"gzip", 4 << 20) is GrpcStatus.RESOURCE_EXHAUSTED
    small = encode_message(b"\0" * 1_000_000, gzip=True)  # about 1 KB: a hundred times that and no more
    assert _status(small, b"gzip", 4 << 20) is GrpcStatus.RESOURCE_EXHAUSTED
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    assert GrpcDecoder(b"gzip").receive_data(encode_message(b"\0" * 271_828, gzip=True)) == [b"\0" * 271_828]
    assert _status(encode_message(b"abc" * 9, gzip=True), b"gzip", 26) is GrpcStatus.RESOURCE_EXHAUSTED


def test_a_dripped_message_costs_no_more_than_its_bytes() -> None:
    decoder = GrpcDecoder()
    wire = encode_message(b"m" * 100_000)
    found: list[bytes] = []
    for start in range(0, len(wire), 10):
        found += decoder.receive_data(wire[start : start + 10])
    assert found == [b"m" * 100_000]


@given(st.text(max_size=40))
def test_status_message_round_trip(text: str) -> None:
    value = encode_status_message(text)
    assert all(0x20 <= byte < 0x7F for byte in value)
    assert value == value.strip()
    assert decode_status_message(value) == text.encode("utf-8", "replace").decode()


def test_status_message_forms() -> None:
    assert encode_status_message("50% of ö\n") == b"50%25 of %C3%B6%0A"
    assert encode_status_message(" a ") == b"%20a%20"
    assert decode_status_message(b"a%zzb%2") == "a%zzb%2"
    assert decode_status_message(b"%ff") == "�"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600.0), (b"2M", 120.0), (b"3S", 3.0), (b"4m", 0.004), (b"99999999n", 0.099999999)],
)
def test_timeouts(value: bytes, seconds: float) -> None:
    assert decode_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"S", b"1", b"123456789S", b"-1S", b"1s", b"1 S", b"1S\n", b"\xb2S"])
def test_bad_timeouts(value: bytes) -> None:
    with pytest.raises(GrpcError):
        decode_timeout(value)


@given(st.floats(0, 1e12))
def test_timeout_round_trip(seconds: float) -> None:
    value = encode_timeout(seconds)
    assert len(value) <= 9
    back = decode_timeout(value)
    assert back <= seconds * 1.000001
    assert back >= min(seconds * 0.999, 99_999_999 * 3600.0) - 1e-6


def test_timeout_below_zero_is_none_left() -> None:
    assert encode_timeout(-1.0) == b"0n"
    assert encode_timeout(1e15) == b"99999999H"


def test_web_trailers() -> None:
    frame = encode_web_trailers([(b"grpc-status", b"0"), (b"grpc-message", b"")])
    block = b"grpc-status: 0\r\ngrpc-message: \r\n"
    assert frame == b"\x80" + struct.pack(">I", len(block)) + block
    assert decode_web_headers(block) == [(b"grpc-status", b"0"), (b"grpc-message", b"")]
    assert decode_web_headers(b"X-A:b:c\r\n\r\n") == [(b"x-a", b"b:c")]
    for bad in (b"no colon\r\n", b": v\r\n", b"a: b\nc: d\r\n", b"a: \0\r\n"):
        with pytest.raises(GrpcError):
            decode_web_headers(bad)


@given(st.lists(st.binary(max_size=20), max_size=6), _SIZES)
def test_web_text_takes_padding_anywhere(frames: list[bytes], sizes: list[int]) -> None:
    text = b"".join(encode_web_text(frame) for frame in frames)
    decoder = WebTextDecoder()
    found = b"".join(decoder.receive_data(part) for part in _split(text, sizes))
    decoder.end()
    assert found == b"".join(frames)
    assert base64.b64decode(encode_web_text(found)) == found


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_web_text_garbage_raises_only_wire_errors(parts: list[bytes]) -> None:
    decoder = WebTextDecoder()
    try:
        for part in parts:
            decoder.receive_data(part)
        decoder.end()
    except WireError as error:
        assert not error.fatal


@pytest.mark.parametrize("text", [b"AA=A", b"A===", b"====", b"AB C", b"AAA", b"AA-_"])
def test_web_text_refusals(text: bytes) -> None:
    decoder = WebTextDecoder()
    with pytest.raises(GrpcError):
        decoder.receive_data(text)
        decoder.end()
