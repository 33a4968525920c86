"""The Python SDK of the MQ HTTP wire, unchanged: each scenario prints one JSON object a line.

python scenarios.py ENDPOINT all PREFIX | python scenarios.py none list none
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from mq_http_sdk.mq_client import MQClient
from mq_http_sdk.mq_exception import MQExceptionBase
from mq_http_sdk.mq_producer import TopicMessage

Scenario = Callable[[MQClient, str], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def publish(
    client: MQClient, topic: str, body: str, tag: str = "", instance: str = "", **more: object
) -> TopicMessage:
    message = TopicMessage(body, tag)
    for name, value in more.items():
        getattr(message, name)(value)
    return client.get_producer(instance, topic).publish_message(message)


def code_of(action: Callable[[], object]) -> str:
    """The error code that an action raises, or ""."""
    try:
        action()
    except MQExceptionBase as error:
        return str(error.type)
    return ""


def consume(consumer: object, wanted: int, orderly: bool = False, seconds: float = 15) -> list:
    """Consumes and acknowledges until that many came."""
    found: list = []
    end = time.monotonic() + seconds
    take = consumer.consume_message_orderly if orderly else consumer.consume_message
    while len(found) < wanted and time.monotonic() < end:
        try:
            batch = take(16, 3)
        except MQExceptionBase as error:
            if error.type != "MessageNotExist":
                raise
            continue
        consumer.ack_message([one.receipt_handle for one in batch])
        found += batch
    same(len(found), wanted)
    return found


def same(got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"expected {wanted!r}, got {got!r}")


@scenario
def publish_consume_ack(client: MQClient, name: str) -> None:
    sent = publish(client, name, "hello <&> ]]>\tworld")
    (message,) = consume(client.get_consumer("", name, name + "_g", ""), 1)
    same(message.message_body, "hello <&> ]]>\tworld")
    same((message.message_id, message.message_body_md5), (sent.message_id, sent.message_body_md5))
    same(len(message.message_id), 32)
    same(message.consumed_times, 1)
    same(abs(message.publish_time / 1000 - time.time()) < 60, True)
    same(message.publish_time <= message.first_consume_time < message.next_consume_time, True)


@scenario
def many(client: MQClient, name: str) -> None:
    """More than one receive, the same bytes signed more than once a second."""
    for number in range(40):
        publish(client, name, f"message {number % 2}")
    consume(client.get_consumer("", name, name + "_g", ""), 40)


@scenario
def chinese_text(client: MQClient, name: str) -> None:
    publish(client, name, "消息队列 🚀", "标签", set_message_key="订单", set_sharding_key="键")
    (message,) = consume(client.get_consumer("", name, name + "_g", "标签"), 1)
    same((message.message_body, message.message_tag), ("消息队列 🚀", "标签"))
    same((message.get_message_key(), message.get_sharding_key()), ("订单", "键"))


@scenario
def properties(client: MQClient, name: str) -> None:
    message = TopicMessage("x", "tag")
    message.set_message_key("key")
    message.put_property("colour", "red")
    client.get_producer("", name).publish_message(message)
    (got,) = consume(client.get_consumer("", name, name + "_g", ""), 1)
    same((got.message_tag, got.get_message_key(), got.get_property("colour")), ("tag", "key", "red"))


@scenario
def tag_filter(client: MQClient, name: str) -> None:
    for tag in "ABC":
        publish(client, name, tag, tag)
    found = consume(client.get_consumer("", name, name + "_g", "A||B"), 2)
    same(sorted(one.message_body for one in found), ["A", "B"])
    same(
        code_of(lambda: client.get_consumer("", name, name + "_g", "A||B").consume_message(1)),
        "MessageNotExist",
    )


@scenario
def delay(client: MQClient, name: str) -> None:
    at = int(time.time() * 1000) + 2500
    publish(client, name, "later", set_start_deliver_time=at)
    consumer = client.get_consumer("", name, name + "_g", "")
    same(code_of(lambda: consumer.consume_message(1)), "MessageNotExist")
    (message,) = consume(consumer, 1)
    same(time.time() * 1000 >= at, True)
    same(message.get_start_deliver_time(), at)


@scenario
def ordered(client: MQClient, name: str) -> None:
    for number in range(12):
        publish(client, name, str(number), set_sharding_key=str(number % 2))
    found = consume(client.get_consumer("", name, name + "_g", ""), 12, orderly=True)
    for key in "01":
        got = [int(one.message_body) for one in found if one.get_sharding_key() == key]
        same(got, sorted(got))


@scenario
def ordered_waits_for_ack(client: MQClient, name: str) -> None:
    for number in range(3):
        publish(client, name, str(number), set_sharding_key="k")
    consumer = client.get_consumer("", name, name + "_g", "")
    (first,) = consumer.consume_message_orderly(1, 3)
    same(code_of(lambda: consumer.consume_message_orderly(1)), "MessageNotExist")
    consumer.ack_message([first.receipt_handle])
    same([one.message_body for one in consume(consumer, 2, orderly=True)], ["1", "2"])


@scenario
def instance(client: MQClient, name: str) -> None:
    publish(client, name, "inside", instance="INST")
    same(code_of(lambda: client.get_consumer("", name, name + "_g", "").consume_message(1)), "TopicNotExist")
    consume(client.get_consumer("INST", name, name + "_g", ""), 1)


@scenario
def no_message(client: MQClient, name: str) -> None:
    publish(client, name, "x")
    consumer = client.get_consumer("", name, name + "_g", "")
    consume(consumer, 1)
    began = time.monotonic()
    same(code_of(lambda: consumer.consume_message(1, 2)), "MessageNotExist")
    same(1.5 < time.monotonic() - began < 10, True)


@scenario
def unknown_topic(client: MQClient, name: str) -> None:
    same(code_of(lambda: client.get_consumer("", name, name + "_g", "").consume_message(1)), "TopicNotExist")


@scenario
def expired_handle(client: MQClient, name: str) -> None:
    publish(client, name, "again")
    consumer = client.get_consumer("", name, name + "_g", "")
    (first,) = consumer.consume_message(1, 3)
    time.sleep(max(0.0, first.next_consume_time / 1000 - time.time()) + 0.3)
    try:
        consumer.ack_message([first.receipt_handle, "nonsense"])
    except MQExceptionBase as error:
        entries = {one["ReceiptHandle"]: one["ErrorCode"] for one in error.sub_errors}
        same(entries, {first.receipt_handle: "MessageNotExist", "nonsense": "ReceiptHandleError"})
    else:
        raise AssertionError("an expired handle was taken")
    (second,) = consume(consumer, 1)
    same(second.consumed_times, 2)
    same(second.first_consume_time, first.first_consume_time)


@scenario
def transaction_commit(client: MQClient, name: str) -> None:
    producer = client.get_trans_producer("", name, name + "_p")
    message = TopicMessage("half")
    message.set_trans_check_immunity_time(10)
    handle = producer.publish_message(message).receipt_handle
    consumer = client.get_consumer("", name, name + "_g", "")
    same(code_of(lambda: consumer.consume_message(1)), "MessageNotExist")
    producer.commit(handle)
    (got,) = consume(consumer, 1)
    same(got.message_body, "half")
    same(code_of(lambda: producer.rollback(handle)), "MessageNotExist")


@scenario
def transaction_rollback(client: MQClient, name: str) -> None:
    producer = client.get_trans_producer("", name, name + "_p")
    message = TopicMessage("half")
    message.set_trans_check_immunity_time(10)
    producer.rollback(producer.publish_message(message).receipt_handle)
    same(
        code_of(lambda: client.get_consumer("", name, name + "_g", "").consume_message(1, 1)),
        "MessageNotExist",
    )


@scenario
def transaction_half(client: MQClient, name: str) -> None:
    producer = client.get_trans_producer("", name, name + "_p")
    handles = []
    for body in ("commit", "rollback"):
        message = TopicMessage(body)
        message.set_trans_check_immunity_time(10)
        handles.append(producer.publish_message(message).receipt_handle)
    found = {}
    end = time.monotonic() + 25
    while len(found) < 2 and time.monotonic() < end:
        try:
            found.update({one.message_body: one for one in producer.consume_half_message(16, 5)})
        except MQExceptionBase as error:
            same(error.type, "MessageNotExist")
    same(sorted(found), ["commit", "rollback"])
    same(code_of(lambda: producer.commit(handles[0])), "MessageNotExist")
    producer.commit(found["commit"].receipt_handle)
    producer.rollback(found["rollback"].receipt_handle)
    (got,) = consume(client.get_consumer("", name, name + "_g", ""), 1)
    same(got.message_body, "commit")


def main(endpoint: str, which: str, prefix: str) -> None:
    if which == "list":
        print("\n".join(SCENARIOS))
        return
    client = MQClient(f"http://{endpoint}", "key", "secret")
    for name, run in SCENARIOS.items():
        began = time.monotonic()
        outcome, text = "ok", ""
        try:
            run(client, f"{prefix}_{name}")
        except Exception as error:
            outcome, text = "failed", f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        print(json.dumps({"name": name, "outcome": outcome, "seconds": seconds, "message": text}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
