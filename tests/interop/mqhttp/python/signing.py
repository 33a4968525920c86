"""The Python SDK with a credential: lines "ACTION USER SECRET TOPIC GROUP BODY" in, "OK ..." or "CODE word" out."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mq_http_sdk.mq_client import MQClient
from mq_http_sdk.mq_exception import MQExceptionBase
from mq_http_sdk.mq_producer import TopicMessage


def send(client: MQClient, topic: str, group: str, body: str) -> str:
    return str(client.get_producer("", topic).publish_message(TopicMessage(body)).message_id)


def many(client: MQClient, topic: str, group: str, body: str) -> str:
    """Equal requests, many in a second: each is signed as the one before."""
    for _ in range(30):
        send(client, topic, group, body)
    return "30"


def consume(client: MQClient, topic: str, group: str, body: str) -> str:
    consumer = client.get_consumer("", topic, group, "")
    (message,) = consumer.consume_message(1, 5)
    consumer.ack_message([message.receipt_handle])
    return str(message.message_body)


ACTIONS: dict[str, Callable[[MQClient, str, str, str], str]] = {"send": send, "many": many, "consume": consume}


def main(endpoint: str) -> None:
    for line in sys.stdin:
        action, user, secret, topic, group, body = (line.rstrip("\n").split("\t") + [""] * 6)[:6]
        try:
            answer = "OK " + ACTIONS[action](MQClient(f"http://{endpoint}", user, secret), topic, group, body)
        except MQExceptionBase as error:
            answer = f"CODE {error.type}"
        print(answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
