"""What all requests to one gateway share: ids, sessions of its own, streams, routes of topics; and dispatching."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rmqgateway.commands import QueryRoute
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.consistent_hash import consistent_hash, java_hash
from rmqgateway.wire.message_id import UniqueIdGenerator
from rmqgateway_http.broadcasts import Frames
from rmqgateway_http.call import Call, refused
from rmqgateway_http.compressing import takes_gzip
from rmqgateway_http.convert_receiving import ShownMessage
from rmqgateway_http.deadlines import Deadlines
from rmqgateway_http.operations import find
from rmqgateway_http.producers import Producers

if TYPE_CHECKING:
    from rmqgateway.http.request import Request
    from rmqgateway_http.frontend import HttpFrontEndSettings
    from rmqgateway_http.replies import Asker
    from rmqgateway_http.streams import Stream
    from rmqgateway_http.transactions import Checker

__all__ = ["HttpService"]

#: How long the number of a topic's queues is believed, in seconds.
_ROUTE_S = 30.0
_MAX_ROUTES = 10_000


class HttpService:
    """:ivar in_streams: which stream delivered an unsettled message, by group, topic and handle.
    :ivar streams: by their ids. :ivar checkers: by user and producer group. :ivar asker: who waits for replies.
    :ivar compressed_streams: open ones; each has a compressor.
    :ivar producers: which connections send for which producer groups.
    :ivar deadlines: of streams. :ivar shown: the message that streams wrote last. :ivar frames: the same, of broadcasts."""

    def __init__(self, gateway: Any, settings: HttpFrontEndSettings) -> None:
        self.gateway = gateway
        self.settings = settings
        self.in_streams: dict[tuple[str, str, str], Stream] = {}
        self.streams: dict[str, Stream] = {}
        self.checkers: dict[tuple[str | None, str], Checker] = {}
        self.asker: Asker | None = None
        self.deadlines = Deadlines(gateway.reactor, gateway.outbox)
        self.shown = ShownMessage()
        self.frames = Frames()
        self.compressed_streams = 0
        self.instance = os.urandom(4)
        self.producers = Producers(gateway, self.instance.hex())
        self._ids = UniqueIdGenerator(self.instance, os.getpid(), int.from_bytes(os.urandom(4), "big"))
        self._routes: dict[str, tuple[float, int]] = {}
        self._requests = 0

    def new_message_id(self) -> str:
        """A unique key as RocketMQ's clients make them."""
        return self._ids.next(time.time_ns() // 1_000_000)

    def new_request_id(self) -> str:
        """For a request that came without one and is refused."""
        self._requests += 1
        return f"{self.instance.hex()}-{self._requests}"

    def respond(self, request: Request) -> None:
        """Answer a request, now or later."""
        operation, names, allow = find(request.method, request.path)
        if operation is None:
            self._nothing(request, allow)
            return
        call: Call | None = None
        try:
            call = Call(self, request, operation, names)
            if operation.signed and self.gateway.guarded:
                # Before anything is done: not all that a request does is a command of its own.
                self.gateway.authenticate(call.context, call.context.credential)
            operation.handler(call)
        except Exception as error:
            if call is None and isinstance(error, GatewayError):
                from rmqgateway_http.problems import status_of

                request.respond(*status_of(error, self.new_request_id()))
            elif call is None:
                raise
            else:
                call.failed(Failure())

    def _nothing(self, request: Request, allow: tuple[str, ...]) -> None:
        from rmqgateway_http.operations import NOTHING

        call = Call(self, request, NOTHING, ())
        if allow and request.method == "OPTIONS":
            request.respond(204, ((b"allow", ", ".join((*allow, "OPTIONS")).encode()),))
            return
        if allow:
            names = ", ".join(allow)
            error = refused(405, request.path[:200], names, request.method.encode()[:40], ((b"allow", names.encode()),))
        else:
            error = refused(404, "path", "one of those in /openapi.json", request.path.encode()[:200])
        call.refuse(error)

    async def queue_of_group(self, call: Call, topic: str, group: str) -> int:
        """The queue of a message group, as RocketMQ's proxy chooses it; -1: the broker may.

        :raise GatewayError: TOPIC_NOT_FOUND …
        """
        queues = await self._write_queues(call, topic)
        return consistent_hash(java_hash(group), queues) if queues > 0 else -1

    async def _write_queues(self, call: Call, topic: str) -> int:
        now = self.gateway.reactor.seconds()
        known = self._routes.get(topic)
        if known is not None and known[0] > now:
            return known[1]
        result = self.gateway.execute(call.context, QueryRoute(topic, create=True))
        route = await result if isinstance(result, Deferred) else result
        queues = route.queues[0].write_queues if len(route.queues) == 1 else 0
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[topic] = now + _ROUTE_S, queues
        return queues

    def may_compress(self, request: Request) -> bool:
        """Whether a stream is to be compressed: its client accepts it, and there are not too many already."""
        settings = self.settings
        return (
            settings.gzip_from > 0
            and self.compressed_streams < settings.gzip_streams
            and takes_gzip(request.fields.get(b"accept-encoding"))
        )

    def check_wait(self, wait_ms: int) -> int:
        """:raise GatewayError: BAD_POLLING_TIME: longer than the setting allows."""
        if wait_ms > self.settings.max_wait_s * 1000:
            raise GatewayError(
                Code.BAD_POLLING_TIME, f"wait: expected 0 to {self.settings.max_wait_s:g} s, got {wait_ms / 1000:g} s"
            )
        return wait_ms
