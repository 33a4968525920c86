"""The calls of the Admin service on a gateway in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from rmqgateway.apis.admin import ADMIN_METHODS
from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import timestamp_of
from rmqgateway.apis.service import ADMIN_SERVICE
from rmqgateway.commands import (
    AnswerRelay,
    CreateTopics,
    GetConsumerOffset,
    Heartbeat,
    MessageModel,
    PullMessages,
    ReceiveMessages,
    TopicConfig,
    UpdateConsumerOffset,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ConsumeMessageDirectly, RunningInformationAsked
from rmqgateway.message import Filter, FilterType, MessageType
from rmqgateway.testing import TestSession
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.clients import SubscriptionData
from rmqgateway.wire.bodies.common import MessageQueue
from rmqgateway.wire.bodies.consuming import (
    ConsumeMessageDirectlyResult,
    ConsumerRunningInfo,
    ConsumeStatus,
    PopProcessQueueInfo,
    ProcessQueueInfo,
)
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway.wire.message_id import encode_offset_message_id, host_bytes
from tests.unit.apis.admin_calls import (
    GROUP,
    TOPIC,
    answer,
    done,
    lite_message,
    make_tester,
    member,
    refused,
    send,
    start,
)
from tests.unit.apis.fakes import FakeRpc, Tester, metadata


@pytest.fixture
def tester() -> Tester:
    return make_tester()


# The service.


def test_every_call_of_the_service_is_served() -> None:
    named = {method.name for method in admin.DESCRIPTOR.services_by_name["Admin"].methods}
    assert {path.rpartition("/")[2] for path in ADMIN_METHODS} == named
    assert len(named) == 16


#: As clients of Apache's definition say and read it: numbers and types of fields, by message.
WIRE = {
    "ClientInfo": "1s 2s 3s 4s 5s 6e",
    "SubscriptionInfo": "1m 2m 3m 4b 5m 6e 7b",
    "DescribeGroupAccumulationRequest": "1s 2m 3m* 4s",
    "DescribeGroupAccumulationResponse": "1m 2m 3m* 4m*",
    "DescribeGroupAccumulationResponse.GroupAccumulation": "1i 2i 3i 4m 5i",
    "QueryTimeSpanResponse.QueueTimeSpan": "1m 2i 3i 4i 5i",
    "ListMessageRequest": "1s 2m 3n 4m 5m 6s 7s 8s 9s 10n 11n 12s 13n 14s",
    "ListMessageResponse": "1m 2m* 3s",
    "AdminSendMessageRequest": "1s 2m 3s 4s 5y 6m* 7m 8m*",
    "DescribeTopicStatusResponse": "1m 2e 3s 4m 5m*",
    "GetTopicRouteRequest": "1s 2m 3e 4s 5b 6s",
    "ProcessQueueInfo": "1i 2i 3i 4n 5n 6i 7i 8n 9b 10i 11i 12b 13i 14i",
    "ConsumeStatus": "1d 2d 3d 4d 5d 6i",
    "GetProxyRuntimeStatsResponse": "1m 2s 3s 4d 5d 6i 7i 8i",
    "DeleteSubscriptionRequest": "1s 2m 3m 4m",
    "VerifyMessageRequest": "1s 2s 3m 4m 5s",
    "PrintThreadStackTraceRequest": "1s 2s 3m",
    "GetConsumerRunningInfoRequest": "1s 2m 3s",
    "ResetGroupOffsetRequest": "1s 2m 3m 4m",
    "ChangeLogLevelRequest": "1e",
    "ChangeLogLevelResponse": "1s",
}
_TYPES = {1: "d", 3: "i", 5: "n", 8: "b", 9: "s", 11: "m", 12: "y", 14: "e"}


@pytest.mark.parametrize("name", WIRE)
def test_fields_on_the_wire(name: str) -> None:
    outer, _, inner = name.partition(".")
    message = admin.DESCRIPTOR.message_types_by_name[outer]
    if inner:
        message = message.nested_types_by_name[inner]
    fields = sorted(message.fields, key=lambda field: field.number)
    assert " ".join(f"{one.number}{_TYPES[one.type]}{'*' if one.is_repeated else ''}" for one in fields) == WIRE[name]


def test_what_is_no_protobuf_ends_the_call(tester: Tester) -> None:
    method = ADMIN_METHODS[f"/{ADMIN_SERVICE}/QueryMessage"]
    rpc = FakeRpc(tester.api, method, metadata(), tester.information, tester.connection.session)
    rpc.message(b"\xff\xff\xff")
    assert rpc.status is GrpcStatus.INTERNAL and "QueryMessage" in rpc.closed_text


@pytest.mark.parametrize(
    "name", [path.rpartition("/")[2] for path in ADMIN_METHODS if not path.endswith(("ChangeLogLevel", "RuntimeStats"))]
)
def test_other_deployments_are_refused_by_name(tester: Tester, name: str) -> None:
    what = "ListMessage" if name == "QueryMessage" else name
    request = getattr(admin, f"{what}Request")(deployment_name="elsewhere")
    refused(tester, name, request, v2.UNSUPPORTED, "deployment_name")


# Who is there.


def test_connections_are_listed(tester: Tester) -> None:
    member(tester)
    found = done(tester, "ListConsumerConnection", admin.ListConsumerConnectionRequest(group=GROUP))
    assert list(found.client_info) == [
        admin.ClientInfo(
            client_id="member", version="V5_5_0", language="JAVA", egress_ip="127.0.0.1", message_model=admin.CLUSTERING
        )
    ]
    of_topic = admin.ListConsumerConnectionRequest(group=GROUP, topic=TOPIC)
    assert len(done(tester, "ListConsumerConnection", of_topic).client_info) == 1
    of_topic.topic.name = "other"
    assert not done(tester, "ListConsumerConnection", of_topic).client_info
    nobody = admin.ListConsumerConnectionRequest(group=v2.Resource(name="nobody"))
    refused(tester, "ListConsumerConnection", nobody, v2.CONSUMER_GROUP_NOT_FOUND, "nobody")
    lite = admin.ListConsumerConnectionRequest(group=GROUP, liteTopic="one")
    refused(tester, "ListConsumerConnection", lite, v2.BAD_REQUEST, "liteTopic")


def test_connections_at_a_lite_topic(tester: Tester) -> None:
    for client_id, lite in (("one", "east"), ("two", "west")):
        settings = v2.Settings(
            client_type=v2.LITE_PUSH_CONSUMER,
            subscription=v2.Subscription(group=GROUP, subscriptions=[v2.SubscriptionEntry(topic=TOPIC)]),
        )
        tester.start("Telemetry", service.TelemetryCommand(settings=settings), metadata(client_id))
        request = service.SyncLiteSubscriptionRequest(
            action=v2.COMPLETE_ADD, topic=TOPIC, group=GROUP, lite_topic_set=[lite]
        )
        tester.call("SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse, metadata(client_id))
    request = admin.ListConsumerConnectionRequest(group=GROUP, topic=TOPIC, liteTopic="east")
    (found,) = done(tester, "ListConsumerConnection", request).client_info
    assert found.client_id == "one" and found.message_model == admin.LITE_SELECTIVE


def test_subscriptions_of_a_group_and_of_a_topic(tester: Tester) -> None:
    tester.world.execute(tester.connection, CreateTopics((TopicConfig("before", 1, 1),)))
    member(tester)
    tester.world.execute(tester.connection, UpdateConsumerOffset("group", "before", 0, 0))
    before, now = done(tester, "ListSubscription", admin.ListSubscriptionRequest(group=GROUP)).subscription_info
    assert before == admin.SubscriptionInfo(group=GROUP, topic=v2.Resource(name="before"))
    assert now == admin.SubscriptionInfo(
        group=GROUP,
        topic=TOPIC,
        expression=v2.FilterExpression(type=v2.TAG, expression="a || b"),
        online=True,
        last_update_timestamp=timestamp_of(1_700_000_000_123),
        message_model=admin.CLUSTERING,
        subscription_consistency=True,
    )
    member(tester, "other", "another", Filter("a = 1", FilterType.SQL92), model=MessageModel.BROADCASTING)
    another, first = done(tester, "ListSubscription", admin.ListSubscriptionRequest(topic=TOPIC)).subscription_info
    assert first == now and another.group.name == "another" and another.message_model == admin.BROADCASTING
    assert another.expression == v2.FilterExpression(type=v2.SQL, expression="a = 1")
    both = admin.ListSubscriptionRequest(topic=TOPIC, group=GROUP)
    assert list(done(tester, "ListSubscription", both).subscription_info) == [now]
    refused(tester, "ListSubscription", admin.ListSubscriptionRequest(), v2.BAD_REQUEST, "a topic, a group")
    unknown = admin.ListSubscriptionRequest(group=v2.Resource(name="unknown"))
    refused(tester, "ListSubscription", unknown, v2.CONSUMER_GROUP_NOT_FOUND, "unknown")


def test_members_that_do_not_agree_are_told_apart(tester: Tester) -> None:
    member(tester, "one", wanted=Filter("a"))
    member(tester, "two", wanted=Filter("b"))
    (found,) = done(tester, "ListSubscription", admin.ListSubscriptionRequest(group=GROUP)).subscription_info
    assert found.online and not found.subscription_consistency
    told = done(tester, "DescribeSubscription", admin.DescribeSubscriptionRequest(group=GROUP, topic=TOPIC))
    assert [
        (one.client_info.client_id, one.subscription_info.expression.expression) for one in told.client_subscription_info
    ] == [("one", "a"), ("two", "b")]
    assert not any(one.subscription_info.subscription_consistency for one in told.client_subscription_info)


def test_a_client_that_never_said_what_it_wants(tester: Tester) -> None:
    send(tester, "x")
    member(tester)
    tester.world.execute(tester.connection, PullMessages("group", "topic", 0, 0, filter=Filter()))
    told = done(tester, "DescribeSubscription", admin.DescribeSubscriptionRequest(topic=TOPIC))
    known, unknown = told.client_subscription_info
    assert known.subscription_info.online and not unknown.HasField("subscription_info")
    # What one of them wants is not known, so nobody can say that they agree.
    assert not known.subscription_info.subscription_consistency


# How far they are.


def accumulation(tester: Tester, **more: Any) -> Any:
    return done(tester, "DescribeGroupAccumulation", admin.DescribeGroupAccumulationRequest(group=GROUP, **more))


def test_accumulation_of_a_group_that_receives(tester: Tester) -> None:
    for number in range(5):
        send(tester, str(number))
    tester.world.execute(tester.connection, ReceiveMessages("group", "topic", max_messages=2))
    tester.world.advance(3)
    found = accumulation(tester, topics=[TOPIC])
    whole = found.accumulation
    assert (whole.accumulation, whole.inflight_messages, whole.ready_messages) == (5, 2, 3)
    assert whole.last_consume_timestamp > 0 and not whole.HasField("deliver_delay_time")
    of_topic = found.topic_accumulation["topic"]
    assert of_topic.ready_messages == 3 and of_topic.deliver_delay_time.seconds == 3
    assert not accumulation(tester).topic_accumulation


def test_what_is_not_known_of_a_group_that_pulls_is_not_0(tester: Tester) -> None:
    send(tester, "x")
    send(tester, "y")
    member(tester)
    tester.world.execute(tester.connection, UpdateConsumerOffset("group", "topic", 0, 0))
    whole = accumulation(tester).accumulation
    assert (whole.accumulation, whole.inflight_messages, whole.ready_messages) == (2, -1, -1)
    assert whole.last_consume_timestamp == -1


def test_accumulation_that_is_refused(tester: Tester) -> None:
    name = "DescribeGroupAccumulation"
    refused(tester, name, admin.DescribeGroupAccumulationRequest(group=GROUP), v2.CONSUMER_GROUP_NOT_FOUND, "group")
    many = admin.DescribeGroupAccumulationRequest(group=GROUP, topics=[TOPIC] * 65)
    refused(tester, name, many, v2.BAD_REQUEST, "at most 64")
    lite = admin.DescribeGroupAccumulationRequest(group=GROUP, lite_topic="a b")
    member(tester)
    refused(tester, name, lite, v2.ILLEGAL_LITE_TOPIC, "lite topic")


def test_accumulation_at_a_lite_topic(tester: Tester) -> None:
    settings = v2.Settings(
        client_type=v2.LITE_PUSH_CONSUMER,
        subscription=v2.Subscription(group=GROUP, subscriptions=[v2.SubscriptionEntry(topic=TOPIC)]),
    )
    tester.start("Telemetry", service.TelemetryCommand(settings=settings), metadata())
    request = service.SyncLiteSubscriptionRequest(
        action=v2.COMPLETE_ADD, topic=TOPIC, group=GROUP, lite_topic_set=["east"]
    )
    tester.call("SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse, metadata())
    for body in ("x", "y"):
        lite_message(tester, "east", body)
    tester.world.advance(2)
    found = accumulation(tester, lite_topic="east").lite_topic_accumulation["east"]
    assert found.accumulation == 2 and found.deliver_delay_time.seconds == 2
    gone = admin.DescribeGroupAccumulationRequest(group=GROUP, lite_topic="west")
    refused(tester, "DescribeGroupAccumulation", gone, v2.NOT_FOUND, "west")


def test_time_spans(tester: Tester) -> None:
    first = tester.world.wall_ms
    send(tester, "x")
    tester.world.advance(1)
    second = tester.world.wall_ms
    send(tester, "y")
    tester.world.execute(tester.connection, UpdateConsumerOffset("group", "topic", 0, 1))
    tester.world.advance(1)
    request = admin.QueryTimeSpanRequest(group=GROUP)
    (span,) = done(tester, "QueryTimeSpan", request).queue_time_span_list
    assert span.message_queue.topic == TOPIC and span.message_queue.broker.name == "rmqgateway"
    assert (span.min_timestamp, span.max_timestamp, span.consume_timestamp) == (first, second, first)
    assert span.delay_time_ms == 1000
    tester.world.execute(tester.connection, CreateTopics((TopicConfig("empty", 1, 1),)))
    request.topics.add(name="empty")
    (span,) = done(tester, "QueryTimeSpan", request).queue_time_span_list
    assert (span.min_timestamp, span.max_timestamp, span.consume_timestamp, span.delay_time_ms) == (-1, -1, -1, 0)
    request.topics[0].name = "none"
    refused(tester, "QueryTimeSpan", request, v2.TOPIC_NOT_FOUND, "none")


# One consumer.


def asked(tester: Tester, session: TestSession, event: type[Any], body: bytes, code: int = 0, remark: str = "") -> Any:
    (found,) = [one for one in session.events if isinstance(one, event)]
    session.events.remove(found)
    tester.world.execute(session, AnswerRelay(found.relay_id, code, remark, body))
    tester.world.settle()
    return found


def test_running_information(tester: Tester) -> None:
    session = member(tester)
    request = admin.GetConsumerRunningInfoRequest(group=GROUP, client_id="member")
    rpc = start(tester, "GetConsumerRunningInfo", request)
    queue = MessageQueue("broker", 3, "topic")
    body = ConsumerRunningInfo(
        properties={"PROP_CONSUMEORDERLY": False, "PROP_THREADPOOL_CORE_SIZE": 20, "name": "x"},
        mq_table={queue: ProcessQueueInfo(commit_offset=7, cached_msg_count=2, locked=True, last_pull_timestamp=1 << 70)},
        mq_pop_table={queue: PopProcessQueueInfo(wait_ack_count=4)},
        status_table={"topic": ConsumeStatus(consume_ok_tps=1.5, consume_failed_msgs=3)},
        subscription_set=[SubscriptionData(topic="topic", sub_string="a", expression_type="SQL92")],
    )
    assert not asked(tester, session, RunningInformationAsked, encode_body(body)).with_stack
    found = answer("GetConsumerRunningInfo", rpc).consumer_running_info
    assert found.properties == {"PROP_CONSUMEORDERLY": "false", "PROP_THREADPOOL_CORE_SIZE": "20", "name": "x"}
    pulled, popped = found.message_queue_table
    assert pulled.message_queue.broker.name == "broker" and pulled.message_queue.id == 3
    held = pulled.process_queue_info
    assert held.commit_offset == 7 and held.cached_msg_count == 2 and held.locked and held.last_pull_timestamp == -1
    assert popped.process_queue_info.cached_msg_count == 4 and popped.process_queue_info.commit_offset == -1
    status = found.consume_status_table["topic"]
    assert status.consume_ok_tps == 1.5 and status.consume_failed_msgs == 3
    assert found.subscriptions["topic"] == v2.FilterExpression(type=v2.SQL, expression="a")


@pytest.mark.parametrize(("body", "code", "text"), [(b"{", 0, "cannot be read"), (b"", 13, "its error 13: no")])
def test_answers_of_clients_that_are_none(tester: Tester, body: bytes, code: int, text: str) -> None:
    session = member(tester)
    rpc = start(tester, "GetConsumerRunningInfo", admin.GetConsumerRunningInfoRequest(group=GROUP, client_id="member"))
    asked(tester, session, RunningInformationAsked, body, code, "no" if code else "")
    status = answer("GetConsumerRunningInfo", rpc).status
    assert status.code == v2.INTERNAL_ERROR and text in status.message


def test_clients_that_are_not_there(tester: Tester) -> None:
    send(tester, "x")
    member(tester)
    gone = {"group": GROUP, "client_id": "gone"}
    refused(tester, "GetConsumerRunningInfo", admin.GetConsumerRunningInfoRequest(**gone), v2.NOT_FOUND, "connected")
    refused(tester, "PrintThreadStackTrace", admin.PrintThreadStackTraceRequest(**gone), v2.NOT_FOUND, "connected")
    verify = admin.VerifyMessageRequest(**gone, topic=TOPIC, message_id="ID-x")
    refused(tester, "VerifyMessage", verify, v2.NOT_FOUND, "connected")
    nobody = admin.PrintThreadStackTraceRequest(group=GROUP)
    refused(tester, "PrintThreadStackTrace", nobody, v2.BAD_REQUEST, "client_id")


def test_the_stack_of_a_grpc_client(tester: Tester) -> None:
    settings = v2.Settings(
        client_type=v2.PUSH_CONSUMER,
        subscription=v2.Subscription(
            group=GROUP,
            subscriptions=[v2.SubscriptionEntry(topic=TOPIC, expression=v2.FilterExpression(type=v2.TAG, expression="*"))],
        ),
    )
    stream = tester.start("Telemetry", service.TelemetryCommand(settings=settings), metadata())
    request = admin.PrintThreadStackTraceRequest(group=GROUP, client_id="client-1")
    rpc = start(tester, "PrintThreadStackTrace", request)
    assert rpc.status is None
    command = service.TelemetryCommand.FromString(stream.messages[-1])
    trace = service.ThreadStackTrace(
        nonce=command.print_thread_stack_trace_command.nonce, thread_stack_trace="main: waiting"
    )
    stream.message(service.TelemetryCommand(status=v2.Status(code=v2.OK), thread_stack_trace=trace).SerializeToString())
    tester.world.settle()
    assert answer("PrintThreadStackTrace", rpc).thread_stack_trace == "main: waiting"
    # The API has no words for other running information: what the client has reported is told.
    other = admin.GetConsumerRunningInfoRequest(group=GROUP, client_id="client-1")
    assert done(tester, "GetConsumerRunningInfo", other).consumer_running_info.properties["language"] == "JAVA"


@pytest.mark.parametrize(
    ("result", "code"), [("CR_SUCCESS", v2.OK), ("CR_LATER", v2.FAILED_TO_CONSUME_MESSAGE), (None, v2.FAILED_TO_CONSUME_MESSAGE)]
)
def test_a_message_is_verified_by_a_client(tester: Tester, result: str | None, code: Any) -> None:
    sent = send(tester, "x")
    session = member(tester)
    for message_id in ("ID-x", encode_offset_message_id(host_bytes("10.0.0.1", 10911), sent.physical_offset)):
        request = admin.VerifyMessageRequest(group=GROUP, topic=TOPIC, client_id="member", message_id=message_id)
        rpc = start(tester, "VerifyMessage", request)
        body = encode_body(ConsumeMessageDirectlyResult(consume_result=result, remark="said so"))
        event = asked(tester, session, ConsumeMessageDirectly, body)
        assert b"ID-x" in event.message
        status = answer("VerifyMessage", rpc).status
        assert status.code == code and (code == v2.OK or (result or "nothing") in status.message)


# Topics.


def test_the_status_of_a_topic(tester: Tester) -> None:
    typed = TopicConfig("typed", message_type=MessageType.FIFO, attributes={"message.type": "FIFO", "note": "mine"})
    tester.world.execute(tester.connection, CreateTopics((typed,)))
    found = done(tester, "DescribeTopicStatus", admin.DescribeTopicStatusRequest(topic=v2.Resource(name="typed")))
    assert found.topic_message_type == v2.FIFO and found.tags["note"] == "mine"
    assert not found.HasField("description") and not found.HasField("create_timestamp")
    found = done(tester, "DescribeTopicStatus", admin.DescribeTopicStatusRequest(topic=TOPIC))
    assert found.topic_message_type == v2.MESSAGE_TYPE_UNSPECIFIED
    none = admin.DescribeTopicStatusRequest(topic=v2.Resource(name="none"))
    refused(tester, "DescribeTopicStatus", none, v2.TOPIC_NOT_FOUND, "none")


def test_the_route_of_a_topic_is_that_of_remoting(tester: Tester) -> None:
    request = admin.GetTopicRouteRequest(topic=TOPIC, network_type=admin.GetTopicRouteRequest.INTRANET, protocol_type="grpc")
    route = json.loads(done(tester, "GetTopicRoute", request).topic_route_data)
    (broker,) = route["brokerDatas"]
    assert broker["brokerAddrs"] == {"0": "gateway.example:8081"}
    assert route["queueDatas"][0]["readQueueNums"] == 1 and route["queueDatas"][0]["perm"] == 6
    # Asking makes no topic.
    request.topic.name = "none"
    refused(tester, "GetTopicRoute", request, v2.TOPIC_NOT_FOUND, "none")


# What changes something.


def test_a_test_message_is_sent(tester: Tester) -> None:
    request = admin.AdminSendMessageRequest(
        topic=TOPIC, tag="a", key="k1", body=b"hello", user_properties={"who": "me"}, ext_info={"protocol_type": "REMOTING"}
    )
    sent = done(tester, "AdminSendMessage", request)
    found = done(tester, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, message_id=sent.message_id))
    (message,) = found.messages
    assert message.body == b"hello" and message.user_properties == {"who": "me"}
    assert message.system_properties.tag == "a" and list(message.system_properties.keys) == ["k1"]
    request.system_properties.message_group = "orders"
    request.system_properties.message_id = "MINE"
    assert done(tester, "AdminSendMessage", request).message_id == "MINE"
    del request.user_properties["who"]
    request.user_properties["KEYS"] = "x"
    refused(tester, "AdminSendMessage", request, v2.ILLEGAL_MESSAGE_PROPERTY_KEY, "KEYS")
    half = admin.AdminSendMessageRequest(topic=TOPIC, body=b"x")
    half.system_properties.message_type = v2.TRANSACTION
    refused(tester, "AdminSendMessage", half, v2.UNSUPPORTED, "transaction")
    refused(tester, "AdminSendMessage", admin.AdminSendMessageRequest(topic=TOPIC), v2.MESSAGE_BODY_EMPTY, "empty")


def offset(tester: Tester) -> int:
    command = GetConsumerOffset("group", "topic", 0, zero_if_new=False)
    found: int = tester.world.execute(tester.connection, command).offset
    return found


def test_a_groups_offsets_are_reset(tester: Tester) -> None:
    for body in ("x", "y", "z"):
        send(tester, body)
        tester.world.advance(1)
    tester.world.execute(tester.connection, UpdateConsumerOffset("group", "topic", 0, 3))
    request = admin.ResetGroupOffsetRequest(group=GROUP, topic=TOPIC)
    request.reset_timestamp.CopyFrom(timestamp_of(tester.world.wall_ms - 2000))
    done(tester, "ResetGroupOffset", request)
    assert offset(tester) == 1
    request.ClearField("reset_timestamp")
    refused(tester, "ResetGroupOffset", request, v2.BAD_REQUEST, "reset_timestamp")
    assert offset(tester) == 1


def test_a_subscription_is_deleted(tester: Tester) -> None:
    send(tester, "x")
    session = member(tester)
    tester.world.execute(tester.connection, UpdateConsumerOffset("group", "topic", 0, 1))
    request = admin.DeleteSubscriptionRequest(group=GROUP, topic=TOPIC)
    refused(tester, "DeleteSubscription", request, v2.BAD_REQUEST, "connected")
    assert offset(tester) == 1
    session.session.end()
    done(tester, "DeleteSubscription", request)
    with pytest.raises(GatewayError) as caught:
        offset(tester)
    assert caught.value.code is Code.OFFSET_NOT_FOUND
    # Once more: nothing is left of it.
    done(tester, "DeleteSubscription", request)
    assert not done(tester, "ListSubscription", admin.ListSubscriptionRequest(group=GROUP, topic=TOPIC)).subscription_info
    request.group.name = "none"
    refused(tester, "DeleteSubscription", request, v2.CONSUMER_GROUP_NOT_FOUND, "none")


def test_what_was_received_of_a_deleted_subscription_comes_again(tester: Tester) -> None:
    send(tester, "x")
    session = tester.world.session()
    receive = ReceiveMessages("group", "topic", max_messages=5)
    assert len(tester.world.execute(session, receive).messages) == 1
    session.session.end()
    done(tester, "DeleteSubscription", admin.DeleteSubscriptionRequest(group=GROUP, topic=TOPIC))
    later = tester.world.session()
    (again,) = tester.world.execute(later, receive).messages
    assert again.delivery_attempt == 1
    # And so it is after a restart.
    world = tester.world.restart()
    assert not world.execute(world.session(), receive).messages


# The process.


def test_what_the_process_does(tester: Tester) -> None:
    member(tester)
    tester.world.execute(tester.connection, Heartbeat("p", "JAVA", "V5_5_0", ("producers", "others")))
    found = done(tester, "GetProxyRuntimeStats", admin.GetProxyRuntimeStatsRequest())
    assert found.version and (found.connections, found.producers, found.consumers) == (2, 1, 0)
    assert found.in_tps >= 0 and found.out_tps >= 0
    tester.world.execute(tester.connection, ReceiveMessages("group2", "topic"))
    assert done(tester, "GetProxyRuntimeStats", admin.GetProxyRuntimeStatsRequest()).consumers == 1


# Namespaces.


def test_names_of_a_namespace(tester: Tester) -> None:
    fields = {b"x-mq-namespace": b"ns"}
    topic, group = (v2.Resource(resource_namespace="ns", name=name) for name in ("topic", "group"))
    sent = start(tester, "AdminSendMessage", admin.AdminSendMessageRequest(topic=TOPIC, key="k", body=b"x"), fields)
    assert answer("AdminSendMessage", sent).status.code == v2.OK
    found = start(tester, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, message_key="k"), fields)
    (message,) = answer("QueryMessage", found).messages
    assert message.topic == topic
    tester.world.execute(tester.connection, ReceiveMessages("ns%group", "ns%topic"))
    listed = start(tester, "ListSubscription", admin.ListSubscriptionRequest(group=GROUP), fields)
    (info,) = answer("ListSubscription", listed).subscription_info
    assert info.group == group and info.topic == topic
    told = start(tester, "DescribeGroupAccumulation", admin.DescribeGroupAccumulationRequest(group=GROUP, topics=[TOPIC]), fields)
    assert MessageToDict(answer("DescribeGroupAccumulation", told))["topicAccumulation"].keys() == {"topic"}
