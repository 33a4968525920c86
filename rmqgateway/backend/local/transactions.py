"""Half messages: prepared, then committed, rolled back, or asked about.

A half message is stored in ``RMQ_SYS_TRANS_HALF_TOPIC`` with its real topic and queue as properties; that it is undecided
is state in the log, of which a few bytes are in memory (`HalfTable`). Committing appends the real message in the same group
as the mark that ends the half message, so a transaction is never half visible. Source of the meaning:
``TransactionalMessageServiceImpl`` and ``EndTransactionProcessor`` of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.alarm import Alarm
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.half_table import MOST_CHECKS, HalfTable, id_hash
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
_VERSION = b"\x02"
_PREPARED, _CHECKED, _ENDED, _MOVED = range(4)
_BATCH = 128
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode
#: One that is not durable yet cannot be read: it is asked about so much later (ms).
_SOON = 100


class Transactions(Component):
    """Keeps half messages (`producing.Preparing`) and ends them."""

    def __init__(self, core: Core, topics: Topics, clients: Clients, writer: Writer) -> None:
        super().__init__(core)
        self._topics = topics
        self._clients = clients
        self._writer = writer
        self._halves = HalfTable()
        self._alarm = Alarm(core, self._check_due)
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
        key = id_hash(put.unique_key)
        self._halves.add(put.queue_offset, key, check_at)
        self._append([_PREPARED, put.queue_offset, key, check_at], put.physical_offset)
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
        if self._find(draft.named.get("UNIQ_KEY", "")) >= 0:
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
            if self._is_new(offset):
                raise GatewayError(Code.TRANSACTION_NOT_FOUND, "the half message is not stored yet")
            self._end(offset, None)
            raise GatewayError(Code.TRANSACTION_NOT_FOUND, "the half message is gone (retention)")
        self._check_caller(context, command, message)
        put = self._deliver(message) if command.resolution == TransactionResolution.COMMIT else -1
        self._end(offset, message, put)
        return self.core.durable(None)

    def _offset(self, command: EndTransaction) -> int:
        """Where the half message is: where it is said to be, or where it was stored again since (`keep`)."""
        said = command.queue_offset
        if said in self._halves:
            return said
        now_at = self._find(command.transaction_id)
        if said < 0:
            return now_at
        if said < now_at:
            before = self._read(said)
            if before is None or _unique_key(before) == command.transaction_id:
                return now_at
        return -1

    def _find(self, transaction_id: str) -> int:
        """Where the undecided half message of a transaction is, or -1. That its hash is known is not enough."""
        offset = self._halves.find(id_hash(transaction_id))
        message = self._read(offset) if offset >= 0 else None
        return -1 if message is not None and _unique_key(message) != transaction_id else offset

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

    def _is_new(self, offset: int) -> bool:
        """Whether this half message cannot be read since it is not durable yet."""
        stored = self._topics.find(HALF_TOPIC).queue(0).stored
        return bool(stored.max_offset <= offset < stored.next_offset)

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

    def _end(self, offset: int, message: bytes | None, needs: int = -1) -> None:
        key = self._halves.key_of(offset) if message is None else id_hash(_unique_key(message))
        self._ended(offset, key)
        self._append([_ENDED, offset, key, 0], needs)

    # Asking the producers.

    def _plan(self) -> None:
        when = self._halves.next_time()
        if when is not None:
            self._alarm.set(when)

    def _check_due(self) -> None:
        now = self.core.now_ms()
        for _ in range(_BATCH):
            offset = self._halves.first_due(now)
            if offset is None:
                break
            try:
                self._check(offset, now)
            except StoreError as error:
                _log.warn("half messages wait, since the store takes nothing: {reason}", reason=str(error))
                self._halves.postpone(offset, now + 1000)
                break
            except GatewayError as error:
                _log.warn("a half message cannot be asked about: {reason}", reason=str(error))
        self._plan()

    def _check(self, offset: int, now: int) -> None:
        message = self._read(offset)
        if message is None:
            if self._is_new(offset):
                self._halves.postpone(offset, now + _SOON)
            else:
                self._end(offset, None)
            return
        settings = self.core.settings
        check_at = now + int(settings.transaction_interval_s * 1000)
        if self._halves.checks(offset) >= min(settings.transaction_check_max, MOST_CHECKS):
            self._halves.postpone(offset, check_at)  # to be tried again if this fails
            self._discard(offset, message)
            return
        self._append([_CHECKED, offset, 0, check_at])
        self._halves.checked(offset, check_at)
        draft = Draft.from_stored(message, self._topics.find(HALF_TOPIC), 0)
        sessions = self._clients.producer_sessions(draft.named.get("PGROUP", ""))
        if not sessions:
            return  # RocketMQ counts this as a check too
        # Whoever names a producer group is its member; the message is shown to those only who could have sent it.
        topic = draft.named.get(_REAL_TOPIC, "")
        sessions = [session for session in sessions if self.may_publish(session, topic)]
        if not sessions:
            return
        draft.set("TRANSACTION_CHECK_TIMES", str(self._halves.checks(offset)))
        transaction_id = draft.named.get("UNIQ_KEY", "")
        event = CheckTransaction(
            draft.named.get("PGROUP", ""),
            _as_real(draft, message),
            transaction_id,
            transaction_id,
            offset,
            stored_message.physical_offset(message),
        )
        # Each time another member, for each half message by itself: one that does not know, or does not answer, is not asked
        # again and again while others would.
        turn = offset + self._halves.checks(offset)
        for index in range(len(sessions)):
            # Another member, too, when the first one cannot be asked.
            if sessions[(turn + index) % len(sessions)].deliver(event):
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
        self._end(offset, message, put.physical_offset)

    # Retention (see `Keeper`): an undecided half message is stored again before its segment goes.

    def needed(self, topic_number: int, queue_id: int, end: int) -> Generator[None, None, int | None]:
        if topic_number != self._topics.find(HALF_TOPIC).number:
            return 0
        yield
        return self._halves.count_before(end)

    def keep(self, topic_number: int, queue_id: int, end: int) -> Iterator[None]:
        offset = self._halves.following(-1)
        number = 0
        while offset is not None and offset < end:  # what is stored again comes after `end`
            message = self._read(offset)
            if message is not None:
                put = self._writer.put(Draft.from_stored(message, self._topics.find(HALF_TOPIC), 0))
                key = id_hash(_unique_key(message))
                self._halves.move(offset, put.queue_offset, key)
                self._append([_MOVED, offset, key, put.queue_offset], put.physical_offset)
            number += 1
            if not number % 100:
                yield
            offset = self._halves.following(offset)
        self._plan()

    # State.

    def _append(self, change: list[Any], needs: int = -1) -> None:
        self.core.store.append_state(int(StateKind.TRANSACTIONS), _VERSION + _encode(change), needs)

    def _ended(self, offset: int, key: int) -> None:
        self._halves.remove(offset, key)

    def apply(self, payload: bytes) -> None:
        kind, offset, key, number = _decode(_content(payload))
        if kind == _PREPARED:
            self._halves.add(offset, key, number)
        elif kind == _ENDED:
            self._ended(offset, key)
        elif kind == _MOVED:
            self._halves.move(offset, number, key)
        else:
            self._halves.checked(offset, number)

    def snapshot(self) -> Iterator[bytes]:
        # The store takes the pieces later: they show what is there now.
        return (_VERSION + _encode(piece) for piece in self._halves.pieces())

    def restore(self, piece: bytes) -> None:
        self._halves.restore(*_decode(_content(piece)))


def _content(record: bytes) -> bytes:
    if record[:1] != _VERSION:
        raise ValueError(f"state of half messages: expected version {_VERSION[0]}, got {record[0]}")
    return record[1:]


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
