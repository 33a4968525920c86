"""Golden frames of Apache's own programs: all are read, and what we write equals them byte for byte."""

from __future__ import annotations

import base64
import json
import pathlib
from typing import Any

import pytest

from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import (
    acl,
    clients,
    common,
    consuming,
    decode_body,
    encode_body,
    groups,
    routes,
    topics,
)
from rmqgateway.wire.message_batch import decode_batch, encode_batch
from rmqgateway.wire.message_id import decode_offset_message_id, host_text
from rmqgateway.wire.message_properties import decode_properties, encode_properties, find_property
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, decode_frame, encode_command
from rmqgateway.wire.remoting_scan import scan, splice_opaque
from rmqgateway.wire.request_codes import RequestCode

VECTORS = pathlib.Path(__file__).parents[2] / "vectors" / "remoting"
EXCHANGES: list[dict[str, Any]] = [
    exchange
    for name in ("json", "rocketmq")
    for exchange in json.loads((VECTORS / f"{name}.json").read_text())["exchanges"]
]
FRAMES = [
    base64.b64decode(exchange[part])
    for exchange in EXCHANGES
    for part in ("request", "response")
    if exchange[part]
]

#: What the bodies are, by request code. (The answer of 351 is a topic's fields with those of the mapping between them.)
REQUEST_BODIES: dict[int, Any] = {
    34: clients.HeartbeatData,
    41: consuming.LockBatchRequest,
    42: consuming.UnlockBatchRequest,
    200: groups.SubscriptionGroupConfig,
    220: groups.ResetOffsetBody,
    400: consuming.QueryAssignmentRequest,
    401: consuming.SetMessageRequestMode,
    3001: acl.UserInfo,
    3006: acl.AclInfo,
}
RESPONSE_BODIES: dict[int, Any] = {
    21: topics.TopicConfigSerializeWrapper,
    28: routes.KVTable,
    38: clients.ConsumerList,
    41: consuming.LockBatchResponse,
    105: routes.TopicRouteData,
    106: routes.ClusterInfo,
    201: groups.SubscriptionGroupWrapper,
    202: topics.TopicStatsTable,
    203: clients.ConsumerConnection,
    204: clients.ProducerConnection,
    206: routes.TopicList,
    208: groups.ConsumeStats,
    221: groups.ConsumerStatusBody,
    222: groups.ResetOffsetBody,
    223: groups.ConsumerStatusBody,
    224: routes.TopicList,
    300: groups.GroupList,
    303: groups.QueryConsumeTimeSpanBody,
    307: consuming.ConsumerRunningInfo,
    309: consuming.ConsumeMessageDirectlyResult,
    315: topics.BrokerStatsData,
    317: groups.ConsumeStatsList,
    321: topics.QueryConsumeQueueBody,
    328: clients.ProducerTableInfo,
    343: routes.TopicList,
    345: groups.QuerySubscriptionBody,
    351: topics.TopicConfigAndQueueMapping,
    400: consuming.QueryAssignmentResponse,
    3004: acl.UserInfo,
    3005: list[acl.UserInfo],
    3009: acl.AclInfo,
    3010: list[acl.AclInfo],
}
#: Bodies that are no JSON of the tables above, and why.
OTHER_BODIES = {
    "messages": {
        RequestCode.PULL_MESSAGE,
        RequestCode.LITE_PULL_MESSAGE,
        RequestCode.POP_MESSAGE,
        RequestCode.QUERY_MESSAGE,
        RequestCode.VIEW_MESSAGE_BY_ID,
    },
    "text": {RequestCode.GET_BROKER_CONFIG, RequestCode.GET_NAMESRV_CONFIG},
    "not read by the gateway": {RequestCode.GET_BROKER_HA_STATUS},
}


def exchanges_with(part: str, table: dict[int, Any]) -> list[Any]:
    found = []
    for exchange in EXCHANGES:
        if exchange[part]:
            asked = decode_frame(base64.b64decode(exchange["request"]))
            command = decode_frame(base64.b64decode(exchange[part]))
            if command.body and asked.code in table:
                found.append(pytest.param(table[asked.code], command.body, asked, id=exchange["name"]))
    return found


def without_empty_ext_fields(frame: bytes) -> bytes:
    """Apache sometimes writes an empty object where we write none."""
    head, found, tail = frame.partition(b'"extFields":{},')
    if not found:
        return frame
    size = int.from_bytes(head[:4], "big") - len(found)
    header = int.from_bytes(head[4:8], "big") - len(found)
    return size.to_bytes(4, "big") + header.to_bytes(4, "big") + head[8:] + tail


def test_there_are_enough() -> None:
    assert len(EXCHANGES) >= 100
    assert {1, 0} == {frame[4] for frame in FRAMES}


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_are_written_as_apache_writes_them(frame: bytes) -> None:
    assert encode_command(decode_frame(frame)) == without_empty_ext_fields(frame)


def test_as_one_stream_in_pieces() -> None:
    stream = b"".join(FRAMES)
    whole = RemotingDecoder().receive_data(stream)
    assert len(whole) == len(FRAMES)
    assert all(isinstance(event, RemotingCommand) for event in whole)
    for size in (7, 1000, 4096):
        decoder = RemotingDecoder()
        pieces = [
            event
            for at in range(0, len(stream), size)
            for event in decoder.receive_data(stream[at : at + size])
        ]
        assert pieces == whole


def test_scan_and_splice() -> None:
    for frame in FRAMES:
        command = decode_frame(frame)
        seen = scan(frame)
        assert (seen.code, seen.opaque, seen.flag) == (command.code, command.opaque, command.flag)
        there = splice_opaque(frame, -123456)
        assert decode_frame(there).opaque == -123456
        assert splice_opaque(there, command.opaque) == frame


@pytest.mark.parametrize(
    ("type_", "body", "asked"),
    [*exchanges_with("request", REQUEST_BODIES), *exchanges_with("response", RESPONSE_BODIES)],
)
def test_bodies_are_written_as_apache_writes_them(type_: Any, body: bytes, asked: RemotingCommand) -> None:
    standard = asked.code == RequestCode.GET_ROUTEINFO_BY_TOPIC
    again = encode_body(decode_body(body, type_), standard=standard)
    if type_ is topics.TopicConfigAndQueueMapping:
        assert json.loads(again) == json.loads(body)
    else:
        assert again == body


def test_every_body_is_accounted_for() -> None:
    known = set(RESPONSE_BODIES).union(*OTHER_BODIES.values())
    for exchange in EXCHANGES:
        if exchange["response"] and decode_frame(base64.b64decode(exchange["response"])).body:
            assert int(exchange["name"].rpartition("(")[2][:-1]) in known, exchange["name"]


def test_stored_messages() -> None:
    seen = 0
    for exchange in EXCHANGES:
        asked = decode_frame(base64.b64decode(exchange["request"]))
        if asked.code not in OTHER_BODIES["messages"] or not exchange["response"]:
            continue
        body = decode_frame(base64.b64decode(exchange["response"])).body
        raw = [body[start : start + size] for start, size in stored_message.message_sizes(body)]
        for frame, message in zip(raw, stored_message.iterate(body), strict=True):
            seen += 1
            again = stored_message.encode(
                message.topic,
                message.queue_id,
                message.body,
                message.properties,
                message.flag,
                message.sys_flag,
                message.born_timestamp,
                message.born_host,
                message.store_timestamp,
                message.store_host,
                message.reconsume_times,
                message.prepared_transaction_offset,
                message.queue_offset,
                message.physical_offset,
            )
            assert again == frame
            properties = decode_properties(message.properties)
            assert find_property(message.properties, b"UNIQ_KEY") == properties["UNIQ_KEY"].encode()
            # The last separator may be missing.
            assert encode_properties(properties).rstrip(b"\x02") == message.properties.rstrip(b"\x02")
    assert seen >= 10


def test_batches_and_offset_ids() -> None:
    batches = 0
    for exchange in EXCHANGES:
        asked = decode_frame(base64.b64decode(exchange["request"]))
        if asked.code == RequestCode.SEND_BATCH_MESSAGE:
            batches += 1
            assert encode_batch(decode_batch(asked.body)) == asked.body
            assert [message.body for message in decode_batch(asked.body)] == [b"first", b"second"]
        elif asked.code == RequestCode.SEND_MESSAGE_V2 and exchange["response"]:
            answer = decode_frame(base64.b64decode(exchange["response"]))
            if answer.code == 0:
                assert host_text(decode_offset_message_id(answer.ext_fields["msgId"])[0])[0] == "127.0.0.1"
    assert batches


def test_object_keys_occur() -> None:
    """The dialect is in the vectors: a change of Apache's to standard JSON would show here."""
    assert any(b":{{" in frame for frame in FRAMES)
    assert any(b'"brokerAddrs":{0:' in frame for frame in FRAMES)
    reset = decode_body(
        b'{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:1}}', groups.ResetOffsetBody
    )
    assert isinstance(next(iter(reset.offset_table)), common.MessageQueue)
