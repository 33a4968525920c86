"""HTTP by curl, WebSocket, and the MQ HTTP wire's SDK before a real broker 5.5.0; HTTP before one of 4.9, which knows no pop."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.cluster import Cluster
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.mqhttp.build import command, lacking
from tests.interop.serving import started

pytestmark = [
    pytest.mark.gateway_only,
    pytest.mark.needs("java", "mvn"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)"),
]

#: The newest release of 4.9 whose broker is published.
OLD = "4.9.4"
MQHTTP = ("publish_consume_ack", "many", "chinese_text", "properties", "tag_filter", "delay", "ordered", "no_message")
_SETTING = "RMQGATEWAY_FRONT_ENDS__MQHTTP__INVISIBLE_SECONDS"


def _started(tmp_path_factory: pytest.TempPathFactory, name: str, version: str) -> Iterator[Cluster]:
    with started(Cluster(tmp_path_factory.mktemp(name), version)) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory, "cluster_front_ends", "5.5.0")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory, "cluster_old", OLD)


def curl(cluster: Cluster, path: str, *options: str, data: bytes | None = None) -> tuple[int, Any]:
    """Status and body; fails with what curl says of an error, and the servers."""
    url = f"http://{cluster.gateway.address}/v1{path}"
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", *options, url], input=data, capture_output=True, timeout=90
    )
    assert done.returncode == 0, f"{done.stderr.decode()}\n{cluster.output()}"
    text, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(text) if text else None


def send(cluster: Cluster, topic: str, body: str, query: str = "") -> Any:
    status, sent = curl(cluster, f"/topics/{topic}/messages{query}", "-d", body)
    assert status == 201, (sent, cluster.output())
    return sent


def receive(cluster: Cluster, topic: str, group: str, count: int, query: str = "", seconds: float = 40) -> list[Any]:
    """Messages, until so many came or the time is over; not acknowledged."""
    found: list[Any] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        status, got = curl(cluster, f"/topics/{topic}/groups/{group}/messages?wait=3&max=16{query}")
        assert status == 200, (got, cluster.output())
        found += got["messages"]
    assert len(found) == count, cluster.output()
    return found


def bodies(messages: list[Any]) -> list[str]:
    return [message["body"] for message in messages]


def acknowledge(cluster: Cluster, topic: str, group: str, message: Any) -> int:
    return curl(cluster, f"/topics/{topic}/groups/{group}/messages/{message['receipt_handle']}", "-X", "DELETE")[0]


def test_send_receive_acknowledge(cluster: Cluster, prefix: str) -> None:
    topic = f"{prefix}_rest"
    sent = send(cluster, topic, "hello")
    (got,) = receive(cluster, topic, "g", 1)
    assert (got["body"], got["message_id"], got["born_host"], got["delivery_attempt"]) == (
        "hello",
        sent["message_id"],
        "127.0.0.1",
        1,
    )
    assert acknowledge(cluster, topic, "g", got) == 204
    assert curl(cluster, f"/topics/{topic}/groups/g/messages?wait=0")[1] == {"messages": []}


def test_a_message_that_is_given_back_comes_again(cluster: Cluster, prefix: str) -> None:
    topic = f"{prefix}_back"
    send(cluster, topic, "again")
    (first,) = receive(cluster, topic, "g", 1)
    assert curl(cluster, f"/topics/{topic}/groups/g/messages/{first['receipt_handle']}/nack", "-X", "POST")[0] == 204
    (second,) = receive(cluster, topic, "g", 1)
    assert (second["message_id"], second["delivery_attempt"], second["topic"]) == (first["message_id"], 2, topic)
    assert acknowledge(cluster, topic, "g", second) == 204


def test_used_up_attempts_are_dead_letters(cluster: Cluster, prefix: str) -> None:
    topic, group = f"{prefix}_dead", f"{prefix}_dead_group"
    create_group(cluster.apache.broker_address, group, retries=1)
    send(cluster, topic, "poison")
    for attempt in (1, 2):
        (got,) = receive(cluster, topic, group, 1)
        assert got["delivery_attempt"] == attempt
        curl(cluster, f"/topics/{topic}/groups/{group}/messages/{got['receipt_handle']}/nack", "-X", "POST")
    end = time.monotonic() + 40
    found: list[Any] = []
    while not found and time.monotonic() < end:
        assert curl(cluster, f"/topics/{topic}/groups/{group}/messages?wait=1")[1] == {"messages": []}
        status, got = curl(cluster, f"/topics/%25DLQ%25{group}/groups/undertaker/messages?wait=1")
        found = got["messages"] if status == 200 else []
    assert bodies(found) == ["poison"], cluster.output()


def test_filters(cluster: Cluster, prefix: str) -> None:
    topic = f"{prefix}_filter"
    for tag in "abc":
        send(cluster, topic, tag, f"?tag={tag}")
    assert sorted(bodies(receive(cluster, topic, "tags", 2, "&filter=a%7C%7Cb"))) == ["a", "b"]
    assert bodies(receive(cluster, topic, "sql", 1, "&sql=TAGS%20%3D%20%27c%27")) == ["c"]


def test_delay(cluster: Cluster, prefix: str) -> None:
    topic = f"{prefix}_delay"
    began = time.monotonic()
    send(cluster, topic, "later", "?delay=2s")
    assert bodies(receive(cluster, topic, "g", 1)) == ["later"]
    assert time.monotonic() - began >= 1.5


def test_a_transaction_is_asked_for_and_ended(cluster: Cluster, prefix: str) -> None:
    topic, group = f"{prefix}_half", f"{prefix}_pg"
    status, half = curl(cluster, f"/topics/{topic}/transactions?producer_group={group}", "-d", "committed")
    assert status == 201
    assert curl(cluster, f"/transactions/{half['transaction']}/commit", "-X", "POST")[0] == 204
    curl(cluster, f"/topics/{topic}/transactions?producer_group={group}&check_after=1s", "-d", "asked")
    end = time.monotonic() + 60
    asked: list[Any] = []
    while not asked and time.monotonic() < end:
        asked = curl(cluster, f"/producer-groups/{group}/checks?wait=5")[1]["transactions"]
    assert bodies(asked) == ["asked"], cluster.output()
    assert curl(cluster, f"/transactions/{asked[0]['transaction']}/commit", "-X", "POST")[0] == 204
    assert sorted(bodies(receive(cluster, topic, "g", 2))) == ["asked", "committed"]


def test_a_request_is_answered(cluster: Cluster, prefix: str) -> None:
    topic = f"{prefix}_ask"
    send(cluster, topic, "first")  # makes the topic
    receive(cluster, topic, "g", 1)
    url = f"http://{cluster.gateway.address}/v1/topics/{topic}/requests?timeout=30s"
    with subprocess.Popen(["curl", "-sS", "-d", "how much?", url], stdout=subprocess.PIPE) as asking:
        got = [one for one in receive(cluster, topic, "g", 1) if one["body"] == "how much?"]
        assert curl(cluster, f"/replies/{got[0]['reply_to']}", "-d", "42")[0] == 204
        assert json.loads(asking.communicate(timeout=60)[0])["body"] == "42"


def test_errors_of_the_broker_keep_code_and_text(cluster: Cluster) -> None:
    status, problem = curl(cluster, "/topics/SCHEDULE_TOPIC_XXXX/messages", "-d", "x")
    assert status in (403, 409)
    assert problem["upstream_code"] == 16
    assert "SCHEDULE_TOPIC_XXXX" in problem["detail"]
    assert curl(cluster, "/topics/never_made/groups/g/messages")[0] == 404


# WebSocket.


class Socket:
    """A WebSocket client that blocks, with text messages of less than 64 KB."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: rmqgateway.v1.json\r\n\r\n".encode()
        )
        self._stream = self._socket.makefile("rb")
        status = self._stream.readline()
        assert b" 101 " in status, status
        while self._stream.readline().strip():
            pass

    def send(self, frame: dict[str, Any]) -> None:
        data = json.dumps(frame).encode()
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self._socket.sendall(b"\x81" + size + mask + masked)

    def frame(self) -> dict[str, Any]:
        """The next one."""
        while True:
            head = self._stream.read(2)
            assert len(head) == 2, "the connection is closed"
            size = head[1] & 127
            if size >= 126:
                size = int.from_bytes(self._stream.read(2 if size == 126 else 8), "big")
            data = self._stream.read(size)
            if head[0] & 15 == 1:
                frame: dict[str, Any] = json.loads(data)
                return frame

    def read(self, kind: str) -> dict[str, Any]:
        """The next frame of this operation; others are passed over."""
        while True:
            frame = self.frame()
            assert kind == "error" or frame["op"] != "error", frame
            if frame["op"] == kind:
                return frame

    def close(self) -> None:
        self._socket.close()


def test_websocket(cluster: Cluster, prefix: str) -> None:
    topic = f"{prefix}_ws"
    cluster.create_topic(topic)
    client = Socket(cluster.gateway.address)
    try:
        body = {"messages": [{"text": "over a socket", "tag": "a"}]}
        client.send({"op": "send", "id": 1, "topic": topic, **body})
        sent = client.read("sent")["results"][0]
        client.send({"op": "subscribe", "id": 2, "subscription": "s", "topic": topic, "group": "ws", "credit": 2})
        delivered = client.read("deliver")
        assert (delivered["message"]["text"], delivered["attempt"]) == ("over a socket", 1)
        assert delivered["message"]["messageId"] == sent["messageId"]
        client.send({"op": "nack", "id": 3, "subscription": "s", "numbers": [delivered["number"]]})
        client.send({"op": "credit", "subscription": "s", "messages": 1})
        again = client.read("deliver")
        assert (again["message"]["messageId"], again["attempt"]) == (sent["messageId"], 2)
        client.send({"op": "ack", "id": 4, "subscription": "s", "numbers": [again["number"]]})
        while client.read("done")["id"] != 4:
            pass
    finally:
        client.close()


# The MQ HTTP wire.


@pytest.fixture(scope="module")
def sdk(cluster: Cluster, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    reason = lacking("python")
    if reason is not None:
        pytest.skip(reason)
    for scenario, kind in {"chinese_text": "FIFO", "delay": "DELAY", "ordered": "FIFO"}.items():
        cluster.create_topic(f"{prefix}_clmq_{scenario}", kind)
    arguments = [*command("python"), cluster.gateway.address, ",".join(MQHTTP), f"{prefix}_clmq"]
    started = Driver("mqhttp-python-cluster", arguments, tmp_path_factory.mktemp("cluster_mqhttp"), seconds=150)
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("scenario", MQHTTP)
def test_mqhttp_sdk(scenario: str, sdk: Driver, cluster: Cluster) -> None:
    sdk.judge(scenario, cluster.output())


# A broker that knows no pop.


class Listener:
    """curl at a broadcast. :ivar events: id and message of each, as they come."""

    def __init__(self, cluster: Cluster, topic: str, last: str = "") -> None:
        url = f"http://{cluster.gateway.address}/v1/topics/{topic}/groups/everybody/stream?broadcast=true"
        headers = ["-H", f"Last-Event-ID: {last}"] if last else []
        self._curl = subprocess.Popen(
            ["curl", "-sSN", "--max-time", "120", *headers, url], stdout=subprocess.PIPE, text=True
        )
        self.began = self._field("id: ")

    def _field(self, name: str) -> str:
        assert self._curl.stdout is not None
        for line in self._curl.stdout:
            if line.startswith(name):
                return line[len(name) :].strip()
        raise AssertionError(f"the stream ended before {name!r}")

    def take(self, count: int) -> list[tuple[str, str]]:
        """The next messages: id of the event and body."""
        return [(self._field("id: "), json.loads(self._field("data: "))["body"]) for _ in range(count)]

    def close(self) -> None:
        self._curl.terminate()
        self._curl.communicate(timeout=10)


@pytest.mark.parametrize("version", ["5.5.0", OLD])
def test_every_listener_of_a_broadcast_gets_everything(
    version: str, request: pytest.FixtureRequest, prefix: str
) -> None:
    cluster: Cluster = request.getfixturevalue("old" if version == OLD else "cluster")
    topic = f"{prefix}_broadcast"
    send(cluster, topic, "before")
    listeners = [Listener(cluster, topic) for _ in range(3)]
    wanted = [f"number {number}" for number in range(20)]
    try:
        for body in wanted[:15]:
            send(cluster, topic, body)
        taken = [listener.take(15) for listener in listeners]
        for events in taken:
            assert sorted(body for _, body in events) == sorted(wanted[:15])
        # One goes after its fifth message, in whose name all was pulled maybe, and comes back.
        listeners[0].close()
        for body in wanted[15:]:
            send(cluster, topic, body)
        listeners[0] = Listener(cluster, topic, taken[0][4][0])
        missed = {body for _, body in taken[0][5:]} | set(wanted[15:])
        assert {body for _, body in listeners[0].take(len(missed))} == missed
        for listener in listeners[1:]:
            assert sorted(body for _, body in listener.take(5)) == sorted(wanted[15:])
        if version != OLD:  # which says 0 of every group that is new
            status, found = curl(cluster, f"/topics/{topic}/groups/everybody/queues/0/offset")
            assert (status, found.get("code")) == (404, "OFFSET_NOT_FOUND"), "nothing of a listener is kept"
    finally:
        for listener in listeners:
            listener.close()


def test_an_old_broker_is_consumed_by_pull(old: Cluster, prefix: str) -> None:
    topic = f"{prefix}_old"
    for number in range(5):
        send(old, topic, f"m{number}")
    found = receive(old, topic, "g", 5)
    assert sorted(bodies(found)) == [f"m{number}" for number in range(5)]
    curl(old, f"/topics/{topic}/groups/g/messages/{found[0]['receipt_handle']}/nack", "-X", "POST")
    (again,) = receive(old, topic, "g", 1)
    assert (again["message_id"], again["delivery_attempt"]) == (found[0]["message_id"], 2)
    assert acknowledge(old, topic, "g", found[0]) == 400  # its handle is another now
    for message in [*found[1:], again]:
        assert acknowledge(old, topic, "g", message) == 204
    assert curl(old, f"/topics/{topic}/groups/g/messages?wait=0")[1] == {"messages": []}


def test_what_one_gateway_did_not_acknowledge_another_gets(old: Cluster, prefix: str) -> None:
    topic = f"{prefix}_old_restart"
    send(old, topic, "kept")
    (first,) = receive(old, topic, "g", 1)
    old.gateway.stop()
    old.gateway.start()
    (again,) = receive(old, topic, "g", 1)
    assert again["message_id"] == first["message_id"]
    status, problem = curl(old, f"/topics/{topic}/groups/g/messages/{first['receipt_handle']}", "-X", "DELETE")
    assert status == 400, problem
    assert "another gateway" in problem["detail"]
    assert acknowledge(old, topic, "g", again) == 204


def test_an_old_broker_is_given_no_message_with_a_time(old: Cluster, prefix: str) -> None:
    status, problem = curl(old, f"/topics/{prefix}_old_delay/messages?delay=2s", "-d", "later")
    assert status in (400, 501), problem
    assert "5.0" in problem["detail"]
