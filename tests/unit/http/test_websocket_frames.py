"""The shortcut for frames beside wsproto, which is the oracle; what the shortcut must leave to Autobahn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from rmqgateway.http.websocket_frames import encode_frame, take_frame

LONGEST = 1 << 20


def sent(payload: bytes, opcode: int = 0x81, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return bytes([opcode]) + length + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))


@given(st.binary(max_size=700), st.binary(min_size=4, max_size=4), st.binary(max_size=30))
def test_a_message_is_taken_and_the_rest_is_left(payload: bytes, mask: bytes, rest: bytes) -> None:
    found = take_frame(sent(payload, 0x82, mask) + rest, LONGEST)
    assert found is not None
    assert (found.payload, found.is_binary, found.rest) == (payload, True, rest)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535])
def test_every_form_of_length(size: int) -> None:
    found = take_frame(sent(b"x" * size), LONGEST)
    assert found is not None and found.payload == b"x" * size and not found.is_binary


@pytest.mark.parametrize("cut", range(len(sent(b"hello"))))
def test_a_part_of_a_frame_is_left(cut: int) -> None:
    assert take_frame(sent(b"hello")[:cut], LONGEST) is None


@pytest.mark.parametrize(
    "data",
    [
        sent(b"x", 0x01),  # more frames follow
        sent(b"x", 0x80),  # one of those
        sent(b"x", 0xC1),  # compressed
        sent(b"x", 0x88),  # close
        sent(b"x", 0x89),  # ping
        sent(b"x", 0x83),  # reserved
        b"\x81\x01x" + bytes(10),  # not masked
        b"\x81\xfe\x00\x7d\x00\x00\x00\x00" + b"x" * 125,  # a length that would fit into seven bits
        b"\x81\xff" + (70_000).to_bytes(8, "big") + bytes(4) + b"x" * 70_000,
        sent("é".encode()[:1]),  # no UTF-8
        sent(b"\xed\xa0\x80"),
    ],
)
def test_what_is_not_the_usual_case_is_left(data: bytes) -> None:
    assert take_frame(data, LONGEST) is None


def test_what_is_longer_than_the_limit_is_left() -> None:
    assert take_frame(sent(b"x" * 200), 199) is None
    assert take_frame(sent(b"x" * 200), 200) is not None


def test_text_is_utf_8() -> None:
    found = take_frame(sent("é€😀".encode()), LONGEST)
    assert found is not None and found.payload.decode() == "é€😀"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 100_000])
def test_what_is_sent_is_what_wsproto_reads(size: int) -> None:
    for is_binary, opcode in ((False, Opcode.TEXT), (True, Opcode.BINARY)):
        protocol = FrameProtocol(client=True, extensions=[])
        protocol.receive_bytes(encode_frame(b"y" * size, is_binary))
        (frame,) = list(protocol.received_frames())
        assert frame.opcode is opcode and frame.message_finished
        assert bytes(frame.payload if is_binary else frame.payload.encode()) == b"y" * size
