"""The settings of the Remoting passthrough."""

from __future__ import annotations

import msgspec

from rmqgateway.backend.cluster.ports import STRIDE, Ports, packed_address, parse_brokers

__all__ = ["PassthroughSettings"]


class PassthroughSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Remoting clients before a real cluster (backend cluster): a port for each broker. Times in seconds, sizes in bytes.
    How brokers and name servers are reached is said in the section cluster.

    :ivar brokers: the port of each broker as name:id=port, such as broker-a:0=10911, the same for all gateways of a
        cluster; these ports are bound at start, other brokers get theirs by base_port when they are seen first.
    :ivar base_port: the port of a broker that is not in brokers is base_port + 4 * (CRC-32 of "name:id" modulo slots); 0:
        brokers that are not configured are not told to clients.
    :ivar slots: how many ports the rule has to give.
    :ivar interface: the address on which these ports listen.
    :ivar vip: listen two below each port as well, for clients with vipChannelEnabled.
    :ivar advertise: the host told to clients in routes and message ids; "" is the one of the listener that they asked.
    :ivar message_host: the IP address within message ids, where advertise is a name.
    :ivar proxy_protocol: begin each connection to a broker with a PROXY protocol v2 header that tells the client's address
        (brokers 5.1 and newer read it).
    :ivar forget_s: a request that a broker has not answered for this long is forgotten; a later answer is dropped.
    :ivar stalled_s: a broker that takes nothing of what it is sent for this long is given up, and its client closed.
    :ivar pending_requests: of a client that waits for more answers than this, nothing is read until some came.
    :ivar held_bytes: bytes of unfinished frames, of all connections; the one that brings more is closed.
    """

    brokers: tuple[str, ...] = ()
    base_port: int = 20_000
    slots: int = 1_000
    interface: str = "127.0.0.1"
    vip: bool = False
    advertise: str = ""
    message_host: str = ""
    proxy_protocol: bool = False
    forget_s: float = 180.0
    stalled_s: float = 30.0
    pending_requests: int = 20_000
    held_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        self.ports()
        if self.slots < 1:
            raise ValueError(f"slots: expected 1 or more, got {self.slots}")
        if self.base_port and not 1024 <= self.base_port <= 65535 - STRIDE * self.slots:
            raise ValueError(
                f"base_port: expected 0 or 1024..{65535 - STRIDE * self.slots} (65535 - 4 * slots), got {self.base_port}"
            )
        for field in ("forget_s", "stalled_s", "pending_requests", "held_bytes"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected more than 0, got {getattr(self, field)}")
        if self.message_host and packed_address(self.message_host) == bytes(4):
            raise ValueError(f"message_host: expected an IP address, got {self.message_host!r}")

    def ports(self) -> Ports:
        """The mapping. :raise ValueError: `brokers` are none."""
        return Ports(parse_brokers(self.brokers), self.base_port, self.slots)
