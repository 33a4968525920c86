"""The matrix: a message of every kind enters by each front-end and leaves by each, and is the same message.

216 cells: entry × exit × kind. Each sends, receives, compares every field, gives back, receives again, acknowledges. What a
front-end cannot say is in `REFUSALS`, with what it answers; nothing else may be missing. ``tools/document_matrix.py`` writes
the table of the documentation from this module's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    #: What may be among the user's properties though the user did not send it.
    left = _LEFT

    def __init__(
        self,
        entry: str,
        exit: str,
        kind: str,
        stage: Stage | None = None,
        names: tuple[str, str] = (TOPIC, GROUP),
        front_ends: Mapping[str, type[Driver]] = FRONT_ENDS,
    ) -> None:
        self.stage = stage if stage is not None else Stage(CommandsDriver)
        self.topic, self.group = names
        world = self.stage.world
        kind_type = _TYPES.get(kind) or MessageType[kind.upper()]
        operator = CommandsDriver(world)
        operator.execute(CreateTopics((TopicConfig(self.topic, 8, 8, message_type=kind_type),)))
        operator.execute(CreateGroups((self.group_config(kind),)))
        self.operator = operator
        world.peer_host = SENDER
        self.entry: Driver = front_ends[entry](world)
        world.peer_host = RECEIVER
        self.exit: Driver = front_ends[exit](world)
        self.stage.clients += [self.entry, self.exit]
        self.sent: dict[str, tuple[Outgoing, Sent]] = {}
        self.fifo = kind == "fifo"
        self.lite: tuple[str, ...] = ()

    def group_config(self, kind: str) -> GroupConfig:
        return GroupConfig(self.group, consume_message_orderly=kind == "fifo")

    def message(self, body: str, **more: Any) -> Outgoing:
        named = {"colour": f"{body} 蓝", "empty-ish": " x "}
        return Outgoing(body, tag="TagA", keys=(f"key-{len(self.sent)}", "shared"), properties=named, **more)

    def put(self, body: str, **more: Any) -> Sent:
        message = self.message(body, **more)
        sent = self.entry.put(self.topic, message)
        self.sent[body] = message, sent
        return sent

    def consume(self, max_messages: int = 16) -> list[Got]:
        return self.exit.consume(
            self.group, self.topic, fifo=self.fifo, lite_topics=self.lite, max_messages=max_messages
        )

    def some(self, count: int, max_messages: int = 16) -> list[Got]:
        """So many messages that are there."""
        found = self.consume(max_messages)
        assert len(found) == count, [got.body for got in found]
        return found

    def past_invisible(self) -> None:
        """Until what was received is visible again."""
        self.stage.advance(self.exit.invisible_ms / 1000 + 0.5, 0.5)

    def arrives(self, at: int) -> Got:
        """The message that is to come at that time, and not before."""
        self.stage.advance((at - self.stage.world.wall_ms) / 1000 - 0.1, 0.1)
        assert self.consume() == [], "never early"
        self.stage.advance(1.2, 0.1)
        return self.some(1)[0]

    def void(self, got: Got) -> None:
        """What came again has another handle: the old one settles nothing."""
        refused(self.exit, Code.RECEIPT_HANDLE_EXPIRED, self.exit.ack, self.group, self.topic, got)

    def born_then(self, born_timestamp: int, sent: Sent) -> bool:
        """Whether a time is when a message was sent."""
        return born_timestamp == sent.born_timestamp

    def check(self, got: Got, attempt: int = 1) -> None:
        """Every field is what its sender gave."""
        message, sent = self.sent[got.body]
        named = got.properties
        users = {name: value for name, value in named.items() if name not in SYSTEM_PROPERTIES | {"__SHARDINGKEY"}}
        assert {name: users.pop(name) for name in message.properties} == message.properties
        assert users.keys() <= self.left, "nothing that nobody sent"
        assert got.topic == self.topic
        assert named["TAGS"] == message.tag
        assert named["KEYS"].split() == list(message.keys)
        assert got.message_id and got.message_id == sent.message_id
        assert named.get("__SHARDINGKEY", "") == message.message_group
        assert got.born_host == sent.born_host
        assert self.born_then(got.born_timestamp, sent)
        assert got.deliver_at == message.deliver_at
        assert got.priority == message.priority
        assert got.lite_topic == message.lite_topic
        assert got.attempt == attempt

    def again(self, got: Got) -> Got:
        """Give a message back: it comes again, with the next attempt and another handle; the old one is void."""
        if self.exit.can("release"):
            self.exit.release(self.group, self.topic, got, 0)
        else:
            self.past_invisible()  # who cannot give back lets the time pass
        (found,) = self.some(1)
        assert found.body == got.body, "it comes again, once"
        self.check(found, got.attempt + 1)
        self.void(got)
        return found

    def settle(self, *messages: Got) -> None:
        """Acknowledge, and see that it is for good."""
        for got in messages:
            self.exit.ack(self.group, self.topic, got)
            self.exit.ack(self.group, self.topic, got)  # twice is no error
        self.past_invisible()
        self.stage.advance(0.5)
        assert self.consume() == []

    def settle_from_behind(self, first: Got, second: Got) -> None:
        """Acknowledge the second of two in order, give the first back, and acknowledge it when it comes again."""
        self.exit.ack(self.group, self.topic, second)
        self.settle(self.again(first))


def normal(cell: Cell) -> None:
    for body in ("a", "b 蓝"):
        cell.put(body)
    found = sorted(cell.some(2), key=lambda got: got.body)
    assert [got.body for got in found] == ["a", "b 蓝"]
    for got in found:
        cell.check(got)
    cell.exit.ack(cell.group, cell.topic, found[1])
    cell.settle(cell.again(found[0]))


def fifo(cell: Cell) -> None:
    for body in ("a1", "a2", "a3"):
        cell.put(body, message_group="A")
    places = {got.body for got in cell.some(1, 1)}
    assert places == {"a1"}, "in order"
    assert cell.consume() == [], "the rest waits for the first"
    cell.put("b1", message_group="B")
    (other,) = cell.some(1)
    assert other.body == "b1", "but no other group does"
    cell.check(other)
    cell.exit.ack(cell.group, cell.topic, other)
    cell.past_invisible()
    (first,) = cell.some(1, 1)
    cell.check(first, 2)
    assert first.body == "a1", "redelivered before what follows it"
    cell.exit.ack(cell.group, cell.topic, first)
    rest = cell.some(2)
    assert [got.body for got in rest] == ["a2", "a3"]
    for got in rest:
        cell.check(got)
    cell.settle(*rest)


def delay(cell: Cell) -> None:
    at = cell.stage.world.wall_ms + 20_000
    cell.put("later", deliver_at=at)
    assert cell.consume() == []
    got = cell.arrives(at)
    cell.check(got)
    cell.settle(cell.again(got))


def transactional(cell: Cell) -> None:
    halves = {}
    for body in ("kept", "dropped"):
        message = cell.message(body)
        halves[body] = cell.entry.put_half(cell.topic, message, cell.topic)
        cell.sent[body] = message, halves[body]
    assert cell.consume() == [], "not before it is committed"
    cell.entry.end_transaction(cell.topic, halves["kept"], cell.topic, True)
    cell.entry.end_transaction(cell.topic, halves["dropped"], cell.topic, False)
    (got,) = cell.some(1)
    assert got.body == "kept"
    cell.check(got)
    cell.settle(cell.again(got))


def priority(cell: Cell) -> None:
    for body, number in (("low", 1), ("high", 7), ("middle", 3)):
        cell.put(body, priority=number)
    found = [cell.some(1, 1)[0] for _ in range(3)]
    assert [got.body for got in found] == ["high", "middle", "low"]
    for got in found:
        cell.check(got)
    for got in found[1:]:
        cell.exit.ack(cell.group, cell.topic, got)
    cell.settle(cell.again(found[0]))


def lite(cell: Cell) -> None:
    for body, name in (("r1", "red"), ("b1", "blue"), ("r2", "red")):
        cell.put(body, lite_topic=name)
    cell.lite = ("red",)
    found = cell.some(2)
    assert [got.body for got in found] == ["r1", "r2"], "in order, and of no other lite topic"
    for got in found:
        cell.check(got)
    cell.settle_from_behind(*found)
    cell.lite = ("red", "blue")
    (other,) = cell.some(1)
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
