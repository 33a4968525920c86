"""How much a producer group may send and a consumer group receive, whichever connections its members use (RIP-17).

Nothing of this is in the way of anybody until a limit is set: then the handlers of the commands that it concerns are wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred

from rmqgateway.commands import (
    Command,
    PulledMessages,
    PullMessages,
    ReceivedMessages,
    ReceiveMessages,
    SendMessages,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.pending import Later, Pending

if TYPE_CHECKING:
    from rmqgateway.context import Context
    from rmqgateway.governance.budgets import Limits

__all__ = ["GroupFlow", "GroupUse"]

#: A group may use at once what it has left unused for so long, in seconds.
_BURST = 1.0
_MAX_GROUPS = 10_000
_FOREVER = float("inf")

Handler = Callable[["Context", Any], Any]


class GroupUse(msgspec.Struct):
    """What a group uses.

    :ivar consumer: it is a consumer group. :ivar messages: sent or received since it became known.
    :ivar refused: commands for which there was no room. :ivar size: bytes of its sends that are under way.
    :ivar left: messages that it may send or receive now; below 0 it has to wait.
    """

    name: str
    consumer: bool
    left: float
    at: float
    messages: int = 0
    refused: int = 0
    size: int = 0


class GroupFlow:
    """Rates and bytes under way, by group.

    :param seconds: a clock. :ivar groups: by whether they consume, and name.
    """

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self.groups: dict[tuple[bool, str], GroupUse] = {}

    @property
    def active(self) -> bool:
        """Whether there is any limit."""
        limits = self._limits
        return bool(limits.producer_group_rate or limits.producer_group_bytes or limits.consumer_group_rate)

    def wrap(self, handlers: Mapping[type[Command[Any]], Handler]) -> dict[type[Command[Any]], Handler]:
        """Handlers that count and refuse. They raise GatewayError TOO_MANY_REQUESTS, with the time to wait."""
        wrapped = dict(handlers)
        limits = self._limits
        if (limits.producer_group_rate or limits.producer_group_bytes) and SendMessages in handlers:
            wrapped[SendMessages] = self._sending(handlers[SendMessages])
        if limits.consumer_group_rate:
            for kind in (ReceiveMessages, PullMessages):
                if kind in handlers:
                    wrapped[kind] = self._consuming(handlers[kind])
        return wrapped

    def _sending(self, handler: Handler) -> Handler:
        limits = self._limits
        rate = limits.producer_group_rate or _FOREVER
        most = limits.producer_group_bytes or _FOREVER

        def send(context: Context, command: SendMessages) -> Any:
            use = self._use(False, command.producer_group or command.topic, rate)
            size = sum(len(message.body) + len(message.properties) for message in command.messages)
            if use.size and use.size + size > most:
                use.refused += 1
                raise GatewayError(
                    Code.TOO_MANY_REQUESTS,
                    f"producer group {use.name}: {use.size} bytes of its messages are under way "
                    f"(setting limits.producer_group_bytes: {limits.producer_group_bytes})",
                    retry_after=1.0,
                )
            self._wait_or_go(use, rate, "limits.producer_group_rate")
            use.left -= len(command.messages)
            use.messages += len(command.messages)
            use.size += size
            try:
                result = handler(context, command)
            except BaseException:
                use.size -= size
                raise
            if isinstance(result, Pending | Later):
                result = result.deferred()
            if not isinstance(result, Deferred):
                use.size -= size
                return result

            def done(outcome: Any) -> Any:
                use.size -= size
                return outcome

            return result.addBoth(done)

        return send

    def _consuming(self, handler: Handler) -> Handler:
        rate = self._limits.consumer_group_rate

        def consume(context: Context, command: ReceiveMessages | PullMessages) -> Any:
            use = self._use(True, command.group, rate)
            self._wait_or_go(use, rate, "limits.consumer_group_rate")

            def got(reply: ReceivedMessages | PulledMessages) -> Any:
                count = len(reply.messages)
                use.left -= count
                use.messages += count
                return reply

            result = handler(context, command)
            if isinstance(result, Pending | Later):
                result = result.deferred()
            return result.addCallback(got) if isinstance(result, Deferred) else got(result)

        return consume

    def _use(self, consumer: bool, name: str, rate: float) -> GroupUse:
        key = (consumer, name)
        now = self._seconds()
        use = self.groups.get(key)
        if use is None:
            if len(self.groups) >= _MAX_GROUPS:
                self._forget(now)
            use = self.groups[key] = GroupUse(name, consumer, rate * _BURST, now)
        elif rate is not _FOREVER:
            use.left = min(use.left + (now - use.at) * rate, rate * _BURST)
            use.at = now
        return use

    def _forget(self, now: float) -> None:
        """Groups that use nothing go; if all do, those that have been known longest."""
        idle = [key for key, use in self.groups.items() if not use.size and now - use.at > 60.0]
        for key in idle or list(self.groups)[: _MAX_GROUPS // 10]:
            del self.groups[key]

    @staticmethod
    def _wait_or_go(use: GroupUse, rate: float, setting: str) -> None:
        if use.left > 0:
            return
        use.refused += 1
        kind = "consumer" if use.consumer else "producer"
        raise GatewayError(
            Code.TOO_MANY_REQUESTS,
            f"{kind} group {use.name}: more than {rate:g} messages/s (setting {setting})",
            retry_after=max(0.01, (1 - use.left) / rate),
        )
