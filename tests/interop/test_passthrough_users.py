"""Users of the gateway before a real broker that knows none: what the passthrough judges by the message that a request names."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.interop.apache import _free_ports
from tests.interop.brokers import BrokerCluster, ClusterGateway
from tests.interop.mqadmin import Admin
from tests.interop.mqadmin_scene import fine
from tests.interop.secured import PRODUCER, READER, ROOT, USERS, Signer
from tests.interop.toolchain import REBALANCING, classpath

pytestmark = pytest.mark.needs("java", "mvn")
BROKER = ("broker-a", 0)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterGateway]:
    cluster = BrokerCluster(tmp_path_factory.mktemp("cluster"), brokers=(BROKER,))
    users = tmp_path_factory.mktemp("users") / "users.toml"
    users.write_text(USERS)
    users.chmod(0o600)
    made = None
    try:
        cluster.start()
        admin = Admin(cluster.address, tmp_path_factory.mktemp("mqadmin"))
        try:
            for topic in ("acl_known", "acl_again", "acl_secret", "other"):
                # The broker may not be registered yet: then the command does nothing, and says nothing.
                words = ("updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "2", "-w", "2")
                assert "success" in fine(admin.until(lambda each: "success" in each.out, *words)).out
        finally:
            admin.stop()
        ports, options = {BROKER: _free_ports(4)}, ("--set", f"users.file={users}")
        made = ClusterGateway(tmp_path_factory.mktemp("gateway"), cluster.address, ports, options)
        made.start()
        _await_ready(made.address)
        yield made
    finally:
        if made is not None:
            made.stop()
        cluster.stop()


def _await_ready(address: str) -> None:
    """Whoever has no credential is told of no brokers, but whether the gateway has one."""
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.fixture(scope="module", params=["5.5.0", "4.9.8"])
def client(
    request: pytest.FixtureRequest, gateway: ClusterGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Signer]:
    directory = tmp_path_factory.mktemp("signing")
    command = ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Duser.home={directory}"]
    command += [f"-Drocketmq.client.logRoot={directory}", *REBALANCING]
    command += ["-cp", classpath("acl", request.param), "Signing", gateway.address]
    made = Signer(command, directory)
    try:
        # The first question of a JVM that is still loading may take longer than its client waits for a route, 3 s.
        answers = (made("queues", ROOT, "acl_known", "acl_first") for _ in range(10))
        assert any(answer.startswith("OK ") for answer in answers)
        yield made
    finally:
        made.stop()


def test_a_transaction_is_committed(client: Signer, request: pytest.FixtureRequest) -> None:
    group = "acl_group_" + "".join(each if each.isalnum() else "_" for each in request.node.callspec.id)
    before = int(client("queues", READER, "acl_known", group).removeprefix("OK "))
    assert client("transaction", PRODUCER, "acl_known", "acl_p", "committed") == "OK COMMIT_MESSAGE"
    assert client("queues", READER, "acl_known", group) == f"OK {before + 1}"
    assert client("transaction", READER, "acl_known", "acl_p", "x").startswith("CODE ")


def test_a_message_that_is_sent_back_comes_again(client: Signer, request: pytest.FixtureRequest) -> None:
    group = "acl_again_" + "".join(each if each.isalnum() else "_" for each in request.node.callspec.id)
    assert client("send", PRODUCER, "acl_again", "", "once more").startswith("OK ")
    assert client("again", READER, "acl_again", group) == "OK once more"


def test_a_message_is_shown_to_readers_of_its_topic(client: Signer) -> None:
    place = client("place", ROOT, "acl_known", "", "known").removeprefix("OK ")
    hidden = client("place", ROOT, "acl_secret", "", "hidden").removeprefix("OK ")
    assert client("view", READER, "acl_known", "acl_group", place) == "OK known"
    for topic in ("acl_known", "acl_secret"):
        assert not client("view", READER, topic, "acl_group", hidden).startswith("OK")
    assert client("view", ROOT, "acl_secret", "acl_group", hidden) == "OK hidden"
