"""One gRPC-web call over HTTP. Source of the framing: gRPC's PROTOCOL-WEB.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rmqgateway.apis.request_rpc import IDENTITY, UNKNOWN, RequestRpc
from rmqgateway.apis.service import METHODS
from rmqgateway.wire.grpc_framing import (
    GrpcError,
    GrpcStatus,
    WebTextDecoder,
    encode_status_message,
    encode_web_text,
    encode_web_trailers,
)

if TYPE_CHECKING:
    from rmqgateway.apis.rpc import Method
    from rmqgateway.apis.service import Api
    from rmqgateway.http.request import Header, Request
    from rmqgateway.wire.grpc_framing import GrpcDecoder

__all__ = ["WebCall", "trailers_of"]

# The same objects each time: the core encodes them once.
_HEAD = ((b"content-type", b"application/grpc-web+proto"),)
_TEXT_HEAD = ((b"content-type", b"application/grpc-web-text+proto"),)
_GZIP = ((b"grpc-encoding", b"gzip"),)
_OK = encode_web_trailers(((b"grpc-status", b"0"),))

def trailers_of(status: GrpcStatus, text: str, more: Sequence[Header] = ()) -> bytes:
    """The last frame of a call."""
    if status == 0 and not text and not more:
        return _OK
    fields = [(b"grpc-status", b"%d" % status)]
    if text:
        fields.append((b"grpc-message", encode_status_message(text)))
    fields += more
    return encode_web_trailers(fields)


class WebCall(RequestRpc):
    """See `RequestRpc`. :param methods: what is served, by path."""

    front_end = "grpcweb"

    __slots__ = ("_text", "_text_decoder")

    _decoder: GrpcDecoder

    def __init__(self, api: Api, request: Request, methods: Mapping[str, Method] = METHODS) -> None:
        RequestRpc.__init__(self, api, request, methods.get(request.path, UNKNOWN))
        fields = request.fields
        self._text = b"grpc-web-text" in fields.get(b"content-type", b"").lower()
        self._text_decoder = WebTextDecoder()
        try:
            self._decoder_of(fields.get(b"grpc-encoding", IDENTITY))
            self.begin(request.context.session, request.context.trace)
        except GrpcError as error:
            self.close(error.status, error.message)
            return
        if self.method is UNKNOWN:
            self.close(GrpcStatus.UNIMPLEMENTED, f"unknown method {request.path[1:]}")
            return
        request.on_gone(self.gone)
        request.on_body(self._body)

    def _body(self, data: bytes, last: bool) -> None:
        if self.done:
            return
        try:
            if data:
                self._request.consumed(len(data))
                if self._text:
                    data = self._text_decoder.receive_data(data)
                self._decode(self._decoder, data)
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
        body = self._frame(self._encode(message) + self._trailers())
        self._request.respond(200, self._head(), body)
        self.ended("")

    def write(self, message: bytes) -> None:
        if self.done:
            return
        if not self._started:
            self._started = True
            self._request.start(200, self._head())
        self._request.write(self._frame(self._encode(message)))

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
