"""What streams do once for many: planned calls, encoding, event ids. Each is the same as the long way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from rmqgateway.outbox import Outbox
from rmqgateway.wire import stored_message
from rmqgateway_http.codec_handles import append_handle, read_event_id, read_receipt_handle, write_event_id
from rmqgateway_http.codec_json import encode_json
from rmqgateway_http.convert_receiving import ShownMessage, message_out
from rmqgateway_http.deadlines import Deadlines
from rmqgateway_http.streams import Stream
from tests.unit.rmqgateway_http.kit import Api


def stored(body: bytes = b"hello", properties: bytes = b"UNIQ_KEY\x01k\x02") -> bytes:
    return bytes(stored_message.encode(b"t", 3, body, properties, queue_offset=7, born_timestamp=5, store_timestamp=6))


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("name", ["k", 'a","receipt_handle":"~","b', "~", ""])
def test_a_message_seen_again_is_shown_as_if_it_were_new(name: str, size: int) -> None:
    message = stored(b"x" * size, b"UNIQ_KEY\x01%b\x02" % name.encode() if name else b"")
    shown = ShownMessage()
    for number in range(4):
        for attempt, body_as in ((1, "auto"), (1, "base64"), (2, "base64")):
            for handle in (f"0~{number}~x", 'q"\\', ""):
                expected = encode_json(message_out(message, handle or "~", attempt, body_as))
                assert shown.encode(message, handle or "~", attempt, body_as) == expected


def test_another_message_of_the_same_bytes_is_another() -> None:
    shown = ShownMessage()
    first, second = stored(b"first"), stored(b"other")
    for message in (first, first, first, second, first, second, second, second):
        assert shown.encode(message, "h", 1, "auto") == encode_json(message_out(message, "h", 1, "auto"))


@pytest.mark.parametrize(
    "properties",
    [b"", b"UNIQ_KEY\x01k\x02TAGS\x01a\x02", b"WAIT\x01true\x02", b"KEYS\x01a b\x02", b"m\x011\x02", b"TIMER_OUT_MS\x0155\x02"],
)
def test_a_plain_message_says_what_any_message_does(properties: bytes) -> None:
    found = msgspec.to_builtins(message_out(stored(properties=properties), "h", 2))
    marked = msgspec.to_builtins(message_out(stored(properties=properties + b"more\x01x\x02"), "h", 2))
    more = marked.pop("properties")
    assert more.pop("more") == "x" and found.pop("properties", {}) == more
    assert found == marked


HANDLES = [
    "0~1~60000~0~0~b~1~0", "0~1~60000~0~0~b~1~1", "0~1~60000~0~0~b~1~12", "0~1~60000~0~0~b~1~12", "0~2~60000~0~0~b~1~12",
    "0~2~60000~0~0~b~1~12~lite", "0~2~60000~0~0~b~1~13~lite", "0~2~60000~0~0~b~1~13~", "0~2~60000~0~0~b~1~14",
    "=~1", "=~2", "~1", "~2", "x", "y", "0~~1", "0~~2",
]  # fmt: skip


def test_ids_are_those_of_the_long_way() -> None:
    for first in HANDLES:
        for second in HANDLES:
            stream: Any = object.__new__(Stream)
            stream._listed = stream._last = stream._beginning = stream._blanks = ""
            stream._listed_count, stream._explicit, stream.unsettled = 0, True, {1: "", 2: "", 3: "", 4: ""}
            listed = last = ""
            for handle in (first, second, second, first):
                listed, last = append_handle(listed, last, handle), handle
                assert stream._list(handle) == listed
    ids = read_event_id(write_event_id("ab", 3, listed))
    assert ids.handles[-1] == read_receipt_handle(last)


class Planned:
    def __init__(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, Outbox())
        self.done: list[str] = []

    def plan(self, seconds: float, name: str) -> Any:
        return self.deadlines.later(seconds, lambda: self.done.append(name))


def test_what_is_planned_is_done_in_its_order_and_never_early() -> None:
    planned = Planned()
    for seconds, name in ((2.0, "b"), (1.0, "a"), (2.0, "c"), (3.0, "d")):
        planned.plan(seconds, name)
    planned.clock.advance(0.999)
    assert not planned.done
    planned.clock.advance(0.001)
    assert planned.done == ["a"]
    planned.clock.advance(1.0)
    assert planned.done == ["a", "b", "c"]
    planned.clock.advance(1.0)
    assert planned.done == ["a", "b", "c", "d"] and not planned.clock.getDelayedCalls()


def test_ten_thousand_plans_are_one_call_of_the_reactor() -> None:
    planned = Planned()
    for number in range(10_000):
        planned.plan(2.0 + number / 10_000, str(number))
    assert len(planned.clock.getDelayedCalls()) == 1
    rings = 0
    while planned.clock.getDelayedCalls():
        (call,) = planned.clock.getDelayedCalls()
        planned.clock.advance(max(call.getTime() - planned.clock.seconds(), 0.0))
        rings += 1
    assert len(planned.done) == 10_000 and rings <= 60


def test_what_is_cancelled_or_raises_keeps_nothing_from_the_others() -> None:
    planned = Planned()
    first = planned.plan(1.0, "first")
    planned.deadlines.later(1.0, lambda: 1 // 0)
    planned.plan(1.0, "second")
    first.cancel()
    planned.clock.advance(1.0)
    assert planned.done == ["second"]
    first.cancel()


def test_what_is_planned_meanwhile_waits_for_the_next_ring() -> None:
    planned = Planned()

    def again() -> None:
        planned.done.append("again")
        planned.deadlines.later(0.0, again)

    planned.deadlines.later(0.0, again)
    for _ in range(10):
        planned.clock.advance(0.021)
    assert 9 <= len(planned.done) <= 11


def test_many_streams_leave_few_calls_to_the_reactor() -> None:
    api = Api()
    clients = [api.another() for _ in range(30)]
    for number, client in enumerate(clients):
        client.start("GET", f"/v1/topics/orders/groups/g{number}/stream")
    before = len(api.world.clock.getDelayedCalls())
    for _ in range(5):
        api.send("orders", b"to all")
        api.world.advance(0.1)
    assert all(client.response(whole=False).body.count(b"to all") == 5 for client in clients)
    assert len(api.world.clock.getDelayedCalls()) <= before + 3
