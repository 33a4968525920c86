"""POST /v1/topics/{topic}/messages."""

from __future__ import annotations

import gzip
import zlib

import msgspec
import pytest

from tests.unit.rmqgateway_http.kit import JSON, Api


def test_a_raw_body_is_the_message() -> None:
    api = Api()
    sent = api.send("orders", b"hello")
    assert set(sent) == {"message_id", "queue_id", "queue_offset"}
    (got,) = api.receive("orders")
    assert got["body"] == "hello"
    assert got["message_id"] == sent["message_id"]
    assert (got["queue_id"], got["queue_offset"]) == (sent["queue_id"], sent["queue_offset"])
    assert got["delivery_attempt"] == 1


def test_headers_say_the_rest() -> None:
    api = Api()
    api.send(
        "orders",
        b"x",
        [
            ("X-RocketMQ-Tag", "paid"),
            ("X-RocketMQ-Keys", "k1, k2"),
            ("X-RocketMQ-Property-City", "München"),
            ("X-RocketMQ-Queue-Id", "3"),
        ],
    )
    (got,) = api.receive("orders")
    assert (got["tag"], got["keys"], got["queue_id"]) == ("paid", ["k1", "k2"], 3)
    # Names of headers have no case: properties sent so are lower case.
    assert got["properties"] == {"city": "München"}


def test_the_query_says_the_same_and_counts_more() -> None:
    api = Api()
    api.send("orders", b"x", [("X-RocketMQ-Tag", "a")], "?tag=b&keys=k1,k2&message_group=m")
    (got,) = api.receive("orders")
    assert (got["tag"], got["keys"], got["message_group"]) == ("b", ["k1", "k2"], "m")


def test_a_json_envelope_is_one_message() -> None:
    api = Api()
    message = {"body": "text", "tag": "t", "keys": ["a", "b"], "properties": {"Colour": "red"}, "queue_id": 1}
    sent = api.post("/v1/topics/orders/messages", message, 201)
    (got,) = api.receive("orders")
    assert got["message_id"] == sent["message_id"]
    assert {name: got[name] for name in message} == message


def test_an_envelope_of_many_answers_each() -> None:
    api = Api()
    sent = api.post("/v1/topics/orders/messages", {"messages": [{"body": str(n)} for n in range(5)]}, 201)
    assert len({one["message_id"] for one in sent["messages"]}) == 5
    assert api.bodies("orders") == ["0", "1", "2", "3", "4"]


def test_a_batch_goes_to_one_queue_in_order() -> None:
    api = Api()
    messages = [{"body": str(n)} for n in range(3)]
    sent = api.post("/v1/topics/orders/messages", {"messages": messages, "as_batch": True}, 201)["messages"]
    assert len({one["queue_id"] for one in sent}) == 1
    assert [one["queue_offset"] for one in sent] == [0, 1, 2]


@pytest.mark.parametrize(
    ("fields", "body", "shown"),
    [
        ({"body_base64": "AP8="}, b"\x00\xff", {"body_base64": "AP8="}),
        ({"body_base64": "_w"}, b"\xff", {"body_base64": "/w=="}),
        ({"json": {"a": [1, None]}}, b'{"a":[1,null]}', {"body": '{"a":[1,null]}'}),
        ({"body": "héé"}, "héé".encode(), {"body": "héé"}),
        ({}, b"", {"body": ""}),
    ],
)
def test_bodies(fields: dict[str, object], body: bytes, shown: dict[str, str]) -> None:
    api = Api()
    api.post("/v1/topics/orders/messages", fields, 201)
    answer = api.request("GET", "/v1/topics/orders/groups/raw/messages?raw", status=200)
    assert answer.body == body
    (got,) = api.receive("orders")
    assert {name: got[name] for name in ("body", "body_base64") if name in got} == shown


def test_any_content_type_can_be_sent_raw() -> None:
    api = Api()
    api.request("POST", "/v1/topics/orders/messages?raw=true", [JSON], b'{"order": 1}', 201)
    assert api.bodies("orders") == ['{"order": 1}']


@pytest.mark.parametrize("field", [{"delay": "5s"}, {"delay": 5}, {"delay_level": 2}, {"deliver_at": 1767225605000}])
def test_delay(field: dict[str, object]) -> None:
    api = Api()
    sent = api.post("/v1/topics/orders/messages", {"body": "later", **field}, 201)
    assert api.receive("orders") == []
    api.world.advance(4.5)
    assert api.receive("orders") == []
    api.world.advance(1.5)
    (got,) = api.receive("orders")
    assert got["message_id"] == sent["message_id"]


def test_deliver_at_takes_rfc_3339_in_a_header() -> None:
    api = Api()
    api.send("orders", b"x", [("X-RocketMQ-Deliver-At", "2026-01-01T00:00:03Z")])
    assert api.receive("orders") == []
    api.world.advance(4)
    assert api.bodies("orders") == ["x"]


def test_a_delayed_message_is_recalled() -> None:
    api = Api()
    sent = api.send("orders", b"x", query="?delay=10s")
    answer = api.request("DELETE", f"/v1/topics/orders/delayed/{sent['recall_handle']}", status=200)
    assert answer.json() == {"message_id": sent["message_id"]}
    api.world.advance(12)
    assert api.receive("orders") == []
    api.problem(404, "DELETE", f"/v1/topics/orders/delayed/{sent['recall_handle']}")


def test_a_message_group_keeps_its_queue_and_its_order() -> None:
    api = Api()
    queues = {api.send("orders", b"%d" % n, query="?message_group=one")["queue_id"] for n in range(5)}
    assert len(queues) == 1
    order = []
    for _ in range(5):
        (got,) = api.receive("orders", query="max=1&fifo=true")
        assert api.receive("orders", query="max=1&fifo=true") == []  # the next waits for this one
        order.append(got["body"])
        api.request("DELETE", f"/v1/topics/orders/groups/g/messages/{got['receipt_handle']}", status=204)
    assert order == ["0", "1", "2", "3", "4"]


def test_gzip_in() -> None:
    api = Api()
    api.send("orders", gzip.compress(b"squeezed"), [("Content-Encoding", "gzip")])
    assert api.bodies("orders") == ["squeezed"]


def test_a_gzip_bomb_is_refused() -> None:
    api = Api(max_body=1 << 20)
    bomb = gzip.compress(bytes(8 << 20))
    found = api.problem(413, "POST", "/v1/topics/orders/messages", [("Content-Encoding", "gzip")], bomb)
    assert found["code"] == "MESSAGE_BODY_TOO_LARGE"
    many = gzip.compress(bytes(900_000))  # more than a hundredfold
    api.problem(413, "POST", "/v1/topics/orders/messages", [("Content-Encoding", "gzip")], many)


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x")[:-4], zlib.compress(b"x"), gzip.compress(b"x") + b"more"])
def test_bad_gzip(body: bytes) -> None:
    Api().problem(400, "POST", "/v1/topics/orders/messages", [("Content-Encoding", "gzip")], body)


def test_a_request_id_comes_back() -> None:
    answer = Api().request("POST", "/v1/topics/orders/messages", [("X-Request-Id", "abc-1")], b"x", 201)
    assert answer.header("x-request-id") == "abc-1"


def test_a_million_bytes() -> None:
    api = Api()
    body = bytes(range(256)) * 4096
    api.send("orders", body)
    answer = api.request("GET", "/v1/topics/orders/groups/g/messages", [("Accept", "application/octet-stream")], status=200)
    assert answer.body == body


def test_the_whole_envelope_may_be_larger_than_one_message() -> None:
    api = Api(max_body=1000, max_request=100_000)
    body = msgspec.json.encode({"messages": [{"body": "x" * 900} for _ in range(20)]})
    api.request("POST", "/v1/topics/orders/messages", [JSON], body, 201)
    api.problem(413, "POST", "/v1/topics/orders/messages", [], bytes(1001))
    api.problem(413, "POST", "/v1/topics/orders/messages", [JSON], msgspec.json.encode({"body": "x" * 1001}))
