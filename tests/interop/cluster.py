"""A gateway in front of a real name server and broker, and what scenarios need of them beforehand."""

from __future__ import annotations

import socket
from pathlib import Path

from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request
from rmqgateway.wire.request_codes import RequestCode
from tests.interop.apache import Apache
from tests.interop.gateway import Gateway

__all__ = ["BROKER_SETTINGS", "Cluster", "ask"]

#: So that what takes minutes by default takes seconds.
BROKER_SETTINGS = {
    "enablePropertyFilter": "true",
    "recallMessageEnable": "true",
    "transactionTimeOut": "10000",
    "transactionCheckInterval": "2000",
    "messageDelayLevel": "1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s",
    "reviveInterval": "200",
    # Lite topics.
    "enableLmq": "true",
    "enableMultiDispatch": "true",
}


class Cluster:
    """One of each. :ivar apache: the real thing. :ivar gateway: what clients talk to."""

    def __init__(self, directory: Path, version: str = "5.5.0", options: tuple[str, ...] = ()) -> None:
        self.apache = Apache(directory / "apache", version, BROKER_SETTINGS)
        self.apache.direct_memory = "1g"
        self._directory = directory
        self._options = options
        self.gateway = Gateway(directory / "gateway")

    def start(self) -> None:
        """Starts all, the broker first."""
        self.apache.start()
        options = (
            "--backend",
            "cluster",
            "--namesrv",
            self.apache.address,
            "--set",
            "passthrough.base_port=0",
            # On a busy machine a broker that takes its time is no finding.
            "--set",
            "cluster.request_s=20",
            *self._options,
        )
        self.gateway = Gateway(self._directory / "gateway", options)
        try:
            self.gateway.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends all."""
        self.gateway.stop()
        self.apache.stop()

    def output(self) -> str:
        """What all of them wrote last, for a failure message."""
        return f"{self.gateway.output()}\n{self.apache.output()}"

    def create_topic(self, name: str, kind: str = "NORMAL", queues: int = 4) -> None:
        """Makes a topic for messages of one type, at the broker itself."""
        ext = {
            "topic": name,
            "defaultTopic": "TBW102",
            "readQueueNums": str(queues),
            "writeQueueNums": str(queues),
            "perm": "6",
            "topicFilterType": "SINGLE_TAG",
            "topicSysFlag": "0",
            "order": "false",
            "attributes": f"+message.type={kind}",
        }
        answer = ask(self.apache.broker_address, RequestCode.UPDATE_AND_CREATE_TOPIC, ext)
        if answer.code:
            raise RuntimeError(f"topic {name} was not made: {answer.remark}")


def ask(address: str, code: int, ext: dict[str, str], body: bytes = b"") -> RemotingCommand:
    """One request to a broker or name server, and its answer."""
    host, _, port = address.rpartition(":")
    decoder = RemotingDecoder()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(encode_request(int(code), 1, ext, body))
        while True:
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError(f"{address} does not answer {code}")
            for event in decoder.receive_data(data):
                if not isinstance(event, RemotingCommand):
                    raise event
                if event.flag & 1:
                    return event
