"""Every attack on HTTP/2 and gRPC against the running gateway, beside a client that does nothing wrong.

While three connections at a time attack for a second and more, the bounds are: each attack ends as it must (`attacks`), the
gateway's peak memory grows by no more than `_GROWTH_MB`, no call of the well-behaved client fails or takes ten seconds, and
for 99 of 100 of them the gateway works no longer than `_WORK_MS`, in time on a processor, until it has answered: what an
attack adds to the latency, whatever else the machine does. The last test is of a reader that stalls during all of them, for
the 30 s of the default setting: its streams end, the others of its connection go on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance.attacks import ATTACKS, Attacker, _call
from tests.smoke.process import environment, free_port, running
from tests.unit.wire.http2_peer import (
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    frame,
    setting,
    word,
)

_AT_ONCE = 3
_WORK_MS = 100.0
_GROWTH_MB = 32.0
#: What connections may make us hold by the default settings is more than that.
_GROWTH_OF = {"unfinished gRPC messages": _AT_ONCE * 64.0}
#: Measured up to 165 ms for the same: a hundred megabytes come and go within the second.
_WORK_OF = {"unfinished gRPC messages": 300.0}
_STALLED_S = 30.0


class _Target:
    """A gateway under attack."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], client: subprocess.Popen[str]) -> None:
        self.port = port
        self.process = process
        self.client = client

    def memory_mb(self, name: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise AssertionError(name)

    def forget_peak(self) -> None:
        """Let VmHWM begin again."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def latency(self) -> dict[str, float]:
        """Of the well-behaved client since the last question, in ms."""
        assert self.client.stdin is not None and self.client.stdout is not None
        self.client.stdin.write("\n")
        self.client.stdin.flush()
        line = self.client.stdout.readline()
        assert line, f"the well-behaved client ended: {self.client.stderr and self.client.stderr.read()}"
        found: dict[str, float] = json.loads(line)
        return found


class _Stalled(threading.Thread):
    """A connection with streams that take nothing, and one after the other that is read.

    :ivar served: calls that were answered meanwhile. :ivar resets: (stream, seconds since the start).
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.served = 0
        self.began = 0.0
        self.resets: dict[int, float] = {}
        self.late: list[int] = []
        self.error = ""

    def run(self) -> None:
        attacker = Attacker(self.port, setting(4, 0))
        stalled = list(range(1, 41, 2))
        self.began = time.monotonic()
        attacker.send(b"".join(_call(attacker, stream) for stream in stalled))
        stream = 41
        while len(self.resets) < len(stalled) and time.monotonic() - self.began < _STALLED_S + 30:
            attacker.send(_call(attacker, stream) + frame(WINDOW_UPDATE, 0, stream, word(1 << 20)))
            attacker.frames.clear()
            answered: list[bool] = []

            def look() -> bool:
                for kind, flags, of_stream, _ in attacker.frames:
                    if of_stream == stream and kind == HEADERS and flags & END_STREAM:  # noqa: B023
                        answered.append(True)  # noqa: B023
                    elif kind == RST_STREAM:
                        self.resets.setdefault(of_stream, time.monotonic() - self.began)
                    elif kind == DATA and of_stream in stalled:
                        self.error = "DATA without a window"
                return bool(answered)  # noqa: B023

            attacker.read(10, look)
            if not answered or attacker.ended:
                self.error = f"stream {stream} was not answered"
                return
            self.served += 1
            stream += 2
            # Nobody's window but the connection's is widened for what was read.
            attacker.send(frame(WINDOW_UPDATE, 0, 0, word(2000)) + frame(PING, 0, 0, b"12345678"))
            time.sleep(0.1)
        attacker.socket.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Target]:
    port = free_port()
    with running(tmp_path_factory.mktemp("attacks"), port) as process, subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.well_behaved", str(port), str(process.pid)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        found = _Target(port, process, client)
        time.sleep(1)
        found.latency()  # the first calls, and the imports
        yield found
        assert client.stdin is not None
        client.stdin.close()
        client.wait(20)


@pytest.fixture(scope="module")
def stalled(target: _Target) -> _Stalled:
    thread = _Stalled(target.port)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, target: _Target, stalled: _Stalled) -> None:
    attack = ATTACKS[name]
    time.sleep(0.3)
    before = target.latency()
    resident = target.memory_mb("VmRSS")
    target.forget_peak()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for one in [pool.submit(attack, target.port) for _ in range(_AT_ONCE)]:
            one.result()
    during = target.latency()
    growth = target.memory_mb("VmHWM") - resident
    told = f"{name}: before {before}, during {during}, {growth:.1f} MB more"
    print(told)
    assert target.process.poll() is None
    assert growth <= _GROWTH_OF.get(name, _GROWTH_MB), told
    assert during["work"] <= _WORK_OF.get(name, _WORK_MS), told


def test_a_stalled_reader_loses_its_streams_and_nothing_else(target: _Target, stalled: _Stalled) -> None:
    stalled.join(_STALLED_S + 40)
    assert not stalled.error, stalled.error
    assert len(stalled.resets) == 20
    assert min(stalled.resets.values()) >= _STALLED_S - 1
    assert max(stalled.resets.values()) <= _STALLED_S + 15
    assert stalled.served >= 50, "the other streams of its connection go on"
    assert target.latency()["calls"] > 0
