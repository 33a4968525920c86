"""Commands of administrators: topics, groups, clients, messages, progress, runtime information."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from rmqgateway.commands.base import Action, Command, Reply, Resource
from rmqgateway.commands.clients import Consumer, Route, RouteBroker
from rmqgateway.message import Filter, MessageQueue, MessageType, Permission

__all__ = [
    "ChangeKeyValues",
    "CloneOffset",
    "ClusterInformation",
    "Connection",
    "Connections",
    "ConsumeDirectly",
    "ConsumeProgress",
    "ConsumeQueueEntries",
    "ConsumeQueueEntry",
    "ConsumeTimeSpan",
    "ConsumeTimeSpans",
    "ConsumerConnections",
    "CreateGroups",
    "CreateTopics",
    "DeleteGroup",
    "DeleteSubscription",
    "DeleteTopic",
    "GetBrokerConfiguration",
    "GetCluster",
    "GetConsumeProgress",
    "GetConsumeTimeSpans",
    "GetConsumerStatus",
    "GetGroup",
    "GetKeyValues",
    "GetRunningInformation",
    "GetRuntimeInformation",
    "GetStatistics",
    "GetTopic",
    "GetTopicStatistics",
    "GroupConfig",
    "GroupConfigs",
    "GroupForbidden",
    "ListConsumerConnections",
    "ListGroups",
    "ListGroupsOfTopic",
    "ListProducerConnections",
    "ListTopics",
    "ListTopicsOfGroup",
    "Names",
    "QueryConsumeQueue",
    "QueryMessages",
    "QueueProgress",
    "QueueStatistics",
    "RelayedAnswer",
    "ResetOffset",
    "ResetOffsets",
    "Routes",
    "SetBrokerWritable",
    "SetConsumeMode",
    "StoredMessages",
    "Table",
    "TopicConfig",
    "TopicConfigs",
    "TopicStatistics",
    "UpdateGroupForbidden",
    "ViewMessage",
]

_CLUSTER = ((Resource.CLUSTER, None),)
_TOPIC = ((Resource.TOPIC, "topic"),)
_GROUP = ((Resource.GROUP, "group"),)
_TOPIC_GROUP = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))


class TopicConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A topic as it is configured. :ivar attributes: RocketMQ's own, such as ``message.type``."""

    name: str
    read_queues: int = 8
    write_queues: int = 8
    permission: Permission = Permission.READ_WRITE
    message_type: MessageType = MessageType.NORMAL
    sys_flag: int = 0
    order: bool = False
    attributes: dict[str, str] = {}


class GroupConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A consumer group as it is configured (SubscriptionGroupConfig).

    :ivar retry_policy: RocketMQ's groupRetryPolicy as JSON text, or "" for the default ladder.
    """

    name: str
    consume_enable: bool = True
    consume_from_min_enable: bool = True
    consume_broadcast_enable: bool = True
    consume_message_orderly: bool = False
    retry_queues: int = 1
    retry_max_times: int = 16
    broker_id: int = 0
    which_broker_when_consume_slowly: int = 1
    notify_consumer_ids_changed: bool = True
    sys_flag: int = 0
    consume_timeout_minutes: int = 15
    retry_policy: str = ""
    attributes: dict[str, str] = {}


class TopicConfigs(Reply, frozen=True):
    topics: tuple[TopicConfig, ...]
    version: int = 0


class GroupConfigs(Reply, frozen=True):
    """:ivar forbidden: by group: the topics that it may not read (`UpdateGroupForbidden`)."""

    groups: tuple[GroupConfig, ...]
    version: int = 0
    forbidden: dict[str, tuple[str, ...]] = {}


class CreateTopics(Command[None], frozen=True):
    """Create topics, or change those that exist. All or none. Errors: BAD_TOPIC_NAME, BAD_REQUEST (field named)."""

    action: ClassVar[Action] = Action.CREATE
    resources: ClassVar = ((Resource.TOPIC, "names"),)
    mutates: ClassVar[bool] = True

    topics: tuple[TopicConfig, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(topic.name for topic in self.topics)


class DeleteTopic(Command[None], frozen=True):
    """Delete a topic with its messages and offsets. Deleting one that is not there is not an error."""

    action: ClassVar[Action] = Action.DELETE
    resources: ClassVar = _TOPIC
    mutates: ClassVar[bool] = True

    topic: str


class GetTopic(Command[TopicConfig], frozen=True):
    """Ask for one topic's configuration. Errors: TOPIC_NOT_FOUND."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC

    topic: str


class ListTopics(Command[TopicConfigs], frozen=True):
    """All topics that the caller may see, in order of their names. :ivar system: with the system's own."""

    action: ClassVar[Action] = Action.LIST
    resources: ClassVar = ((Resource.TOPIC, None),)

    system: bool = True


class CreateGroups(Command[None], frozen=True):
    """Create consumer groups, or change those that exist. Errors: BAD_GROUP_NAME, BAD_REQUEST."""

    action: ClassVar[Action] = Action.CREATE
    resources: ClassVar = ((Resource.GROUP, "names"),)
    mutates: ClassVar[bool] = True

    groups: tuple[GroupConfig, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(group.name for group in self.groups)


class DeleteGroup(Command[None], frozen=True):
    """Delete a consumer group; with `clean_offset` its offsets too."""

    action: ClassVar[Action] = Action.DELETE
    resources: ClassVar = _GROUP
    mutates: ClassVar[bool] = True

    group: str
    clean_offset: bool = False


class DeleteSubscription(Command[None], frozen=True):
    """Forget a group's place in a topic, and its received messages of it that wait for another attempt: as if it had never
    consumed the topic. One that has no place there is left so.

    Errors: TOPIC_NOT_FOUND, GROUP_NOT_FOUND, BAD_REQUEST: members that subscribe to the topic are connected.
    """

    action: ClassVar[Action] = Action.DELETE
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    topic: str
    group: str


class GetGroup(Command[GroupConfig], frozen=True):
    """Ask for one group's configuration. Errors: GROUP_NOT_FOUND."""

    action: ClassVar[Action] = Action.GET
    or_actions: ClassVar[tuple[Action, ...]] = (Action.SUB,)
    resources: ClassVar = _GROUP

    group: str


class ListGroups(Command[GroupConfigs], frozen=True):
    """All consumer groups that the caller may see, in order of their names."""

    action: ClassVar[Action] = Action.LIST
    resources: ClassVar = ((Resource.GROUP, None),)


class GroupForbidden(Reply, frozen=True):
    """Whether a group may read a topic."""

    group: str
    topic: str
    readable: bool


class UpdateGroupForbidden(Command[GroupForbidden], frozen=True):
    """Pause a group's members at one topic, or let them go on, or (None) ask whether they are paused.

    As in a real broker it concerns pulls by the subscription that a group's heartbeat announced: those of push consumers. Who
    brings a filter along with each pull, and who receives (pop), is not held back; ``consumeEnable`` of the group does that.
    It stays through restarts and changes of the group's configuration, until the group is deleted.
    The group is created if that is allowed. Errors: BAD_GROUP_NAME, GROUP_NOT_FOUND, BAD_TOPIC_NAME, STORE_FULL (too many).
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    group: str
    topic: str
    readable: bool | None = None


class Connection(msgspec.Struct, frozen=True):
    """One connected client. :ivar protocol: the front-end's name. Unknown is "", never a guess."""

    client_id: str
    address: str
    language: str = ""
    version: str = ""
    protocol: str = ""
    last_heartbeat: int = 0
    in_flight: int | None = None


class ConsumerConnections(Reply, frozen=True):
    """A group's members, and the subscription that the newest of them announced.

    :ivar consumers: what each of the members announced itself, one for one, or None: it announced nothing, or that is not known;
        empty: of none of them.
    """

    connections: tuple[Connection, ...]
    consumer: Consumer | None = None
    consumers: tuple[Consumer | None, ...] = ()


class ListConsumerConnections(Command[ConsumerConnections], frozen=True):
    """Ask who is connected in a consumer group. Errors: GROUP_NOT_FOUND (nobody)."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _GROUP

    group: str


class Connections(Reply, frozen=True):
    connections: tuple[tuple[str, Connection], ...]


class ListProducerConnections(Command[Connections], frozen=True):
    """Ask which producers are connected: pairs (producer group, connection). :ivar group: "" for all."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    group: str = ""


class QueueStatistics(msgspec.Struct, frozen=True):
    """One queue of a topic. :ivar last_update: store time (ms) of the newest message, 0 when empty."""

    queue: MessageQueue
    min_offset: int
    max_offset: int
    last_update: int


class TopicStatistics(Reply, frozen=True):
    queues: tuple[QueueStatistics, ...]
    put_tps: float = 0.0


class GetTopicStatistics(Command[TopicStatistics], frozen=True):
    """Ask for offsets and times of each queue. Errors: TOPIC_NOT_FOUND."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC

    topic: str


class QueueProgress(msgspec.Struct, frozen=True):
    """A group's place in one queue.

    :ivar pull_offset: how far messages were handed out (for pop: broker offset minus in flight is not subtracted).
    :ivar in_flight: received and not yet acknowledged, or None where that is unknown (pull).
    :ivar last_timestamp: store time (ms) of the last consumed message, 0 if unknown.
    """

    queue: MessageQueue
    broker_offset: int
    consumer_offset: int
    pull_offset: int
    last_timestamp: int
    in_flight: int | None = None


class ConsumeProgress(Reply, frozen=True):
    queues: tuple[QueueProgress, ...]
    consume_tps: float = 0.0


class GetConsumeProgress(Command[ConsumeProgress], frozen=True):
    """Ask how far a group is, in one topic or ("") all of its topics. Errors: GROUP_NOT_FOUND."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _GROUP

    group: str
    topic: str = ""


class Names(Reply, frozen=True):
    names: tuple[str, ...]


class ListGroupsOfTopic(Command[Names], frozen=True):
    """Ask which groups consume a topic (connected, or with offsets)."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC

    topic: str


class ListTopicsOfGroup(Command[Names], frozen=True):
    """Ask which topics a group consumes (subscribed, or with offsets)."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _GROUP

    group: str


class ConsumeTimeSpan(msgspec.Struct, frozen=True):
    """Times (ms) of a queue's oldest, newest and last consumed message, and how far behind the group is in time."""

    queue: MessageQueue
    min_timestamp: int
    max_timestamp: int
    consume_timestamp: int
    delay_ms: int


class ConsumeTimeSpans(Reply, frozen=True):
    spans: tuple[ConsumeTimeSpan, ...]


class GetConsumeTimeSpans(Command[ConsumeTimeSpans], frozen=True):
    """QUERY_CONSUME_TIME_SPAN. Errors: TOPIC_NOT_FOUND."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC_GROUP

    topic: str
    group: str


class ResetOffsets(Reply, frozen=True):
    """The offsets that were set."""

    offsets: tuple[tuple[MessageQueue, int], ...]


class ResetOffset(Command[ResetOffsets], frozen=True):
    """Move a group's offsets in a topic to a time, and tell its connected members.

    :ivar timestamp: ms; -1: to the end (skip what has accumulated).
    :ivar force: also forward (else only backward, as RocketMQ's isForce).
    :ivar queue_id: one queue, or -1: all. :ivar offset: with a queue: this offset instead of a time, or -1.
    Errors: TOPIC_NOT_FOUND, BAD_OFFSET.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    topic: str
    group: str
    timestamp: int
    force: bool = True
    queue_id: int = -1
    offset: int = -1


class CloneOffset(Command[None], frozen=True):
    """Give a group the offsets of another. Errors: GROUP_NOT_FOUND."""

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = ((Resource.GROUP, "from_group"), (Resource.GROUP, "to_group"))
    mutates: ClassVar[bool] = True

    from_group: str
    to_group: str
    topic: str = ""
    offline_only: bool = False


class StoredMessages(Reply, frozen=True):
    """Whole stored messages."""

    messages: tuple[bytes, ...]
    index_last_update: int = 0


class ViewMessage(Command[StoredMessages], frozen=True):
    """The message at a physical offset. Errors: MESSAGE_NOT_FOUND, BAD_REQUEST: several brokers have one there.

    :ivar broker_name: of several brokers the one that has it; "": it is looked for, by `topic` too where that is given.
    """

    action: ClassVar[Action] = Action.GET
    or_actions: ClassVar[tuple[Action, ...]] = (Action.SUB,)
    resources: ClassVar = ()

    physical_offset: int
    topic: str = ""
    broker_name: str = ""


class QueryMessages(Command[StoredMessages], frozen=True):
    """Messages of a topic by key, newest first. :ivar unique_key: `key` is a UNIQ_KEY, not one of KEYS."""

    action: ClassVar[Action] = Action.GET
    or_actions: ClassVar[tuple[Action, ...]] = (Action.SUB,)
    resources: ClassVar = _TOPIC

    topic: str
    key: str
    max_messages: int = 64
    begin: int = 0
    end: int = 0x7FFFFFFFFFFFFFFF
    unique_key: bool = False


class RelayedAnswer(Reply, frozen=True):
    """What a client answered, as RocketMQ's JSON body."""

    code: int
    remark: str
    body: bytes


class GetRunningInformation(Command[RelayedAnswer], frozen=True):
    """Ask a connected consumer for its running information. Errors: CLIENT_NOT_FOUND, TIMEOUT."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _GROUP

    group: str
    client_id: str
    with_stack: bool = False


class ConsumeDirectly(Command[RelayedAnswer], frozen=True):
    """Have a connected consumer consume one stored message now. Errors: CLIENT_NOT_FOUND, MESSAGE_NOT_FOUND, TIMEOUT.

    :ivar broker_name: of several brokers the one that has it; "": by the message id, or looked for.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _GROUP
    mutates: ClassVar[bool] = True

    group: str
    client_id: str
    physical_offset: int
    topic: str = ""
    message_id: str = ""
    broker_name: str = ""


class GetConsumerStatus(Command[ResetOffsets], frozen=True):
    """Ask connected members for their offsets (INVOKE_BROKER_TO_GET_CONSUMER_STATUS)."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC_GROUP

    topic: str
    group: str
    client_id: str = ""


class ClusterInformation(Reply, frozen=True):
    """Brokers of the cluster; see RouteBroker about addresses."""

    brokers: tuple[RouteBroker, ...]


class GetCluster(Command[ClusterInformation], frozen=True):
    """Ask which clusters and brokers there are."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER


class Table(Reply, frozen=True):
    """Names and values, in a stated order."""

    table: tuple[tuple[str, str], ...]


class GetRuntimeInformation(Command[Table], frozen=True):
    """The broker's figures by RocketMQ's names (brokerStatus)."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER


class GetBrokerConfiguration(Command[Table], frozen=True):
    """The broker's settings by RocketMQ's names, secrets left out; there is no command that writes them."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER


class GetStatistics(Command[Table], frozen=True):
    """One of RocketMQ's broker statistics (TOPIC_PUT_NUMS, GROUP_GET_NUMS …) for one key, as numbers in words."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    name: str
    key: str


class ChangeKeyValues(Command[None], frozen=True):
    """Put or (value None) delete a name server key in a namespace."""

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    namespace: str
    key: str
    value: str | None


class GetKeyValues(Command[Table], frozen=True):
    """The keys of a name server namespace; with `key` only that one. Errors: MESSAGE_NOT_FOUND is never used: an absent
    key gives an empty table."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    namespace: str
    key: str = ""


class SetBrokerWritable(Command[Names], frozen=True):
    """Take or give back write permission of every topic of a broker in routes. The reply names the topics changed."""

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    broker_name: str
    writable: bool


class SetConsumeMode(Command[None], frozen=True):
    """Set whether a group's Remoting push consumers pull or pop a topic (SET_MESSAGE_REQUEST_MODE)."""

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    topic: str
    group: str
    pop: bool
    pop_share_queues: int = 0


class ConsumeQueueEntry(msgspec.Struct, frozen=True):
    """One entry of a queue: position and size in the log, tags code, whether the filter passes it."""

    physical_offset: int
    size: int
    tags_code: int
    passes: bool = True


class ConsumeQueueEntries(Reply, frozen=True):
    entries: tuple[ConsumeQueueEntry, ...]
    min_offset: int
    max_offset: int


class QueryConsumeQueue(Command[ConsumeQueueEntries], frozen=True):
    """Look into a message queue's entries (QUERY_CONSUME_QUEUE). Errors: TOPIC_NOT_FOUND, BAD_OFFSET.

    :ivar broker_name: of several brokers with this queue the one that is meant; "": refused there.
    """

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC

    topic: str
    queue_id: int
    offset: int
    count: int
    group: str = ""
    filter: Filter | None = None
    broker_name: str = ""


class Routes(Reply, frozen=True):
    routes: tuple[Route, ...]
