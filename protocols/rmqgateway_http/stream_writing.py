"""How a stream is written, whatever it delivers: Server-Sent Events or JSON lines, compressed or not, at the client's pace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway_http.call import Call, Fields
from rmqgateway_http.codec_json import encode_json
from rmqgateway_http.compressing import GZIPPED, StreamCompressor
from rmqgateway_http.problems import problem_value, status_of

if TYPE_CHECKING:
    from rmqgateway.interfaces import ISubscription
    from rmqgateway_http.deadlines import Deadline

__all__ = ["WrittenStream"]

_SSE = b"text/event-stream"
_NDJSON = b"application/x-ndjson"
_EVENTS = ((b"content-type", _SSE), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
_LINES = ((b"content-type", _NDJSON), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
#: When EventSource tries again, in ms: well within `resume_s`.
_RETRY = b"retry: 500\n\n"


class WrittenStream:
    """One client's stream, with a session of its own; whoever derives from it delivers, and closes.

    :ivar id: known to nobody else.
    """

    _subscription: ISubscription

    def __init__(self, call: Call, as_events: bool, values: dict[str, Any]) -> None:
        self._service = service = call.service
        self._request = request = call.request
        self._reactor = service.gateway.reactor
        self._as_events = as_events
        self._body_as: str = values.get("body", "auto")
        self._high = service.settings.stream_bytes
        self._ping_call: Deadline | None = None
        self._quiet = True
        self._compressor: StreamCompressor | None = None
        self._gone = self._closed = self._paused = False
        self.id = os.urandom(8).hex()
        information = request.information
        self._session = service.gateway.open_session(
            "http", information.peer, information.advertised, lambda event: False, self._drain, self._cut
        )
        self._context = Context(self._session, call.context.credential, None, call.context.trace, call.context.request_id)
        self._context.user = call.context.user

    def _start(self) -> None:
        """It was not refused at once: what comes now is a stream."""
        if not self._request.started:
            headers: Fields = _EVENTS if self._as_events else _LINES
            if self._service.may_compress(self._request):
                self._compressor = StreamCompressor()
                self._service.compressed_streams += 1
                headers += GZIPPED
            self._request.start(200, headers)
            if self._as_events:
                self._write(_RETRY)
            self._ping_call = self._service.deadlines.later(self._service.settings.stream_ping_s, self._ping)

    def _write(self, data: bytes) -> None:
        compressor = self._compressor
        self._request.write(data if compressor is None else compressor.piece(data))

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._subscription.pause()
            self._request.on_drain(self._drained)

    def _drained(self) -> None:
        self._paused = False
        if not self._gone:
            self._subscription.resume()

    def failed(self, error: Exception) -> None:
        """See `ISubscriptionSink`."""
        found = error if isinstance(error, GatewayError) else GatewayError(Code.INTERNAL, str(error))
        if not self._request.started:
            self._request.respond(*status_of(found, self._context.request_id or self._service.new_request_id()))
            self._close()
            return
        value = encode_json(problem_value(found))
        self._write(b"event: problem\ndata: %b\n\n" % value if self._as_events else b'{"problem":%b}\n' % value)
        self._finish()
        self._close()

    def _finish(self) -> None:
        if self._compressor is not None:
            self._request.write(self._compressor.end())
        self._request.finish()

    def _ping(self) -> None:
        self._ping_call = self._service.deadlines.later(self._service.settings.stream_ping_s, self._ping)
        if self._quiet and not self._paused:
            self._write(b":\n\n" if self._as_events else b"\n")
        self._quiet = True

    def _drain(self, deadline: float, reason: str) -> None:
        """The gateway stops: a clean end; EventSource comes again, elsewhere if possible."""
        if self._request.started:
            self._finish()
        self._close()

    def _cut(self, reason: str) -> None:
        if not self._request.done:
            self._request.abort(reason)
        self._close()

    def _close(self) -> Deferred[None]:
        """End it, again does nothing; fires when that is durable."""
        raise NotImplementedError

    def _stop_writing(self) -> None:
        """It is closed."""
        self._closed = True
        if self._compressor is not None:
            self._service.compressed_streams -= 1
        if self._ping_call is not None:
            self._ping_call.cancel()
