"""What one HTTP/2 connection may cost."""

from __future__ import annotations

import msgspec

__all__ = ["Bucket", "Http2Limits"]


class Http2Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, rates per second. What SETTINGS announce comes first."""

    #: Requests at a time; Go and nginx choose 250 and 128.
    max_concurrent_streams: int = 256
    #: Receive window of a stream: one 4 MiB message must not wait for a round trip per 64 KiB, but unread bytes of a
    #: connection are bounded by its own window below.
    stream_window: int = 1024 * 1024
    #: Receive window of the connection: the most that it makes us hold unread.
    connection_window: int = 4 * 1024 * 1024
    max_frame_size: int = 16 * 1024
    header_table_size: int = 4096
    #: A decoded header list, 32 bytes per field included.
    max_header_list_size: int = 16 * 1024
    #: Serve the extended CONNECT of RFC 8441 (WebSocket over HTTP/2).
    enable_connect_protocol: bool = False

    #: Fields of a header list.
    max_headers: int = 128
    #: A header block as it arrives. More than the list: an honest one is compressed.
    max_header_block: int = 32 * 1024
    #: CONTINUATION frames of one block (the CONTINUATION flood, CVE-2024-27316 and kin).
    max_continuations: int = 16
    #: Resets by the peer, or by us for its faults, beyond which the connection ends (CVE-2023-44487, CVE-2025-8671).
    reset_burst: int = 1000
    reset_rate: float = 33.0
    #: Frames that carry nothing: empty DATA, PRIORITY, unknown types, frames on streams already gone.
    idle_frame_burst: int = 1000
    idle_frame_rate: float = 33.0
    #: Answers to control frames waiting to be written (CVE-2019-9512, -9515).
    max_control_frames: int = 1000
    #: Framed bytes waiting to be taken; a peer that sends on while it reads nothing is dropped.
    max_unsent: int = 1024 * 1024
    #: Streams that we reset whose late frames are still recognised and ignored.
    remembered_resets: int = 1024

    #: Per stream: a queue above `send_high` asks the caller of ``send_data`` to wait; it is in ``take_opened`` once it
    #: fell to `send_low`.
    send_high: int = 64 * 1024
    send_low: int = 32 * 1024


class Bucket:
    """So many events at once, so many per second later."""

    __slots__ = ("_burst", "_left", "_rate", "_time")

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self._burst = self._left = float(burst)
        self._rate = rate
        self._time = now

    def take(self, now: float) -> bool:
        """Count one; false once there were too many."""
        left = min(self._burst, self._left + (now - self._time) * self._rate)
        self._time = now
        self._left = left - 1.0
        return left >= 1.0
