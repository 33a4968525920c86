"""The rows of the Remoting passthrough: the same broker reached directly, through the gateway, and through Apache's proxy.

CPU is that of the process between, not the broker's. The first row also tells how much later an answer comes.
"""

from __future__ import annotations

from bench.rows import Against, Instance, Load, Part, Row

__all__ = ["PARTS"]

DIRECT, GATEWAY, PROXY = "Apache broker, direct", "gateway, passthrough", "Apache proxy, cluster mode"


def _load(mode: str, connections: int, in_flight: int, **options: int | str) -> Load:
    return Load(mode, (("connections", connections), ("in_flight", in_flight), *options.items()))


def _send(connections: int, in_flight: int, cpu: float | None, **more: int | str) -> Row:
    return Row(
        f"passthrough send {connections}×{in_flight}",
        _load("send", connections, in_flight, topic="pass_", **more),
        budgets=(("cpu", cpu),) if cpu is not None else (),
        against=(Against(PROXY, "cpu", 1 / 5), Against(PROXY, "rate", 1.0), Against(PROXY, "p99", 1.0)),
        subject=GATEWAY,
    )


CREATE = _load("create", 1, 1, topic="pass_")
PASSTHROUGH = Part(
    "passthrough",
    (
        Instance(DIRECT, "apache", (("flushDiskType", "ASYNC_FLUSH"),), prepare=(CREATE,)),
        Instance(GATEWAY, "passthrough"),
        Instance(PROXY, "clusterproxy"),
    ),
    (_send(1, 1, 30), _send(1, 16, None), _send(4, 64, 10)),
    warm_up=(_load("send", 8, 8, topic="pass_"),),
)
PARTS = (PASSTHROUGH,)
