"""Messages for any point in time, and taking them back: TIMER_DELIVER_MS and its sisters, RecallMessage.

A waiting message is stored in the system's topic ``rmq_sys_wheel_timer`` with its real topic and queue as properties;
which one waits for when is state in the log (`TimerWheel`). When its time has come, the message is appended to its real
queue, then the mark that it has fired: never early, and not lost; a crash between the two delivers it again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any

import msgspec
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.alarm import Alarm
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.state import StateKind, register_state
from rmqgateway.backend.local.timer_wheel import TimerWheel
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.writing import Draft, Writer
from rmqgateway.commands import RecalledMessage, RecallMessage, SendResult
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, StoreError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties

__all__ = ["TIMER_TOPIC", "Timers"]

_log = Logger()
TIMER_TOPIC = names.WHEEL_TIMER_TOPIC
_REAL_TOPIC, _REAL_QUEUE, _OUT = "REAL_TOPIC", "REAL_QID", "TIMER_OUT_MS"
_ASKED = ("TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS")
_VERSION = b"\x01"
_ADDED, _FIRED, _RECALLED, _MOVED = range(4)
#: So many timers fire in one go; the next ones in the next turn, so that others have theirs.
_BATCH = 256
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class Timers(Component):
    """Keeps messages until their time (`writing.Timers`)."""

    def __init__(self, core: Core, topics: Topics, writer: Writer) -> None:
        super().__init__(core)
        self.wheel = TimerWheel()
        self._topics = topics
        self._writer = writer
        self._alarm = Alarm(core, self._fire)
        register_state(core.store, StateKind.TIMERS, self)
        core.store.register_keeper(self)

    def handlers(self) -> Handlers:
        return {RecallMessage: self.recall}

    def start(self) -> None:
        self._alarm.start()
        self._plan()

    def stop(self) -> None:
        self._alarm.stop()

    def deliver_at(self, draft: Draft, deliver_ms: int) -> SendResult:
        """See `writing.Timers`."""
        waiting = self._topics.find(TIMER_TOPIC)
        real_topic, real_queue = draft.topic, draft.queue_id
        draft.set(_REAL_TOPIC, real_topic.name)
        draft.set(_REAL_QUEUE, str(real_queue))
        draft.topic, draft.queue_id = waiting, 0
        put = self._writer.put(draft)
        when = self.wheel.add(deliver_ms, put.queue_offset)
        self._append([_ADDED, when, put.queue_offset], put.physical_offset)
        self._plan()
        handle = _format_recall(real_topic.name, self.core.settings.broker_name, when, put.unique_key)
        return SendResult(real_queue, put.queue_offset, put.physical_offset, put.unique_key, handle)

    def recall(self, context: Context, command: RecallMessage) -> Any:
        topic, broker_name, when, unique_key = _parse_recall(command.recall_handle)
        if topic != command.topic:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                f"the recall handle is of topic {topic[:200]!r}, not of {command.topic[:200]!r}",
            )
        if broker_name != self.core.settings.broker_name:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE, f"the recall handle is of broker {broker_name[:200]!r}"
            )
        waiting = self._topics.find(TIMER_TOPIC).queue(0).stored
        for offset in self.wheel.at(when):
            for message in waiting.read(offset, 1, 1):
                named = decode_properties(stored_message.properties(message))
                if named.get("UNIQ_KEY") == unique_key and named.get(_REAL_TOPIC) == topic:
                    self.wheel.recall(when, offset)
                    self._append([_RECALLED, when, offset])
                    return self.core.durable(RecalledMessage(unique_key))
        raise GatewayError(
            Code.MESSAGE_NOT_FOUND, "no delayed message waits under this recall handle; it may be delivered"
        )

    def _append(self, change: list[Any], needs: int = -1) -> None:
        self.core.store.append_state(int(StateKind.TIMERS), _VERSION + _encode(change), needs)

    # Firing.

    def _plan(self) -> None:
        """See that we wake up for the first timer."""
        when = self.wheel.next_time()
        if when is not None:
            self._alarm.set(when)

    def _fire(self) -> None:
        try:
            due = self.wheel.due(self.core.now_ms(), _BATCH)
            first = -1
            for when, offset, recalled in due:
                if not recalled:
                    put = self._deliver(offset)
                    if first < 0:
                        first = put
                self.wheel.fire(when, offset)
            if due:
                self._append([_FIRED, due[-1][0], due[-1][1]], first)
        except StoreError as error:
            # Nothing is lost: the timers that did not fire are still there.
            _log.warn("delayed messages wait, since the store takes none: {reason}", reason=str(error))
            self._alarm.set(self.core.now_ms() + 1000)
            return
        self._plan()

    def _deliver(self, offset: int) -> int:
        """Append one message to its real queue: its position, or -1 if that cannot be."""
        waiting = self._topics.find(TIMER_TOPIC)
        for message in waiting.queue(0).stored.read(offset, 1, 1):
            if stored_message.queue_offset(message) != offset:
                break
            draft = Draft.from_stored(message, waiting, 0)
            topic = self._topics.get(draft.named.get(_REAL_TOPIC, ""))
            queue_id = draft.named.get(_REAL_QUEUE, "0")
            if topic is None or not queue_id.isdigit():
                _log.warn("a delayed message's topic is gone; it is left in {topic}", topic=TIMER_TOPIC)
                return -1
            draft.unset(_REAL_TOPIC, _REAL_QUEUE)
            draft.set(_OUT, str(self.core.now_ms()))
            draft.topic = topic
            draft.queue_id = int(queue_id) % max(topic.write_queues, topic.read_queues, 1)
            return self._writer.put(draft).physical_offset
        _log.error(
            "the delayed message at offset {offset} of {topic} is gone", offset=offset, topic=TIMER_TOPIC
        )
        return -1

    # Retention (see `Keeper`): a message that waits is stored again before its segment goes.

    def needed(self, topic_number: int, queue_id: int, end: int) -> Generator[None, None, int | None]:
        if topic_number != self._topics.find(TIMER_TOPIC).number:
            return 0
        return (yield from self.wheel.waiting_before(end))

    def keep(self, topic_number: int, queue_id: int, end: int) -> Iterator[None]:
        waiting = self._topics.find(TIMER_TOPIC)
        stored = waiting.queue(0).stored
        for number, second in enumerate(self.wheel.seconds()):
            while True:
                pairs, last = self.wheel.oldest(second, end, _BATCH)
                if last < 0:
                    break
                moved: list[int] = []
                first = -1
                for when, offset in pairs:
                    for message in stored.read(offset, 1, 1):
                        if stored_message.queue_offset(message) == offset:
                            put = self._writer.put(Draft.from_stored(message, waiting, 0))
                            moved += (when, put.queue_offset)
                            if first < 0:
                                first = put.physical_offset
                self._moved(second, last, moved)
                # One record: after a crash either the old ones wait or the new ones.
                self._append([_MOVED, second, last, moved], first)
                yield
            if not number % 1000:
                yield
        self._plan()

    def _moved(self, second: int, last: int, pairs: list[int]) -> None:
        self.wheel.forget(second, last)
        for when, offset in zip(pairs[::2], pairs[1::2], strict=True):
            self.wheel.add(when, offset)

    # The log (see `State`).

    def apply(self, payload: bytes) -> None:
        kind, when, offset, *moved = _decode(payload[1:])
        if kind == _ADDED:
            self.wheel.add(when, offset)
        elif kind == _FIRED:
            self.wheel.fire(when, offset)
        elif kind == _RECALLED:
            self.wheel.recall(when, offset)
        else:
            self._moved(when, offset, moved[0])

    def snapshot(self) -> Iterator[bytes]:
        # The store takes the pieces later: they show what is there now.
        head = _encode([-1, b"", [*self.wheel.fired], [list(pair) for pair in self.wheel.recalled]])
        return (_VERSION + piece for piece in chain((head,), map(_encode, self.wheel.pieces())))

    def restore(self, piece: bytes) -> None:
        second, pairs, *rest = _decode(piece[1:])
        if second >= 0:
            self.wheel.restore(second, pairs)
            return
        when, offset = rest[0]
        self.wheel.fired = (when, offset)
        for when, offset in rest[1]:
            self.wheel.recall(when, offset)


def _format_recall(topic: str, broker_name: str, when: int, unique_key: str) -> str:
    """RocketMQ's RecallMessageHandle, version 1: five words in URL-safe Base64."""
    return base64.urlsafe_b64encode(f"v1 {topic} {broker_name} {when} {unique_key}".encode()).decode()


def _parse_recall(handle: str) -> tuple[str, str, int, str]:
    try:
        words = base64.urlsafe_b64decode(handle.encode("ascii")).decode().split(" ")
    except (ValueError, binascii.Error):
        raise GatewayError(
            Code.BAD_RECEIPT_HANDLE, f"expected a recall handle, got {handle[:100]!r}"
        ) from None
    if len(words) != 5 or words[0] != "v1" or not words[3].isdigit() or len(words[3]) > 18:
        raise GatewayError(
            Code.BAD_RECEIPT_HANDLE, f"expected a recall handle of version v1, got {handle[:100]!r}"
        )
    return words[1], words[2], int(words[3]), words[4]
