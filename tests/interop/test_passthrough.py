"""Official clients and mqadmin before a real cluster of two masters and a slave, through two gateways.

Clients are given the gateways only: that they never connect to anything else is read from the kernel's own tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.interop.apache import _free_ports
from tests.interop.brokers import BROKERS, BrokerCluster, ClusterGateway, remote_ports
from tests.interop.drivers import Driver, java_driver
from tests.interop.mqadmin import Admin
from tests.interop.mqadmin_scene import fine
from tests.interop.serving import started
from tests.interop.toolchain import go_program

pytestmark = pytest.mark.needs("java", "mvn")

#: Alone, before the others: how soon a broker asks again depends on what else it and the machine have to do.
FIRST = ("check_back",)
#: On two masters and a slave. Left out are those that take a queue's number for the whole of its name.
SCENARIOS = (
    "request_reply",
    "all_brokers",
    "async_send",
    "one_way",
    "batch",
    "push_concurrent",
    "push_orderly",
    "push_orderly_two_members",
    "clustering_shared",
    "broadcasting",
    "tag_filter",
    "pull_consumer",
    "lite_pull_subscribe",
    "offsets_over_restart",
    "retry_level_chosen",
    "dead_letter",
    "send_message_back",
    "view_and_query_message",
    "body_of_4_mb",
    "unsupported_code",
    "unknown_topic",
)
VERSIONS = ("5.5.0", "4.9.8")
GO = ("push_concurrent", "tag_filter", "sync_send", "async_send", "batch", "chinese_text", "retry")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerCluster]:
    with started(BrokerCluster(tmp_path_factory.mktemp("cluster"))) as made:
        yield made


@pytest.fixture(scope="module")
def gateways(
    cluster: BrokerCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ClusterGateway, ClusterGateway]]:
    """Two beside each other; on one machine they cannot have the same ports."""
    made: list[ClusterGateway] = []
    try:
        for number in range(2):
            first = _free_ports(4 * len(BROKERS))
            ports = {broker: first + 4 * place for place, broker in enumerate(BROKERS)}
            gateway = ClusterGateway(tmp_path_factory.mktemp(f"gateway{number}"), cluster.address, ports)
            gateway.start()
            made.append(gateway)
            gateway.await_brokers(len(BROKERS))
        yield made[0], made[1]
    finally:
        for gateway in made:
            gateway.stop()


@pytest.fixture(scope="module")
def admins(
    gateways: tuple[ClusterGateway, ClusterGateway], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Admin, Admin]]:
    """mqadmin, once before each gateway."""
    made = [Admin(gateway.address, tmp_path_factory.mktemp("mqadmin")) for gateway in gateways]
    try:
        yield made[0], made[1]
    finally:
        for admin in made:
            admin.stop()


@pytest.fixture(scope="module")
def drivers(
    gateways: tuple[ClusterGateway, ClusterGateway],
    admins: tuple[Admin, Admin],
    prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Driver]]:
    """Each version of the Java client before a gateway of its own."""
    for version in VERSIONS:
        for scenario in ("check_back", "all_brokers"):
            # A topic that a send makes is on one broker only.
            topic = f"{prefix}_pass_{version.replace('.', '')}_{scenario}"
            made_topic = admins[0].run(
                "updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "4", "-w", "4"
            )
            assert "success" in made_topic.out, made_topic
    directory = tmp_path_factory.mktemp("passed")
    made: list[Driver] = []
    by_scenario: dict[str, Driver] = {}
    try:
        for names, left in ((FIRST, 0), (SCENARIOS, 3)):
            for version, gateway in zip(VERSIONS, gateways, strict=True):
                unique = f"{prefix}_pass_{version.replace('.', '')}"
                label = f"pass-{version}-{len(names)}"
                driver = java_driver(label, version, gateway.address, ",".join(names), unique, directory)
                made.append(driver)
                by_scenario.update((f"{version} {name}", driver) for name in names)
                driver.wait(len(names) - left)
        yield by_scenario
    finally:
        for driver in made:
            driver.stop()


@pytest.mark.parametrize("scenario", (*FIRST, *SCENARIOS))
@pytest.mark.parametrize("version", VERSIONS)
def test_java_client(
    version: str, scenario: str, drivers: dict[str, Driver], gateways: tuple[ClusterGateway, ClusterGateway]
) -> None:
    drivers[f"{version} {scenario}"].judge(scenario, gateways[VERSIONS.index(version)].output())


def test_scenarios_met_both_masters(drivers: dict[str, Driver]) -> None:
    for version in VERSIONS:
        for scenario in ("check_back", "all_brokers"):
            result = drivers[f"{version} {scenario}"].result(scenario)
            assert result is not None
            assert result.figures["brokers"] == 2, f"{version} {scenario}"


@pytest.fixture(scope="module")
def go_driver(
    gateways: tuple[ClusterGateway, ClusterGateway], prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    directory = tmp_path_factory.mktemp("passed-go")
    environment = {**os.environ, "HOME": str(directory)}
    command = [str(go_program()), gateways[1].address, ",".join(GO), f"{prefix}_pass_go"]
    started = Driver("pass-go", command, directory, seconds=150, environment=environment)
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.needs("go")
@pytest.mark.parametrize("scenario", GO)
def test_go_client(scenario: str, go_driver: Driver, gateways: tuple[ClusterGateway, ClusterGateway]) -> None:
    go_driver.judge(scenario, gateways[1].output())


class Shown:
    """A topic on both masters with a message on each of its queues, and a consumer that got them."""

    def __init__(self, admins: tuple[Admin, Admin], prefix: str) -> None:
        self.topic, self.group = f"{prefix}_passed", f"{prefix}_passed_group"
        made = admins[0].run("updateTopic", "-c", "DefaultCluster", "-t", self.topic, "-r", "4", "-w", "4")
        assert "success" in made.out, made
        admins[0].until(lambda printed: self.topic in printed.out, "topicList")
        bodies = [f"body-{number}|key-{number}|tag" for number in range(8)]
        produced = admins[0].run("!produce", f"{prefix}_passed_producers", self.topic, *bodies)
        assert len(produced.lines) == 8, produced
        self.sent = [line[:4] for line in produced.lines]
        self.client = admins[0].run("!consume", self.group, self.topic).out.strip()
        admins[0].until(lambda printed: len(printed.lines) == 8, "!received", self.group)


@pytest.fixture(scope="module")
def shown(admins: tuple[Admin, Admin], prefix: str) -> Shown:
    return Shown(admins, prefix)


@pytest.mark.parametrize("which", [0, 1])
def test_cluster_list_shows_our_ports(
    which: int, admins: tuple[Admin, Admin], gateways: tuple[ClusterGateway, ClusterGateway]
) -> None:
    rows = fine(admins[which].run("clusterList")).lines
    told = {(row[1], int(row[2])): row[3] for row in rows}
    assert told == {broker: f"127.0.0.1:{port}" for broker, port in gateways[which].ports.items()}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("broker", BROKERS, ids=lambda broker: f"{broker[0]}:{broker[1]}")
def test_broker_status(
    which: int,
    broker: tuple[str, int],
    admins: tuple[Admin, Admin],
    gateways: tuple[ClusterGateway, ClusterGateway],
) -> None:
    """Each port leads to its own broker, by what that says of itself."""
    address = f"127.0.0.1:{gateways[which].ports[broker]}"
    printed = fine(admins[which].run("brokerStatus", "-b", address))
    assert re.search(r"brokerVersionDesc\s*:\s*V5_5_0", printed.out), printed
    told = fine(admins[which].run("getBrokerConfig", "-b", address)).out
    assert re.search(rf"brokerName\s*=\s*{broker[0]}\s", told)
    assert re.search(rf"brokerId\s*=\s*{broker[1]}\s", told)
    assert re.search(rf"brokerRole\s*=\s*{'SLAVE' if broker[1] else 'ASYNC_MASTER'}\s", told)


def test_update_topic_of_one_broker(
    admins: tuple[Admin, Admin], gateways: tuple[ClusterGateway, ClusterGateway], prefix: str
) -> None:
    topic = f"{prefix}_on_b"
    address = f"127.0.0.1:{gateways[1].ports['broker-b', 0]}"
    assert "success" in admins[1].run("updateTopic", "-b", address, "-t", topic, "-r", "3", "-w", "3").out
    printed = admins[0].until(lambda each: "broker-b" in each.out, "topicRoute", "-t", topic)
    text = re.sub(r"\s", "", printed.out)
    assert f'"brokerAddrs":{{0:"127.0.0.1:{gateways[0].ports["broker-b", 0]}"}}' in text
    assert "broker-a" not in text


@pytest.mark.parametrize("which", [0, 1])
def test_consumer_connection(which: int, admins: tuple[Admin, Admin], shown: Shown) -> None:
    """Also through the other gateway: the broker knows the member."""
    printed = admins[which].until(
        lambda each: shown.client in each.out, "consumerConnection", "-g", shown.group, seconds=30
    )
    assert shown.client in printed.out, printed


@pytest.mark.parametrize("which", [0, 1])
def test_query_message_by_id(which: int, admins: tuple[Admin, Admin], shown: Shown) -> None:
    """Ids name the first gateway; the second one's clients get at the same messages by what it tells itself."""
    brokers = {line[2] for line in shown.sent}
    assert len(shown.sent) == 8
    for unique, offset_id, *_ in shown.sent[::3]:
        text = fine(admins[0].run("queryMsgById", "-i", offset_id, "-t", shown.topic)).out
        assert re.search(rf"OffsetID:\s+{offset_id}", text), text
        found = fine(admins[which].run("queryMsgByUniqueKey", "-i", unique, "-t", shown.topic)).out
        assert shown.topic in found
    assert brokers


def test_query_message_by_id_at_the_slave(
    admins: tuple[Admin, Admin], gateways: tuple[ClusterGateway, ClusterGateway], shown: Shown
) -> None:
    """A message of the master is at the same offset of its slave."""
    master = f"{gateways[0].ports['broker-a', 0]:08X}"
    slave = f"{gateways[0].ports['broker-a', 1]:08X}"
    of_a = [offset_id for _, offset_id, *_ in shown.sent if offset_id[8:16] == master]
    assert of_a
    at_slave = of_a[0][:8] + slave + of_a[0][16:]
    printed = admins[0].until(
        lambda each: shown.topic in each.out, "queryMsgById", "-i", at_slave, "-t", shown.topic
    )
    assert shown.topic in printed.out, printed
    # What the slave says of the message is where its master has it.
    assert of_a[0] in printed.out


def test_a_message_is_consumed_directly(admins: tuple[Admin, Admin], shown: Shown) -> None:
    offset_id = shown.sent[0][1]
    printed = admins[0].run(
        "queryMsgById", "-i", offset_id, "-t", shown.topic, "-g", shown.group, "-d", shown.client
    )
    assert "CR_SUCCESS" in printed.out, printed


def test_reset_offset_reaches_the_consumer(admins: tuple[Admin, Admin], shown: Shown) -> None:
    before = len(admins[0].run("!received", shown.group).lines)
    printed = admins[1].run(
        "resetOffsetByTime", "-g", shown.group, "-t", shown.topic, "-s", "0", "-f", "true"
    )
    assert "broker-a" in printed.out, printed
    assert "broker-b" in printed.out, printed
    again = admins[0].until(lambda each: len(each.lines) >= before + 8, "!received", shown.group, seconds=40)
    assert len(again.lines) >= before + 8


def test_consumer_status_asks_the_client(admins: tuple[Admin, Admin], shown: Shown) -> None:
    printed = admins[1].run("consumerStatus", "-g", shown.group, "-i", shown.client)
    assert shown.topic in printed.out, printed


def test_no_configuration_is_written(
    admins: tuple[Admin, Admin], gateways: tuple[ClusterGateway, ClusterGateway]
) -> None:
    address = f"127.0.0.1:{gateways[0].ports['broker-a', 0]}"
    refused = admins[0].run("updateBrokerConfig", "-b", address, "-k", "maxMessageSize", "-v", "1")
    assert "CODE: 16" in refused.err + refused.out, refused
    refused = admins[0].run("updateNamesrvConfig", "-n", gateways[0].address, "-k", "x", "-v", "1")
    assert "CODE: 16" in refused.err + refused.out, refused


def test_pop_of_the_java_client(
    admins: tuple[Admin, Admin],
    gateways: tuple[ClusterGateway, ClusterGateway],
    prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    unique = f"{prefix}_pop"
    topic, group = f"{unique}_pop_consumer", f"{unique}_group_pop_consumer"
    fine(admins[0].run("updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "4", "-w", "4"))
    fine(admins[0].run("updateSubGroup", "-c", "DefaultCluster", "-g", group))
    set_mode = admins[0].run(
        "setConsumeMode", "-c", "DefaultCluster", "-t", topic, "-g", group, "-m", "POP", "-q", "4"
    )
    assert "success" in set_mode.out, set_mode
    driver = java_driver(
        "pass-pop", "5.5.0", gateways[1].address, "pop_consumer", unique, tmp_path_factory.mktemp("pop")
    )
    try:
        driver.judge("pop_consumer", gateways[1].output())
    finally:
        driver.stop()


def test_tls_and_proxy_protocol_to_brokers(
    cluster: BrokerCluster, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Brokers take both on the port that they take everything on; their certificate is their own."""
    first = _free_ports(4 * len(BROKERS))
    ports = {broker: first + 4 * place for place, broker in enumerate(BROKERS)}
    flags = ("--set", "cluster.tls=unverified", "--set", "passthrough.proxy_protocol=true")
    gateway = ClusterGateway(tmp_path_factory.mktemp("secured"), cluster.address, ports, flags)
    directory = tmp_path_factory.mktemp("secured-java")
    gateway.start()
    try:
        gateway.await_brokers(len(BROKERS))
        names = ("push_concurrent", "view_and_query_message")
        driver = java_driver(
            "pass-tls", "5.5.0", gateway.address, ",".join(names), f"{prefix}_tls", directory
        )
        try:
            for name in names:
                driver.judge(name, gateway.output())
        finally:
            driver.stop()
    finally:
        gateway.stop()


def test_clients_connect_to_gateways_only(
    admins: tuple[Admin, Admin],
    gateways: tuple[ClusterGateway, ClusterGateway],
    cluster: BrokerCluster,
    shown: Shown,
) -> None:
    """After all of the above: every connection of mqadmin, its producers and consumers ends at a gateway."""
    for admin, gateway in zip(admins, gateways, strict=True):
        seen = remote_ports(admin.pid)
        # Only the first has a consumer that stays; the other's connections end with each command.
        assert seen or admin is not admins[0], "no connection at all"
        own = {int(gateway.address.rpartition(":")[2]), *gateway.ports.values()}
        other = {port for each in gateways for port in each.ports.values()}
        assert seen <= own | other, seen
        assert not seen & set(cluster.ports.values())


def test_a_broker_that_dies_is_hidden_by_clients_retries(
    admins: tuple[Admin, Admin], cluster: BrokerCluster, shown: Shown, prefix: str
) -> None:
    """Killed without a word: sends to it are answered that it is not available, and the client takes the other one.
    Last of this file."""
    place = cluster.brokers.index(("broker-b", 0))
    # The name server was started first.
    process = cluster._processes.pop(place + 1)
    process.kill()
    process.wait(timeout=20)
    bodies = [f"after-{number}|after-{number}|tag" for number in range(8)]
    produced = admins[1].run("!produce", f"{prefix}_survivors", shown.topic, *bodies)
    assert len(produced.lines) == 8, produced
    rows = admins[0].until(lambda each: "broker-b" not in each.out, "clusterList", seconds=60).lines
    assert {row[1] for row in rows} == {"broker-a"}
