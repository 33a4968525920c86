"""HTTP/1.1 requests as bytes in, events out (RFC 9112), stricter than most, since a lenient parser is a smuggler's friend.

One request at a time: after its `RequestEnd` the decoder holds what follows until `next_request`, so that a pipelining client
is answered in its order and cannot make us hold more than its budget. A parser of our own and not httptools: that one has no
limits of its own, takes chunk extensions and HTTP/1.0 with Transfer-Encoding, delivers trailers as headers and pipelined
requests all at once; closing those gaps around it is longer than this file.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec

from rmqgateway.errors import WireError

__all__ = [
    "BodyData",
    "Event",
    "Http1Decoder",
    "Http1Error",
    "RequestEnd",
    "RequestHead",
    "encode_chunk",
    "encode_head",
    "last_chunk",
    "reason_phrase",
]

Headers: TypeAlias = "list[tuple[bytes, bytes]]"

#: RFC 9110 5.6.2: what names are made of.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: Method, target without blanks and controls, version.
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])").fullmatch
#: A field line without folding; the value has no controls but tabs (RFC 9112 5).
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)").fullmatch
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_DIGITS = re.compile(rb"[0-9]{1,18}").fullmatch
#: A chunk's size and its extension; nobody needs more.
_MAX_CHUNK_LINE = 256
#: Names that clients send all the time, in lower case.
_LOWER: dict[bytes, bytes] = {
    name: name.lower()
    for name in (
        b"Host", b"host", b"Content-Type", b"content-type", b"Content-Length", b"content-length", b"Accept", b"accept",
        b"User-Agent", b"user-agent", b"Connection", b"connection", b"Accept-Encoding", b"accept-encoding", b"Origin", b"origin",
        b"Transfer-Encoding", b"transfer-encoding", b"Authorization", b"authorization", b"Date", b"date",
    )
}  # fmt: skip


class Http1Error(WireError):
    """A request that is not HTTP/1.1, always the end of its connection. :ivar status: what to answer before closing."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message, fatal=True)
        self.status = status


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request began.

    :ivar target: exactly as sent. :ivar headers: names in lower case, values without blanks around, in their order.
    :ivar minor: 1 for HTTP/1.1, 0 for HTTP/1.0. :ivar keep_alive: whether the client wants to go on afterwards.
    :ivar content_length: the body's size, None when chunked. :ivar upgrade: what it would like to upgrade to, or b"".
    """

    method: bytes
    target: bytes
    minor: int
    headers: Headers
    keep_alive: bool
    content_length: int | None
    expects_continue: bool = False
    upgrade: bytes = b""


class BodyData(msgspec.Struct, frozen=True, gc=False):
    """A piece of the body."""

    data: bytes


class RequestEnd(msgspec.Struct, frozen=True, gc=False):
    """The request is whole. :ivar trailers: of a chunked body."""

    trailers: Headers = []


#: Heads up to this size are kept parsed, so many of them.
_KEPT_HEAD, _KEPT_HEADS = 1024, 512
_END = RequestEnd()

Event: TypeAlias = "RequestHead | BodyData | RequestEnd"

_HEAD, _LENGTH, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_CRLF, _TRAILERS, _HELD, _FAILED, _UPGRADED = range(9)


class Http1Decoder:
    """Requests of one connection.

    :param max_head: bytes of request line and fields; servers choose 8 to 64 KiB. :param max_fields: how many fields.
    :param max_trailers: bytes of trailers. :param heads: parsed heads by their bytes, shared by the connections of a server
        and bounded here: clients that keep a connection alive send the same one again and again.
    """

    def __init__(
        self,
        max_head: int = 32 * 1024,
        max_fields: int = 128,
        max_trailers: int = 8 * 1024,
        heads: dict[bytes, RequestHead] | None = None,
    ) -> None:
        self._heads = {} if heads is None else heads
        self._max_head = max_head
        self._max_fields = max_fields
        self._max_trailers = max_trailers
        self._buffer = bytearray()
        self._searched = 0
        self._left = 0
        self._trailers_size = 0
        self._trailers: Headers = []
        self._state = _HEAD

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    @property
    def between_requests(self) -> bool:
        """Nothing of a request has come yet."""
        return self._state == _HEAD and not self._buffer

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes; return what they complete, up to the end of one request.

        :raise Http1Error: what was expected and what came; the decoder takes nothing more.
        """
        buffer = self._buffer
        if self._state == _HEAD and not buffer:
            # The usual case: one request, whole, with a head that came before.
            end = data.find(b"\r\n\r\n", 0, _KEPT_HEAD)
            if end > 0:
                head = self._heads.get(data[:end])
                if head is not None:
                    end += 4
                    if head.content_length == len(data) - end:
                        self._state = _HELD
                        return [head, BodyData(data[end:]), _END] if head.content_length else [head, _END]
        buffer += data
        return self._advance()

    def next_request(self) -> list[Event]:
        """The answer to the last request is on its way: go on with what was held.

        :raise Http1Error: as `receive_data`.
        """
        if self._state == _HELD:
            self._state = _HEAD
            return self._advance()
        return []

    def take_rest(self) -> bytes:
        """Everything that was not read, for the protocol that the connection is upgraded to; the end of this decoder."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._state = _UPGRADED
        return rest

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        try:
            while _STEPS[self._state](self, events):
                pass
        except Http1Error:
            self._state = _FAILED
            self._buffer.clear()
            raise
        return events

    # Each step returns whether another one may follow.

    def _read_head(self, events: list[Event]) -> bool:
        buffer = self._buffer
        # Some clients send an empty line after a body (RFC 9112 2.2).
        if buffer.startswith(b"\r\n"):
            del buffer[:2]
            self._searched = 0
        end = buffer.find(b"\r\n\r\n", max(self._searched - 3, 0), self._max_head)
        if end < 0:
            if len(buffer) >= self._max_head:
                raise Http1Error(f"request head: expected at most {self._max_head} bytes", 431)
            # A line end that is none is told early, not after the time-out of a client that will never send another.
            if buffer.find(b"\n", max(self._searched - 1, 0)) >= 0:
                _check_line_ends(buffer)
            self._searched = len(buffer)
            return False
        head = bytes(buffer[:end])
        del buffer[: end + 4]
        self._searched = 0
        request = self._heads.get(head)
        if request is None:
            request = self._parse_head(head)
            if end <= _KEPT_HEAD:
                if len(self._heads) >= _KEPT_HEADS:
                    self._heads.clear()
                self._heads[head] = request
        events.append(request)
        if request.content_length is None:
            self._state = _CHUNK_SIZE
            self._trailers = []
            self._trailers_size = 0
        elif request.content_length:
            self._left = request.content_length
            self._state = _LENGTH
        else:
            events.append(RequestEnd())
            self._state = _HELD
        return True

    def _parse_head(self, head: bytes) -> RequestHead:
        lines = head.split(b"\r\n")
        line = _REQUEST_LINE(lines[0])
        if line is None:
            _check_line_ends(head)
            raise Http1Error(f"request line: expected METHOD target HTTP/1.1, got {lines[0][:100]!r}")
        if len(lines) - 1 > self._max_fields:
            raise Http1Error(f"request head: expected at most {self._max_fields} fields", 431)
        headers = _fields(lines[1:])
        method, target, minor_text = line.groups()
        minor = 1 if minor_text == b"1" else 0
        length = host = connection = transfer = expect = upgrade = None
        for name, value in headers:
            # The few that decide about framing, each at most once.
            if name == b"host":
                if host is not None:
                    raise Http1Error("Host: expected one, got two")
                host = value
            elif name == b"content-length":
                if length is not None:
                    raise Http1Error("Content-Length: expected one, got two")
                length = value
            elif name == b"transfer-encoding":
                if transfer is not None:
                    raise Http1Error("Transfer-Encoding: expected one, got two")
                transfer = value
            elif name == b"connection":
                connection = value if connection is None else connection + b"," + value
            elif name == b"expect":
                expect = value
            elif name == b"upgrade":
                upgrade = value
        if minor and host is None:
            raise Http1Error("Host: expected in HTTP/1.1, got none")
        content_length: int | None = 0
        if transfer is not None:
            if length is not None:
                raise Http1Error("expected Content-Length or Transfer-Encoding, got both")
            if not minor:
                raise Http1Error("Transfer-Encoding: not in HTTP/1.0")
            if transfer.lower() != b"chunked":
                raise Http1Error(f"Transfer-Encoding: expected chunked, got {transfer[:100]!r}", 501)
            content_length = None
        elif length is not None:
            if _DIGITS(length) is None:
                raise Http1Error(f"Content-Length: expected digits, got {length[:100]!r}")
            content_length = int(length)
        options = () if connection is None else [option.strip() for option in connection.lower().split(b",")]
        return RequestHead(
            method,
            target,
            minor,
            headers,
            b"close" not in options if minor else b"keep-alive" in options,
            content_length,
            bool(minor) and expect is not None and expect.lower() == b"100-continue",
            upgrade if upgrade is not None and b"upgrade" in options else b"",
        )

    def _take_body(self, events: list[Event]) -> bool:
        """Give what has come of the `_left` bytes; whether that was all."""
        buffer = self._buffer
        if not buffer:
            return False
        data = bytes(buffer[: self._left])
        del buffer[: len(data)]
        self._left -= len(data)
        events.append(BodyData(data))
        return not self._left

    def _read_length(self, events: list[Event]) -> bool:
        if not self._take_body(events):
            return False
        events.append(RequestEnd())
        self._state = _HELD
        return False

    def _read_line(self, limit: int, what: str) -> bytes | None:
        """The next line, without its end."""
        buffer = self._buffer
        end = buffer.find(b"\r\n", 0, limit)
        if end < 0:
            if len(buffer) >= limit:
                raise Http1Error(f"{what}: expected a line of at most {limit} bytes")
            if b"\n" in buffer or b"\r" in buffer[:-1]:
                raise Http1Error(f"{what}: expected CR LF at the end of a line")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line

    def _read_chunk_size(self, events: list[Event]) -> bool:
        line = self._read_line(_MAX_CHUNK_LINE, "chunk size")
        if line is None:
            return False
        found = _CHUNK(line)
        if found is None:
            raise Http1Error(f"chunk size: expected hexadecimal digits, got {line[:40]!r}")
        self._left = int(found.group(1), 16)
        self._state = _CHUNK_DATA if self._left else _TRAILERS
        return True

    def _read_chunk_data(self, events: list[Event]) -> bool:
        if not self._take_body(events):
            return False
        self._state = _CHUNK_CRLF
        return True

    def _read_chunk_end(self, events: list[Event]) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            if buffer and buffer[0] != 13:
                raise Http1Error("chunk: expected CR LF behind its data")
            return False
        if buffer[:2] != b"\r\n":
            raise Http1Error("chunk: expected CR LF behind its data")
        del buffer[:2]
        self._state = _CHUNK_SIZE
        return True

    def _read_trailers(self, events: list[Event]) -> bool:
        line = self._read_line(self._max_trailers, "trailers")
        if line is None:
            return False
        if line:
            self._trailers_size += len(line) + 2
            if self._trailers_size > self._max_trailers or len(self._trailers) >= self._max_fields:
                raise Http1Error(f"trailers: expected at most {self._max_trailers} bytes", 431)
            self._trailers += _fields([line])
            return True
        events.append(RequestEnd(self._trailers))
        self._state = _HELD
        return False

    def _hold(self, events: list[Event]) -> bool:
        return False

    def _refuse(self, events: list[Event]) -> bool:
        raise Http1Error("this connection has failed already")


_STEPS = {
    _HEAD: Http1Decoder._read_head,
    _LENGTH: Http1Decoder._read_length,
    _CHUNK_SIZE: Http1Decoder._read_chunk_size,
    _CHUNK_DATA: Http1Decoder._read_chunk_data,
    _CHUNK_CRLF: Http1Decoder._read_chunk_end,
    _TRAILERS: Http1Decoder._read_trailers,
    _HELD: Http1Decoder._hold,
    _FAILED: Http1Decoder._refuse,
    _UPGRADED: Http1Decoder._refuse,
}


def _fields(lines: list[bytes]) -> Headers:
    headers: Headers = []
    for line in lines:
        found = _FIELD(line)
        if found is None:
            _check_line_ends(line)
            if line[:1] in (b" ", b"\t"):
                raise Http1Error(f"header: folding over lines is not taken, got {line[:100]!r}")
            raise Http1Error(f"header: expected name: value, got {line[:100]!r}")
        name, value = found.groups()
        headers.append((_LOWER.get(name) or name.lower(), value.rstrip(b" \t")))
    return headers


def _check_line_ends(data: bytes | bytearray) -> None:
    if data.count(b"\n") != data.count(b"\r\n") or b"\r" in data.replace(b"\r\n", b"").rstrip(b"\r"):
        raise Http1Error("request head: expected CR LF at the end of each line, got one of them alone")


_REASONS = {
    100: b"Continue", 101: b"Switching Protocols", 200: b"OK", 201: b"Created", 202: b"Accepted", 204: b"No Content",
    206: b"Partial Content", 301: b"Moved Permanently", 302: b"Found", 303: b"See Other", 304: b"Not Modified",
    307: b"Temporary Redirect", 308: b"Permanent Redirect", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden",
    404: b"Not Found", 405: b"Method Not Allowed", 406: b"Not Acceptable", 408: b"Request Timeout", 409: b"Conflict",
    411: b"Length Required", 413: b"Content Too Large", 414: b"URI Too Long", 415: b"Unsupported Media Type",
    417: b"Expectation Failed", 421: b"Misdirected Request", 422: b"Unprocessable Content", 426: b"Upgrade Required",
    428: b"Precondition Required", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
    500: b"Internal Server Error", 501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable",
    504: b"Gateway Timeout", 505: b"HTTP Version Not Supported", 507: b"Insufficient Storage",
}  # fmt: skip
_STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in _REASONS.items()}


def reason_phrase(status: int) -> bytes:
    """The usual words for a status (RFC 9110 15)."""
    return _REASONS.get(status, b"Unknown")


def encode_head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """A response's head. The caller checked that names and values are clean (they are ours)."""
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
    return line + b"".join([b"%b: %b\r\n" % field for field in headers]) + b"\r\n"


def encode_chunk(data: bytes) -> bytes:
    """One chunk of a body; `data` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: list[tuple[bytes, bytes]]) -> bytes:
    """The end of a chunked body."""
    return b"0\r\n" + b"".join([b"%b: %b\r\n" % field for field in trailers]) + b"\r\n"
