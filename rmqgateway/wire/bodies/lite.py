"""Lite topics, as administration tells of them (5.5.0); times in ms, -1 or 0 where there is none."""

from __future__ import annotations

from rmqgateway.wire.bodies.codec import Body
from rmqgateway.wire.bodies.groups import OffsetWrapper
from rmqgateway.wire.bodies.topics import TopicOffset

__all__ = [
    "BrokerLiteInfo",
    "ClientGroup",
    "LiteClientInfo",
    "LiteGroupInfo",
    "LiteLagInfo",
    "LiteTopicInfo",
    "ParentTopicInfo",
]


class BrokerLiteInfo(Body, kw_only=True):
    """GET_BROKER_LITE_INFO(200074): numbers; minutes to live and groups by parent topic."""

    cq_table_size: int
    current_lmq_num: int
    event_map_size: int
    group_meta: dict[str, list[str]]
    lite_subscription_count: int
    max_lmq_num: int
    offset_table_size: int
    order_info_count: int
    store_type: str
    topic_meta: dict[str, int]


class ParentTopicInfo(Body, kw_only=True):
    """GET_PARENT_TOPIC_INFO(200075)."""

    groups: list[str] | None = None
    lite_topic_count: int
    lmq_num: int
    topic: str
    ttl: int


class ClientGroup(Body, kw_only=True):
    """A client of a group."""

    client_id: str
    group: str


class LiteTopicInfo(Body, kw_only=True):
    """GET_LITE_TOPIC_INFO(200076)."""

    lite_topic: str
    parent_topic: str
    sharding_to_broker: bool
    subscriber: list[ClientGroup]
    topic_offset: TopicOffset


class LiteClientInfo(Body, kw_only=True):
    """GET_LITE_CLIENT_INFO(200077): the set is of ``%LMQ%$parent$lite``; -1 of a client that is not known."""

    client_id: str
    group: str
    last_access_time: int
    last_consume_time: int = 0
    lite_topic_count: int
    lite_topic_set: list[str] | None = None
    parent_topic: str


class LiteLagInfo(Body, kw_only=True):
    """What of one lite topic is not consumed."""

    earliest_unconsumed_timestamp: int = -1
    lag_count: int
    lite_topic: str


class LiteGroupInfo(Body, kw_only=True):
    """GET_LITE_GROUP_INFO(200078): of one lite topic its place, of all the worst."""

    earliest_unconsumed_timestamp: int = -1
    group: str
    lag_count_top_k: list[LiteLagInfo] | None = None
    lag_timestamp_top_k: list[LiteLagInfo] | None = None
    lite_topic: str | None = None
    lite_topic_offset_wrapper: OffsetWrapper | None = None
    parent_topic: str
    total_lag_count: int
