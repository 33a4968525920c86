"""Real curl against a real gateway process: what the documentation says in one line and in two."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.gateway import Gateway
from tests.interop.serving import started

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(Gateway(tmp_path_factory.mktemp("curl"))) as made:
        yield made


def curl(gateway: Gateway, path: str, *options: str, data: bytes | None = None) -> bytes:
    """What curl prints; fails with what it says of an error."""
    command = ["curl", "-sS", "--max-time", "40", *options, f"http://{gateway.address}{path}"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_sending_is_one_line_and_receiving_with_acknowledging_two(gateway: Gateway) -> None:
    sent = json.loads(curl(gateway, "/v1/topics/orders/messages", "-d", "hello"))
    got = json.loads(curl(gateway, "/v1/topics/orders/groups/shop/messages?wait=5"))["messages"][0]
    assert (got["body"], got["message_id"]) == ("hello", sent["message_id"])
    path = f"/v1/topics/orders/groups/shop/messages/{got['receipt_handle']}"
    assert curl(gateway, path, "-X", "DELETE", "-w", "%{http_code}") == b"204"
    assert json.loads(curl(gateway, "/v1/topics/orders/groups/shop/messages")) == {"messages": []}


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2-prior-knowledge", "--http2"])
def test_versions_of_http(gateway: Gateway, version: str) -> None:
    topic = "v" + version.strip("-").replace(".", "_")
    curl(gateway, f"/v1/topics/{topic}/messages", version, "-d", "x")
    found = json.loads(curl(gateway, f"/v1/topics/{topic}/groups/g/messages?wait=5", version))
    assert [one["body"] for one in found["messages"]] == ["x"]


def test_large_bodies_with_expect_and_chunks(gateway: Gateway) -> None:
    body = bytes(range(256)) * 12_000  # 3 MB
    octets = ("-H", "Content-Type: application/octet-stream")
    for number, how in enumerate([("--data-binary", "@-"), ("--data-binary", "@-", "-H", "Transfer-Encoding: chunked")]):
        sent = curl(gateway, f"/v1/topics/large{number}/messages", *octets, *how, "--expect100-timeout", "5", data=body)
        assert json.loads(sent)["message_id"]
        accept = ("-H", "Accept: application/octet-stream")
        assert curl(gateway, f"/v1/topics/large{number}/groups/g/messages?wait=5", *accept) == body


def test_a_body_over_the_limit_is_refused_before_it_is_sent(gateway: Gateway, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(5 << 20))
    out = curl(
        gateway, "/v1/topics/orders/messages", "--data-binary", f"@{large}", "-H", "Expect: 100-continue",
        "-w", "\n%{http_code} %{size_upload}",
    )  # fmt: skip
    problem, _, figures = out.rpartition(b"\n")
    status, uploaded = figures.split()
    assert (status, json.loads(problem)["code"]) == (b"413", "MESSAGE_BODY_TOO_LARGE")
    assert int(uploaded) < 1 << 20


def test_compressed_answers(gateway: Gateway) -> None:
    for _ in range(3):
        curl(gateway, "/v1/topics/squeeze/messages", "-d", "x" * 5000)
    out = curl(
        gateway, "/v1/topics/squeeze/groups/g/messages?max=1&wait=5", "--compressed", "-w", "\n%{size_download} %{http_code}"
    )
    answer, _, figures = out.rpartition(b"\n")
    size, status = figures.split()
    assert (status, json.loads(answer)["messages"][0]["body"]) == (b"200", "x" * 5000)
    assert int(size) < 1000


def test_errors_are_problems(gateway: Gateway) -> None:
    answer = curl(gateway, "/v1/topics/orders/messages", "-H", "Content-Type: application/json", "-d", '{"tga": "x"}', "-i")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head.lower()
    assert "did you mean 'tag'" in json.loads(body)["detail"]


def test_a_request_and_its_reply(gateway: Gateway) -> None:
    asking = subprocess.Popen(
        ["curl", "-sS", "-d", "how much?", f"http://{gateway.address}/v1/topics/prices/requests?timeout=20s"],
        stdout=subprocess.PIPE,
    )
    try:
        asked: list[Any] = []
        for _ in range(50):
            answer = json.loads(curl(gateway, "/v1/topics/prices/groups/shop/messages?wait=1"))
            asked = answer.get("messages", [])
            if asked:
                break
            time.sleep(0.1)  # the topic comes into being by the request
        assert curl(gateway, f"/v1/replies/{asked[0]['reply_to']}", "-d", "7", "-w", "%{http_code}") == b"204"
        out, _ = asking.communicate(timeout=20)
    finally:
        if asking.poll() is None:
            asking.kill()
            asking.wait()
    assert json.loads(out)["body"] == "7"


def read_events(process: subprocess.Popen[bytes], count: int) -> list[tuple[str, dict[str, Any]]]:
    assert process.stdout is not None
    found, event_id = [], ""
    for line in process.stdout:
        text = line.decode().rstrip("\n")
        if text.startswith("id: "):
            event_id = text[4:]
        elif text.startswith("data: "):
            found.append((event_id, json.loads(text[6:])))
            if len(found) == count:
                break
    return found


def test_a_stream_is_broken_off_and_taken_up(gateway: Gateway) -> None:
    base = f"http://{gateway.address}/v1/topics/ticks/groups/g/stream?ack=explicit"
    first = subprocess.Popen(["curl", "-sSN", "--max-time", "30", base], stdout=subprocess.PIPE)
    for number in range(4):
        curl(gateway, "/v1/topics/ticks/messages?queue_id=0", "-d", str(number))
    events = read_events(first, 4)
    assert [message["body"] for _, message in events] == ["0", "1", "2", "3"]
    first.send_signal(signal.SIGKILL)
    first.wait()
    command = ["curl", "-sSN", "--max-time", "30", "-H", f"Last-Event-ID: {events[1][0]}", base]
    again = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert [message["body"] for _, message in read_events(again, 2)] == ["2", "3"]
    finally:
        again.kill()
        again.wait()
    # Its messages come back when its client is gone for good.
    deadline = time.monotonic() + 20
    left: set[str] = set()
    while left != {"2", "3"} and time.monotonic() < deadline:
        answer = json.loads(curl(gateway, "/v1/topics/ticks/groups/g/messages?max=32&wait=2"))
        left |= {one["body"] for one in answer["messages"]}
    assert left == {"2", "3"}


def test_pages(gateway: Gateway) -> None:
    assert json.loads(curl(gateway, "/readyz")) == {"status": "ready"}
    assert json.loads(curl(gateway, "/openapi.json"))["openapi"] == "3.1.0"
    assert curl(gateway, "/docs").startswith(b"<!doctype html>")
