"""HTTP/2 through the whole server, with the h2 library as the client."""

from __future__ import annotations

from typing import Any

import h2.errors
import h2.events
import h2.settings
import pytest

from rmqgateway.errors import Code, GatewayError
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.settings import HttpSettings
from rmqgateway.testing import World, result_of
from tests.unit.http.serving import DONE, PLAIN, Http2Client, Serves, echo

GRPC = ((b"content-type", b"application/grpc"),)
OK = ((b"grpc-status", b"0"),)
FIELDS = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]


def test_a_response_has_date_and_length_and_grpc_has_neither() -> None:
    client = Http2Client(World(), Serves())
    status, headers, body, _ = client.answer(client.ask())
    assert (status, body) == (200, b"yes")
    assert headers == {"content-type": "text/plain", "date": "Thu, 01 Jan 2026 00:00:00 GMT", "content-length": "3"}
    client = Http2Client(World(), Serves(lambda request: request.respond(200, GRPC, b"m", OK)))
    status, headers, body, trailers = client.answer(client.ask("POST", "/s/m", body=b"x"))
    assert (status, headers, body, trailers) == (200, {"content-type": "application/grpc"}, b"m", {"grpc-status": "0"})


def test_trailers_only_is_one_head() -> None:
    client = Http2Client(World(), Serves(lambda request: request.respond(200, GRPC, b"", OK)))
    stream = client.ask("POST", "/s/m", body=b"x")
    assert client.answer(stream)[:2] == (200, {"content-type": "application/grpc", "grpc-status": "0"})
    assert not any(isinstance(event, h2.events.TrailersReceived) for event in client.events)


def test_head_has_no_body() -> None:
    client = Http2Client(World(), Serves())
    status, headers, body, _ = client.answer(client.ask("HEAD"))
    assert (status, headers["content-length"], body) == (200, "3", b"")


def test_streams_go_on_side_by_side() -> None:
    served = Serves(lambda request: None)
    client = Http2Client(World(), served)
    streams = [client.ask("GET", f"/{number}") for number in range(5)]
    for request in reversed(served.requests):
        request.respond(200, PLAIN, request.path.encode())
    client.pump()
    assert [client.answer(stream)[2] for stream in streams] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_many_requests_at_once_are_dealt_with_in_turns_while_nothing_more_is_read() -> None:
    served = Serves()
    client = Http2Client(World(), served)
    seen = []
    for number in range(100):
        client.h2.send_headers(2 * number + 1, FIELDS, end_stream=True)
    client.h2.reset_stream(193)
    client.protocol.dataReceived(client.h2.data_to_send())
    seen.append((len(served.requests), client.transport.producerState, client.transport.disconnecting))
    client.h2.send_headers(201, FIELDS, end_stream=True)
    client.protocol.dataReceived(client.h2.data_to_send())  # what TLS had already
    seen.append(len(served.requests))
    client.pump()
    assert seen == [(64, "paused", False), 64]
    assert len(served.requests) == 101 and client.transport.producerState == "producing"
    assert [client.answer(stream)[0] for stream in (1, 127, 129, 199, 201)] == [200] * 5
    assert client.answer(193)[0] == 0


def test_a_connection_that_is_lost_takes_what_was_put_off_with_it() -> None:
    served = Serves()
    client = Http2Client(World(), served)
    for number in range(100):
        client.h2.send_headers(2 * number + 1, FIELDS, end_stream=True)
    client.protocol.dataReceived(client.h2.data_to_send())
    client.protocol.connectionLost(DONE)
    client.world.settle()
    assert len(served.requests) == 64 and client.protocol._later_call is None


def test_a_conversation_in_both_directions() -> None:
    served = Serves()
    heard: list[tuple[bytes, bool]] = []

    def answer(request: Any) -> None:
        request.start(200, GRPC)

        def take(data: bytes, last: bool) -> None:
            heard.append((data, last))
            request.consumed(len(data))
            if last:
                request.finish(OK)
            else:
                request.write(data.upper())

        request.on_body(take)

    served.answer = answer
    client = Http2Client(World(), served)
    stream = client.ask("POST", "/s/m", end=False)
    for word in (b"a", b"b"):
        client.h2.send_data(stream, word)
        client.pump()
    assert client.answer(stream)[2] == b"AB"
    client.h2.end_stream(stream)
    client.pump()
    assert heard == [(b"a", False), (b"b", False), (b"", True)]
    assert client.answer(stream)[3] == {"grpc-status": "0"}


@pytest.mark.parametrize("size", [0, 1, 16_384, 3_000_000])
def test_bodies_come_whole_and_windows_reopen(size: int) -> None:
    world = World()
    client = Http2Client(world, Serves(lambda request: request.read(4 << 20).addCallback(
        lambda body: request.respond(200, PLAIN, b"%d" % len(body)))))  # fmt: skip
    for _ in range(4):
        stream = client.ask("POST", end=False)
        left = size
        while left:
            piece = min(left, 16_384, client.h2.local_flow_control_window(stream))
            assert piece > 0, "the window was not opened again"
            client.h2.send_data(stream, b"x" * piece)
            left -= piece
            client.pump()
        client.h2.end_stream(stream)
        client.pump()
        assert client.answer(stream)[2] == b"%d" % size
    assert client.protocol.body_bytes == 0


def test_a_body_that_nobody_consumes_closes_its_window_alone() -> None:
    served = Serves(lambda request: request.on_body(lambda data, last: None))
    client = Http2Client(World(), served)
    stream = client.ask("POST", end=False)
    while window := client.h2.local_flow_control_window(stream):
        client.h2.send_data(stream, b"x" * min(window, 16_384))
        client.pump()
    served.answer = lambda request: request.respond(200, PLAIN, b"go on")
    assert client.answer(client.ask())[2] == b"go on"
    served.requests[0].consumed(1 << 20)
    client.pump()
    assert client.h2.local_flow_control_window(stream) == 1 << 20


def test_bodies_that_came_with_their_heads_do_not_use_the_window_up() -> None:
    served = Serves(lambda request: request.read(100_000))
    client = Http2Client(World(), served)
    for _ in range(100):
        client.ask("POST", body=b"x" * 16_384)
    assert len(served.requests) == 100
    assert client.h2.outbound_flow_control_window > 2_000_000
    for request in served.requests:
        request.respond(200, (), b"")
    client.pump()
    assert client.protocol.body_bytes == 0


def test_padding_is_given_back() -> None:
    client = Http2Client(World(), Serves(echo))
    for _ in range(3):
        stream = client.ask("POST", end=False)
        for _ in range(100):
            client.h2.send_data(stream, b"x" * 100, pad_length=200)
        client.pump()
        client.h2.end_stream(stream)
        client.pump()
        assert len(client.answer(stream)[2]) == 10_000
    assert client.h2.outbound_flow_control_window > 4_000_000


def test_a_writer_is_told_to_wait_and_to_go_on() -> None:
    world = World()
    served = Serves(lambda request: request.start(200, PLAIN))
    client = Http2Client(world, served)
    stream = client.ask()
    request = served.requests[0]
    drained: list[int] = []
    for _ in range(30):
        request.write(b"x" * 10_000)
    assert request.buffered() == 300_000 - 65_535
    request.on_drain(lambda: drained.append(request.buffered()))
    client.pump()
    assert not drained, "the client has not opened its window"
    client.h2.increment_flow_control_window(250_000)
    client.h2.increment_flow_control_window(250_000, stream)
    client.pump()
    assert drained == [0]
    assert len(client.answer(stream)[2]) == 300_000


def test_a_stalled_stream_is_reset_while_others_go_on() -> None:
    world = World()
    gone: list[str] = []
    served = Serves(lambda request: request.start(200, PLAIN))
    client = Http2Client(world, served)
    client.h2.increment_flow_control_window(1 << 20)
    stalled = client.ask()
    served.requests[0].on_gone(gone.append)
    served.requests[0].write(b"x" * 100_000)
    served.answer = lambda request: request.respond(200, PLAIN, b"alive")
    for _ in range(5):
        world.advance(5)
        assert client.answer(client.ask())[2] == b"alive"
    assert not gone
    world.advance(12)
    client.pump()
    assert client.resets() == [stalled]
    assert "took nothing" in gone[0]
    assert client.answer(client.ask())[2] == b"alive"


def test_a_finished_response_that_is_not_taken_is_reset_too() -> None:
    world = World()
    client = Http2Client(world, Serves(lambda request: request.respond(200, PLAIN, b"x" * 100_000)))
    stream = client.ask()
    world.advance(40)
    client.pump()
    assert client.resets() == [stream]


def test_a_client_that_leaves_too_much_untaken_gets_no_more_for_now() -> None:
    served = Serves(lambda request: request.respond(200, PLAIN, b"x" * 100_000))
    client = Http2Client(World(), served, settings=HttpSettings(in_flight_bytes=300_000))
    streams = [client.ask() for _ in range(10)]
    assert len(served.requests) < 6
    refused = [event for event in client.events if isinstance(event, h2.events.StreamReset)]
    assert {event.error_code for event in refused} == {h2.errors.ErrorCodes.REFUSED_STREAM}
    assert len(refused) + len(served.requests) == len(streams)


def test_what_finished_responses_leave_untaken_counts_until_it_is_written() -> None:
    served = Serves(lambda request: None)
    client = Http2Client(World(), served, settings=HttpSettings(in_flight_bytes=100_000))
    streams = [client.ask() for _ in range(3)]
    first, second, third = served.requests
    first.respond(200, PLAIN, b"x" * 100_000)  # of which a window is taken
    client.pump()
    assert not third.is_crowded
    second.respond(200, PLAIN, b"x" * 100_000)
    assert third.is_crowded
    client.pump()
    for stream in streams[:2]:
        client.h2.increment_flow_control_window(1_000_000, stream)
    client.h2.increment_flow_control_window(1_000_000)
    client.pump()
    assert not third.is_crowded


def test_a_transport_that_takes_nothing_is_cut() -> None:
    world = World()
    client = Http2Client(world, Serves(lambda request: request.respond(200, PLAIN, b"x" * 60_000)))
    client.transport.limit = 10_000
    client.h2.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")], True)
    client.protocol.dataReceived(client.h2.data_to_send())
    world.advance(31)
    assert client.transport.aborted


def test_a_reset_is_told_and_what_is_written_later_dropped() -> None:
    gone: list[str] = []
    served = Serves(lambda request: request.on_gone(gone.append))
    client = Http2Client(World(), served)
    stream = client.ask("POST", end=False)
    body = served.requests[0].read(10)
    client.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.pump()
    assert gone == ["the client reset the stream (CANCEL)"]
    with pytest.raises(GatewayError):
        result_of(body)
    served.requests[0].respond(200, PLAIN, b"dropped")
    served.requests[0].write(b"dropped")
    served.requests[0].finish()
    client.pump()
    assert client.answer(stream)[0] == 0


def test_abort_resets() -> None:
    served = Serves(lambda request: request.start(200, ()))
    client = Http2Client(World(), served)
    stream = client.ask()
    served.requests[0].abort("no more")
    client.pump()
    assert client.resets() == [stream]


def test_an_exception_is_a_500_or_a_reset() -> None:
    def fail(request: Any) -> None:
        if request.path == "/late":
            request.start(200, ())
        raise RuntimeError("secret")

    client = Http2Client(World(), Serves(fail))
    assert client.answer(client.ask())[0] == 500
    late = client.ask("GET", "/late")
    assert client.resets() == [late]


def test_a_slow_body_that_is_waited_for_is_given_up() -> None:
    world = World()
    failures: list[Any] = []

    def answer(request: Any) -> None:
        request.read(10_000).addErrback(lambda failure: (failures.append(failure.value), request.failed(failure.value)))  # type: ignore[func-returns-value]

    client = Http2Client(world, Serves(answer))
    stream = client.ask("POST", body=b"x", end=False)
    world.advance(11)
    client.pump()
    assert failures[0].code is Code.TIMEOUT
    assert client.answer(stream)[0] == 408


def test_a_quiet_conversation_is_kept_and_the_client_asked_whether_it_is_there() -> None:
    world = World()
    client = Http2Client(world, Serves(lambda request: (request.start(200, GRPC), request.on_body(lambda data, last: None))))
    client.ask("POST", "/s/m", end=False)
    for _ in range(40):
        world.advance(30, step=1)
        client.pump()
        assert not client.transport.disconnecting
    assert any(isinstance(event, h2.events.PingReceived) for event in client.events)
    world.advance(100, step=1)
    assert client.transport.aborted, "no answer to the PING"


def test_an_idle_connection_is_closed_with_goaway() -> None:
    world = World()
    client = Http2Client(world, Serves())
    for _ in range(3):
        client.ask()
        world.advance(200, step=1)
        client.pump()
        assert not client.transport.disconnecting
    world.advance(250, step=1)
    client.h2.receive_data(client.transport.value())
    assert client.transport.disconnecting


def test_a_client_that_sends_no_settings_is_cut() -> None:
    world = World()
    client = Http2Client(world, Serves())
    protocol = client.server.make_protocol(client.protocol.information, _http2())
    transport = type(client.transport)()
    protocol.makeConnection(transport)
    protocol.dataReceived(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    world.advance(11)
    assert transport.aborted


def test_a_broken_peer_gets_goaway_and_its_requests_are_told() -> None:
    gone: list[str] = []
    client = Http2Client(World(), Serves(lambda request: request.on_gone(gone.append)))
    client.ask()
    client.protocol.dataReceived(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    assert b"WINDOW_UPDATE by nothing" in client.transport.value()
    assert client.transport.disconnecting
    assert gone


def test_draining_says_goaway_twice_and_lets_answers_out() -> None:
    world = World()
    told: list[tuple[float, str]] = []
    served = Serves(lambda request: request.on_shutdown(lambda *arguments: told.append(arguments)))
    client = Http2Client(world, served)
    stream = client.ask()
    world.gateway.drain(30.0, "the end")
    # The library holds a connection for closed after the first GOAWAY, so its part is played here.
    assert client.transport.take() == _frame(7, 0, 0x7FFFFFFF .to_bytes(4, "big") + bytes(4)) + _frame(6, 0, b"shutdown")
    client.protocol.dataReceived(_frame(6, 1, b"shutdown"))
    assert client.transport.take() == _frame(7, 0, stream.to_bytes(4, "big") + bytes(4))
    assert told == [(30.0, "the end")]
    assert not client.transport.disconnecting
    served.requests[0].respond(200, PLAIN, b"done")
    assert client.transport.disconnecting
    assert b"done" in client.transport.value()


def test_draining_does_not_wait_for_a_ping_forever() -> None:
    world = World()
    client = Http2Client(world, Serves())
    client.ask()
    world.gateway.drain(30.0, "the end")
    assert not client.transport.disconnecting
    world.advance(1.5)
    assert client.transport.disconnecting


def test_one_session_for_all_front_ends_until_the_connection_is_lost() -> None:
    world = World()
    first = Serves(routes=[RouteDeclaration(("GET",), "/a")], name="first")
    second = Serves(routes=[RouteDeclaration(("GET",), "/b")], name="second")
    client = Http2Client(world, first, second)
    assert not world.gateway.sessions
    for path in ("/b", "/a", "/b"):
        assert client.answer(client.ask("GET", path))[0] == 200
    assert [session.front_end for session in world.gateway.sessions.values()] == ["second"]
    before = len(world.clock.getDelayedCalls())
    client.protocol.connectionLost(DONE)
    assert not world.gateway.sessions
    assert len(world.clock.getDelayedCalls()) == before - 1


def test_events_go_to_who_asked_for_them() -> None:
    world = World()
    events: list[object] = []
    served = Serves(lambda request: request.on_event(lambda event: events.append(event) or True))  # type: ignore[func-returns-value]
    client = Http2Client(world, served)
    client.ask()
    (session,) = world.gateway.sessions.values()
    from rmqgateway.events import ConsumersChanged

    assert session.deliver(ConsumersChanged("group"))
    assert events == [ConsumersChanged("group")]
    served.requests[0].respond(200, (), b"")
    assert not session.deliver(ConsumersChanged("group"))


@pytest.mark.parametrize(
    ("headers", "authority", "secure", "status"),
    [
        ([], "anything.example", False, 200),  # no browser speaks HTTP/2 without TLS
        ([("sec-fetch-site", "none")], "evil.example", True, 421),
        ([("origin", "https://evil.example")], "evil.example", True, 421),
        ([("origin", "https://localhost")], "localhost", True, 200),
        ([("origin", "https://evil.example")], "localhost", True, 403),
        ([("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], "localhost", True, 403),
    ],
)
def test_browsers_are_kept_to_our_own_pages(headers: list[tuple[str, str]], authority: str, secure: bool, status: int) -> None:
    client = Http2Client(World(), Serves(), secure=secure)
    assert client.answer(client.ask("GET", "/", headers, authority=authority))[0] == status


def test_crumbs_of_cookies_are_one_header() -> None:
    served = Serves()
    client = Http2Client(World(), served)
    client.ask("GET", "/?q=1", [("cookie", "a=1"), ("cookie", "b=2")])
    (request,) = served.requests
    assert request.header(b"cookie") == b"a=1; b=2"
    assert (request.path, request.query, request.target) == ("/", [("q", "1")], b"/?q=1")


def test_streams_at_a_time_are_limited_by_the_setting() -> None:
    client = Http2Client(World(), Serves(lambda request: None), settings=HttpSettings(max_streams=2))
    assert client.h2.remote_settings.max_concurrent_streams == 2


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + payload


def _http2() -> Any:
    from rmqgateway.recognition import Found

    return Found.HTTP_2


def test_an_answer_to_a_ping_leaves_with_that_to_a_request_if_this_comes_soon() -> None:
    """Clients of gRPC send a PING with nearly every call: a write of its own for each would cost half as much again."""
    served = Serves(lambda request: None)
    client = Http2Client(World(), served)
    client.h2.ping(b"12345678")
    client.protocol.dataReceived(client.h2.data_to_send())
    assert client.transport.take(), "nothing else is expected to leave soon"

    client.h2.send_headers(1, FIELDS, True)
    client.h2.ping(b"abcdefgh")
    client.protocol.dataReceived(client.h2.data_to_send())
    assert not client.transport.value()
    client.world.advance(0.002, 0.001)
    (request,) = served.requests
    request.respond(200, PLAIN, b"yes")
    data = client.transport.take()
    assert data.index(b"abcdefgh") < data.index(b"yes"), "and first"
    client.world.advance(0.01, 0.001)
    assert not client.transport.value()

    client.h2.send_headers(3, FIELDS, True)
    client.h2.ping(b"ABCDEFGH")
    client.protocol.dataReceived(client.h2.data_to_send())
    client.world.advance(0.004, 0.001)
    assert not client.transport.value()
    client.world.advance(0.002, 0.001)
    assert b"ABCDEFGH" in client.transport.take(), "a request that waits long does not hold it up"


def test_a_connection_that_goes_leaves_no_answer_to_a_ping_behind() -> None:
    client = Http2Client(World(), Serves(lambda request: None))
    client.h2.send_headers(1, FIELDS, True)
    client.h2.ping(b"abcdefgh")
    client.protocol.dataReceived(client.h2.data_to_send())
    client.protocol.connectionLost()
    assert client.protocol._acknowledge_call is None
    client.world.advance(0.1)
