"""Counters and rates."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from rmqgateway.backend.local.statistics import Counter
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


class Sampled:
    """What `Counter` is to be: a sample at each time, whether anything happened or not."""

    def __init__(self) -> None:
        self.counted: list[tuple[float, int]] = []
        self.kept = [deque([(0.0, 0, 0)], size) for size in (7, 7, 25)]

    def sample(self, now: float, messages: int) -> None:
        for every, samples in zip((10, 600, 3600), self.kept, strict=True):
            if now - samples[-1][0] >= every - 0.5:
                samples.append((now, messages, 3 * messages))

    def within(self, now: float, seconds: float, messages: int) -> tuple[int, int]:
        for when, before, size in self.kept[0 if seconds <= 60 else 1 if seconds <= 3600 else 2]:
            if now - when <= seconds + 10:
                return messages - before, 3 * messages - size
        raise AssertionError("there is always a newest sample")


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_out_of_a_counter_that_counts_nothing_changes_no_figure(seed: int) -> None:
    random = Random(seed)
    counter, sampled = Counter(0.0), Sampled()
    active = False
    for now in range(10, 100_000, 10):
        active ^= random.random() < 0.02
        if active and random.random() < 0.7:
            counter.add(1 + seed, 3 * (1 + seed))
        later = now - random.random() * 9
        for seconds in (60.0, 3600.0, 86_400.0):
            messages, size, over = counter.within(later, seconds)
            assert (messages, size) == sampled.within(later, seconds, counter.messages)
            assert 0 < over <= seconds + 10
        counter.sample(now)
        sampled.sample(now, counter.messages)


def test_a_counter_that_counts_nothing_is_small() -> None:
    counter = Counter(0.0)
    for now in range(10, 200_000, 10):
        counter.add(now < 1000, 1)
        counter.sample(now)
    assert [len(samples) for samples in counter._samples] == [1, 1, 1]
