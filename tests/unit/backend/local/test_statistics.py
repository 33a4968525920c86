"""Counters and rates."""

from __future__ import annotations

import pytest

from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.message import Message
from rmqgateway.testing import World


def test_rates_of_the_last_minute() -> None:
    world = World()
    session = world.session()
    statistics = world.backend.statistics
    assert statistics.put_rate("t") == statistics.get_rate("g", "t") == 0.0
    world.execute(session, SendMessages("t", (Message(b"x", queue_id=0),)))
    for second in range(120):
        world.execute(session, SendMessages("t", (Message(b"x", queue_id=0), Message(b"y", queue_id=0))))
        world.execute(session, PullMessages("g", "t", 0, second, max_messages=1))
        world.advance(1, step=1)
    assert statistics.put_rate("t") == pytest.approx(2.0, rel=0.1)
    assert statistics.get_rate("g", "t") == pytest.approx(1.0, rel=0.1)
    world.advance(120, step=5)
    assert statistics.put_rate("t") == 0.0
    assert statistics.total_puts()[0] == 241
    assert statistics.total_gets()[0] == 120


def test_a_deleted_topic_is_counted_no_more() -> None:
    world = World()
    world.execute(world.session(), SendMessages("t", (Message(b"x"),)))
    world.advance(11, step=1)
    assert "t" in world.backend.statistics.puts
    world.backend.topics.delete("t")
    world.advance(11, step=1)
    assert "t" not in world.backend.statistics.puts
