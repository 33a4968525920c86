"""Clients of other wires with a credential, right, wrong and forbidden: Java over gRPC, Go over Remoting, MQ HTTP's SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.gateway import Gateway
from tests.interop.mqhttp.build import command, lacking
from tests.interop.secured import PRODUCER, READER, ROOT, Signer, secured
from tests.interop.serving import started
from tests.interop.test_grpc_python import _interpreter
from tests.interop.toolchain import classpath, go_program, missing

pytestmark = pytest.mark.gateway_only

#: What each client says of: who did not sign or signed wrongly, who is not known, who may not.
WORDS = {
    "grpc": ("UnauthorizedException", "UnauthorizedException", "ForbiddenException"),
    # Java writes its local time and calls it UTC.
    "grpc-shanghai": ("UnauthorizedException", "UnauthorizedException", "ForbiddenException"),
    # These two keep the reason to themselves.
    "python": ("", "", ""),
    "go": ("", "", ""),
    "mqhttp-python": ("CODE SignatureDoesNotMatch", "CODE InvalidAccessKeyId", "CODE AccessDenied"),
    "mqhttp-node": ("CODE SignatureDoesNotMatch", "CODE InvalidAccessKeyId", "CODE AccessDenied"),
}
_NEEDS = {"grpc": ("java", "mvn"), "go": ("go",)}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(secured(tmp_path_factory.mktemp("signed"))) as made:
        yield made


def _command(kind: str, gateway: Gateway, directory: Path) -> list[str]:
    if kind.startswith("grpc"):
        zone = "Asia/Shanghai" if kind == "grpc-shanghai" else "UTC"
        java = ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Duser.timezone={zone}"]
        return [*java, f"-Duser.home={directory}", "-cp", classpath("grpc", "5.2.0"), "SigningGrpc", gateway.address]
    if kind == "go":
        return [str(go_program()), gateway.address, "signing", "none"]
    if kind == "python":
        return [str(_interpreter()), str(Path(__file__).parent / "python" / "signing.py"), gateway.address]
    interpreter, scenarios = command(kind.removeprefix("mqhttp-"))
    beside = Path(scenarios)
    return [interpreter, str(beside.with_name("signing" + beside.suffix)), gateway.address]


@pytest.fixture(scope="module", params=list(WORDS))
def kind(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    sdk = name.removeprefix("mqhttp-")
    reason = lacking(sdk) if name.startswith("mqhttp") else missing(*_NEEDS.get(name.partition("-")[0], ()))
    if reason is not None:
        pytest.skip(reason)
    return name


@pytest.fixture(scope="module")
def client(kind: str, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    directory = tmp_path_factory.mktemp("signing")
    made = Signer(_command(kind, gateway, directory), directory, {"HOME": str(directory)} if kind == "go" else None)
    try:
        yield made
    finally:
        made.stop()


def topic_of(kind: str) -> str:
    return "acl_" + kind.replace("-", "_")


def test_who_is_right_is_let_in(client: Signer, kind: str) -> None:
    topic = topic_of(kind)
    assert client("send", ROOT, topic, "", f"of {kind} 中文").startswith("OK ")
    assert client("consume", READER, topic, topic + "_group") == f"OK of {kind} 中文"
    assert client("send", PRODUCER, topic, "", "more").startswith("OK ")
    if kind.startswith("mqhttp"):
        assert client("many", PRODUCER, topic, "", "same") == "OK 30"


def test_who_is_nobody_is_not(client: Signer, kind: str) -> None:
    topic = topic_of(kind)
    wrong, unknown, _ = WORDS[kind]
    for user, word in ((("producer", "wrong"), wrong), (("stranger", "x"), unknown), (("former", "x"), wrong)):
        answer = client("send", user, topic, "", "x")
        assert not answer.startswith("OK") and word in answer, answer
    if kind.startswith("grpc"):
        assert wrong in client("send", ("", ""), topic, "", "x")


def test_who_may_not_does_not(client: Signer, kind: str) -> None:
    topic = topic_of(kind)
    word = WORDS[kind][2]
    client("send", ROOT, "other", "", "x")
    client("send", ROOT, "acl_secret", "", "x")
    for action, user, where, group in (
        ("send", READER, topic, ""),
        ("send", PRODUCER, "other", ""),
        ("consume", READER, "acl_secret", "acl_group"),
        ("consume", READER, topic, "other_group"),
        ("consume", PRODUCER, topic, "acl_group"),
    ):
        answer = client(action, user, where, group, "x")
        if kind == "go" and action == "consume":
            assert answer == "OK nothing" or answer.startswith("ERROR"), answer
        elif kind.startswith("grpc") and action == "consume":
            # Settings that are refused end the telemetry stream, as with RocketMQ's proxy; what the client makes of it depends on
            # what it asks next.
            assert word in answer or "Stream is already completed" in answer, answer
            assert not answer.startswith("OK")
        else:
            assert not answer.startswith("OK") and word in answer, answer
