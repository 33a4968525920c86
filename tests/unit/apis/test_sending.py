"""SendMessage, RecallMessage, EndTransaction: what becomes of each field, and what is refused with which code."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import timestamp_of
from rmqgateway.apis.convert_sending import (
    SendReader,
    read_end_transaction,
    read_recall,
    write_sent,
)
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.refusals import Refusal
from rmqgateway.commands import SendMessages, SendResult, SendResults, TransactionResolution
from rmqgateway.wire.message_properties import decode_properties

NOW = 1_767_225_600_000
READER = SendReader(ApiSettings(), lambda: NOW, lambda topic: 8)


def message(body: bytes = b"hello", topic: str = "topic", user: dict[str, str] | None = None, **system: Any) -> v2.Message:
    system = {"message_id": "ID-1", "born_timestamp": timestamp_of(NOW - 5), "born_host": "host-1", **system}
    return v2.Message(
        topic=v2.Resource(name=topic),
        body=body,
        user_properties=user or {},
        system_properties=v2.SystemProperties(**system),
    )


def read(*messages: v2.Message, namespace: str = "") -> SendMessages:
    request = service.SendMessageRequest(messages=messages)
    return READER.read(request.SerializeToString(), namespace, "192.0.2.7:1234")


def properties(command: SendMessages, index: int = 0) -> dict[str, str]:
    return decode_properties(command.messages[index].properties)


def test_a_plain_message() -> None:
    command = read(message(tag="TagA", keys=["k1", "k2"], user={"color": "blue"}, message_type=v2.NORMAL))
    (sent,) = command.messages
    assert (command.topic, command.producer_group, command.check_type, command.as_batch) == (
        "topic", "topic", True, False,
    )  # fmt: skip
    assert (sent.body, sent.sys_flag, sent.queue_id, sent.born_timestamp) == (b"hello", 0, -1, NOW - 5)
    assert properties(command) == {
        "color": "blue",
        "TAGS": "TagA",
        "KEYS": "k1 k2",
        "UNIQ_KEY": "ID-1",
        "PGROUP": "topic",
        "RECONSUME_TIME": "0",
        "__BORNHOST": "host-1",
        "BORN_TIMESTAMP": str(NOW - 5),
    }


def test_without_a_born_host_it_is_the_peer() -> None:
    assert properties(read(message(born_host=" ")))["__BORNHOST"] == "192.0.2.7:1234"


def test_a_message_group_is_the_sharding_key_and_chooses_the_queue() -> None:
    command = read(message(message_group="order-1", message_type=v2.FIFO))
    assert properties(command)["__SHARDINGKEY"] == "order-1"
    assert command.messages[0].queue_id == 3  # Guava's consistentHash("order-1".hashCode(), 8)


def test_without_known_queues_the_broker_chooses() -> None:
    reader = SendReader(ApiSettings(), lambda: NOW, lambda topic: 0)
    data = service.SendMessageRequest(messages=[message(message_group="order-1")]).SerializeToString()
    assert reader.read(data, "", "p:1").messages[0].queue_id == -1


def test_delay_transaction_trace_priority_and_lite_topic() -> None:
    named = properties(read(message(delivery_timestamp=timestamp_of(NOW + 1500), message_type=v2.DELAY)))
    assert named["TIMER_DELIVER_MS"] == str(NOW + 1500)
    command = read(
        message(message_type=v2.TRANSACTION, orphaned_transaction_recovery_duration=Duration(seconds=30))
    )
    assert command.messages[0].sys_flag == 4
    named = properties(command)
    assert (named["TRAN_MSG"], named["CHECK_IMMUNITY_TIME_IN_SECONDS"]) == ("true", "30")
    named = properties(read(message(trace_context="00-aa-bb-01", priority=3, lite_topic="lite_1")))
    assert (named["TRACE_CONTEXT"], named["_SYS_MSG_PRIORITY_"], named["__LITE_TOPIC"]) == (
        "00-aa-bb-01", "3", "lite_1",
    )  # fmt: skip


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_compressed_body_is_stored_as_zlib_which_all_clients_read(compress: Any) -> None:
    (sent,) = read(message(compress(b"hello" * 100), body_encoding=v2.GZIP)).messages
    assert sent.sys_flag == 1
    assert zlib.decompress(sent.body) == b"hello" * 100


def test_a_compressed_body_is_judged_as_it_is_inflated() -> None:
    with pytest.raises(Refusal) as refused:
        read(message(gzip.compress(bytes(5 * 1024 * 1024)), body_encoding=v2.GZIP))
    assert refused.value.code == v2.MESSAGE_BODY_TOO_LARGE
    for body in (b"\x1f\x8bnot gzip", b"not zlib", gzip.compress(b"x" * 99)[:-4], gzip.compress(b"x") + b"more"):
        with pytest.raises(Refusal) as refused:
            read(message(body, body_encoding=v2.GZIP))
        assert refused.value.code == v2.MESSAGE_CORRUPTED


def test_several_messages_are_a_batch_of_one_topic() -> None:
    command = read(message(message_group="g"), message(b"two"))
    assert command.as_batch and [one.body for one in command.messages] == [b"hello", b"two"]
    assert command.messages[0].queue_id == -1
    with pytest.raises(Refusal) as refused:
        read(message(), message(topic="other"))
    assert (refused.value.code, refused.value.message) == (v2.MESSAGE_CORRUPTED, "topic in message is not same")


def test_namespaces_are_inner_names() -> None:
    command = read(message(), namespace="ns1")
    assert command.topic == "ns1%topic" and properties(command)["PGROUP"] == "ns1%topic"
    own = message()
    own.topic.resource_namespace = "ns2"
    assert read(own, namespace="ns1").topic == "ns2%topic"
    own.topic.resource_namespace = "n%s"
    with pytest.raises(Refusal):
        read(own)


REFUSED = [
    (message(b""), v2.MESSAGE_BODY_EMPTY, "message body cannot be empty"),
    (message(bytes(4 * 1024 * 1024 + 1)), v2.MESSAGE_BODY_TOO_LARGE, "message body cannot exceed the max 4194304"),
    (message(message_id=""), v2.ILLEGAL_MESSAGE_ID, "message id cannot be empty"),
    (message(message_id="a\x02b"), v2.ILLEGAL_MESSAGE_ID, "message id cannot contain control character"),
    (message(born_host="a\x02X\x01b"), v2.MESSAGE_CORRUPTED, "born host cannot contain control character"),
    (message(trace_context="a\x02b"), v2.MESSAGE_CORRUPTED, "trace context cannot contain control character"),
    (message(tag=" "), v2.ILLEGAL_MESSAGE_TAG, "tag cannot be the char sequence of whitespace"),
    (message(tag="a|b"), v2.ILLEGAL_MESSAGE_TAG, "tag cannot contain '|'"),
    (message(tag="a\nb"), v2.ILLEGAL_MESSAGE_TAG, "tag cannot contain control character"),
    (message(keys=[" "]), v2.ILLEGAL_MESSAGE_KEY, "key cannot be the char sequence of whitespace"),
    (message(keys=["a\x7f"]), v2.ILLEGAL_MESSAGE_KEY, "key cannot contain control character"),
    (message(message_group=" "), v2.ILLEGAL_MESSAGE_GROUP, "message group cannot be the char sequence of whitespace"),
    (message(message_group="g" * 64), v2.ILLEGAL_MESSAGE_GROUP, "message group exceed the max size 64"),
    (message(message_group="g\x01"), v2.ILLEGAL_MESSAGE_GROUP, "message group cannot contain control character"),
    (message(user={"TAGS": "x"}), v2.ILLEGAL_MESSAGE_PROPERTY_KEY, "property is used by system: TAGS"),
    (message(user={"a\x01": "x"}), v2.ILLEGAL_MESSAGE_PROPERTY_KEY, "the key of property cannot contain control character"),
    (message(user={"a": "x\x02"}), v2.ILLEGAL_MESSAGE_PROPERTY_KEY, "the value of property cannot contain control character"),
    (
        message(user={str(n): "x" for n in range(129)}),
        v2.MESSAGE_PROPERTIES_TOO_LARGE,
        "too many user properties, max is 128",
    ),
    (
        message(user={"a": "\u00e4" * 8192}),
        v2.MESSAGE_PROPERTIES_TOO_LARGE,
        "the total size of user property is too large, max is 16384",
    ),
    (
        message(delivery_timestamp=timestamp_of(NOW + 86_400_001)),
        v2.ILLEGAL_DELIVERY_TIME,
        "the max delay time of message is too large, max is 86400000",
    ),
    (
        message(message_type=v2.TRANSACTION, orphaned_transaction_recovery_duration=Duration(seconds=3601)),
        v2.BAD_REQUEST,
        "the max transaction recovery time of message is too large, max is 3600",
    ),
    (message(priority=-1), v2.BAD_REQUEST, "The priority must be greater than or equal to 0"),
    (message(lite_topic="a b"), v2.ILLEGAL_LITE_TOPIC, "lite topic can only contain alphanumeric characters"),
    (message(topic=""), v2.ILLEGAL_TOPIC, "The specified topic is blank"),
    (message(topic="a b"), v2.ILLEGAL_TOPIC, "illegal characters"),
    (message(topic="t" * 128), v2.ILLEGAL_TOPIC, "longer than topic max length 127"),
    (message(topic="SCHEDULE_TOPIC_XXXX"), v2.ILLEGAL_TOPIC, "cannot access system topic"),
    (message(topic="rmq_sys_x"), v2.ILLEGAL_TOPIC, "cannot access system topic"),
]


@pytest.mark.parametrize(("bad", "code", "text"), REFUSED)
def test_what_is_refused(bad: v2.Message, code: int, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(bad)
    assert refused.value.code == code
    assert text in refused.value.message


def test_no_message_to_send() -> None:
    with pytest.raises(Refusal) as refused:
        read()
    assert (refused.value.code, refused.value.message) == (v2.MESSAGE_CORRUPTED, "no message to send")


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=4),
    st.text(max_size=6),
    st.lists(st.text(max_size=6), max_size=3),
    st.text(max_size=9),
    st.text(max_size=6),
)
def test_nothing_that_is_written_becomes_another_property(
    user: dict[str, str], tag: str, keys: list[str], message_id: str, group: str
) -> None:
    try:
        command = read(message(user=user, tag=tag, keys=keys, message_id=message_id, message_group=group))
    except Refusal:
        return
    named = properties(command)
    assert {name: value for name, value in named.items() if name in user} == user
    assert named.get("TAGS", "") == tag and named["UNIQ_KEY"] == message_id
    assert named.keys() - user.keys() <= {
        "TAGS", "KEYS", "UNIQ_KEY", "PGROUP", "RECONSUME_TIME", "__BORNHOST", "BORN_TIMESTAMP", "__SHARDINGKEY",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["ID", "0" * 48, "0" * 49, "0" * 300])
@pytest.mark.parametrize("offset", [0, 1, 127, 128, 1 << 40])
@pytest.mark.parametrize("handle", ["", "recall"])
def test_a_result_written_out_is_what_protobuf_writes(key: str, offset: int, handle: str) -> None:
    data = write_sent(SendResults((SendResult(3, offset, 99, key, handle),)))
    ok = v2.Status(code=v2.OK, message="OK")
    entry = service.SendResultEntry(
        status=ok, message_id=key, transaction_id=key, offset=offset, recall_handle=handle
    )
    assert data == service.SendMessageResponse(status=ok, entries=[entry]).SerializeToString()


def test_one_entry_for_each_result() -> None:
    data = write_sent(SendResults((SendResult(0, 1, 2, "a"), SendResult(0, 2, 3, "b"))))
    response = service.SendMessageResponse.FromString(data)
    assert [(entry.message_id, entry.offset) for entry in response.entries] == [("a", 1), ("b", 2)]


def test_the_end_of_a_transaction() -> None:
    request = service.EndTransactionRequest(
        topic=v2.Resource(name="topic"), message_id="M", transaction_id="T", resolution=v2.COMMIT,
        source=v2.SOURCE_SERVER_CHECK,
    )  # fmt: skip
    command = read_end_transaction(request.SerializeToString(), "")
    assert (command.topic, command.producer_group, command.transaction_id) == ("topic", "topic", "T")
    assert command.resolution == TransactionResolution.COMMIT and command.from_check
    request.resolution = v2.TRANSACTION_RESOLUTION_UNSPECIFIED
    assert read_end_transaction(request.SerializeToString(), "").resolution == TransactionResolution.UNKNOWN
    request.transaction_id = " "
    with pytest.raises(Refusal) as refused:
        read_end_transaction(request.SerializeToString(), "")
    assert refused.value.code == v2.INVALID_TRANSACTION_ID


def test_a_recall() -> None:
    request = service.RecallMessageRequest(topic=v2.Resource(name="topic"), recall_handle="handle")
    command = read_recall(request.SerializeToString(), "ns")
    assert (command.topic, command.recall_handle) == ("ns%topic", "handle")
