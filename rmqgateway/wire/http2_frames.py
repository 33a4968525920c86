"""HTTP/2 on the wire (RFC 9113): numbers, and frames as bytes. No state."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping

__all__ = [
    "ACK",
    "END_HEADERS",
    "END_STREAM",
    "MAX_STREAM_ID",
    "MAX_WINDOW",
    "PADDED",
    "PREFACE",
    "PRIORITY_FLAG",
    "ErrorCode",
    "FrameType",
    "Setting",
    "data_head",
    "error_name",
    "goaway_frame",
    "headers_frames",
    "ping_ack_frame",
    "ping_frame",
    "rst_stream_frame",
    "settings_frame",
    "window_update_frame",
]

#: What a client's connection begins with (section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = 0x7FFFFFFF
MAX_STREAM_ID = 0x7FFFFFFF

# Flags (section 6).
END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20


class FrameType(enum.IntEnum):
    """Section 6. Others are ignored."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class ErrorCode(enum.IntEnum):
    """Section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(enum.IntEnum):
    """Section 6.5.2, and RFC 8441. Others are ignored."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8


def error_name(code: int) -> str:
    """The RFC's word for an error code, or its number."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"


_pack_head = struct.Struct(">IBI").pack  # length and type share the first word
_pack_word = struct.Struct(">I").pack
_pack_head_and_word = struct.Struct(">IBII").pack
_pack_setting = struct.Struct(">HI").pack

_HEADERS = int(FrameType.HEADERS)
_RST_STREAM = 4 << 8 | int(FrameType.RST_STREAM)
_WINDOW_UPDATE = 4 << 8 | int(FrameType.WINDOW_UPDATE)
_PING = 8 << 8 | int(FrameType.PING)


def data_head(size: int, flags: int, stream: int) -> bytes:
    """The nine bytes before `size` bytes of DATA."""
    return _pack_head(size << 8, flags, stream)  # type 0


def headers_frames(block: bytes, stream: int, end_stream: bool, max_frame_size: int) -> bytes:
    """HEADERS, and as many CONTINUATION frames as the block needs."""
    size = len(block)
    flags = END_STREAM if end_stream else 0
    if size <= max_frame_size:
        return _pack_head(size << 8 | _HEADERS, flags | END_HEADERS, stream) + block
    parts = [_pack_head(max_frame_size << 8 | _HEADERS, flags, stream), block[:max_frame_size]]
    for start in range(max_frame_size, size, max_frame_size):
        part = block[start : start + max_frame_size]
        last = END_HEADERS if start + max_frame_size >= size else 0
        parts += (_pack_head(len(part) << 8 | FrameType.CONTINUATION, last, stream), part)
    return b"".join(parts)


def rst_stream_frame(stream: int, code: int) -> bytes:
    return _pack_head_and_word(_RST_STREAM, 0, stream, code)


def window_update_frame(stream: int, increment: int) -> bytes:
    return _pack_head_and_word(_WINDOW_UPDATE, 0, stream, increment)


def ping_ack_frame(payload: bytes) -> bytes:
    return _pack_head(_PING, ACK, 0) + payload


def ping_frame(payload: bytes) -> bytes:
    return _pack_head(_PING, 0, 0) + payload


def settings_frame(settings: Mapping[int, int] | None) -> bytes:
    """SETTINGS with these values; None is the acknowledgement."""
    if settings is None:
        return _pack_head(FrameType.SETTINGS, ACK, 0)
    payload = b"".join(_pack_setting(name, value) for name, value in settings.items())
    return _pack_head(len(payload) << 8 | FrameType.SETTINGS, 0, 0) + payload


def goaway_frame(last_stream: int, code: int, debug: bytes = b"") -> bytes:
    head = _pack_head((8 + len(debug)) << 8 | FrameType.GOAWAY, 0, 0)
    return head + _pack_word(last_stream) + _pack_word(code) + debug
