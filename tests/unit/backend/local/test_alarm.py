"""One planned call for the first of many things."""

from __future__ import annotations

from rmqgateway.backend.local.alarm import Alarm
from rmqgateway.testing import World


def test_it_rings_once_at_the_earliest_time() -> None:
    world = World()
    rung: list[int] = []
    alarm = Alarm(world.backend.core, lambda: rung.append(world.wall_ms))
    begun = world.wall_ms
    alarm.set(begun + 1000)
    world.advance(2)
    assert rung == [], "not before it is started"
    alarm.start()
    begun = world.wall_ms
    alarm.set(begun + 5000)
    alarm.set(begun + 1000)
    alarm.set(begun + 3000)
    world.advance(10)
    assert len(rung) == 1 and begun + 1000 <= rung[0] <= begun + 1100
    alarm.set(begun)
    world.advance(1)
    assert len(rung) == 2, "what is overdue rings at once"


def test_a_far_time_is_looked_at_again_within_the_hour() -> None:
    world = World()
    rung: list[int] = []
    alarm = Alarm(world.backend.core, lambda: rung.append(world.wall_ms))
    alarm.start()
    alarm.set(world.wall_ms + 100 * 3_600_000)
    world.advance(3700, 10)
    assert len(rung) == 1


def test_stopped_it_rings_no_more() -> None:
    world = World()
    rung: list[int] = []
    alarm = Alarm(world.backend.core, lambda: rung.append(world.wall_ms))
    alarm.start()
    alarm.set(world.wall_ms + 1000)
    alarm.stop()
    alarm.set(world.wall_ms + 1000)
    world.advance(5)
    assert rung == []
