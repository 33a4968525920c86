"""What RocketMQ promises beyond sending and consuming, to the official Java clients over Remoting and the local backend."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.drivers import Driver, java_driver
from tests.interop.gateway import Gateway
from tests.interop.mqadmin import Admin
from tests.interop.mqadmin_scene import fine
from tests.interop.scenario_runs import running
from tests.interop.serving import started

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]

SCENARIOS = (
    "transaction_ends",
    "check_back",
    "check_back_of_another",
    "delay_levels",
    "timers",
    "sql_filter",
    "request_reply",
    "pop_consumer",
)
VERSIONS = ("5.5.0", "4.9.8")
#: Clients 4.x have neither timers nor pop.
ONLY_5 = ("timers", "pop_consumer")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    soon = {"local.transaction_check_s": 1, "local.transaction_interval_s": 1}
    options = tuple(word for name, value in soon.items() for word in ("--set", f"{name}={value}"))
    with started(Gateway(tmp_path_factory.mktemp("promises"), options)) as made:
        yield made


@pytest.fixture(scope="module")
def drivers(
    gateway: Gateway, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Driver]]:
    directory = tmp_path_factory.mktemp("promised")
    _set_pop_mode(gateway, f"{prefix}_promised_550", tmp_path_factory.mktemp("mqadmin"))
    with running() as made:
        for version in VERSIONS:
            names = [name for name in SCENARIOS if version != "4.9.8" or name not in ONLY_5]
            unique = f"{prefix}_promised_{version.replace('.', '')}"
            label = f"promises-{version}"
            made[version] = java_driver(label, version, gateway.address, ",".join(names), unique, directory)
        yield made


def _set_pop_mode(gateway: Gateway, prefix: str, directory: Path) -> None:
    """A group pops, whatever its members would do, once an administrator says so."""
    topic, group = f"{prefix}_pop_consumer", f"{prefix}_group_pop_consumer"
    admin = Admin(gateway.address, directory)
    try:
        fine(admin.run("updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "4", "-w", "4"))
        fine(admin.run("updateSubGroup", "-c", "DefaultCluster", "-g", group))
        mode = ("-t", topic, "-g", group, "-m", "POP", "-q", "4")
        assert "success" in admin.run("setConsumeMode", "-c", "DefaultCluster", *mode).out
    finally:
        admin.stop()


@pytest.mark.parametrize(
    ("version", "scenario"),
    [(version, name) for version in VERSIONS for name in SCENARIOS if version != "4.9.8" or name not in ONLY_5],
)
def test_java_client(version: str, scenario: str, drivers: dict[str, Driver], gateway: Gateway) -> None:
    drivers[version].judge(scenario, gateway.output())


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)")
@pytest.mark.parametrize("version", VERSIONS)
def test_java_consumers_and_an_event_stream_broadcast_in_one_group(
    version: str, gateway: Gateway, prefix: str, tmp_path: Path
) -> None:
    """Two of the official client's, and curl: each gets all of what a Java producer sends."""
    unique = f"{prefix}_together_{version.replace('.', '')}"
    topic, group = f"{unique}_broadcasting", f"{unique}_group_broadcasting"
    url = f"http://{gateway.address}/v1/topics/{topic}/groups/{group}/stream?broadcast=true"
    with subprocess.Popen(["curl", "-sSN", "--max-time", "60", url], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        driver = java_driver(f"together-{version}", version, gateway.address, "broadcasting", unique, tmp_path)
        try:
            bodies: list[str] = []
            for line in curl.stdout:
                if line.startswith("data: "):
                    bodies.append(json.loads(line[6:])["body"])
                if len(bodies) == 41:
                    break
            driver.judge("broadcasting", gateway.output())
        finally:
            driver.stop()
            curl.terminate()
    # The first makes the topic.
    assert sorted(bodies[1:]) == sorted(f"broadcast-{number}" for number in range(40))
