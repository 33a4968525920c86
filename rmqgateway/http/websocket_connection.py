"""One open WebSocket: Autobahn between a transport of ours, which writes once per turn, and a front-end.

A front-end's handler (what ``IWebSocketFrontEnd.open`` returns) may also have ``event_arrived(event) -> bool`` for the
session's events and ``drain(deadline, reason)``; without the latter a draining gateway closes with 1012 (service restart).
A front-end that owns byte streams (``IConnectionFrontEnd.web_socket_protocols``) gets each message as bytes and answers in
binary messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import txaio

txaio.use_twisted()

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol  # noqa: E402
from autobahn.wamp.types import TransportDetails  # noqa: E402
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept  # noqa: E402
from autobahn.websocket.protocol import TrafficStats  # noqa: E402
from twisted.internet.error import ConnectionDone  # noqa: E402
from twisted.logger import Logger  # noqa: E402
from twisted.python.failure import Failure  # noqa: E402
from zope.interface import implementer  # noqa: E402

from rmqgateway.context import Context  # noqa: E402
from rmqgateway.http.request import LOW_WATER  # noqa: E402
from rmqgateway.http.websocket_frames import encode_frame, take_frame  # noqa: E402
from rmqgateway.http.websocket_stream import StreamHandler  # noqa: E402
from rmqgateway.http.websocket_wire import Timers, Wire  # noqa: E402
from rmqgateway.interfaces import IWebSocket, IWebSocketFrontEnd  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.events import Event
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.http.http1_request import Http1Request
    from rmqgateway.http.server import HttpServer

__all__ = ["WebSocketConnection", "make_factory"]

log = Logger(namespace="rmqgateway.websocket")

#: Smaller messages are not worth compressing.
_COMPRESS_FROM = 256
_CLOSE_REASON = 123
_RESTART = 1012  # RFC 6455 registry: service restart
_FAILED = 1011
_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_ABNORMAL = 1006
_PLAIN = (bool, type(None), int)
_NOTHING: dict[str, Any] = {}
#: Nobody reads what Autobahn counts: one for all.
_TRAFFIC = TrafficStats()


def make_factory(server: HttpServer) -> WebSocketServerFactory:
    """Autobahn's factory, for its options."""
    settings = server.settings
    factory = WebSocketServerFactory(reactor=server.gateway.reactor, server=settings.server_header or None)
    factory._batched_timer = Timers(server.gateway.reactor)
    factory.setProtocolOptions(
        versions=[13],
        webStatus=False,
        utf8validateIncoming=True,
        maxFramePayloadSize=settings.max_frame,
        maxMessagePayloadSize=settings.max_message,  # counted after inflation
        failByDrop=False,
        openHandshakeTimeout=settings.head_s,
        closeHandshakeTimeout=5.0,
        autoPingInterval=settings.websocket_ping_s,
        autoPingTimeout=settings.websocket_ping_s,
        autoPingSize=12,
        perMessageCompressionAccept=_accept,
        allowedOrigins=["*"],  # judged before
        allowNullOrigin=True,
    )
    # Autobahn copies each option to each connection, unless its class has it: 4 KB less where 29 are in the class.
    options: dict[str, Any] = {name: getattr(factory, name) for name in WebSocketServerProtocol.CONFIG_ATTRS}
    options["perMessageCompressionAccept"] = staticmethod(_accept)
    factory.protocol = type("WebSocketConnection", (WebSocketConnection,), options)  # type: ignore[assignment]
    return factory


def _accept(offers: list[Any]) -> Any:
    """permessage-deflate without context takeover where the client permits: an idle connection then holds no window."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(
                offer, request_no_context_takeover=offer.accept_no_context_takeover, no_context_takeover=True
            )
    return None


@implementer(IWebSocket)
class _Socket:
    """What a front-end has. :ivar request: the HTTP request with which it began (headers, path, query)."""

    __slots__ = ("_connection", "protocol", "request")

    def __init__(self, connection: WebSocketConnection, protocol: str, request: Http1Request) -> None:
        self._connection = connection
        self.protocol = protocol
        self.request = request

    def send(self, message: bytes, is_binary: bool) -> None:
        self._connection.send_message(message, is_binary)

    def close(self, code: int, reason: str) -> None:
        self._connection.close_with(code, reason)

    def buffered(self) -> int:
        return self._connection.wire.buffered()

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._connection.on_drain(callback)

    def pause(self) -> None:
        self._connection.set_paused(True)

    def resume(self) -> None:
        self._connection.set_paused(False)


class WebSocketConnection(WebSocketServerProtocol):
    """See the module; camelCase is what Autobahn calls.

    :raise GatewayError: no more clients are taken.
    """

    _resting: frozenset[str] = frozenset()

    def __init__(
        self,
        server: HttpServer,
        information: ConnectionInformation,
        request: Http1Request,
        front_end: Any,
        protocol: str,
    ) -> None:
        super().__init__()
        self.factory = server.web_socket_factory()
        self.gateway = server.gateway
        self.information = information
        self.wire: Wire
        self._settings = server.settings
        self._outbox = server.gateway.outbox
        self._front_end = front_end
        self._protocol = protocol
        self._request: Http1Request | None = request
        self._handler: Any = None
        self._session: Any = None
        settings = server.settings
        self._longest = min(settings.max_frame, settings.max_message)
        if IWebSocketFrontEnd.providedBy(front_end):
            # A front-end of byte streams opens its own.
            self._session = server.gateway.open_session(
                front_end.name, information.peer, information.advertised, self._deliver, self._drain, self.cut
            )
            self._session.pace = self._set_slow
        self._paused = False  # by the front-end
        self._full = False  # too much is unsent
        self._slow = False  # the process has too much to do
        self._reading = True
        self._consuming = False
        self._on_drain: Callable[[], None] | None = None
        self._drain_call: IDelayedCall | None = None
        self._ended = False
        request.connection = self  # type: ignore[assignment]  # lets go of HTTP's

    # The connection.

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol."""
        self._transport = transport
        self.host = transport.getHost()
        self.wire = Wire(self, transport, self._outbox, self.gateway.reactor, self._settings.stalled_s)
        self.transport = self.wire  # type: ignore[assignment]
        transport.registerProducer(self.wire, True)

    def begin(self, head: bytes, rest: bytes) -> None:
        """Shake hands."""
        self.peer = "client"
        self.is_server = True
        self._transport_details = TransportDetails(is_server=True, is_secure=False, peer=self.peer)
        self._connectionMade()
        self.dataReceived(head + rest)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._session is not None:
            self._session.last_seen = self.gateway.reactor.seconds()
        self._outbox.enter()
        try:
            self._dataReceived(data)
        finally:
            self._outbox.leave()

    def consumeData(self) -> None:
        """See Autobahn; it stops between two messages when the front-end wants no more."""
        if self.state == self.STATE_CONNECTING:
            self.processHandshake()
            return
        if self._consuming:
            return
        self._consuming = True
        try:
            while not self._paused and self.state in (self.STATE_OPEN, self.STATE_CLOSING):
                if not self._take_message() and not self.processData():
                    break
        finally:
            self._consuming = False

    def _take_message(self) -> bool:
        """The usual case, a small message in one whole frame, without Autobahn's machinery (a third of an echo's cost);
        whatever is not exactly that is Autobahn's to take or refuse."""
        if self.current_frame is not None or self.inside_message or self.state != self.STATE_OPEN:
            return False
        found = take_frame(self.data, self._longest)
        if found is None:
            return False
        self.data = found.rest
        if self.autoPingTimeoutCall is not None:
            self._cancelAutoPingTimeoutCall()  # a client that says something is there
        self.onMessage(found.payload, found.is_binary)
        return True

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """See Autobahn; its own composes a line for the log each time."""
        self.wire.write(data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """See IProtocol."""
        self.wire.stop_timers()
        self._outbox.enter()
        try:
            self._connectionLost(reason)  # type: ignore[arg-type]
            self._end(self.remoteCloseCode or _ABNORMAL, self.remoteCloseReason or "the connection was lost")
        finally:
            self._outbox.leave()

    def cut(self, reason: str) -> None:
        """Close now, without a handshake."""
        log.info("WebSocket of {peer} is cut: {reason}", peer=self.information.peer, reason=reason)
        self.wire.abortConnection()

    # What Autobahn calls.

    def onConnect(self, request: Any) -> str | None:
        """See IWebSocketChannel: the sub-protocol was chosen before."""
        return self._protocol or None

    def _onOpen(self) -> None:
        # What the handshake needed is a third of what an idle connection would hold.
        request, self._request = self._request, None
        self.http_request_data = b""
        self.http_response_data = ""
        self.http_headers = _NOTHING
        self.http_request_params = _NOTHING
        self.trafficStats = _TRAFFIC
        self._compact()
        try:
            if self._session is None:
                self._handler = StreamHandler(self, self._front_end, self.gateway)
            else:
                socket = _Socket(self, self._protocol, request)  # type: ignore[arg-type]
                self._handler = self._front_end.open(self.gateway, Context(self._session), socket)
        except Exception:
            self._fail()

    def _compact(self) -> None:
        """Keep no attribute that every connection has with the same value: Autobahn sets 70, most of which stay as they
        are; the first connection that opens tells which. Those that change are the instance's again."""
        kind = type(self)
        if not kind._resting:
            values = {name: value for name, value in self.__dict__.items() if type(value) in _PLAIN and not hasattr(kind, name)}
            for name, value in values.items():
                setattr(kind, name, value)
            kind._resting = frozenset(values)
        resting = kind._resting
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in resting or value is not getattr(kind, name)
        }

    def onMessageEnd(self) -> None:
        """See Autobahn; its own also fires events that nobody here listens to."""
        data = self.message_data
        self.message_data = None  # type: ignore[assignment]
        if self.failedByMe:
            return
        compress = self._perMessageCompress
        if compress is not None and compress.client_no_context_takeover:
            compress._decompressor = None  # 40 KB, made again by the next message
        self.onMessage(data[0] if len(data) == 1 else b"".join(data), self.message_is_binary)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """See IWebSocketChannel."""
        if self._handler is not None:
            try:
                self._handler.message_received(payload, isBinary)
            except Exception:
                self._fail()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """See IWebSocketChannel."""
        self._end(code or _ABNORMAL, reason or "")

    def onAutoPingTimeout(self) -> None:
        """See Autobahn. While we do not read, the answer cannot be seen."""
        if self._reading:
            super().onAutoPingTimeout()
            return
        self.autoPingTimeoutCall = None
        self.autoPingPending = None
        self.autoPingPendingCall = self.factory._batched_timer.call_later(
            self._settings.websocket_ping_s, self._sendAutoPing
        )

    # What the front-end calls.

    def send_message(self, message: bytes, is_binary: bool) -> None:
        """See `IWebSocket.send`; a socket that is closing takes anything and does nothing."""
        if self.state != self.STATE_OPEN:
            return
        compress = self._perMessageCompress
        if compress is None or len(message) < _COMPRESS_FROM:
            self.wire.write(encode_frame(message, is_binary))
            return
        self.sendMessage(message, is_binary)
        compress._compressor = None  # 260 KB; there is no context takeover

    def close_with(self, code: int, reason: str) -> None:
        """See `IWebSocket.close`. :raise ValueError: the code is none that may be sent (RFC 6455 7.4)."""
        if code not in _CODES and not 3000 <= code <= 4999:
            raise ValueError(f"close code: expected 1000 to 1014 (not 1004 to 1006), or 3000 to 4999, got {code}")
        if self.state == self.STATE_OPEN:
            # Autobahn's sendClose takes 1000 and private codes only; it calls this itself.
            text = reason.encode()[:_CLOSE_REASON].decode(errors="ignore").encode()
            self.sendCloseFrame(code=code, reasonUtf8=text, isReply=False)

    def on_drain(self, callback: Callable[[], None]) -> None:
        """See `IWebSocket.on_drain`; not before the next turn."""
        self._on_drain = callback
        self.flushed()

    def set_paused(self, paused: bool) -> None:
        """See `IWebSocket.pause` and `resume`."""
        self._paused = paused
        self._balance()
        if not paused and not self._ended:
            self._outbox.enter()
            try:
                self.consumeData()
            finally:
                self._outbox.leave()

    def flushed(self) -> None:
        """Something left, or could not."""
        size = self.wire.buffered()
        if self._on_drain is not None and size <= LOW_WATER and self._drain_call is None and not self._ended:
            self._drain_call = self.gateway.reactor.callLater(0, self._drained)
        full = size > self._settings.unsent_bytes
        if full is not self._full:
            self._full = full
            self._balance()

    def _drained(self) -> None:
        self._drain_call = None
        callback, self._on_drain = self._on_drain, None
        if callback is not None:
            self._outbox.enter()
            try:
                callback()
            except Exception:
                self._fail()
            finally:
                self._outbox.leave()

    def _set_slow(self, slow: bool) -> None:
        """See `ISession.pace`."""
        self._slow = slow
        self._balance()

    def _balance(self) -> None:
        wanted = not self._paused and not self._full and not self._slow
        if wanted is not self._reading and not self._ended:
            self._reading = wanted
            if wanted:
                self._transport.resumeProducing()
            else:
                self._transport.pauseProducing()

    # The session.

    def _deliver(self, event: Event) -> bool:
        arrived = getattr(self._handler, "event_arrived", None)
        return arrived is not None and self.state == self.STATE_OPEN and bool(arrived(event))

    def _drain(self, deadline: float, reason: str) -> None:
        drain = getattr(self._handler, "drain", None)
        self._outbox.enter()
        try:
            if drain is not None:
                drain(deadline, reason)
            else:
                self.close_with(_RESTART, reason)
        except Exception:
            self._fail()
        finally:
            self._outbox.leave()

    def _fail(self) -> None:
        """Called while an exception is handled."""
        log.failure("the WebSocket sub-protocol {protocol} failed", protocol=self._protocol)
        self.close_with(_FAILED, "internal error: the gateway's log has the cause")

    def _end(self, code: int, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        if self._drain_call is not None:
            self._drain_call.cancel()
            self._drain_call = None
        handler, self._handler = self._handler, None
        try:
            if handler is not None:
                handler.closed(code, reason)
        except Exception:
            log.failure("the end of a WebSocket of {protocol} failed", protocol=self._protocol)
        if self._session is not None:
            self._session.end()
