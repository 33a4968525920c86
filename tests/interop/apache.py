"""A real Apache RocketMQ on loopback: what the scenarios are validated against before the gateway meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.interop.toolchain import JVM_OPENS, classpath, tail

__all__ = ["Apache", "StartError"]

_LOGBACK = """<configuration>
  <appender name="F" class="ch.qos.logback.core.FileAppender">
    <file>{file}</file><encoder><pattern>%d{{HH:mm:ss.SSS}} %-5level %logger{{20}} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="F"/></root>
</configuration>
"""


class StartError(Exception):
    """A server did not become ready; the text holds the end of its output."""


class Apache:
    """One name server and one broker, below `directory`, stopped by their process ids.

    :param settings: more of the broker's. :cvar patience: seconds for each process to be ready.
    """

    patience = 60.0

    #: Of each process; a broker that is sent messages of 4 MB by many at once needs more.
    direct_memory = "256m"

    def __init__(self, directory: Path, version: str = "5.5.0", settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.version = version
        self._settings = dict(settings or {})
        self.cluster = "DefaultCluster"
        self.broker = "broker-a"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._namesrv_port = 0
        self._broker_port = 0

    @property
    def address(self) -> str:
        """What a client is given as its name server."""
        return f"127.0.0.1:{self._namesrv_port}"

    @property
    def broker_address(self) -> str:
        """The broker's own address, as routes tell it."""
        return f"127.0.0.1:{self._broker_port}"

    def start(self) -> None:
        """Starts both and waits until the broker is registered; raises StartError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        jars = classpath("apache", self.version)
        self._namesrv_port = _free_ports(1)
        # The broker also listens two below (the VIP channel) and one above (replication).
        self._broker_port = _free_ports(4) + 2
        try:
            self._launch(
                "namesrv",
                jars,
                "org.apache.rocketmq.namesrv.NamesrvStartup",
                {"listenPort": str(self._namesrv_port), "bindAddress": "127.0.0.1"},
                heap="128m",
            )
            self._launch(
                "broker",
                jars,
                "org.apache.rocketmq.broker.BrokerStartup",
                self._broker_settings(),
                heap="512m",
            )
            self._await_registration()
        except BaseException:
            self.stop()
            raise

    def _broker_settings(self) -> dict[str, str]:
        return {
            "namesrvAddr": self.address,
            "brokerClusterName": self.cluster,
            "brokerName": self.broker,
            "brokerId": "0",
            "brokerRole": "ASYNC_MASTER",
            "flushDiskType": "ASYNC_FLUSH",
            "brokerIP1": "127.0.0.1",
            "bindAddress": "127.0.0.1",
            "listenPort": str(self._broker_port),
            "haListenPort": str(self._broker_port + 1),
            "storePathRootDir": str(self.directory / "store"),
            "storePathCommitLog": str(self.directory / "store" / "commitlog"),
            "mappedFileSizeCommitLog": str(64 << 20),
            "autoCreateTopicEnable": "true",
            "autoCreateSubscriptionGroup": "true",
            # On a busy machine "system busy" is no finding: let requests wait instead.
            "waitTimeMillsInSendQueue": "60000",
            "osPageCacheBusyTimeOutMills": "60000",
            "diskMaxUsedSpaceRatio": "95",
            # Each flush of the timer wheel copies 38 MB: by default that alone is a third of a core, for each broker.
            "timerFlushIntervalMs": "20000",
            # Its service spins until this has passed, then waits for as long.
            "transactionMetricFlushInterval": "500",
            # From this long after the last transaction's end on, a service of 5.5.0 spins for good, a core of each broker.
            "transactionOpBatchInterval": "86400000",
            # So that it does not wait for as long: each end is written when it comes.
            "transactionOpMsgMaxSize": "1",
            **self._settings,
        }

    def _launch(self, name: str, jars: str, main: str, settings: dict[str, str], heap: str) -> None:
        home = self.directory / name
        home.mkdir(exist_ok=True)
        settings_file = home / "settings.properties"
        settings_file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        logback = home / "logback.xml"
        logback.write_text(_LOGBACK.format(file=home / "log"))
        # Where programs before 5.0 look for it.
        (home / "conf").mkdir(exist_ok=True)
        (home / "conf" / f"logback_{name}.xml").write_text(_LOGBACK.format(file=home / "log"))
        log = home / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    "java",
                    f"-Xmx{heap}",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    f"-XX:MaxDirectMemorySize={self.direct_memory}",
                    *JVM_OPENS,
                    f"-Duser.home={home}",
                    f"-Drmq.logback.configurationFile={logback}",
                    "-cp",
                    jars,
                    main,
                    "-c",
                    str(settings_file),
                ],
                cwd=home,
                env={**os.environ, "ROCKETMQ_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        deadline = time.monotonic() + self.patience
        while b"boot success" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{name} {self.version} is not ready\n{tail(log.read_text())}")
            time.sleep(0.1)

    def _await_registration(self) -> None:
        """The broker is ready before its name server knows of it; clients that come in between find no route."""
        deadline = time.monotonic() + 30
        while _route_code(self._namesrv_port, "TBW102") != 0:
            if time.monotonic() > deadline:
                raise StartError(f"the broker {self.version} did not register\n{self.output()}")
            time.sleep(0.1)

    def output(self) -> str:
        """The end of what both wrote, for a failure message."""
        return "\n".join(
            f"--- {path.parent.name}/{path.name}\n{tail(path.read_text(errors='replace'), 15)}"
            for path in sorted(self.directory.glob("*/*"))
            if path.name in ("log", "output")
        )

    def stop(self) -> None:
        """Ends both processes and removes what they stored."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
        for process in self._processes:
            process.wait(timeout=20)
        self._processes.clear()
        shutil.rmtree(self.directory / "store", ignore_errors=True)


def _route_code(port: int, topic: str) -> int:
    """Code of a name server's answer to GET_ROUTEINFO_BY_TOPIC (105)."""
    head = json.dumps(
        {
            "code": 105,
            "extFields": {"topic": topic},
            "flag": 0,
            "language": "JAVA",
            "opaque": 1,
            "version": 475,
        }
    ).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack(">II", 4 + len(head), len(head)) + head)
        stream = connection.makefile("rb")
        total, length = struct.unpack(">II", stream.read(8))
        return int(json.loads(stream.read(total - 4)[: length & 0xFFFFFF])["code"])


def _free_ports(count: int) -> int:
    """First of `count` neighbouring ports that were free a moment ago."""
    for _ in range(50):
        sockets = [socket.socket() for _ in range(count)]
        try:
            sockets[0].bind(("127.0.0.1", 0))
            first: int = sockets[0].getsockname()[1]
            for number, each in enumerate(sockets[1:], 1):
                each.bind(("127.0.0.1", first + number))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for each in sockets:
                each.close()
    raise StartError(f"no {count} neighbouring free ports on loopback")
