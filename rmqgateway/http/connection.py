"""What the connections of both versions of HTTP have in common: session, admission, back-pressure, deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.context import Context
from rmqgateway.eager import writer
from rmqgateway.errors import GatewayError
from rmqgateway.http.policy import OriginIs
from rmqgateway.http.problems import problem, problem_of
from rmqgateway.http.request import LOW_WATER

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.events import Event
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.http.request import Request
    from rmqgateway.http.server import HttpServer
    from rmqgateway.interfaces import ISession

__all__ = ["PIECE", "HttpConnection"]

log = Logger(namespace="rmqgateway.http")

#: What the transport gets at a time while its peer is slow, so that each piece taken is progress.
PIECE = 128 * 1024
_NEVER = float("inf")


@implementer(IPushProducer)
class HttpConnection(Protocol):
    """One client. As IPushProducer it is told by its transport when the client does not read.

    The session is opened with the first request that a front-end answers, under that front-end's name, and is the
    connection's from then on, although others may answer later requests. A connection that asks for nothing has none.

    :ivar body_bytes: request bodies that wait for a front-end or are in its hands.
    """

    transport: Any  # an ITCPTransport and an IConsumer

    def __init__(self, server: HttpServer, information: ConnectionInformation) -> None:
        self.server = server
        self.settings = server.settings
        self.information = information
        self.session: ISession | None = None
        self.body_bytes = 0
        self.closed = False
        self.draining = False
        self._outbox = server.gateway.outbox
        self._seconds: Callable[[], float] = server.gateway.reactor.seconds
        self._write: Callable[[bytes], None]
        self._blocked = False
        self._blocked_since = 0.0
        self._heard = self._seconds()
        self._timer: IDelayedCall | None = None
        self._timer_at = _NEVER
        self._good_authority: bytes | None = None
        self._waiting: dict[Request, Callable[[], None]] = {}
        self._drain_call: IDelayedCall | None = None
        self._on_shutdown: dict[Request, Callable[[float, str], None]] = {}
        self._on_event: dict[Request, Callable[[Event], bool]] = {}

    def _begin(self) -> None:
        """The transport is there."""
        self._write = writer(self.transport)
        self.transport.registerProducer(self, True)

    # Requests.

    def allows_host(self, request: Request) -> bool:
        """Whether we are called what the request says; if not, it is answered."""
        if not self.server.policy.allows_host(request.authority, self.information.advertised):
            host = request.authority.decode("ascii", "replace")[:100]
            request.respond(
                *problem(421, f"this gateway is not called {host!r}; add the name to the setting http.hosts")
            )
            return False
        self._good_authority = request.authority
        return True

    def dispatch(self, request: Request, check_host: bool) -> None:
        """Let the right front-end answer, or answer that there is none."""
        if check_host and request.authority != self._good_authority and not self.allows_host(request):
            return
        fields = request.fields
        if (b"origin" in fields or b"sec-fetch-site" in fields) and not self._admit(request):
            return
        resolved = request.resolved
        route = resolved.only
        if route is None:
            content_type = fields.get(b"content-type")
            if content_type is None and request.with_body:
                content_type = b""
            route = resolved.route_for(content_type)
            if route is None:
                self.server.refuse(request)
                return
        front_end = route.front_end
        if self.session is None and not self._open_session(front_end.name, request):
            return
        context = request.context = Context(self.session)  # type: ignore[arg-type]
        if b"traceparent" in fields:
            context.trace = fields[b"traceparent"].decode("ascii", "replace")
        try:
            front_end.respond(self.server.gateway, request, route.declaration)
        except Exception as error:
            request.failed(error)

    def _open_session(self, name: str, request: Request) -> bool:
        try:
            self.session = self.server.gateway.open_session(
                name, self.information.peer, self.information.advertised, self._deliver, self._drain, self.cut
            )
        except GatewayError as error:
            self.draining = True  # the client is to come back over a new connection
            request.respond(*problem_of(error))
            return False
        self.session.pace = self.set_slow
        return True

    def set_slow(self, slow: bool) -> None:
        """See `ISession.pace`."""
        raise NotImplementedError

    def _admit(self, request: Request) -> bool:
        """Whether a browser may send this from the page that it is on; if so, what to tell it is in ``request.more``."""
        fields = request.fields
        origin = fields.get(b"origin")
        if origin is None:
            # A page's <img> or <script>; links and the address bar navigate.
            site = fields.get(b"sec-fetch-site")
            if site in (b"cross-site", b"same-site") and fields.get(b"sec-fetch-mode") != b"navigate":
                request.respond(*problem(403, "a page of another site may not use this gateway (setting http.origins)"))
                return False
            return True
        found = self.server.policy.judge_origin(origin, self.information.secure, request.authority)
        if found is OriginIs.SAME:
            return True
        if found is OriginIs.FOREIGN:
            shown = origin.decode("ascii", "replace")[:100]
            request.respond(*problem(403, f"pages of {shown!r} may not use this gateway (setting http.origins)"))
            return False
        if request.method == "OPTIONS" and b"access-control-request-method" in fields:
            self.server.answer_preflight(request, origin)
            return False
        request.more = self.server.cors_headers(request, origin)
        return True

    # The session.

    def _deliver(self, event: Event) -> bool:
        return any(handler(event) for handler in list(self._on_event.values()))

    def _drain(self, deadline: float, reason: str) -> None:
        if self.closed or self.draining:
            return
        self.draining = True
        self._outbox.enter()
        try:
            for request, callback in list(self._on_shutdown.items()):
                try:
                    callback(deadline, reason)
                except Exception:
                    log.failure("telling {request} that the gateway stops failed", request=request)
            self._go_away()
        finally:
            self._outbox.leave()

    def _go_away(self) -> None:
        """Tell the client to come back over another connection, and close when what is under way is answered."""
        raise NotImplementedError

    def on_shutdown(self, request: Request, callback: Callable[[float, str], None]) -> None:
        """See `Request.on_shutdown`."""
        self._on_shutdown[request] = callback

    def on_event(self, request: Request, handler: Callable[[Event], bool]) -> None:
        """See `Request.on_event`."""
        self._on_event[request] = handler

    def forget(self, request: Request) -> None:
        """A request that registered something is over."""
        self._waiting.pop(request, None)
        self._on_shutdown.pop(request, None)
        self._on_event.pop(request, None)

    # Back-pressure.

    def wait_for_drain(self, request: Request, callback: Callable[[], None]) -> None:
        """See `IRequest.on_drain`."""
        self._waiting[request] = callback
        self._look_for_drained()

    def _look_for_drained(self) -> None:
        """Whoever waits and may go on is called in the next turn."""
        if self._drain_call is None and any(request.buffered() <= LOW_WATER for request in self._waiting):
            self._drain_call = self.server.gateway.reactor.callLater(0, self._call_drained)

    def _call_drained(self) -> None:
        self._drain_call = None
        ready = [one for one in self._waiting.items() if one[0].buffered() <= LOW_WATER]
        self._outbox.enter()
        try:
            for request, callback in ready:
                if self._waiting.pop(request, None) is not None:
                    try:
                        callback()
                    except Exception as error:
                        request.failed(error)
        finally:
            self._outbox.leave()

    def pauseProducing(self) -> None:
        """See IPushProducer: the transport has enough to write."""
        if not self._blocked:
            self._blocked = True
            self._blocked_since = self._seconds()
            self._arm(self._blocked_since + self.settings.stalled_s)

    def resumeProducing(self) -> None:
        """See IPushProducer: the transport has written all that it had."""
        self._blocked = False
        self.flush()

    def stopProducing(self) -> None:
        """See IPushProducer; connectionLost follows."""

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        raise NotImplementedError

    # Deadlines. One timer per connection: it is moved only to an earlier time, and looks again when it fires too early.

    def _arm(self, at: float) -> None:
        """Look at the deadlines then, or earlier."""
        if at < self._timer_at and not self.closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self.server.gateway.reactor.callLater(max(0.0, at - self._seconds()), self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._timer_at = _NEVER
        if self.closed:
            return
        now = self._seconds()
        if self._blocked and now - self._blocked_since >= self.settings.stalled_s:
            self.cut(f"it took nothing for {self.settings.stalled_s:g} s (setting http.stalled_s)")
            return
        self._outbox.enter()
        try:
            next_look = self._check_deadlines(now)
        finally:
            self._outbox.leave()
        if self._blocked:
            next_look = min(next_look, self._blocked_since + self.settings.stalled_s)
        if next_look != _NEVER:
            self._arm(next_look)

    def _check_deadlines(self, now: float) -> float:
        """Act on what is over; return when to look again."""
        raise NotImplementedError

    # The end.

    def close(self) -> None:
        """Close once everything is written."""
        if not self.closed:
            self.flush()
            self._shut()

    def _shut(self) -> None:
        if not self.closed:
            self.closed = True
            self._stop_timers()
            # A client that does not take the rest is not waited for.
            self._timer = self.server.gateway.reactor.callLater(self.settings.stalled_s, self.transport.abortConnection)
            self.transport.unregisterProducer()  # TLS would wait for its last word
            self.transport.loseConnection()

    def cut(self, reason: str) -> None:
        """Close now."""
        if not self.closed:
            log.info("connection of {peer} is cut: {reason}", peer=self.information.peer, reason=reason)
            self.closed = True
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(Exception("connection lost"))) -> None:  # noqa: B008
        """See IProtocol."""
        self.closed = True
        self._stop_timers()
        self._outbox.enter()
        try:
            self._lose("the client closed its connection")
        finally:
            self._outbox.leave()
        self._waiting.clear()
        if self.session is not None:
            self.session.end()

    def _lose(self, reason: str) -> None:
        """Tell the requests that are under way."""
        raise NotImplementedError

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._drain_call):
            if timer is not None and timer.active():
                timer.cancel()
        self._timer = self._drain_call = None
        self._timer_at = _NEVER
