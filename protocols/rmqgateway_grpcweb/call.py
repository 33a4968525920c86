"""One gRPC-web call over HTTP. Source of the framing: gRPC's PROTOCOL-WEB.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.apis.service import METHODS
from rmqgateway.wire.grpc_framing import (
    HOLDS_TOO_MUCH,
    GrpcDecoder,
    GrpcError,
    GrpcStatus,
    WebTextDecoder,
    encode_message,
    encode_status_message,
    encode_web_text,
    encode_web_trailers,
)

if TYPE_CHECKING:
    from rmqgateway.apis.service import Api
    from rmqgateway.http.request import Header, Request

__all__ = ["UNKNOWN", "WebCall", "trailers_of"]

# The same objects each time: the core encodes them once.
_HEAD = ((b"content-type", b"application/grpc-web+proto"),)
_TEXT_HEAD = ((b"content-type", b"application/grpc-web-text+proto"),)
_GZIP = ((b"grpc-encoding", b"gzip"),)
_OK = encode_web_trailers(((b"grpc-status", b"0"),))
#: Below this compression makes a message longer, or not much shorter.
_COMPRESS_FROM = 256

#: What is not served.
UNKNOWN = Method("unknown", lambda rpc, data: None, lambda status: b"", anonymous=True)


def trailers_of(status: GrpcStatus, text: str, more: Sequence[Header] = ()) -> bytes:
    """The last frame of a call."""
    if status == 0 and not text and not more:
        return _OK
    fields = [(b"grpc-status", b"%d" % status)]
    if text:
        fields.append((b"grpc-message", encode_status_message(text)))
    fields += more
    return encode_web_trailers(fields)


class WebCall(Rpc):
    """See `Rpc`. :ivar initial_metadata, trailing_metadata: more fields of the response; none here."""

    front_end = "grpcweb"
    initial_metadata: Sequence[Header] = ()
    trailing_metadata: Sequence[Header] = ()
    decoder = GrpcDecoder

    __slots__ = ("_decoder", "_gzip", "_holding", "_request", "_started", "_text", "_text_decoder")

    _decoder: GrpcDecoder
    _gzip: bool
    _holding: bool
    _request: Request
    _started: bool
    _text: bool
    _text_decoder: WebTextDecoder

    @classmethod
    def begin_call(cls, api: Api, request: Request, methods: Mapping[str, Method] = METHODS) -> None:
        """Answer a request. :param methods: what is served, by path."""
        fields = request.fields
        call = cls(api, methods.get(request.path, UNKNOWN), fields, request.information)
        call._request = request
        call._started = call._holding = False
        call._text = b"grpc-web-text" in fields.get(b"content-type", b"").lower()
        call._text_decoder = WebTextDecoder()
        try:
            encoding = fields.get(b"grpc-encoding", b"identity")
            # Who compresses its requests gets compressed answers, if it takes them.
            call._gzip = encoding == b"gzip" and b"gzip" in fields.get(b"grpc-accept-encoding", b"")
            call._decoder = cls.decoder(encoding, max_message=api.settings.max_message)
            call.begin(request.context.session, request.context.trace)
        except GrpcError as error:
            call.close(error.status, error.message)
            return
        if call.method is UNKNOWN:
            call.close(GrpcStatus.UNIMPLEMENTED, f"unknown method {request.path[1:]}")
            return
        request.on_gone(call.gone)
        request.on_body(call._body)

    def _body(self, data: bytes, last: bool) -> None:
        if self.done:
            return
        try:
            if data:
                self._request.consumed(len(data))
                if self._text:
                    data = self._text_decoder.receive_data(data)
                messages = self._decoder.receive_data(data)
                if not messages or self._holding:
                    # Its windows are open for the rest, so what has come counts as the connection's.
                    self._holding = True
                    if not self._request.hold(self._decoder.held):
                        self.close(GrpcStatus.RESOURCE_EXHAUSTED, HOLDS_TOO_MUCH)
                        return
                for message in messages:
                    self.message(message)
            if last and not self.done:
                self._text_decoder.end()
                self._decoder.end()
                self.half_closed()
        except GrpcError as error:
            self.close(error.status, error.message)

    def half_closed(self) -> None:
        # A browser's request is whole before the answer begins: its telemetry stream is told things until it goes.
        if not self.method.bidirectional:
            super().half_closed()

    def _message(self, message: bytes) -> bytes:
        return encode_message(message, gzip=self._gzip and len(message) >= _COMPRESS_FROM)

    def _frame(self, data: bytes) -> bytes:
        return encode_web_text(data) if self._text else data

    def _head(self) -> Sequence[Header]:
        head = _TEXT_HEAD if self._text else _HEAD
        if self._gzip or self.initial_metadata:
            return (*head, *(_GZIP if self._gzip else ()), *self.initial_metadata)
        return head

    def _trailers(self, status: GrpcStatus = GrpcStatus.OK, text: str = "") -> bytes:
        return trailers_of(status, text, self.trailing_metadata)

    def reply(self, message: bytes) -> None:
        if self.done:
            return
        if self._started:
            super().reply(message)
            return
        self.done = True
        body = self._frame(self._message(message) + self._trailers())
        self._request.respond(200, self._head(), body)
        self.ended("")

    def write(self, message: bytes) -> None:
        if self.done:
            return
        if not self._started:
            self._started = True
            self._request.start(200, self._head())
        self._request.write(self._frame(self._message(message)))

    def close(self, status: GrpcStatus = GrpcStatus.OK, text: str = "") -> None:
        if self.done:
            return
        self.done = True
        frame = self._frame(self._trailers(status, text))
        if self._started:
            self._request.write(frame)
            self._request.finish()
        else:
            self._request.respond(200, self._head(), frame)
        self.ended("")

    def buffered(self) -> int:
        return self._request.buffered()

    @property
    def is_crowded(self) -> bool:
        return self._request.is_crowded

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._request.on_drain(callback)

    def on_shutdown(self, callback: Callable[[float, str], None]) -> None:
        self._request.on_shutdown(callback)
