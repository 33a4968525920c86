"""Front-ends are found, merged by name, checked when loaded, and blamed by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.python.usage import UsageError
from zope.interface import implementer

from rmqgateway.frontend import FrontEndMaker, Recognition
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.loader import GROUP, find_makers, load_front_end, nearest


class Settings(msgspec.Struct):
    """None."""


@implementer(IConnectionFrontEnd)
class Fine:
    name = "fine"
    settings = Settings
    recognition_order = 1
    web_socket_protocols = ()

    def configure(self, settings: Any) -> None: ...

    def recognise(self, first_bytes: bytes) -> Recognition:
        return Recognition.NO

    def make_protocol(self, gateway: Any, connection: Any) -> Any: ...


@implementer(IConnectionFrontEnd)
class Lacking:
    name = "lacking"
    settings = Settings

    def configure(self, settings: Any) -> None: ...


class Misnamed(Fine):
    name = "other"


class Entry:
    def __init__(self, maker: Any, name: str = "entry", value: str = "module:maker") -> None:
        self.maker, self.name, self.value = maker, name, value

    def load(self) -> Any:
        if isinstance(self.maker, Exception):
            raise self.maker
        return self.maker


def maker(name: str, attribute: str, module: str = __name__, extra: str = "") -> FrontEndMaker:
    return FrontEndMaker(name, "A test.", module, attribute, extra=extra)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this())


def _this() -> Any:
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


def test_the_drop_in_of_this_tree_is_found_and_loads() -> None:
    makers = find_makers(entry_points=[])
    assert "remoting" in makers
    assert load_front_end(makers, "remoting").name == "remoting"


def test_the_same_front_end_by_plugin_and_entry_point_is_one() -> None:
    assert list(find_makers([maker("fine", "Fine")], [Entry(maker("fine", "Fine"))])) == ["fine"]


def test_two_different_ones_of_one_name_are_refused_naming_both() -> None:
    with pytest.raises(
        UsageError,
        match=r"two front-ends are named .fine.: the plugin Front.*and the entry point some = module:x",
    ):
        find_makers([maker("fine", "Fine")], [Entry(maker("fine", "Elsewhere"), "some", "module:x")])


def test_they_come_in_alphabetical_order() -> None:
    assert list(find_makers([maker("b", "B"), maker("a", "A")], [])) == ["a", "b"]


def test_a_broken_entry_point_is_named() -> None:
    with pytest.raises(UsageError, match=rf"bad = module:x in {GROUP} cannot be loaded: ImportError: no"):
        find_makers([], [Entry(ImportError("no"), "bad", "module:x")])


def test_an_entry_point_to_something_else_is_named() -> None:
    with pytest.raises(UsageError, match="thing = module:maker.* is no front-end maker"):
        find_makers([], [Entry(object(), "thing")])


@pytest.mark.parametrize("name", ["Fine", "two words", "", "1"])
def test_a_name_is_one_lower_case_word(name: str) -> None:
    with pytest.raises(UsageError, match="one lower-case word"):
        find_makers([maker(name, "Fine")], [])


def test_loading_a_class_makes_one_object() -> None:
    makers = find_makers([maker("fine", "Fine")], [])
    assert load_front_end(makers, "fine") is load_front_end(makers, "fine")
    assert isinstance(load_front_end(makers, "fine"), Fine)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="no front-end is named 'fien'; did you mean 'fine'"):
        load_front_end(find_makers([maker("fine", "Fine")], []), "fien")


def test_a_missing_dependency_names_the_extra() -> None:
    makers = find_makers([maker("fine", "Fine", "rmqgateway_no_such_module", "rmqgateway[otel]")], [])
    with pytest.raises(
        UsageError, match=r"'fine' cannot be imported: .*; install it: pip install 'rmqgateway\[otel\]'"
    ):
        load_front_end(makers, "fine")


def test_an_incomplete_front_end_is_blamed_by_name() -> None:
    with pytest.raises(UsageError, match=r"'lacking' .* is incomplete: .*recognition_order"):
        load_front_end(find_makers([maker("lacking", "Lacking")], []), "lacking")


def test_an_object_of_no_kind_is_blamed_by_name() -> None:
    with pytest.raises(UsageError, match="'fine' .* is incomplete"):
        load_front_end(find_makers([maker("fine", "Settings")], []), "fine")


def test_a_front_end_calls_itself_as_its_maker_does() -> None:
    with pytest.raises(UsageError, match="calls itself 'other'"):
        load_front_end(find_makers([maker("fine", "Misnamed")], []), "fine")


def test_nearest_gives_the_nearest_or_what_there_is() -> None:
    assert nearest("sesions", ["sessions", "slow_at"]) == "; did you mean 'sessions'?"
    assert nearest("zzz", ["a", "b"]) == "; there is a, b"
    assert nearest("zzz", []) == ""
