"""Clients and mqadmin before two masters and a slave whose own ports are closed to them, through two gateways.

Brokers take connections with TLS only, and these clients speak none: an address of a broker that the gateway let through, in
whatever answer, would be one that they cannot use. Gateways are given as "one;other", without a balancer.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import deferLater

from rmqgateway.commands.administering import ViewMessage
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from tests.cluster.world import ClusterGateway as InThisProcess
from tests.interop.apache import _free_ports
from tests.interop.brokers import BROKERS, ClusterGateway, remote_ports
from tests.interop.cluster import ask
from tests.interop.drivers import Driver, java_driver
from tests.interop.enforcing import ClosedCluster
from tests.interop.mqadmin import Admin
from tests.interop.mqadmin_scene import fine
from tests.interop.serving import started
from tests.interop.toolchain import go_program, missing

pytestmark = [pytest.mark.gateway_only, pytest.mark.needs("java", "mvn")]

#: Those that dial what an answer told them: ids, store hosts, routes, whom to answer.
SCENARIOS = ("view_and_query_message", "send_message_back", "request_reply", "push_concurrent")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClosedCluster]:
    with started(ClosedCluster(tmp_path_factory.mktemp("closed"))) as made:
        yield made


@pytest.fixture(scope="module")
def gateways(cluster: ClosedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterGateway]]:
    made: list[ClusterGateway] = []
    trust = ("--set", "cluster.tls=verify", "--set", f"cluster.tls_ca={cluster.certificate}", "--set", "cluster.request_s=20")
    try:
        for number in range(2):
            first = _free_ports(4 * len(BROKERS))
            ports = {broker: first + 4 * place for place, broker in enumerate(BROKERS)}
            made.append(ClusterGateway(tmp_path_factory.mktemp(f"gateway{number}"), cluster.address, ports, trust))
            made[-1].start()
        for gateway in made:
            gateway.await_brokers(len(BROKERS))
        yield made
    finally:
        for gateway in made:
            gateway.stop()


@pytest.fixture(scope="module")
def admin(gateways: list[ClusterGateway], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """Has both as its name servers."""
    made = Admin(";".join(gateway.address for gateway in gateways), tmp_path_factory.mktemp("closed-admin"))
    try:
        yield made
    finally:
        made.stop()


class Sent:
    """A topic on both masters, eight messages, and a consumer that got them."""

    def __init__(self, admin: Admin, prefix: str) -> None:
        self.topic, self.group, self.producers = f"{prefix}_closed", f"{prefix}_closed_group", f"{prefix}_closed_p"
        made = admin.run("updateTopic", "-c", "DefaultCluster", "-t", self.topic, "-r", "4", "-w", "4")
        assert "success" in made.out, made
        admin.until(lambda printed: self.topic in printed.out, "topicList")
        # Of different lengths, so that not all are at the same places of both brokers.
        self.bodies = [f"{number}{'x' * 17 * number}" for number in range(8)]
        produced = admin.run("!produce", self.producers, self.topic, *self.bodies)
        assert len(produced.lines) == 8, produced
        self.ids = [line[1] for line in produced.lines]
        self.client = admin.run("!consume", self.group, self.topic).out.strip()
        got = admin.until(lambda printed: len(printed.lines) == 8, "!received", self.group, seconds=40)
        assert sorted(got.out.split()) == sorted(self.bodies)


@pytest.fixture(scope="module")
def sent(admin: Admin, prefix: str) -> Sent:
    return Sent(admin, prefix)


def test_brokers_are_closed_to_clients(cluster: ClosedCluster) -> None:
    """What the others stand on: no answer without TLS, at any of them."""
    for port in cluster.ports.values():
        with pytest.raises(OSError):
            ask(f"127.0.0.1:{port}", 28, {})


def test_java_client(gateways: list[ClusterGateway], prefix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("closed-java")
    addresses = ";".join(gateway.address for gateway in gateways)
    driver = java_driver("closed", "5.5.0", addresses, ",".join(SCENARIOS), f"{prefix}_closed_java", directory)
    try:
        for scenario in SCENARIOS:
            driver.judge(scenario, gateways[0].output())
    finally:
        driver.stop()


@pytest.mark.parametrize("which", [0, 1])
def test_mqadmin(which: int, admin: Admin, gateways: list[ClusterGateway], sent: Sent) -> None:
    """Each broker by the port that stands for it."""
    gateway = gateways[which]
    at = ("-n", gateway.address)
    for (name, number), port in gateway.ports.items():
        address = f"127.0.0.1:{port}"
        assert "brokerVersionDesc" in fine(admin.run("brokerStatus", "-b", address, *at)).out
        told = fine(admin.run("getBrokerConfig", "-b", address, *at)).out
        assert re.search(rf"brokerName\s*=\s*{name}\s", told) and re.search(rf"brokerId\s*=\s*{number}\s", told)
    topic = f"{sent.topic}_on_b{which}"
    address = f"127.0.0.1:{gateway.ports['broker-b', 0]}"
    assert "success" in admin.run("updateTopic", "-b", address, "-t", topic, "-r", "3", "-w", "3", *at).out
    printed = admin.until(lambda each: "broker-b" in each.out, "topicRoute", "-t", topic, *at)
    assert f'0:"{address}"' in re.sub(r"\s", "", printed.out)
    printed = admin.until(
        lambda each: sent.client in each.out, "consumerConnection", "-g", sent.group, *at, seconds=30
    )
    assert sent.client in printed.out, printed


def test_messages_by_id(admin: Admin, sent: Sent) -> None:
    """The ids hold addresses, which mqadmin dials."""
    assert len({offset_id[:16] for offset_id in sent.ids}) == 2, "one address for each master"
    for offset_id in sent.ids:
        text = fine(admin.run("queryMsgById", "-i", offset_id, "-t", sent.topic)).out
        assert re.search(rf"OffsetID:\s+{offset_id}", text), text
    printed = admin.run("queryMsgById", "-i", sent.ids[0], "-t", sent.topic, "-g", sent.group, "-d", sent.client)
    assert "CR_SUCCESS" in printed.out, printed


@pytest.fixture(scope="module")
def viewed(cluster: ClosedCluster, gateways: list[ClusterGateway], sent: Sent) -> list[tuple[bytes, bytes, bytes | None]]:
    """For each message its body, and what a backend of this process shows at its place in the log: of the broker that is named,
    and of whichever has it; None: it cannot be told, since the other has a message of this topic there too."""
    import pytest_twisted
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    made = InThisProcess(reactor, cluster.address, tls="verify", tls_ca=str(cluster.certificate))
    names = {f"{port:08X}": name for gateway in gateways for (name, number), port in gateway.ports.items() if number == 0}

    async def look() -> list[tuple[bytes, bytes, bytes | None]]:
        made.start()
        for _ in range(600):
            if made.ready():
                break
            await deferLater(reactor, 0.1)  # type: ignore[arg-type]
        peer = IPv4Address("TCP", "127.0.0.1", 4000)
        session = made.gateway.open_session("test", peer, "127.0.0.1:8080", lambda _: True, lambda *_: None, lambda _: None)
        context = Context(session)
        found: list[tuple[bytes, bytes, bytes | None]] = []
        for offset_id, body in zip(sent.ids, sent.bodies, strict=True):
            place = int(offset_id[16:], 16)
            named = await made.gateway.execute(context, ViewMessage(place, broker_name=names[offset_id[8:16]]))
            alone: bytes | None = None
            try:
                shown = await made.gateway.execute(context, ViewMessage(place, sent.topic))
                alone = stored_message.body(shown.messages[0])
            except GatewayError as error:
                if error.code is not Code.BAD_REQUEST:
                    raise
            found.append((body.encode(), stored_message.body(named.messages[0]), alone))
        return found

    async def everything() -> list[tuple[bytes, bytes, bytes | None]]:
        try:
            return await look()
        finally:
            await made.stop()

    found: list[tuple[bytes, bytes, bytes | None]] = pytest_twisted.blockon(Deferred.fromCoroutine(everything()))
    return found


def test_commands_find_the_broker_that_has_a_message(viewed: list[tuple[bytes, bytes, bytes | None]]) -> None:
    """What front-ends ask the backend, which knows but a place in a log."""
    assert len(viewed) == 8
    for body, named, alone in viewed:
        assert named == body
        assert alone in (body, None)
    assert [body for body, _, alone in viewed if alone == body], "all are at places where the other broker has one too"


def _go_begins_with_one_that_is_dead(gateways: list[ClusterGateway], dead: int, directory: Path, prefix: str) -> None:
    names = ("sync_send", "push_concurrent")
    addresses = f"{gateways[dead].address};{gateways[1 - dead].address}"
    command = [str(go_program()), addresses, ",".join(names), f"{prefix}_closed_go"]
    driver = Driver("closed-go", command, directory, seconds=100, environment={**os.environ, "HOME": str(directory)})
    try:
        for name in names:
            driver.judge(name, gateways[1 - dead].output())
    finally:
        driver.stop()


def test_one_of_two_gateways_is_killed(
    admin: Admin, gateways: list[ClusterGateway], sent: Sent, tmp_path: Path, prefix: str
) -> None:
    """Clients that know both go on by themselves: the next question for the route is answered by the other. Last of this file."""
    of = [{int(gateway.address.rpartition(":")[2]), *gateway.ports.values()} for gateway in gateways]
    seen = remote_ports(admin.pid)
    assert seen, "no connection at all"
    assert seen <= of[0] | of[1], seen
    # The one that more of them use.
    first = 0 if len(seen & of[0]) >= len(seen & of[1]) else 1
    process = gateways[first]._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    more = [f"after-{number}" for number in range(8)]
    for body in more:
        # What the client itself does not hide is refused, and its user sends it again: until its next look at routes.
        printed = admin.until(lambda each: len(each.lines) == 1, "!produce", sent.producers, sent.topic, body, seconds=60)
        assert len(printed.lines) == 1, printed
    got = admin.until(lambda each: set(more) <= set(each.out.split()), "!received", sent.group, seconds=60)
    assert set(more) <= set(got.out.split()), got
    assert remote_ports(admin.pid) <= of[1 - first]
    if missing("go") is None:
        _go_begins_with_one_that_is_dead(gateways, first, tmp_path, prefix)
    # A command may begin with the dead one, and says so.
    rows = admin.until(lambda each: len(each.lines) == len(BROKERS), "clusterList", seconds=60).lines
    assert {(row[1], int(row[2])) for row in rows} == set(BROKERS)
