"""gRPC over HTTP/2 and gRPC-web: length-prefixed messages and the text forms around them, without I/O.

``flag (1 byte) | length (4 bytes, big-endian) | message``; bit 0 of the flag: compressed, bit 7: a gRPC-web trailers
frame. Sources: gRPC's PROTOCOL-HTTP2.md and PROTOCOL-WEB.md.
"""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from collections.abc import Iterable
from enum import IntEnum

from rmqgateway.errors import WireError

__all__ = [
    "HOLDS_TOO_MUCH",
    "MAX_MESSAGE",
    "GrpcDecoder",
    "GrpcError",
    "GrpcStatus",
    "WebTextDecoder",
    "decode_status_message",
    "decode_timeout",
    "decode_web_headers",
    "encode_message",
    "encode_status_message",
    "encode_timeout",
    "encode_web_text",
    "encode_web_trailers",
]

#: A message before and after inflation: a 4 MiB body, its properties, and what encoding adds.
MAX_MESSAGE = 4 * 1024 * 1024 + 64 * 1024

# Up to here any compression ratio is harmless; gRPC's interop cases compress 271,828 zeros, a thousand to one.
_RATIO_FLOOR = 512 * 1024
_RATIO = 100
_GZIP_WINDOW = 16 + 15

_pack_prefix = struct.Struct(">BI").pack
_unpack_prefix = struct.Struct(">BI").unpack_from


#: With RESOURCE_EXHAUSTED, where the unfinished messages of one connection are more than it may make us hold.
HOLDS_TOO_MUCH = "the unfinished requests of this connection hold too much (setting http.in_flight_bytes)"


class GrpcStatus(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class GrpcError(WireError):
    """This call cannot go on; `status` is what its trailers should say."""

    def __init__(self, status: GrpcStatus, message: str) -> None:
        super().__init__(f"gRPC: {message}", fatal=False)
        self.status = status


class GrpcDecoder:
    """The messages of one call's body.

    :param encoding: its ``grpc-encoding``: identity or gzip, else GrpcError UNIMPLEMENTED.
    :param max_message: bytes of a message, as it arrives and inflated.
    """

    __slots__ = ("_buffer", "_gzip", "_max_message", "_need")

    def __init__(self, encoding: bytes = b"identity", *, max_message: int = MAX_MESSAGE) -> None:
        if encoding not in (b"identity", b"gzip"):
            raise GrpcError(
                GrpcStatus.UNIMPLEMENTED,
                f"grpc-encoding: expected identity or gzip, got {encoding[:32].decode('ascii', 'replace')}",
            )
        self._gzip = encoding == b"gzip"
        self._max_message = max_message
        self._buffer = bytearray()
        self._need = 5

    def receive_data(self, data: bytes) -> list[bytes]:
        """The messages that `data`, split anywhere, completed. Raises GrpcError; nothing can follow it."""
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._need:
                return []
            data = bytes(buffer)
            buffer.clear()
        messages: list[bytes] = []
        pos = 0
        size = len(data)
        self._need = 5
        while size - pos >= 5:
            flag, length = _unpack_prefix(data, pos)
            if length > self._max_message:
                raise GrpcError(
                    GrpcStatus.RESOURCE_EXHAUSTED, f"message: at most {self._max_message} bytes, got {length}"
                )
            start = pos + 5
            end = start + length
            if end > size:
                self._need = end - pos
                break
            pos = end
            if flag == 0:
                messages.append(data[start:end])
            elif flag == 1 and self._gzip:
                messages.append(self._inflate(data[start:end]))
            elif flag == 1:
                raise GrpcError(GrpcStatus.INTERNAL, "a compressed message without grpc-encoding")
            else:
                raise GrpcError(GrpcStatus.INTERNAL, f"message flag: expected 0 or 1, got {flag}")
        if pos < size:
            buffer += data[pos:] if pos else data
        return messages

    @property
    def held(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    def end(self) -> None:
        """The body ended; GrpcError if that was within a message."""
        if self._buffer:
            raise GrpcError(GrpcStatus.INTERNAL, "the body ends within a message")

    def _inflate(self, data: bytes) -> bytes:
        limit = min(self._max_message, max(_RATIO_FLOOR, _RATIO * len(data)))
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        try:
            message = inflater.decompress(data, limit + 1)
        except zlib.error:
            raise GrpcError(GrpcStatus.INTERNAL, "a compressed message that is not gzip") from None
        if len(message) > limit:
            raise GrpcError(GrpcStatus.RESOURCE_EXHAUSTED, f"inflated message: at most {limit} bytes here")
        if not inflater.eof or inflater.unused_data:
            raise GrpcError(
                GrpcStatus.INTERNAL, "a compressed message is cut short, or goes on after its end"
            )
        return message


def encode_message(message: bytes, *, gzip: bool = False) -> bytes:
    """One message with its prefix."""
    if not gzip:
        return _pack_prefix(0, len(message)) + message
    deflater = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
    data = deflater.compress(message) + deflater.flush()
    return _pack_prefix(1, len(data)) + data


_must_escape = re.compile(rb"[^\x20-\x24\x26-\x7e]")
_escape = re.compile(rb"%([0-9A-Fa-f]{2})")


def encode_status_message(text: str) -> bytes:
    """The value of ``grpc-message``: UTF-8, percent-encoded where it is not printable ASCII."""
    data = text.encode("utf-8", "replace")
    if _must_escape.search(data) is not None:
        data = _must_escape.sub(lambda match: b"%%%02X" % match[0][0], data)
    # A blank at an end would not survive as a field value.
    if data[:1] == b" ":
        data = b"%20" + data[1:]
    if data[-1:] == b" ":
        data = data[:-1] + b"%20"
    return data


def decode_status_message(value: bytes) -> str:
    """The text of a ``grpc-message``; as the specification asks, what is not well encoded is kept as it came."""
    return _escape.sub(lambda match: bytes((int(match[1], 16),)), value).decode("utf-8", "replace")


_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_timeout = re.compile(rb"([0-9]{1,8})([HMSmun])").fullmatch


def decode_timeout(value: bytes) -> float:
    """Seconds of a ``grpc-timeout``. Raises GrpcError."""
    match = _timeout(value)
    if match is None:
        raise GrpcError(
            GrpcStatus.INTERNAL,
            f"grpc-timeout: expected up to 8 digits and a unit, got {value[:32].decode('ascii', 'replace')}",
        )
    return int(match[1]) * _UNITS[match[2]]


def encode_timeout(seconds: float) -> bytes:
    """The ``grpc-timeout`` next below `seconds`, in the finest unit that holds it."""
    for unit, scale in ((b"n", 1e9), (b"u", 1e6), (b"m", 1e3), (b"S", 1.0), (b"M", 1 / 60)):
        count = int(max(seconds, 0.0) * scale)
        if count < 100_000_000:
            return b"%d%b" % (count, unit)
    return b"%dH" % min(int(seconds / 3600), 99_999_999)


def encode_web_trailers(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """gRPC-web's last frame: the trailers as a block of lines."""
    block = b"".join(name + b": " + value + b"\r\n" for name, value in trailers)
    return _pack_prefix(0x80, len(block)) + block


def decode_web_headers(block: bytes) -> list[tuple[bytes, bytes]]:
    """Lines ``name: value`` ended by CR LF, as in a trailers frame or the first message of improbable's WebSocket
    transport; names in lower case. Raises GrpcError."""
    headers: list[tuple[bytes, bytes]] = []
    for line in block.split(b"\r\n"):
        if line:
            name, colon, value = line.partition(b":")
            name = name.strip().lower()
            if not colon or not name or b"\n" in line or b"\0" in line:
                raise GrpcError(GrpcStatus.INTERNAL, "header block: expected lines of name: value")
            headers.append((name, value.strip()))
    return headers


def encode_web_text(data: bytes) -> bytes:
    """A frame, or several whole ones, for ``application/grpc-web-text``: base64, padded on its own."""
    return binascii.b2a_base64(data, newline=False)


class WebTextDecoder:
    """base64 of ``application/grpc-web-text``, split anywhere; padding may end any of its parts."""

    __slots__ = ("_carry",)

    def __init__(self) -> None:
        self._carry = b""

    def receive_data(self, data: bytes) -> bytes:
        """The bytes that `data` completed. Raises GrpcError."""
        if self._carry:
            data = self._carry + data
        whole = len(data) & ~3
        self._carry = data[whole:]
        parts: list[bytes] = []
        start = 0
        try:
            while start < whole:
                padding = data.find(b"=", start, whole)
                end = whole if padding < 0 else (padding | 3) + 1
                parts.append(binascii.a2b_base64(data[start:end], strict_mode=True))
                start = end
        except binascii.Error:
            raise GrpcError(GrpcStatus.INTERNAL, "grpc-web-text: expected base64") from None
        return b"".join(parts)

    def end(self) -> None:
        """The body ended; GrpcError if that was within four characters."""
        if self._carry:
            raise GrpcError(GrpcStatus.INTERNAL, "grpc-web-text: the body ends within four characters")
