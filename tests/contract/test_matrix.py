"""The matrix: a message of every kind enters by each front-end and leaves by each, and is the same message.

216 cells: entry × exit × kind. Each sends, receives, compares every field, gives back, receives again, acknowledges. What a
front-end cannot say is in `REFUSALS`, with what it answers; nothing else may be missing. ``tools/document_matrix.py`` writes
the table of the documentation from this module's tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmqgateway.commands import CreateGroups, CreateTopics, GroupConfig, TopicConfig
from rmqgateway.errors import Code
from rmqgateway.message import MessageType
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES
from tests.contract.driver import Driver, Got, Outgoing, Refused, Sent, Stage, refused
from tests.contract.driver_commands import CommandsDriver
from tests.contract.matrix import FRONT_ENDS, KINDS, REFUSALS

TOPIC, GROUP = "orders", "group"
SENDER, RECEIVER = "203.0.113.7", "198.51.100.9"
_TYPES = {"transactional": MessageType.TRANSACTION, "delay": MessageType.DELAY}
#: What RocketMQ itself leaves among the user's properties of a transaction, over every protocol.
_LEFT = {"CHECK_IMMUNITY_TIME_IN_SECONDS"}


class Cell:
    """A world with a topic of the kind's type, a sender and a receiver from different addresses."""

    def __init__(self, entry: str, exit: str, kind: str) -> None:
        self.stage = Stage(CommandsDriver)
        world = self.stage.world
        kind_type = _TYPES.get(kind) or MessageType[kind.upper()]
        operator = self.stage.operator()
        assert isinstance(operator, CommandsDriver)
        operator.execute(CreateTopics((TopicConfig(TOPIC, 8, 8, message_type=kind_type),)))
        operator.execute(CreateGroups((GroupConfig(GROUP, consume_message_orderly=kind == "fifo"),)))
        self.operator = operator
        world.peer_host = SENDER
        self.entry: Driver = FRONT_ENDS[entry](world)
        world.peer_host = RECEIVER
        self.exit: Driver = FRONT_ENDS[exit](world)
        self.stage.clients += [self.entry, self.exit]
        self.sent: dict[str, tuple[Outgoing, Sent]] = {}
        self.fifo = kind == "fifo"
        self.lite: tuple[str, ...] = ()

    def message(self, body: str, **more: Any) -> Outgoing:
        named = {"colour": f"{body} 蓝", "empty-ish": " x "}
        return Outgoing(body, tag="TagA", keys=(f"key-{len(self.sent)}", "shared"), properties=named, **more)

    def put(self, body: str, **more: Any) -> Sent:
        message = self.message(body, **more)
        sent = self.entry.put(TOPIC, message)
        self.sent[body] = message, sent
        return sent

    def consume(self, max_messages: int = 16) -> list[Got]:
        return self.exit.consume(
            GROUP, TOPIC, fifo=self.fifo, lite_topics=self.lite, max_messages=max_messages
        )

    def check(self, got: Got, attempt: int = 1) -> None:
        """Every field is what its sender gave."""
        message, sent = self.sent[got.body]
        named = got.properties
        users = {name: value for name, value in named.items() if name not in SYSTEM_PROPERTIES | {"__SHARDINGKEY"}}
        assert {name: users.pop(name) for name in message.properties} == message.properties
        assert users.keys() <= _LEFT, "nothing that nobody sent"
        assert got.topic == TOPIC
        assert named["TAGS"] == message.tag
        assert named["KEYS"].split() == list(message.keys)
        assert got.message_id and got.message_id == sent.message_id
        assert named.get("__SHARDINGKEY", "") == message.message_group
        assert (got.born_timestamp, got.born_host) == (sent.born_timestamp, sent.born_host)
        assert got.deliver_at == message.deliver_at
        assert got.priority == message.priority
        assert got.lite_topic == message.lite_topic
        assert got.attempt == attempt

    def again(self, got: Got) -> Got:
        """Give a message back: it comes again, with the next attempt and another handle; the old one is void."""
        if self.exit.can("release"):
            self.exit.release(GROUP, TOPIC, got, 0)
        else:
            self.stage.advance(60.5, 0.5)  # who cannot give back lets the time pass
        found = [one for one in self.consume() if one.body == got.body]
        assert len(found) == 1, "it comes again, once"
        self.check(found[0], got.attempt + 1)
        refused(self.exit, Code.RECEIPT_HANDLE_EXPIRED, self.exit.ack, GROUP, TOPIC, got)
        return found[0]

    def settle(self, *messages: Got) -> None:
        """Acknowledge, and see that it is for good."""
        for got in messages:
            self.exit.ack(GROUP, TOPIC, got)
            self.exit.ack(GROUP, TOPIC, got)  # twice is no error
        self.stage.advance(61, 0.5)
        assert self.consume() == []


def normal(cell: Cell) -> None:
    for body in ("a", "b 蓝"):
        cell.put(body)
    found = sorted(cell.consume(), key=lambda got: got.body)
    assert [got.body for got in found] == ["a", "b 蓝"]
    for got in found:
        cell.check(got)
    cell.exit.ack(GROUP, TOPIC, found[1])
    cell.settle(cell.again(found[0]))


def fifo(cell: Cell) -> None:
    for body in ("a1", "a2", "a3"):
        cell.put(body, message_group="A")
    places = {got.body for got in cell.consume(max_messages=1)}
    assert places == {"a1"}, "in order"
    assert cell.consume() == [], "the rest waits for the first"
    cell.put("b1", message_group="B")
    (other,) = cell.consume()
    assert other.body == "b1", "but no other group does"
    cell.check(other)
    cell.exit.ack(GROUP, TOPIC, other)
    cell.stage.advance(60.5, 0.5)
    first = next(got for got in cell.consume(max_messages=1))
    cell.check(first, 2)
    assert first.body == "a1", "redelivered before what follows it"
    cell.exit.ack(GROUP, TOPIC, first)
    rest = cell.consume()
    assert [got.body for got in rest] == ["a2", "a3"]
    for got in rest:
        cell.check(got)
    cell.settle(*rest)


def delay(cell: Cell) -> None:
    at = cell.stage.world.wall_ms + 20_000
    cell.put("later", deliver_at=at)
    assert cell.consume() == []
    cell.stage.advance(19.9, 0.1)
    assert cell.consume() == [], "never early"
    cell.stage.advance(1.2, 0.1)
    (got,) = cell.consume()
    cell.check(got)
    cell.settle(cell.again(got))


def transactional(cell: Cell) -> None:
    halves = {}
    for body in ("kept", "dropped"):
        message = cell.message(body)
        halves[body] = cell.entry.put_half(TOPIC, message, TOPIC)
        cell.sent[body] = message, halves[body]
    assert cell.consume() == [], "not before it is committed"
    cell.entry.end_transaction(TOPIC, halves["kept"], TOPIC, True)
    cell.entry.end_transaction(TOPIC, halves["dropped"], TOPIC, False)
    (got,) = cell.consume()
    assert got.body == "kept"
    cell.check(got)
    cell.settle(cell.again(got))


def priority(cell: Cell) -> None:
    for body, number in (("low", 1), ("high", 7), ("middle", 3)):
        cell.put(body, priority=number)
    found = [cell.consume(max_messages=1)[0] for _ in range(3)]
    assert [got.body for got in found] == ["high", "middle", "low"]
    for got in found:
        cell.check(got)
    for got in found[1:]:
        cell.exit.ack(GROUP, TOPIC, got)
    cell.settle(cell.again(found[0]))


def lite(cell: Cell) -> None:
    for body, name in (("r1", "red"), ("b1", "blue"), ("r2", "red")):
        cell.put(body, lite_topic=name)
    cell.lite = ("red",)
    found = cell.consume()
    assert [got.body for got in found] == ["r1", "r2"], "in order, and of no other lite topic"
    for got in found:
        cell.check(got)
    cell.exit.ack(GROUP, TOPIC, found[1])
    cell.settle(cell.again(found[0]))
    cell.lite = ("red", "blue")
    (other,) = cell.consume()
    cell.check(other)
    assert other.body == "b1"


PLAYS: dict[str, Callable[[Cell], None]] = {
    "normal": normal,
    "fifo": fifo,
    "delay": delay,
    "transactional": transactional,
    "priority": priority,
    "lite": lite,
}


@pytest.mark.parametrize("exit", FRONT_ENDS)
@pytest.mark.parametrize("entry", FRONT_ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_cell(entry: str, exit: str, kind: str) -> None:
    cell = Cell(entry, exit, kind)
    text = REFUSALS.get((entry, kind))
    if text is None:
        PLAYS[kind](cell)
    else:
        with pytest.raises(Refused) as caught:
            PLAYS[kind](cell)
        assert text in str(caught.value)
        assert cell.exit.consume(GROUP, TOPIC, lite_topics=("red",) if kind == "lite" else ()) == []


def test_the_matrix_is_whole() -> None:
    assert len(FRONT_ENDS) ** 2 * len(KINDS) == 216
    assert set(PLAYS) == set(KINDS)
    assert set(REFUSALS) == {("mqhttp", "priority"), ("mqhttp", "lite")}, "the only ones that are permitted"


@pytest.mark.parametrize("entry", ["grpc", "grpcweb", "http", "websocket"])
def test_lite_messages_are_for_topics_that_take_them(entry: str) -> None:
    """A lite topic that nobody can subscribe to would swallow the message."""
    cell = Cell(entry, "http", "normal")
    refused(cell.entry, Code.BAD_MESSAGE_TYPE, cell.entry.put, TOPIC, cell.message("a", lite_topic="red"))
    assert cell.consume() == []


@pytest.mark.parametrize("exit", FRONT_ENDS)
def test_the_receipt_of_a_lite_message_is_of_its_lite_topic(exit: str) -> None:
    """Messages of two lite topics have the same place in their queues: each handle settles its own."""
    cell = Cell("http", exit, "lite")
    cell.lite = ("red", "blue")
    for name in cell.lite:
        cell.put(name, lite_topic=name)
    found = {got.lite_topic: got for got in cell.consume()}
    assert set(found) == {"red", "blue"}
    cell.exit.ack(GROUP, TOPIC, found["red"])
    cell.stage.advance(61, 0.5)
    assert [got.body for got in cell.consume()] == ["blue"]
