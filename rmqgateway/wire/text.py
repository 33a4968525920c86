"""What protocols of text have in common."""

from __future__ import annotations

from collections.abc import Mapping

from rmqgateway.errors import WireError

__all__ = ["number", "required"]


def number(text: str, name: str, most: int = 2**31 - 1) -> int:
    """A number from 0 to `most`, written in ASCII digits and nothing else (int() takes signs, blanks, underscores and the digits
    of every script).

    :param name: of the field, for the error. :raise WireError: it is none, or greater.
    """
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most:
        return int(text)
    raise WireError(f"{name}: expected a number from 0 to {most}, got {text[:40]!r}")


def required(fields: Mapping[str, str], name: str) -> str:
    """A field that must be there. :raise WireError: it is not."""
    if name not in fields:
        raise WireError(f"expected the field {name}, it is missing")
    return fields[name]
