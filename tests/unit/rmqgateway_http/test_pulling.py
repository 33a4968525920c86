"""Pull by queue and offset; offsets."""

from __future__ import annotations

from tests.unit.rmqgateway_http.kit import JSON, Api

PLACE = "/v1/topics/orders/groups/g/queues/0"


def filled(count: int) -> Api:
    api = Api()
    for number in range(count):
        api.send("orders", b"%d" % number, query="?queue_id=0")
    return api


def test_pulling_from_an_offset() -> None:
    api = filled(5)
    found = api.request("GET", f"{PLACE}/messages?offset=2&max=2", status=200).json()
    assert [one["body"] for one in found["messages"]] == ["2", "3"]
    assert (found["status"], found["next_offset"], found["min_offset"], found["max_offset"]) == ("found", 4, 0, 5)
    assert "receipt_handle" not in found["messages"][0]


def test_pulling_goes_on_where_the_group_is() -> None:
    api = filled(3)
    api.request("PUT", f"{PLACE}/offset", [JSON], b'{"offset": 2}', 204)
    assert api.request("GET", f"{PLACE}/offset", status=200).json() == {"offset": 2}
    found = api.request("GET", f"{PLACE}/messages", status=200).json()
    assert [one["body"] for one in found["messages"]] == ["2"]


def test_a_pull_that_commits() -> None:
    api = filled(3)
    api.request("GET", f"{PLACE}/messages?offset=1&commit_offset=1", status=200)
    assert api.request("GET", f"{PLACE}/offset", status=200).json() == {"offset": 1}


def test_a_pull_waits() -> None:
    api = filled(1)
    api.client.start("GET", f"{PLACE}/messages?offset=1&wait=10")
    api.world.advance(2)
    api.another().request("POST", "/v1/topics/orders/messages?queue_id=0", body=b"late")
    assert [one["body"] for one in api.client.response().json()["messages"]] == ["late"]


def test_outside_of_what_there_is() -> None:
    api = filled(1)
    assert api.request("GET", f"{PLACE}/messages?offset=99", status=200).json()["status"] == "offset_moved"
    assert api.request("GET", f"{PLACE}/messages?offset=1", status=200).json()["status"] == "no_new_message"
    api.problem(404, "GET", f"{PLACE}/offset")
    api.problem(400, "GET", "/v1/topics/orders/groups/g/queues/x/offset")
    api.problem(400, "PUT", f"{PLACE}/offset", [JSON], b'{"offset": -1}')
    api.problem(400, "PUT", f"{PLACE}/offset", [JSON], b'{"offst": 1}')


def test_offsets_of_a_queue() -> None:
    api = filled(3)
    found = api.request("GET", "/v1/topics/orders/queues/0/offsets?timestamp=2020-01-01T00:00:00Z", status=200).json()
    assert found == {"min_offset": 0, "max_offset": 3, "offset": 0}
    assert "offset" not in api.request("GET", "/v1/topics/orders/queues/0/offsets", status=200).json()


def test_queues_of_a_topic() -> None:
    api = filled(1)
    found = api.request("GET", "/v1/topics/orders/queues", status=200).json()
    assert found["topic"] == "orders"
    assert found["queues"][0]["writable"] is True


def test_receiving_and_pulling_one_group_at_once_is_refused() -> None:
    api = filled(1)
    api.receive("orders")
    other = api.another()
    answer = other.request("GET", f"{PLACE}/messages?offset=0")
    assert answer.status == 409
    assert answer.json()["type"] == "urn:rmqgateway:consume-mode-conflict"
