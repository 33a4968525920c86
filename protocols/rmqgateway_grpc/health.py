"""``grpc.health.v1.Health``: whether this gateway, or one of its services, takes calls."""

from __future__ import annotations

from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.apis.service import ADMIN_SERVICE, MESSAGING_SERVICE
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway_grpc.descriptors import HEALTH, classes_of

__all__ = ["health_methods"]

_SERVED = frozenset({"", MESSAGING_SERVICE, ADMIN_SERVICE, "grpc.health.v1.Health"})
_classes = classes_of(HEALTH)
_Request, _Response = _classes["HealthCheckRequest"], _classes["HealthCheckResponse"]
_SERVING, _SERVICE_UNKNOWN = 1, 3


def _check(rpc: Rpc, data: bytes) -> bytes | None:
    name = _Request.FromString(data).service
    if name not in _SERVED:
        rpc.close(GrpcStatus.NOT_FOUND, f"unknown service {name[:200]}")
        return None
    answer: bytes = _Response(status=_SERVING).SerializeToString()
    return answer


def _watch(rpc: Rpc, data: bytes) -> None:
    """The stream stays open: its end, when the gateway goes, is what tells."""
    name = _Request.FromString(data).service
    rpc.write(_Response(status=_SERVING if name in _SERVED else _SERVICE_UNKNOWN).SerializeToString())


def health_methods() -> dict[str, Method]:
    """By path."""
    return {
        "/grpc.health.v1.Health/Check": Method("Check", _check, lambda _: b"", anonymous=True),
        "/grpc.health.v1.Health/Watch": Method("Watch", _watch, lambda _: b"", streams=True, anonymous=True),
    }
