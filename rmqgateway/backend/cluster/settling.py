"""What becomes of received messages: acknowledged, visible later, dead-lettered. Every handle names its broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.cluster.finding import Finder
from rmqgateway.backend.cluster.handles import Handle, make_handle, read_handle, real_topic
from rmqgateway.commands import Action
from rmqgateway.commands.popping import (
    AckMessages,
    AckResult,
    AckResults,
    ChangedInvisibleDuration,
    ChangeInvisibleDuration,
    ReceiveMessages,
)
from rmqgateway.commands.producing import ForwardToDeadLetterQueue
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.consuming import BatchAck, BatchAckMessageRequest, encode_bit_set
from rmqgateway.wire.message_properties import find_property
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.popped import Popped
    from rmqgateway.backend.cluster.pulled import Pulled
    from rmqgateway.context import Context

__all__ = ["Settling"]

_MAX_INVISIBLE_MS = 12 * 3600 * 1000
_MAX_HANDLES = 10_000
#: How far apart the messages of one batch of acknowledgements may be; its size in bits.
_MAX_SPAN = 4096
_OLD = int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED)


class Settling(Component):
    """Serves AckMessages, ChangeInvisibleDuration, ForwardToDeadLetterQueue. :ivar pulled: who gave handles of its own."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.pulled: Pulled | None = None
        self._no_batches: set[str] = set()

    def handlers(self) -> Handlers:
        return {
            AckMessages: self.acknowledge,
            ChangeInvisibleDuration: self.change,
            ForwardToDeadLetterQueue: self.forward,
        }

    # Acknowledging.

    def acknowledge(self, context: Context, command: AckMessages) -> Deferred[AckResults]:
        if len(command.receipt_handles) > _MAX_HANDLES:
            raise GatewayError(Code.BAD_REQUEST, f"expected at most {_MAX_HANDLES} receipt handles")
        return self.run(self._acknowledge(context, command))

    async def _acknowledge(self, context: Context, command: AckMessages) -> AckResults:
        results: dict[str, GatewayError | None] = {}
        by_broker: dict[str, list[tuple[str, Handle]]] = {}
        for text in dict.fromkeys(command.receipt_handles):
            try:
                if self.pulled is not None and self.pulled.is_mine(text):
                    await self.pulled.acknowledge(context, command.group, command.topic, text)
                    results[text] = None
                    continue
                handle = self._read(text, command.strict)
            except GatewayError as error:
                results[text] = error
                continue
            by_broker.setdefault(handle.broker_name, []).append((text, handle))
        await all_of([self._at_broker(context, command, name, handles, results) for name, handles in by_broker.items()])
        return AckResults(tuple([_result(text, results[text]) for text in command.receipt_handles]))

    def _read(self, text: str, strict: bool = True) -> Handle:
        handle = read_handle(text)
        if strict and handle.visible_at() <= self.core.now_ms():
            raise GatewayError(
                Code.RECEIPT_HANDLE_EXPIRED,
                f"the message was invisible for {handle.invisible_ms} ms after {handle.pop_time}: that is over",
            )
        return handle

    async def _at_broker(
        self,
        context: Context,
        command: AckMessages,
        name: str,
        handles: list[tuple[str, Handle]],
        results: dict[str, GatewayError | None],
    ) -> None:
        try:
            address = self.core.routes.master(name)
            if len(handles) > 1 and address not in self._no_batches and not command.lite_topic:
                left = await self._batch(context, command, name, address, handles, results)
            else:
                left = handles
        except GatewayError as error:
            for text, _ in handles:
                results.setdefault(text, error)
            return
        await all_of([self._one(context, command, address, text, handle, results) for text, handle in left])

    async def _batch(
        self,
        context: Context,
        command: AckMessages,
        name: str,
        address: str,
        handles: list[tuple[str, Handle]],
        results: dict[str, GatewayError | None],
    ) -> list[tuple[str, Handle]]:
        """BATCH_ACK_MESSAGE; what does not fit it is returned."""
        batches: dict[tuple[Any, ...], list[tuple[str, Handle]]] = {}
        left: list[tuple[str, Handle]] = []
        for text, handle in handles:
            if not 0 <= handle.offset - handle.start_offset < _MAX_SPAN or handle.lite_topic:
                left.append((text, handle))
                continue
            key = (
                handle.kind, handle.queue_id, handle.start_offset, handle.pop_time, handle.invisible_ms, handle.revive_queue
            )  # fmt: skip
            batches.setdefault(key, []).append((text, handle))
        if not batches:
            return left
        acks = [
            BatchAck(
                bit_set=encode_bit_set([handle.offset - handle.start_offset for _, handle in group]),
                consumer_group=command.group,
                invisible_time=group[0][1].invisible_ms,
                pop_time=group[0][1].pop_time,
                queue_id=group[0][1].queue_id,
                retry=group[0][1].kind,
                revive_queue_id=group[0][1].revive_queue,
                start_offset=group[0][1].start_offset,
                topic=command.topic,
            )
            for group in batches.values()
        ]
        body = encode_body(BatchAckMessageRequest(acks=acks, broker_name=name))
        answer = await self.core.upstream.ask(address, RequestCode.BATCH_ACK_MESSAGE, {}, body, context=context, channel=True)
        if answer.code == _OLD:
            self._no_batches.add(address)
            return handles
        error = refusal(answer, f"group {command.group}") if answer.code else None
        for group in batches.values():
            for text, _ in group:
                results[text] = error
        return left

    async def _one(
        self,
        context: Context,
        command: AckMessages,
        address: str,
        text: str,
        handle: Handle,
        results: dict[str, GatewayError | None],
    ) -> None:
        try:
            await self._ack(context, command.group, command.topic, address, handle, command.lite_topic)
            results[text] = None
        except GatewayError as error:
            results[text] = error

    async def _ack(
        self, context: Context, group: str, topic: str, address: str, handle: Handle, lite_topic: str = ""
    ) -> None:
        ext = {
            "consumerGroup": group,
            "topic": real_topic(topic, group, handle.kind),
            "queueId": str(handle.queue_id),
            "extraInfo": handle.extra_info,
            "offset": str(handle.offset),
            "bname": handle.broker_name,
        }
        lite = lite_topic or handle.lite_topic
        if lite:
            ext["liteTopic"] = lite
        try:
            await self.core.ask(address, RequestCode.ACK_MESSAGE, ext, context=context, channel=True)
        except GatewayError as error:
            raise _of_handle(error) from None

    # Another time of being invisible.

    def change(self, context: Context, command: ChangeInvisibleDuration) -> Deferred[ChangedInvisibleDuration]:
        if not 0 <= command.invisible_ms <= _MAX_INVISIBLE_MS:
            raise GatewayError(
                Code.BAD_INVISIBLE_DURATION,
                f"invisible duration: expected 0 to {_MAX_INVISIBLE_MS} ms, got {command.invisible_ms}",
            )
        return self.run(self._change(context, command))

    async def _change(self, context: Context, command: ChangeInvisibleDuration) -> ChangedInvisibleDuration:
        text = command.receipt_handle
        if self.pulled is not None and self.pulled.is_mine(text):
            return await self.pulled.change(context, command.group, command.topic, text, command.invisible_ms)
        handle = self._read(text)
        topic = real_topic(command.topic, command.group, handle.kind)
        ext = {
            "consumerGroup": command.group,
            "topic": topic,
            "queueId": str(handle.queue_id),
            "extraInfo": handle.extra_info,
            "offset": str(handle.offset),
            "invisibleTime": str(command.invisible_ms),
            "bname": handle.broker_name,
        }
        lite = command.lite_topic or handle.lite_topic
        if lite:
            ext["liteTopic"] = lite
        if command.suspend:
            ext["suspend"] = "true"
        address = self.core.routes.master(handle.broker_name)
        try:
            answer = await self.core.ask(
                address, RequestCode.CHANGE_MESSAGE_INVISIBLETIME, ext, context=context, channel=True
            )
        except GatewayError as error:
            raise _of_handle(error) from None
        pop_time = self.core.number(answer, "popTime", 0)
        invisible = self.core.number(answer, "invisibleTime", command.invisible_ms)
        revive = self.core.number(answer, "reviveQid", handle.revive_queue)
        renewed = make_handle(
            handle.offset,
            pop_time or self.core.now_ms(),
            invisible,
            revive,
            handle.kind,
            handle.broker_name,
            handle.queue_id,
            handle.offset,
            handle.physical_offset,
            handle.lite_topic,
        )
        return ChangedInvisibleDuration(renewed, pop_time, invisible)

    # Dead letters.

    def forward(self, context: Context, command: ForwardToDeadLetterQueue) -> Deferred[None]:
        return self.run(self._forward(context, command))

    async def _forward(self, context: Context, command: ForwardToDeadLetterQueue) -> None:
        text = command.receipt_handle
        if self.pulled is not None and self.pulled.is_mine(text):
            await self.pulled.forward(context, command.group, command.topic, text)
            return
        handle = self._read(text)
        if context.guard is not None and handle.physical_offset >= 0:
            # A handle is a text that anybody can write: dead letters are the group's to read.
            message = await Finder(self.core).message(context, handle.physical_offset, handle.broker_name)
            came_from = stored_message.topic(message).decode("utf-8", "replace")
            context.require_topic(came_from, command.group, (Action.SUB,))
        await self._bury(context, command.group, command.topic, handle, command.message_id)

    async def _bury(self, context: Context, group: str, topic: str, handle: Handle, message_id: str) -> None:
        """Send it back to the dead-letter queue, then acknowledge it; between the two it is in both."""
        if handle.physical_offset < 0:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE, "the handle does not say where in the log the message is: it was not made by a gateway"
            )
        address = self.core.routes.master(handle.broker_name)
        ext = {
            "offset": str(handle.physical_offset),
            "group": group,
            "delayLevel": "-1",
            "originMsgId": message_id,
            "originTopic": real_topic(topic, group, handle.kind),
            "unitMode": "false",
            "maxReconsumeTimes": "0",
            "bname": handle.broker_name,
        }
        await self.core.ask(address, RequestCode.CONSUMER_SEND_MSG_BACK, ext, context=context)
        await self._ack(context, group, topic, address, handle)

    # For those who receive.

    async def forget(self, context: Context, command: ReceiveMessages, text: str) -> None:
        """Acknowledge a message that the client did not ask for."""
        handle = read_handle(text)
        address = self.core.routes.master(handle.broker_name)
        await self._ack(context, command.group, command.topic, address, handle)

    async def bury(self, context: Context, command: ReceiveMessages, popped: Popped) -> None:
        """Dead-letter a message that has no attempts left."""
        unique = find_property(stored_message.properties(popped.message), b"UNIQ_KEY") or b""
        handle = read_handle(popped.handle)
        await self._bury(context, command.group, command.topic, handle, unique.decode("utf-8", "replace"))

    async def give_back(self, context: Context, command: ReceiveMessages, text: str) -> None:
        """Make a message visible at once."""
        await self._change(context, ChangeInvisibleDuration(command.group, command.topic, text, 0))


def _of_handle(error: GatewayError) -> GatewayError:
    """What brokers say of handles that they do not know, in one code."""
    if error.code in (Code.BAD_MESSAGE, Code.MESSAGE_NOT_FOUND):
        return GatewayError(Code.BAD_RECEIPT_HANDLE, error.message, upstream_code=error.upstream_code)
    return error


def _result(text: str, error: GatewayError | None) -> AckResult:
    return AckResult(text) if error is None else AckResult(text, error.code.name, error.message)
