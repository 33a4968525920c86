"""A client that does nothing wrong, as a process: SendMessage of 1 KB every two milliseconds over one HTTP/2 connection.

A line on standard input ends a period; then it prints {"calls", "p50", "p99", "work"} of that period, in ms: "work" is the
p99 of the time on a processor that the gateway's main thread took between request and answer, which a busy machine does not
change. It ends with status 1
when a call fails or takes longer than ten seconds, with 0 when its input ends.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path

from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.wire.grpc_framing import encode_message
from rmqgateway.wire.hpack import HpackEncoder
from rmqgateway.wire.http2 import PREFACE
from tests.unit.wire.http2_peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    word,
)

_BIG = 0x3FFFFFFF


def _request() -> bytes:
    request = service.SendMessageRequest()
    message = request.messages.add()
    message.topic.name = "attacks"
    message.body = b"x" * 1024
    message.system_properties.message_id = "01" + "0" * 30
    message.system_properties.message_type = 1
    message.system_properties.body_encoding = 1
    return encode_message(request.SerializeToString())


class _Client:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, word(_BIG)))
        # Without indexing: the same block each time.
        self._head = HpackEncoder(indexed=frozenset()).encode(
            [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", b"/apache.rocketmq.v2.MessagingService/SendMessage"),
                (b":authority", b"localhost"),
                (b"content-type", b"application/grpc"),
                (b"te", b"trailers"),
                (b"x-mq-client-id", b"well-behaved"),
            ]
        )
        self._body = _request()
        self._stream = 1
        self._buffer = b""

    def call(self) -> None:
        stream = self._stream
        self._stream += 2
        self._socket.sendall(
            frame(HEADERS, END_HEADERS, stream, self._head) + frame(DATA, END_STREAM, stream, self._body)
        )
        buffer = self._buffer
        while True:
            while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                size, kind, flags = 9 + int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4]
                of_stream = int.from_bytes(buffer[5:9], "big")
                buffer, payload = buffer[size:], buffer[9:size]
                if kind in (3, 7):
                    raise SystemExit(f"frame {kind}: {payload!r}")
                if of_stream == stream and kind == DATA:
                    answer = service.SendMessageResponse.FromString(payload[5:])
                    if answer.status.code != 20000:
                        raise SystemExit(f"{answer.status}")
                if of_stream == stream and kind == HEADERS and flags & END_STREAM:
                    self._buffer = buffer
                    return
            data = self._socket.recv(65536)
            if not data:
                raise SystemExit("the connection was closed")
            buffer += data


def main() -> None:
    client = _Client(int(sys.argv[1]))
    schedule = Path(f"/proc/{sys.argv[2]}/schedstat")
    times: list[float] = []
    work: list[float] = []
    while True:
        began, worked = time.monotonic(), int(schedule.read_text().split()[0])
        client.call()
        times.append((time.monotonic() - began) * 1000)
        work.append((int(schedule.read_text().split()[0]) - worked) / 1e6)
        if select.select([sys.stdin], [], [], 0.002)[0]:
            if not sys.stdin.readline():
                return
            times.sort()
            work.sort()
            calls = len(times)
            rank = int(calls * 0.99)
            said = {"calls": calls, "p50": times[calls // 2], "p99": times[rank], "work": work[rank]}
            print(json.dumps(said), flush=True)
            times, work = [], []


if __name__ == "__main__":
    main()
