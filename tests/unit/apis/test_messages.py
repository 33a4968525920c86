"""Stored messages as the API's: each property in its place, and what is written out equals what protobuf writes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_messages import MessageWriter, message_of
from rmqgateway.apis.convert_receiving import write_acknowledged
from rmqgateway.commands import AckResult, AckResults
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

HOST = b"\x7f\x00\x00\x01\x00\x00\x1f\x90"
NOW = 1_767_225_600_123


def stored(named: dict[str, str], body: bytes = b"hello", sys_flag: int = 0, **more: int) -> bytes:
    return bytes(
        stored_message.encode(
            b"topic", more.get("queue_id", 3), body, encode_properties(named), 0, sys_flag, more.get("born", NOW - 7), HOST,
            more.get("time", NOW), HOST, more.get("times", 0), 0, more.get("offset", 17), 99,
        )
    )  # fmt: skip


def system(named: dict[str, str], **more: int) -> v2.SystemProperties:
    return message_of(stored(named, **more), "host:1", lambda: NOW).system_properties


def test_what_properties_mean() -> None:
    found = system(
        {
            "UNIQ_KEY": "ID", "TAGS": "A", "KEYS": "k1 k2", "__SHARDINGKEY": "g", "TRACE_CONTEXT": "t",
            "_SYS_MSG_PRIORITY_": "4", "__LITE_TOPIC": "lite", "__BORNHOST": "me", "TIMER_DELIVER_MS": "1767225601500",
            "DLQ_ORIGIN_TOPIC": "origin", "DLQ_ORIGIN_MESSAGE_ID": "OID",
        },
        times=2,
    )  # fmt: skip
    assert (found.message_id, found.tag, list(found.keys), found.message_group) == ("ID", "A", ["k1", "k2"], "g")
    assert (found.trace_context, found.priority, found.lite_topic, found.born_host) == ("t", 4, "lite", "me")
    assert (found.delivery_timestamp.seconds, found.delivery_timestamp.nanos) == (1_767_225_601, 500_000_000)
    assert (found.dead_letter_queue.topic, found.dead_letter_queue.message_id) == ("origin", "OID")
    assert (found.delivery_attempt, found.queue_id, found.queue_offset) == (3, 3, 17)


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ({}, v2.NORMAL),
        ({"__SHARDINGKEY": "g"}, v2.FIFO),
        ({"DELAY": "3", "__SHARDINGKEY": "g"}, v2.DELAY),
        ({"TIMER_DELAY_SEC": "3"}, v2.DELAY),
        ({"TIMER_DELAY_MS": "3"}, v2.DELAY),
        ({"TRAN_MSG": "true", "DELAY": "3"}, v2.TRANSACTION),
        ({"TRAN_MSG": "false"}, v2.NORMAL),
        ({"_SYS_MSG_PRIORITY_": "1"}, v2.PRIORITY),
        ({"__LITE_TOPIC": "a"}, v2.LITE),
    ],
)
def test_message_types(named: dict[str, str], kind: int) -> None:
    assert system({"UNIQ_KEY": "ID", **named}).message_type == kind


def test_numbers_that_are_none_are_absent() -> None:
    found = system({"UNIQ_KEY": "ID", "TIMER_DELIVER_MS": "soon", "_SYS_MSG_PRIORITY_": "9" * 15})
    assert not found.HasField("delivery_timestamp") and not found.HasField("priority")
    assert system({"TIMER_DELAY_SEC": "2"}).delivery_timestamp.seconds == NOW // 1000 + 2


def test_without_a_unique_key_it_is_the_offset_message_id() -> None:
    assert system({}).message_id == "7F00000100001F900000000000000063"
    assert system({}).born_host == "127.0.0.1"


def test_compressed_bodies() -> None:
    packed = zlib.compress(b"hello")
    message = message_of(stored({}, packed, 1), "host:1", lambda: NOW)
    assert (message.body, message.system_properties.body_encoding) == (packed, v2.GZIP)
    message = message_of(stored({}, b"what", 0x501), "host:1", lambda: NOW)  # no compression that there is
    assert message.system_properties.body_encoding == v2.ENCODING_UNSPECIFIED


def both(message: bytes, handle: str, attempt: int) -> None:
    topic = v2.Resource(resource_namespace="ns", name="topic")
    written = MessageWriter("host:1", topic, lambda: NOW).write(message, handle, attempt)
    wanted = service.ReceiveMessageResponse(message=message_of(message, "host:1", lambda: NOW, topic, handle, attempt))
    assert service.ReceiveMessageResponse.FromString(written) == wanted


_text = st.text(st.characters(exclude_characters="\x01\x02", exclude_categories=("Cs",)), min_size=1, max_size=200)


@given(
    st.dictionaries(
        st.sampled_from(
            ["UNIQ_KEY", "TAGS", "KEYS", "__BORNHOST", "color", "价", "PGROUP", "TRAN_MSG", "__SHARDINGKEY", "DELAY"]
        ),
        _text,
    ),
    st.binary(max_size=300),
    st.text("0123456789 ", min_size=1, max_size=150),
    st.integers(1, 1 << 30),
    st.integers(0, 1 << 60),
    st.integers(0, 1 << 30),
    st.integers(0, 4_000_000_000_000),
    st.integers(0, 4_000_000_000_000),
)
def test_what_is_written_out_is_what_protobuf_reads(
    named: dict[str, str], body: bytes, handle: str, attempt: int, offset: int, queue_id: int, born: int, time: int
) -> None:
    both(stored(named, body, offset=offset, queue_id=queue_id, born=born, time=time), handle, attempt)


def test_a_large_body() -> None:
    both(stored({"UNIQ_KEY": "ID"}, bytes(3_000_000)), "handle", 1)


def test_the_common_answer_to_an_acknowledgement_is_what_protobuf_would_write() -> None:
    request = service.AckMessageRequest()
    for number in range(40):
        request.entries.add(message_id=f"id-{number}" * (number + 1), receipt_handle=f"1 2 3 0 0 b 0 {number}")
    reply = AckResults(tuple(AckResult(entry.receipt_handle) for entry in request.entries))
    response = service.AckMessageResponse.FromString(write_acknowledged(request.entries, reply))
    assert response.status.code == v2.OK
    assert [(one.message_id, one.receipt_handle, one.status.code) for one in response.entries] == [
        (one.message_id, one.receipt_handle, v2.OK) for one in request.entries
    ]
    assert response.SerializeToString() == write_acknowledged(request.entries, reply)
    request.entries[3].lite_topic = "lite"
    slower = service.AckMessageResponse.FromString(write_acknowledged(request.entries, reply))
    assert slower == response, "a lite topic is not repeated"
