"""Endpoints, each serving several front-ends: the first bytes of a connection decide which."""

from __future__ import annotations

import errno
import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from rmqgateway.config_sources import ConfigurationError
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.listeners_first_bytes import FirstBytes
from rmqgateway.listeners_limits import Connections, RareLog
from rmqgateway.loader import nearest
from rmqgateway.recognition import Found, Recogniser
from rmqgateway.session import split_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IAddress, IProtocol

    from rmqgateway.config_sections import ListenerSettings, ListeningSettings
    from rmqgateway.http.server import HttpServer
    from rmqgateway.interfaces import IConnectionFrontEnd, IGateway
    from rmqgateway.listeners_tls import Certificates

__all__ = ["Listener", "check_advertised", "is_loopback", "parse_endpoint"]

#: Connections that the kernel holds for us until they are accepted; it clamps this to net.core.somaxconn.
BACKLOG = 4096

_log = Logger(namespace="rmqgateway.listeners")

_KINDS = ("tcp", "tcp6", "unix", "ssl", "tls", "systemd", "haproxy", "fd")
_REASONS = {
    errno.EADDRINUSE: "is in use",
    errno.EACCES: "needs more rights (ports below 1024 are root's)",
    errno.EPERM: "needs more rights",
    errno.EADDRNOTAVAIL: "cannot be had: this machine has no such address",
}


@lru_cache(4096)
def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine's own, reached by nobody else."""
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def check_advertised(text: str, place: str) -> tuple[str, int]:
    """Take "host", "host:port" or "[v6]:port" apart; port 0 if there is none.

    :raise ConfigurationError: no such thing, or an address that no client can connect to.
    """
    host, port = text, 0
    bare = text.strip("[]")
    try:
        ipaddress.ip_address(bare)
        host = bare
    except ValueError:
        if ":" in text:
            try:
                host, port = split_host(text)
            except ValueError as error:
                raise ConfigurationError(f"{place}: {error}") from error
    if not host or any(character.isspace() or character in "/;," for character in host):
        raise ConfigurationError(f"{place}: expected a host or host:port, got {text!r}")
    try:
        if ipaddress.ip_address(host).is_unspecified:
            raise ConfigurationError(
                f"{place}: {host} is every address and none; name the one that clients connect to"
            )
    except ValueError:
        pass
    return host, port


def with_backlog(endpoint: str) -> str:
    """An endpoint string with a backlog for storms of connections, where it says none.

    With Twisted's 50 a gateway that thousands of clients come back to drops most of their SYNs, and each retry waits a
    second or more.
    """
    kind, _, rest = endpoint.partition(":")
    if kind in ("tcp", "tcp6") and "backlog=" not in rest:
        return f"{endpoint}:backlog={BACKLOG}"
    return endpoint


def parse_endpoint(reactor: Any, endpoint: str, place: str) -> Any:
    """The endpoint that a string describes. :raise ConfigurationError: it describes none."""
    from twisted.internet.endpoints import serverFromString

    try:
        return serverFromString(reactor, with_backlog(endpoint))
    except (ValueError, TypeError, LookupError, OSError) as error:
        if isinstance(error, LookupError) and endpoint.startswith("systemd:"):
            raise ConfigurationError(
                f"{place}: {endpoint!r}: the process was given no such socket; systemd passes those of a .socket unit of the "
                "same name (LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES)"
            ) from error
        kind = endpoint.split(":")[0]
        hint = nearest(kind, _KINDS) if kind not in _KINDS else ""
        if "::" in endpoint:
            hint = hint or "; a colon within a value is written \\:, such as tcp6:9876:interface=\\:\\:1"
        raise ConfigurationError(
            f"{place}: {endpoint!r} is no endpoint such as tcp:9876:interface=127.0.0.1: {error}{hint}"
        ) from error


class Listener(ServerFactory):
    """One endpoint: the factory of its connections, and its port.

    :param endpoint: IStreamServerEndpoint. :param front_ends: those that own connections, of those served here.
    :param names: every front-end served here, for people. :param advertise: host and port, or None: what each client
        connected to; port 0: the listener's own.
    :param http: whether HTTP is served here. :param http_server: who serves it; None: nobody yet, and clients are told so.
    """

    noisy = False

    def __init__(
        self,
        name: str,
        endpoint: Any,
        described: ListenerSettings,
        place: str,
        front_ends: Sequence[IConnectionFrontEnd],
        names: Sequence[str],
        *,
        gateway: IGateway,
        reactor: Any,
        settings: ListeningSettings,
        certificates: Certificates,
        connections: Connections,
        advertise: tuple[str, int] | None = None,
        http: bool = True,
        http_server: HttpServer | None = None,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.described = described
        self.place = place
        self.names = names
        self.gateway = gateway
        self.reactor = reactor
        self.settings = settings
        self.certificates = certificates
        self.connections = connections
        self.advertise = advertise
        self.http_server = http_server
        self.recogniser = Recogniser(front_ends, http)
        self.port: Any = None
        self._waiting: set[FirstBytes] = set()
        self._advertised: dict[tuple[str, int], str] = {}
        self._rare = RareLog(_log, reactor.seconds)

    # The port.

    def bound(self, port: Any) -> None:
        """The endpoint listens; nothing is read before `check_exposure`."""
        self.port = port
        self.connections.ports.append(port)

    def check_exposure(self) -> None:
        """Before it is read, when it is known who may do what.

        :raise ConfigurationError: everybody might do everything, from other machines.
        """
        host = getattr(self.port.getHost(), "host", None)
        if host is None or is_loopback(host) or self.settings.remote_without_users:
            return
        if not self.gateway.guarded:
            raise ConfigurationError(
                f"{self.place}: {self.described.endpoint} would let everybody who reaches {host or '0.0.0.0'} do everything, "
                "since no user exists. Name one (settings users.…), add :interface=127.0.0.1, or allow it: "
                "--set listening.remote_without_users=true"
            )

    def cannot_listen(self, error: Exception) -> ConfigurationError:
        """The reason in words, with the port and the setting."""
        what, reason = self.described.endpoint, str(error)
        if isinstance(error, CannotListenError):
            if isinstance(error.port, int):
                what = f"port {error.port} of {error.interface or 'every address'}"
            else:
                what = str(error.port)
            code = getattr(error.socketError, "errno", None)
            reason = (
                _REASONS.get(code) or str(error.socketError) if code is not None else str(error.socketError)
            )
        hint = (
            f"; choose another: --listen {self.name}=tcp:PORT:interface=127.0.0.1"
            if "in use" in reason
            else ""
        )
        return ConfigurationError(f"{self.place}: the listener {self.name!r}: {what} {reason}{hint}")

    def describe(self) -> str:
        """Where it listens, for people."""
        host = self.port.getHost()
        if hasattr(host, "port"):
            return _join(host.host, host.port)
        name = getattr(host, "name", "")
        return f"unix:{name.decode(errors='replace') if isinstance(name, bytes) else name}"

    # Connections.

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        """See IProtocolFactory; None closes the connection at once."""
        address = _remote(addr)
        if not self.connections.opened(address):
            self._rare.warn(
                "a connection from {peer} is one too many (settings listening.connections, …_per_address)",
                peer=_shown(addr),
            )
            return None
        protocol = FirstBytes(self, address)
        protocol.factory = self
        return protocol

    def made(self, protocol: FirstBytes, transport: Any) -> None:
        """A connection is there: count it until the transport loses it, whatever protocol it has by then."""
        self._waiting.add(protocol)
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            try:
                set_no_delay(True)
                transport.setTcpKeepAlive(True)
            except (OSError, AttributeError):
                pass  # a UNIX socket, or the peer has gone already
        connections, address = self.connections, protocol.address
        lost = getattr(transport, "connectionLost", None)
        if lost is None:
            return

        def connection_lost(reason: Any, *more: Any) -> None:
            del transport.connectionLost
            connections.closed(address)
            lost(reason, *more)

        transport.connectionLost = connection_lost

    def recognised(self, protocol: FirstBytes) -> None:
        """It stepped aside."""
        self._waiting.discard(protocol)

    def lost(self, protocol: FirstBytes) -> None:
        """It was lost before it was recognised."""
        self._waiting.discard(protocol)

    def close_waiting(self) -> None:
        """Close those that have not said what they are."""
        for protocol in list(self._waiting):
            protocol.transport.abortConnection()

    def is_secure(self, transport: Any) -> bool:
        """Whether the transport is TLS already (an ssl: endpoint)."""
        return ISSLTransport.providedBy(transport)

    def offers_tls(self, transport: Any) -> bool:
        """Whether a TLS handshake is answered on this connection."""
        return self.certificates.offered(is_loopback(getattr(transport.getHost(), "host", "localhost")))

    def refuses_plain(self, is_secure: bool) -> bool:
        """Whether the connection should have been TLS."""
        return not is_secure and self.certificates.required

    def make_protocol(self, front_end: IConnectionFrontEnd, transport: Any, is_secure: bool) -> IProtocol:
        """The protocol of a front-end for a connection."""
        return front_end.make_protocol(self.gateway, self._information(transport, is_secure))

    def make_http_protocol(self, found: Found, transport: Any, is_secure: bool) -> IProtocol | None:
        """The HTTP server's protocol for a connection that begins so; None: nothing is served here over HTTP."""
        if self.http_server is None:
            return None
        protocol: IProtocol = self.http_server.make_protocol(self._information(transport, is_secure), found)
        return protocol

    def _information(self, transport: Any, is_secure: bool) -> ConnectionInformation:
        return ConnectionInformation(
            transport.getPeer(), self.advertised(transport.getHost()), is_secure, self.name
        )

    def advertised(self, host: Any) -> str:
        """The "host:port" under which the client of a connection reaches us."""
        key = (getattr(host, "host", ""), getattr(host, "port", 0))
        found = self._advertised.get(key)
        if found is None:
            name, port = self.advertise or (key[0] or "127.0.0.1", 0)
            found = _join(name, port or key[1])
            if len(self._advertised) < 1000:
                self._advertised[key] = found
        return found

    def report(self, text: str, transport: Any, **values: Any) -> None:
        """Log that a connection is refused, at most every ten seconds."""
        self._rare.warn("{listener}: " + text, listener=self.name, peer=_shown(transport.getPeer()), **values)

    def answer_http(self, transport: Any, found: Found) -> None:
        """Say to an HTTP client what is served here, where that is nothing over HTTP."""
        served = ", ".join(self.names) or "nothing"
        text = f"This port of rmqgateway serves {served}; nothing over HTTP.\n"
        if found is Found.HTTP_2:
            # RFC 9113: empty SETTINGS, then GOAWAY (stream 0, HTTP_1_1_REQUIRED) with the text for the client's log.
            debug = text.encode()
            goaway = (
                (8 + len(debug)).to_bytes(3, "big") + b"\x07\x00" + bytes(8) + b"\x00\x00\x00\x0d" + debug
            )
            transport.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + goaway)
        else:
            head = (
                "HTTP/1.1 501 Not Implemented\r\ncontent-type: text/plain; charset=utf-8\r\n"
                f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
            )
            transport.write((head + text).encode())
        transport.loseConnection()


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _shown(address: Any) -> str:
    host = getattr(address, "host", None)
    return _join(host, address.port) if host is not None else "a local socket"


def _remote(address: Any) -> str:
    """The address that counts against the limit per address, or ""."""
    host: str = getattr(address, "host", "") or ""
    return "" if not host or is_loopback(host) else host
