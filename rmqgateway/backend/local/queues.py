"""Topics and message queues as the running backend holds them: name, configuration, store, who waits, counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rmqgateway.backend.local.names import is_forbidden_to_send, is_retry_or_dead_letter
from rmqgateway.backend.store.interfaces import IMessageStore, IStoredQueue
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageType, Permission
from rmqgateway.wire.consistent_hash import consistent_hash, java_hash

__all__ = ["Queue", "Topic", "Waiter"]


class Waiter(Protocol):
    """Who waits for messages at a `Queue` or `Topic`, in its `waiting`: a long poll (``waits.py``), or a component that
    follows a queue (``delays.py``)."""

    def wake(self) -> None:
        """A message became durable here. A waiter that has what it wanted takes itself out of `waiting`."""

    def end(self, reason: str) -> None:
        """The waiting is over: the topic was deleted ("topic")."""


class Queue:
    """One message queue of a topic.

    :ivar stored: the store's queue: offsets and reading.
    :ivar waiting: long polls that wait for a message in this queue (see ``waits.py``).
    """

    __slots__ = ("_store", "_watched", "queue_id", "stored", "topic", "waiting")

    def __init__(self, store: IMessageStore, topic: Topic, queue_id: int) -> None:
        self.topic = topic
        self.queue_id = queue_id
        self.stored: IStoredQueue = store.queue(topic.number, queue_id)
        self.waiting: dict[Waiter, None] = {}
        self._store = store
        self._watched = False

    def append(self, message: bytearray, keys: Sequence[bytes] = ()) -> int:
        """Append a stored message; return its physical offset. Every append goes through here: it counts, and wakes who
        waits as soon as the message is durable. Its queue offset was ``stored.next_offset`` before.

        :raise StoreError: as `IStoredQueue.append`.
        """
        position = self.stored.append(message, keys)
        topic = self.topic
        topic.put_messages += 1
        topic.put_bytes += len(message)
        if not self._watched and (self.waiting or topic.waiting):
            self._watched = True
            self._store.when_durable(self._durable)
        return position

    def watch(self) -> None:
        """Somebody begins to wait here: what is appended and not yet durable must wake it."""
        if not self._watched and self.stored.next_offset > self.stored.max_offset:
            self._watched = True
            self._store.when_durable(self._durable)

    def _durable(self, error: BaseException | None) -> None:
        self._watched = False
        if error is None:
            for wait in [*self.waiting, *self.topic.waiting]:
                wait.wake()
            # Appended to a later group since we asked: the flag kept others from asking again.
            if self.waiting or self.topic.waiting:
                self.watch()


class Topic:
    """One topic.

    :ivar number: the store's name for it.
    :ivar queues: those that anybody has used since the start, by number; `queue` makes one.
    :ivar waiting: long polls that wait for a message in any of its queues.
    :ivar any_type: it takes messages of every type.
    :ivar told_by_key: of messages with nothing else special about them, it takes those that have a message group
        (`wants_key`) or those that have none.
    :ivar plain: producers may send to it and nothing about it is special.
    :ivar put_messages, put_bytes, get_messages, get_bytes: since the start of the process.
    """

    __slots__ = (
        "_readable",
        "_store",
        "any_type",
        "config",
        "get_bytes",
        "get_messages",
        "key_prefix",
        "name",
        "name_bytes",
        "number",
        "plain",
        "put_bytes",
        "put_messages",
        "queues",
        "read_queues",
        "readable",
        "round_robin",
        "system",
        "told_by_key",
        "waiting",
        "wants_key",
        "writable",
        "write_queues",
    )

    def __init__(self, store: IMessageStore, number: int, config: TopicConfig, system: bool = False) -> None:
        self.number = number
        self.name = config.name
        self.name_bytes = config.name.encode()
        self.key_prefix = self.name_bytes + b"#"
        self.system = system
        self.waiting: dict[Waiter, None] = {}
        self.put_messages = self.put_bytes = self.get_messages = self.get_bytes = 0
        self.round_robin = 0
        self._store = store
        self._readable: list[IStoredQueue] = []
        self.queues: dict[int, Queue] = {}
        self.configure(config)

    def configure(self, config: TopicConfig) -> None:
        """Take a new configuration (in memory only; `Topics` stores it)."""
        self.config = config
        self._readable = []
        self.read_queues = config.read_queues
        self.write_queues = config.write_queues
        self.readable = bool(config.permission & Permission.READ)
        self.writable = bool(config.permission & Permission.WRITE)
        self.any_type = config.message_type in (MessageType.MIXED, MessageType.UNSPECIFIED)
        self.told_by_key = config.message_type in (MessageType.NORMAL, MessageType.FIFO)
        self.wants_key = config.message_type is MessageType.FIFO
        self.plain = (
            self.writable
            and config.write_queues > 0
            and not is_retry_or_dead_letter(config.name)
            and not is_forbidden_to_send(config.name)
        )

    def queue(self, queue_id: int) -> Queue:
        """The queue with this number; made when first asked for. Queues beyond the configured number keep what they
        hold.

        :raise GatewayError: BAD_OFFSET: neither readable nor writable queues go so far.
        """
        found = self.queues.get(queue_id)
        if found is None:
            if not 0 <= queue_id < max(self.read_queues, self.write_queues):
                raise GatewayError(
                    Code.BAD_OFFSET,
                    f"topic {self.name}: expected a queue id below {max(self.read_queues, self.write_queues)}, got {queue_id}",
                )
            found = self.queues[queue_id] = Queue(self._store, self, queue_id)
        return found

    def readable_queues(self) -> list[Queue]:
        """All queues that may be read, in order."""
        return [self.queue(queue_id) for queue_id in range(self.read_queues)]

    def max_offsets(self) -> list[int]:
        """Of each queue that may be read, in order: where what can be read ends."""
        readable = self._readable
        if not readable:
            readable = self._readable = [queue.stored for queue in self.readable_queues()]
        return [stored.max_offset for stored in readable]

    def known_queues(self) -> list[Queue]:
        """The queues that anybody has used since the start."""
        return list(self.queues.values())

    def watch(self) -> None:
        """The same as `Queue.watch` for each queue that anybody has used."""
        for queue in self.queues.values():
            stored = queue.stored
            if stored.next_offset > stored.max_offset:
                queue.watch()

    def next_queue_id(self) -> int:
        """The next writable queue in turn, for producers that leave the choice to the broker."""
        turn: int = self.round_robin + 1
        self.round_robin = turn
        return turn % self.write_queues

    def queue_id_of(self, message_group: str | None) -> int:
        """The queue of a message whose producer left the choice to the broker: messages of one group go to one queue, the
        one that Apache's proxy chooses, whichever protocol they come by; those of none go to the next in turn."""
        if message_group is None:
            return self.next_queue_id()
        return consistent_hash(java_hash(message_group), self.write_queues)
