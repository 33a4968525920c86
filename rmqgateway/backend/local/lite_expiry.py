"""Lite topics that are over go away, a few at a time: thousands may be over at once.

Those whose parent was deleted, and those that nobody sends to any more: a parent's attribute ``lite.topic.expiration`` says after
how many minutes. As in ``AbstractLiteLifecycleManager`` of 5.5.0: looked at every two minutes, the newest message counts,
consumed or not; never before 15 minutes, whatever the attribute says; -1 (or none) is never. Who subscribed stays subscribed: the
next message makes the lite topic again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core
from rmqgateway.backend.local.lite import LiteTopics, expiration
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.topics import Topics

__all__ = ["LiteExpiry"]

_CHECK_S = 120.0
_LEAST_MS = 900_000
#: In one turn of the reactor so many are looked at (the newest message's time may have to be read from the disk), and so many
#: deleted (with tens of thousands of topics each costs milliseconds).
_LOOKED_AT, _DELETED = 100, 2
_BETWEEN_S = 0.1
_log = Logger()


class LiteExpiry(Component):
    """See the module."""

    def __init__(self, core: Core, topics: Topics, lite: LiteTopics) -> None:
        super().__init__(core)
        self._topics = topics
        self._lite = lite
        self._pending: deque[str] = deque()
        self._timer: IDelayedCall | None = None
        lite.on_orphans = self.look_at

    def start(self) -> None:
        # A parent may have been deleted shortly before the end.
        self.look_at([name for name in self._topics.by_name if self._lite.is_orphan(name)])
        self.every(_CHECK_S, self._collect)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look_at(self, lite_topics: Iterable[str]) -> None:
        """Delete those of these that are over, soon."""
        self._pending.extend(lite_topics)
        if self._pending and self._timer is None:
            self._timer = self.core.later(_BETWEEN_S, self._look)

    def _collect(self) -> None:
        if self._pending:
            return  # the last round is still under way
        self._lite.forget_sent()
        self.look_at([name for name in self._topics.by_name if self._after(name) >= 0])

    def _after(self, name: str) -> int:
        """After how many ms without a message a lite topic goes; -1: never, or it is no lite topic."""
        parent = self._topics.get(names.lite_parent(name))
        minutes = -1 if parent is None else expiration(parent)
        return max(minutes * 60_000, _LEAST_MS) if minutes > 0 else -1

    def _look(self) -> None:
        self._timer = None
        deleted = 0
        for _ in range(min(_LOOKED_AT, len(self._pending))):
            name = self._pending.popleft()
            if self._is_over(name):
                self._lite.drop(name)
                deleted += 1
                if deleted == _DELETED:
                    break
        self.look_at(())

    def _is_over(self, name: str) -> bool:
        topic = self._topics.get(name)
        if topic is None:
            return False
        if self._lite.is_orphan(name):
            return True
        after = self._after(name)
        return after >= 0 and not self._lite.was_sent_to(name) and self._age(topic) > after

    def _age(self, topic: Topic) -> int:
        """How long (ms) ago its newest message was stored; of one that retention took, at least how long. -1: not known."""
        stored = topic.queue(0).stored
        if stored.next_offset > stored.max_offset:
            return -1  # one is being stored
        last = stored.store_timestamp(stored.max_offset - 1) if stored.max_offset > stored.min_offset else -1
        if last >= 0:
            return self.core.now_ms() - last
        settings = self.core.settings
        return -1 if settings.retention_bytes else int(settings.retention_hours * 3_600_000)
