"""Requests and their replies."""

from __future__ import annotations

import pytest

from rmqgateway.testing import NoReplyYet
from tests.unit.rmqgateway_http.kit import Api

ASK = "/v1/topics/prices/requests"


def test_a_request_waits_for_its_reply() -> None:
    api = Api()
    api.client.start("POST", f"{ASK}?timeout=10s&tag=q", body=b"how much?")
    with pytest.raises(NoReplyYet):
        api.client.response()
    server = api.another()
    (asked,) = server.request("GET", "/v1/topics/prices/groups/shop/messages?wait=1").json()["messages"]
    assert (asked["body"], asked["tag"]) == ("how much?", "q")
    replied = server.request("POST", f"/v1/replies/{asked['reply_to']}?tag=a", body=b"7")
    assert replied.status == 204, replied
    answer = api.client.response()
    assert answer.status == 200
    assert (answer.json()["body"], answer.json()["tag"]) == ("7", "a")
    again = server.request("POST", f"/v1/replies/{asked['reply_to']}", body=b"8")
    assert again.status == 404
    assert again.json()["type"] == "urn:rmqgateway:client-not-found"


def test_the_reply_as_bytes() -> None:
    api = Api()
    api.client.start("POST", ASK, [("Accept", "application/octet-stream")], b"?")
    server = api.another()
    (asked,) = server.request("GET", "/v1/topics/prices/groups/shop/messages?wait=1").json()["messages"]
    server.request("POST", f"/v1/replies/{asked['reply_to']}", body=b"\xff\x00")
    assert api.client.response().body == b"\xff\x00"


def test_no_reply_in_time() -> None:
    api = Api()
    api.client.start("POST", f"{ASK}?timeout=2", body=b"?")
    api.world.advance(2.5)
    answer = api.client.response()
    assert (answer.status, answer.json()["code"]) == (504, "PROXY_TIMEOUT")


def test_whoever_goes_is_forgotten() -> None:
    api = Api()
    api.client.start("POST", f"{ASK}?timeout=20", body=b"?")
    server = api.another()
    (asked,) = server.request("GET", "/v1/topics/prices/groups/shop/messages?wait=1").json()["messages"]
    api.client.close()
    assert server.request("POST", f"/v1/replies/{asked['reply_to']}", body=b"7").status == 404


def test_a_request_that_is_refused() -> None:
    api = Api()
    assert api.problem(400, "POST", "/v1/topics/a%20b/requests", [], b"x")["code"] == "ILLEGAL_TOPIC"
    api.problem(400, "POST", f"{ASK}?timeout=31", [], b"x")
    assert not api.world.clock.getDelayedCalls() or api.request("POST", "/v1/topics/t/messages", [], b"x", 201)
