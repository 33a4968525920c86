"""Who waits for messages: long polls, cheap enough to have a hundred thousand of them.

One timer for all: deadlines are kept in buckets of 50 ms. A wait is woken by the queue in whose group a message became
durable (`Queue.append`), by its deadline, by its session's end, or by being cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from rmqgateway.backend.local.component import Component, Core
from rmqgateway.backend.local.queues import Waiter
from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import ISession

__all__ = ["Place", "Wait", "Waits"]

_BUCKETS_PER_SECOND = 20


class Place(Protocol):
    """Where a wait waits: a `Queue` or a `Topic`."""

    waiting: dict[Waiter, None]


class Wait:
    """One long poll.

    :ivar on_wake: called when something may have come; returns True when the wait is over (it has answered), False to
        go on waiting.
    :ivar on_end: called when the wait ends otherwise, with the reason: "timeout", "session" or "topic" (it is gone),
        "stopped".
    """

    __slots__ = ("_bucket", "_owner", "_places", "on_end", "on_wake", "session_number")

    def __init__(
        self,
        owner: Waits,
        places: tuple[Place, ...],
        bucket: int,
        session_number: int,
        on_wake: Callable[[], bool],
        on_end: Callable[[str], None],
    ) -> None:
        self._owner = owner
        self._places = places
        self._bucket = bucket
        self.session_number = session_number
        self.on_wake = on_wake
        self.on_end = on_end

    def wake(self) -> None:
        """Something may have come."""
        # Left meanwhile: an earlier wait of the same wake-up may have cancelled this one.
        if self._places and self.on_wake():
            self.leave()

    def leave(self) -> None:
        """Stop waiting and tell nobody; again does nothing."""
        places, self._places = self._places, ()
        if places:
            for place in places:
                place.waiting.pop(self, None)
            self._owner.forget(self, self._bucket)

    def end(self, reason: str) -> None:
        """Stop waiting and tell `on_end`."""
        if self._places:
            self.leave()
            self.on_end(reason)


class Waits(Component):
    """All waits."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._buckets: dict[int, dict[Wait, None]] = {}
        self._sessions: dict[int, Wait | dict[Wait, None]] = {}  # most have one
        self._timer: IDelayedCall | None = None
        self._timer_bucket = 0
        self._stopped = False
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether no more waits are taken (`LocalSettings.max_waits`)."""
        return self.count >= self.core.settings.max_waits

    def add(
        self,
        places: tuple[Place, ...],
        wait_ms: int,
        session: ISession,
        on_wake: Callable[[], bool],
        on_end: Callable[[str], None],
    ) -> Wait:
        """Begin to wait at `places` (queues or topics) for at most `wait_ms`; see `Wait`. The caller has looked before and
        found nothing; for a queue call `Queue.watch` too, so that what is under way wakes it.

        :raise GatewayError: BUSY: too many wait already; SHUTTING_DOWN.
        """
        if self._stopped:
            raise GatewayError(Code.SHUTTING_DOWN, "the backend is stopping")
        if self.full:
            raise GatewayError(
                Code.BUSY, f"{self.count} long polls wait already (max_waits)", retry_after=1.0
            )
        # Rounded up: a wait never ends early.
        bucket = int((self.core.reactor.seconds() + wait_ms / 1000) * _BUCKETS_PER_SECOND) + 1
        wait = Wait(self, places, bucket, session.number, on_wake, on_end)
        for place in places:
            place.waiting[wait] = None
        members = self._buckets.get(bucket)
        if members is None:
            members = self._buckets[bucket] = {}
        members[wait] = None
        mine = self._sessions.get(session.number)
        if mine is None:
            self._sessions[session.number] = wait
        elif isinstance(mine, Wait):
            self._sessions[session.number] = {mine: None, wait: None}
        else:
            mine[wait] = None
        self.count += 1
        if self._timer is None or bucket < self._timer_bucket:
            self._schedule(bucket)
        return wait

    def forget(self, wait: Wait, bucket: int) -> None:
        """A wait left (called by it)."""
        self.count -= 1
        members = self._buckets.get(bucket)
        if members is not None:
            members.pop(wait, None)
            if not members:
                del self._buckets[bucket]
        mine = self._sessions.get(wait.session_number)
        if isinstance(mine, dict):
            mine.pop(wait, None)
        if mine is wait or not mine:
            self._sessions.pop(wait.session_number, None)

    def session_ended(self, session: ISession) -> None:
        mine = self._sessions.get(session.number, {})
        for wait in [mine] if isinstance(mine, Wait) else list(mine):
            wait.end("session")

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for members in list(self._buckets.values()):
            for wait in list(members):
                wait.end("stopped")

    def _schedule(self, bucket: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_bucket = bucket
        delay = max(0.0, bucket / _BUCKETS_PER_SECOND - self.core.reactor.seconds())
        self._timer = self.core.later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = int(self.core.reactor.seconds() * _BUCKETS_PER_SECOND + 1e-6)
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= now):
            for wait in list(self._buckets.get(bucket, ())):
                wait.end("timeout")
        if self._buckets and self._timer is None:
            self._schedule(min(self._buckets))
