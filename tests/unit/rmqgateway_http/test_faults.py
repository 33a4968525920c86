"""What goes wrong behind the front-end is told in HTTP's words, once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from rmqgateway.errors import Code, GatewayError
from tests.unit.rmqgateway_http.kit import JSON, Api

PLACE = "/v1/topics/orders/groups/g"
SEND = "/v1/topics/orders/messages"
REQUESTS = [
    ("POST", SEND, b"x"),
    ("POST", f"{SEND}?message_group=m", b"x"),
    ("POST", "/v1/topics/orders/transactions", b"x"),
    ("GET", f"{PLACE}/messages", None),
    ("DELETE", f"{PLACE}/messages/h", None),
    ("POST", f"{PLACE}/messages/h/nack", b""),
    ("GET", f"{PLACE}/stream", None),
    ("GET", f"{PLACE}/queues/0/offset", None),
    ("GET", "/v1/producer-groups/g/checks", None),
]


def break_it(api: Api, monkeypatch: pytest.MonkeyPatch, how: Any) -> None:
    """Every command ends so."""
    handlers = api.world.gateway._doors

    def broken(context: object, command: object) -> Any:
        return how()

    for door in handlers.values():
        monkeypatch.setattr(door, "handler", broken)


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
@pytest.mark.parametrize("late", [True, False])
def test_a_backend_that_refuses(
    method: str, target: str, body: bytes | None, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api()
    error = GatewayError(Code.STORE_FULL, "no room", retry_after=3)

    def refuse() -> Deferred[None]:
        if late:
            return fail(error)
        raise error

    break_it(api, monkeypatch, refuse)
    answer = api.request(method, target, body=body, status=507)
    assert answer.header("retry-after") == "3"
    assert answer.json()["type"] == "urn:rmqgateway:store-full"


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
def test_a_backend_that_breaks(method: str, target: str, body: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    break_it(api, monkeypatch, lambda: 1 / 0)
    found = api.problem(500, method, target, body=body)
    assert found["code"] == "INTERNAL_SERVER_ERROR"
    assert "ZeroDivision" not in found["detail"]


def test_a_handler_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.send("orders")
    service = api.front_end._service
    assert service is not None
    monkeypatch.setattr(service, "check_wait", lambda wait: 1 / 0)
    for target in (f"{PLACE}/messages", f"{PLACE}/queues/0/messages"):
        assert api.problem(500, "GET", target)["code"] == "INTERNAL_SERVER_ERROR"


def test_acknowledging_in_a_stream_that_the_backend_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.send("orders")
    other = api.another()
    other.start("GET", f"{PLACE}/stream?ack=explicit", [("Accept", "application/x-ndjson")])
    body = other.response(whole=False).body
    handle = body.split(b'"receipt_handle":"')[1].split(b'"')[0].decode()
    break_it(api, monkeypatch, lambda: fail(GatewayError(Code.STORE_FULL, "no room")))
    found = api.post(f"{PLACE}/acks", {"receipt_handles": [handle]}, 207)
    assert found["acknowledged"] == 0
    assert found["failures"][0]["code"] == "INTERNAL_SERVER_ERROR"


def test_a_client_that_goes_while_it_sends() -> None:
    api = Api()
    other = api.another()
    other.start("POST", SEND, [JSON, ("Content-Length", "100")], b'{"body":')
    other.close()
    api.world.settle()
    api.send("orders", b"fine")
    assert api.bodies("orders") == ["fine"]
