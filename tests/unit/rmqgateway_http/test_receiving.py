"""Receive, acknowledge, give back, dead-letter."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from rmqgateway.testing import NoReplyYet
from tests.unit.rmqgateway_http.kit import JSON, Api

PLACE = "/v1/topics/orders/groups/g"


def test_nothing_is_an_empty_list() -> None:
    api = Api()
    api.send("orders")
    assert len(api.receive("orders")) == 1
    assert api.receive("orders") == []
    api.request("GET", f"{PLACE}/messages", [("Accept", "application/octet-stream")], status=204)


def test_a_long_poll_is_woken_by_a_message() -> None:
    api = Api()
    api.send("orders")
    api.receive("orders")
    api.client.start("GET", f"{PLACE}/messages?wait=20")
    api.world.advance(5)
    with pytest.raises(NoReplyYet):
        api.client.response()
    other = api.another()
    other.request("POST", "/v1/topics/orders/messages", body=b"wake")
    answer = api.client.response()
    assert answer.status == 200
    assert [one["body"] for one in answer.json()["messages"]] == ["wake"]


def test_a_long_poll_ends_empty() -> None:
    api = Api()
    api.send("orders")
    api.receive("orders")
    api.client.start("POST", f"{PLACE}/messages?wait=2500ms", body=b"")
    api.world.advance(2.4)
    with pytest.raises(NoReplyYet):
        api.client.response()
    api.world.advance(0.5)
    assert api.client.response().json() == {"messages": []}


def test_the_wait_of_a_client_that_went_takes_nothing() -> None:
    api = Api()
    api.send("orders")
    api.receive("orders")
    waiting = api.another()
    waiting.start("GET", f"{PLACE}/messages?wait=20")
    api.world.advance(1)
    waiting.close()
    api.send("orders", b"next")
    assert api.bodies("orders") == ["next"]


@pytest.mark.parametrize("wait", ["31", "31s", "-1", "x", "1w"])
def test_bad_waits(wait: str) -> None:
    api = Api()
    api.send("orders")
    api.problem(400, "GET", f"{PLACE}/messages?wait={wait}")


def test_what_is_not_acknowledged_comes_again() -> None:
    api = Api()
    api.send("orders")
    api.receive("orders", query="invisible=10s")
    api.world.advance(9)
    assert api.receive("orders") == []
    api.world.advance(2)
    (again,) = api.receive("orders")
    assert again["delivery_attempt"] == 2


def test_an_acknowledged_message_does_not() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders", query="invisible=10s")
    path = f"{PLACE}/messages/{got['receipt_handle']}"
    api.request("DELETE", path, status=204)
    api.request("DELETE", path, status=204)  # again is no error
    api.world.advance(20)
    assert api.receive("orders") == []


def test_many_are_acknowledged_at_once() -> None:
    api = Api()
    for _ in range(5):
        api.send("orders")
    handles = [one["receipt_handle"] for one in api.receive("orders", query="max=32&invisible=10")]
    assert api.post(f"{PLACE}/acks", {"receipt_handles": handles}) == {"acknowledged": 5}
    api.world.advance(20)
    assert api.receive("orders") == []


def test_each_handle_fails_alone() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders")
    found = api.post(f"{PLACE}/acks", {"receipt_handles": [got["receipt_handle"], "nonsense"]}, 207)
    assert found["acknowledged"] == 1
    (failure,) = found["failures"]
    assert (failure["receipt_handle"], failure["code"]) == ("nonsense", "INVALID_RECEIPT_HANDLE")


def test_an_expired_handle_is_gone() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders", query="invisible=10")
    api.world.advance(11)
    found = api.problem(410, "DELETE", f"{PLACE}/messages/{got['receipt_handle']}")
    assert found["code"] == "INVALID_RECEIPT_HANDLE"
    assert found["type"] == "urn:rmqgateway:receipt-handle-expired"


def test_the_invisible_duration_changes_and_so_does_the_handle() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders", query="invisible=10")
    changed = api.request("PATCH", f"{PLACE}/messages/{got['receipt_handle']}?invisible=30", status=200).json()
    api.world.advance(20)
    assert api.receive("orders") == []
    api.request("DELETE", f"{PLACE}/messages/{changed['receipt_handle']}", status=204)
    api.problem(400, "PATCH", f"{PLACE}/messages/{changed['receipt_handle']}")


def test_a_message_is_given_back_at_once_or_later() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders")
    api.request("POST", f"{PLACE}/messages/{got['receipt_handle']}/nack", status=204)
    (got,) = api.receive("orders")
    api.request("POST", f"{PLACE}/messages/{got['receipt_handle']}/nack?delay=5s", status=204)
    assert api.receive("orders") == []
    api.world.advance(6)
    assert len(api.receive("orders")) == 1


def test_a_message_goes_to_the_dead_letter_queue() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders")
    api.request("POST", f"{PLACE}/messages/{got['receipt_handle']}/dead-letter", status=204)
    api.world.advance(100)
    assert api.receive("orders") == []
    api.request("GET", "/v1/topics/%25DLQ%25g/queues", status=200)


def test_filters() -> None:
    api = Api()
    for tag in ("a", "b", "c"):
        api.send("orders", tag.encode(), query=f"?tag={tag}")
    assert api.bodies("orders", "g1", "max=32&filter=a%20||%20c") == ["a", "c"]
    assert api.bodies("orders", "g2", "max=32&sql=TAGS%20%3D%20'b'") == ["b"]
    api.problem(400, "GET", "/v1/topics/orders/groups/g3/messages?sql=%3D")
    api.problem(400, "GET", "/v1/topics/orders/groups/g3/messages?sql=a&filter=b")


def test_a_message_as_bytes_with_headers() -> None:
    api = Api()
    api.send("orders", b"\xff\x00", query="?tag=t&keys=a,b")
    answer = api.request("GET", f"{PLACE}/messages", [("Accept", "application/octet-stream")], status=200)
    assert answer.body == b"\xff\x00"
    assert (answer.header("x-rocketmq-tag"), answer.header("x-rocketmq-keys")) == ("t", "a b")
    api.request("DELETE", f"{PLACE}/messages/{answer.header('x-rocketmq-receipt-handle')}", status=204)


def test_lines_of_json() -> None:
    api = Api()
    api.send("orders", b"1")
    api.send("orders", b"2")
    answer = api.request("GET", f"{PLACE}/messages?max=9", [("Accept", "application/x-ndjson")], status=200)
    lines = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    assert sorted(line["body"] for line in lines) == ["1", "2"]


@pytest.mark.parametrize(("how", "field", "value"), [("base64", "body_base64", "/w=="), ("text", "body", "�")])
def test_bodies_as_asked(how: str, field: str, value: str) -> None:
    api = Api()
    api.send("orders", b"\xff")
    (got,) = api.receive("orders", query=f"body={how}")
    assert got[field] == value


def test_gzip_out_for_those_who_take_it() -> None:
    api = Api()
    api.send("orders", b"x" * 5000)
    answer = api.request("GET", f"{PLACE}/messages", [("Accept-Encoding", "br, gzip;q=0.5")], status=200)
    assert answer.header("content-encoding") == "gzip"
    assert msgspec.json.decode(gzip.decompress(answer.body))["messages"][0]["body"] == "x" * 5000
    plain = api.request("GET", "/v1/topics/orders/groups/h/messages", [("Accept-Encoding", "gzip;q=0")], status=200)
    assert plain.header("content-encoding") is None


def test_peeking_takes_nothing() -> None:
    api = Api()
    api.send("orders")
    for _ in range(2):
        (seen,) = api.request("GET", f"{PLACE}/peek?max=5", status=200).json()["messages"]
        assert seen["body"] == "hello"
        assert "receipt_handle" not in seen
    assert len(api.receive("orders")) == 1


def test_head_receives_nothing() -> None:
    api = Api()
    api.send("orders")
    answer = api.request("HEAD", f"{PLACE}/messages", status=405)
    assert answer.header("allow") == "GET, POST"
    assert len(api.receive("orders")) == 1


def test_acks_of_another_media_type() -> None:
    api = Api()
    api.send("orders")
    (got,) = api.receive("orders")
    body = msgspec.json.encode({"receipt_handles": [got["receipt_handle"]]})
    api.problem(415, "POST", f"{PLACE}/acks", [("Content-Type", "text/plain")], body)
    curl = ("Content-Type", "application/x-www-form-urlencoded")
    api.request("POST", f"{PLACE}/acks", [curl], body, 200)
    api.problem(400, "POST", f"{PLACE}/acks", [JSON], b"{}")


@pytest.mark.parametrize("path", [f"{PLACE}/messages?wait=20", "/v1/topics/orders/groups/p/queues/7/messages?wait=20&offset=0"])
def test_a_gateway_that_stops_does_not_wait_for_long_polls(path: str) -> None:
    api = Api()
    api.send("orders", query="?queue_id=0")
    api.receive("orders")
    api.client.start("GET", path)
    api.world.gateway.drain(10, "stopping")
    api.world.settle()
    answer = api.client.response()
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert answer.json()["type"] == "urn:rmqgateway:shutting-down"
