"""STOMP frames, sans-IO: bytes in, frames out."""

import re
from collections.abc import Iterator

import msgspec

from rmqgateway.errors import WireError

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_UNESCAPED = {"r": "\r", "n": "\n", "c": ":", "\\": "\\"}
_ESCAPED = str.maketrans({"\r": "\\r", "\n": "\\n", ":": "\\c", "\\": "\\\\"})
_PLAIN = ("CONNECT", "STOMP", "CONNECTED")  # their headers are not escaped


class Frame(msgspec.Struct, frozen=True):
    """One frame. :ivar headers: decoded; of a name that comes twice the first value counts."""

    command: str
    headers: dict[str, str] = {}
    body: bytes = b""


class FrameDecoder:
    """:param max_head: bytes of command and headers. :param max_body: bytes of a body."""

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head, self._max_body = max_head, max_body
        self._buffer = bytearray()
        self._command, self._headers = "", dict[str, str]()
        self._seen = 0  # so much was searched already: dripped bytes cost no more than others

    def receive_data(self, data: bytes) -> Iterator[Frame]:
        """Yield each frame that is whole now. :raise WireError: fatal."""
        self._buffer += data
        while (self._command or self._find_head()) and (body := self._find_body()) is not None:
            yield Frame(self._command, self._headers, body)
            self._command = ""

    def _find_head(self) -> bool:
        if self._buffer.startswith((b"\n", b"\r")):  # heart-beats
            self._buffer = self._buffer.lstrip(b"\r\n")
        end = _END_OF_HEAD.search(self._buffer, max(self._seen - 2, 0))
        self._seen = len(self._buffer)
        if (end.end() if end else self._seen) > self._max_head:
            raise WireError(f"expected a head of at most {self._max_head} bytes (max_head)")
        if end:
            self._command, self._headers = _decode_head(bytes(self._buffer[: end.start()]))
            del self._buffer[: end.end()]
            self._seen = 0
        return end is not None

    def _find_body(self) -> bytes | None:
        length = self._headers.get("content-length")
        if length is None:
            size = self._buffer.find(b"\0", self._seen)
            self._seen = len(self._buffer)
        elif length.isascii() and length.isdigit() and len(length) < 16:
            size = int(length)
        else:
            raise WireError(f"content-length: expected a number, got {length[:40]!r}")
        if (size if size >= 0 else self._seen) > self._max_body:
            raise WireError(f"expected a body of at most {self._max_body} bytes (max_body)")
        if size < 0 or len(self._buffer) <= size:
            return None
        if self._buffer[size]:
            raise WireError("expected a NUL after the body")
        body = bytes(self._buffer[:size])
        del self._buffer[: size + 1]
        self._seen = 0
        return body


def _decode_head(head: bytes) -> tuple[str, dict[str, str]]:
    try:
        command, *lines = [line.removesuffix("\r") for line in head.decode().split("\n")]
        pairs = [line.split(":", 1) for line in reversed(lines)]
        if command not in _PLAIN:
            pairs = [[_ESCAPE.sub(lambda found: _UNESCAPED[found[1]], text) for text in pair] for pair in pairs]
        return command, {pair[0]: pair[1] for pair in pairs}
    except (LookupError, ValueError) as error:  # an undefined escape, a line without a colon; no UTF-8
        raise WireError(f"a head that is none: {error}") from None


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame."""
    table = {} if frame.command in _PLAIN else _ESCAPED
    headers = {**frame.headers, "content-length": str(len(frame.body))} if frame.body else frame.headers
    lines = [f"{name.translate(table)}:{value.translate(table)}\n" for name, value in headers.items()]
    return f"{frame.command}\n{''.join(lines)}\n".encode() + frame.body + b"\0"
