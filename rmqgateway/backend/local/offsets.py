"""Consumer offsets: where each group is in each queue. They ride in the log.

RocketMQ writes them every 5 s; here an answered update is durable. Updates are collected: one record for each group and turn
when somebody waits for them, else for each `LocalSettings.offset_interval_ms`.

A record and a piece of a snapshot are the same: msgpack ``[1, group, [[topic, queue id, offset], …]]``; the offset -1 forgets a
queue, the queue id -1 all queues of the topic, the topic "" all of the group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.state import StateKind, register_state
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.pulling import ConsumerOffset, GetConsumerOffset, UpdateConsumerOffset
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, StoreError

__all__ = ["Offsets"]

_log = Logger()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, str, list[tuple[str, int, int]]]).decode
_PIECE = 4096


class Offsets(Component):
    """All consumer offsets."""

    def __init__(self, core: Core, topics: Topics, groups: Groups) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._table: dict[str, dict[str, dict[int, int]]] = {}
        self._dirty: dict[str, dict[tuple[str, int], int]] = {}
        self._needs = -1
        self._waiting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._soon = False
        self._interval = core.settings.offset_interval_ms / 1000
        register_state(core.store, StateKind.OFFSETS, self)
        topics.on_delete.append(self._topic_deleted)

    def handlers(self) -> Handlers:
        return {
            GetConsumerOffset: self.get_consumer_offset,
            UpdateConsumerOffset: self.update_consumer_offset,
        }

    def stop(self) -> None:
        self._flush()

    # For other components

    def get(self, group: str, topic: str, queue_id: int) -> int:
        """Where a group is in a queue, or -1."""
        topics = self._table.get(group)
        if topics is not None:
            queues = topics.get(topic)
            if queues is not None:
                return queues.get(queue_id, -1)
        return -1

    def record(self, group: str, topic: str, queue_id: int, offset: int, needs: int = -1) -> None:
        """Note where a group is; it will be durable soon, and nobody waits for that.

        :param needs: see `IMessageStore.append_state`: copies of what lies before `offset`.
        """
        if needs >= 0 and self._needs < 0:
            self._needs = needs
        if self._set(group, topic, queue_id, offset):
            self._note(group, topic, queue_id, offset)
            if self._timer is None:
                self._timer = self.core.later(self._interval, self._flush)

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> Deferred[None]:
        """Note where a group is; the Deferred fires when that is durable, or fails with StoreError."""
        self._set(group, topic, queue_id, offset)
        self._note(group, topic, queue_id, offset)
        return self.committed()

    def committed(self) -> Deferred[None]:
        """A Deferred that fires when everything noted so far is durable."""
        done: Deferred[None] = Deferred(lambda deferred: None)
        self._waiting.append(done)
        if not self._soon:
            if self._timer is not None:
                self._timer.cancel()
            self._soon = True
            self._timer = self.core.later(0, self._flush)
        return done

    def topics_of(self, group: str) -> list[str]:
        """Topics in which a group has offsets."""
        return sorted(self._table.get(group, {}))

    def groups_of(self, topic: str) -> list[str]:
        """Groups that have offsets in a topic."""
        return sorted(group for group, topics in self._table.items() if topic in topics)

    def of(self, group: str, topic: str) -> dict[int, int]:
        """A group's offsets in a topic by queue id; a copy."""
        return dict(self._table.get(group, {}).get(topic, {}))

    def forget(self, group: str, topic: str = "", queue_id: int = -1) -> None:
        """Forget a group's offsets: all, those in a topic, or in one of its queues."""
        if group in self._table:
            self._apply(group, topic, queue_id, -1)
            # What is noted and not yet written must not come after this.
            self._append_dirty()
            self._note(group, topic, queue_id, -1)
            if self._timer is None:
                self._timer = self.core.later(self._interval, self._flush)

    # Commands

    def get_consumer_offset(self, context: Context, command: GetConsumerOffset) -> ConsumerOffset:
        offset = self.get(command.group, command.topic, command.queue_id)
        if offset >= 0:
            return ConsumerOffset(offset)
        topic = self._topics.find(command.topic)
        # A new group on a queue that still has its very first message begins there, whatever it was configured to do.
        if command.zero_if_new and 0 <= command.queue_id < topic.read_queues:
            stored = topic.queue(command.queue_id).stored
            if stored.min_offset <= 0 < stored.max_offset:
                return ConsumerOffset(0)
        raise GatewayError(
            Code.OFFSET_NOT_FOUND,
            f"group {command.group} has no offset in queue {command.queue_id} of topic {command.topic}; maybe it starts now",
        )

    def update_consumer_offset(self, context: Context, command: UpdateConsumerOffset) -> Deferred[None]:
        topic = self._topics.find(command.topic)
        self._groups.find(command.group)
        if not 0 <= command.queue_id < max(topic.read_queues, topic.write_queues):
            raise GatewayError(
                Code.BAD_OFFSET,
                f"topic {topic.name}: expected a queue id below {max(topic.read_queues, topic.write_queues)},"
                f" got {command.queue_id}",
            )
        if command.offset < 0:
            raise GatewayError(Code.BAD_OFFSET, f"expected an offset of at least 0, got {command.offset}")
        return self.commit(command.group, command.topic, command.queue_id, command.offset)

    # State

    def restore(self, piece: bytes) -> None:
        self.apply(piece)

    def apply(self, payload: bytes) -> None:
        try:
            _, group, changes = _decode(payload)
        except msgspec.MsgspecError as error:
            _log.error("a record of consumer offsets is passed over: {error}", error=error)
            return
        for topic, queue_id, offset in changes:
            self._apply(group, topic, queue_id, offset)

    def snapshot(self) -> Iterable[bytes]:
        # The store takes the pieces later: what it gets is a copy of now.
        return _pieces(
            [
                (group, [(topic, queues.copy()) for topic, queues in topics.items()])
                for group, topics in self._table.items()
            ]
        )

    # Inside

    def _set(self, group: str, topic: str, queue_id: int, offset: int) -> bool:
        """Change the table; say whether that changed anything."""
        topics = self._table.get(group)
        if topics is None:
            topics = self._table[group] = {}
        queues = topics.get(topic)
        if queues is None:
            queues = topics[topic] = {}
        if queues.get(queue_id, -1) == offset:
            return False
        queues[queue_id] = offset
        return True

    def _apply(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        if offset >= 0:
            self._set(group, topic, queue_id, offset)
            return
        topics = self._table.get(group, {})
        if queue_id >= 0:
            queues = topics.get(topic, {})
            queues.pop(queue_id, None)
            if not queues:
                topics.pop(topic, None)
        elif topic:
            topics.pop(topic, None)
        else:
            topics.clear()
        if not topics:
            self._table.pop(group, None)

    def _note(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        changes = self._dirty.get(group)
        if changes is None:
            changes = self._dirty[group] = {}
        changes[topic, queue_id] = offset

    def _flush(self) -> None:
        timer, self._timer, self._soon = self._timer, None, False
        if timer is not None and timer.active():
            timer.cancel()
        waiting, self._waiting = self._waiting, []
        try:
            self._append_dirty()
        except StoreError as error:
            _tell(waiting, error)
            return
        if waiting:
            self.core.store.when_durable(lambda error: _tell(waiting, error))

    def _append_dirty(self) -> None:
        dirty, self._dirty = self._dirty, {}
        needs, self._needs = self._needs, -1
        for group, changes in dirty.items():
            triples = [(topic, queue_id, offset) for (topic, queue_id), offset in changes.items()]
            self.core.store.append_state(StateKind.OFFSETS, _encode((1, group, triples)), needs)

    def _topic_deleted(self, topic: Topic) -> None:
        for group in self.groups_of(topic.name):
            self.forget(group, topic.name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)


def _pieces(table: list[tuple[str, list[tuple[str, dict[int, int]]]]]) -> Iterator[bytes]:
    for group, topics in table:
        changes: list[tuple[str, int, int]] = []
        for topic, queues in topics:
            changes.extend((topic, queue_id, offset) for queue_id, offset in queues.items())
        for start in range(0, len(changes), _PIECE):
            yield _encode((1, group, changes[start : start + _PIECE]))


def _tell(waiting: list[Deferred[None]], error: BaseException | None) -> None:
    for deferred in waiting:
        if deferred.called:  # cancelled
            continue
        if error is None:
            deferred.callback(None)
        else:
            deferred.errback(Failure(error))
