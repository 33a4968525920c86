"""The settings of the cluster backend."""

from __future__ import annotations

from typing import Literal

import msgspec

from rmqgateway.session import split_host

__all__ = ["ClusterSettings"]

_POSITIVE = (
    "connections",
    "pending_requests",
    "pending_bytes",
    "connect_s",
    "request_s",
    "idle_s",
    "refresh_s",
    "long_poll_max_ms",
    "heartbeat_s",
    "client_expiry_s",
    "max_routes",
    "max_transactions",
    "relay_timeout_s",
)


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In front of real brokers (backend cluster). Times in seconds unless they end in _ms, sizes in bytes.

    :ivar namesrv: the cluster's name servers, as host:port;host:port (flag --namesrv).
    :ivar access_key: in whose name the gateway speaks to brokers with ACL; "": requests are not signed.
    :ivar secret_key: the secret of access_key.
    :ivar sign_as: with whose key requests are signed: the gateway's own, or the caller's, who must be one of the
        gateway's users with the same secret as at the brokers, which alone decide then.
    :ivar tls: TLS to brokers and name servers: verify their certificates, or take any (unverified).
    :ivar tls_ca: a PEM file with the authorities that are trusted; "" is the system's.
    :ivar connections: connections to each broker; one is for what is short, the others are for messages that are fetched.
    :ivar pending_requests: unanswered requests of one broker; more are refused with a hint to try again.
    :ivar pending_bytes: bytes of the unanswered requests of one broker.
    :ivar connect_s: within this time a broker must be connected to.
    :ivar request_s: within this time a request must be answered; those that wait for messages have their wait besides.
    :ivar idle_s: a connection that has nothing to do for so long is closed.
    :ivar refresh_s: routes and brokers are asked for so often.
    :ivar long_poll_max_ms: how long a pull or receive may wait.
    :ivar heartbeat_s: how often brokers are told which groups have members here.
    :ivar client_expiry_s: a client that sends no heartbeat for so long has gone.
    :ivar max_routes: topics whose routes are kept.
    :ivar max_transactions: half messages whose place is kept until their transactions end.
    :ivar relay_timeout_s: how long a client may take to answer what it is asked.
    """

    namesrv: str = ""
    access_key: str = ""
    secret_key: str = ""
    sign_as: Literal["own", "caller"] = "own"
    tls: Literal["off", "verify", "unverified"] = "off"
    tls_ca: str = ""
    connections: int = 2
    pending_requests: int = 20_000
    pending_bytes: int = 64 * 1024 * 1024
    connect_s: float = 3.0
    request_s: float = 5.0
    idle_s: float = 300.0
    refresh_s: float = 30.0
    long_poll_max_ms: int = 30_000
    heartbeat_s: float = 30.0
    client_expiry_s: float = 120.0
    max_routes: int = 10_000
    max_transactions: int = 100_000
    relay_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """:raise ValueError: naming the setting, what was expected and what came."""
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for address in self.addresses:
            try:
                host, port = split_host(address)
            except ValueError:
                host, port = "", 0
            if not host or not port:
                raise ValueError(f"namesrv: expected host:port;host:port, got {address!r}")
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key: expected both or none")
        if self.tls_ca and self.tls != "verify":
            raise ValueError(f"tls_ca: names authorities, but tls is {self.tls}")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The name servers, each once."""
        parts = [part.strip() for part in self.namesrv.replace(",", ";").split(";")]
        return tuple(dict.fromkeys(part for part in parts if part))
