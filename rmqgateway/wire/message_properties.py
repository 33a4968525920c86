"""A message's properties as RocketMQ writes them: ``name \\x01 value \\x02`` for each, UTF-8.

Reading follows ``MessageDecoder.string2messageProperties`` of 5.5.0: the last separator may be missing, of
a name that comes twice the last value counts, and what is no property (no ``\\x01``, an empty name or an
empty value) is passed over. Names and values cannot contain the separators; writing refuses them, since
they would become other properties.
"""

from __future__ import annotations

from collections.abc import Mapping

from rmqgateway.errors import WireError

__all__ = [
    "decode_properties",
    "encode_properties",
    "find_property",
    "set_property",
    "without_property",
]


def decode_properties(data: bytes) -> dict[str, str]:
    """All properties by name. Bytes that are not UTF-8 become U+FFFD, as in Java: reading never fails."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    properties: dict[str, str] = {}
    for item in text.split("\x02"):
        name, _, value = item.partition("\x01")
        if value and name:
            properties[name] = value
    return properties


def encode_properties(properties: Mapping[str, str]) -> bytes:
    """The bytes of `properties`, in their order.

    :raise WireError: not fatal: a name or value contains a separator or cannot be written as UTF-8.
    """
    parts: list[str] = []
    for name, value in properties.items():
        parts += (name, "\x01", value, "\x02")
    text = "".join(parts)
    count = len(properties)
    if text.count("\x01") != count or text.count("\x02") != count:
        raise WireError(
            f"message property {_offender(properties)!r}: expected no U+0001 and U+0002 in name and value",
            fatal=False,
        )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise WireError(
            f"message property: expected text that is UTF-8, got {error.reason}", fatal=False
        ) from None


def _offender(properties: Mapping[str, str]) -> str:
    for name, value in properties.items():
        if "\x01" in name or "\x02" in name or "\x01" in value or "\x02" in value:
            return name
    return ""


def _locate(data: bytes, name: bytes) -> tuple[int, int, int] | None:
    """Start of the last item with this name, start and end of its value."""
    needle = name + b"\x01"
    at = data.rfind(needle)
    while at > 0 and data[at - 1] != 2:
        at = data.rfind(needle, 0, at)
    while at >= 0:
        start = at + len(needle)
        end = data.find(b"\x02", start)
        if end < 0:
            end = len(data)
        if end > start:
            return at, start, end
        # An empty value is no property: an earlier one counts.
        at = data.rfind(needle, 0, at)
        while at > 0 and data[at - 1] != 2:
            at = data.rfind(needle, 0, at)
    return None


def find_property(data: bytes, name: bytes) -> bytes | None:
    """The value of one property, or None, without reading the others."""
    place = _locate(data, name)
    return None if place is None else data[place[1] : place[2]]


def without_property(data: bytes, name: bytes) -> bytes:
    """`data` without any property of this name, the others as they were. Linear, however often it comes."""
    needle = name + b"\x01"
    if needle not in data:
        return data
    return b"\x02".join([item for item in data.split(b"\x02") if not item.startswith(needle)])


def set_property(data: bytes, name: bytes, value: bytes) -> bytes:
    """`data` with one property set (its old value dropped), the others as they were.

    :raise WireError: not fatal: `name` or `value` is empty or contains a separator.
    """
    if not name or not value or b"\x01" in name or b"\x02" in name or b"\x01" in value or b"\x02" in value:
        raise WireError(
            f"message property {name!r}: expected a name and a value without U+0001 and U+0002", fatal=False
        )
    data = without_property(data, name)
    if data and data[-1] != 2:
        data += b"\x02"
    return b"%b%b\x01%b\x02" % (data, name, value)
