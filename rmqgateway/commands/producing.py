"""Commands of producers."""

from __future__ import annotations

from typing import ClassVar

from rmqgateway.commands.base import Action, Command, Reply, Resource
from rmqgateway.message import Message

__all__ = [
    "EndTransaction",
    "ForwardToDeadLetterQueue",
    "RecallMessage",
    "RecalledMessage",
    "SendBack",
    "SendMessages",
    "SendReply",
    "SendResult",
    "SendResults",
    "TransactionResolution",
]

_TOPIC = ((Resource.TOPIC, "topic"),)
_TOPIC_GROUP = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))


class SendResult(Reply, frozen=True):
    """Where one message was stored, durably.

    :ivar physical_offset: its position in the log; with the reader's address it makes the offset message id.
    :ivar unique_key: the message's UNIQ_KEY (the id that producers and consumers share), also its transaction id.
    :ivar recall_handle: for a delayed message, what RecallMessage takes; else "".
    """

    queue_id: int
    queue_offset: int
    physical_offset: int
    unique_key: str = ""
    recall_handle: str = ""


class SendResults(Reply, frozen=True):
    """One result for each message, in order."""

    results: tuple[SendResult, ...]


class SendMessages(Command[SendResults], frozen=True):
    """Store messages of one topic; the reply comes when all are durable. All or none are stored.

    :ivar as_batch: the messages form one RocketMQ batch: all go to one queue, consecutively.
    :ivar default_queues: how many queues the producer would like if the topic is created by this (0: no wish).
    :ivar max_reconsume_times: for messages to a retry topic: the consumer's own limit, or -1: the group's.
    Cancelling: the messages may be stored all the same; nobody is told.
    Errors: BAD_TOPIC_NAME, TOPIC_NOT_FOUND, TOPIC_NOT_WRITABLE, MESSAGE_TOO_LARGE, PROPERTIES_TOO_LARGE,
    BAD_MESSAGE_TYPE, BAD_DELIVERY_TIME, BAD_MESSAGE, STORE_FULL, BUSY.
    """

    action: ClassVar[Action] = Action.PUB
    resources: ClassVar = _TOPIC
    mutates: ClassVar[bool] = True

    topic: str
    messages: tuple[Message, ...]
    producer_group: str = ""
    as_batch: bool = False
    default_queues: int = 0
    check_type: bool = False
    max_reconsume_times: int = -1


class TransactionResolution:
    """How a transaction ends (the values are RocketMQ's transaction-type bits)."""

    UNKNOWN = 0
    COMMIT = 8
    ROLLBACK = 12


class EndTransaction(Command[None], frozen=True):
    """Commit or roll back a half message; UNKNOWN leaves it to the next check.

    :ivar queue_offset: the half message's offset in the half queue (Remoting's tranStateTableOffset), or -1.
    :ivar physical_offset: its position (from its offset message id), or -1: then `transaction_id` finds it.
    Errors: TRANSACTION_NOT_FOUND, FORBIDDEN (another producer group's).
    """

    action: ClassVar[Action] = Action.PUB
    resources: ClassVar = _TOPIC
    mutates: ClassVar[bool] = True

    topic: str
    producer_group: str
    resolution: int
    transaction_id: str = ""
    message_id: str = ""
    queue_offset: int = -1
    physical_offset: int = -1
    from_check: bool = False


class RecalledMessage(Reply, frozen=True):
    """The unique key of the message that will not be delivered."""

    unique_key: str


class RecallMessage(Command[RecalledMessage], frozen=True):
    """Take back a delayed message before its time. Errors: BAD_RECEIPT_HANDLE, MESSAGE_NOT_FOUND."""

    action: ClassVar[Action] = Action.PUB
    resources: ClassVar = _TOPIC
    mutates: ClassVar[bool] = True

    topic: str
    recall_handle: str
    producer_group: str = ""


class SendBack(Command[None], frozen=True):
    """Give a pulled message back for redelivery by the group's retry ladder, or to its dead-letter queue.

    :ivar physical_offset: which message (Remoting's `offset`).
    :ivar delay_level: 0: the ladder decides; > 0: this level; < 0: dead-letter queue at once.
    :ivar max_reconsume_times: the consumer's own limit, or -1: the group's.
    :ivar broker_name: of several brokers the one that has the message; "": by the message id, or looked for.
    Durable when answered. Errors: GROUP_NOT_FOUND, MESSAGE_NOT_FOUND, STORE_FULL.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = ((Resource.GROUP, "group"),)
    mutates: ClassVar[bool] = True

    group: str
    physical_offset: int
    delay_level: int = 0
    topic: str = ""
    message_id: str = ""
    max_reconsume_times: int = -1
    broker_name: str = ""


class ForwardToDeadLetterQueue(Command[None], frozen=True):
    """Move a received message to its group's dead-letter queue and acknowledge it. Errors as AckMessages."""

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    group: str
    topic: str
    receipt_handle: str
    message_id: str = ""
    delivery_attempt: int = 0
    max_delivery_attempts: int = 0
    lite_topic: str = ""


class SendReply(Command[None], frozen=True):
    """Carry a reply message to the client that asked (named by the message's REPLY_TO_CLIENT property).

    Errors: CLIENT_NOT_FOUND (it is not connected here), BAD_MESSAGE (no REPLY_TO_CLIENT).
    """

    action: ClassVar[Action] = Action.PUB
    resources: ClassVar = _TOPIC
    mutates: ClassVar[bool] = True

    topic: str
    message: Message
    producer_group: str = ""
