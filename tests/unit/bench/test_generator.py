"""The load generator against a few lines of broker: what it writes, and that no wrong reply counts."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.load import Generator, Outcome, build

# Captured from a DefaultMQProducer of rocketmq-client 5.5.0 sending to broker-a; what differs between
# messages is X.
JAVA_SEND = (
    '{"code":310,"extFields":{"a":"bench_producer","b":"bench_00001","c":"TBW102","d":"4","e":"0","f":"0",'
    '"g":"X","h":"0","i":"UNIQ_KEY\\u0001X\\u0002WAIT\\u0001true\\u0002","j":"0","k":"false","m":"false",'
    '"n":"broker-a"},"flag":0,"language":"JAVA","opaque":X,"serializeTypeCurrentRPC":"JSON","version":513}'
)
VOLATILE = re.compile(r'(?<="g":")\d{13}(?=")|(?<=UNIQ_KEY\\u0001)[0-9A-F]{32}|(?<="opaque":)\d+')
SENT = {"msgId": "7F00000100002A9F0000000000000000", "queueId": "0", "queueOffset": "0"}

Request = dict[str, object]
Answer = Callable[[Request], list[bytes]]


def reply(opaque: object, code: int = 0, fields: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    header = json.dumps({"code": code, "extFields": fields or {}, "flag": 1, "opaque": opaque}).encode()
    return struct.pack(">II", 4 + len(header) + len(body), len(header)) + header + body


def stored(queue_id: int, queue_offset: int) -> bytes:
    return struct.pack(">IiIIIQ", 40, -626843481, 0, queue_id, 0, queue_offset) + bytes(12)


class Broker:
    """Answers each frame on one connection with what ``answer`` makes of it; keeps the raw headers."""

    def __init__(self, answer: Answer) -> None:
        self.headers: list[str] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with (
            self._listener,
            self._listener.accept()[0] as connection,
            closing(connection.makefile("rb")) as stream,
        ):
            while len(lengths := stream.read(8)) == 8:
                total, header_size = struct.unpack(">II", lengths)
                frame = stream.read(total - 4)
                self.headers.append(frame[:header_size].decode())
                connection.sendall(b"".join(self._answer(json.loads(frame[:header_size]))))

    def close(self) -> None:
        self._listener.close()
        self._thread.join(5)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def run(program: Path) -> Iterator[Callable[..., tuple[Outcome, Broker]]]:
    brokers: list[Broker] = []

    def play(answer: Answer, mode: str, **options: int | str) -> tuple[Outcome, Broker]:
        brokers.append(Broker(answer))
        return Generator(program, mode, {"port": brokers[0].port, **options}).run({}), brokers[0]

    yield play
    for broker in brokers:
        broker.close()


Run = Callable[..., tuple[Outcome, Broker]]


def test_a_send_is_byte_for_byte_a_java_clients(run: Run) -> None:
    outcome, broker = run(lambda request: [reply(request["opaque"], fields=SENT)], "send", count=3, queues=1)
    assert outcome["messages"] == 3
    assert [VOLATILE.sub("X", header) for header in broker.headers] == [JAVA_SEND] * 3


def test_replies_in_any_order_find_their_request(run: Run) -> None:
    held: list[bytes] = []

    def backwards(request: Request) -> list[bytes]:
        held.insert(0, reply(request["opaque"], fields=SENT))
        answers = held[:] if len(held) == 4 else []
        del held[: len(answers)]
        return answers

    outcome, _ = run(backwards, "send", count=8, in_flight=4)
    assert (outcome["messages"], outcome["unexpected"], outcome["unanswered"]) == (8, 0, 0)


def test_busy_and_errors_are_counted_apart_from_messages(run: Run) -> None:
    codes = iter([0, 2, 17, 215, 0])
    outcome, _ = run(lambda request: [reply(request["opaque"], next(codes), SENT)], "send", count=5)
    assert (outcome["messages"], outcome["busy"], outcome["errors"]) == (2, 2, {"17": 1})


def test_a_reply_without_a_request_and_a_success_without_an_id_are_unexpected(run: Run) -> None:
    stray = reply(2_000_000_000, fields=SENT)
    outcome, _ = run(lambda request: [stray, reply(request["opaque"])], "send", count=2)
    assert (outcome["messages"], outcome["unexpected"]) == (0, 4)


def test_garbage_ends_the_connection(run: Run) -> None:
    outcome, _ = run(lambda request: [b"HTTP/1.1 400 no\r\n\r\n"], "send", count=2)
    assert (outcome["garbage"], outcome["lost_connections"], outcome["messages"]) == (1, 1, 0)


@pytest.mark.parametrize(("second", "counted"), [(1, 2), (2, 0)])
def test_a_pull_counts_messages_only_in_their_order(run: Run, second: int, counted: int) -> None:
    body = stored(0, 0) + stored(0, second)
    fields = {"nextBeginOffset": "2", "minOffset": "0", "maxOffset": "2"}
    outcome, _ = run(lambda request: [reply(request["opaque"], 0, fields, body)], "pull", queues=1)
    assert outcome["messages"] == counted
    assert outcome["unexpected"] == (0 if counted else 1)


def test_mixed_in_bodies_have_4_mb_and_a_latency_of_their_own(run: Run) -> None:
    outcome, _ = run(lambda request: [reply(request["opaque"], fields=SENT)], "send", count=4, mix_4mb=2)
    large, small = outcome["large_latency_ms"], outcome["latency_ms"]
    assert isinstance(large, dict)
    assert isinstance(small, dict)
    assert (large["count"], small["count"]) == (2, 2)


def test_a_refused_pull_is_not_asked_again(run: Run) -> None:
    outcome, broker = run(lambda request: [reply(request["opaque"], 29)], "pull", queues=2)
    assert (outcome["errors"], len(broker.headers)) == ({"29": 2}, 2)
