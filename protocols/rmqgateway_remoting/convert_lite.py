"""Administration of lite topics (200074 to 200079, RocketMQ 5.5.0).

Headers: ``GetParentTopicInfoRequestHeader``, ``GetLiteTopicInfoRequestHeader``, … of 5.5.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    BrokerLiteInformation,
    GetBrokerLiteInformation,
    GetLiteClientInformation,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetParentTopicInformation,
    LiteClientInformation,
    LiteGroupInformation,
    LiteLag,
    LiteTopicInformation,
    ParentTopicInformation,
    TriggerLiteDispatch,
)
from rmqgateway.errors import Code
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.groups import OffsetWrapper
from rmqgateway.wire.bodies.lite import (
    BrokerLiteInfo,
    ClientGroup,
    LiteClientInfo,
    LiteGroupInfo,
    LiteLagInfo,
    LiteTopicInfo,
    ParentTopicInfo,
)
from rmqgateway.wire.bodies.topics import TopicOffset
from rmqgateway.wire.lite_topics import lite_topic
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import Operation, Peer, int32, reply_nothing, respond, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]


def parse_broker(request: RemotingCommand, peer: Peer) -> GetBrokerLiteInformation:
    """GET_BROKER_LITE_INFO."""
    return GetBrokerLiteInformation()


def reply_broker(reply: BrokerLiteInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetBrokerLiteInfoResponseBody``."""
    body = BrokerLiteInfo(
        cq_table_size=reply.topics,
        current_lmq_num=reply.lite_topics,
        event_map_size=reply.clients,
        group_meta={parent: list(groups) for parent, groups in reply.groups.items()},
        lite_subscription_count=reply.subscriptions,
        max_lmq_num=reply.max_lite_topics,
        offset_table_size=reply.offsets,
        order_info_count=reply.in_flight,
        store_type=reply.store,
        topic_meta=reply.parents,
    )
    respond(request, out, body=encode_body(body))


def parse_parent(request: RemotingCommand, peer: Peer) -> GetParentTopicInformation:
    """GET_PARENT_TOPIC_INFO."""
    return GetParentTopicInformation(text(request.ext_fields, "topic"))


def reply_parent(reply: ParentTopicInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetParentTopicInfoResponseBody``."""
    body = ParentTopicInfo(
        groups=list(reply.groups) or None,
        lite_topic_count=reply.lite_topics,
        lmq_num=reply.all_lite_topics,
        topic=reply.topic,
        ttl=reply.expiration,
    )
    respond(request, out, body=encode_body(body))


def parse_topic(request: RemotingCommand, peer: Peer) -> GetLiteTopicInformation:
    """GET_LITE_TOPIC_INFO."""
    ext = request.ext_fields
    return GetLiteTopicInformation(text(ext, "parentTopic"), text(ext, "liteTopic"))


def reply_topic(reply: LiteTopicInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetLiteTopicInfoResponseBody``; of several brokers each lite topic would be one's, here it is this one's."""
    body = LiteTopicInfo(
        lite_topic=reply.lite_topic,
        parent_topic=reply.topic,
        sharding_to_broker=True,
        subscriber=[ClientGroup(client_id=client_id, group=group) for client_id, group in reply.subscribers],
        topic_offset=TopicOffset(
            last_update_timestamp=reply.last_update, max_offset=reply.max_offset, min_offset=reply.min_offset
        ),
    )
    respond(request, out, body=encode_body(body))


def parse_client(request: RemotingCommand, peer: Peer) -> GetLiteClientInformation:
    """GET_LITE_CLIENT_INFO."""
    ext = request.ext_fields
    return GetLiteClientInformation(
        text(ext, "parentTopic"), text(ext, "group"), text(ext, "clientId"), int32(ext, "maxCount", 1000)
    )


def reply_client(reply: LiteClientInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetLiteClientInfoResponseBody``; brokers leave the time of the last consuming out, too."""
    # Under the names that they have in a broker's store; the parent's as the asker knows it.
    named = [lite_topic(reply.topic, name) for name in reply.lite_topics]
    body = LiteClientInfo(
        client_id=reply.client_id,
        group=reply.group,
        last_access_time=reply.last_access,
        lite_topic_count=-1 if reply.count is None else reply.count,
        lite_topic_set=None if reply.count is None else named,
        parent_topic=reply.topic,
    )
    respond(request, out, body=encode_body(body))


def parse_group(request: RemotingCommand, peer: Peer) -> GetLiteGroupInformation:
    """GET_LITE_GROUP_INFO."""
    ext = request.ext_fields
    return GetLiteGroupInformation(text(ext, "group"), ext.get("liteTopic", ""), int32(ext, "topK", 0))


def reply_group(reply: LiteGroupInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetLiteGroupInfoResponseBody``."""
    place = reply.place
    body = LiteGroupInfo(
        earliest_unconsumed_timestamp=reply.since,
        group=reply.group,
        lag_count_top_k=None if reply.lite_topic else _lags(reply.most),
        lag_timestamp_top_k=None if reply.lite_topic else _lags(reply.oldest),
        lite_topic=reply.lite_topic or None,
        lite_topic_offset_wrapper=None
        if place is None
        else OffsetWrapper(
            broker_offset=place.broker_offset,
            consumer_offset=place.consumer_offset,
            last_timestamp=place.last_timestamp,
            pull_offset=place.pull_offset,
        ),
        parent_topic=reply.topic,
        total_lag_count=-1 if reply.lag is None else reply.lag,
    )
    respond(request, out, body=encode_body(body))


def _lags(lags: Iterable[LiteLag]) -> list[LiteLagInfo]:
    return [
        LiteLagInfo(earliest_unconsumed_timestamp=lag.since, lag_count=lag.count, lite_topic=lag.lite_topic)
        for lag in lags
    ]


def parse_dispatch(request: RemotingCommand, peer: Peer) -> TriggerLiteDispatch:
    """TRIGGER_LITE_DISPATCH."""
    ext = request.ext_fields
    return TriggerLiteDispatch(text(ext, "group"), ext.get("clientId", ""))


#: As brokers say it of a topic without lite topics.
_ERRORS = {Code.BAD_MESSAGE_TYPE: ResponseCode.INVALID_PARAMETER}

OPERATIONS = (
    Operation(RequestCode.GET_BROKER_LITE_INFO, GetBrokerLiteInformation, parse_broker, reply_broker),
    Operation(
        RequestCode.GET_PARENT_TOPIC_INFO, GetParentTopicInformation, parse_parent, reply_parent, errors=_ERRORS
    ),
    Operation(RequestCode.GET_LITE_TOPIC_INFO, GetLiteTopicInformation, parse_topic, reply_topic, errors=_ERRORS),
    Operation(RequestCode.GET_LITE_CLIENT_INFO, GetLiteClientInformation, parse_client, reply_client, errors=_ERRORS),
    Operation(RequestCode.GET_LITE_GROUP_INFO, GetLiteGroupInformation, parse_group, reply_group),
    Operation(RequestCode.TRIGGER_LITE_DISPATCH, TriggerLiteDispatch, parse_dispatch, reply_nothing),
)
