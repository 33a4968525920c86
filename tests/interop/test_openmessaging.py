"""OpenMessaging's Java client (openmessaging-api 0.3, RocketMQ's implementation of it) over Remoting."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.toolchain import REBALANCING, classpath

pytestmark = pytest.mark.needs("java", "mvn")
#: The last RocketMQ whose implementation of OpenMessaging is in Maven's central repository.
VERSION = "4.9.4"


@pytest.fixture(scope="module")
def driver(server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    directory = tmp_path_factory.mktemp("openmessaging")
    options = [
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Duser.home={directory}",
        f"-Drocketmq.client.logRoot={directory}",
        *REBALANCING,
    ]
    program = ["-cp", classpath("openmessaging", VERSION), "OpenMessagingScenarios", server.address, prefix]
    # Without this the address of the access point is not that of a name server.
    environment = {**os.environ, "OMS_RMQ_DIRECT_NAME_SRV": "true"}
    started = Driver("openmessaging", ["java", *options, *program], directory, 240, environment)
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("scenario", ["produce", "push", "redelivery", "pull"])
def test_openmessaging(scenario: str, driver: Driver, server: Server) -> None:
    driver.judge(scenario, server.output())
