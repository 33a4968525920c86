"""Consumers that keep their own place: PullMessages with long polls, QueryOffset.

What a pull finds follows ``DefaultMessageStore.getMessage`` and ``PullMessageProcessor`` of 5.5.0.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.filters import CompiledFilter, compile_filter
from rmqgateway.backend.local.forbidden import Forbidden
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.queues import Queue
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.waits import Wait, Waits
from rmqgateway.commands.administering import GroupConfig
from rmqgateway.commands.clients import ConsumeMode, MessageModel
from rmqgateway.commands.pulling import (
    Offset,
    OffsetOf,
    PulledMessages,
    PullMessages,
    PullStatus,
    QueryOffset,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.stored_message import queue_offset

__all__ = ["Pulling"]

_NOTHING = PullStatus.NO_NEW_MESSAGE
_FOUND = PullStatus.FOUND


class Pulling(Component):
    """Serves pulling consumers."""

    def __init__(
        self,
        core: Core,
        topics: Topics,
        groups: Groups,
        clients: Clients,
        offsets: Offsets,
        waits: Waits,
        statistics: Statistics,
        forbidden: Forbidden,
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._forbidden = forbidden
        self._clients = clients
        self._offsets = offsets
        self._waits = waits
        self._statistics = statistics
        settings = core.settings
        self._max_messages = settings.pull_max_messages
        self._max_bytes = settings.pull_max_bytes
        self._max_scan = settings.pull_max_scan
        self._max_wait = settings.long_poll_max_ms

    def handlers(self) -> Handlers:
        return {PullMessages: self.pull_messages, QueryOffset: self.query_offset}

    def pull_messages(
        self, context: Context, command: PullMessages
    ) -> PulledMessages | Deferred[PulledMessages]:
        group = self._groups.by_name.get(command.group) or self._groups.find(command.group)
        refusal = self.refusal(command, group)
        if refusal is not None:
            raise refusal
        topic = self._topics.get(command.topic) or self._topics.find(command.topic)
        if not topic.readable:
            raise GatewayError(Code.TOPIC_NOT_READABLE, f"topic {topic.name} cannot be read (permission)")
        if not 0 <= command.queue_id < topic.read_queues:
            raise GatewayError(
                Code.BAD_OFFSET,
                f"topic {topic.name}: expected a queue id below {topic.read_queues}, got {command.queue_id}",
            )
        wanted = command.filter
        chosen = self._subscribed(command, group) if wanted is None else compile_filter(wanted)
        self._clients.use(command.group, command.topic, context.session, ConsumeMode.PULL)
        queue = topic.queue(command.queue_id)
        if command.commit_offset >= 0:
            self._offsets.record(command.group, command.topic, command.queue_id, command.commit_offset)
        reply = self._read(queue, command, command.offset, chosen)
        if reply.status is _NOTHING and command.wait_ms > 0:
            return _LongPoll(self, context, command, queue, chosen, reply).deferred
        return reply

    def query_offset(self, context: Context, command: QueryOffset) -> Offset:
        queue = self._topics.find(command.topic).queue(command.queue_id)
        stored = queue.stored
        of = command.of
        if of is OffsetOf.MAX:
            return Offset(stored.max_offset)
        if of is OffsetOf.MIN:
            return Offset(stored.min_offset)
        if of is OffsetOf.EARLIEST_STORE_TIME:
            return Offset(stored.store_timestamp(stored.min_offset))
        return Offset(stored.offset_by_time(command.timestamp, of is OffsetOf.TIMESTAMP))

    # Inside

    def refusal(self, command: PullMessages, group: GroupConfig) -> GatewayError | None:
        """Why a group may not consume at all, or not from this topic.

        The latter is said, as by a real broker, of pulls by the announced subscription.
        """
        if not group.consume_enable:
            return GatewayError(Code.GROUP_DISABLED, f"consumer group {group.name} may not consume (consumeEnable)")
        if command.filter is None and not self._forbidden.may_read(command.group, command.topic):
            return GatewayError(
                Code.GROUP_DISABLED, f"the consumer group[{group.name}] is forbidden for topic[{command.topic}]"
            )
        return None

    def _subscribed(self, command: PullMessages, group: GroupConfig) -> CompiledFilter | None:
        """The filter that the group's heartbeat announced."""
        members = self._clients.group(group.name)
        if members is None:
            raise GatewayError(
                Code.SUBSCRIPTION_INCONSISTENT,
                f"no member of consumer group {group.name} is known; a heartbeat comes first",
            )
        if members.newest.model is MessageModel.BROADCASTING and not group.consume_broadcast_enable:
            raise GatewayError(
                Code.GROUP_DISABLED, f"consumer group {group.name} may not broadcast (consumeBroadcastEnable)"
            )
        subscribed = members.subscriptions.get(command.topic)
        if subscribed is None:
            raise GatewayError(
                Code.SUBSCRIPTION_INCONSISTENT,
                f"consumer group {group.name} has not subscribed to topic {command.topic}",
            )
        if subscribed.version < command.subscription_version:
            raise GatewayError(
                Code.SUBSCRIPTION_INCONSISTENT,
                f"the subscription of group {group.name} to {command.topic} is older here than the client's",
            )
        return compile_filter(subscribed.filter)

    def _read(
        self, queue: Queue, command: PullMessages, offset: int, chosen: CompiledFilter | None
    ) -> PulledMessages:
        stored = queue.stored
        minimum, maximum = stored.min_offset, stored.max_offset
        if offset == maximum:
            return PulledMessages(_NOTHING, offset, minimum, maximum)
        if not minimum <= offset < maximum:
            return PulledMessages(
                PullStatus.OFFSET_MOVED, minimum if offset < minimum else maximum, minimum, maximum
            )
        count = min(max(command.max_messages, 1), self._max_messages)
        size = command.max_bytes
        if not 0 < size < self._max_bytes:
            size = self._max_bytes
        if chosen is None:
            messages = stored.read(offset, count, size)
            # A damaged record is left out by the store: the last message tells where we are.
            following = queue_offset(messages[-1]) + 1 if messages else min(offset + count, maximum)
        else:
            messages, following = self._scan(queue, offset, count, size, chosen)
        if not messages:
            return PulledMessages(PullStatus.NO_MATCHED_MESSAGE, following, minimum, maximum)
        taken = sum(map(len, messages))
        topic = queue.topic
        topic.get_messages += len(messages)
        topic.get_bytes += taken
        self._statistics.got(command.group, topic.name, len(messages), taken)
        return PulledMessages(_FOUND, following, minimum, maximum, tuple(messages))

    def _scan(
        self, queue: Queue, offset: int, count: int, size: int, chosen: CompiledFilter
    ) -> tuple[list[bytes], int]:
        """Messages from `offset` on that pass, and the offset after the last that was looked at."""
        stored = queue.stored
        found: list[bytes] = []
        end = min(offset + self._max_scan, stored.max_offset)
        while offset < end and len(found) < count:
            messages = stored.read(offset, min(64, end - offset), self._max_bytes)
            if not messages:
                offset = min(offset + 64, end)
                continue
            for message in messages:
                if chosen.matches(message):
                    if found and size < len(message):
                        return found, queue_offset(message)
                    found.append(message)
                    size -= len(message)
                    if len(found) == count:
                        return found, queue_offset(message) + 1
            offset = queue_offset(messages[-1]) + 1
        return found, offset


class _LongPoll:
    """A pull that waits. Woken without finding anything that passes its filter, it goes on waiting where it has looked."""

    __slots__ = ("_chosen", "_command", "_last", "_pulling", "_queue", "_wait", "deferred")

    def __init__(
        self,
        pulling: Pulling,
        context: Context,
        command: PullMessages,
        queue: Queue,
        chosen: CompiledFilter | None,
        nothing: PulledMessages,
    ) -> None:
        self._pulling = pulling
        self._command = command
        self._queue = queue
        self._chosen = chosen
        self._last = nothing
        self.deferred: Deferred[PulledMessages] = Deferred(self._cancelled)
        wait_ms = min(command.wait_ms, pulling._max_wait)
        self._wait: Wait = pulling._waits.add((queue,), wait_ms, context.session, self._wake, self._end)
        queue.watch()

    def _wake(self) -> bool:
        queue, last = self._queue, self._last
        if queue.stored.max_offset <= last.next_offset:
            return False
        pulling, command = self._pulling, self._command
        group = pulling._groups.by_name.get(command.group)
        refusal = None if group is None else pulling.refusal(command, group)
        if refusal is not None:  # paused while it waited
            self.deferred.errback(refusal)
            return True
        reply = pulling._read(queue, command, last.next_offset, self._chosen)
        if reply.status is PullStatus.NO_MATCHED_MESSAGE:
            self._last = reply
            # More was looked over than one pull may: let the client come again instead of scanning on here.
            if reply.next_offset < queue.stored.max_offset:
                self.deferred.callback(reply)
                return True
            return False
        self.deferred.callback(reply)
        return True

    def _end(self, reason: str) -> None:
        if reason == "timeout":
            self.deferred.callback(self._last)
        elif reason == "topic":
            self.deferred.errback(
                GatewayError(Code.TOPIC_NOT_FOUND, f"topic {self._command.topic} was deleted")
            )
        elif reason == "stopped":
            self.deferred.errback(GatewayError(Code.SHUTTING_DOWN, "the backend is stopping"))
        else:
            self.deferred.errback(GatewayError(Code.CANCELLED, "the client has gone"))

    def _cancelled(self, deferred: Deferred[PulledMessages]) -> None:
        self._wait.leave()
