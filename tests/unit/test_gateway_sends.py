"""Sends that came together: stored together where nothing is special about them, in order, each told of once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import PullMessages, SendMessages
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties


def plain(number: int, topic: str = "t", **more: str) -> SendMessages:
    named = {"UNIQ_KEY": f"U{number}", "KEYS": "a b", **more}
    return SendMessages(topic, (Message(b"%d" % number, encode_properties(named), 0),), "producers")


class Asking:
    """Performs sends together and keeps what it is told.

    :ivar told: (token, reply or error), in the order of telling. :ivar together: tokens of each telling of several.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.session: TestSession = world.session()
        self.told: list[tuple[int, Any]] = []
        self.together: list[list[int]] = []

    def send(self, *commands: SendMessages) -> None:
        gateway = self.world.gateway
        gateway.perform_sends(self.session.context(), commands, self._done, self._done_together, list(range(len(commands))))

    def _done(self, token: int, reply: Any, error: GatewayError | None) -> None:
        self.told.append((token, error.code if error is not None else reply))

    def _done_together(self, tokens: Sequence[int], replies: Sequence[Any]) -> None:
        self.together.append(list(tokens))
        self.told += zip(tokens, replies, strict=True)

    def stored(self, topic: str = "t") -> list[bytes]:
        reply = self.world.execute(self.session, PullMessages("reader", topic, 0, 0, max_messages=100))
        return [stored_message.decode(message).body for message in reply.messages]


@pytest.fixture
def world() -> World:
    world = World()
    world.execute(world.session(), plain(0, "t"))
    return world


def test_nobody_is_told_before_the_messages_are_durable(world: World) -> None:
    asking = Asking(world)
    asking.send(plain(1), plain(2))
    assert asking.told == []
    world.settle()
    assert asking.together == [[0, 1]]


def test_the_same_is_stored_and_answered_as_one_by_one() -> None:
    one, all_ = World(), World()
    for world in (one, all_):
        world.execute(world.session(), plain(0))
    commands = [plain(number) for number in range(1, 6)]
    expected = [one.execute(one.session(), command) for command in commands]
    asking = Asking(all_)
    asking.send(*commands)
    all_.settle()
    assert [reply for _, reply in sorted(asking.told, key=lambda it: it[0])] == expected
    assert asking.stored() == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert asking.together == [[0, 1, 2, 3, 4]]


def test_a_special_one_in_the_middle_keeps_the_order_and_is_judged_for_itself(world: World) -> None:
    asking = Asking(world)
    asking.send(plain(1), plain(2, DELAY="99x", TIMER_DELAY_SEC="bad"), plain(3), plain(4, "t2"))
    world.settle()
    outcomes = dict(asking.told)
    assert len(asking.told) == 4 and sorted(outcomes) == [0, 1, 2, 3]
    assert outcomes[1] is Code.BAD_DELIVERY_TIME
    assert asking.stored() == [b"0", b"1", b"3"] and asking.stored("t2") == [b"4"]


def test_what_is_too_large_is_refused_alone() -> None:
    world = World(settings=LocalSettings(max_message_size=10))
    world.execute(world.session(), plain(0))
    asking = Asking(world)
    asking.send(plain(1), SendMessages("t", (Message(bytes(11), b"", 0),), "p"), plain(2))
    world.settle()
    assert dict(asking.told)[1] is Code.MESSAGE_TOO_LARGE
    assert asking.stored() == [b"0", b"1", b"2"]


def test_a_store_that_fails_is_told_to_each(world: World) -> None:
    asking = Asking(world)
    asking.send(plain(1), plain(2))
    world.store.fail("planted")
    world.settle()
    assert sorted(asking.told) == [(0, Code.STORE_FAILED), (1, Code.STORE_FAILED)]
    assert asking.together == []


def test_what_is_under_way_is_counted_and_given_back(world: World) -> None:
    gateway = world.gateway
    meter = next(meter for meter in gateway.meters if meter.name == "SendMessages")
    before = meter.succeeded
    asking = Asking(world)
    commands = (plain(1), plain(2), plain(3, DELAY="1"))
    asking.send(*commands)
    size = sum(len(m.body) + len(m.properties) for command in commands for m in command.messages)
    assert gateway.budget.used == size and gateway.commands_under_way == 3 and meter.in_flight == 3
    world.settle()
    assert gateway.budget.used == 0 and gateway.commands_under_way == 0 and meter.in_flight == 0
    assert meter.succeeded == before + 3


def test_with_an_authorizer_each_is_judged(world: World) -> None:
    judged: list[str] = []

    def judge(context: Context, command: Any) -> None:
        judged.append(command.topic)
        if command.topic == "secret":
            raise GatewayError(Code.FORBIDDEN, "no")

    world.gateway.authorizer = judge
    asking = Asking(world)
    asking.send(plain(1), plain(2, "secret"), plain(3))
    world.settle()
    assert judged == ["t", "secret", "t"]
    assert dict(asking.told)[1] is Code.FORBIDDEN and asking.together == []
    world.gateway.authorizer = None
    assert asking.stored() == [b"0", b"1", b"3"]


def test_a_full_budget_refuses_what_does_not_fit(world: World) -> None:
    world.gateway.budget.used = world.gateway.budget.refuse_above
    asking = Asking(world)
    asking.send(plain(1), plain(2))
    assert asking.told == [(0, Code.BUSY), (1, Code.BUSY)]
    world.gateway.budget.used = 0
