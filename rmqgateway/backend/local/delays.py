"""Delay levels: a message waits in a queue of SCHEDULE_TOPIC_XXXX and is put into its own topic when its time has come.

Each level's queue is first in, first out, with one delay for all: only its head is watched. How far each level was delivered
rides in the log: msgpack ``[1, level, offset]``. A message and the record of its delivery are appended together; a crash
between them delivers it again, never not at all. Source: ``ScheduleMessageService`` of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core
from rmqgateway.backend.local.queues import Queue
from rmqgateway.backend.local.settings import parse_delay_levels
from rmqgateway.backend.local.state import StateKind, register_state
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.writing import Draft, Writer
from rmqgateway.commands.producing import SendResult
from rmqgateway.errors import GatewayError, StoreError
from rmqgateway.wire.stored_message import queue_offset, store_timestamp

__all__ = ["Delays"]

_log = Logger()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, int]).decode
#: Messages that one level delivers before others have their turn.
_BATCH = 64
_BATCH_BYTES = 1 << 20
#: The wall clock may be set: it is asked again at least so often, in seconds.
_LONGEST_SLEEP = 10.0
#: After a failure of the store, in seconds.
_PAUSE = 1.0


class Delays(Component):
    """All delay levels; provides `writing.Schedule`."""

    def __init__(self, core: Core, topics: Topics, writer: Writer) -> None:
        super().__init__(core)
        self.topics = topics
        self.writer = writer
        #: The delay of the levels 1, 2, … in ms.
        self.delays_ms = parse_delay_levels(core.settings.delay_levels)
        self.offsets: dict[int, int] = {}
        self._levels: list[_Level] = []
        register_state(core.store, StateKind.DELAYS, self)
        core.store.register_keeper(self)

    def start(self) -> None:
        topic = self.topics.find(names.SCHEDULE_TOPIC)
        for number, delay_ms in enumerate(self.delays_ms, 1):
            self._levels.append(_Level(self, number, delay_ms, topic.queue(number - 1)))

    def stop(self) -> None:
        for level in self._levels:
            level.stop()

    def schedule(self, draft: Draft, level: int) -> SendResult:
        """See `writing.Schedule`."""
        level = min(level, len(self.delays_ms))
        draft.set("REAL_TOPIC", draft.topic.name)
        draft.set("REAL_QID", str(draft.queue_id))
        draft.topic = self.topics.find(names.SCHEDULE_TOPIC)
        draft.queue_id = level - 1
        return self.writer.put(draft)

    def deliver(self, message: bytes) -> int:
        """Put a message whose time has come into its own topic: its position; -1: its topic is gone, and it goes with it.

        :raise StoreError: nothing was done.
        """
        draft = Draft.from_stored(message, self.topics.find(names.SCHEDULE_TOPIC), 0)
        topic = self.topics.get(draft.named.get("REAL_TOPIC", ""))
        if topic is None or topic.write_queues <= 0:
            _log.warn(
                "a delayed message of topic {topic} is dropped: the topic is gone",
                topic=draft.named.get("REAL_TOPIC"),
            )
            return -1
        queue_id = draft.named.get("REAL_QID", "0")
        draft.topic = topic
        draft.queue_id = (int(queue_id) if queue_id.isdigit() else 0) % topic.write_queues
        draft.unset("DELAY", "TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS")
        try:
            return self.writer.put(draft).physical_offset
        except StoreError:
            raise
        except GatewayError as error:
            _log.error(
                "a delayed message of topic {topic} is dropped: {error}", topic=topic.name, error=error
            )
            return -1

    # Retention (see `Keeper`): a level's messages go out in the order of their queue, so they stay until they are out.

    def needed(self, topic_number: int, queue_id: int, end: int) -> Generator[None, None, int | None]:
        if topic_number == self.topics.find(names.SCHEDULE_TOPIC).number and queue_id < len(self.delays_ms):
            return None if self.offsets.get(queue_id + 1, 0) < end else 0
        yield
        return 0

    def keep(self, topic_number: int, queue_id: int, end: int) -> Iterator[None]:
        yield

    # State

    def restore(self, piece: bytes) -> None:
        self.apply(piece)

    def apply(self, payload: bytes) -> None:
        try:
            _, level, offset = _decode(payload)
        except msgspec.MsgspecError as error:
            _log.error("a record of delay levels is passed over: {error}", error=error)
            return
        self.offsets[level] = offset

    def snapshot(self) -> Iterable[bytes]:
        return [_encode((1, level, offset)) for level, offset in self.offsets.items()]

    def delivered(self, level: int, offset: int, needs: int) -> None:
        """Everything of a level before `offset` was put where it belongs, this time from position `needs` on."""
        self.offsets[level] = offset
        self.core.store.append_state(StateKind.DELAYS, _encode((1, level, offset)), needs)


class _Level:
    """One delay level: follows its queue (`queues.Waiter`)."""

    __slots__ = ("_delay_ms", "_noticed", "_number", "_owner", "_queue", "_timer")

    def __init__(self, owner: Delays, number: int, delay_ms: int, queue: Queue) -> None:
        self._owner = owner
        self._number = number
        self._delay_ms = delay_ms
        self._queue = queue
        self._timer: IDelayedCall | None = None
        self._noticed = (0, 0.0)
        queue.waiting[self] = None
        self._look()

    def wake(self) -> None:
        """A message was appended: with a timer set, an earlier one is the head."""
        if self._timer is None:
            self._look()

    def end(self, reason: str) -> None:
        self.stop()

    def stop(self) -> None:
        self._queue.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sleep(self, seconds: float) -> None:
        self._timer = self._owner.core.later(min(seconds, _LONGEST_SLEEP), self._look)

    def _from_the_future(self, offset: int) -> float:
        """How many ms a message still waits that seems to be stored later than now: the wall clock was set back. Nobody
        knows how long it has waited; it waits for the whole delay from the moment when that was noticed."""
        before, since = self._noticed
        now = self._owner.core.reactor.seconds()
        if offset >= before:
            self._noticed = (self._queue.stored.max_offset, now)
            since = now
        return self._delay_ms - (now - since) * 1000

    def _look(self) -> None:
        self._timer = None
        owner, stored = self._owner, self._queue.stored
        first = offset = min(max(owner.offsets.get(self._number, 0), stored.min_offset), stored.max_offset)
        messages = stored.read(offset, _BATCH, _BATCH_BYTES)
        pause: float | None = 0.0 if offset < stored.max_offset else None
        now = owner.core.now_ms()
        put = -1
        try:
            for message in messages:
                ahead: float = store_timestamp(message) + self._delay_ms - now
                if ahead > self._delay_ms:
                    ahead = self._from_the_future(queue_offset(message))
                if ahead > 0:
                    pause = ahead / 1000
                    break
                at = owner.deliver(message)
                if put < 0:
                    put = at
                offset = queue_offset(message) + 1
            else:
                if not messages:
                    offset = min(offset + _BATCH, stored.max_offset)  # damaged records
            if offset > first:
                owner.delivered(self._number, offset, put)
        except StoreError as error:
            _log.warn("delay level {number} waits: {error}", number=self._number, error=error)
            pause = _PAUSE
            if offset > first:
                owner.offsets[self._number] = offset
        if offset >= stored.max_offset:
            pause = None
        if pause is not None:
            self._sleep(pause)
