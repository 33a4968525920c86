"""One stream of an HTTP/2 connection, as a server sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_tables import Header
from rmqgateway.wire.http2_frames import ErrorCode

__all__ = ["ConnectionFault", "Stream", "StreamFault"]


class ConnectionFault(WireError):
    """The peer broke the connection's rules: GOAWAY with `code`, and the end."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"HTTP/2: {message} ({code.name})")
        self.code = code


class StreamFault(WireError):
    """The peer broke the rules of one stream: RST_STREAM with `code`."""

    def __init__(self, stream: int, code: ErrorCode, message: str) -> None:
        super().__init__(f"HTTP/2: {message} ({code.name})", fatal=False, request_id=stream)
        self.stream = stream
        self.code = code


class Stream:
    """State of a stream that is open or half closed (RFC 9113 section 5.1); it is dropped when closed.

    :ivar remote_open: the peer has not ended its side.
    :ivar head_sent: our HEADERS went out or wait in order.
    :ivar ending: our last data or trailers are queued.
    :ivar recv_window: what the peer may still send; `credit`: consumed, but not yet announced to it.
    :ivar unconsumed: received and not yet consumed by the owner.
    :ivar expected: content-length, or -1. `received`: body bytes so far.
    :ivar send_window: what we may still send. `queue`: chunks that wait for windows; `queued`: their bytes.
    :ivar waiting_since: when the queue last moved by 1 KiB; `moved`: bytes since.
    :ivar full: the queue passed its high mark and the caller was told so.
    """

    __slots__ = (
        "credit",
        "ending",
        "expected",
        "full",
        "head_sent",
        "id",
        "moved",
        "queue",
        "queued",
        "received",
        "recv_window",
        "remote_open",
        "send_window",
        "trailers",
        "unconsumed",
        "waiting_since",
    )

    queue: deque[bytes | memoryview]
    trailers: Sequence[Header] | None
    waiting_since: float
    moved: int

    def __init__(self, id: int, recv_window: int, send_window: int, expected: int, remote_open: bool) -> None:
        # The queue's own fields are set when it is first used: most streams never need it.
        self.id = id
        self.recv_window = recv_window
        self.send_window = send_window
        self.expected = expected
        self.remote_open = remote_open
        self.head_sent = self.ending = self.full = False
        self.credit = self.unconsumed = self.received = self.queued = 0
