"""The Admin service over gRPC and gRPC-web, in real bytes: every call, what reflection tells of it, who may call what."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from rmqgateway import commands as c
from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.convert_base import timestamp_of
from rmqgateway.events import ConsumeMessageDirectly, RunningInformationAsked
from rmqgateway.message import Filter, Message, MessageType
from rmqgateway.testing import TestSession, World
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway.wire.message_id import encode_offset_message_id, host_bytes
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway_grpc.descriptors import REFLECTION, classes_of
from tests.contract.driver import Pending
from tests.contract.driver_grpc import GrpcDriver, GrpcWebDriver

ADMIN = "/apache.rocketmq.v2.Admin/"
TOPIC = v2.Resource(name="T")
GROUP = v2.Resource(name="G")
_MEMBER: dict[str, Any] = {"group": GROUP, "client_id": "member"}
#: By call, with what it is asked here.
REQUESTS: dict[str, Any] = {
    "DescribeTopicStatus": admin.DescribeTopicStatusRequest(topic=TOPIC),
    "GetTopicRoute": admin.GetTopicRouteRequest(topic=TOPIC),
    "QueryMessage": admin.ListMessageRequest(topic=TOPIC, subscription="*"),
    "ListConsumerConnection": admin.ListConsumerConnectionRequest(group=GROUP),
    "ListSubscription": admin.ListSubscriptionRequest(group=GROUP),
    "DescribeSubscription": admin.DescribeSubscriptionRequest(topic=TOPIC),
    "DescribeGroupAccumulation": admin.DescribeGroupAccumulationRequest(group=GROUP, topics=[TOPIC]),
    "QueryTimeSpan": admin.QueryTimeSpanRequest(group=GROUP, topics=[TOPIC]),
    "GetConsumerRunningInfo": admin.GetConsumerRunningInfoRequest(**_MEMBER),
    "PrintThreadStackTrace": admin.PrintThreadStackTraceRequest(**_MEMBER),
    "VerifyMessage": admin.VerifyMessageRequest(**_MEMBER, topic=TOPIC, message_id="ID"),
    "GetProxyRuntimeStats": admin.GetProxyRuntimeStatsRequest(),
    "AdminSendMessage": admin.AdminSendMessageRequest(topic=TOPIC, body=b"x"),
    "ResetGroupOffset": admin.ResetGroupOffsetRequest(group=GROUP, topic=TOPIC, reset_timestamp=timestamp_of(1)),
    "DeleteSubscription": admin.DeleteSubscriptionRequest(group=GROUP, topic=TOPIC),
}
#: What those who may consume a topic in a group may ask about it.
FOR_CONSUMERS = {"GetTopicRoute"}


class _Signed:
    """In somebody's name, or in nobody's: administrators send no client id."""

    world: World
    who: tuple[str, str] | None = None

    def _metadata(self) -> list[tuple[bytes, bytes]]:
        if self.who is None:
            return []
        date = datetime.fromtimestamp(self.world.wall_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        name, secret = self.who
        signature = hmac.digest(secret.encode(), date.encode(), "sha1").hex().upper()
        words = f"MQv2-HMAC-SHA1 Credential={name}, SignedHeaders=x-mq-date-time, Signature={signature}"
        return [(b"x-mq-date-time", date.encode()), (b"authorization", words.encode())]


class Grpc(_Signed, GrpcDriver):
    pass


class GrpcWeb(_Signed, GrpcWebDriver):
    pass


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=[Grpc, GrpcWeb], ids=["grpc", "grpcweb"])
def client(request: pytest.FixtureRequest, world: World) -> Any:
    return request.param(world)


def start(client: Any, name: str, request: Any) -> Pending[Any]:
    what = "ListMessage" if name == "QueryMessage" else name
    return Pending(client.world, client._stream(ADMIN + name, request, getattr(admin, f"{what}Response")))


def call(client: Any, name: str, request: Any = None) -> Any:
    (found,) = start(client, name, REQUESTS[name] if request is None else request).answer()
    return found


def scene(world: World, session: TestSession) -> TestSession:
    """A topic with a message, a group with a member that has consumed nothing."""
    world.execute(session, c.CreateTopics((c.TopicConfig("T", 1, 1),)))
    world.execute(session, c.CreateGroups((c.GroupConfig("G"),)))
    member = world.session()
    member.credential = session.credential
    consumer = c.Consumer("G", subscriptions=(c.Subscribed("T", Filter("*"), 1_700_000_000_000),))
    world.execute(member, c.Heartbeat("member", "JAVA", "V5_5_0", (), (consumer,)))
    return member


def answered(client: Any, member: TestSession, name: str, event: type[Any], body: bytes) -> Any:
    """The response to a call about which the member is asked."""
    pending = start(client, name, REQUESTS[name])
    assert not pending.done
    (asked,) = [one for one in member.events if isinstance(one, event)]
    client.world.execute(member, c.AnswerRelay(asked.relay_id, body=body))
    member.events.clear()
    (found,) = pending.answer()
    return found


def test_every_call(client: Any, world: World) -> None:
    assert {*REQUESTS, "ChangeLogLevel"} == {one.name for one in admin.DESCRIPTOR.services_by_name["Admin"].methods}
    member = scene(world, world.session())
    send = admin.AdminSendMessageRequest(topic=TOPIC, tag="a", key="k", body=b"hello", user_properties={"who": "me"})
    send.system_properties.message_id = "ID"
    assert call(client, "AdminSendMessage", send).message_id == "ID"
    for search in ({"message_id": "ID"}, {"message_key": "k"}, {"subscription": "a"}):
        (found,) = call(client, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, **search)).messages
        assert found.body == b"hello" and found.user_properties == {"who": "me"} and found.topic == TOPIC
    assert call(client, "DescribeTopicStatus").topic_message_type == v2.NORMAL
    assert json.loads(call(client, "GetTopicRoute").topic_route_data)["queueDatas"][0]["writeQueueNums"] == 1
    assert call(client, "ListConsumerConnection").client_info[0].client_id == "member"
    (known,) = call(client, "ListSubscription").subscription_info
    assert known.online and known.subscription_consistency and known.message_model == admin.CLUSTERING
    (of_client,) = call(client, "DescribeSubscription").client_subscription_info
    assert of_client.client_info.client_id == "member" and of_client.subscription_info == known
    world.execute(world.session(), c.UpdateConsumerOffset("G", "T", 0, 0))
    told = call(client, "DescribeGroupAccumulation")
    assert told.accumulation.accumulation == told.topic_accumulation["T"].accumulation == 1
    assert told.accumulation.inflight_messages == -1
    assert call(client, "QueryTimeSpan").queue_time_span_list[0].min_timestamp == world.wall_ms
    assert call(client, "GetProxyRuntimeStats").connections >= 1

    running = answered(client, member, "GetConsumerRunningInfo", RunningInformationAsked, b'{"properties":{"a":"b"}}')
    assert running.consumer_running_info.properties == {"a": "b"}
    stack = answered(client, member, "PrintThreadStackTrace", RunningInformationAsked, b'{"jstack":"main"}')
    assert stack.thread_stack_trace == "main"
    result = answered(client, member, "VerifyMessage", ConsumeMessageDirectly, b'{"consumeResult":"CR_SUCCESS"}')
    assert result.status.code == v2.OK

    world.execute(world.session(), c.UpdateConsumerOffset("G", "T", 0, 1))
    assert call(client, "ResetGroupOffset").status.code == v2.OK
    assert world.execute(world.session(), c.GetConsumerOffset("G", "T", 0)).offset == 0
    assert call(client, "DeleteSubscription").status.code == v2.BAD_REQUEST  # the member is there
    member.session.end()
    assert call(client, "DeleteSubscription").status.code == v2.OK
    assert not call(client, "ListSubscription").subscription_info


def test_the_log_level_is_refused_by_name(client: Any) -> None:
    look = client._start(ADMIN + "ChangeLogLevel", admin.ChangeLogLevelRequest(level=admin.ChangeLogLevelRequest.DEBUG))
    client.world.settle()
    ended = look()
    assert ended.status == GrpcStatus.PERMISSION_DENIED and "ChangeLogLevel" in ended.text


def test_reflection_tells_enough_to_call_it(world: World) -> None:
    """As grpcurl does it: message classes made of nothing but what the gateway answers."""
    client = Grpc(world)
    scene(world, world.session())
    classes = classes_of(REFLECTION["v1"])
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

    def ask(**what: str) -> Any:
        request = classes["ServerReflectionRequest"](**what)
        (found,) = Pending(world, client._stream(path, request, classes["ServerReflectionResponse"])).answer()
        return found

    services = {one.name for one in ask(list_services="*").list_services_response.service}
    assert "apache.rocketmq.v2.Admin" in services
    pool = descriptor_pool.DescriptorPool()
    files = ask(file_containing_symbol="apache.rocketmq.v2.Admin").file_descriptor_response.file_descriptor_proto
    for data in reversed(files):
        pool.AddSerializedFile(data)
    service = pool.FindServiceByName("apache.rocketmq.v2.Admin")
    assert len(service.methods) == 16
    for one in service.methods:
        own = ask(file_containing_symbol=one.full_name).file_descriptor_response.file_descriptor_proto[0]
        assert descriptor_pb2.FileDescriptorProto.FromString(own).name == "apache/rocketmq/v2/admin.proto"
    method = service.FindMethodByName("ListConsumerConnection")
    request = message_factory.GetMessageClass(method.input_type)()
    request.group.name = "G"
    response = message_factory.GetMessageClass(method.output_type)
    (found,) = Pending(world, client._stream(ADMIN + method.name, request, response)).answer()
    assert found.status.code == 20000 and found.client_info[0].client_id == "member"


# Who may call what.

_POLICIES = {
    "consumer": (c.PolicyEntry("Topic:T", ("Sub",)), c.PolicyEntry("Group:G", ("Sub",))),
    "operator": (
        c.PolicyEntry("Topic:T", ("Pub", "Get", "Update", "Delete")),
        c.PolicyEntry("Group:G", ("Get", "Update", "Delete")),
        c.PolicyEntry("Cluster:*", ("Get",)),
    ),
    "stranger": (c.PolicyEntry("Topic:other", ("All",)), c.PolicyEntry("Group:other", ("All",))),
}


@pytest.fixture
def guarded(world: World) -> TestSession:
    root = world.session()
    world.execute(root, c.CreateUser("root", "r00t", c.UserType.SUPER))
    root.sign_in("root", "r00t")
    for name, entries in _POLICIES.items():
        world.execute(root, c.CreateUser(name, "secret"))
        world.execute(root, c.CreateAcl(f"User:{name}", (c.Policy(entries=entries),)))
    member = scene(world, root)
    member.takes_events = False  # what asks it ends at once
    world.execute(root, c.SendMessages("T", (message("ID"),)))
    return root


def message(unique_key: str) -> Message:
    return Message(b"x", encode_properties({"UNIQ_KEY": unique_key}), 0)


@pytest.mark.parametrize("name", REQUESTS)
def test_who_may_call_what(client: Any, guarded: TestSession, name: str) -> None:
    assert call(client, name).status.code == v2.UNAUTHORIZED
    client.who = ("operator", "guess")
    assert call(client, name).status.code == v2.UNAUTHORIZED
    for user in ("stranger", "consumer"):
        client.who = (user, "secret")
        status = call(client, name).status
        if user == "consumer" and name in FOR_CONSUMERS:
            assert status.code == v2.OK
        else:
            assert status.code == v2.FORBIDDEN and f"User:{user}" in status.message, status
    client.who = ("operator", "secret")
    status = call(client, name).status
    if name in ("GetConsumerRunningInfo", "PrintThreadStackTrace", "VerifyMessage"):
        assert status.code == v2.NOT_FOUND and "cannot be asked" in status.message
    elif name == "DeleteSubscription":
        assert status.code == v2.BAD_REQUEST and "connected" in status.message
    else:
        assert status.code == v2.OK, status


def test_messages_of_another_topic_are_nobodys_by_their_place(client: Any, guarded: TestSession, world: World) -> None:
    """Who may read one topic gives the id of a place where another's message is."""
    world.execute(guarded, c.CreateTopics((c.TopicConfig("hidden", 1, 1),)))
    sent = world.execute(guarded, c.SendMessages("hidden", (message("HIDDEN"),))).results[0]
    place = encode_offset_message_id(host_bytes("127.0.0.1", 10911), sent.physical_offset)
    client.who = ("operator", "secret")
    status = call(client, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, message_id=place)).status
    assert status.code == v2.FORBIDDEN
    client.who = ("root", "r00t")
    status = call(client, "QueryMessage", admin.ListMessageRequest(topic=TOPIC, message_id=place)).status
    assert status.code == v2.MESSAGE_NOT_FOUND


def test_lite_topics_are_those_of_their_parent(client: Any, guarded: TestSession, world: World) -> None:
    world.execute(guarded, c.DeleteTopic("T"))
    world.execute(guarded, c.CreateTopics((c.TopicConfig("T", 1, 1, message_type=MessageType.LITE),)))
    client.who = ("operator", "secret")
    send = admin.AdminSendMessageRequest(topic=TOPIC, body=b"lite")
    send.system_properties.lite_topic = "east"
    send.system_properties.message_type = v2.LITE
    assert call(client, "AdminSendMessage", send).status.code == v2.OK
    search = admin.ListMessageRequest(topic=TOPIC, lite_topic="east")
    (found,) = call(client, "QueryMessage", search).messages
    assert found.body == b"lite" and found.system_properties.lite_topic == "east"
    client.who = ("stranger", "secret")
    assert call(client, "QueryMessage", search).status.code == v2.FORBIDDEN
