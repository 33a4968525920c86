"""How far groups are, and moving them."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.cluster.pulling import Pulling
from rmqgateway.commands.administering import (
    CloneOffset,
    ConsumeProgress,
    ConsumeTimeSpan,
    ConsumeTimeSpans,
    GetConsumeProgress,
    GetConsumerStatus,
    GetConsumeTimeSpans,
    QueueProgress,
    ResetOffset,
    ResetOffsets,
    SetConsumeMode,
)
from rmqgateway.commands.maintaining import (
    ConsumeProgresses,
    GetPollingInformation,
    GroupProgress,
    ListConsumeProgress,
    PollingInformation,
)
from rmqgateway.commands.pulling import OffsetOf
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageQueue
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.consuming import SetMessageRequestMode
from rmqgateway.wire.bodies.groups import (
    ConsumerStatusBody,
    ConsumeStats,
    ConsumeStatsList,
    QueryConsumeTimeSpanBody,
    ResetOffsetBody,
)
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["AdminProgress"]


class AdminProgress(Component):
    """See the module."""

    def __init__(self, core: Core, pulling: Pulling) -> None:
        super().__init__(core)
        self._pulling = pulling

    def handlers(self) -> Handlers:
        return {
            GetConsumeProgress: self.get_consume_progress,
            ListConsumeProgress: self.list_consume_progress,
            GetConsumeTimeSpans: self.get_consume_time_spans,
            ResetOffset: self.reset_offset,
            CloneOffset: self.clone_offset,
            GetConsumerStatus: self.get_consumer_status,
            SetConsumeMode: self.set_consume_mode,
            GetPollingInformation: self.get_polling_information,
        }

    # Looking.

    def get_consume_progress(self, context: Context, command: GetConsumeProgress) -> Deferred[ConsumeProgress]:
        return self.run(self._progress(context, command))

    async def _progress(self, context: Context, command: GetConsumeProgress) -> ConsumeProgress:
        ext = {"consumerGroup": command.group}
        if command.topic:
            ext["topic"] = command.topic
        queues: list[QueueProgress] = []
        rate = 0.0
        for _, address in self.core.routes.masters():
            answer = await self.core.ask(address, RequestCode.GET_CONSUME_STATS, dict(ext), context=context)
            stats = self.core.read(answer, ConsumeStats, "GET_CONSUME_STATS")
            rate += stats.consume_tps
            queues += _queues(stats)
        return ConsumeProgress(tuple(sorted(queues, key=lambda one: one.queue)), rate)

    def list_consume_progress(self, context: Context, command: ListConsumeProgress) -> Deferred[ConsumeProgresses]:
        return self.run(self._list_progress(context, command))

    async def _list_progress(self, context: Context, command: ListConsumeProgress) -> ConsumeProgresses:
        found: dict[tuple[str, str], list[QueueProgress]] = {}
        rates: dict[tuple[str, str], float] = {}
        ext = {"isOrder": "true" if command.ordered_only else "false"}
        for _, address in self.core.routes.masters():
            answer = await self.core.ask(address, RequestCode.GET_BROKER_CONSUME_STATS, dict(ext), context=context)
            for table in self.core.read(answer, ConsumeStatsList, "GET_BROKER_CONSUME_STATS").consume_stats_list:
                for group, several in table.items():
                    for stats in several:
                        for one in _queues(stats):
                            found.setdefault((group, one.queue.topic), []).append(one)
                        for topic in {queue.topic for queue in stats.offset_table}:
                            rates[group, topic] = rates.get((group, topic), 0.0) + stats.consume_tps
        return ConsumeProgresses(
            tuple(
                GroupProgress(
                    *key, ConsumeProgress(tuple(sorted(found[key], key=lambda one: one.queue)), rates.get(key, 0.0))
                )
                for key in sorted(found)
            )
        )

    def get_consume_time_spans(self, context: Context, command: GetConsumeTimeSpans) -> Deferred[ConsumeTimeSpans]:
        return self.run(self._time_spans(context, command))

    async def _time_spans(self, context: Context, command: GetConsumeTimeSpans) -> ConsumeTimeSpans:
        route = await self.core.routes.find(command.topic)
        spans: list[ConsumeTimeSpan] = []
        for name in route.names:
            answer = await self.core.ask(
                self.core.routes.master(name),
                RequestCode.QUERY_CONSUME_TIME_SPAN,
                {"topic": command.topic, "group": command.group},
                context=context,
            )
            body = self.core.read(answer, QueryConsumeTimeSpanBody, "QUERY_CONSUME_TIME_SPAN")
            spans += [
                ConsumeTimeSpan(
                    MessageQueue(one.message_queue.topic, one.message_queue.broker_name, one.message_queue.queue_id),
                    max(one.min_time_stamp, 0),
                    max(one.max_time_stamp, 0),
                    max(one.consume_time_stamp, 0),
                    max(one.delay_time, 0),
                )
                for one in body.consume_time_span_set
            ]
        return ConsumeTimeSpans(tuple(sorted(spans, key=lambda one: one.queue)))

    def get_polling_information(
        self, context: Context, command: GetPollingInformation
    ) -> Deferred[PollingInformation]:
        return self.run(self._polling_information(context, command))

    async def _polling_information(self, context: Context, command: GetPollingInformation) -> PollingInformation:
        route = await self.core.routes.find(command.topic)
        waiting = 0
        for name, _ in route.readable:
            ext = {
                "consumerGroup": command.group,
                "topic": command.topic,
                "queueId": str(command.queue_id),
                "bname": name,
            }
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.POLLING_INFO, ext, context=context
            )
            waiting += self.core.number(answer, "pollingNum", 0)
        return PollingInformation(waiting)

    # Moving.

    def reset_offset(self, context: Context, command: ResetOffset) -> Deferred[ResetOffsets]:
        if command.queue_id >= 0 and command.offset < 0 and command.timestamp < -1:
            raise GatewayError(Code.BAD_OFFSET, f"timestamp: expected -1 or more, got {command.timestamp}")
        return self.run(self._reset(context, command))

    async def _reset(self, context: Context, command: ResetOffset) -> ResetOffsets:
        route = await self.core.routes.find(command.topic)
        moved: list[tuple[MessageQueue, int]] = []
        for name, queues in route.readable:
            if command.queue_id >= queues:
                continue
            moved += await self._reset_at(context, command, name, queues)
        if not moved and command.queue_id >= 0:
            raise GatewayError(Code.BAD_OFFSET, f"topic {command.topic} has no queue {command.queue_id}")
        return ResetOffsets(tuple(sorted(moved)))

    async def _reset_at(
        self, context: Context, command: ResetOffset, name: str, queues: int
    ) -> list[tuple[MessageQueue, int]]:
        """By the broker, which tells the members; brokers of 4.x do so only while there are some."""
        ext = {
            "topic": command.topic,
            "group": command.group,
            "timestamp": str(command.timestamp),
            "isForce": "true" if command.force else "false",
            "queueId": str(command.queue_id),
            "bname": name,
        }
        if command.queue_id >= 0 and command.offset >= 0:
            ext["offset"] = str(command.offset)
        answer = await self.core.ask(
            self.core.routes.master(name),
            RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
            ext,
            context=context,
            also=(ResponseCode.CONSUMER_NOT_ONLINE, ResponseCode.SYSTEM_ERROR),
        )
        if answer.code == ResponseCode.SYSTEM_ERROR and "not exist" not in (answer.remark or ""):
            raise refusal(answer, "INVOKE_BROKER_TO_RESET_OFFSET")
        if not answer.code:
            table = self.core.read(answer, ResetOffsetBody, "INVOKE_BROKER_TO_RESET_OFFSET").offset_table
            return [
                (MessageQueue(queue.topic, queue.broker_name, queue.queue_id), offset) for queue, offset in table.items()
            ]
        moved = []
        for queue_id in range(queues) if command.queue_id < 0 else (command.queue_id,):
            offset = command.offset
            if command.queue_id < 0 or offset < 0:
                of = OffsetOf.MAX if command.timestamp < 0 else OffsetOf.TIMESTAMP
                offset = await self._pulling.offset(context, name, command.topic, queue_id, of, command.timestamp)
            now_at = await self._pulling.consumer_offset(context, name, command.group, command.topic, queue_id, False)
            if not command.force and now_at is not None and now_at < offset:
                offset = now_at
            await self._pulling.record_offset(context, name, command.group, command.topic, queue_id, offset)
            moved.append((MessageQueue(command.topic, name, queue_id), offset))
        return moved

    def clone_offset(self, context: Context, command: CloneOffset) -> Deferred[None]:
        return self.run(self._clone(context, command))

    async def _clone(self, context: Context, command: CloneOffset) -> None:
        ext = {
            "srcGroup": command.from_group,
            "destGroup": command.to_group,
            "topic": command.topic,
            "offline": "true" if command.offline_only else "false",
        }
        await all_of(
            self.core.ask(address, RequestCode.CLONE_GROUP_OFFSET, dict(ext), context=context)
            for _, address in self.core.routes.masters()
        )

    def get_consumer_status(self, context: Context, command: GetConsumerStatus) -> Deferred[ResetOffsets]:
        return self.run(self._consumer_status(context, command))

    async def _consumer_status(self, context: Context, command: GetConsumerStatus) -> ResetOffsets:
        route = await self.core.routes.find(command.topic)
        found: dict[MessageQueue, int] = {}
        for name in route.names:
            ext = {"topic": command.topic, "group": command.group, "bname": name}
            if command.client_id:
                ext["clientAddr"] = command.client_id
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, ext, context=context
            )
            body = self.core.read(answer, ConsumerStatusBody, "INVOKE_BROKER_TO_GET_CONSUMER_STATUS")
            for table in body.consumer_table.values():
                for queue, offset in table.items():
                    found[MessageQueue(queue.topic, queue.broker_name, queue.queue_id)] = offset
        return ResetOffsets(tuple(sorted(found.items())))

    def set_consume_mode(self, context: Context, command: SetConsumeMode) -> Deferred[None]:
        return self.run(self._set_consume_mode(context, command))

    async def _set_consume_mode(self, context: Context, command: SetConsumeMode) -> None:
        body = encode_body(
            SetMessageRequestMode(
                consumer_group=command.group,
                mode="POP" if command.pop else "PULL",
                pop_share_queue_num=command.pop_share_queues,
                topic=command.topic,
            )
        )
        await all_of(
            self.core.ask(address, RequestCode.SET_MESSAGE_REQUEST_MODE, {}, body, context=context)
            for _, address in self.core.routes.masters()
        )


def _queues(stats: ConsumeStats) -> list[QueueProgress]:
    return [
        QueueProgress(
            MessageQueue(queue.topic, queue.broker_name, queue.queue_id),
            offset.broker_offset,
            offset.consumer_offset,
            offset.pull_offset,
            max(offset.last_timestamp, 0),
        )
        for queue, offset in stats.offset_table.items()
    ]
