"""Apache's proxy in local mode, its broker in the same process: what speaks gRPC beside the gateway."""

from __future__ import annotations

import json

from bench.process import free_port
from bench.servers import Apache

__all__ = ["Proxy"]


class Proxy(Apache):
    """A name server and a proxy with a broker inside. ``port`` is the broker's, ``grpc_port`` that of gRPC."""

    cluster = "DefaultCluster"

    def start(self) -> float:
        """See `Server`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        seconds = self._start_name_server()
        self.grpc_port = free_port()
        broker = self._directory / "broker.properties"
        broker.write_text("".join(f"{key}={value}\n" for key, value in self._broker_settings().items()))
        proxy = self._directory / "proxy.json"
        proxy.write_text(
            json.dumps(
                {
                    "rocketMQClusterName": self.cluster,
                    "proxyMode": "LOCAL",
                    "namesrvAddr": self.name_server,
                    "grpcServerPort": self.grpc_port,
                    "remotingListenPort": free_port(),
                    "localServeAddr": "127.0.0.1",
                    "enableACL": False,
                }
            )
        )
        process = self._java_with(
            "org.apache.rocketmq.proxy.ProxyStartup",
            ["-pm", "local", "-n", self.name_server, "-pc", str(proxy), "-bc", str(broker)],
        )
        seconds += process.wait_listening(self.grpc_port, 180.0)
        return seconds + process.wait_listening(self.port, 180.0)
