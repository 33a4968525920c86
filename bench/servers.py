"""What is measured: the gateway from this tree, and Apache RocketMQ 5.5.0 from its Maven artefacts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bench.process import Process, ServerFailed, free_port

__all__ = ["Apache", "Bare", "Gateway", "Server", "apache_jars"]

ROOT = Path(__file__).resolve().parent.parent
APACHE = Path(__file__).resolve().parent / "apache"
HEAP = "1g"
OPENED = ("java.base/java.nio", "java.base/sun.nio.ch", "java.base/java.lang", "java.base/java.util")


class Server(Protocol):
    """Something that serves Remoting on ``port`` of loopback, gRPC on ``grpc_port``, with its data below one directory."""

    port: int
    grpc_port: int
    broker_name: str
    processes: list[Process]

    def start(self) -> float:
        """Start it; seconds from the first exec until it listens. Raises ServerFailed."""

    def stop(self) -> None:
        """End every process that ``start`` began, the last first."""


class Gateway:
    """``twistd rmqgateway`` from the source tree, with defaults but for port and data directory."""

    broker_name = "rmqgateway"

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.port = self.grpc_port = free_port()
        self.processes: list[Process] = []
        self._directory = directory
        self._settings = settings

    def start(self) -> float:
        self._directory.mkdir(parents=True, exist_ok=True)
        for cache in (ROOT / "twisted/plugins/dropin.cache", _twisted_plugins() / "dropin.cache"):
            cache.unlink(missing_ok=True)  # the budget is for a start without it
        paths = (ROOT, ROOT / "protocols", ROOT / "tap")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        process = Process(self._command(), self._directory / "log", environment, ROOT)
        self.processes.append(process)
        return process.wait_listening(self.port)

    def _command(self) -> list[str]:
        twistd = str(Path(sys.executable).parent / "twistd")
        command = [twistd, "-n", "--pidfile=", "rmqgateway", "--data-dir", str(self._directory / "data")]
        command += ["--listen", f"tcp:{self.port}:interface=127.0.0.1"]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        return command

    def stop(self) -> None:
        _stop(self.processes)


class Bare:
    """`bench/bare.py`: what a durable send costs when nothing is done but receive, write, sync, answer."""

    broker_name = "bare"

    def __init__(self, directory: Path) -> None:
        self.port = self.grpc_port = free_port()
        self.processes: list[Process] = []
        self._directory = directory

    def start(self) -> float:
        """See `Server`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        process = Process(self._command(), self._directory / "log", dict(os.environ), ROOT)
        self.processes.append(process)
        return process.wait_listening(self.port)

    def _command(self) -> list[str]:
        return [sys.executable, str(ROOT / "bench/bare.py"), str(self.port), str(self._directory / "data")]

    def stop(self) -> None:
        """See `Server`."""
        _stop(self.processes)


class Apache:
    """A name server and a broker, heap 1 GB each at most, as ``mqnamesrv`` and ``mqbroker`` start them."""

    broker_name = "broker-a"

    def __init__(self, directory: Path, settings: Mapping[str, str], jars: Path) -> None:
        self.port = self.grpc_port = free_port((0, -2, 1))
        self.processes: list[Process] = []
        self._name_server_port = free_port()
        self._directory = directory
        self._settings = settings
        self._jars = jars

    def start(self) -> float:
        self._directory.mkdir(parents=True, exist_ok=True)
        seconds = self._start_name_server()
        broker = self._java("org.apache.rocketmq.broker.BrokerStartup", self._broker_settings())
        return seconds + broker.wait_listening(self.port)

    @property
    def name_server(self) -> str:
        """ "host:port" of the name server."""
        return f"127.0.0.1:{self._name_server_port}"

    def _start_name_server(self) -> float:
        name_server = self._java(
            "org.apache.rocketmq.namesrv.NamesrvStartup",
            {
                "listenPort": self._name_server_port,
                "bindAddress": "127.0.0.1",
                "rocketmqHome": self._directory,
                "kvConfigPath": self._directory / "kv.json",
                "configStorePath": self._directory / "namesrv.saved",
            },
        )
        return name_server.wait_listening(self._name_server_port)

    def _broker_settings(self) -> dict[str, object]:
        return {
            "brokerClusterName": "DefaultCluster",
            "brokerName": self.broker_name,
            "brokerId": 0,
            "brokerRole": "ASYNC_MASTER",
            "brokerIP1": "127.0.0.1",
            "bindAddress": "127.0.0.1",
            "listenPort": self.port,
            "namesrvAddr": self.name_server,
            "rocketmqHome": self._directory,
            "storePathRootDir": self._directory / "store",
            "storePathCommitLog": self._directory / "store/commitlog",
            **self._settings,
        }

    def _java(self, main: str, settings: Mapping[str, object]) -> Process:
        file = self._directory / f"{main.rpartition('.')[2]}.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return self._java_with(main, ["-c", str(file)])

    def _java_with(self, main: str, arguments: list[str]) -> Process:
        name = main.rpartition(".")[2]
        command = ["java", "-server", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseG1GC"]
        for package in OPENED:
            command += ["--add-opens", f"{package}=ALL-UNNAMED"]
        command += [
            f"-Drmq.logback.configurationFile={APACHE / 'logback.xml'}",
            f"-Duser.home={self._directory}",
        ]
        command += ["-cp", f"{self._jars}/*", main, *arguments]
        environment = {**os.environ, "ROCKETMQ_HOME": str(self._directory)}
        process = Process(command, self._directory / f"{name}.log", environment, self._directory)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        _stop(self.processes)


def apache_jars(build: Path) -> Path:
    """The folder with Apache RocketMQ's jars, taken by Maven on first use. Raises ServerFailed."""
    target = build / "apache-5.5.0"
    stamp = target / ".complete"
    wanted = (APACHE / "pom.xml").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        if shutil.which("mvn") is None:
            raise ServerFailed("mvn is missing: apt-get install maven, or --servers gateway")
        command = ["mvn", "-q", "-B", "-f", str(APACHE / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={target}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ServerFailed(f"mvn could not fetch Apache RocketMQ: {(done.stdout + done.stderr)[-1500:]}")
        stamp.write_text(wanted)
    return target


def _stop(processes: list[Process]) -> None:
    while processes:
        processes.pop().stop()


def _twisted_plugins() -> Path:
    import twisted.plugins

    return Path(str(twisted.plugins.__file__)).parent
