"""What is refused, and in which words."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.rmqgateway_http.kit import JSON, Api

SEND = "/v1/topics/orders/messages"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"body":"x","tga":"t"}', ["tga", "'tag'"]),
        (b'{"messages":[{"body":"x"},{"bdy":"y"}]}', ["bdy", "$.messages[1]", "'body'"]),
        (b'{"body":"x",}', ["column", "char"]),
        (b'{"body":"x"', ["char"]),
        (b"", ["JSON"]),
        (b"[]", ["object"]),
        (b'{"body":"x","body":"y"}', ["'body' twice"]),
        (b'{"body":1}', ["$.body"]),
        (b'{"body":"\xff"}', ["UTF-8"]),
        (b'{"properties":{"a":{"b":1}}}', ["$.properties"]),
        (b'{"messages":[]}', ["messages: expected 1 to"]),
        (b'{"messages":[{}],"body":"x"}', ["got both"]),
        (b'{"as_batch":true,"body":"x"}', ["as_batch"]),
        (b'{"queue_id":99999999999999999999}', ["$.queue_id"]),
        (b"[" * 100 + b"]" * 100, ["levels", "byte 64"]),
    ],
)
def test_bad_json_is_told_with_its_place(body: bytes, words: list[str]) -> None:
    found = Api().problem(400, "POST", SEND, [JSON], body)
    assert found["code"] == "BAD_REQUEST"
    for word in words:
        assert word in found["detail"], found["detail"]


@pytest.mark.parametrize(
    ("message", "code", "word"),
    [
        ({"body_base64": "a=b"}, "MESSAGE_CORRUPTED", "base64"),
        ({"body_base64": "ä"}, "MESSAGE_CORRUPTED", "base64"),
        ({"body": "x", "body_base64": "eA=="}, "MESSAGE_CORRUPTED", "one of"),
        ({"properties": {"TAGS": "x"}}, "ILLEGAL_MESSAGE_PROPERTY_KEY", "TAGS"),
        ({"properties": {"a": "b\u0001c"}}, "ILLEGAL_MESSAGE_PROPERTY_KEY", "U+0001"),
        ({"properties": {"a": ""}}, "ILLEGAL_MESSAGE_PROPERTY_KEY", "'a'"),
        ({"tag": "a|b"}, "ILLEGAL_MESSAGE_PROPERTY_KEY", "tag"),
        ({"delay": "5 weeks"}, "MESSAGE_CORRUPTED", "seconds"),
        ({"deliver_at": "tomorrow"}, "MESSAGE_CORRUPTED", "RFC 3339"),
        ({"delay": 1, "deliver_at": 1}, "ILLEGAL_DELIVERY_TIME", "one of"),
        ({"queue_id": 70000}, "BAD_REQUEST", "queue_id"),
        ({"queue_id": 7000}, "BAD_REQUEST", "queue id"),
    ],
)
def test_bad_messages(message: dict[str, object], code: str, word: str) -> None:
    found = Api().problem(400, "POST", SEND, [JSON], msgspec.json.encode(message))
    assert found["code"] == code
    assert word in found["detail"]


def test_too_many_properties() -> None:
    body = msgspec.json.encode({"properties": {f"p{n}": "x" for n in range(129)}})
    assert Api().problem(413, "POST", SEND, [JSON], body)["code"] == "MESSAGE_PROPERTIES_TOO_LARGE"


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (("X-RocketMQ-Tga", "t"), "x-rocketmq-tag"),
        (("X-RocketMQ-Delay", "soon"), "seconds"),
        (("X-RocketMQ-Queue-Id", "-5"), "0 to 65535"),
        (("X-RocketMQ-Property-TAGS", ""), "name and a value"),
        (("Content-Encoding", "br"), "gzip"),
    ],
)
def test_bad_headers(header: tuple[str, str], word: str) -> None:
    answer = Api().request("POST", SEND, [header], b"x")
    assert answer.status in (400, 415)
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("tga=1", "'tag'"),
        ("tag=a&tag=b", "twice"),
        ("delay=x", "delay"),
        ("raw=maybe", "true or false"),
        ("delay_level=19", "18"),
    ],
)
def test_bad_queries(query: str, word: str) -> None:
    assert word in Api().problem(400, "POST", f"{SEND}?{query}", [], b"x")["detail"]


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    api = Api(max_body=1000)
    api.client.start("POST", SEND, [("Content-Length", "1001")], b"")
    answer = api.client.response()
    assert answer.status == 413
    assert answer.json()["code"] == "MESSAGE_BODY_TOO_LARGE"


def test_a_chunked_body_over_the_limit() -> None:
    api = Api(max_body=1000)
    api.client.start("POST", SEND, [("Transfer-Encoding", "chunked")], b"400\r\n" + bytes(1024) + b"\r\n")
    assert api.client.response().status == 413


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", SEND, 405, "POST"),
        ("DELETE", "/v1/topics/orders/groups/g/stream", 405, "GET"),
        ("GET", "/v1/topics/orders", 404, None),
        ("GET", "/v1/topics//messages", 404, None),
        ("GET", "/v1/nothing/here", 404, None),
        ("GET", "/v1/", 404, None),
        ("GET", "/v1/topics/a/b/c/d/e/f/g/h/i/j/k", 404, None),
        ("GET", "/elsewhere", 404, None),
    ],
)
def test_wrong_methods_and_paths(method: str, path: str, status: int, allow: str | None) -> None:
    answer = Api().request(method, path, status=status)
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("allow") == allow


@pytest.mark.parametrize("topic", ["a%20b", "..%2f..%2fetc", "%00", "a" * 128, "%ff"])
def test_bad_topic_names(topic: str) -> None:
    answer = Api().request("POST", f"/v1/topics/{topic}/messages", [], b"x")
    assert answer.status in (400, 404), answer
    assert answer.header("content-type") == "application/problem+json"


@pytest.mark.parametrize("value", ["Digest x", "Basic !!!", "Basic bm9jb2xvbg=="])
def test_bad_credentials(value: str) -> None:
    answer = Api().request("POST", SEND, [("Authorization", value)], b"x", 401)
    assert answer.header("www-authenticate")
    assert answer.json()["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("value", ["Bearer abc", "Basic YTpi"])
def test_credentials_are_taken_while_no_users_exist(value: str) -> None:
    Api().request("POST", SEND, [("Authorization", value)], b"x", 201)


def test_a_topic_that_is_not_there() -> None:
    found = Api().problem(404, "GET", "/v1/topics/nowhere/queues")
    assert found["code"] == "TOPIC_NOT_FOUND"
    assert found["type"] == "urn:rmqgateway:topic-not-found"


def test_a_request_id_that_cannot_be_sent_back() -> None:
    answer = Api().request("POST", SEND, [("X-Request-Id", "a\tb" + "c" * 200)], b"x", 201)
    assert len(answer.header("x-request-id") or "") < 130


@pytest.mark.parametrize("reply_to", ["x", "AAAA", "%C3%A4", "a" * 5000])
def test_tokens_that_are_none(reply_to: str) -> None:
    api = Api()
    api.problem(400, "POST", f"/v1/replies/{reply_to}", [], b"x")
    api.problem(400, "POST", f"/v1/transactions/{reply_to}/commit", [], b"")
