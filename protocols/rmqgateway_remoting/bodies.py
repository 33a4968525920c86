"""The JSON bodies of the requests and responses that clients send all the time, as fastjson writes them.

Field names are RocketMQ's own: ``HeartbeatData``, ``LockBatchRequestBody``, ``TopicRouteData`` … of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.message import MessageQueue
from rmqgateway.wire.fastjson import decode_fastjson
from rmqgateway.wire.jsonlimits import decode_json

__all__ = ["decode_body"]

_T = TypeVar("_T")

#: Largest JSON body of a request: a heartbeat of a client with thousands of subscriptions has some hundred kilobytes.
MAX_BODY = 4 * 1024 * 1024


def decode_body(body: bytes, kind: type[_T]) -> _T:
    """Decode a body of a request; standard JSON fast, fastjson's dialect too.

    :raise WireError: not fatal: it is neither, or lacks a field.
    """
    try:
        return decode_json(body, MAX_BODY, type=kind)
    except WireError:
        return decode_fastjson(body, kind, MAX_BODY)


class QueueBody(msgspec.Struct, frozen=True):
    """``MessageQueue``."""

    brokerName: str  # noqa: N815
    queueId: int  # noqa: N815
    topic: str


def queue_bodies(queues: Iterable[MessageQueue]) -> list[QueueBody]:
    """Queues as bodies have them."""
    return [QueueBody(queue.broker_name, queue.queue_id, queue.topic) for queue in queues]


def queues_of(bodies: Iterable[QueueBody]) -> tuple[MessageQueue, ...]:
    """Queues of a body."""
    return tuple(MessageQueue(body.topic, body.brokerName, body.queueId) for body in bodies)


class LockBody(msgspec.Struct):
    """``LockBatchRequestBody``, ``UnlockBatchRequestBody``."""

    consumerGroup: str  # noqa: N815
    clientId: str  # noqa: N815
    mqSet: list[QueueBody] = []  # noqa: N815


class LockedBody(msgspec.Struct):
    """``LockBatchResponseBody``."""

    lockOKMQSet: list[QueueBody]  # noqa: N815


class ProducerBody(msgspec.Struct):
    """``ProducerData``."""

    groupName: str  # noqa: N815


class SubscriptionBody(msgspec.Struct):
    """``SubscriptionData``. The sets of tags and codes follow from `subString`."""

    topic: str
    subString: str | None = "*"  # noqa: N815
    subVersion: int = 0  # noqa: N815
    expressionType: str | None = None  # noqa: N815
    classFilterMode: bool = False  # noqa: N815


class ConsumerBody(msgspec.Struct):
    """``ConsumerData``."""

    groupName: str  # noqa: N815
    consumeType: str | None = None  # noqa: N815
    messageModel: str | None = None  # noqa: N815
    consumeFromWhere: str | None = None  # noqa: N815
    subscriptionDataSet: list[SubscriptionBody] | None = None  # noqa: N815
    unitMode: bool = False  # noqa: N815


class HeartbeatBody(msgspec.Struct):
    """``HeartbeatData``."""

    clientID: str  # noqa: N815
    producerDataSet: list[ProducerBody] | None = None  # noqa: N815
    consumerDataSet: list[ConsumerBody] | None = None  # noqa: N815
    heartbeatFingerprint: int = 0  # noqa: N815
    isWithoutSub: bool = False  # noqa: N815
    withoutSub: bool = False  # noqa: N815


class CheckClientBody(msgspec.Struct):
    """``CheckClientRequestBody``."""

    clientId: str = ""  # noqa: N815
    group: str = ""
    namespace: str | None = None
    subscriptionData: SubscriptionBody | None = None  # noqa: N815


class QueryAssignmentBody(msgspec.Struct):
    """``QueryAssignmentRequestBody``."""

    topic: str
    consumerGroup: str  # noqa: N815
    clientId: str  # noqa: N815
    strategyName: str | None = None  # noqa: N815
    messageModel: str | None = None  # noqa: N815
