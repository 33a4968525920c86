"""One gRPC call over one HTTP/2 stream. Source of the framing: gRPC's PROTOCOL-HTTP2.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rmqgateway.apis.request_rpc import IDENTITY, UNKNOWN, RequestRpc
from rmqgateway.wire.grpc_framing import GrpcError, GrpcStatus, encode_status_message

if TYPE_CHECKING:
    from rmqgateway.apis.rpc import Method
    from rmqgateway.apis.service import Api
    from rmqgateway.http.request import Header, Request

__all__ = ["GrpcCall"]

# The same objects each time: the core encodes them once.
_HEAD = ((b"content-type", b"application/grpc"), (b"grpc-accept-encoding", b"identity,gzip"))
_GZIP_HEAD = (*_HEAD, (b"grpc-encoding", b"gzip"))
_OK = ((b"grpc-status", b"0"),)
#: A request of one message up to this size costs the client's window until it is answered.
_SMALL = 4096


class GrpcCall(RequestRpc):
    """See `RequestRpc`. :param methods: what is served, by path."""

    __slots__ = ()

    def __init__(self, api: Api, request: Request, methods: Mapping[str, Method]) -> None:
        path = request.path
        method = methods.get(path, UNKNOWN)
        RequestRpc.__init__(self, api, request, method)
        fields = request.fields
        try:
            if b"grpc-encoding" in fields and fields[b"grpc-encoding"] != IDENTITY:
                self._decoder_of(fields[b"grpc-encoding"])
            self.begin_in(request.context)
        except GrpcError as error:
            self.close(error.status, error.message)
            return
        if method is UNKNOWN:
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
            decoder = self._decoder_of()
        try:
            if data:
                self._request.consumed(len(data))
                self._decode(decoder, data)
            if last and not self.done:
                decoder.end()
                self.half_closed()
        except GrpcError as error:
            self.close(error.status, error.message)

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
        self._request.respond(200, self._head(), self._encode(message), self._trailers(_OK))
        self.ended("")

    def write(self, message: bytes) -> None:
        if self.done:
            return
        if not self._started:
            self._started = True
            self._request.start(200, self._head())
        self._request.write(self._encode(message))

    def write_all(self, messages: list[bytes]) -> None:
        if self.done:
            return
        if not self._started:
            self._started = True
            self._request.start(200, self._head())
        self._request.write(b"".join([self._encode(message) for message in messages]))

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


def _status(status: GrpcStatus, text: str) -> tuple[tuple[bytes, bytes], ...]:
    head = (b"grpc-status", b"%d" % status)
    return (head, (b"grpc-message", encode_status_message(text))) if text else (head,)
