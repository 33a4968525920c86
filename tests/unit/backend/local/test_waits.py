"""Long polls: cheap, exact enough, ended by whatever ends them."""

from __future__ import annotations

import tracemalloc

from rmqgateway.backend.local.waits import Wait
from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World


def begin(
    world: World, session: TestSession, wait_ms: int, log: list[str], name: str, done: bool = True
) -> Wait:
    queue = world.backend.topics.find("t").queue(0)

    def woken() -> bool:
        log.append(name + " woken")
        return done

    return world.backend.waits.add(
        (queue,),
        wait_ms,
        session.session,
        woken,
        lambda reason: log.append(f"{name} {reason}"),
    )


def world_with_topic() -> tuple[World, TestSession]:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"1", queue_id=0),)))
    return world, session


def test_deadlines_in_any_order() -> None:
    world, session = world_with_topic()
    log: list[str] = []
    for name, wait_ms in (("c", 3000), ("a", 1000), ("b", 2000), ("a2", 1000)):
        begin(world, session, wait_ms, log, name)
    for expected in ([], ["a timeout", "a2 timeout"], ["b timeout"], ["c timeout"]):
        assert log == expected
        log.clear()
        world.advance(1.06 if expected == [] else 1.0)
    assert world.backend.waits.count == 0
    # No timer is left behind.
    ours = [call for call in world.clock.getDelayedCalls() if "_tick" in str(call)]
    assert ours == []


def test_who_is_not_served_goes_on_waiting() -> None:
    world, session = world_with_topic()
    log: list[str] = []
    begin(world, session, 60_000, log, "patient", done=False)
    for _ in range(2):
        world.execute(session, SendMessages("t", (Message(b"2", queue_id=0),)))
    assert log == ["patient woken", "patient woken"]
    assert world.backend.waits.count == 1


def test_leaving_twice_does_nothing() -> None:
    world, session = world_with_topic()
    wait = begin(world, session, 1000, [], "x")
    wait.leave()
    wait.leave()
    wait.end("timeout")
    wait.wake()
    assert world.backend.waits.count == 0


def test_a_woken_wait_may_end_another() -> None:
    world, session = world_with_topic()
    log: list[str] = []
    queue = world.backend.topics.find("t").queue(0)
    waits = world.backend.waits
    second: list[Wait] = []

    def woken() -> bool:
        second[0].leave()
        return True

    waits.add(
        (queue,),
        1000,
        session.session,
        woken,
        lambda reason: None,
    )
    second.append(begin(world, session, 1000, log, "second"))
    world.execute(session, SendMessages("t", (Message(b"2", queue_id=0),)))
    assert log == [] and waits.count == 0


def test_a_waiting_pull_is_small() -> None:
    world, session = world_with_topic()
    world.start(session, PullMessages("g", "t", 0, 1, wait_ms=20_000))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        waiting = [world.start(session, PullMessages("g", "t", 0, 1, wait_ms=20_000)) for _ in range(1000)]
        each = (tracemalloc.get_traced_memory()[0] - before) / len(waiting)
    finally:
        tracemalloc.stop()
    assert each < 4096
