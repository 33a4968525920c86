"""The settings of the gateway as a name server."""

from __future__ import annotations

import ipaddress

import msgspec

__all__ = ["RegistrySettings"]


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway as a name server for real brokers (backend cluster). Times in seconds.

    :ivar endpoint: where brokers find it, such as tcp:9877:interface=127.0.0.1; "": it is none. What it answers are the
        brokers' own addresses: clients ask the gateway's other listeners.
    :ivar sources: addresses and networks from which it may be asked, besides this machine; brokers say nothing that proves
        who they are, so whoever is there may say that he is one.
    :ivar acting_master: a slave stands in, for reading, for a master that is gone (brokers with enableActingMaster).
    :ivar kv_file: where key-value configuration is kept; "": it lasts as long as the process.
    :ivar scan_s: silent brokers are looked for so often; how long each may be silent it says itself, else 120 s.
    :ivar max_brokers: how many brokers may register.
    """

    endpoint: str = ""
    sources: tuple[str, ...] = ()
    acting_master: bool = False
    kv_file: str = ""
    scan_s: float = 5.0
    max_brokers: int = 1_000

    def __post_init__(self) -> None:
        for field in ("scan_s", "max_brokers"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected more than 0, got {getattr(self, field)}")
        self.networks()
        if self.endpoint and self.address is None:
            raise ValueError(
                f"endpoint: expected tcp:PORT:interface=ADDRESS with a port that is not 0, got {self.endpoint!r}"
            )

    def networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """`sources`. :raise ValueError: one is no network."""
        found = []
        for source in self.sources:
            try:
                found.append(ipaddress.ip_network(source))
            except ValueError as error:
                raise ValueError(
                    f"sources: expected addresses and networks such as 10.0.0.0/8: {error}"
                ) from None
        return found

    @property
    def address(self) -> str | None:
        """ "host:port" by which this process reaches it."""
        parts = self.endpoint.replace("\\:", "\0").split(":")
        if parts[0] not in ("tcp", "tcp6") or len(parts) < 2 or not parts[1].removeprefix("port=").isdigit():
            return None
        host = next(
            (part.removeprefix("interface=") for part in parts[2:] if part.startswith("interface=")), ""
        )
        host = host.replace("\0", ":")
        if host in ("", "0.0.0.0"):
            host = "127.0.0.1"
        elif host == "::":
            host = "::1"
        port = int(parts[1].removeprefix("port="))
        if not 0 < port < 65536:
            return None
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
