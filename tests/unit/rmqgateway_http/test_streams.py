"""Server-Sent Events and JSON lines."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import maybeDeferred

from rmqgateway.commands import DeleteTopic, ReceiveMessages
from rmqgateway.context import Context
from rmqgateway.http.testing import HttpClient
from rmqgateway.testing import result_of
from tests.unit.rmqgateway_http.kit import JSON, Api, events_of

PLACE = "/v1/topics/orders/groups/g"
LINES = ("Accept", "application/x-ndjson")


class Events:
    """What has come of a stream of events."""

    def __init__(self, api: Api, query: str = "", headers: list[tuple[str, str]] | None = None) -> None:
        self.client: HttpClient = api.another()
        self.client.start("GET", f"{PLACE}/stream?{query}".rstrip("?"), headers or [])
        self.start = self.client.response(whole=False)

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Id and message of each event."""
        return events_of(self.client)

    def bodies(self) -> list[str]:
        return [message["body"] for _, message in self.all()]


def send(api: Api, *bodies: str) -> None:
    for body in bodies:
        api.send("orders", body.encode(), query="?queue_id=0")


def test_messages_come_as_events() -> None:
    api = Api()
    send(api, "1")
    events = Events(api)
    assert events.start.status == 200
    assert events.start.header("content-type") == "text/event-stream"
    send(api, "2", "3")
    assert events.bodies() == ["1", "2", "3"]


def test_a_topic_comes_into_being_with_its_first_consumer() -> None:
    api = Api()
    events = Events(api)
    assert events.start.status == 200
    send(api, "first")
    assert events.bodies() == ["first"]


def test_messages_come_as_lines() -> None:
    api = Api()
    events = Events(api, headers=[LINES])
    assert events.start.header("content-type") == "application/x-ndjson"
    send(api, "1", "2")
    lines = events.client.response(whole=False).body.splitlines()
    assert [msgspec.json.decode(line)["body"] for line in lines] == ["1", "2"]


@pytest.mark.parametrize("headers", [[], [LINES]])
def test_what_was_written_is_acknowledged(headers: list[tuple[str, str]]) -> None:
    api = Api()
    events = Events(api, headers=headers)
    send(api, "1", "2")
    api.world.advance(3)
    events.client.close()
    api.world.advance(100)
    assert api.receive("orders") == []


def test_lines_that_were_not_acknowledged_come_back_at_once() -> None:
    api = Api()
    events = Events(api, "ack=explicit", [LINES])
    send(api, "1", "2")
    assert api.receive("orders") == []
    events.client.close()
    api.world.settle()
    assert api.bodies("orders") == ["1", "2"]


def test_events_wait_for_the_client_to_come_back_and_then_return() -> None:
    api = Api()
    events = Events(api, "ack=explicit")
    send(api, "1", "2")
    assert events.bodies() == ["1", "2"]
    events.client.close()
    api.world.advance(1)
    assert api.receive("orders") == []
    api.world.advance(1.5)
    assert api.bodies("orders") == ["1", "2"]


def test_without_resuming_events_return_at_once() -> None:
    api = Api()
    events = Events(api, "ack=explicit&resume=0")
    send(api, "1")
    events.client.close()
    api.world.settle()
    assert api.bodies("orders") == ["1"]


@pytest.mark.parametrize("ack", ["auto", "explicit"])
@pytest.mark.parametrize("lost", [True, False])
def test_last_event_id_acknowledges_up_to_it_and_brings_the_rest(ack: str, lost: bool) -> None:
    api = Api()
    events = Events(api, f"ack={ack}")
    send(api, "1", "2", "3", "4")
    (_, (second, _), _, _) = events.all()
    if lost:
        events.client.close()
    api.world.advance(0.5)
    again = Events(api, f"ack={ack}", [("Last-Event-ID", second)])
    assert again.bodies() == ["3", "4"]
    api.world.advance(100)
    again.client.close()
    api.world.advance(100)
    left = api.bodies("orders")
    assert left == ([] if ack == "auto" else ["3", "4"])


def test_last_event_id_is_good_after_a_restart() -> None:
    api = Api()
    events = Events(api, "ack=explicit&invisible=10s")
    send(api, "1", "2", "3")
    (_, (second, _), _) = events.all()
    # Another process: it knows nothing of the stream, and the messages are invisible still.
    api.front_end.configure(api.front_end._settings)
    again = Events(api, "ack=explicit", [("Last-Event-ID", second)])
    assert again.bodies() == []
    events.client.transport.clear()
    events.client.close()
    api.world.advance(12)
    assert again.bodies() == ["3"]


@pytest.mark.parametrize("last", ["x", "1.2", "a.b~", "a.1~0~1,9", "a.1~x,é", "é"])
def test_bad_last_event_ids(last: str) -> None:
    api = Api()
    api.problem(400, "GET", f"{PLACE}/stream", [("Last-Event-ID", last)])


def test_last_event_id_in_the_query() -> None:
    api = Api()
    events = Events(api)
    send(api, "1", "2")
    first = events.all()[0][0]
    events.client.close()
    again = Events(api, f"last_event_id={first}")
    assert again.bodies() == ["2"]


def test_a_client_acknowledges_by_handle() -> None:
    api = Api()
    events = Events(api, "ack=explicit&max=2&resume=0")
    send(api, "1", "2", "3")
    assert events.bodies() == ["1", "2"]  # its window
    handle = events.all()[0][1]["receipt_handle"]
    api.request("DELETE", f"{PLACE}/messages/{handle}", status=204)
    assert events.bodies() == ["1", "2", "3"]
    events.client.close()
    api.world.settle()
    assert api.bodies("orders") == ["2", "3"]


def test_a_client_acknowledges_many_and_up_to_an_event() -> None:
    api = Api()
    events = Events(api, "ack=explicit&resume=0")
    send(api, "1", "2", "3", "4")
    ids = [one for one, _ in events.all()]
    handles = [message["receipt_handle"] for _, message in events.all()]
    assert api.post(f"{PLACE}/acks", {"last_event_id": ids[1]}) == {"acknowledged": 2}
    assert api.post(f"{PLACE}/acks", {"receipt_handles": [handles[3]]}) == {"acknowledged": 1}
    events.client.close()
    api.world.settle()
    assert api.bodies("orders") == ["3"]


def test_a_client_gives_back_and_rejects() -> None:
    api = Api()
    events = Events(api, "ack=explicit&resume=0")
    send(api, "1", "2")
    first, second = (message["receipt_handle"] for _, message in events.all())
    api.request("PATCH", f"{PLACE}/messages/{first}?invisible=60s", status=200)
    api.request("POST", f"{PLACE}/messages/{first}/nack", status=204)
    assert events.bodies() == ["1", "2", "1"]
    api.request("POST", f"{PLACE}/messages/{second}/dead-letter", status=204)
    again = events.all()[-1][1]["receipt_handle"]
    api.request("POST", f"{PLACE}/messages/{again}/nack?delay=5s", status=204)
    api.world.advance(6)
    assert events.bodies() == ["1", "2", "1", "1"]


def test_a_slow_client_keeps_its_messages() -> None:
    """With explicit acknowledgement the gateway renews handles as long as the client is there."""
    api = Api()
    events = Events(api, "ack=explicit&invisible=10s&resume=0")
    send(api, "1")
    api.world.advance(45)
    assert events.bodies() == ["1"]
    assert api.receive("orders") == []
    handle = events.all()[0][1]["receipt_handle"]
    api.request("DELETE", f"{PLACE}/messages/{handle}", status=204)
    events.client.close()
    api.world.advance(100)
    assert api.receive("orders") == []


def test_a_client_that_does_not_read_gets_no_more_than_its_budget() -> None:
    api = Api(stream_bytes=20_000)
    slow = Events(api, headers=[LINES])
    protocol: Any = slow.client.protocol
    protocol.pauseProducing()  # what its transport says when the client takes nothing
    for number in range(100):
        api.send("orders", b"%03d" % number + bytes(997), query="?queue_id=0")
    api.world.advance(1)
    unsent = protocol.unsent()
    assert 20_000 <= unsent < 25_000 + 32_000, unsent
    protocol.resumeProducing()
    api.world.advance(1)
    lines = slow.client.response(whole=False).body.splitlines()
    assert [msgspec.json.decode(line)["body"][:3] for line in lines] == [f"{number:03d}" for number in range(100)]


def test_many_messages_are_acknowledged_while_they_come() -> None:
    """More than wait for the client's return at a time; and ids stay short."""
    api = Api()
    events = Events(api)
    send(api, *[str(number) for number in range(600)])
    assert events.bodies() == [str(number) for number in range(600)]
    longest = max(len(one) for one, _ in events.all())
    assert longest < 700
    api.world.advance(3)
    events.client.close()
    api.world.advance(100)
    assert api.receive("orders") == []


def test_a_quiet_stream_pings() -> None:
    api = Api(stream_ping_s=10)
    events = Events(api)
    api.world.advance(25)
    assert events.client.response(whole=False).body.count(b":\n\n") == 2


def test_filters_and_bodies() -> None:
    api = Api()
    events = Events(api, "filter=a&body=base64")
    api.send("orders", b"1", query="?tag=a")
    api.send("orders", b"2", query="?tag=b")
    assert [message["body_base64"] for _, message in events.all()] == ["MQ=="]


@pytest.mark.parametrize("query", ["?ack=maybe", "?sql=%3D", "?resume=2m", "?filtre=a"])
def test_what_is_refused(query: str) -> None:
    api = Api()
    api.problem(400, "GET", f"{PLACE}/stream{query}")
    api.request("HEAD", f"{PLACE}/stream", status=405)


@pytest.mark.parametrize("path", ["/v1/topics/a%20b/groups/g/stream", "/v1/topics/orders/groups/a%20b/stream"])
def test_bad_names_are_refused_with_a_status(path: str) -> None:
    api = Api()
    api.problem(400, "GET", path)
    assert len(api.world.gateway.sessions) == 1


@pytest.mark.parametrize("headers", [[], [LINES]])
def test_a_refusal_later_is_told_in_the_stream(headers: list[tuple[str, str]]) -> None:
    api = Api()
    events = Events(api, headers=headers)
    api.world.execute(api.world.session(), DeleteTopic("orders"))
    api.world.advance(30)
    body = events.client.response().body
    assert b"TOPIC_NOT_FOUND" in body
    assert (b"event: problem" in body) == (not headers)


def test_the_gateway_stops() -> None:
    api = Api()
    send(api, "0")
    events = Events(api, "ack=explicit")
    send(api, "1")
    api.world.gateway.drain(5, "stopping")
    api.world.settle()
    assert events.client.response().complete
    assert api.front_end._service is not None and not api.front_end._service.streams
    session = next(iter(api.world.gateway.sessions.values()))
    received = maybeDeferred(api.world.gateway.execute, Context(session), ReceiveMessages("g", "orders"))
    api.world.settle()
    assert len(result_of(received).messages) == 2


def test_a_foreign_stream_is_left_alone() -> None:
    api = Api()
    events = Events(api, "ack=explicit", [("Authorization", "Bearer mine")])
    send(api, "1")
    (one, message) = events.all()[0]
    api.problem(403, "DELETE", f"{PLACE}/messages/{message['receipt_handle']}", [("Authorization", "Bearer other")])
    body = msgspec.json.encode({"last_event_id": one})
    api.problem(403, "POST", f"{PLACE}/acks", [JSON, ("Authorization", "Bearer other")], body)
    api.request("POST", f"{PLACE}/acks", [JSON, ("Authorization", "Bearer mine")], body, 200)


GZIP = ("Accept-Encoding", "gzip, br")


@pytest.mark.parametrize(("headers", "separator"), [([GZIP], b"\n\n"), ([GZIP, LINES], b"\n")])
def test_each_event_of_a_compressed_stream_can_be_read_when_it_comes(
    headers: list[tuple[str, str]], separator: bytes
) -> None:
    api = Api()
    events = Events(api, headers=headers)
    assert (events.start.header("content-encoding"), events.start.header("vary")) == ("gzip", "accept-encoding")
    for number in range(3):
        send(api, f"{number}")
        inflater = zlib.decompressobj(31)
        text = inflater.decompress(events.client.response(whole=False).body)
        assert text.endswith(separator) and b'"body":"%d"' % number in text
    api.world.advance(31)
    assert len(zlib.decompressobj(31).decompress(events.client.response(whole=False).body)) > len(text)


def test_a_compressed_stream_ends_as_gzip_does() -> None:
    api = Api()
    events = Events(api, headers=[GZIP])
    send(api, "1")
    api.world.gateway.drain(10.0, "stop")
    answer = events.client.response()
    assert b'"body":"1"' in gzip.decompress(answer.body)


def test_no_more_streams_are_compressed_than_the_setting_says() -> None:
    api = Api(gzip_streams=1)
    first = Events(api, headers=[GZIP])
    second = Events(api, headers=[GZIP])
    assert (first.start.header("content-encoding"), second.start.header("content-encoding")) == ("gzip", None)
    first.client.close()
    api.world.advance(3)
    assert Events(api, headers=[GZIP]).start.header("content-encoding") == "gzip"


@pytest.mark.parametrize(("header", "setting"), [("gzip;q=0", 1024), ("identity", 1024), ("gzip", 0)])
def test_streams_that_are_not_compressed(header: str, setting: int) -> None:
    api = Api(gzip_from=setting)
    assert Events(api, headers=[("Accept-Encoding", header)]).start.header("content-encoding") is None
