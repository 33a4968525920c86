"""Which port of a gateway stands for which broker: one rule that all gateways before a cluster share.

A broker is told by its name and id (master and slaves share the name), and most requests name neither: the port that a
client connects to is all that tells them. Ports are configured one by one, or follow from name and id alone (`ruled_port`),
so that gateways started at different times, or before brokers that come and go, agree without talking to each other.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from rmqgateway.errors import WireError
from rmqgateway.session import split_host
from rmqgateway.wire.message_id import host_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["STRIDE", "BrokerKey", "Brokers", "Face", "Ports", "packed_address", "parse_brokers", "ruled_port"]

#: Ports by rule lie so far apart: clients with vipChannelEnabled dial two below the port that they are told.
STRIDE = 4


class BrokerKey(NamedTuple):
    """One broker of a cluster: its name, and its id (0: the master)."""

    name: str
    broker_id: int

    def __str__(self) -> str:
        return f"{self.name}:{self.broker_id}"


def parse_brokers(entries: Iterable[str]) -> dict[BrokerKey, int]:
    """Read "broker-a:0=10911" and its like. :raise ValueError: one is no such thing, or a port occurs twice."""
    found: dict[BrokerKey, int] = {}
    owners: dict[int, str] = {}
    for entry in entries:
        broker, equals, port_text = entry.rpartition("=")
        name, colon, id_text = broker.strip().rpartition(":")
        port_text = port_text.strip()
        if not (equals and colon and name and id_text.isdigit() and port_text.isdigit()):
            raise ValueError(f"brokers: expected name:id=port such as broker-a:0=10911, got {entry!r}")
        port = int(port_text)
        if not 1 <= port <= 65535:
            raise ValueError(f"brokers: expected a port of 1..65535, got {entry!r}")
        key = BrokerKey(name, int(id_text))
        if key in found:
            raise ValueError(f"brokers: {key} has two ports")
        if port in owners:
            raise ValueError(f"brokers: port {port} is given to {owners[port]} and to {key}")
        found[key] = port
        owners[port] = str(key)
    return found


def ruled_port(key: BrokerKey, base: int, slots: int) -> int:
    """The port of a broker that is not configured: `base` + 4 × (CRC-32 of "name:id" modulo `slots`)."""
    return base + STRIDE * (crc32(f"{key.name}:{key.broker_id}".encode()) % slots)


class Ports:
    """The rule with its configuration.

    :param configured: by broker; wins over the rule. :param base: the first port by rule; 0: brokers that are not
        configured have none. :param slots: how many ports the rule has to give.
    """

    def __init__(self, configured: Mapping[BrokerKey, int], base: int, slots: int) -> None:
        self.configured = dict(configured)
        self._base = base
        self._slots = slots
        self._owners: dict[int, BrokerKey] = {port: key for key, port in self.configured.items()}

    def of(self, key: BrokerKey) -> int | None:
        """The broker's port; None: it has none, or another broker has that port (`why_none` says which)."""
        port = self.configured.get(key)
        if port is not None:
            return port
        if not self._base:
            return None
        port = ruled_port(key, self._base, self._slots)
        return port if self._owners.setdefault(port, key) == key else None

    def why_none(self, key: BrokerKey) -> str:
        """For the log: why a broker has no port."""
        if not self._base:
            return "it is not in the setting passthrough.brokers, and passthrough.base_port is 0"
        port = ruled_port(key, self._base, self._slots)
        return f"the rule gives it port {port}, which is {self._owners.get(port)}'s: name both in passthrough.brokers"


class Brokers:
    """What is known of the cluster's brokers: where they are, and by which port each is reached here."""

    def __init__(self, ports: Ports, found: Callable[[BrokerKey], None]) -> None:
        self.ports = ports
        self.addresses: dict[BrokerKey, str] = {}
        self._by_address: dict[str, BrokerKey] = {}
        self._by_host: dict[bytes, BrokerKey] = {}
        self._found = found
        self._ports: dict[BrokerKey, int | None] = {}

    def learn(self, key: BrokerKey, address: str) -> None:
        """A name server says that this broker is at "host:port". What is no such thing is ignored."""
        old = self.addresses.get(key)
        if old == address:
            return
        try:
            host, port = split_host(address)
        except ValueError:
            return
        if old is not None:
            self._forget(key, old)
        self.addresses[key] = address
        self._by_address[address] = key
        try:
            self._by_host[host_bytes(host, port)] = key
        except WireError:
            pass  # a name: messages hold what it resolved to, and are known by the connection that they came over
        if old is None:
            self._found(key)

    def _forget(self, key: BrokerKey, address: str) -> None:
        if self._by_address.get(address) == key:
            del self._by_address[address]
        for host in [host for host, owner in self._by_host.items() if owner == key]:
            del self._by_host[host]

    def port_of(self, key: BrokerKey) -> int | None:
        """Its port here, the same for as long as the process lives."""
        try:
            return self._ports[key]
        except KeyError:
            port = self._ports[key] = self.ports.of(key)
            return port

    def at(self, address: str) -> BrokerKey | None:
        """Whose address this is."""
        return self._by_address.get(address)

    def by_host(self, host: bytes) -> BrokerKey | None:
        """Whose address this is, in the form of stored messages."""
        return self._by_host.get(host)


class Face:
    """How the gateway looks to a client: the addresses that stand for brokers in what the client is told.

    :param host: for routes, an address or a name. :param packed: 4 or 16 bytes, for hosts within messages.
    """

    __slots__ = ("_hosts", "brokers", "host", "packed")

    def __init__(self, brokers: Brokers, host: str, packed: bytes) -> None:
        self.brokers = brokers
        self.host = f"[{host}]" if ":" in host else host
        self.packed = packed
        self._hosts: dict[BrokerKey, bytes] = {}

    def address(self, key: BrokerKey) -> str | None:
        """The "host:port" by which the client reaches a broker; None: by none."""
        port = self.brokers.port_of(key)
        return None if port is None else f"{self.host}:{port}"

    def host_of(self, key: BrokerKey) -> bytes:
        """The same in the form of stored messages; port 0 if there is none."""
        found = self._hosts.get(key)
        if found is None:
            found = self._hosts[key] = self.packed + (self.brokers.port_of(key) or 0).to_bytes(4, "big")
        return found

    def translate(self, host: bytes, own: BrokerKey) -> bytes:
        """What stands for a broker's host in a message that came from the broker `own`. An address that is nobody's
        (a broker with several, or by name) is taken for that of `own`, which has the message at the same offset."""
        return self.host_of(self.brokers.by_host(host) or own)


def packed_address(host: str) -> bytes:
    """4 or 16 bytes; 0.0.0.0 for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).packed
    except ValueError:
        return bytes(4)
