"""A request over HTTP/1.1 or 1.0: how its response is framed (RFC 9112 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.http.request import Header, Request, log
from rmqgateway.wire.http1 import encode_chunk, last_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.http.http1_connection import Http1Protocol

__all__ = ["Http1Request"]

_WITHOUT_BODY = frozenset({204, 304})


class Http1Request(Request):
    """See `Request`.

    :ivar keep_alive: whether the connection goes on afterwards. :ivar uncredited: bytes of the body that nobody consumed.
    """

    connection: Http1Protocol
    keep_alive: bool
    minor: int
    expects_continue: bool
    uncredited = 0
    received = 0
    body_seen = 0  # since `body_since`
    body_since = 0.0
    _left: int | None = None  # of a body whose length the front-end told
    _chunked = False
    _with_body = True

    def start(self, status: int, headers: Sequence[Header] = ()) -> None:
        if self.done:
            return
        if self.started:
            raise RuntimeError("the response has begun already")
        connection = self.connection
        head, has_length = connection.server.head1(status, headers)
        if self.more:
            head += b"".join([b"%b: %b\r\n" % field for field in self.more])
        self.started = True
        self._with_body = self.method != "HEAD" and status not in _WITHOUT_BODY
        if has_length:
            self._left = _length(headers)
        elif status not in _WITHOUT_BODY:
            if self.minor:
                self._chunked = True
                head += b"transfer-encoding: chunked\r\n"
            else:
                self.keep_alive = False  # the end of the connection is the end of the body
        connection.send(head + self._end_of_head())

    def write(self, data: bytes) -> None:
        if self.done:
            return
        if not self.started:
            raise RuntimeError("the response has not begun: call start")
        if not data or not self._with_body:
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._broken()
                return
        self.connection.send(encode_chunk(data) if self._chunked else data)

    def finish(self, trailers: Sequence[Header] = ()) -> None:
        if self.done:
            return
        if not self.started:
            raise RuntimeError("the response has not begun: call start or respond")
        if self._left and self._with_body:
            self._broken()
            return
        if self._chunked and self._with_body:
            takes = trailers and b"trailers" in self.fields.get(b"te", b"").lower()
            self.connection.send(last_chunk(list(trailers) if takes else []))
        self._finished()

    def respond(
        self, status: int, headers: Sequence[Header], body: bytes = b"", trailers: Sequence[Header] = ()
    ) -> None:
        if self.done:
            return
        if trailers and self.minor and self.method != "HEAD":
            self.start(status, headers)
            self.write(body)
            self.finish(trailers)
            return
        if self.started:
            raise RuntimeError("the response has begun already")
        connection = self.connection
        head, has_length = connection.server.head1(status, headers)
        if self.more:
            head += b"".join([b"%b: %b\r\n" % field for field in self.more])
        if has_length and self.method != "HEAD" and status not in _WITHOUT_BODY and _length(headers) != len(body):
            raise ValueError(f"response header content-length: expected {len(body)}")
        self.started = True
        if has_length or status in _WITHOUT_BODY:
            head += self._end_of_head()
        else:
            head += b"content-length: %d\r\n%b" % (len(body), self._end_of_head())
        if body and self.method != "HEAD" and status not in _WITHOUT_BODY:
            head += body
        connection.send(head)
        self._finished()

    def _broken(self) -> None:
        """The client would take what follows for something else."""
        log.error("{request}: the response is not as long as its content-length", request=self)
        self.abort("the response is not as long as its content-length")

    def _end_of_head(self) -> bytes:
        connection = self.connection
        # Who is told before the end meets no connection that is closed just as the next request is on its way.
        staying = not connection.draining and not connection.server.gateway.leaving
        if self.keep_alive and staying and connection.may_go_on(self):
            return b"\r\n" if self.minor else b"connection: keep-alive\r\n\r\n"
        self.keep_alive = False
        return b"connection: close\r\n\r\n"

    def abort(self, reason: str) -> None:
        if not self.done:
            self.gone(reason)
            self.connection.aborted(self, reason)

    def buffered(self) -> int:
        return self.connection.unsent()

    def body_arrived(self, data: bytes, last: bool) -> None:
        size = len(data)
        self.uncredited += size
        self.body_seen += size
        self.received += size
        Request.body_arrived(self, data, last)

    def _credit(self, count: int) -> None:
        self.uncredited -= count
        self.connection.balance()

    def _asked_for_body(self) -> None:
        if self.expects_continue:
            self.expects_continue = False
            if not self.started and not self.received:
                self.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _finished(self) -> None:
        self.done = True
        self._gone = self._receiver = None
        if self._held_bytes:
            self._release()
        if self.registered:
            self.connection.forget(self)
        self.connection.answered(self)


def _length(headers: Sequence[Header]) -> int:
    return next(int(value) for name, value in headers if name == b"content-length")
