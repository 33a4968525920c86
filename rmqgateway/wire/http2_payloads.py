"""What stands in the payload of HTTP/2 frames: settings (RFC 9113 section 6.5.2, RFC 8441 section 3) and padding."""

from __future__ import annotations

import struct

from rmqgateway.wire.http2_frames import MAX_WINDOW, ErrorCode, Setting
from rmqgateway.wire.http2_streams import ConnectionFault

__all__ = ["read_settings", "strip_padding"]

_KNOWN = frozenset(int(setting) for setting in Setting)
_SMALLEST_FRAME = 16384
_LARGEST_FRAME = 0xFFFFFF
_iter_settings = struct.Struct(">HI").iter_unpack


def read_settings(payload: bytes) -> dict[int, int]:
    """The known settings of the frame with their last values. Raises ConnectionFault for a value out of bounds."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not of whole settings")
    settings: dict[int, int] = {}
    for name, value in _iter_settings(payload):
        if name == Setting.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
        elif name == Setting.MAX_FRAME_SIZE:
            if not _SMALLEST_FRAME <= value <= _LARGEST_FRAME:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
        elif name in (Setting.ENABLE_PUSH, Setting.ENABLE_CONNECT_PROTOCOL) and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_{Setting(name).name} {value}")
        if name in _KNOWN:  # nobody fills a dict with 65,536 names
            settings[name] = value
    return settings


def strip_padding(payload: bytes) -> bytes:
    """The payload of a PADDED frame without its padding (section 6.1)."""
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without its padding length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - padding]
