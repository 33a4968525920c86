"""``python bench/streams.py``: what one delivery to one of many waiting streams of Server-Sent Events costs, in process.

Real gateway, store and HTTP server in one process, transports and disk that take everything at once, a clock that is set: no
kernel, no network, no client. Every stream is a consumer group of its own over one of some topics, each gets a message a second
and acknowledges it `resume_s` later. Beside the figure stands that of a fixed piece of Python, measured in turn with it: on a
machine that does other things too, the two go up together. ``--profile`` says where the time goes.
"""

from __future__ import annotations

import argparse
import collections
import gc
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(root), str(root / "protocols"), str(root / "tap")]

from twisted.internet import epollreactor
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from rmqgateway.backend.local.backend import LocalBackend
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.gateway import Gateway
from rmqgateway.governance.budgets import Limits
from rmqgateway.http.server import HttpServer
from rmqgateway.outbox import Outbox
from rmqgateway.recognition import Found
from rmqgateway.services_parts import calm_garbage_collector
from rmqgateway_http.frontend import HttpFrontEnd

_EPOCH_MS = 1_800_000_000_000
_BODY = b"x" * 1024


class FastDisk(Disk):
    """Takes everything, keeps nothing."""

    def fdatasync(self, fd: int) -> None:
        """See Disk."""

    def pwritev(self, fd: int, parts: Any, at: int) -> None:
        """See Disk."""


class Sink(StringTransport):
    """:ivar taken: bytes."""

    taken = 0

    def write(self, data: bytes) -> None:
        """See ITransport."""
        self.taken += len(data)


class Streams:
    """So many streams over so many topics."""

    def __init__(self, folder: str, streams: int, topics: int) -> None:
        self.now = 1000.0
        # The real reactor, for its planned calls; it never runs.
        self.reactor: Any = epollreactor.EPollReactor()
        self.reactor.seconds = lambda: self.now
        writer, chores = InlineWorker(self.reactor), InlineWorker(self.reactor)
        store = DurableStore(folder + "/store", self.reactor, StoreSettings(), writer=writer, chores=chores, disk=FastDisk())
        outbox = Outbox()
        backend = LocalBackend(store, LocalSettings(), self.reactor, outbox, lambda: int(_EPOCH_MS + self.now * 1000))
        gateway = Gateway(backend, self.reactor, outbox=outbox, limits=Limits(sessions=2 * streams + 100))
        backend.start()
        self.settle(20)
        self.server = HttpServer(gateway, [HttpFrontEnd()])
        self.topics = topics
        self.producer, _ = self.connect(0)
        for topic in range(topics):
            self.send(topic)
        self.transports = []
        for number in range(streams):
            protocol, transport = self.connect(number + 1)
            self.transports.append(transport)
            path = b"/v1/topics/fan%d/groups/g%d/stream" % (number % topics, number)
            protocol.dataReceived(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: text/event-stream\r\n\r\n" % path)
            self.pass_time(0.0)
        self.wait()

    def connect(self, number: int) -> tuple[Any, Sink]:
        peer = IPv4Address("TCP", f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 40_000)
        protocol = self.server.make_protocol(ConnectionInformation(peer, "127.0.0.1:8080", False, "bench"), Found.HTTP_1)
        transport = Sink(IPv4Address("TCP", "127.0.0.1", 8080), peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def settle(self, turns: int) -> None:
        for _ in range(turns):
            self.reactor.runUntilCurrent()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.settle(2)

    def wait(self) -> None:
        """Until everything is acknowledged."""
        for _ in range(30):
            self.pass_time(0.1)

    def send(self, topic: int) -> None:
        head = b"POST /v1/topics/fan%d/messages HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: %d\r\n\r\n"
        self.producer.dataReceived(head % (topic, len(_BODY)) + _BODY)
        self.settle(2)

    def work(self, seconds: int) -> None:
        """A message to each stream in each second."""
        before = self.taken
        for _ in range(seconds):
            for topic in range(self.topics):
                self.send(topic)
                self.pass_time(1.0 / self.topics)
        self.wait()
        least = seconds * len(self.transports) * len(_BODY)
        if self.taken - before < least:
            raise RuntimeError(f"expected {least} bytes of events at least, got {self.taken - before}")

    @property
    def taken(self) -> int:
        return sum(transport.taken for transport in self.transports)


def known_work() -> float:
    """CPU µs of something that does not change."""
    began = time.process_time()
    for _ in range(100):
        table = {number: str(number) for number in range(1000)}
        sum(map(len, table.values()))
    return (time.process_time() - began) * 10


def sampled(work: Any, deliveries: int) -> None:
    """Run, and say in which functions the CPU time was spent."""
    alone: collections.Counter[str] = collections.Counter()
    below: collections.Counter[str] = collections.Counter()

    def look(_: int, frame: Any) -> None:
        names = []
        while frame is not None:
            names.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}")
            frame = frame.f_back
        alone[names[0]] += 1
        below.update(set(names))

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    began = time.process_time()
    work()
    cost = (time.process_time() - began) / deliveries * 1e6
    signal.setitimer(signal.ITIMER_PROF, 0)
    total = sum(alone.values())
    for name, count in below.most_common(60):
        print(f"{count / total * cost:6.1f} µs, alone {alone[name] / total * cost:5.1f}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--topics", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of the set clock, in each round")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp()
    try:
        streams = Streams(folder, arguments.streams, arguments.topics)
        streams.work(1)
        gc.collect()
        calm_garbage_collector()
        deliveries = arguments.seconds * arguments.streams
        if arguments.profile:
            sampled(lambda: streams.work(arguments.seconds), deliveries)
            return
        for _ in range(arguments.rounds):
            known = known_work()
            began = time.process_time()
            streams.work(arguments.seconds)
            cost = (time.process_time() - began) / deliveries * 1e6
            print(f"{cost:.1f} µs CPU for each delivery; known work {(known + known_work()) / 2:.3f} µs")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
