"""The rows of HTTP, Server-Sent Events and WebSockets, beside nginx with nchan.

nchan (Debian's libnginx-mod-nchan) is what one would take who wants to publish by HTTP and to be told by Server-Sent Events or a
WebSocket, and needs nothing else: it is C, holds messages in memory and stores none, and knows no acknowledgement, no consumer
group and no second delivery. So no budget compares with it; it stands beside.
"""

from __future__ import annotations

from bench.rows import GATEWAY, Instance, Load, Part, Row

__all__ = ["PARTS"]

NCHAN = "nginx with nchan"


def _load(mode: str, connections: int, **options: int | str) -> Load:
    return Load(mode, (("connections", connections), *options.items()), "http")


def _row(name: str, load: Load, cpu: float | None, beside: bool = False) -> Row:
    theirs = Load(load.mode, (*load.options, ("server", "nchan")), load.program)
    return Row(
        name,
        load,
        budgets=(("cpu", cpu),) if cpu is not None else (),
        only=() if beside else (GATEWAY,),
        loads=((NCHAN, theirs),) if beside else (),
    )


# So much that no reader comes to its end within a window.
FILL = _load("send", 16, topic="backlog", count=60_000)
HTTP = Part(
    "http",
    (Instance(GATEWAY, prepare=(FILL,)), Instance(NCHAN, "nchan")),
    (
        _row("HTTP send, 1 connection", _load("send", 1), None, beside=True),
        _row("HTTP send, 16 connections", _load("send", 16), 35, beside=True),
        _row("HTTP send, 64 connections", _load("send", 64), 35, beside=True),
        _row("HTTPS send, 1 connection", _load("send", 1, tls=1), None),
        _row("HTTPS send, 64 connections", _load("send", 64, tls=1), 35 + 40),
        _row("HTTP receive and ack, batches of 32", _load("receive", 4, topic="backlog"), 35),
        _row("SSE delivery, 4 streams", _load("stream", 4, topic="backlog"), 20),
        _row("WebSocket send 8×16, JSON", _load("ws-send", 8, in_flight=16), 50),
        _row("WebSocket send 8×16, MessagePack", _load("ws-send", 8, in_flight=16, binary=1), 50),
        _row("WebSocket delivery and ack, JSON", _load("ws-deliver", 4, topic="backlog"), 50),
        _row("WebSocket delivery and ack, MessagePack", _load("ws-deliver", 4, topic="backlog", binary=1), 50),
    ),
)
IDLE = Part(
    "http idle",
    (Instance(GATEWAY), Instance(NCHAN, "nchan")),
    (
        Row(
            "idle WebSockets, 2,000",
            _load("idle", 2000),
            "idle",
            (("connection_kb", 10),),
            loads=((NCHAN, _load("idle", 2000, server="nchan")),),
        ),
    ),
    fresh=True,
)
# Every stream listens to one of 100 topics, so that each message goes to 100 streams: as to members of a group that broadcasts,
# or as to a hundred groups, each of which acknowledges it.
_FANOUT = {"topics": 100, "rate": 10_000}
STREAMS = Part(
    "http streams",
    (
        Instance(GATEWAY, settings=(("limits.sessions", "30000"), ("listening.connections", "15000"))),
        Instance(NCHAN, "nchan"),
    ),
    (
        Row(
            "10,000 SSE streams that broadcast, 10,000 messages/s together",
            _load("fanout", 10_000, broadcast=1, **_FANOUT),
            budgets=(("p99", 200),),
            loads=((NCHAN, _load("fanout", 10_000, server="nchan", **_FANOUT)),),
        ),
        Row(
            "10,000 SSE streams, each a group, 10,000 messages/s together",
            _load("fanout", 10_000, **_FANOUT),
            budgets=(("p99", 200),),
            loads=((NCHAN, _load("fanout", 10_000, server="nchan", **_FANOUT)),),
        ),
    ),
)
PARTS = (HTTP, IDLE, STREAMS)
