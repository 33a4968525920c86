"""Sends and receives on request with the official Python gRPC client: a question in JSON per line, an answer per line."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from rocketmq import (
    ClientConfiguration,
    Credentials,
    FilterExpression,
    LiteSimpleConsumer,
    Message,
    Producer,
    SimpleConsumer,
    TransactionChecker,
    TransactionResolution,
)

_SECONDS = 40


class _Checker(TransactionChecker):
    def check(self, message: Any) -> Any:
        return TransactionResolution.UNSPECIFIED


def send(endpoints: str, asked: dict[str, Any]) -> dict[str, Any]:
    configuration = ClientConfiguration(endpoints, Credentials(), request_timeout=10)
    producer = Producer(configuration, (asked["topic"],), _Checker(), False)
    producer.startup()
    ids = []
    try:
        for given in asked["messages"]:
            message = Message()
            message.topic = asked["topic"]
            message.body = given["body"].encode()
            message.tag = given["tag"]
            message.keys = " ".join(given["keys"]) if len(given["keys"]) == 1 else given["keys"]
            for name, value in given["properties"].items():
                message.add_property(name, value)
            for name, field in (
                ("message_group", "message_group"),
                ("priority", "priority"),
                ("lite_topic", "lite_topic"),
            ):
                if name in given:
                    setattr(message, field, given[name])
            if "deliver_at" in given:
                message.delivery_timestamp = given["deliver_at"] // 1000
            if "commit" in given:
                transaction = producer.begin_transaction()
                ids.append(producer.send(message, transaction).message_id)
                (transaction.commit if given["commit"] else transaction.rollback)()
            else:
                ids.append(producer.send(message).message_id)
    finally:
        producer.shutdown()
    return {"ids": ids}


def _subscribe(consumer: Any, name: str) -> None:
    """The client believes in a quota of 0 until the gateway's settings have come."""
    end = time.monotonic() + 10
    while True:
        try:
            consumer.subscribe_lite(name)
        except Exception as error:
            if "quota: 0" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def receive(endpoints: str, asked: dict[str, Any]) -> dict[str, Any]:
    configuration = ClientConfiguration(endpoints, Credentials(), request_timeout=10)
    topic, group = asked["topic"], asked["group"]
    if asked["kind"] == "lite":
        consumer: Any = LiteSimpleConsumer(topic, configuration, group, await_duration=3, tls_enable=False)
    else:
        consumer = SimpleConsumer(configuration, group, {topic: FilterExpression()}, 3, tls_enable=False)
    consumer.startup()
    found: list[dict[str, Any]] = []
    before: set[str] = set()
    try:
        for name in asked.get("lite_topics", ()):
            _subscribe(consumer, name)
        end = time.monotonic() + _SECONDS
        while len(found) < asked["count"] and time.monotonic() < end:
            for message in consumer.receive(16, 20) or ():
                if message.message_id not in before:
                    before.add(message.message_id)
                    consumer.change_invisible_duration(message, 1)
                    continue
                consumer.ack(message)
                found.append(
                    {
                        "body": message.body.decode(),
                        "tag": message.tag,
                        "keys": list(message.keys),
                        "properties": dict(message.properties),
                        "message_id": message.message_id,
                        "message_group": message.message_group,
                        "priority": message.priority,
                        "lite_topic": message.lite_topic,
                        "attempt": message.delivery_attempt,
                        "born_timestamp": message.born_timestamp,
                        "born_host": message.born_host,
                        "at": int(time.time() * 1000),
                    }
                )
    finally:
        consumer.shutdown()
    return {"messages": found}


def main() -> None:
    out = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = (send if asked["op"] == "send" else receive)(sys.argv[1], asked)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": repr(error)}
        print(json.dumps({**answer, "id": asked["id"]}), file=out, flush=True)


main()
