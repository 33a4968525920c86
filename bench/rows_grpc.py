"""The rows of gRPC, beside Apache's proxy in local mode: one Go client loads both."""

from __future__ import annotations

from bench.rows import GATEWAY, Against, Instance, Load, Part, Row

__all__ = ["PARTS"]

PROXY = "Apache proxy, local mode"


def _load(mode: str, connections: int, in_flight: int = 1, **options: int | str) -> Load:
    return Load(mode, (("connections", connections), ("in_flight", in_flight), *options.items()), "grpc")


def _send(connections: int, in_flight: int, cpu: float | None, tls: float | None = None) -> Row:
    calls = connections * in_flight
    name = f"gRPC send, {calls} calls ({connections}×{in_flight})"
    if tls is not None:
        return Row(
            f"{name}, TLS",
            _load("send", connections, in_flight, tls=1),
            budgets=(("cpu", (cpu or 0) + tls),),
            against=(Against(PROXY, "cpu", 1 / 2), Against(PROXY, "p99", 1.0)),
        )
    return Row(
        name,
        _load("send", connections, in_flight),
        budgets=(("cpu", cpu),) if cpu is not None else (),
        against=(Against(PROXY, "cpu", 1 / 2), Against(PROXY, "p99", 1.0)),
    )


CREATE = _load("create", 1)
# Topics that the gateway makes by itself take every type of message: so does the one that is measured.
BROKER = (("flushDiskType", "ASYNC_FLUSH"), ("enableMixedMessageType", "true"))
GRPC = Part(
    "grpc",
    (
        Instance(GATEWAY, prepare=(CREATE,)),
        Instance(PROXY, "proxy", BROKER, prepare=(CREATE,)),
    ),
    (
        _send(1, 1, 200),
        _send(1, 16, 60),
        _send(4, 16, None),
        _send(4, 64, 45),
        _send(1, 1, 200, tls=40),
        _send(1, 16, 60, tls=15),
        _send(4, 64, 45, tls=15),
        Row(
            "gRPC receive and ack, batches of 32",
            _load("receive", 1, 8, count=20_000),
            budgets=(("cpu", 25),),
            against=(Against(PROXY, "cpu", 1 / 4), Against(PROXY, "p99", 1.0)),
        ),
    ),
    warm_up=(_load("create", 1), _load("send", 4, 16), _load("receive", 1, 8, count=3000)),
)
IDLE = Part(
    "grpc idle",
    (Instance(GATEWAY, prepare=(CREATE,)),),
    (
        Row(
            "idle gRPC connections, 2,000",
            _load("idle", 2000),
            "idle",
            (("connection_kb", 10),),
        ),
    ),
    fresh=True,
)
PARTS = (GRPC, IDLE)
