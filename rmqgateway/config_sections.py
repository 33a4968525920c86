"""The settings of the process itself; each section is a struct whose docstring is its help."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "DEFAULT_LISTENERS",
    "ListenerSettings",
    "ListeningSettings",
    "LoggingSettings",
    "ProcessSettings",
    "TLSSettings",
]


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What stands outside every section.

    :ivar backend: what executes commands: "local" is the embedded broker, "cluster" a real one behind cluster.namesrv.
    :ivar data_dir: where everything durable lies; "" is $XDG_DATA_HOME/rmqgateway or ~/.local/share/rmqgateway.
    :ivar advertise: the host, or host:port, told to clients for all listeners that name none; "" is the address that
        each client itself connected to.
    """

    backend: str = "local"
    data_dir: str = ""
    advertise: str = ""


class ListenerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One listener.

    :ivar endpoint: a Twisted endpoint string, such as tcp:9876:interface=127.0.0.1, unix:/run/rmqgateway.sock,
        systemd:domain=INET:index=0 or haproxy:tcp:9876.
    :ivar front_ends: the front-ends that it serves; none named: every enabled one.
    :ivar advertise: the host, or host:port, told to the clients of this listener.
    """

    endpoint: str = ""
    front_ends: tuple[str, ...] = ()
    advertise: str = ""


#: Used when no endpoint is named anywhere; every one serves every enabled front-end.
DEFAULT_LISTENERS = {
    "remoting": "tcp:9876:interface=127.0.0.1",
    "grpc": "tcp:8081:interface=127.0.0.1",
    "web": "tcp:8080:interface=127.0.0.1",
}


class ListeningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all listeners. Times in seconds.

    :ivar connections: open connections of all listeners; when so many are open, no more are accepted until some close.
    :ivar connections_per_address: connections from one address that is not loopback; more are closed at once.
    :ivar first_bytes_s: within this time the first bytes (and the TLS handshake) must tell the protocol.
    :ivar remote_without_users: listen on other addresses than loopback although no user exists, so that everybody who
        reaches the port may do everything.
    :ivar notice_s: when the process is asked to end: for how long /readyz says so while everything is still served, so that
        balancers that look there send new connections elsewhere first.
    :ivar drain_s: how long clients have to finish when the process is asked to end.
    """

    connections: int = 10_000
    connections_per_address: int = 256
    first_bytes_s: float = 5.0
    remote_without_users: bool = False
    notice_s: float = 0.0
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        for field in ("connections", "connections_per_address", "first_bytes_s"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected more than 0, got {getattr(self, field)}")
        for field in ("notice_s", "drain_s"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field}: expected 0 or more, got {getattr(self, field)}")


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged, to where twistd's --logfile says.

    :ivar level: the least level that is written.
    :ivar format: lines of text, or one JSON object per line.
    """

    level: Literal["debug", "info", "warn", "error", "critical"] = "info"
    format: Literal["text", "json"] = "text"


class TLSSettings(msgspec.Struct, frozen=True, kw_only=True):
    """TLS on the listeners' own ports; a client that begins with a TLS handshake gets it.

    :ivar mode: auto: with the certificate named here, else, for clients on loopback, with one generated in the data
        directory; off: never; required: other connections are closed.
    :ivar certificate: a PEM file with the certificate and its chain.
    :ivar private_key: a PEM file with the key; "" if it is in the same file.
    :ivar minimum_version: the least version of TLS.
    """

    mode: Literal["auto", "off", "required"] = "auto"
    certificate: str = ""
    private_key: str = ""
    minimum_version: Literal["1.2", "1.3"] = "1.2"

    def __post_init__(self) -> None:
        if self.private_key and not self.certificate:
            raise ValueError("private_key: names a key, but certificate names no certificate")
