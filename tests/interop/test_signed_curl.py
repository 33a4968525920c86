"""curl with a user's name and secret, and the headers of those who are not let in."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.interop.gateway import Gateway
from tests.interop.secured import PRODUCER, READER, ROOT, secured
from tests.interop.serving import started

pytestmark = [
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)"),
    pytest.mark.gateway_only,
]
TOPIC = "/v1/topics/acl_curl/messages"
QUEUE = "/v1/topics/acl_curl/groups/acl_curl/messages?wait=5"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(secured(tmp_path_factory.mktemp("signed-curl"))) as made:
        yield made


def curl(gateway: Gateway, path: str, *options: str, user: tuple[str, str] | None = None) -> tuple[int, str, str]:
    """Status, head and body."""
    command = ["curl", "-sS", "-i", "--max-time", "20", *options, f"http://{gateway.address}{path}"]
    if user is not None:
        command += ["-u", ":".join(user)]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


def test_who_is_right_is_let_in(gateway: Gateway) -> None:
    assert curl(gateway, TOPIC, "-d", "hello", user=ROOT)[0] == 201
    assert curl(gateway, TOPIC, "-d", "hello", user=PRODUCER)[0] == 201
    status, _, body = curl(gateway, QUEUE, user=READER)
    assert status == 200 and json.loads(body)["messages"][0]["body"] == "hello"


@pytest.mark.parametrize("user", [None, ("producer", "wrong"), ("stranger", "x"), ("former", "former-secret-1")])
def test_who_is_nobody_is_not(gateway: Gateway, user: tuple[str, str] | None) -> None:
    checks = "/v1/producer-groups/g/checks"
    for path, options in ((TOPIC, ("-d", "x")), (QUEUE, ()), ("/v1/tickets", ("-X", "POST")), (checks, ())):
        status, head, body = curl(gateway, path, *options, user=user)
        assert status == 401, (path, body)
        assert 'www-authenticate: basic realm="rmqgateway"' in head
        assert "content-type: application/problem+json" in head
        assert json.loads(body)["code"] == "UNAUTHORIZED"


def test_who_may_not_does_not(gateway: Gateway) -> None:
    for user, path, options in (
        (READER, TOPIC, ("-d", "x")),
        (PRODUCER, QUEUE, ()),
        (PRODUCER, "/v1/topics/other/messages", ("-d", "x")),
        (READER, "/v1/topics/acl_curl/groups/other/messages", ()),
    ):
        status, head, body = curl(gateway, path, *options, user=user)
        assert status == 403 and json.loads(body)["code"] == "FORBIDDEN", body
        assert "www-authenticate" not in head


def test_health_and_documentation_are_anybodys(gateway: Gateway) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        assert curl(gateway, path)[0] == 200


def test_a_ticket_is_good_for_one_request(gateway: Gateway) -> None:
    status, head, body = curl(gateway, "/v1/tickets", "-X", "POST", user=PRODUCER)
    assert status == 201 and "cache-control: no-store" in head
    ticket = json.loads(body)
    assert ticket["expires_in"] == 60
    bearer = ("-H", f"Authorization: Bearer {ticket['ticket']}", "-d", "by ticket")
    assert curl(gateway, TOPIC, *bearer)[0] == 201
    assert curl(gateway, TOPIC, *bearer)[0] == 401


def test_no_secret_is_in_the_log(gateway: Gateway) -> None:
    curl(gateway, TOPIC, "-d", "x", user=("root", "guessed-secret"))
    for secret in ("guessed-secret", ROOT[1], PRODUCER[1], READER[1]):
        assert secret not in gateway.output()
