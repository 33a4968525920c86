"""The Remoting passthrough: a port for each broker, and its clients' connections one for one behind it.

Official clients and mqadmin see brokers at the gateway's addresses and nothing else; what a broker keeps for a channel
(group members, locks, check-backs, replies) it keeps for the client's own connection.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.cluster.passthrough_link import BrokerLink, proxy_header
from rmqgateway.backend.cluster.passthrough_names import NameServers, NamesLink, cluster_request
from rmqgateway.backend.cluster.ports import BrokerKey, Brokers, Face, packed_address
from rmqgateway.backend.cluster.rewriting import Place, rewrite_routes
from rmqgateway.backend.cluster.secure import Secure
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.errors import GatewayError, WireError
from rmqgateway.interfaces import IPassthrough
from rmqgateway.session import split_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
    from rmqgateway.backend.cluster.settings import ClusterSettings
    from rmqgateway.interfaces import IPassthroughClient, IPassthroughLink, ISession
    from rmqgateway.listeners import Listener
    from rmqgateway.telemetry.metrics import CommandMeter
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["LISTENER_PREFIX", "Passthrough"]

log = Logger(namespace="rmqgateway.passthrough")

#: Listeners of brokers are named so, with "name:id" behind it.
LISTENER_PREFIX = "broker "
#: A face is a few hundred bytes; clients may reach the gateway by many names.
_MAX_FACES = 1000
#: Between two questions for the brokers' addresses that errors cause.
_SOON = 1.0


@implementer(IPassthrough)
class Passthrough:
    """See `IPassthrough`. Also knows where brokers are: `brokers`, `names`.

    :param cluster: how brokers and name servers are reached.
    """

    def __init__(self, reactor: Any, settings: PassthroughSettings, cluster: ClusterSettings) -> None:
        self.reactor = reactor
        self.settings = settings
        self.cluster = cluster
        self.brokers = Brokers(settings.ports(), self._found)
        #: Begins TLS on a new connection, where that is set.
        self.secure = Secure(cluster)
        self.names = NameServers(reactor, cluster.addresses, cluster.connect_s, cluster.request_s, self.secure)
        #: "host:port" of our end of each upstream connection -> of the client that it is for.
        self.clients: dict[str, str] = {}
        self._meters: Mapping[int, CommandMeter] = {}
        self._faces: dict[str, Face] = {}
        self._local: dict[BrokerLink, str] = {}
        self._listeners: dict[BrokerKey, list[Listener]] = {}
        self._make_listener: Callable[[str, str, str], Listener] | None = None
        self._held = 0
        self._exposed = False
        self._running = False
        self._known = False
        self._reason = "no name server has answered yet"
        self._refresh_timer: IDelayedCall | None = None
        self._refreshed = float("-inf")
        self._refreshing = False

    # The ports.

    def prepare(self, make_listener: Callable[[str, str, str], Listener]) -> None:
        """Bind the ports that are configured.

        :param make_listener: makes a listener of (name, endpoint, place of the setting).
        :raise ConfigurationError: a port cannot be bound.
        """
        self._make_listener = make_listener
        for key in self.brokers.ports.configured:
            self._listen(key, self._bound, self._not_bound)

    def _listen(
        self,
        key: BrokerKey,
        bound: Callable[[Listener, Any], None],
        not_bound: Callable[[Listener, Failure], None],
    ) -> None:
        port = self.brokers.port_of(key)
        if port is None or self._make_listener is None or key in self._listeners:
            return
        listeners = self._listeners[key] = []
        interface = self.settings.interface.replace(":", "\\:")
        place = "passthrough.brokers" if key in self.brokers.ports.configured else "passthrough.base_port"
        for each in (port, port - 2) if self.settings.vip else (port,):
            listener = self._make_listener(
                f"{LISTENER_PREFIX}{key}", f"tcp:{each}:interface={interface}", place
            )
            listeners.append(listener)
            listening = maybeDeferred(listener.endpoint.listen, listener)
            listening.addCallbacks(partial(bound, listener), partial(not_bound, listener))
            _raise_now(listening)

    def _bound(self, listener: Listener, port: Any) -> None:
        listener.bound(port)
        if self._exposed:
            try:
                listener.check_exposure()
            except ConfigurationError:
                port.stopListening()
                listener.port = None
                raise
        else:
            _reading(port, False)

    def expose(self) -> None:
        """Begin to take clients, now that it is known who may do what.

        :raise ConfigurationError: everybody might do everything, from other machines.
        """
        self._exposed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                if listener.port is not None:
                    listener.check_exposure()
                    _reading(listener.port, True)

    @staticmethod
    def _not_bound(listener: Listener, failure: Failure) -> None:
        raise listener.cannot_listen(failure.value) from failure.value  # type: ignore[arg-type]

    def _found(self, key: BrokerKey) -> None:
        """A broker was seen for the first time."""
        port = self.brokers.port_of(key)
        if port is None:
            log.error(
                "broker {key} is not told to clients: {why}",
                key=str(key),
                why=self.brokers.ports.why_none(key),
            )
            return
        if key in self._listeners:
            return
        try:
            self._listen(key, self._bound, self._not_bound)
        except Exception as error:
            log.error("broker {key} cannot be reached here: {error}", key=str(key), error=str(error))
            self._listeners.pop(key, None)
            return
        log.info("port {port} stands for the broker {key}", port=port, key=str(key))

    # Life.

    def start(self) -> None:
        """Begin to look where brokers are."""
        self._running = True
        self._refresh()

    def stop(self) -> None:
        """Close the connections to name servers; clients have gone by now."""
        self._running = False
        if self._refresh_timer is not None:
            self._refresh_timer.cancel()
            self._refresh_timer = None
        self.names.stop()

    def close_ports(self) -> Deferred[Any]:
        """Take no more clients; those that are there stay until their sessions end."""
        self._make_listener = None
        waits = []
        for listeners in self._listeners.values():
            for listener in listeners:
                if listener.port is not None:
                    waits.append(maybeDeferred(listener.port.stopListening))
                listener.close_waiting()
        return DeferredList(waits, consumeErrors=True)

    def ready(self) -> str | None:
        """None once a name server has told where brokers are; else why not."""
        return None if self._known else self._reason

    def refresh_soon(self) -> None:
        """Somebody could not reach a broker: maybe it is elsewhere now."""
        timer = self._refresh_timer
        if timer is None:
            return
        soon = max(0.0, self._refreshed + _SOON - self.reactor.seconds())
        if timer.getTime() - self.reactor.seconds() > soon:
            timer.reset(soon)

    def _refresh(self) -> None:
        self._refresh_timer = None
        if not self._running or self._refreshing:
            return
        self._refreshing = True
        self._refreshed = self.reactor.seconds()
        self.names.ask(cluster_request()).addCallbacks(self._told, self._untold).addBoth(self._again)

    def _told(self, answer: RemotingCommand) -> None:
        if answer.code:
            self._reason = f"the name server answers {answer.code}: {answer.remark}"
            return
        try:
            # Learns the addresses on its way.
            rewrite_routes(answer.body, self.face("127.0.0.1"))
        except WireError as error:
            self._reason = f"the name server's answer is not what it should be: {error.message}"
            log.warn("{reason}", reason=self._reason)
            return
        if not self._known:
            names = ", ".join(str(key) for key in sorted(self.brokers.addresses)) or "no broker yet"
            log.info("the cluster has {names}", names=names)
        self._known = True

    def _untold(self, failure: Failure) -> None:
        reason = failure.getErrorMessage()
        if not failure.check(GatewayError):
            log.failure("asking for the brokers failed", failure=failure)
        elif self._running and (self._known or reason != self._reason):
            log.warn("{reason}; it is tried again", reason=reason)
        self._reason = reason

    def _again(self, _: object) -> None:
        self._refreshing = False
        if self._running:
            delay = self.cluster.refresh_s if self._known else _SOON
            self._refresh_timer = self.reactor.callLater(delay, self._refresh)

    # Connections.

    def open(
        self, client: IPassthroughClient, session: ISession, listener: str, meters: Mapping[int, CommandMeter]
    ) -> IPassthroughLink:
        self._meters = meters
        host = self.settings.advertise or split_host(session.host)[0]
        face = self.face(host)
        if not listener.startswith(LISTENER_PREFIX):
            return NamesLink(self, Place(face, BrokerKey("", 0), self.clients), client)
        name, _, broker_id = listener.removeprefix(LISTENER_PREFIX).rpartition(":")
        link = BrokerLink(self, Place(face, BrokerKey(name, int(broker_id)), self.clients), client, session)
        link.connect()
        return link

    def face(self, host: str) -> Face:
        """How the gateway looks to those who reach it by this host."""
        found = self._faces.get(host)
        if found is None:
            found = Face(self.brokers, host, packed_address(self.settings.message_host or host))
            if len(self._faces) < _MAX_FACES:
                self._faces[host] = found
        return found

    def took(self, code: int, seconds: float) -> None:
        """A request was answered in that time."""
        meter = self._meters.get(code)
        if meter is not None:
            meter.took(seconds)

    def begin_upstream(self, transport: Any, session: ISession) -> bytes:
        """What a new connection to a broker begins with."""
        if not self.settings.proxy_protocol:
            return b""
        return proxy_header(session.peer, transport.getHost())

    def link_connected(self, link: BrokerLink, peer: str, transport: Any) -> None:
        """Brokers know this client by our end of the connection."""
        own = transport.getHost()
        host = getattr(own, "host", None)
        if host is None:
            return
        address = f"[{host}]:{own.port}" if ":" in host else f"{host}:{own.port}"
        self._local[link] = address
        self.clients[address] = peer

    def link_ended(self, link: BrokerLink) -> None:
        """The connection is gone."""
        address = self._local.pop(link, None)
        if address is not None:
            self.clients.pop(address, None)

    def hold(self, count: int, transport: Any) -> None:
        """So many bytes of unfinished frames more (or less) are held; the connection that brings too many is cut."""
        self._held += count
        if self._held > self.settings.held_bytes and count > 0 and transport is not None:
            log.warn(
                "a connection is cut: {held} bytes of unfinished frames (setting held_bytes)", held=self._held
            )
            transport.abortConnection()


def _reading(port: Any, wanted: bool) -> None:
    """Have a port accept, or leave to the kernel who comes; one in memory has neither."""
    change = getattr(port, "startReading" if wanted else "stopReading", None)
    if change is not None:
        change()


def _raise_now(listening: Deferred[Any]) -> None:
    """Raise what a Deferred failed with at once, if it did."""
    failures: list[Failure] = []
    listening.addErrback(failures.append)
    if failures:
        failures[0].raiseException()
