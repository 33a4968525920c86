"""Messages crossing between a browser, curl, a Java Remoting client and a gRPC client, in every direction."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.browser.chromium import Chromium, Page, running_chromium
from tests.interop.gateway import Gateway
from tests.interop.test_grpc_python import _interpreter
from tests.interop.toolchain import JVM_OPENS, REBALANCING, classpath, missing

HERE = Path(__file__).resolve().parent
TOPIC = "crossing"
NAMES = ("browser", "curl", "remoting", "grpc")
#: Text that bytes, JSON and MessageDecoder must all leave alone.
TEXT = "from {name}: grüezi, 你好, \"quoted\" \\ 😀"


class Member(Protocol):
    """One client with a consumer group of its own."""

    def send(self, text: str) -> None:
        """Returns, or goes on, when it is sent."""

    def got(self) -> list[str]:
        """Bodies so far."""


class ProcessMember:
    """A program that prints ``got BODY`` and sends the lines that it is given."""

    def __init__(self, command: list[str], folder: Path, name: str) -> None:
        self._lines: list[str] = []
        self._errors = folder / f"{name}.stderr"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.append(line.rstrip("\n"))

    def wait_ready(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while "ready" not in self._lines:
            assert self.process.poll() is None and time.monotonic() < until, self._errors.read_text()[-3000:]
            time.sleep(0.05)

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def got(self) -> list[str]:
        return [line[4:] for line in self._lines if line.startswith("got ")]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Curl:
    """Sends with one curl, receives and acknowledges with two."""

    def __init__(self, address: str) -> None:
        self._address = f"http://{address}/v1/topics/{TOPIC}"
        self._bodies: list[str] = []

    def _run(self, *arguments: str, data: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--max-time", "30", *arguments], input=data, capture_output=True, timeout=40
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def send(self, text: str) -> None:
        self._run("--data-binary", "@-", f"{self._address}/messages", data=text.encode())

    def got(self) -> list[str]:
        place = f"{self._address}/groups/crossing-curl"
        for message in json.loads(self._run(f"{place}/messages?max=32"))["messages"]:
            self._bodies.append(message["body"])
            self._run("-X", "DELETE", f"{place}/messages/{message['receipt_handle']}")
        return self._bodies


class Browser:
    """The module in a page of the gateway."""

    def __init__(self, chromium: Chromium, address: str) -> None:
        self._page: Page = chromium.page(f"http://{address}/examples/chat")
        self._page.run(
            "(async () => {"
            'const { Client } = await import("/client/rmqgateway.js");'
            "window.member = new Client(); window.got = [];"
            f'member.subscribe({{ topic: "{TOPIC}", group: "crossing-browser" }}, ({{ text }}) => {{ got.push(text); }});'
            "})()"
        )

    def send(self, text: str) -> None:
        self._page.run(f'member.send("{TOPIC}", {json.dumps(text)}).then(() => null)')

    def got(self) -> list[str]:
        found: list[str] = self._page.run("got")
        return found


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """What each has got once each has sent one message, or after a minute."""
    reason = missing("java", "mvn") or ("curl is not installed" if shutil.which("curl") is None else None)
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("crossing")
    gateway = Gateway(folder / "gateway")
    gateway.start()
    processes: list[ProcessMember] = []
    try:
        with running_chromium(folder) as chromium:
            curl = Curl(gateway.address)
            curl.send("the topic comes into being")
            java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *JVM_OPENS, f"-Duser.home={folder}"]
            java += [*REBALANCING, "-Dfile.encoding=UTF-8", "-Dsun.stdout.encoding=UTF-8"]
            java += ["-cp", classpath("clients", "5.5.0"), "Crossing", gateway.address, TOPIC, "crossing-remoting"]
            grpc = [str(_interpreter()), str(HERE / "python" / "crossing.py"), gateway.address, TOPIC, "crossing-grpc"]
            processes += [ProcessMember(java, folder, "remoting"), ProcessMember(grpc, folder, "grpc")]
            members: dict[str, Member] = {
                "browser": Browser(chromium, gateway.address), "curl": curl, "remoting": processes[0], "grpc": processes[1],
            }  # fmt: skip
            for one in processes:
                one.wait_ready()
            for name, member in members.items():
                member.send(TEXT.format(name=name))
            until = time.monotonic() + 60
            found: dict[str, list[str]] = {}
            while time.monotonic() < until:
                found = {name: list(member.got()) for name, member in members.items()}
                if all(len(set(bodies)) > len(NAMES) for bodies in found.values()):
                    break
                time.sleep(0.2)
            yield found
    finally:
        for one in processes:
            one.stop()
        gateway.stop()


@pytest.mark.parametrize("receiver", NAMES)
@pytest.mark.parametrize("sender", NAMES)
def test_a_message_crosses(crossed: dict[str, list[str]], sender: str, receiver: str) -> None:
    assert crossed[receiver].count(TEXT.format(name=sender)) == 1, crossed[receiver]
