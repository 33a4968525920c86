"""gRPC and gRPC-web: the same service, in the published messages, over our own HTTP/2 and HTTP/1.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.refusals import STATUS_CODES
from rmqgateway.commands import CreateGroups, GetGroup, GroupConfig
from rmqgateway.errors import Code, GatewayError
from rmqgateway.http.server import HttpServer
from rmqgateway.http.testing import HttpClient
from rmqgateway.testing import NoReplyYet, World
from rmqgateway.wire.grpc_framing import GrpcDecoder, decode_web_headers, encode_message
from rmqgateway_grpc.frontend import GrpcFrontEnd
from rmqgateway_grpcweb.frontend import GrpcWebFrontEnd
from tests.contract.driver import Driver, Got, Outgoing, Pending, Pulled, Putting, Refused, Sent, shared
from tests.contract.driver_remoting import SLOW_CLOCK_MS
from tests.contract.http2_client import Http2Client

__all__ = ["GrpcDriver", "GrpcWebDriver"]

R = TypeVar("R")
_SERVICE = "/apache.rocketmq.v2.MessagingService/"
_ADMIN = "/apache.rocketmq.v2.Admin/"
#: What a client says of the machine that it runs on: a name, seldom an address.
BORN_HOST = "producer.example"


def _timestamp(milliseconds: int) -> Timestamp:
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _ms(timestamp: Timestamp) -> int:
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _check(status: v2.Status) -> None:
    if status.code not in (v2.OK, v2.MULTIPLE_RESULTS):
        raise Refused(int(status.code), status.message)


class _Call:
    """A call under way. :ivar messages: of the response, so far. :ivar status: of gRPC, when it has ended."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.status: int | None = None
        self.text = ""


class GrpcDriver(Putting):
    name = "grpc"
    route_creates = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._client_id = f"{self.name}-{id(self)}"
        self._unique = 0
        self._telemetry: Callable[[], _Call] | None = None
        self._told = 0
        self._connect()

    def words(self, code: Code) -> object:
        return int(STATUS_CODES[code])

    # The wire.

    def _connect(self) -> None:
        world = self.world

        def serve() -> HttpServer:
            front_end = GrpcFrontEnd(lambda: world.wall_ms)
            return HttpServer(world.gateway, [front_end], wall=lambda: world.wall_ms / 1000)

        self._http = Http2Client(world, shared(world, "grpc", serve))

    def close(self) -> None:
        self._http.close()

    def _metadata(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-mq-client-id", self._client_id.encode()),
            (b"x-mq-language", b"PYTHON"),
            (b"x-mq-client-version", b"5.0.7"),
            (b"x-mq-request-id", b"request"),
        ]

    def _start(self, name: str, request: Any, last: bool = True) -> Callable[[], _Call]:
        """Begin a call; what is returned says how far it is."""
        headers = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", _path(name).encode()),
            (b":authority", b"127.0.0.1:8081"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            *self._metadata(),
        ]
        number = self._http.start(headers, encode_message(request.SerializeToString()), last)
        decoder = GrpcDecoder()
        call = _Call()
        seen = 0

        def look() -> _Call:
            nonlocal seen
            stream = self._http.look(number)
            call.messages += decoder.receive_data(stream.body[seen:])
            seen = len(stream.body)
            if stream.ended:
                call.status = int(stream.fields[b"grpc-status"])
                call.text = stream.fields.get(b"grpc-message", b"").decode()
            return call

        return look

    def _whole(self, look: Callable[[], _Call], response: Callable[[bytes], R]) -> Callable[[], list[R] | None]:
        def found() -> list[R] | None:
            call = look()
            if call.status is None:
                return None
            assert call.status == 0, (call.status, call.text)
            return [response(message) for message in call.messages]

        return found

    def _stream(self, name: str, request: Any, response: Any) -> Callable[[], list[Any] | None]:
        return self._whole(self._start(name, request), response.FromString)

    def _ask(self, name: str, request: Any, response: Any) -> Any:
        (answer,) = Pending(self.world, self._stream(name, request, response)).answer()
        _check(answer.status)
        return answer

    # Producing.

    def _message(self, topic: str, message: Outgoing, kind: v2.MessageType) -> v2.Message:
        self._unique += 1
        system = v2.SystemProperties(
            keys=message.keys,
            message_id=f"01{id(self):024X}{self._unique:06X}",
            message_type=kind,
            born_timestamp=_timestamp(self.world.wall_ms - SLOW_CLOCK_MS),
            born_host=BORN_HOST,
            body_encoding=v2.IDENTITY,
        )
        deliver_at = message.deliver_at or (self.world.wall_ms + message.delay_ms if message.delay_ms else 0)
        if deliver_at:
            system.delivery_timestamp.CopyFrom(_timestamp(deliver_at))
        if message.tag:
            system.tag = message.tag
        if message.message_group:
            system.message_group = message.message_group
        if message.priority is not None:
            system.priority = message.priority
        if message.lite_topic:
            system.lite_topic = message.lite_topic
        return v2.Message(
            topic=v2.Resource(name=topic),
            user_properties=message.properties,
            system_properties=system,
            body=message.body.encode(),
        )

    def _send(self, topic: str, message: Outgoing, kind: v2.MessageType) -> Sent:
        assert message.queue_id < 0 and not message.level, "there is no word for it"
        sent = self._message(topic, message, kind)
        answer = self._ask("SendMessage", service.SendMessageRequest(messages=[sent]), service.SendMessageResponse)
        (entry,) = answer.entries
        _check(entry.status)
        return Sent(
            queue_offset=entry.offset,
            message_id=entry.message_id,
            recall_handle=entry.recall_handle,
            born_timestamp=_ms(sent.system_properties.born_timestamp),
            born_host=BORN_HOST,
            transaction=entry.transaction_id,
            topic=topic,
        )

    def put(self, topic: str, message: Outgoing) -> Sent:
        kind = v2.NORMAL
        if message.deliver_at or message.delay_ms:
            kind = v2.DELAY
        elif message.message_group:
            kind = v2.FIFO
        elif message.priority is not None:
            kind = v2.PRIORITY
        elif message.lite_topic:
            kind = v2.LITE
        return self._send(topic, message, kind)

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        # A transaction's producer group is its topic, for every client of this API.
        return self._send(topic, message, v2.TRANSACTION)

    def recall(self, topic: str, handle: str) -> str:
        request = service.RecallMessageRequest(topic=v2.Resource(name=topic), recall_handle=handle)
        found: str = self._ask("RecallMessage", request, service.RecallMessageResponse).message_id
        return found

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        request = service.EndTransactionRequest(
            topic=v2.Resource(name=topic),
            message_id=half.message_id,
            transaction_id=half.transaction,
            resolution={True: v2.COMMIT, False: v2.ROLLBACK, None: v2.TRANSACTION_RESOLUTION_UNSPECIFIED}[commit],
            source=v2.SOURCE_CLIENT,
        )
        self._ask("EndTransaction", request, service.EndTransactionResponse)

    def answer_for(self, client_id: str, producer_group: str, topic: str) -> None:
        publishing = v2.Publishing(topics=[v2.Resource(name=topic)])
        settings = v2.Settings(client_type=v2.PRODUCER, publishing=publishing, request_timeout=_duration(3000))
        self._telemetry = self._start("Telemetry", service.TelemetryCommand(settings=settings), last=False)
        self._told = 0
        told: list[service.TelemetryCommand] = []

        def look() -> bool:
            told.extend(self._told_commands())
            return bool(told)

        # A world that is not in memory takes its time.
        getattr(self.world, "until", lambda done: done())(look)
        assert told[0].settings.publishing.topics

    def _told_commands(self) -> list[service.TelemetryCommand]:
        assert self._telemetry is not None, "there is no stream to be told by"
        call = self._telemetry()
        assert call.status is None, (call.status, call.text)
        new, self._told = call.messages[self._told :], len(call.messages)
        return [service.TelemetryCommand.FromString(message) for message in new]

    def checks(self) -> list[Got]:
        asked = [
            command.recover_orphaned_transaction_command
            for command in self._told_commands()
            if command.WhichOneof("command") == "recover_orphaned_transaction_command"
        ]
        return [msgspec.structs.replace(_got(one.message), transaction=one.transaction_id) for one in asked]

    # Popping.

    def _fifo(self, group: str) -> None:
        """Whether messages come in order is the group's matter here: an administrator says so first."""
        session = shared(self.world, "administrator", self.world.session)
        try:
            known = self.world.execute(session, GetGroup(group))
        except GatewayError:
            known = GroupConfig(group)
        if not known.consume_message_orderly:
            self.world.execute(session, CreateGroups((GroupConfig(group, consume_message_orderly=True),)))

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        return self._receive(group, topic, self.invisible_ms, max_messages=max_messages, tags=tags).answer()

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        if fifo:
            self._fifo(group)
        return self._receive(group, topic, invisible_ms, wait_ms, max_messages)

    def _receive(
        self, group: str, topic: str, invisible_ms: int, wait_ms: int = 0, max_messages: int = 32, tags: str = "*"
    ) -> Pending[list[Got]]:
        request = service.ReceiveMessageRequest(
            group=v2.Resource(name=group),
            message_queue=v2.MessageQueue(topic=v2.Resource(name=topic)),
            filter_expression=v2.FilterExpression(type=v2.TAG, expression=tags),
            batch_size=max_messages,
            invisible_duration=_duration(invisible_ms),
            long_polling_timeout=_duration(wait_ms),
        )
        look = self._stream("ReceiveMessage", request, service.ReceiveMessageResponse)

        def found() -> list[Got] | None:
            answers = look()
            if answers is None:
                return None
            status = next(one.status for one in answers if one.WhichOneof("content") == "status")
            if status.code == v2.MESSAGE_NOT_FOUND:
                return []
            _check(status)
            assert answers[-1].WhichOneof("content") == "delivery_timestamp"
            return [_got(one.message) for one in answers if one.WhichOneof("content") == "message"]

        return Pending(self.world, found)

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        if lite_topics:
            request = service.SyncLiteSubscriptionRequest(
                action=v2.COMPLETE_ADD,
                topic=v2.Resource(name=topic),
                group=v2.Resource(name=group),
                lite_topic_set=lite_topics,
            )
            self._ask("SyncLiteSubscription", request, service.SyncLiteSubscriptionResponse)
        return self.receive_for(group, topic, self.invisible_ms, fifo=fifo, max_messages=max_messages).answer()

    def ack(self, group: str, topic: str, message: Got) -> None:
        request = service.AckMessageRequest(
            group=v2.Resource(name=group),
            topic=v2.Resource(name=topic),
            entries=[
                service.AckMessageEntry(
                    message_id=message.message_id, receipt_handle=message.handle, lite_topic=message.lite_topic
                )
            ],
        )
        (look,) = Pending(self.world, self._stream("AckMessage", request, service.AckMessageResponse)).answer()
        if look.entries:
            _check(look.entries[0].status)
        _check(look.status)

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        self.change_invisible(group, topic, message, delay_ms)

    def change_invisible(self, group: str, topic: str, message: Got, invisible_ms: int) -> Got:
        request = service.ChangeInvisibleDurationRequest(
            group=v2.Resource(name=group),
            topic=v2.Resource(name=topic),
            receipt_handle=message.handle,
            invisible_duration=_duration(invisible_ms),
            message_id=message.message_id,
            lite_topic=message.lite_topic or None,
        )
        answer = self._ask("ChangeInvisibleDuration", request, service.ChangeInvisibleDurationResponse)
        return Got(message.body, message.properties, message.topic, handle=answer.receipt_handle)

    def dead_letter(self, group: str, topic: str, message: Got) -> None:
        request = service.ForwardMessageToDeadLetterQueueRequest(
            group=v2.Resource(name=group),
            topic=v2.Resource(name=topic),
            receipt_handle=message.handle,
            message_id=message.message_id,
            delivery_attempt=message.attempt,
            max_delivery_attempts=17,
        )
        self._ask(
            "ForwardMessageToDeadLetterQueue", request, service.ForwardMessageToDeadLetterQueueResponse
        )

    # Pulling.

    def _queue(self, topic: str, queue_id: int) -> v2.MessageQueue:
        return v2.MessageQueue(topic=v2.Resource(name=topic), id=queue_id)

    def pull(self, group: str, topic: str, queue_id: int, offset: int, wait_ms: int = 0, tags: str = "*") -> Pending[Pulled]:
        request = service.PullMessageRequest(
            group=v2.Resource(name=group),
            message_queue=self._queue(topic, queue_id),
            offset=offset,
            batch_size=32,
            filter_expression=v2.FilterExpression(type=v2.TAG, expression=tags),
            long_polling_timeout=_duration(wait_ms),
        )
        look = self._stream("PullMessage", request, service.PullMessageResponse)

        def found() -> Pulled | None:
            answers = look()
            if answers is None:
                return None
            status = next(one.status for one in answers if one.WhichOneof("content") == "status")
            moved = status.code == v2.ILLEGAL_OFFSET
            if not moved and status.code != v2.MESSAGE_NOT_FOUND:
                _check(status)
            messages = [_got(one.message) for one in answers if one.WhichOneof("content") == "message"]
            ends = [one.next_offset for one in answers if one.WhichOneof("content") == "next_offset"]
            if moved and not ends:
                raise Refused(int(status.code), status.message)
            name = "OFFSET_MOVED" if moved else "FOUND" if messages else "NO_NEW_MESSAGE"
            low, high = self.offsets(topic, queue_id)
            return Pulled(name, messages, ends[0], low, high)

        return Pending(self.world, found)

    def _offset(self, topic: str, queue_id: int, policy: v2.QueryOffsetPolicy, at_ms: int = 0) -> int:
        request = service.QueryOffsetRequest(message_queue=self._queue(topic, queue_id), query_offset_policy=policy)
        if policy == v2.TIMESTAMP:
            request.timestamp.CopyFrom(_timestamp(at_ms))
        found: int = self._ask("QueryOffset", request, service.QueryOffsetResponse).offset
        return found

    def offsets(self, topic: str, queue_id: int) -> tuple[int, int]:
        return self._offset(topic, queue_id, v2.BEGINNING), self._offset(topic, queue_id, v2.END)

    def offset_at(self, topic: str, queue_id: int, at_ms: int) -> int:
        return self._offset(topic, queue_id, v2.TIMESTAMP, at_ms)

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        request = service.UpdateOffsetRequest(
            group=v2.Resource(name=group), message_queue=self._queue(topic, queue_id), offset=offset
        )
        self._ask("UpdateOffset", request, service.UpdateOffsetResponse)

    def committed(self, group: str, topic: str, queue_id: int) -> int | None:
        request = service.GetOffsetRequest(group=v2.Resource(name=group), message_queue=self._queue(topic, queue_id))
        try:
            found: int = self._ask("GetOffset", request, service.GetOffsetResponse).offset
        except Refused as error:
            if error.reason == v2.OFFSET_NOT_FOUND:
                return None
            raise
        return found

    # Clients.

    def queues(self, topic: str) -> int:
        request = service.QueryRouteRequest(topic=v2.Resource(name=topic))
        answer = self._ask("QueryRoute", request, service.QueryRouteResponse)
        return len(answer.message_queues)

    # Administration: of the other service.

    def _query(self, topic: str, **search: str) -> list[Got]:
        request = admin.ListMessageRequest(topic=v2.Resource(name=topic), **search)
        return [_got(one) for one in self._ask(_ADMIN + "QueryMessage", request, admin.ListMessageResponse).messages]

    def find_by_key(self, topic: str, key: str) -> list[Got]:
        return self._query(topic, message_key=key)

    def view(self, sent: Sent) -> Got:
        (found,) = self._query(sent.topic, message_id=sent.message_id)
        return found


def _path(name: str) -> str:
    """Of a call: a name is one of MessagingService."""
    return name if name.startswith("/") else _SERVICE + name


def _got(message: v2.Message) -> Got:
    system = message.system_properties
    own = {
        "TAGS": system.tag,
        "KEYS": " ".join(system.keys),
        "UNIQ_KEY": system.message_id,
        "__SHARDINGKEY": system.message_group,
    }
    return Got(
        message.body.decode(),
        {**message.user_properties, **{name: value for name, value in own.items() if value}},
        message.topic.name,
        system.queue_id,
        system.queue_offset,
        handle=system.receipt_handle,
        attempt=system.delivery_attempt,
        born_timestamp=_ms(system.born_timestamp),
        born_host=system.born_host,
        deliver_at=_ms(system.delivery_timestamp) if system.HasField("delivery_timestamp") else 0,
        priority=system.priority if system.HasField("priority") else None,
        lite_topic=system.lite_topic,
    )


class GrpcWebDriver(GrpcDriver):
    """Each call a POST of HTTP/1.1, on a connection that no other call uses meanwhile, as in browsers."""

    name = "grpcweb"

    # What goes both ways is for the WebSocket transport (``tests/unit/rmqgateway_grpcweb``).
    answer_for = Driver.answer_for
    checks = Driver.checks

    def _connect(self) -> None:
        self._connections: list[HttpClient] = []
        self._idle: list[HttpClient] = []

    def _client(self) -> HttpClient:
        """A connection that is free."""
        if self._idle:
            client = self._idle.pop()
            if client.closed:
                client.connect()
            return client
        world = self.world
        front_end = shared(world, "grpcweb", lambda: GrpcWebFrontEnd(lambda: world.wall_ms))
        self._connections.append(world.http(front_end))
        return self._connections[-1]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.world.settle()

    def _start(self, name: str, request: Any, last: bool = True) -> Callable[[], _Call]:
        assert last, "a request is one message"
        client = self._client()
        headers = [("Content-Type", "application/grpc-web+proto"), ("X-Grpc-Web", "1")]
        headers += [(key.decode(), value.decode()) for key, value in self._metadata()]
        client.start("POST", _path(name), headers, encode_message(request.SerializeToString()))

        def look() -> _Call:
            call = _Call()
            try:
                response = client.response(whole=False)
            except NoReplyYet:
                return call
            body = response.body
            while len(body) >= 5:
                size = int.from_bytes(body[1:5], "big")
                if len(body) < 5 + size:
                    break
                message, flag, body = body[5 : 5 + size], body[0], body[5 + size :]
                if flag & 0x80:
                    trailers = dict(decode_web_headers(message))
                    call.status = int(trailers[b"grpc-status"])
                    call.text = trailers.get(b"grpc-message", b"").decode()
                else:
                    call.messages.append(message)
            if call.status is not None:
                if not response.complete:
                    client.response()  # the connection is free
                self._idle.append(client)
                answered.append(call)
            return call

        answered: list[_Call] = []
        return lambda: answered[0] if answered else look()
