"""Finding messages: by position, by key, by their place in a queue."""

from __future__ import annotations

from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.filters import compile_filter
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands import Action
from rmqgateway.commands.administering import (
    ConsumeQueueEntries,
    ConsumeQueueEntry,
    QueryConsumeQueue,
    QueryMessages,
    StoredMessages,
    ViewMessage,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties, find_property

__all__ = ["AdminMessages", "java_hash"]

#: As RocketMQ's defaultQueryMaxNum and the most entries of one QUERY_CONSUME_QUEUE.
_MAX_FOUND = 64
_MAX_ENTRIES = 1024


class AdminMessages(Component):
    """Looks for stored messages."""

    def __init__(self, core: Core, topics: Topics) -> None:
        super().__init__(core)
        self._topics = topics

    def handlers(self) -> Handlers:
        return {
            QueryConsumeQueue: self.query_consume_queue,
            QueryMessages: self.query_messages,
            ViewMessage: self.view_message,
        }

    def view_message(self, context: Context, command: ViewMessage) -> StoredMessages:
        message = self.core.store.read_at(command.physical_offset)
        if message is None:
            raise GatewayError(Code.MESSAGE_NOT_FOUND, f"there is no message at {command.physical_offset}")
        # Whatever topic the caller names, if any: it is this one that is read.
        context.require_topic(stored_message.topic(message).decode("utf-8", "replace"), "", (Action.GET, Action.SUB))
        return StoredMessages((message,))

    def query_messages(self, context: Context, command: QueryMessages) -> StoredMessages:
        topic = self._topics.find(command.topic)
        wanted = min(max(command.max_messages, 1), _MAX_FOUND)
        # A key may share its hash with another one: what the store finds is looked at.
        found = self.core.store.query_key(
            topic.key_prefix + command.key.encode(), command.begin, command.end, wanted * 2
        )
        kept = [
            message
            for message in found
            if _has_key(message, topic.name_bytes, command.key, command.unique_key)
        ]
        return StoredMessages(tuple(kept[:wanted]), self.core.now_ms())

    def query_consume_queue(self, context: Context, command: QueryConsumeQueue) -> ConsumeQueueEntries:
        stored = self._topics.find(command.topic).queue(command.queue_id).stored
        matching = None if command.filter is None else compile_filter(command.filter)
        entries = []
        limits = self.core.settings
        for message in stored.read(
            command.offset, min(max(command.count, 0), _MAX_ENTRIES), limits.pull_max_bytes
        ):
            tags = find_property(stored_message.properties(message), b"TAGS")
            entries.append(
                ConsumeQueueEntry(
                    stored_message.physical_offset(message),
                    len(message),
                    java_hash(tags.decode("utf-8", "replace")) if tags else 0,
                    matching is None or matching.matches(message),
                )
            )
        return ConsumeQueueEntries(tuple(entries), stored.min_offset, stored.max_offset)


def _has_key(message: bytes, topic: bytes, key: str, unique_key: bool) -> bool:
    if stored_message.topic(message) != topic:
        return False
    named = decode_properties(stored_message.properties(message))
    if unique_key:
        return named.get("UNIQ_KEY") == key
    return key in named.get("KEYS", "").split(" ") or named.get("UNIQ_KEY") == key


def java_hash(text: str) -> int:
    """``String.hashCode``: over UTF-16 units, as a signed 32-bit number."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = value * 31 + (high << 8 | low) & 0xFFFFFFFF
    return value - 0x1_0000_0000 if value & 0x8000_0000 else value
