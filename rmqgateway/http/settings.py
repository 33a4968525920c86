"""Settings of the one HTTP server, section [http]."""

from __future__ import annotations

import msgspec

__all__ = ["HttpSettings"]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """HTTP and WebSocket on all listeners. Times in seconds, sizes in bytes.

    :ivar hosts: names under which browsers may reach this gateway, besides localhost, addresses, and what is advertised;
        "*" is any (then a foreign page can reach it by DNS rebinding).
    :ivar origins: web origins besides our own whose pages may use it, such as https://shop.example; "*" is any. Behind a
        proxy that ends TLS our own https origin belongs here.
    :ivar server_header: the value of the Server header; none if empty.
    :ivar max_head: a request's head.
    :ivar head_s: within this time a request's head must have come.
    :ivar idle_s: how long an HTTP/1.1 connection is kept without a request.
    :ivar http2_idle_s: how long an HTTP/2 connection is kept without a stream.
    :ivar ping_s: an HTTP/2 client that says nothing for so long is asked whether it is there.
    :ivar stalled_s: a client that takes nothing of its response for so long is cut off (in HTTP/2 that stream alone).
    :ivar body_rate: a request's body must come at this many bytes per second, judged every ten seconds.
    :ivar in_flight_bytes: request bodies that one connection may make us hold, and responses that an HTTP/2 connection may
        leave untaken; more are refused.
    :ivar unsent_bytes: of an HTTP/1.1 connection that has left so much unread, nothing more is read.
    :ivar max_streams: requests at a time on one HTTP/2 connection.
    :ivar max_frame: a WebSocket frame. :ivar max_message: a WebSocket message, inflated.
    :ivar websocket_ping_s: every so often a WebSocket client is asked whether it is there.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    server_header: str = ""
    max_head: int = 32 * 1024
    head_s: float = 10.0
    idle_s: float = 75.0
    http2_idle_s: float = 300.0
    ping_s: float = 60.0
    stalled_s: float = 30.0
    body_rate: int = 1024
    in_flight_bytes: int = 32 * 1024 * 1024
    unsent_bytes: int = 1024 * 1024
    max_streams: int = 256
    max_frame: int = 6 * 1024 * 1024
    max_message: int = 6 * 1024 * 1024
    websocket_ping_s: float = 30.0

    def __post_init__(self) -> None:
        for field in (
            "max_head", "head_s", "idle_s", "http2_idle_s", "ping_s", "stalled_s", "in_flight_bytes", "unsent_bytes",
            "max_streams", "max_frame", "max_message", "websocket_ping_s",
        ):  # fmt: skip
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected more than 0, got {getattr(self, field)}")
        if self.body_rate < 0:
            raise ValueError(f"body_rate: expected 0 or more, got {self.body_rate}")
        for origin in self.origins:
            if origin not in ("*", "null") and ("://" not in origin or origin.count("/") != 2):
                raise ValueError(f"origins: expected scheme://host or scheme://host:port, got {origin!r}")
        if any(ord(character) < 32 or ord(character) > 126 for character in self.server_header):
            raise ValueError("server_header: expected printable ASCII")
