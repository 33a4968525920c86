"""Scenarios with the official Python client; runs in a virtual environment of its own, prints one JSON line for each.

Arguments: endpoints, comma separated names or "list", a prefix unique to this run, "tls" or "plain".
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rocketmq import (
    ClientConfiguration,
    ConsumeResult,
    Credentials,
    FilterExpression,
    LitePushConsumer,
    LiteSimpleConsumer,
    Message,
    MessageListener,
    Producer,
    PushConsumer,
    SimpleConsumer,
    TransactionChecker,
    TransactionResolution,
)
from rocketmq.grpc_protocol import FilterType


class Stage:
    """What one scenario works with; closes what it made."""

    def __init__(self, endpoints: str, prefix: str, name: str, tls: bool) -> None:
        self.configuration = ClientConfiguration(endpoints, Credentials(), request_timeout=10)
        self.topic = f"{prefix}_{name}"
        self.group = f"{prefix}_{name}_group"
        self.tls = tls
        self.made: list[Any] = []

    def _started(self, client: Any) -> Any:
        client.startup()
        self.made.append(client)
        return client

    def producer(self, checker: Any = None) -> Any:
        return self._started(Producer(self.configuration, (self.topic,), checker, self.tls))

    def simple(self, filter: Any = None, wait: int = 5, topic: str = "") -> Any:
        subscription = {topic or self.topic: filter or FilterExpression()}
        return self._started(
            SimpleConsumer(self.configuration, self.group, subscription, wait, tls_enable=self.tls)
        )

    def push(self, consume: Callable[[Any], Any]) -> Any:
        class Listener(MessageListener):
            def consume(self, message: Any) -> Any:
                return consume(message)

        subscription = {self.topic: FilterExpression()}
        return self._started(
            PushConsumer(self.configuration, self.group, Listener(), subscription, tls_enable=self.tls)
        )

    def message(self, body: str, **fields: Any) -> Any:
        message = Message()
        message.topic = self.topic
        message.body = body.encode()
        for name, value in fields.pop("properties", {}).items():
            message.add_property(name, value)
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def close(self) -> None:
        for client in self.made:
            try:
                client.shutdown()
            except Exception:
                traceback.print_exc()


def check(kept: bool, promise: object) -> None:
    if not kept:
        raise AssertionError(promise)


def drain(consumer: Any, count: int, seconds: float, ack: bool = True) -> list[Any]:
    """Receives (and acknowledges) until `count` messages are there or the time is over."""
    found: list[Any] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        for message in consumer.receive(16, 20) or ():
            found.append(message)
            if ack:
                consumer.ack(message)
    return found


def bodies(messages: list[Any]) -> list[str]:
    return [message.body.decode() for message in messages]


def await_(what: str, seconds: float, happened: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not happened():
        check(time.monotonic() < end, f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def normal(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple()
    sent = {producer.send(stage.message(f"m{number}")).message_id for number in range(20)}
    found = drain(consumer, 20, 20)
    check({message.message_id for message in found} == sent and len(found) == 20, bodies(found))


def properties(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple()
    producer.send(stage.message("grüße 中文", tag="A", keys="k1", properties={"color": "blue", "名": "值"}))
    (message,) = drain(consumer, 1, 20)
    check(message.body.decode() == "grüße 中文" and not message.corrupted, message.body)
    check(message.tag == "A" and set(message.keys) == {"k1"}, (message.tag, message.keys))
    check(message.properties == {"color": "blue", "名": "值"}, message.properties)
    check(message.delivery_attempt == 1, message.delivery_attempt)


def fifo(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple()
    for number in range(12):
        producer.send(stage.message(f"{number}", message_group=f"g{number % 2}"))
    found = drain(consumer, 12, 20)
    for group in ("g0", "g1"):
        numbers = [int(message.body) for message in found if message.message_group == group]
        check(numbers == sorted(numbers) and len(numbers) == 6, (group, numbers))


def delay(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple(wait=8)
    due = int(time.time()) + 3
    producer.send(stage.message("later", delivery_timestamp=due))
    found = drain(consumer, 1, 15)
    check(bodies(found) == ["later"], bodies(found))
    check(due <= time.time() + 0.01 < due + 3, time.time() - due)


def recall(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple()
    receipt = producer.send(stage.message("never", delivery_timestamp=int(time.time()) + 5))
    producer.recall_message(stage.topic, receipt.recall_handle)
    check(not drain(consumer, 1, 8), "a recalled message came")


class _Checker(TransactionChecker):
    def __init__(self) -> None:
        self.asked = 0

    def check(self, message: Any) -> Any:
        self.asked += 1
        return TransactionResolution.COMMIT


def transaction(stage: Stage) -> None:
    producer = stage.producer(_Checker())
    consumer = stage.simple(wait=3)
    committed = producer.begin_transaction()
    producer.send(stage.message("committed"), committed)
    rolled_back = producer.begin_transaction()
    producer.send(stage.message("rolled back"), rolled_back)
    check(not drain(consumer, 1, 2), "a half message is visible")
    rolled_back.rollback()
    committed.commit()
    found = drain(consumer, 2, 8)
    check(bodies(found) == ["committed"], bodies(found))


def transaction_orphan(stage: Stage) -> None:
    checker = _Checker()
    producer = stage.producer(checker)
    consumer = stage.simple()
    producer.send(stage.message("orphan"), producer.begin_transaction())
    found = drain(consumer, 1, 50)
    check(bodies(found) == ["orphan"] and checker.asked > 0, (bodies(found), checker.asked))


def change_invisible(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple(wait=8)
    producer.send(stage.message("again"))
    (message,) = drain(consumer, 1, 20, ack=False)
    consumer.change_invisible_duration(message, 2)
    (again,) = drain(consumer, 1, 20)
    check(again.delivery_attempt == 2, again.delivery_attempt)


def push(stage: Stage) -> None:
    producer = stage.producer()
    received: set[str] = set()
    failed: list[str] = []
    lock = threading.Lock()

    def consume(message: Any) -> Any:
        with lock:
            body = message.body.decode()
            if body == "m7" and not failed:
                failed.append(body)
                return ConsumeResult.FAILURE
            received.add(body)
        return ConsumeResult.SUCCESS

    stage.push(consume)
    for number in range(50):
        producer.send(stage.message(f"m{number}"))
    await_("50 messages", 40, lambda: len(received) == 50)
    check(failed == ["m7"], failed)


def push_fifo(stage: Stage) -> None:
    """The group was made by the test, as one that consumes in order."""
    producer = stage.producer()
    received: dict[str, list[int]] = {"g0": [], "g1": []}
    failed: list[str] = []

    def consume(message: Any) -> Any:
        group, _, number = message.body.decode().partition(" ")
        if number == "3" and group not in failed:
            failed.append(group)
            return ConsumeResult.FAILURE
        received[group].append(int(number))
        return ConsumeResult.SUCCESS

    stage.push(consume)
    for number in range(8):
        for group in received:
            producer.send(stage.message(f"{group} {number}", message_group=group))
    await_("16 messages", 60, lambda: sum(map(len, received.values())) >= 16)
    check(all(numbers == list(range(8)) for numbers in received.values()), received)


def filter_tag(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple(FilterExpression("A || C"), 3)
    for tag in ("A", "B", "C", "B", "A"):
        producer.send(stage.message(tag, tag=tag))
    found = drain(consumer, 4, 6)
    check(sorted(bodies(found)) == ["A", "A", "C"], bodies(found))


def filter_sql92(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple(FilterExpression("price > 10 AND color IN ('red')", FilterType.SQL), 3)
    producer.send(stage.message("yes", properties={"price": "11", "color": "red"}))
    producer.send(stage.message("no", properties={"price": "9", "color": "red"}))
    found = drain(consumer, 2, 6)
    check(bodies(found) == ["yes"], bodies(found))


def priority(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage.simple()
    for number in range(3):
        producer.send(stage.message(f"p{number}", priority=number))
    found = drain(consumer, 3, 20)
    check(sorted(bodies(found)) == ["p0", "p1", "p2"], bodies(found))
    check(all(message.body.decode() == f"p{message.priority}" for message in found), found)


def lite_push(stage: Stage) -> None:
    producer = stage.producer()
    received: list[str] = []
    refused: list[int] = []

    class Listener(MessageListener):
        def consume(self, message: Any) -> Any:
            text = f"{message.lite_topic} {message.body.decode()}"
            if text == "b again" and not refused:
                refused.append(1)
                return ConsumeResult.FAILURE
            received.append(text)
            return ConsumeResult.SUCCESS

    consumer = stage._started(
        LitePushConsumer(stage.configuration, stage.group, stage.topic, Listener(), tls_enable=stage.tls)
    )
    consumer.subscribe_lite("a")
    consumer.subscribe_lite("b")
    for lite_topic, body in (("a", "1"), ("b", "again"), ("c", "never")):
        producer.send(stage.message(body, lite_topic=lite_topic))
    await_("the first two", 30, lambda: {"a 1", "b again"} <= set(received))
    consumer.unsubscribe_lite("a")
    producer.send(stage.message("2", lite_topic="a"))
    producer.send(stage.message("3", lite_topic="b"))
    await_("the third", 20, lambda: "b 3" in received)
    time.sleep(0.5)
    check("a 2" not in received, received)
    consumer.subscribe_lite("a")
    await_("what was missed", 20, lambda: "a 2" in received)
    check(sorted(received) == ["a 1", "a 2", "b 3", "b again"] and refused, received)


def has_quota(consumer: Any, lite_topic: str) -> bool:
    try:
        consumer.subscribe_lite(lite_topic)
    except Exception as error:
        check("exceed quota: 0" in str(error), error)
        return False
    return True


def lite_simple(stage: Stage) -> None:
    producer = stage.producer()
    consumer = stage._started(
        LiteSimpleConsumer(stage.topic, stage.configuration, stage.group, await_duration=5, tls_enable=stage.tls)
    )
    # Of all consumers this one's start alone does not wait for its settings (Client.__init_routes of 5.1.2 leaves it out), and
    # before they are there its quota is none.
    await_("its settings", 10, lambda: has_quota(consumer, "a"))
    consumer.subscribe_lite("b")
    for lite_topic in ("a", "b", "c"):
        producer.send(stage.message(lite_topic, lite_topic=lite_topic))
    found = drain(consumer, 2, 20)
    check(sorted(bodies(found)) == ["a", "b"], bodies(found))
    check(all(message.lite_topic == message.body.decode() for message in found), found)
    consumer.unsubscribe_lite("a")
    consumer.subscribe_lite("c")
    producer.send(stage.message("late", lite_topic="a"))
    found = drain(consumer, 2, 7)
    check(bodies(found) == ["c"], bodies(found))


SCENARIOS = {
    one.__name__: one
    for one in (
        transaction_orphan,
        push_fifo,
        push,
        recall,
        transaction,
        normal,
        properties,
        fifo,
        delay,
        change_invisible,
        filter_tag,
        filter_sql92,
        priority,
        lite_push,
        lite_simple,
    )
}


def perform(name: str, arguments: list[str], out: Any) -> None:
    began = time.monotonic()
    outcome, message = "ok", ""
    stage = Stage(arguments[0], arguments[2], name, arguments[3] == "tls")
    try:
        SCENARIOS[name](stage)
    except BaseException:
        outcome, message = "failed", traceback.format_exc()
    seconds = round(time.monotonic() - began, 3)
    line = json.dumps({"name": name, "outcome": outcome, "seconds": seconds, "message": message})
    out.write(line + "\n")
    out.flush()
    stage.close()


def main() -> None:
    out, sys.stdout = sys.stdout, sys.stderr
    names = list(SCENARIOS) if sys.argv[2] == "all" else sys.argv[2].split(",")
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda name: perform(name, sys.argv[1:], out), names))
    out.flush()
    # The client leaves threads behind.
    os._exit(0)


if __name__ == "__main__":
    main()
