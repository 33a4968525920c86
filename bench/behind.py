"""What stands before a real broker: the gateway's passthrough, Twisted's forwarder, Apache's proxy. All before the same one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.process import Process, free_port
from bench.servers import ROOT, Apache, Bare, Gateway

__all__ = ["BareForwarder", "ClusterProxy", "GuardedPassthrough", "Passthrough"]


class Passthrough(Gateway):
    """The gateway with the backend cluster; ``port`` is the one that stands for the broker."""

    broker_name = Apache.broker_name

    def __init__(self, directory: Path, settings: Mapping[str, str], broker: Apache) -> None:
        super().__init__(directory, settings)
        # All that is not the broker's port: the name server's role, and every other protocol.
        self._names_port = self.grpc_port = free_port()
        self._broker = broker

    def _command(self) -> list[str]:
        command = super()._command()
        place = command.index("--listen") + 1
        command[place] = f"tcp:{self._names_port}:interface=127.0.0.1"
        command += ["--backend", "cluster", "--namesrv", self._broker.name_server]
        return [*command, "--set", f"passthrough.brokers={self.broker_name}:0={self.port}"]

    def start(self) -> float:
        """See `Server`; a moment later it knows where the broker is."""
        seconds = super().start()
        time.sleep(1.0)
        return seconds


class GuardedPassthrough(Passthrough):
    """The same with users: each request's signature is checked, and a policy has to allow it."""

    #: Who may send to the topics of the rows, and nothing else.
    ACCESS_KEY, SECRET_KEY = "bench_producer", "bench-secret"
    _USERS = f"""
[users.root]
secret = "root-secret"
type = "Super"

[users.{ACCESS_KEY}]
secret = "{SECRET_KEY}"
policies = [{{ resource = "Topic:pass_*", actions = ["Pub"], source_ips = ["127.0.0.0/8"] }}]
"""

    def start(self) -> float:
        """See `Server`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        users = self._directory / "users.toml"
        users.write_text(self._USERS)
        users.chmod(0o600)
        self._settings = {**self._settings, "users.file": str(users)}
        return super().start()


class BareForwarder(Bare):
    """`bench/bare_forward.py`: what forwarding costs when nobody looks at what is forwarded."""

    broker_name = Apache.broker_name

    def __init__(self, directory: Path, broker: Apache) -> None:
        super().__init__(directory)
        self._broker = broker

    def _command(self) -> list[str]:
        return [sys.executable, str(ROOT / "bench/bare_forward.py"), str(self.port), str(self._broker.port)]


class ClusterProxy(Apache):
    """Apache's proxy in cluster mode, of which ``port`` speaks Remoting; the broker is another process, and not its."""

    def __init__(self, directory: Path, settings: Mapping[str, str], jars: Path, broker: Apache) -> None:
        super().__init__(directory, settings, jars)
        self._broker = broker

    def start(self) -> float:
        """See `Server`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.grpc_port = free_port()
        proxy = self._directory / "proxy.json"
        proxy.write_text(
            json.dumps(
                {
                    "rocketMQClusterName": "DefaultCluster",
                    "proxyMode": "CLUSTER",
                    "namesrvAddr": self._broker.name_server,
                    "grpcServerPort": self.grpc_port,
                    "remotingListenPort": self.port,
                    "localServeAddr": "127.0.0.1",
                    "enableACL": False,
                }
            )
        )
        process: Process = self._java_with(
            "org.apache.rocketmq.proxy.ProxyStartup",
            ["-pm", "cluster", "-n", self._broker.name_server, "-pc", str(proxy)],
        )
        return process.wait_listening(self.port)
