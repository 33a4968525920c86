"""The load of a restart: five official clients, each sending and consuming its own topic all the time, and what became of it."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.interop.test_grpc_java import VERSION as GRPC_JAVA
from tests.interop.toolchain import REBALANCING, classpath, go_program, missing, tail

__all__ = ["Load"]

HERE = Path(__file__).resolve().parent
MODULE = HERE.parents[1] / "protocols" / "rmqgateway_websocket" / "client" / "rmqgateway.js"


class Tally:
    """What one client did. :ivar sent: bodies, and when (seconds). :ivar failed: what it gave up, and why."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.got: Counter[str] = Counter()
        self.got_at: list[float] = []
        self.failed: list[tuple[float, str]] = []
        self.retries = 0
        self.longest_ms = 0
        self.stopped = False
        self.broken = ""

    def hear(self, event: str, what: str, took_ms: int) -> None:
        now = time.monotonic()
        if event == "sent":
            self.sent[what] = now
            self.longest_ms = max(self.longest_ms, took_ms)
        elif event == "got":
            self.got[what] += 1
            self.got_at.append(now)
        elif event == "failed":
            self.failed.append((now, what))
        elif event == "stopped":
            self.stopped = True
        elif event == "broken":
            self.broken = what

    @property
    def lost(self) -> list[str]:
        """What was acknowledged to the sender and never came."""
        return [body for body in list(self.sent) if body not in self.got]

    def figures(self) -> str:
        pauses = [after - before for before, after in zip(self.got_at, self.got_at[1:], strict=False)]
        doubled = sum(count - 1 for count in self.got.values())
        return (
            f"sent={len(self.sent)} failed={len(self.failed)} retries={self.retries or '?'} "
            f"longest_send_ms={self.longest_ms} longest_receive_pause_ms={max(pauses, default=0) * 1000:.0f} "
            f"lost={len(self.lost)} doubled={doubled}"
        )


class _Http:
    """Sends over one kept-alive connection and repeats what gets no 201; receives and acknowledges over another."""

    def __init__(self, address: str, topic: str, pause_ms: int, tally: Tally) -> None:
        self._address, self._topic, self._pause = address, topic, pause_ms / 1000
        self._tally = tally
        self._stop_sending, self._stop = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _call(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON; status 0 if the connection was lost."""
        try:
            connection.request(method, f"/v1/topics/{self._topic}{path}", body)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data else None
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0, None

    def _send(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=15)
        number = 0
        while not self._stop_sending.is_set():
            body, began = f"http-{number}", time.monotonic()
            number += 1
            for _ in range(150):  # as the browser's module repeats
                status, _ = self._call(connection, "POST", "/messages", body.encode())
                if status == 201:
                    self._tally.hear("sent", body, round((time.monotonic() - began) * 1000))
                    break
                self._tally.retries += 1
                time.sleep(0.1)
            else:
                self._tally.hear("failed", f"status {status}", 0)
            time.sleep(self._pause)
        self._tally.stopped = True
        connection.close()

    def _receive(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=15)
        path = "/groups/http_group/messages"
        while not self._stop.is_set():
            status, got = self._call(connection, "GET", f"{path}?wait=2&max=16")
            if status != 200:
                time.sleep(0.1)
                continue
            for message in got["messages"]:
                if self._acknowledged(connection, f"{path}/{message['receipt_handle']}"):
                    self._tally.hear("got", message.get("text", message.get("body")), 0)
        connection.close()

    def _acknowledged(self, connection: http.client.HTTPConnection, path: str) -> bool:
        """Repeated, as clients repeat what is idempotent: an idle connection may be closed just then (RFC 9110, section 9.2.2).
        What is not acknowledged comes again, but only after its 60 seconds."""
        for _ in range(150):
            status, _ = self._call(connection, "DELETE", path)
            if status and status < 500:
                return status in (200, 204)
            time.sleep(0.1)
        return False

    def stop_sending(self) -> None:
        self._stop_sending.set()

    def stop(self) -> None:
        self._stop_sending.set()
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


class Load:
    """All clients that this machine can run, started. :ivar tallies: by client.

    Each has its default number of retries; only the time-out of a send is 15 s, since tests run on busy machines.
    """

    def __init__(self, address: str, prefix: str, directory: Path, pause_ms: int = 20) -> None:
        pause = str(pause_ms)
        java = [
            "java", "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Duser.home={directory}",
            f"-Drocketmq.client.logRoot={directory}", "-Drocketmq.client.logLevel=WARN", *REBALANCING,
            "-cp", f"{classpath('clients', '5.5.0')}:{classpath('grpc', GRPC_JAVA)}",
            str(HERE / "couriers" / "Load.java"), address, prefix, pause,
        ]  # fmt: skip
        commands = {"java": java}
        clients = ["java", "java_grpc"]
        if missing("go") is None:
            commands["go"] = [str(go_program(package="load")), address, f"{prefix}go", pause]
            clients.append("go")
        if shutil.which("node") is not None:
            script = [str(HERE / "couriers" / "load.mjs"), str(MODULE)]
            commands["browser"] = ["node", "--experimental-websocket", *script, address, f"{prefix}browser", pause]
            clients.append("browser")
        clients.append("http")
        self.tallies = {client: Tally() for client in clients}
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []
        self._http = _Http(address, f"{prefix}http", pause_ms, self.tallies["http"])
        for name, command in commands.items():
            with (directory / f"{name}.stderr").open("wb") as errors:
                process = subprocess.Popen(
                    command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
                )
            self._processes[name] = process
            reader = threading.Thread(target=self._read, args=(process,), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            try:
                said = json.loads(line)
                self.tallies[said["client"]].hear(said["event"], said["what"], said["took"])
            except (ValueError, KeyError, TypeError):
                continue

    def await_more(self, count: int, seconds: float) -> None:
        """Until every client has sent and got so many more. :raise AssertionError: not in this time."""
        wanted = {name: (len(one.sent) + count, len(one.got_at) + count) for name, one in self.tallies.items()}
        self._await(
            seconds, lambda name, one: len(one.sent) >= wanted[name][0] and len(one.got_at) >= wanted[name][1]
        )

    def await_all(self, seconds: float) -> None:
        """End the sending; until everything sent was got. :raise AssertionError: not in this time: it is lost."""
        self._http.stop_sending()
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.write(b"\n")
                process.stdin.flush()
        self._await(seconds, lambda name, one: one.stopped and not one.lost)

    def _await(self, seconds: float, done: Any) -> None:
        deadline = time.monotonic() + seconds
        while True:
            left = [name for name, one in self.tallies.items() if one.broken or not done(name, one)]
            if not left:
                return
            broken = [one.broken for one in self.tallies.values() if one.broken]
            assert not broken and time.monotonic() < deadline, (left, broken, self.told())
            time.sleep(0.05)

    def told(self) -> str:
        """All figures, and the end of what the clients wrote, for a failure message."""
        lines = [f"{name}: {one.figures()} {one.failed[:3]}" for name, one in self.tallies.items()]
        for name in self._processes:
            lines.append(f"--- {name}\n{tail((self._directory / f'{name}.stderr').read_text(errors='replace'), 12)}")
        return "\n".join(lines)

    def stop(self) -> None:
        """End all of them, by their process ids."""
        for process in self._processes.values():
            process.kill()
            process.wait(timeout=10)
        for reader in self._readers:
            reader.join(10)
        self._http.stop()
