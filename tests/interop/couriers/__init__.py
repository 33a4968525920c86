"""Programs that send and receive on request, each with one official client; `Courier` talks to one."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

__all__ = ["Courier"]


class Courier:
    """A started program: a question per line on its standard input, an answer per line on its standard output."""

    def __init__(self, label: str, command: list[str], directory: Path) -> None:
        self.label = label
        self._errors = directory / f"{label}.stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        self._number = 0
        self._lock = threading.Lock()
        self._answers: dict[int, Queue[dict[str, Any]]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                answer = json.loads(line)
                waiting = self._answers.get(answer.get("id"))
            except (ValueError, AttributeError):
                continue
            if waiting is not None:
                waiting.put(answer)

    def ask(self, seconds: float = 70, **question: Any) -> dict[str, Any]:
        """The answer. :raise AssertionError: it is an error, or there is none."""
        with self._lock:
            self._number += 1
            number = self._number
            self._answers[number] = Queue()
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({**question, "id": number}).encode() + b"\n")
            self._process.stdin.flush()
        try:
            answer = self._answers[number].get(timeout=seconds)
        except Empty:
            raise AssertionError(f"{self.label} says nothing: {self.errors()}") from None
        assert "error" not in answer, (answer["error"], self.errors())
        return answer

    def errors(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._errors.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)
