"""Requests and their replies."""

from __future__ import annotations

import pytest

from rmqgateway.commands import SendReply
from rmqgateway.message import Message
from rmqgateway.testing import NoReplyYet
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway_http.codec_handles import ReplyAddress, read_token
from tests.unit.rmqgateway_http.kit import JSON, Api

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
    api.problem(400, "POST", ASK, [JSON], b'{"messages":[{}]}')
    asker = api.front_end._service.asker if api.front_end._service else None
    assert asker is not None and not asker._waiting


def test_a_gateway_that_stops_waits_for_the_reply() -> None:
    api = Api()
    api.client.start("POST", f"{ASK}?timeout=20", body=b"?")
    server = api.another()
    (asked,) = server.request("GET", "/v1/topics/prices/groups/shop/messages?wait=1").json()["messages"]
    session = api.world.session()
    api.world.gateway.drain(10, "stopping")
    address = read_token(asked["reply_to"], ReplyAddress, "reply_to")
    named = {"REPLY_TO_CLIENT": address.client_id, "CORRELATION_ID": address.correlation_id, "MSG_TYPE": "reply"}
    api.world.execute(session, SendReply(address.topic, Message(b"7", encode_properties(named))))
    assert api.client.response().json()["body"] == "7"
    api.world.settle()
    assert api.front_end._service is not None and api.front_end._service.asker is None
