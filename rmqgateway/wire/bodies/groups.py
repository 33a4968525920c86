"""Consumer groups: their configuration, their progress, the offsets of their queues."""

from __future__ import annotations

import msgspec

from rmqgateway.wire.bodies.clients import SubscriptionData
from rmqgateway.wire.bodies.codec import Body
from rmqgateway.wire.bodies.common import DataVersion, MessageQueue, MessageQueueWithOffset

__all__ = [
    "ConsumeStats",
    "ConsumeStatsList",
    "ConsumerOffsetSerializeWrapper",
    "ConsumerStatusBody",
    "GroupForbidden",
    "GroupList",
    "OffsetWrapper",
    "QueryConsumeTimeSpanBody",
    "QueryCorrectionOffsetBody",
    "QuerySubscriptionBody",
    "QueueTimeSpan",
    "ResetOffsetBody",
    "ResetOffsetBodyForC",
    "SimpleSubscriptionData",
    "SubscriptionGroupConfig",
    "SubscriptionGroupList",
    "SubscriptionGroupWrapper",
]


class CustomizedRetryPolicy(Body, kw_only=True):
    """Waits between attempts, ms."""

    next: list[int] = []


class ExponentialRetryPolicy(Body, kw_only=True):
    """Waits between attempts that grow; initial and longest in ms."""

    initial: int = 5000
    max: int = 7_200_000
    multiplier: int = 2


class GroupRetryPolicy(Body, kw_only=True):
    """`type` is ``CUSTOMIZED`` or ``EXPONENTIAL``."""

    customized_retry_policy: CustomizedRetryPolicy | None = None
    exponential_retry_policy: ExponentialRetryPolicy | None = None
    type: str = "CUSTOMIZED"


class SimpleSubscriptionData(Body, kw_only=True):
    """A subscription that a group is bound to."""

    expression: str | None = None
    expression_type: str | None = None
    topic: str
    version: int = 0


class SubscriptionGroupConfig(Body, kw_only=True):
    """A consumer group; body of UPDATE_AND_CREATE_SUBSCRIPTIONGROUP(200). The defaults are Apache's."""

    attributes: dict[str, str] | None = msgspec.field(default_factory=dict)
    broker_id: int = 0
    consume_broadcast_enable: bool = True
    consume_enable: bool = True
    consume_from_min_enable: bool = True
    consume_message_orderly: bool = False
    consume_timeout_minute: int = 15
    group_name: str
    group_retry_policy: GroupRetryPolicy | None = msgspec.field(default_factory=GroupRetryPolicy)
    group_sys_flag: int = 0
    notify_consumer_ids_changed_enable: bool = True
    retry_max_times: int = 16
    retry_queue_nums: int = 1
    subscription_data_set: list[SimpleSubscriptionData] | None = None
    which_broker_when_consume_slowly: int = 1


class SubscriptionGroupWrapper(Body, kw_only=True):
    """GET_ALL_SUBSCRIPTIONGROUP_CONFIG(201); what is forbidden by group and topic: bits, 4 is reading."""

    data_version: DataVersion
    forbidden_table: dict[str, dict[str, int]] = {}
    subscription_group_table: dict[str, SubscriptionGroupConfig]


class SubscriptionGroupList(Body, kw_only=True):
    """UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST(225)."""

    group_config_list: list[SubscriptionGroupConfig]


class GroupForbidden(Body, kw_only=True):
    """UPDATE_AND_GET_GROUP_FORBIDDEN(353)."""

    group: str
    readable: bool
    topic: str


class GroupList(Body, kw_only=True):
    """QUERY_TOPIC_CONSUME_BY_WHO(300)."""

    group_list: list[str]


class OffsetWrapper(Body, kw_only=True):
    """A group's progress in one queue; the time in ms of the last consumed message."""

    broker_offset: int
    consumer_offset: int
    last_timestamp: int = 0
    pull_offset: int = 0


class ConsumeStats(Body, kw_only=True):
    """GET_CONSUME_STATS(208)."""

    consume_tps: float = 0.0
    offset_table: dict[MessageQueue, OffsetWrapper]


class ConsumeStatsList(Body, kw_only=True):
    """GET_BROKER_CONSUME_STATS(317): a list of maps from group to the statistics of its topics."""

    broker_addr: str | None = None
    consume_stats_list: list[dict[str, list[ConsumeStats]]]
    total_diff: int = 0
    total_inflight_diff: int = 0


class ConsumerOffsetSerializeWrapper(Body, kw_only=True):
    """GET_ALL_CONSUMER_OFFSET(43): offsets by queue id by ``topic@group``."""

    data_version: DataVersion | None = None
    offset_table: dict[str, dict[int, int]]


class QueryCorrectionOffsetBody(Body, kw_only=True):
    """QUERY_CORRECTION_OFFSET(308): offsets by queue id."""

    correction_offsets: dict[int, int]


class ResetOffsetBody(Body, kw_only=True):
    """RESET_CONSUMER_CLIENT_OFFSET(220) to Java clients and INVOKE_BROKER_TO_RESET_OFFSET(222): offsets by
    queue."""

    offset_table: dict[MessageQueue, int]


class ResetOffsetBodyForC(Body, kw_only=True):
    """RESET_CONSUMER_CLIENT_OFFSET(220) to C++ clients, who read no objects as keys."""

    offset_table: list[MessageQueueWithOffset]


class ConsumerStatusBody(Body, kw_only=True):
    """GET_CONSUMER_STATUS_FROM_CLIENT(221) and INVOKE_BROKER_TO_GET_CONSUMER_STATUS(223)."""

    consumer_table: dict[str, dict[MessageQueue, int]] = {}
    message_queue_table: dict[MessageQueue, int] = {}


class QueueTimeSpan(Body, kw_only=True):
    """The times (ms) of a queue's oldest, newest, and last consumed message, and how far behind that is.

    The texts say the same times (``2026-11-21#10:11:09:653``); readers compute them again.
    """

    consume_time_stamp: int
    consume_time_stamp_str: str | None = None
    delay_time: int = 0
    max_time_stamp: int
    max_time_stamp_str: str | None = None
    message_queue: MessageQueue
    min_time_stamp: int
    min_time_stamp_str: str | None = None


class QueryConsumeTimeSpanBody(Body, kw_only=True):
    """QUERY_CONSUME_TIME_SPAN(303)."""

    consume_time_span_set: list[QueueTimeSpan]


class QuerySubscriptionBody(Body, kw_only=True):
    """QUERY_SUBSCRIPTION_BY_CONSUMER(345)."""

    group: str | None = None
    subscription_data: SubscriptionData | None = None
    topic: str | None = None
