"""What is below Autobahn in an open WebSocket: a transport that writes once per turn, and timers on the gateway's reactor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from rmqgateway.eager import writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.http.websocket_connection import WebSocketConnection

__all__ = ["Timers", "Wire"]

_PIECE = 128 * 1024


class Timers:
    """Autobahn's timers on the gateway's reactor (its own ones are bound to the global one)."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def call_later(self, delay: float, function: Callable[..., None], *arguments: Any) -> _Timer:
        """As txaio's batched timer."""
        return _Timer(self._reactor.callLater(delay, function, *arguments))


class _Timer:
    __slots__ = ("_call",)

    def __init__(self, call: IDelayedCall) -> None:
        self._call = call

    def cancel(self) -> None:
        if self._call.active():
            self._call.cancel()


@implementer(IPushProducer)
class Wire:
    """The transport that Autobahn writes to: one write per turn, in pieces while the client is slow."""

    __slots__ = (
        "_blocked", "_closing", "_given", "_outbox", "_owner", "_pending", "_reactor", "_size", "_stall", "_stalled_s",
        "_transport", "_write",
    )  # fmt: skip

    def __init__(self, owner: WebSocketConnection, transport: Any, outbox: Any, reactor: Any, stalled_s: float) -> None:
        self._owner = owner
        self._transport = transport
        self._outbox = outbox
        self._reactor = reactor
        self._stalled_s = stalled_s
        self._write = writer(transport)
        self._pending: list[bytes] = []
        self._size = 0
        self._given = 0
        self._blocked = False
        self._closing = False
        self._stall: IDelayedCall | None = None

    def buffered(self) -> int:
        """Bytes that the client has not taken."""
        return self._size + self._given

    def write(self, data: bytes) -> None:
        """See ITransport."""
        if self._closing:
            return
        self._pending.append(data)
        self._size += len(data)
        if len(self._pending) == 1:
            self._outbox.ready(self)
        elif self._blocked:
            self._owner.flushed()

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        pending = self._pending
        while pending and not self._blocked:
            count = size = 0
            for part in pending:
                if size >= _PIECE:
                    break
                size += len(part)
                count += 1
            parts = pending[:count]
            del pending[:count]
            self._size -= size
            self._given = size
            self._write(b"".join(parts) if len(parts) > 1 else parts[0])
        if not self._blocked:
            self._given = 0
        self._owner.flushed()

    def pauseProducing(self) -> None:
        """See IPushProducer: the client does not read."""
        self._blocked = True
        if self._stall is None:
            self._stall = self._reactor.callLater(self._stalled_s, self._stalled)

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._blocked = False
        self._given = 0
        self.stop_timers()
        self.flush()

    def stopProducing(self) -> None:
        """See IPushProducer; connectionLost follows."""

    def _stalled(self) -> None:
        self._stall = None
        self._owner.cut(f"it took nothing for {self._stalled_s:g} s (setting http.stalled_s)")

    def stop_timers(self) -> None:
        """The client takes something again, or is gone."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def loseConnection(self) -> None:
        """See ITransport."""
        if not self._closing:
            self._blocked = False
            self.flush()
            self._closing = True
            if self._stall is None:
                self._stall = self._reactor.callLater(self._stalled_s, self._transport.abortConnection)
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        self._closing = True
        self._transport.abortConnection()

    def unregisterProducer(self) -> None:
        """See IConsumer: Autobahn's last word before it closes; ours is in loseConnection."""
