"""Bodies: what is read leniently, what is refused, and what is written."""

from __future__ import annotations

import importlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.bodies import Body, decode_body, encode_body
from rmqgateway.wire.bodies.acl import UserInfo
from rmqgateway.wire.bodies.clients import HeartbeatData, java_hash
from rmqgateway.wire.bodies.common import MessageQueue, Nothing
from rmqgateway.wire.bodies.consuming import (
    BatchAckMessageRequest,
    LockBatchRequest,
    LockBatchResponse,
    decode_bit_set,
    encode_bit_set,
)
from rmqgateway.wire.bodies.groups import (
    ConsumerOffsetSerializeWrapper,
    ResetOffsetBody,
    SubscriptionGroupConfig,
)
from rmqgateway.wire.bodies.routes import BrokerData, ClusterInfo, QueueData, TopicRouteData
from rmqgateway.wire.bodies.topics import TopicConfigSerializeWrapper, TopicStatsTable

MODULES = ["acl", "clients", "common", "consuming", "groups", "routes", "topics"]
BODIES = [
    thing
    for module in map(importlib.import_module, (f"rmqgateway.wire.bodies.{name}" for name in MODULES))
    for thing in vars(module).values()
    if isinstance(thing, type) and issubclass(thing, Body) and thing is not Body
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_fields_are_in_the_order_in_which_fastjson_writes(body: type[Body]) -> None:
    if issubclass(body, tuple(other for other in BODIES if other is not body)):
        return  # the fields of the parent come first
    names = list(body.__struct_encode_fields__)
    assert names == sorted(names)


def test_route_in_both_dialects() -> None:
    route = TopicRouteData(
        broker_datas=[BrokerData(broker_addrs={0: "h:1"}, broker_name="b", cluster="c")],
        queue_datas=[QueueData(broker_name="b", perm=6, read_queue_nums=4, write_queue_nums=4)],
    )
    dialect, standard = encode_body(route), encode_body(route, standard=True)
    assert b'{0:"h:1"}' in dialect
    assert b'{"0":"h:1"}' in standard
    assert b"orderTopicConf" not in standard
    assert msgspec.json.decode(standard)["queueDatas"][0]["perm"] == 6
    assert decode_body(dialect, TopicRouteData) == decode_body(standard, TopicRouteData) == route


def test_object_keys() -> None:
    body = ResetOffsetBody(offset_table={MessageQueue("b", 0, "t"): 5})
    data = encode_body(body)
    assert data == b'{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:5}}'
    assert decode_body(data, ResetOffsetBody) == body
    assert decode_body(b'{"offsetTable":{}}', ResetOffsetBody).offset_table == {}
    with pytest.raises(WireError, match="queueId"):
        decode_body(b'{"offsetTable":{{"brokerName":"b"}:5}}', ResetOffsetBody)


def test_heartbeat_of_a_client_that_writes_null() -> None:
    beat = decode_body(
        b'{"clientID":"c","producerDataSet":null,"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY",'
        b'"subscriptionDataSet":[{"topic":"t","subString":"*","tagsSet":null,"codeSet":null,"subVersion":"7"}]}]}',
        HeartbeatData,
    )
    assert beat.client_id == "c"
    assert beat.producer_data_set is None
    assert beat.consumer_data_set is not None
    (subscription,) = beat.consumer_data_set[0].subscription_data_set or []
    assert (subscription.sub_version, subscription.expression_type) == (7, "TAG")


def test_lists_and_empty_bodies() -> None:
    users = [UserInfo(username="u", user_type="Super")]
    assert encode_body(users) == b'[{"userType":"Super","username":"u"}]'
    assert decode_body(encode_body(users), list[UserInfo]) == users
    assert decode_body(b"", Nothing) == Nothing()


def test_lock_request_and_answer() -> None:
    request = decode_body(
        b'{"clientId":"c","consumerGroup":"g","mqSet":[{"brokerName":"b","queueId":1,"topic":"t"}],"x":1}',
        LockBatchRequest,
    )
    assert request.mq_set == [MessageQueue("b", 1, "t")]
    assert encode_body(LockBatchResponse(lock_ok_mq_set=request.mq_set)) == (
        b'{"lockOKMQSet":[{"brokerName":"b","queueId":1,"topic":"t"}]}'
    )


def test_apaches_defaults_of_a_group() -> None:
    group = decode_body(b'{"groupName":"g","attributes":null}', SubscriptionGroupConfig)
    assert (group.retry_max_times, group.consume_enable, group.notify_consumer_ids_changed_enable) == (
        16,
        True,
        True,
    )


@given(st.lists(st.integers(0, 300), unique=True).map(sorted))
def test_bit_sets(offsets: list[int]) -> None:
    assert decode_bit_set(encode_bit_set(offsets)) == offsets


def test_bit_sets_of_other_writers() -> None:
    assert decode_bit_set([-127, 1]) == [0, 7, 8]
    assert decode_bit_set("") == []
    request = decode_body(
        b'{"brokerName":"b","acks":[{"c":"g","t":"t","r":"0","so":5,"q":1,"rq":2,"pt":3,"it":4,"b":"BQ=="}]}',
        BatchAckMessageRequest,
    )
    assert decode_bit_set(request.acks[0].bit_set) == [0, 2]
    for bad in ("***", "A" * 20_000):
        with pytest.raises(WireError) as caught:
            decode_bit_set(bad, 1024)
        assert not caught.value.fatal


def test_java_hash() -> None:
    assert java_hash("TagA") == 2598919
    assert java_hash("") == 0
    assert java_hash("\U0001f600") == 1772899
    assert java_hash("polygenelubricants") == -(2**31)


@pytest.mark.parametrize(
    ("data", "type_", "expected"),
    [
        (b"{}", ClusterInfo, "brokerAddrTable"),
        (
            b'{"brokerAddrTable":{"b":{"brokerAddrs":{x:"a"},"brokerName":"b"}}}',
            ClusterInfo,
            "Expected `int`",
        ),
        (b"[]", TopicStatsTable, "Expected `object`"),
        (b'{"offsetTable":', TopicStatsTable, "the end"),
        (b"[" * 33, TopicStatsTable, "levels"),
        (b" " * 2000, TopicStatsTable, "at most 1000"),
        (b"", HeartbeatData, "clientID"),
    ],
)
def test_bad_bodies(data: bytes, type_: type[Body], expected: str) -> None:
    with pytest.raises(WireError) as caught:
        decode_body(data, type_, 1000)
    assert not caught.value.fatal
    assert expected in caught.value.message


@given(st.sampled_from(BODIES), st.text('{}[]:,"0a', max_size=20).map(str.encode) | st.binary(max_size=20))
def test_garbage_raises_only_wire_errors(type_: type[Body], data: bytes) -> None:
    try:
        decode_body(data, type_)
    except WireError as error:
        assert not error.fatal


def test_number_keys() -> None:
    body = decode_body(b'{"offsetTable":{"t@g":{0:1,1:2}}}', ConsumerOffsetSerializeWrapper)
    assert body.offset_table == {"t@g": {0: 1, 1: 2}}
    assert encode_body(body) == b'{"offsetTable":{"t@g":{0:1,1:2}}}'


def test_plain_bodies_are_written_by_msgspec_alone() -> None:
    body = decode_body(
        b'{"dataVersion":{},"topicConfigTable":{"t":{"topicName":"t"}}}', TopicConfigSerializeWrapper
    )
    assert encode_body(body) == msgspec.json.encode(body)
