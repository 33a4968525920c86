"""What consumers ask while they consume, and what they answer when they are asked."""

from __future__ import annotations

import base64
import binascii

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.bodies.clients import SubscriptionData
from rmqgateway.wire.bodies.codec import Body
from rmqgateway.wire.bodies.common import MessageQueue

__all__ = [
    "BatchAck",
    "BatchAckMessageRequest",
    "ConsumeMessageDirectlyResult",
    "ConsumeStatus",
    "ConsumerRunningInfo",
    "LockBatchRequest",
    "LockBatchResponse",
    "MessageQueueAssignment",
    "PopProcessQueueInfo",
    "ProcessQueueInfo",
    "QueryAssignmentRequest",
    "QueryAssignmentResponse",
    "SetMessageRequestMode",
    "UnlockBatchRequest",
    "decode_bit_set",
    "encode_bit_set",
]


class LockBatchRequest(Body, kw_only=True):
    """LOCK_BATCH_MQ(41)."""

    client_id: str
    consumer_group: str
    mq_set: list[MessageQueue] | None = msgspec.field(default_factory=list)
    only_this_broker: bool = False


class UnlockBatchRequest(LockBatchRequest, kw_only=True):
    """UNLOCK_BATCH_MQ(42)."""


class LockBatchResponse(Body, kw_only=True):
    """The queues that are locked now for who asked."""

    lock_ok_mq_set: list[MessageQueue] = msgspec.field(name="lockOKMQSet", default_factory=list)


class QueryAssignmentRequest(Body, kw_only=True):
    """QUERY_ASSIGNMENT(400)."""

    client_id: str
    consumer_group: str
    message_model: str | None = "CLUSTERING"
    strategy_name: str | None = None
    topic: str


class MessageQueueAssignment(Body, kw_only=True):
    """A queue and how to consume it: `mode` is ``PULL`` or ``POP``. Queue id -1 stands for all of a
    broker's."""

    attachments: dict[str, str] | None = None
    message_queue: MessageQueue | None = None
    mode: str = "PULL"


class QueryAssignmentResponse(Body, kw_only=True):
    """The answer to 400."""

    message_queue_assignments: list[MessageQueueAssignment]


class SetMessageRequestMode(Body, kw_only=True):
    """SET_MESSAGE_REQUEST_MODE(401)."""

    consumer_group: str
    mode: str
    pop_share_queue_num: int = 0
    topic: str


class BatchAck(Body, kw_only=True):
    """Acknowledgements of one queue popped at one time; see `decode_bit_set` for which.

    :ivar retry: ``0`` the topic itself, ``1`` and ``2`` its retry topics of version 1 and 2.
    """

    bit_set: str | list[int] = msgspec.field(name="b")
    consumer_group: str = msgspec.field(name="c")
    invisible_time: int = msgspec.field(name="it")
    pop_time: int = msgspec.field(name="pt")
    queue_id: int = msgspec.field(name="q")
    retry: str = msgspec.field(name="r")
    revive_queue_id: int = msgspec.field(name="rq")
    start_offset: int = msgspec.field(name="so")
    topic: str = msgspec.field(name="t")


class BatchAckMessageRequest(Body, kw_only=True):
    """BATCH_ACK_MESSAGE(200151)."""

    acks: list[BatchAck]
    broker_name: str | None = None


def decode_bit_set(bits: str | list[int], max_bits: int = 1 << 16) -> list[int]:
    """The offsets (relative to the start offset) that a BatchAck names.

    The bits travel as Java's ``BitSet.toByteArray()``, lowest first, in Base64 (or as an array of signed
    bytes).

    :raise WireError: not fatal: not Base64, or more than `max_bits`.
    """
    try:
        data = (
            base64.b64decode(bits, validate=True)
            if isinstance(bits, str)
            else bytes(byte & 255 for byte in bits)
        )
    except (binascii.Error, ValueError):
        raise WireError(f"acknowledgement bit set: expected Base64, got {bits!r:.50}", fatal=False) from None
    if len(data) * 8 > max_bits:
        raise WireError(
            f"acknowledgement bit set: expected at most {max_bits} bits, got {len(data) * 8}", fatal=False
        )
    number = int.from_bytes(data, "little")
    found: list[int] = []
    while number:
        lowest = number & -number
        found.append(lowest.bit_length() - 1)
        number ^= lowest
    return found


def encode_bit_set(offsets: list[int]) -> str:
    """The `bit_set` of a BatchAck for these relative offsets."""
    number = 0
    for offset in offsets:
        number |= 1 << offset
    return base64.b64encode(number.to_bytes((number.bit_length() + 7) // 8, "little")).decode()


class ConsumeMessageDirectlyResult(Body, kw_only=True):
    """CONSUME_MESSAGE_DIRECTLY(309): what the client answers; passed on unread."""

    auto_commit: bool = True
    consume_result: str | None = None
    order: bool = False
    remark: str | None = None
    spent_time_mills: int = 0


class ProcessQueueInfo(Body, kw_only=True):
    """What a push consumer holds of a queue."""

    cached_msg_count: int = 0
    cached_msg_max_offset: int = 0
    cached_msg_min_offset: int = 0
    cached_msg_size_in_mi_b: int = msgspec.field(name="cachedMsgSizeInMiB", default=0)
    commit_offset: int = 0
    droped: bool = False
    last_consume_timestamp: int = 0
    last_lock_timestamp: int = 0
    last_pull_timestamp: int = 0
    locked: bool = False
    transaction_msg_count: int = 0
    transaction_msg_max_offset: int = 0
    transaction_msg_min_offset: int = 0
    try_unlock_times: int = 0


class PopProcessQueueInfo(Body, kw_only=True):
    """What a pop consumer holds of a queue."""

    droped: bool = False
    last_pop_timestamp: int = 0
    wait_ack_count: int = 0


class ConsumeStatus(Body, kw_only=True):
    """A consumer's rates for one topic: times in ms, rates per second, failures within the hour."""

    consume_failed_msgs: int = 0
    consume_failed_tps: float = msgspec.field(name="consumeFailedTPS", default=0.0)
    consume_ok_tps: float = msgspec.field(name="consumeOKTPS", default=0.0)
    consume_rt: float = msgspec.field(name="consumeRT", default=0.0)
    pull_rt: float = msgspec.field(name="pullRT", default=0.0)
    pull_tps: float = msgspec.field(name="pullTPS", default=0.0)


class ConsumerRunningInfo(Body, kw_only=True):
    """GET_CONSUMER_RUNNING_INFO(307): what the client answers; passed on unread, read for other
    front-ends."""

    jstack: str | None = None
    mq_pop_table: dict[MessageQueue, PopProcessQueueInfo] = {}
    mq_table: dict[MessageQueue, ProcessQueueInfo] = {}
    properties: dict[str, str | int | bool] = {}
    status_table: dict[str, ConsumeStatus] = {}
    subscription_set: list[SubscriptionData] = []
    user_consumer_info: dict[str, str] = {}
