"""The official Python client of gRPC before a real broker: the scenarios that it passes before the embedded one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.test_grpc_python import HERE, _interpreter
from tests.interop.toolchain import missing

_reason = missing("java", "mvn")
pytestmark = [pytest.mark.gateway_only, pytest.mark.skipif(_reason is not None, reason=str(_reason))]

#: Scenario -> which messages its topic takes. Not among them: lite_simple, which wants nothing more of a lite topic that it
#: has just unsubscribed from; a real broker delivers what it had noted for the client by then.
SCENARIOS = {
    "transaction_orphan": "TRANSACTION",
    "push_fifo": "FIFO",
    "push": "NORMAL",
    "recall": "DELAY",
    "transaction": "TRANSACTION",
    "normal": "NORMAL",
    "properties": "NORMAL",
    "fifo": "FIFO",
    "delay": "DELAY",
    "change_invisible": "NORMAL",
    "filter_tag": "NORMAL",
    "filter_sql92": "NORMAL",
    "priority": "PRIORITY",
    "lite_push": "LITE",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster_grpc"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def driver(cluster: Cluster, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    python = _interpreter()
    directory = tmp_path_factory.mktemp("python_grpc_cluster")
    unique = f"{prefix}_clgrpc"
    for scenario, kind in SCENARIOS.items():
        cluster.create_topic(f"{unique}_{scenario}", kind)
    create_group(cluster.apache.broker_address, f"{unique}_push_fifo_group", orderly=True)
    attributes = {"+lite.bind.topic": f"{unique}_lite_push"}
    create_group(cluster.apache.broker_address, f"{unique}_lite_push_group", orderly=True, attributes=attributes)
    create_group(cluster.apache.broker_address, f"{unique}_fifo_group", orderly=True)
    script = str(HERE / "python" / "scenarios.py")
    command = [str(python), script, cluster.gateway.address, ",".join(SCENARIOS), unique, "plain"]
    started = Driver("python-grpc-cluster", command, directory, 180, {**os.environ, "HOME": str(directory)})
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_python_client(scenario: str, driver: Driver, cluster: Cluster) -> None:
    driver.judge(scenario, cluster.output())
