"""Calls of the Admin service on a gateway in memory, for its tests."""

from __future__ import annotations

from typing import Any

from rmqgateway.apis.admin import ADMIN_METHODS
from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.service import ADMIN_SERVICE
from rmqgateway.commands import Consumer, CreateTopics, Heartbeat, SendMessages, Subscribed, TopicConfig
from rmqgateway.message import Filter, Message, MessageType
from rmqgateway.testing import TestSession
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway.wire.message_properties import encode_properties
from tests.unit.apis.fakes import FakeRpc, Tester

__all__ = ["GROUP", "TOPIC", "answer", "call", "done", "lite_message", "make_tester", "member", "refused", "send", "start"]

TOPIC = v2.Resource(name="topic")
GROUP = v2.Resource(name="group")


def make_tester() -> Tester:
    """With a topic of one queue."""
    found = Tester()
    found.world.execute(found.connection, CreateTopics((TopicConfig("topic", 1, 1, message_type=MessageType.MIXED),)))
    return found


def start(tester: Tester, name: str, request: Any, fields: dict[bytes, bytes] | None = None) -> FakeRpc:
    method = ADMIN_METHODS[f"/{ADMIN_SERVICE}/{name}"]
    rpc = FakeRpc(tester.api, method, fields or {}, tester.information, tester.connection.session)
    rpc.message(request.SerializeToString())
    tester.world.settle()
    return rpc


def answer(name: str, rpc: FakeRpc) -> Any:
    assert rpc.status is GrpcStatus.OK, (rpc.status, rpc.closed_text)
    what = "ListMessage" if name == "QueryMessage" else name
    return getattr(admin, f"{what}Response").FromString(rpc.messages[0])


def call(tester: Tester, name: str, request: Any) -> Any:
    """A call's response, whatever its status; administrators send no client id."""
    return answer(name, start(tester, name, request))


def done(tester: Tester, name: str, request: Any) -> Any:
    found = call(tester, name, request)
    assert found.status == v2.Status(code=v2.OK, message="OK"), found.status
    return found


def refused(tester: Tester, name: str, request: Any, code: Any, text: str) -> None:
    status = call(tester, name, request).status
    assert status.code == code and text in status.message, status


def send(tester: Tester, body: str, topic: str = "topic", **properties: str) -> Any:
    message = Message(body.encode(), encode_properties({"UNIQ_KEY": f"ID-{body}", **properties}), 0)
    return tester.world.execute(tester.connection, SendMessages(topic, (message,))).results[0]


def member(
    tester: Tester, client_id: str = "member", group: str = "group", wanted: Filter | None = None, **more: Any
) -> TestSession:
    session = tester.world.session()
    subscribed = Subscribed("topic", wanted or Filter("a || b"), 1_700_000_000_123)
    retry = Subscribed(f"%RETRY%{group}", Filter())
    consumer = Consumer(group, subscriptions=(subscribed, retry), **more)
    tester.world.execute(session, Heartbeat(client_id, "JAVA", "V5_5_0", (), (consumer,)))
    return session


def lite_message(tester: Tester, lite: str, body: str) -> None:
    message = v2.Message(
        topic=TOPIC,
        body=body.encode(),
        system_properties=v2.SystemProperties(message_id=f"ID-{body}", lite_topic=lite, message_type=v2.LITE),
    )
    sent = tester.call("SendMessage", service.SendMessageRequest(messages=[message]), service.SendMessageResponse)
    assert sent.status.code == v2.OK
