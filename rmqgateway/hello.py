"""``python -m rmqgateway.hello [HOST:PORT] [TEXT]``: send one message and fetch it again, with nothing but this package.

It speaks Remoting with the same codec as the gateway, to any RocketMQ broker whose address is given.
"""

from __future__ import annotations

import socket
import sys
import time

from rmqgateway.errors import WireError
from rmqgateway.session import split_host
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.remoting import RemotingDecoder, encode_command
from rmqgateway.wire.remoting_command import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode
from rmqgateway.wire.stored_message import decode

__all__ = ["main"]

TOPIC = "hello"
GROUP = "hello_group"


class _Connection:
    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=10.0)
        self._decoder = RemotingDecoder()
        self._opaque = 0

    def ask(self, code: int, fields: dict[str, str], body: bytes = b"") -> RemotingCommand:
        """Send a request, return its response."""
        self._opaque += 1
        self._socket.sendall(
            encode_command(RemotingCommand(code=code, opaque=self._opaque, ext_fields=fields, body=body))
        )
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise SystemExit("the connection was closed")
            for event in self._decoder.receive_data(data):
                if isinstance(event, WireError):
                    raise SystemExit(f"not Remoting: {event.message}")
                if event.is_response and event.opaque == self._opaque:
                    if event.code != 0:
                        raise SystemExit(f"refused with code {event.code}: {event.remark}")
                    return event


def main(arguments: list[str]) -> None:
    """Send and fetch; what happens goes to standard output."""
    address = arguments[0] if arguments else "127.0.0.1:9876"
    text = arguments[1] if len(arguments) > 1 else "Hello, 世界"
    try:
        connection = _Connection(*split_host(address))
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot connect to {address}: {error}") from error
    sent = connection.ask(
        RequestCode.SEND_MESSAGE_V2,
        {
            "a": GROUP,
            "b": TOPIC,
            "c": "TBW102",
            "d": "4",
            "e": "0",
            "f": "0",
            "g": str(int(time.time() * 1000)),
            "h": "0",
            "i": encode_properties({"TAGS": "greeting", "WAIT": "true"}).decode(),
            "j": "0",
            "k": "false",
            "m": "false",
        },
        text.encode(),
    )
    offset = sent.ext_fields["queueOffset"]
    print(f"sent to topic {TOPIC}, queue 0, offset {offset}: {sent.ext_fields['msgId']}")
    pulled = connection.ask(
        RequestCode.PULL_MESSAGE,
        {
            "consumerGroup": GROUP,
            "topic": TOPIC,
            "queueId": "0",
            "queueOffset": offset,
            "maxMsgNums": "1",
            "sysFlag": "4",  # the subscription is in this request
            "commitOffset": "0",
            "suspendTimeoutMillis": "0",
            "subscription": "*",
            "subVersion": "0",
            "expressionType": "TAG",
        },
    )
    print(f"fetched it again: {decode(pulled.body).body.decode()}")


if __name__ == "__main__":
    main(sys.argv[1:])
