"""Fakes for authors of front-ends: a whole gateway in memory, driven by a fake clock.

::

    world = World()
    session = world.session()
    world.execute(session, SendMessages("topic", (Message(b"hello"),)))
    (message,) = world.execute(session, ReceiveMessages("group", "topic")).messages

Nothing sleeps and nothing listens: `World.advance` is the time, `World.connect` gives a protocol with an in-memory transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rmqgateway.backend.local.backend import LocalBackend
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.memory import MemoryContents, MemoryStore
from rmqgateway.commands import Command
from rmqgateway.context import Context, Credential
from rmqgateway.events import Event
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.gateway import Gateway
from rmqgateway.governance.budgets import Limits
from rmqgateway.governance.guard import Guard
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.outbox import Outbox
from rmqgateway.session import Session

if TYPE_CHECKING:
    from rmqgateway.governance.users import Users
    from rmqgateway.http.settings import HttpSettings
    from rmqgateway.http.testing import HttpClient

__all__ = ["START_MS", "NoReplyYet", "TestSession", "World", "result_of"]

R = TypeVar("R")

#: The wall clock of a new `World`: 2026-01-01 00:00:00 UTC, in ms.
START_MS = 1_767_225_600_000


class NoReplyYet(AssertionError):
    """A Deferred has no result although everything that was due was done."""


class TestSession:
    """A client's session that keeps the events it is sent. :ivar events: in order. :ivar closed: reasons.

    :ivar credential: offered with each request, where users exist; `sign_in` sets it.
    """

    __test__ = False  # not a test case, whatever its name begins with

    def __init__(self, gateway: Gateway, peer: IPv4Address, host: str, takes_events: bool = True) -> None:
        self.events: list[Event] = []
        self.drained: list[tuple[float, str]] = []
        self.closed: list[str] = []
        self.takes_events = takes_events
        self.credential: Credential | None = None
        self.session: Session = gateway.open_session(
            "test", peer, host, self._deliver, lambda deadline, reason: self.drained.append((deadline, reason)), self._close
        )

    def _deliver(self, event: Event) -> bool:
        if self.takes_events:
            self.events.append(event)
        return self.takes_events

    def _close(self, reason: str) -> None:
        self.closed.append(reason)
        self.session.end()

    def context(self, **circumstances: Any) -> Context:
        """A request's context on this session."""
        circumstances.setdefault("credential", self.credential)
        return Context(self.session, **circumstances)

    def sign_in(self, name: str, secret: str) -> None:
        """Every request from now on is this user's."""
        self.credential = Credential.from_password(name, secret)


class World:
    """A gateway with the local backend over a store in memory.

    :param manual: once started, groups of the store are committed by `store.commit()` only, so that a test can look between.
    :ivar clock: the monotonic clock and the timers; `advance` moves it and the wall clock.
    :param users: those of the configuration.
    :ivar peer_host: the address that new clients come from.
    """

    def __init__(
        self,
        settings: LocalSettings | None = None,
        limits: Limits | None = None,
        contents: MemoryContents | None = None,
        manual: bool = False,
        now_ms: int = START_MS,
        users: Users | None = None,
    ) -> None:
        self.clock = Clock()
        self.wall_ms = now_ms
        self.store = self.make_store(contents)
        self.settings = settings if settings is not None else LocalSettings()
        outbox = Outbox()
        self.backend = LocalBackend(self.store, self.settings, self.clock, outbox, lambda: self.wall_ms, users)
        guard = Guard(self.backend.users, lambda: self.wall_ms / 1000, self.clock.seconds)
        self.gateway = Gateway(self.backend, self.clock, outbox=outbox, limits=limits, guard=guard)
        self._ports = iter(range(40_001, 65_000))
        self.peer_host = "127.0.0.1"
        started = self.backend.start()
        self.settle()
        if started is not None:
            result_of(started)
        self.store.manual = manual

    def make_store(self, contents: MemoryContents | None) -> MemoryStore:
        """The store of this gateway. :param contents: what an earlier one left."""
        return MemoryStore(self.clock, contents=contents)

    def settle(self) -> None:
        """Do everything that is due now, commits of the store included, without moving the time."""
        for _ in range(1000):
            due = [call for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds()]
            if not due:
                return
            self.clock.advance(0)
        raise AssertionError("something is always due: a loop without a pause")

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, in steps, so that what is planned within happens in its order."""
        steps = max(1, round(seconds / step))
        for _ in range(steps):
            self.wall_ms += round(seconds / steps * 1000)
            self.clock.advance(seconds / steps)
            self.settle()

    def session(self, takes_events: bool = True) -> TestSession:
        """A new client."""
        peer = IPv4Address("TCP", self.peer_host, next(self._ports))
        return TestSession(self.gateway, peer, "127.0.0.1:9876", takes_events)

    def start(self, session: TestSession, command: Command[R]) -> Deferred[R]:
        """Execute a command and return a Deferred in any case."""
        deferred: Deferred[R] = Deferred()
        try:
            result = self.gateway.execute(session.context(), command)
        except Exception:
            deferred.errback(Failure())
            return deferred
        if isinstance(result, Deferred):
            return result
        deferred.callback(result)
        return deferred

    def execute(self, session: TestSession, command: Command[R]) -> R:
        """Execute a command, do what is due, and return its reply or raise its error."""
        deferred = self.start(session, command)
        self.settle()
        return result_of(deferred)

    def connect(self, front_end: IConnectionFrontEnd) -> tuple[IProtocol, StringTransport]:
        """A connection to a front-end: its protocol, and the transport that has what it wrote."""
        peer = IPv4Address("TCP", self.peer_host, next(self._ports))
        information = ConnectionInformation(peer, "127.0.0.1:9876", False, "test")
        protocol = front_end.make_protocol(self.gateway, information)
        transport = StringTransport(IPv4Address("TCP", "127.0.0.1", 9876), peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def http(self, *front_ends: Any, settings: HttpSettings | None = None) -> HttpClient:
        """An HTTP/1.1 client of a server in memory that serves these front-ends; see `rmqgateway.http.testing`."""
        from rmqgateway.http.testing import HttpClient

        return HttpClient(self, front_ends, settings)

    def restart(self) -> World:
        """Stop in good order and start another gateway over what was stored."""
        self.store.manual = False
        stopped = self.backend.stop()
        self.settle()
        result_of(stopped)
        return type(self)(self.settings, contents=self.store.contents, now_ms=self.wall_ms)

    def crash(self) -> World:
        """Start another gateway over what was durable at this moment, as after a power loss."""
        return type(self)(self.settings, contents=self.store.contents, now_ms=self.wall_ms)


def result_of(deferred: Deferred[R]) -> R:
    """The result of a Deferred that has fired; raises its error, or NoReplyYet."""
    found: list[Any] = []
    asking = True

    def keep(result: Any) -> Any:
        # Asked too early, it passes the result on, to be asked again.
        if not asking:
            return result
        found.append(result)
        return None if isinstance(result, Failure) else result

    deferred.addBoth(keep)
    asking = False
    if not found:
        raise NoReplyYet("the Deferred has not fired")
    if isinstance(found[0], Failure):
        found[0].raiseException()
    reply: R = found[0]
    return reply
