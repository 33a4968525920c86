"""Sends and receives on request with the Python SDK of the MQ HTTP wire: a question in JSON per line, an answer per line."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from mq_http_sdk.mq_client import MQClient
from mq_http_sdk.mq_exception import MQExceptionBase
from mq_http_sdk.mq_producer import TopicMessage

_SECONDS = 40


def send(client: MQClient, asked: dict[str, Any]) -> dict[str, Any]:
    ids = []
    for given in asked["messages"]:
        message = TopicMessage(given["body"], given["tag"])
        message.set_message_key(" ".join(given["keys"]))
        for name, value in given["properties"].items():
            message.put_property(name, value)
        if "message_group" in given:
            message.set_sharding_key(given["message_group"])
        if "deliver_at" in given:
            message.set_start_deliver_time(given["deliver_at"])
        if "commit" in given:
            message.set_trans_check_immunity_time(10)
            producer = client.get_trans_producer("", asked["topic"], asked["group"])
            sent = producer.publish_message(message)
            (producer.commit if given["commit"] else producer.rollback)(sent.receipt_handle)
        else:
            sent = client.get_producer("", asked["topic"]).publish_message(message)
        ids.append(sent.message_id)
    return {"ids": ids}


def receive(client: MQClient, asked: dict[str, Any]) -> dict[str, Any]:
    consumer = client.get_consumer("", asked["topic"], asked["group"], "")
    take = consumer.consume_message_orderly if asked["kind"] == "fifo" else consumer.consume_message
    found: list[dict[str, Any]] = []
    before: set[str] = set()
    end = time.monotonic() + _SECONDS
    while len(found) < asked["count"] and time.monotonic() < end:
        try:
            batch = take(16, 3)
        except MQExceptionBase as error:
            if error.type != "MessageNotExist":
                raise
            continue
        for message in batch:
            if message.message_id not in before:
                before.add(message.message_id)  # not acknowledged: it comes again
                continue
            consumer.ack_message([message.receipt_handle])
            named = dict(message.properties)
            found.append(
                {
                    "body": message.message_body
                    if isinstance(message.message_body, str)
                    else message.message_body.decode(),
                    "tag": message.message_tag,
                    "keys": message.get_message_key().split(" "),
                    "properties": {name: value for name, value in named.items() if not name.startswith("__")},
                    "message_id": message.message_id,
                    "message_group": message.get_sharding_key(),
                    "attempt": message.consumed_times,
                    "born_timestamp": message.publish_time,
                    "at": int(time.time() * 1000),
                }
            )
    return {"messages": found}


def main() -> None:
    client = MQClient(f"http://{sys.argv[1]}", "key", "secret")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = (send if asked["op"] == "send" else receive)(client, asked)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": repr(error)}
        print(json.dumps({**answer, "id": asked["id"]}), flush=True)


main()
