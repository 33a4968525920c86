"""The official Go gRPC client, unchanged: each scenario is one test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.scenario_runs import each_of, running
from tests.interop.toolchain import go_program

pytestmark = [pytest.mark.needs("go"), pytest.mark.gateway_only]

HERE = Path(__file__).resolve().parent / "go_grpc"
SCENARIOS = (
    "normal",
    "fifo",
    "delay",
    "transaction",
    "transaction_orphan",
    "change_invisible",
    "push",
    "push_fifo",
    "filter_tag",
    "filter_sql92",
)
#: Once more without TLS.
PLAIN = ("normal", "push")
RUNS = {"tls": SCENARIOS, "plain": PLAIN}


@pytest.fixture(scope="module")
def drivers(
    server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    program = go_program(source=HERE)
    directory = tmp_path_factory.mktemp("go_grpc")
    with running() as started:
        for run, names in RUNS.items():
            unique = f"{prefix}_gogrpc_{run}"
            create_group(server.address, f"{unique}_push_fifo_group", orderly=True)
            command = [str(program), server.address, ",".join(names), unique, run]
            # Its logs go below the home directory.
            environment = {**os.environ, "HOME": str(directory), "rocketmq.client.logRoot": str(directory)}
            started[run] = Driver(f"go-grpc-{run}", command, directory, 120, environment)
        yield started


@each_of(RUNS)
def test_go_client(run: str, scenario: str, drivers: dict[str, Driver], server: Server) -> None:
    drivers[run].judge(scenario, server.output())
