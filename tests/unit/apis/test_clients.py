"""Settings, heartbeats, telemetry in both directions, clients that come and go, handles that are renewed."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import duration_ms, duration_of
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.commands import (
    ConsumeDirectly,
    CreateGroups,
    GetRunningInformation,
    GroupConfig,
    ListConsumers,
    SendMessages,
)
from rmqgateway.errors import GatewayError
from rmqgateway.message import Message
from rmqgateway.testing import World, result_of
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.consuming import ConsumeMessageDirectlyResult, ConsumerRunningInfo
from rmqgateway.wire.grpc_framing import GrpcStatus
from tests.unit.apis.fakes import FakeRpc, Tester, metadata
from tests.unit.apis.test_service import (
    GROUP,
    TOPIC,
    ack,
    consumer_settings,
    producer_settings,
    receive,
    receive_request,
    report,
    send,
)


@pytest.fixture
def tester() -> Tester:
    return Tester()


def told(rpc: FakeRpc) -> list[service.TelemetryCommand]:
    return [service.TelemetryCommand.FromString(message) for message in rpc.messages]


def heartbeat(tester: Tester, client_id: str = "client-1", group: str = "group") -> Any:
    request = service.HeartbeatRequest(group=v2.Resource(name=group), client_type=v2.PUSH_CONSUMER)
    return tester.call("Heartbeat", request, service.HeartbeatResponse, metadata(client_id))


def members(tester: Tester, group: str = "group") -> tuple[str, ...]:
    try:
        return tester.world.execute(tester.connection, ListConsumers(group)).client_ids
    except GatewayError:
        return ()


# Settings.


def test_a_producer_is_told_how_to_try_again(tester: Tester) -> None:
    rpc = report(tester, producer_settings("topic"))
    (command,) = told(rpc)
    assert command.status.code == v2.OK
    settings = command.settings
    assert settings.client_type == v2.PRODUCER and not settings.metric.on
    assert settings.publishing.validate_message_type and settings.publishing.max_body_size == 4 * 1024 * 1024
    policy = settings.backoff_policy
    assert policy.max_attempts == 3
    growing = policy.exponential_backoff
    assert (duration_ms(growing.initial), duration_ms(growing.max), growing.multiplier) == (10, 1000, 2)


def test_a_consumer_is_told_its_groups_configuration(tester: Tester) -> None:
    tester.world.execute(
        tester.connection,
        CreateGroups((GroupConfig("group", consume_message_orderly=True, retry_max_times=5),)),
    )
    rpc = report(tester, consumer_settings())
    (command,) = told(rpc)
    subscription = command.settings.subscription
    assert subscription.fifo and subscription.receive_batch_size == 32
    assert duration_ms(subscription.long_polling_timeout) == 20_000
    assert duration_ms(command.settings.request_timeout) == 3000
    policy = command.settings.backoff_policy
    assert policy.max_attempts == 6
    ladder = [duration_ms(step) // 1000 for step in policy.customized_backoff.next]
    assert ladder == [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200]
    assert members(tester) == ("client-1",)


@pytest.mark.parametrize(
    ("policy", "first"),
    [
        ('{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[2000,3000]}}', 2000),
        ('{"type":"EXPONENTIAL","exponentialRetryPolicy":{"initial":100,"max":900,"multiplier":3}}', 100),
        ('{"type":"EXPONENTIAL"}', 5000),
        ("no JSON", 1000),
    ],
)
def test_the_groups_own_retry_policy(tester: Tester, policy: str, first: int) -> None:
    tester.world.execute(tester.connection, CreateGroups((GroupConfig("group", retry_policy=policy),)))
    (command,) = told(report(tester, consumer_settings()))
    back_off = command.settings.backoff_policy
    if back_off.WhichOneof("strategy") == "exponential_backoff":
        assert duration_ms(back_off.exponential_backoff.initial) == first
    else:
        assert duration_ms(back_off.customized_backoff.next[0]) == first


@pytest.mark.parametrize(
    ("settings", "status", "text"),
    [
        (v2.Settings(), GrpcStatus.INVALID_ARGUMENT, "there is no publishing or subscription data"),
        (producer_settings("a b"), GrpcStatus.INVALID_ARGUMENT, "illegal characters"),
        (consumer_settings(group=""), GrpcStatus.INVALID_ARGUMENT, "group is blank"),
        (consumer_settings(kind=v2.PRODUCER), GrpcStatus.INVALID_ARGUMENT, "PRODUCER"),
    ],
)
def test_settings_that_are_refused_end_the_stream(
    tester: Tester, settings: v2.Settings, status: GrpcStatus, text: str
) -> None:
    rpc = report(tester, settings)
    assert rpc.status is status and text in rpc.closed_text and not rpc.messages


def test_a_filter_that_does_not_parse_ends_the_stream(tester: Tester) -> None:
    settings = consumer_settings()
    settings.subscription.subscriptions[0].expression.CopyFrom(v2.FilterExpression(type=v2.SQL, expression="a >"))
    rpc = report(tester, settings)
    assert rpc.status is GrpcStatus.INVALID_ARGUMENT and "telemetryCommand failed" in rpc.closed_text


def test_a_client_stays_the_kind_that_it_is(tester: Tester) -> None:
    report(tester, producer_settings("topic"))
    assert report(tester, consumer_settings()).status is GrpcStatus.INVALID_ARGUMENT


def test_the_stream_ends_when_the_client_ends_it(tester: Tester) -> None:
    rpc = report(tester, producer_settings("topic"))
    rpc.half_closed()
    assert rpc.status is GrpcStatus.OK
    client = tester.api.clients.get(b"client-1")
    assert client is not None and client.stream is None


# Coming and going.


def test_a_heartbeat_needs_settings(tester: Tester) -> None:
    assert heartbeat(tester).status.code == v2.UNRECOGNIZED_CLIENT_TYPE
    report(tester, consumer_settings())
    assert heartbeat(tester).status.code == v2.OK
    assert heartbeat(tester, group="").status.code == v2.ILLEGAL_CONSUMER_GROUP


def test_a_client_that_terminates_leaves_its_group(tester: Tester) -> None:
    report(tester, consumer_settings())
    request = service.NotifyClientTerminationRequest(group=GROUP)
    sessions = len(tester.world.gateway.sessions)
    answer = tester.call("NotifyClientTermination", request, service.NotifyClientTerminationResponse)
    assert answer.status.code == v2.OK and members(tester) == ()
    assert len(tester.world.gateway.sessions) == sessions - 1
    answer = tester.call("NotifyClientTermination", request, service.NotifyClientTerminationResponse)
    assert answer.status.code == v2.UNRECOGNIZED_CLIENT_TYPE


def test_a_client_that_lost_its_stream_and_is_silent_has_gone(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    tester.world.advance(60, 5)
    assert members(tester) == ("client-1",)
    rpc.gone("the connection is lost")
    tester.world.advance(20, 5)
    assert members(tester) == ("client-1",)
    tester.world.advance(20, 5)
    assert members(tester) == () and len(tester.api.clients) == 0


def test_a_silent_client_has_gone_although_its_stream_stands(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    tester.world.advance(130, 5)
    assert members(tester) == () and rpc.status is GrpcStatus.UNAVAILABLE


def test_clients_are_limited() -> None:
    tester = Tester(ApiSettings(max_clients=1))
    report(tester, producer_settings("topic"))
    rpc = report(tester, producer_settings("topic"), "client-2")
    assert rpc.status is GrpcStatus.INVALID_ARGUMENT and "max_clients" in rpc.closed_text


def test_another_access_key_is_another_client(tester: Tester) -> None:
    report(tester, consumer_settings())
    fields = {
        **metadata(),
        b"authorization": b"MQv2-HMAC-SHA1 Credential=other, SignedHeaders=x-mq-date-time, Signature=00ff",
        b"x-mq-date-time": b"20260101T000000Z",
    }
    request = service.HeartbeatRequest(group=GROUP)
    answer = tester.call("Heartbeat", request, service.HeartbeatResponse, fields)
    assert answer.status.code == v2.UNRECOGNIZED_CLIENT_TYPE


# What clients are told and answer.


def test_the_producer_is_asked_about_an_orphan(tester: Tester) -> None:
    rpc = report(tester, producer_settings("topic"))
    half = send(tester, message_type=v2.TRANSACTION).entries[0]
    tester.world.advance(8, 0.5)
    command = told(rpc)[-1].recover_orphaned_transaction_command
    assert command.transaction_id == half.transaction_id
    assert command.message.body == b"hello" and command.message.topic == TOPIC
    request = service.EndTransactionRequest(
        topic=TOPIC, message_id=half.message_id, transaction_id=command.transaction_id, resolution=v2.COMMIT,
        source=v2.SOURCE_SERVER_CHECK,
    )  # fmt: skip
    assert tester.call("EndTransaction", request, service.EndTransactionResponse).status.code == v2.OK
    assert [message.body for message in receive(tester)] == [b"hello"]


def test_another_member_is_asked_when_the_first_has_no_stream(tester: Tester) -> None:
    report(tester, producer_settings("topic"), "client-1").gone("lost")
    other = report(tester, producer_settings("topic"), "client-2")
    send(tester, message_type=v2.TRANSACTION)
    tester.world.advance(8, 0.5)
    assert told(other)[-1].WhichOneof("command") == "recover_orphaned_transaction_command"


def test_a_stack_trace_is_asked_for_and_answered(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    admin = tester.world.session()
    asked = tester.world.start(admin, GetRunningInformation("group", "client-1", True))
    tester.world.settle()
    nonce = told(rpc)[-1].print_thread_stack_trace_command.nonce
    answer = service.TelemetryCommand(
        status=v2.Status(code=v2.OK),
        thread_stack_trace=service.ThreadStackTrace(nonce=nonce, thread_stack_trace="main at Main.java:1"),
    )
    rpc.message(answer.SerializeToString())
    reply = result_of(asked)
    assert decode_body(reply.body, ConsumerRunningInfo).jstack == "main at Main.java:1"


def test_without_a_stack_the_gateway_says_what_it_knows(tester: Tester) -> None:
    report(tester, consumer_settings())
    admin = tester.world.session()
    reply = tester.world.execute(admin, GetRunningInformation("group", "client-1", False))
    assert decode_body(reply.body, ConsumerRunningInfo).properties["PROP_CLIENT_VERSION"] == "5.2.1"


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (v2.OK, "CR_SUCCESS"),
        (v2.FAILED_TO_CONSUME_MESSAGE, "CR_LATER"),
        (v2.MESSAGE_CORRUPTED, "CR_RETURN_NULL"),
        (v2.INTERNAL_ERROR, None),
    ],
)
def test_a_message_is_verified(tester: Tester, code: Any, result: str | None) -> None:
    rpc = report(tester, consumer_settings())
    admin = tester.world.session()
    stored = tester.world.execute(admin, SendMessages("topic", (Message(b"verify"),))).results[0]
    asked = tester.world.start(
        admin, ConsumeDirectly("group", "client-1", stored.physical_offset, "topic")
    )
    tester.world.settle()
    command = told(rpc)[-1].verify_message_command
    assert command.message.body == b"verify"
    answer = service.TelemetryCommand(
        status=v2.Status(code=code), verify_message_result=service.VerifyMessageResult(nonce=command.nonce)
    )
    rpc.message(answer.SerializeToString())
    assert decode_body(result_of(asked).body, ConsumeMessageDirectlyResult).consume_result == result


def test_answers_to_nothing_are_passed_over(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    for nonce in ("", "x", "99", "9" * 30):
        result = service.VerifyMessageResult(nonce=nonce)
        rpc.message(service.TelemetryCommand(verify_message_result=result).SerializeToString())
    rpc.message(service.TelemetryCommand().SerializeToString())
    assert rpc.status is None


def test_a_gateway_that_goes_asks_its_clients_to_reconnect(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    tester.world.gateway.drain(10, "restart")
    assert told(rpc)[-1].WhichOneof("command") == "reconnect_endpoints_command"


def test_a_gateway_that_goes_ends_the_streams_of_its_clients(tester: Tester) -> None:
    """Not all clients know the command; those that do have left by then."""
    rpc = report(tester, consumer_settings())
    tester.world.gateway.drain(10, "restart")
    assert rpc.status is None
    tester.world.advance(1.1, 0.1)
    assert rpc.status is GrpcStatus.UNAVAILABLE and rpc.closed_text == "restart"
    assert len(tester.api.clients) == 0


def test_a_gateway_that_goes_does_not_wait_for_a_client_that_was_killed(tester: Tester) -> None:
    others = len(tester.world.gateway.sessions)
    report(tester, consumer_settings()).gone("killed")
    tester.world.gateway.drain(10, "restart")
    assert len(tester.api.clients) == 0 and len(tester.world.gateway.sessions) == others


def test_a_client_that_leaves_while_the_gateway_goes_is_not_ended_twice(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    tester.world.gateway.drain(10, "restart")
    request = service.NotifyClientTerminationRequest(group=v2.Resource(name="group"))
    tester.call("NotifyClientTermination", request, service.NotifyClientTerminationResponse)
    tester.world.advance(2, 0.5)
    assert rpc.status is None


def test_a_client_that_reads_nothing_is_told_nothing() -> None:
    tester = Tester(ApiSettings(max_telemetry_bytes=10))
    rpc = report(tester, producer_settings("topic"))
    rpc.unread = 11
    send(tester, message_type=v2.TRANSACTION)
    tester.world.advance(8, 0.5)
    assert len(rpc.messages) == 1


# Renewing.


def test_handles_are_renewed_while_the_client_lives(tester: Tester) -> None:
    rpc = report(tester, consumer_settings())
    send(tester)
    (message,) = receive(tester, auto_renew=True)
    for _ in range(20):
        tester.world.advance(10, 2.5)
        assert heartbeat(tester).status.code == v2.OK
        assert receive(tester) == []
    answer = ack(tester, message)  # by the handle of 200 s ago
    assert answer.status.code == v2.OK
    assert answer.entries[0].receipt_handle == message.system_properties.receipt_handle
    tester.world.advance(100, 5)
    assert receive(tester) == [] and rpc.status is None


def test_a_client_that_goes_leaves_its_messages_to_others(tester: Tester) -> None:
    report(tester, consumer_settings())
    send(tester)
    assert len(receive(tester, auto_renew=True)) == 1
    request = service.NotifyClientTerminationRequest(group=GROUP)
    tester.call("NotifyClientTermination", request, service.NotifyClientTerminationResponse)
    assert receive(tester, metadata("client-2")) == []
    tester.world.advance(1.2)
    (message,) = receive(tester, metadata("client-2"))
    assert message.system_properties.delivery_attempt == 2


def test_an_unknown_client_that_wants_renewals_is_known_from_then_on(tester: Tester) -> None:
    send(tester)
    assert len(receive(tester, auto_renew=True)) == 1
    assert len(tester.api.clients) == 1
    tester.world.advance(45, 5)  # no stream, no word
    assert len(tester.api.clients) == 0
    assert len(receive(tester, metadata("client-2"))) == 1


def test_renewals_end() -> None:
    tester = Tester(ApiSettings(renew_seconds=100, client_idle_seconds=1e6))
    report(tester, consumer_settings())
    send(tester)
    receive(tester, auto_renew=True)
    tester.world.advance(105, 5)
    assert receive(tester, metadata("client-2")) == []
    tester.world.advance(30, 5)
    assert len(receive(tester, metadata("client-2"))) == 1


def test_a_renewed_handle_changes_and_goes_on(tester: Tester) -> None:
    report(tester, consumer_settings())
    send(tester)
    (message,) = receive(tester, auto_renew=True)
    tester.world.advance(70, 2.5)
    request = service.ChangeInvisibleDurationRequest(
        group=GROUP, topic=TOPIC, receipt_handle=message.system_properties.receipt_handle,
        invisible_duration=duration_of(5000),
    )  # fmt: skip
    response = tester.call("ChangeInvisibleDuration", request, service.ChangeInvisibleDurationResponse)
    assert response.status.code == v2.OK
    tester.world.advance(5.2)
    assert len(receive(tester)) == 1


def test_an_acknowledgement_waits_for_a_renewal_under_way() -> None:
    tester = Tester(world=World(manual=True))
    world = tester.world

    def commit() -> None:
        for _ in range(5):
            world.store.commit()
            world.settle()

    rpc = report(tester, consumer_settings())
    commit()
    assert rpc.messages
    for name in ("a", "b"):
        tester.start("SendMessage", service.SendMessageRequest(messages=[v2.Message(
            topic=TOPIC, body=b"x", system_properties=v2.SystemProperties(message_id=name))]))  # fmt: skip
        commit()
    got = tester.start("ReceiveMessage", receive_request(auto_renew=True))
    commit()
    message = service.ReceiveMessageResponse.FromString(got.messages[1]).message
    world.advance(56, 2)  # the renewal is begun, and not durable
    entry = service.AckMessageEntry(receipt_handle=message.system_properties.receipt_handle)
    answer = tester.start("AckMessage", service.AckMessageRequest(group=GROUP, topic=TOPIC, entries=[entry]))
    assert not answer.messages
    commit()
    commit()
    assert service.AckMessageResponse.FromString(answer.messages[0]).status.code == v2.OK
