"""QueryMessage of the Admin service on a gateway in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.apis.admin import ADMIN_METHODS, ADMIN_SERVICE
from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.convert_base import timestamp_of
from rmqgateway.commands import CreateTopics, QueryMessages, SendMessages, TopicConfig
from rmqgateway.message import Message, MessageType
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway.wire.message_id import encode_offset_message_id, host_bytes
from rmqgateway.wire.message_properties import encode_properties
from tests.unit.apis.admin_calls import (
    TOPIC,
    call,
    done,
    lite_message,
    make_tester,
    refused,
    send,
)
from tests.unit.apis.fakes import FakeRpc, Tester


@pytest.fixture
def tester() -> Tester:
    return make_tester()


def query(tester: Tester, **more: Any) -> tuple[list[str], str]:
    found = done(tester, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, **more))
    return [one.body.decode() for one in found.messages], found.scroll_id


def test_messages_by_id(tester: Tester) -> None:
    sent = send(tester, "x", TAGS="a")
    place = encode_offset_message_id(host_bytes("10.0.0.1", 10911), sent.physical_offset)
    assert query(tester, message_id="ID-x") == query(tester, message_id=place) == (["x"], "")
    assert query(tester, message_id="ID-x", page_num=2) == ([], "")
    assert query(tester, message_id="ID-x", queue_id=1) == ([], "")
    assert query(tester, message_id="ID-x", begin_timestamp=timestamp_of(tester.world.wall_ms + 1)) == ([], "")
    found = done(tester, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, message_id=place)).messages[0]
    assert found.system_properties.store_host == "gateway.example:8081" and found.topic == TOPIC
    for message_id in ("none", "0" * 16 + "7" + "0" * 15, "0" * 31):
        request = admin.ListMessageRequest(topic=TOPIC, message_id=message_id)
        refused(tester, "QueryMessage", request, v2.MESSAGE_NOT_FOUND, message_id)
    blank = admin.ListMessageRequest(topic=TOPIC, message_id=" ")
    refused(tester, "QueryMessage", blank, v2.ILLEGAL_MESSAGE_ID, "message_id")


def test_a_message_of_another_topic_is_not_shown(tester: Tester) -> None:
    sent = send(tester, "x", "other")
    place = encode_offset_message_id(host_bytes("10.0.0.1", 10911), sent.physical_offset)
    request = admin.ListMessageRequest(topic=TOPIC, message_id=place)
    refused(tester, "QueryMessage", request, v2.MESSAGE_NOT_FOUND, place)


def all_pages(tester: Tester, **more: Any) -> list[list[str]]:
    pages = []
    scroll_id = ""
    for _ in range(200):
        page, scroll_id = query(tester, scroll_id=scroll_id, **more)
        pages.append(page)
        if not scroll_id:
            return pages
    raise AssertionError("there is no last page")


def everything(tester: Tester, **more: Any) -> list[str]:
    return [body for page in all_pages(tester, **more) for body in page]


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_messages_by_key_in_pages(tester: Tester, pause: float) -> None:
    bodies = [str(number) for number in range(50)]
    for body in bodies:
        send(tester, body, KEYS="red")
        tester.world.advance(pause) if pause else None
    newest = bodies[::-1]
    assert everything(tester, message_key="red") == newest
    assert all_pages(tester, message_key="red", page_size=20) == [newest[:20], newest[20:40], newest[40:]]
    assert query(tester, message_key="red", page_size=20, page_num=3)[0] == newest[40:]
    assert everything(tester, message_key="red", max_message_nums=7) == newest
    assert query(tester, message_key="green") == ([], "")


def test_more_of_a_key_than_brokers_look_up_at_once(tester: Tester) -> None:
    bodies = [str(number) for number in range(150)]
    for number, body in enumerate(bodies):
        send(tester, body, KEYS="red")
        if number % 3 == 0:
            tester.world.advance(0.05)
    assert everything(tester, message_key="red", page_size=64) == bodies[::-1]
    far = admin.ListMessageRequest(topic=TOPIC, message_key="red", page_size=64, page_num=2)
    refused(tester, "QueryMessage", far, v2.BAD_REQUEST, "end_timestamp")


def by_the_second(tester: Tester) -> None:
    """Keys are looked up as real brokers do it: whatever is of the last second comes, too."""
    execute = tester.api.execute

    def coarse(context: Any, command: Any) -> Any:
        if isinstance(command, QueryMessages):
            command = msgspec.structs.replace(command, end=command.end // 1000 * 1000 + 999)
        return execute(context, command)

    tester.api.execute = coarse


def test_messages_by_key_of_brokers_that_keep_times_by_the_second(tester: Tester) -> None:
    bodies = [str(number) for number in range(60)]
    for body in bodies:
        send(tester, body, KEYS="red")
        tester.world.advance(0.05)
    by_the_second(tester)
    assert everything(tester, message_key="red", page_size=7) == bodies[::-1]


def test_a_second_with_more_of_a_key_than_is_looked_up(tester: Tester) -> None:
    for number in range(70):
        send(tester, str(number), KEYS="red")
        tester.world.advance(0.001, step=0.001)
    by_the_second(tester)
    first, scroll_id = query(tester, message_key="red", page_size=64)
    assert len(first) == 64
    request = admin.ListMessageRequest(topic=TOPIC, message_key="red", scroll_id=scroll_id)
    refused(tester, "QueryMessage", request, v2.BAD_REQUEST, "within a second")


def test_messages_of_a_span_of_time_by_tags_in_pages(tester: Tester) -> None:
    tester.world.execute(
        tester.connection, CreateTopics((TopicConfig("topic", 2, 2, message_type=MessageType.MIXED),))
    )
    times = []
    for number in range(90):
        times.append(tester.world.wall_ms)
        tags = "abc"[number % 3]
        message = Message(str(number).encode(), encode_properties({"TAGS": tags}), number % 2)
        tester.world.execute(tester.connection, SendMessages("topic", (message,)))
        tester.world.advance(0.05)
    in_queues = [str(number) for half in (0, 1) for number in range(90) if number % 2 == half]
    assert everything(tester, subscription="*") == in_queues
    assert everything(tester, subscription="*", page_size=7) == in_queues
    wanted = [number for number in in_queues if "abc"[int(number) % 3] in "ab"]
    assert everything(tester, subscription="a || b", max_message_nums=11) == wanted
    assert query(tester, subscription="*", queue_id=1, max_message_nums=1)[0] == ["1"]
    assert query(tester, subscription="*", broker_name="rmqgateway", max_message_nums=1)[0] == ["0"]
    span = {"begin_timestamp": timestamp_of(times[10]), "end_timestamp": timestamp_of(times[14])}
    assert everything(tester, subscription="*", page_size=2, **span) == ["10", "12", "14", "11", "13"]


def test_tags_that_share_a_hash_are_told_apart(tester: Tester) -> None:
    # "Aa" and "BB" have one String.hashCode.
    send(tester, "x", TAGS="Aa")
    send(tester, "y", TAGS="BB")
    send(tester, "z")
    assert query(tester, subscription="BB") == (["y"], "")


def test_a_call_looks_at_so_many_entries_only(tester: Tester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqgateway.apis.admin_messages._MAX_ENTRIES", 10)
    for number in range(25):
        send(tester, str(number), TAGS="b" if number == 17 else "a")
    assert all_pages(tester, subscription="b") == [[], ["17"], []]


def test_a_search_ends_with_its_caller(tester: Tester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqgateway.apis.admin_messages._ENTRIES", 2)
    for number in range(9):
        send(tester, str(number), TAGS="a")
    asked: list[Any] = []
    execute = tester.api.execute
    tester.api.execute = lambda context, command: (asked.append(command), execute(context, command))[1]
    method = ADMIN_METHODS[f"/{ADMIN_SERVICE}/QueryMessage"]
    rpc = FakeRpc(tester.api, method, {}, tester.information, tester.connection.session)
    rpc.message(admin.ListMessageRequest(topic=TOPIC, subscription="b").SerializeToString())
    before = len(asked)
    rpc.gone("the client has gone")
    tester.world.settle()
    assert len(asked) == before and not rpc.messages


def test_a_page_has_so_many_bytes_only(tester: Tester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqgateway.apis.admin_messages._MAX_BYTES", 1000)
    bodies = [letter * 600 for letter in "xyz"]
    for body in bodies:
        send(tester, body, KEYS="red")
        tester.world.advance(0.05)
    assert all_pages(tester, subscription="*") == [[body] for body in bodies]
    assert all_pages(tester, message_key="red") == [[body] for body in bodies[::-1]]


def test_messages_of_a_lite_topic(tester: Tester) -> None:
    for body in ("x", "y", "z"):
        lite_message(tester, "east", body)
    lite_message(tester, "west", "w")
    assert all_pages(tester, lite_topic="east", page_size=2) == [["x", "y"], ["z"]]
    assert query(tester, lite_topic="north") == ([], "")
    found = done(tester, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, lite_topic="west")).messages[0]
    assert found.topic == TOPIC and found.system_properties.lite_topic == "west"


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        ({}, v2.BAD_REQUEST, "message_id, message_key, subscription, lite_topic"),
        ({"message_key": " "}, v2.ILLEGAL_MESSAGE_KEY, "message_key"),
        ({"message_key": "k", "scroll_id": "q.0.0.rmqgateway"}, v2.BAD_REQUEST, "scroll_id"),
        ({"message_key": "k", "scroll_id": "k.1.99"}, v2.BAD_REQUEST, "end_timestamp"),
        ({"message_key": "k", "page_num": 0}, v2.BAD_REQUEST, "page_num"),
        ({"message_key": "k", "page_num": 2**31 - 1}, v2.BAD_REQUEST, "end_timestamp"),
        ({"message_key": "k", "max_message_nums": -1}, v2.BAD_REQUEST, "max_message_nums"),
        ({"message_key": "k", "page_size": -1}, v2.BAD_REQUEST, "page_size"),
        ({"subscription": ""}, v2.ILLEGAL_FILTER_EXPRESSION, "subscription"),
        ({"subscription": "*", "scroll_id": "x"}, v2.BAD_REQUEST, "scroll_id"),
        ({"subscription": "*", "scroll_id": "q.9.0.rmqgateway"}, v2.BAD_REQUEST, "scroll_id"),
        ({"subscription": "*", "scroll_id": "q.0.0.elsewhere"}, v2.BAD_REQUEST, "scroll_id"),
        ({"subscription": "*", "page_num": 2}, v2.BAD_REQUEST, "page_num"),
        ({"subscription": "*", "queue_id": 5}, v2.BAD_REQUEST, "no such queue"),
        ({"subscription": "*", "broker_name": "elsewhere"}, v2.BAD_REQUEST, "no such queue"),
        ({"lite_topic": "a b"}, v2.ILLEGAL_LITE_TOPIC, "lite topic"),
        ({"message_key": "k", "begin_timestamp": timestamp_of(-1)}, v2.BAD_REQUEST, "begin_timestamp"),
        (
            {"message_key": "k", "begin_timestamp": timestamp_of(9), "end_timestamp": timestamp_of(8)},
            v2.BAD_REQUEST,
            "after end_timestamp",
        ),
        ({"message_key": "k", "topic": v2.Resource(name="none")}, v2.TOPIC_NOT_FOUND, "none"),
        ({"message_key": "k", "topic": v2.Resource(name="a b")}, v2.ILLEGAL_TOPIC, "a b"),
    ],
)
def test_searches_that_are_refused(tester: Tester, more: dict[str, Any], code: Any, text: str) -> None:
    request = admin.ListMessageRequest(**{"topic": TOPIC, **more})
    refused(tester, "QueryMessage", request, code, text)


@given(scroll_id=st.text(max_size=20) | st.from_regex(r"[kq]\.[0-9]{0,19}\.[0-9]{0,19}(\..{0,4})?", fullmatch=True))
def test_any_scroll_id_is_one_or_is_refused(scroll_id: str) -> None:
    tester = make_tester()
    send(tester, "x", KEYS="red")
    for search in ({"message_key": "red"}, {"subscription": "*"}, {"lite_topic": "east"}, {"message_id": "ID-x"}):
        request = admin.ListMessageRequest(topic=TOPIC, scroll_id=scroll_id, **search)
        assert call(tester, "QueryMessage", request).status.code in (v2.OK, v2.BAD_REQUEST)


@given(data=st.binary(max_size=64), topic=st.sampled_from(["topic", ""]))
def test_any_bytes_are_answered(data: bytes, topic: str) -> None:
    """A request with a topic and a group, and whatever else."""
    tester = make_tester()
    for path, method in ADMIN_METHODS.items():
        rpc = FakeRpc(tester.api, method, {}, tester.information, tester.connection.session)
        rpc.message(admin.DescribeTopicStatusRequest(topic=v2.Resource(name=topic)).SerializeToString() + data)
        tester.world.settle()
        assert rpc.status in (GrpcStatus.OK, GrpcStatus.INTERNAL, GrpcStatus.PERMISSION_DENIED), path
        if rpc.status is GrpcStatus.OK:
            assert b"the gateway's log has the cause" not in rpc.messages[0], path
