"""What a call costs in process: HTTP/2, gRPC and the local backend over a store in memory, no sockets and no threads.

    PYTHONPATH=.:protocols:tap python bench/grpc_bench.py [--profile] [ROUNDS]

Prints the CPU µs per message, the least and the median of all rounds: for SendMessage of 1 KB at 256 (4 connections × 64), 16
and 1 concurrent calls (16-same: with the same metadata each time, as a bare stub sends them), and for ReceiveMessage and
AckMessage of 32. What the system and the writing thread take is not in it.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from uuid import UUID

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.http.server import HttpServer
from rmqgateway.http.testing import connect
from rmqgateway.recognition import Found
from rmqgateway.testing import World
from rmqgateway.wire.grpc_framing import GrpcDecoder, encode_message
from rmqgateway.wire.hpack import Header, HpackEncoder
from rmqgateway.wire.http2 import PREFACE
from rmqgateway_grpc.frontend import GrpcFrontEnd

BODY = bytes(range(256)) * 4
CALLS = 4096
BATCH = 32
PREFIX = b"/apache.rocketmq.v2.MessagingService/"
#: As grpc-go sends them with the official client's metadata.
FIELDS: list[Header] = [
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b""), (b":authority", b"127.0.0.1:8081"),
    (b"content-type", b"application/grpc"), (b"user-agent", b"grpc-go/1.72.0"), (b"te", b"trailers"),
    (b"x-mq-client-id", b"bench@1@1"), (b"x-mq-language", b"GO"), (b"x-mq-protocol", b"v2"),
    (b"x-mq-client-version", b"5.1.3"), (b"x-mq-date-time", b"20260101T000000Z"),
]  # fmt: skip
#: What official clients say anew with each call, so that no header block comes twice.
OF_EACH: list[Header] = [(b"x-mq-request-id", b""), (b"grpc-timeout", b"")]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and payload of each."""
    while data:
        word, flags = struct.unpack_from(">IB", data)
        end = 9 + (word >> 8)
        yield word & 0xFF, flags, data[9:end]
        data = data[end:]


class Connection:
    """One client. Requests are made before they are measured; responses are only counted, unless they are asked for."""

    def __init__(self, server: HttpServer, number: int, official: bool) -> None:
        self._official = official
        self.protocol, self.transport = connect(server, Found.HTTP_2, 51_000 + number)
        self._encoder = HpackEncoder(huffman=True, indexed=frozenset(name for name, _ in (*FIELDS, *OF_EACH)))
        self._next = 1
        most = (1 << 31) - 1
        self.protocol.dataReceived(
            PREFACE
            + frame(4, 0, 0, struct.pack(">HI", 4, most))
            + frame(8, 0, 0, struct.pack(">I", most - 65_535))
            + frame(4, 1, 0, b"")
        )

    def request(self, method: bytes, message: bytes) -> bytes:
        """The bytes of one call."""
        stream, self._next = self._next, self._next + 2
        fields = [(name, PREFIX + method if name == b":path" else value) for name, value in FIELDS]
        if self._official:
            request_id = str(UUID(int=stream * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))
            values = (request_id.encode(), b"%du" % (2_999_000 - stream % 997))
            fields += [(name, value) for (name, _), value in zip(OF_EACH, values, strict=True)]
        head = frame(1, 4, stream, self._encoder.encode(fields))
        return head + frame(0, 1, stream, encode_message(message))

    def taken(self) -> bytes:
        """What came back; the counters of its transport begin anew."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data


class Scene:
    """A gateway with `connections` clients. :param official: the metadata differ from call to call."""

    def __init__(self, connections: int, official: bool = True) -> None:
        self.world = World()
        front_end = GrpcFrontEnd(lambda: self.world.wall_ms)
        self.server = HttpServer(self.world.gateway, [front_end])
        self.connections = [Connection(self.server, number, official) for number in range(connections)]
        self.settle = self.world.settle

    def call(self, method: bytes, message: bytes) -> list[bytes]:
        """One call over the first connection: its response messages."""
        connection = self.connections[0]
        connection.taken()
        connection.protocol.dataReceived(connection.request(method, message))
        self.settle()
        return GrpcDecoder().receive_data(
            b"".join(payload for kind, _, payload in frames(connection.taken()) if kind == 0)
        )


def a_send(number: int) -> bytes:
    message = v2.Message(
        topic=v2.Resource(name="bench"),
        body=BODY,
        system_properties=v2.SystemProperties(message_id=f"01{number:032X}", message_type=v2.NORMAL, body_encoding=v2.IDENTITY),
    )
    message.system_properties.born_timestamp.GetCurrentTime()
    message.system_properties.born_host = "bench"
    return service.SendMessageRequest(messages=[message]).SerializeToString()


def sends(connections: int, each: int, official: bool, profile: cProfile.Profile | None) -> float:
    """CPU µs per message."""
    scene = Scene(connections, official)
    scene.call(b"SendMessage", a_send(0))
    for one in scene.connections:
        one.taken()
    turns = CALLS // (connections * each)
    reads = [
        [b"".join(one.request(b"SendMessage", a_send(turn)) for _ in range(each)) for one in scene.connections]
        for turn in range(turns)
    ]
    protocols = [one.protocol for one in scene.connections]
    clock = scene.world.clock
    if profile is not None:
        profile.enable()
    began = time.process_time()
    for turn in reads:
        for protocol, data in zip(protocols, turn, strict=True):
            protocol.dataReceived(data)
        clock.advance(0)
    took = time.process_time() - began
    if profile is not None:
        profile.disable()
    scene.settle()
    ends = [flags & 1 for one in scene.connections for kind, flags, _ in frames(one.taken()) if kind == 1]
    if sum(ends) != CALLS:
        raise SystemExit(f"{sum(ends)} of {CALLS} calls were answered")
    return took / CALLS * 1e6


def receives(profile: cProfile.Profile | None) -> float:
    scene = Scene(1)
    for number in range(CALLS):
        scene.call(b"SendMessage", a_send(number))
    group = v2.Resource(name="group")
    (answer,) = scene.call(b"QueryRoute", service.QueryRouteRequest(topic=v2.Resource(name="bench")).SerializeToString())
    route = service.QueryRouteResponse.FromString(answer)
    request = service.ReceiveMessageRequest(
        group=group,
        message_queue=route.message_queues[0],
        batch_size=BATCH,
        filter_expression=v2.FilterExpression(type=v2.TAG, expression="*"),
    )
    request.invisible_duration.FromSeconds(60)
    request.long_polling_timeout.FromSeconds(0)
    asked = request.SerializeToString()
    connection, clock = scene.connections[0], scene.world.clock

    def timed(data: bytes) -> float:
        """CPU seconds until it is answered."""
        if profile is not None:
            profile.enable()
        began = time.process_time()
        connection.protocol.dataReceived(data)
        clock.advance(0)
        took = time.process_time() - began
        if profile is not None:
            profile.disable()
        scene.settle()
        return took

    took, count = 0.0, 0
    while count < CALLS:
        data = connection.request(b"ReceiveMessage", asked)
        connection.taken()
        took += timed(data)
        entries = received(connection.taken())
        if not entries:
            raise SystemExit(f"only {count} of {CALLS} messages came")
        count += len(entries)
        message = service.AckMessageRequest(group=group, topic=v2.Resource(name="bench"), entries=entries)
        took += timed(connection.request(b"AckMessage", message.SerializeToString()))
    return took / count * 1e6


def received(data: bytes) -> list[service.AckMessageEntry]:
    decoder, entries = GrpcDecoder(), []
    for _, _, payload in (one for one in frames(data) if one[0] == 0):
        for message in decoder.receive_data(payload):
            answer = service.ReceiveMessageResponse.FromString(message)
            if answer.HasField("message"):
                properties = answer.message.system_properties
                entry = service.AckMessageEntry(
                    message_id=properties.message_id, receipt_handle=properties.receipt_handle
                )
                entries.append(entry)
    return entries


def main() -> None:
    words = sys.argv[1:]
    profile = cProfile.Profile() if "--profile" in words else None
    only = [word for word in words if word in ("256", "16", "16-same", "1", "receive")]
    rounds = next((int(word) for word in words if word.isdigit() and word not in only), 7)
    rows = {
        "256": lambda: sends(4, 64, True, profile),
        "16": lambda: sends(1, 16, True, profile),
        "16-same": lambda: sends(1, 16, False, profile),
        "1": lambda: sends(1, 1, True, profile),
        "receive": lambda: receives(profile),
    }
    found: dict[str, list[float]] = {name: [] for name in rows if name in only or not only}
    for _ in range(rounds):
        for name, took in found.items():
            took.append(rows[name]())
    for name, took in found.items():
        print(f"{name}: {min(took):.1f} least, {statistics.median(took):.1f} median of {rounds}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
