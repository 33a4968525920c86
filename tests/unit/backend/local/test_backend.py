"""The backend as a whole: what it serves, start and stop, one write per connection and group."""

from __future__ import annotations

from functools import partial

from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from rmqgateway.backend.local.backend import LocalBackend
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.memory import MemoryStore
from rmqgateway.commands import all_commands
from rmqgateway.commands.producing import SendMessages, SendResults
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.interfaces import IBackend
from rmqgateway.message import Message
from rmqgateway.outbox import Outbox
from rmqgateway.testing import World, result_of


class Connection:
    """A connection's protocol that counts its writes."""

    def __init__(self) -> None:
        self.writes = 0

    def flush(self) -> None:
        self.writes += 1


def test_it_provides_its_interface() -> None:
    backend = World().backend
    verifyObject(IBackend, backend)
    assert backend.name == "local"
    assert set(backend.handlers()) <= set(all_commands())


def test_it_is_ready_between_start_and_stop() -> None:
    clock = Clock()
    backend = LocalBackend(MemoryStore(clock), LocalSettings(), clock, Outbox())
    assert backend.ready() is not None
    started = backend.start()
    clock.advance(0)
    result_of(started)
    assert backend.ready() is None
    backend.stop()
    clock.advance(0)
    assert backend.ready() is not None


def test_stopping_leaves_nothing_behind() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"1"),)))
    world.start(session, PullMessages("g", "t", 0, 1, wait_ms=1000)).addErrback(lambda failure: None)
    stopped = world.backend.stop()
    world.settle()
    result_of(stopped)
    assert world.clock.getDelayedCalls() == []


def test_the_replies_of_a_group_leave_together() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"0"),)))
    outbox = world.gateway.outbox
    one, two = Connection(), Connection()

    def answered(connection: Connection, reply: SendResults) -> None:
        outbox.ready(connection)

    world.store.manual = True
    for connection in (one, two, one, two, one):
        reply = world.start(session, SendMessages("t", (Message(b"1", b"UNIQ_KEY\x01U\x02", 0),)))
        reply.addCallback(partial(answered, connection))
    assert one.writes == two.writes == 0
    world.store.commit()
    assert one.writes == two.writes == 1
