"""What every Remoting connection has, whatever becomes of its requests: a session, clocks, and an end.

Its peer is cut off when it does not read its answers, left when it says nothing for too long, and while the gateway drains
as soon as it may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.eager import writer
from rmqgateway.errors import GatewayError
from rmqgateway_remoting.convert_base import Peer
from rmqgateway_remoting.draining import next_look

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.events import Event
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway, ISession
    from rmqgateway_remoting.frontend import RemotingSettings

__all__ = ["RemotingConnection"]

log = Logger(namespace="rmqgateway.remoting")


@implementer(IPushProducer)
class RemotingConnection(Protocol):
    """As IPushProducer it is asked by its transport to write no more for now. Its children fill in the methods below that
    do nothing here."""

    def __init__(
        self, gateway: IGateway, connection: ConnectionInformation, settings: RemotingSettings
    ) -> None:
        self._gateway = gateway
        self._connection = connection
        self._settings = settings
        self._seconds: Callable[[], float] = gateway.reactor.seconds
        # Set when the connection is made.
        self._session: ISession
        self._peer: Peer
        self._transport: Any
        self._write: Callable[[bytes], None]
        self._opened = False
        self._closed = False
        self._reading = True
        self._blocked = False
        self._blocked_since = 0.0
        self._going_away = False
        self._drain_since = self._drain_deadline = 0.0
        self._stall_timer: IDelayedCall | None = None
        self._idle_timer: IDelayedCall | None = None
        self._drain_timer: IDelayedCall | None = None

    # What a child fills in.

    def _begin(self) -> None:
        """The session is open."""

    def _end(self) -> None:
        """The connection is gone; the session, if it was opened, is still open."""

    def _dismiss(self, reason: str) -> None:
        """The gateway drains: answer what would wait longer than that may take."""

    def _is_busy(self) -> bool:
        """Whether requests are under way, or answers are not written."""
        raise NotImplementedError

    def _deliver(self, event: Event) -> bool:
        """See `ISession.deliver`."""
        raise NotImplementedError

    # What Twisted calls.

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._transport = self.transport
        try:
            session = self._gateway.open_session(
                "remoting",
                self._connection.peer,
                self._connection.advertised,
                self._deliver,
                self._drain,
                self._cut,
            )
        except GatewayError as error:
            log.info("connection from {peer} refused: {error}", peer=self._connection.peer, error=error)
            self._closed = True
            self._transport.loseConnection()
            return
        self._session = session
        self._peer = Peer(session)
        self._opened = True
        self._write = writer(self.transport)
        self._transport.registerProducer(self, True)
        self._idle_timer = self._gateway.reactor.callLater(self._settings.idle_seconds, self._check_idle)
        self._begin()

    def connectionLost(self, reason: Failure = Failure(Exception("connection lost"))) -> None:  # noqa: B008
        """See IProtocol."""
        self._closed = True
        for timer in (self._stall_timer, self._idle_timer, self._drain_timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._end()
        if self._opened:
            self._session.end()

    def pauseProducing(self) -> None:
        """See IPushProducer: the transport has enough to write."""
        self._blocked = True
        self._blocked_since = self._seconds()
        if self._stall_timer is None and not self._closed:
            self._stall_timer = self._gateway.reactor.callLater(
                self._settings.stalled_seconds, self._check_stall
            )

    def resumeProducing(self) -> None:
        """See IPushProducer: the transport has written all that it had."""
        self._blocked = False

    def stopProducing(self) -> None:
        """See IPushProducer: the connection is gone; connectionLost follows."""

    # Clocks.

    def _check_stall(self) -> None:
        self._stall_timer = None
        if not self._blocked or self._closed:
            return
        left = self._blocked_since + self._settings.stalled_seconds - self._seconds()
        if left <= 0:
            self._cut(
                f"it has not read its answers for {self._settings.stalled_seconds:g} s (setting stalled_seconds)"
            )
        else:
            self._stall_timer = self._gateway.reactor.callLater(left, self._check_stall)

    def _check_idle(self) -> None:
        left = self._session.last_seen + self._settings.idle_seconds - self._seconds()
        if not self._reading:
            left = self._settings.idle_seconds
        if left <= 0:
            log.info("connection of {peer} ends: it said nothing for too long", peer=self._connection.peer)
            self._close()
        else:
            self._idle_timer = self._gateway.reactor.callLater(left, self._check_idle)

    # Ending.

    def _close(self) -> None:
        """End the connection once what was handed to the transport is written."""
        if not self._closed:
            self._closed = True
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def _cut(self, reason: str) -> None:
        """End the connection now."""
        if not self._closed:
            log.warn("connection of {peer} is cut: {reason}", peer=self._connection.peer, reason=reason)
            self._closed = True
            self._transport.unregisterProducer()
            self._transport.abortConnection()

    def _drain(self, deadline: float, reason: str) -> None:
        """Clients that understand it are told to go with each answer; the others are left when they are quiet."""
        if self._closed or self._going_away:
            return
        self._going_away = True
        self._drain_since = self._seconds()
        self._drain_deadline = self._drain_since + deadline
        self._drain_timer = self._gateway.reactor.callLater(min(1.0, deadline), self._check_drained)
        # Who waits for messages asks elsewhere at once, or after the 3 s that it waits after an error: by then it has been
        # left. Go's client would wait for an answer to a poll until its time is over, whatever becomes of the connection.
        self._dismiss(reason)

    def _check_drained(self) -> None:
        now, busy = self._seconds(), self._is_busy()
        left = next_look(now, self._drain_since, self._drain_deadline, self._session.last_seen, busy)
        if left is None:
            self._close()
        else:
            self._drain_timer = self._gateway.reactor.callLater(left, self._check_drained)
