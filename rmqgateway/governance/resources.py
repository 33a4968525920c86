"""Which resources a command touches: the one place that reads the attributes of command classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmqgateway.commands import Command, Resource

__all__ = ["resources_of"]


def resources_of(command: Command[Any]) -> Iterator[tuple[Resource, str]]:
    """Yield (kind, name) of each resource; the cluster itself, or all of a kind, has the name "*"."""
    for kind, field in command.resources:
        if field is None:
            yield kind, "*"
            continue
        value = getattr(command, field)
        if isinstance(value, str):
            yield kind, value
        else:
            for name in value:
                yield kind, name
