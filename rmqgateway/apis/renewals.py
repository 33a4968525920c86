"""Messages that stay invisible as long as their client lives, for clients that ask for it (``auto_renew``).

The client keeps the handle that it was given; here is the one that is valid now. As in the proxy 5.5.0, a message is renewed
some time ahead, for some hours at most, and visible again soon after its client has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.commands import ChangedInvisibleDuration, ChangeInvisibleDuration

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from rmqgateway.apis.limits import ApiSettings

__all__ = ["Renewals"]

log = Logger(namespace="rmqgateway.apis")

#: How often messages are looked through for some to renew, in seconds.
_EVERY = 5.0
_Key = tuple[str, str]


class _Renewed:
    """A message in a client's hands. :ivar waiting: who waits for the end of a renewal under way, or None."""

    __slots__ = ("began", "group", "handle", "message_id", "topic", "visible_at", "waiting")

    def __init__(self, group: str, topic: str, message_id: str, handle: str, began: float, visible_at: float) -> None:
        self.group = group
        self.topic = topic
        self.message_id = message_id
        self.handle = handle
        self.began = began
        self.visible_at = visible_at
        self.waiting: list[Deferred[None]] | None = None


class Renewals:
    """What one client has and wants renewed.

    :param execute: a command in the client's name.
    """

    def __init__(self, execute: Callable[[Any], Any], clock: IReactorTime, settings: ApiSettings) -> None:
        self._execute = execute
        self._clock = clock
        self._settings = settings
        self._messages: dict[_Key, _Renewed] = {}
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, group: str, topic: str, message_id: str, handle: str, invisible_ms: int) -> None:
        """A message was delivered; beyond the limit it is not renewed."""
        if len(self._messages) >= self._settings.max_renewed:
            return
        now = self._clock.seconds()
        self._messages[group, handle] = _Renewed(group, topic, message_id, handle, now, now + invisible_ms / 1000)
        if self._timer is None:
            self._timer = self._clock.callLater(_EVERY, self._look)

    def under_way(self, group: str, handles: Iterable[str]) -> Deferred[None] | None:
        """What fires when no renewal of these is under way any more: until then their handle is not known."""
        for handle in handles:
            message = self._messages.get((group, handle))
            if message is not None and message.waiting is not None:
                waiting: Deferred[None] = Deferred()
                message.waiting.append(waiting)
                return waiting
        return None

    def take(self, group: str, handle: str) -> str:
        """The handle that is valid now; the message is not renewed any more."""
        message = self._messages.pop((group, handle), None)
        return handle if message is None else message.handle

    def clear(self) -> None:
        """The client has gone: its messages are visible again soon."""
        self._stop()
        messages, self._messages = self._messages, {}
        for message in messages.values():
            if message.waiting is None:
                self._give_back(message)
            else:
                ended: Deferred[None] = Deferred()
                ended.addCallback(self._give_back_later, message)
                message.waiting.append(ended)

    def _give_back_later(self, _: None, message: _Renewed) -> None:
        self._give_back(message)

    def _give_back(self, message: _Renewed) -> None:
        self._change(message, self._settings.cleared_invisible_ms).addErrback(self._lost)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        due = now + self._settings.renew_ahead_ms / 1000
        for key, message in list(self._messages.items()):
            if message.waiting is not None or message.visible_at > due:
                continue
            if now - message.began >= self._settings.renew_seconds or message.visible_at <= now:
                del self._messages[key]
            else:
                self._renew(key, message)
        if self._messages:
            self._timer = self._clock.callLater(_EVERY, self._look)

    def _renew(self, key: _Key, message: _Renewed) -> None:
        waiting = message.waiting = []
        invisible_ms = self._settings.default_invisible_ms

        def answered(reply: ChangedInvisibleDuration | Failure) -> None:
            message.waiting = None
            if isinstance(reply, Failure):
                # Acknowledged meanwhile, or too late: it comes again by itself.
                self._lost(reply)
                self._messages.pop(key, None)
            else:
                message.handle = reply.receipt_handle
                message.visible_at = self._clock.seconds() + invisible_ms / 1000
            for one in waiting:
                one.callback(None)

        self._change(message, invisible_ms).addBoth(answered)

    def _change(self, message: _Renewed, invisible_ms: int) -> Deferred[Any]:
        command = ChangeInvisibleDuration(
            message.group, message.topic, message.handle, invisible_ms, message_id=message.message_id
        )
        return maybeDeferred(self._execute, command)

    @staticmethod
    def _lost(failure: Failure) -> None:
        log.debug("a message is not renewed: {reason}", reason=failure.getErrorMessage())
