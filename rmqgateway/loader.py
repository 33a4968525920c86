"""Which front-ends are installed: drop-ins in ``twisted.plugins`` and entry points, merged by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from rmqgateway.interfaces import (
    IConnectionFrontEnd,
    IFrontEnd,
    IFrontEndMaker,
    IRequestFrontEnd,
    IWebSocketFrontEnd,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["GROUP", "find_makers", "load_front_end", "nearest"]

#: The group of entry points in which a distribution names its `IFrontEndMaker`.
GROUP = "rmqgateway.front_ends"

_KINDS = (IConnectionFrontEnd, IRequestFrontEnd, IWebSocketFrontEnd)


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint that ends an error's sentence: ``; did you mean 'x'?``, or what there is, or nothing."""
    known = sorted(words)
    close = difflib.get_close_matches(word, known, 1, 0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if known and len(known) <= 12:
        return f"; there is {', '.join(known)}"
    return ""


def find_makers(
    plugins: Iterable[Any] | None = None, entry_points: Iterable[Any] | None = None
) -> dict[str, IFrontEndMaker]:
    """Every installed front-end's maker by name, nothing of them imported but their strings.

    :param plugins: instead of those in ``twisted.plugins``. :param entry_points: instead of the installed ones.
    :raise UsageError: two different makers have one name, or an entry point is broken.
    """
    if plugins is None:
        plugins = getPlugins(IFrontEndMaker)
    if entry_points is None:
        entry_points = _entry_points()
    found: dict[str, tuple[IFrontEndMaker, str]] = {}
    for maker in plugins:
        _add(found, maker, f"the plugin {maker!r}")
    for entry_point in entry_points:
        place = f"the entry point {entry_point.name} = {entry_point.value} in {GROUP}"
        try:
            maker = entry_point.load()
        except Exception as error:
            raise UsageError(f"{place} cannot be loaded: {type(error).__name__}: {error}") from error
        _add(found, maker, place)
    return {name: found[name][0] for name in sorted(found)}


def _entry_points() -> Iterable[Any]:
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _add(found: dict[str, tuple[IFrontEndMaker, str]], maker: Any, place: str) -> None:
    try:
        verifyObject(IFrontEndMaker, maker)
    except Invalid as error:
        raise UsageError(f"{place} is no front-end maker: {_line(error)}") from error
    name = maker.name
    if not isinstance(name, str) or not name.isidentifier() or name != name.lower():
        raise UsageError(f"{place}: a front-end's name is one lower-case word, not {name!r}")
    known = found.setdefault(name, (maker, place))
    if known[0] is not maker and known[0] != maker:
        raise UsageError(f"two front-ends are named {name!r}: {known[1]} and {place}; uninstall one of them")


def load_front_end(makers: Mapping[str, IFrontEndMaker], name: str) -> Any:
    """Import one front-end and check that it is one.

    :return: the provider of `IFrontEnd` and of at least one of the three kinds.
    :raise UsageError: unknown, not importable (names the extra to install), or not what it says.
    """
    maker = makers.get(name)
    if maker is None:
        raise UsageError(f"no front-end is named {name!r}{nearest(name, makers)}")
    try:
        front_end = maker.load()
    except ImportError as error:
        hint = f"; install it: pip install '{maker.extra}'" if maker.extra else ""
        raise UsageError(f"the front-end {name!r} cannot be imported: {error}{hint}") from error
    except Exception as error:
        raise UsageError(
            f"the front-end {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    try:
        verifyObject(IFrontEnd, front_end)
        kinds = [kind for kind in _KINDS if kind.providedBy(front_end)]
        for kind in kinds:
            verifyObject(kind, front_end)
    except Invalid as error:
        raise UsageError(f"the front-end {name!r} ({maker!r}) is incomplete: {_line(error)}") from error
    if not kinds:
        names = ", ".join(kind.__name__ for kind in _KINDS)
        raise UsageError(f"the front-end {name!r} ({maker!r}) provides none of {names}")
    if front_end.name != name:
        raise UsageError(f"the front-end {name!r} ({maker!r}) calls itself {front_end.name!r}")
    return front_end


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
