"""Consuming by receive and acknowledge: ReceiveMessages, AckMessages, ChangeInvisibleDuration, PeekMessages,
ForwardToDeadLetterQueue.

A message stays in its queue until it is acknowledged; what is in flight is in `PopState`, recorded in the log before the
receive is answered, so a handle is valid across restarts. RocketMQ's broker copies a message whose time is over to a pop
retry topic; here it is delivered again from where it is, which costs no write, keeps its place, and looks the same to a
client: the attempt count grows, the handle is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from rmqgateway.backend.local import names
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.filters import compile_filter
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.lite import LiteTopics
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.pop_due import DueTimes
from rmqgateway.backend.local.pop_moves import PopMoves
from rmqgateway.backend.local.pop_place import Picked, Picker, take, take_in_order
from rmqgateway.backend.local.pop_queue import NOWHERE, Entry, PopQueue, Receiver
from rmqgateway.backend.local.pop_receive import LitePlace, Place, Receive
from rmqgateway.backend.local.pop_state import PopState, Taken
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.receipt_handles import (
    NORMAL_TOPIC,
    RETRY_TOPIC_V2,
    ReceiptHandle,
    format_handle,
    parse_handle,
)
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.waits import Waits
from rmqgateway.commands import (
    AckMessages,
    AckResult,
    AckResults,
    ChangedInvisibleDuration,
    ChangeInvisibleDuration,
    ConsumeMode,
    ForwardToDeadLetterQueue,
    GroupConfig,
    InitMode,
    PeekMessages,
    ReceivedMessage,
    ReceivedMessages,
    ReceiveMessages,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageType
from rmqgateway.pending import Pending
from rmqgateway.wire import stored_message

__all__ = ["MAX_INVISIBLE_MS", "Popping"]

#: RocketMQ's proxy allows up to 12 hours; the smallest time is a matter of the front-end (10 s over gRPC).
MAX_INVISIBLE_MS = 12 * 3600 * 1000
_MAX_MESSAGES = 1024
_NEVER: Entry = (0, 0, 0, "")


class Popping(Component):
    """Receiving and acknowledging.

    :ivar state: what is in flight.
    """

    def __init__(
        self,
        core: Core,
        topics: Topics,
        groups: Groups,
        clients: Clients,
        offsets: Offsets,
        moves: PopMoves,
        waits: Waits,
        lite: LiteTopics,
        statistics: Statistics,
    ) -> None:
        super().__init__(core)
        self._statistics = statistics
        self.topics = topics
        self.groups = groups
        self.clients = clients
        self.offsets = offsets
        self.moves = moves
        self.waits = waits
        self.lite = lite
        self._lite_places: dict[tuple[str, int, str], LitePlace] = {}
        self.state = PopState(core.store)
        self._places: dict[tuple[str, int], Place] = {}
        self.due_times = DueTimes(core)
        #: What a receive in order with an attempt id took, so that the client's retry of it gets the same.
        self._attempts: dict[tuple[str, str, str], tuple[Topic, list[Taken], int]] = {}
        topics.on_delete.append(self._topic_deleted)
        clients.on_mode.append(self._mode_begins)

    def handlers(self) -> Handlers:
        return {
            ReceiveMessages: self.receive,
            AckMessages: self.acknowledge,
            ChangeInvisibleDuration: self.change,
            ForwardToDeadLetterQueue: self.forward,
            PeekMessages: self.peek,
        }

    def start(self) -> None:
        # The offsets of others are recorded a little later than ours.
        for (group, number), place in self.state.places.items():
            topic = self.topics.by_number.get(number)
            if topic is not None:
                for queue_id, popped in place.items():
                    if self.offsets.get(group, topic.name, queue_id) < popped.next_offset:
                        self.offsets.record(group, topic.name, queue_id, popped.next_offset)

    def stop(self) -> None:
        self.due_times.stop()

    def _topic_deleted(self, topic: Topic) -> None:
        self.state.topic_dropped(topic.number)
        for key in [key for key in self._places if key[1] == topic.number]:
            del self._places[key]
        for lite_key in [key for key in self._lite_places if key[1] == topic.number]:
            del self._lite_places[lite_key]

    def place(self, group: str, topic: Topic) -> Place:
        """One group at one topic."""
        key = (group, topic.number)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = Place(self, group, topic)
        return found

    def first_offset(self, group: str, topic: Topic, queue_id: int, init_mode: InitMode) -> int:
        """Where a group begins that has not received from this queue."""
        known = self.offsets.get(group, topic.name, queue_id)
        if known >= 0:
            return known
        stored = topic.queue(queue_id).stored
        # As RocketMQ: a queue so young that it still has its first message is consumed from there in either mode.
        return stored.min_offset if init_mode is InitMode.MIN or stored.min_offset == 0 else stored.max_offset

    # Receiving.

    def receive(self, context: Context, command: ReceiveMessages) -> Any:
        if not 0 < command.invisible_ms <= MAX_INVISIBLE_MS:
            raise GatewayError(
                Code.BAD_INVISIBLE_DURATION,
                f"invisible duration: expected 1 to {MAX_INVISIBLE_MS} ms, got {command.invisible_ms}",
            )
        if command.max_messages <= 0:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected at least 1 message to receive, got {command.max_messages}"
            )
        topic, group = self._readable(command.group, command.topic, command.queue_id)
        compile_filter(command.filter)
        self.clients.use(
            command.group, command.topic, context.session, ConsumeMode.POP, command.filter, command.client_id
        )
        fifo = group.consume_message_orderly if command.fifo is None else command.fifo
        if fifo and command.attempt_id:
            self._undo_attempt(command)
        place = self._lite_place(topic, command) or self.place(command.group, topic)
        return Receive(self, context, command, place, group, fifo).begin()

    def _lite_place(self, parent: Topic, command: ReceiveMessages) -> LitePlace | None:
        """Where a receive of lite topics looks; None if it is none."""
        if self.lite.wanted(command.group, command.topic, command.client_id, command.lite_topics) is None:
            return None
        key = (command.group, parent.number, command.client_id)
        place = self._lite_places.get(key)
        if place is None or place.asked != command.lite_topics:
            place = LitePlace(self, command.group, parent, command.client_id, command.lite_topics)
            self._lite_places[key] = place
        return place

    def readable_place(self, group: str, topic: str, queue_id: int) -> Place:
        """Where a receive of this group would look.

        :raise GatewayError: TOPIC_NOT_FOUND, GROUP_NOT_FOUND, GROUP_DISABLED, TOPIC_NOT_READABLE, BAD_OFFSET.
        """
        return self.place(group, self._readable(group, topic, queue_id)[0])

    def _readable(self, group_name: str, topic_name: str, queue_id: int = -1) -> tuple[Topic, GroupConfig]:
        topic = self.topics.find(topic_name)
        if not topic.readable:
            raise GatewayError(Code.TOPIC_NOT_READABLE, f"topic {topic_name} is not readable")
        group = self.groups.find(group_name)
        if not group.consume_enable:
            raise GatewayError(
                Code.GROUP_DISABLED, f"consumer group {group_name} may not consume (consumeEnable is false)"
            )
        if queue_id >= topic.read_queues:
            raise GatewayError(
                Code.BAD_OFFSET, f"queue id: expected less than {topic.read_queues}, got {queue_id}"
            )
        return topic, group

    def collect(self, receive: Receive) -> tuple[ReceivedMessages, list[tuple[Topic, Taken]]] | None:
        """Take messages for a receive and record it, or None if nothing is there."""
        command = receive.command
        place = receive.place
        now = self.core.now_ms()
        group = command.group

        def exhausted(message: bytes, attempts: int) -> bool | None:
            deliveries = attempts + stored_message.reconsume_times(message)
            if not attempts or deliveries < receive.max_attempts:
                return False
            return self.moves.to_dead_letters(group, message, deliveries, place.wake) or None

        settings = self.core.settings
        wanted = compile_filter(command.filter)
        picker = Picker(
            now,
            min(command.max_messages, _MAX_MESSAGES),
            command.max_bytes if command.max_bytes > 0 else settings.pull_max_bytes,
            settings.pull_max_scan,
            None if wanted is None else wanted.matches,
            exhausted,
        )
        messages: list[ReceivedMessage] = []
        recorded: list[tuple[Topic, Taken]] = []
        # Lite topics are received with one pop time: it is all that a Remoting client makes their handles of.
        pop_time = place.next_pop_time(now) if isinstance(place, LitePlace) else now
        for kind, source in self._sources(receive):
            pop_time = self._from(source, kind, receive, picker, pop_time, messages, recorded)
        if not messages:
            return None
        if receive.fifo and command.attempt_id:
            self._remember_attempt(
                command, place.topic, [one for topic, one in recorded if topic is place.topic], pop_time
            )
        rest = 0
        if place.caught != place.topic.max_offsets():
            for queue_id, popped in place.popped.items():
                rest += max(0, place.topic.queue(queue_id).stored.max_offset - popped.next_offset)
        reply = ReceivedMessages(tuple(messages), pop_time, command.invisible_ms, rest)
        return reply, recorded

    def _sources(self, receive: Receive) -> list[tuple[str, Place]]:
        """Where a receive looks, in order: retries first."""
        group, place = receive.command.group, receive.place
        if isinstance(place, LitePlace):
            return [(NORMAL_TOPIC, self.place(group, topic)) for topic in place.lite_topics()]
        of_pop, of_pull = place.retries
        if of_pull in self.topics.by_name:
            self._bring_pull_retries(group, place)
        retry = self.topics.get(of_pop)
        if retry is None or receive.command.queue_id >= 0:
            return [(NORMAL_TOPIC, place)]
        return [(RETRY_TOPIC_V2, self.place(group, retry)), (NORMAL_TOPIC, place)]

    def _from(
        self,
        place: Place,
        topic_kind: str,
        receive: Receive,
        picker: Picker,
        pop_time: int,
        messages: list[ReceivedMessage],
        recorded: list[tuple[Topic, Taken]],
    ) -> int:
        """Take from the queues of one place, in turn; return the pop time, which must be new for each message."""
        command = receive.command
        topic = place.topic
        if command.queue_id >= 0 and topic_kind == NORMAL_TOPIC:
            queue_ids = [command.queue_id]
        elif topic.config.message_type is MessageType.PRIORITY and not receive.fifo:
            queue_ids = list(reversed(range(topic.read_queues)))  # the queue's number is the priority
        else:
            place.turn = turn = (place.turn + 1) % topic.read_queues
            queue_ids = [*range(turn, topic.read_queues), *range(turn)]
            caught = place.caught
            if place.popped.first_due > picker.now and len(caught) == len(queue_ids) and not receive.fifo:
                max_offsets = topic.max_offsets()
                queue_ids = [queue_id for queue_id in queue_ids if max_offsets[queue_id] != caught[queue_id]]
        pick = take_in_order if receive.fifo else take
        found: list[tuple[list[Picked], Taken]] = []
        popped_queues, queues = place.popped, topic.queues
        for queue_id in queue_ids:
            if picker.wanted <= 0 or picker.scan_left <= 0:
                break
            popped = popped_queues.get(queue_id) or place.queue(queue_id, command.init_mode)
            before = popped.next_offset
            queue = queues.get(queue_id) or topic.queue(queue_id)
            if (
                before >= queue.stored.max_offset
                and not receive.fifo
                and not ((popped.expiries or popped.due) and popped.has_due(picker.now))
            ):
                continue  # most queues, most of the time
            self.moves.first = -1
            picked, taken, gone = pick(queue, popped, picker, not messages and not found)
            if gone:
                self.state.settled(command.group, topic.number, queue_id, gone, self.moves.first)
            if picked or taken.next_offset != before or taken.passed_over:
                found.append((picked, taken))
                pop_time = popped.next_pop_time(taken.offsets, pop_time)
        if not found:
            return pop_time
        visible_at = pop_time + command.invisible_ms
        rows = [taken for _, taken in found]
        receiver = command.client_id or receive.context.session.number
        self.state.delivered(command.group, topic.number, pop_time, visible_at, rows, receiver)
        count = size = 0
        broker_name = self.core.settings.broker_name
        lite_topic = names.lite_name(topic.name) if isinstance(receive.place, LitePlace) else ""
        for picked, taken in found:
            self.offsets.record(command.group, topic.name, taken.queue_id, taken.next_offset)
            recorded.append((topic, taken))
            if taken.next_offset >= (max_offset := topic.queue(taken.queue_id).stored.max_offset) and (
                taken.queue_id < len(place.caught)
            ):
                place.caught[taken.queue_id] = max_offset
            if not picked:
                continue
            first = picked[0].offset
            count += len(picked)
            for one in picked:
                message = one.message
                size += len(message)
                attempt = one.attempt + stored_message.reconsume_times(message)
                if topic_kind != NORMAL_TOPIC:
                    message = _with_topic(message, command.topic)
                if one.attempt > 1:
                    message = stored_message.with_reconsume_times(message, attempt - 1)
                handle = format_handle(
                    first,
                    pop_time,
                    command.invisible_ms,
                    topic_kind,
                    broker_name,
                    taken.queue_id,
                    one.offset,
                    lite_topic,
                )
                messages.append(ReceivedMessage(message, handle, attempt))
        if count:
            topic.get_messages += count
            topic.get_bytes += size
            self._statistics.got(command.group, topic.name, count, size)
        return pop_time

    def give_back(self, group: str, topic: Topic, taken: Taken) -> None:
        """A receive was cancelled before its answer: visible at once, and it does not count as a delivery."""
        if taken.offsets:
            self.state.returned(group, topic.number, taken.queue_id, taken.offsets)
            for place in self._waiting_at(group, topic):
                place.wake()

    @staticmethod
    def _waiting_at(group: str, topic: Topic) -> list[Place]:
        """The places of a group where receives wait for messages of a topic."""
        return [place for place in topic.waiting if isinstance(place, Place) and place.group == group]

    def _undo_attempt(self, command: ReceiveMessages) -> None:
        """A receive with an attempt id that is known is a client's retry: what it took is taken again."""
        known = self._attempts.pop((command.group, command.topic, command.attempt_id), None)
        if known is None:
            return
        topic, rows, pop_time = known
        for taken in rows:
            popped = self.place(command.group, topic).popped.get(taken.queue_id)
            if popped is None:
                continue
            still = [offset for offset in taken.offsets if popped.is_valid(offset, pop_time)]
            if still:
                self.state.returned(command.group, topic.number, taken.queue_id, still)

    def _remember_attempt(
        self, command: ReceiveMessages, topic: Topic, rows: list[Taken], pop_time: int
    ) -> None:
        if len(self._attempts) >= 10_000:
            del self._attempts[next(iter(self._attempts))]
        self._attempts[command.group, command.topic, command.attempt_id] = (topic, rows, pop_time)

    # Settling.

    def _settleable(
        self, group: str, topic_name: str, handle: ReceiptHandle, strict: bool, lite_topic: str = ""
    ) -> tuple[Topic, PopQueue] | None:
        """Where the message of a handle is in flight; None if it is acknowledged already.

        :raise GatewayError: BAD_RECEIPT_HANDLE, RECEIPT_HANDLE_EXPIRED.
        """
        if handle.broker_name != self.core.settings.broker_name:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                f"the receipt handle is of broker {handle.broker_name!r}, this is {self.core.settings.broker_name!r}",
            )
        if handle.topic_kind != NORMAL_TOPIC:
            name = names.pop_retry_topic(group, topic_name)
        else:
            lite_topic = handle.lite_topic or lite_topic
            name = topic_name
            if lite_topic:
                name = names.lite_topic(topic_name, lite_topic)
                if self.topics.get(name) is None:
                    raise GatewayError(
                        Code.BAD_RECEIPT_HANDLE,
                        f"nothing was received from a lite topic {lite_topic[:100]!r} of topic {topic_name}",
                    )
        topic = self.topics.find(name)
        popped = self.state.places.get((group, topic.number), NOWHERE).get(handle.queue_id)
        if popped is None or handle.offset >= popped.next_offset:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                f"group {group} has not received offset {handle.offset} of this queue of {name}",
            )
        entry = popped.entries.get(handle.offset)
        if entry is None:
            return None
        if not popped.is_valid(handle.offset, handle.pop_time):
            raise GatewayError(
                Code.RECEIPT_HANDLE_EXPIRED,
                "the receipt handle is not valid any more: the message has a newer one",
            )
        if strict and entry[0] <= self.core.now_ms():
            raise GatewayError(
                Code.RECEIPT_HANDLE_EXPIRED,
                "the receipt handle has expired: the message is visible to others again",
            )
        return topic, popped

    def acknowledge(self, context: Context, command: AckMessages) -> Any:
        results: list[AckResult] = []
        settled: dict[tuple[int, int], list[int]] = {}
        ordered: list[Topic] = []
        for text in command.receipt_handles:
            try:
                handle = parse_handle(text)
                found = self._settleable(
                    command.group, command.topic, handle, command.strict, command.lite_topic
                )
            except GatewayError as error:
                results.append(AckResult(text, error.code.name, error.message))
                continue
            results.append(AckResult(text))
            if found is not None:
                topic, popped = found
                settled.setdefault((topic.number, handle.queue_id), []).append(handle.offset)
                if popped.message_groups and topic not in ordered:
                    ordered.append(topic)
        reply = AckResults(tuple(results))
        if not settled:
            return reply
        for (topic_number, queue_id), offsets in settled.items():
            self.state.settled(command.group, topic_number, queue_id, offsets)
        return self._then_wake(command.group, ordered, reply)

    def _then_wake(self, group: str, topics: Iterable[Topic], reply: Any) -> Deferred[Any] | Pending[Any]:
        """Answer when durable; then receives that wait at these topics may find something."""
        waiting = [place for topic in topics for place in self._waiting_at(group, topic)]
        if not waiting:
            return Pending(reply, self.core.store.when_durable)
        done = self.core.durable(reply)
        for place in waiting:
            done.addCallback(_wake, place)
        return done

    def change(self, context: Context, command: ChangeInvisibleDuration) -> Any:
        if not 0 <= command.invisible_ms <= MAX_INVISIBLE_MS:
            raise GatewayError(
                Code.BAD_INVISIBLE_DURATION,
                f"invisible duration: expected 0 to {MAX_INVISIBLE_MS} ms, got {command.invisible_ms}",
            )
        handle = parse_handle(command.receipt_handle)
        found = self._settleable(command.group, command.topic, handle, True, command.lite_topic)
        if found is None:
            raise GatewayError(Code.RECEIPT_HANDLE_EXPIRED, "the message is acknowledged already")
        topic, popped = found
        now = self.core.now_ms()
        pop_time = popped.next_pop_time((handle.offset,), now)
        self.state.changed(
            command.group, topic.number, handle.queue_id, handle.offset, pop_time, now + command.invisible_ms
        )
        new = format_handle(
            handle.start_offset,
            pop_time,
            command.invisible_ms,
            handle.topic_kind,
            handle.broker_name,
            handle.queue_id,
            handle.offset,
            handle.lite_topic,
        )
        reply = ChangedInvisibleDuration(new, pop_time, command.invisible_ms)
        return self._then_wake(command.group, (topic,), reply)

    def forward(self, context: Context, command: ForwardToDeadLetterQueue) -> Any:
        handle = parse_handle(command.receipt_handle)
        found = self._settleable(command.group, command.topic, handle, True, command.lite_topic)
        if found is None:
            return None
        topic, popped = found
        created: Deferred[None] = Deferred()
        self.moves.first = -1
        for message in topic.queue(handle.queue_id).stored.read(handle.offset, 1, 1):
            if topic.name != command.topic:
                message = _with_topic(message, command.topic)
            attempts = popped.entries[handle.offset][1] + stored_message.reconsume_times(message)
            if not self.moves.to_dead_letters(
                command.group, message, attempts, lambda: created.callback(None)
            ):
                return created.addCallback(lambda _: self._forward_again(context, command))
        self.state.settled(
            command.group, topic.number, handle.queue_id, [handle.offset], self.moves.first
        )
        return self._then_wake(command.group, (topic,), None)

    def _forward_again(self, context: Context, command: ForwardToDeadLetterQueue) -> Any:
        """Within a Deferred's callback a Pending would pass for the reply."""
        result = self.forward(context, command)
        return result.deferred() if isinstance(result, Pending) else result

    def peek(self, context: Context, command: PeekMessages) -> ReceivedMessages:
        topic, _ = self._readable(command.group, command.topic)
        wanted = min(max(command.max_messages, 1), 32)
        found: list[ReceivedMessage] = []
        queue_ids = range(topic.read_queues) if command.queue_id < 0 else (command.queue_id,)
        popped_queues = self.state.places.get((command.group, topic.number), NOWHERE)
        for queue_id in queue_ids:
            popped = popped_queues.get(queue_id)
            start = (
                popped.next_offset
                if popped
                else self.first_offset(command.group, topic, queue_id, InitMode.MIN)
            )
            for message in topic.queue(queue_id).stored.read(
                start, wanted - len(found), self.core.settings.pull_max_bytes
            ):
                found.append(ReceivedMessage(message, "", 1))
            if len(found) >= wanted:
                break
        return ReceivedMessages(tuple(found), self.core.now_ms())

    # Between pull and pop.

    def _bring_pull_retries(self, group: str, place: Place) -> None:
        """What pull consumers of the group gave back waits in ``%RETRY%group``: bring it to where receives look."""
        retry = self.topics.get(names.retry_topic(group))
        if retry is None:
            return
        for queue in retry.readable_queues():
            self.moves.first = -1
            stored = queue.stored
            first = start = max(self.offsets.get(group, retry.name, queue.queue_id), stored.min_offset)
            if start >= stored.max_offset:
                continue
            for message in stored.read(start, 32, self.core.settings.pull_max_bytes):
                if not self.moves.to_pop_retries(group, message, place.wake):
                    break
                start = stored_message.queue_offset(message) + 1
            if start != first:
                self.offsets.record(group, retry.name, queue.queue_id, start, self.moves.first)

    def _mode_begins(self, group: str, topic_name: str, mode: ConsumeMode) -> None:
        topic = self.topics.get(topic_name)
        if mode is ConsumeMode.PULL and topic is not None:
            self._hand_over_to_pull(group, topic)

    def _hand_over_to_pull(self, group: str, topic: Topic) -> None:
        """The group pulls this topic from now on: what is in flight goes to its retry topic, nothing is lost."""
        for name in (topic.name, names.pop_retry_topic(group, topic.name)):
            origin = self.topics.get(name)
            popped_queues = None if origin is None else self.state.places.get((group, origin.number))
            if origin is None or popped_queues is None:
                continue
            self.moves.first = -1
            for queue_id, popped in popped_queues.items():
                stored = origin.queue(queue_id).stored
                waiting = sorted(popped.entries)
                if origin is not topic:
                    # Nobody pulls the pop retry topic: what nobody has received there goes along.
                    waiting += range(max(popped.next_offset, stored.min_offset), stored.max_offset)
                for offset in waiting:
                    for message in stored.read(offset, 1, 1):
                        times = popped.entries.get(offset, _NEVER)[1] + stored_message.reconsume_times(
                            message
                        )
                        if not self.moves.to_pull_retries(
                            group, message, times, lambda: self._hand_over_to_pull(group, topic)
                        ):
                            return
                    self.state.settled(group, origin.number, queue_id, [offset], self.moves.first)
                end = popped.next_offset if origin is topic else stored.max_offset
                self.offsets.record(group, origin.name, queue_id, end, self.moves.first)
            self.state.dropped(group, origin.number, self.moves.first)
            self._places.pop((group, origin.number), None)

    def reset(self, group: str, topic: Topic, queue_id: int, offset: int) -> None:
        """An administrator moved the group's offset: what was in flight before is forgotten."""
        if queue_id in self.state.places.get((group, topic.number), NOWHERE):
            self.state.reset(group, topic.number, queue_id, offset)
            for place in self._waiting_at(group, topic):
                place.wake()

    def forget(self, group: str, topic: Topic) -> None:
        """The group has never received from this topic."""
        self.state.dropped(group, topic.number)
        self._places.pop((group, topic.number), None)

    def in_flight(self, group: str, topic: Topic, queue_id: int) -> int | None:
        """How many messages of a queue are in flight in a group; None if it does not receive from it."""
        popped = self.state.places.get((group, topic.number), NOWHERE).get(queue_id)
        return None if popped is None else popped.in_flight(self.core.now_ms())

    def in_flight_of(self, group: str) -> dict[Receiver, int]:
        """How many messages are in flight in a group, by who received them since the last restart."""
        now = self.core.now_ms()
        counts: dict[Receiver, int] = {}
        for (name, _), place in self.state.places.items():
            if name == group:
                for popped in place.values():
                    popped.in_flight_by_receiver(now, counts)
        return counts

    def unsettled(self, group: str, topic: Topic, queue_id: int) -> int:
        """How many messages of a queue the group was given and has not acknowledged, in flight or due again."""
        popped = self.state.places.get((group, topic.number), NOWHERE).get(queue_id)
        return 0 if popped is None else len(popped.entries)


def _wake(reply: Any, place: Place) -> Any:
    place.wake()
    return reply


def _with_topic(message: bytes, topic: str) -> bytes:
    """The same message under another topic name."""
    found = stored_message.decode(message)
    return bytes(
        stored_message.encode(
            topic.encode(),
            found.queue_id,
            found.body,
            found.properties,
            found.flag,
            found.sys_flag,
            found.born_timestamp,
            found.born_host,
            found.store_timestamp,
            found.store_host,
            found.reconsume_times,
            found.prepared_transaction_offset,
            found.queue_offset,
            found.physical_offset,
        )
    )
