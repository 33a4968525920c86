"""The official Java clients 5.5.0 and 4.9.8 with ``AclClientRPCHook``: right, wrong and forbidden, in both header forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.gateway import Gateway
from tests.interop.secured import PRODUCER, READER, ROOT, Signer, secured
from tests.interop.serving import started
from tests.interop.toolchain import REBALANCING, classpath

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(secured(tmp_path_factory.mktemp("signed-java"))) as made:
        yield made


@pytest.fixture(scope="module", params=["5.5.0-JSON", "5.5.0-ROCKETMQ", "4.9.8-JSON"])
def client(request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    version, _, form = request.param.partition("-")
    directory = tmp_path_factory.mktemp("signing")
    command = ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Duser.home={directory}"]
    command += [f"-Drocketmq.client.logRoot={directory}", *REBALANCING]
    command += [f"-Drocketmq.serialize.type={form}", "-cp", classpath("acl", version), "Signing", gateway.address]
    made = Signer(command, directory)
    try:
        yield made
    finally:
        made.stop()


def test_who_is_right_is_let_in(client: Signer, request: pytest.FixtureRequest) -> None:
    topic = "acl_" + "".join(each if each.isalnum() else "_" for each in request.node.callspec.id)
    body = "body of " + topic
    # Topics come into being with the first message, as everywhere.
    assert client("send", PRODUCER, topic, "", body).startswith("OK ")
    assert client("consume", READER, topic, topic + "_group") == f"OK {body}"
    assert client("queues", READER, topic, topic + "_group") == "OK 1"
    assert client("transaction", PRODUCER, topic, topic + "_p", "committed") == "OK COMMIT_MESSAGE"
    assert client("queues", READER, topic, topic + "_group") == "OK 2"
    assert client("send", ROOT, topic, "", "chinese 中文").startswith("OK ")


def test_who_is_nobody_is_not(client: Signer) -> None:
    client("send", ROOT, "acl_known", "", "x")
    for user, why in (
        (("", ""), "no credential"),
        (("producer", "wrong"), "signature"),
        (("stranger", "wrong"), "not found"),
        (("former", "former-secret-1"), "disabled"),
    ):
        answer = client("route", user, "acl_known")
        assert answer.startswith("CODE 16 ") and why in answer, answer
        assert not client("send", user, "acl_known", "", "x").startswith("OK")


def test_who_may_not_does_not(client: Signer) -> None:
    client("send", ROOT, "acl_known", "", "x")
    client("send", ROOT, "acl_secret", "", "x")
    client("send", ROOT, "other", "", "x")
    # A consumer has the route, and may not send; a producer may not consume; nobody reads what is denied to him.
    assert client("send", READER, "acl_known", "", "x").startswith("CODE 16 ")
    assert client("transaction", READER, "acl_known", "acl_p", "x").startswith("CODE ")
    assert client("route", PRODUCER, "other").startswith("CODE 16 ")
    assert client("route", READER, "acl_secret").startswith("CODE 16 ")
    assert client("consume", PRODUCER, "acl_known", "acl_group") == "OK nothing"
    assert client("consume", READER, "acl_known", "other_group") == "OK nothing"
