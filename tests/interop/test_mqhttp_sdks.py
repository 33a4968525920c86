"""The SDKs of the MQ HTTP wire, unchanged, in four languages: each scenario of each driver is one test.

The four drivers run beside each other: most of their time is waiting (for a first check, which is at least 10 s after its
publish, and for a handle to expire).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.interop.drivers import Driver
from tests.interop.gateway import Gateway
from tests.interop.mqhttp.build import command, lacking

SDKS = ("python", "node", "java", "go")
SCENARIOS = (
    "publish_consume_ack",
    "many",
    "chinese_text",
    "properties",
    "tag_filter",
    "delay",
    "ordered",
    "ordered_waits_for_ack",
    "instance",
    "no_message",
    "unknown_topic",
    "expired_handle",
    "transaction_commit",
    "transaction_rollback",
    "transaction_half",
)
#: Short, so that a test can see a handle expire; long enough for whoever acknowledges on a busy machine.
INVISIBLE_SECONDS = "5"
_SETTING = "RMQGATEWAY_FRONT_ENDS__MQHTTP__INVISIBLE_SECONDS"

DriverOf = Callable[[str], Driver]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("mqhttp-server"))
    before = os.environ.get(_SETTING)
    os.environ[_SETTING] = INVISIBLE_SECONDS
    try:
        made.start()
    finally:
        if before is None:
            del os.environ[_SETTING]
        else:
            os.environ[_SETTING] = before
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def driver_of(gateway: Gateway, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverOf]:
    """All that can run are started with the first test; the others say why they are not."""
    started: dict[str, Driver] = {}
    try:
        for sdk in SDKS:
            if lacking(sdk) is None:
                arguments = [*command(sdk), gateway.address, "all", f"{prefix}_{sdk}"]
                started[sdk] = Driver(f"mqhttp-{sdk}", arguments, tmp_path_factory.mktemp(sdk), seconds=150)

        def of(sdk: str) -> Driver:
            if sdk not in started:
                pytest.skip(lacking(sdk) or "")
            return started[sdk]

        yield of
    finally:
        for driver in started.values():
            driver.stop()


@pytest.mark.gateway_only
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("sdk", SDKS)
def test_mqhttp_sdk(sdk: str, scenario: str, driver_of: DriverOf, gateway: Gateway) -> None:
    driver_of(sdk).judge(scenario, gateway.output())


@pytest.mark.gateway_only
@pytest.mark.parametrize("sdk", SDKS)
def test_every_scenario_is_run(sdk: str, driver_of: DriverOf) -> None:
    """The driver's own list and the one above are the same."""
    driver_of(sdk)
    listed = subprocess.run(
        [*command(sdk), "none", "list", "none"], capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(listed.stdout.split()) == sorted(SCENARIOS)
