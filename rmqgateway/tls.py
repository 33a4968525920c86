"""TLS between a transport and a protocol, on the standard library's ``ssl``: of connections that come in and that go out.

Twisted's own layer (``startTLS``) costs ten times as much a message: it hands on each record by itself, and what is written goes
through two more turns of the reactor. Here all that one read brought is handed on in one piece, and what a protocol writes goes
out at once (see `rmqgateway.eager`).
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.eager import writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IAddress, IProtocol

__all__ = ["TLSTransport"]

#: The most plain text that a record holds, so that one read empties it. Source: RFC 8446, section 5.1.
RECORD = 16384


@implementer(ITransport, IPushProducer)
class TLSTransport:
    """A protocol to the transport below it, a transport to the protocol above.

    What is written before the handshake is done waits for it. When the peer ends its side, the connection is closed; when the
    protocol closes it, the peer is told, and not waited for.

    :param context: whose side it takes; a client's checks the certificate.
    :param transport: the transport below. Its deliveries must come here from now on.
    :param protocol: the protocol above, which is connected already.
    :param server_name: whom a client's certificate must name; None: this is the server's side.
    :ivar wrappedProtocol: the protocol above; another may take its place.
    :ivar disconnected: the transport below has lost its connection.
    """

    __slots__ = (
        "_closing",
        "_error",
        "_incoming",
        "_is_open",
        "_outgoing",
        "_producer",
        "_tls",
        "_waiting",
        "_write",
        "disconnected",
        "transport",
        "wrappedProtocol",
    )

    def __init__(
        self, context: ssl.SSLContext, transport: Any, protocol: IProtocol, server_name: str | None = None
    ) -> None:
        self.transport = transport
        self.wrappedProtocol = protocol
        self.disconnected = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._write = writer(transport)
        self._waiting: list[bytes] = []
        self._producer: IPushProducer | None = None  # while it waits for the handshake
        self._is_open = False
        self._closing = False
        self._error: Failure | None = None

    def begin(self) -> None:
        """A client says hello."""
        self.dataReceived(b"")

    # For the transport below.

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol: records, cut anywhere."""
        incoming = self._incoming
        incoming.write(data)
        pieces: list[bytes] = []
        error: ssl.SSLError | None = None
        is_over = False
        try:
            if not self._is_open:
                self._shake_hands()
            read = self._tls.read
            while incoming.pending:
                piece = read(RECORD)
                if not piece:  # the peer has said that nothing more comes; what follows is nobody's
                    is_over = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # the rest of a record, or of the handshake, is still to come
        except ssl.SSLZeroReturnError:
            is_over = True
        except ssl.SSLError as failed:
            error = failed
        if self._outgoing.pending:
            self._flush()
        if pieces and not self._closing:
            self.wrappedProtocol.dataReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if error is not None:
            self._fail(error)
        elif is_over:
            self.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """See IProtocol."""
        self.disconnected = self._closing = True
        self._waiting.clear()
        self.wrappedProtocol.connectionLost(self._error or reason)

    # For the protocol above.

    def write(self, data: bytes) -> None:
        """See ITransport."""
        if self._closing:
            return
        if self._is_open:
            self._encrypt(data)
            self._flush()
        else:
            self._waiting.append(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See ITransport."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """See ITransport: what was written goes out first."""
        if self._closing:
            return
        self._closing = True
        if self._is_open:
            self._say_goodbye()
        elif not self._waiting:
            self.transport.loseConnection()

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        self._closing = True
        self._waiting.clear()
        self.transport.abortConnection()

    @property
    def disconnecting(self) -> bool:
        """Whether nothing more is taken."""
        return self._closing

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """See IConsumer: only before the handshake is anything kept here, so the transport below tells when it is too much."""
        self.transport.registerProducer(producer, streaming)
        if not self._is_open and not self._closing:
            self._producer = producer
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self.transport.stopProducing()

    def getPeer(self) -> IAddress:
        """See ITransport."""
        peer: IAddress = self.transport.getPeer()
        return peer

    def getHost(self) -> IAddress:
        """See ITransport."""
        host: IAddress = self.transport.getHost()
        return host

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport."""
        self.transport.setTcpNoDelay(enabled)

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""
        self.transport.setTcpKeepAlive(enabled)

    # The inside.

    def _shake_hands(self) -> None:
        self._tls.do_handshake()
        self._is_open = True
        for data in self._waiting:
            self._encrypt(data)
        self._waiting.clear()
        if self._closing:
            self._say_goodbye()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.resumeProducing()

    def _encrypt(self, data: bytes) -> None:
        written = self._tls.write(data) if data else 0
        if written < len(data):  # a record each time
            rest = memoryview(data)
            while written < len(rest):
                written += self._tls.write(rest[written:])

    def _say_goodbye(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the peer has not said the same, and is not waited for
        self._flush()
        self.transport.loseConnection()

    def _flush(self) -> None:
        self._write(self._outgoing.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """The peer does not speak TLS as it should, or is not who it should be; what OpenSSL says to it is sent already."""
        if self._error is None:
            self._error = Failure(error)
        self._closing = True
        self._waiting.clear()
        self.transport.loseConnection()
