"""Who is told what while a store opens, and asked when it keeps its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmqgateway.backend.store.interfaces import Keeper

__all__ = ["Registrations"]


class Registrations:
    """What every `IMessageStore` does the same. :ivar restore, apply, snapshot: by kind of state."""

    def __init__(self) -> None:
        self.restore: dict[int, Callable[[bytes], None]] = {}
        self.apply: dict[int, Callable[[bytes], None]] = {}
        self.snapshot: dict[int, Callable[[], Iterable[bytes]]] = {}
        self.keepers: list[Keeper] = []
        self.on_message: Callable[[int, int, int, memoryview], None] | None = None
        self._opened = False

    def register_state(
        self,
        kind: int,
        restore: Callable[[bytes], None],
        apply: Callable[[bytes], None],
        snapshot: Callable[[], Iterable[bytes]],
    ) -> None:
        """See IMessageStore."""
        if self._opened or kind in self.apply or not 1 <= kind <= 255:
            raise ValueError(f"state kind {kind}: registered twice, after open, or not in 1..255")
        self.restore[kind], self.apply[kind], self.snapshot[kind] = restore, apply, snapshot

    def register_replay(self, on_message: Callable[[int, int, int, memoryview], None]) -> None:
        """See IMessageStore."""
        self.on_message = on_message

    def register_keeper(self, keeper: Keeper) -> None:
        """See IMessageStore."""
        self.keepers.append(keeper)
