"""Slow state of the durable store: in memory, with every change a record of the log (written twice)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import implementer

from rmqgateway.backend.store.interfaces import IMetadata
from rmqgateway.backend.store.records import META, pack_changes
from rmqgateway.errors import StoreError

if TYPE_CHECKING:
    from rmqgateway.backend.store.durable import DurableStore

__all__ = ["LogMetadata"]

Tables = dict[str, dict[str, bytes]]


@implementer(IMetadata)
class LogMetadata:
    """See IMetadata."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store
        self._now: Tables = {}
        self._durable: Tables = {}

    def items(self, table: str) -> Iterator[tuple[str, bytes]]:
        """See IMetadata."""
        return iter(sorted(self._durable.get(table, {}).items()))

    def get(self, table: str, key: str) -> bytes | None:
        """See IMetadata."""
        return self._now.get(table, {}).get(key)

    def change(self, changes: Iterable[tuple[str, str, bytes | None]]) -> Deferred[None]:
        """See IMetadata."""
        done: Deferred[None] = Deferred()
        wanted = list(changes)

        def durable(error: BaseException | None) -> None:
            if error is None:
                _apply(self._durable, wanted)
                done.callback(None)
            else:
                done.errback(error)

        payload = pack_changes(wanted)
        try:
            self._store.append_record(META, 0, 0, payload)
            self._store.append_record(META, 1, 0, payload)
        except StoreError:
            done.errback()
            return done
        _apply(self._now, wanted)
        self._store.when_durable(durable)
        return done

    def apply(self, changes: Iterable[tuple[str, str, bytes | None]]) -> None:
        """Changes that are durable already (called while opening)."""
        for change in changes:
            _apply(self._now, [change])
            _apply(self._durable, [change])

    def all(self) -> list[tuple[str, str, bytes | None]]:
        """Everything, as changes, for a snapshot."""
        return [(table, key, value) for table, keys in self._now.items() for key, value in keys.items()]


def _apply(tables: Tables, changes: Iterable[tuple[str, str, bytes | None]]) -> None:
    for table, key, value in changes:
        if value is None:
            tables.get(table, {}).pop(key, None)
        else:
            tables.setdefault(table, {})[key] = value
