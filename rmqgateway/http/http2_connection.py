"""One HTTP/2 connection: the engine's events to requests, responses to one write per turn."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rmqgateway.errors import Code, GatewayError
from rmqgateway.http.connection import PIECE, HttpConnection, log
from rmqgateway.http.request import Header, Request
from rmqgateway.wire.http2 import (
    ConnectionTerminated,
    DataReceived,
    ErrorCode,
    Event,
    Http2Connection,
    Http2Limits,
    RequestReceived,
    SettingsChanged,
    StreamReset,
    TrailersReceived,
    error_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.http.server import HttpServer

__all__ = ["Http2Protocol", "Http2Request"]

#: How often streams with waiting data are looked at.
_LOOK = 5.0
#: Bodies are judged over this time.
_RATE_OVER = 10.0
#: After so long without an answer to the first GOAWAY's PING the second one is sent all the same.
_SECOND_GOAWAY = 1.0
_PING = b"are you?"
#: So long an answer to a PING waits for that to a request, to leave in one write. Clients of gRPC (Go's to measure, others too)
#: send a PING with nearly every call; a write costs as much as half of what the call does.
_ACKNOWLEDGE = 0.005
#: Requests of one connection in one turn of the reactor, and the seconds after which it is another's. More than a client has
#: in one read that sends a message with each; who asks for much with little waits for the others.
_REQUESTS_A_TURN = 64
_TURN = 0.005


@lru_cache(16)
def _limits(max_streams: int) -> Http2Limits:
    """The same object for all connections."""
    return Http2Limits(max_concurrent_streams=max_streams)


class Http2Request(Request):
    """A request that is a stream. See `Request`."""

    connection: Http2Protocol
    stream: int
    http2: Http2Connection
    has_windows = True
    body_since = 0.0
    body_seen = 0

    def start(self, status: int, headers: Sequence[Header] = ()) -> None:
        if self.done:
            return
        connection = self.connection
        self.http2.send_headers(self.stream, connection.server.head2(status, headers) + self.more)
        self.started = True
        connection.written()

    def write(self, data: bytes) -> None:
        if self.done or not data or self.method == "HEAD":
            return
        connection = self.connection
        if not connection.receiving:
            self.http2.tick(connection.now())
        self.http2.send_data(self.stream, data)
        connection.written()

    def finish(self, trailers: Sequence[Header] = ()) -> None:
        if self.done:
            return
        if trailers:
            self.http2.send_trailers(self.stream, trailers)
        else:
            self.http2.send_data(self.stream, b"", True)
        self._finished()

    def respond(
        self, status: int, headers: Sequence[Header], body: bytes = b"", trailers: Sequence[Header] = ()
    ) -> None:
        if self.done:
            return
        connection = self.connection
        head = connection.server.head2(status, headers)
        if self.more:
            head += self.more
        http2 = self.http2
        if not connection.receiving:
            http2.tick(connection.now())  # what has to wait waits from now on
        if trailers:
            if body and self.method != "HEAD":
                http2.send_response(self.stream, head, body, trailers)
            elif status == 200 and not body:
                # Trailers-Only, as gRPC calls it: one frame.
                http2.send_headers(self.stream, (*head, *trailers), True)
            else:
                http2.send_headers(self.stream, head)
                http2.send_trailers(self.stream, trailers)
        else:
            if status != 204 and status != 304 and not any(name == b"content-length" for name, _ in head):
                head = (*head, (b"content-length", b"%d" % len(body)))
            if body and self.method != "HEAD":
                http2.send_headers(self.stream, head)
                http2.send_data(self.stream, body, True)
            else:
                http2.send_headers(self.stream, head, True)
        self.started = True
        self._finished()

    def abort(self, reason: str) -> None:
        if not self.done:
            self.http2.reset(self.stream, ErrorCode.INTERNAL_ERROR if self.started else ErrorCode.CANCEL)
            self.connection.requests.pop(self.stream, None)
            self.connection.written()
            self.gone(reason)

    def buffered(self) -> int:
        return self.http2.queued(self.stream)

    @property
    def is_crowded(self) -> bool:
        return self.http2.queued_bytes > self.connection.settings.in_flight_bytes

    def _credit(self, count: int) -> None:
        withheld = self.connection.withheld
        if withheld is not None:
            withheld[self.stream] = withheld.get(self.stream, 0) + count
            return
        self.http2.consumed(self.stream, count)
        if not self.connection.receiving:
            self.connection.written()

    def _asked_for_body(self) -> None:
        self.body_since = self.connection.now()
        self.body_seen = 0
        if self._whole is not None:
            self.connection.watch_bodies()

    def _finished(self) -> None:
        self.done = True
        self._gone = self._receiver = None  # no cycle: what a call holds goes with it
        connection = self.connection
        connection.requests.pop(self.stream, None)
        if self._held_bytes:
            self._release()
        if self.registered:
            connection.forget(self)
        if not connection.receiving:
            connection.written()


class Http2Protocol(HttpConnection):
    """See the module. :ivar requests: those without a finished response, by stream."""

    # What has to wait for the next turn; most connections never have that.
    _later: Sequence[Event] = ()
    _later_call: IDelayedCall | None = None
    _acknowledge_call: IDelayedCall | None = None

    def __init__(self, server: HttpServer, information: ConnectionInformation) -> None:
        super().__init__(server, information)
        self.now = self._seconds
        self.requests: dict[int, Http2Request] = {}
        self.receiving = False
        self.engine = Http2Connection(_limits(self.settings.max_streams), self._heard)
        self._begun = self._idle_since = self._heard
        self._served = self._served_before = 0
        self._settled = False
        self._pinged = 0.0
        self._drain_since = 0.0
        #: While the process has too much to do: by how much the windows of streams will be opened again.
        self.withheld: dict[int, int] | None = None

    # What Twisted calls.

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._begin()
        self._arm(self._begun + self.settings.head_s)
        self.written()

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self.closed:
            return
        now = self._heard = self._seconds()
        if self.session is not None:
            self.session.last_seen = now
        outbox = self._outbox
        outbox.enter()
        self.receiving = True  # what is written now leaves at the end of this
        try:
            events = self.engine.receive_data(data, now)
            if self._later_call is not None:
                self._later = [*self._later, *events]
            elif len(events) != 2 or not self._whole_request(events):
                self._take(events)
            if self.requests and self.engine.only_acknowledges:
                if self._acknowledge_call is None:
                    call = self.server.gateway.reactor.callLater(_ACKNOWLEDGE, self._acknowledge)
                    self._acknowledge_call = call
            else:
                outbox.ready(self)
        finally:
            self.receiving = False
            outbox.leave()

    def _open_session(self, name: str, request: Request) -> bool:
        opened = super()._open_session(name, request)
        if opened:
            self.session.pace_is_shared = False  # type: ignore[union-attr]
        return opened

    def set_slow(self, slow: bool) -> None:
        """See `ISession.pace`: bodies that are long are sent no further; short ones, acknowledgements among them, come in
        windows of their own."""
        if slow:
            self.withheld = {} if self.withheld is None else self.withheld
            return
        withheld, self.withheld = self.withheld, None
        if self.closed or not withheld:
            return
        now = self._seconds()
        for stream, count in withheld.items():
            self.engine.consumed(stream, count)
            if stream in self.requests:
                self.requests[stream].body_since = now  # what we did not let it send was not slow
                self.requests[stream].body_seen = 0
        self.written()

    def _acknowledge(self) -> None:
        self._acknowledge_call = None
        self.written()

    # Events.

    def _take(self, events: Sequence[Event]) -> None:
        last = self._served + _REQUESTS_A_TURN
        until = self._seconds() + _TURN
        for number, event in enumerate(events):
            kind = type(event)
            if kind is DataReceived:
                self._on_data(event)  # type: ignore[arg-type]
            elif kind is RequestReceived:
                served = self._served
                if served >= last or (not served & 7 and self._seconds() >= until):
                    self._put_off(events[number:])
                    return
                self._on_request(event)  # type: ignore[arg-type]
            elif kind is StreamReset:
                request = self.requests.pop(event.stream, None)  # type: ignore[union-attr]
                if request is not None:
                    request.gone(f"the client reset the stream ({error_name(event.code)})")  # type: ignore[union-attr]
            elif kind is TrailersReceived:
                request = self.requests.get(event.stream)  # type: ignore[union-attr]
                if request is not None:
                    request.trailers = event.headers  # type: ignore[union-attr]
                    self._body(request, b"", True)
            elif kind is SettingsChanged:
                self._settled = True
            elif kind is ConnectionTerminated:
                self._terminated(event)  # type: ignore[arg-type]

    def _put_off(self, events: Sequence[Event]) -> None:
        """Deal with these in the next turn, and read nothing until then."""
        self._later = events
        self._later_call = self.server.gateway.reactor.callLater(0, self._take_later)
        self.transport.pauseProducing()

    def _take_later(self) -> None:
        self._later_call = None
        events, self._later = self._later, ()
        self._outbox.enter()
        self.receiving = True
        try:
            self._take(events)
            self._outbox.ready(self)
        finally:
            self.receiving = False
            self._outbox.leave()
        if self._later_call is None and not self.closed:
            self.transport.resumeProducing()

    def _whole_request(self, events: list[Event]) -> bool:
        """The usual case, dealt with at once: one request and its body in one read."""
        head, body = events
        if type(head) is not RequestReceived or type(body) is not DataReceived or not body.end_stream:
            return False
        if head.stream != body.stream or head.end_stream:
            return False
        # Its window reopens when it is consumed or answered: what came with its head is little.
        self._on_request(head, body.data)
        return True

    def _on_request(self, event: RequestReceived, body: bytes | None = None) -> None:
        path = event.path
        query = b""
        if b"?" in path:
            path, _, query = path.partition(b"?")
        headers = event.headers
        stream = event.stream
        if self.engine.queued_bytes > self.settings.in_flight_bytes:
            # Nothing was done: the client may ask again (RFC 9113, 8.7).
            self.engine.reset(stream, ErrorCode.REFUSED_STREAM)
            return
        request = Http2Request(
            self,
            self.server.router.resolve(event.method, path),
            event.path,
            query,
            headers,
            event.authority,
            event.end_stream,
        )
        request.stream = stream
        request.http2 = self.engine
        self.requests[stream] = request
        self._served += 1
        fields = request.fields
        if body is not None:
            request.has_body(body)
        elif b"content-length" in fields and not event.end_stream:
            request.expected = int(fields[b"content-length"])
        if not event.authority:
            request.authority = fields.get(b"host", b"")
        if b"cookie" in fields:
            # RFC 9113, 8.2.3: crumbs of one header.
            fields[b"cookie"] = b"; ".join([value for name, value in headers if name == b"cookie"])
        # Browsers alone can be made to send what their user did not mean, and they always say that they are browsers
        # where they speak HTTP/2: over TLS.
        if (b"sec-fetch-site" in fields or b"origin" in fields) and not self.allows_host(request):
            return
        self.dispatch(request, False)

    def _on_data(self, event: DataReceived) -> None:
        request = self.requests.get(event.stream)
        data = event.data
        if request is None:
            self.engine.consumed(event.stream, event.flow_controlled_length)
            return
        if event.flow_controlled_length != len(data):
            self.engine.consumed(event.stream, event.flow_controlled_length - len(data))
        try:
            receiver = request._receiver
            if receiver is not None:
                request.body_ended = event.end_stream
                receiver(data, event.end_stream)
            else:
                request.body_seen += len(data)
                request.body_arrived(data, event.end_stream)
        except Exception as error:
            request.failed(error)

    @staticmethod
    def _body(request: Http2Request, data: bytes, last: bool) -> None:
        try:
            request.body_arrived(data, last)
        except Exception as error:
            request.failed(error)

    def _terminated(self, event: ConnectionTerminated) -> None:
        log.info("connection of {peer} ends: {error}", peer=self.information.peer, error=event.error.message)
        self._lose(event.error.message)
        self.close()

    def _lose(self, reason: str) -> None:
        if self._later_call is not None:
            self._later_call.cancel()
            self._later_call = None
            self._later = ()
        if self._acknowledge_call is not None:
            self._acknowledge_call.cancel()
            self._acknowledge_call = None
        requests = list(self.requests.values())
        self.requests.clear()
        for request in requests:
            request.gone(reason)

    # Writing.

    def written(self) -> None:
        """There is something to write."""
        self._outbox.ready(self)

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        if self._blocked or self.closed:
            return
        engine = self.engine
        data = engine.bytes_to_send(PIECE)
        if data:
            self._write(data)
        if engine.queued_bytes:
            while engine.wants_write and not self._blocked:
                self._write(engine.bytes_to_send(PIECE))
            self._arm(self._seconds() + _LOOK)
        if self._waiting:
            self._look_for_drained()
        if self.draining and engine.drained:
            self._shut()

    # Deadlines.

    def watch_bodies(self) -> None:
        """Somebody wants a whole body that has not come yet."""
        self._arm(self._seconds() + _RATE_OVER)

    def _check_deadlines(self, now: float) -> float:
        settings = self.settings
        engine = self.engine
        if not self._settled and now - self._begun >= settings.head_s:
            self.cut("it sent no SETTINGS (setting http.head_s)")
            return now
        if self.draining and now - self._drain_since >= _SECOND_GOAWAY:
            engine.goaway()
            self.written()
        engine.take_opened()  # drained streams are found by looking
        next_look: float = now + settings.ping_s
        if engine.queued_bytes:
            self._check_stalled(now)
            next_look = now + _LOOK
        if self._served != self._served_before or engine.open_streams:
            self._served_before = self._served
            self._idle_since = now
        if not engine.open_streams:
            next_look = min(next_look, self._idle_since + settings.http2_idle_s)
            if now - self._idle_since >= settings.http2_idle_s:
                engine.goaway()
                self.close()
                return now
        elif now - self._heard >= settings.ping_s:
            if self._pinged > self._heard:
                if now - self._pinged >= settings.stalled_s:
                    self.cut("it does not answer a PING (setting http.ping_s)")
                    return now
            else:
                self._pinged = now
                engine.ping(_PING)
                self.written()
            next_look = min(next_look, self._pinged + settings.stalled_s)
        if self._check_bodies(now):
            next_look = min(next_look, now + _RATE_OVER)
        if self.draining:
            next_look = min(next_look, now + _SECOND_GOAWAY)
        return next_look

    def _check_stalled(self, now: float) -> None:
        engine = self.engine
        engine.tick(now)
        for stream in engine.stalled(now, self.settings.stalled_s):
            engine.reset(stream, ErrorCode.CANCEL)
            request = self.requests.pop(stream, None)
            log.info("a stream of {peer} is reset: its client takes nothing", peer=self.information.peer)
            if request is not None:
                request.gone(f"the client took nothing for {self.settings.stalled_s:g} s (setting http.stalled_s)")
        self.written()

    def _check_bodies(self, now: float) -> bool:
        watched = False
        rate = self.settings.body_rate
        for request in list(self.requests.values()):
            if request.is_read_whole and self.withheld is not None:
                watched = True  # it is ourselves who do not let it send
            elif request.is_read_whole:
                elapsed = now - request.body_since
                if elapsed >= _RATE_OVER:
                    if request.body_seen < rate * elapsed:
                        message = f"the request's body came slower than {rate} bytes/s (setting http.body_rate)"
                        request.fail_body(GatewayError(Code.TIMEOUT, message))
                        continue
                    request.body_since = now
                    request.body_seen = 0
                watched = True
        return watched

    # The end.

    def close(self) -> None:
        """Close once everything is written; the last frames go to the transport even if it has enough."""
        self._blocked = False
        super().close()

    def _go_away(self) -> None:
        self._drain_since = self._seconds()
        self.engine.shutdown()
        self._arm(self._drain_since + _SECOND_GOAWAY)
        self.written()
