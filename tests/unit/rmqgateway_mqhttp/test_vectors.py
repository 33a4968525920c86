"""What the four SDKs really sent (``tests/vectors/mqhttp``, by ``capture_mqhttp.py``): every request is read, and the bytes
that the front-end hands to the door are those that the SDK signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from rmqgateway.commands import Command
from rmqgateway.context import Context, Credential
from tests.unit.rmqgateway_mqhttp.helpers import Client

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "mqhttp"
REQUESTS = [
    pytest.param(raw, id=f"{file.stem}: {shape}")
    for file in sorted(FOLDER.glob("*.json"))
    for shape, raw in json.loads(file.read_text(encoding="utf-8")).items()
]


def credentials_of(raw: str) -> list[Credential | None]:
    """Send a recorded request; what offers itself at the door."""
    client = Client()
    topic = raw.split("/topics/")[1].split("/")[0]
    query = "?ns=INST" if "ns=INST" in raw.split("\r\n")[0] else ""
    client.publish(topic, "so that there is such a topic", query=query)
    found: list[Credential | None] = []

    def look(context: Context, command: Command[object]) -> None:
        found.append(context.credential)

    client.world.gateway.authorizer = look
    host = raw.split("\r\n")
    lines = [line if not line.lower().startswith("host:") else "Host: 127.0.0.1:8080" for line in host]
    client.http._asked.append(raw.split(" ")[0])
    client.http.send("\r\n".join(lines).encode())
    client.world.advance(31, 1.0)
    response = client.http.response()
    # Handles are of another gateway; there is no message for a consume; but nobody was misunderstood.
    assert response.status in (200, 201, 204, 404), response
    assert b"<Code>MalformedXML" not in response.body
    return found


def test_there_are_vectors_of_each_sdk() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == {"go", "java", "node", "python"}
    assert len(REQUESTS) >= 50


@pytest.mark.parametrize("raw", REQUESTS)
def test_what_an_sdk_signed(raw: str) -> None:
    found = credentials_of(raw)
    assert found
    for credential in found:
        assert credential is not None
        assert credential.access_key == "key"
        assert credential.algorithm == "HmacSHA1"
        assert credential.signature == hmac.new(b"secret", credential.signed, hashlib.sha1).digest()
        assert credential.signed_at is not None
        assert credential.signed_at > 1_700_000_000


def test_another_secret_signs_otherwise() -> None:
    (raw,) = [one.values[0] for one in REQUESTS if one.id == "python: POST "]
    (credential,) = credentials_of(str(raw))
    assert credential is not None
    assert credential.signature != hmac.new(b"other", credential.signed, hashlib.sha1).digest()
