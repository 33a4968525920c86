"""Brokers, name servers and gateways that die under load of HTTP: nothing acknowledged is lost, clients go on by themselves."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.apache import Apache, _free_ports
from tests.interop.cluster import BROKER_SETTINGS, ask
from tests.interop.drivers import FIGURES
from tests.interop.gateway import Gateway
from tests.interop.serving import started
from tests.interop.toolchain import classpath

pytestmark = [pytest.mark.gateway_only, pytest.mark.needs("java", "mvn")]

_NAMESRV = "org.apache.rocketmq.namesrv.NamesrvStartup"
_BROKER = "org.apache.rocketmq.broker.BrokerStartup"


class Masters(Apache):
    """A name server and two masters, which can be killed and started again on the same ports and data."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "5.5.0", BROKER_SETTINGS)
        self._jars = ""
        self._of: dict[str, Any] = {}
        self._ports: dict[str, int] = {}

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._jars = classpath("apache", self.version)
        self._namesrv_port = _free_ports(1)
        try:
            for name in ("namesrv", "broker-a", "broker-b"):
                if name != "namesrv":
                    self._ports[name] = _free_ports(4) + 2
                self.launch(name)
            end = time.monotonic() + 60
            while ask(self.address, 106, {}).body.count(b'"brokerAddrs"') < 2:
                assert time.monotonic() < end, "the brokers did not register"
                time.sleep(0.2)
        except BaseException:
            self.stop()
            raise

    def launch(self, name: str) -> None:
        """Starts one of the three."""
        if name == "namesrv":
            settings = {"listenPort": str(self._namesrv_port), "bindAddress": "127.0.0.1"}
            self._launch(name, self._jars, _NAMESRV, settings, heap="128m")
        else:
            self.broker, self._broker_port = name, self._ports[name]
            store = self.directory / f"store-{name}"
            settings = {
                **self._broker_settings(),
                "storePathRootDir": str(store),
                "storePathCommitLog": str(store / "commitlog"),
                "registerNameServerPeriod": "10000",
            }
            self._launch(name, self._jars, _BROKER, settings, heap="300m")
        self._of[name] = self._processes[-1]

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._of[name]
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
        self._processes.remove(process)

    def create_topic(self, topic: str) -> None:
        """At both masters."""
        ext = {
            "topic": topic, "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6",
            "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
        }  # fmt: skip
        for port in self._ports.values():
            assert ask(f"127.0.0.1:{port}", 17, dict(ext)).code == 0


class Client:
    """An HTTP client with one connection; it comes back by itself when that is lost."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON; status 0 if the connection was lost."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, timeout=30)
            self._connection.request(method, f"/v1{path}", body)
            answer = self._connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data else None
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """Sends as fast as it is answered. :ivar acknowledged: bodies, with when. :ivar failed: when sends failed."""

    def __init__(self, address: str, topic: str) -> None:
        self.acknowledged: dict[str, float] = {}
        self.failed: list[float] = []
        self._stop = threading.Event()
        self._client = Client(address)
        self._topic = topic
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            body = f"m{number}"
            number += 1
            for _ in range(100):
                status, _ = self._client.call("POST", f"/topics/{self._topic}/messages", body.encode())
                if status == 201:
                    self.acknowledged[body] = time.monotonic()
                    break
                self.failed.append(time.monotonic())
                if self._stop.wait(0.05):
                    break
            self._stop.wait(0.005)

    def await_more(self, count: int, seconds: float) -> float:
        """Until so many more were acknowledged; how long that took."""
        began, target = time.monotonic(), len(self.acknowledged) + count
        while len(self.acknowledged) < target:
            assert time.monotonic() - began < seconds, f"{len(self.acknowledged)} of {target}"
            time.sleep(0.02)
        return time.monotonic() - began

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(40)
        self._client.close()


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Masters]:
    with started(Masters(tmp_path_factory.mktemp("masters"))) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(masters: Masters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    options = ("--backend", "cluster", "--namesrv", masters.address, "--set", "passthrough.base_port=0")
    with started(Gateway(tmp_path_factory.mktemp("failures"), options)) as made:
        yield made


def consume(address: str, topic: str, wanted: set[str], seconds: float, output: Callable[[], str]) -> None:
    """Receives and acknowledges until everything wanted was there."""
    client = Client(address)
    missing_ones = set(wanted)
    end = time.monotonic() + seconds
    while missing_ones:
        assert time.monotonic() < end, f"{len(missing_ones)} of {len(wanted)} are lost: {sorted(missing_ones)[:5]}\n{output()}"
        status, got = client.call("GET", f"/topics/{topic}/groups/g/messages?wait=2&max=32")
        if status != 200:
            time.sleep(0.2)
            continue
        for message in got["messages"]:
            missing_ones.discard(message["body"])
            client.call("DELETE", f"/topics/{topic}/groups/g/messages/{message['receipt_handle']}")
    client.close()


def test_a_killed_master_is_done_without_and_used_again_when_it_returns(
    masters: Masters, gateway: Gateway, prefix: str
) -> None:
    topic = f"{prefix}_master"
    masters.create_topic(topic)
    load = Load(gateway.address, topic)
    try:
        load.await_more(50, 60)
        masters.kill("broker-a")
        killed = time.monotonic()
        gap = load.await_more(50, 60)
        failures = len(load.failed)
        masters.launch("broker-a")
        back = time.monotonic()
        load.await_more(100, 60)
        end = time.monotonic() + 30
        while _total(masters, topic, "broker-a") == 0 and time.monotonic() < end:
            time.sleep(0.1)
        used = time.monotonic() - back
    finally:
        load.stop()
    FIGURES.append(
        f"cluster, master killed: 50 sends more within {gap:.1f} s, {failures} failed attempts; used {used:.1f} s after its start"
    )
    # What was under way at that moment, and no more: the other master takes the rest.
    assert all(at < killed + 5 for at in load.failed), "sends failed long after the broker was gone"
    assert failures <= 5
    consume(gateway.address, topic, set(load.acknowledged), 90, gateway.output)


def _total(masters: Masters, topic: str, name: str) -> int:
    """Messages that a broker has put since its start."""
    answer = ask(f"127.0.0.1:{masters._ports[name]}", 28, {})
    if answer.code != 0:  # it listens before it has started
        return 0
    return int(json.loads(answer.body)["table"]["putMessageTimesTotal"])


def test_without_name_servers_everything_goes_on(masters: Masters, gateway: Gateway, prefix: str) -> None:
    topic = f"{prefix}_names"
    masters.create_topic(topic)
    load = Load(gateway.address, topic)
    try:
        load.await_more(20, 60)
        masters.kill("namesrv")
        load.await_more(100, 60)
        assert not load.failed
        masters.launch("namesrv")
    finally:
        load.stop()
    consume(gateway.address, topic, set(load.acknowledged), 60, gateway.output)


def test_a_killed_gateway_loses_nothing(masters: Masters, gateway: Gateway, prefix: str) -> None:
    topic = f"{prefix}_gateway"
    masters.create_topic(topic)
    load = Load(gateway.address, topic)
    try:
        load.await_more(50, 60)
        process = gateway._process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    finally:
        load.stop()
    gateway.start()
    consume(gateway.address, topic, set(load.acknowledged), 60, gateway.output)
