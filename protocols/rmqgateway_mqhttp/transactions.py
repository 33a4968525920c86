"""Half messages: ``GET`` with ``trans=pop``, ``DELETE`` with ``trans=commit`` or ``trans=rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import maybeDeferred

from rmqgateway.commands import EndTransaction, TransactionResolution
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway_mqhttp.checks import Checks
from rmqgateway_mqhttp.codec import write_ack_errors, write_messages
from rmqgateway_mqhttp.consuming import NOTHING, cancel_with, read_handles
from rmqgateway_mqhttp.convert_handles import HalfHandle, decode_half_handle, encode_half_handle
from rmqgateway_mqhttp.convert_messages import message_id_of, write_entry
from rmqgateway_mqhttp.convert_parameters import Operation
from rmqgateway_mqhttp.credentials import check_md5
from rmqgateway_mqhttp.errors import TABLE
from rmqgateway_mqhttp.responses import answer, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.events import CheckTransaction
    from rmqgateway.interfaces import IGateway, IRequest
    from rmqgateway_mqhttp.convert_parameters import Parameters

__all__ = ["Transactions"]

#: What concerns the one handle of a request, and is told in ``<Errors>`` as for an acknowledgement.
_OF_THE_HANDLE = frozenset({Code.BAD_RECEIPT_HANDLE, Code.RECEIPT_HANDLE_EXPIRED, Code.TRANSACTION_NOT_FOUND})


class Transactions:
    """Fetches and ends half messages. :param now_ms: the wall clock."""

    def __init__(self, gateway: IGateway, invisible_ms: int, now_ms: Callable[[], int]) -> None:
        self.checks = Checks(gateway)
        self._gateway = gateway
        self._invisible_ms = invisible_ms
        self._now_ms = now_ms

    async def consume(self, request: IRequest, parameters: Parameters) -> None:
        """Answer with half messages that are to be checked. :raise GatewayError: what Checks.asker raises."""
        asker = await self.checks.asker(request.context, parameters.topic, parameters.group)
        waiting = asker.fetch(parameters.max_messages, parameters.wait_ms / 1000)
        if not waiting.called:
            cancel_with(request, waiting)
        events = await waiting
        now = self._now_ms()
        entries = [self._entry(event, parameters.group, now) for event in events]
        if entries:
            answer(request, 200, write_messages(entries))
        else:
            refuse(request, NOTHING)

    def _entry(self, event: CheckTransaction, group: str, now: int) -> str:
        message = event.message
        named = decode_properties(stored_message.properties(message))
        expires = now + self._invisible_ms
        handle = HalfHandle(
            event.producer_group,
            group,
            event.transaction_id,
            event.queue_offset,
            event.physical_offset,
            expires,
        )
        times = named.get("TRANSACTION_CHECK_TIMES", "1")
        count = int(times) if times.isascii() and times.isdigit() else 1
        return write_entry(
            message,
            named,
            message_id_of(message, named),
            encode_half_handle(handle),
            max(count, 1),
            now,
            expires,
        )

    async def end(self, data: bytes, request: IRequest, parameters: Parameters) -> None:
        """Commit or roll back. :raise WireError: :raise GatewayError: :raise Refused: the request is wrong."""
        check_md5(request, data)
        (text,) = read_handles(data, 1)
        try:
            await self._end(text, request, parameters)
        except GatewayError as error:
            if error.code not in _OF_THE_HANDLE:
                raise
            status, code = TABLE[error.code]
            answer(request, status, write_ack_errors([(text, code, error.message)]))
        else:
            answer(request, 204)

    async def _end(self, text: str, request: IRequest, parameters: Parameters) -> None:
        handle = decode_half_handle(text)
        if parameters.group and handle.consumer and parameters.group != handle.consumer:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                f"the half message was fetched by group {handle.consumer}, not by {parameters.group[:200]}",
            )
        if handle.expires <= self._now_ms():
            raise GatewayError(
                Code.RECEIPT_HANDLE_EXPIRED, "the handle has expired: fetch the half message again"
            )
        commit = parameters.operation is Operation.COMMIT
        command = EndTransaction(
            parameters.topic,
            handle.producer_group,
            TransactionResolution.COMMIT if commit else TransactionResolution.ROLLBACK,
            handle.transaction_id,
            handle.transaction_id,
            handle.queue_offset,
            handle.physical_offset,
            from_check=bool(handle.consumer),
        )
        await maybeDeferred(self._gateway.execute, request.context, command)
        self.checks.ended(parameters.topic, handle.transaction_id)
