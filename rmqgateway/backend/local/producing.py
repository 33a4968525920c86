"""Producers: SendMessages, SendReply, and messages that consumers send to their retry topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from rmqgateway.backend.local import names
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.lite import LiteTopics
from rmqgateway.backend.local.locks import Locks
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.writing import Draft, Writer, index_keys
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.commands.producing import SendMessages, SendReply, SendResult, SendResults
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import ReplyArrived
from rmqgateway.message import Message, MessageType
from rmqgateway.pending import Pending
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties

__all__ = ["Preparing", "Producing", "message_type"]

#: Properties that make a message take the long way.
_SPECIAL = frozenset(
    {
        "DELAY",
        "POP_CK",
        "REPLY_TO_CLIENT",
        "__LITE_TOPIC",
        "TIMER_DELAY_MS",
        "TIMER_DELAY_SEC",
        "TIMER_DELIVER_MS",
        "TIMER_DEL_UNIQKEY",
        "TRAN_MSG",
        "_SYS_MSG_PRIORITY_",
    }
)
_encode = stored_message.encode
_plain = _SPECIAL.isdisjoint
_STORED_TWICE = (MessageType.DELAY, MessageType.TRANSACTION)


class Preparing(Protocol):
    """Who keeps half messages (the transactions)."""

    def prepare(self, draft: Draft, producer_group: str, context: Context) -> SendResult:
        """Store `draft` as a half message, visible to nobody until its transaction is committed. Appends before it
        returns; the result's physical offset is the half message's, its queue offset the one in the half queue, its
        queue id the real one."""


class Producing(Component):
    """Serves producers.

    :ivar transactions: who keeps half messages; set when the backend is put together.
    """

    def __init__(
        self,
        core: Core,
        topics: Topics,
        groups: Groups,
        clients: Clients,
        locks: Locks,
        writer: Writer,
        lite: LiteTopics,
    ) -> None:
        super().__init__(core)
        self._lite = lite
        self.transactions: Preparing | None = None
        self._topics = topics
        self._groups = groups
        self._clients = clients
        self._locks = locks
        self._writer = writer
        self._max_body = core.settings.max_message_size
        self._max_properties = core.settings.max_properties_size
        self._max_messages = core.settings.max_batch_messages
        self._cluster = core.settings.cluster_name
        self._when_durable = core.store.when_durable
        self._now_ms = core.now_ms

    def handlers(self) -> Handlers:
        return {SendMessages: self.send_messages, SendReply: self.send_reply}

    def send_messages(
        self, context: Context, command: SendMessages
    ) -> Deferred[SendResults] | Pending[SendResults]:
        topic = self._topics.get(command.topic)
        if topic is None:
            return self._send_to_new(context, command)
        any_type = topic.any_type or not command.check_type
        if len(command.messages) == 1 and topic.plain and (any_type or topic.told_by_key):
            # The hot path: nothing about this message is special. `_draft` and `Writer.put` do the same in general.
            message = command.messages[0]
            properties = message.properties
            named = decode_properties(properties)
            unique_key = named.get("UNIQ_KEY")
            queue_id = message.queue_id
            if (
                unique_key is not None
                and queue_id < topic.write_queues
                and _plain(named)
                and (any_type or _is_wanted(topic, message, named))
                and len(message.body) <= self._max_body
                and len(properties) <= self._max_properties
            ):
                if queue_id < 0:
                    queue_id = topic.queue_id_of(named.get("__SHARDINGKEY"))
                queue = topic.queues.get(queue_id) or topic.queue(queue_id)
                now = self._now_ms()
                session = context.session
                try:
                    stored = _encode(
                        topic.name_bytes,
                        queue_id,
                        message.body,
                        properties,
                        message.flag,
                        message.sys_flag,
                        message.born_timestamp or now,
                        session.peer_bytes,
                        now,
                        session.host_bytes,
                        message.reconsume_times,
                    )
                except WireError as error:
                    raise GatewayError(Code.BAD_MESSAGE, error.message) from None
                offset = queue.stored.next_offset
                position = queue.append(stored, index_keys(topic, named))
                results = SendResults((SendResult(queue_id, offset, position, unique_key),))
                return Pending(results, self._when_durable)
        if topic.name.startswith(names.RETRY_PREFIX):
            return self._send_to_retry(context, command, topic)
        return self._send(context, command, topic)

    def send_together(
        self, context: Context, commands: Sequence[SendMessages]
    ) -> tuple[list[SendResults], Callable[[Callable[[BaseException | None], None]], None]]:
        """See `ISendsTogether`: the hot path of `send_messages`, with what all have in common looked up once."""
        session = context.session
        born_host, store_host = session.peer_bytes, session.host_bytes
        max_body, max_properties = self._max_body, self._max_properties
        find = self._topics.get
        now = self._now_ms()
        name = ""
        topic: Topic | None = None
        done: list[SendResults] = []
        try:
            for command in commands:
                if command.topic != name or topic is None:
                    name = command.topic
                    topic = find(name)
                    if topic is None:
                        break
                any_type = topic.any_type or not command.check_type
                if len(command.messages) != 1 or not topic.plain or not (any_type or topic.told_by_key):
                    break
                message = command.messages[0]
                properties = message.properties
                named = decode_properties(properties)
                unique_key = named.get("UNIQ_KEY")
                queue_id = message.queue_id
                if (
                    unique_key is None
                    or queue_id >= topic.write_queues
                    or not _plain(named)
                    or not (any_type or _is_wanted(topic, message, named))
                    or len(message.body) > max_body
                    or len(properties) > max_properties
                ):
                    break
                if queue_id < 0:
                    queue_id = topic.queue_id_of(named.get("__SHARDINGKEY"))
                queue = topic.queues.get(queue_id) or topic.queue(queue_id)
                stored = _encode(
                    topic.name_bytes,
                    queue_id,
                    message.body,
                    properties,
                    message.flag,
                    message.sys_flag,
                    message.born_timestamp or now,
                    born_host,
                    now,
                    store_host,
                    message.reconsume_times,
                )
                offset = queue.stored.next_offset
                position = queue.append(stored, index_keys(topic, named))
                done.append(SendResults((SendResult(queue_id, offset, position, unique_key),)))
        except Exception:  # `send_messages` meets the same, and says so to whom it concerns
            pass
        return done, self._when_durable

    # The general way

    def _send_to_new(self, context: Context, command: SendMessages) -> Deferred[SendResults]:
        """The topic is not there: check what can be checked, create it, try again."""
        for message in command.messages:
            self._check_size(message)
        created = self._topics.for_sending(command.topic, command.default_queues)
        if isinstance(created, Topic):
            return self._send_again(None, context, command)
        return created.addCallback(self._send_again, context, command)

    def _send_again(self, _: object, context: Context, command: SendMessages) -> Deferred[SendResults]:
        result = self.send_messages(context, command)
        return result.deferred() if isinstance(result, Pending) else result

    def _send(self, context: Context, command: SendMessages, topic: Topic) -> Deferred[SendResults]:
        """Check all, then store all."""
        if names.is_forbidden_to_send(topic.name):
            raise GatewayError(
                Code.TOPIC_NOT_WRITABLE, f"sending to the system's topic {topic.name} is not allowed"
            )
        if not topic.writable or topic.write_queues <= 0:
            raise GatewayError(Code.TOPIC_NOT_WRITABLE, f"topic {topic.name} cannot be written (permission)")
        messages = command.messages
        if not messages:
            raise GatewayError(Code.BAD_MESSAGE, "expected at least one message")
        if len(messages) > self._max_messages:
            raise GatewayError(
                Code.MESSAGE_TOO_LARGE,
                f"expected at most {self._max_messages} messages (max_batch_messages), got {len(messages)}",
            )
        batch_queue = -1
        if command.as_batch:
            batch_queue = messages[0].queue_id
            if batch_queue < 0:
                batch_queue = topic.queue_id_of(decode_properties(messages[0].properties).get("__SHARDINGKEY"))
        drafts = [self._draft(context, topic, message, batch_queue) for message in messages]
        if command.as_batch:
            self._check_batch(drafts)
        for draft in drafts:
            if command.check_type:
                _check_type(topic, draft)
            if not _plain(draft.named):
                self._check_delayed_size(draft)
                self._writer.delivery_time(draft.named)  # raises before anything is stored
        places = [
            self._lite.ensure(topic, draft.named["__LITE_TOPIC"])
            for draft in drafts
            if self._is_lite(topic, draft)
        ]
        new = [place for place in places if isinstance(place, Deferred)]
        if new:
            made = gatherResults(new, consumeErrors=True)
            return made.addCallbacks(self._store, _first_error, (context, command, topic, drafts))
        return self._store(None, context, command, topic, drafts)

    def _store(
        self, _: object, context: Context, command: SendMessages, topic: Topic, drafts: list[Draft]
    ) -> Deferred[SendResults]:
        for draft in drafts:
            if self._is_lite(topic, draft):
                draft.place = self._lite.find(topic.name, draft.named["__LITE_TOPIC"])
                draft.queue_id = 0
        return self.core.durable(SendResults(tuple([self._put(context, command, draft) for draft in drafts])))

    def _is_lite(self, topic: Topic, draft: Draft) -> bool:
        return (
            "__LITE_TOPIC" in draft.named
            and self._lite.takes_lite(topic)
            and message_type(draft.named, draft.sys_flag) is MessageType.LITE
        )

    def _put(self, context: Context, command: SendMessages, draft: Draft) -> SendResult:
        named = draft.named
        if _plain(named):
            return self._writer.put(draft)
        if named.get("TRAN_MSG") == "true" and not (
            draft.reconsume_times > 0 and named.get("DELAY", "0") != "0"
        ):
            if self.transactions is None:
                raise GatewayError(Code.UNSUPPORTED, "this backend has no transactions")
            return self.transactions.prepare(
                draft, command.producer_group or named.get("PGROUP", ""), context
            )
        return self._writer.put_or_delay(draft)

    def _draft(self, context: Context, topic: Topic, message: Message, queue_id: int = -1) -> Draft:
        self._check_size(message)
        if queue_id < 0:
            queue_id = message.queue_id
        named = decode_properties(message.properties)
        if queue_id < 0:
            queue_id = topic.queue_id_of(named.get("__SHARDINGKEY"))
        else:
            self._check_queue(topic, queue_id)
        session = context.session
        draft = Draft(
            topic,
            queue_id,
            message.body,
            message.properties,
            named,
            flag=message.flag,
            sys_flag=message.sys_flag,
            born_timestamp=message.born_timestamp,
            born_host=session.peer_bytes,
            store_host=session.host_bytes,
            reconsume_times=message.reconsume_times,
        )
        draft.unset("POP_CK")  # only the broker itself may say that
        if "UNIQ_KEY" not in draft.named:
            draft.set("UNIQ_KEY", self._writer.new_unique_key())
        if "_SYS_MSG_PRIORITY_" in draft.named:
            self._prioritise(draft)
        if "REPLY_TO_CLIENT" in draft.named:
            # Whoever answers makes the name of the reply topic of it.
            draft.set("CLUSTER", self._cluster)
        return draft

    @staticmethod
    def _prioritise(draft: Draft) -> None:
        """A priority is the queue's number: receives of a PRIORITY topic look into the highest queue first. A message
        that is of another type as well has none (``SendMessageProcessor`` of 5.5.0)."""
        priority = draft.named["_SYS_MSG_PRIORITY_"]
        if message_type(draft.named, draft.sys_flag) is not MessageType.PRIORITY or not priority.isdigit():
            draft.unset("_SYS_MSG_PRIORITY_")
        elif len(priority) < 10:
            draft.queue_id = min(int(priority), draft.topic.write_queues - 1)
        else:
            draft.queue_id = draft.topic.write_queues - 1

    def _check_size(self, message: Message) -> None:
        if len(message.body) > self._max_body:
            raise GatewayError(
                Code.MESSAGE_TOO_LARGE,
                f"expected a body of at most {self._max_body} bytes (max_message_size), got {len(message.body)}",
            )
        if len(message.properties) > self._max_properties:
            raise GatewayError(
                Code.PROPERTIES_TOO_LARGE,
                f"expected properties of at most {self._max_properties} bytes, got {len(message.properties)}",
            )

    def _check_delayed_size(self, draft: Draft) -> None:
        """Those that are stored twice, now and when their time or their decision comes, may have a limit of their own."""
        limit = self.core.settings.max_delayed_message_size
        if 0 < limit < len(draft.body) and message_type(draft.named, draft.sys_flag) in _STORED_TWICE:
            raise GatewayError(
                Code.MESSAGE_TOO_LARGE,
                f"expected a body of at most {limit} bytes of a transactional or delayed message"
                f" (max_delayed_message_size), got {len(draft.body)}",
            )

    @staticmethod
    def _check_queue(topic: Topic, queue_id: int) -> None:
        limit = max(topic.read_queues, topic.write_queues)
        if queue_id >= limit:
            raise GatewayError(
                Code.BAD_REQUEST, f"topic {topic.name}: expected a queue id below {limit}, got {queue_id}"
            )

    @staticmethod
    def _check_batch(drafts: list[Draft]) -> None:
        for draft in drafts:
            if not _plain(draft.named) and "REPLY_TO_CLIENT" not in draft.named:
                raise GatewayError(Code.BAD_MESSAGE, "a batch cannot hold delayed or transactional messages")
            if draft.topic.name.startswith(names.RETRY_PREFIX):
                raise GatewayError(Code.BAD_MESSAGE, "a batch cannot go to a retry topic")

    # Messages that consumers send to their own retry topics

    def _send_to_retry(self, context: Context, command: SendMessages, topic: Topic) -> Deferred[SendResults]:
        """A consumer gives messages back by sending them itself: with attempts used up, or from an ordered consumer, they
        go to the dead-letter queue (RocketMQ's handleRetryAndDLQ)."""
        group = self._groups.find(names.group_of_retry_topic(topic.name))
        limit = command.max_reconsume_times if command.max_reconsume_times >= 0 else group.retry_max_times
        ordered = self._locks.is_held(group.name)
        if command.as_batch or not any(
            ordered or message.reconsume_times > limit for message in command.messages
        ):
            return self._send(context, command, topic)
        found = self._topics.ensure(TopicConfig(names.dead_letter_topic(group.name), 1, 1))

        def send(dead_letters: Topic) -> Deferred[SendResults]:
            drafts = []
            for message in command.messages:
                if ordered or message.reconsume_times > limit:
                    draft = self._draft(context, dead_letters, message, 0)
                    draft.set("DELAY", "-1")
                else:
                    draft = self._draft(context, topic, message)
                drafts.append(draft)
            return self.core.durable(
                SendResults(tuple([self._put(context, command, draft) for draft in drafts]))
            )

        return send(found) if isinstance(found, Topic) else found.addCallback(send)

    # Replies to requests

    def send_reply(self, context: Context, command: SendReply) -> None:
        """Push a reply to the client that waits for it; nothing is stored."""
        message = command.message
        self._check_size(message)
        named = decode_properties(message.properties)
        client_id = named.get("REPLY_TO_CLIENT")
        if client_id is None:
            raise GatewayError(Code.BAD_MESSAGE, "a reply needs the property REPLY_TO_CLIENT of the request")
        session = self._clients.session_of(client_id)
        now = self.core.now_ms()
        event = ReplyArrived(
            command.topic,
            message.body,
            message.properties,
            context.session.peer,
            message.born_timestamp or now,
            now,
            message.sys_flag,
            message.flag,
            max(message.queue_id, 0),
            command.producer_group,
            message.reconsume_times,
        )
        if session is None or not session.deliver(event):
            raise GatewayError(
                Code.CLIENT_NOT_FOUND, f"client {client_id[:300]!r}, which asked, is not connected here"
            )


def _first_error(failure: Failure) -> Failure:
    """What `gatherResults` wraps."""
    return failure.value.subFailure if isinstance(failure.value, FirstError) else failure


def _is_wanted(topic: Topic, message: Message, named: dict[str, str]) -> bool:
    """Whether a plain message is of the type that the topic takes (`Topic.told_by_key`)."""
    return ("__SHARDINGKEY" in named) is topic.wants_key and not message.sys_flag & 0xC


def message_type(named: dict[str, str], sys_flag: int = 0) -> MessageType:
    """What type a message is, by its properties (``TopicMessageType.parseFromMessageProperty``)."""
    if named.get("TRAN_MSG") == "true" or sys_flag & 0xC == 4:
        return MessageType.TRANSACTION
    if not named.keys().isdisjoint(("DELAY", "TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS")):
        return MessageType.DELAY
    if "__SHARDINGKEY" in named:
        return MessageType.FIFO
    if "_SYS_MSG_PRIORITY_" in named:
        return MessageType.PRIORITY
    if "__LITE_TOPIC" in named:
        return MessageType.LITE
    return MessageType.NORMAL


def _check_type(topic: Topic, draft: Draft) -> None:
    wanted = topic.config.message_type
    if wanted is MessageType.MIXED or wanted is MessageType.UNSPECIFIED or topic.system:
        return
    got = message_type(draft.named, draft.sys_flag)
    if got is not wanted:
        raise GatewayError(
            Code.BAD_MESSAGE_TYPE,
            f"topic {topic.name} takes messages of type {wanted.value}, got one of type {got.value}",
        )
