"""The official Python gRPC client with a credential: "ACTION USER SECRET TOPIC GROUP BODY" in, "OK ..." or "ERROR ..." out."""

from __future__ import annotations

import os
import sys
from typing import Any

from rocketmq import ClientConfiguration, Credentials, FilterExpression, Message, Producer, SimpleConsumer


def send(configuration: Any, topic: str, group: str, body: str) -> str:
    producer = Producer(configuration, (topic,), None, False)
    producer.startup()
    try:
        message = Message()
        message.topic = topic
        message.body = body.encode()
        return str(producer.send(message).message_id)
    finally:
        producer.shutdown()


def consume(configuration: Any, topic: str, group: str, body: str) -> str:
    consumer = SimpleConsumer(configuration, group, {topic: FilterExpression()}, 5, tls_enable=False)
    consumer.startup()
    try:
        for _ in range(4):
            for message in consumer.receive(1, 20) or ():
                consumer.ack(message)
                return str(message.body.decode())
        return "nothing"
    finally:
        consumer.shutdown()


def main(endpoints: str) -> None:
    for line in sys.stdin:
        action, user, secret, topic, group, body = (line.rstrip("\n").split("\t") + [""] * 6)[:6]
        configuration = ClientConfiguration(endpoints, Credentials(user, secret), request_timeout=5)
        try:
            done = {"send": send, "consume": consume}[action](configuration, topic, group, body)
            answer = f"OK {done}"
        except Exception as error:
            answer = f"ERROR {type(error).__name__} {error}".replace("\n", " ")
        print(answer, flush=True)
    # Threads of the client may linger.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
