"""Which small state rides in the log, by kind, and how a component keeps its own there.

The numbers are part of the stored format: never give one out again for something else.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Protocol

from rmqgateway.backend.store.interfaces import IMessageStore

__all__ = ["State", "StateKind", "register_state"]


class StateKind(enum.IntEnum):
    """Kinds of state records. Each payload begins with the version of its own format."""

    OFFSETS = 1  # consumer offsets of a group (offsets.py)
    POP = 2  # received and not yet acknowledged (pop)
    TIMERS = 3  # messages for any point in time (timers)
    TRANSACTIONS = 4  # half messages (transactions)
    DELAYS = 5  # how far each delay level was delivered (delays.py)


class State(Protocol):
    """State that survives in the log: what `IMessageStore.register_state` wants, as one object."""

    def restore(self, piece: bytes) -> None:
        """Take one piece of the last snapshot."""

    def apply(self, payload: bytes) -> None:
        """Make one change that was appended after the snapshot."""

    def snapshot(self) -> Iterable[bytes]:
        """The whole state, in pieces; it must show exactly what was appended so far (or what applying the later
        records again does not spoil)."""


def register_state(store: IMessageStore, kind: StateKind, state: State) -> None:
    """Have `state` kept under `kind`; to be called before the store is opened (in a component's constructor)."""
    store.register_state(int(kind), state.restore, state.apply, state.snapshot)
