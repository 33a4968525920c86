"""A call that is a request of the core's HTTP server, whatever the frames look like: compression, and what is held of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.wire.grpc_framing import HOLDS_TOO_MUCH, GrpcDecoder, GrpcStatus, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rmqgateway.apis.service import Api
    from rmqgateway.http.request import Header, Request

__all__ = ["IDENTITY", "UNKNOWN", "RequestRpc"]

IDENTITY = b"identity"
#: Below this compression makes a message longer, or not much shorter.
_COMPRESS_FROM = 256


def _no_such_method(rpc: Rpc, data: bytes) -> None:
    rpc.close(GrpcStatus.UNIMPLEMENTED, "there is no such method")


#: What is not served.
UNKNOWN = Method("unknown", _no_such_method, lambda status: b"", anonymous=True)


class RequestRpc(Rpc):
    """See `Rpc`. :ivar initial_metadata, trailing_metadata: more fields of the response; none here."""

    initial_metadata: Sequence[Header] = ()
    trailing_metadata: Sequence[Header] = ()
    decoder = GrpcDecoder

    __slots__ = ("_decoder", "_gzip", "_holding", "_request", "_started")

    def __init__(self, api: Api, request: Request, method: Method) -> None:
        fields = request.fields
        Rpc.__init__(self, api, method, fields, request.information)
        self._request = request
        self._started = self._holding = False
        self._decoder: GrpcDecoder | None = None
        # Who compresses its requests gets compressed answers, if it takes them.
        self._gzip = (
            b"grpc-encoding" in fields
            and fields[b"grpc-encoding"] == b"gzip"
            and b"gzip" in fields.get(b"grpc-accept-encoding", b"")
        )

    def _decoder_of(self, encoding: bytes = IDENTITY) -> GrpcDecoder:
        """:raise GrpcError: the encoding is not known."""
        decoder = self._decoder = self.decoder(encoding, max_message=self.api.settings.max_message)
        return decoder

    def _decode(self, decoder: GrpcDecoder, data: bytes) -> None:
        """A piece of the body: hand over the messages that it completes, or end the call. :raise GrpcError: it breaks the
        framing."""
        messages = decoder.receive_data(data)
        if not messages or self._holding:
            # Its windows are open for the rest, so what has come counts as the connection's.
            self._holding = True
            if not self._request.hold(decoder.held):
                self.close(GrpcStatus.RESOURCE_EXHAUSTED, HOLDS_TOO_MUCH)
                return
        for message in messages:
            self.message(message)

    def _encode(self, message: bytes) -> bytes:
        return encode_message(message, gzip=self._gzip and len(message) >= _COMPRESS_FROM)

    def buffered(self) -> int:
        return self._request.buffered()

    @property
    def is_crowded(self) -> bool:
        return self._request.is_crowded

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._request.on_drain(callback)

    def on_shutdown(self, callback: Callable[[float, str], None]) -> None:
        self._request.on_shutdown(callback)
