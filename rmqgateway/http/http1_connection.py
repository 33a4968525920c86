"""One HTTP/1.1 connection: one request at a time, in the client's order, whatever it sends ahead."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.http.connection import PIECE, HttpConnection, log
from rmqgateway.http.http1_request import Http1Request
from rmqgateway.http.problems import problem
from rmqgateway.http.request import HIGH_WATER
from rmqgateway.http.targets import split_target
from rmqgateway.listeners_first_bytes import hand_over
from rmqgateway.wire.http1 import BodyData, Event, Http1Decoder, Http1Error, RequestEnd, RequestHead

if TYPE_CHECKING:
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.http.server import HttpServer

__all__ = ["Http1Protocol"]

#: Of a body that nobody consumes, and of requests that were sent ahead, so much is held before reading stops.
_HELD = 64 * 1024
#: A body that nobody wants is read to its end if it is no longer than this: else the connection ends.
_SKIPPED = 256 * 1024
_RATE_OVER = 10.0
#: After a refusal in the middle of a request the client has so long to read it before the connection is closed: closing
#: at once, with bytes of its request unread, would destroy the answer on its way.
_LINGER = 2.0


class Http1Protocol(HttpConnection):
    """See the module. :ivar request: the one that is not finished, or None."""

    def __init__(self, server: HttpServer, information: ConnectionInformation) -> None:
        super().__init__(server, information)
        self.request: Http1Request | None = None
        self._decoder = Http1Decoder(self.settings.max_head, heads=server.heads)
        self._between_since = self._heard
        self._head_since = self._heard
        self._skipping = 0  # bytes of an unwanted body that may still come
        self._reading_body = False
        self._working = False
        self._lingering = False
        self._linger_until = 0.0
        self._paused = False
        self._slow = False  # the process has too much to do
        # Of this turn, what the transport would not take yet, and the piece that it has.
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._given = 0

    # What Twisted calls.

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._begin()
        self._arm(self._heard + self.settings.head_s)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self.closed or self._lingering:
            return
        now = self._heard = self._seconds()
        if self.session is not None:
            self.session.last_seen = now
        decoder = self._decoder
        if self.request is None and decoder.between_requests:
            self._head_since = now
        self._outbox.enter()
        try:
            try:
                events = decoder.receive_data(data)
            except Http1Error as error:
                self._malformed(error)
                return
            self._work(events)
            request = self.request
            if request is None:
                if not decoder.between_requests:
                    self._arm(self._head_since + self.settings.head_s)
            elif self._reading_body:
                self._arm(now + _RATE_OVER)
                self.balance()
            elif decoder.buffered > _HELD:
                self.balance()
        finally:
            self._outbox.leave()

    # Requests.

    def _work(self, events: list[Event]) -> None:
        """Act on events, and on those of the next requests, for as long as answers come at once."""
        self._working = True
        decoder = self._decoder
        try:
            while True:
                if len(events) == 3 and type(events[0]) is RequestHead and type(events[2]) is RequestEnd:
                    # The usual case: the whole of a request in one read.
                    self._on_head(events[0], events[1].data)  # type: ignore[union-attr]
                    events = []
                for event in events:
                    kind = type(event)
                    if kind is RequestHead:
                        self._on_head(event)  # type: ignore[arg-type]
                    elif kind is BodyData:
                        self._on_body(event.data, False)  # type: ignore[union-attr]
                    else:
                        self._on_end(event)  # type: ignore[arg-type]
                if self._pending_bytes > PIECE:
                    self.flush()  # it may turn out that the client reads nothing
                if (
                    self.request is not None
                    or self._reading_body
                    or self.closed
                    or self._lingering
                    or not decoder.buffered
                    or self._unsent_bytes > self.settings.unsent_bytes
                ):
                    # An empty decoder that holds nothing still has to know that the next request may come.
                    if self.request is None and not self._reading_body and not decoder.buffered:
                        decoder.next_request()
                    return
                try:
                    events = decoder.next_request()
                except Http1Error as error:
                    self._malformed(error)
                    return
                if not events:
                    return
        finally:
            self._working = False

    def _on_head(self, head: RequestHead, body: bytes = b"") -> None:
        target = head.target
        authority = b""
        try:
            if b"?" not in target and target[:1] == b"/":
                path, query = target, b""
            else:
                path, query, authority = split_target(target)
        except WireError as error:
            # No request yet that could be answered: the same as a head that is none.
            self._malformed(Http1Error(error.message, 400 if head.method != b"CONNECT" else 405))
            return
        length = head.content_length
        request = Http1Request(
            self, self.server.router.resolve(head.method, path), target, query, head.headers, authority, length == 0
        )
        request.keep_alive = head.keep_alive
        request.minor = head.minor
        request.expects_continue = head.expects_continue
        if not authority:
            request.authority = request.fields.get(b"host", b"")
        self.request = request
        if body:
            request.has_body(body)
        elif length != 0:
            request.expected = length
            self._reading_body = True
            request.body_since = self._heard
        if head.upgrade and head.upgrade.lower() == b"websocket" and self.server.web_sockets:
            from rmqgateway.http.websocket import upgrade

            upgrade(self, request, head)
            return
        # HTTP/1.0 need not name a host, and no browser speaks it.
        self.dispatch(request, bool(head.minor) or bool(request.authority))

    def _on_body(self, data: bytes, last: bool) -> None:
        request = self.request
        if request is None:
            self._skipping -= len(data)
            if self._skipping < 0 and not last:
                self._linger()
            return
        try:
            request.body_arrived(data, last)
        except Exception as error:
            request.failed(error)

    def _on_end(self, event: Event) -> None:
        if self._reading_body:
            self._reading_body = False
            request = self.request
            if request is not None:
                request.trailers = event.trailers  # type: ignore[union-attr]
            self._on_body(b"", True)

    def _malformed(self, error: Http1Error) -> None:
        request = self.request
        log.info("connection of {peer} ends: {error}", peer=self.information.peer, error=error.message)
        if request is not None:
            self.request = None
            answered = request.started
            request.gone(f"the request is malformed: {error.message}")
            if answered:
                self.close()
                return
        self._say_and_close(error.status, error.message)

    def _say_and_close(self, status: int, message: str) -> None:
        _, headers, body = problem(status, message)
        head, _ = self.server.head1(status, headers)
        self.send(head + b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        self._linger()

    def may_go_on(self, request: Http1Request) -> bool:
        """Whether another request can follow this one, judged when its response begins: what of its body has not come
        has to be short enough to be read for nothing."""
        if not self._reading_body or request.is_read_whole:
            return True
        if request.expects_continue and not request.received:
            return False  # it may send the body or not: nobody could tell where the next request begins
        return request.expected is None or request.expected - request.received <= _SKIPPED

    def answered(self, request: Http1Request) -> None:
        """The response is finished."""
        self.request = None
        if not request.keep_alive or self.draining:
            if self._reading_body:
                self._linger()
            else:
                self.close()
            return
        now = self._between_since = self._seconds()
        if self._reading_body:
            self._skipping = _SKIPPED
            self._head_since = now
            self._arm(now + self.settings.head_s)
            self.balance()
        elif not self._working:
            self._head_since = now  # of what was sent ahead
            self._outbox.enter()
            try:
                self._work([])
                if self.request is None and not self._decoder.between_requests:
                    self._arm(now + self.settings.head_s)
            finally:
                self._outbox.leave()
            self.balance()

    def aborted(self, request: Http1Request, reason: str) -> None:
        """The response is broken off: the client must not take it for whole."""
        self.request = None
        self.flush()
        self.cut(reason)

    # Reading.

    def balance(self) -> None:
        """Stop reading while too much is held or unsent; read again when it has come down."""
        if self.closed:
            return
        request = self.request
        share = 1 if self._paused else 0  # once stopped, half of it has to go
        held = _HELD >> share
        stop = self._slow or self._unsent_bytes > self.settings.unsent_bytes >> share or (
            request is not None
            and (request.uncredited > held or (not self._reading_body and self._decoder.buffered > held))
        )
        if stop is not self._paused:
            self._paused = stop
            if stop:
                self.transport.pauseProducing()
            else:
                if request is not None:
                    request.body_since = self._seconds()
                    request.body_seen = 0
                self.transport.resumeProducing()

    def set_slow(self, slow: bool) -> None:
        """See `ISession.pace`."""
        self._slow = slow
        if not slow:
            self._head_since = self._seconds()  # what we did not read was not late
        self.balance()

    # Writing.

    def send(self, data: bytes) -> None:
        """Send these bytes with everything else of this turn."""
        if not self.closed:
            self._pending.append(data)
            before = self._pending_bytes
            self._pending_bytes = before + len(data)
            if not before:
                self._outbox.ready(self)

    def unsent(self) -> int:
        """Bytes that the client has not taken."""
        return self._pending_bytes + self._unsent_bytes + self._given

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        pending = self._pending
        self._pending_bytes = 0
        if self.closed:
            pending.clear()
            return
        if pending:
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            if len(data) <= PIECE and not self._blocked and not self._unsent:
                self._given = len(data)
                self._write(data)
                if not self._blocked:
                    self._given = 0
            else:
                for start in range(0, len(data), PIECE):
                    self._unsent.append(data[start : start + PIECE])
                self._unsent_bytes += len(data)
        if self._unsent and not self._blocked:
            self._pump()
        if self._waiting:
            self._look_for_drained()
        if self._unsent_bytes > HIGH_WATER or self._paused:
            self.balance()

    def _pump(self) -> None:
        while self._unsent and not self._blocked:
            piece = self._unsent.popleft()
            self._unsent_bytes -= len(piece)
            self._given = len(piece)
            self._write(piece)
        if not self._blocked:
            self._given = 0

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._blocked = False
        self._given = 0
        self.flush()
        if not self.closed and self.request is None and not self._working and self._decoder.buffered:
            self._outbox.enter()
            try:
                self._work([])
            finally:
                self._outbox.leave()

    def push_all(self) -> None:
        """Hand everything unsent to the transport: the connection gets another owner."""
        self.flush()
        while self._unsent:
            self._write(self._unsent.popleft())
        self._unsent_bytes = 0

    def hand_over(self, protocol: Any) -> bytes:
        """Let another protocol have the connection; return what was read and not used. Nothing of this one is left."""
        self.request = None
        self.push_all()
        self._stop_timers()
        self.transport.unregisterProducer()
        if self._paused:
            self.transport.resumeProducing()
        self.closed = True
        if self.session is not None:
            self.session.end()
            self.session = None
        transport = self.transport
        if not hand_over(transport, self, protocol):
            # A transport without such a place (a test's) goes on delivering here.
            self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
            self.connectionLost = protocol.connectionLost  # type: ignore[method-assign]
        protocol.makeConnection(transport)
        return self._decoder.take_rest()

    # Deadlines.

    def _check_deadlines(self, now: float) -> float:
        settings = self.settings
        if self._lingering:
            if now >= self._linger_until:
                self.close()
            return self._linger_until
        request = self.request
        if request is None:
            if self._unsent_bytes > settings.unsent_bytes:
                return now + settings.head_s
            if self._reading_body or not self._decoder.between_requests:
                at: float = (now if self._slow else self._head_since) + settings.head_s
                if now >= at:
                    self._say_and_close(408, f"the request did not come within {settings.head_s:g} s (setting http.head_s)")
                    return now + _LINGER
                return at
            at = self._between_since + settings.idle_s
            if now >= at:
                self.close()
            return at
        if self._reading_body and not self._paused:
            elapsed = now - request.body_since
            if elapsed >= _RATE_OVER:
                if request.body_seen < settings.body_rate * elapsed:
                    self._too_slow(request)
                    return now + _LINGER
                request.body_since = now
                request.body_seen = 0
            return max(now + 1.0, request.body_since + _RATE_OVER)
        return now + settings.idle_s

    def _too_slow(self, request: Http1Request) -> None:
        message = f"the request's body came slower than {self.settings.body_rate} bytes/s (setting http.body_rate)"
        if request.started:
            request.abort(message)
        elif not request.fail_body(GatewayError(Code.TIMEOUT, message)):
            self.request = None
            request.gone(message)
            self._say_and_close(408, message)

    # The end.

    def close(self) -> None:
        """Close once everything is written."""
        if not self.closed:
            self.flush()
            self.push_all()
            super().close()

    def _linger(self) -> None:
        """Say what there is to say, ignore what comes, close soon."""
        if not self._lingering and not self.closed:
            self._lingering = True
            if self._paused:
                self._paused = False
                self.transport.resumeProducing()
            self._linger_until = self._seconds() + _LINGER
            self._arm(self._linger_until)

    def _go_away(self) -> None:
        if self.request is None and not self._reading_body and self._decoder.between_requests:
            self.close()

    def _lose(self, reason: str) -> None:
        request, self.request = self.request, None
        self._pending.clear()
        self._unsent.clear()
        self._unsent_bytes = 0
        if request is not None:
            request.gone(reason)
