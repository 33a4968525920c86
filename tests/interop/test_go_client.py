"""The official Go client, unchanged: each scenario of the driver is one test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.toolchain import go_program

pytestmark = pytest.mark.needs("go")

SCENARIOS = (
    "retry",
    "dead_letter",
    "offsets_over_restart",
    "push_concurrent",
    "push_orderly",
    "tag_filter",
    "broadcasting",
    "pull_consumer",
    "pull_consumer_poll",
    "sync_send",
    "async_send",
    "one_way",
    "batch",
    "compressed",
    "chinese_text",
)


@pytest.fixture(scope="session")
def driver(server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    directory = tmp_path_factory.mktemp("go")
    # The client writes the offsets of broadcasting below the home directory.
    environment = {**os.environ, "HOME": str(directory)}
    started = Driver(
        "go",
        [str(go_program()), server.address, "all", f"{prefix}_go"],
        directory,
        seconds=150,
        environment=environment,
    )
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_go_client(scenario: str, driver: Driver, server: Server) -> None:
    driver.judge(scenario, server.output())


def test_every_scenario_is_run() -> None:
    """The driver's own list and the one above are the same."""
    command = [str(go_program()), "none", "list", "none"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert set(listed) == set(SCENARIOS)
