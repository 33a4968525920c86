"""HTTP/1.1 through the whole server: clients that are slow, and the end of connections."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address

from rmqgateway.errors import Code, GatewayError
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.http.server import HttpServer
from rmqgateway.http.settings import HttpSettings
from rmqgateway.recognition import Found
from rmqgateway.testing import World, result_of
from tests.unit.http.serving import DONE, Serves, SlowTransport

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def slow(world: World, *front_ends: Any, settings: HttpSettings | None = None) -> tuple[Any, SlowTransport]:
    server = HttpServer(world.gateway, front_ends, settings)
    information = ConnectionInformation(IPv4Address("TCP", "127.0.0.1", 5), "127.0.0.1:8080", False, "test")
    protocol = server.make_protocol(information, Found.HTTP_1)
    transport = SlowTransport()
    protocol.makeConnection(transport)
    return protocol, transport


# Slow clients.


def test_a_dripped_head_is_refused_after_its_time() -> None:
    world = World()
    client = world.http(Serves())
    client.request("GET", "/")
    world.advance(30)
    for _ in range(9):
        client.send(b"G" if client.protocol._decoder.between_requests else b"E")
        world.advance(1)
    assert client.transport.value() == b""
    world.advance(1.5)
    assert client.response().status == 408
    world.advance(2.5)
    assert client.closed


def test_a_connection_that_says_nothing_more_is_closed() -> None:
    world = World()
    client = world.http(Serves())
    client.request("GET", "/")
    world.advance(74, step=1)
    assert not client.closed
    client.request("GET", "/")
    world.advance(74, step=1)
    assert not client.closed
    world.advance(2)
    assert client.closed
    assert client.transport.value() == b""


def test_a_long_poll_is_not_cut_by_any_timer_of_requests() -> None:
    world = World()
    served = Serves(lambda request: None)
    client = world.http(served)
    client.start("GET", "/")
    world.advance(600, step=1)
    served.requests[0].respond(200, (), b"late")
    assert client.response().body == b"late"


def test_a_slow_body_is_given_up() -> None:
    world = World()
    failures: list[Any] = []

    def answer(request: Any) -> None:
        request.read(100_000).addErrback(lambda failure: (failures.append(failure.value), request.failed(failure.value)))  # type: ignore[func-returns-value]

    client = world.http(Serves(answer))
    client.start("POST", "/", [("Content-Length", "90000")])
    for _ in range(12):
        client.send(b"x" * 2000)
        world.advance(1)
    assert not failures, "2 KB/s is enough"
    for _ in range(21):
        client.send(b"x" * 10)
        world.advance(1)
    assert failures[0].code is Code.TIMEOUT
    assert client.response().status == 408


def test_a_slow_body_that_nobody_reads_is_answered_by_the_core() -> None:
    world = World()
    gone: list[str] = []
    client = world.http(Serves(lambda request: request.on_gone(gone.append)))
    client.start("POST", "/", [("Content-Length", "90000")])
    world.advance(11)
    assert client.response().status == 408
    assert "slower" in gone[0]


def test_a_client_that_takes_nothing_is_cut_and_its_request_told() -> None:
    world = World()
    gone: list[str] = []
    served = Serves(lambda request: (request.on_gone(gone.append), request.start(200, ())))
    protocol, transport = slow(world, served)
    transport.limit = 100_000
    protocol.dataReceived(GET)
    request = served.requests[0]
    for _ in range(100):
        request.write(b"x" * 10_000)
    assert request.buffered() > 800_000
    assert len(transport.value()) < 400_000, "the rest waits here"
    world.advance(29)
    assert not transport.aborted
    world.advance(1.5)
    assert transport.aborted
    protocol.connectionLost(DONE)
    assert gone


def test_a_client_that_takes_slowly_is_kept_and_the_writer_told_when_to_go_on() -> None:
    world = World()
    drained: list[int] = []
    served = Serves(lambda request: request.start(200, ()))
    protocol, transport = slow(world, served)
    transport.limit = 50_000
    protocol.dataReceived(GET)
    request = served.requests[0]
    for _ in range(100):
        request.write(b"x" * 10_000)
    request.on_drain(lambda: drained.append(request.buffered()))
    taken = 0
    for _ in range(30):
        world.advance(20)
        assert not transport.aborted
        taken += len(transport.take())
        world.settle()
        if drained:
            break
    assert drained[0] <= 32 * 1024
    assert taken > 900_000


def test_on_drain_of_an_empty_connection_comes_in_the_next_turn() -> None:
    world = World()
    calls: list[int] = []
    served = Serves(lambda request: request.start(200, ()))
    client = world.http(served)
    client.start("GET", "/")
    served.requests[0].on_drain(lambda: calls.append(1))
    assert not calls
    world.settle()
    assert calls == [1]


def test_nothing_more_is_read_from_a_client_that_leaves_its_answers() -> None:
    world = World()
    served = Serves(lambda request: request.respond(200, (), b"x" * 100_000))
    protocol, transport = slow(world, served)
    transport.limit = 1000
    protocol.dataReceived(GET * 100)
    assert len(served.requests) < 100
    for _ in range(500):
        if not transport.take():
            break
        world.settle()
    assert len(served.requests) == 100


# The end.


def test_a_client_that_goes_is_told_to_the_front_end_once() -> None:
    gone: list[str] = []
    served = Serves(lambda request: (request.on_gone(gone.append), request.on_gone(gone.append)))
    client = World().http(served)
    client.start("GET", "/")
    client.close()
    assert len(gone) == 2
    request = served.requests[0]
    request.respond(200, (), b"dropped")
    request.write(b"dropped")
    request.finish()
    request.abort("dropped")
    assert client.transport.value() == b""


def test_a_body_that_is_waited_for_fails_when_the_client_goes() -> None:
    served = Serves(lambda request: None)
    client = World().http(served)
    client.start("POST", "/", [("Content-Length", "5")])
    body = served.requests[0].read(10)
    client.close()
    with pytest.raises(GatewayError) as caught:
        result_of(body)
    assert caught.value.code is Code.CANCELLED


def test_on_gone_is_not_called_after_a_finished_response() -> None:
    gone: list[str] = []
    client = World().http(Serves(lambda request: (request.on_gone(gone.append), request.respond(200, (), b""))))
    client.request("GET", "/")
    client.close()
    assert not gone


def test_abort_closes_so_that_nobody_takes_it_for_whole() -> None:
    served = Serves(lambda request: request.start(200, ()))
    client = World().http(served)
    client.start("GET", "/")
    served.requests[0].write(b"some")
    served.requests[0].abort("no more")
    assert client.closed
    assert b"0\r\n\r\n" not in client.transport.value()


def test_draining_lets_the_answer_out_and_closes() -> None:
    world = World()
    told: list[tuple[float, str]] = []
    served = Serves(lambda request: request.on_shutdown(lambda *arguments: told.append(arguments)))
    busy = world.http(served)
    idle = world.http(Serves())
    idle.request("GET", "/")
    busy.start("GET", "/")
    world.gateway.drain(30.0, "the end")
    assert idle.closed
    assert not busy.closed
    assert told == [(30.0, "the end")]
    served.requests[0].respond(200, (), b"done")
    answer = busy.response()
    assert (answer.body, answer.header("connection")) == (b"done", "close")
    assert busy.closed


def test_before_the_end_each_answer_sends_its_client_elsewhere() -> None:
    """So that nobody's next request meets a connection that is being closed."""
    world = World()
    client, other = world.http(Serves()), world.http(Serves())
    client.request("GET", "/")
    world.gateway.leaving = True
    assert not client.closed
    answer = client.request("GET", "/")
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert client.closed
    assert other.request("GET", "/").status == 200


def test_a_new_client_of_a_draining_gateway_is_sent_away() -> None:
    world = World()
    client = world.http(Serves())
    world.gateway.drain(30.0, "the end")
    answer = client.request("GET", "/")
    assert (answer.status, answer.header("connection"), answer.header("retry-after")) == (503, "close", "1")


def test_no_timer_survives_a_connection() -> None:
    world = World()
    before = len(world.clock.getDelayedCalls())
    client = world.http(Serves())
    client.request("GET", "/")
    client.send(b"GET")
    client.close()
    assert len(world.clock.getDelayedCalls()) == before


def test_a_closed_connection_is_not_waited_for_forever() -> None:
    world = World()
    protocol, transport = slow(world, Serves())
    protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert transport.disconnecting
    world.advance(31)
    assert transport.aborted
