"""A gateway in memory and its HTTP client, with the words that the tests of this front-end share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.governance.budgets import Limits
from rmqgateway.http.testing import HttpClient, HttpResponse
from rmqgateway.testing import World
from rmqgateway_http.frontend import HttpFrontEnd, HttpFrontEndSettings

__all__ = ["JSON", "Api", "events_of"]

JSON = ("Content-Type", "application/json")
Headers = Sequence[tuple[str, str]]


def events_of(client: HttpClient) -> list[tuple[str, dict[str, Any]]]:
    """Id and message of each event of a stream, so far."""
    found = []
    for block in client.response(whole=False).body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields and "event" not in fields:
            found.append((fields["id"], msgspec.json.decode(fields["data"])))
    return found


class Api:
    """One client of one gateway. :ivar client: for what is not said here."""

    def __init__(self, local: LocalSettings | None = None, limits: Limits | None = None, **settings: Any) -> None:
        self.world = World(local, limits=limits)
        self.front_end = HttpFrontEnd()
        self.front_end.configure(HttpFrontEndSettings(**settings))
        self.client = self.world.http(self.front_end)

    def another(self) -> HttpClient:
        """Another connection to the same gateway and front-end."""
        return self.world.http(self.front_end)

    def request(
        self, method: str, target: str, headers: Headers = (), body: bytes | None = None, status: int | None = None
    ) -> HttpResponse:
        """A request and its response, whose status is checked where one is given."""
        answer = self.client.request(method, target, headers, body)
        if status is not None:
            assert answer.status == status, answer
        return answer

    def post(self, target: str, value: object, status: int = 200) -> Any:
        """JSON to JSON."""
        answer = self.request("POST", target, [JSON], msgspec.json.encode(value), status)
        return answer.json() if answer.body else None

    def send(self, topic: str, body: bytes = b"hello", headers: Headers = (), query: str = "") -> dict[str, Any]:
        """A raw message."""
        sent: dict[str, Any] = self.request("POST", f"/v1/topics/{topic}/messages{query}", headers, body, 201).json()
        return sent

    def receive(self, topic: str, group: str = "g", query: str = "max=32", headers: Headers = ()) -> list[dict[str, Any]]:
        """Messages."""
        answer = self.request("GET", f"/v1/topics/{topic}/groups/{group}/messages?{query}", headers, status=200)
        found: list[dict[str, Any]] = answer.json()["messages"]
        return found

    def bodies(self, topic: str, group: str = "g", query: str = "max=32") -> list[str]:
        """Bodies of what is received, sorted: queues have no order among them."""
        return sorted(message["body"] for message in self.receive(topic, group, query))

    def problem(
        self, status: int, method: str, target: str, headers: Headers = (), body: bytes | None = None
    ) -> dict[str, Any]:
        """A request that is refused; the problem."""
        answer = self.request(method, target, headers, body, status)
        assert answer.header("content-type") == "application/problem+json"
        found: dict[str, Any] = answer.json()
        assert found["status"] == status
        assert found["request_id"] == answer.header("x-request-id")
        return found
