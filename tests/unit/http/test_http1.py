"""HTTP/1.1 through the whole server: framing, order, limits, the end."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.errors import Code
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.settings import HttpSettings
from rmqgateway.testing import NoReplyYet, World, result_of
from tests.unit.http.serving import PLAIN, Serves, echo

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def posted(body: bytes = b"hello", more: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


# What a response says.


def test_a_response_says_when_and_how_long() -> None:
    answer = World().http(Serves()).request("GET", "/")
    assert (answer.status, answer.body) == (200, b"yes")
    assert answer.headers == [
        ("content-type", "text/plain"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("content-length", "3"),
    ]


def test_the_date_moves_and_the_server_has_a_name_if_it_is_set() -> None:
    world = World()
    client = world.http(Serves(), settings=HttpSettings(server_header="rmq"))
    client.request("GET", "/")
    world.advance(61)
    answer = client.request("GET", "/")
    assert answer.header("date") == "Thu, 01 Jan 2026 00:01:01 GMT"
    assert answer.header("server") == "rmq"


def test_head_is_get_without_its_body() -> None:
    client = World().http(Serves())
    answer = client.request("HEAD", "/")
    assert (answer.status, answer.header("content-length"), client.transport.value()) == (200, "3", b"")


def test_a_streamed_response_is_chunked_with_trailers_for_those_who_take_them() -> None:
    def answer(request: Any) -> None:
        request.start(200, PLAIN)
        request.write(b"one")
        request.write(b"")
        request.write(b"two")
        request.finish(((b"x-sum", b"6"),))

    client = World().http(Serves(answer))
    without = client.request("GET", "/")
    assert (without.body, without.trailers) == (b"onetwo", [])
    having = client.request("GET", "/", [("TE", "trailers")])
    assert (having.body, having.trailers) == (b"onetwo", [("x-sum", "6")])
    head = client.request("HEAD", "/")
    assert head.complete and client.transport.value() == b""


def test_a_stream_of_known_length_is_not_chunked() -> None:
    def answer(request: Any) -> None:
        request.start(200, ((b"content-length", b"4"),))
        request.write(b"four")
        request.finish()

    answered = World().http(Serves(answer)).request("GET", "/")
    assert answered.header("transfer-encoding") is None
    assert answered.body == b"four"


def test_http_1_0_gets_a_stream_until_the_end_of_the_connection() -> None:
    def answer(request: Any) -> None:
        request.start(200, PLAIN)
        request.write(b"all")
        request.finish()

    client = World().http(Serves(answer))
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"transfer-encoding" not in client.transport.value()
    assert client.transport.value().endswith(b"connection: close\r\n\r\nall")
    assert client.closed


def test_http_1_0_is_kept_alive_if_it_asks() -> None:
    client = World().http(Serves())
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"connection: keep-alive\r\n" in client.transport.value()
    assert not client.closed
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.closed


def test_close_is_obeyed_and_said() -> None:
    client = World().http(Serves())
    answer = client.request("GET", "/", [("Connection", "close")])
    assert answer.header("connection") == "close"
    assert client.closed


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_body_has_no_length(status: int) -> None:
    client = World().http(Serves(lambda request: request.respond(status, (), b"ignored")))
    assert client.request("GET", "/").header("content-length") is None
    assert client.request("GET", "/").status == status


@pytest.mark.parametrize(
    "header", [(b"a", b"b\r\nc: d"), (b"a", b"b\nc"), (b"a\r\nb", b""), (b"connection", b"x"), (b"A", b"b"), (b"", b"")]
)
def test_a_front_end_cannot_split_a_response(header: tuple[bytes, bytes]) -> None:
    client = World().http(Serves(lambda request: request.respond(200, (header,), b"")))
    answer = client.request("GET", "/")
    assert answer.status == 500
    assert b"\nc" not in client.transport.value()


@pytest.mark.parametrize("pieces", [(), (b"abc",), (b"abc", b"de")])
def test_a_length_that_is_not_kept_ends_the_connection(pieces: tuple[bytes, ...]) -> None:
    def answer(request: Any) -> None:
        request.start(200, ((b"content-length", b"4"),))
        for piece in pieces:
            request.write(piece)
        request.finish()

    client = World().http(Serves(answer))
    client.start("GET", "/")
    assert client.closed
    assert b"de" not in client.transport.value()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda request: request.write(b"x"),
        lambda request: request.finish(),
        lambda request: request.respond(200, ((b"content-length", b"5"),), b"four"),
    ],
)
def test_a_front_end_that_answers_wrongly_is_a_500(wrong: Any) -> None:
    assert World().http(Serves(wrong)).request("GET", "/").status == 500


def test_a_response_is_begun_once() -> None:
    def answer(request: Any) -> None:
        request.start(200, ())
        request.respond(200, (), b"again")

    client = World().http(Serves(answer))
    client.start("GET", "/")
    assert client.closed
    assert b"again" not in client.transport.value()


# Order.


def test_pipelined_requests_are_answered_one_at_a_time_in_their_order() -> None:
    served = Serves(lambda request: None)
    client = World().http(served)
    client.send(posted(b"1") + posted(b"2") + posted(b"3"))
    for number in (1, 2, 3):
        assert len(served.requests) == number, "the next one waits for the answer"
        request = served.requests[-1]
        request.respond(200, PLAIN, result_of(request.read(10)))
    assert [client.response().body for _ in range(3)] == [b"1", b"2", b"3"]


def test_thousands_of_pipelined_requests_do_not_recurse() -> None:
    served = Serves()
    client = World().http(served)
    client.send(GET * 3000)
    assert len(served.requests) == 3000
    assert client.transport.value().count(b"HTTP/1.1 200") == 3000


def test_what_is_sent_ahead_is_bounded() -> None:
    world = World()
    served = Serves(lambda request: None)
    client = world.http(served)
    for _ in range(100):
        client.send(GET * 100)
        if client.transport.producerState == "paused":
            break
    assert client.transport.producerState == "paused"
    assert client.protocol._decoder.buffered < 80_000
    while client.transport.producerState == "paused":
        served.requests[-1].respond(200, (), b"")
    assert client.protocol._decoder.buffered < 40_000
    assert len(served.requests) > 10


def test_one_connection_alternates_between_front_ends_and_has_one_session() -> None:
    world = World()
    first = Serves(routes=[RouteDeclaration(("GET",), "/a/*")], name="first")
    second = Serves(routes=[RouteDeclaration(("GET",), "/b/*")], name="second")
    client = world.http(first, second)
    for _ in range(3):
        assert client.request("GET", "/a/1").status == 200
        assert client.request("GET", "/b/1").status == 200
    assert (len(first.requests), len(second.requests)) == (3, 3)
    (session,) = world.gateway.sessions.values()
    assert session.front_end == "first"
    assert {request.context.session for request in first.requests + second.requests} == {session}
    client.close()
    assert not world.gateway.sessions


def test_a_connection_that_only_gets_refusals_has_no_session() -> None:
    world = World()
    client = world.http(Serves(routes=[RouteDeclaration(("GET",), "/a")]))
    assert client.request("GET", "/nothing").status == 404
    assert not world.gateway.sessions


# Bodies.


@pytest.mark.parametrize("size", [0, 1, 1000, 200_000])
@pytest.mark.parametrize("step", [1, 7, 65536])
def test_bodies_come_whole_however_they_are_cut(size: int, step: int) -> None:
    if size // step > 20_000:
        step = 100
    client = World().http(Serves(echo))
    wire = posted(b"x" * size)
    for start in range(0, len(wire), step):
        client.protocol.dataReceived(wire[start : start + step])
    assert client.response().body == b"x" * size


def test_a_chunked_body_with_trailers() -> None:
    served = Serves(echo)
    client = World().http(served)
    client.send(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    assert client.response().body == b"abcde"
    assert served.requests[0].trailers == [(b"x-t", b"1")]


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    failures: list[Any] = []

    def answer(request: Any) -> None:
        request.read(10).addErrback(
            lambda failure: (failures.append(failure.value), request.respond(413, PLAIN, b"no"))  # type: ignore[func-returns-value]
        )

    client = World().http(Serves(answer))
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n")
    assert client.response().status == 413
    assert failures[0].code is Code.MESSAGE_TOO_LARGE
    assert client.closed or client.protocol._lingering


def test_a_chunked_body_over_the_limit_is_refused_as_soon_as_it_is_known() -> None:
    client = World().http(
        Serves(lambda request: request.read(10).addErrback(lambda failure: request.respond(413, PLAIN, b"no")))
    )
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
    with pytest.raises(NoReplyYet):
        client.response()
    client.send(b"6\r\nabcdef\r\n")
    assert client.response().status == 413
    client.send(b"1\r\nx\r\n0\r\n\r\n" + posted(b"x" * 11))
    assert client.response().status == 413, "the rest was skipped, and the next request is understood"


def test_continue_is_sent_when_somebody_wants_the_body() -> None:
    served = Serves(lambda request: None)
    client = World().http(served)
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert client.transport.value() == b""
    body = served.requests[0].read(10)
    assert client.transport.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"ok")
    assert result_of(body) == b"ok"


def test_continue_is_not_sent_to_a_client_that_did_not_wait() -> None:
    client = World().http(Serves(echo))
    client.send(posted(b"ok", b"Expect: 100-continue\r\n"))
    assert client.transport.value().startswith(b"HTTP/1.1 200")


def test_a_refusal_instead_of_continue_ends_the_connection() -> None:
    client = World().http(Serves(lambda request: request.respond(403, (), b"")))
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    answer = client.response()
    assert (answer.status, answer.header("connection")) == (403, "close")


def test_a_short_unwanted_body_is_skipped() -> None:
    client = World().http(Serves(lambda request: request.respond(403, (), b"")))
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
    assert client.response().header("connection") is None
    client.send(b"x" * 1000 + GET)
    assert client.response().status == 403
    assert not client.closed


def test_a_long_unwanted_body_ends_the_connection_after_the_answer_could_be_read() -> None:
    world = World()
    client = world.http(Serves(lambda request: request.respond(403, (), b"")))
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
    assert client.response().header("connection") == "close"
    client.send(b"x" * 100_000)
    assert not client.closed
    world.advance(3)
    assert client.closed


def test_a_body_in_pieces_and_back_pressure_towards_the_client() -> None:
    served = Serves(lambda request: None)
    client = World().http(served)
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n" + b"a" * 1000)
    got: list[tuple[int, bool]] = []
    served.requests[0].on_body(lambda data, last: got.append((len(data), last)))
    assert got == [(1000, False)]
    while client.transport.producerState != "paused":
        client.send(b"a" * 10_000)
    held = sum(size for size, _ in got)
    assert 64 * 1024 < held < 90_000
    served.requests[0].consumed(held)
    assert client.transport.producerState == "producing"
    client.send(b"a" * (500_000 - held))
    assert sum(size for size, _ in got) == 500_000
    assert got[-1][1]


def test_a_body_that_nobody_asked_for_yet_is_held_within_limits() -> None:
    served = Serves(lambda request: None)
    client = World().http(served)
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n")
    sent = 0
    while client.transport.producerState != "paused":
        client.send(b"a" * 10_000)
        sent += 10_000
    assert sent < 100_000
    body = served.requests[0].read(300_000)
    assert client.transport.producerState == "producing"
    client.send(b"a" * (300_000 - sent))
    assert len(result_of(body)) == 300_000


def test_bodies_of_a_connection_have_a_budget() -> None:
    def answer(request: Any) -> None:
        request.read(1 << 20).addCallbacks(
            lambda body: request.respond(200, (), b""), lambda failure: request.failed(failure.value)
        )

    client = World().http(Serves(answer), settings=HttpSettings(in_flight_bytes=1000))
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n" + b"a" * 2000)
    answered = client.response()
    assert answered.status == 429
    assert answered.header("retry-after") == "1"
    client.send(b"a" * 3000)
    assert client.protocol.body_bytes == 0
    assert client.request("POST", "/", body=b"a" * 900).status == 200
    assert client.protocol.body_bytes == 0


# Errors of front-ends.


def test_an_exception_is_a_500_without_its_text() -> None:
    def answer(request: Any) -> None:
        raise RuntimeError("secret")

    client = World().http(Serves(answer))
    answered = client.request("GET", "/")
    assert answered.status == 500
    assert answered.header("content-type") == "application/problem+json"
    assert b"secret" not in answered.body
    assert client.request("GET", "/").status == 500, "the connection goes on"


def test_an_exception_in_a_stream_breaks_it_off() -> None:
    def answer(request: Any) -> None:
        request.start(200, ())
        request.write(b"some")
        raise RuntimeError("secret")

    client = World().http(Serves(answer))
    with pytest.raises(NoReplyYet):
        client.request("GET", "/")
    assert client.closed


def test_an_exception_of_who_takes_the_body_is_a_500() -> None:
    def take(data: bytes, last: bool) -> None:
        raise RuntimeError("secret")

    client = World().http(Serves(lambda request: request.on_body(take)))
    assert client.request("POST", "/", body=b"x").status == 500
    client.start("POST", "/", [("Content-Length", "2")])
    client.send(b"x")
    client.send(b"y")
    assert client.response().status == 500


def test_a_bad_query_that_nobody_catches_is_the_clients_fault() -> None:
    answered = World().http(Serves(lambda request: request.query)).request("GET", "/?a=%ff")
    assert answered.status == 400
    assert answered.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "code": "BAD_REQUEST",
        "status": 400,
        "detail": "query: expected UTF-8",
    }


def test_what_a_request_is() -> None:
    served = Serves()
    client = World().http(served)
    client.request("GET", "/a%20b?x=1&x=2", [("X-Y", "1"), ("x-y", "2"), ("traceparent", "00-1-2-01")])
    (request,) = served.requests
    assert (request.method, request.target, request.path) == ("GET", b"/a%20b?x=1&x=2", "/a b")
    assert request.query == [("x", "1"), ("x", "2")]
    assert request.header(b"x-y") == b"1"
    assert [value for name, value in request.headers if name == b"x-y"] == [b"1", b"2"]
    assert request.header(b"nothing") is None
    assert request.context.trace == "00-1-2-01"
    assert request.information.advertised == "127.0.0.1:8080"


# What the core answers itself.


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "status", "header"),
    [
        ("GET", "/x", [], None, 404, None),
        ("PUT", "/json", [], b"{}", 405, ("allow", "POST, GET, HEAD, OPTIONS")),
        ("POST", "/json", [("Content-Type", "text/plain")], b"{}", 415, ("accept-post", "application/json")),
        ("POST", "/json", [], b"{}", 415, ("accept-post", "application/json")),
        ("POST", "/json", [("Content-Type", "Application/JSON; charset=utf-8")], b"{}", 200, None),
        ("POST", "/json", [], b"", 200, None),
        ("OPTIONS", "/json", [], None, 204, ("allow", "POST, GET, HEAD, OPTIONS")),
        ("OPTIONS", "*", [], None, 204, ("allow", "POST, GET, HEAD, OPTIONS")),
        ("GET", "/json%ff", [], None, 400, None),
        ("GET", "/json", [("Host", "evil.example")], None, 421, None),
        ("GET", "http://evil.example/json", [], None, 421, None),
        ("GET", "http://localhost/json", [("Host", "evil.example")], None, 200, None),
        ("GET", "/json", [("Host", "")], None, 421, None),
        ("GET", "/json", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], None, 403, None),
        ("GET", "/json", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], None, 200, None),
        ("GET", "/json", [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")], None, 200, None),
        ("GET", "/json", [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")], None, 200, None),
    ],
)
def test_what_no_front_end_sees(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes | None, status: int, header: tuple[str, str] | None
) -> None:
    served = Serves(routes=[RouteDeclaration(("POST", "GET"), "/json", ("application/json",))])
    answer = World().http(served).request(method, target, headers, body)
    assert answer.status == status, answer
    assert bool(served.requests) == (status == 200)
    if header:
        assert header in answer.headers
    if status >= 400:
        assert answer.header("content-type") == "application/problem+json"
        assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("method", "content_type", "status"), [("GET", "", 404), ("POST", "text/plain", 404), ("POST", "application/grpc", 200)]
)
def test_beside_grpc_an_unknown_path_is_still_unknown(method: str, content_type: str, status: int) -> None:
    served = Serves(routes=[RouteDeclaration(("POST",), "/*", ("application/grpc",), priority=-100)])
    headers = [("Content-Type", content_type)] if content_type else []
    assert World().http(served).request(method, "/x", headers, b"{}" if headers else None).status == status


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000, 431),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_smugglers_get_one_answer_and_no_second_request(wire: bytes, status: int) -> None:
    world = World()
    served = Serves(lambda request: None)
    client = world.http(served)
    client.send(wire + GET)
    answer = client.response()
    assert (answer.status, answer.header("connection")) == (status, "close")
    client.send(GET)
    world.advance(3)
    assert client.closed
    assert client.transport.value() == b""
    assert all(request.done for request in served.requests)


def test_a_malformed_body_behind_a_begun_response_breaks_it_off() -> None:
    gone: list[str] = []

    def answer(request: Any) -> None:
        request.on_gone(gone.append)
        request.start(200, ())
        request.on_body(lambda data, last: None)

    client = World().http(Serves(answer))
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"zz\r\n")
    assert client.closed
    assert "malformed" in gone[0]


def test_what_differs_with_each_response_leaves_the_kept_heads_alone() -> None:
    def answer(request: Any) -> None:
        request.also(b"x-request-id", request.header(b"x-request-id"))
        request.respond(200, ((b"content-type", b"text/plain"),), b"ok")

    client = World().http(Serves(answer))
    for number in range(5):
        answered = client.request("GET", "/", [("X-Request-Id", f"n{number}")])
        assert answered.header("x-request-id") == f"n{number}"
        assert answered.header("content-type") == "text/plain"
    assert len(client.server._heads1) == 1


def test_no_line_ends_get_into_a_header() -> None:
    def answer(request: Any) -> None:
        with pytest.raises(ValueError, match="line ends"):
            request.also(b"x-a", b"b\r\nc: d")
        request.respond(204, ())

    assert World().http(Serves(answer)).request("GET", "/").status == 204
