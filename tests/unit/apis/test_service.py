"""The calls of MessagingService on a gateway in memory."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import duration_of, timestamp_of
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.service import ADMIN_SERVICE, METHODS
from rmqgateway.commands import CreateGroups, CreateTopics, GroupConfig, TopicConfig
from rmqgateway.message import MessageType, Permission
from rmqgateway.wire.grpc_framing import GrpcStatus
from tests.unit.apis.fakes import SERVICE, FakeRpc, Tester, metadata

TOPIC = v2.Resource(name="topic")
GROUP = v2.Resource(name="group")


@pytest.fixture
def tester() -> Tester:
    return Tester()


def send(tester: Tester, body: bytes = b"hello", topic: str = "topic", **system: Any) -> Any:
    system.setdefault("message_id", f"ID-{body.decode()}")
    message = v2.Message(
        topic=v2.Resource(name=topic), body=body, system_properties=v2.SystemProperties(**system)
    )
    request = service.SendMessageRequest(messages=[message])
    return tester.call("SendMessage", request, service.SendMessageResponse)


def receive_request(**more: Any) -> service.ReceiveMessageRequest:
    more = {
        "group": GROUP,
        "message_queue": v2.MessageQueue(topic=TOPIC),
        "batch_size": 32,
        "invisible_duration": duration_of(30_000),
        "long_polling_timeout": duration_of(0),
        **more,
    }
    return service.ReceiveMessageRequest(**more)


def receive(tester: Tester, fields: dict[bytes, bytes] | None = None, **more: Any) -> list[v2.Message]:
    """The messages of a receive, whose stream must begin with the status and end with the time."""
    first, *messages, last = tester.stream(
        "ReceiveMessage", receive_request(**more), service.ReceiveMessageResponse, fields
    )
    assert first.WhichOneof("content") == "status" and last.WhichOneof("content") == "delivery_timestamp"
    if first.status.code == v2.MESSAGE_NOT_FOUND:
        assert not messages
    else:
        assert first.status == v2.Status(code=v2.OK, message="OK")
    return [one.message for one in messages]


def ack(tester: Tester, *messages: v2.Message, fields: dict[bytes, bytes] | None = None) -> Any:
    entries = [
        service.AckMessageEntry(
            message_id=one.system_properties.message_id, receipt_handle=one.system_properties.receipt_handle
        )
        for one in messages
    ]
    request = service.AckMessageRequest(group=GROUP, topic=TOPIC, entries=entries)
    return tester.call("AckMessage", request, service.AckMessageResponse, fields)


def report(tester: Tester, settings: v2.Settings, client_id: str = "client-1") -> Any:
    """Open a telemetry stream with these settings."""
    return tester.start("Telemetry", service.TelemetryCommand(settings=settings), metadata(client_id))


def consumer_settings(kind: Any = v2.PUSH_CONSUMER, group: str = "group", topic: str = "topic") -> v2.Settings:
    return v2.Settings(
        client_type=kind,
        request_timeout=duration_of(3000),
        subscription=v2.Subscription(
            group=v2.Resource(name=group),
            subscriptions=[
                v2.SubscriptionEntry(
                    topic=v2.Resource(name=topic), expression=v2.FilterExpression(type=v2.TAG, expression="*")
                )
            ],
        ),
    )


def producer_settings(*topics: str) -> v2.Settings:
    return v2.Settings(
        client_type=v2.PRODUCER,
        publishing=v2.Publishing(topics=[v2.Resource(name=topic) for topic in topics]),
    )


def test_all_seventeen_calls_are_served() -> None:
    served = {path.rpartition("/")[2] for path in METHODS if "MessagingService" in path}
    assert served == {method.name for method in service.DESCRIPTOR.services_by_name["MessagingService"].methods}
    assert len(served) == 17


# Who calls.


@pytest.mark.parametrize("name", [path.rpartition("/")[2] for path in METHODS if "MessagingService" in path])
def test_every_call_needs_a_client_id(tester: Tester, name: str) -> None:
    response = service.TelemetryCommand if name == "Telemetry" else getattr(service, f"{name}Response")
    (answer,) = tester.stream(name, b"", response, {b"x-mq-client-id": b" "})
    assert answer.status == v2.Status(code=v2.CLIENT_ID_REQUIRED, message="client id cannot be empty")


def test_an_authorization_that_is_none_is_refused(tester: Tester) -> None:
    fields = {**metadata(), b"authorization": b"Basic abc"}
    request = service.QueryRouteRequest(topic=TOPIC)
    assert tester.call("QueryRoute", request, service.QueryRouteResponse, fields).status.code == v2.UNAUTHORIZED
    fields[b"x-mq-date-time"] = b"20260101T000000Z"
    assert tester.call("QueryRoute", request, service.QueryRouteResponse, fields).status.code == v2.UNAUTHORIZED


def test_what_is_no_protobuf_ends_the_call(tester: Tester) -> None:
    rpc = tester.start("QueryRoute", b"\xff\xff\xff")
    assert rpc.status is GrpcStatus.INTERNAL and "QueryRoute" in rpc.closed_text


# Routes.


def test_a_route_names_the_address_that_the_client_reached(tester: Tester) -> None:
    response = tester.call("QueryRoute", service.QueryRouteRequest(topic=TOPIC), service.QueryRouteResponse)
    assert response.status.code == v2.OK
    assert [queue.id for queue in response.message_queues] == list(range(8))
    queue = response.message_queues[0]
    assert queue.topic == TOPIC and queue.permission == v2.READ_WRITE and queue.broker.name == "rmqgateway"
    assert queue.broker.endpoints == v2.Endpoints(
        scheme=v2.DOMAIN_NAME, addresses=[v2.Address(host="gateway.example", port=8081)]
    )


@pytest.mark.parametrize(
    ("language", "version", "all_types"),
    [
        ("JAVA", "5.2.0", True),
        ("JAVA", "5.3.0-SNAPSHOT", True),
        ("JAVA", "5.1.0", False),
        ("JAVA", "", False),
        ("GOLANG", "v5.1.3", True),
        ("HTTP", "1.0.8", True),
        ("PYTHON", "5.1.2", True),
        ("RUST", "5.0.0", True),
        ("DOT_NET", "5.2.0", False),
        ("", "", False),
    ],
)
def test_newer_types_are_told_to_clients_that_know_them(
    tester: Tester, language: str, version: str, all_types: bool
) -> None:
    fields = metadata(x_mq_language=language, x_mq_client_version=version)
    response = tester.call("QueryRoute", service.QueryRouteRequest(topic=TOPIC), service.QueryRouteResponse, fields)
    newer = [v2.PRIORITY, v2.LITE] if all_types else []
    types = [v2.NORMAL, v2.FIFO, v2.DELAY, v2.TRANSACTION, *newer]
    assert list(response.message_queues[0].accept_message_types) == types


def test_a_typed_topic_takes_its_type_only(tester: Tester) -> None:
    config = TopicConfig("topic", 2, 3, Permission.READ_WRITE, message_type=MessageType.FIFO)
    tester.world.execute(tester.connection, CreateTopics((config,)))
    response = tester.call("QueryRoute", service.QueryRouteRequest(topic=TOPIC), service.QueryRouteResponse)
    assert [queue.permission for queue in response.message_queues] == [v2.WRITE, v2.READ_WRITE, v2.READ_WRITE]
    assert list(response.message_queues[0].accept_message_types) == [v2.FIFO]
    assert send(tester, message_type=v2.NORMAL).status.code == v2.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE
    assert send(tester, message_type=v2.FIFO, message_group="g").status.code == v2.OK


def test_assignments(tester: Tester) -> None:
    request = service.QueryAssignmentRequest(topic=TOPIC, group=GROUP)
    missing = tester.call("QueryAssignment", request, service.QueryAssignmentResponse)
    assert missing.status.code == v2.TOPIC_NOT_FOUND
    send(tester)
    response = tester.call("QueryAssignment", request, service.QueryAssignmentResponse)
    assert [one.message_queue.id for one in response.assignments] == [-1]
    assert response.assignments[0].message_queue.broker.endpoints.addresses[0].port == 8081
    tester.world.execute(
        tester.connection, CreateGroups((GroupConfig("group", consume_message_orderly=True),))
    )
    response = tester.call("QueryAssignment", request, service.QueryAssignmentResponse)
    assert [one.message_queue.id for one in response.assignments] == list(range(8))


# Messages.


def test_a_message_goes_through(tester: Tester) -> None:
    response = send(tester, b"one", tag="A", keys=["k"], born_host="here", born_timestamp=timestamp_of(1000))
    assert response.status.code == v2.OK
    (entry,) = response.entries
    assert (entry.message_id, entry.transaction_id, entry.offset) == ("ID-one", "ID-one", 0)
    (message,) = receive(tester)
    system = message.system_properties
    assert (message.topic, message.body) == (TOPIC, b"one")
    assert (system.tag, list(system.keys), system.message_id) == ("A", ["k"], "ID-one")
    assert (system.born_host, system.born_timestamp.seconds) == ("here", 1)
    assert (system.delivery_attempt, system.body_encoding, system.message_type) == (1, v2.IDENTITY, v2.NORMAL)
    assert system.body_digest.checksum == "F97C5D29941BFB1B2FDAB0874906AB82"
    assert system.store_host == "gateway.example:8081"
    answer = ack(tester, message)
    assert answer.status.code == v2.OK and answer.entries[0].status.code == v2.OK
    assert receive(tester) == []


def test_acknowledgements_fail_one_by_one(tester: Tester) -> None:
    send(tester)
    (message,) = receive(tester)
    bad = v2.Message(system_properties=v2.SystemProperties(message_id="bad", receipt_handle="nonsense"))
    answer = ack(tester, message, bad)
    assert answer.status.code == v2.MULTIPLE_RESULTS
    assert [entry.status.code for entry in answer.entries] == [v2.OK, v2.INVALID_RECEIPT_HANDLE]
    assert ack(tester, bad).status.code == v2.INVALID_RECEIPT_HANDLE
    assert ack(tester).status.code == v2.INTERNAL_SERVER_ERROR


def test_an_expired_handle(tester: Tester) -> None:
    send(tester)
    (message,) = receive(tester)
    tester.world.advance(31, 0.5)
    assert ack(tester, message).status.code == v2.INVALID_RECEIPT_HANDLE
    (again,) = receive(tester)
    assert again.system_properties.delivery_attempt == 2


def test_a_receive_waits_and_is_woken(tester: Tester) -> None:
    send(tester)
    receive(tester)
    rpc = tester.start("ReceiveMessage", receive_request(long_polling_timeout=duration_of(20_000)))
    tester.world.advance(5)
    assert rpc.status is None and not rpc.messages
    send(tester, b"two")
    assert rpc.status is GrpcStatus.OK
    assert service.ReceiveMessageResponse.FromString(rpc.messages[1]).message.body == b"two"


def test_a_receive_that_finds_nothing(tester: Tester) -> None:
    send(tester)
    receive(tester)
    rpc = tester.start("ReceiveMessage", receive_request(long_polling_timeout=duration_of(2000)))
    tester.world.advance(2.2)
    status = service.ReceiveMessageResponse.FromString(rpc.messages[0]).status
    assert (status.code, status.message) == (v2.MESSAGE_NOT_FOUND, "no new message")
    assert len(rpc.messages) == 2 and rpc.status is GrpcStatus.OK


def test_a_receive_keeps_to_the_deadline(tester: Tester) -> None:
    send(tester)
    receive(tester)
    fields = {**metadata(), b"grpc-timeout": b"3S"}
    rpc = tester.start("ReceiveMessage", receive_request(long_polling_timeout=duration_of(20_000)), fields)
    tester.world.advance(3.0)
    assert rpc.status is GrpcStatus.OK and len(rpc.messages) == 2
    fields[b"grpc-timeout"] = b"50m"
    (refused, _) = tester.stream(
        "ReceiveMessage", receive_request(long_polling_timeout=duration_of(20_000)), service.ReceiveMessageResponse, fields
    )
    assert refused.status.code == v2.ILLEGAL_POLLING_TIME
    fields[b"x-mq-client-version"] = b"5.0.2"
    (refused, _) = tester.stream(
        "ReceiveMessage", receive_request(long_polling_timeout=duration_of(20_000)), service.ReceiveMessageResponse, fields
    )
    assert refused.status.code == v2.BAD_REQUEST
    # Who does not wait needs no time for it.
    assert receive(tester, fields) == []


def test_a_client_whose_deadline_is_its_polling_time_is_answered_well_before(tester: Tester) -> None:
    """The official one of Rust; the answer has to reach it over a busy machine too."""
    send(tester)
    receive(tester)
    for seconds, latest in ((5, 4.85), (1, 0.85)):
        fields = {**metadata(), b"grpc-timeout": b"%dS" % seconds}
        request = receive_request(long_polling_timeout=duration_of(seconds * 1000))
        rpc = tester.start("ReceiveMessage", request, fields)
        tester.world.advance(latest - 0.2)
        assert not rpc.done
        tester.world.advance(0.2)
        (answer, _) = [service.ReceiveMessageResponse.FromString(message) for message in rpc.messages]
        assert rpc.status is GrpcStatus.OK and answer.status.code == v2.MESSAGE_NOT_FOUND


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"invisible_duration": duration_of(9_999)}, v2.ILLEGAL_INVISIBLE_TIME),
        ({"invisible_duration": duration_of(12 * 3600 * 1000 + 1)}, v2.ILLEGAL_INVISIBLE_TIME),
        ({"batch_size": 0}, v2.BAD_REQUEST),
        ({"group": v2.Resource(name="")}, v2.ILLEGAL_CONSUMER_GROUP),
        ({"group": v2.Resource(name="CID_RMQ_SYS_X")}, v2.ILLEGAL_CONSUMER_GROUP),
        ({"group": v2.Resource(name="g" * 121)}, v2.ILLEGAL_CONSUMER_GROUP),
        ({"group": v2.Resource(name="a b")}, v2.ILLEGAL_CONSUMER_GROUP),
        ({"message_queue": v2.MessageQueue(topic=v2.Resource(name="nowhere"))}, v2.TOPIC_NOT_FOUND),
        ({"filter_expression": v2.FilterExpression(type=v2.SQL, expression="a >")}, v2.ILLEGAL_FILTER_EXPRESSION),
    ],
)
def test_receives_that_are_refused(tester: Tester, more: dict[str, Any], code: int) -> None:
    send(tester)
    status, last = tester.stream("ReceiveMessage", receive_request(**more), service.ReceiveMessageResponse)
    assert status.status.code == code
    assert last.WhichOneof("content") == "delivery_timestamp"


def test_a_stream_that_is_broken_off_gives_its_messages_back_at_once() -> None:
    tester = Tester(ApiSettings(max_unsent_bytes=1))
    for number in range(3):
        send(tester, b"%d" % number)
    rpc = FakeRpc(tester.api, METHODS[SERVICE + "ReceiveMessage"], metadata(), tester.information, tester.connection.session)
    rpc.unread = 1000
    rpc.message(receive_request().SerializeToString())
    tester.world.settle()
    assert rpc.status is None and len(rpc.messages) == 2  # the status and one message: the client reads no more
    rpc.gone("the client reset the stream")
    tester.world.settle()
    assert sorted(message.body for message in receive(tester)) == [b"0", b"1", b"2"]


@pytest.mark.parametrize("name", ["ReceiveMessage", "PullMessage"])
def test_messages_for_a_connection_that_takes_no_answers_stay_where_they_are(tester: Tester, name: str) -> None:
    config = TopicConfig("topic", 1, 1, message_type=MessageType.MIXED)
    tester.world.execute(tester.connection, CreateTopics((config,)))
    wait = duration_of(5000)
    request, response = receive_request(long_polling_timeout=wait), service.ReceiveMessageResponse
    if name == "PullMessage":
        queue = v2.MessageQueue(topic=TOPIC)
        request = service.PullMessageRequest(
            group=GROUP, message_queue=queue, offset=0, batch_size=32, long_polling_timeout=wait
        )
        response = service.PullMessageResponse
    rpc = tester.start(name, request)
    rpc.crowded = True
    send(tester, b"one")
    tester.world.settle()
    assert rpc.status is GrpcStatus.OK
    assert response.FromString(rpc.messages[0]).status.code == v2.TOO_MANY_REQUESTS
    assert b"in_flight_bytes" in rpc.messages[0]
    assert not any(b"ID-one" in message for message in rpc.messages)
    group = v2.Resource(name="another") if name == "PullMessage" else GROUP
    assert [message.body for message in receive(tester, group=group)] == [b"one"]


def test_a_slow_reader_gets_the_rest_when_it_reads() -> None:
    tester = Tester(ApiSettings(max_unsent_bytes=1))
    for number in range(3):
        send(tester, b"%d" % number)
    rpc = FakeRpc(tester.api, METHODS[SERVICE + "ReceiveMessage"], metadata(), tester.information, tester.connection.session)
    rpc.unread = 1000
    rpc.message(receive_request().SerializeToString())
    tester.world.settle()
    rpc.unread = 0
    rpc.drained.pop()()
    assert rpc.status is GrpcStatus.OK and len(rpc.messages) == 5


def test_a_receive_whose_client_goes_while_it_waits(tester: Tester) -> None:
    send(tester)
    receive(tester)
    rpc = tester.start("ReceiveMessage", receive_request(long_polling_timeout=duration_of(20_000)))
    rpc.gone("reset")
    send(tester, b"two")
    assert [message.body for message in receive(tester)] == [b"two"]


def test_a_receive_that_waits_while_the_gateway_goes_is_told_so(tester: Tester) -> None:
    send(tester)
    receive(tester)
    rpc = tester.start("ReceiveMessage", receive_request(long_polling_timeout=duration_of(20_000)))
    assert rpc.status is None
    rpc.shut_down.pop()(10.0, "restart")
    first = service.ReceiveMessageResponse.FromString(rpc.messages[0])
    assert rpc.status is GrpcStatus.OK and first.status.code == v2.MESSAGE_NOT_FOUND
    assert "shutting down" in first.status.message


def test_a_pull_that_waits_while_the_gateway_goes_is_told_so(tester: Tester) -> None:
    tester.world.execute(tester.connection, CreateTopics((TopicConfig("topic", 1, 1),)))
    request = service.PullMessageRequest(
        group=GROUP, message_queue=v2.MessageQueue(topic=TOPIC), offset=0, batch_size=2,
        long_polling_timeout=duration_of(20_000),
    )  # fmt: skip
    rpc = tester.start("PullMessage", request)
    assert rpc.status is None
    rpc.shut_down.pop()(10.0, "restart")
    status, last = [service.PullMessageResponse.FromString(message) for message in rpc.messages]
    assert rpc.status is GrpcStatus.OK and status.status.code == v2.MESSAGE_NOT_FOUND and last.next_offset == 0


def test_the_invisible_duration_changes(tester: Tester) -> None:
    send(tester)
    (message,) = receive(tester)
    request = service.ChangeInvisibleDurationRequest(
        group=GROUP, topic=TOPIC, receipt_handle=message.system_properties.receipt_handle,
        invisible_duration=duration_of(0), message_id="ID-hello",
    )  # fmt: skip
    response = tester.call("ChangeInvisibleDuration", request, service.ChangeInvisibleDurationResponse)
    assert response.status.code == v2.OK and response.receipt_handle
    (again,) = receive(tester)
    assert again.system_properties.delivery_attempt == 2
    request.invisible_duration.CopyFrom(duration_of(13 * 3600 * 1000))
    response = tester.call("ChangeInvisibleDuration", request, service.ChangeInvisibleDurationResponse)
    assert response.status.code == v2.ILLEGAL_INVISIBLE_TIME


def test_a_message_is_forwarded_to_the_dead_letter_queue(tester: Tester) -> None:
    send(tester)
    (message,) = receive(tester)
    request = service.ForwardMessageToDeadLetterQueueRequest(
        group=GROUP, topic=TOPIC, receipt_handle=message.system_properties.receipt_handle, message_id="ID-hello"
    )
    response = tester.call(
        "ForwardMessageToDeadLetterQueue", request, service.ForwardMessageToDeadLetterQueueResponse
    )
    assert response.status.code == v2.OK
    (dead,) = receive(
        tester, group=v2.Resource(name="other"), message_queue=v2.MessageQueue(topic=v2.Resource(name="%DLQ%group"))
    )
    assert dead.body == b"hello" and dead.topic.name == "%DLQ%group"


def test_messages_of_a_group_go_to_one_queue(tester: Tester) -> None:
    for number in range(6):
        assert send(tester, b"%d" % number, message_group="order-1", message_type=v2.FIFO).status.code == v2.OK
    messages = receive(tester)
    assert {message.system_properties.queue_id for message in messages} == {3}
    assert [message.body for message in messages] == [b"%d" % number for number in range(6)]
    assert messages[0].system_properties.message_group == "order-1"
    assert messages[0].system_properties.message_type == v2.FIFO


def test_a_delayed_message_is_recalled(tester: Tester) -> None:
    response = send(tester, delivery_timestamp=timestamp_of(tester.world.wall_ms + 5000))
    handle = response.entries[0].recall_handle
    request = service.RecallMessageRequest(topic=TOPIC, recall_handle=handle)
    recalled = tester.call("RecallMessage", request, service.RecallMessageResponse)
    assert (recalled.status.code, recalled.message_id) == (v2.OK, "ID-hello")
    tester.world.advance(6)
    assert receive(tester) == []
    assert tester.call("RecallMessage", request, service.RecallMessageResponse).status.code == v2.MESSAGE_NOT_FOUND


def test_a_transaction_that_is_committed(tester: Tester) -> None:
    half = send(tester, message_type=v2.TRANSACTION).entries[0]
    assert receive(tester) == []
    request = service.EndTransactionRequest(
        topic=TOPIC, message_id=half.message_id, transaction_id=half.transaction_id, resolution=v2.COMMIT
    )
    assert tester.call("EndTransaction", request, service.EndTransactionResponse).status.code == v2.OK
    (message,) = receive(tester)
    assert message.system_properties.message_type == v2.TRANSACTION
    answer = tester.call("EndTransaction", request, service.EndTransactionResponse)
    assert answer.status.code == v2.INVALID_TRANSACTION_ID


# Consumers that keep their own place.


def test_pulling(tester: Tester) -> None:
    for number in range(3):
        send(tester, b"%d" % number, message_group="order-1")
    queue = v2.MessageQueue(topic=TOPIC, id=3)

    def pull(offset: int, **more: Any) -> list[Any]:
        request = service.PullMessageRequest(group=GROUP, message_queue=queue, offset=offset, batch_size=2, **more)
        return tester.stream("PullMessage", request, service.PullMessageResponse)

    status, first, second, last = pull(0)
    assert (status.status.code, first.message.body, second.message.body) == (v2.OK, b"0", b"1")
    assert last.next_offset == 2 and not first.message.system_properties.receipt_handle
    status, last = pull(3)
    assert (status.status.code, last.next_offset) == (v2.MESSAGE_NOT_FOUND, 3)
    status, last = pull(99)
    assert (status.status.code, last.next_offset) == (v2.ILLEGAL_OFFSET, 3)
    (refused,) = pull(-1)
    assert refused.status.code == v2.ILLEGAL_OFFSET


def test_offsets(tester: Tester) -> None:
    send(tester, message_group="order-1")
    queue = v2.MessageQueue(topic=TOPIC, id=3)
    get = service.GetOffsetRequest(group=GROUP, message_queue=queue)
    assert tester.call("GetOffset", get, service.GetOffsetResponse).status.code == v2.OFFSET_NOT_FOUND
    update = service.UpdateOffsetRequest(group=GROUP, message_queue=queue, offset=1)
    assert tester.call("UpdateOffset", update, service.UpdateOffsetResponse).status.code == v2.OK
    response = tester.call("GetOffset", get, service.GetOffsetResponse)
    assert (response.status.code, response.offset) == (v2.OK, 1)

    def query(**more: Any) -> Any:
        request = service.QueryOffsetRequest(message_queue=queue, **more)
        return tester.call("QueryOffset", request, service.QueryOffsetResponse)

    assert query(query_offset_policy=v2.BEGINNING).offset == 0
    assert query(query_offset_policy=v2.END).offset == 1
    assert query(query_offset_policy=v2.TIMESTAMP).status.code == v2.BAD_REQUEST
    later = timestamp_of(tester.world.wall_ms + 1000)
    assert query(query_offset_policy=v2.TIMESTAMP, timestamp=later).offset == 1
    queue.id = -1
    assert query(query_offset_policy=v2.END).status.code == v2.BAD_REQUEST


# What is refused by name.


def test_the_log_level_is_not_changed() -> None:
    tester = Tester()
    method = METHODS[f"/{ADMIN_SERVICE}/ChangeLogLevel"]
    rpc = FakeRpc(tester.api, method, metadata(), tester.information, tester.connection.session)
    rpc.message(b"")
    assert rpc.status is GrpcStatus.PERMISSION_DENIED and "ChangeLogLevel" in rpc.closed_text
