"""What the parts of the cluster backend have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.component import Handlers, Part, Tasks
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.request_codes import request_name

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.passthrough_names import NameServers
    from rmqgateway.backend.cluster.routes import Routes
    from rmqgateway.backend.cluster.settings import ClusterSettings
    from rmqgateway.backend.cluster.upstream import Upstream
    from rmqgateway.context import Context
    from rmqgateway.outbox import Outbox
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["Component", "Core", "Handlers", "all_of"]

T = TypeVar("T")

log = Logger(namespace="rmqgateway.cluster")


class Core(Tasks):
    """What every component is given. :ivar now_ms: the wall clock; the only one that is asked."""

    def __init__(
        self,
        reactor: Any,
        outbox: Outbox,
        settings: ClusterSettings,
        upstream: Upstream,
        names: NameServers,
        routes: Routes,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(reactor, outbox)
        self.settings = settings
        self.upstream = upstream
        self.names = names
        self.routes = routes
        self.now_ms = now_ms

    async def ask(
        self,
        address: str,
        code: int,
        ext: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        context: Context | None = None,
        timeout_s: float = 0.0,
        channel: bool = False,
        also: Iterable[int] = (),
    ) -> RemotingCommand:
        """Ask a broker; only success comes back, or a code of `also`. :raise GatewayError: what it refuses, and why."""
        answer = await self.upstream.ask(address, code, ext, body, timeout_s, context, channel)
        if answer.code and answer.code not in also:
            raise refusal(answer, f"{request_name(code)} at broker {address}")
        return answer

    def read(self, answer: RemotingCommand, kind: type[T], about: str) -> T:
        """An answer's body. :raise GatewayError: UPSTREAM_ERROR: it is not what was asked for."""
        try:
            return decode_body(answer.body, kind)
        except WireError as error:
            raise GatewayError(Code.UPSTREAM_ERROR, f"the broker's answer to {about} cannot be read: {error.message}") from None

    def number(self, answer: RemotingCommand, name: str, default: int | None = None) -> int:
        """A number in an answer's header. :raise GatewayError: UPSTREAM_ERROR: it is missing or none."""
        value = answer.ext_fields.get(name)
        if value is None and default is not None:
            return default
        try:
            return int(value or "")
        except ValueError:
            raise GatewayError(
                Code.UPSTREAM_ERROR, f"the broker's answer: expected a number as {name}, got {str(value)[:50]!r}"
            ) from None


class Component(Part):
    """One part of the backend; overrides what it needs."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.core = core
        #: What goes on that no client waits for, and a backend that stops should let finish.
        self.unfinished = 0

    def start(self) -> None:
        """The backend begins."""

    def stop(self) -> None:
        """The backend ends; periodic tasks have ended already."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        """A coroutine as a Deferred; cancelling it cancels what it waits for."""
        return Deferred.fromCoroutine(coroutine)

    def background(self, coroutine: Coroutine[Any, Any, Any], what: str) -> None:
        """A coroutine that nobody waits for: a refusal is logged at debug, anything else as a failure."""

        def failed(failure: Failure) -> None:
            if failure.check(GatewayError):
                log.debug("{what}: {reason}", what=what, reason=failure.getErrorMessage())
            else:
                log.failure("{what} failed", failure=failure, what=what)

        def finished(_: None) -> None:
            self.unfinished -= 1

        self.unfinished += 1
        Deferred.fromCoroutine(coroutine).addErrback(failed).addCallback(finished)


async def all_of(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """The results of what goes on at the same time; the first error."""
    deferreds = [
        each if isinstance(each, Deferred) else Deferred.fromCoroutine(each)  # type: ignore[arg-type]
        for each in awaitables
    ]
    try:
        return list(await gatherResults(deferreds, consumeErrors=True))
    except FirstError as error:
        error.subFailure.raiseException()
        raise
