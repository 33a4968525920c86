"""Servers for as long as somebody uses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

__all__ = ["started"]


class _Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=_Server)


@contextmanager
def started(server: S) -> Iterator[S]:
    """Start it, and stop it whatever happens meanwhile."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
