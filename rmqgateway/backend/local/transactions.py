"""Half messages: prepared, then committed, rolled back, or asked about.

A half message is stored in ``RMQ_SYS_TRANS_HALF_TOPIC`` with its real topic and queue as properties; that it is undecided
is state in the log. Committing appends the real message in the same group as the mark that ends the half message, so a
transaction is never half visible. Source of the meaning: ``TransactionalMessageServiceImpl`` and
``EndTransactionProcessor`` of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.alarm import Alarm
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.state import StateKind, register_state
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.writing import Draft, Writer
from rmqgateway.commands import Action, EndTransaction, SendResult, TransactionResolution
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.commands.maintaining import ResumeTransaction
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, StoreError
from rmqgateway.events import CheckTransaction
from rmqgateway.interfaces import ISession
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties

__all__ = ["DISCARDED_TOPIC", "HALF_TOPIC", "Transactions"]

_log = Logger()
HALF_TOPIC = names.HALF_TOPIC
#: Where a half message goes whose producer never answered.
DISCARDED_TOPIC = names.TRANS_CHECK_MAX_TIME_TOPIC
_REAL_TOPIC, _REAL_QUEUE = "REAL_TOPIC", "REAL_QID"
_VERSION = b"\x01"
_PREPARED, _CHECKED, _ENDED, _MOVED = range(4)
_BATCH = 128
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class _Half:
    """An undecided half message. :ivar checks: how often its producers were asked. :ivar check_at: when next (ms)."""

    __slots__ = ("check_at", "checks", "transaction_id")

    def __init__(self, transaction_id: str, check_at: int, checks: int = 0) -> None:
        self.transaction_id = transaction_id
        self.check_at = check_at
        self.checks = checks


class Transactions(Component):
    """Keeps half messages (`producing.Preparing`) and ends them."""

    def __init__(self, core: Core, topics: Topics, clients: Clients, writer: Writer) -> None:
        super().__init__(core)
        self._topics = topics
        self._clients = clients
        self._writer = writer
        self._halves: dict[int, _Half] = {}
        self._by_id: dict[str, int] = {}
        self._checks: list[tuple[int, int]] = []  # heap of (when, offset); outdated ones are passed over
        self._alarm = Alarm(core, self._check_due)
        self._turn = 0
        #: Whether a member of a producer group may be shown a half message of a topic; set by the backend.
        self.may_publish: Callable[[ISession, str], bool] = lambda session, topic: True
        register_state(core.store, StateKind.TRANSACTIONS, self)
        core.store.register_keeper(self)

    @property
    def undecided(self) -> int:
        """How many half messages are neither committed nor rolled back."""
        return len(self._halves)

    def handlers(self) -> Handlers:
        return {EndTransaction: self.end_transaction, ResumeTransaction: self.resume_transaction}

    def start(self) -> None:
        self._alarm.start()
        self._plan()

    def stop(self) -> None:
        self._alarm.stop()

    # Preparing.

    def prepare(self, draft: Draft, producer_group: str, context: Context) -> SendResult:
        """See `producing.Preparing`."""
        real_topic, real_queue = draft.topic, draft.queue_id
        if producer_group:
            draft.set("PGROUP", producer_group)
        draft.set(_REAL_TOPIC, real_topic.name)
        draft.set(_REAL_QUEUE, str(real_queue))
        delay = self._first_check_ms(draft.named.get("CHECK_IMMUNITY_TIME_IN_SECONDS"))
        draft.topic, draft.queue_id = self._topics.find(HALF_TOPIC), 0
        draft.sys_flag &= ~12  # stored as an ordinary message of the half topic, as RocketMQ does
        put = self._writer.put(draft)
        self._begin(put, delay)
        return SendResult(real_queue, put.queue_offset, put.physical_offset, put.unique_key)

    def _begin(self, put: SendResult, delay_ms: int) -> None:
        """A half message was stored: its first check comes after this delay."""
        check_at = self.core.now_ms() + delay_ms
        self._prepared(put.queue_offset, put.unique_key, check_at)
        self._append([_PREPARED, put.queue_offset, put.unique_key, check_at], put.physical_offset)
        self._plan()

    def resume_transaction(self, context: Context, command: ResumeTransaction) -> Deferred[None]:
        message = self.core.store.read_at(command.physical_offset)
        discarded = self._topics.get(DISCARDED_TOPIC)
        if message is None or discarded is None or stored_message.topic(message) != discarded.name_bytes:
            raise GatewayError(
                Code.MESSAGE_NOT_FOUND,
                f"no half message that was given up is at physical offset {command.physical_offset}",
            )
        draft = Draft.from_stored(message, self._topics.find(HALF_TOPIC), 0)
        topic = draft.named.get(_REAL_TOPIC, "")
        if command.topic and command.topic not in (topic, DISCARDED_TOPIC):
            raise GatewayError(
                Code.BAD_REQUEST, f"the half message is of topic {topic!r}, not of {command.topic[:200]!r}"
            )
        if draft.named.get("UNIQ_KEY", "") in self._by_id:
            raise GatewayError(Code.BAD_REQUEST, "this transaction is undecided: its half message is there")
        draft.set("TRANSACTION_CHECK_TIMES", "0")
        self._begin(self._writer.put(draft), 0)
        return self.core.durable(None)

    def _first_check_ms(self, immunity: str | None) -> int:
        if immunity is not None and immunity.isdigit() and len(immunity) < 8:
            return int(immunity) * 1000
        return int(self.core.settings.transaction_check_s * 1000)

    # Ending.

    def end_transaction(self, context: Context, command: EndTransaction) -> Any:
        if command.resolution == TransactionResolution.UNKNOWN:
            return None
        if command.resolution not in (TransactionResolution.COMMIT, TransactionResolution.ROLLBACK):
            raise GatewayError(
                Code.BAD_REQUEST,
                f"transaction resolution: expected 0 (unknown), 8 (commit) or 12 (roll back), got {command.resolution}",
            )
        offset = self._offset(command)
        if offset not in self._halves:
            raise GatewayError(
                Code.TRANSACTION_NOT_FOUND,
                f"no half message waits for the end of transaction {command.transaction_id[:100]!r}; it may have ended already",
            )
        message = self._read(offset)
        if message is None:
            self._end(offset)
            raise GatewayError(Code.TRANSACTION_NOT_FOUND, "the half message is gone (retention)")
        self._check_caller(context, command, message)
        put = self._deliver(message) if command.resolution == TransactionResolution.COMMIT else -1
        self._end(offset, put)
        return self.core.durable(None)

    def _offset(self, command: EndTransaction) -> int:
        """Where the half message is: where it is said to be, or where it was stored again since (`keep`)."""
        said = command.queue_offset
        if said in self._halves:
            return said
        now_at = self._by_id.get(command.transaction_id, -1)
        if said < 0:
            return now_at
        if said < now_at:
            before = self._read(said)
            if before is None or _unique_key(before) == command.transaction_id:
                return now_at
        return -1

    def _check_caller(self, context: Context, command: EndTransaction, message: bytes) -> None:
        named = decode_properties(stored_message.properties(message))
        group = named.get("PGROUP", "")
        if command.producer_group and group and command.producer_group != group:
            raise GatewayError(
                Code.FORBIDDEN,
                f"the half message is of producer group {group!r}, not of {command.producer_group[:200]!r}",
            )
        same = command.queue_offset == stored_message.queue_offset(message)
        if same and 0 <= command.physical_offset != stored_message.physical_offset(message):
            raise GatewayError(Code.TRANSACTION_NOT_FOUND, "the half message at this offset is another one")
        topic = named.get(_REAL_TOPIC, "")
        if not command.topic:
            context.require_topic(topic, "", (Action.PUB,))
        if command.topic and command.topic != topic:
            raise GatewayError(
                Code.BAD_REQUEST, f"the half message is of topic {topic!r}, not of {command.topic[:200]!r}"
            )

    def _read(self, offset: int) -> bytes | None:
        for message in self._topics.find(HALF_TOPIC).queue(0).stored.read(offset, 1, 1):
            if stored_message.queue_offset(message) == offset:
                return message
        return None

    def _deliver(self, message: bytes) -> int:
        """Append the real message: its position."""
        half = self._topics.find(HALF_TOPIC)
        draft = Draft.from_stored(message, half, 0)
        topic = self._topics.get(draft.named.get(_REAL_TOPIC, ""))
        if topic is None:
            raise GatewayError(
                Code.TOPIC_NOT_FOUND, f"topic {draft.named.get(_REAL_TOPIC)!r} of the half message is gone"
            )
        queue_id = int(draft.named.get(_REAL_QUEUE, "0"))
        draft.unset(_REAL_TOPIC, _REAL_QUEUE)
        draft.prepared_transaction_offset = stored_message.physical_offset(message)
        draft.sys_flag = draft.sys_flag & ~12 | TransactionResolution.COMMIT
        draft.topic = topic
        draft.queue_id = queue_id % max(topic.write_queues, topic.read_queues, 1)
        return self._writer.put_or_delay(draft).physical_offset

    def _end(self, offset: int, needs: int = -1) -> None:
        self._ended(offset)
        self._append([_ENDED, offset, "", 0], needs)

    # Asking the producers.

    def _plan(self) -> None:
        if self._checks:
            self._alarm.set(self._checks[0][0])

    def _check_due(self) -> None:
        now = self.core.now_ms()
        for _ in range(_BATCH):
            if not self._checks or self._checks[0][0] > now:
                break
            when, offset = heappop(self._checks)
            half = self._halves.get(offset)
            if half is None or half.check_at != when:
                continue
            try:
                self._check(offset, half, now)
            except StoreError as error:
                _log.warn("half messages wait, since the store takes nothing: {reason}", reason=str(error))
                heappush(self._checks, (now + 1000, offset))
                half.check_at = now + 1000
                break
        self._plan()

    def _check(self, offset: int, half: _Half, now: int) -> None:
        message = self._read(offset)
        if message is None:
            self._end(offset)
            return
        settings = self.core.settings
        if half.checks >= settings.transaction_check_max:
            self._discard(offset, message)
            return
        half.checks += 1
        half.check_at = now + int(settings.transaction_interval_s * 1000)
        heappush(self._checks, (half.check_at, offset))
        self._append([_CHECKED, offset, half.transaction_id, half.check_at])
        draft = Draft.from_stored(message, self._topics.find(HALF_TOPIC), 0)
        sessions = self._clients.producer_sessions(draft.named.get("PGROUP", ""))
        if not sessions:
            return  # RocketMQ counts this as a check too
        # Whoever names a producer group is its member; the message is shown to those only who could have sent it.
        topic = draft.named.get(_REAL_TOPIC, "")
        sessions = [session for session in sessions if self.may_publish(session, topic)]
        if not sessions:
            return
        draft.set("TRANSACTION_CHECK_TIMES", str(half.checks))
        event = CheckTransaction(
            draft.named.get("PGROUP", ""),
            _as_real(draft, message),
            half.transaction_id,
            half.transaction_id,
            offset,
            stored_message.physical_offset(message),
        )
        self._turn += 1
        for index in range(len(sessions)):
            # Another member when the first one cannot be asked.
            if sessions[(self._turn + index) % len(sessions)].deliver(event):
                break

    def _discard(self, offset: int, message: bytes) -> None:
        """Nobody decided: out of the way, where an operator finds it."""
        discarded = self._topics.ensure(TopicConfig(DISCARDED_TOPIC, 1, 1))
        if isinstance(discarded, Deferred):
            discarded.addCallbacks(
                lambda _: self.core.scoped(self._discard, offset, message),
                lambda failure: _log.warn(
                    "cannot create {name}: {why}", name=DISCARDED_TOPIC, why=failure.value
                ),
            )
            return
        if offset not in self._halves:
            return
        put = self._writer.put(Draft.from_stored(message, discarded, 0))
        _log.warn("a half message of {group} was given up after its last check", group=_group(message))
        self._end(offset, put.physical_offset)

    # Retention (see `Keeper`): an undecided half message is stored again before its segment goes.

    def needed(self, topic_number: int, queue_id: int, end: int) -> Generator[None, None, int | None]:
        found = 0
        if topic_number == self._topics.find(HALF_TOPIC).number:
            for number, offset in enumerate(list(self._halves)):
                found += offset < end
                if not number % 10_000:
                    yield
        return found

    def keep(self, topic_number: int, queue_id: int, end: int) -> Iterator[None]:
        for number, offset in enumerate(list(self._halves)):
            half = self._halves.get(offset) if offset < end else None
            message = None if half is None else self._read(offset)
            if half is not None and message is not None:
                put = self._writer.put(Draft.from_stored(message, self._topics.find(HALF_TOPIC), 0))
                self._moved(offset, put.queue_offset)
                self._append([_MOVED, offset, "", put.queue_offset], put.physical_offset)
            if not number % 100:
                yield
        self._plan()

    def _moved(self, old: int, new: int) -> None:
        half = self._halves.pop(old, None)
        if half is not None:
            self._halves[new] = half
            if self._by_id.get(half.transaction_id) == old:
                self._by_id[half.transaction_id] = new
            heappush(self._checks, (half.check_at, new))

    # State.

    def _append(self, change: list[Any], needs: int = -1) -> None:
        self.core.store.append_state(int(StateKind.TRANSACTIONS), _VERSION + _encode(change), needs)

    def _prepared(self, offset: int, transaction_id: str, check_at: int, checks: int = 0) -> None:
        self._halves[offset] = _Half(transaction_id, check_at, checks)
        self._by_id[transaction_id] = offset
        heappush(self._checks, (check_at, offset))

    def _ended(self, offset: int) -> None:
        half = self._halves.pop(offset, None)
        if half is not None and self._by_id.get(half.transaction_id) == offset:
            del self._by_id[half.transaction_id]

    def apply(self, payload: bytes) -> None:
        kind, offset, transaction_id, check_at = _decode(payload[1:])
        if kind == _PREPARED:
            self._prepared(offset, transaction_id, check_at)
        elif kind == _ENDED:
            self._ended(offset)
        elif kind == _MOVED:
            self._moved(offset, check_at)
        else:
            half = self._halves.get(offset)
            if half is not None:
                half.checks += 1
                half.check_at = check_at
                heappush(self._checks, (check_at, offset))

    def snapshot(self) -> Iterator[bytes]:
        # The store takes the pieces later: what it gets is a copy of now.
        rows = [
            (offset, half.transaction_id, half.check_at, half.checks) for offset, half in self._halves.items()
        ]
        return (_VERSION + _encode(rows[start : start + 4096]) for start in range(0, len(rows), 4096))

    def restore(self, piece: bytes) -> None:
        for offset, transaction_id, check_at, checks in _decode(piece[1:]):
            self._prepared(offset, transaction_id, check_at, checks)
        heapify(self._checks)


def _group(message: bytes) -> str:
    return decode_properties(stored_message.properties(message)).get("PGROUP", "")


def _unique_key(message: bytes) -> str:
    return decode_properties(stored_message.properties(message)).get("UNIQ_KEY", "")


def _as_real(draft: Draft, message: bytes) -> bytes:
    """The half message as its producer knows it: its own topic and queue."""
    queue_id = int(draft.named.get(_REAL_QUEUE, "0"))
    topic = draft.named.get(_REAL_TOPIC, "")
    return bytes(
        stored_message.encode(
            topic.encode(),
            queue_id,
            draft.body,
            draft.properties,
            draft.flag,
            draft.sys_flag,
            draft.born_timestamp,
            draft.born_host,
            stored_message.store_timestamp(message),
            draft.store_host,
            draft.reconsume_times,
            0,
            stored_message.queue_offset(message),
            stored_message.physical_offset(message),
        )
    )
