"""The command model: everything can be serialised, judged by its attributes, and refused in every protocol's words."""

from __future__ import annotations

import importlib
import re
from typing import Any

import msgspec
import pytest

from rmqgateway.commands import Action, Command, Reply, Resource, all_commands
from rmqgateway.errors import RETRYABLE, Code
from rmqgateway.events import Event
from rmqgateway.governance.resources import resources_of

COMMANDS: list[type[Any]] = list(all_commands())


def subclasses(base: type[Any]) -> list[type[Any]]:
    found = []
    for one in base.__subclasses__():
        if one.__module__.startswith("rmqgateway"):
            found += [one, *subclasses(one)]
    return found


#: Words in capitals that are no error.
PROPERTIES = {"REPLY_TO_CLIENT"}
VALUES = [*COMMANDS, *subclasses(Reply), *subclasses(Event)]


def sample(kind: Any, salt: int = 0) -> Any:
    """A value of a type as msgspec describes it, no field at its default."""
    inspect = msgspec.inspect
    match kind:
        case inspect.StructType():
            return kind.cls(**{field.name: sample(field.type, at) for at, field in enumerate(kind.fields)})
        case inspect.EnumType():
            members = list(kind.cls)
            return members[(salt + 1) % len(members)]
        case inspect.UnionType():
            return sample(next(one for one in kind.types if not isinstance(one, inspect.NoneType)), salt)
        case inspect.VarTupleType():
            return (sample(kind.item_type, salt), sample(kind.item_type, salt + 1))
        case inspect.TupleType():
            return tuple(sample(item, salt + at) for at, item in enumerate(kind.item_types))
        case inspect.DictType():
            return {sample(kind.key_type, salt): sample(kind.value_type, salt)}
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 1 << 40 | salt
        case inspect.FloatType():
            return 2.5 + salt
        case inspect.StrType():
            return f"文{salt}"
        case inspect.BytesType():
            return b"\x00\xff" + bytes((salt,))
        case inspect.NoneType():
            return None
    raise AssertionError(f"no sample for {kind}")


def instance(cls: type[Any]) -> Any:
    return sample(msgspec.inspect.type_info(cls))


def test_there_are_commands_replies_and_events() -> None:
    assert len(COMMANDS) > 50
    assert len(VALUES) > 90
    names = [cls.__name__ for cls in VALUES]
    assert len(set(names)) == len(names), "one word per operation: no name is used twice"


@pytest.mark.parametrize("cls", VALUES, ids=lambda cls: cls.__name__)
def test_values_go_through_msgpack_unchanged(cls: type[Any]) -> None:
    value = instance(cls)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=cls)
    assert again == value
    assert type(again) is cls


@pytest.mark.parametrize("cls", VALUES, ids=lambda cls: cls.__name__)
def test_values_are_frozen_and_documented(cls: type[Any]) -> None:
    assert cls.__struct_config__.frozen
    value = instance(cls)
    if cls.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, cls.__struct_fields__[0], None)
    if issubclass(cls, Command):
        assert cls.__doc__ and cls.__doc__ is not Command.__doc__, "what it means, its errors"


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
def test_the_door_can_judge_every_command(cls: type[Any]) -> None:
    assert isinstance(cls.action, Action)
    assert isinstance(cls.mutates, bool)
    found = list(resources_of(instance(cls)))
    for kind, name in found:
        assert isinstance(kind, Resource)
        assert isinstance(name, str) and name
    assert len(found) >= len(cls.resources)
    if cls.action is not Action.NONE and cls.__name__ != "ViewMessage":
        assert cls.resources, "an action needs something that it is done to"


def test_the_names_of_many_resources_are_all_judged() -> None:
    from rmqgateway.commands import CreateTopics, TopicConfig

    command = CreateTopics((TopicConfig("a"), TopicConfig("b")))
    assert list(resources_of(command)) == [(Resource.TOPIC, "a"), (Resource.TOPIC, "b")]


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
def test_errors_that_a_docstring_names_exist(cls: type[Any]) -> None:
    text = cls.__doc__ or ""
    start = text.find("Errors:")
    if start >= 0:
        for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text[start:]):
            assert word in Code.__members__ or word in PROPERTIES, word


#: Each front-end's table of errors: module and name. A new front-end adds its own.
TABLES = [("rmqgateway_remoting.errors", "RESPONSE_CODES")]


@pytest.mark.parametrize(("module", "name"), TABLES)
@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.name)
def test_every_front_end_has_words_for_every_error(module: str, name: str, code: Code) -> None:
    table = getattr(importlib.import_module(module), name)
    assert code in table


def test_what_may_be_tried_again() -> None:
    assert not RETRYABLE - set(Code)
    assert Code.BAD_REQUEST not in RETRYABLE
