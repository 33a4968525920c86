"""mqadmin 5.5.0, unchanged, makes the first user and all that follow: users, policies, and what they then may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.apache import Apache
from tests.interop.gateway import Gateway
from tests.interop.mqadmin import Admin, Printed
from tests.interop.serving import started

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]

ROOT = ("root", "r00t-secret")
SECRETS = ("r00t-secret", "alice-secret", "other-secret", "moving-secret")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(Gateway(tmp_path_factory.mktemp("acl"))) as made:
        yield made


@pytest.fixture(scope="module")
def driver(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    made = Admin(gateway.address, tmp_path_factory.mktemp("mqadmin-acl"))
    try:
        yield made
    finally:
        made.stop()


class As:
    """mqadmin with a user's credential."""

    def __init__(self, driver: Admin, gateway: Gateway, name: str, secret: str) -> None:
        self._driver = driver
        self._credential = (name, secret)
        self._broker = gateway.broker_address

    def __call__(self, command: str, *words: str) -> Printed:
        return self._driver.run("!as", *self._credential, command, "-b", self._broker, *words)

    def fine(self, command: str, *words: str) -> Printed:
        printed = self(command, *words)
        assert "Exception" not in printed.err + printed.out, printed
        return printed


@pytest.fixture(scope="module")
def root(driver: Admin, gateway: Gateway) -> As:
    """The first user: nobody signs before there is one."""
    broker = ("-b", gateway.broker_address)
    printed = driver.run("createUser", *broker, "-u", "first", "-p", "secret", "-t", "Normal")
    assert "Super" in printed.err, "the first user must be able to make others"
    printed = driver.run("createUser", *broker, "-u", ROOT[0], "-p", ROOT[1], "-t", "Super")
    assert "create user to" in printed.out and "success" in printed.out, printed
    return As(driver, gateway, *ROOT)


@pytest.fixture(scope="module")
def alice(driver: Admin, gateway: Gateway, root: As) -> As:
    root.fine("createUser", "-u", "alice", "-p", "alice-secret")
    return As(driver, gateway, "alice", "alice-secret")


def test_from_the_first_user_on_commands_are_signed(driver: Admin, gateway: Gateway, root: As) -> None:
    printed = driver.run("listUser", "-b", gateway.broker_address)
    assert "CODE: 16" in printed.err and "no credential" in printed.err
    printed = As(driver, gateway, "root", "wrong")("listUser")
    assert "CODE: 16" in printed.err and "signature" in printed.err
    printed = As(driver, gateway, "nobody", "wrong")("listUser")
    assert "CODE: 16" in printed.err and "'nobody' is not found" in printed.err


def test_users(root: As, alice: As) -> None:
    rows = root.fine("listUser").lines
    assert ["alice", "null", "Normal", "enable"] in rows and ["root", "null", "Super", "enable"] in rows
    assert root.fine("listUser", "-f", "ali").lines == [["alice", "null", "Normal", "enable"]]
    assert root.fine("getUser", "-u", "alice").lines == [["alice", "null", "Normal", "enable"]]
    assert root.fine("getUser", "-u", "nobody").lines == []
    assert "exists already" in root("createUser", "-u", "alice", "-p", "x").err


def test_a_user_changes_and_goes(driver: Admin, gateway: Gateway, root: As) -> None:
    root.fine("createUser", "-u", "bob", "-p", "bob-secret", "-t", "Super")
    bob = As(driver, gateway, "bob", "bob-secret")
    bob.fine("listUser")
    root.fine("updateUser", "-u", "bob", "-p", "other-secret")
    assert "signature" in bob("listUser").err
    bob = As(driver, gateway, "bob", "other-secret")
    bob.fine("listUser")
    root.fine("updateUser", "-u", "bob", "-s", "disable")
    assert "disabled" in bob("listUser").err
    root.fine("updateUser", "-u", "bob", "-s", "enable")
    root.fine("updateUser", "-u", "bob", "-t", "Normal")
    assert "no permission" in bob("listUser").err
    root.fine("deleteUser", "-u", "bob")
    assert "not found" in bob("listUser").err
    root.fine("deleteUser", "-u", "bob")


def test_the_last_super_user_stays(root: As) -> None:
    for change in (("deleteUser",), ("updateUser", "-s", "disable"), ("updateUser", "-t", "Normal")):
        assert "must remain" in root(*change, "-u", "root").err


def test_policies(root: As, alice: As) -> None:
    of_alice = ("-s", "User:alice", "-d", "Allow")
    sources = ("-i", "127.0.0.1,10.0.0.0/8")
    root.fine("createAcl", *of_alice, "-r", "Topic:orders*,Group:shop", "-a", "Pub,Sub", *sources)
    rows = root.fine("getAcl", "-s", "User:alice").lines
    assert ["User:alice", "Custom", "Topic:orders*", "[Pub,", "Sub]", "[127.0.0.1,", "10.0.0.0/8]", "Allow"] in rows, rows
    root.fine("updateAcl", "-s", "User:alice", "-r", "Topic:orders*", "-a", "Sub", "-d", "Deny")
    rows = root.fine("getAcl", "-s", "User:alice").lines
    assert ["User:alice", "Custom", "Topic:orders*", "[Sub]", "null", "Deny"] in rows, rows
    assert len(rows) == 2
    assert root.fine("listAcl", "-s", "alice", "-r", "Group:").lines[0][2] == "Group:shop"
    root.fine("deleteAcl", "-s", "User:alice", "-r", "Topic:orders*")
    assert len(root.fine("getAcl", "-s", "User:alice").lines) == 1
    root.fine("deleteAcl", "-s", "User:alice")
    assert root.fine("getAcl", "-s", "User:alice").lines == []
    assert "CODE: 16" in root("getAcl", "-s", "User:nobody").err
    assert "resource" in root("createAcl", *of_alice, "-r", "Tpic:x", "-a", "Pub").err
    assert "actions" in root("createAcl", *of_alice, "-r", "Topic:x", "-a", "Any").err
    assert "10.0.0.0/8" in root("createAcl", *of_alice, "-r", "Topic:x", "-a", "Pub", "-i", "1.2.3").err


def test_what_a_policy_allows(root: As, alice: As) -> None:
    assert "no permission Get on Cluster:DefaultCluster" in alice("listUser").err
    root.fine("createAcl", "-s", "User:alice", "-r", "Cluster:*", "-a", "All", "-d", "Allow")
    alice.fine("listUser")
    # Not even then: who may administer is not who may make administrators.
    assert "Super" in alice("createUser", "-u", "eve", "-p", "x", "-t", "Super").err
    assert "Super" in alice("updateUser", "-u", "alice", "-t", "Super").err
    assert "Super" in alice("deleteUser", "-u", "root").err
    root.fine("deleteAcl", "-s", "User:alice")
    assert "no permission" in alice("listUser").err


def test_copying_from_itself_changes_nothing(driver: Admin, gateway: Gateway, root: As, alice: As) -> None:
    """A user is copied without the secret, which is told to nobody: where the user exists it keeps its own."""
    broker = gateway.broker_address
    root.fine("createAcl", "-s", "User:alice", "-r", "Topic:t", "-a", "Pub", "-d", "Allow")
    before = root.fine("listUser").lines, root.fine("listAcl").lines
    for command, what in (("copyUser", "user of alice"), ("copyAcl", "acl of User:alice")):
        printed = driver.run("!as", *ROOT, command, "-f", broker, "-t", broker)
        assert f"copy {what}" in printed.out and "Exception" not in printed.err, printed
    assert (root.fine("listUser").lines, root.fine("listAcl").lines) == before
    assert "CODE: 16" in alice("listUser").err and "signature" not in alice("listUser").err


_AUTH = "org.apache.rocketmq.auth"
#: A real broker that keeps users; it need not ask for credentials.
APACHE = {
    "authenticationMetadataProvider": f"{_AUTH}.authentication.provider.LocalAuthenticationMetadataProvider",
    "authorizationMetadataProvider": f"{_AUTH}.authorization.provider.LocalAuthorizationMetadataProvider",
}


def test_users_move_in_from_a_real_broker(driver: Admin, root: As, gateway: Gateway, tmp_path: Path) -> None:
    """With their secrets, which a broker tells; and a gateway tells them to nobody, so they do not move on."""
    broker = Apache(tmp_path / "apache", settings=APACHE)
    second = Gateway(tmp_path / "second")
    try:
        broker.start()
        second.start()
        theirs = ("-b", broker.broker_address)
        driver.run("createUser", *theirs, "-u", "mover", "-p", "moving-secret", "-t", "Super")
        entry = ("-r", "Topic:moved*", "-a", "Pub,Sub", "-i", "10.0.0.0/8", "-d", "Deny")
        driver.run("createAcl", *theirs, "-s", "User:mover", *entry)
        for command in ("copyUser", "copyAcl"):
            printed = driver.run("!as", *ROOT, command, "-f", broker.broker_address, "-t", gateway.broker_address)
            assert "mover" in printed.out and "success" in printed.out, printed
        signed = driver.run("!as", "mover", "moving-secret", "getAcl", "-b", gateway.broker_address, "-s", "User:mover")
        assert signed.lines == [["User:mover", "Custom", "Topic:moved*", "[Pub,", "Sub]", "[10.0.0.0/8]", "Deny"]], signed
        driver.run("createUser", "-b", second.broker_address, "-u", ROOT[0], "-p", ROOT[1], "-t", "Super")
        on = ("-f", gateway.broker_address, "-t", second.broker_address)
        assert "password of user 'mover'" in driver.run("!as", *ROOT, "copyUser", *on, "-u", "mover").err
        driver.run("!as", *ROOT, "createUser", "-b", second.broker_address, "-u", "mover", "-p", "moving-secret")
        assert "success" in driver.run("!as", *ROOT, "copyUser", *on, "-u", "mover").out
        assert "success" in driver.run("!as", *ROOT, "copyAcl", *on, "-s", "User:mover").out
        signed = driver.run("!as", "mover", "moving-secret", "listAcl", "-b", second.broker_address, "-s", "mover")
        assert "Topic:moved*" in signed.out, "its type and its policies were copied"
    finally:
        second.stop()
        broker.stop()


def test_users_outlast_a_restart_and_secrets_are_nowhere(root: As, alice: As, gateway: Gateway, driver: Admin) -> None:
    before = root.fine("listUser").lines
    gateway.stop()
    gateway.start()  # on another port
    words = ("listUser", "-b", gateway.broker_address, "-n", gateway.address)
    assert driver.run("!as", *ROOT, *words).lines == before
    assert "no permission" in driver.run("!as", "alice", "alice-secret", *words).err
    assert "no credential" in driver.run(*words).err
    assert not [secret for secret in SECRETS if secret in gateway.output()]
