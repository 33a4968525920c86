"""How far consumer groups are, and moving them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from rmqgateway.backend.local import names
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.popping import Popping
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.relays import Relays
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.administering import (
    CloneOffset,
    ConsumeProgress,
    ConsumeTimeSpan,
    ConsumeTimeSpans,
    DeleteSubscription,
    GetConsumeProgress,
    GetConsumerStatus,
    GetConsumeTimeSpans,
    QueueProgress,
    RelayedAnswer,
    ResetOffset,
    ResetOffsets,
)
from rmqgateway.commands.maintaining import ConsumeProgresses, GroupProgress, ListConsumeProgress
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import OffsetsAsked, OffsetsReset
from rmqgateway.message import MessageQueue
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.groups import ConsumerStatusBody

__all__ = ["AdminProgress"]


class AdminProgress(Component):
    """Shows and moves consumer offsets."""

    def __init__(
        self,
        core: Core,
        topics: Topics,
        groups: Groups,
        clients: Clients,
        offsets: Offsets,
        popping: Popping,
        relays: Relays,
        statistics: Statistics,
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._clients = clients
        self._offsets = offsets
        self._popping = popping
        self._relays = relays
        self._statistics = statistics

    def handlers(self) -> Handlers:
        return {
            CloneOffset: self.clone_offset,
            DeleteSubscription: self.delete_subscription,
            GetConsumeProgress: self.get_consume_progress,
            GetConsumerStatus: self.get_consumer_status,
            ListConsumeProgress: self.list_consume_progress,
            GetConsumeTimeSpans: self.get_consume_time_spans,
            ResetOffset: self.reset_offset,
        }

    # Looking.

    def get_consume_progress(self, context: Context, command: GetConsumeProgress) -> ConsumeProgress:
        wanted = {command.topic} if command.topic else self._topics_of(command.group)
        found: list[QueueProgress] = []
        rate = 0.0
        for name in sorted(wanted):
            topic = self._topics.get(name)
            if topic is None:
                continue
            found += [self.of_queue(command.group, topic, queue_id) for queue_id in range(topic.read_queues)]
            rate += self._statistics.get_rate(command.group, name)
        return ConsumeProgress(tuple(found), rate)

    def list_consume_progress(self, context: Context, command: ListConsumeProgress) -> ConsumeProgresses:
        found = []
        for group in sorted({*self._groups.by_name, *self._clients.consumers}):
            for name in sorted(self._topics_of(group)):
                topic = self._topics.get(name)
                if topic is None or (command.ordered_only and not topic.config.order):
                    continue
                queues = [self.of_queue(group, topic, queue_id) for queue_id in range(topic.read_queues)]
                rate = self._statistics.get_rate(group, name)
                found.append(GroupProgress(group, name, ConsumeProgress(tuple(queues), rate)))
        return ConsumeProgresses(tuple(found))

    def _topics_of(self, name: str) -> set[str]:
        """What a group consumes: subscribed to, with offsets, or receiving at present."""
        group = self._clients.group(name)
        subscribed = () if group is None else group.subscriptions
        return {*subscribed, *self._offsets.topics_of(name), *self._clients.uses_of(name)}

    def of_queue(self, group: str, topic: Topic, queue_id: int) -> QueueProgress:
        """One queue; of a group that receives, everything not acknowledged counts as lag, in flight or not.

        What retention has dropped is no lag: nobody can consume it any more.
        """
        stored = topic.queue(queue_id).stored
        handed_out = max(self._offsets.get(group, topic.name, queue_id), stored.min_offset)
        in_flight = self._popping.in_flight(group, topic, queue_id)
        unsettled = self._popping.unsettled(group, topic, queue_id)
        last = stored.store_timestamp(handed_out - 1) if handed_out > stored.min_offset else 0
        return QueueProgress(
            MessageQueue(topic.name, self.core.settings.broker_name, queue_id),
            stored.max_offset,
            handed_out - unsettled,
            handed_out,
            max(last, 0),
            in_flight,
        )

    def get_consume_time_spans(self, context: Context, command: GetConsumeTimeSpans) -> ConsumeTimeSpans:
        topic = self._topics.find(command.topic)
        now = self.core.now_ms()
        spans = []
        for queue_id in range(topic.read_queues):
            stored = topic.queue(queue_id).stored
            empty = stored.max_offset == stored.min_offset
            offset = self._offsets.get(command.group, topic.name, queue_id)
            behind = 0 <= offset < stored.max_offset
            spans.append(
                ConsumeTimeSpan(
                    MessageQueue(topic.name, self.core.settings.broker_name, queue_id),
                    0 if empty else max(stored.store_timestamp(stored.min_offset), 0),
                    0 if empty else max(stored.store_timestamp(stored.max_offset - 1), 0),
                    max(stored.store_timestamp(offset - 1), 0) if offset > stored.min_offset else 0,
                    max(now - stored.store_timestamp(max(offset, stored.min_offset)), 0) if behind else 0,
                )
            )
        return ConsumeTimeSpans(tuple(spans))

    # Moving.

    def reset_offset(self, context: Context, command: ResetOffset) -> Deferred[ResetOffsets]:
        topic = self._topics.find(command.topic)
        if command.queue_id >= topic.read_queues:
            raise GatewayError(
                Code.BAD_OFFSET, f"queue id: expected less than {topic.read_queues}, got {command.queue_id}"
            )
        queue_ids = range(topic.read_queues) if command.queue_id < 0 else (command.queue_id,)
        moved: list[tuple[MessageQueue, int]] = []
        for queue_id in queue_ids:
            stored = topic.queue(queue_id).stored
            if command.queue_id >= 0 and command.offset >= 0:
                if not stored.min_offset <= command.offset <= stored.max_offset:
                    raise GatewayError(
                        Code.BAD_OFFSET,
                        f"expected an offset of {stored.min_offset} to {stored.max_offset}, got {command.offset}",
                    )
                offset = command.offset
            elif command.timestamp < 0:
                offset = stored.max_offset
            else:
                offset = stored.offset_by_time(command.timestamp)
            now_at = self._offsets.get(command.group, topic.name, queue_id)
            if not command.force and 0 <= now_at < offset:
                offset = now_at
            moved.append((MessageQueue(topic.name, self.core.settings.broker_name, queue_id), offset))
        for queue, offset in moved:
            self._offsets.record(command.group, topic.name, queue.queue_id, offset)
            self._popping.reset(command.group, topic, queue.queue_id, offset)
        reply = ResetOffsets(tuple(moved))
        self._tell(command, reply)
        return self._offsets.committed().addCallback(lambda _: reply)

    def _tell(self, command: ResetOffset, reply: ResetOffsets) -> None:
        """Running members go on from there; otherwise their next commit would undo it."""
        group = self._clients.group(command.group)
        if group is None:
            return
        event = OffsetsReset(command.group, command.topic, command.timestamp, command.force, reply.offsets)
        for session in {member.session.number: member.session for member in group.members.values()}.values():
            session.deliver(event)

    def clone_offset(self, context: Context, command: CloneOffset) -> Deferred[None]:
        topics = [command.topic] if command.topic else self._offsets.topics_of(command.from_group)
        if not self._offsets.topics_of(command.from_group):
            raise GatewayError(
                Code.GROUP_NOT_FOUND, f"consumer group {command.from_group[:300]!r} has no offsets to clone"
            )
        for topic in topics:
            for queue_id, offset in self._offsets.of(command.from_group, topic).items():
                self._offsets.record(command.to_group, topic, queue_id, offset)
        return self._offsets.committed()

    def delete_subscription(self, context: Context, command: DeleteSubscription) -> Any:
        topic = self._topics.find(command.topic)
        name = self._groups.existing(command.group).name
        group = self._clients.group(name)
        if topic.name in self._clients.uses_of(name) or (group is not None and topic.name in group.subscriptions):
            raise GatewayError(
                Code.BAD_REQUEST,
                f"members of consumer group {name} that subscribe to topic {topic.name} are connected: they are to go first",
            )
        self._offsets.forget(name, topic.name)
        self._popping.forget(name, topic)
        # Its own retry topics go with it; that of pulls holds other topics' messages as well.
        retries = [names.pop_retry_topic(name, topic.name, version) for version in (1, 2)]
        done: list[Deferred[None]] = [self._topics.delete(retry) for retry in retries]
        done.append(self._offsets.committed())
        return gatherResults(done, consumeErrors=True).addCallbacks(
            lambda _: None, lambda failure: failure.value.subFailure
        )

    def get_consumer_status(self, context: Context, command: GetConsumerStatus) -> Any:
        """Ask the one client named, or the first member of the group."""
        group = self._clients.group(command.group)
        members = [] if group is None else list(group.members.values())
        if command.client_id:
            members = [member for member in members if member.client_id == command.client_id]
        if not members:
            raise GatewayError(
                Code.CLIENT_NOT_FOUND,
                f"no such member of consumer group {command.group[:300]!r} is connected",
            )
        asked = self._relays.questions.ask(
            members[0].session, lambda relay_id: OffsetsAsked(relay_id, command.group, command.topic)
        )
        return asked.addCallback(_offsets_in)


def _offsets_in(answer: RelayedAnswer) -> ResetOffsets:
    try:
        body = decode_body(answer.body, ConsumerStatusBody)
    except WireError as error:
        raise GatewayError(Code.INTERNAL, f"the client's answer cannot be read: {error.message}") from None
    return ResetOffsets(
        tuple(
            (MessageQueue(queue.topic, queue.broker_name, queue.queue_id), at)
            for queue, at in body.message_queue_table.items()
        )
    )
