"""Moving messages between a topic and a group's retry and dead-letter topics, for consuming by receive.

Each move appends a copy; the caller settles the original in the same group of the store and says that this needs the copy
(`PopMoves.first`), so a crash leaves both, none, or the copy beside its original. A topic that is not there yet is created
first: then the answer is "not now", and the caller is woken to try again.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Core
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.writing import Draft, Writer
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id

__all__ = ["PopMoves"]

_log = Logger()


class PopMoves:
    """Copies messages to where their next attempt, or nobody, waits for them.

    :ivar first: the position of the first copy since the caller set it to -1.
    """

    def __init__(self, core: Core, topics: Topics, writer: Writer, statistics: Statistics) -> None:
        self._core = core
        self._topics = topics
        self._writer = writer
        self._statistics = statistics
        self.first = -1

    def to_dead_letters(
        self, group: str, message: bytes, reconsume_times: int, again: Callable[[], None]
    ) -> bool:
        """Copy a message to its group's dead-letter queue. False: not now, `again` will be called."""
        topic = self._topic(names.dead_letter_topic(group), again)
        if topic is None:
            return False
        self._put(topic, message, reconsume_times, DELAY="0")
        self._statistics.died(group)
        return True

    def to_pull_retries(
        self, group: str, message: bytes, reconsume_times: int, again: Callable[[], None]
    ) -> bool:
        """Copy a message that was in flight to where pull consumers of the group look. False: not now."""
        topic = self._topic(names.retry_topic(group), again)
        if topic is None:
            return False
        self._put(topic, message, reconsume_times)
        return True

    def to_pop_retries(self, group: str, message: bytes, again: Callable[[], None]) -> bool:
        """Copy a message that a pull consumer gave back to where receives of the group look. False: not now."""
        draft = Draft.from_stored(message, self._topics.find(names.SCHEDULE_TOPIC), 0)
        origin = draft.named.get("RETRY_TOPIC", "")
        topic = self._topic(names.pop_retry_topic(group, origin), again)
        if topic is None:
            return False
        draft.topic, draft.queue_id = topic, 0
        put = self._writer.put(draft)
        if self.first < 0:
            self.first = put.physical_offset
        return True

    def _put(self, topic: Topic, message: bytes, reconsume_times: int, **properties: str) -> None:
        draft = Draft.from_stored(message, topic, 0)
        if "RETRY_TOPIC" not in draft.named:
            draft.set("RETRY_TOPIC", stored_message.topic(message).decode())
        if "ORIGIN_MESSAGE_ID" not in draft.named:
            host, position = stored_message.store_host(message), stored_message.physical_offset(message)
            draft.set("ORIGIN_MESSAGE_ID", encode_offset_message_id(host, position))
        for name, value in properties.items():
            draft.set(name, value)
        draft.reconsume_times = reconsume_times
        put = self._writer.put(draft)
        if self.first < 0:
            self.first = put.physical_offset

    def _topic(self, name: str, again: Callable[[], None]) -> Topic | None:
        topic = self._topics.ensure(TopicConfig(name, 1, 1))
        if isinstance(topic, Deferred):
            topic.addCallbacks(
                lambda _: again(),
                lambda failure: _log.warn("cannot create {name}: {why}", name=name, why=failure.value),
            )
            return None
        return topic
