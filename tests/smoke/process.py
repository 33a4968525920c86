"""``twistd rmqgateway`` as a process on a loopback port, for tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["TWISTD", "command", "environment", "free_port", "hello", "refused", "running", "wait_for"]

ROOT = Path(__file__).resolve().parents[2]
TWISTD = str(Path(sys.executable).with_name("twistd"))


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RMQGATEWAY_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "protocols", "tap"))}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def command(
    folder: Path, port: int, *flags: str, twistd: tuple[str, ...] = ("-n", "--pidfile=")
) -> list[str]:
    where = f"remoting=tcp:{port}:interface=127.0.0.1"
    return [TWISTD, *twistd, "rmqgateway", "--data-dir", str(folder / "data"), "--listen", where, *flags]


@contextmanager
def running(folder: Path, port: int, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that listens; ended at the end, if it has not ended itself."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(folder, port, *flags),
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "serves" in log.read_text(), log, process)
        # The reactor runs, and with it our signal handlers, when it answers.
        with socket.create_connection(("127.0.0.1", port), timeout=10) as http:
            http.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert http.recv(100).startswith(b"HTTP/1.1 ")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(condition: Callable[[], object], log: Path, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def refused(folder: Path, port: int, *flags: str) -> str:
    """The one line with which a gateway refuses to start."""
    done = subprocess.run(
        command(folder, port, *flags),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rmqgateway: "), done.stderr
    return lines[0]


def hello(port: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rmqgateway.hello", f"127.0.0.1:{port}"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.stdout + done.stderr
