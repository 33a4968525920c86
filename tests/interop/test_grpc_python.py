"""The official Python client, unchanged, in a virtual environment of its own: each scenario is one test."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.toolchain import BUILD, tail

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
    """A Python that has the client, made once."""
    target = BUILD / f"python-grpc-{VERSION}"
    target.mkdir(parents=True, exist_ok=True)
    python = target / "venv" / "bin" / "python"
    stamp = target / "built"
    with (target / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not stamp.exists():
            for command in (
                [sys.executable, "-m", "venv", str(target / "venv")],
                [str(python), "-m", "pip", "install", "-q", f"rocketmq-python-client=={VERSION}"],
            ):
                done = subprocess.run(command, capture_output=True, text=True, timeout=240)
                if done.returncode != 0:
                    pytest.fail(f"{' '.join(command)}: {tail(done.stdout + done.stderr)}", pytrace=False)
            stamp.touch()
    return python


@pytest.fixture(scope="module")
def drivers(
    server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    python = _interpreter()
    directory = tmp_path_factory.mktemp("python_grpc")
    started: dict[str, Driver] = {}
    try:
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
    finally:
        for driver in started.values():
            driver.stop()


@pytest.mark.parametrize(
    ("run", "scenario"), [(run, scenario) for run, names in RUNS.items() for scenario in names]
)
def test_python_client(run: str, scenario: str, drivers: dict[str, Driver], server: Server) -> None:
    drivers[run].judge(scenario, server.output())
