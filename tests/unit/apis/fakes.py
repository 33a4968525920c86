"""A call without a transport, and a request without HTTP: what the API's tests drive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address

from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.apis.service import METHODS, Api
from rmqgateway.context import Context
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.testing import TestSession, World
from rmqgateway.wire.grpc_framing import GrpcStatus

__all__ = ["SERVICE", "FakeRequest", "FakeRpc", "Tester", "metadata"]

SERVICE = "/apache.rocketmq.v2.MessagingService/"


def metadata(client_id: str = "client-1", **more: str) -> dict[bytes, bytes]:
    """What official clients send with each call."""
    fields = {
        "x-mq-client-id": client_id,
        "x-mq-language": "JAVA",
        "x-mq-client-version": "5.2.1",
        "x-mq-request-id": "request-1",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return {name.encode(): value.encode() for name, value in fields.items()}


class FakeRpc(Rpc):
    """Keeps what was written. :ivar unread: what `buffered` says. :ivar status: None until closed."""

    __slots__ = ("closed_text", "crowded", "drained", "messages", "shut_down", "status", "unread")

    def __init__(
        self, api: Api, method: Method, fields: dict[bytes, bytes], information: ConnectionInformation, session: Any
    ) -> None:
        super().__init__(api, method, fields, information)
        self.messages: list[bytes] = []
        self.status: GrpcStatus | None = None
        self.closed_text = ""
        self.unread = 0
        self.crowded = False
        self.drained: list[Callable[[], None]] = []
        self.shut_down: list[Callable[[float, str], None]] = []
        self.begin(session, "")

    def write(self, message: bytes) -> None:
        assert not self.done
        self.messages.append(message)

    def close(self, status: GrpcStatus = GrpcStatus.OK, text: str = "") -> None:
        if self.done:
            return
        self.done = True
        self.status, self.closed_text = status, text
        self.ended("")

    def buffered(self) -> int:
        return self.unread

    @property
    def is_crowded(self) -> bool:
        return self.crowded

    def on_drain(self, callback: Callable[[], None]) -> None:
        self.drained.append(callback)

    def on_shutdown(self, callback: Callable[[float, str], None]) -> None:
        self.shut_down.append(callback)


class Tester:
    """A gateway in memory and its API."""

    __test__ = False

    def __init__(self, settings: ApiSettings | None = None, world: World | None = None) -> None:
        self.world = world if world is not None else World()
        self.api = Api(self.world.gateway, settings or ApiSettings(), lambda: self.world.wall_ms)
        self.connection: TestSession = self.world.session()
        self.information = ConnectionInformation(
            IPv4Address("TCP", "127.0.0.1", 50_000), "gateway.example:8081", False, "test"
        )

    def start(self, name: str, request: Any, fields: dict[bytes, bytes] | None = None) -> FakeRpc:
        """Begin a call with one request message."""
        rpc = FakeRpc(
            self.api,
            METHODS[SERVICE + name],
            metadata() if fields is None else fields,
            self.information,
            self.connection.session,
        )
        rpc.message(request if isinstance(request, bytes) else request.SerializeToString())
        self.world.settle()
        return rpc

    def call(self, name: str, request: Any, response: Any, fields: dict[bytes, bytes] | None = None) -> Any:
        """A unary call's response."""
        rpc = self.start(name, request, fields)
        assert rpc.status is GrpcStatus.OK, (rpc.status, rpc.closed_text)
        (message,) = rpc.messages
        return response.FromString(message)

    def stream(self, name: str, request: Any, response: Any, fields: dict[bytes, bytes] | None = None) -> list[Any]:
        """A stream's responses, which must be complete."""
        rpc = self.start(name, request, fields)
        assert rpc.status is GrpcStatus.OK, (rpc.status, rpc.closed_text)
        return [response.FromString(message) for message in rpc.messages]


class FakeRequest:
    """As much of `rmqgateway.http.request.Request` as a gRPC call uses."""

    def __init__(
        self, tester: Tester, path: str, fields: dict[bytes, bytes], body: bytes = b"", last: bool = True
    ) -> None:
        self.path = path
        self.fields = fields
        self.headers = list(fields.items())
        self.method = "POST"
        self.information = tester.information
        self.context = Context(tester.connection.session)
        self.credited = self.held = 0
        self.is_crowded = False
        self.may_hold = 1 << 30
        self.head: tuple[int, dict[bytes, bytes]] | None = None
        self.body = b""
        self.trailers: dict[bytes, bytes] = {}
        self.done = False
        self.aborted = ""
        self._first = (body, last)
        self._receiver: Callable[[bytes, bool], None] | None = None
        self._gone: list[Callable[[str], None]] = []

    def header(self, name: bytes) -> bytes | None:
        return self.fields.get(name)

    def on_body(self, receiver: Callable[[bytes, bool], None]) -> None:
        self._receiver = receiver
        data, last = self._first
        if data or last:
            receiver(data, last)

    def feed(self, data: bytes, last: bool = False) -> None:
        assert self._receiver is not None
        self._receiver(data, last)

    def hold(self, size: int) -> bool:
        self.held = size
        return size <= self.may_hold

    def consumed(self, count: int) -> None:
        self.credited += count

    def on_shutdown(self, callback: Callable[[float, str], None]) -> None:
        """Nobody shuts down."""

    def on_gone(self, callback: Callable[[str], None]) -> None:
        self._gone.append(callback)

    def gone(self, reason: str) -> None:
        self.done = True
        for callback in self._gone:
            callback(reason)

    def start(self, status: int, headers: Any) -> None:
        assert self.head is None
        self.head = (status, dict(headers))

    def write(self, data: bytes) -> None:
        assert self.head is not None and not self.done
        self.body += data

    def finish(self, trailers: Any = ()) -> None:
        assert not self.done
        self.trailers = dict(trailers)
        self.done = True

    def respond(self, status: int, headers: Any, body: bytes = b"", trailers: Any = ()) -> None:
        self.start(status, headers)
        self.body = body
        self.finish(trailers)

    def abort(self, reason: str) -> None:
        self.aborted = reason
        self.done = True

    def buffered(self) -> int:
        return 0

    def on_drain(self, callback: Callable[[], None]) -> None:
        callback()
