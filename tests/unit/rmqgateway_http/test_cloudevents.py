"""CloudEvents 1.0: the three modes in, structured and batch out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.rmqgateway_http.kit import Api

SEND = "/v1/topics/orders/messages"
PLACE = "/v1/topics/orders/groups/g"
STRUCTURED = ("Content-Type", "application/cloudevents+json")
BATCH = ("Content-Type", "application/cloudevents-batch+json")
TAKES_ONE = ("Accept", "application/cloudevents+json")
TAKES_BATCH = ("Accept", "application/cloudevents-batch+json")
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/shop",
    "type": "shop.paid",
    "subject": "o-1",
    "time": "2026-01-01T00:00:00Z",
    "datacontenttype": "application/json",
    "data": {"order": 1},
}


def take(api: Api) -> dict[str, Any]:
    event: dict[str, Any] = api.request("GET", f"{PLACE}/messages", [TAKES_ONE], status=200).json()
    assert event.pop("receipthandle")
    return event


def test_structured() -> None:
    api = Api()
    api.request("POST", SEND, [STRUCTURED], msgspec.json.encode(EVENT), 201)
    assert take(api) == EVENT


def test_binary() -> None:
    api = Api()
    headers = [("ce-" + name, str(EVENT[name])) for name in ("specversion", "id", "source", "type", "subject", "time")]
    api.request("POST", SEND, [*headers, ("Content-Type", "application/json; charset=utf-8")], b'{"order":1}', 201)
    assert take(api) == {**EVENT, "datacontenttype": "application/json; charset=utf-8"}


def test_the_body_is_the_data_and_attributes_are_properties() -> None:
    api = Api()
    api.request("POST", SEND, [STRUCTURED], msgspec.json.encode(EVENT), 201)
    (got,) = api.receive("orders")
    assert got["body"] == '{"order":1}'
    assert got["properties"]["CE_id"] == "e1"
    assert got["properties"]["CE_contenttype"] == "application/json"


def test_binary_out() -> None:
    api = Api()
    api.request("POST", SEND, [STRUCTURED], msgspec.json.encode({**EVENT, "subject": "é %"}), 201)
    answer = api.request("GET", f"{PLACE}/messages?raw", status=200)
    assert answer.header("ce-id") == "e1"
    assert answer.header("ce-subject") == "%C3%A9 %25"
    assert answer.header("content-type") == "application/json"


def test_batch() -> None:
    api = Api()
    events = [{**EVENT, "id": f"e{n}"} for n in range(3)]
    sent = api.request("POST", SEND, [BATCH], msgspec.json.encode(events), 201).json()["messages"]
    assert len(sent) == 3
    got = api.request("GET", f"{PLACE}/messages?max=32", [TAKES_BATCH], status=200).json()
    assert sorted(event["id"] for event in got) == ["e0", "e1", "e2"]


@pytest.mark.parametrize(
    ("data", "comes"),
    [
        ({"data_base64": "AP8=", "datacontenttype": "application/octet-stream"},) * 2,
        ({"data": "text", "datacontenttype": "text/plain"},) * 2,
        ({"data": "text"}, {"data": "text", "datacontenttype": "application/json"}),
        ({"data": None}, {"data": None, "datacontenttype": "application/json"}),
        ({},) * 2,
    ],
)
def test_data(data: dict[str, Any], comes: dict[str, Any]) -> None:
    api = Api()
    required = {name: EVENT[name] for name in ("specversion", "id", "source", "type")}
    api.request("POST", SEND, [STRUCTURED], msgspec.json.encode({**required, **data}), 201)
    assert take(api) == {**required, **comes}


def test_a_message_that_was_no_event_becomes_one() -> None:
    api = Api()
    sent = api.send("orders", b"plain", query="?message_group=m")
    event = take(api)
    assert event == {
        "specversion": "1.0",
        "id": sent["message_id"],
        "source": "/topics/orders",
        "type": "org.apache.rocketmq.message",
        "partitionkey": "m",
        "datacontenttype": "text/plain",
        "data": "plain",
    }


def test_the_partition_key_is_the_message_group() -> None:
    api = Api()
    api.request("POST", SEND, [STRUCTURED], msgspec.json.encode({**EVENT, "partitionkey": "one"}), 201)
    (got,) = api.receive("orders")
    assert got["message_group"] == "one"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"id": ""}, "id"),
        ({"type": None}, "type"),
        ({"specversion": "0.3"}, "1.0"),
        ({"Upper": "x"}, "Upper"),
        ({"extra": {"a": 1}}, "extra"),
        ({"data_base64": "eA=="}, "one of"),
        ({"data": None, "data_base64": 5}, "one of"),
    ],
)
def test_bad_events(change: dict[str, Any], word: str) -> None:
    body = msgspec.json.encode({**EVENT, **change})
    found = Api().problem(400, "POST", SEND, [STRUCTURED], body)
    assert word in found["detail"]


def test_bad_batches() -> None:
    api = Api(max_messages=2)
    api.problem(400, "POST", SEND, [BATCH], b"[]")
    api.problem(400, "POST", SEND, [BATCH], msgspec.json.encode([EVENT] * 3))
    found = api.problem(400, "POST", SEND, [BATCH], msgspec.json.encode([EVENT, {**EVENT, "id": ""}]))
    assert "event 1" in found["detail"]
    api.problem(415, "POST", SEND, [("Content-Type", "application/cloudevents+avro")], b"x")
    headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s")]
    assert "type" in api.problem(400, "POST", SEND, headers, b"x")["detail"]
