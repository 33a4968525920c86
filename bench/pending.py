"""``python bench/pending.py``: what a million waiting timers, messages in flight and undecided half messages cost.

A gateway of its own, from this tree, is filled over Remoting: timers spread over the next hours, messages received (pop) for
hours and not acknowledged, half messages that are first checked after hours. Measured are its memory, the CPU time of a send and
of a transaction beside that of an empty gateway, and how long it takes to start again until it answers, after SIGTERM and after
SIGKILL. It ends with status 1 if a budget is missed, and fails if anything is not there any more.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.process import Process, free_port
from rmqgateway.errors import WireError
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.groups import ConsumeStats
from rmqgateway.wire.bodies.routes import KVTable
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request
from rmqgateway.wire.request_codes import RequestCode

#: The issue's: MB of the whole process with timers and messages in flight, and the send beside that of an empty broker.
MEMORY_MB = 300.0
RATIO = 1.2
#: What a half message may add.
HALF_BYTES = 40.0
_ROOT = Path(__file__).resolve().parent.parent
_BODY = b"x" * 64
#: Until what is received comes again, and half messages are checked.
_HOURS = 3
#: The answer (SYSTEM_ERROR) to the end of a transaction that has ended.
_NOT_THERE = 1


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
                if isinstance(answer, WireError):
                    raise answer
                if answer.code not in allowed:
                    raise ValueError(f"answer {answer.code}: {answer.remark}")
                yield answer

    def close(self) -> None:
        self._socket.close()


def _send_header(topic: str, queue: int, properties: bytes, sys_flag: int = 0) -> dict[str, str]:
    return {
        "a": "bench",
        "b": topic,
        "c": "TBW102",
        "d": "8",
        "e": str(queue),
        "f": str(sys_flag),
        "g": str(int(time.time() * 1000)),
        "h": "0",
        "i": properties.decode(),
        "j": "0",
        "k": "false",
        "m": "false",
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


def prepare(client: Client, topic: str, count: int, first: int = 0, every: int = 1) -> list[tuple[int, int]]:
    """Half messages that are left undecided: (queue offset, physical offset) of each of them, or of every n-th."""

    def frames() -> Iterator[bytes]:
        for number in range(first, first + count):
            named = {
                "UNIQ_KEY": _unique(number),
                "TRAN_MSG": "true",
                "PGROUP": "bench",
                "CHECK_IMMUNITY_TIME_IN_SECONDS": str(_HOURS * 3600 + number % 3600),
            }
            header = _send_header(topic, number % 8, encode_properties(named), sys_flag=4)
            yield client.frame(RequestCode.SEND_MESSAGE_V2, header, _BODY)

    return [
        (int(answer.ext_fields["queueOffset"]), int(answer.ext_fields["msgId"][-16:], 16))
        for number, answer in enumerate(client.ask_all(frames()))
        if not number % every
    ]


def end(client: Client, topic: str, halves: Iterable[tuple[int, int]], resolution: int) -> int:
    """Commit (8) or roll back (12) these: how many were undecided still."""

    def frames() -> Iterator[bytes]:
        for offset, position in halves:
            header = {
                "topic": topic,
                "producerGroup": "bench",
                "tranStateTableOffset": str(offset),
                "commitLogOffset": str(position),
                "commitOrRollback": str(resolution),
            }
            yield client.frame(RequestCode.END_TRANSACTION, header)

    return sum(answer.code == 0 for answer in client.ask_all(frames(), (0, _NOT_THERE)))


def receive(client: Client, topic: str, count: int) -> int:
    """Receive so many for hours, 32 at a time; say how many came."""
    header = {
        "consumerGroup": "bench",
        "topic": topic,
        "queueId": "-1",
        "maxMsgNums": "32",
        "invisibleTime": str(_HOURS * 3_600_000),
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
        self.start()
        client = self.client()
        found = pending(client)
        took = time.monotonic() - self.process.started
        say(f"{what}, until it answers", took, "s")
        say("CPU time of that", self.process.cpu_seconds(), "s")
        if found != (timers, in_flight):
            raise ValueError(f"expected {(timers, in_flight)} to be there still, got {found}")
        return client

    def client(self, under_way: int = 64) -> Client:
        return Client(self.port, under_way)

    def memory_mb(self) -> dict[str, float]:
        return {name: value / 1024 for name, value in self.process.memory_kb().items()}

    def sends(self, count: int) -> float:
        """CPU µs of a send, 64 under way."""
        client, first = self.client(), self._more(count)
        before = self.process.cpu_seconds()
        send(client, "cost", count, first)
        used = self.process.cpu_seconds() - before
        client.close()
        return used / count * 1e6

    def transactions(self, count: int) -> float:
        """CPU µs of a half message and its commit, 64 under way."""
        client, begin = self.client(), self._more(count)
        before = self.process.cpu_seconds()
        for first in range(begin, begin + count, 64):
            halves = prepare(client, "cost", min(64, begin + count - first), first)
            if end(client, "cost", halves, 8) != len(halves):
                raise ValueError("a transaction that was prepared just now is not there")
        used = self.process.cpu_seconds() - before
        client.close()
        return used / count * 1e6

    def _more(self, count: int) -> int:
        """The first of so many numbers for messages."""
        self._sent += count
        return self._sent - count


def compare(empty: Measured, full: Measured) -> bool:
    """What a send and a transaction cost both, in turn, so that both meet the same machine."""
    fine = True
    kinds: tuple[tuple[str, int, Callable[[Measured, int], float]], ...] = (
        ("a send", 10_000, Measured.sends),
        ("a transaction", 5_000, Measured.transactions),
    )
    for name, count, work in kinds:
        found: tuple[list[float], list[float]] = ([], [])
        for number in range(8):
            for which, gateway in enumerate((empty, full)):
                used = work(gateway, count)
                if number:  # the first one warms up
                    found[which].append(used)
        costs = [sorted(one)[len(one) // 2] for one in found]
        say(f"{name}, empty", costs[0], "µs of CPU")
        say(f"{name}, full", costs[1], "µs of CPU")
        fine &= say("beside an empty broker", costs[1] / costs[0], "times", RATIO)
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timers", type=int, default=1_000_000)
    parser.add_argument("--in-flight", type=int, default=1_000_000)
    parser.add_argument("--halves", type=int, default=1_000_000, help="undecided half messages")
    parser.add_argument("--hours", type=float, default=20.0, help="over how many hours the timers are spread")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rmqgateway-pending-") as place:
        (Path(place) / "empty").mkdir()
        return run(Measured(Path(place)), Measured(Path(place) / "empty"), options)


def say(name: str, value: float, unit: str, most: float | None = None) -> bool:
    """Print a figure and its budget; whether it is within."""
    fine = most is None or value <= most
    budget = "" if most is None else f"  (at most {most:g} {unit}{'' if fine else ': MISSED'})"
    print(f"{name:58} {value:9.1f} {unit}{budget}", flush=True)
    return fine


def fill(gateway: Measured, wanted: argparse.Namespace) -> tuple[list[tuple[int, int]], bool]:
    """Timers, then messages in flight, then half messages: some of the last, and whether memory was within its budget."""
    client = gateway.client(256)

    def timers() -> None:
        send(client, "timed", wanted.timers, spread_ms=int(wanted.hours * 3_600_000))

    def in_flight() -> None:
        send(client, "popped", wanted.in_flight)
        receive(client, "popped", wanted.in_flight)

    halves: list[tuple[int, int]] = []

    def half() -> None:
        halves.extend(prepare(client, "halves", wanted.halves, every=max(wanted.halves // 2000, 1)))

    steps = (
        (wanted.timers, "timers set", timers),
        (wanted.in_flight, "messages sent and received", in_flight),
        (wanted.halves, "half messages prepared", half),
    )
    fine = True
    for count, what, work in steps:
        if count:
            began = time.monotonic()
            work()
            say(f"{count} {what} in", time.monotonic() - began, "s")
            most = MEMORY_MB + wanted.halves * HALF_BYTES / 1e6 * (work is half)
            fine &= say("memory then", gateway.memory_mb()["resident"], "MB", most)
    client.close()
    return halves, fine


def expect(client: Client, halves: list[tuple[int, int]], undecided: bool) -> None:
    """Roll these back: all of them must (or must not) be undecided still."""
    found = end(client, "halves", halves, 12)
    if found != len(halves) * undecided:
        raise ValueError(f"{found} of {len(halves)} half messages were undecided")


def run(gateway: Measured, other: Measured, wanted: argparse.Namespace) -> int:
    say("start, empty", gateway.start(), "s")
    try:
        say("memory, empty", gateway.memory_mb()["resident"], "MB")
        halves, fine = fill(gateway, wanted)
        time.sleep(65)  # with a snapshot of all that
        most = MEMORY_MB + wanted.halves * HALF_BYTES / 1e6
        fine &= say("memory with all of them", gateway.memory_mb()["resident"], "MB", most)
        fine &= say("memory at its highest", gateway.memory_mb()["peak"], "MB", most)
        other.start()
        try:
            fine &= compare(other, gateway)
        finally:
            other.process.stop(120)
        began = time.monotonic()
        gateway.process.stop(120)
        say("SIGTERM until the end", time.monotonic() - began, "s")
        client = gateway.start_on(wanted.timers, wanted.in_flight, "start on all of them")
        fine &= say("memory then", gateway.memory_mb()["resident"], "MB", most)
        send(client, "timed", 1000, 1 << 41, spread_ms=1000)
        expect(client, halves[::2], True)
        client.close()
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.stop(10)
        client = gateway.start_on(wanted.timers + 1000, wanted.in_flight, "start after SIGKILL")
        fine &= say("memory then", gateway.memory_mb()["resident"], "MB", most)
        expect(client, halves[::2], False)
        expect(client, halves[1::2], True)
        client.close()
    except Exception:
        print(gateway.process.log_end(), file=sys.stderr)
        raise
    finally:
        gateway.process.stop(120)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
