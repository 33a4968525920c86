"""``grpc.testing.TestService`` by the calls of the gRPC and gRPC-web front-ends, for gRPC's interop cases.

Source of what it does: gRPC's doc/interop-test-descriptions.md, "Server".
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from rmqgateway.apis.deadlines import Deadlines
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.rpc import Method
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd
from rmqgateway.wire.grpc_framing import GrpcDecoder, GrpcError, GrpcStatus
from rmqgateway_grpc.call import GrpcCall
from rmqgateway_grpcweb.call import WebCall
from tests.conformance.interop_messages import MESSAGES
from tests.conformance.serving import NoSettings, serve

_INITIAL, _TRAILING = b"x-grpc-test-echo-initial", b"x-grpc-test-echo-trailing-bin"
_PATH = "/grpc.testing.TestService/"


class _Inflated(bytes):
    """A message that came compressed."""


class _Decoder(GrpcDecoder):
    """Tells which messages came compressed."""

    def _inflate(self, data: bytes) -> bytes:
        return _Inflated(super()._inflate(data))


class _Answering:
    """What is said beside the messages, and one after the other."""

    decoder = _Decoder
    busy = no_more = False
    received = 0

    @cached_property
    def todo(self) -> deque[Any]:
        return deque()

    @property
    def initial_metadata(self: Any) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((name, self.fields[name]) for name in (_INITIAL,) if name in self.fields)

    @property
    def trailing_metadata(self: Any) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((name, self.fields[name]) for name in (_TRAILING,) if name in self.fields)

    @property
    def compresses(self: Any) -> bool:
        return b"gzip" in self.fields.get(b"grpc-accept-encoding", b"")

    def say(self: Any, size: int, compressed: bool, message: str) -> None:
        """Send a payload of zeros in a stream."""
        payload = MESSAGES["Payload"](body=bytes(size))
        if not self._started:
            # What is compressed is told for the stream, and per message.
            self._gzip = self.compresses
            self._started = True
            self._request.start(200, self._head())
        self._gzip = compressed and self.compresses
        self.write(MESSAGES[message](payload=payload).SerializeToString())


class _Call(_Answering, GrpcCall):
    """A call over HTTP/2."""


class _WebCall(_Answering, WebCall):
    """A call of a browser."""


def _expect(data: bytes, request: Any) -> None:
    if request.HasField("expect_compressed") and request.expect_compressed.value != isinstance(data, _Inflated):
        raise GrpcError(GrpcStatus.INVALID_ARGUMENT, "compressed, or not, against what was told")


def _refused(rpc: Any, request: Any) -> bool:
    if not request.HasField("response_status") or not request.response_status.code:
        return False
    rpc.close(GrpcStatus(request.response_status.code), request.response_status.message)
    return True


def _empty_call(rpc: Any, data: bytes) -> bytes:
    MESSAGES["Empty"].FromString(data)
    return b""


def _unary_call(rpc: Any, data: bytes) -> bytes | None:
    request = MESSAGES["SimpleRequest"].FromString(bytes(data))
    _expect(data, request)
    if _refused(rpc, request):
        return None
    rpc._gzip = request.response_compressed.value and rpc.compresses
    payload = MESSAGES["Payload"](body=bytes(request.response_size))
    answer: bytes = MESSAGES["SimpleResponse"](payload=payload).SerializeToString()
    return answer


def _streaming_input(rpc: Any, data: bytes) -> None:
    request = MESSAGES["StreamingInputCallRequest"].FromString(bytes(data))
    _expect(data, request)
    rpc.received += len(request.payload.body)


def _input_ended(rpc: Any) -> bytes:
    answer: bytes = MESSAGES["StreamingInputCallResponse"](aggregated_payload_size=rpc.received).SerializeToString()
    return answer


def _streaming_output(rpc: Any, data: bytes) -> None:
    rpc.no_more = True
    _full_duplex(rpc, data)


def _full_duplex(rpc: Any, data: bytes) -> None:
    request = MESSAGES["StreamingOutputCallRequest"].FromString(bytes(data))
    if _refused(rpc, request):
        return
    rpc.todo.extend(request.response_parameters)
    if not rpc.busy:
        rpc.busy = True
        Deferred.fromCoroutine(_answer(rpc))


async def _answer(rpc: Any) -> None:
    while rpc.todo and not rpc.done:
        wanted = rpc.todo.popleft()
        if wanted.interval_us:
            await deferLater(reactor, wanted.interval_us / 1e6)  # type: ignore[arg-type]
        rpc.say(wanted.size, wanted.compressed.value, "StreamingOutputCallResponse")
    rpc.busy = False
    if rpc.no_more:
        rpc.close()


def _duplex_ended(rpc: Any) -> None:
    rpc.no_more = True
    if not rpc.busy:
        rpc.close()


def _method(name: str, handle: Any, **kind: Any) -> tuple[str, Method]:
    return _PATH + name, Method(name, handle, lambda _: b"", anonymous=True, **kind)


METHODS = dict(
    (
        _method("EmptyCall", _empty_call),
        _method("UnaryCall", _unary_call),
        _method("StreamingInputCall", _streaming_input, bidirectional=True, ended=_input_ended),
        _method("StreamingOutputCall", _streaming_output, streams=True),
        _method("FullDuplexCall", _full_duplex, streams=True, bidirectional=True, ended=_duplex_ended),
    )
)


class _Api:
    """As much of `rmqgateway.apis.service.Api` as calls without clients need."""

    def __init__(self) -> None:
        self.settings = ApiSettings()
        self.deadlines = Deadlines(reactor)  # type: ignore[arg-type]
        self.seconds = reactor.seconds  # type: ignore[attr-defined]


@implementer(IRequestFrontEnd)
class _Grpc:
    name = "grpc"
    settings = NoSettings
    types: tuple[str, ...] = ("application/grpc", "application/grpc+*")

    def __init__(self) -> None:
        self.api: Any = _Api()

    def configure(self, settings: object) -> None:
        """See IFrontEnd."""

    def routes(self) -> list[RouteDeclaration]:
        return [RouteDeclaration(("POST",), "/*", self.types)]

    def respond(self, gateway: object, request: Any, route: object) -> None:
        _Call(self.api, request, METHODS)


class _GrpcWeb(_Grpc):
    name = "grpcweb"
    types = (
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/grpc-web-text+proto",
    )

    def respond(self, gateway: object, request: Any, route: object) -> None:
        _WebCall(self.api, request, METHODS)


if __name__ == "__main__":
    serve([_Grpc(), _GrpcWeb()])
