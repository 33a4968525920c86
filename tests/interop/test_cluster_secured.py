"""A real broker 5.5.0 that demands a credential and TLS: the gateway's own, and its clients' own, right, wrong and forbidden.

The broker takes no connection without TLS (tls.server.mode=enforcing) and checks ACL 2.0; its users are made through the
gateway by mqadmin. Its name server has the same certificate and checks no credential: none of RocketMQ's does.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.apache import _free_ports
from tests.interop.brokers import ClusterGateway
from tests.interop.cluster import BROKER_SETTINGS
from tests.interop.enforcing import Enforcing, certificate
from tests.interop.mqadmin import Admin
from tests.interop.mqhttp.build import command, lacking
from tests.interop.secured import PRODUCER, READER, ROOT, Signer
from tests.interop.test_cluster_front_ends import Socket
from tests.interop.toolchain import REBALANCING, classpath, go_program

pytestmark = [pytest.mark.gateway_only, pytest.mark.needs("java", "mvn")]

#: The brokers' own users: who administers, and as whom brokers speak to each other.
ADMIN = ("admin", "adm1n-secret")
GATE = ("gateway", "gat3way-secret")
_AUTH = "org.apache.rocketmq.auth"
ACL = {
    **BROKER_SETTINGS,
    "authenticationEnabled": "true",
    "authenticationProvider": f"{_AUTH}.authentication.provider.DefaultAuthenticationProvider",
    "authenticationMetadataProvider": f"{_AUTH}.authentication.provider.LocalAuthenticationMetadataProvider",
    "authorizationEnabled": "true",
    "authorizationProvider": f"{_AUTH}.authorization.provider.DefaultAuthorizationProvider",
    "authorizationMetadataProvider": f"{_AUTH}.authorization.provider.LocalAuthorizationMetadataProvider",
    "initAuthenticationUser": json.dumps({"username": ADMIN[0], "password": ADMIN[1]}),
    "innerClientAuthenticationCredentials": json.dumps({"accessKey": "inner", "secretKey": "inn3r-secret"}),
}
#: At the gateway that signs for its callers: all may do everything here, so that the broker alone decides.
USERS = "".join(
    f'[users.{name}]\nsecret = "{secret}"\ntype = "Super"\n'
    for name, secret in (ROOT, PRODUCER, READER, ("former", "no-longer-right"), ("unknown", "to-the-broker"))
)
#: Topics that users may use begin with "acl" (tests.interop.secured).
TOPIC = "acl_secured"


class Fortress(Enforcing):
    """Name server and broker, of 300 MB, with this certificate and ACL."""

    patience = 180.0
    direct_memory = "1g"

    def __init__(self, directory: Path, certificate: Path) -> None:
        super().__init__(directory, settings=ACL)
        self.certificate = certificate


class Secured:
    """The broker, and gateways in front of it. :ivar own: signs in its own name. :ivar caller: signs with its users' keys."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.trusted = certificate(directory, "broker")
        self.other = certificate(directory, "other")
        self.apache = Fortress(directory / "apache", self.trusted)
        self._made: list[ClusterGateway] = []

    def start(self) -> None:
        self.apache.start()
        self.own = self.gateway("own", access_key=GATE[0], secret_key=GATE[1])
        users = self.directory / "users.toml"
        users.write_text(USERS)
        users.chmod(0o600)
        self.caller = self.gateway(
            "caller", f"users.file={users}", sign_as="caller", access_key=GATE[0], secret_key=GATE[1]
        )

    def gateway(self, name: str, *more: str, **cluster: str) -> ClusterGateway:
        """One more, which trusts the brokers' certificate unless it is told otherwise."""
        wanted = {"tls": "verify", "tls_ca": str(self.trusted), "request_s": "20", **cluster}
        if wanted["tls"] != "verify":
            del wanted["tls_ca"]
        options = [f"cluster.{key}={value}" for key, value in wanted.items()]
        ports = {(self.apache.broker, 0): _free_ports(4)}
        flags = tuple(word for each in (*options, *more) for word in ("--set", each))
        made = ClusterGateway(self.directory / name, self.apache.address, ports, flags)
        self._made.append(made)
        made.start()
        return made

    def stop(self) -> None:
        for each in self._made:
            each.stop()
        self.apache.stop()

    def output(self) -> str:
        return "\n".join([*(each.output() for each in self._made[:2]), self.apache.output()])


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """With the users of `tests.interop.secured`, made by mqadmin through the gateway's port of the broker."""
    made = Secured(tmp_path_factory.mktemp("fortress"))
    admin: Admin | None = None
    try:
        made.start()
        admin = Admin(made.own.address, tmp_path_factory.mktemp("fortress-admin"))
        address = f"127.0.0.1:{made.own.ports['broker-a', 0]}"

        def run(command: str, *words: str) -> None:
            printed = admin.run("!as", *ADMIN, command, "-b", address, *words)
            assert "success" in printed.out, (printed, made.output())

        made.own.await_brokers(1)
        # The gateway's own, that may do everything: it makes topics and asks what they are.
        for (name, secret), kind in ((GATE, "Super"), (ROOT, "Super"), (PRODUCER, "Normal"), (READER, "Normal")):
            run("createUser", "-u", name, "-p", secret, "-t", kind)
        run("createUser", "-u", "former", "-p", "former-secret-1", "-t", "Super")
        run("createAcl", "-s", f"User:{PRODUCER[0]}", "-r", "Topic:acl*", "-a", "Pub", "-d", "Allow")
        run("createAcl", "-s", f"User:{READER[0]}", "-r", "Topic:acl*,Group:acl*", "-a", "Sub", "-d", "Allow")
        run("createAcl", "-s", f"User:{READER[0]}", "-r", "Topic:acl_secret", "-a", "All", "-d", "Deny")
        for kind in ("own", "caller", "java", "go", "grpc", "secret", "mqhttp_python", "mqhttp_own"):
            run("updateTopic", "-t", f"acl_{kind}", "-r", "4", "-w", "4", "-a", "+message.type=NORMAL")
        run("updateTopic", "-t", "other", "-r", "4", "-w", "4", "-a", "+message.type=NORMAL")
        for gateway in (made.own, made.caller):
            await_ready(gateway)
        yield made
    finally:
        if admin is not None:
            admin.stop()
        made.stop()


def ask(gateway: ClusterGateway, method: str, path: str, user: tuple[str, str] | None = None, body: str = "") -> tuple[int, Any]:
    """Status and JSON."""
    host, _, port = gateway.address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    headers = {}
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    try:
        connection.request(method, path, body.encode() or None, headers)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data[:1] in (b"{", b"[") else data.decode()
    finally:
        connection.close()


def send(gateway: ClusterGateway, topic: str, body: str, user: tuple[str, str] | None = None) -> tuple[int, Any]:
    return ask(gateway, "POST", f"/v1/topics/{topic}/messages", user, body)


def receive(gateway: ClusterGateway, topic: str, group: str, user: tuple[str, str] | None = None) -> tuple[int, Any]:
    return ask(gateway, "GET", f"/v1/topics/{topic}/groups/{group}/messages?wait=5", user)


def readiness(gateway: ClusterGateway) -> tuple[int, str]:
    status, said = ask(gateway, "GET", "/readyz")
    return status, said if isinstance(said, str) else json.dumps(said)


def await_ready(gateway: ClusterGateway) -> None:
    deadline = time.monotonic() + 90
    while readiness(gateway)[0] != 200:
        assert time.monotonic() < deadline, (readiness(gateway), gateway.output())
        time.sleep(0.3)


def not_ready(gateway: ClusterGateway, word: str) -> None:
    """Until it says why."""
    deadline = time.monotonic() + 90
    said = readiness(gateway)
    while said[0] != 503 or word not in said[1]:
        assert time.monotonic() < deadline, (said, gateway.output())
        time.sleep(0.3)
        said = readiness(gateway)


# In the gateway's own name.


def test_the_broker_takes_nothing_without_credential_or_tls(fortress: Secured) -> None:
    """What all of the following stands on."""
    from tests.interop.cluster import ask as raw

    with pytest.raises(OSError):
        raw(fortress.apache.broker_address, 34, {}, b'{"clientID":"x"}')
    # Through the gateway's port, which speaks TLS to the broker, but signs nothing of its clients.
    answer = raw(f"127.0.0.1:{fortress.own.ports['broker-a', 0]}", 34, {}, b'{"clientID":"x"}')
    assert (answer.code, answer.remark) == (16, "username cannot be null.")


def test_http_in_the_gateways_name(fortress: Secured) -> None:
    status, sent = send(fortress.own, "acl_own", "hello")
    assert status == 201, (sent, fortress.output())
    status, got = receive(fortress.own, "acl_own", "acl_own")
    assert status == 200, (got, fortress.output())
    (message,) = got["messages"]
    assert (message["body"], message["message_id"]) == ("hello", sent["message_id"])
    path = f"/v1/topics/acl_own/groups/acl_own/messages/{message['receipt_handle']}"
    assert ask(fortress.own, "DELETE", path)[0] == 204
    # A topic that nobody has made.
    assert send(fortress.own, "acl_new", "made by the gateway")[0] == 201


def test_websocket_in_the_gateways_name(fortress: Secured) -> None:
    client = Socket(fortress.own.address)
    try:
        client.send({"op": "send", "id": 1, "topic": "acl_own", "messages": [{"text": "by socket"}]})
        assert client.read("sent")["results"][0]["messageId"]
        client.send({"op": "subscribe", "id": 2, "subscription": "s", "topic": "acl_own", "group": "acl_ws", "credit": 9})
        bodies = {client.read("deliver")["message"]["text"] for _ in range(2)}
        assert bodies == {"hello", "by socket"}
    finally:
        client.close()


@pytest.fixture(scope="module")
def grpc_own(fortress: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from _signer("grpc", fortress.own, tmp_path_factory.mktemp("grpc-own"))


@pytest.fixture(scope="module")
def grpc_caller(fortress: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from _signer("grpc", fortress.caller, tmp_path_factory.mktemp("grpc-caller"))


@pytest.fixture(scope="module")
def java(fortress: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from _signer("java", fortress.own, tmp_path_factory.mktemp("java-own"))


@pytest.fixture(scope="module")
def go(fortress: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from _signer("go", fortress.own, tmp_path_factory.mktemp("go-own"))


def _signer(kind: str, gateway: ClusterGateway, directory: Path) -> Iterator[Signer]:
    java = ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Duser.home={directory}"]
    java += [f"-Drocketmq.client.logRoot={directory}", *REBALANCING]
    environment = None
    if kind == "grpc":
        words = [*java, "-cp", classpath("grpc", "5.2.0"), "SigningGrpc", gateway.address]
    elif kind == "java":
        words = [*java, "-cp", classpath("acl", "5.5.0"), "Signing", gateway.address]
    elif kind == "go":
        words, environment = [str(go_program()), gateway.address, "signing", "none"], {"HOME": str(directory)}
    else:
        interpreter, scenarios = command("python")
        words = [interpreter, str(Path(scenarios).with_name("signing.py")), gateway.address]
    made = Signer(words, directory, environment)
    try:
        yield made
    finally:
        made.stop()


def test_grpc_in_the_gateways_name(fortress: Secured, grpc_own: Signer) -> None:
    nobody = ("", "")
    answer = grpc_own("send", nobody, "acl_grpc", "", "in its name")
    assert answer.startswith("OK "), (answer, fortress.output())
    assert grpc_own("consume", nobody, "acl_grpc", "acl_grpc") == "OK in its name"


# The clients' own, through the passthrough: it is the broker that says yes and no.


def test_remoting_clients_credentials_go_through(fortress: Secured, java: Signer) -> None:
    answer = java("send", PRODUCER, "acl_java", "", "of java 中文")
    assert answer.startswith("OK "), (answer, fortress.output())
    assert java("consume", READER, "acl_java", "acl_java_group") == "OK of java 中文"
    # Offsets are Get, which Sub does not include at a broker.
    assert java("queues", ROOT, "acl_java", "acl_java_group") == "OK 1"
    assert java("queues", READER, "acl_java", "acl_java_group").startswith("CODE ")
    assert java("transaction", PRODUCER, "acl_java", "acl_java_p", "committed") == "OK COMMIT_MESSAGE"


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (("", ""), "username cannot be null."),
        (("producer", "wrong"), "check signature failed."),
        (("stranger", "x"), "User:stranger is not found."),
    ],
)
def test_remoting_clients_are_refused_by_the_broker(java: Signer, user: tuple[str, str], words: str) -> None:
    answer = java("send", user, "acl_java", "", "x")
    assert answer.startswith("CODE 16 ") and words in answer, answer


def test_remoting_clients_policies_are_the_brokers(java: Signer) -> None:
    for user, topic in ((READER, "acl_java"), (PRODUCER, "other")):
        answer = java("send", user, topic, "", "x")
        assert answer.startswith("CODE 16 ") and "has no permission to access" in answer, answer
    assert java("consume", PRODUCER, "acl_java", "acl_java_group") == "OK nothing"
    assert java("consume", READER, "acl_secret", "acl_java_group") == "OK nothing"


@pytest.mark.needs("go")
def test_gos_credentials_go_through(go: Signer, fortress: Secured) -> None:
    assert go("send", PRODUCER, "acl_go", "", "of go").startswith("OK "), fortress.output()
    assert go("consume", READER, "acl_go", "acl_go_group") == "OK of go"
    for user in (("producer", "wrong"), ("stranger", "x"), READER):
        assert not go("send", user, "acl_go", "", "x").startswith("OK")


# The callers' own, over other protocols.


def test_http_in_the_callers_name(fortress: Secured) -> None:
    status, sent = send(fortress.caller, "acl_caller", "mine", PRODUCER)
    assert status == 201, (sent, fortress.output())
    status, got = receive(fortress.caller, "acl_caller", "acl_caller", READER)
    assert status == 200 and [each["body"] for each in got["messages"]] == ["mine"], (got, fortress.output())
    path = f"/v1/topics/acl_caller/groups/acl_caller/messages/{got['messages'][0]['receipt_handle']}"
    assert ask(fortress.caller, "DELETE", path, READER)[0] == 204


@pytest.mark.parametrize(
    ("user", "words"),
    [
        # The gateway lets all of these in, as Super users: what is said is the broker's.
        (READER, "has no permission"),
        (("former", "no-longer-right"), "check signature failed"),
        (("unknown", "to-the-broker"), "User:unknown is not found"),
    ],
)
def test_http_is_refused_by_the_broker(fortress: Secured, user: tuple[str, str], words: str) -> None:
    status, problem = send(fortress.caller, "acl_caller", "x", user)
    assert (status, problem["code"], problem["upstream_code"]) == (403, "FORBIDDEN", 16), problem
    assert words in problem["detail"]
    assert send(fortress.caller, "acl_caller", "x", (user[0], "wrong"))[0] == 401, "who is nobody here does not get there"


def test_receiving_over_http_is_refused_by_the_broker(fortress: Secured) -> None:
    group = "acl_caller"
    for user, topic, asked in ((PRODUCER, "acl_caller", group), (READER, "acl_secret", group), (READER, "acl_caller", "other")):
        status, problem = receive(fortress.caller, topic, asked, user)
        assert (status, problem.get("upstream_code")) == (403, 16), problem


def test_grpc_in_the_callers_name(fortress: Secured, grpc_caller: Signer) -> None:
    answer = grpc_caller("send", PRODUCER, "acl_grpc", "", "by caller")
    assert answer.startswith("OK "), (answer, fortress.output())
    assert grpc_caller("consume", READER, "acl_grpc", "acl_grpc_caller") in ("OK by caller", "OK in its name")
    for action, user, topic, group in (
        ("send", READER, "acl_grpc", ""),
        ("send", PRODUCER, "other", ""),
        ("send", ("former", "no-longer-right"), "acl_grpc", ""),
        ("consume", READER, "acl_secret", "acl_group"),
        ("consume", PRODUCER, "acl_grpc", "acl_group"),
    ):
        answer = grpc_caller(action, user, topic, group, "x")
        assert answer.startswith("ERROR") and "ForbiddenException" in answer, answer
    assert "UnauthorizedException" in grpc_caller("send", ("producer", "wrong"), "acl_grpc", "", "x")


def test_mqhttp_in_the_callers_name(fortress: Secured, tmp_path: Path) -> None:
    reason = lacking("python")
    if reason is not None:
        pytest.skip(reason)
    for client in _signer("mqhttp", fortress.caller, tmp_path):
        answer = client("send", PRODUCER, "acl_mqhttp_python", "", "x")
        assert answer.startswith("OK "), (answer, fortress.output())
        assert client("consume", READER, "acl_mqhttp_python", "acl_mqhttp") == "OK x"
        assert "CODE AccessDenied" in client("send", READER, "acl_mqhttp_python", "", "x")
        assert "CODE SignatureDoesNotMatch" in client("send", ("producer", "wrong"), "acl_mqhttp_python", "", "x")


def test_websocket_is_refused_by_the_broker(fortress: Secured) -> None:
    status, ticket = ask(fortress.caller, "POST", "/v1/tickets", READER)
    assert status == 201
    client = Socket(fortress.caller.address)
    try:
        client.send({"op": "connect", "id": 0, "ticket": ticket["ticket"]})
        client.send({"op": "send", "id": 1, "topic": "acl_caller", "messages": [{"text": "x"}]})
        refused = client.read("error")
        assert (refused["id"], refused["code"]) == (1, "FORBIDDEN"), refused
        assert "has no permission" in refused["message"]
    finally:
        client.close()


# What is wrong is said.


def test_a_wrong_credential_of_the_gateway(fortress: Secured) -> None:
    secret = "n0t-its-secret"
    for name, words in ((GATE[0], "check signature failed"), ("nobody", "User:nobody is not found")):
        gateway = fortress.gateway(f"wrong-{name}", access_key=name, secret_key=secret)
        not_ready(gateway, words)
        assert "cluster.access_key" in readiness(gateway)[1]
        status, problem = send(gateway, "acl_own", "x")
        assert (status, problem["upstream_code"]) == (403, 16), problem
        assert words in problem["detail"]
        assert secret not in gateway.output()
        gateway.stop()


def test_a_gateway_without_tls(fortress: Secured) -> None:
    """The name server takes it, the broker does not."""
    gateway = fortress.gateway("plain", tls="off", access_key=GATE[0], secret_key=GATE[1])
    not_ready(gateway, fortress.apache.broker_address)
    status, problem = send(gateway, "acl_own", "x")
    assert (status, problem["type"]) == (503, "urn:rmqgateway:upstream-unavailable"), problem
    gateway.stop()


def test_a_certificate_that_is_not_trusted(fortress: Secured) -> None:
    gateway = fortress.gateway("untrusting", tls_ca=str(fortress.other), access_key=GATE[0], secret_key=GATE[1])
    not_ready(gateway, "certificate verify failed")
    gateway.stop()


def test_no_secret_is_in_a_log(fortress: Secured) -> None:
    for secret in (ADMIN[1], GATE[1], PRODUCER[1], READER[1], "no-longer-right"):
        assert secret not in fortress.own.output() + fortress.caller.output()
