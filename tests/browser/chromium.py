"""A headless Chromium, driven through its DevTools port (Chrome DevTools Protocol 1.3)."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Chromium", "Page", "running_chromium"]

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
)  # fmt: skip


class Page:
    """One tab. :ivar errors: uncaught exceptions and console errors of the page."""

    def __init__(self, address: str) -> None:
        import websocket

        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._number = 0
        self.errors: list[str] = []
        for method in ("Page.enable", "Runtime.enable", "Log.enable"):
            self.call(method)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command; events that come meanwhile are looked at."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            frame = json.loads(self._socket.recv())
            if frame.get("id") == self._number:
                if "error" in frame:
                    raise RuntimeError(f"{method}: {frame['error']}")
                result: dict[str, Any] = frame["result"]
                return result
            self._event(frame)

    def _event(self, frame: dict[str, Any]) -> None:
        parameters = frame.get("params", {})
        if frame.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif frame.get("method") == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.errors.append(" ".join(str(one.get("value")) for one in parameters["args"]))

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression, or of its promise. :raise RuntimeError: it threw."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 20) -> Any:
        """Until an expression is true; its value."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.run(condition)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"it did not come to: {condition}; errors of the page: {self.errors}")

    def close(self) -> None:
        """Leave it."""
        self._socket.close()


class Chromium:
    """The browser."""

    def __init__(self, port: int) -> None:
        self._port = port

    def page(self, url: str = "about:blank") -> Page:
        """A new tab."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=20) as response:
            made = Page(json.load(response)["webSocketDebuggerUrl"])
        if url != "about:blank":
            made.open(url)
        return made


@contextmanager
def running_chromium(folder: Path, *flags: str) -> Iterator[Chromium]:
    """Skips the test by name where there is none. :param flags: more of its flags."""
    pytest.importorskip("websocket", reason="websocket-client drives the browser")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")
    data = folder / "chromium"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *_FLAGS, *flags, f"--user-data-dir={data}", "about:blank"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        active = data / "DevToolsActivePort"
        until = time.monotonic() + 30
        while not (active.exists() and active.read_text().count("\n")):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"chromium did not start: {(folder / 'chromium.log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield Chromium(int(active.read_text().split("\n")[0]))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
