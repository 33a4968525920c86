"""Administration of the broker and the name server: messages by id and key, clusters, settings, figures, key-values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    ChangeKeyValues,
    ClusterInformation,
    ConsumeQueueEntries,
    GetBrokerConfiguration,
    GetCluster,
    GetKeyValues,
    GetRuntimeInformation,
    GetStatistics,
    QueryConsumeQueue,
    QueryMessages,
    StoredMessages,
    Table,
    ViewMessage,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.route_body import broker_data
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.routes import ClusterInfo, KVTable
from rmqgateway.wire.bodies.topics import (
    BrokerStatsData,
    BrokerStatsItem,
    ConsumeQueueData,
    QueryConsumeQueueBody,
)
from rmqgateway.wire.remoting import encode_head
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import (
    Operation,
    Peer,
    boolean,
    int32,
    int64,
    reply_nothing,
    respond,
    text,
)
from rmqgateway_remoting.convert_pulling import append_messages

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]

_UNIQUE_KEY_QUERY = "_UNIQUE_KEY_QUERY"


def parse_view_message(request: RemotingCommand, peer: Peer) -> ViewMessage:
    """VIEW_MESSAGE_BY_ID: the offset half of an offset message id."""
    return ViewMessage(int64(request.ext_fields, "offset"), request.ext_fields.get("topic", ""))


def reply_view_message(reply: StoredMessages, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """The stored message."""
    if not reply.messages:
        raise GatewayError(Code.MESSAGE_NOT_FOUND, f"no message is at offset {request.ext_fields.get('offset')}")
    place = len(out)
    size = append_messages(reply.messages[:1], peer, out)
    out.insert(place, encode_head(0, request.opaque, 1, None, None, size, request.serialization))


def parse_query_message(request: RemotingCommand, peer: Peer) -> QueryMessages:
    """QUERY_MESSAGE. ``_UNIQUE_KEY_QUERY`` or (5.4) ``indexType`` U: the key is a unique key."""
    ext = request.ext_fields
    return QueryMessages(
        topic=text(ext, "topic"),
        key=text(ext, "key"),
        max_messages=int32(ext, "maxNum"),
        begin=int64(ext, "beginTimestamp"),
        end=int64(ext, "endTimestamp"),
        unique_key=boolean(ext, _UNIQUE_KEY_QUERY) or ext.get("indexType") == "U",
    )


def reply_query_message(reply: StoredMessages, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``QueryMessageResponseHeader`` and the stored messages."""
    ext = {"indexLastUpdateTimestamp": str(reply.index_last_update), "indexLastUpdatePhyoffset": "0"}
    if not reply.messages:
        respond(request, out, ext, code=ResponseCode.QUERY_NOT_FOUND, remark="no message with this key and time is here")
        return
    place = len(out)
    size = append_messages(reply.messages, peer, out)
    out.insert(place, encode_head(0, request.opaque, 1, ext, None, size, request.serialization))


def parse_cluster(request: RemotingCommand, peer: Peer) -> GetCluster:
    """GET_BROKER_CLUSTER_INFO."""
    return GetCluster()


def reply_cluster(reply: ClusterInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``ClusterInfo``, always in fastjson's dialect."""
    clusters: dict[str, list[str]] = {}
    for broker in reply.brokers:
        names = clusters.setdefault(broker.cluster, [])
        if broker.name not in names:
            names.append(broker.name)
    body = ClusterInfo(
        broker_addr_table={broker.name: broker_data(broker, peer.host) for broker in reply.brokers},
        cluster_addr_table=clusters,
    )
    respond(request, out, body=encode_body(body, standard=boolean(request.ext_fields, "acceptStandardJsonOnly")))


def parse_runtime_information(request: RemotingCommand, peer: Peer) -> GetRuntimeInformation:
    """GET_BROKER_RUNTIME_INFO."""
    return GetRuntimeInformation()


def reply_table(reply: Table, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``KVTable``."""
    respond(request, out, body=encode_body(KVTable(table=dict(reply.table))))


def parse_configuration(request: RemotingCommand, peer: Peer) -> GetBrokerConfiguration:
    """GET_BROKER_CONFIG, GET_NAMESRV_CONFIG."""
    return GetBrokerConfiguration()


def reply_configuration(reply: Table, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """The settings as a Java properties text."""
    lines = [f"{_escaped(name)}={_escaped(value)}\n" for name, value in reply.table]
    ext = {"version": '{"counter":0,"stateVersion":0,"timestamp":0}'}
    respond(request, out, ext, "".join(lines).encode())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def parse_statistics(request: RemotingCommand, peer: Peer) -> GetStatistics:
    """VIEW_BROKER_STATS_DATA."""
    return GetStatistics(text(request.ext_fields, "statsName"), text(request.ext_fields, "statsKey"))


def reply_statistics(reply: Table, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``BrokerStatsData``: sum, rate and average of the last minute, hour and day."""
    table = dict(reply.table)
    if not table:
        ext = request.ext_fields
        remark = f"no statistics {ext.get('statsName')} of {ext.get('statsKey')} are kept here"
        respond(request, out, code=ResponseCode.SYSTEM_ERROR, remark=remark)
        return

    def item(span: str) -> BrokerStatsItem:
        return BrokerStatsItem(
            avgpt=float(table.get(f"{span}.avgpt", 0)),
            sum=int(table.get(f"{span}.sum", 0)),
            tps=float(table.get(f"{span}.tps", 0)),
        )

    body = BrokerStatsData(stats_day=item("day"), stats_hour=item("hour"), stats_minute=item("minute"))
    respond(request, out, body=encode_body(body))


def parse_consume_queue(request: RemotingCommand, peer: Peer) -> QueryConsumeQueue:
    """QUERY_CONSUME_QUEUE."""
    ext = request.ext_fields
    return QueryConsumeQueue(
        topic=text(ext, "topic"),
        queue_id=int32(ext, "queueId"),
        offset=int64(ext, "index"),
        count=int32(ext, "count"),
        group=ext.get("consumerGroup", ""),
    )


def reply_consume_queue(reply: ConsumeQueueEntries, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``QueryConsumeQueueResponseBody``."""
    entries = [
        ConsumeQueueData(
            eval=entry.passes, physic_offset=entry.physical_offset, physic_size=entry.size, tags_code=entry.tags_code
        )
        for entry in reply.entries
    ]
    body = QueryConsumeQueueBody(
        max_queue_index=reply.max_offset, min_queue_index=reply.min_offset, queue_data=entries
    )
    respond(request, out, body=encode_body(body))


def parse_put_key_value(request: RemotingCommand, peer: Peer) -> ChangeKeyValues:
    """PUT_KV_CONFIG."""
    ext = request.ext_fields
    return ChangeKeyValues(text(ext, "namespace"), text(ext, "key"), text(ext, "value"))


def parse_delete_key_value(request: RemotingCommand, peer: Peer) -> ChangeKeyValues:
    """DELETE_KV_CONFIG."""
    ext = request.ext_fields
    return ChangeKeyValues(text(ext, "namespace"), text(ext, "key"), None)


def parse_get_key_value(request: RemotingCommand, peer: Peer) -> GetKeyValues:
    """GET_KV_CONFIG."""
    ext = request.ext_fields
    return GetKeyValues(text(ext, "namespace"), text(ext, "key"))


def reply_get_key_value(reply: Table, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetKVConfigResponseHeader``."""
    value = dict(reply.table).get(request.ext_fields["key"])
    if value is None:
        _no_key_value(request, out)
    else:
        respond(request, out, {"value": value})


def parse_list_key_values(request: RemotingCommand, peer: Peer) -> GetKeyValues:
    """GET_KVLIST_BY_NAMESPACE."""
    return GetKeyValues(text(request.ext_fields, "namespace"))


def reply_list_key_values(reply: Table, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``KVTable``."""
    if reply.table:
        reply_table(reply, request, peer, out)
    else:
        _no_key_value(request, out)


def _no_key_value(request: RemotingCommand, out: list[bytes]) -> None:
    ext = request.ext_fields
    remark = f"nothing is kept in namespace {ext.get('namespace')}"
    if "key" in ext:
        remark += f" under key {ext['key']}"
    respond(request, out, code=ResponseCode.QUERY_NOT_FOUND, remark=remark)


OPERATIONS = (
    Operation(
        RequestCode.VIEW_MESSAGE_BY_ID,
        ViewMessage,
        parse_view_message,
        reply_view_message,
        errors={Code.MESSAGE_NOT_FOUND: ResponseCode.SYSTEM_ERROR},
    ),
    Operation(RequestCode.QUERY_MESSAGE, QueryMessages, parse_query_message, reply_query_message),
    Operation(RequestCode.GET_BROKER_CLUSTER_INFO, GetCluster, parse_cluster, reply_cluster),
    Operation(
        RequestCode.GET_BROKER_RUNTIME_INFO, GetRuntimeInformation, parse_runtime_information, reply_table
    ),
    Operation(RequestCode.GET_BROKER_CONFIG, GetBrokerConfiguration, parse_configuration, reply_configuration),
    Operation(RequestCode.GET_NAMESRV_CONFIG, GetBrokerConfiguration, parse_configuration, reply_configuration),
    Operation(RequestCode.VIEW_BROKER_STATS_DATA, GetStatistics, parse_statistics, reply_statistics),
    Operation(RequestCode.QUERY_CONSUME_QUEUE, QueryConsumeQueue, parse_consume_queue, reply_consume_queue),
    Operation(RequestCode.PUT_KV_CONFIG, ChangeKeyValues, parse_put_key_value, reply_nothing),
    Operation(RequestCode.DELETE_KV_CONFIG, ChangeKeyValues, parse_delete_key_value, reply_nothing),
    Operation(RequestCode.GET_KV_CONFIG, GetKeyValues, parse_get_key_value, reply_get_key_value),
    Operation(RequestCode.GET_KVLIST_BY_NAMESPACE, GetKeyValues, parse_list_key_values, reply_list_key_values),
)
