"""The official Rust client, unchanged, without TLS as it defaults to and with it: each scenario is one test.

What it has (5.0.0): producers (normal, batch, FIFO, delay, transaction) and the simple consumer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.gateway import Gateway
from tests.interop.scenario_runs import each_of, running
from tests.interop.serving import started
from tests.interop.toolchain import BUILD, BuildError, locked
from tests.interop.toolchain import run as run_program

pytestmark = [pytest.mark.needs("cargo"), pytest.mark.gateway_only]

HERE = Path(__file__).resolve().parent / "rust_grpc"
SCENARIOS = (
    "transaction_orphan",
    "redelivery",
    "normal",
    "batch",
    "fifo",
    "delay",
    "transaction",
    "filter_tag",
    "filter_sql92",
    "bad_topic",
)
#: Once more over TLS.
TLS = ("normal", "transaction", "batch")
RUNS = {"plain": SCENARIOS, "tls": TLS}


def _program() -> Path:
    """The driver; cargo itself knows what is built already."""
    target = BUILD / "rust-grpc" / "target"
    target.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    command = ["cargo", "build", "--locked", "-j", "2"]
    with locked(target.parent / "lock"):
        try:
            run_program([*command, "--offline"], HERE, 600, environment)
        except BuildError:
            run_program(command, HERE, 600, environment)
    return target / "debug" / "scenarios"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """This client has TLS for names only, not for addresses: a gateway that tells its clients a name."""
    with started(Gateway(tmp_path_factory.mktemp("named"), ("--set", "advertise=localhost"))) as made:
        yield made


@pytest.fixture(scope="module")
def drivers(
    server: Server, named: Gateway, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    program = _program()
    directory = tmp_path_factory.mktemp("rust_grpc")
    tls_endpoint = f"localhost:{named.address.rpartition(':')[2]}"
    environment = {**os.environ, "SSL_CERT_FILE": str(named.certificate)}
    with running() as started:
        for run, endpoint in (("plain", server.address), ("tls", tls_endpoint)):
            command = [str(program), endpoint, ",".join(RUNS[run]), f"{prefix}_rustgrpc_{run}", run]
            started[run] = Driver(f"rust-grpc-{run}", command, directory, 120, environment)
        yield started


@each_of(RUNS)
def test_rust_client(
    run: str, scenario: str, drivers: dict[str, Driver], server: Server, named: Gateway
) -> None:
    drivers[run].judge(scenario, (named if run == "tls" else server).output())
