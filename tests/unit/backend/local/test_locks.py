"""Queue locks."""

from __future__ import annotations

from rmqgateway.commands.pulling import LockQueues, UnlockQueues
from rmqgateway.message import MessageQueue
from rmqgateway.testing import World

QUEUES = tuple(MessageQueue("t", "rmqgateway", number) for number in range(3))


def test_a_queue_belongs_to_one_client_of_a_group() -> None:
    world = World()
    session = world.session()
    assert world.execute(session, LockQueues("g", "a", QUEUES[:2])).queues == QUEUES[:2]
    assert world.execute(session, LockQueues("g", "b", QUEUES)).queues == QUEUES[2:]
    assert world.execute(session, LockQueues("h", "b", QUEUES)).queues == QUEUES
    assert world.backend.locks.holder("g", QUEUES[0]) == "a"
    assert world.backend.locks.is_held("g") and not world.backend.locks.is_held("other")


def test_unlocking() -> None:
    world = World()
    session = world.session()
    world.execute(session, LockQueues("g", "a", QUEUES))
    world.execute(session, UnlockQueues("g", "b", QUEUES))
    assert world.execute(session, LockQueues("g", "b", QUEUES)).queues == ()
    world.execute(session, UnlockQueues("g", "a", QUEUES))
    assert world.execute(session, LockQueues("g", "b", QUEUES)).queues == QUEUES


def test_a_lock_ends_sixty_seconds_after_its_renewal() -> None:
    world = World()
    session = world.session()
    world.execute(session, LockQueues("g", "a", QUEUES[:1]))
    world.advance(40, step=10)
    world.execute(session, LockQueues("g", "a", QUEUES[:1]))
    world.advance(59, step=10)
    assert world.execute(session, LockQueues("g", "b", QUEUES[:1])).queues == ()
    world.advance(1.5)
    assert not world.backend.locks.is_held("g")
    assert world.backend.locks.holder("g", QUEUES[0]) is None
    assert world.execute(session, LockQueues("g", "b", QUEUES[:1])).queues == QUEUES[:1]


def test_expired_locks_are_forgotten() -> None:
    world = World()
    world.execute(world.session(), LockQueues("g", "a", QUEUES))
    world.advance(200, step=10)
    assert world.backend.locks._groups == {}
