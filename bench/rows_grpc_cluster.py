"""The rows of gRPC before a real broker, beside Apache's proxy in cluster mode before the same one.

CPU is that of the process between, not the broker's. The broker itself is loaded over Remoting with as many sends in flight.
"""

from __future__ import annotations

from bench.rows import Against, Instance, Load, Part, Row

__all__ = ["PARTS"]

DIRECT, GATEWAY, PROXY = "Apache broker, Remoting", "gateway, cluster", "Apache proxy, cluster mode"


def _load(mode: str, connections: int, in_flight: int = 1, **options: int | str) -> Load:
    return Load(mode, (("connections", connections), ("in_flight", in_flight), *options.items()), "grpc")


def _direct(connections: int, in_flight: int) -> Load:
    return Load("send", (("connections", connections), ("in_flight", in_flight), ("topic", "direct_")))


def _send(connections: int, in_flight: int, cpu: float | None) -> Row:
    calls = connections * in_flight
    return Row(
        f"gRPC send before a cluster, {calls} calls ({connections}×{in_flight})",
        _load("send", connections, in_flight),
        budgets=(("cpu", cpu),) if cpu is not None else (),
        against=(Against(PROXY, "cpu", 1 / 2), Against(PROXY, "rate", 1.0), Against(PROXY, "p99", 1.0)),
        subject=GATEWAY,
        loads=((DIRECT, _direct(connections, in_flight)),),
    )


BROKER = (("flushDiskType", "ASYNC_FLUSH"), ("enableMixedMessageType", "true"))
CLUSTER = Part(
    "grpc cluster",
    (
        Instance(DIRECT, "apache", BROKER, prepare=(Load("create", (("connections", 1), ("topic", "direct_"))),)),
        Instance(GATEWAY, "passthrough", prepare=(_load("create", 1),)),
        Instance(PROXY, "clusterproxy"),
    ),
    # The largest first: it compiles the proxy's gRPC, which the warm-up over Remoting does not.
    (_send(4, 64, 40), _send(4, 16, None), _send(1, 16, 60), _send(1, 1, None)),
    warm_up=(_direct(8, 8),),
)
PARTS = (CLUSTER,)
