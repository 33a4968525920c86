"""One process that a benchmark started: its end, and what the kernel says that it has used."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["Process", "ServerFailed", "free_port"]

TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server ended or did not listen in time; the message carries the end of its log."""


class Process:
    """A child with its output in a file. Figures come from ``/proc/PID`` and cover all of its threads."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str], directory: Path) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=directory,
            )
        self.pid = self._child.pid

    def cpu_seconds(self) -> float:
        """User and system time so far, threads that have ended included; steps of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_kb(self) -> dict[str, int]:
        """``resident``, ``anonymous`` (without mapped files) and ``peak``, in KiB."""
        names = {"VmRSS": "resident", "RssAnon": "anonymous", "VmHWM": "peak"}
        found = {}
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in names:
                found[names[key]] = int(value.split()[0])
        return found

    def wait_listening(self, port: int, timeout: float = 60.0) -> float:
        """Seconds from the start of the process until it accepts on loopback.

        Raises ServerFailed when it ends before, or after ``timeout`` seconds.
        """
        while time.monotonic() - self.started < timeout:
            if self._child.poll() is not None:
                raise ServerFailed(f"ended with status {self._child.returncode}: {self.log_end()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return time.monotonic() - self.started
            time.sleep(0.005)
        raise ServerFailed(f"does not listen on port {port} after {timeout:g} s: {self.log_end()}")

    def stop(self, timeout: float = 20.0) -> None:
        """SIGTERM, then SIGKILL after ``timeout`` seconds."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def log_end(self) -> str:
        """The last 2,000 characters of its output."""
        return self.log.read_text(errors="replace")[-2000:]


def free_port(around: tuple[int, ...] = (0,)) -> int:
    """A loopback port, free together with those at these distances (a broker also takes -2 and +1)."""
    for _ in range(200):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            for distance in around:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + distance))
            return port
    raise ServerFailed("no free ports on 127.0.0.1")
