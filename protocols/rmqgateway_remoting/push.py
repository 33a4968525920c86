"""Events of the backend as requests from the broker to its client.

Headers: ``CheckTransactionStateRequestHeader``, ``ResetOffsetRequestHeader``, ``ReplyMessageRequestHeader`` … of 5.5.0.
A `Push` says which; ``protocol`` numbers it and sends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from rmqgateway.events import (
    CheckTransaction,
    ConsumeMessageDirectly,
    ConsumersChanged,
    Event,
    LiteTopicUnsubscribed,
    OffsetsAsked,
    OffsetsReset,
    ReplyArrived,
    RunningInformationAsked,
)
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.common import MessageQueueWithOffset
from rmqgateway.wire.bodies.groups import ResetOffsetBody, ResetOffsetBodyForC
from rmqgateway.wire.message_id import encode_offset_message_id
from rmqgateway.wire.request_codes import RequestCode
from rmqgateway.wire.stored_message import store_host, topic, with_store_host
from rmqgateway_remoting.convert_base import queue_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rmqgateway.message import MessageQueue
    from rmqgateway_remoting.convert_base import Peer

__all__ = ["Push", "push_of", "reset_body"]


class Push(msgspec.Struct, gc=False):
    """A request to a client. :ivar relay_id: of the event, where an answer is wanted."""

    code: int
    ext_fields: dict[str, str]
    body: bytes = b""
    oneway: bool = True
    relay_id: int | None = None


def push_of(event: Event, peer: Peer) -> Push | None:
    """The request for an event, or None if Remoting has no words for it."""
    make = _PUSHES.get(type(event))
    return None if make is None else make(event, peer)


def _with_our_host(message: bytes, peer: Peer) -> bytes:
    return message if store_host(message) == peer.host_bytes else with_store_host(message, peer.host_bytes)


def _consumers_changed(event: ConsumersChanged, peer: Peer) -> Push:
    return Push(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, {"consumerGroup": event.group})


def _check_transaction(event: CheckTransaction, peer: Peer) -> Push:
    # The client answers with END_TRANSACTION on its own; what it repeats from here is how the half message is found.
    ext = {
        # Its real topic: what the client repeats is what it may be allowed to end.
        "topic": topic(event.message).decode("utf-8", "replace"),
        "tranStateTableOffset": str(event.queue_offset),
        "commitLogOffset": str(event.physical_offset),
        "msgId": event.message_id or event.transaction_id,
        "transactionId": event.transaction_id,
        "offsetMsgId": encode_offset_message_id(peer.host_bytes, event.physical_offset),
    }
    return Push(RequestCode.CHECK_TRANSACTION_STATE, ext, _with_our_host(event.message, peer))


def _offsets_reset(event: OffsetsReset, peer: Peer) -> Push:
    ext = {
        "topic": event.topic,
        "group": event.group,
        "timestamp": str(event.timestamp),
        "isForce": "true" if event.force else "false",
    }
    return Push(RequestCode.RESET_CONSUMER_CLIENT_OFFSET, ext, reset_body(event.offsets, peer.language))


def reset_body(offsets: Iterable[tuple[MessageQueue, int]], language: str) -> bytes:
    """Offsets by queue, in the form that clients of this language read."""
    if language == "CPP":
        return encode_body(
            ResetOffsetBodyForC(
                offset_table=[
                    MessageQueueWithOffset(
                        broker_name=queue.broker_name, offset=offset, queue_id=queue.queue_id, topic=queue.topic
                    )
                    for queue, offset in offsets
                ]
            )
        )
    return encode_body(ResetOffsetBody(offset_table={queue_body(queue): offset for queue, offset in offsets}))


def _offsets_asked(event: OffsetsAsked, peer: Peer) -> Push:
    ext = {"topic": event.topic, "group": event.group}
    return Push(RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, ext, oneway=False, relay_id=event.relay_id)


def _running_information_asked(event: RunningInformationAsked, peer: Peer) -> Push:
    ext = {
        "consumerGroup": event.group,
        "clientId": event.client_id,
        "jstackEnable": "true" if event.with_stack else "false",
    }
    return Push(RequestCode.GET_CONSUMER_RUNNING_INFO, ext, oneway=False, relay_id=event.relay_id)


def _consume_directly(event: ConsumeMessageDirectly, peer: Peer) -> Push:
    ext = {"consumerGroup": event.group, "clientId": event.client_id, "brokerName": event.broker_name}
    body = _with_our_host(event.message, peer)
    return Push(RequestCode.CONSUME_MESSAGE_DIRECTLY, ext, body, oneway=False, relay_id=event.relay_id)


def _reply_arrived(event: ReplyArrived, peer: Peer) -> Push:
    ext = {
        "producerGroup": event.producer_group,
        "topic": event.topic,
        "defaultTopic": "TBW102",
        "defaultTopicQueueNums": "4",
        "queueId": str(event.queue_id),
        "sysFlag": str(event.sys_flag),
        "bornTimestamp": str(event.born_timestamp),
        "flag": str(event.flag),
        "properties": event.properties.decode("utf-8", "replace"),
        "reconsumeTimes": str(event.reconsume_times),
        "unitMode": "false",
        "bornHost": event.born_host,
        "storeHost": peer.host,
        "storeTimestamp": str(event.store_timestamp),
    }
    # The client acknowledges it; nobody waits for that.
    return Push(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, ext, event.body, oneway=False)


def _lite_topic_unsubscribed(event: LiteTopicUnsubscribed, peer: Peer) -> Push:
    ext = {"consumerGroup": event.group, "liteTopic": event.lite_topic, "clientId": peer.client_id}
    return Push(RequestCode.NOTIFY_UNSUBSCRIBE_LITE, ext)


_PUSHES: dict[type[Event], Callable[[Any, Peer], Push]] = {
    ConsumersChanged: _consumers_changed,
    CheckTransaction: _check_transaction,
    OffsetsReset: _offsets_reset,
    OffsetsAsked: _offsets_asked,
    RunningInformationAsked: _running_information_asked,
    ConsumeMessageDirectly: _consume_directly,
    ReplyArrived: _reply_arrived,
    LiteTopicUnsubscribed: _lite_topic_unsubscribed,
}
