"""Administration of topics: create, delete, list, statistics, write permission. Served as broker and as name server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    CreateTopics,
    DeleteTopic,
    GetTopic,
    GetTopicStatistics,
    ListTopics,
    Names,
    SetBrokerWritable,
    TopicConfig,
    TopicConfigs,
    TopicStatistics,
)
from rmqgateway.errors import WireError
from rmqgateway.message import MessageType, Permission
from rmqgateway.wire.bodies import Body, decode_body, encode_body
from rmqgateway.wire.bodies.common import DataVersion
from rmqgateway.wire.bodies.routes import TopicList
from rmqgateway.wire.bodies.topics import TopicConfig as TopicBody
from rmqgateway.wire.bodies.topics import (
    TopicConfigAndQueueMapping,
    TopicConfigList,
    TopicOffset,
    TopicStatsTable,
)
from rmqgateway.wire.request_codes import RequestCode
from rmqgateway.wire.system_topics import is_system_topic
from rmqgateway_remoting.convert_base import (
    Operation,
    Peer,
    boolean,
    int32,
    queue_body,
    reply_nothing,
    respond,
    text,
)

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]

_MESSAGE_TYPE = "message.type"


def _attributes(changes: dict[str, str]) -> dict[str, str]:
    """Attributes as a change says them: ``+name`` sets one, ``-name`` takes it away."""
    attributes: dict[str, str] = {}
    for name, value in changes.items():
        if name.startswith("+"):
            attributes[name[1:]] = value
        elif not name.startswith("-"):
            attributes[name] = value
    return attributes


def _message_type(attributes: dict[str, str]) -> MessageType:
    name = attributes.get(_MESSAGE_TYPE)
    if name is None:
        return MessageType.NORMAL
    try:
        return MessageType(name.upper())
    except ValueError:
        kinds = ", ".join(kind.value for kind in MessageType)
        raise WireError(f"attribute {_MESSAGE_TYPE}: expected one of {kinds}, got {name[:40]!r}", fatal=False) from None


def _permission(number: int) -> Permission:
    if not 0 <= number <= 7:
        raise WireError(f"perm: expected 0..7 (4 read, 2 write, 1 inherit), got {number}", fatal=False)
    return Permission(number)


def parse_create_topic(request: RemotingCommand, peer: Peer) -> CreateTopics:
    """UPDATE_AND_CREATE_TOPIC; ``attributes`` as ``+name=value,-name``."""
    ext = request.ext_fields
    changes: dict[str, str] = {}
    for item in filter(None, ext.get("attributes", "").split(",")):
        name, equals, value = item.partition("=")
        if not name.startswith("+" if equals else "-"):
            raise WireError(f"header field attributes: expected +name=value or -name, got {item[:40]!r}", fatal=False)
        changes[name] = value
    attributes = _attributes(changes)
    return CreateTopics(
        (
            TopicConfig(
                name=text(ext, "topic"),
                read_queues=int32(ext, "readQueueNums"),
                write_queues=int32(ext, "writeQueueNums"),
                permission=_permission(int32(ext, "perm")),
                message_type=_message_type(attributes),
                sys_flag=int32(ext, "topicSysFlag", 0),
                order=boolean(ext, "order"),
                attributes=attributes,
            ),
        )
    )


def parse_create_topics(request: RemotingCommand, peer: Peer) -> CreateTopics:
    """UPDATE_AND_CREATE_TOPIC_LIST."""
    topics: list[TopicConfig] = []
    for body in decode_body(request.body, TopicConfigList).topic_config_list:
        attributes = _attributes(body.attributes)
        topics.append(
            TopicConfig(
                name=body.topic_name,
                read_queues=body.read_queue_nums,
                write_queues=body.write_queue_nums,
                permission=_permission(body.perm),
                message_type=_message_type(attributes),
                sys_flag=body.topic_sys_flag,
                order=body.order,
                attributes=attributes,
            )
        )
    return CreateTopics(tuple(topics))


def parse_delete_topic(request: RemotingCommand, peer: Peer) -> DeleteTopic:
    """DELETE_TOPIC_IN_BROKER, and DELETE_TOPIC_IN_NAMESRV, which follows it: here both are one."""
    return DeleteTopic(text(request.ext_fields, "topic"))


def _with_type(topic: TopicConfig) -> dict[str, str]:
    if _MESSAGE_TYPE in topic.attributes or topic.message_type is MessageType.NORMAL:
        return topic.attributes
    return {**topic.attributes, _MESSAGE_TYPE: topic.message_type.value}


def _topic_body(topic: TopicConfig) -> TopicBody:
    return TopicBody(
        attributes=_with_type(topic),
        order=topic.order,
        perm=int(topic.permission),
        read_queue_nums=topic.read_queues,
        topic_name=topic.name,
        topic_sys_flag=topic.sys_flag,
        write_queue_nums=topic.write_queues,
    )


def parse_get_topic(request: RemotingCommand, peer: Peer) -> GetTopic:
    """GET_TOPIC_CONFIG."""
    return GetTopic(text(request.ext_fields, "topic"))


def reply_get_topic(reply: TopicConfig, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicConfigAndQueueMapping``."""
    body = TopicConfigAndQueueMapping(
        attributes=_with_type(reply),
        order=reply.order,
        perm=int(reply.permission),
        read_queue_nums=reply.read_queues,
        topic_name=reply.name,
        topic_sys_flag=reply.sys_flag,
        write_queue_nums=reply.write_queues,
    )
    respond(request, out, body=encode_body(body))


def parse_all_topics(request: RemotingCommand, peer: Peer) -> ListTopics:
    """GET_ALL_TOPIC_CONFIG, GET_ALL_TOPIC_LIST_FROM_NAMESERVER and the lists of system topics."""
    return ListTopics(system=True)


class _AllTopics(Body, kw_only=True):
    """``TopicConfigAndMappingSerializeWrapper``: the maps of static topics are empty, but there."""

    data_version: DataVersion
    mapping_data_version: DataVersion
    topic_config_table: dict[str, TopicBody]
    topic_queue_mapping_detail_map: dict[str, str] = {}
    topic_queue_mapping_info_map: dict[str, str] = {}


def reply_all_topic_configs(reply: TopicConfigs, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """GET_ALL_TOPIC_CONFIG."""
    body = _AllTopics(
        data_version=DataVersion(counter=reply.version),
        mapping_data_version=DataVersion(),
        topic_config_table={topic.name: _topic_body(topic) for topic in reply.topics},
    )
    respond(request, out, {"totalTopicNum": str(len(reply.topics))}, encode_body(body))


def reply_topic_list(reply: TopicConfigs, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicList``."""
    respond(request, out, body=encode_body(TopicList(topic_list=[topic.name for topic in reply.topics])))


def reply_system_topic_list(reply: TopicConfigs, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicList`` of the system's own topics."""
    names = [
        topic.name for topic in reply.topics if is_system_topic(topic.name)
    ]
    respond(request, out, body=encode_body(TopicList(broker_addr=peer.host, topic_list=names)))


#: Bits of a topic's sysFlag. Source: ``TopicSysFlag``.
_UNIT, _UNIT_SUBSCRIBED = 1, 2


def reply_unit_topics(reply: TopicConfigs, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicList`` of the topics of units, those that units subscribe to, or those of them that are of no unit."""
    bits, flags = {
        RequestCode.GET_UNIT_TOPIC_LIST: (_UNIT, _UNIT),
        RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST: (_UNIT_SUBSCRIBED, _UNIT_SUBSCRIBED),
        RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST: (_UNIT | _UNIT_SUBSCRIBED, _UNIT_SUBSCRIBED),
    }[RequestCode(request.code)]
    names = [topic.name for topic in reply.topics if topic.sys_flag & bits == flags]
    respond(request, out, body=encode_body(TopicList(topic_list=names)))


def parse_topic_statistics(request: RemotingCommand, peer: Peer) -> GetTopicStatistics:
    """GET_TOPIC_STATS_INFO."""
    return GetTopicStatistics(text(request.ext_fields, "topic"))


def reply_topic_statistics(reply: TopicStatistics, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicStatsTable``."""
    table = {
        queue_body(item.queue): TopicOffset(
            last_update_timestamp=item.last_update, max_offset=item.max_offset, min_offset=item.min_offset
        )
        for item in reply.queues
    }
    respond(request, out, body=encode_body(TopicStatsTable(offset_table=table, topic_put_tps=reply.put_tps)))


def parse_wipe_write_permission(request: RemotingCommand, peer: Peer) -> SetBrokerWritable:
    """WIPE_WRITE_PERM_OF_BROKER."""
    return SetBrokerWritable(text(request.ext_fields, "brokerName"), False)


def reply_wipe_write_permission(reply: Names, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``WipeWritePermOfBrokerResponseHeader``."""
    respond(request, out, {"wipeTopicCount": str(len(reply.names))})


def parse_add_write_permission(request: RemotingCommand, peer: Peer) -> SetBrokerWritable:
    """ADD_WRITE_PERM_OF_BROKER."""
    return SetBrokerWritable(text(request.ext_fields, "brokerName"), True)


def reply_add_write_permission(reply: Names, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``AddWritePermOfBrokerResponseHeader``."""
    respond(request, out, {"addTopicCount": str(len(reply.names))})


OPERATIONS = (
    Operation(RequestCode.UPDATE_AND_CREATE_TOPIC, CreateTopics, parse_create_topic, reply_nothing),
    Operation(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, CreateTopics, parse_create_topics, reply_nothing),
    Operation(RequestCode.DELETE_TOPIC_IN_BROKER, DeleteTopic, parse_delete_topic, reply_nothing),
    Operation(RequestCode.DELETE_TOPIC_IN_NAMESRV, DeleteTopic, parse_delete_topic, reply_nothing),
    Operation(RequestCode.GET_TOPIC_CONFIG, GetTopic, parse_get_topic, reply_get_topic),
    Operation(RequestCode.GET_ALL_TOPIC_CONFIG, ListTopics, parse_all_topics, reply_all_topic_configs),
    Operation(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, ListTopics, parse_all_topics, reply_topic_list),
    # There is one cluster here: all topics are in it.
    Operation(RequestCode.GET_TOPICS_BY_CLUSTER, ListTopics, parse_all_topics, reply_topic_list),
    Operation(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, ListTopics, parse_all_topics, reply_system_topic_list),
    Operation(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, ListTopics, parse_all_topics, reply_system_topic_list),
    Operation(RequestCode.GET_UNIT_TOPIC_LIST, ListTopics, parse_all_topics, reply_unit_topics),
    Operation(RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, ListTopics, parse_all_topics, reply_unit_topics),
    Operation(RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, ListTopics, parse_all_topics, reply_unit_topics),
    Operation(RequestCode.GET_TOPIC_STATS_INFO, GetTopicStatistics, parse_topic_statistics, reply_topic_statistics),
    Operation(
        RequestCode.WIPE_WRITE_PERM_OF_BROKER,
        SetBrokerWritable,
        parse_wipe_write_permission,
        reply_wipe_write_permission,
    ),
    Operation(
        RequestCode.ADD_WRITE_PERM_OF_BROKER, SetBrokerWritable, parse_add_write_permission, reply_add_write_permission
    ),
)
