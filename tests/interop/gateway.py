"""The gateway as a process of its own, started as users start it, for the official clients to talk to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.interop.apache import StartError
from tests.interop.toolchain import tail

__all__ = ["Gateway"]

_ROOT = Path(__file__).resolve().parents[2]


class Gateway:
    """One ``twistd rmqgateway`` on a loopback port, with its data below `directory`. :param options: more of its flags."""

    def __init__(self, directory: Path, options: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self._options = options
        self.cluster = "DefaultCluster"
        self.broker = "rmqgateway"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What a client is given as its name server."""
        return f"127.0.0.1:{self._port}"

    @property
    def broker_address(self) -> str:
        """The same port answers as the broker."""
        return self.address

    def start(self) -> None:
        """Starts on a port that was free a moment ago, on the data of an earlier start; raises StartError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        path = os.pathsep.join(str(_ROOT / part) for part in ("", "protocols", "tap"))
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("twistd")),
                    "-n",
                    "--pidfile=",
                    "rmqgateway",
                    "--data-dir",
                    str(self.directory / "data"),
                    "--listen",
                    f"tcp:{self._port}:interface=127.0.0.1",
                    *self._options,
                ],
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 30
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = self.output()
                self.stop()
                raise StartError(f"the gateway is not ready\n{text}")
            time.sleep(0.05)

    def _accepts(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return True
        except OSError:
            return False

    @property
    def certificate(self) -> Path:
        """The PEM file that a client may trust."""
        return self.directory / "data" / "tls" / "certificate.pem"

    def output(self) -> str:
        """The end of what it wrote, for a failure message."""
        return tail((self.directory / "output").read_text(errors="replace"), 60)

    def stop(self) -> None:
        """Asks the process to end, and ends it if it does not within ten seconds."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
