"""Producer groups that requests name: what limits act on, and who is shown as connected."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.commands import ListProducerConnections
from rmqgateway.errors import Code, GatewayError
from rmqgateway.governance.budgets import Limits
from tests.unit.rmqgateway_http.kit import JSON, Api

GROUP = ("X-RocketMQ-Producer-Group", "shop")
EVENT = (
    ("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("content-type", "text/plain")
)  # fmt: skip


def connected(api: Api, group: str) -> list[str]:
    try:
        found = api.world.execute(api.world.session(), ListProducerConnections(group))
    except GatewayError as error:
        assert error.code is Code.CLIENT_NOT_FOUND
        return []
    return [one.client_id for _, one in found.connections]


@pytest.mark.parametrize(
    ("query", "headers", "body"),
    [
        ("", (GROUP,), b"raw"),
        ("?producer_group=shop", (), b"raw"),
        ("?producer_group=shop", (("X-RocketMQ-Producer-Group", "other"),), b"raw"),
        ("?tag=a", (GROUP,), b"raw"),
        ("?message_group=a", (GROUP,), b"in order"),
        ("", (GROUP, JSON), b'{"body":"one"}'),
        ("?producer_group=shop", (JSON,), b'{"messages":[{"body":"one"}]}'),
        ("", (GROUP, JSON), b'{"messages":[{"body":"one","message_group":"a"}]}'),
        ("", (GROUP, *EVENT), b"event"),
    ],
)
def test_limits_act_on_the_group_that_a_request_names(query: str, headers: Any, body: bytes) -> None:
    api = Api(limits=Limits(producer_group_rate=1))
    target = "/v1/topics/orders/messages"
    api.request("POST", target + query, headers, body, 201)
    refused = api.problem(429, "POST", target, [GROUP], b"more")
    assert "producer group shop" in refused["detail"]
    api.request("POST", target, (), b"of the topic's name", 201)
    assert "producer group orders" in api.problem(429, "POST", target, (), b"more")["detail"]


def test_a_connection_is_a_member_while_it_sends_for_a_group() -> None:
    api = Api()
    api.send("orders")
    assert connected(api, "shop") == connected(api, "orders") == []
    api.send("orders", headers=[GROUP])
    api.send("orders", query="?producer_group=second")
    (mine,) = connected(api, "shop")
    assert mine.startswith("rmqgateway-http@") and connected(api, "second") == [mine]
    for _ in range(6):
        api.world.advance(29)
        api.send("orders", headers=[GROUP])
    assert connected(api, "shop") == [mine]
    api.client.close()
    api.world.settle()
    assert connected(api, "shop") == connected(api, "second") == []


def test_a_connection_keeps_up_so_many_groups_at_most() -> None:
    api = Api()
    for number in range(70):
        api.send("orders", query=f"?producer_group=g{number}")
        api.world.advance(0.1)
    (session,) = api.front_end._service.producers._seen.values()  # type: ignore[union-attr]
    assert len(session) == 64 and "g69" in session and "g0" not in session


@pytest.mark.parametrize("name", ["a b", "x" * 256, "ä"])
def test_a_bad_name_is_refused(name: str) -> None:
    refused = Api().problem(400, "POST", "/v1/topics/orders/messages", [("X-RocketMQ-Producer-Group", name)], b"x")
    assert refused["detail"].startswith("producer_group: expected")
