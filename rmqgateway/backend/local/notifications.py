"""Waiting for messages without taking them, and who waits: AwaitMessages, GetPollingInformation.

Source of the meaning: ``NotificationProcessor`` and ``PollingInfoProcessor`` of 5.5.0.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.pop_receive import Place
from rmqgateway.backend.local.popping import Popping
from rmqgateway.backend.local.waits import Waits
from rmqgateway.commands.maintaining import (
    AwaitMessages,
    GetPollingInformation,
    MessagesAwaited,
    PollingInformation,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError

__all__ = ["Notifications"]


class Notifications(Component):
    """Tells consumers that a receive would find something."""

    def __init__(self, core: Core, popping: Popping, waits: Waits) -> None:
        super().__init__(core)
        self._popping = popping
        self._waits = waits

    def handlers(self) -> Handlers:
        return {
            AwaitMessages: self.await_messages,
            GetPollingInformation: self.get_polling_information,
        }

    def await_messages(
        self, context: Context, command: AwaitMessages
    ) -> MessagesAwaited | Deferred[MessagesAwaited]:
        place = self._popping.readable_place(command.group, command.topic, command.queue_id)
        now = self.core.now_ms()
        if place.has_work(now, command.queue_id, command.fifo):
            return MessagesAwaited(True)
        if command.wait_ms <= 0:
            return MessagesAwaited(False)
        if self._waits.full:
            return MessagesAwaited(False, True)
        return _Notification(self, context, command, place).deferred

    def get_polling_information(
        self, context: Context, command: GetPollingInformation
    ) -> PollingInformation:
        place = self._popping.readable_place(command.group, command.topic, command.queue_id)
        polling = place.polling.get(command.queue_id)
        return PollingInformation(0 if polling is None else len(polling.waiting))


class _Notification:
    """One AwaitMessages that waits."""

    __slots__ = ("_command", "_owner", "_place", "_wait", "deferred")

    def __init__(
        self, owner: Notifications, context: Context, command: AwaitMessages, place: Place
    ) -> None:
        self._owner = owner
        self._command = command
        self._place = place
        self.deferred: Deferred[MessagesAwaited] = Deferred(self._cancelled)
        wait_ms = min(command.wait_ms, owner.core.settings.long_poll_max_ms)
        self._wait = owner._waits.add((place,), wait_ms, context.session, self._woken, self._ended)
        place.plan()

    def _woken(self) -> bool:
        command = self._command
        if not self._place.has_work(self._owner.core.now_ms(), command.queue_id, command.fifo):
            return False
        self.deferred.callback(MessagesAwaited(True))
        return True

    def _ended(self, reason: str) -> None:
        self._place.plan()
        if reason == "timeout":
            self.deferred.callback(MessagesAwaited(False))
        elif reason == "topic":
            self.deferred.errback(
                GatewayError(Code.TOPIC_NOT_FOUND, f"topic {self._command.topic} was deleted")
            )
        elif reason == "stopped":
            self.deferred.errback(
                GatewayError(Code.SHUTTING_DOWN, "the broker is stopping", retry_after=1.0)
            )
        else:
            self.deferred.errback(GatewayError(Code.CANCELLED, "the client has gone"))

    def _cancelled(self, _: Deferred[MessagesAwaited]) -> None:
        self._wait.leave()
        self._place.plan()
