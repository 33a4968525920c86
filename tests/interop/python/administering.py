"""An administrator with plain grpcio, who knows of the Admin service what the server's reflection tells, beside the official
Python client in one process. Prints one JSON line.

Arguments: endpoints, a prefix unique to this run.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from rocketmq import (
    ClientConfiguration,
    ConsumeResult,
    Credentials,
    FilterExpression,
    MessageListener,
    PushConsumer,
)

SERVICE = "apache.rocketmq.v2.Admin"


def check(kept: bool, promise: object) -> None:
    if not kept:
        raise AssertionError(promise)


def fields_of(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a protobuf message that have a length, by number; others are passed over."""
    found = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        size = varint()
        if tag & 7 == 2:
            found.append((tag >> 3, data[at : at + size]))
            at += size
    return found


class Administrator:
    """Makes its message classes of what reflection tells, in a pool of their own."""

    def __init__(self, endpoints: str) -> None:
        self._channel = grpc.insecure_channel(endpoints)
        symbol = SERVICE.encode()
        request = b"\x22" + bytes((len(symbol),)) + symbol  # file_containing_symbol
        ask = self._channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        (answer,) = ask(iter((request,)), timeout=10)
        (files,) = [data for number, data in fields_of(answer) if number == 4]
        pool = descriptor_pool.DescriptorPool()
        for _, file in reversed(fields_of(files)):
            pool.AddSerializedFile(file)
        self._service = pool.FindServiceByName(SERVICE)

    def request(self, name: str) -> Any:
        return message_factory.GetMessageClass(self._service.FindMethodByName(name).input_type)()

    def call(self, name: str, request: Any = None) -> Any:
        method = self._service.FindMethodByName(name)
        call = self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        return call(self.request(name) if request is None else request, timeout=15)

    def done(self, name: str, **fields: str) -> Any:
        request = self.request(name)
        for field, value in fields.items():
            if field in ("topic", "group"):
                getattr(request, field).name = value
            else:
                setattr(request, field, value)
        answer = self.call(name, request)
        check(answer.status.code == 20000, (name, answer.status))
        return answer


def scenario(endpoints: str, prefix: str) -> None:
    topic, group = f"{prefix}_administered", f"{prefix}_administered_group"
    bodies: list[str] = []
    came = threading.Condition()

    class Listener(MessageListener):
        def consume(self, message: Any) -> Any:
            with came:
                bodies.append(message.body.decode())
                came.notify_all()
            return ConsumeResult.SUCCESS

    def await_bodies(count: int) -> None:
        with came:
            check(came.wait_for(lambda: len(bodies) >= count, 20), f"{count} messages: {bodies}")

    administrator = Administrator(endpoints)
    send = administrator.request("AdminSendMessage")
    send.topic.name, send.tag, send.key, send.body = topic, "a", "k1", b"first"
    first = administrator.call("AdminSendMessage", send)
    check(first.status.code == 20000, first.status)
    configuration = ClientConfiguration(endpoints, Credentials(), request_timeout=10)
    consumer = PushConsumer(configuration, group, Listener(), {topic: FilterExpression()}, tls_enable=False)
    consumer.startup()
    try:
        await_bodies(1)
        (client,) = administrator.done("ListConsumerConnection", group=group).client_info
        check(client.language == "PYTHON" and bool(client.version), client)
        (known,) = administrator.done("ListSubscription", group=group).subscription_info
        check(known.online and known.topic.name == topic and known.expression.expression == "*", known)
        for _ in range(100):
            lag = administrator.done("DescribeGroupAccumulation", group=group).accumulation
            if lag.accumulation == 0:
                break
            time.sleep(0.1)
        check(lag.accumulation == 0 and lag.inflight_messages == 0, lag)
        (found,) = administrator.done("QueryMessage", topic=topic, message_id=first.message_id).messages
        check(found.body == b"first" and found.system_properties.tag == "a", found)
        reset = administrator.request("ResetGroupOffset")
        reset.topic.name, reset.group.name = topic, group
        reset.reset_timestamp.seconds = int(time.time()) - 3600
        check(administrator.call("ResetGroupOffset", reset).status.code == 20000, "reset")
        await_bodies(2)
        check(bodies == ["first", "first"], bodies)
    finally:
        consumer.shutdown()
    for _ in range(150):
        request = administrator.request("DeleteSubscription")
        request.topic.name, request.group.name = topic, group
        status = administrator.call("DeleteSubscription", request).status
        if status.code == 20000:
            break
        time.sleep(0.1)
    check(status.code == 20000, status)
    check(not administrator.done("ListSubscription", group=group).subscription_info, "deleted")
    check(administrator.done("GetProxyRuntimeStats").in_tps >= 0, "rates")
    try:
        administrator.call("ChangeLogLevel")
    except grpc.RpcError as error:
        check(error.code() is grpc.StatusCode.PERMISSION_DENIED and "ChangeLogLevel" in error.details(), error)
    else:
        raise AssertionError("the log level may be changed")


def main() -> None:
    began = time.monotonic()
    outcome, text = "ok", ""
    try:
        scenario(*sys.argv[1:3])
    except BaseException as error:
        traceback.print_exc()
        outcome, text = "failed", repr(error)
    line = {"name": "administering", "outcome": outcome, "seconds": time.monotonic() - began, "message": text}
    print(json.dumps(line), flush=True)


main()
