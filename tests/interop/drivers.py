"""Runs a scenario driver (a JVM, a Go program) in the background and keeps one result for each scenario.

A driver prints one JSON object a line: name, outcome (ok, failed, skipped), seconds, message, figures.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.interop.toolchain import REBALANCING, classpath, tail

__all__ = ["FIGURES", "Driver", "Result", "java_driver"]

#: What the scenarios measured, printed at the end of a run.
FIGURES: list[str] = []


@dataclass(frozen=True)
class Result:
    """What a driver said of one scenario."""

    name: str
    outcome: str
    seconds: float
    message: str
    figures: dict[str, object] = field(default_factory=dict)


class Driver:
    """A started driver; `result` waits for a scenario, `stop` ends the process by its id."""

    def __init__(
        self,
        label: str,
        command: list[str],
        directory: Path,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.label = label
        self.results: dict[str, Result] = {}
        self._deadline = time.monotonic() + seconds
        self._changed = threading.Condition()
        self._ended = False
        self._errors = directory / f"{label}.stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        for line in stream:
            try:
                result = Result(**json.loads(line))
            except (ValueError, TypeError):
                continue
            measured = [
                f"{key}={value}"
                for key, value in result.figures.items()
                if isinstance(value, (int, float, list))
            ]
            if measured:
                FIGURES.append(f"{self.label} {result.name}: {', '.join(measured)}")
            with self._changed:
                self.results.setdefault(result.name, result)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, count: int | None = None) -> None:
        """Until `count` results are there, or the driver ended, or its time is over."""
        with self._changed:
            while not self._ended and (count is None or len(self.results) < count):
                left = self._deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)

    def result(self, name: str) -> Result | None:
        """The result of the scenario, waited for; None when the driver ended or hung without it."""
        with self._changed:
            while name not in self.results and not self._ended:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self.results.get(name)

    def judge(self, name: str, server_output: str) -> None:
        """Turns the scenario's result into that of the running test."""
        result = self.result(name)
        if result is None:
            state = "ended" if self._ended else "hangs"
            pytest.fail(
                f"{self.label} {state} without a word on {name}\n--- stderr\n"
                f"{tail(self._errors.read_text(errors='replace'))}\n--- server\n{server_output}",
                pytrace=False,
            )
        if result.outcome == "skipped":
            pytest.skip(result.message)
        if result.outcome != "ok":
            pytest.fail(
                f"{self.label} {name} after {result.seconds} s: {result.message}\n"
                f"figures {result.figures}\n--- server\n{server_output}",
                pytrace=False,
            )

    def stop(self) -> None:
        """Ends the driver and what it started (the group is the driver's own)."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)


def java_driver(
    label: str, version: str, address: str, names: str, prefix: str, directory: Path, *options: str
) -> Driver:
    """The scenario runner in a JVM with RocketMQ's client `version`."""
    command = [
        "java",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        # Clients write their logs, and the offsets of broadcasting, below the home directory.
        f"-Duser.home={directory}",
        f"-Drocketmq.client.logRoot={directory}",
        "-Drocketmq.client.logLevel=WARN",
        *REBALANCING,
        *options,
        "-cp",
        classpath("clients", version),
        "ScenarioRunner",
        address,
        names,
        prefix,
    ]
    return Driver(label, command, directory, seconds=150)
