"""Answers requests: what is asked, by whom, and who of this front-end does it."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rmqgateway.errors import GatewayError
from rmqgateway_mqhttp.consuming import Consuming
from rmqgateway_mqhttp.convert_parameters import Operation, read_parameters
from rmqgateway_mqhttp.credentials import credential_of
from rmqgateway_mqhttp.errors import Refused
from rmqgateway_mqhttp.publishing import Publishing
from rmqgateway_mqhttp.responses import failed, refuse
from rmqgateway_mqhttp.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.interfaces import IGateway, IRequest
    from rmqgateway_mqhttp.convert_parameters import Parameters
    from rmqgateway_mqhttp.frontend import MqHttpSettings

__all__ = ["Responder"]


class Responder:
    """All requests of a gateway. :param now: the wall clock, seconds since 1970."""

    def __init__(self, gateway: IGateway, settings: MqHttpSettings, now: Callable[[], float]) -> None:
        def now_ms() -> int:
            return int(now() * 1000)

        self.gateway = gateway
        self.publishing = Publishing(gateway, now_ms)
        self.consuming = Consuming(gateway, int(settings.invisible_seconds * 1000))
        self.transactions = Transactions(gateway, int(settings.half_invisible_seconds * 1000), now_ms)
        self._max_request = settings.max_request
        self._numbers = count(1)
        self._instance = os.urandom(6).hex().upper()

    def respond(self, request: IRequest) -> None:
        """Answer one request, now or later."""
        context = request.context
        context.request_id = f"{self._instance}{next(self._numbers):012X}"
        try:
            parameters = read_parameters(request.method, request.path, request.query)
            context.credential = credential_of(request)
            context.namespace = parameters.namespace
            if self.gateway.guarded:
                self.gateway.authenticate(context, context.credential)
            self._begin(request, parameters)
        except (GatewayError, Refused) as error:
            refuse(request, error)

    def _begin(self, request: IRequest, parameters: Parameters) -> None:
        operation = parameters.operation
        work: Deferred[Any]
        if operation is Operation.CONSUME or operation is Operation.CONSUME_IN_ORDER:
            self.consuming.consume(request, parameters)
            return
        if operation is Operation.CONSUME_HALF:
            work = Deferred.fromCoroutine(self.transactions.consume(request, parameters))
        else:
            work = request.read(self._max_request)
            if operation is Operation.PUBLISH:
                work.addCallback(self.publishing.publish, request, parameters)
            elif operation is Operation.ACKNOWLEDGE:
                work.addCallback(self.consuming.acknowledge, request, parameters)
            else:
                work.addCallback(self._end_transaction, request, parameters)
        work.addErrback(failed, request)

    def _end_transaction(self, data: bytes, request: IRequest, parameters: Parameters) -> Deferred[None]:
        return Deferred.fromCoroutine(self.transactions.end(data, request, parameters))
