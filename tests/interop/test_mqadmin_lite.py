"""mqadmin of RocketMQ 5.5.0, unchanged: looking at lite topics. Who consumes them is a connection of our own."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request
from rmqgateway.wire.request_codes import RequestCode
from tests.interop.conftest import Server
from tests.interop.groups import create_group
from tests.interop.mqadmin import Admin, Printed
from tests.interop.mqadmin_scene import fine

pytestmark = pytest.mark.needs("java", "mvn")

CLIENT = "lite@client"


class Member:
    """One connection of a consumer."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._decoder = RemotingDecoder()

    def ask(self, code: int, ext: dict[str, str], body: bytes = b"") -> RemotingCommand:
        """What the server answers. Raises TimeoutError."""
        self._socket.sendall(encode_request(code, 1, ext, body))
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError(f"the server closed instead of answering {code}")
            for frame in self._decoder.receive_data(data):
                if isinstance(frame, RemotingCommand) and frame.flag & 1:
                    return frame

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()


class Lite:
    """A parent with two messages in lite topic one and one in two; a group whose client wants one, and has received from it."""

    def __init__(self, admin: Admin, server: Server, prefix: str) -> None:
        self.parent, self.group = f"{prefix}_lite_parent", f"{prefix}_lite_group"
        words = ("updateTopic", "-c", server.cluster, "-t", self.parent, "-a")
        fine(admin.run(*words, "+message.type=LITE,+lite.topic.expiration=120"))
        admin.until(lambda printed: self.parent in printed.out, "topicList")
        create_group(server.broker_address, self.group, attributes={"+lite.bind.topic": self.parent})
        self.member = Member(server.broker_address)
        for name in ("one", "one", "two"):
            self.send(name)
        self.subscribe("COMPLETE_ADD")
        # A broker takes its time until subscribers are told.
        deadline = time.monotonic() + 20
        while not self._receive() and time.monotonic() < deadline:
            time.sleep(0.2)

    def send(self, name: str) -> None:
        """One message to a lite topic."""
        now = str(int(time.time() * 1000))
        properties = encode_properties({"__LITE_TOPIC": name, "UNIQ_KEY": f"{name}{now}"}).decode()
        header = dict(
            zip(
                "abcdefghijk",
                ("p", self.parent, "TBW102", "4", "0", "0", now, "0", properties, "0", "false"),
                strict=True,
            )
        )
        assert self.member.ask(RequestCode.SEND_MESSAGE_V2, header, b"body").code == 0

    def subscribe(self, action: str) -> None:
        """The client wants the lite topic one, or (COMPLETE_REMOVE) none."""
        wanted = {
            "action": action,
            "clientId": CLIENT,
            "group": self.group,
            "liteTopicSet": ["one"] if action == "COMPLETE_ADD" else [],
            "topic": self.parent,
            "version": 1,
        }
        body = json.dumps({"subscriptionSet": [wanted]}).encode()
        assert self.member.ask(RequestCode.LITE_SUBSCRIPTION_CTL, {}, body).code == 0

    def _receive(self) -> bytes:
        header = {
            "bornTime": str(int(time.time() * 1000)),
            "clientId": CLIENT,
            "consumerGroup": self.group,
            "invisibleTime": "60000",
            "maxMsgNum": "1",
            "pollTime": "1000",
            "topic": self.parent,
        }
        return self.member.ask(RequestCode.POP_LITE_MESSAGE, header).body


@pytest.fixture(scope="module")
def lite(admin: Admin, server: Server, prefix: str) -> Iterator[Lite]:
    made = Lite(admin, server, prefix)
    with closing(made.member):
        yield made


def row(printed: Printed, beginning: str) -> list[str]:
    """The words of the one line that begins so."""
    (found,) = [line for line in fine(printed).lines if line[0].startswith(beginning)]
    return found


@pytest.mark.parametrize("where", ["broker", "cluster"])
def test_all(where: str, admin: Admin, server: Server, lite: Lite) -> None:
    words = ("-b", server.broker_address) if where == "broker" else ("-c", server.cluster)
    printed = admin.run("getBrokerLiteInfo", *words, "-d")
    store, most, lite_topics, subscriptions, in_flight, queues, offsets, events = row(
        printed, server.broker_address
    )[1:]
    assert store == ("rmqgateway" if server.broker == "rmqgateway" else "default")
    assert int(most) > int(lite_topics) >= 2
    assert int(subscriptions) >= 1 and int(in_flight) >= 1 and int(events) >= 1
    assert int(queues) > 1 and int(offsets) >= 1
    assert f'"{lite.parent}":120' in printed.out
    assert f'"{lite.parent}":["{lite.group}"]' in printed.out


def test_a_parent_topic(admin: Admin, server: Server, lite: Lite) -> None:
    expiration, lite_topics, all_lite_topics, groups = row(
        admin.run("getParentTopicInfo", "-p", lite.parent), server.broker
    )[1:]
    assert (expiration, lite_topics, groups) == ("120", "2", f"[{lite.group}]")
    assert int(all_lite_topics) >= 2


def test_a_lite_topic(admin: Admin, server: Server, lite: Lite) -> None:
    words = ("getLiteTopicInfo", "-p", lite.parent, "-s", "-l")
    printed = admin.run(*words, "one")
    lowest, highest, *updated, sharded, clients = row(printed, server.broker)[1:]
    assert (lowest, highest, sharded, clients) == ("0", "2", "true", "1")
    assert updated[0][:4].isdigit()
    assert f"[{CLIENT}@{lite.group}]" in printed.out
    lowest, highest, *updated, sharded, clients = row(admin.run(*words, "two"), server.broker)[1:]
    assert (highest, clients) == ("1", "0")
    assert row(admin.run(*words, "never"), server.broker)[1:] == ["0", "0", "-", "true", "0"]


def test_a_client(admin: Admin, server: Server, lite: Lite) -> None:
    words = ("getLiteClientInfo", "-p", lite.parent, "-g", lite.group, "-s", "-c")
    printed = admin.run(*words, CLIENT)
    count, *accessed, consumed = row(printed, server.broker)[1:]
    assert (count, consumed) == ("1", "N/A") and accessed[0][:4].isdigit()
    assert f"Lite Topics: [%LMQ%${lite.parent}$one]" in printed.out
    assert row(admin.run(*words, "nobody"), server.broker)[1:] == ["N/A", "N/A", "N/A"]


def test_a_group(admin: Admin, server: Server, lite: Lite) -> None:
    words = ("getLiteGroupInfo", "-p", lite.parent, "-g", lite.group)
    printed = fine(admin.run(*words))
    assert "Total Lag Count: 2" in printed.out
    # By count and by time; a broker's table by time is empty until its metrics were asked for.
    tables = [line for line in printed.lines if line[0] == "1"]
    assert len(tables) == (2 if server.broker == "rmqgateway" else 1)
    for _, lite_topic, count, *since in tables:
        assert (lite_topic, count) == ("one", "2") and since[0][:4].isdigit()
    assert row(admin.run(*words, "-l", "one"), server.broker)[1:4] == ["2", "0", "2"]
    assert row(admin.run(*words, "-l", "two"), server.broker)[1:4] == ["-", "-", "-"]


@pytest.mark.parametrize("client", [(), ("-c", CLIENT)], ids=["group", "client"])
def test_dispatching_again(client: tuple[str, ...], admin: Admin, server: Server, lite: Lite) -> None:
    words = ("triggerLiteDispatch", "-p", lite.parent, "-g", lite.group, *client)
    assert row(admin.run(*words), server.broker)[1] == "dispatched"


@pytest.mark.parametrize("command", ["getLiteGroupInfo", "triggerLiteDispatch"])
def test_a_group_that_has_no_lite_topics(
    command: str, admin: Admin, server: Server, lite: Lite, prefix: str
) -> None:
    group = f"{prefix}_no_lite"
    create_group(server.broker_address, group)
    assert "error" in fine(admin.run(command, "-p", lite.parent, "-g", group)).out
