"""``GET`` and ``DELETE`` of ordinary messages: consume, consume in order, acknowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rmqgateway.commands import AckMessages, AckResults, ReceivedMessages, ReceiveMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import TAG_ALL, Filter
from rmqgateway_mqhttp.codec import read_receipt_handles, write_ack_errors, write_messages
from rmqgateway_mqhttp.convert_messages import write_received
from rmqgateway_mqhttp.convert_parameters import MAX_MESSAGES, Operation
from rmqgateway_mqhttp.credentials import check_md5
from rmqgateway_mqhttp.errors import ACK_CODES, MESSAGE_NOT_EXIST, Refused
from rmqgateway_mqhttp.responses import answer, failed, refuse

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from rmqgateway.interfaces import IGateway, IRequest
    from rmqgateway_mqhttp.convert_parameters import Parameters

__all__ = ["NOTHING", "Consuming", "cancel_with", "read_handles"]

#: No message before the wait was over. An empty list would crash the Node SDK.
NOTHING = Refused(404, MESSAGE_NOT_EXIST, "Message not exist.")
#: First deliveries that are remembered, for FirstConsumeTime of later ones.
_MAX_FIRST_TIMES = 20_000


def cancel_with(request: IRequest, waiting: Deferred[Any]) -> None:
    """End a wait when its client goes, or the gateway stops."""
    request.on_gone(lambda _: waiting.cancel())
    request.on_shutdown(lambda _, __: waiting.cancel())


def read_handles(data: bytes, most: int) -> tuple[str, ...]:
    """The handles of a ``DELETE``. :raise WireError: no XML of that kind. :raise GatewayError: none, or too many."""
    handles = read_receipt_handles(data)
    if not 1 <= len(handles) <= most:
        raise GatewayError(Code.BAD_REQUEST, f"expected 1 to {most} receipt handles, got {len(handles)}")
    return handles


class Consuming:
    """Consumes and acknowledges."""

    def __init__(self, gateway: IGateway, invisible_ms: int) -> None:
        self._gateway = gateway
        self._invisible_ms = invisible_ms
        self._first_times: dict[str, int] = {}

    def consume(self, request: IRequest, parameters: Parameters) -> None:
        """Answer a consume. :raise GatewayError: at once."""
        command = ReceiveMessages(
            parameters.group,
            parameters.topic,
            max_messages=parameters.max_messages,
            invisible_ms=self._invisible_ms,
            wait_ms=parameters.wait_ms,
            filter=TAG_ALL if parameters.tag == "*" else Filter(parameters.tag),
            fifo=parameters.operation is Operation.CONSUME_IN_ORDER,
            lite_topics=parameters.lite_topics,
        )
        result = self._gateway.execute(request.context, command)
        if isinstance(result, Deferred):
            result.addCallback(self._received, request, parameters.group)
            result.addErrback(_not_received, request)
            if not result.called:
                cancel_with(request, result)
        else:
            self._received(result, request, parameters.group)

    def _received(self, reply: ReceivedMessages, request: IRequest, group: str) -> None:
        if not reply.messages:
            if reply.polling_full:
                raise GatewayError(Code.TOO_MANY_REQUESTS, "too many consumers wait already", retry_after=1.0)
            refuse(request, NOTHING)
            return
        first_times = self._first_times
        if len(first_times) >= _MAX_FIRST_TIMES:
            for key in list(first_times)[: _MAX_FIRST_TIMES // 10]:
                del first_times[key]
        entries = [
            write_received(message, reply.pop_time, reply.invisible_ms, first_times, group)
            for message in reply.messages
        ]
        answer(request, 200, write_messages(entries))

    def acknowledge(self, data: bytes, request: IRequest, parameters: Parameters) -> None:
        """Answer an acknowledgement. :raise WireError: :raise GatewayError: :raise Refused: the request is wrong."""
        check_md5(request, data)
        command = AckMessages(parameters.group, parameters.topic, read_handles(data, MAX_MESSAGES))
        self._gateway.perform(request.context, command, _acknowledged, request)


def _acknowledged(request: IRequest, reply: AckResults | None, error: GatewayError | None) -> None:
    if reply is None:
        refuse(request, error or GatewayError(Code.INTERNAL, "the acknowledgement has no reply"))
        return
    wrong = [
        (result.receipt_handle, ACK_CODES.get(result.code, "InternalServerError"), result.text)
        for result in reply.results
        if result.code
    ]
    if wrong:
        answer(request, 404, write_ack_errors(wrong))
    else:
        answer(request, 204)


def _not_received(failure: Failure, request: IRequest) -> None:
    error = failure.value
    if isinstance(error, GatewayError) and error.code is Code.CANCELLED:
        refuse(request, NOTHING)  # the gateway stops; a client that has gone hears nothing
    else:
        failed(failure, request)
