"""Every front-end that joins the suite, and `scenario`, which runs a test through those that can do what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.testing import World
from tests.contract.driver import Driver
from tests.contract.driver_commands import CommandsDriver
from tests.contract.driver_grpc import GrpcDriver, GrpcWebDriver
from tests.contract.driver_http import HttpDriver
from tests.contract.driver_mqhttp import MqHttpDriver
from tests.contract.driver_remoting import RemotingDriver
from tests.contract.driver_stomp import StompDriver
from tests.contract.driver_websocket import WebSocketDriver
from tests.contract.durable_world import DurableWorld

__all__ = ["BACKENDS", "DRIVERS", "SCENARIOS", "scenario"]

#: What the gateway of a scenario stands on, by name; another backend joins by a World of its own.
BACKENDS: dict[str, type[World]] = {"local": World, "durable": DurableWorld}

#: What each scenario needs, by its name.
SCENARIOS: dict[str, tuple[str, ...]] = {}

DRIVERS: list[type[Driver]] = [
    CommandsDriver,
    RemotingDriver,
    GrpcDriver,
    GrpcWebDriver,
    HttpDriver,
    MqHttpDriver,
    WebSocketDriver,
    StompDriver,
]


def scenario(*needs: str, **settings: Any) -> Callable[[Callable[..., None]], Any]:
    """Run a test with a `Stage` for each driver that can do all of `needs`.

    :param settings: of the local backend, where they are not the defaults.
    """
    able = [driver for driver in DRIVERS if all(driver.can(operation) for operation in needs)]
    if not able:
        raise ValueError(f"no driver can do {needs}")
    stages = [
        pytest.param((driver, LocalSettings(**settings), world), id=driver.name if world is World else f"{driver.name}-{name}")
        for name, world in BACKENDS.items()
        for driver in able
    ]
    mark = pytest.mark.parametrize("stage", stages, indirect=True)

    def decorate(test: Callable[..., None]) -> Any:
        SCENARIOS[test.__name__] = needs
        return mark(test)

    return decorate

