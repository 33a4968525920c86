"""The plugin object, its settings, its errors and its credentials."""

from __future__ import annotations

import subprocess
import sys

import pytest
from zope.interface.verify import verifyObject

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.interfaces import IRequestFrontEnd
from rmqgateway_mqhttp.errors import ACK_CODES, TABLE, refused_by
from rmqgateway_mqhttp.frontend import MqHttpFrontEnd, MqHttpSettings
from tests.unit.rmqgateway_mqhttp.helpers import Client, error


def test_it_is_a_front_end() -> None:
    assert verifyObject(IRequestFrontEnd, MqHttpFrontEnd())


@pytest.mark.parametrize(
    "settings",
    [
        MqHttpSettings(max_request=10),
        MqHttpSettings(invisible_seconds=0),
        MqHttpSettings(half_invisible_seconds=50_000),
    ],
)
def test_wrong_settings_are_named(settings: MqHttpSettings) -> None:
    with pytest.raises(ValueError, match=r"^\w+: expected "):
        MqHttpFrontEnd().configure(settings)


def test_loading_it_imports_next_to_nothing() -> None:
    program = (
        "import sys, rmqgateway_mqhttp.frontend; "
        "print([name for name in sys.modules if name in ('xml.parsers.expat', 'rmqgateway_mqhttp.codec', "
        "'twisted.internet.reactor')])"
    )
    path = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=path
    )
    assert done.stdout.strip() == "[]"


def test_every_code_has_an_answer() -> None:
    assert TABLE.keys() == set(Code)
    for code in Code:
        refused = refused_by(GatewayError(code, "why", retry_after=2.0))
        assert refused is not None
        assert 400 <= refused.status < 600
        assert (refused.message, refused.retry_after) == ("why", 2.0)
        assert ACK_CODES[code.name] == refused.code
    assert refused_by(WireError("bad")) is not None
    assert refused_by(RuntimeError("secret")) is None


def test_what_is_unforeseen_is_not_told() -> None:
    client = Client()

    def broken(context: object, command: object) -> None:
        raise RuntimeError("a secret")

    client.world.gateway.authorizer = broken
    response = client.ask("GET", "/topics/T/messages?consumer=G&numOfMessages=1")
    assert error(response) == (500, "InternalServerError")
    assert b"secret" not in response.body


def test_a_refusal_says_when_to_come_back() -> None:
    client = Client()

    def busy(context: object, command: object) -> None:
        raise GatewayError(Code.BUSY, "later", retry_after=3.4)

    client.world.gateway.authorizer = busy
    response = client.ask("POST", "/topics/T/messages", "<Message><MessageBody>x</MessageBody></Message>")
    assert error(response) == (503, "ServiceUnavailable")
    assert response.header("retry-after") == "3"


DATE = ("Date", "Thu, 01 Jan 2026 00:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([("Authorization", "MQ key:!!!"), DATE], "AccessIDAuthError"),
        ([("Authorization", "MQ :AAAA"), DATE], "AccessIDAuthError"),
        ([("Authorization", "MQ keyAAAA"), DATE], "AccessIDAuthError"),
        ([("Authorization", "Basic a2V5OnNlY3JldA=="), DATE], "AccessIDAuthError"),
        ([("Authorization", "MQ key:AAAA")], "InvalidDate"),
        ([("Authorization", "MQ key:AAAA"), ("Date", "yesterday")], "InvalidDate"),
    ],
)
def test_credentials_that_are_none(headers: list[tuple[str, str]], code: str) -> None:
    """Without a Date there is no telling a replay, so it is refused even before there are users."""
    client = Client()
    response = client.http.request("GET", "/topics/T/messages?consumer=G&numOfMessages=1", headers)
    assert error(response) == (403, code)


def test_without_credentials_the_door_decides() -> None:
    client = Client()
    client.publish("T", "x")
    target = "/topics/T/messages?consumer=G&numOfMessages=1"
    assert client.http.request("GET", target).status == 200

    def users(context: object, command: object) -> None:
        raise GatewayError(Code.UNAUTHENTICATED, "who are you?")

    client.world.gateway.authorizer = users
    assert error(client.http.request("GET", target)) == (403, "SignatureDoesNotMatch")
