"""Where topics and brokers are."""

from __future__ import annotations

from rmqgateway.wire.bodies.codec import Body

__all__ = [
    "BrokerData",
    "ClusterInfo",
    "KVTable",
    "QueueData",
    "TopicList",
    "TopicQueueMappingInfo",
    "TopicRouteData",
]


class BrokerData(Body, kw_only=True):
    """A broker: addresses (``host:port``) by broker id, 0 the master."""

    broker_addrs: dict[int, str]
    broker_name: str
    cluster: str | None = None
    enable_acting_master: bool = False
    zone_name: str | None = None


class QueueData(Body, kw_only=True):
    """A topic's queues on one broker; `perm` bits 4 read, 2 write, 1 inherit."""

    broker_name: str
    perm: int
    read_queue_nums: int
    topic_sys_flag: int = 0
    write_queue_nums: int


class TopicQueueMappingInfo(Body, kw_only=True):
    """A static topic's logic queues on one broker."""

    bname: str | None = None
    curr_id_map: dict[int, int] = {}
    dirty: bool = False
    epoch: int = 0
    scope: str | None = None
    topic: str | None = None
    total_queues: int = 0


class TopicRouteData(Body, kw_only=True):
    """GET_ROUTEINFO_BY_TOPIC(105). `order_topic_conf` as ``broker:queues;broker:queues``."""

    broker_datas: list[BrokerData]
    filter_server_table: dict[str, list[str]] = {}
    order_topic_conf: str | None = None
    queue_datas: list[QueueData]
    topic_queue_mapping_by_broker: dict[str, TopicQueueMappingInfo] | None = None


class ClusterInfo(Body, kw_only=True):
    """GET_BROKER_CLUSTER_INFO(106): brokers by name, names of brokers by cluster."""

    broker_addr_table: dict[str, BrokerData]
    cluster_addr_table: dict[str, list[str]]


class TopicList(Body, kw_only=True):
    """GET_ALL_TOPIC_LIST_FROM_NAMESERVER(206) and its like."""

    broker_addr: str | None = None
    topic_list: list[str]


class KVTable(Body, kw_only=True):
    """GET_BROKER_RUNTIME_INFO(28) and other tables of text."""

    table: dict[str, str]
