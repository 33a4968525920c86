"""One client connection as gateway and backend know it."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

from zope.interface import implementer

from rmqgateway.interfaces import ISession

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.events import Event

__all__ = ["Session", "host_to_bytes", "split_host"]


def split_host(host: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port" into host and port. :raise ValueError: neither."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected host:port, got {host!r}")
    return name.strip("[]"), int(port)


def host_to_bytes(host: str) -> bytes:
    """Encode "host:port" as RocketMQ writes hosts: 4 or 16 address bytes and the port in 4.

    A name that is no address (a Kubernetes service) has no such form: it becomes 0.0.0.0 with the port.
    """
    name, port = split_host(host)
    try:
        packed = ipaddress.ip_address(name.split("%")[0]).packed
    except ValueError:
        packed = b"\x00\x00\x00\x00"
    return packed + struct.pack(">i", port)


@implementer(ISession)
class Session:
    """See `ISession`."""

    __slots__ = (
        "__weakref__",
        "_close",
        "_deliver",
        "_drain",
        "_ended",
        "_on_end",
        "consumes",
        "front_end",
        "host",
        "host_bytes",
        "last_seen",
        "number",
        "pace",
        "pace_is_shared",
        "paced",
        "peer",
        "peer_bytes",
        "user",
    )

    def __init__(
        self,
        number: int,
        front_end: str,
        peer: str,
        host: str,
        now: float,
        deliver: Callable[[Event], bool],
        drain: Callable[[float, str], None],
        close: Callable[[str], None],
    ) -> None:
        self.number = number
        self.front_end = front_end
        self.peer = peer
        self.peer_bytes = host_to_bytes(peer)
        self.host = host
        self.host_bytes = host_to_bytes(host)
        self.last_seen = now
        self.user: str | None = None
        self.pace: Callable[[bool], None] | None = None
        self.pace_is_shared = True
        self.paced = False
        self.consumes = False
        self._deliver = deliver
        self._drain = drain
        self._close = close
        self._on_end: dict[Callable[[], None], None] = {}
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the connection is gone."""
        return self._ended

    def deliver(self, event: Event) -> bool:
        return not self._ended and self._deliver(event)

    def drain(self, deadline: float, reason: str) -> None:
        if not self._ended:
            self._drain(deadline, reason)

    def close(self, reason: str) -> None:
        """End the connection from our side."""
        if not self._ended:
            self._close(reason)

    def on_end(self, callback: Callable[[], None]) -> None:
        if self._ended:
            callback()
        else:
            self._on_end[callback] = None

    def not_on_end(self, callback: Callable[[], None]) -> None:
        self._on_end.pop(callback, None)

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        callbacks, self._on_end = list(self._on_end), {}
        for callback in callbacks:
            callback()
