"""Sends that are repeated are stored once: message ids, remembered for two minutes, also over a crash.

The id is the message's UNIQ_KEY, so the log itself remembers it, and its key index finds it. Memory is only the faster way:
while it cannot know everything of the last two minutes (after a start, after it was full, after a send that failed without
saying whether it was stored), a new id is looked up in the index before its message is stored.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from rmqgateway.commands import QueryMessages, SendMessages, SendResult, SendResults, StoredMessages
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import UniqueIdGenerator
from rmqgateway.wire.message_properties import find_property

if TYPE_CHECKING:
    from rmqgateway.interfaces import IGateway

__all__ = ["REMEMBERED_S", "Done", "SentIds"]

#: For so long at least an id is remembered.
REMEMBERED_S = 120.0
#: Store timestamps and our clock may differ by this much when one is set.
_SLACK_S = 10.0
#: After these nobody knows whether the messages were stored; after any other error they were not.
_UNSURE = frozenset(
    {
        Code.STORE_FAILED,
        Code.TIMEOUT,
        Code.CANCELLED,
        Code.UPSTREAM_UNAVAILABLE,
        Code.UPSTREAM_ERROR,
        Code.INTERNAL,
    }
)
#: Where messages wait that are not in their own topic yet: half messages, delayed ones.
_HALF_TOPIC, _TIMER_TOPIC, _LEVEL_TOPIC = "RMQ_SYS_TRANS_HALF_TOPIC", "rmq_sys_wheel_timer", "SCHEDULE_TOPIC_XXXX"

#: Told the outcome: results in order and the numbers of those that were stored before, or None and the error.
Done = Callable[[list[SendResult] | None, set[int], GatewayError | None], None]


class _Job:
    """One send: waits for each of its messages."""

    __slots__ = ("done", "missing", "repeated", "results")

    def __init__(self, count: int, done: Done) -> None:
        self.results: list[SendResult | None] = [None] * count
        self.repeated: set[int] = set()
        self.missing = count
        self.done: Done | None = done

    def stored(self, number: int, result: SendResult, repeated: bool = False) -> None:
        self.results[number] = result
        if repeated:
            self.repeated.add(number)
        self.missing -= 1
        if not self.missing and self.done is not None:
            done, self.done = self.done, None
            done(self.results, self.repeated, None)  # type: ignore[arg-type]  # none is missing

    def failed(self, error: GatewayError) -> None:
        if self.done is not None:
            done, self.done = self.done, None
            done(None, set(), error)


class _Entry:
    """One id. :ivar result: None while its message is on its way; then `waiting` are the repetitions that came meanwhile."""

    __slots__ = ("at", "result", "waiting")

    def __init__(self, at: float) -> None:
        self.at = at
        self.result: SendResult | None = None
        self.waiting: list[tuple[_Job, int]] | None = None


class SentIds:
    """The memory of one gateway, for all of its connections.

    :param wall: seconds since 1970. :param limit: ids in memory.
    :ivar lookups: how often the key index was asked.
    """

    def __init__(self, gateway: IGateway, wall: Callable[[], float], limit: int) -> None:
        self.lookups = 0
        self._gateway = gateway
        self._seconds: Callable[[], float] = gateway.reactor.seconds
        self._wall = wall
        self._limit = limit
        self._ids = UniqueIdGenerator(os.urandom(4), os.getpid(), int.from_bytes(os.urandom(4), "big"))
        # In the order in which they came. A plain dict would search all that was deleted from its front for its first.
        self._known: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._unsure_until = self._seconds() + REMEMBERED_S

    def new_id(self) -> str:
        """For a message that its client gave none: what RocketMQ's own clients do, and what a short way to the store needs."""
        return self._ids.next(int(self._wall() * 1000))

    def send(self, context: Context, command: SendMessages, ids: Sequence[str], done: Done) -> None:
        """Store what was not stored before. :param ids: for each message its id, or "". `done` is called once, maybe now."""
        now = self._seconds()
        job = _Job(len(ids), done)
        fresh: list[tuple[int, _Entry | None]] = []
        asking = False
        for number, message_id in enumerate(ids):
            if not message_id:
                fresh.append((number, None))
                continue
            entry = self._known.get((command.topic, message_id))
            if entry is None or (entry.result is not None and now - entry.at > REMEMBERED_S):
                fresh.append((number, self._remember((command.topic, message_id), now)))
                asking = True
            elif entry.result is not None:
                job.stored(number, entry.result, True)
            elif entry.waiting is None:
                entry.waiting = [(job, number)]
            else:
                entry.waiting.append((job, number))
        if asking and now < self._unsure_until:
            self._look_up(context, command, ids, fresh, job)
        elif fresh:
            self._store(context, command, fresh, job)

    def _remember(self, key: tuple[str, str], now: float) -> _Entry:
        known = self._known
        known.pop(key, None)  # an outdated one has an older place
        entry = known[key] = _Entry(now)
        # Two out for one in: outdated ones go; of the others only what is too many.
        for _ in range(2):
            oldest = next(iter(known))
            first = known[oldest]
            if first is entry:
                break
            if now - first.at <= REMEMBERED_S:
                if len(known) <= self._limit:
                    break
                self._unsure_until = max(self._unsure_until, first.at + REMEMBERED_S)
            del known[oldest]
        return entry

    # Storing.

    def _store(
        self, context: Context, command: SendMessages, fresh: list[tuple[int, _Entry | None]], job: _Job
    ) -> None:
        if len(fresh) != len(command.messages):
            messages = tuple([command.messages[number] for number, _ in fresh])
            command = msgspec.structs.replace(command, messages=messages)
        self._gateway.perform(context, command, self._stored, (fresh, job, command))

    def _stored(
        self,
        token: tuple[list[tuple[int, _Entry | None]], _Job, SendMessages],
        reply: SendResults | None,
        error: GatewayError | None,
    ) -> None:
        fresh, job, command = token
        if reply is None:
            self._failed(fresh, job, command, error or GatewayError(Code.INTERNAL, "no reply"))
            return
        for (number, entry), result in zip(fresh, reply.results, strict=True):
            if entry is not None:
                self._found(entry, result)
            job.stored(number, result)

    def _found(self, entry: _Entry, result: SendResult) -> None:
        entry.result = result
        waiting, entry.waiting = entry.waiting, None
        for job, number in waiting or ():
            job.stored(number, result, True)

    def _failed(
        self, fresh: list[tuple[int, _Entry | None]], job: _Job, command: SendMessages, error: GatewayError
    ) -> None:
        if error.code in _UNSURE:
            self._unsure_until = self._seconds() + REMEMBERED_S
        entries = {entry for _, entry in fresh if entry is not None}
        if entries:
            # By the entry: the id may be another send's by now. Failing is rare, looking through all is not too slow.
            for key in [key for key, entry in self._known.items() if entry in entries and entry.result is None]:
                del self._known[key]
        for entry in entries:
            waiting, entry.waiting = entry.waiting, None
            for other, _ in waiting or ():
                other.failed(error)
        job.failed(error)

    # Looking into the store.

    def _look_up(
        self,
        context: Context,
        command: SendMessages,
        ids: Sequence[str],
        fresh: list[tuple[int, _Entry | None]],
        job: _Job,
    ) -> None:
        try:
            self._gateway.judge(context, command)
        except GatewayError as error:
            self._failed(fresh, job, command, error)
            return
        # Who may publish a message may know that it is stored; to read it would be more, so that it is we who look.
        own = Context(context.session, own=True)
        left = [1]
        stored: set[int] = set()
        refused: list[GatewayError] = []

        def answered(result: StoredMessages | Failure, number: int, entry: _Entry) -> None:
            if isinstance(result, Failure):
                error = result.value
                if not isinstance(error, GatewayError):
                    refused.append(GatewayError(Code.INTERNAL, "looking for a message id failed"))
                elif error.code is not Code.TOPIC_NOT_FOUND:
                    refused.append(error)
            elif number not in stored:
                found = _pick(result, command.topic)
                if found is not None:
                    stored.add(number)
                    self._found(entry, found)
                    job.stored(number, found, True)
            finished()

        def finished() -> None:
            left[0] -= 1
            if left[0]:
                return
            rest = [one for one in fresh if one[0] not in stored]
            if refused:
                self._failed(rest, job, command, refused[0])
            elif rest:
                self._store(context, command, rest, job)

        begin = int((self._wall() - REMEMBERED_S - _SLACK_S) * 1000)
        for number, entry in fresh:
            if entry is None:
                continue
            for topic in _places(command, number):
                left[0] += 1
                self.lookups += 1
                asked = QueryMessages(topic, ids[number], 8, begin, unique_key=True)
                looked: Deferred[Any] = maybeDeferred(self._gateway.execute, own, asked)
                looked.addBoth(answered, number, entry)
        finished()


def _places(command: SendMessages, number: int) -> tuple[str, ...]:
    """The topics that may hold the message."""
    properties = command.messages[number].properties
    if b"TRAN_MSG\x01" in properties:
        return command.topic, _HALF_TOPIC
    if b"TIMER_DEL" in properties:
        return command.topic, _TIMER_TOPIC, _LEVEL_TOPIC
    return (command.topic,)


def _pick(found: StoredMessages, topic: str) -> SendResult | None:
    """The message that is in this topic, or will be."""
    name = topic.encode()
    for message in found.messages:
        properties = stored_message.properties(message)
        real = find_property(properties, b"REAL_TOPIC")
        if name == (real if real is not None else stored_message.topic(message)):
            queue = find_property(properties, b"REAL_QID") if real is not None else None
            return SendResult(
                int(queue) if queue is not None and queue.isdigit() else stored_message.queue_id(message),
                stored_message.queue_offset(message),
                stored_message.physical_offset(message),
                (find_property(properties, b"UNIQ_KEY") or b"").decode(),
            )
    return None
