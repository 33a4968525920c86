"""The official Java gRPC client, unchanged, over TLS as it defaults to it and without: each scenario is one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.scenario_runs import each_of, running
from tests.interop.toolchain import java

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]

VERSION = "5.2.0"
SCENARIOS = (
    "retry_and_dead_letter",
    "namespaces",
    "namespaces_dead_letter",
    "transaction_orphan",
    "redelivery",
    "normal",
    "properties",
    "fifo_send",
    "delay",
    "recall",
    "transaction_commit",
    "transaction_rollback",
    "simple_consumer",
    "change_invisible",
    "push_consumer",
    "push_retry",
    "push_fifo",
    "filter_tag",
    "filter_sql92",
    "body_of_4_mb",
    "async_send",
    "bad_topic",
    "priority",
    "lite_push",
    "lite_fifo",
    "lite_quota",
    "lite_exclusive",
)
#: Once more without TLS.
PLAIN = ("normal", "push_consumer", "transaction_commit", "body_of_4_mb", "lite_push")
RUNS = {"tls": SCENARIOS, "plain": PLAIN}


def _driver(run: str, server: Server, prefix: str, directory: Path) -> Driver:
    unique = f"{prefix}_grpc_{run}"
    create_group(server.address, f"{unique}_retry_and_dead_letter_group", retries=3)
    create_group(server.address, f"one%{unique}_namespaces_dead_letter_group", retries=1, exponential=True)
    create_group(server.address, f"{unique}_push_fifo_group", orderly=True)
    create_group(server.address, f"{unique}_lite_fifo_group", orderly=True)
    create_group(server.address, f"{unique}_lite_quota_group", attributes={"+lite.sub.client.quota": "1"})
    create_group(server.address, f"{unique}_lite_exclusive_group", attributes={"+lite.sub.model": "Exclusive"})
    jvm = java("grpc", VERSION, directory)
    command = [*jvm, "GrpcScenarios", server.address, ",".join(RUNS[run]), unique, run]
    return Driver(f"java-grpc-{run}", command, directory, seconds=150)


@pytest.fixture(scope="module")
def drivers(
    server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    directory = tmp_path_factory.mktemp("java_grpc")
    with running() as started:
        for run in RUNS:
            started[run] = _driver(run, server, prefix, directory)
        yield started


@each_of(RUNS)
def test_java_grpc_client(run: str, scenario: str, drivers: dict[str, Driver], server: Server) -> None:
    drivers[run].judge(scenario, server.output())
