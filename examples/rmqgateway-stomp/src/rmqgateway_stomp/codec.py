"""STOMP frames, sans-IO: bytes in, frames out."""

import re

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.decoder import Decoder, Parsing
from rmqgateway.wire.text import number

_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_UNESCAPED = {"r": "\r", "n": "\n", "c": ":", "\\": "\\"}
_ESCAPED = str.maketrans({"\r": "\\r", "\n": "\\n", ":": "\\c", "\\": "\\\\"})
_PLAIN = ("CONNECT", "STOMP", "CONNECTED")  # their headers are not escaped


class Frame(msgspec.Struct, frozen=True):
    """One frame. :ivar headers: decoded; of a name that comes twice the first value counts."""

    command: str
    headers: dict[str, str] = {}
    body: bytes = b""


class FrameDecoder(Decoder[Frame]):
    """:param max_head: bytes of command and headers. :param max_body: bytes of a body."""

    def __init__(self, max_head: int, max_body: int) -> None:
        super().__init__()
        self._max_head, self._max_body = max_head, max_body

    def parse(self) -> Parsing[Frame]:
        """See `Decoder`."""
        while True:
            command, headers = _decode_head((yield from self.head(self._max_head, "max_head")))
            if "content-length" in headers:
                size = number(headers["content-length"], "content-length (max_body)", self._max_body)
                body = yield from self.exactly(size)
                if (yield from self.exactly(1)) != b"\0":
                    raise WireError("expected a NUL after the body")
            else:
                body = yield from self.until(b"\0", self._max_body, "max_body")
            yield Frame(command, headers, body)


def _decode_head(lines: list[bytes]) -> tuple[str, dict[str, str]]:
    try:
        command, *fields = [line.decode() for line in lines]
        pairs = [field.split(":", 1) for field in reversed(fields)]
        if command not in _PLAIN:
            pairs = [[_ESCAPE.sub(lambda at: _UNESCAPED[at[1]], text) for text in pair] for pair in pairs]
        return command, {pair[0]: pair[1] for pair in pairs}
    except (LookupError, ValueError) as error:  # an undefined escape, a line without a colon; no UTF-8
        raise WireError(f"a head that is none: {error}") from None


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame."""
    table = {} if frame.command in _PLAIN else _ESCAPED
    headers = {**frame.headers, "content-length": str(len(frame.body))} if frame.body else frame.headers
    lines = [f"{name.translate(table)}:{value.translate(table)}\n" for name, value in headers.items()]
    return f"{frame.command}\n{''.join(lines)}\n".encode() + frame.body + b"\0"
