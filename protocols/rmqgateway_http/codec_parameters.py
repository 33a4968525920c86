"""Query parameters: one declaration each, for reading them and for the OpenAPI document."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any

from rmqgateway.errors import Code, GatewayError
from rmqgateway_http.codec_json import nearest

__all__ = ["Parameter", "boolean", "choice", "duration", "moment", "number", "read_duration", "read_query", "read_time", "text"]

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)?", re.ASCII).fullmatch
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, None: 1000}
_BOOLEANS = {"true": True, "1": True, "yes": True, "": True, "false": False, "0": False, "no": False}


class Parameter:
    """:ivar read: text to value; raises ValueError saying what was expected. :ivar schema: JSON Schema."""

    __slots__ = ("description", "name", "read", "schema")

    def __init__(self, name: str, read: Callable[[str], Any], schema: dict[str, Any], description: str) -> None:
        self.name = name
        self.read = read
        self.schema = schema
        self.description = description


def read_query(query: Iterable[tuple[str, str]], parameters: dict[str, Parameter]) -> dict[str, Any]:
    """The values that were given. :raise GatewayError: BAD_REQUEST: unknown (the nearest is named), twice, or bad."""
    found: dict[str, Any] = {}
    for name, value in query:
        parameter = parameters.get(name)
        if parameter is None:
            hint = nearest(name, parameters) if parameters else "; expected none"
            raise GatewayError(Code.BAD_REQUEST, f"query: unknown parameter {name[:100]!r}{hint}")
        if name in found:
            raise GatewayError(Code.BAD_REQUEST, f"query: expected {name} once, got it twice")
        try:
            found[name] = parameter.read(value)
        except ValueError as error:
            raise GatewayError(Code.BAD_REQUEST, f"query: {name}: {error}, got {value[:100]!r}") from None
    return found


def read_duration(value: str) -> int:
    """Milliseconds of "1.5", "30s", "500ms", "5m", "2h", "1d". :raise ValueError: none of these."""
    found = _DURATION(value.strip())
    if found is None:
        raise ValueError("expected seconds, or a number with ms, s, m, h or d")
    return round(float(found.group(1)) * _UNITS[found.group(2)])


def read_time(value: str) -> int:
    """Milliseconds since 1970 of such a number or of RFC 3339. :raise ValueError: neither."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    found: datetime.datetime | None = None
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError:
        pass
    if found is None or found.tzinfo is None:
        raise ValueError("expected milliseconds since 1970, or RFC 3339 with its zone")
    return round(found.timestamp() * 1000)


def duration(name: str, description: str, most_ms: int, default: str = "") -> Parameter:
    """A length of time, in ms once read."""

    def read(value: str) -> int:
        found = read_duration(value)
        if found > most_ms:
            raise ValueError(f"expected at most {most_ms // 1000} s")
        return found

    schema: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)?$"}
    if default:
        schema["default"] = default
    return Parameter(name, read, schema, description)


def number(name: str, description: str, least: int, most: int, default: int | None = None) -> Parameter:
    """A whole number within bounds."""

    def read(value: str) -> int:
        digits = value.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 19 or not least <= int(value) <= most:
            raise ValueError(f"expected a number from {least} to {most}")
        return int(value)

    schema: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Parameter(name, read, schema, description)


def boolean(name: str, description: str) -> Parameter:
    """true or false; the name alone is true."""

    def read(value: str) -> bool:
        found = _BOOLEANS.get(value.lower())
        if found is None:
            raise ValueError("expected true or false")
        return found

    return Parameter(name, read, {"type": "boolean"}, description)


def choice(name: str, description: str, values: tuple[str, ...], default: bool = True) -> Parameter:
    """One of some words. :param default: the first is what counts without it."""

    def read(value: str) -> str:
        if value not in values:
            raise ValueError(f"expected one of {', '.join(values)}")
        return value

    schema: dict[str, Any] = {"type": "string", "enum": list(values)}
    if default:
        schema["default"] = values[0]
    return Parameter(name, read, schema, description)


def text(name: str, description: str, longest: int = 4096) -> Parameter:
    """Any text."""

    def read(value: str) -> str:
        if len(value) > longest:
            raise ValueError(f"expected at most {longest} characters")
        return value

    return Parameter(name, read, {"type": "string", "maxLength": longest}, description)


def moment(name: str, description: str) -> Parameter:
    """A moment, in ms since 1970 once read."""
    return Parameter(name, read_time, {"type": "string"}, description)
