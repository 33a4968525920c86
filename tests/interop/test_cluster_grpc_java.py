"""The official Java client of gRPC before a real broker: the scenarios that it passes before the embedded one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.serving import started
from tests.interop.test_grpc_java import VERSION
from tests.interop.toolchain import java

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]

#: Scenario -> which messages its topic takes.
SCENARIOS = {
    "retry_and_dead_letter": "NORMAL",
    "transaction_orphan": "TRANSACTION",
    "redelivery": "NORMAL",
    "normal": "NORMAL",
    "properties": "NORMAL",
    "fifo_send": "FIFO",
    "delay": "DELAY",
    "recall": "DELAY",
    "transaction_commit": "TRANSACTION",
    "transaction_rollback": "TRANSACTION",
    "simple_consumer": "NORMAL",
    "change_invisible": "NORMAL",
    "push_consumer": "NORMAL",
    "push_retry": "NORMAL",
    "push_fifo": "FIFO",
    "filter_tag": "NORMAL",
    "filter_sql92": "NORMAL",
    "body_of_4_mb": "NORMAL",
    "async_send": "NORMAL",
    "priority": "PRIORITY",
    "lite_push": "LITE",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(Cluster(tmp_path_factory.mktemp("cluster_grpc_java"))) as made:
        yield made


@pytest.fixture(scope="module")
def driver(cluster: Cluster, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    directory = tmp_path_factory.mktemp("java_grpc_cluster")
    unique = f"{prefix}_cljava"
    for scenario, kind in SCENARIOS.items():
        cluster.create_topic(f"{unique}_{scenario}", kind)
    broker = cluster.apache.broker_address
    # A real broker takes 3 s more for each attempt: by the ladder the last would come too late for the scenario.
    create_group(broker, f"{unique}_retry_and_dead_letter_group", retries=3, exponential=True)
    create_group(broker, f"{unique}_push_fifo_group", orderly=True)
    create_group(broker, f"{unique}_lite_push_group", attributes={"+lite.bind.topic": f"{unique}_lite_push"})
    jvm = java("grpc", VERSION, directory)
    command = [*jvm, "GrpcScenarios", cluster.gateway.address, ",".join(SCENARIOS), unique, "tls"]
    started = Driver("java-grpc-cluster", command, directory, seconds=200)
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_java_grpc_client(scenario: str, driver: Driver, cluster: Cluster) -> None:
    driver.judge(scenario, cluster.output())
