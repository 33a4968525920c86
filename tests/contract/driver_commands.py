"""The commands themselves, executed through the door."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred

from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    Command,
    Consumer,
    EndTransaction,
    ForwardToDeadLetterQueue,
    GetConsumerOffset,
    Heartbeat,
    ListConsumers,
    LockQueues,
    MessageModel,
    OffsetOf,
    PulledMessages,
    PullMessages,
    QueryMessages,
    QueryOffset,
    QueryRoute,
    RecallMessage,
    ReceivedMessages,
    ReceiveMessages,
    SendBack,
    SendMessages,
    Subscribed,
    TransactionResolution,
    UnlockQueues,
    Unregister,
    UpdateConsumerOffset,
    ViewMessage,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction, ConsumersChanged
from rmqgateway.message import Filter, Message, MessageQueue
from rmqgateway.testing import NoReplyYet, World, result_of
from rmqgateway.wire.message_properties import encode_properties
from tests.contract.driver import Got, Outgoing, Pending, Pulled, Putting, Refused, Sent, got_of, named_of

__all__ = ["CommandsDriver"]

R = TypeVar("R")
T = TypeVar("T")


class CommandsDriver(Putting):
    name = "commands"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.host = world.peer_host
        self.session = world.session()

    def words(self, code: Code) -> object:
        return code

    def execute(self, command: Command[R]) -> R:
        try:
            return self.world.execute(self.session, command)
        except GatewayError as error:
            raise Refused(error.code, error.message) from error

    def begin(self, command: Command[R]) -> Deferred[R]:
        return self.world.start(self.session, command)

    def close(self) -> None:
        self.session.session.end()
        self.world.settle()

    # Producing.

    def _send(self, topic: str, message: Message, producer_group: str = "") -> Sent:
        now = self.world.wall_ms
        result = self.execute(SendMessages(topic, (message,), producer_group, check_type=True)).results[0]
        return Sent(
            result.queue_id,
            result.queue_offset,
            result.physical_offset,
            result.unique_key,
            result.recall_handle,
            now,
            self.host,
        )

    def put(self, topic: str, message: Outgoing) -> Sent:
        return self._send(topic, Message(message.body.encode(), encode_properties(named_of(message)), message.queue_id))

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        properties = encode_properties({**named_of(message), "TRAN_MSG": "true", "PGROUP": producer_group})
        return self._send(topic, Message(message.body.encode(), properties, sys_flag=4), producer_group)

    def send_to(self, topic: str, body: str, queue_id: int) -> Sent:
        return self.put(topic, Outgoing(body, queue_id=queue_id))

    def send_batch(self, topic: str, bodies: list[str]) -> Sent:
        messages = tuple(Message(body.encode()) for body in bodies)
        result = self.execute(SendMessages(topic, messages, as_batch=True)).results[0]
        return Sent(result.queue_id, result.queue_offset, result.physical_offset, result.unique_key)

    def send_at_level(self, topic: str, body: str, level: int) -> Sent:
        return self.put(topic, Outgoing(body, level=level))

    def recall(self, topic: str, handle: str) -> str:
        return self.execute(RecallMessage(topic, handle)).unique_key

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        resolution = {
            True: TransactionResolution.COMMIT,
            False: TransactionResolution.ROLLBACK,
            None: TransactionResolution.UNKNOWN,
        }[commit]
        self.execute(
            EndTransaction(
                topic,
                producer_group,
                resolution,
                half.message_id,
                queue_offset=half.queue_offset,
                physical_offset=half.physical_offset,
            )
        )

    def answer_for(self, client_id: str, producer_group: str, topic: str) -> None:
        self.heartbeat(client_id, producer=producer_group)

    def checks(self) -> list[Got]:
        found = [event for event in self.session.events if isinstance(event, CheckTransaction)]
        self.session.events = [event for event in self.session.events if event not in found]
        return [got_of(event.message) for event in found]

    # Popping.

    def _pending(self, deferred: Deferred[T]) -> Pending[T]:
        def look() -> T | None:
            try:
                return result_of(deferred)
            except NoReplyYet:
                return None
            except GatewayError as error:
                raise Refused(error.code, error.message) from error

        return Pending(self.world, look, deferred.cancel)

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        return _messages(self.execute(ReceiveMessages(group, topic, max_messages=max_messages, filter=Filter(tags))))

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        command = ReceiveMessages(
            group, topic, max_messages=max_messages, invisible_ms=invisible_ms, wait_ms=wait_ms, fifo=fifo
        )
        return self._pending(self.begin(command).addCallback(_messages))

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        invisible_ms = self.invisible_ms
        command = ReceiveMessages(
            group, topic, max_messages=max_messages, invisible_ms=invisible_ms, fifo=fifo, lite_topics=lite_topics
        )
        return _messages(self.execute(command))

    def ack(self, group: str, topic: str, message: Got) -> None:
        (result,) = self.execute(AckMessages(group, topic, (message.handle,), strict=False)).results
        if result.code:
            raise Refused(Code[result.code], result.text)

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        self.change_invisible(group, topic, message, delay_ms)

    def change_invisible(self, group: str, topic: str, message: Got, invisible_ms: int) -> Got:
        reply = self.execute(ChangeInvisibleDuration(group, topic, message.handle, invisible_ms))
        return Got(message.body, message.properties, message.topic, handle=reply.receipt_handle)

    def dead_letter(self, group: str, topic: str, message: Got) -> None:
        self.execute(ForwardToDeadLetterQueue(group, topic, message.handle))

    # Pulling.

    def pull(self, group: str, topic: str, queue_id: int, offset: int, wait_ms: int = 0, tags: str = "*") -> Pending[Pulled]:
        command = PullMessages(group, topic, queue_id, offset, wait_ms=wait_ms, filter=Filter(tags))
        return self._pending(self.begin(command).addCallback(_pulled))

    def offsets(self, topic: str, queue_id: int) -> tuple[int, int]:
        return (
            self.execute(QueryOffset(topic, queue_id, OffsetOf.MIN)).offset,
            self.execute(QueryOffset(topic, queue_id, OffsetOf.MAX)).offset,
        )

    def offset_at(self, topic: str, queue_id: int, at_ms: int) -> int:
        return self.execute(QueryOffset(topic, queue_id, OffsetOf.TIMESTAMP, at_ms)).offset

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        self.execute(UpdateConsumerOffset(group, topic, queue_id, offset))

    def committed(self, group: str, topic: str, queue_id: int) -> int | None:
        try:
            return self.execute(GetConsumerOffset(group, topic, queue_id, zero_if_new=False)).offset
        except Refused as error:
            if error.reason is Code.OFFSET_NOT_FOUND:
                return None
            raise

    def send_back(self, group: str, topic: str, message: Got, level: int = 0) -> None:
        self.execute(SendBack(group, message.physical_offset, level, topic))

    def _queues(self, topic: str, queue_ids: list[int]) -> tuple[MessageQueue, ...]:
        return tuple(MessageQueue(topic, self.world.settings.broker_name, queue_id) for queue_id in queue_ids)

    def lock(self, group: str, client_id: str, topic: str, queue_ids: list[int]) -> list[int]:
        reply = self.execute(LockQueues(group, client_id, self._queues(topic, queue_ids)))
        return sorted(queue.queue_id for queue in reply.queues)

    def unlock(self, group: str, client_id: str, topic: str, queue_ids: list[int]) -> None:
        self.execute(UnlockQueues(group, client_id, self._queues(topic, queue_ids)))

    # Clients and administration.

    def heartbeat(
        self, client_id: str, group: str = "", topics: list[str] | None = None, *, producer: str = "", broadcast: bool = False
    ) -> None:
        model = MessageModel.BROADCASTING if broadcast else MessageModel.CLUSTERING
        subscriptions = tuple(Subscribed(topic, Filter("*")) for topic in topics or ())
        consumers = (Consumer(group, model=model, subscriptions=subscriptions),) if group else ()
        self.execute(Heartbeat(client_id, "JAVA", "V5_5_0", (producer,) if producer else (), consumers))

    def unregister(self, client_id: str, group: str) -> None:
        self.execute(Unregister(client_id, consumer_group=group))

    def members(self, group: str) -> list[str]:
        return list(self.execute(ListConsumers(group)).client_ids)

    def changes(self) -> list[str]:
        found = [event for event in self.session.events if isinstance(event, ConsumersChanged)]
        self.session.events = [event for event in self.session.events if event not in found]
        return [event.group for event in found]

    def queues(self, topic: str) -> int:
        return sum(queues.write_queues for queues in self.execute(QueryRoute(topic)).queues)

    def find_by_key(self, topic: str, key: str) -> list[Got]:
        return [got_of(message) for message in self.execute(QueryMessages(topic, key)).messages]

    def view(self, sent: Sent) -> Got:
        return got_of(self.execute(ViewMessage(sent.physical_offset)).messages[0])


def _messages(reply: ReceivedMessages) -> list[Got]:
    return [got_of(one.message, one.receipt_handle, one.delivery_attempt) for one in reply.messages]


def _pulled(reply: PulledMessages) -> Pulled:
    messages = [got_of(message) for message in reply.messages]
    return Pulled(reply.status.name, messages, reply.next_offset, reply.min_offset, reply.max_offset)
