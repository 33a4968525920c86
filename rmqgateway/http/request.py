"""One HTTP request as front-ends see it, whatever version of HTTP it came over.

What `IRequest` says, and beyond it:

- ``respond(status, headers, body, trailers)`` sends a whole response in one go: the fastest way, and for a unary gRPC call
  the right one. Give headers and trailers as tuples of tuples that are the same objects each time: they are encoded once.
- ``on_body(receiver)`` calls ``receiver(data, last)``, at once for what has come already. Every piece counts against the
  client's window until ``consumed(len(data))``; call it when the piece was dealt with, or the client stops after 64 KiB
  (HTTP/1.1) or 1 MiB (HTTP/2).
- Who keeps pieces of an unfinished body although they are ``consumed`` says so by ``hold(bytes)``, and gives up when told to.
- ``write`` never blocks and never fails; look at ``buffered()`` and stop above `HIGH_WATER` until ``on_drain`` calls.
- ``on_gone(callback)`` is not called once the response is finished. After it everything written is dropped silently.
- ``on_shutdown(callback)`` is called with (deadline in seconds, reason) when the gateway drains while the response is open.
- ``information`` (ConnectionInformation) and ``on_event`` are for front-ends whose clients are not connections: those open
  sessions of their own by ``gateway.open_session(name, request.information.peer, request.information.advertised, …)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.http.problems import problem, problem_of
from rmqgateway.http.targets import parse_query
from rmqgateway.interfaces import IRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rmqgateway.events import Event
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.http.connection import HttpConnection
    from rmqgateway.http.router import Resolved

__all__ = ["HIGH_WATER", "LOW_WATER", "Header", "Request"]

#: A response with more unsent bytes than this should wait for `IRequest.on_drain`.
HIGH_WATER = 64 * 1024
#: `IRequest.on_drain` calls below this.
LOW_WATER = 32 * 1024

Header = tuple[bytes, bytes]

log = Logger(namespace="rmqgateway.http")


@implementer(IRequest)
class Request:
    """See `IRequest` and the module. The two versions of HTTP derive from this.

    :ivar fields: the first value of each header, by its name in lower case. :ivar authority: Host or :authority.
    :ivar started: the head of the response was sent. :ivar done: the response is finished, or nobody wants it any more.
    :ivar body_ended: the whole body has come. :ivar trailers: of the request, once it has.
    """

    # Most requests never set most of these: defaults of the class make them free.
    context: Context
    _limit: int
    expected: int | None = None  # content-length, where it is told
    started = False
    done = False
    has_windows = False  # the client may send so much until it is consumed, or answered
    registered = False  # the connection knows callbacks of this request
    trailers: Sequence[Header] = ()
    more: tuple[Header, ...] = ()  # what the response to this request says besides
    _receiver: Callable[[bytes, bool], None] | None = None
    _whole: Deferred[bytes] | None = None
    _held: list[bytes] | None = None
    _held_bytes = 0
    _discarding = False
    _gone: list[Callable[[str], None]] | None = None

    def __init__(
        self,
        connection: HttpConnection,
        resolved: Resolved,
        target: bytes,
        raw_query: bytes,
        headers: list[Header],
        authority: bytes,
        body_ended: bool,
    ) -> None:
        self.connection = connection
        self.resolved = resolved
        self.method = resolved.method
        self.path = resolved.path
        self.target = target
        self.raw_query = raw_query
        self.headers: Sequence[Header] = headers
        self.fields: dict[bytes, bytes] = dict(headers[::-1])
        self.authority = authority
        self.body_ended = body_ended

    # What it is.

    @property
    def query(self) -> list[tuple[str, str]]:
        """See IRequest. :raise GatewayError: BAD_REQUEST; the core answers it if nobody else does."""
        return parse_query(self.raw_query)

    @property
    def with_body(self) -> bool:
        """Before anybody has read it: whether there is a body."""
        return not self.body_ended or bool(self._held_bytes)

    @property
    def information(self) -> ConnectionInformation:
        """Peer, advertised address, whether it is TLS."""
        return self.connection.information

    @property
    def front_ends(self) -> tuple[str, ...]:
        """See IRequest."""
        return self.connection.server.front_ends

    @property
    def paths(self) -> frozenset[str]:
        """See IRequest."""
        return self.connection.server.paths

    def header(self, name: bytes) -> bytes | None:
        """See IRequest."""
        return self.fields.get(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.path}>"

    # The body.

    def read(self, limit: int) -> Deferred[bytes]:
        """See IRequest. Besides MESSAGE_TOO_LARGE it fails with TOO_MANY_REQUESTS (the connection makes us hold too much
        already) or CANCELLED (the client is gone)."""
        if (self.expected or 0) > limit or self._held_bytes > limit:
            self._discard()
            return fail(_too_large(limit))
        if self.body_ended:
            held, self._held = self._held, None
            if held and self.has_windows:
                self._credit(self._held_bytes)
            return succeed(b"" if not held else held[0] if len(held) == 1 else b"".join(held))
        whole: Deferred[bytes] = Deferred(self._cancelled)
        self._whole = whole
        self._limit = limit
        self._asked_for_body()
        if self._held_bytes:
            self._credit(self._held_bytes)
        return whole

    def on_body(self, receiver: Callable[[bytes, bool], None]) -> None:
        """See IRequest; `receiver` may be called before this returns."""
        self._receiver = receiver
        held, self._held = self._held, None
        if self._held_bytes:
            self.connection.body_bytes -= self._held_bytes
            self._held_bytes = 0
        if held or self.body_ended:
            receiver(b"" if not held else held[0] if len(held) == 1 else b"".join(held), self.body_ended)
        elif not self.done:
            self._asked_for_body()

    def consumed(self, count: int) -> None:
        """See IRequest."""
        if count > 0:
            self._credit(count)

    def hold(self, size: int) -> bool:
        """Whoever has `on_body` keeps so many bytes of the body: they count until it says less, or has answered.

        :return: False if this connection makes us hold more than it may (setting http.in_flight_bytes).
        """
        connection = self.connection
        connection.body_bytes += size - self._held_bytes
        self._held_bytes = size
        return connection.body_bytes <= connection.settings.in_flight_bytes

    def has_body(self, body: bytes) -> None:
        """For the connection: the whole body came with the head."""
        self.body_ended = True
        self._held = [body]
        size = self._held_bytes = len(body)
        self.connection.body_bytes += size

    def body_arrived(self, data: bytes, last: bool) -> None:
        """For the connection: the next piece."""
        if last:
            self.body_ended = True
        receiver = self._receiver
        if receiver is not None:
            receiver(data, last)
            return
        if self._discarding or self.done:
            self._credit(len(data))
            return
        size = len(data)
        held = self._held
        if held is None:
            self._held = [data]
        else:
            held.append(data)
        self._held_bytes += size
        connection = self.connection
        connection.body_bytes += size
        whole = self._whole
        if whole is None:
            return
        if self._held_bytes > self._limit:
            self.fail_body(_too_large(self._limit))
        elif last:
            self._whole = None
            body = data if held is None else b"".join(self._held or ())
            self._held = None  # still counted: whoever has it holds it until the response
            if size:
                self._credit(size)
            whole.callback(body)
        elif connection.body_bytes > connection.settings.in_flight_bytes:
            self.fail_body(
                GatewayError(
                    Code.TOO_MANY_REQUESTS,
                    f"request bodies of this connection hold {connection.body_bytes} bytes (setting http.in_flight_bytes)",
                    retry_after=1.0,
                )
            )
        else:
            self._credit(size)

    @property
    def is_read_whole(self) -> bool:
        """Whether somebody waits for the whole body, so that the client must keep sending."""
        return self._whole is not None

    def fail_body(self, error: GatewayError) -> bool:
        """For the connection: whoever waits for the whole body does so in vain. False if nobody does."""
        whole, self._whole = self._whole, None
        if whole is None:
            return False
        self._discard()
        whole.errback(error)
        return True

    def _cancelled(self, deferred: Deferred[bytes]) -> None:
        self._whole = None
        self._discard()

    def _discard(self) -> None:
        """Nobody wants the body any more."""
        self._discarding = True
        held_bytes = self._held_bytes
        self._release()
        if held_bytes:
            self._credit(held_bytes)

    def _release(self) -> None:
        if self._held_bytes:
            self.connection.body_bytes -= self._held_bytes
            self._held_bytes = 0
        self._held = None

    # What the versions of HTTP do differently.

    def _asked_for_body(self) -> None:
        """Somebody waits for the body for the first time."""

    def _credit(self, count: int) -> None:
        raise NotImplementedError

    def start(self, status: int, headers: Sequence[Header] = ()) -> None:
        """See IRequest."""
        raise NotImplementedError

    def also(self, name: bytes, value: bytes) -> None:
        """See IRequest."""
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise ValueError(f"response header {name!r}: expected a value without line ends")
        self.more += ((name, value),)

    def write(self, data: bytes) -> None:
        """See IRequest."""
        raise NotImplementedError

    def finish(self, trailers: Sequence[Header] = ()) -> None:
        """See IRequest."""
        raise NotImplementedError

    def respond(
        self, status: int, headers: Sequence[Header], body: bytes = b"", trailers: Sequence[Header] = ()
    ) -> None:
        """See IRequest."""
        raise NotImplementedError

    def abort(self, reason: str) -> None:
        """See IRequest."""
        raise NotImplementedError

    def buffered(self) -> int:
        """See IRequest."""
        raise NotImplementedError

    @property
    def is_crowded(self) -> bool:
        """Whether responses of this connection, finished ones included, leave more untaken than they may."""
        return False

    def on_drain(self, callback: Callable[[], None]) -> None:
        """See IRequest; not before the next turn of the reactor. The later of two callbacks replaces the former."""
        if not self.done:
            self.registered = True
            self.connection.wait_for_drain(self, callback)

    # The end.

    def on_gone(self, callback: Callable[[str], None]) -> None:
        """See IRequest."""
        if self._gone is None:
            self._gone = [callback]
        else:
            self._gone.append(callback)

    def on_shutdown(self, callback: Callable[[float, str], None]) -> None:
        """Call with (deadline in seconds, reason) when the gateway asks its clients to go while this is unanswered."""
        if not self.done:
            self.registered = True
            self.connection.on_shutdown(self, callback)

    def on_event(self, handler: Callable[[Event], bool]) -> None:
        """Let this front-end have the events of the connection's session while this request is unanswered."""
        if not self.done:
            self.registered = True
            self.connection.on_event(self, handler)

    def gone(self, reason: str) -> None:
        """For the connection: nobody waits for the response any more."""
        if self.done:
            return
        self.done = True
        self._receiver = None
        self._release()
        if self.registered:
            self.connection.forget(self)
        whole, self._whole = self._whole, None
        callbacks, self._gone = self._gone, None
        if callbacks:
            for callback in callbacks:
                try:
                    callback(reason)
                except Exception:
                    log.failure("what follows the end of {request} failed", request=self)
        if whole is not None:
            whole.errback(GatewayError(Code.CANCELLED, f"the request was broken off: {reason}"))

    def failed(self, error: BaseException | None = None) -> None:
        """Answer for a front-end that raised: a GatewayError in its words, else 500 and the log (call it in ``except``)."""
        if isinstance(error, GatewayError) and not self.started:
            self.respond(*problem_of(error))
            return
        log.failure("{request} failed", request=self)
        if self.started:
            self.abort("the gateway failed")
        else:
            self.respond(*problem(500, "the gateway's log has the cause"))


def _too_large(limit: int) -> GatewayError:
    return GatewayError(Code.MESSAGE_TOO_LARGE, f"the request's body: expected at most {limit} bytes")
