"""mqadmin in one long-lived process: a command in, what it printed out."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.interop.toolchain import JVM_OPENS, REBALANCING, classpath, tail

__all__ = ["Admin", "Printed"]


@dataclass(frozen=True)
class Printed:
    """What one command wrote to its two streams."""

    out: str
    err: str

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line that is no heading."""
        return [line.split() for line in self.out.splitlines() if line.strip() and not line.startswith("#")]


class Admin:
    """The driver's process, for the name server at `address`."""

    def __init__(self, address: str, directory: Path, version: str = "5.5.0") -> None:
        self._log = directory / "mqadmin.stderr"
        with self._log.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    "java",
                    "-Xmx256m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    *JVM_OPENS,
                    f"-Duser.home={directory}",
                    f"-Drocketmq.client.logRoot={directory}",
                    *REBALANCING,
                    "-Drocketmq.client.logLevel=WARN",
                    "-cp",
                    classpath("mqadmin", version),
                    "AdminDriver",
                    address,
                ],
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(b"")

    def run(self, *words: str, seconds: float = 40.0) -> Printed:
        """Performs one command; raises TimeoutError, with the driver's own complaints, when no answer comes."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write("\t".join(words).encode() + b"\n")
            stdin.flush()
        try:
            answer = self._answers.get(timeout=seconds)
            out, err = json.loads(answer)
        except (queue.Empty, ValueError) as error:
            text = tail(self._log.read_text(errors="replace"))
            raise TimeoutError(f"mqadmin {' '.join(words)}: no answer\n{text}") from error
        return Printed(out, err)

    def until(self, done: Callable[[Printed], bool], *words: str, seconds: float = 20.0) -> Printed:
        """Repeats a command until its output satisfies, at most `seconds`; gives the last output either way."""
        deadline = time.monotonic() + seconds
        printed = self.run(*words)
        while not done(printed) and time.monotonic() < deadline:
            time.sleep(0.3)
            printed = self.run(*words)
        return printed

    def stop(self) -> None:
        """Ends the process, by its own group."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)
