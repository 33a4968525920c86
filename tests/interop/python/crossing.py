"""One member of a topic that other kinds of clients use too, over gRPC: prints each body, sends each line of its input.

Arguments: endpoints, topic, group.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from rocketmq import (
    ClientConfiguration,
    ConsumeResult,
    Credentials,
    FilterExpression,
    Message,
    MessageListener,
    Producer,
    PushConsumer,
)

_saying = threading.Lock()


def say(line: str) -> None:
    """Prints the line whole: the client's threads speak at the same time, and `print` writes the end of a line by itself."""
    with _saying:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Listener(MessageListener):
    def consume(self, message: Any) -> Any:
        say("got " + message.body.decode())
        return ConsumeResult.SUCCESS


def main() -> None:
    endpoints, topic, group = sys.argv[1:]
    configuration = ClientConfiguration(endpoints, Credentials(), request_timeout=10)
    consumer = PushConsumer(configuration, group, Listener(), {topic: FilterExpression()}, tls_enable=False)
    consumer.startup()
    producer = Producer(configuration, (topic,), None, False)
    producer.startup()
    say("ready")
    for line in sys.stdin:
        message = Message()
        message.topic = topic
        message.body = line.rstrip("\n").encode()
        producer.send(message)
    os._exit(0)


if __name__ == "__main__":
    main()
