"""The gateway in this process, in front of a real cluster: front-ends in memory, connections to brokers and the clock real.

Drivers are written for a world that answers at once. Here each play runs in a greenlet of its own: where it waits, the reactor
goes on with the others, so that many plays wait at the same time.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import greenlet
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from rmqgateway.backend.cluster.backend import ClusterBackend
from rmqgateway.backend.cluster.passthrough import LISTENER_PREFIX, Passthrough
from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.commands import Command
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.gateway import Gateway
from rmqgateway.http.testing import HttpClient, HttpResponse
from rmqgateway.outbox import Outbox
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of

__all__ = ["BROKER", "ClusterGateway", "ClusterWorld", "PatientHttpClient", "play"]

BROKER = "broker-a"
#: Nobody dials it: it is what the passthrough tells clients.
_PORT = 10911
#: Seconds for an answer, and between two looks for it.
_PATIENCE, _LOOK = 90.0, 0.1

R = TypeVar("R")


class ClusterGateway:
    """What all worlds share: one door, one cluster backend, one passthrough. :param namesrv: "host:port"."""

    def __init__(self, reactor: Any, namesrv: str, **settings: Any) -> None:
        self.reactor = reactor
        outbox = Outbox()
        self.settings = ClusterSettings(namesrv=namesrv, request_s=30.0, **settings)
        self.backend = ClusterBackend(self.settings, reactor, outbox)
        self.gateway = Gateway(self.backend, reactor, outbox=outbox)
        brokers = PassthroughSettings(brokers=(f"{BROKER}:0={_PORT}",), base_port=0)
        self.passthrough = self.gateway.passthrough = Passthrough(reactor, brokers, self.settings)
        self.ports = itertools.count(40_001)

    def start(self) -> None:
        """Begin to look for brokers."""
        self.passthrough.start()
        self.backend.start()

    def ready(self) -> bool:
        """Whether both know of brokers."""
        return self.backend.ready() is None and self.passthrough.ready() is None

    def stop(self) -> Deferred[None]:
        """Close all connections."""
        for session in list(self.gateway.sessions.values()):
            session.end()
        self.passthrough.stop()
        return self.backend.stop()


class _Settings:
    """What drivers read of the local backend's settings."""

    broker_name = BROKER


class ClusterWorld(World):
    """What `World` is to drivers. :param invisible_ms: see `Driver`."""

    def __init__(self, shared: ClusterGateway, invisible_ms: int = 60_000) -> None:
        # Nothing of the world in memory is made.
        self.shared = shared
        self.gateway = shared.gateway
        self.backend = shared.backend  # type: ignore[assignment]
        self.clock = shared.reactor
        self.settings = _Settings()  # type: ignore[assignment]
        self.invisible_ms = invisible_ms
        self.peer_host = "127.0.0.1"
        self._ports: Iterator[int] = shared.ports

    @property
    def wall_ms(self) -> int:  # type: ignore[override]
        return round(time.time() * 1000)

    # Time.

    def pause(self, seconds: float) -> None:
        """Let the others go on for a while."""
        here = greenlet.getcurrent()
        self.clock.callLater(seconds, here.switch)
        assert here.parent is not None, "a play runs in a greenlet of its own"
        here.parent.switch()

    def settle(self) -> None:
        self.pause(0)

    def advance(self, seconds: float, step: float = 0.05) -> None:
        self.pause(max(0.0, seconds))

    def until(self, done: Callable[[], bool], patience: float = _PATIENCE) -> bool:
        """Wait for something; whether it came in time."""
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                return False
            self.pause(_LOOK)
        return True

    # Clients.

    def execute(self, session: TestSession, command: Command[R]) -> R:
        deferred = self.start(session, command)
        fired: list[None] = []

        def note(result: Any) -> Any:
            fired.append(None)
            return result

        deferred.addBoth(note)
        self.until(lambda: bool(fired))
        return result_of(deferred)

    def connect(self, front_end: Any, listener: str = f"{LISTENER_PREFIX}{BROKER}:0") -> tuple[Any, StringTransport]:
        """See `World.connect`. :param listener: by whose name the passthrough knows what to stand for."""
        peer = IPv4Address("TCP", self.peer_host, next(self._ports))
        protocol = front_end.make_protocol(
            self.gateway, ConnectionInformation(peer, "127.0.0.1:9876", False, listener)
        )
        transport = StringTransport(IPv4Address("TCP", "127.0.0.1", 9876), peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def http(self, *front_ends: Any, settings: Any = None) -> HttpClient:
        return PatientHttpClient(self, front_ends, settings)


class PatientHttpClient(HttpClient):
    """Waits for responses."""

    def request(self, *arguments: Any, **named: Any) -> HttpResponse:
        if self.closed:
            self.connect()
        self.start(*arguments, **named)
        found: list[HttpResponse] = []

        def look() -> bool:
            try:
                found.append(self.response())
            except NoReplyYet:
                return False
            return True

        if not self.world.until(look):  # type: ignore[attr-defined]
            return self.response()
        return found[0]


def play(reactor: Any, function: Callable[[], None]) -> Deferred[BaseException | None]:
    """Run a function that waits by `ClusterWorld.pause`; what it raised, or None."""
    ended: Deferred[BaseException | None] = Deferred()

    def run() -> None:
        error: BaseException | None = None
        try:
            function()
        except BaseException as raised:  # pytest's own outcomes are no Exceptions
            error = raised
        reactor.callLater(0, ended.callback, error)

    # The parent of a greenlet is whoever makes it: the reactor.
    reactor.callLater(0, lambda: greenlet.greenlet(run).switch())
    return ended
