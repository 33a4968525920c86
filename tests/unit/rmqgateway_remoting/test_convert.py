"""Requests to commands and replies to responses, where the recorded exchanges do not say enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rmqgateway.commands import (
    AckMessages,
    BrokerLiteInformation,
    ChangedInvisibleDuration,
    ChangeKeyValues,
    ConsumeMode,
    ConsumeProgress,
    CreateGroups,
    CreateTopics,
    EndTransaction,
    GetBrokerLiteInformation,
    GetKeyValues,
    GetLiteClientInformation,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetParentTopicInformation,
    GroupConfig,
    GroupConfigs,
    GroupForbidden,
    Heartbeat,
    LiteClientInformation,
    LiteGroupInformation,
    LiteLag,
    LiteOffset,
    LiteTopicInformation,
    MessageModel,
    OffsetOf,
    ParentTopicInformation,
    PulledMessages,
    PullMessages,
    PullStatus,
    QueryMessages,
    QueryOffset,
    QueueProgress,
    ReceivedMessage,
    ReceivedMessages,
    ReceiveMessages,
    RelayedAnswer,
    ResetOffset,
    ResetOffsets,
    SendBack,
    SendMessages,
    SendReply,
    SendResult,
    SendResults,
    SetBrokerWritable,
    StoredMessages,
    Table,
    TopicConfig,
    TopicConfigs,
    TriggerLiteDispatch,
    UpdateGroupForbidden,
)
from rmqgateway.errors import WireError
from rmqgateway.message import TAG_ALL, Filter, FilterType, MessageQueue, MessageType, Permission
from rmqgateway.wire import stored_message
from rmqgateway.wire.fastjson import parse_fastjson
from rmqgateway.wire.message_batch import BatchedMessage, encode_batch
from rmqgateway.wire.message_properties import find_property
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder
from rmqgateway_remoting.convert_base import Peer
from rmqgateway_remoting.table import OPERATIONS
from tests.unit.rmqgateway_remoting.fakes import Client
from tests.unit.rmqgateway_remoting.test_protocol import PULL, SEND

HOST = bytes([10, 1, 2, 3, 0, 0, 0x26, 0x94])


@pytest.fixture()
def peer() -> Peer:
    return Client().protocol._peer


def parse(code: int, ext: dict[str, str], body: bytes = b"", peer: Peer | None = None, version: int = 513) -> Any:
    request = RemotingCommand(code, 9, version=version, ext_fields=dict(ext), body=body)
    return OPERATIONS[code].parse(request, peer if peer is not None else Client().protocol._peer)


def reply(
    code: int, value: Any, ext: dict[str, str] | None = None, peer: Peer | None = None, **more: Any
) -> RemotingCommand:
    request = RemotingCommand(code, 9, ext_fields=dict(ext or {}), **{"version": 513, **more})
    out: list[bytes] = []
    OPERATIONS[code].reply(value, request, peer if peer is not None else Client().protocol._peer, out)
    (frame,) = RemotingDecoder().receive_data(b"".join(out))
    assert isinstance(frame, RemotingCommand)
    return frame


def stored(topic: bytes = b"T", offset: int = 0, properties: bytes = b"", host: bytes = HOST) -> bytes:
    return bytes(
        stored_message.encode(topic, 0, b"body", properties, queue_offset=offset, physical_offset=5, store_host=host)
    )


# Sending.


def test_the_header_with_names_says_the_same_as_the_one_with_letters() -> None:
    names = {
        "producerGroup": "a",
        "topic": "b",
        "defaultTopic": "c",
        "defaultTopicQueueNums": "d",
        "queueId": "e",
        "sysFlag": "f",
        "bornTimestamp": "g",
        "flag": "h",
        "properties": "i",
        "reconsumeTimes": "j",
        "maxReconsumeTimes": "l",
    }
    short = {**SEND, "j": "3", "l": "16"}
    long = {name: short[letter] for name, letter in names.items()}
    assert parse(10, long, b"x") == parse(310, short, b"x")
    assert parse(324, long, b"x") == parse(325, short, b"x")
    assert parse(310, short, b"x").max_reconsume_times == 16
    assert isinstance(parse(325, short, b"x"), SendReply)
    for name in ("producerGroup", "topic", "queueId"):
        with pytest.raises(WireError, match=f"{name}: expected .* got none"):
            parse(10, {key: value for key, value in long.items() if key != name}, b"x")
    with pytest.raises(WireError, match="sysFlag: expected an int32, got 'x'"):
        parse(10, {**long, "sysFlag": "x"}, b"x")


def test_a_batch_is_taken_apart() -> None:
    body = encode_batch([BatchedMessage(b"one", b"KEYS\x01a\x02", 1), BatchedMessage(b"two", b"POP_CK\x01h\x02", 2)])
    command = parse(320, SEND, body)
    assert command == parse(310, {**SEND, "m": "true"}, body)
    assert isinstance(command, SendMessages) and command.as_batch
    assert [(item.body, item.properties, item.flag, item.queue_id) for item in command.messages] == [
        (b"one", b"KEYS\x01a\x02", 1, 2),
        (b"two", b"", 2, 2),
    ]
    for wrong in (b"", body[:-1]):
        with pytest.raises(WireError, match="batch"):
            parse(320, SEND, wrong)


def test_a_handle_of_a_former_life_is_taken_off() -> None:
    command = parse(310, {**SEND, "i": "POP_CK\x010 1 2 3\x02KEYS\x01k\x02"}, b"x")
    assert command.messages[0].properties == b"KEYS\x01k\x02"
    assert parse(310, {name: value for name, value in SEND.items() if name != "i"}, b"x").messages[0].properties == b""


def test_keys_that_would_break_a_header_are_escaped() -> None:
    frame = reply(310, SendResults((SendResult(0, 1, 2, 'a"b\\c'),)))
    assert frame.ext_fields["transactionId"] == 'a"b\\c'
    frame = reply(310, SendResults((SendResult(0, 1, 2, "K", "handle"),)))
    assert frame.ext_fields["recallHandle"] == "handle"


def test_transactions_end_by_place_and_by_id() -> None:
    ext = {
        "producerGroup": "P",
        "tranStateTableOffset": "7",
        "commitLogOffset": "99",
        "commitOrRollback": "8",
        "msgId": "M",
        "transactionId": "X",
        "fromTransactionCheck": "true",
    }
    assert parse(37, ext) == EndTransaction("", "P", 8, "X", "M", 7, 99, True)
    with pytest.raises(WireError, match="commitOrRollback: expected 0, 8 or 12, got 4"):
        parse(37, {**ext, "commitOrRollback": "4"})


def test_send_back() -> None:
    ext = {"offset": "12", "group": "G", "delayLevel": "-1", "originTopic": "T", "originMsgId": "M"}
    assert parse(36, ext) == SendBack("G", 12, -1, "T", "M", -1)


# Pulling.


def test_bits_of_the_pull_flag() -> None:
    plain = parse(11, {**PULL, "sysFlag": "0", "commitOffset": "44", "subscription": "A || B"})
    assert (plain.wait_ms, plain.commit_offset, plain.filter) == (0, -1, None)
    ext = {**PULL, "sysFlag": "7", "commitOffset": "44", "subscription": "A || B", "subVersion": "3", "maxMsgBytes": "10"}
    assert parse(11, ext) == PullMessages("Group", "Topic", 0, 0, 32, 10, 15000, Filter("A || B"), 3, 44)
    assert parse(11, {**ext, "subscription": "*"}).filter is TAG_ALL
    sql = parse(361, {**ext, "expressionType": "SQL92", "subscription": "a > 1"})
    assert sql.filter == Filter("a > 1", FilterType.SQL92)
    with pytest.raises(WireError, match="expected TAG or SQL92, got 'LUA'"):
        parse(11, {**ext, "expressionType": "LUA"})
    with pytest.raises(WireError, match="queueOffset: expected an int64, got '-'"):
        parse(11, {**PULL, "queueOffset": "-"})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (PullStatus.FOUND, 0),
        (PullStatus.NO_NEW_MESSAGE, 19),
        (PullStatus.NO_MATCHED_MESSAGE, 20),
        (PullStatus.OFFSET_MOVED, 21),
    ],
)
def test_what_a_pull_found(status: PullStatus, code: int) -> None:
    frame = reply(11, PulledMessages(status, 3, 1, 9))
    assert frame.code == code
    assert frame.ext_fields["nextBeginOffset"] == "3"
    assert (frame.ext_fields["minOffset"], frame.ext_fields["maxOffset"]) == ("1", "9")
    assert frame.ext_fields["suggestWhichBrokerId"] == "0"


def test_pulled_messages_name_the_host_that_the_client_reached() -> None:
    ours, other = stored(), stored(offset=1, host=bytes([127, 0, 0, 1, 0, 0, 0, 80]))
    v6 = stored(offset=2, host=bytes(15) + b"\x01" + bytes([0, 0, 0, 80]))
    frame = reply(11, PulledMessages(PullStatus.FOUND, 3, 0, 3, (ours, other, v6)))
    messages = list(stored_message.iterate(frame.body))
    assert [message.store_host for message in messages] == [HOST] * 3
    assert [message.queue_offset for message in messages] == [0, 1, 2]
    assert frame.body.startswith(ours)


def test_offsets_by_time_know_both_boundaries() -> None:
    ext = {"topic": "T", "queueId": "1", "timestamp": "5"}
    assert parse(29, ext) == QueryOffset("T", 1, OffsetOf.TIMESTAMP, 5)
    assert parse(29, {**ext, "boundaryType": "UPPER"}).of is OffsetOf.TIMESTAMP_UPPER


# Popping. A client puts handles together from the header; so does this test, as ExtraInfoUtil does.


def handles_as_a_client_makes_them(frame: RemotingCommand, broker: str) -> list[str]:
    ext = frame.ext_fields
    starts = dict(_marks(ext["startOffsetInfo"]))
    offsets = {key: [int(item) for item in value.split(",")] for key, value in _marks(ext.get("msgOffsetInfo", ""))}
    found: list[str] = []
    for message in stored_message.iterate(frame.body):
        handle = find_property(message.properties, b"POP_CK")
        if handle is not None:
            found.append(handle.decode())
            continue
        key = f"0@{message.queue_id}"
        assert message.queue_offset in offsets[key]
        found.append(
            f"{starts[key]} {ext['popTime']} {ext['invisibleTime']} {ext['reviveQid']} 0 {broker}"
            f" {message.queue_id} {message.queue_offset}"
        )
    return found


def _marks(text: str) -> list[tuple[str, str]]:
    marks: list[tuple[str, str]] = []
    for one in filter(None, text.split(";")):
        kind, queue, value = one.split(" ")
        marks.append((f"{kind}@{queue}", value))
    assert len({key for key, _ in marks}) == len(marks)
    return marks


def test_a_client_makes_the_right_handles() -> None:
    handles = [
        "3 100 60000 0 0 broker 0 3",
        "3 100 60000 0 0 broker 0 5",
        "0 100 60000 0 1 broker 0 0",  # from the retry topic
        "9 200 60000 0 0 broker 0 9",  # of another time: it cannot be said in the header
    ]
    received = tuple(
        ReceivedMessage(stored(offset=int(handle.rpartition(" ")[2])), handle, attempt)
        for handle, attempt in zip(handles, (1, 1, 2, 1), strict=True)
    )
    frame = reply(200050, ReceivedMessages(received, 100, 60000, rest=4))
    assert handles_as_a_client_makes_them(frame, "broker") == handles
    assert frame.ext_fields["restNum"] == "4"
    assert frame.ext_fields["orderCountInfo"] == "1 qo0%0 1"


def test_only_messages_of_the_retry_topic() -> None:
    handle = "0 100 60000 0 2 broker 0 0"
    frame = reply(200050, ReceivedMessages((ReceivedMessage(stored(), handle, 2),), 100, 60000))
    assert frame.ext_fields["startOffsetInfo"]
    assert handles_as_a_client_makes_them(frame, "broker") == [handle]


def test_an_empty_pop_says_why() -> None:
    assert reply(200050, ReceivedMessages()).code == 210
    assert reply(200050, ReceivedMessages(polling_full=True)).code == 209


def test_pop_requests() -> None:
    ext = {
        "consumerGroup": "G",
        "topic": "T",
        "queueId": "-1",
        "maxMsgNums": "16",
        "invisibleTime": "60000",
        "pollTime": "15000",
        "bornTime": "1",
        "initMode": "1",
        "expType": "TAG",
        "exp": "A",
        "order": "true",
        "attemptId": "once",
    }
    command = parse(200050, ext)
    assert isinstance(command, ReceiveMessages)
    assert (command.fifo, command.attempt_id, command.init_mode.value, command.wait_ms) == (True, "once", 1, 15000)
    with pytest.raises(WireError, match="initMode"):
        parse(200050, {**ext, "initMode": "2"})


@pytest.mark.parametrize(
    ("named", "real"),
    [
        ("T", "T"),
        ("%RETRY%G_T", "T"),
        ("%RETRY%G+T", "T"),
        ("%RETRY%G", "%RETRY%G"),
        ("%RETRY%Gx_T", "%RETRY%Gx_T"),
    ],
)
def test_acknowledgements_name_the_real_topic(named: str, real: str) -> None:
    ext = {"consumerGroup": "G", "topic": named, "queueId": "0", "extraInfo": "0 1 2 3 1 b 0 7", "offset": "7"}
    assert parse(200051, ext) == AckMessages("G", real, ("0 1 2 3 1 b 0 7",), strict=False)
    short = parse(200053, {**ext, "extraInfo": "0 1 2 3 1 b 0", "invisibleTime": "10"})
    assert (short.topic, short.receipt_handle) == (real, "0 1 2 3 1 b 0 7")


def test_batches_of_acknowledgements() -> None:
    ack = {"c": "G", "t": "T", "r": "0", "so": 10, "q": 2, "rq": 0, "pt": 100, "it": 60000, "b": "BQ=="}
    body = json.dumps({"brokerName": "b", "acks": [ack]}).encode()
    assert parse(200151, {}, body).receipt_handles == ("10 100 60000 0 0 b 2 10", "10 100 60000 0 0 b 2 12")
    for acks in ([], [ack, {**ack, "t": "Other"}]):
        with pytest.raises(WireError, match="acks"):
            parse(200151, {}, json.dumps({"acks": acks}).encode())


def test_a_changed_handle_is_told_by_its_parts() -> None:
    frame = reply(200053, ChangedInvisibleDuration("7 123 10 4 0 b 0 7"))
    assert frame.ext_fields == {"popTime": "123", "invisibleTime": "10", "reviveQid": "4"}


# Clients.


def heartbeat(fingerprint: int = 0, without: bool = False, subscribed: bool = True) -> bytes:
    subscription = {"topic": "T", "subString": "A", "subVersion": 5, "expressionType": "TAG", "tagsSet": ["A"]}
    consumer = {
        "groupName": "G",
        "consumeType": "CONSUME_POP",
        "messageModel": "BROADCASTING",
        "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET",
        "subscriptionDataSet": [subscription] if subscribed else [],
    }
    return json.dumps(
        {
            "clientID": "c@1",
            "producerDataSet": [{"groupName": "P"}],
            "consumerDataSet": [consumer],
            "heartbeatFingerprint": fingerprint,
            "withoutSub": without,
        }
    ).encode()


def test_heartbeats(peer: Peer) -> None:
    command = parse(34, {}, heartbeat(), peer)
    assert isinstance(command, Heartbeat)
    assert (command.client_id, command.version, command.producers) == ("c@1", "V5_5_0", ("P",))
    (consumer,) = command.consumers
    assert (consumer.mode, consumer.model) == (ConsumeMode.POP, MessageModel.BROADCASTING)
    assert consumer.subscriptions[0].filter == Filter("A")
    assert reply(34, None, peer=peer).ext_fields == {"IS_SUPPORT_HEART_BEAT_V2": "true", "IS_SUB_CHANGE": "true"}
    assert peer.client_id == "c@1"


def test_heartbeats_may_leave_out_what_was_said(peer: Peer) -> None:
    whole = parse(34, {}, heartbeat(11), peer)
    assert reply(34, None, peer=peer).ext_fields["IS_SUB_CHANGE"] == "false"
    assert parse(34, {}, heartbeat(11, without=True, subscribed=False), peer) == whole
    assert reply(34, None, peer=peer).ext_fields["IS_SUB_CHANGE"] == "false"
    # What was never said is asked for.
    parse(34, {}, heartbeat(12, without=True, subscribed=False), peer)
    assert reply(34, None, peer=peer).ext_fields["IS_SUB_CHANGE"] == "true"


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"clientID":5', b"\xff\xfe", b"[" * 1000])
def test_bodies_that_are_none(body: bytes) -> None:
    for code in (34, 41, 42, 46, 400, 401, 200, 225, 18, 200151):
        with pytest.raises(WireError) as caught:
            parse(code, {}, body)
        assert not caught.value.fatal


# Administration.


def test_topics_are_created_with_their_type() -> None:
    ext = {
        "topic": "T",
        "defaultTopic": "TBW102",
        "readQueueNums": "4",
        "writeQueueNums": "8",
        "perm": "6",
        "topicFilterType": "SINGLE_TAG",
        "order": "true",
        "attributes": "+message.type=fifo,-old",
    }
    (topic,) = parse(17, ext).topics
    assert topic == TopicConfig("T", 4, 8, Permission.READ_WRITE, MessageType.FIFO, 0, True, {"message.type": "fifo"})
    with pytest.raises(WireError, match=r"message\.type: expected one of .* got 'ODD'"):
        parse(17, {**ext, "attributes": "+message.type=ODD"})
    with pytest.raises(WireError, match="attributes"):
        parse(17, {**ext, "attributes": "message.type=NORMAL"})
    with pytest.raises(WireError, match="perm"):
        parse(17, {**ext, "perm": "9"})
    body = b'{"topicConfigList":[{"topicName":"A","readQueueNums":1,"writeQueueNums":2,"perm":4}]}'
    assert isinstance(parse(18, {}, body), CreateTopics)


def test_a_topics_type_is_told() -> None:
    body = json.loads(reply(351, TopicConfig("T", message_type=MessageType.DELAY)).body)
    assert body["attributes"] == {"message.type": "DELAY"}
    assert json.loads(reply(351, TopicConfig("T")).body)["attributes"] == {}


def test_a_group_is_paused_as_a_broker_says_it() -> None:
    """The answers are those of a broker 5.5.0, byte for byte."""
    names = {"group": "litegroup", "topic": "plain"}
    assert parse(353, names) == UpdateGroupForbidden("litegroup", "plain", None)
    for word, value in (("false", False), ("true", True), ("TRUE", True), ("x", False)):
        assert parse(353, {**names, "readable": word}).readable is value
    told = reply(353, GroupForbidden("litegroup", "plain", False), names)
    assert (told.code, told.remark) == (0, "")
    assert told.body == b'{"group":"litegroup","readable":false,"topic":"plain"}'
    told = reply(201, GroupConfigs((), 3, {"never": ("neither",), "litegroup": ("other", "plain")}))
    assert b'"forbiddenTable":{"never":{"neither":4},"litegroup":{"other":4,"plain":4}}' in told.body
    with pytest.raises(WireError, match="header field topic: expected text, got none"):
        parse(353, {"group": "g"})


# Lite topics: bodies are those of a broker 5.5.0, byte for byte.

PLACE = QueueProgress(MessageQueue("%LMQ%$parent$one", "broker-a", 0), 2, 0, 0, 0)
LITE: list[tuple[int, dict[str, str], Any, Any, bytes]] = [
    (
        200074,
        {},
        GetBrokerLiteInformation(),
        BrokerLiteInformation("default", 20000, 2, 1, 1, 6, 1, 1, {"parent": 120}, {"parent": ("litegroup",)}),
        b'{"cqTableSize":6,"currentLmqNum":2,"eventMapSize":1,"groupMeta":{"parent":["litegroup"]},"liteSubscriptionCount":1,'
        b'"maxLmqNum":20000,"offsetTableSize":1,"orderInfoCount":1,"storeType":"default","topicMeta":{"parent":120}}',
    ),
    (
        200075,
        {"topic": "parent"},
        GetParentTopicInformation("parent"),
        ParentTopicInformation("parent", 120, ("litegroup",), 2, 2),
        b'{"groups":["litegroup"],"liteTopicCount":2,"lmqNum":2,"topic":"parent","ttl":120}',
    ),
    (
        200076,
        {"parentTopic": "parent", "liteTopic": "one"},
        GetLiteTopicInformation("parent", "one"),
        LiteTopicInformation("parent", "one", (("c1", "litegroup"),), 0, 2, 1795277865310),
        b'{"liteTopic":"one","parentTopic":"parent","shardingToBroker":true,"subscriber":[{"clientId":"c1","group":"litegroup"}],'
        b'"topicOffset":{"lastUpdateTimestamp":1795277865310,"maxOffset":2,"minOffset":0}}',
    ),
    (
        200076,
        {"parentTopic": "parent", "liteTopic": "none"},
        GetLiteTopicInformation("parent", "none"),
        LiteTopicInformation("parent", "none", ()),
        b'{"liteTopic":"none","parentTopic":"parent","shardingToBroker":true,"subscriber":[],'
        b'"topicOffset":{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}}',
    ),
    (
        200077,
        {"parentTopic": "parent", "group": "litegroup", "clientId": "c1", "maxCount": "7"},
        GetLiteClientInformation("parent", "litegroup", "c1", 7),
        LiteClientInformation("parent", "litegroup", "c1", 1, ("one",), 1795277865362),
        b'{"clientId":"c1","group":"litegroup","lastAccessTime":1795277865362,"lastConsumeTime":0,"liteTopicCount":1,'
        b'"liteTopicSet":["%LMQ%$parent$one"],"parentTopic":"parent"}',
    ),
    (
        200077,
        {"parentTopic": "parent", "group": "litegroup", "clientId": "cx"},
        GetLiteClientInformation("parent", "litegroup", "cx", 1000),
        LiteClientInformation("parent", "litegroup", "cx", None, (), -1),
        b'{"clientId":"cx","group":"litegroup","lastAccessTime":-1,"lastConsumeTime":0,"liteTopicCount":-1,"parentTopic":"parent"}',
    ),
    (
        200078,
        {"group": "litegroup", "topK": "20"},
        GetLiteGroupInformation("litegroup", "", 20),
        LiteGroupInformation("litegroup", "parent", "", 2, -1, most=(LiteLag("one", 2, 1795277865250),)),
        b'{"earliestUnconsumedTimestamp":-1,"group":"litegroup","lagCountTopK":[{"earliestUnconsumedTimestamp":1795277865250,'
        b'"lagCount":2,"liteTopic":"one"}],"lagTimestampTopK":[],"parentTopic":"parent","totalLagCount":2}',
    ),
    (
        200078,
        {"group": "litegroup", "liteTopic": "one", "topK": "20"},
        GetLiteGroupInformation("litegroup", "one", 20),
        LiteGroupInformation("litegroup", "parent", "one", 2, 1795277865250, PLACE),
        b'{"earliestUnconsumedTimestamp":1795277865250,"group":"litegroup","liteTopic":"one","liteTopicOffsetWrapper":'
        b'{"brokerOffset":2,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0},"parentTopic":"parent","totalLagCount":2}',
    ),
    (
        200078,
        {"group": "litegroup", "liteTopic": "none"},
        GetLiteGroupInformation("litegroup", "none", 0),
        LiteGroupInformation("litegroup", "parent", "none", None, -1),
        b'{"earliestUnconsumedTimestamp":-1,"group":"litegroup","liteTopic":"none","parentTopic":"parent","totalLagCount":-1}',
    ),
    (200079, {"group": "litegroup", "clientId": "c1"}, TriggerLiteDispatch("litegroup", "c1"), None, b""),
]


@pytest.mark.parametrize(("code", "ext", "command", "answer", "body"), LITE)
def test_lite_topics_are_told_of_as_by_a_broker(
    code: int, ext: dict[str, str], command: Any, answer: Any, body: bytes
) -> None:
    assert parse(code, ext) == command
    told = reply(code, answer, ext)
    assert (told.code, told.body) == (0, body)


def test_groups_keep_what_they_are_told() -> None:
    body = b"""{"groupName":"G","retryMaxTimes":3,"consumeMessageOrderly":true,
        "groupRetryPolicy":{"type":"EXPONENTIAL","exponentialRetryPolicy":{"initial":1000,"max":9000,"multiplier":3}}}"""
    command = parse(200, {}, body)
    assert isinstance(command, CreateGroups)
    (group,) = command.groups
    assert (group.retry_max_times, group.consume_message_orderly) == (3, True)
    told = json.loads(reply(352, group).body)
    assert told["groupRetryPolicy"]["exponentialRetryPolicy"] == {"initial": 1000, "max": 9000, "multiplier": 3}
    assert parse(200, {}, reply(352, group).body) == command
    assert parse(225, {}, b'{"groupConfigList":[' + body + b"]}").groups == command.groups
    assert parse(200, {}, reply(352, GroupConfig("P")).body).groups == (GroupConfig("P"),)
    # What an unknown version kept is readable all the same.
    assert json.loads(reply(352, GroupConfig("P", retry_policy="nonsense")).body)["groupName"] == "P"


def test_system_topics_are_told_apart() -> None:
    topics = TopicConfigs((TopicConfig("T"), TopicConfig("TBW102"), TopicConfig("rmq_sys_wheel_timer")))
    assert json.loads(reply(206, topics).body)["topicList"] == ["T", "TBW102", "rmq_sys_wheel_timer"]
    assert json.loads(reply(304, topics).body)["topicList"] == ["TBW102", "rmq_sys_wheel_timer"]


def test_progress_of_some_topics() -> None:
    queues = tuple(QueueProgress(MessageQueue(topic, "b", 0), 5, 3, 4, 9) for topic in ("A", "B", "C"))
    frame = reply(208, ConsumeProgress(queues), {"consumerGroup": "G", "topicList": "A;C"})
    assert {key["topic"] for key in parse_fastjson(frame.body)["offsetTable"]} == {"A", "C"}
    assert parse(208, {"consumerGroup": "G", "topicList": "A;C"}).topic == ""
    assert parse(208, {"consumerGroup": "G", "topic": "A"}).topic == "A"


def test_reset_offsets() -> None:
    ext = {"topic": "T", "group": "G", "timestamp": "-1", "isForce": "true"}
    assert parse(222, ext) == ResetOffset("T", "G", -1, True, -1, -1)
    value = ResetOffsets(((MessageQueue("T", "b", 1), 7),))
    assert reply(222, value).body == b'{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}}'
    listed = json.loads(reply(222, value, language="CPP").body)
    assert listed == {"offsetTable": [{"brokerName": "b", "offset": 7, "queueId": 1, "topic": "T"}]}


def test_messages_by_key_and_id() -> None:
    ext = {"topic": "T", "key": "k", "maxNum": "32", "beginTimestamp": "0", "endTimestamp": "9"}
    assert parse(12, ext) == QueryMessages("T", "k", 32, 0, 9, False)
    assert parse(12, {**ext, "_UNIQUE_KEY_QUERY": "true"}).unique_key
    assert parse(12, {**ext, "indexType": "U"}).unique_key
    assert reply(12, StoredMessages(())).code == 22
    assert reply(33, StoredMessages((stored(),)), {"offset": "5"}).body == stored()
    direct = {"consumerGroup": "G", "clientId": "c", "msgId": "0A0102030000269400000000000000FF"}
    assert parse(309, direct).physical_offset == 255
    with pytest.raises(WireError, match="message id"):
        parse(309, {**direct, "msgId": "short"})


def test_relayed_answers_are_passed_on() -> None:
    frame = reply(307, RelayedAnswer(0, "", b'{"a":1}'))
    assert (frame.code, frame.remark, frame.body) == (0, None, b'{"a":1}')
    assert reply(309, RelayedAnswer(1, "no", b"")).remark == "no"


def test_settings_are_a_properties_text() -> None:
    frame = reply(26, Table((("brokerName", "b"), ("odd", "a\nb\\c"))))
    assert frame.body == b"brokerName=b\nodd=a\\nb\\\\c\n"


def test_key_values() -> None:
    place = {"namespace": "N", "key": "k"}
    assert parse(100, {**place, "value": "v"}) == ChangeKeyValues("N", "k", "v")
    assert parse(102, place) == ChangeKeyValues("N", "k", None)
    assert parse(101, place) == GetKeyValues("N", "k")
    assert reply(101, Table((("k", "v"),)), place).ext_fields == {"value": "v"}
    assert reply(101, Table(()), place).code == 22
    assert reply(219, Table(()), {"namespace": "N"}).code == 22
    assert json.loads(reply(219, Table((("k", "v"),)), {"namespace": "N"}).body) == {"table": {"k": "v"}}


def test_write_permission() -> None:
    assert parse(205, {"brokerName": "b"}) == SetBrokerWritable("b", False)
    assert parse(327, {"brokerName": "b"}) == SetBrokerWritable("b", True)


def test_statistics_that_are_not_kept() -> None:
    assert reply(315, Table(()), {"statsName": "X", "statsKey": "T"}).code == 1


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (None, (LiteOffset.UNCHANGED, 0)),
        ({"type": "POLICY", "value": 0}, (LiteOffset.UNCHANGED, 0)),
        ({"type": "POLICY", "value": 1}, (LiteOffset.MIN, 0)),
        ({"type": "POLICY", "value": 2}, (LiteOffset.MAX, 0)),
        ({"type": "OFFSET", "value": 7}, (LiteOffset.AT, 7)),
        ({"type": "TAIL_N", "value": 7}, (LiteOffset.BEFORE, 7)),
        ({"type": "TIMESTAMP", "value": 7}, (LiteOffset.TIME, 7)),
        ({"type": "POLICY", "value": 3}, None),
        ({"type": "OFFSET", "value": -1}, None),
        ({"type": "OTHER", "value": 1}, None),
    ],
)
def test_where_a_lite_subscription_goes_on(option: Any, expected: tuple[LiteOffset, int] | None) -> None:
    asked = {"action": "PARTIAL_ADD", "clientId": "c", "group": "G", "topic": "T", "liteTopicSet": ["a"], "version": 0}
    body = json.dumps({"subscriptionSet": [{**asked, "offsetOption": option}]}).encode()
    if expected is None:
        with pytest.raises(WireError, match="offsetOption"):
            parse(200071, {}, body)
    else:
        command = parse(200071, {}, body)
        assert (command.offset, command.offset_value) == expected
