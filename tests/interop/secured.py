"""A gateway with users, and a client that is told line by line what to do and in whose name."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from pathlib import Path

from tests.interop.gateway import Gateway
from tests.interop.toolchain import tail

__all__ = ["PRODUCER", "READER", "ROOT", "USERS", "Signer", "secured"]

ROOT = ("root", "r00t-secret-1")
#: May publish to topics whose names begin with "acl", and nothing else.
PRODUCER = ("producer", "pr0ducer-secret")
#: May consume them in groups whose names begin with "acl".
READER = ("reader", "reader-secret-1")
USERS = f"""
[users.{ROOT[0]}]
secret = "{ROOT[1]}"
type = "Super"

[users.{PRODUCER[0]}]
secret = "{PRODUCER[1]}"
policies = [{{ resource = "Topic:acl*", actions = ["Pub"], source_ips = ["127.0.0.0/8"] }}]

[users.{READER[0]}]
secret = "{READER[1]}"
policies = [
    {{ resource = ["Topic:acl*", "Group:acl*"], actions = ["Sub"] }},
    {{ resource = "Topic:acl_secret", actions = ["All"], decision = "Deny" }},
]

[users.former]
secret = "former-secret-1"
type = "Super"
status = "disable"
"""


def secured(directory: Path, *options: str) -> Gateway:
    """A gateway with these users, not started."""
    directory.mkdir(parents=True, exist_ok=True)
    users = directory / "users.toml"
    users.write_text(USERS)
    users.chmod(0o600)
    return Gateway(directory, ("--set", f"users.file={users}", *options))


class Signer:
    """A driver that answers each line of its input with one line."""

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str] | None = None) -> None:
        self._log = directory / "signer.stderr"
        with self._log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(b"")

    def __call__(self, action: str, user: tuple[str, str], *words: str, seconds: float = 40.0) -> str:
        """What came of it. :raise TimeoutError: no answer, with what the driver wrote."""
        if self._process.stdin is not None:
            self._process.stdin.write("\t".join((action, *user, *words)).encode() + b"\n")
            self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            answer = b""
        if not answer:
            raise TimeoutError(f"{action}: no answer\n{tail(self._log.read_text(errors='replace'))}")
        return answer.decode().strip()

    def stop(self) -> None:
        """Ends the process, by its own group."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)
