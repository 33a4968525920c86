"""The dialect of JSON that Apache RocketMQ's bodies are written in, as fastjson makes it.

Maps whose keys are no strings are written as they are: ``{"brokerAddrs":{0:"10.0.0.1:10911"}}`` and
``{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:{"maxOffset":5}}}``. The reader takes that and
what fastjson takes besides: single quotes, unquoted names, a comma too many, control characters within
strings. Of a key that comes twice the last value counts, as in fastjson. References (``{"$ref":"$.a"}``)
are left as they are: no body of RocketMQ uses them.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from rmqgateway.errors import WireError
from rmqgateway.wire.jsonlimits import MAX_DEPTH, check_depth

__all__ = ["ObjectKey", "decode_fastjson", "encode_fastjson", "parse_fastjson"]

_T = TypeVar("_T")

_SPACE = re.compile(r"[ \t\r\n\f\b]*")
_COMMAS = re.compile(r"[ \t\r\n\f\b,]*")
_QUOTED = {
    '"': re.compile(r'"((?>[^"\\]*(?:\\.[^"\\]*)*))"', re.DOTALL),
    "'": re.compile(r"'((?>[^'\\]*(?:\\.[^'\\]*)*))'", re.DOTALL),
}
#: fastjson marks the type of a number by a letter when asked to (WriteClassName); it means nothing here.
_NUMBER = re.compile(r"-?(?:[0-9]{1,400})(\.[0-9]{0,400})?([eE][+-]?[0-9]{1,4})?(?![0-9.])[LSBFD]?")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "/": "/",
    "\\": "\\",
    '"': '"',
    "'": "'",
}
_ESCAPES |= {str(digit): chr(digit) for digit in range(8)}
_LITERALS = {"true": True, "false": False, "null": None}

_encode = msgspec.json.Encoder().encode
#: The standard library's scanner, in C: for the standard JSON within the dialect.
_scan = json.JSONDecoder(strict=False).raw_decode


class ObjectKey(dict[str, Any]):
    """An object that is a key of another one. Not to be changed after it was read."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset([(key, str(value)) for key, value in self.items()]))


def decode_fastjson(
    data: bytes, type: type[_T], max_bytes: int = 16 * 1024 * 1024, max_depth: int = MAX_DEPTH
) -> _T:
    """Decode a body into a msgspec type. Maps with object keys become ``dict[FrozenStruct, ...]``.

    :raise WireError: not fatal: not of this dialect, over a limit, or not of the type.
    """
    plain = parse_fastjson(data, max_bytes, max_depth)
    try:
        return msgspec.convert(plain, type, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError(f"JSON body: {error}", fatal=False) from None


def parse_fastjson(data: bytes, max_bytes: int = 16 * 1024 * 1024, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a body into dicts, lists, strings, numbers, booleans and None; keys are strings, ints or
    `ObjectKey`.

    :raise WireError: not fatal, with the position.
    """
    if len(data) > max_bytes:
        raise WireError(f"JSON body: expected at most {max_bytes} bytes, got {len(data)}", fatal=False)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise WireError(
            f"JSON body: expected UTF-8, got {error.reason} at byte {error.start}", fatal=False
        ) from None
    check_depth(data, max_depth)
    parser = _Parser(text, max_depth)
    try:
        value = parser.value(parser.skip(0), 0)
    except RecursionError:
        raise WireError("JSON body: nests too deep", fatal=False) from None
    if parser.skip(parser.end) != len(text):
        raise parser.error("the end", parser.skip(parser.end))
    return value


class _Parser:
    """A recursive descent; `end` is where the value that was read last ends."""

    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self.max_depth = max_depth
        self.end = 0

    def skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def error(self, expected: str, at: int) -> WireError:
        got = repr(self.text[at : at + 20]) if at < len(self.text) else "the end"
        return WireError(f"JSON body: expected {expected}, got {got} (character {at})", fatal=False)

    def value(self, at: int, depth: int) -> Any:
        first = self.text[at : at + 1]
        if first == "{":
            return self.object(at, depth + 1)
        if first == "[":
            return self.array(at, depth + 1)
        if first in _QUOTED:
            return self.string(at, first)
        literal = _NAME.match(self.text, at)
        if literal and literal.group() in _LITERALS:
            self.end = literal.end()
            return _LITERALS[literal.group()]
        return self.number(at)

    def string(self, at: int, quote: str) -> str:
        found = _QUOTED[quote].match(self.text, at)
        if found is None:
            raise self.error(f"a string that ends with {quote}", at)
        self.end = found.end()
        inner = found.group(1)
        if "\\" not in inner:
            return inner
        read = _ESCAPE.sub(lambda escape: self.unescape(escape, at), inner)
        # Two escapes may be the halves of one character; a half alone is what Java writes as "?".
        return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def unescape(self, escape: re.Match[str], at: int) -> str:
        name = escape.group(1)
        if len(name) > 1:
            return chr(int(name[1:], 16))
        if name not in _ESCAPES:
            raise self.error(f"a known escape instead of \\{name}", at)
        return _ESCAPES[name]

    def number(self, at: int) -> int | float:
        found = _NUMBER.match(self.text, at)
        if found is None:
            raise self.error("a value", at)
        self.end = found.end()
        digits = found.group().rstrip("LSBFD")
        if found.group(1) is None and found.group(2) is None:
            return int(digits)
        return float(digits)

    def array(self, at: int, depth: int) -> list[Any]:
        self.check(depth, at)
        text = self.text
        values: list[Any] = []
        at = self.skip(at + 1)
        while text[at : at + 1] != "]":
            values.append(self.value(at, depth))
            at = self.separator("]")
        self.end = at + 1
        return values

    def object(self, at: int, depth: int) -> dict[Any, Any]:
        self.check(depth, at)
        text = self.text
        members: dict[Any, Any] = {}
        at = self.skip(at + 1)
        while text[at : at + 1] != "}":
            key = self.key(at, depth)
            at = self.skip(self.end)
            if text[at : at + 1] != ":":
                raise self.error("':'", at)
            at = self.skip(at + 1)
            # The values of a map with object keys are many and nearly always standard.
            members[key] = self.value(at, depth) if isinstance(key, str) else self.standard(at, depth)
            at = self.separator("}")
        self.end = at + 1
        return members

    def standard(self, at: int, depth: int) -> Any:
        """What `value` gives, fast where it is standard JSON."""
        try:
            value, self.end = _scan(self.text, at)
        except (ValueError, RecursionError):
            return self.value(at, depth)
        return value

    def separator(self, closing: str) -> int:
        """Where the next item or the closing bracket stands, after a comma or several."""
        at = self.skip(self.end)
        following = self.text[at : at + 1]
        if following == ",":
            found = _COMMAS.match(self.text, at)
            return found.end() if found else at
        if following != closing:
            raise self.error(f"',' or {closing!r}", at)
        return at

    def key(self, at: int, depth: int) -> str | int | ObjectKey:
        first = self.text[at : at + 1]
        if first in _QUOTED:
            return self.string(at, first)
        if first == "{":
            return ObjectKey(self.standard(at, depth))
        found = _NAME.match(self.text, at)
        if found is not None:
            self.end = found.end()
            return found.group()
        number = self.number(at)
        if isinstance(number, float):
            raise self.error("a key", at)
        return number

    def check(self, depth: int, at: int) -> None:
        if depth > self.max_depth:
            raise WireError(
                f"JSON body: expected at most {self.max_depth} levels, got more (character {at})", fatal=False
            )


def encode_fastjson(value: object, standard: bool = False) -> bytes:
    """Write msgspec Structs, dicts, lists and scalars; fields that are None are left out, as fastjson does.

    :param standard: quote keys that are numbers, and write keys that are objects as strings of JSON, for
        those who asked for standard JSON.
    """
    parts: list[bytes] = []
    _write(value, parts, standard)
    return b"".join(parts)


def _write(value: object, parts: list[bytes], standard: bool) -> None:
    if isinstance(value, dict):
        separator = b"{"
        for key, item in value.items():
            parts.append(separator)
            if isinstance(key, str):
                parts.append(_encode(key))
            elif standard:
                inner: list[bytes] = []
                _write(key, inner, standard)
                parts.append(_encode(b"".join(inner).decode()))
            else:
                _write(key, parts, standard)
            parts.append(b":")
            _write(item, parts, standard)
            separator = b","
        parts.append(b"}" if value else b"{}")
    elif isinstance(value, msgspec.Struct):
        if _is_plain(type(value)):
            parts.append(_encode(value))
            return
        separator = b"{"
        for name, field in zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True):
            item = getattr(value, field)
            if item is None or item is msgspec.UNSET:
                continue
            parts.append(b'%b"%b":' % (separator, name.encode()))
            _write(item, parts, standard)
            separator = b","
        parts.append(b"}" if separator == b"," else b"{}")
    elif isinstance(value, (list, tuple, set, frozenset)):
        separator = b"["
        for item in value:
            parts.append(separator)
            _write(item, parts, standard)
            separator = b","
        parts.append(b"]" if value else b"[]")
    else:
        parts.append(_encode(value))


@functools.lru_cache(maxsize=256)
def _is_plain(struct: type[msgspec.Struct]) -> bool:
    """Whether msgspec alone writes what fastjson would: string keys only, and nothing that can be None."""
    seen: set[type] = set()

    def plain(node: inspect.Type) -> bool:
        if isinstance(node, inspect.StructType):
            if node.cls in seen:
                return True
            seen.add(node.cls)
            return all(plain(field.type) for field in node.fields)
        if isinstance(node, inspect.DictType):
            return isinstance(node.key_type, inspect.StrType) and plain(node.value_type)
        if isinstance(node, (inspect.ListType, inspect.SetType)):
            return plain(node.item_type)
        if isinstance(node, inspect.UnionType):
            return all(map(plain, node.types))
        return isinstance(
            node, (inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.RawType)
        )

    return plain(inspect.type_info(struct))
