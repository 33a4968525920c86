"""Receiving from brokers that know no pop (before 5.0): the gateway is a member of the group and pulls.

It shares the queues with the group's other members, other gateways among them, by RocketMQ's own rebalance. What is in flight
is kept here, not at the broker: a handle is good at this gateway only, and a message that nobody acknowledged comes again
from memory, its attempts counted, until it goes to the dead-letter queue. The group's offset never passes a message that is
not acknowledged, so that whoever takes a queue over begins there.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from rmqgateway.backend.cluster.component import Component, Core
from rmqgateway.backend.cluster.handles import make_handle, read_handle
from rmqgateway.backend.cluster.members import Members
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.cluster.pulling import Pulling
from rmqgateway.commands.popping import ChangedInvisibleDuration, InitMode, ReceivedMessage, ReceivedMessages
from rmqgateway.commands.pulling import OffsetOf, PullStatus
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.request_codes import RequestCode

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.commands.popping import ReceiveMessages
    from rmqgateway.context import Context

__all__ = ["Pulled"]

log = Logger(namespace="rmqgateway.cluster")

#: Messages of one queue that are in memory, delivered or not, and their bytes.
_MAX_HELD = 1000
_MAX_BYTES = 16 * 1024 * 1024
#: How many groups and topics are consumed so at a time.
_MAX_CONSUMED = 1000
_BATCH = 32
#: One pull waits so long, in ms; after a failure so many seconds pass.
_WAIT_MS = 15_000
_PAUSE = 1.0
#: Members are counted again so often, in seconds; nobody received for the second time: the group is left.
_REBALANCE = 20.0
_IDLE = 60.0
#: So long a receive that does not wait is given for its first pull, in seconds.
_MOMENT = 0.5
_OWN = "P@"


class _Held:
    """A message in memory. :ivar visible_at: when it may be delivered (again), ms. :ivar serial: of its newest handle.

    :ivar before: attempts of another group, which gave it up: this one has one at least.
    """

    __slots__ = ("attempt", "before", "message", "offset", "serial", "visible_at")

    def __init__(self, message: bytes, offset: int) -> None:
        self.message = message
        self.offset = offset
        self.visible_at = 0
        self.attempt = self.before = stored_message.reconsume_times(message)
        self.serial = 0


class _Queue:
    """A queue that this gateway has its share of."""

    def __init__(self, broker: str, queue_id: int) -> None:
        self.broker = broker
        self.queue_id = queue_id
        self.next_offset = -1
        self.committed = -1
        #: Everything not acknowledged, in order of offsets.
        self.held: dict[int, _Held] = {}
        #: Serial -> offset of what was acknowledged last: to say so twice is fine.
        self.settled: dict[int, int] = {}
        self.size = 0
        self.pulling: Deferred[None] | None = None
        self.gone = False

    @property
    def done(self) -> int:
        """Everything before this offset is acknowledged."""
        return next(iter(self.held), self.next_offset)


class _Consumed:
    """A group and topic. :ivar waiting: who waits for messages."""

    def __init__(self, command: ReceiveMessages, now: float) -> None:
        self.group = command.group
        self.topic = command.topic
        self.filter = command.filter
        self.init_mode = command.init_mode
        self.queues: dict[tuple[str, int], _Queue] = {}
        self.waiting: deque[Deferred[None]] = deque()
        self.received_at = now
        self.balanced_at = float("-inf")
        self.balancing: Deferred[None] | None = None


class Pulled(Component):
    """See the module."""

    def __init__(self, core: Core, metadata: Metadata, members: Members, pulling: Pulling) -> None:
        super().__init__(core)
        self._metadata = metadata
        self._members = members
        self._pulling = pulling
        self._consumed: dict[tuple[str, str], _Consumed] = {}
        self._instance = _OWN + os.urandom(6).hex()
        self._serial = 0
        self._stopping = False

    def start(self) -> None:
        self.every(1.0, self._look)

    def stop(self) -> None:
        self._stopping = True
        for consumed in list(self._consumed.values()):
            self._leave(consumed)

    def is_mine(self, text: str) -> bool:
        """Whether a handle is of such a message. :raise GatewayError: BAD_RECEIPT_HANDLE: of another gateway."""
        at = text.rfind(" " + _OWN)
        if at < 0:
            return False
        if text[at + 1 :] != self._instance:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                "the message was received at another gateway, or before this one started: brokers before RocketMQ 5.0 know no"
                " pop, and only who received a message there can settle it",
            )
        return True

    # Receiving.

    async def receive(
        self, context: Context, command: ReceiveMessages, name: str, wait_ms: int, limit: int
    ) -> ReceivedMessages | None:
        """Messages of the queues that are this gateway's share, waiting for some; None: nothing came."""
        consumed = await self._consume(command)
        seconds = self.core.reactor.seconds
        deadline = seconds() + wait_ms / 1000
        order = command.fifo
        if order is None:
            order = (await self._metadata.group(command.group)).consume_message_orderly
        first = True
        while True:
            consumed.received_at = seconds()
            messages = self._take(context, consumed, command, order, limit)
            if messages:
                return ReceivedMessages(tuple(messages), self.core.now_ms(), command.invisible_ms)
            began = self._pull_all(consumed)
            left = deadline - seconds()
            if left <= 0 and not (began and first):
                return None
            # What is there already is worth a moment, also for those who do not wait.
            await self._wait(consumed, min(max(left, _MOMENT if first else 0.0), 1.0))
            first = False

    async def _consume(self, command: ReceiveMessages) -> _Consumed:
        key = (command.group, command.topic)
        consumed = self._consumed.get(key)
        if consumed is None:
            if len(self._consumed) >= _MAX_CONSUMED:
                raise GatewayError(
                    Code.TOO_MANY_REQUESTS, f"{_MAX_CONSUMED} groups consume by pull here, no more are taken", retry_after=5.0
                )
            consumed = self._consumed[key] = _Consumed(command, self.core.reactor.seconds())
        elif consumed.filter != command.filter:
            raise GatewayError(
                Code.SUBSCRIPTION_INCONSISTENT,
                f"group {command.group} consumes topic {command.topic} by {consumed.filter.expression[:200]!r}: its members must"
                " have one filter",
            )
        joined = self._members.join_as_consumer(command.group, command.topic, command.filter)
        if joined is not None:
            await joined
        if consumed.balanced_at == float("-inf"):
            await self._balance(consumed)
        return consumed

    async def _wait(self, consumed: _Consumed, seconds: float) -> None:
        waiter: Deferred[None] = Deferred()
        consumed.waiting.append(waiter)
        timer = self.core.reactor.callLater(seconds, waiter.callback, None)
        try:
            await waiter
        finally:
            if timer.active():
                timer.cancel()
            if waiter in consumed.waiting:
                consumed.waiting.remove(waiter)

    def _take(
        self, context: Context, consumed: _Consumed, command: ReceiveMessages, order: bool, limit: int
    ) -> list[ReceivedMessage]:
        now = self.core.now_ms()
        taken: list[ReceivedMessage] = []
        size = 0
        wanted = min(command.max_messages, _BATCH)
        for queue in list(consumed.queues.values()):
            if command.queue_id >= 0 and queue.queue_id != command.queue_id:
                continue
            for held in list(queue.held.values()):
                if len(taken) >= wanted or (command.max_bytes and taken and size >= command.max_bytes):
                    return taken
                if held.visible_at > now:
                    if order:
                        break  # what comes later waits for it
                    continue
                if held.attempt > held.before and held.attempt >= limit:
                    held.visible_at = now + 10_000
                    self.background(self._bury(context, consumed, queue, held), "dead-lettering a message")
                    if order:
                        break
                    continue
                held.attempt += 1
                held.visible_at = now + command.invisible_ms
                taken.append(ReceivedMessage(held.message, self._handle(queue, held, now, command.invisible_ms), held.attempt))
                size += len(held.message)
        return taken

    def _handle(self, queue: _Queue, held: _Held, now: int, invisible_ms: int) -> str:
        self._serial = held.serial = self._serial + 1
        return make_handle(
            held.serial,
            now,
            invisible_ms,
            0,
            "0",
            queue.broker,
            queue.queue_id,
            held.offset,
            stored_message.physical_offset(held.message),
            self._instance,
        )

    # Settling.

    def _find(self, group: str, topic: str, text: str) -> tuple[_Consumed, _Queue, _Held]:
        handle = read_handle(text)
        consumed = self._consumed.get((group, topic))
        queue = None if consumed is None else consumed.queues.get((handle.broker_name, handle.queue_id))
        held = None if queue is None else queue.held.get(handle.offset)
        if consumed is None or queue is None or held is None or held.serial != handle.start_offset:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                "the message is acknowledged, was received again, or its queue belongs to another member now",
            )
        return consumed, queue, held

    async def acknowledge(self, context: Context, group: str, topic: str, text: str) -> None:
        """Acknowledge a message. :raise GatewayError: BAD_RECEIPT_HANDLE."""
        if self._is_settled(group, topic, text):
            return
        consumed, queue, held = self._find(group, topic, text)
        await self._done(consumed, queue, held)

    def _is_settled(self, group: str, topic: str, text: str) -> bool:
        handle = read_handle(text)
        consumed = self._consumed.get((group, topic))
        queue = None if consumed is None else consumed.queues.get((handle.broker_name, handle.queue_id))
        return queue is not None and queue.settled.get(handle.start_offset) == handle.offset

    async def change(
        self, context: Context, group: str, topic: str, text: str, invisible_ms: int
    ) -> ChangedInvisibleDuration:
        """See `ChangeInvisibleDuration`."""
        consumed, queue, held = self._find(group, topic, text)
        now = self.core.now_ms()
        held.visible_at = now + invisible_ms
        handle = self._handle(queue, held, now, invisible_ms)
        if not invisible_ms:
            self._wake(consumed)
        return ChangedInvisibleDuration(handle, now, invisible_ms)

    async def forward(self, context: Context, group: str, topic: str, text: str) -> None:
        """See `ForwardToDeadLetterQueue`."""
        await self._bury(context, *self._find(group, topic, text))

    async def _bury(self, context: Context, consumed: _Consumed, queue: _Queue, held: _Held) -> None:
        ext = {
            "offset": str(stored_message.physical_offset(held.message)),
            "group": consumed.group,
            "delayLevel": "-1",
            "originMsgId": "",
            "originTopic": consumed.topic,
            "unitMode": "false",
            "maxReconsumeTimes": "0",
        }
        address = self.core.routes.master(queue.broker)
        await self.core.ask(address, RequestCode.CONSUMER_SEND_MSG_BACK, ext, context=context)
        await self._done(consumed, queue, held)

    async def _done(self, consumed: _Consumed, queue: _Queue, held: _Held) -> None:
        if queue.held.pop(held.offset, None) is None:
            return
        queue.settled[held.serial] = held.offset
        if len(queue.settled) > _MAX_HELD:
            del queue.settled[next(iter(queue.settled))]
        queue.size -= len(held.message)
        await self._commit(consumed, queue)
        self._wake(consumed)

    async def _commit(self, consumed: _Consumed, queue: _Queue) -> None:
        offset = queue.done
        if offset > queue.committed and not queue.gone:
            before, queue.committed = queue.committed, offset
            try:
                await self._pulling.record_offset(
                    None, queue.broker, consumed.group, consumed.topic, queue.queue_id, offset
                )
            except GatewayError:
                queue.committed = min(queue.committed, before)
                raise

    # Pulling.

    def _pull_all(self, consumed: _Consumed) -> bool:
        """Pull every queue that is not being pulled; say whether one was not."""
        began = False
        for queue in consumed.queues.values():
            if queue.pulling is None and not queue.gone and len(queue.held) < _MAX_HELD and queue.size < _MAX_BYTES:
                began = True
                pulling = queue.pulling = self.run(self._pull(consumed, queue))
                pulling.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return began

    async def _pull(self, consumed: _Consumed, queue: _Queue) -> None:
        """One pull of a queue after the other, while somebody wants messages and there is room."""
        try:
            while not queue.gone and len(queue.held) < _MAX_HELD and queue.size < _MAX_BYTES:
                if self.core.reactor.seconds() - consumed.received_at > _WAIT_MS / 1000 or len(queue.held) >= _BATCH * 4:
                    return
                if queue.next_offset < 0:
                    queue.next_offset = queue.committed = await self._begin_at(consumed, queue)
                reply = await self._pulling.pull_from(
                    None,
                    queue.broker,
                    consumed.group,
                    consumed.topic,
                    queue.queue_id,
                    queue.next_offset,
                    _BATCH,
                    0,
                    _WAIT_MS,
                    consumed.filter,
                )
                if queue.gone:
                    return
                for message in reply.messages:
                    offset = stored_message.queue_offset(message)
                    queue.held[offset] = _Held(message, offset)
                    queue.size += len(message)
                moved = reply.next_offset != queue.next_offset
                queue.next_offset = reply.next_offset
                if reply.messages:
                    self._wake(consumed)
                elif moved and reply.status is not PullStatus.NO_NEW_MESSAGE:
                    await self._commit(consumed, queue)
        except GatewayError as error:
            log.debug("pulling {topic} for {group}: {error}", topic=consumed.topic, group=consumed.group, error=str(error))
            pause: Deferred[None] = Deferred()
            timer: IDelayedCall = self.core.reactor.callLater(_PAUSE, pause.callback, None)
            try:
                await pause
            finally:
                if timer.active():
                    timer.cancel()
        finally:
            queue.pulling = None

    async def _begin_at(self, consumed: _Consumed, queue: _Queue) -> int:
        pulling = self._pulling
        found = await pulling.consumer_offset(
            None, queue.broker, consumed.group, consumed.topic, queue.queue_id, True
        )
        if found is not None:
            return found
        of = OffsetOf.MAX if consumed.init_mode is InitMode.MAX else OffsetOf.MIN
        return await pulling.offset(None, queue.broker, consumed.topic, queue.queue_id, of)

    def _wake(self, consumed: _Consumed) -> None:
        waiting, consumed.waiting = consumed.waiting, deque()
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)

    # Sharing.

    def members_changed(self, group: str) -> None:
        """NOTIFY_CONSUMER_IDS_CHANGED: count anew."""
        for consumed in self._consumed.values():
            if consumed.group == group:
                consumed.balanced_at = min(consumed.balanced_at, self.core.reactor.seconds() - _REBALANCE)

    async def _balance(self, consumed: _Consumed) -> None:
        """Take this gateway's share of the queues (``AllocateMessageQueueAveragely``)."""
        consumed.balanced_at = self.core.reactor.seconds()
        route = await self.core.routes.find(consumed.topic)
        ids = sorted({*await self._members.ids_at_brokers(consumed.group), self._members.client_id})
        queues = [
            (name, number)
            for name, count in route.readable
            if not self._metadata.pops(self.core.routes.master(name))
            for number in range(count)
        ]
        at, members = ids.index(self._members.client_id), len(ids)
        each, more = divmod(len(queues), members)
        start = at * each + min(at, more)
        share = set(queues[start : start + each + (1 if at < more else 0)])
        for key in list(consumed.queues.keys() - share):
            self._give_up(consumed, consumed.queues.pop(key))
        for key in sorted(share - consumed.queues.keys()):
            consumed.queues[key] = _Queue(*key)

    def _give_up(self, consumed: _Consumed, queue: _Queue) -> None:
        if queue.next_offset >= 0:
            self.background(self._commit(consumed, queue), "recording an offset")
        queue.gone = True
        if queue.pulling is not None:
            queue.pulling.cancel()

    def _leave(self, consumed: _Consumed) -> None:
        self._consumed.pop((consumed.group, consumed.topic), None)
        for queue in consumed.queues.values():
            self._give_up(consumed, queue)
        self._wake(consumed)
        self._members.leave_as_consumer(consumed.group, consumed.topic)

    def _look(self) -> None:
        now = self.core.reactor.seconds()
        now_ms = self.core.now_ms()
        for consumed in list(self._consumed.values()):
            in_flight = any(held.visible_at > now_ms for queue in consumed.queues.values() for held in queue.held.values())
            if now - consumed.received_at > _IDLE and not in_flight:
                self._leave(consumed)
            elif now - consumed.balanced_at >= _REBALANCE:
                self.background(self._balance(consumed), "sharing queues")
