"""What the matrix is made of: front-ends, kinds of messages, and what cannot be said."""

from __future__ import annotations

from tests.contract.driver import Driver
from tests.contract.driver_grpc import GrpcDriver, GrpcWebDriver
from tests.contract.driver_http import HttpDriver
from tests.contract.driver_mqhttp import MqHttpDriver
from tests.contract.driver_remoting import RemotingDriver
from tests.contract.driver_websocket import WebSocketDriver

__all__ = ["FRONT_ENDS", "KINDS", "REFUSALS", "TITLES"]

FRONT_ENDS: dict[str, type[Driver]] = {
    driver.name: driver
    for driver in (RemotingDriver, GrpcDriver, GrpcWebDriver, HttpDriver, MqHttpDriver, WebSocketDriver)
}

#: As people call them.
TITLES = {
    "remoting": "Remoting",
    "grpc": "gRPC",
    "grpcweb": "gRPC-web",
    "http": "HTTP",
    "mqhttp": "ApsaraMQ HTTP",
    "websocket": "WebSocket",
}

KINDS = ("normal", "fifo", "delay", "transactional", "priority", "lite")

#: What a front-end has no words for, by (entry, kind), and the text by which it refuses that.
REFUSALS: dict[tuple[str, str], str] = {
    ("mqhttp", "priority"): "the property _SYS_MSG_PRIORITY_ is RocketMQ's own, a user cannot set it",
    ("mqhttp", "lite"): "the property __LITE_TOPIC is RocketMQ's own, a user cannot set it",
}
