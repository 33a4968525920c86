"""The one guarded JSON decoder for whatever comes from a peer.

msgspec does the work; it accepts duplicate keys, recurses as deep as the input says, and raises several
kinds of exceptions. Here size and depth are checked before anything is built, duplicates are refused where
that matters (administration: two readers must not see two different requests), and every failure is a
WireError that is not fatal.
"""

from __future__ import annotations

import functools
import json
import re
from itertools import accumulate
from typing import Any, TypeVar, overload

import msgspec

from rmqgateway.errors import WireError

__all__ = ["MAX_DEPTH", "check_depth", "decode_json"]

#: Nesting that no honest request reaches; well below what makes a parser's own recursion dangerous.
MAX_DEPTH = 64

_T = TypeVar("_T")

_STRING = re.compile(rb'"(?>[^"\\]*(?:\\.[^"\\]*)*)"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEP = [1 if byte in b"[{" else -1 for byte in range(256)]


@functools.lru_cache(maxsize=512)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


@overload
def decode_json(
    data: bytes, max_bytes: int, max_depth: int = ..., refuse_duplicates: bool = ..., *, type: type[_T]
) -> _T: ...


@overload
def decode_json(
    data: bytes, max_bytes: int, max_depth: int = ..., refuse_duplicates: bool = ...
) -> object: ...


def decode_json(
    data: bytes,
    max_bytes: int,
    max_depth: int = MAX_DEPTH,
    refuse_duplicates: bool = False,
    *,
    type: Any = Any,
) -> Any:
    """Decode one JSON document into `type` (what msgspec takes; without it into plain dicts, lists,
    strings, numbers).

    :param max_bytes: largest document. :param max_depth: deepest nesting of objects and arrays.
    :param refuse_duplicates: whether an object that has a key twice is an error; else the last value counts.
    :raise WireError: not fatal, saying what was expected, and the position or the path.
    """
    if len(data) > max_bytes:
        raise WireError(f"JSON: expected at most {max_bytes} bytes, got {len(data)}", fatal=False)
    check_depth(data, max_depth)
    try:
        if refuse_duplicates:
            json.loads(data, object_pairs_hook=_without_duplicates)
        return _decoder(type).decode(data)
    except UnicodeDecodeError as error:
        raise WireError(f"JSON: expected UTF-8, got {error.reason}", fatal=False) from None
    except (ValueError, RecursionError) as error:
        # msgspec's and json's errors are ValueErrors and end in the path or the position.
        raise WireError(f"JSON: {error}", fatal=False) from None


def check_depth(data: bytes, max_depth: int) -> None:
    """Refuse a document that nests deeper, without parsing it: linear in its size, whatever it contains.

    :raise WireError: not fatal, with the position.
    """
    if data.count(b"{") + data.count(b"[") <= max_depth:
        return
    brackets = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    if not brackets or max(accumulate(map(_STEP.__getitem__, brackets))) <= max_depth:
        return
    raise WireError(
        f"JSON: expected at most {max_depth} levels, got more (byte {_too_deep_at(data, max_depth)})",
        fatal=False,
    )


def _too_deep_at(data: bytes, max_depth: int) -> int:
    # Strings are blanked out, not removed, so that positions stay.
    blanked = _STRING.sub(lambda found: b" " * (found.end() - found.start()), data)
    depth = 0
    for found in _BRACKET.finditer(blanked):
        depth += _STEP[blanked[found.start()]]
        if depth > max_depth:
            return found.start()
    return len(data)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"expected each key once, got {key[:100]!r} twice")
            seen.add(key)
    return made
