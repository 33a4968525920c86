"""Gateways that are restarted while five official clients send and consume: nobody notices, nothing is lost.

Java Remoting, Java gRPC, Go Remoting with their default retries; HTTP and the browser's module (under node) repeat until they are
answered. Sends time out after 15 s instead of 3, because test machines are busy.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.interop.apache import Apache, _free_ports
from tests.interop.balancer import Balancer
from tests.interop.cluster import BROKER_SETTINGS, ask
from tests.interop.drivers import FIGURES
from tests.interop.load import Load
from tests.interop.toolchain import tail

pytestmark = [pytest.mark.gateway_only, pytest.mark.needs("java", "mvn")]

ROOT = Path(__file__).resolve().parents[2]
#: Between SIGTERM and the end of the process, in seconds; `listening.drain_s` is 30.
DRAINED = 12.0
CLIENTS = ("java", "java_grpc", "go", "browser", "http")

_PASS_ON = """
import os, sys
given = int(sys.argv[1])
if given != 3:
    os.dup2(given, 3)
os.set_inheritable(3, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Served:
    """A gateway; `restart` ends it as an operator does. :param shared: a listening socket that outlives it, as systemd's do."""

    def __init__(self, directory: Path, options: tuple[str, ...], shared: socket.socket | None = None) -> None:
        self.directory = directory
        self._options = options
        self._shared = shared
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("", "protocols", "tap"))}
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "rmqgateway"]
        command += ["--data-dir", str(self.directory / "data"), *self._options]
        passed: tuple[int, ...] = ()
        if self._shared is not None:
            # systemd's protocol: descriptors from 3 on, for the process of this id.
            passed = (self._shared.fileno(),)
            environment.update(LISTEN_FDS="1", LISTEN_FDNAMES="clients")
            command = [sys.executable, "-c", _PASS_ON, str(passed[0]), *command]
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=passed,
            )  # fmt: skip

    def await_ready(self, address: tuple[str, int]) -> None:
        """Until it answers there."""
        deadline = time.monotonic() + 40
        while True:
            try:
                with socket.create_connection(address, timeout=20) as connection:
                    connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                    if b" 200 " in connection.recv(100):
                        return
            except OSError:
                pass
            assert self._process is not None and self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.1)

    def end(self) -> float:
        """SIGTERM; in how many seconds it ended, which is with status 0."""
        process, self._process = self._process, None
        assert process is not None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
            raise AssertionError(f"it does not end\n{self.output()}") from None
        assert status == 0, self.output()
        return time.monotonic() - began

    def kill(self) -> None:
        """If it is still there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def output(self) -> str:
        return tail((self.directory / "output").read_text(errors="replace"), 40)


def _note(what: str, load: Load, drains: list[float], downs: list[float]) -> None:
    FIGURES.append(f"{what}: drain_s={[round(each, 1) for each in drains]} down_s={[round(each, 1) for each in downs]}")
    for name, tally in load.tallies.items():
        FIGURES.append(f"{what} {name}: {tally.figures()}")


def _judge(load: Load, drains: list[float], output: str) -> None:
    failed = {name: tally.failed for name, tally in load.tallies.items() if tally.failed}
    assert not failed, (failed, load.told(), output)
    assert max(drains) < DRAINED, (drains, output)


def test_one_gateway_is_restarted_behind_a_socket_that_stays(tmp_path: Path) -> None:
    """Local backend; the listening socket is the service manager's, so that nobody is refused while no gateway runs."""
    shared = socket.create_server(("127.0.0.1", 0))
    shared.listen(200)
    address: tuple[str, int] = shared.getsockname()
    gateway = Served(tmp_path / "gateway", ("--listen", "systemd:domain=INET:index=0"), shared)
    load = None
    try:
        gateway.start()
        gateway.await_ready(address)
        # Java's consumers ask only every 30 s for the route of a topic that is not there when they start.
        for client in CLIENTS:
            _create_topic(f"127.0.0.1:{address[1]}", f"drained_{client}")
        load = Load(f"127.0.0.1:{address[1]}", "drained_", tmp_path)
        load.await_more(20, 60)
        began = time.monotonic()
        drains = [gateway.end()]
        gateway.start()
        gateway.await_ready(address)
        downs = [time.monotonic() - began]
        load.await_more(20, 60)
        load.await_all(60)
        _note("one gateway", load, drains, downs)
        _judge(load, drains, gateway.output())
    finally:
        if load is not None:
            load.stop()
        gateway.kill()
        shared.close()


def test_two_gateways_before_a_cluster_are_restarted_one_after_the_other(tmp_path: Path) -> None:
    """Behind a balancer of TCP connections, the same ports on each, as docs/passthrough.md says."""
    apache = Apache(tmp_path / "apache", "5.5.0", BROKER_SETTINGS)
    hosts = ("127.0.0.2", "127.0.0.3")
    gateways: list[Served] = []
    balancer = load = None
    try:
        apache.start()
        first = _free_ports(2)
        ports = (first, first + 1)
        for client in CLIENTS:
            _create_topic(apache.broker_address, f"rolled_{client}")
        for host in hosts:
            options = (
                "--backend", "cluster", "--namesrv", apache.address, "--listen", f"tcp:{ports[0]}:interface={host}",
                "--advertise", "127.0.0.1", "--set", f"passthrough.brokers={apache.broker}:0={ports[1]}",
                "--set", f"passthrough.interface={host}", "--set", "passthrough.advertise=127.0.0.1",
            )  # fmt: skip
            gateways.append(Served(tmp_path / host, options))
            gateways[-1].start()
        for host, gateway in zip(hosts, gateways, strict=True):
            gateway.await_ready((host, ports[0]))
        balancer = Balancer(hosts, ports)
        load = Load(f"127.0.0.1:{ports[0]}", "rolled_", tmp_path)
        load.await_more(20, 60)
        drains, downs = [], []
        for host, gateway in zip(hosts, gateways, strict=True):
            began = time.monotonic()
            drains.append(gateway.end())
            load.await_more(10, 60)  # the other serves
            gateway.start()
            gateway.await_ready((host, ports[0]))
            downs.append(time.monotonic() - began)
            load.await_more(20, 60)
        load.await_all(60)
        output = "\n".join(gateway.output() for gateway in gateways)
        _note("two gateways", load, drains, downs)
        _judge(load, drains, output)
    finally:
        if load is not None:
            load.stop()
        if balancer is not None:
            balancer.stop()
        for gateway in gateways:
            gateway.kill()
        apache.stop()


def _create_topic(broker: str, topic: str) -> None:
    ext = {
        "topic": topic, "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6",
        "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false", "attributes": "+message.type=NORMAL",
    }  # fmt: skip
    answer = ask(broker, 17, ext)
    assert answer.code == 0, answer.remark
