"""The official Python client, unchanged, in a virtual environment of its own: each scenario is one test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.scenario_runs import each_of, running
from tests.interop.toolchain import python_with

pytestmark = pytest.mark.gateway_only

VERSION = "5.1.2"
HERE = Path(__file__).resolve().parent
SCENARIOS = (
    "transaction_orphan",
    "push_fifo",
    "push",
    "recall",
    "transaction",
    "normal",
    "properties",
    "fifo",
    "delay",
    "change_invisible",
    "filter_tag",
    "filter_sql92",
    "priority",
    "lite_push",
    "lite_simple",
)
#: Once more over TLS.
TLS = ("normal", "push")
RUNS = {"plain": SCENARIOS, "tls": TLS}


def _interpreter() -> Path:
    """A Python that has the client."""
    return python_with(f"rocketmq-python-client=={VERSION}")


@pytest.fixture(scope="module")
def drivers(
    server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    python = _interpreter()
    directory = tmp_path_factory.mktemp("python_grpc")
    with running() as started:
        for run, names in RUNS.items():
            unique = f"{prefix}_pygrpc_{run}"
            create_group(server.address, f"{unique}_push_fifo_group", orderly=True)
            environment = {**os.environ, "HOME": str(directory)}
            if run == "tls":
                # The client verifies: it is given the certificate that the gateway made for loopback.
                certificate = server.directory / "data" / "tls" / "certificate.pem"
                environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(certificate)
            script = str(HERE / "python" / "scenarios.py")
            command = [str(python), script, server.address, ",".join(names), unique, run]
            started[run] = Driver(f"python-grpc-{run}", command, directory, 120, environment)
        yield started


@each_of(RUNS)
def test_python_client(run: str, scenario: str, drivers: dict[str, Driver], server: Server) -> None:
    drivers[run].judge(scenario, server.output())
