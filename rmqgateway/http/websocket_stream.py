"""A byte stream over WebSocket messages, for front-ends that own connections (MQTT, STOMP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.http.request import HIGH_WATER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rmqgateway.http.websocket_connection import WebSocketConnection
    from rmqgateway.interfaces import IGateway

__all__ = ["StreamHandler"]

_NORMAL = 1000


@implementer(ITCPTransport, IPushProducer)
class StreamHandler:
    """Between an open WebSocket and a front-end's protocol, for which it is the transport: camelCase is Twisted's."""

    disconnecting = False

    def __init__(self, connection: WebSocketConnection, front_end: Any, gateway: IGateway) -> None:
        self._connection = connection
        self._producer: Any = None
        self._producer_paused = False
        self.protocol: Any = front_end.make_protocol(gateway, connection.information)
        self.protocol.makeConnection(self)

    # From the WebSocket.

    def message_received(self, data: bytes, is_binary: bool) -> None:
        """The next bytes. Text is taken too: clients of STOMP send it."""
        if not self.disconnecting and data:
            self.protocol.dataReceived(data)

    def closed(self, code: int, reason: str) -> None:
        """It is over."""
        self.disconnecting = True
        self.protocol.connectionLost(Failure(ConnectionDone(f"WebSocket closed with {code} {reason}")))

    # ITransport, ITCPTransport.

    def write(self, data: bytes) -> None:
        """One binary message."""
        if data and not self.disconnecting:
            self._connection.send_message(bytes(data), True)
            if self._producer is not None and not self._producer_paused:
                self._look()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See ITransport."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """See ITransport."""
        if not self.disconnecting:
            self._connection.close_with(_NORMAL, "")
            self.disconnecting = True

    def loseWriteConnection(self) -> None:
        """See ITCPTransport: a WebSocket has no half-open state."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        self.disconnecting = True
        self._connection.wire.abortConnection()

    def getPeer(self) -> Any:
        """See ITransport."""
        return self._connection.information.peer

    def getHost(self) -> Any:
        """See ITransport."""
        return self._connection.host

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Set already."""

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Set already."""

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""
        return True

    # IConsumer, and IPushProducer for what comes in.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer; streaming producers only."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._connection.set_paused(True)

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._connection.set_paused(False)

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self.loseConnection()

    def _look(self) -> None:
        if self._connection.wire.buffered() > HIGH_WATER:
            self._producer_paused = True
            self._producer.pauseProducing()
            self._connection.on_drain(self._resume)

    def _resume(self) -> None:
        self._producer_paused = False
        if self._producer is not None:
            self._producer.resumeProducing()
