"""RocketMQ's Remoting frames: bytes in, commands out, and back.

``int32 length of all that follows | byte serialization, 3 bytes header length | header | body``. Two
readers share the framing: :class:`RemotingDecoder` gives decoded commands, :class:`FrameSplitter` whole raw
frames for those who forward them (``remoting_scan`` looks into these without decoding). Source:
``RemotingCommand`` and ``NettyDecoder`` of 5.5.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting_binary import decode_binary_header, encode_binary_header
from rmqgateway.wire.remoting_command import (
    DEFAULT_LANGUAGE,
    DEFAULT_VERSION,
    FLAG_ONEWAY,
    FLAG_RESPONSE,
    JSON,
    ROCKETMQ,
    RemotingCommand,
)
from rmqgateway.wire.remoting_json import decode_json_header, encode_json_header
from rmqgateway.wire.remoting_send import SEND_PREFIX, decode_send_header

__all__ = [
    "JSON",
    "MAX_FRAME",
    "MAX_HEADER",
    "ROCKETMQ",
    "FrameSplitter",
    "RemotingCommand",
    "RemotingDecoder",
    "RemotingEvent",
    "decode_frame",
    "decode_split",
    "encode_command",
    "encode_head",
    "encode_request",
    "encode_response",
]

#: Apache's ``com.rocketmq.remoting.frameMaxLength``: a whole frame, its first length word included.
MAX_FRAME = 16 * 1024 * 1024
#: Apache has no limit of its own here. The largest honest header carries 32 KiB of properties, at most six
#: times that when every byte is escaped.
MAX_HEADER = 256 * 1024

#: What came in: a command, or why a frame is none. After a fatal error nothing more comes.
RemotingEvent: TypeAlias = RemotingCommand | WireError

_PREFIX = struct.Struct(">II")
_read_prefix = _PREFIX.unpack_from
_write_prefix = _PREFIX.pack


def _check_prefix(total: int, word: int, max_frame: int, max_header: int) -> WireError | None:
    """Why these two length words cannot begin a frame (the framing is lost), or None."""
    if total < 4 or total + 4 > max_frame:
        return WireError(f"Remoting frame length: expected 4..{max_frame - 4}, got {total}")
    header_size = word & 0xFFFFFF
    if word >> 24 > 1:
        return WireError(
            f"Remoting header serialization: expected 0 (JSON) or 1 (ROCKETMQ), got {word >> 24}"
        )
    if header_size > total - 4:
        return WireError(
            f"Remoting header length: expected at most {total - 4} (the frame's), got {header_size}"
        )
    if header_size > max_header:
        return WireError(
            f"Remoting header length: expected at most {max_header} (the limit), got {header_size}"
        )
    return None


class _Framing:
    """Cuts a byte stream into frames. Keeps only bytes that have arrived, whatever a length promises."""

    def __init__(self, max_frame: int, max_header: int) -> None:
        self._max_frame = max_frame
        self._max_header = max_header
        self._pending = bytearray()
        self._needed = 8
        self._failed = False

    @property
    def buffered(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._pending)

    def _complete_pending(self, data: bytes) -> tuple[bytearray, int] | WireError | None:
        """Add to the unfinished frame; give it once it is whole (it is the caller's then), with how much of `data` it took."""
        pending = self._pending
        used = 0
        if len(pending) < 8:
            used = min(8 - len(pending), len(data))
            pending += data[:used]
            if len(pending) < 8:
                return None
            total, word = _read_prefix(pending)
            problem = _check_prefix(total, word, self._max_frame, self._max_header)
            if problem is not None:
                return problem
            self._needed = total + 4
        missing = self._needed - len(pending)
        if used == 0 and len(data) <= missing:
            pending += data
            used = len(data)
        else:
            end = used + missing
            pending += data[used:end]
            used = min(end, len(data))
        if len(pending) < self._needed:
            return None
        self._pending = bytearray()
        self._needed = 8
        return pending, used

    def _keep(self, data: bytes, position: int) -> WireError | None:
        """Keep the unfinished frame that begins at `position`; refuse impossible lengths at once."""
        self._pending = bytearray(data[position:])
        if len(self._pending) >= 8:
            total, word = _read_prefix(self._pending)
            problem = _check_prefix(total, word, self._max_frame, self._max_header)
            if problem is not None:
                return problem
            self._needed = total + 4
        return None

    def _fail(self) -> None:
        self._failed = True
        self._pending = bytearray()


class FrameSplitter(_Framing):
    """Cuts a stream into whole raw frames, lengths included, without looking into their headers."""

    def __init__(self, max_frame: int = MAX_FRAME, max_header: int = MAX_HEADER) -> None:
        super().__init__(max_frame, max_header)

    def receive_data(self, data: bytes) -> list[bytes | WireError]:
        """Take what arrived; return the frames that it completes. A WireError is the last, and fatal."""
        frames: list[bytes | WireError] = []
        if self._failed:
            return frames
        position = 0
        if self._pending:
            done = self._complete_pending(data)
            if done is None:
                return frames
            if isinstance(done, WireError):
                self._fail()
                return [done]
            frames.append(bytes(done[0]))
            position = done[1]
        size = len(data)
        max_frame, max_header = self._max_frame, self._max_header
        while size - position >= 8:
            total, word = _read_prefix(data, position)
            end = position + 4 + total
            if end > size:
                break
            problem = _check_prefix(total, word, max_frame, max_header)
            if problem is not None:
                frames.append(problem)
                self._fail()
                return frames
            frames.append(data[position:end])
            position = end
        if position < size:
            problem = self._keep(data, position)
            if problem is not None:
                frames.append(problem)
                self._fail()
        return frames


class RemotingDecoder(_Framing):
    """Decodes a stream of frames of either serialization, mixed as they come.

    :param sends_in_fields: requests to send may come as `remoting_send.SendRequest`, without `ext_fields`: for servers.
    """

    def __init__(
        self, max_frame: int = MAX_FRAME, max_header: int = MAX_HEADER, *, sends_in_fields: bool = False
    ) -> None:
        super().__init__(max_frame, max_header)
        self._decode_json = _decode_json_header if sends_in_fields else decode_json_header

    def receive_data(self, data: bytes) -> list[RemotingEvent]:
        """Take what arrived; return the commands that it completes, in order.

        A frame whose header cannot be decoded stands in the list as a WireError that is not fatal, with the
        opaque as its ``request_id`` where that could be found. A fatal one is the last item, and nothing is
        read after it.
        """
        events: list[RemotingEvent] = []
        if self._failed:
            return events
        position = 0
        if self._pending:
            done = self._complete_pending(data)
            if done is None:
                return events
            if isinstance(done, WireError):
                self._fail()
                return [done]
            try:
                events.append(_decode_frame(done[0], self._decode_json))
            except WireError as error:
                events.append(error)
            position = done[1]
        size = len(data)
        max_frame, max_header = self._max_frame, self._max_header
        decode_json = self._decode_json
        while size - position >= 8:
            total, word = _read_prefix(data, position)
            end = position + 4 + total
            if end > size:
                break
            header_size = word & 0xFFFFFF
            if (
                header_size > total - 4
                or total + 4 > max_frame
                or header_size > max_header
                or word >> 24 > 1
                or total < 4
            ):
                problem = _check_prefix(total, word, max_frame, max_header)
                if problem is not None:
                    events.append(problem)
                    self._fail()
                    return events
            position += 8
            body_start = position + header_size
            try:
                if word >> 24 == 0:
                    events.append(decode_json(data[position:body_start], data[body_start:end]))
                else:
                    events.append(decode_binary_header(data[position:body_start], data[body_start:end]))
            except WireError as error:
                events.append(error)
            position = end
        if position < size:
            problem = self._keep(data, position)
            if problem is not None:
                events.append(problem)
                self._fail()
        return events


def decode_frame(frame: bytes) -> RemotingCommand:
    """Decode one whole raw frame, lengths included.

    :raise WireError: its header cannot be decoded (not fatal), or its lengths contradict each other (fatal).
    """
    if len(frame) < 8:
        raise WireError(f"Remoting frame: expected at least 8 bytes, got {len(frame)}")
    total, word = _read_prefix(frame)
    if total + 4 != len(frame):
        raise WireError(f"Remoting frame length: expected {len(frame) - 4}, got {total}")
    problem = _check_prefix(total, word, total + 4, total)
    if problem is not None:
        raise problem
    return _decode_frame(frame, decode_json_header)


def decode_split(frame: bytes) -> RemotingCommand:
    """Decode one whole raw frame that comes from `FrameSplitter`, so that its lengths are right.

    :raise WireError: not fatal: its header cannot be decoded.
    """
    return _decode_frame(frame, decode_json_header)


def _decode_json_header(header: bytes, body: bytes) -> RemotingCommand:
    if header.startswith(SEND_PREFIX):
        return decode_send_header(header, body)
    return decode_json_header(header, body)


def _decode_frame(
    frame: bytes | bytearray, decode_json: Callable[[bytes, bytes], RemotingCommand]
) -> RemotingCommand:
    """Decode a whole frame whose lengths are right."""
    word = _read_prefix(frame)[1]
    body_start = 8 + (word & 0xFFFFFF)
    # A body of 4 MB is copied once, not twice.
    with memoryview(frame) as view:
        header, body = bytes(view[8:body_start]), bytes(view[body_start:])
    return decode_json(header, body) if word >> 24 == JSON else decode_binary_header(header, body)


def encode_head(
    code: int,
    opaque: int,
    flag: int,
    ext_fields: dict[str, str] | None = None,
    remark: str | None = None,
    body_size: int = 0,
    serialization: int = JSON,
    version: int = DEFAULT_VERSION,
    language: str = DEFAULT_LANGUAGE,
) -> bytes:
    """Both length words and the header of a frame whose body of `body_size` bytes the caller sends after it.

    :raise WireError: not fatal: a field does not fit the serialization.
    """
    if serialization == JSON:
        header = encode_json_header(code, opaque, flag, version, language, remark, ext_fields)
        return _write_prefix(4 + len(header) + body_size, len(header)) + header
    header = encode_binary_header(code, opaque, flag, version, language, remark, ext_fields)
    return _write_prefix(4 + len(header) + body_size, len(header) | ROCKETMQ << 24) + header


def encode_response(
    opaque: int,
    code: int = 0,
    ext_fields: dict[str, str] | None = None,
    remark: str | None = None,
    body: bytes = b"",
    serialization: int = JSON,
    version: int = DEFAULT_VERSION,
    language: str = DEFAULT_LANGUAGE,
) -> bytes:
    """The whole frame that answers the request with this `opaque` and `serialization`."""
    if body:
        size = len(body)
        return (
            encode_head(
                code, opaque, FLAG_RESPONSE, ext_fields, remark, size, serialization, version, language
            )
            + body
        )
    return encode_head(code, opaque, FLAG_RESPONSE, ext_fields, remark, 0, serialization, version, language)


def encode_request(
    code: int,
    opaque: int,
    ext_fields: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    oneway: bool = False,
    serialization: int = JSON,
    version: int = DEFAULT_VERSION,
    language: str = DEFAULT_LANGUAGE,
) -> bytes:
    """The whole frame of a request."""
    flag = FLAG_ONEWAY if oneway else 0
    return (
        encode_head(code, opaque, flag, ext_fields, None, len(body), serialization, version, language) + body
    )


def encode_command(command: RemotingCommand) -> bytes:
    """The whole frame of a command, in its own serialization."""
    return (
        encode_head(
            command.code,
            command.opaque,
            command.flag,
            command.ext_fields,
            command.remark,
            len(command.body),
            command.serialization,
            command.version,
            command.language,
        )
        + command.body
    )
