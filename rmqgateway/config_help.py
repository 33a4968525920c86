"""What a settings struct says about itself: types in words, help from its docstring, which values are secret."""

from __future__ import annotations

import enum
import inspect
import re
import typing
from types import NoneType, UnionType
from typing import Any

import msgspec

__all__ = ["choices", "describe", "help_of", "is_secret", "spell", "summary_of"]

_SECRET = re.compile(r"secret|password|passphrase|(^|_)token$|credential")
_IVAR = re.compile(r":ivar\s+(\w+):\s*(.*?)(?=:ivar\s|\Z)", re.DOTALL)
_COMMENTED = re.compile(r"((?:^[ ]*#: ?.*\n)+)((?:^[ ]*\w+: .*\n)+)", re.MULTILINE)


def describe(kind: Any) -> str:
    """A type in the words of an error: "a whole number", "one of sync, async"."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return describe(typing.get_args(kind)[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if origin in (typing.Union, UnionType):
        return " or ".join(describe(part) for part in typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    if origin in (tuple, list, set, frozenset):
        return "a list"
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        NoneType: "nothing",
    }
    return names.get(kind) or str(getattr(kind, "__name__", kind))


def choices(kind: Any) -> list[str]:
    """The values that an enumeration or a Literal allows, as text; [] for other types."""
    if typing.get_origin(kind) is typing.Literal:
        return [str(value) for value in typing.get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [str(member.value) for member in kind]
    return []


def is_secret(name: str, kind: Any = None) -> bool:
    """Whether a setting's value is never shown: by its name, or ``Meta(extra={"secret": True})``."""
    if typing.get_origin(kind) is typing.Annotated:
        for note in typing.get_args(kind)[1:]:
            extra = note.extra if isinstance(note, msgspec.Meta) else None
            if extra and extra.get("secret"):
                return True
    return _SECRET.search(name) is not None


def spell(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ", ".join(spell(item) for item in value) + "]"
    if isinstance(value, (int, float)):
        return repr(value)
    return msgspec.json.encode(value).decode() if isinstance(value, str) else f'"{value}"'


def summary_of(struct: type[Any]) -> str:
    """The struct's docstring without its fields."""
    return " ".join((inspect.getdoc(struct) or "").split(":ivar")[0].split())


def help_of(struct: type[Any]) -> dict[str, str]:
    """One sentence for each field that has one: from ``:ivar name:`` lines, else from ``#:`` comments above it."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base.__module__.startswith("msgspec") or base is object:
            continue
        for name, text in _IVAR.findall(inspect.getdoc(base) or ""):
            found[name] = " ".join(text.split())
        try:
            source = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        for comment, fields in _COMMENTED.findall(source):
            text = " ".join(line.strip().removeprefix("#:").strip() for line in comment.splitlines())
            for name in re.findall(r"^[ ]*(\w+): ", fields, re.MULTILINE):
                found.setdefault(name, text)
    return found
