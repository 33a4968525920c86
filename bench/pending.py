"""``python bench/pending.py``: what a million waiting timers and a million messages in flight cost.

A gateway of its own, from this tree, is filled over Remoting: timers spread over the next hours, messages received (pop) for
an hour and not acknowledged. Measured are its memory, the CPU time of a send before and after, and how long it takes to
start again, after SIGTERM and after SIGKILL. It ends with status 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.process import Process, free_port
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.groups import ConsumeStats
from rmqgateway.wire.bodies.routes import KVTable
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request
from rmqgateway.wire.request_codes import RequestCode

#: The issue's: MB of the whole process, and the send beside that of an empty broker.
MEMORY_MB = 300.0
RATIO = 1.2
_ROOT = Path(__file__).resolve().parent.parent
_BODY = b"x" * 64


class Client:
    """Requests over one connection, so many under way at once; each must succeed."""

    def __init__(self, port: int, under_way: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(120)
        self._decoder = RemotingDecoder()
        self._under_way = under_way
        self._opaque = 0

    def frame(self, code: int, ext: dict[str, str], body: bytes = b"") -> bytes:
        self._opaque += 1
        return encode_request(code, self._opaque, ext, body)

    def ask_all(self, frames: Iterator[bytes], allowed: tuple[int, ...] = (0,)) -> Iterator[RemotingCommand]:
        """Send each, keep `under_way` of them unanswered, give the answers as they come."""
        waiting, more = 0, True
        while more or waiting:
            out = []
            while more and waiting < self._under_way:
                frame = next(frames, None)
                if frame is None:
                    more = False
                    break
                out.append(frame)
                waiting += 1
            self._socket.sendall(b"".join(out))
            data = self._socket.recv(1 << 20) if waiting else b""
            if waiting and not data:
                raise ConnectionError("the gateway closed the connection")
            for answer in self._decoder.receive_data(data):
                waiting -= 1
                if answer.code not in allowed:
                    raise ValueError(f"answer {answer.code}: {answer.remark}")
                yield answer

    def close(self) -> None:
        self._socket.close()


def _send_header(topic: str, queue: int, properties: bytes, batch: bool = False) -> dict[str, str]:
    return {
        "a": "bench",
        "b": topic,
        "c": "TBW102",
        "d": "8",
        "e": str(queue),
        "f": "0",
        "g": str(int(time.time() * 1000)),
        "h": "0",
        "i": properties.decode(),
        "j": "0",
        "k": "false",
        "m": "true" if batch else "false",
        "n": "rmqgateway",
    }


def _unique(number: int) -> str:
    return f"{number:032X}"


def send(client: Client, topic: str, count: int, first: int = 0, spread_ms: int = 0) -> None:
    """Messages over eight queues; with `spread_ms` they wait between one and so many ms more than an hour."""
    start = int(time.time() * 1000) + 3_600_000

    def frames() -> Iterator[bytes]:
        for number in range(first, first + count):
            named = {"UNIQ_KEY": _unique(number)}
            if spread_ms:
                named["TIMER_DELIVER_MS"] = str(start + number * 7919 % spread_ms)
            header = _send_header(topic, number % 8, encode_properties(named))
            yield client.frame(RequestCode.SEND_MESSAGE_V2, header, _BODY)

    for _ in client.ask_all(frames()):
        pass


def receive(client: Client, topic: str, count: int) -> int:
    """Receive so many for an hour, 32 at a time; say how many came."""
    header = {
        "consumerGroup": "bench",
        "topic": topic,
        "queueId": "-1",
        "maxMsgNums": "32",
        "invisibleTime": "3600000",
        "pollTime": "0",
        "bornTime": "0",
        "initMode": "0",
    }
    found = 0
    while found < count:
        frames = (client.frame(RequestCode.POP_MESSAGE, header) for _ in range(max((count - found) // 32, 1)))
        before = found
        for answer in client.ask_all(frames, (0, 210)):
            offsets = answer.ext_fields.get("msgOffsetInfo", "")
            found += sum(part.count(",") + 1 for part in offsets.split(";") if part)
        if found == before:
            raise ValueError(f"only {found} of {count} messages were received")
    return found


def pending(client: Client) -> tuple[int, int]:
    """How many timers wait, and how many messages are in flight, as the gateway says."""
    (told,) = client.ask_all(iter([client.frame(RequestCode.GET_BROKER_RUNTIME_INFO, {})]))
    waiting = int(decode_body(told.body, KVTable).table["timerCongestNum"])
    asked = client.frame(RequestCode.GET_CONSUME_STATS, {"consumerGroup": "bench", "topic": "popped"})
    (told,) = client.ask_all(iter([asked]))
    places = decode_body(told.body, ConsumeStats).offset_table.values()
    return waiting, sum(place.pull_offset - place.consumer_offset for place in places)


class Measured:
    """The gateway under test, and what it needs for a send."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: Process
        self.started = 0.0
        self._sent = 1 << 40

    def start(self) -> float:
        path = os.pathsep.join(str(_ROOT / part) for part in ("", "protocols", "tap"))
        twistd = Path(sys.executable).with_name("twistd")
        listen = f"tcp:{self.port}:interface=127.0.0.1"
        command = [
            *(str(twistd), "-n", "--pidfile=", "rmqgateway"),
            *("--data-dir", str(self.directory / "data"), "--listen", listen),
        ]
        environment = {**os.environ, "PYTHONPATH": path}
        self.process = Process(command, self.directory / "output", environment, self.directory)
        return self.process.wait_listening(self.port, 600)

    def start_on(self, timers: int, in_flight: int, what: str) -> Client:
        """Start again and see that so much is there still."""
        began = time.monotonic()
        self.start()
        client = self.client()
        found = pending(client)
        say(what, time.monotonic() - began, "s")
        if found != (timers, in_flight):
            raise ValueError(f"expected {(timers, in_flight)} to be there still, got {found}")
        return client

    def client(self, under_way: int = 64) -> Client:
        return Client(self.port, under_way)

    def memory_mb(self) -> dict[str, float]:
        return {name: value / 1024 for name, value in self.process.memory_kb().items()}

    def cost(self, rounds: int = 5, count: int = 10_000) -> float:
        """CPU µs of a send, 64 under way: the median of some rounds."""
        client = self.client()
        found = []
        send(client, "cost", count, self._sent)
        for _ in range(rounds):
            self._sent += count
            before = self.process.cpu_seconds()
            send(client, "cost", count, self._sent)
            found.append((self.process.cpu_seconds() - before) / count * 1e6)
        client.close()
        return sorted(found)[len(found) // 2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timers", type=int, default=1_000_000)
    parser.add_argument("--in-flight", type=int, default=1_000_000)
    parser.add_argument("--hours", type=float, default=20.0, help="over how many hours the timers are spread")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rmqgateway-pending-") as place:
        return run(Measured(Path(place)), options.timers, options.in_flight, options.hours)


def say(name: str, value: float, unit: str, most: float | None = None) -> bool:
    """Print a figure and its budget; whether it is within."""
    fine = most is None or value <= most
    budget = "" if most is None else f"  (at most {most:g} {unit}{'' if fine else ': MISSED'})"
    print(f"{name:46} {value:9.1f} {unit}{budget}", flush=True)
    return fine


def run(gateway: Measured, timers: int, in_flight: int, hours: float) -> int:
    say("start, empty", gateway.start(), "s")
    try:
        say("memory, empty", gateway.memory_mb()["resident"], "MB")
        empty = gateway.cost()
        say("a send, empty", empty, "µs")
        client = gateway.client(256)
        began = time.monotonic()
        send(client, "timed", timers, spread_ms=int(hours * 3_600_000))
        say(f"{timers} timers set in", time.monotonic() - began, "s")
        say("memory then", gateway.memory_mb()["resident"], "MB")
        began = time.monotonic()
        send(client, "popped", in_flight)
        say(f"{receive(client, 'popped', in_flight)} messages sent and received in", time.monotonic() - began, "s")
        client.close()
        time.sleep(65)  # with a snapshot of all that
        fine = say("memory with all of them", gateway.memory_mb()["resident"], "MB", MEMORY_MB)
        fine &= say("memory at its highest", gateway.memory_mb()["peak"], "MB", MEMORY_MB)
        full = gateway.cost()
        say("a send then", full, "µs")
        fine &= say("beside an empty broker", full / empty, "times", RATIO)
        began = time.monotonic()
        gateway.process.stop(120)
        say("SIGTERM until the end", time.monotonic() - began, "s")
        client = gateway.start_on(timers, in_flight, "start on all of them, until it answers")
        fine &= say("memory then", gateway.memory_mb()["resident"], "MB", MEMORY_MB)
        send(client, "timed", 1000, 1 << 41, spread_ms=1000)
        client.close()
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.stop(10)
        gateway.start_on(timers + 1000, in_flight, "start after SIGKILL, until it answers").close()
        fine &= say("memory then", gateway.memory_mb()["resident"], "MB", MEMORY_MB)
    except Exception:
        print(gateway.process.log_end(), file=sys.stderr)
        raise
    finally:
        gateway.process.stop(120)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
