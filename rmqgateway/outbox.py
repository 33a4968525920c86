"""Replies collected within a scope (data received, a group committed, a timer tick) leave as one write per connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Outbox", "Sender"]


class Sender(Protocol):
    """Something that holds replies until it is told to write them (a connection's protocol)."""

    def flush(self) -> None:
        """Write everything held, in one write. Never raises."""


class Outbox:
    """Who has replies waiting in the current scope.

    A connection that has a reply calls `ready`: inside a scope it is flushed once at the scope's end, outside at once.
    Scopes nest; the outermost flushes.
    """

    __slots__ = ("_depth", "_senders")

    def __init__(self) -> None:
        self._depth = 0
        self._senders: dict[Sender, None] = {}

    def ready(self, sender: Sender) -> None:
        """`sender` has something to write."""
        if self._depth:
            self._senders[sender] = None
        else:
            sender.flush()

    def enter(self) -> None:
        """Begin a scope; for hot paths, with `leave` in a ``finally``."""
        self._depth += 1

    def leave(self) -> None:
        """End a scope."""
        self._depth -= 1
        if self._depth == 0 and self._senders:
            senders = self._senders
            self._senders = {}
            for sender in senders:
                sender.flush()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The same as a context manager."""
        self.enter()
        try:
            yield
        finally:
            self.leave()
