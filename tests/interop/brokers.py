"""A real cluster on loopback, two masters and a slave, and gateways in front of it that are all that clients are told of."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tests.interop.apache import Apache, StartError, _free_ports
from tests.interop.gateway import Gateway
from tests.interop.toolchain import classpath

__all__ = ["BROKERS", "BrokerCluster", "ClusterGateway", "remote_ports"]

#: Name, id.
BROKERS = (("broker-a", 0), ("broker-b", 0), ("broker-a", 1))


class BrokerCluster(Apache):
    """`brokers` of one cluster, of 300 MB each; with a name server of their own unless they are told another.

    :param name_server: "host:port" of one that exists, such as a gateway's registry.
    """

    patience = 180.0

    def __init__(
        self,
        directory: Path,
        version: str = "5.5.0",
        brokers: tuple[tuple[str, int], ...] = BROKERS,
        name_server: str = "",
        **settings: str,
    ) -> None:
        super().__init__(directory, version, settings)
        self.brokers = brokers
        self.ports: dict[tuple[str, int], int] = {}
        # Each of a broker's threads keeps a buffer of its own for messages of 4 MB: with less, requests stay unanswered.
        self.direct_memory = "1g"
        self._name_server = name_server

    @property
    def address(self) -> str:
        """What brokers and gateways are given as their name server."""
        return self._name_server or super().address

    def start(self) -> None:
        """Starts all and waits until every master is registered; raises StartError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        jars = classpath("apache", self.version)
        try:
            if not self._name_server:
                self._namesrv_port = _free_ports(1)
                self._launch(
                    "namesrv",
                    jars,
                    "org.apache.rocketmq.namesrv.NamesrvStartup",
                    {"listenPort": str(self._namesrv_port), "bindAddress": "127.0.0.1"},
                    heap="128m",
                )
            for name, broker_id in self.brokers:
                self.ports[name, broker_id] = _free_ports(4) + 2
                self._launch(
                    f"{name}-{broker_id}",
                    jars,
                    "org.apache.rocketmq.broker.BrokerStartup",
                    self._settings_of(name, broker_id),
                    heap="300m",
                )
        except BaseException:
            self.stop()
            raise

    def _settings_of(self, name: str, broker_id: int) -> dict[str, str]:
        self.broker, self._broker_port = name, self.ports[name, broker_id]
        store = self.directory / f"store-{name}-{broker_id}"
        return {
            **self._broker_settings(),
            "brokerId": str(broker_id),
            "brokerRole": "SLAVE" if broker_id else "ASYNC_MASTER",
            "storePathRootDir": str(store),
            "storePathCommitLog": str(store / "commitlog"),
            "enablePropertyFilter": "true",
            "transactionCheckInterval": "2000",
            "transactionTimeOut": "1000",
            "registerNameServerPeriod": "10000",
        }


class ClusterGateway(Gateway):
    """A gateway in front of a cluster, with a port for each broker.

    :param ports: of the brokers here, by name and id; the same for all gateways that stand beside each other.
    """

    def __init__(
        self,
        directory: Path,
        name_servers: str,
        ports: dict[tuple[str, int], int],
        options: tuple[str, ...] = (),
    ) -> None:
        mapping = ",".join(f"{name}:{broker_id}={port}" for (name, broker_id), port in ports.items())
        flags = [
            "--backend",
            "cluster",
            "--set",
            f"passthrough.brokers={mapping}",
            "--set",
            "passthrough.base_port=0",
        ]
        if name_servers:
            flags += ["--namesrv", name_servers]
        super().__init__(directory, (*flags, *options))
        self.ports = ports

    def await_brokers(self, count: int) -> None:
        """Until so many brokers can be reached here; raises StartError."""
        deadline = time.monotonic() + 120
        while self._registered() < count:
            if time.monotonic() > deadline:
                raise StartError(f"the gateway knows too few brokers\n{self.output()}")
            time.sleep(0.3)

    def _registered(self) -> int:
        from rmqgateway.wire.fastjson import parse_fastjson
        from rmqgateway.wire.remoting import decode_frame, encode_request

        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            connection.settimeout(10)
            connection.sendall(encode_request(106, 1))
            stream = connection.makefile("rb")
            head = stream.read(4)
            answer = decode_frame(head + stream.read(int.from_bytes(head, "big")))
        if answer.code:
            return 0
        table = parse_fastjson(answer.body)["brokerAddrTable"]
        return sum(len(broker["brokerAddrs"]) for broker in table.values())


def remote_ports(pid: int) -> set[int]:
    """The ports at the other end of a process's TCP connections, as the kernel knows them."""
    sockets = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        for line in lines:
            fields = line.split()
            # 01: established, 02: on its way there.
            if fields[9] in sockets and fields[3] in ("01", "02"):
                found.add(int(fields[2].rpartition(":")[2], 16))
    return found
