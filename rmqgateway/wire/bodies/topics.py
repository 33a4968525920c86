"""Topics and what is in them."""

from __future__ import annotations

import msgspec

from rmqgateway.wire.bodies.clients import SubscriptionData
from rmqgateway.wire.bodies.codec import Body
from rmqgateway.wire.bodies.common import DataVersion, MessageQueue
from rmqgateway.wire.bodies.routes import TopicQueueMappingInfo

__all__ = [
    "BrokerStatsData",
    "BrokerStatsItem",
    "ConsumeQueueData",
    "LogicQueueMappingItem",
    "QueryConsumeQueueBody",
    "TopicConfig",
    "TopicConfigAndQueueMapping",
    "TopicConfigList",
    "TopicConfigSerializeWrapper",
    "TopicOffset",
    "TopicQueueMappingDetail",
    "TopicStatsTable",
]


class TopicConfig(Body, kw_only=True):
    """A topic; attributes such as ``message.type``. (UPDATE_AND_CREATE_TOPIC(17) has these in ext fields
    instead.)"""

    attributes: dict[str, str] = {}
    order: bool = False
    perm: int = 6
    read_queue_nums: int = 16
    topic_filter_type: str = "SINGLE_TAG"
    topic_name: str
    topic_sys_flag: int = 0
    write_queue_nums: int = 16


class TopicConfigList(Body, kw_only=True):
    """UPDATE_AND_CREATE_TOPIC_LIST(18)."""

    topic_config_list: list[TopicConfig]


class LogicQueueMappingItem(Body, kw_only=True):
    """A stretch of a logic queue."""

    bname: str | None = None
    end_offset: int = -1
    gen: int = 0
    logic_offset: int = 0
    queue_id: int = 0
    start_offset: int = 0
    time_of_end: int = -1
    time_of_start: int = -1


class TopicQueueMappingDetail(TopicQueueMappingInfo, kw_only=True):
    """A static topic's logic queues with their stretches."""

    hosted_queues: dict[int, list[LogicQueueMappingItem]] = {}


class TopicConfigSerializeWrapper(Body, kw_only=True):
    """GET_ALL_TOPIC_CONFIG(21). The static topics' tables are empty where there are none."""

    data_version: DataVersion
    mapping_data_version: DataVersion = msgspec.field(default_factory=DataVersion)
    topic_config_table: dict[str, TopicConfig]
    topic_queue_mapping_detail_map: dict[str, TopicQueueMappingDetail] = {}
    topic_queue_mapping_info_map: dict[str, TopicQueueMappingInfo] = {}


class TopicConfigAndQueueMapping(TopicConfig, kw_only=True):
    """GET_TOPIC_CONFIG(351)."""

    mapping_detail: TopicQueueMappingDetail | None = None


class TopicOffset(Body, kw_only=True):
    """How far a queue reaches; the time in ms, 0 if it is empty."""

    last_update_timestamp: int
    max_offset: int
    min_offset: int


class TopicStatsTable(Body, kw_only=True):
    """GET_TOPIC_STATS_INFO(202)."""

    offset_table: dict[MessageQueue, TopicOffset]
    topic_put_tps: float = 0.0


class BrokerStatsItem(Body, kw_only=True):
    """A counter over one span."""

    avgpt: float = 0.0
    sum: int = 0
    tps: float = 0.0


class BrokerStatsData(Body, kw_only=True):
    """VIEW_BROKER_STATS_DATA(315)."""

    stats_day: BrokerStatsItem
    stats_hour: BrokerStatsItem
    stats_minute: BrokerStatsItem


class HAClientRuntimeInfo(Body, kw_only=True):
    """What a slave's connection to its master is at; of a master all is 0."""

    activate_time: int = 0
    last_read_timestamp: int = 0
    last_write_timestamp: int = 0
    master_addr: str | None = None
    master_flush_offset: int = 0
    max_offset: int = 0
    transferred_byte_in_second: int = 0


class HAConnectionRuntimeInfo(Body, kw_only=True):
    """One slave, as its master sees it."""

    addr: str | None = None
    diff: int = 0
    in_sync: bool = False
    slave_ack_offset: int = 0
    transfer_from_where: int = 0
    transferred_byte_in_second: int = 0


class HARuntimeInfo(Body, kw_only=True):
    """GET_BROKER_HA_STATUS(907)."""

    ha_client_runtime_info: HAClientRuntimeInfo | None = None
    ha_connection_info: list[HAConnectionRuntimeInfo] = []
    in_sync_slave_nums: int = 0
    master: bool
    master_commit_log_max_offset: int = 0


class ConsumeQueueData(Body, kw_only=True):
    """One entry of a queue's index."""

    bit_map: str | None = None
    eval: bool = False
    extend_data_json: str | None = None
    msg: str | None = None
    physic_offset: int
    physic_size: int
    tags_code: int


class QueryConsumeQueueBody(Body, kw_only=True):
    """QUERY_CONSUME_QUEUE(321)."""

    filter_data: str | None = None
    max_queue_index: int = 0
    min_queue_index: int = 0
    queue_data: list[ConsumeQueueData] = msgspec.field(default_factory=list)
    subscription_data: SubscriptionData | None = None
