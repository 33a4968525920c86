"""Limits of producer and consumer groups, whichever connections their members use."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.commands import AckMessages, ReceiveMessages, SendMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.governance.budgets import Limits
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World, result_of
from tests.unit.rmqgateway_http.kit import Api


def send(group: str, count: int = 1, size: int = 10) -> SendMessages:
    return SendMessages("orders", (Message(b"x" * size),) * count, group)


def refused(world: World, session: TestSession, command: Any) -> GatewayError:
    with pytest.raises(GatewayError) as found:
        world.execute(session, command)
    assert found.value.code is Code.TOO_MANY_REQUESTS
    return found.value


def test_the_rate_of_a_producer_group_counts_all_its_connections() -> None:
    world = World(limits=Limits(producer_group_rate=10))
    first, second = world.session(), world.session()
    for number in range(10):
        world.execute((first, second)[number % 2], send("a"))
    error = refused(world, second, send("a"))
    assert "producer group a" in error.message and "limits.producer_group_rate" in error.message
    assert error.retry_after is not None and 0 < error.retry_after <= 0.2
    world.execute(second, send("b"))
    world.advance(0.5)
    for _ in range(5):
        world.execute(first, send("a"))
    refused(world, first, send("a"))


def test_a_large_batch_is_paid_back() -> None:
    world = World(limits=Limits(producer_group_rate=10))
    session = world.session()
    world.execute(session, send("a", count=30))
    assert refused(world, session, send("a")).retry_after == pytest.approx(2.1, abs=0.2)
    world.advance(2.2)
    world.execute(session, send("a"))


def test_bytes_under_way_of_a_producer_group() -> None:
    world = World(limits=Limits(producer_group_bytes=100))
    session = world.session()
    world.execute(session, send("c"))
    world.store.manual = True
    first = world.start(session, send("a", size=80))
    error = refused(world, session, send("a", size=80))
    assert "limits.producer_group_bytes" in error.message and "80 bytes" in error.message
    other = world.start(session, send("b", size=80))
    world.store.commit()
    world.settle()
    assert result_of(first) and result_of(other)
    world.store.manual = False
    world.execute(session, send("a", size=300))  # alone it may be larger
    assert all(use.size == 0 for use in world.gateway.group_flow.groups.values())


def test_the_rate_of_a_consumer_group_and_acknowledgements_go_on() -> None:
    world = World(limits=Limits(consumer_group_rate=4))
    session = world.session()
    world.execute(session, send("a", count=8))
    receive = ReceiveMessages("g", "orders", max_messages=4)
    got = list(world.execute(session, receive).messages)
    while sum(use.messages for use in world.gateway.group_flow.groups.values()) < 4:
        got += world.execute(session, receive).messages
    assert "consumer group g" in refused(world, session, receive).message
    world.execute(session, AckMessages("g", "orders", tuple(one.receipt_handle for one in got)))
    assert world.execute(session, ReceiveMessages("h", "orders", max_messages=4)).messages
    world.advance(1.5)
    assert world.execute(session, receive).messages


def test_over_http_it_is_429_with_the_time_to_wait() -> None:
    api = Api(limits=Limits(consumer_group_rate=1))
    api.send("orders", query="?queue_id=0")
    api.send("orders", query="?queue_id=0")
    assert len(api.receive("orders", query="max=2")) == 2
    answer = api.request("GET", "/v1/topics/orders/groups/g/messages", status=429)
    assert answer.header("retry-after") == "2"
    assert "consumer group g" in answer.json()["detail"]


def test_a_stream_waits_by_itself() -> None:
    api = Api(limits=Limits(consumer_group_rate=2))
    for number in range(6):
        api.send("orders", b"%d" % number, query="?queue_id=0")
    client = api.another()
    client.start("GET", "/v1/topics/orders/groups/g/stream?max=1")

    def count() -> int:
        return client.response(whole=False).body.count(b"\ndata:")

    assert count() <= 3
    api.world.advance(10)
    assert count() == 6


def test_groups_that_are_known_are_bounded() -> None:
    world = World(limits=Limits(producer_group_rate=1000))
    flow = world.gateway.group_flow
    for number in range(10_500):
        flow._use(False, f"group{number}", 1000)
    assert len(flow.groups) <= 10_000
