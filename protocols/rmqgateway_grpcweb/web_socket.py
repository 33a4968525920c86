"""One call over one WebSocket, as ``@improbable-eng/grpc-web`` makes it (its ``transports/websocket``).

The client's first message is a block of header lines; each further one is a byte, 0 with a piece of the body or 1 for its
end. The server's messages are frames: first one like trailers with the headers, then the messages, last the trailers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rmqgateway.apis.request_rpc import UNKNOWN
from rmqgateway.apis.rpc import Rpc
from rmqgateway.apis.service import METHODS
from rmqgateway.wire.grpc_framing import (
    GrpcDecoder,
    GrpcError,
    GrpcStatus,
    decode_web_headers,
    encode_message,
    encode_web_trailers,
)
from rmqgateway_grpcweb.call import trailers_of

if TYPE_CHECKING:
    from rmqgateway.apis.service import Api
    from rmqgateway.context import Context

__all__ = ["SocketCalls"]

_HEADERS = encode_web_trailers(((b"content-type", b"application/grpc-web+proto"),))
_MAX_HEADERS = 64 * 1024
_NORMAL, _PROTOCOL_ERROR = 1000, 1002


class _SocketCall(Rpc):
    """See `Rpc`."""

    front_end = "grpcweb"

    __slots__ = ("_socket", "_started")

    def attach(self, socket: Any) -> None:
        """Where to write."""
        self._socket = socket
        self._started = False

    def write(self, message: bytes) -> None:
        if self.done:
            return
        self._begin()
        self._socket.send(encode_message(message), True)

    def _begin(self) -> None:
        if not self._started:
            self._started = True
            self._socket.send(_HEADERS, True)

    def close(self, status: GrpcStatus = GrpcStatus.OK, text: str = "") -> None:
        if self.done:
            return
        self._begin()
        self.done = True
        self._socket.send(trailers_of(status, text), True)
        self._socket.close(_NORMAL, "")
        self.ended("")

    def buffered(self) -> int:
        size: int = self._socket.buffered()
        return size

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._socket.on_drain(callback)


class SocketCalls:
    """What the core calls for one WebSocket."""

    def __init__(self, api: Api, context: Context, socket: Any) -> None:
        self._api = api
        self._context = context
        self._socket = socket
        self._call: _SocketCall | None = None
        self._decoder: GrpcDecoder | None = None

    def message_received(self, data: bytes, is_binary: bool) -> None:
        """See IWebSocketFrontEnd."""
        call = self._call
        if call is None:
            self._begin(data)
            return
        if call.done:
            return
        if not data or data[0] > 1 or self._decoder is None:
            self._socket.close(_PROTOCOL_ERROR, "expected a first byte of 0 or 1")
            call.gone("it does not keep to the protocol")
            return
        try:
            if data[0] == 1:
                self._decoder.end()
                call.half_closed()
                return
            for message in self._decoder.receive_data(data[1:]):
                call.message(message)
        except GrpcError as error:
            call.close(error.status, error.message)

    def closed(self, code: int, reason: str) -> None:
        """See IWebSocketFrontEnd."""
        if self._call is not None:
            self._call.gone(f"the WebSocket is closed ({code})")

    def _begin(self, data: bytes) -> None:
        request = self._socket.request
        api = self._api
        try:
            if len(data) > _MAX_HEADERS:
                raise GrpcError(GrpcStatus.RESOURCE_EXHAUSTED, f"headers: at most {_MAX_HEADERS} bytes")
            fields = dict(decode_web_headers(data))
        except GrpcError as error:
            self._socket.close(_PROTOCOL_ERROR, error.message[:120])
            return
        method = METHODS.get(request.path, UNKNOWN)
        call = self._call = _SocketCall(api, method, fields, request.information)
        call.attach(self._socket)
        try:
            encoding = fields.get(b"grpc-encoding", b"identity")
            self._decoder = GrpcDecoder(encoding, max_message=api.settings.max_message)
            call.begin(self._context.session, self._context.trace)
        except GrpcError as error:
            call.close(error.status, error.message)
            return
        if method is UNKNOWN:
            call.close(GrpcStatus.UNIMPLEMENTED, f"unknown method {request.path[1:]}")
