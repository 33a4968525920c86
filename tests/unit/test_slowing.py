"""From 80 % of the process's budget on producers are slowed, each in its protocol's way, and nobody's acknowledgements."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from rmqgateway.commands import SendMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message
from rmqgateway.testing import World
from rmqgateway.wire.request_codes import RequestCode
from tests.unit.http.serving import Http2Client, Serves
from tests.unit.rmqgateway_http.kit import Api
from tests.unit.rmqgateway_remoting.fakes import Client as RemotingClient
from tests.unit.rmqgateway_websocket.websockets import Gateway as WebSockets

SEND = {
    "a": "producers", "b": "orders", "c": "TBW102", "d": "4", "e": "0", "f": "0", "g": "1", "h": "0", "i": "", "j": "0",
    "k": "false", "m": "false", "n": "rmqgateway",
}  # fmt: skip


def press(world: World) -> None:
    """Others' messages fill 90 % of the budget."""
    budget = world.gateway.budget
    budget.slow_above, budget.relieved_below, budget.refuse_above = 8_000, 6_000, 9_500
    budget.take(9_000)


def relieve(world: World) -> None:
    world.gateway.budget.give_back(4_000)
    world.settle()
    world.advance(0.1)


def test_a_connection_over_http_1_that_sends_is_read_no_further_until_there_is_room() -> None:
    api = Api()
    press(api.world)
    api.send("orders")
    assert api.client.transport.producerState == "paused"
    api.world.advance(30)
    assert not api.client.transport.disconnecting, "what we do not read is not late"
    relieve(api.world)
    assert api.client.transport.producerState == "producing"
    api.send("orders")
    assert api.client.transport.producerState == "producing"


def test_over_http_1_who_consumes_is_read_on_and_its_sends_are_refused_with_the_time_to_wait() -> None:
    api = Api()
    api.send("orders")
    (message,) = api.receive("orders")
    press(api.world)
    problem = api.problem(503, "POST", "/v1/topics/orders/messages", body=b"x")
    assert "slow_at" in problem["detail"]
    assert api.client.transport.producerState == "producing"
    place = f"/v1/topics/orders/groups/g/messages/{message['receipt_handle']}"
    assert api.request("DELETE", place).status == 204


def test_a_websocket_that_only_sends_waits_and_one_that_consumes_is_told() -> None:
    sockets = WebSockets()
    producer, both = sockets.client(), sockets.client()
    both.ask("subscribe", subscription="s", topic="orders", group="g", credit=1)
    press(sockets.world)
    message = {"text": "x"}
    assert producer.ask("send", topic="orders", messages=[message])["op"] == "sent"
    assert producer.http.transport.producerState == "paused"
    refused = both.ask("send", topic="orders", messages=[message])
    assert (refused["op"], refused["reason"]) == ("error", "BUSY") and refused["retryAfterMs"] > 0
    assert both.http.transport.producerState == "producing"
    relieve(sockets.world)
    assert producer.http.transport.producerState == "producing"
    assert both.ask("send", topic="orders", messages=[message])["op"] == "sent"


def test_a_remoting_connection_that_only_sends_waits_and_one_that_consumes_is_told() -> None:
    world = World()
    producer, both = RemotingClient(world.gateway), RemotingClient(world.gateway)  # type: ignore[arg-type]
    both.protocol._session.consumes = True
    press(world)
    producer.send(RequestCode.SEND_MESSAGE_V2, SEND, b"x")
    both.send(RequestCode.SEND_MESSAGE_V2, SEND, b"x")
    world.settle()
    assert producer.transport.producerState == "paused"
    assert both.transport.producerState == "producing"
    assert b"slow_at" in both.transport.value()
    relieve(world)
    assert producer.transport.producerState == "producing"


def test_over_http_2_the_window_of_a_long_body_stays_shut_and_short_ones_come() -> None:
    world = World()
    open_bodies: list[Any] = []

    def answer(request: Any) -> None:
        if request.path == "/send":
            sent = SendMessages("orders", (Message(b"x"),), "orders")
            world.gateway.perform(request.context, sent, lambda *_: request.respond(200, ()), None)
        elif request.path == "/long":
            open_bodies.append(request.read(1 << 24).addErrback(lambda _: None))
        else:
            request.read(100).addCallback(lambda body: request.respond(200, (), body))

    client = Http2Client(world, Serves(answer))
    press(world)
    client.answer(client.ask("POST", "/send"))
    window = client.h2.local_flow_control_window
    client.h2.send_headers(11, [(":method", "POST"), (":scheme", "http"), (":path", "/long"), (":authority", "localhost")])
    before = window(11)
    for _ in range(45):
        client.h2.send_data(11, b"x" * 16_000)
    client.pump()
    assert window(11) == before - 720_000
    world.advance(60)
    client.pump()
    assert not open_bodies[0].called, "it is ourselves who do not let it send"
    assert client.answer(client.ask("POST", "/ack", body=b"handle"))[2] == b"handle"
    world.gateway.budget.give_back(4_000)
    world.advance(0.1)
    client.pump()
    assert window(11) > before - 720_000


def test_a_session_that_went_while_it_waited_is_no_trouble() -> None:
    api = Api()
    press(api.world)
    api.send("orders")
    api.client.close()
    relieve(api.world)
    other = WebSockets(api.world)
    producer = other.client()
    api.world.gateway.budget.take(4_000)
    producer.ask("send", topic="orders", messages=[{"text": "x"}])
    producer.http.close()
    relieve(api.world)


def test_what_is_slowed_goes_on_only_well_below_the_mark() -> None:
    api = Api()
    press(api.world)
    api.send("orders")
    api.world.gateway.budget.give_back(2_000)
    api.world.advance(0.1)
    assert api.client.transport.producerState == "paused"
    api.world.gateway.budget.give_back(1_500)
    api.world.advance(0.1)
    assert api.client.transport.producerState == "producing"


def test_a_front_end_that_cannot_make_its_client_wait_is_refused_at_the_second_mark_only() -> None:
    world = World()
    session = world.session()
    press(world)

    def send(size: int) -> Deferred[Any]:
        return world.start(session, SendMessages("orders", (Message(b"x" * size),), "p"))

    assert not isinstance(send(10), GatewayError)
    with pytest.raises(GatewayError) as refused:
        world.execute(session, SendMessages("orders", (Message(b"x" * 600),), "p"))
    assert refused.value.code is Code.BUSY
