"""``POST``: one message, or one half message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred

from rmqgateway.commands import QueryRoute, SendMessages, SendResults
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.message_id import UniqueIdGenerator
from rmqgateway_mqhttp.checks import producer_group_of
from rmqgateway_mqhttp.codec import read_message, write_published
from rmqgateway_mqhttp.convert_handles import HalfHandle, encode_half_handle
from rmqgateway_mqhttp.convert_publish import Published, queue_of, read_published
from rmqgateway_mqhttp.credentials import check_md5
from rmqgateway_mqhttp.responses import answer, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.commands import Route
    from rmqgateway.interfaces import IGateway, IRequest
    from rmqgateway_mqhttp.convert_parameters import Parameters

__all__ = ["Publishing"]

#: For how long the number of a topic's queues is believed, in seconds.
_ROUTE_SECONDS = 10.0
_MAX_ROUTES = 10_000


class Publishing:
    """Publishes. :param now_ms: the wall clock."""

    def __init__(self, gateway: IGateway, now_ms: Callable[[], int]) -> None:
        self._gateway = gateway
        self._now_ms = now_ms
        random = os.urandom(8)
        self._ids = UniqueIdGenerator(random[:4], os.getpid(), int.from_bytes(random[4:], "big"))
        self._queues: dict[str, tuple[int, float]] = {}  # by topic: how many, and until when that is believed

    def publish(self, data: bytes, request: IRequest, parameters: Parameters) -> Deferred[None] | None:
        """Answer a publish.

        :raise WireError: the body is no ``<Message>``. :raise GatewayError: what it says is wrong. :raise Refused: its MD5.
        """
        check_md5(request, data)
        body, tag, properties = read_message(data)
        published = read_published(body, tag, properties, self._ids.next(self._now_ms()))
        if published.sharding_key:
            return self._to_queue(request, parameters.topic, published)
        self._send(request, parameters.topic, published)
        return None

    def _to_queue(self, request: IRequest, topic: str, published: Published) -> Deferred[None] | None:
        """The queue of a sharding key depends on how many there are, so the topic must be there first."""
        now = self._gateway.reactor.seconds()
        known = self._queues.get(topic)
        if known is not None and known[1] > now:
            self._send_to_queue(known[0], request, topic, published)
            return None

        def found(route: Route) -> None:
            queues = route.queues[0].write_queues if route.queues else 0
            if len(self._queues) >= _MAX_ROUTES:
                self._queues.clear()
            self._queues[topic] = queues, now + _ROUTE_SECONDS
            self._send_to_queue(queues, request, topic, published)

        return maybeDeferred(
            self._gateway.execute, request.context, QueryRoute(topic, create=True)
        ).addCallback(found)

    def _send_to_queue(self, queues: int, request: IRequest, topic: str, published: Published) -> None:
        queue_id = queue_of(published.sharding_key, queues) if queues > 0 else -1
        message = msgspec.structs.replace(published.message, queue_id=queue_id)
        self._send(request, topic, msgspec.structs.replace(published, message=message))

    def _send(self, request: IRequest, topic: str, published: Published) -> None:
        group = producer_group_of(topic) if published.check_seconds else ""
        command = SendMessages(topic, (published.message,), group, check_type=True)
        self._gateway.perform(request.context, command, self._sent, (request, published, group))

    def _sent(self, token: Any, reply: SendResults | None, error: GatewayError | None) -> None:
        request, published, group = token
        if reply is None:
            refuse(request, error or GatewayError(Code.INTERNAL, "the send has no reply"))
            return
        (result,) = reply.results
        handle = ""
        if published.check_seconds:
            expires = self._now_ms() + published.check_seconds * 1000
            handle = encode_half_handle(
                HalfHandle(group, "", result.unique_key, result.queue_offset, result.physical_offset, expires)
            )
        answer(
            request,
            201,
            write_published(result.unique_key or published.message_id, published.body_md5, handle),
        )
