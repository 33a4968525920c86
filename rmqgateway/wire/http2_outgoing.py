"""The sending half of an HTTP/2 server connection: frames, send windows, and a fair turn for every stream.

What fits the windows is framed at once. The rest waits in its stream's queue; ``bytes_to_send`` takes one frame from
each waiting stream in turn, up to the number of bytes that its caller can place.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_encoder import HpackEncoder
from rmqgateway.wire.hpack_tables import Header
from rmqgateway.wire.http2_frames import (
    END_HEADERS,
    END_STREAM,
    MAX_WINDOW,
    ErrorCode,
    FrameType,
    data_head,
    headers_frames,
    rst_stream_frame,
    window_update_frame,
)
from rmqgateway.wire.http2_limits import Http2Limits
from rmqgateway.wire.http2_streams import ConnectionFault, Stream

__all__ = ["DEFAULT_FRAME_SIZE", "DEFAULT_WINDOW", "Outgoing"]

DEFAULT_WINDOW = 65535
DEFAULT_FRAME_SIZE = 16384

# Beyond this many framed bytes data waits in its stream's queue, where turns are fair.
_DIRECT = 64 * 1024
# Larger frames than this would let one stream hold up the others, whatever the peer permits.
_TURN = 16 * 1024
# A stream moves when this much of it went out; less is a reader that pretends.
_MOVE = 1024
_UNLIMITED = 1 << 62
# Of connections on which nothing ever waited: an empty deque takes 760 bytes.
_NONE: deque[Stream] = deque(maxlen=0)

_pack_head = struct.Struct(">IBI").pack
_HEADERS = int(FrameType.HEADERS)
_HEADERS_END = END_HEADERS | END_STREAM


class Outgoing:
    """Frames towards the peer. The receiving half, a subclass, applies what the peer says about windows."""

    # Without a dictionary, which for so many names takes 1.6 KB of each connection.
    __slots__ = (
        "_blocked",
        "_control_frames",
        "_credit",
        "_credit_at",
        "_encoder",
        "_forgotten",
        "_now",
        "_opened",
        "_out",
        "_out_size",
        "_peer_frame",
        "_peer_initial",
        "_queued",
        "_ready",
        "_recv_window",
        "_resets",
        "_send_window",
        "_stream_credit_at",
        "_streams",
        "limits",
    )

    def __init__(self, limits: Http2Limits, encoder: HpackEncoder, now: float) -> None:
        self.limits = limits
        self._encoder = encoder
        self._now = now
        self._streams: dict[int, Stream] = {}
        self._out: list[bytes | memoryview] = []
        self._out_size = 0
        self._control_frames = 0
        # The peer's windows and settings.
        self._send_window = DEFAULT_WINDOW
        self._peer_initial = DEFAULT_WINDOW
        self._peer_frame = DEFAULT_FRAME_SIZE
        # Streams with queued data: those whose own window is open, in turn, and those whose is not.
        self._ready: deque[Stream] = _NONE
        self._blocked: dict[int, Stream] = {}
        self._queued = 0
        self._opened: list[int] = []
        # Our windows.
        self._credit = 0
        self._recv_window = max(DEFAULT_WINDOW, limits.connection_window)
        self._credit_at = self._recv_window >> 1
        self._stream_credit_at = max(limits.stream_window >> 1, 1)
        self._resets: dict[int, None] = {}
        self._forgotten = 0

    # What the owner calls. A stream that is gone takes anything and does nothing: its end was reported.

    def send_headers(self, stream_id: int, headers: Sequence[Header], end_stream: bool = False) -> None:
        """The response's head, ``:status`` first. A tuple is encoded faster when it comes again."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.head_sent:
            raise WireError("send_headers: the head was sent before", fatal=False, request_id=stream_id)
        stream.head_sent = True
        self._put_headers(stream_id, headers, end_stream)
        if end_stream:
            stream.ending = True
            self._local_end(stream)

    def send_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> int:
        """A part of the response's body; returns the bytes of this stream that wait for windows.

        Above ``limits.send_high`` the caller should pause until the stream is in :meth:`take_opened`.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        if not stream.head_sent or stream.ending:
            raise WireError("send_data: before the head or after the end", fatal=False, request_id=stream_id)
        size = len(data)
        if (
            size <= stream.send_window
            and not stream.queued
            and size <= self._send_window
            and size <= self._peer_frame
            and not self._ready
            and self._out_size < _DIRECT
        ):
            if size or end_stream:
                stream.send_window -= size
                self._send_window -= size
                self._out += (data_head(size, END_STREAM if end_stream else 0, stream_id), data)
                self._out_size += size + 9
                if end_stream:
                    stream.ending = True
                    self._local_end(stream)
            return 0
        if size:
            self._enqueue(stream, data)
        if end_stream:
            stream.ending = True
            if not stream.queued:
                self._put_end(stream)
        return stream.queued

    def send_trailers(self, stream_id: int, trailers: Sequence[Header]) -> None:
        """The trailers, with which the response ends; they leave after all queued data."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if not stream.head_sent or stream.ending:
            raise WireError(
                "send_trailers: before the head or after the end", fatal=False, request_id=stream_id
            )
        stream.ending = True
        if stream.queued:
            stream.trailers = trailers
        else:
            self._put_headers(stream_id, trailers, True)
            self._local_end(stream)

    def send_response(
        self, stream_id: int, headers: Sequence[Header], data: bytes, trailers: Sequence[Header]
    ) -> int:
        """Head, body and trailers at once: the answer of a unary call. Returns what :meth:`send_data` does."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        size = len(data)
        if (
            size > stream.send_window
            or size > self._send_window
            or size > self._peer_frame
            or self._ready
            or self._out_size >= _DIRECT
            or stream.head_sent
        ):
            self.send_headers(stream_id, headers)
            queued = self.send_data(stream_id, data)
            self.send_trailers(stream_id, trailers)
            return queued
        head = self._encoder.encode(headers)
        tail = self._encoder.encode(trailers)
        if len(head) > DEFAULT_FRAME_SIZE or len(tail) > DEFAULT_FRAME_SIZE:
            frames = (
                headers_frames(head, stream_id, False, self._peer_frame)
                + data_head(size, 0, stream_id)
                + data
                + headers_frames(tail, stream_id, True, self._peer_frame)
            )
        else:
            frames = (
                _pack_head(len(head) << 8 | _HEADERS, END_HEADERS, stream_id)
                + head
                + _pack_head(size << 8, 0, stream_id)
                + data
                + _pack_head(len(tail) << 8 | _HEADERS, _HEADERS_END, stream_id)
                + tail
            )
        stream.send_window -= size
        self._send_window -= size
        self._out.append(frames)
        self._out_size += len(frames)
        stream.head_sent = stream.ending = True
        self._local_end(stream)
        return 0

    def reset(self, stream_id: int, code: int = ErrorCode.CANCEL) -> None:
        """End a stream at once; what is queued for it is dropped, late frames of the peer are ignored."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._put_reset(stream_id, code)
            self._remove(stream)

    def consumed(self, stream_id: int, size: int) -> None:
        """The owner is done with `size` flow-controlled bytes of DataReceived: let the peer send as many more."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # credited when the stream went
        if size >= stream.unconsumed:
            size = stream.unconsumed
        stream.unconsumed -= size
        credit = self._credit = self._credit + size
        if credit >= self._credit_at:
            self._give_credit()
        if stream.remote_open:
            stream.credit += size
            if stream.credit >= self._stream_credit_at:
                self._put(window_update_frame(stream_id, stream.credit))
                stream.recv_window += stream.credit
                stream.credit = 0

    def bytes_to_send(self, limit: int = _UNLIMITED) -> bytes:
        """Take what is to be written: all frames that are made, and queued data up to about `limit` bytes.

        Call it only while the transport takes data; while it does not, this object keeps to its limits.
        """
        if self._ready:
            self._pump(limit)
        data = b"".join(self._out)
        self._out.clear()
        self._out_size = self._control_frames = 0
        return data

    @property
    def wants_write(self) -> bool:
        """Whether ``bytes_to_send`` has something."""
        return bool(self._out or (self._ready and self._send_window > 0))

    @property
    def only_acknowledges(self) -> bool:
        """Whether ``bytes_to_send`` has answers to control frames (PING, SETTINGS) and nothing else."""
        return len(self._out) == self._control_frames > 0 and not self._ready

    @property
    def queued_bytes(self) -> int:
        """Data of all streams that waits for its turn or for windows."""
        return self._queued

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    def queued(self, stream_id: int) -> int:
        """Data of one stream that waits."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.queued

    def take_opened(self) -> list[int]:
        """Streams whose queue fell to the low mark after it had been full; ask after ``bytes_to_send``."""
        opened = self._opened
        if opened:
            self._opened = []
        return opened

    def stalled(self, now: float, seconds: float = 30.0) -> list[int]:
        """Streams that could not send 1 KiB for so long because the peer opens no window."""
        found = [id for id, stream in self._blocked.items() if now - stream.waiting_since >= seconds]
        if self._send_window <= 0:
            found += [stream.id for stream in self._ready if now - stream.waiting_since >= seconds]
        return found

    # Internals, shared with the receiving half.

    def _put(self, frame: bytes) -> None:
        self._out.append(frame)
        self._out_size += len(frame)

    def _put_control(self, frame: bytes) -> None:
        """An answer that the peer can provoke at will: bounded until somebody takes it."""
        self._control_frames += 1
        if self._control_frames > self.limits.max_control_frames:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, f"{self._control_frames} answers to control frames are waiting"
            )
        self._put(frame)

    def _put_headers(self, stream_id: int, headers: Sequence[Header], end_stream: bool) -> None:
        self._put(headers_frames(self._encoder.encode(headers), stream_id, end_stream, self._peer_frame))

    def _put_end(self, stream: Stream) -> None:
        self._put(data_head(0, END_STREAM, stream.id))
        self._local_end(stream)

    def _put_reset(self, stream_id: int, code: int) -> None:
        self._put(rst_stream_frame(stream_id, code))
        self._remember(stream_id)

    def _remember(self, stream_id: int) -> None:
        """Late frames for this stream are to be ignored (section 5.1: a limited grace)."""
        resets = self._resets
        resets[stream_id] = None
        if len(resets) > self.limits.remembered_resets:
            oldest = next(iter(resets))
            del resets[oldest]
            self._forgotten = max(self._forgotten, oldest)

    def _local_end(self, stream: Stream) -> None:
        """Our side ended. A peer that is still sending is told to stop (section 8.1)."""
        if stream.remote_open:
            self._put_reset(stream.id, ErrorCode.NO_ERROR)
        self._remove(stream)

    def _remove(self, stream: Stream) -> None:
        del self._streams[stream.id]
        if stream.queued:
            self._queued -= stream.queued
            if self._blocked.pop(stream.id, None) is None:
                self._ready.remove(stream)
        if stream.unconsumed:
            self._credit += stream.unconsumed
            if self._credit >= self._credit_at:
                self._give_credit()

    def _give_credit(self) -> None:
        self._put(window_update_frame(0, self._credit))
        self._recv_window += self._credit
        self._credit = 0

    def _enqueue(self, stream: Stream, data: bytes) -> None:
        if not stream.queued:
            stream.queue = deque()
            stream.trailers = None
            stream.waiting_since = self._now
            stream.moved = 0
            if stream.send_window > 0:
                self._make_ready(stream)
            else:
                self._blocked[stream.id] = stream
        stream.queue.append(data)
        stream.queued += len(data)
        self._queued += len(data)
        if stream.queued > self.limits.send_high:
            stream.full = True

    def _make_ready(self, stream: Stream) -> None:
        if self._ready is _NONE:
            self._ready = deque()
        self._ready.append(stream)

    def _pump(self, limit: int) -> None:
        """One frame of each ready stream in turn."""
        ready = self._ready
        largest = min(self._peer_frame, _TURN)
        while ready and self._send_window > 0 and self._out_size < limit:
            stream = ready.popleft()
            size = min(stream.queued, stream.send_window, self._send_window, largest)
            chunks = _take(stream.queue, size)
            stream.queued -= size
            self._queued -= size
            stream.send_window -= size
            self._send_window -= size
            last = stream.ending and not stream.queued and stream.trailers is None
            self._out.append(data_head(size, END_STREAM if last else 0, stream.id))
            self._out += chunks
            self._out_size += size + 9
            stream.moved += size
            if stream.moved >= _MOVE:
                stream.moved = 0
                stream.waiting_since = self._now
            if stream.queued:
                if stream.send_window > 0:
                    ready.append(stream)
                else:
                    self._blocked[stream.id] = stream
            elif stream.ending:
                if stream.trailers is not None:
                    self._put_headers(stream.id, stream.trailers, True)
                self._local_end(stream)
                continue
            if stream.full and stream.queued <= self.limits.send_low:
                stream.full = False
                self._opened.append(stream.id)

    def _widen(self, stream: Stream, increment: int) -> bool:
        """Move a stream's send window; false if it would pass the RFC's maximum (section 6.9.1)."""
        window = stream.send_window + increment
        if window > MAX_WINDOW:
            return False
        before = stream.send_window
        stream.send_window = window
        if stream.queued and (before > 0) != (window > 0):
            if window > 0:
                del self._blocked[stream.id]
                self._make_ready(stream)
            else:
                self._ready.remove(stream)
                self._blocked[stream.id] = stream
        return True


def _take(queue: deque[bytes | memoryview], size: int) -> list[bytes | memoryview]:
    """The first `size` bytes of the queue, as pieces of its chunks."""
    chunks: list[bytes | memoryview] = []
    while size:
        chunk = queue.popleft()
        if len(chunk) > size:
            view = memoryview(chunk)
            queue.appendleft(view[size:])
            chunk = view[:size]
        size -= len(chunk)
        chunks.append(chunk)
    return chunks
