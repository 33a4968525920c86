"""One gRPC call over one HTTP/2 stream. Source of the framing: gRPC's PROTOCOL-HTTP2.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.wire.grpc_framing import (
    HOLDS_TOO_MUCH,
    GrpcDecoder,
    GrpcError,
    GrpcStatus,
    encode_message,
    encode_status_message,
)

if TYPE_CHECKING:
    from rmqgateway.apis.service import Api
    from rmqgateway.http.request import Header, Request

__all__ = ["GrpcCall"]

# The same objects each time: the core encodes them once.
_HEAD = ((b"content-type", b"application/grpc"), (b"grpc-accept-encoding", b"identity,gzip"))
_GZIP_HEAD = (*_HEAD, (b"grpc-encoding", b"gzip"))
_OK = ((b"grpc-status", b"0"),)
#: Below this compression makes a message longer, or not much shorter.
_COMPRESS_FROM = 256
#: A request of one message up to this size costs the client's window until it is answered.
_SMALL = 4096


def _no_such_method(rpc: Rpc, data: bytes) -> None:
    rpc.close(GrpcStatus.UNIMPLEMENTED, "there is no such method")


_UNKNOWN = Method("unknown", _no_such_method, lambda status: b"", anonymous=True)


class GrpcCall(Rpc):
    """See `Rpc`.

    :param methods: what is served, by path. :ivar initial_metadata, trailing_metadata: more fields of the response; none here.
    """

    initial_metadata: Sequence[Header] = ()
    trailing_metadata: Sequence[Header] = ()
    decoder = GrpcDecoder

    __slots__ = ("_decoder", "_gzip", "_holding", "_request", "_started")

    def __init__(self, api: Api, request: Request, methods: Mapping[str, Method]) -> None:
        fields = request.fields
        path = request.path
        method = methods.get(path, _UNKNOWN)
        Rpc.__init__(self, api, method, fields, request.information)
        self._request = request
        self._started = self._holding = False
        encoding = fields.get(b"grpc-encoding", b"identity")
        self._decoder: GrpcDecoder | None = None
        # Who compresses its requests gets compressed answers, if it takes them.
        self._gzip = encoding == b"gzip" and b"gzip" in fields.get(b"grpc-accept-encoding", b"")
        context = request.context
        try:
            if encoding != b"identity":
                self._decoder = self.decoder(encoding, max_message=api.settings.max_message)
            if b"grpc-timeout" in fields:
                self.begin(context.session, context.trace)
            else:
                self.context = context
        except GrpcError as error:
            self.close(error.status, error.message)
            return
        if method is _UNKNOWN:
            service, _, name = path[1:].rpartition("/")
            known = any(one.startswith(f"/{service}/") for one in methods)
            what = f"method {service}/{name}" if known else f"service {service}"
            self.close(GrpcStatus.UNIMPLEMENTED, f"unknown {what}")
            return
        request.on_gone(self.gone)
        request.on_body(self._body)

    def _body(self, data: bytes, last: bool) -> None:
        if self.done:
            return
        decoder = self._decoder
        if decoder is None:
            size = len(data)
            if (
                last
                and 5 <= size <= _SMALL
                and data[0] == 0
                and int.from_bytes(data[1:5], "big") == size - 5 <= self.api.settings.max_message
            ):
                # The usual call, whose only message is here whole. Its window reopens when it is answered.
                self.message(data[5:])
                self.half_closed()
                return
            decoder = self._decoder = self.decoder(max_message=self.api.settings.max_message)
        if data:
            try:
                messages = decoder.receive_data(data)
            except GrpcError as error:
                self.close(error.status, error.message)
                return
            self._request.consumed(len(data))
            if not messages or self._holding:
                # Its windows are open for the rest, so what has come counts as the connection's.
                self._holding = True
                if not self._request.hold(decoder.held):
                    self.close(GrpcStatus.RESOURCE_EXHAUSTED, HOLDS_TOO_MUCH)
                    return
            for message in messages:
                self.message(message)
        if last and not self.done:
            try:
                decoder.end()
            except GrpcError as error:
                self.close(error.status, error.message)
                return
            self.half_closed()

    def _frame(self, message: bytes) -> bytes:
        return encode_message(message, gzip=self._gzip and len(message) >= _COMPRESS_FROM)

    def _head(self) -> Sequence[Header]:
        head = _GZIP_HEAD if self._gzip else _HEAD
        return (*head, *self.initial_metadata) if self.initial_metadata else head

    def _trailers(self, trailers: Sequence[Header]) -> Sequence[Header]:
        return (*trailers, *self.trailing_metadata) if self.trailing_metadata else trailers

    def reply(self, message: bytes) -> None:
        if self.done:
            return
        if self._started:
            self.write(message)
            self.close()
            return
        self.done = True
        self._request.respond(200, self._head(), self._frame(message), self._trailers(_OK))
        self.ended("")

    def write(self, message: bytes) -> None:
        if self.done:
            return
        if not self._started:
            self._started = True
            self._request.start(200, self._head())
        self._request.write(self._frame(message))

    def write_all(self, messages: list[bytes]) -> None:
        if self.done:
            return
        if not self._started:
            self._started = True
            self._request.start(200, self._head())
        self._request.write(b"".join([self._frame(message) for message in messages]))

    def close(self, status: GrpcStatus = GrpcStatus.OK, text: str = "") -> None:
        if self.done:
            return
        self.done = True
        trailers = self._trailers(_OK if status == 0 and not text else _status(status, text))
        if self._started:
            self._request.finish(trailers)
        else:
            self._request.respond(200, (*_HEAD, *self.initial_metadata), b"", trailers)
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


def _status(status: GrpcStatus, text: str) -> tuple[tuple[bytes, bytes], ...]:
    head = (b"grpc-status", b"%d" % status)
    return (head, (b"grpc-message", encode_status_message(text))) if text else (head,)
