"""The official Node client, unchanged, without TLS (it cannot be told to trust a certificate): each scenario is one test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.toolchain import node_modules

pytestmark = [
    pytest.mark.gateway_only,
    pytest.mark.skipif(
        shutil.which("node") is None or shutil.which("npm") is None,
        reason="node is not installed (apt-get install nodejs npm)",
    ),
]

HERE = Path(__file__).resolve().parent / "node_grpc"
SCENARIOS = (
    "normal",
    "fifo",
    "delay",
    "transaction",
    "transaction_orphan",
    "change_invisible",
    "push",
    "filter_tag",
    "filter_sql92",
    "recall",
    "priority",
    "lite_push",
)


@pytest.fixture(scope="module")
def driver(server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    modules = node_modules(HERE)
    directory = tmp_path_factory.mktemp("node_grpc")
    command = [
        "node", str(HERE / "scenarios.js"), server.address, ",".join(SCENARIOS), f"{prefix}_nodegrpc",
    ]  # fmt: skip
    # It knows no other policy: with the default one it forwards a message that failed once to the dead-letter queue.
    create_group(server.address, f"{prefix}_nodegrpc_lite_push_group", exponential=True)
    environment = {**os.environ, "HOME": str(directory), "NODE_PATH": str(modules)}
    started = Driver("node-grpc", command, directory, 100, environment)
    yield started
    started.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_node_client(scenario: str, driver: Driver, server: Server) -> None:
    driver.judge(scenario, server.output())
