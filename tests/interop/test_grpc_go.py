"""The official Go gRPC client, unchanged: each scenario is one test."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.toolchain import BUILD, tail

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


def _program() -> Path:
    """The driver, built once for its content."""
    target = BUILD / "go-grpc"
    target.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HERE.iterdir()))).hexdigest()
    program = target / f"scenarios-{digest[:16]}"
    with (target / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not program.exists():
            done = subprocess.run(
                ["go", "build", "-o", str(program), "."], cwd=HERE, capture_output=True, text=True, timeout=300
            )
            if done.returncode != 0:
                pytest.fail(f"go build: {tail(done.stdout + done.stderr)}", pytrace=False)
    return program


@pytest.fixture(scope="module")
def drivers(
    server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    program = _program()
    directory = tmp_path_factory.mktemp("go_grpc")
    started: dict[str, Driver] = {}
    try:
        for run, names in RUNS.items():
            unique = f"{prefix}_gogrpc_{run}"
            create_group(server.address, f"{unique}_push_fifo_group", orderly=True)
            command = [str(program), server.address, ",".join(names), unique, run]
            # Its logs go below the home directory.
            environment = {**os.environ, "HOME": str(directory), "rocketmq.client.logRoot": str(directory)}
            started[run] = Driver(f"go-grpc-{run}", command, directory, 120, environment)
        yield started
    finally:
        for driver in started.values():
            driver.stop()


@pytest.mark.parametrize(
    ("run", "scenario"), [(run, scenario) for run, names in RUNS.items() for scenario in names]
)
def test_go_client(run: str, scenario: str, drivers: dict[str, Driver], server: Server) -> None:
    drivers[run].judge(scenario, server.output())
