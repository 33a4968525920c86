"""The rows of the Remoting passthrough: the same broker reached directly, through the gateway, and through Apache's proxy.

CPU is that of the process between, not the broker's. The first row also tells how much later an answer comes.
"""

from __future__ import annotations

from bench.behind import GuardedPassthrough
from bench.rows import Against, Instance, Load, Part, Row

__all__ = ["PARTS"]

DIRECT, GATEWAY, PROXY = "Apache broker, direct", "gateway, passthrough", "Apache proxy, cluster mode"
USERS = "gateway, passthrough, users"
#: The budgets were set where such a forwarder's prototype took 19 and 4 µs: what it takes here says what they are worth here.
FORWARDER = "bare Twisted forwarder"


def _load(mode: str, connections: int, in_flight: int, **options: int | str) -> Load:
    return Load(mode, (("connections", connections), ("in_flight", in_flight), *options.items()))


def _send(connections: int, in_flight: int, cpu: float | None, bare: float = 0, **more: int | str) -> Row:
    beside = (Against(FORWARDER, "cpu", cpu / bare),) if cpu is not None and bare else ()
    return Row(
        f"passthrough send {connections}×{in_flight}",
        _load("send", connections, in_flight, topic="pass_", **more),
        budgets=(("cpu", cpu),) if cpu is not None else (),
        against=(Against(PROXY, "cpu", 1 / 5), Against(PROXY, "rate", 1.0), Against(PROXY, "p99", 1.0), *beside),
        only=(DIRECT, GATEWAY, FORWARDER, PROXY),
        subject=GATEWAY,
    )


def _signed(connections: int, in_flight: int, cpu: float | None) -> Row:
    """With users at the gateway; beside it the proxy, which checks nothing."""
    signed = {"access_key": GuardedPassthrough.ACCESS_KEY, "secret_key": GuardedPassthrough.SECRET_KEY}
    return Row(
        f"passthrough send {connections}×{in_flight}, signed",
        _load("send", connections, in_flight, topic="pass_"),
        budgets=(("cpu", cpu),) if cpu is not None else (),
        against=(Against(PROXY, "cpu", 1 / 2), Against(PROXY, "rate", 1.0), Against(PROXY, "p99", 1.0)),
        only=(USERS, PROXY),
        loads=((USERS, _load("send", connections, in_flight, topic="pass_", **signed)),),
        subject=USERS,
    )


CREATE = _load("create", 1, 1, topic="pass_")
PASSTHROUGH = Part(
    "passthrough",
    (
        Instance(DIRECT, "apache", (("flushDiskType", "ASYNC_FLUSH"),), prepare=(CREATE,)),
        Instance(GATEWAY, "passthrough"),
        Instance(USERS, "guarded"),
        Instance(FORWARDER, "forwarder"),
        Instance(PROXY, "clusterproxy"),
    ),
    (
        _send(1, 1, 30, bare=19),
        _send(1, 16, None),
        _send(4, 64, 10, bare=4),
        _signed(1, 1, 45),
        _signed(1, 16, None),
        _signed(4, 64, 25),
    ),
    warm_up=(_load("send", 8, 8, topic="pass_"),),
)
PARTS = (PASSTHROUGH,)
