"""What a command is, and the attributes by which the door judges it."""

from __future__ import annotations

import enum
from typing import ClassVar, Generic, TypeVar

import msgspec

__all__ = ["Action", "Command", "Reply", "Resource", "all_commands"]

R = TypeVar("R", covariant=True)


class Action(enum.Enum):
    """What a command does to its resources, in the words of RocketMQ's ACL 2.0.

    NONE is for commands about the caller's own connection, which still need a valid credential once users exist.
    """

    NONE = "None"
    PUB = "Pub"
    SUB = "Sub"
    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    GET = "Get"
    LIST = "List"

    # Members are looked up with each judged command; Enum's own hashes the name anew, in Python.
    __hash__ = object.__hash__


class Resource(enum.Enum):
    """Kinds of resources of ACL 2.0."""

    CLUSTER = "Cluster"
    TOPIC = "Topic"
    GROUP = "Group"

    __hash__ = object.__hash__


class Reply(msgspec.Struct, frozen=True, gc=False):
    """The base of all replies: plain values, serialisable, without cycles (so the garbage collector need not look)."""


class Command(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """Something that a client asks for; `R` is the reply's type.

    A command class states how the door judges it:

    * `action`: what it does, for authorization; `or_actions`: others whose permission is as good;
    * `resources`: pairs (kind, name of the field that holds the resource's name or a tuple of names, or None for the
      cluster itself, or all of a kind);
    * `signed`: whether it needs a credential (False: an answer to a question that was asked on this very connection);
    * `mutates`: whether it changes anything (audited, refused while draining where it starts something new);
    * the class's name is the operation's one word in every layer, metric and log.

    Values are not checked here: codecs check form, backends check meaning.
    """

    action: ClassVar[Action] = Action.NONE
    or_actions: ClassVar[tuple[Action, ...]] = ()
    resources: ClassVar[tuple[tuple[Resource, str | None], ...]] = ()
    signed: ClassVar[bool] = True
    mutates: ClassVar[bool] = False


def all_commands() -> list[type[Command[object]]]:
    """Every command class, in order of definition."""
    import rmqgateway.commands  # noqa: F401  (defines them)

    found: list[type[Command[object]]] = []
    pending: list[type[Command[object]]] = [Command]
    while pending:
        for subclass in pending.pop(0).__subclasses__():
            found.append(subclass)
            pending.append(subclass)
    return found
