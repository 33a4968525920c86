"""One connection to a broker: requests out, answers back by their opaque, and what the broker asks by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import Logger

from rmqgateway.backend.cluster.answers import BrokerUnreachable
from rmqgateway.eager import writer
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure

    from rmqgateway.backend.cluster.upstream import Broker

__all__ = ["Done", "Link", "Waiting"]

log = Logger(namespace="rmqgateway.cluster")

#: Who gets an answer: (token, answer, error), one of the last two is None.
Done = "Callable[[Any, RemotingCommand | None, GatewayError | None], None]"


class Waiting:
    """A request that is not answered yet. :ivar deadline: in reactor seconds. :ivar size: of its frame."""

    __slots__ = ("deadline", "done", "size", "token")

    def __init__(
        self,
        done: Callable[[Any, RemotingCommand | None, GatewayError | None], None],
        token: Any,
        deadline: float,
        size: int,
    ) -> None:
        self.done = done
        self.token = token
        self.deadline = deadline
        self.size = size


class Link(Protocol):
    """A connection, from the moment it is asked for. Frames given to it before it stands are held, and counted as not
    written when it never does.

    :ivar pending: by opaque. :ivar heard: when the broker last said something.
    """

    transport: Any

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._decoder = RemotingDecoder()
        self.pending: dict[int, Waiting] = {}
        self.connected_ = False
        self.ended = False
        self.began = self.heard = self.used = broker.hub.reactor.seconds()
        self._next = 0
        self._out: list[bytes] = []
        self._write: Callable[[bytes], None] | None = None
        self._connector: Any = None

    def connect(self, host: str, port: int, timeout: float) -> None:
        """Begin to connect."""
        self._connector = self._broker.hub.reactor.connectTCP(host, port, _Connecting(self), timeout=timeout)

    def next_opaque(self) -> int:
        """A number that no request under way has."""
        opaque = self._next
        self._next = opaque + 1 & 0x7FFFFFFF
        return opaque

    def send(self, frame: bytes) -> None:
        """Write a frame, together with the others of this turn."""
        self._out.append(frame)
        if self._write is not None:
            self._broker.hub.outbox.ready(self)

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        if self._out and self._write is not None:
            out = self._out
            self._out = []
            self._write(out[0] if len(out) == 1 else b"".join(out))

    def cut(self, reason: str, code: Code = Code.UPSTREAM_UNAVAILABLE, gently: bool = False) -> None:
        """End it now; what waits fails. :param gently: what is written still arrives."""
        if self.ended:
            return
        transport, connector = self.transport, self._connector
        self._end(reason, code)
        if transport is not None and gently:
            transport.loseConnection()
        elif transport is not None:
            transport.abortConnection()
        elif connector is not None:
            connector.disconnect()

    # Twisted's.

    def connectionMade(self) -> None:
        """See IProtocol."""
        if self.ended:
            self.transport.abortConnection()
            return
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.transport = self._broker.hub.secure(self.transport, self, self._broker.address)
        self._write = writer(self.transport)
        self.connected_ = True
        self.heard = self._broker.hub.reactor.seconds()
        self._broker.connected(self)
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        broker = self._broker
        hub = broker.hub
        self.heard = hub.reactor.seconds()
        pending = self.pending
        outbox = hub.outbox
        outbox.enter()
        try:
            for event in self._decoder.receive_data(data):
                if self.ended:
                    return
                if isinstance(event, WireError):
                    self._garbage(event)
                elif event.flag & 1:
                    broker.version = event.version
                    waiting = pending.pop(event.opaque, None)
                    if waiting is not None:
                        broker.pending -= 1
                        broker.bytes -= waiting.size
                        try:
                            waiting.done(waiting.token, event, None)
                        except Exception:
                            log.failure("an answer of {address} could not be dealt with", address=broker.address)
                else:
                    try:
                        hub.asked(broker, self, event)
                    except Exception:
                        log.failure("a request of {address} could not be dealt with", address=broker.address)
        finally:
            outbox.leave()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See IProtocol."""
        self._end(f"the connection is lost: {reason.getErrorMessage()}")

    # Inside.

    def _garbage(self, error: WireError) -> None:
        if error.fatal:
            self.cut(f"it does not speak RocketMQ's protocol: {error.message}", Code.UPSTREAM_ERROR)
            return
        waiting = None if error.request_id is None else self.pending.pop(error.request_id, None)
        log.warn("{address} sends a frame that cannot be read: {error}", address=self._broker.address, error=error.message)
        if waiting is not None:
            self._broker.took_away(waiting)
            refused = GatewayError(Code.UPSTREAM_ERROR, f"the broker's answer cannot be read: {error.message}")
            waiting.done(waiting.token, None, refused)

    def not_connected(self, reason: str) -> None:
        """It did not come to stand."""
        self._end(f"it cannot be connected to: {reason}")

    def _end(self, reason: str, code: Code = Code.UPSTREAM_UNAVAILABLE) -> None:
        if self.ended:
            return
        self.ended = True
        written = self.connected_
        pending, self.pending = self.pending, {}
        self._out.clear()
        self._write = None
        broker = self._broker
        broker.ended(self, written, reason)
        text = f"broker {broker.address}: {reason}"
        outbox = broker.hub.outbox
        outbox.enter()
        try:
            for waiting in pending.values():
                broker.took_away(waiting)
                try:
                    waiting.done(waiting.token, None, BrokerUnreachable(text, written, code))
                except Exception:
                    log.failure("the loss of {address} could not be dealt with", address=broker.address)
        finally:
            outbox.leave()


class _Connecting(ClientFactory):
    noisy = False

    def __init__(self, link: Link) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> Link:
        """See IProtocolFactory."""
        return self._link

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        self._link.not_connected(reason.getErrorMessage())
