"""Lite topics over the API: settings, SyncLiteSubscription, receiving, settling."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.commands import CreateGroups, CreateTopics, GroupConfig, TopicConfig
from rmqgateway.message import MessageType
from rmqgateway.wire.grpc_framing import GrpcStatus
from tests.unit.apis.fakes import FakeRpc, Tester, metadata
from tests.unit.apis.test_service import receive, send

TOPIC = v2.Resource(name="topic")
GROUP = v2.Resource(name="group")


@pytest.fixture
def tester() -> Tester:
    made = Tester()
    made.world.execute(made.connection, CreateTopics((TopicConfig("topic", 2, 2, message_type=MessageType.LITE),)))
    return made


def connect(tester: Tester, client_id: str = "client-1") -> tuple[FakeRpc, v2.Settings]:
    """A lite push consumer's telemetry stream, and what it is told."""
    subscription = v2.Subscription(group=GROUP, subscriptions=[v2.SubscriptionEntry(topic=TOPIC)])
    settings = v2.Settings(client_type=v2.LITE_PUSH_CONSUMER, subscription=subscription)
    rpc = tester.start("Telemetry", service.TelemetryCommand(settings=settings), metadata(client_id))
    return rpc, service.TelemetryCommand.FromString(rpc.messages[0]).settings


def sync(tester: Tester, action: str, *names: str, client_id: str = "client-1", **more: Any) -> v2.Status:
    request = service.SyncLiteSubscriptionRequest(
        action=action, topic=TOPIC, group=GROUP, lite_topic_set=names, **more
    )
    response = tester.call(
        "SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse, metadata(client_id)
    )
    return response.status


def bodies(messages: list[v2.Message]) -> list[str]:
    return sorted(message.body.decode() for message in messages)


@pytest.mark.parametrize(
    ("attribute", "quota"), [("", 2000), ("7", 7), ("no", 2000), ("-1", 2000), ("9" * 12, 2**31 - 1)]
)
def test_settings_tell_the_quota(tester: Tester, attribute: str, quota: int) -> None:
    attributes = {"lite.sub.client.quota": attribute} if attribute else {}
    tester.world.execute(tester.connection, CreateGroups((GroupConfig("group", attributes=attributes),)))
    _, told = connect(tester)
    assert told.subscription.lite_subscription_quota == quota
    assert told.subscription.max_lite_topic_size == 64


def test_partial_complete_and_unsubscribe(tester: Tester) -> None:
    connect(tester)
    assert sync(tester, "PARTIAL_ADD", "a", "b").code == v2.OK
    for name in "abc":
        send(tester, name.encode(), lite_topic=name)
    messages = receive(tester)
    assert bodies(messages) == ["a", "b"]
    assert {message.system_properties.lite_topic for message in messages} == {"a", "b"}
    assert {message.system_properties.message_type for message in messages} == {v2.LITE}
    # Of several lite topics in one request, each named by its entry.
    entries = [
        service.AckMessageEntry(
            message_id=message.system_properties.message_id,
            receipt_handle=message.system_properties.receipt_handle,
            lite_topic=message.system_properties.lite_topic,
        )
        for message in messages
    ]
    request = service.AckMessageRequest(group=GROUP, topic=TOPIC, entries=entries)
    answer = tester.call("AckMessage", request, service.AckMessageResponse)
    assert answer.status.code == v2.OK and [entry.status.code for entry in answer.entries] == [v2.OK, v2.OK]
    tester.world.advance(31)
    assert receive(tester) == []
    assert sync(tester, "COMPLETE_ADD", "c", version=3).code == v2.OK
    assert sync(tester, "COMPLETE_ADD", "a", version=2).code == v2.OK  # overtaken
    assert bodies(receive(tester)) == ["c"]
    assert sync(tester, "PARTIAL_REMOVE", "c").code == v2.OK
    send(tester, b"late", lite_topic="c")
    assert receive(tester) == []
    assert sync(tester, "PARTIAL_ADD", "c").code == v2.OK
    assert bodies(receive(tester)) == ["late"]
    assert sync(tester, "COMPLETE_REMOVE").code == v2.OK
    assert receive(tester) == []


def test_change_of_the_invisible_duration_and_dead_letter(tester: Tester) -> None:
    connect(tester)
    sync(tester, "PARTIAL_ADD", "a")
    send(tester, b"one", lite_topic="a")
    (message,) = receive(tester)
    system = message.system_properties
    common = {"group": GROUP, "topic": TOPIC, "message_id": system.message_id, "lite_topic": "a"}
    changed = tester.call(
        "ChangeInvisibleDuration",
        service.ChangeInvisibleDurationRequest(receipt_handle=system.receipt_handle, **common),
        service.ChangeInvisibleDurationResponse,
    )
    assert changed.status.code == v2.OK
    (again,) = receive(tester)
    assert again.system_properties.delivery_attempt == 2
    forwarded = tester.call(
        "ForwardMessageToDeadLetterQueue",
        service.ForwardMessageToDeadLetterQueueRequest(
            receipt_handle=again.system_properties.receipt_handle, delivery_attempt=2, max_delivery_attempts=2, **common
        ),
        service.ForwardMessageToDeadLetterQueueResponse,
    )
    assert forwarded.status.code == v2.OK
    tester.world.advance(31)
    assert receive(tester) == []
    assert "%DLQ%group" in tester.world.backend.topics.by_name


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (None, ["2"]),
        (v2.OffsetOption(policy=v2.OffsetOption.LAST), ["2"]),
        (v2.OffsetOption(policy=v2.OffsetOption.MIN), ["0", "1", "2"]),
        (v2.OffsetOption(policy=v2.OffsetOption.MAX), []),
        (v2.OffsetOption(offset=1), ["1", "2"]),
        (v2.OffsetOption(tail_n=1), ["1", "2"]),
        (v2.OffsetOption(timestamp=0), ["0", "1", "2"]),
    ],
)
def test_offset_options(tester: Tester, option: v2.OffsetOption | None, expected: list[str]) -> None:
    connect(tester)
    sync(tester, "PARTIAL_ADD", "a")
    for number in range(2):
        send(tester, b"%d" % number, lite_topic="a")
    entries = [
        service.AckMessageEntry(receipt_handle=message.system_properties.receipt_handle) for message in receive(tester)
    ]
    request = service.AckMessageRequest(group=GROUP, topic=TOPIC, entries=entries)
    tester.call("AckMessage", request, service.AckMessageResponse)
    sync(tester, "COMPLETE_REMOVE")
    send(tester, b"2", lite_topic="a")
    assert sync(tester, "PARTIAL_ADD", "a", offset_option=option).code == v2.OK
    assert bodies(receive(tester)) == expected


def test_a_taken_lite_topic_is_told(tester: Tester) -> None:
    group = GroupConfig("group", attributes={"lite.sub.model": "Exclusive"})
    tester.world.execute(tester.connection, CreateGroups((group,)))
    first, _ = connect(tester)
    connect(tester, "client-2")
    sync(tester, "PARTIAL_ADD", "a")
    sync(tester, "PARTIAL_ADD", "a", client_id="client-2")
    told = service.TelemetryCommand.FromString(first.messages[-1])
    assert told.notify_unsubscribe_lite_command.lite_topic == "a"


def test_the_end_of_the_client_ends_its_subscription(tester: Tester) -> None:
    connect(tester)
    sync(tester, "PARTIAL_ADD", "a")
    assert tester.world.backend.lite.by_client
    tester.call(
        "NotifyClientTermination",
        service.NotifyClientTerminationRequest(group=GROUP),
        service.NotifyClientTerminationResponse,
    )
    assert not tester.world.backend.lite.by_client


def test_refusals(tester: Tester) -> None:
    group = GroupConfig("group", attributes={"lite.sub.client.quota": "2"})
    tester.world.execute(tester.connection, CreateGroups((group,)))
    tester.world.execute(tester.connection, CreateTopics((TopicConfig("plain", 2, 2),)))
    connect(tester)
    refused = sync(tester, "PARTIAL_ADD", "a", "b", "c")
    assert refused.code == v2.LITE_SUBSCRIPTION_QUOTA_EXCEEDED
    assert sync(tester, "PARTIAL_ADD", "a b").code == v2.ILLEGAL_LITE_TOPIC
    assert sync(tester, "PARTIAL_ADD", "a" * 65).code == v2.ILLEGAL_LITE_TOPIC
    for option in (v2.OffsetOption(offset=-1), v2.OffsetOption(policy=77)):  # type: ignore[arg-type]
        assert sync(tester, "PARTIAL_ADD", "a", offset_option=option).code == v2.ILLEGAL_OFFSET
    request = service.SyncLiteSubscriptionRequest(action=99, topic=TOPIC, group=GROUP)  # type: ignore[arg-type]
    answer = tester.call("SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse)
    assert answer.status.code == v2.BAD_REQUEST and "99" in answer.status.message
    request = service.SyncLiteSubscriptionRequest(topic=v2.Resource(name="plain"), group=GROUP, lite_topic_set=["a"])
    answer = tester.call("SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse)
    assert answer.status.code == v2.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE
    broken = tester.start("SyncLiteSubscription", b"\xff\xff")
    assert broken.status is GrpcStatus.INTERNAL
    anonymous = tester.call("SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse, {})
    assert anonymous.status.code == v2.CLIENT_ID_REQUIRED
