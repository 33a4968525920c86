"""Where settings come from: a TOML file, the environment, flags; each as (path, value, place)."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from twisted.python.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "PREFIX",
    "ConfigurationError",
    "Given",
    "from_environment",
    "from_file",
    "from_listen_flag",
    "from_set_flag",
]

#: Environment variables that are ours.
PREFIX = "RMQGATEWAY_"

#: The test suites' own; a gateway that they start inherits them.
_TESTS = PREFIX + "TEST_"

_LISTENER = re.compile(r"([a-z][a-z0-9_-]*)=(.+)", re.DOTALL)


class ConfigurationError(UsageError):
    """A setting is wrong; the text names the place, the reason and the nearest right name."""


class Given:
    """One value that somebody gave.

    :ivar path: such as ``("limits", "sessions")``. :ivar place: for people: file and key, variable, or flag.
    :ivar is_text: a string that stands for a value of another type (variables and flags).
    """

    __slots__ = ("is_text", "path", "place", "value")

    def __init__(self, path: tuple[str, ...], value: Any, place: str, is_text: bool) -> None:
        self.path = path
        self.value = value
        self.place = place
        self.is_text = is_text

    def __repr__(self) -> str:
        return f"Given({'.'.join(self.path)} from {self.place})"


def from_file(path: str) -> list[Given]:
    """Read a TOML file. :raise ConfigurationError: it cannot be read or is no TOML."""
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read: {error.strerror or error}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} is no TOML: {error}") from error
    return list(_flatten((), content, path))


def _flatten(path: tuple[str, ...], table: Mapping[str, Any], file: str) -> Iterator[Given]:
    for key, value in table.items():
        below = (*path, key)
        if isinstance(value, dict):
            yield from _flatten(below, value, file)
        else:
            yield Given(_endpoint_of(below), value, f"{file}: {'.'.join(below)}", False)


def from_environment(environment: Mapping[str, str]) -> list[Given]:
    """Read ``RMQGATEWAY_SECTION__KEY`` (and ``RMQGATEWAY_DATA_DIR`` and so on); ``RMQGATEWAY_CONFIG`` is left out."""
    found = []
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable == PREFIX + "CONFIG" or variable.startswith(_TESTS):
            continue
        place = f"the environment variable {variable}"
        if variable == PREFIX + "LISTEN":
            for text in value.split():
                found += from_listen_flag(text, place)
            continue
        path = tuple(part.lower() for part in variable[len(PREFIX) :].split("__"))
        found.append(Given(_endpoint_of(path), value, place, True))
    return found


def from_set_flag(text: str) -> Given:
    """Read the argument of ``--set section.key=value``."""
    name, equals, value = text.partition("=")
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ConfigurationError(f"--set {text}: expected section.key=value")
    return Given(_endpoint_of(path), value, f"--set {name.strip()}", True)


def from_listen_flag(text: str, place: str = "--listen") -> list[Given]:
    """Read the argument of ``--listen [NAME=]ENDPOINT[;front_end,front_end]``.

    Without a name it gets one from its endpoint's first words (``tcp-9876``).
    """
    match = _LISTENER.fullmatch(text)
    name, rest = match.groups() if match is not None else ("", text)
    endpoint, semicolon, front_ends = rest.partition(";")
    if not endpoint.strip():
        raise ConfigurationError(
            f"{place} {text}: expected NAME=ENDPOINT, such as remoting=tcp:9876:interface=127.0.0.1"
        )
    if not name:
        name = re.sub(r"[^a-z0-9]+", "-", "-".join(endpoint.lower().split(":")[:2])).strip("-")
    place = f"{place} {text}" if place.startswith("--") else place
    found = [Given(("listeners", name, "endpoint"), endpoint.strip(), place, True)]
    if semicolon:
        found.append(Given(("listeners", name, "front_ends"), front_ends, place, True))
    return found


def _endpoint_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """``listeners.NAME = "..."`` is short for its endpoint."""
    return (*path, "endpoint") if len(path) == 2 and path[0] == "listeners" else path
