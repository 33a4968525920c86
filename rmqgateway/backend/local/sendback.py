"""SendBack: a pulled message that was not consumed comes again later, from the group's retry topic, or to its dead letters.

Source: ``AbstractSendMessageProcessor.consumerSendMsgBack`` of 5.5.0.
"""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.writing import Draft, Writer
from rmqgateway.commands import Action
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.commands.producing import SendBack
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id

__all__ = ["SendingBack"]

#: The first attempt after a failure comes by this delay level, 10 s; each following one by the next.
_FIRST_LEVEL = 3


class SendingBack(Component):
    """Serves consumers that give messages back; moves messages to dead-letter queues."""

    def __init__(
        self, core: Core, topics: Topics, groups: Groups, writer: Writer, statistics: Statistics
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._writer = writer
        self._statistics = statistics

    def handlers(self) -> Handlers:
        return {SendBack: self.send_back}

    def send_back(self, context: Context, command: SendBack) -> Deferred[None] | None:
        group = self._groups.find(command.group)
        if group.retry_queues <= 0:
            return None
        message = self.core.store.read_at(command.physical_offset)
        if message is None:
            raise GatewayError(Code.MESSAGE_NOT_FOUND, f"there is no message at {command.physical_offset}")
        # The retry topic is read by the group: only what its members may read goes there.
        came_from = stored_message.topic(message).decode("utf-8", "replace")
        context.require_topic(came_from, command.group, (Action.SUB,))
        # Where it goes is set below.
        draft = Draft.from_stored(message, self._topics.find(names.SCHEDULE_TOPIC), 0)
        limit = command.max_reconsume_times if command.max_reconsume_times >= 0 else group.retry_max_times
        dead = command.delay_level < 0 or draft.reconsume_times >= limit
        if dead:
            topic = self._topics.ensure(TopicConfig(names.dead_letter_topic(group.name), 1, 1))
        else:
            topic = self._topics.ensure(
                TopicConfig(names.retry_topic(group.name), group.retry_queues, group.retry_queues)
            )

        def store(topic: Topic) -> Deferred[None]:
            if not topic.writable:
                raise GatewayError(
                    Code.TOPIC_NOT_WRITABLE, f"topic {topic.name} cannot be written (permission)"
                )
            self._mark(context, draft, command.physical_offset, message)
            draft.topic = topic
            draft.store_host = context.session.host_bytes
            level = command.delay_level or _FIRST_LEVEL + draft.reconsume_times
            draft.reconsume_times += 1
            if dead:
                draft.queue_id = 0
                draft.set("DELAY", "0")
                self._statistics.died(group.name)
            else:
                draft.queue_id = random.randrange(topic.write_queues)
                draft.set("DELAY", str(level))
            self._writer.put_or_delay(draft)
            self._statistics.gave_back(group.name, draft.named.get("RETRY_TOPIC", ""))
            return self.core.durable(None)

        return store(topic) if isinstance(topic, Topic) else topic.addCallback(store)

    def _mark(self, context: Context, draft: Draft, physical_offset: int, message: bytes) -> None:
        """Note where the message came from at first."""
        if "RETRY_TOPIC" not in draft.named:
            draft.set("RETRY_TOPIC", stored_message.topic(message).decode())
        draft.set("WAIT", "false")
        if "ORIGIN_MESSAGE_ID" not in draft.named:
            draft.set(
                "ORIGIN_MESSAGE_ID", encode_offset_message_id(context.session.host_bytes, physical_offset)
            )
