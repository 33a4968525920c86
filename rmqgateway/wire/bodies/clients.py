"""What clients say of themselves, and what is told of them."""

from __future__ import annotations

import msgspec

from rmqgateway.wire.bodies.codec import Body

__all__ = [
    "CheckClientRequest",
    "Connection",
    "ConsumerConnection",
    "ConsumerData",
    "ConsumerList",
    "HeartbeatData",
    "LiteOffsetOption",
    "LiteSubscription",
    "LiteSubscriptionRequest",
    "ProducerConnection",
    "ProducerData",
    "ProducerInfo",
    "ProducerTableInfo",
    "SubscriptionData",
    "java_hash",
]


class SubscriptionData(Body, kw_only=True):
    """What a consumer wants of a topic.

    :ivar expression_type: ``TAG``, ``SQL92``, or None for TAG (clients before 4.1).
    :ivar code_set: Java hash codes of the tags. :ivar sub_version: ms when it was made; the newest of a
        group wins.
    """

    class_filter_mode: bool = False
    code_set: list[int] | None = msgspec.field(default_factory=list)
    expression_type: str | None = "TAG"
    sub_string: str | None = ""
    sub_version: int = 0
    tags_set: list[str] | None = msgspec.field(default_factory=list)
    topic: str


class ConsumerData(Body, kw_only=True):
    """A consumer group as a member's heartbeat describes it.

    :ivar consume_type: ``CONSUME_ACTIVELY`` (pull), ``CONSUME_PASSIVELY`` (push), ``CONSUME_POP``.
    :ivar message_model: ``CLUSTERING`` or ``BROADCASTING``.
    :ivar consume_from_where: ``CONSUME_FROM_LAST_OFFSET``, ``..._FIRST_OFFSET``, ``..._TIMESTAMP``.
    """

    consume_from_where: str | int | None = None
    consume_type: str | int | None = None
    group_name: str
    message_model: str | int | None = None
    subscription_data_set: list[SubscriptionData] | None = msgspec.field(default_factory=list)
    unit_mode: bool | None = False


class LiteOffsetOption(Body, kw_only=True):
    """Where to go on in lite topics (``OffsetOption``).

    :ivar type: ``POLICY`` (0 last, 1 first, 2 end), ``OFFSET``, ``TAIL_N`` or ``TIMESTAMP``.
    """

    type: str | None = None
    value: int = 0


class LiteSubscription(Body, kw_only=True):
    """A change of the lite topics that a client wants (``LiteSubscriptionDTO``).

    :ivar action: ``PARTIAL_ADD``, ``PARTIAL_REMOVE``, ``COMPLETE_ADD`` or ``COMPLETE_REMOVE``.
    """

    action: str | None = None
    client_id: str | None = None
    group: str | None = None
    lite_topic_set: list[str] | None = None
    offset_option: LiteOffsetOption | None = None
    topic: str | None = None
    version: int = 0


class LiteSubscriptionRequest(Body, kw_only=True):
    """LITE_SUBSCRIPTION_CTL (``LiteSubscriptionCtlRequestBody``)."""

    subscription_set: list[LiteSubscription] | None = None


class ProducerData(Body, kw_only=True):
    """A producer group."""

    group_name: str


class HeartbeatData(Body, kw_only=True):
    """HEART_BEAT(34).

    Heartbeats of version 2 (5.x clients with ``useHeartbeatV2``) carry a fingerprint of the subscriptions;
    once a broker has confirmed it knows that fingerprint (answer fields ``isSupportHeartbeatV2``,
    ``isSubChange``) the client leaves the subscriptions out and says so by `without_sub`.
    """

    client_id: str = msgspec.field(name="clientID")
    consumer_data_set: list[ConsumerData] | None = msgspec.field(default_factory=list)
    heartbeat_fingerprint: int = 0
    producer_data_set: list[ProducerData] | None = msgspec.field(default_factory=list)
    without_sub: bool = False


class Connection(Body, kw_only=True):
    """One connected client; `client_addr` as ``host:port``."""

    client_addr: str
    client_id: str
    language: str
    version: int


class ConsumerConnection(Body, kw_only=True):
    """GET_CONSUMER_CONNECTION_LIST(203)."""

    connection_set: list[Connection]
    consume_from_where: str | None = None
    consume_type: str | None = None
    message_model: str | None = None
    subscription_table: dict[str, SubscriptionData] = {}


class ProducerConnection(Body, kw_only=True):
    """GET_PRODUCER_CONNECTION_LIST(204)."""

    connection_set: list[Connection]


class ProducerInfo(Body, kw_only=True):
    """A producer's client; `remote_ip` as ``/host:port``."""

    client_id: str
    language: str
    last_update_timestamp: int
    remote_ip: str = msgspec.field(name="remoteIP")
    version: int


class ProducerTableInfo(Body, kw_only=True):
    """GET_ALL_PRODUCER_INFO(328): clients by producer group."""

    data: dict[str, list[ProducerInfo]]


class ConsumerList(Body, kw_only=True):
    """GET_CONSUMER_LIST_BY_GROUP(38): client ids of a group's members."""

    consumer_id_list: list[str]


class CheckClientRequest(Body, kw_only=True):
    """CHECK_CLIENT_CONFIG(46): may this subscription be? Asked of SQL92 ones."""

    client_id: str
    group: str
    namespace: str | None = None
    subscription_data: SubscriptionData


def java_hash(text: str) -> int:
    """``String.hashCode()``: over UTF-16 units, as int32."""
    value = 0
    data = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(data[::2], data[1::2], strict=True):
        value = value * 31 + (high << 8 | low) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value
