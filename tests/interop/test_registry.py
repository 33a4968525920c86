"""Real brokers that register with the gateway, and no Java name server at all: Java client and mqadmin in front of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.interop.apache import _free_ports
from tests.interop.brokers import BrokerCluster, ClusterGateway
from tests.interop.drivers import java_driver
from tests.interop.mqadmin import Admin
from tests.interop.mqadmin_scene import fine

pytestmark = pytest.mark.needs("java", "mvn")

BROKERS = (("broker-a", 0), ("broker-a", 1))
SCENARIOS = ("sync_send", "push_concurrent", "push_orderly", "request_reply", "view_and_query_message")


class Small:
    """A gateway that is the name server of a master and its slave."""

    def __init__(self, gateway: ClusterGateway, brokers: BrokerCluster, registry: str) -> None:
        self.gateway = gateway
        self.brokers = brokers
        self.registry = registry


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    first = _free_ports(1 + 4 * len(BROKERS))
    ports = {broker: first + 1 + 4 * place for place, broker in enumerate(BROKERS)}
    endpoint = f"registry.endpoint=tcp:{first}:interface=127.0.0.1"
    directory = tmp_path_factory.mktemp("registry")
    gateway = ClusterGateway(
        directory, "", ports, ("--set", endpoint, "--set", f"registry.kv_file={directory}/kv.json")
    )
    brokers = BrokerCluster(
        tmp_path_factory.mktemp("registered"), brokers=BROKERS, name_server=f"127.0.0.1:{first}"
    )
    gateway.start()
    try:
        brokers.start()
        gateway.await_brokers(len(BROKERS))
        yield Small(gateway, brokers, f"127.0.0.1:{first}")
    finally:
        brokers.stop()
        gateway.stop()


@pytest.fixture(scope="module")
def admin(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    made = Admin(small.gateway.address, tmp_path_factory.mktemp("mqadmin"))
    try:
        yield made
    finally:
        made.stop()


def test_java_client(small: Small, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("registry-java")
    driver = java_driver(
        "registry", "5.5.0", small.gateway.address, ",".join(SCENARIOS), f"{prefix}_reg", directory
    )
    try:
        for scenario in SCENARIOS:
            driver.judge(scenario, small.gateway.output())
    finally:
        driver.stop()


def test_mqadmin_shows_master_and_slave(small: Small, admin: Admin) -> None:
    rows = fine(admin.run("clusterList")).lines
    told = {(row[1], int(row[2])): row[3] for row in rows}
    assert told == {broker: f"127.0.0.1:{port}" for broker, port in small.gateway.ports.items()}


def test_the_slave_found_its_master_by_the_gateway(small: Small, admin: Admin) -> None:
    """Replication runs: the address of the master came in the answer to the slave's registration."""
    address = f"127.0.0.1:{small.gateway.ports['broker-a', 0]}"
    in_sync = re.compile(r"#SlaveNum\s+1\n")
    printed = admin.until(
        lambda each: in_sync.search(each.out) is not None, "haStatus", "-b", address, seconds=60
    )
    assert in_sync.search(printed.out), printed


def test_topics_and_key_values(small: Small, admin: Admin, prefix: str) -> None:
    topic = f"{prefix}_kept"
    assert (
        "success"
        in admin.run(
            "updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "4", "-w", "4", "-o", "true"
        ).out
    )
    admin.until(lambda each: topic in each.out, "topicList")
    admin.run("updateOrderConf", "-t", topic, "-v", "broker-a:4", "-m", "put")
    assert "broker-a:4" in admin.run("updateOrderConf", "-t", topic, "-m", "get").out
    fine(admin.run("wipeWritePerm", "-b", "broker-a"))
    assert '"perm":4' in admin.run("topicRoute", "-t", topic).out.replace(" ", "")
    fine(admin.run("addWritePerm", "-b", "broker-a"))
    assert '"perm":6' in admin.run("topicRoute", "-t", topic).out.replace(" ", "")
    admin.run("deleteTopic", "-c", "DefaultCluster", "-t", topic)
    gone = admin.until(lambda each: topic not in each.out, "topicList")
    assert topic not in gone.out


def test_a_broker_that_dies_leaves(small: Small, admin: Admin) -> None:
    """Killed without a word: its connection ends, and it is gone from the list. Last of this file."""
    slave = small.brokers._processes.pop()
    slave.kill()
    slave.wait(timeout=20)
    deadline = time.monotonic() + 20
    rows = admin.run("clusterList").lines
    while len(rows) > 1 and time.monotonic() < deadline:
        time.sleep(0.5)
        rows = admin.run("clusterList").lines
    assert [(row[1], row[2]) for row in rows] == [("broker-a", "0")]
