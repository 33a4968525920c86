"""Reading and writing of bodies."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.fastjson import decode_fastjson, encode_fastjson
from rmqgateway.wire.jsonlimits import check_depth

__all__ = ["MAX_BODY", "Body", "decode_body", "encode_body"]

#: As much as a frame can hold.
MAX_BODY = 16 * 1024 * 1024
MAX_DEPTH = 32

_T = TypeVar("_T")


class Body(msgspec.Struct, rename="camel"):
    """Base of all bodies."""


def decode_body(data: bytes, type: type[_T], max_bytes: int = MAX_BODY) -> _T:
    """Read a body. An empty one counts as ``{}``, which mqadmin sends for "all".

    :raise WireError: not fatal: no JSON, over a limit, or a field is missing or of the wrong type; it is
        named.
    """
    if len(data) > max_bytes:
        raise WireError(f"JSON body: expected at most {max_bytes} bytes, got {len(data)}", fatal=False)
    if not data:
        data = b"{}"
    check_depth(data, MAX_DEPTH)
    try:
        decoded: _T = _decoder(cast("Hashable", type)).decode(data)
        return decoded
    except (ValueError, TypeError, RecursionError):
        # Perhaps the dialect; if it is neither, its parser names the place.
        return decode_fastjson(data, type, max_bytes, MAX_DEPTH)


def encode_body(body: msgspec.Struct | Sequence[msgspec.Struct], standard: bool = False) -> bytes:
    """Write a body.

    :param standard: as standard JSON also where fastjson's dialect differs (keys that are numbers or
        objects), for a request that says ``acceptStandardJsonOnly``.
    """
    return encode_fastjson(body, standard)


@functools.lru_cache(maxsize=256)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_, strict=False)
