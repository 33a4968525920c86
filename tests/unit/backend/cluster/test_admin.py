"""Administration, offsets and lite topics before scripted brokers."""

from __future__ import annotations

import msgspec
import pytest

from rmqgateway.commands import (
    AckMessages,
    ChangeKeyValues,
    CreateGroups,
    CreateTopics,
    DeleteTopic,
    GetBrokerConfiguration,
    GetConsumeProgress,
    GetKeyValues,
    GetTopic,
    GroupConfig,
    GroupForbidden,
    ListConsumers,
    ListGroups,
    ListTopics,
    LockQueues,
    OffsetOf,
    QueryMessages,
    QueryOffset,
    ReceiveMessages,
    ResetOffset,
    SyncLiteSubscription,
    TopicConfig,
    UpdateGroupForbidden,
)
from rmqgateway.commands.clients import LiteOffset
from rmqgateway.errors import Code
from rmqgateway.events import LiteTopicUnsubscribed
from rmqgateway.message import MessageQueue, MessageType
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties, encode_properties
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.world import NOW, OK, A, B, World, stored


def test_a_topic_is_made_at_every_master_with_its_type() -> None:
    world = World(brokers=(A, B))

    def create(request: object) -> object:
        world.topics["new"] = 3
        return OK

    for address in (A, B):
        world.servers[address].script[RequestCode.UPDATE_AND_CREATE_TOPIC] = create  # type: ignore[assignment]
    config = TopicConfig("new", 3, 3, message_type=MessageType.FIFO, attributes={"cleanup.policy": "DELETE"})
    assert world.do(CreateTopics((config,))) is None
    for address in (A, B):
        ext = world.servers[address].last(RequestCode.UPDATE_AND_CREATE_TOPIC).ext_fields
        assert (ext["topic"], ext["readQueueNums"]) == ("new", "3")
        assert ext["attributes"] == "+cleanup.policy=DELETE,+message.type=FIFO"


@pytest.mark.parametrize("name", ["TBW102", "a b", ""])
def test_topics_that_cannot_be(name: str) -> None:
    assert World().do(CreateTopics((TopicConfig(name),))).code is Code.BAD_TOPIC_NAME


def test_a_topic_is_deleted_from_brokers_and_every_name_server() -> None:
    world = World(namesrv="10.0.0.9:9876;10.0.0.10:9876")
    world.servers[A].script[RequestCode.DELETE_TOPIC_IN_BROKER] = lambda _: OK
    for address in world.settings.addresses:
        world.servers[address].script[RequestCode.DELETE_TOPIC_IN_NAMESRV] = lambda _: OK
    assert world.do(DeleteTopic("T")) is None
    for address in world.settings.addresses:
        assert RequestCode.DELETE_TOPIC_IN_NAMESRV in world.servers[address].codes()


def test_key_values_go_to_all_name_servers_and_come_from_one() -> None:
    world = World(namesrv="10.0.0.9:9876;10.0.0.10:9876")
    for address in world.settings.addresses:
        world.servers[address].script[RequestCode.PUT_KV_CONFIG] = lambda _: OK
        world.servers[address].script[RequestCode.GET_KV_CONFIG] = lambda _: (0, {"value": "v"}, b"")
    assert world.do(ChangeKeyValues("ns", "k", "v")) is None
    assert all(RequestCode.PUT_KV_CONFIG in world.servers[one].codes() for one in world.settings.addresses)
    assert world.do(GetKeyValues("ns", "k")).table == (("k", "v"),)
    assert world.do(ChangeKeyValues("", "k", "v")).code is Code.BAD_REQUEST


def test_topics_of_all_brokers_are_told_once_and_the_systems_only_if_asked() -> None:
    world = World(brokers=(A, B))
    table = {"topicConfigTable": {}, "dataVersion": {"counter": 4}}
    for address, names in ((A, ("T", "TBW102", "broker-a")), (B, ("T", "U"))):
        table["topicConfigTable"] = {name: {"topicName": name, "perm": 6} for name in names}
        body = msgspec.json.encode(table)
        world.servers[address].script[RequestCode.GET_ALL_TOPIC_CONFIG] = lambda _, body=body: (0, {}, body)
    assert [topic.name for topic in world.do(ListTopics(False)).topics] == ["T", "U"]
    assert len(world.do(ListTopics(True)).topics) == 4


def test_a_broker_without_types_takes_all() -> None:
    world = World()
    world.servers[A].script[RequestCode.GET_TOPIC_CONFIG] = lambda _: (int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), {}, b"")
    assert world.do(GetTopic("T")).message_type is MessageType.MIXED


def test_groups_are_made_as_they_are_told() -> None:
    world = World()
    world.servers[A].script[RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP] = lambda _: OK
    config = GroupConfig("G", retry_max_times=5, consume_message_orderly=True, attributes={"lite.bind.topic": "T"})
    assert world.do(CreateGroups((config,))) is None
    body = msgspec.json.decode(world.servers[A].last(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).body)
    assert (body["retryMaxTimes"], body["consumeMessageOrderly"], body["attributes"]) == (5, True, {"+lite.bind.topic": "T"})
    assert world.do(CreateGroups((GroupConfig("G", retry_policy="nonsense"),))).code is Code.BAD_REQUEST


def test_a_group_is_paused_at_every_broker() -> None:
    world = World(brokers=(A, B))
    code = RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN
    for address, readable in ((A, "true"), (B, "false")):
        body = f'{{"group":"G","readable":{readable},"topic":"T"}}'.encode()
        world.servers[address].script[code] = lambda _, body=body: (0, {}, body)
    assert world.do(UpdateGroupForbidden("G", "T")) == GroupForbidden("G", "T", False)
    assert world.servers[A].last(code).ext_fields == {"group": "G", "topic": "T"}
    assert world.do(UpdateGroupForbidden("G", "T", False)).readable is False
    assert {world.servers[one].last(code).ext_fields["readable"] for one in (A, B)} == {"false"}
    del world.servers[B].script[code]  # a broker of 4.x
    assert world.do(UpdateGroupForbidden("G", "T", True)).code is Code.UNSUPPORTED
    assert world.do(UpdateGroupForbidden("a b", "T", True)).code is Code.BAD_GROUP_NAME


def test_what_groups_may_not_read_is_told_of_all_brokers() -> None:
    world = World(brokers=(A, B))
    for address, forbidden in ((A, '{"G":{"T":4,"U":2},"H":{"U":2}}'), (B, '{"G":{"V":6}}')):
        body = f'{{"dataVersion":{{"counter":4}},"forbiddenTable":{forbidden},"subscriptionGroupTable":{{}}}}'.encode()
        world.servers[address].script[RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG] = lambda _, body=body: (0, {}, body)
    assert world.do(ListGroups()).forbidden == {"G": ("T", "V")}


def test_progress_of_all_brokers_is_one_table() -> None:
    world = World(brokers=(A, B))
    for address, name in ((A, "broker-a"), (B, "broker-b")):
        body = (
            f'{{"consumeTps":1.5,"offsetTable":{{{{"brokerName":"{name}","queueId":0,"topic":"T"}}:'
            '{"brokerOffset":9,"consumerOffset":4,"lastTimestamp":7,"pullOffset":5}}}'
        ).encode()
        world.servers[address].script[RequestCode.GET_CONSUME_STATS] = lambda _, body=body: (0, {}, body)
    progress = world.do(GetConsumeProgress("G", "T"))
    assert [(one.queue.broker_name, one.broker_offset, one.consumer_offset) for one in progress.queues] == [
        ("broker-a", 9, 4),
        ("broker-b", 9, 4),
    ]
    assert progress.consume_tps == 3.0


def test_offsets_are_reset_queue_by_queue_where_nobody_is_connected() -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.INVOKE_BROKER_TO_RESET_OFFSET] = lambda _: (int(ResponseCode.CONSUMER_NOT_ONLINE), {}, b"")
    server.script[RequestCode.SEARCH_OFFSET_BY_TIMESTAMP] = lambda request: (0, {"offset": request.ext_fields["queueId"]}, b"")
    server.script[RequestCode.QUERY_CONSUMER_OFFSET] = lambda _: (int(ResponseCode.QUERY_NOT_FOUND), {}, b"")
    server.script[RequestCode.UPDATE_CONSUMER_OFFSET] = lambda _: OK
    moved = world.do(ResetOffset("T", "G", 1000))
    assert [offset for _, offset in moved.offsets] == [0, 1, 2, 3]
    assert server.codes().count(RequestCode.UPDATE_CONSUMER_OFFSET) == 4


def test_messages_by_key_are_those_and_the_newest_first() -> None:
    world = World(brokers=(A, B))
    right, wrong = encode_properties({"KEYS": "k1 k2"}), encode_properties({"KEYS": "k9"})
    world.servers[A].script[RequestCode.QUERY_MESSAGE] = lambda _: (
        0,
        {},
        stored("T", b"1", properties=right) + stored("T", b"2", properties=wrong),
    )
    world.servers[B].script[RequestCode.QUERY_MESSAGE] = lambda _: (int(ResponseCode.QUERY_NOT_FOUND), {}, b"")
    assert len(world.do(QueryMessages("T", "k1")).messages) == 1
    assert world.do(QueryMessages("T", "")).code is Code.BAD_REQUEST


def test_secrets_of_brokers_are_not_told() -> None:
    world = World()
    body = b"brokerName=a\naclSecretKey=x\ninnerClientAuthenticationCredentials={}\nlistenPort=1\n"
    world.servers[A].script[RequestCode.GET_BROKER_CONFIG] = lambda _: (0, {}, body)
    assert world.do(GetBrokerConfiguration()).table == (("brokerName", "a"), ("listenPort", "1"))


def test_locks_are_asked_of_each_queues_broker() -> None:
    world = World(brokers=(A, B))
    body = b'{"lockOKMQSet":[{"brokerName":"broker-b","queueId":1,"topic":"T"}]}'
    world.servers[A].script[RequestCode.LOCK_BATCH_MQ] = lambda _: (0, {}, b'{"lockOKMQSet":[]}')
    world.servers[B].script[RequestCode.LOCK_BATCH_MQ] = lambda _: (0, {}, body)
    wanted = (MessageQueue("T", "broker-a", 1), MessageQueue("T", "broker-b", 1))
    assert world.do(LockQueues("G", "c", wanted)).queues == wanted[1:]


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense"])
def test_bodies_that_cannot_be_read_are_errors(body: bytes) -> None:
    world = World()
    for code in (RequestCode.GET_CONSUME_STATS, RequestCode.GET_CONSUMER_LIST_BY_GROUP, RequestCode.GET_ALL_TOPIC_CONFIG):
        world.servers[A].script[code] = lambda _: (0, {}, body)
    for command in (GetConsumeProgress("G"), ListConsumers("G"), ListTopics()):
        assert world.do(command).code is Code.UPSTREAM_ERROR


@pytest.mark.parametrize("ext", [{}, {"offset": "many"}])
def test_an_offset_that_is_none_is_an_error(ext: dict[str, str]) -> None:
    world = World()
    world.servers[A].script[RequestCode.GET_MAX_OFFSET] = lambda _: (0, ext, b"")
    assert world.do(QueryOffset("T", 0, OffsetOf.MAX)).code is Code.UPSTREAM_ERROR


# Lite topics.


def lite_popped(**more: str) -> tuple[int, dict[str, str], bytes]:
    properties = {
        "__LITE_TOPIC": "chat",
        "INNER_MULTI_DISPATCH": "%LMQ%$T$chat",
        "INNER_MULTI_QUEUE_OFFSET": "6",
        **more,
    }
    ext = {"popTime": str(NOW), "invisibleTime": "9000", "reviveQid": "999", "orderCountInfo": "0 qo0%6 1"}
    return 0, ext, stored("T", b"hi", 3, 50, encode_properties(properties))


def test_lite_topics_are_told_to_brokers_and_received_from() -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.LITE_SUBSCRIPTION_CTL] = lambda _: OK
    server.script[RequestCode.POP_LITE_MESSAGE] = lambda _: lite_popped()
    sync = SyncLiteSubscription("G", "T", "client", "PARTIAL_ADD", ("chat",), 7, LiteOffset.BEFORE, 10)
    assert world.do(sync) is None
    told = msgspec.json.decode(server.last(RequestCode.LITE_SUBSCRIPTION_CTL).body)["subscriptionSet"][0]
    assert (told["action"], told["clientId"], told["liteTopicSet"]) == ("PARTIAL_ADD", "client", ["chat"])
    assert told["offsetOption"] == {"type": "TAIL_N", "value": 10}
    (one,) = world.do(ReceiveMessages("G", "T", client_id="client", invisible_ms=9000)).messages
    assert one.receipt_handle == f"0 {NOW} 9000 999 0 broker-a 0 6 1050 chat"
    assert one.delivery_attempt == 2
    assert decode_properties(stored_message.properties(one.message)) == {"__LITE_TOPIC": "chat"}
    assert stored_message.physical_offset(one.message) == 1050
    assert server.last(RequestCode.POP_LITE_MESSAGE).ext_fields["clientId"] == "client"
    assert world.do(AckMessages("G", "T", (one.receipt_handle,))).results[0].code == ""
    assert server.last(RequestCode.ACK_MESSAGE).ext_fields["liteTopic"] == "chat"
    server.push(
        RequestCode.NOTIFY_UNSUBSCRIBE_LITE, {"clientId": "client", "consumerGroup": "G", "liteTopic": "chat"}
    )
    assert world.events == [LiteTopicUnsubscribed("G", "chat")]
    world.session.end()
    world.pump()
    told = msgspec.json.decode(server.last(RequestCode.LITE_SUBSCRIPTION_CTL).body)["subscriptionSet"][0]
    assert told["action"] == "COMPLETE_REMOVE"


def test_groups_that_name_the_same_lite_topics_are_different_clients() -> None:
    """Brokers keep lite subscriptions by client id alone: of one id, each group would be given what the other's are."""
    world = World()
    world.topics["U"] = 4
    server = world.servers[A]
    server.script[RequestCode.LITE_SUBSCRIPTION_CTL] = lambda _: OK
    server.script[RequestCode.POP_LITE_MESSAGE] = lambda _: (int(ResponseCode.POLLING_TIMEOUT), {}, b"")
    clients = []
    for group, topic in (("G", "T"), ("H", "T"), ("G", "U")):
        world.do(ReceiveMessages(group, topic, lite_topics=("chat",)))
        clients.append(server.last(RequestCode.POP_LITE_MESSAGE).ext_fields["clientId"])
    assert len(set(clients)) == 3


def test_lite_topics_named_with_each_receive_are_told_once() -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.LITE_SUBSCRIPTION_CTL] = lambda _: OK
    server.script[RequestCode.POP_LITE_MESSAGE] = lambda _: (int(ResponseCode.POLLING_TIMEOUT), {}, b"")
    for _ in range(3):
        assert world.do(ReceiveMessages("G", "T", lite_topics=("b", "a"))).messages == ()
    codes = server.codes()
    assert (codes.count(RequestCode.LITE_SUBSCRIPTION_CTL), codes.count(RequestCode.POP_LITE_MESSAGE)) == (1, 3)


@pytest.mark.parametrize("more", [{"INNER_MULTI_QUEUE_OFFSET": "x"}, {"__LITE_TOPIC": ""}])
def test_a_message_that_does_not_say_its_lite_topic_is_an_error(more: dict[str, str]) -> None:
    world = World()
    server = world.servers[A]
    server.script[RequestCode.LITE_SUBSCRIPTION_CTL] = lambda _: OK
    server.script[RequestCode.POP_LITE_MESSAGE] = lambda _: lite_popped(**more)
    assert world.do(ReceiveMessages("G", "T", lite_topics=("chat",))).code is Code.UPSTREAM_ERROR
