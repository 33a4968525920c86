"""What Apache's own client, mqadmin, broker and name server say (tests/vectors/remoting), against our conversions."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from rmqgateway.commands import (
    AckResult,
    AckResults,
    Assignment,
    Assignments,
    ChangedInvisibleDuration,
    ClusterInformation,
    Connection,
    Connections,
    ConsumeProgress,
    Consumer,
    ConsumerConnections,
    ConsumerIds,
    ConsumerOffset,
    ConsumeTimeSpan,
    ConsumeTimeSpans,
    GroupConfig,
    GroupConfigs,
    LockedQueues,
    Names,
    Offset,
    PulledMessages,
    PullStatus,
    QueueProgress,
    QueueStatistics,
    ReceivedMessage,
    ReceivedMessages,
    Route,
    RouteBroker,
    RouteQueues,
    SendResult,
    SendResults,
    StoredMessages,
    Subscribed,
    Table,
    TopicConfig,
    TopicConfigs,
    TopicStatistics,
)
from rmqgateway.message import Filter, MessageQueue, Permission
from rmqgateway.wire.fastjson import parse_fastjson
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, decode_frame
from rmqgateway.wire.stored_message import encode
from rmqgateway_remoting.convert_base import Peer
from rmqgateway_remoting.table import OPERATIONS
from tests.unit.rmqgateway_remoting.fakes import Client

VECTORS = Path(__file__).parents[2] / "vectors" / "remoting"


def _exchanges() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in ("json.json", "rocketmq.json"):
        found += json.loads((VECTORS / name).read_text())["exchanges"]
    return found


EXCHANGES = [exchange for exchange in _exchanges() if exchange["asked_by"] == "client"]
SERVED = [
    exchange for exchange in EXCHANGES if decode_frame(base64.b64decode(exchange["request"])).code in OPERATIONS
]
#: Administration of later issues, and what a single broker has none of.
UNSERVED = {
    "AUTH_CREATE_ACL(3006)",
    "AUTH_CREATE_USER(3001)",
    "AUTH_DELETE_ACL(3008)",
    "AUTH_DELETE_USER(3003)",
    "AUTH_GET_ACL(3009)",
    "AUTH_GET_USER(3004)",
    "AUTH_LIST_ACL(3010)",
    "AUTH_LIST_USER(3005)",
    "GET_BROKER_CONSUME_STATS(317)",
    "GET_BROKER_HA_STATUS(907)",
}


@pytest.fixture()
def peer() -> Peer:
    return Client().protocol._peer


def test_what_is_not_served_is_known() -> None:
    assert {exchange["name"] for exchange in EXCHANGES} - {exchange["name"] for exchange in SERVED} <= UNSERVED


def test_every_request_of_apaches_programs_becomes_its_command(peer: Peer) -> None:
    assert len(SERVED) > 100
    for exchange in SERVED:
        request = decode_frame(base64.b64decode(exchange["request"]))
        operation = OPERATIONS[request.code]
        command = operation.parse(request, peer)
        assert type(command) is operation.command, exchange["name"]


def _golden(name: str, serialization: str) -> tuple[RemotingCommand, RemotingCommand]:
    """The first exchange of this name that succeeded."""
    for exchange in SERVED:
        if exchange["name"].startswith(name + "(") and exchange.get("response"):
            if exchange["serialization"] != serialization:
                continue
            request = decode_frame(base64.b64decode(exchange["request"]))
            response = decode_frame(base64.b64decode(exchange["response"]))
            if response.code == 0:
                return request, response
    raise AssertionError(name)


QUEUE = MessageQueue("CaptureTopic", "broker-a", 2)
MESSAGE = bytes(encode(b"CaptureTopic", 2, b"hello", b"KEYS\x01k\x02"))
BROKER = RouteBroker("DefaultCluster", "broker-a", ((0, ""),))
CONNECTION = Connection("c@1", "127.0.0.1:5000", "JAVA", "V5_5_0", "remoting", 7)

REPLIES: dict[str, Any] = {
    "SEND_MESSAGE_V2": SendResults((SendResult(3, 0, 0, "FD0000"),)),
    "SEND_BATCH_MESSAGE": SendResults((SendResult(3, 0, 0, "FD0000"), SendResult(3, 1, 200, "FD0001"))),
    "ACK_MESSAGE": AckResults((AckResult("h"),)),
    "CHANGE_MESSAGE_INVISIBLETIME": ChangedInvisibleDuration("0 9 10000 0 0 broker-a 2 0"),
    "GET_MAX_OFFSET": Offset(2),
    "GET_MIN_OFFSET": Offset(0),
    "SEARCH_OFFSET_BY_TIMESTAMP": Offset(0),
    "GET_EARLIEST_MSG_STORETIME": Offset(1795256107123),
    "QUERY_CONSUMER_OFFSET": ConsumerOffset(0),
    "GET_CONSUMER_LIST_BY_GROUP": ConsumerIds(("c@1",)),
    "HEART_BEAT": None,
    "LOCK_BATCH_MQ": LockedQueues((QUEUE,)),
    "UNLOCK_BATCH_MQ": None,
    "PULL_MESSAGE": PulledMessages(PullStatus.FOUND, 2, 0, 2, (MESSAGE,)),
    "LITE_PULL_MESSAGE": PulledMessages(PullStatus.FOUND, 2, 0, 2, (MESSAGE,)),
    "POP_MESSAGE": ReceivedMessages((ReceivedMessage(MESSAGE, "0 9 60000 0 0 broker-a 2 0", 1),), 9, 60000),
    "GET_ROUTEINFO_BY_TOPIC": Route("T", (BROKER,), (RouteQueues("broker-a", 4, 4, Permission.READ_WRITE),)),
    "GET_BROKER_CLUSTER_INFO": ClusterInformation((BROKER,)),
    "GET_BROKER_CONFIG": Table((("a", "b"),)),
    "GET_BROKER_RUNTIME_INFO": Table((("msgPutTotalTodayNow", "1"),)),
    "GET_ALL_TOPIC_CONFIG": TopicConfigs((TopicConfig("T"),)),
    "GET_ALL_TOPIC_LIST_FROM_NAMESERVER": TopicConfigs((TopicConfig("T"),)),
    "GET_TOPICS_BY_CLUSTER": TopicConfigs((TopicConfig("T"),)),
    "GET_TOPIC_CONFIG": TopicConfig("T"),
    "GET_TOPIC_STATS_INFO": TopicStatistics((QueueStatistics(QUEUE, 0, 2, 7),)),
    "GET_ALL_SUBSCRIPTIONGROUP_CONFIG": GroupConfigs((GroupConfig("G"),)),
    "GET_CONSUMER_CONNECTION_LIST": ConsumerConnections(
        (CONNECTION,), Consumer("G", subscriptions=(Subscribed("T", Filter("TagA || TagT"), 3),))
    ),
    "GET_PRODUCER_CONNECTION_LIST": Connections((("P", CONNECTION),)),
    "GET_ALL_PRODUCER_INFO": Connections((("P", CONNECTION),)),
    "GET_CONSUME_STATS": ConsumeProgress((QueueProgress(MessageQueue("T", "broker-a", 2), 2, 2, 2, 7),)),
    "QUERY_TOPICS_BY_CONSUMER": Names(("T",)),
    "QUERY_TOPIC_CONSUME_BY_WHO": Names(("G",)),
    "QUERY_ASSIGNMENT": Assignments((Assignment("broker-a", -1),)),
    "QUERY_MESSAGE": StoredMessages((MESSAGE,)),
    "VIEW_MESSAGE_BY_ID": StoredMessages((MESSAGE,)),
    "VIEW_BROKER_STATS_DATA": Table((("minute.sum", "10"), ("minute.tps", "0.25"))),
    "UPDATE_AND_CREATE_TOPIC": None,
    "PUT_KV_CONFIG": None,
}
#: Table keys differ by what was in the broker; these are tables by name.
_BY_NAME = {
    "table",
    "topicConfigTable",
    "subscriptionGroupTable",
    "brokerAddrTable",
    "clusterAddrTable",
    "subscriptionTable",
    "data",
}


def _shape(body: bytes) -> Any:
    def plain(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            if name in _BY_NAME or any(not isinstance(key, str) for key in value):
                return {"*": plain(next(iter(value.values()), None))}
            return {key: plain(value[key], key) for key in sorted(value)}
        if isinstance(value, list):
            return [plain(value[0])] if value else []
        return None

    return plain(parse_fastjson(body))


#: What ours leaves out or adds, and why.
_LEFT_OUT = {"attributes", "codeSet", "tagsSet", "filterServerTable", "subVersion"}


RECORDED = sorted(
    {
        (exchange["name"].partition("(")[0], exchange["serialization"])
        for exchange in SERVED
        if exchange.get("response") and decode_frame(base64.b64decode(exchange["response"])).code == 0
    }
)


def test_every_reply_here_was_recorded() -> None:
    assert set(REPLIES) <= {name for name, serialization in RECORDED if serialization == "JSON"}


@pytest.mark.parametrize(("name", "serialization"), [pair for pair in RECORDED if pair[0] in REPLIES])
def test_responses_have_the_real_ones_fields(name: str, serialization: str, peer: Peer) -> None:
    request, golden = _golden(name, serialization)
    out: list[bytes] = []
    reply = REPLIES[name]
    if name == "GET_CONSUME_STATS":
        request.ext_fields.pop("topic", None)
        request.ext_fields.pop("topicList", None)
    OPERATIONS[request.code].reply(reply, request, peer, out)
    (ours,) = RemotingDecoder().receive_data(b"".join(out))
    assert isinstance(ours, RemotingCommand)
    assert ours.opaque == request.opaque == golden.opaque
    assert ours.serialization == request.serialization
    assert ours.flag == golden.flag
    assert (ours.version, ours.language) == (golden.version, golden.language)
    assert ours.code == golden.code
    assert set(ours.ext_fields) == set(golden.ext_fields)
    if golden.body[:1] == b"{":
        assert _fields(_shape(ours.body)) <= _fields(_shape(golden.body)) | _LEFT_OUT
        assert _fields(_shape(golden.body)) - _fields(_shape(ours.body)) <= {
            "consumeTimeStampStr",
            "maxTimeStampStr",
            "minTimeStampStr",
            *_LEFT_OUT,
        }


def _fields(shape: Any) -> set[str]:
    """All names of fields in a shape."""
    if isinstance(shape, dict):
        names = {key for key in shape if key != "*"}
        for value in shape.values():
            names |= _fields(value)
        return names
    if isinstance(shape, list):
        return set().union(*[_fields(item) for item in shape])
    return set()


def test_time_spans_are_written(peer: Peer) -> None:
    request, golden = _golden("QUERY_CONSUME_TIME_SPAN", "JSON")
    out: list[bytes] = []
    OPERATIONS[request.code].reply(ConsumeTimeSpans((ConsumeTimeSpan(QUEUE, 1, 2, 3, 4),)), request, peer, out)
    (ours,) = RemotingDecoder().receive_data(b"".join(out))
    assert isinstance(ours, RemotingCommand)
    assert _fields(_shape(ours.body)) <= _fields(_shape(golden.body))
    assert parse_fastjson(ours.body)["consumeTimeSpanSet"][0]["delayTime"] == 4
