"""Pairs of official clients that exchange messages of every kind through one gateway; `matrix_pairs` lists them.

Each message is given back once, so that the receiver shows the second attempt. All pairs run beside each other: most of the
time is waiting.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rmqgateway.wire.remoting import encode_request
from rmqgateway.wire.request_codes import RequestCode
from tests.interop.couriers import Courier
from tests.interop.gateway import Gateway
from tests.interop.groups import create_group
from tests.interop.matrix_pairs import CLIENTS, PAIRS
from tests.interop.mqhttp.build import command as mqhttp_command
from tests.interop.serving import started
from tests.interop.test_grpc_java import VERSION as GRPC_JAVA
from tests.interop.test_grpc_python import _interpreter
from tests.interop.toolchain import REBALANCING, classpath, go_program, missing

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]

HERE = Path(__file__).resolve().parent / "couriers"
MODULE = Path(__file__).resolve().parents[2] / "protocols" / "rmqgateway_websocket" / "client" / "rmqgateway.js"
#: Who has a word for the address that a message came from.
_SHOWS_HOST = {"java", "go", "java_grpc", "python_grpc", "curl", "browser"}
_AT_ONCE = 8

Found = dict[str, Any]


class Curl:
    """curl, and nothing else."""

    label = "curl"

    def __init__(self, address: str) -> None:
        self._address = address

    def _curl(self, path: str, *options: str, value: object = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        if data is not None:
            options += ("-H", "Content-Type: application/json", "--data-binary", "@-")
        command = ["curl", "-sS", "--max-time", "40", *options, f"http://{self._address}{path}"]
        done = subprocess.run(command, input=data, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        found = json.loads(done.stdout) if done.stdout else {}
        assert "detail" not in found, found
        return found

    def ask(self, seconds: float = 70, **question: Any) -> dict[str, Any]:
        return self._send(question) if question["op"] == "send" else self._receive(question, seconds)

    def _send(self, question: dict[str, Any]) -> dict[str, Any]:
        ids = []
        topic = question["topic"]
        for message in question["messages"]:
            value = {name: part for name, part in message.items() if name != "commit"}
            if "commit" in message:
                sent = self._curl(f"/v1/topics/{topic}/transactions?producer_group={question['group']}", value=value)
                end = "commit" if message["commit"] else "rollback"
                self._curl(f"/v1/transactions/{sent['transaction']}/{end}", "-X", "POST")
            else:
                sent = self._curl(f"/v1/topics/{topic}/messages", value=value)
            ids.append(sent["message_id"])
        return {"ids": ids}

    def _receive(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        path = f"/v1/topics/{question['topic']}/groups/{question['group']}/messages"
        query = "?wait=3&max=16" + ("&fifo=true" if question["kind"] == "fifo" else "")
        if "lite_topics" in question:
            query += "&lite_topics=" + ",".join(question["lite_topics"])
        found: list[Found] = []
        before: set[str] = set()
        end = time.monotonic() + seconds
        while len(found) < question["count"] and time.monotonic() < end:
            for message in self._curl(path + query)["messages"]:
                handle = f"{path}/{quote(message['receipt_handle'], '')}"
                if message["message_id"] not in before:
                    before.add(message["message_id"])
                    self._curl(f"{handle}/nack", "-X", "POST")
                    continue
                self._curl(handle, "-X", "DELETE")
                told = {"attempt": message["delivery_attempt"], "born_timestamp": message["born_at"]}
                found.append({"properties": {}, **message, **told, "at": int(time.time() * 1000)})
        return {"messages": found}

    def stop(self) -> None:
        """It has ended already."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    options = ("--set", "front_ends.mqhttp.invisible_seconds=3")
    with started(Gateway(tmp_path_factory.mktemp("matrix-server"), options)) as made:
        yield made


def _couriers(gateway: Gateway, directory: Path) -> dict[str, Any]:
    """By client; what cannot run here is not there."""
    address = gateway.address
    java_path = f"{classpath('clients', '5.5.0')}:{classpath('grpc', GRPC_JAVA)}"
    java = [
        "java",
        "-Xmx400m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Duser.home={directory}",
        f"-Drocketmq.client.logRoot={directory}",
        "-Drocketmq.client.logLevel=WARN",
        *REBALANCING,
        "-cp",
        java_path,
        str(HERE / "Courier.java"),
        address,
    ]
    sdk = Path(mqhttp_command("python")[1]).parent
    shutil.copy(HERE / "mqhttp.py", sdk / "courier.py")
    commands = {
        "java": java,
        "python_grpc": [str(_interpreter()), str(HERE / "python_grpc.py"), address],
        "mqhttp": [mqhttp_command("python")[0], str(sdk / "courier.py"), address],
    }
    if missing("go") is None:
        commands["go"] = [str(go_program()), address, "courier", "-"]
    if shutil.which("node") is not None:
        node = ["node", "--experimental-websocket"]
        commands["browser"] = [*node, str(HERE / "browser.mjs"), str(MODULE), address]
    made: dict[str, Any] = {name: Courier(name, command, directory) for name, command in commands.items()}
    made["java_grpc"] = made["java"]
    if shutil.which("curl") is not None:
        made["curl"] = Curl(address)
    return made


def _create_topic(gateway: Gateway, name: str, kind: str) -> None:
    fields = {
        "topic": name, "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6",
        "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false", "attributes": f"+message.type={kind}",
    }  # fmt: skip
    host, _, port = gateway.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(encode_request(int(RequestCode.UPDATE_AND_CREATE_TOPIC), 1, fields))
        answer = connection.recv(65536)
    assert b'"code":0' in answer.replace(b" ", b""), answer


_TYPES = {"transactional": "TRANSACTION"}


def _messages(kind: str) -> list[dict[str, Any]]:
    """What is sent. Only lite topic ``a`` is subscribed to; what is rolled back must not come."""
    count = {"fifo": 4, "priority": 3, "lite": 3}.get(kind, 2)
    found = []
    for number in range(count):
        message: dict[str, Any] = {
            "body": f"{kind} {number} 中文",
            "tag": "TagA",
            "keys": [f"key-{number}"],
            "properties": {"colour": f"blue {number}"},
        }
        if kind == "fifo":
            message["message_group"] = "group-1"
        elif kind == "priority":
            message["priority"] = number
        elif kind == "lite":
            message["lite_topic"] = "b" if number == 1 else "a"
        elif kind == "delay":
            message["deliver_at"] = (int(time.time()) + 5) * 1000
        elif kind == "transactional":
            message["commit"] = number == 0
        found.append(message)
    return found


def _exchange(gateway: Gateway, couriers: dict[str, Any], sender: str, receiver: str, kind: str) -> None:
    topic = f"{kind}_{sender}_{receiver}"
    group = f"{topic}_group"
    _create_topic(gateway, topic, _TYPES.get(kind, kind.upper()))
    create_group(gateway.address, group, orderly=kind == "fifo")
    messages = _messages(kind)
    began = int(time.time() * 1000)
    common = {"topic": topic, "group": group, "kind": kind}
    ids = couriers[sender].ask(op="send", client=sender, messages=messages, **common)["ids"]
    ended = int(time.time() * 1000)
    wanted = {
        sent_id: message
        for sent_id, message in zip(ids, messages, strict=True)
        if message.get("commit", True) and message.get("lite_topic", "a") == "a"
    }
    more = {"lite_topics": ["a"]} if kind == "lite" else {}
    found = couriers[receiver].ask(op="receive", client=receiver, count=len(wanted), **common, **more)["messages"]
    assert sorted(one["message_id"] for one in found) == sorted(wanted), (found, wanted)
    for one in found:
        _compare(wanted[one["message_id"]], one, receiver)
        assert began - 1000 <= int(one["born_timestamp"]) <= ended + 1000, "when it was sent"
    if kind == "fifo":
        assert [one["body"] for one in found] == [message["body"] for message in messages], "in order"


def _compare(message: dict[str, Any], one: Found, receiver: str) -> None:
    assert one["body"] == message["body"]
    assert one["tag"] == message["tag"]
    assert list(one["keys"]) == message["keys"]
    properties = {name: value for name, value in one["properties"].items() if not name.isupper()}
    assert properties == message["properties"]
    assert (one.get("message_group") or "") == message.get("message_group", "")
    assert one["attempt"] == 2, "given back once"
    if receiver in _SHOWS_HOST:
        assert one["born_host"], "a name or an address"
    if "deliver_at" in message:
        assert one["at"] >= message["deliver_at"], "never early"
    if "priority" in message and receiver != "mqhttp":
        assert int(one["priority"]) == message["priority"]
    if "lite_topic" in message:
        assert one["lite_topic"] == message["lite_topic"]


@pytest.fixture(scope="module")
def exchanges(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str, str], None]]:
    """All pairs are begun with the first test."""
    couriers = _couriers(gateway, tmp_path_factory.mktemp("couriers"))
    pool = ThreadPoolExecutor(_AT_ONCE)
    under_way: dict[tuple[str, str, str], Future[None]] = {}
    try:
        for pair in PAIRS:
            if pair[0] in couriers and pair[1] in couriers:
                under_way[pair] = pool.submit(_exchange, gateway, couriers, *pair)

        def judge(sender: str, receiver: str, kind: str) -> None:
            for client in (sender, receiver):
                if client not in couriers:
                    pytest.skip(f"{CLIENTS[client]}: node, go or curl is not installed")
            under_way[sender, receiver, kind].result(timeout=170)

        yield judge
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for courier in {id(one): one for one in couriers.values()}.values():
            courier.stop()


@pytest.mark.parametrize(("sender", "receiver", "kind"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_pair(sender: str, receiver: str, kind: str, exchanges: Callable[[str, str, str], None]) -> None:
    exchanges(sender, receiver, kind)
