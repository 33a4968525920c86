"""The load generators: compiled on first use, driven line by line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TypeAlias

from bench.process import ServerFailed

__all__ = ["Generator", "Outcome", "build", "build_go"]

SOURCES = Path(__file__).resolve().parent / "generator"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")

Outcome: TypeAlias = dict[str, object]
"""The one JSON object that a generator prints at its end: counts, latencies in ms, errors by code."""


def build(directory: Path) -> Path:
    """The compiled Remoting generator. Raises ServerFailed without a compiler or when it refuses."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise ServerFailed("a C compiler is missing: apt-get install gcc")
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / "generator"
    newest = max(file.stat().st_mtime for file in SOURCES.iterdir())
    if not target.exists() or target.stat().st_mtime < newest:
        sources = sorted(map(str, SOURCES.glob("*.c")))
        command = [compiler, *FLAGS, "-o", str(target), *sources]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise ServerFailed(done.stderr)
    return target


def build_go(directory: Path, name: str) -> Path:
    """The compiled generator of HTTP, or of gRPC. Raises ServerFailed without Go or when it refuses."""
    go = shutil.which("go")
    if go is None:
        raise ServerFailed(f"go is missing: apt-get install golang-go, or leave out the rows of {name}")
    target = directory.absolute() / f"generator_{name}"
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(
        [go, "build", "-o", str(target), "."],
        cwd=SOURCES.with_name(f"generator_{name}"),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(done.stderr)
    return target


class Generator:
    """One run. ``states`` are called when the generator reaches them: ``measuring`` and ``measured`` around a
    timed run; ``connected`` and ``waiting`` of an idle one, which goes on when the call returns.
    """

    def __init__(self, program: Path, mode: str, options: Mapping[str, int | float | str]) -> None:
        self.command = [str(program), mode]
        for name, value in options.items():
            self.command += [f"--{name.replace('_', '-')}", str(value)]

    def run(self, states: Mapping[str, Callable[[], None]]) -> Outcome:
        """Raises ServerFailed when the generator ends without a result."""
        with subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            outcome = self._listen(child, states) if child.stdin and child.stdout else None
        if outcome is None or child.returncode:
            raise ServerFailed(f"{' '.join(self.command)} ended with status {child.returncode}")
        return outcome

    @staticmethod
    def _listen(child: subprocess.Popen[str], states: Mapping[str, Callable[[], None]]) -> Outcome | None:
        outcome: Outcome | None = None
        for line in _lines(child.stdout):
            message: Outcome = json.loads(line)
            state = message.get("state")
            if not isinstance(state, str):
                outcome = message
                continue
            if state in states:
                states[state]()
            if child.stdin and state in ("connected", "waiting"):
                child.stdin.write("\n")
                child.stdin.flush()
        return outcome


def _lines(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ServerFailed("the generator has no output")
    return stream
