"""Bytes to frames and frames to bytes, in JSON and in MessagePack."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.jsonlimits import check_depth
from rmqgateway_websocket.convert import incoming
from rmqgateway_websocket.frames import CLIENT_FRAMES, ClientFrame, Id, OutgoingMessage, Return

__all__ = ["CODECS", "JSON", "MSGPACK", "Codec"]

JSON = "rmqgateway.v1.json"
MSGPACK = "rmqgateway.v1.msgpack"
#: No frame nests deeper than four levels.
_MAX_DEPTH = 16
_UNKNOWN = re.compile(r"unknown field `([^`]{0,200})`")
_OP = re.compile(r"Invalid value '([^']{0,200})' - at `\$\.op`")


class _OnlyId(msgspec.Struct):
    id: Id | None = None


class Codec:
    """One sub-protocol.

    :ivar name: the sub-protocol. :ivar is_binary: whether its messages are binary ones. :ivar encode: a server's frame as
        bytes. :ivar text_bodies: whether bodies that are UTF-8 are written as text.
    """

    __slots__ = ("_decode", "_decode_id", "_shared", "_shared_of", "encode", "is_binary", "name", "text_bodies")

    def __init__(self, name: str, library: Any, is_binary: bool) -> None:
        self.name = name
        self.is_binary = is_binary
        self.text_bodies = not is_binary
        self.encode = library.Encoder().encode
        self._decode = library.Decoder(ClientFrame).decode
        self._decode_id = library.Decoder(_OnlyId).decode
        self._shared_of: bytes | None = None
        self._shared = msgspec.Raw()

    def decode(self, data: bytes, is_binary: bool) -> Any:
        """One of `CLIENT_FRAMES`. The size is the WebSocket's business.

        :raise WireError: not fatal, naming the field and the nearest right name.
        """
        if is_binary is not self.is_binary:
            expected, got = ("binary", "text") if self.is_binary else ("text", "binary")
            raise WireError(f"{self.name}: expected {expected} messages, got a {got} one", fatal=False)
        try:
            if not is_binary:
                check_depth(data, _MAX_DEPTH)
            return self._decode(data)
        except UnicodeDecodeError as error:
            raise WireError(f"frame: expected UTF-8, got {error.reason}", fatal=False) from None
        except (ValueError, RecursionError) as error:
            raise WireError(f"frame: {error}{_hint(str(error))}", fatal=False) from None

    def shared(self, stored: bytes) -> msgspec.Raw:
        """`convert.incoming` of a message that goes to many, encoded: once for as long as it is the same."""
        if stored is not self._shared_of:
            self._shared = msgspec.Raw(self.encode(incoming(stored, self.text_bodies)))
            self._shared_of = stored
        return self._shared

    def id_of(self, data: bytes) -> int | str | None:
        """The id of a frame that `decode` refuses, where it can be read."""
        try:
            found: int | str | None = self._decode_id(data).id
        except (ValueError, RecursionError):
            return None
        return found


def _hint(text: str) -> str:
    """The nearest right name, for an unknown one."""
    unknown, op = _UNKNOWN.search(text), _OP.search(text)
    if unknown is None and op is None:
        return ""
    from difflib import get_close_matches

    if unknown is not None:
        structs: tuple[type[msgspec.Struct], ...] = (*CLIENT_FRAMES, OutgoingMessage, Return)
        known = sorted({field.encode_name for struct in structs for field in msgspec.structs.fields(struct)})
        close = get_close_matches(unknown[1], known, 1)
    else:
        close = get_close_matches(op[1] if op else "", sorted(str(frame.__struct_config__.tag) for frame in CLIENT_FRAMES), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


#: By the name of the sub-protocol, best first.
CODECS = {
    MSGPACK: Codec(MSGPACK, msgspec.msgpack, True),
    JSON: Codec(JSON, msgspec.json, False),
}
