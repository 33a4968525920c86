"""A gateway in memory between one client and one broker: both ends of the passthrough, a fake clock, no sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from zope.interface import implementer

from rmqgateway.backend.cluster.passthrough import LISTENER_PREFIX, Passthrough
from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
from rmqgateway.backend.cluster.ports import BrokerKey
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.gateway import Gateway
from rmqgateway.interfaces import IBackend
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder
from rmqgateway_remoting.frontend import RemotingFrontEnd, RemotingSettings

BROKER = "10.0.0.1:10911"
KEY = BrokerKey("broker-a", 0)
PORT = 10911


@implementer(IBackend)
class NoBackend:
    """What is behind the door is the passthrough only."""

    name = "cluster"

    def __init__(self) -> None:
        self.sessions = 0

    def handlers(self) -> dict[Any, Any]:
        return {}

    def start(self) -> None:
        return None

    def stop(self) -> Any:
        return None

    def session_opened(self, session: Any) -> None:
        self.sessions += 1

    def session_ended(self, session: Any) -> None:
        self.sessions -= 1

    def ready(self) -> None:
        return None


class Transport(StringTransport):
    """Notes what a TCP transport would have been told."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def commands(self) -> list[RemotingCommand]:
        """What was written, decoded, and forgotten."""
        data = self.value()
        self.clear()
        found = RemotingDecoder().receive_data(data)
        assert all(isinstance(each, RemotingCommand) for each in found)
        return [each for each in found if isinstance(each, RemotingCommand)]


class Pair:
    """A client's connection to `listener`; `connect` makes the broker's end."""

    def __init__(
        self,
        listener: str = f"{LISTENER_PREFIX}{KEY}",
        *,
        host: str = "127.0.0.1",
        known: bool = True,
        cluster: ClusterSettings | None = None,
        remoting: RemotingSettings | None = None,
        **settings: Any,
    ) -> None:
        self.reactor = MemoryReactorClock()
        self.passthrough = Passthrough(
            self.reactor,
            PassthroughSettings(**{"brokers": (f"{KEY}={PORT}",), **settings}),
            cluster or ClusterSettings(namesrv="10.0.0.9:9876;10.0.0.10:9876"),
        )
        if known:
            self.passthrough.brokers.learn(KEY, BROKER)
        self.backend = NoBackend()
        self.gateway = Gateway(self.backend, self.reactor)
        self.gateway.passthrough = self.passthrough
        front_end = RemotingFrontEnd()
        front_end.configure(remoting or RemotingSettings())
        peer = IPv4Address("TCP", "192.0.2.7", 4000)
        self.protocol: Any = front_end.make_protocol(
            self.gateway, ConnectionInformation(peer, f"{host}:{PORT}", False, listener)
        )
        self.client = Transport(peerAddress=peer)
        self.protocol.makeConnection(self.client)
        self.upstream: Any = None
        self.broker = Transport(hostAddress=IPv4Address("TCP", "10.0.0.3", 5000))

    def connect(self) -> Pair:
        """The last connection that was asked for stands."""
        factory = self.reactor.tcpClients[-1][2]
        self.upstream = factory.buildProtocol(None)
        self.upstream.makeConnection(self.broker)
        return self
