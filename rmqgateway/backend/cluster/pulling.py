"""Consumers that keep their own place: pulls, offsets, locks, and giving back."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.cluster.finding import Finder
from rmqgateway.backend.local.filters import compile_filter
from rmqgateway.commands import Action
from rmqgateway.commands.producing import SendBack
from rmqgateway.commands.pulling import (
    ConsumerOffset,
    GetConsumerOffset,
    LockedQueues,
    LockQueues,
    Offset,
    OffsetOf,
    PulledMessages,
    PullMessages,
    PullStatus,
    QueryOffset,
    UnlockQueues,
    UpdateConsumerOffset,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import TAG_ALL, Filter, FilterType, MessageQueue
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.common import MessageQueue as QueueBody
from rmqgateway.wire.bodies.consuming import LockBatchRequest, LockBatchResponse, UnlockBatchRequest
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["Pulling"]

_STATUS = {
    0: PullStatus.FOUND,
    int(ResponseCode.PULL_NOT_FOUND): PullStatus.NO_NEW_MESSAGE,
    int(ResponseCode.PULL_RETRY_IMMEDIATELY): PullStatus.NO_MATCHED_MESSAGE,
    int(ResponseCode.PULL_OFFSET_MOVED): PullStatus.OFFSET_MOVED,
}
_COMMIT, _SUSPEND, _SUBSCRIPTION = 1, 2, 4
_MAX_MESSAGES = 1024
_OFFSETS = {
    OffsetOf.MIN: RequestCode.GET_MIN_OFFSET,
    OffsetOf.MAX: RequestCode.GET_MAX_OFFSET,
    OffsetOf.TIMESTAMP: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
    OffsetOf.TIMESTAMP_UPPER: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
    OffsetOf.EARLIEST_STORE_TIME: RequestCode.GET_EARLIEST_MSG_STORETIME,
}


class Pulling(Component):
    """See the module."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.finder = Finder(core)

    def handlers(self) -> Handlers:
        return {
            PullMessages: self.pull,
            QueryOffset: self.query_offset,
            GetConsumerOffset: self.get_consumer_offset,
            UpdateConsumerOffset: self.update_consumer_offset,
            LockQueues: self.lock_queues,
            UnlockQueues: self.unlock_queues,
            SendBack: self.send_back,
        }

    async def place(self, topic: str, queue_id: int, broker_name: str) -> str:
        """The broker of a queue. :raise GatewayError: BAD_OFFSET: there is no such queue, or BAD_REQUEST: there are several."""
        route = await self.core.routes.find(topic)
        counts = {queues.broker_name: max(queues.read_queues, queues.write_queues) for queues in route.route.queues}
        names = [name for name in route.names if 0 <= queue_id < counts.get(name, 0)]
        if broker_name:
            names = [name for name in names if name == broker_name]
        if not names:
            at = f" of broker {broker_name[:200]!r}" if broker_name else ""
            raise GatewayError(Code.BAD_OFFSET, f"topic {topic} has no queue {queue_id}{at}")
        if len(names) > 1:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"topic {topic} has a queue {queue_id} at each of the brokers {', '.join(names)}: name the broker",
            )
        return names[0]

    # Pulling.

    def pull(self, context: Context, command: PullMessages) -> Deferred[PulledMessages]:
        return self.run(self._pull(context, command))

    async def _pull(self, context: Context, command: PullMessages) -> PulledMessages:
        name = await self.place(command.topic, command.queue_id, command.broker_name)
        wait_ms = min(max(command.wait_ms, 0), self.core.settings.long_poll_max_ms)
        return await self.pull_from(
            context,
            name,
            command.group,
            command.topic,
            command.queue_id,
            command.offset,
            command.max_messages,
            command.max_bytes,
            wait_ms,
            command.filter or TAG_ALL,
            command.commit_offset,
            command.subscription_version,
        )

    async def pull_from(
        self,
        context: Context | None,
        name: str,
        group: str,
        topic: str,
        queue_id: int,
        offset: int,
        max_messages: int,
        max_bytes: int,
        wait_ms: int,
        wanted: Filter,
        commit_offset: int = -1,
        version: int = 0,
    ) -> PulledMessages:
        """One pull from a broker that is known: its master, or a slave while that is away."""
        flags = _SUBSCRIPTION | (_SUSPEND if wait_ms > 0 else 0) | (_COMMIT if commit_offset >= 0 else 0)
        ext = {
            "consumerGroup": group,
            "topic": topic,
            "queueId": str(queue_id),
            "queueOffset": str(offset),
            "maxMsgNums": str(min(max(max_messages, 1), _MAX_MESSAGES)),
            "sysFlag": str(flags),
            "commitOffset": str(max(commit_offset, 0)),
            "suspendTimeoutMillis": str(wait_ms),
            "subscription": wanted.expression,
            "subVersion": str(version),
            "expressionType": wanted.type.value,
            "bname": name,
        }
        if max_bytes > 0:
            ext["maxMsgBytes"] = str(max_bytes)
        answer = await self.core.ask(
            self.core.routes.reading(name),
            RequestCode.PULL_MESSAGE,
            ext,
            context=context,
            timeout_s=wait_ms / 1000 + self.core.settings.request_s,
            also=_STATUS,
        )
        status = _STATUS[answer.code]
        messages: list[bytes] = []
        if status is PullStatus.FOUND:
            body = answer.body
            try:
                messages = [body[at : at + size] for at, size in stored_message.message_sizes(body, 100_000)]
            except WireError as error:
                raise GatewayError(Code.UPSTREAM_ERROR, f"broker {name}: {error.message}") from None
            if wanted.type is FilterType.TAG:
                # Brokers compare hashes of tags.
                compiled = compile_filter(wanted)
                if compiled is not None:
                    messages = [message for message in messages if compiled.matches(message)]
                    if not messages:
                        status = PullStatus.NO_MATCHED_MESSAGE
        number = self.core.number
        return PulledMessages(
            status,
            number(answer, "nextBeginOffset", offset),
            number(answer, "minOffset", 0),
            number(answer, "maxOffset", 0),
            tuple(messages),
        )

    # Offsets.

    def query_offset(self, context: Context, command: QueryOffset) -> Deferred[Offset]:
        return self.run(self._query_offset(context, command))

    async def _query_offset(self, context: Context, command: QueryOffset) -> Offset:
        name = await self.place(command.topic, command.queue_id, command.broker_name)
        return Offset(await self.offset(context, name, command.topic, command.queue_id, command.of, command.timestamp))

    async def offset(
        self, context: Context | None, name: str, topic: str, queue_id: int, of: OffsetOf, timestamp: int = 0
    ) -> int:
        """An offset of a queue at a broker."""
        ext = {"topic": topic, "queueId": str(queue_id), "bname": name}
        if of is OffsetOf.MAX:
            ext["committed"] = "true"
        elif of in (OffsetOf.TIMESTAMP, OffsetOf.TIMESTAMP_UPPER):
            ext["timestamp"] = str(timestamp)
            ext["boundaryType"] = "UPPER" if of is OffsetOf.TIMESTAMP_UPPER else "LOWER"
        answer = await self.core.ask(self.core.routes.reading(name), _OFFSETS[of], ext, context=context)
        return self.core.number(answer, "timestamp" if of is OffsetOf.EARLIEST_STORE_TIME else "offset")

    def get_consumer_offset(self, context: Context, command: GetConsumerOffset) -> Deferred[ConsumerOffset]:
        return self.run(self._get_consumer_offset(context, command))

    async def _get_consumer_offset(self, context: Context, command: GetConsumerOffset) -> ConsumerOffset:
        name = await self.place(command.topic, command.queue_id, command.broker_name)
        found = await self.consumer_offset(
            context, name, command.group, command.topic, command.queue_id, command.zero_if_new
        )
        if found is None:
            raise GatewayError(
                Code.OFFSET_NOT_FOUND, f"group {command.group} has no offset of queue {command.queue_id} of {command.topic}"
            )
        return ConsumerOffset(found)

    async def consumer_offset(
        self, context: Context | None, name: str, group: str, topic: str, queue_id: int, zero_if_new: bool
    ) -> int | None:
        """Where a group is in a queue; None: nowhere yet."""
        ext = {"consumerGroup": group, "topic": topic, "queueId": str(queue_id), "bname": name}
        if not zero_if_new:
            ext["setZeroIfNotFound"] = "false"
        answer = await self.core.ask(
            self.core.routes.reading(name),
            RequestCode.QUERY_CONSUMER_OFFSET,
            ext,
            context=context,
            also=(ResponseCode.QUERY_NOT_FOUND,),
        )
        return None if answer.code else self.core.number(answer, "offset")

    def update_consumer_offset(self, context: Context, command: UpdateConsumerOffset) -> Deferred[None]:
        return self.run(self._update_consumer_offset(context, command))

    async def _update_consumer_offset(self, context: Context, command: UpdateConsumerOffset) -> None:
        if command.offset < 0:
            raise GatewayError(Code.BAD_OFFSET, f"offset: expected 0 or more, got {command.offset}")
        name = await self.place(command.topic, command.queue_id, command.broker_name)
        await self.record_offset(context, name, command.group, command.topic, command.queue_id, command.offset)

    async def record_offset(
        self, context: Context | None, name: str, group: str, topic: str, queue_id: int, offset: int
    ) -> None:
        """Record where a group is in a queue."""
        ext = {
            "consumerGroup": group,
            "topic": topic,
            "queueId": str(queue_id),
            "commitOffset": str(offset),
            "bname": name,
        }
        await self.core.ask(
            self.core.routes.reading(name), RequestCode.UPDATE_CONSUMER_OFFSET, ext, context=context
        )

    # Locks.

    def lock_queues(self, context: Context, command: LockQueues) -> Deferred[LockedQueues]:
        return self.run(self._lock_queues(context, command))

    async def _lock_queues(self, context: Context, command: LockQueues) -> LockedQueues:
        locked: list[MessageQueue] = []
        for name, queues in _by_broker(command.queues).items():
            body = encode_body(
                LockBatchRequest(client_id=command.client_id, consumer_group=command.group, mq_set=queues)
            )
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.LOCK_BATCH_MQ, {"bname": name}, body, context=context
            )
            told = self.core.read(answer, LockBatchResponse, "LOCK_BATCH_MQ").lock_ok_mq_set
            locked += [MessageQueue(queue.topic, queue.broker_name, queue.queue_id) for queue in told]
        return LockedQueues(tuple(queue for queue in command.queues if queue in set(locked)))

    def unlock_queues(self, context: Context, command: UnlockQueues) -> Deferred[None]:
        return self.run(self._unlock_queues(context, command))

    async def _unlock_queues(self, context: Context, command: UnlockQueues) -> None:
        await all_of(
            self.core.ask(
                self.core.routes.master(name),
                RequestCode.UNLOCK_BATCH_MQ,
                {"bname": name},
                encode_body(UnlockBatchRequest(client_id=command.client_id, consumer_group=command.group, mq_set=queues)),
                context=context,
            )
            for name, queues in _by_broker(command.queues).items()
        )

    # Giving back.

    def send_back(self, context: Context, command: SendBack) -> Deferred[None]:
        return self.run(self._send_back(context, command))

    async def _send_back(self, context: Context, command: SendBack) -> None:
        name = await self.finder.broker(
            context, command.physical_offset, command.broker_name, command.message_id, command.topic
        )
        if context.guard is not None:
            # The retry topic is read by the group: only what its members may read goes there.
            message = await self.finder.message(context, command.physical_offset, name)
            came_from = stored_message.topic(message).decode("utf-8", "replace")
            context.require_topic(came_from, command.group, (Action.SUB,))
        ext = {
            "offset": str(command.physical_offset),
            "group": command.group,
            "delayLevel": str(command.delay_level),
            "originMsgId": command.message_id,
            "originTopic": command.topic,
            "unitMode": "false",
            "bname": name,
        }
        if command.max_reconsume_times >= 0:
            ext["maxReconsumeTimes"] = str(command.max_reconsume_times)
        await self.core.ask(
            self.core.routes.master(name), RequestCode.CONSUMER_SEND_MSG_BACK, ext, context=context
        )


def _by_broker(queues: tuple[MessageQueue, ...]) -> dict[str, list[QueueBody]]:
    found: dict[str, list[QueueBody]] = {}
    for queue in queues:
        body = QueueBody(broker_name=queue.broker_name, queue_id=queue.queue_id, topic=queue.topic)
        found.setdefault(queue.broker_name, []).append(body)
    return found
