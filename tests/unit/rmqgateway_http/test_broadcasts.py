"""Streams of which everybody gets everything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rmqgateway.commands import Command, CreateGroups, CreateTopics, DeleteTopic
from rmqgateway.commands.administering import GroupConfig, TopicConfig
from rmqgateway.http.testing import HttpClient
from tests.unit.rmqgateway_http.kit import Api, events_of

PLACE = "/v1/topics/orders/groups/g"
LINES = ("Accept", "application/x-ndjson")


class Listener:
    """What has come of a broadcast."""

    def __init__(self, api: Api, query: str = "", headers: list[tuple[str, str]] | None = None) -> None:
        self.client: HttpClient = api.another()
        self.client.start("GET", f"{PLACE}/stream?broadcast=true&{query}".rstrip("&"), headers or [])
        api.world.settle()
        self.start = self.client.response(whole=False)

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Id and message of each event."""
        return events_of(self.client)

    def bodies(self) -> list[str]:
        return [message["body"] for _, message in self.all()]

    def last(self) -> str:
        return self.all()[-1][0]


def send(api: Api, *bodies: str, queue: int = 0, tag: str = "") -> None:
    for body in bodies:
        api.send("orders", body.encode(), query=f"?queue_id={queue}" + (f"&tag={tag}" if tag else ""))
    api.world.settle()


def administer(api: Api, command: Command[Any]) -> None:
    api.world.execute(api.world.session(), command)


def test_every_listener_gets_every_message_from_now_on() -> None:
    api = Api()
    send(api, "before")
    listeners = [Listener(api) for _ in range(3)]
    assert listeners[0].start.header("content-type") == "text/event-stream"
    send(api, "1", "2")
    send(api, "3", queue=5)
    for listener in listeners:
        assert listener.bodies() == ["1", "2", "3"]
        assert "receipt_handle" not in listener.all()[0][1]
        assert "delivery_attempt" not in listener.all()[0][1]


def test_from_the_oldest_message_on() -> None:
    api = Api()
    send(api, *map(str, range(100)))
    send(api, *map(str, range(100, 110)), queue=3)
    listener = Listener(api, "start=min")
    assert sorted(map(int, listener.bodies())) == list(range(110))
    send(api, "more")
    assert listener.bodies()[-1] == "more"


def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice() -> None:
    api = Api()
    first, second = Listener(api), Listener(api)
    send(api, "1")
    send(api, "2", queue=1)
    send(api, "3", queue=7)
    for _, (event_id, message) in zip(range(3), first.all(), strict=True):
        back = Listener(api, headers=[("Last-Event-ID", event_id)])
        rest = [str(number) for number in range(int(message["body"]) + 1, 4)]
        assert sorted(back.bodies()) == rest
    first.client.close()
    send(api, *map(str, range(4, 80)))
    send(api, "80", queue=2)
    back = Listener(api, f"last_event_id={first.last()}")
    assert sorted(map(int, back.bodies())) == list(range(4, 81))
    assert sorted(map(int, second.bodies())) == list(range(1, 81))
    assert back.last() == second.last()


def test_a_place_is_good_after_a_restart() -> None:
    api = Api()
    listener = Listener(api)
    send(api, "1")
    place = listener.last()
    send(api, "2")
    listener.client.close()
    again = Api()
    again.world = api.world.restart()
    again.client = again.world.http(again.front_end)
    assert Listener(again, headers=[("Last-Event-ID", place)]).bodies() == ["2"]


def test_nothing_of_a_listener_is_kept() -> None:
    api = Api()
    listener = Listener(api)
    send(api, "1")
    listener.client.close()
    api.world.settle()
    gateway: Any = api.world.gateway
    assert not gateway._feeds._feeds
    assert len(gateway.sessions) == 1, "that of who sent"


def test_the_one_in_whose_name_it_was_pulled_goes() -> None:
    api = Api()
    first, second = Listener(api), Listener(api)
    send(api, "1")
    first.client.close()
    api.world.settle()
    send(api, "2")
    assert second.bodies() == ["1", "2"]


def test_a_filter() -> None:
    api = Api()
    all_of_them, red = Listener(api), Listener(api, "filter=red")
    send(api, "1", tag="blue")
    send(api, "2", tag="red")
    send(api, "3", tag="blue")
    assert (all_of_them.bodies(), red.bodies()) == (["1", "2", "3"], ["2"])
    send(api, "4", tag="red")
    assert Listener(api, "filter=red", [("Last-Event-ID", red.all()[0][0])]).bodies() == ["4"]


def test_lines_and_how_to_go_on() -> None:
    api = Api()
    listener = Listener(api, "body=base64", [LINES])
    assert listener.start.header("content-type") == "application/x-ndjson"
    send(api, "1", "2")
    lines = [msgspec.json.decode(line) for line in listener.client.response(whole=False).body.splitlines()]
    assert [line["body_base64"] for line in lines] == ["MQ==", "Mg=="]
    back = Listener(api, f"last_event_id={lines[0]['event_id']}")
    assert back.bodies() == ["2"]


def test_a_listener_that_does_not_read_holds_up_nobody_and_catches_up() -> None:
    api = Api(stream_bytes=20_000)
    slow, fast = Listener(api), Listener(api)
    protocol: Any = slow.client.protocol
    protocol.pauseProducing()  # what its transport says when the client takes nothing
    for number in range(60):
        send(api, f"{number:04}" + "x" * 2000, queue=number % 3)
    assert [body[:4] for body in fast.bodies()] == [f"{number:04}" for number in range(60)]
    assert 20_000 <= protocol.unsent() < 36_000  # or what the core calls little
    protocol.resumeProducing()
    api.world.settle()
    assert sorted(body[:4] for body in slow.bodies()) == [f"{number:04}" for number in range(60)]
    send(api, "last")
    assert slow.bodies()[-1] == fast.bodies()[-1] == "last"
    assert slow.last() == fast.last()


def test_new_queues_are_found() -> None:
    api = Api()
    listener = Listener(api)
    administer(api, CreateTopics((TopicConfig("orders", 12, 12),)))
    send(api, "in a new queue", queue=11)
    assert listener.bodies() == []
    api.world.advance(31)
    assert listener.bodies() == ["in a new queue"]
    send(api, "again", queue=11)
    assert listener.bodies()[-1] == "again"


def test_fewer_queues_end_nothing() -> None:
    api = Api()
    listener = Listener(api)
    administer(api, CreateTopics((TopicConfig("orders", 2, 2),)))
    api.world.advance(31)
    send(api, "1", queue=1)
    assert listener.bodies() == ["1"]


def test_a_topic_that_is_deleted_ends_it() -> None:
    api = Api()
    listener = Listener(api)
    administer(api, DeleteTopic("orders"))
    api.world.settle()
    body = listener.client.response(whole=False).body
    assert b"event: problem" in body and b"TOPIC_NOT_FOUND" in body


def test_groups_that_may_not() -> None:
    api = Api()
    api.send("orders")
    administer(api, CreateGroups((GroupConfig("g", consume_broadcast_enable=False),)))
    problem = api.problem(403, "GET", f"{PLACE}/stream?broadcast=true")
    assert "may not broadcast (consumeBroadcastEnable)" in problem["detail"]


def test_a_group_that_shares_its_messages_cannot_broadcast_at_the_same_time() -> None:
    api = Api()
    api.send("orders")
    sharing = api.another()
    sharing.start("GET", f"{PLACE}/stream")
    problem = api.problem(409, "GET", f"{PLACE}/stream?broadcast=true")
    assert "cannot be consumed by pull before those members are gone" in problem["detail"]


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        ("max=4", [], "query: max is not for a broadcast"),
        ("ack=explicit", [], "query: ack is not for a broadcast"),
        ("invisible=5s", [], "query: invisible is not for a broadcast"),
        ("start=middle", [], "expected one of min, max, got 'middle'"),
        ("", [("Last-Event-ID", "1234.5~x")], "expected the id of an event of a broadcast"),
        ("", [("Last-Event-ID", "@")], "place: expected what came with a message"),
        ("", [("Last-Event-ID", "@x")], "place: expected what came with a message"),
        ("", [("Last-Event-ID", "@b:zzzzzzzzzzzzzzzz")], "place: expected what came with a message"),
        ("", [("Last-Event-ID", "@b:1.-3")], "place: expected what came with a message"),
    ],
)
def test_bad_input(query: str, headers: list[tuple[str, str]], words: str) -> None:
    api = Api()
    api.send("orders")
    problem = api.problem(400, "GET", f"{PLACE}/stream?broadcast=true&{query}".rstrip("&"), headers)
    assert words in problem["detail"]


def test_an_event_of_a_broadcast_is_none_of_another_stream() -> None:
    api = Api()
    listener = Listener(api)
    send(api, "1")
    api.problem(400, "GET", f"{PLACE}/stream", [("Last-Event-ID", listener.last())])
