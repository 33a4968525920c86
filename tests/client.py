"""A Remoting client that blocks, made of this project's own codec: for tests against a process."""

from __future__ import annotations

import socket

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting import RemotingDecoder, encode_command
from rmqgateway.wire.remoting_command import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode

__all__ = ["Client", "Request", "committing", "pulling", "sending"]

Request = tuple[int, dict[str, str], bytes]


class Client:
    """One connection. :ivar waiting: the requests that were not answered yet, by their opaque."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._decoder = RemotingDecoder()
        self._opaque = 0
        self.waiting: dict[int, RemotingCommand] = {}

    def write(self, *requests: Request) -> None:
        frames = []
        for code, fields, body in requests:
            self._opaque += 1
            request = RemotingCommand(code=code, opaque=self._opaque, ext_fields=fields, body=body)
            self.waiting[self._opaque] = request
            frames.append(encode_command(request))
        self.socket.sendall(b"".join(frames))

    def answers(self) -> list[tuple[RemotingCommand, RemotingCommand]]:
        """What came in one read, as (request, response); raises OSError when the connection is gone."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError
        found = []
        for event in self._decoder.receive_data(data):
            assert not isinstance(event, WireError), event.message
            if event.is_response:
                found.append((self.waiting.pop(event.opaque), event))
        return found

    def ask(self, request: Request) -> RemotingCommand:
        """Send a request when none waits, and return its response."""
        self.write(request)
        while not (found := self.answers()):
            pass
        return found[0][1]

    def close(self) -> None:
        self.socket.close()


def sending(topic: str, queue: int, body: bytes, group: str = "producers") -> Request:
    """SEND_MESSAGE_V2 to one of four queues."""
    fields = {"a": group, "b": topic, "c": "TBW102", "d": "4", "e": str(queue), "f": "0", "g": "0", "h": "0"}
    return RequestCode.SEND_MESSAGE_V2, {**fields, "i": "", "j": "0", "k": "false", "m": "false"}, body


def committing(group: str, topic: str, queue: int, offset: int) -> Request:
    """UPDATE_CONSUMER_OFFSET."""
    fields = {"consumerGroup": group, "topic": topic, "queueId": str(queue), "commitOffset": str(offset)}
    return RequestCode.UPDATE_CONSUMER_OFFSET, fields, b""


def pulling(group: str, topic: str, queue: int, offset: int, messages: int = 32) -> Request:
    """PULL_MESSAGE of everything, without waiting."""
    return (
        RequestCode.PULL_MESSAGE,
        {"consumerGroup": group, "topic": topic, "queueId": str(queue), "queueOffset": str(offset),
         "maxMsgNums": str(messages), "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "0",
         "subscription": "*", "subVersion": "0", "expressionType": "TAG"},
        b"",
    )  # fmt: skip
