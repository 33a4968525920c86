"""The STOMP example as its users have it: built, installed, found by a gateway process, used by an independent client."""

from __future__ import annotations

import ast
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stomp

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "rmqgateway-stomp"
TWISTD = Path(sys.executable).with_name("twistd")


def test_it_is_small() -> None:
    """Every line of the distribution's Python, empty ones and docstrings too."""
    files = list(EXAMPLE.glob("src/**/*.py"))
    assert len(files) == 6
    assert sum(len(path.read_text().splitlines()) for path in files) <= 250


def test_it_is_small_without_tricks() -> None:
    """As the formatter writes it, and checked as the project is."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    for arguments in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [str(ruff), *arguments, str(EXAMPLE / "src")], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_uses_nothing_private() -> None:
    for path in EXAMPLE.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                assert not any(part.startswith("_") for part in node.module.split("."))
                assert not any(alias.name.startswith("_") for alias in node.names)
                assert "backend" not in node.module and "remoting" not in node.module


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example as pip installs it; needs no network."""
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and not {"build", "__pycache__"} & set(path.parts) and ".egg-info" not in str(path):
            copy = source / path.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)],
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": ""},
    )
    return target


def test_what_is_installed(installed: Path) -> None:
    assert (installed / "twisted" / "plugins" / "rmqgateway_stomp.py").is_file()
    assert not (installed / "twisted" / "__init__.py").exists()
    assert not (installed / "twisted" / "plugins" / "__init__.py").exists()
    assert (installed / "rmqgateway_stomp" / "py.typed").is_file()


def test_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    """Run against what is installed, as a distribution's own tests are."""
    path = os.pathsep.join([str(installed), *(str(ROOT / part) for part in ("", "protocols", "tap"))])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(EXAMPLE / "tests")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class GatewayProcess:
    """``twistd rmqgateway`` with the example on its path and STOMP and Remoting on one port."""

    def __init__(self, directory: Path, installed: Path) -> None:
        self.directory = directory
        self.path = os.pathsep.join([*(str(ROOT / part) for part in ("", "protocols", "tap")), str(installed)])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def run(self, *arguments: str) -> list[str]:
        return [str(TWISTD), "-n", "--pidfile=", "rmqgateway", *arguments]

    def start(self) -> None:
        self.output = (self.directory / "output").open("ab")
        self.process = subprocess.Popen(
            self.run(
                "--data-dir",
                str(self.directory / "data"),
                "--listen",
                f"tcp:{self.port}:interface=127.0.0.1",
                "--set",
                "front_ends.stomp.enabled=true",
                "--set",
                "front_ends.stomp.nack_delay_ms=100",
            ),
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": self.path},
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise AssertionError((self.directory / "output").read_text())

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.output.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), installed)
    process.start()
    yield process
    process.stop()


def test_the_gateway_finds_it(gateway: GatewayProcess) -> None:
    shown = subprocess.run(
        gateway.run("--help-front-ends"),
        cwd=gateway.directory,
        env={**os.environ, "PYTHONPATH": gateway.path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "stomp" in shown and "nack_delay_ms" in shown


class Listener(stomp.ConnectionListener):
    def __init__(self) -> None:
        self.messages: queue.Queue[stomp.utils.Frame] = queue.Queue()
        self.receipts: queue.Queue[str] = queue.Queue()
        self.errors: queue.Queue[stomp.utils.Frame] = queue.Queue()

    def on_message(self, frame: stomp.utils.Frame) -> None:
        self.messages.put(frame)

    def on_receipt(self, frame: stomp.utils.Frame) -> None:
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame: stomp.utils.Frame) -> None:
        self.errors.put(frame)


class Client:
    def __init__(self, gateway: GatewayProcess, heartbeats: tuple[int, int] = (0, 0)) -> None:
        self.connection = stomp.Connection12([("127.0.0.1", gateway.port)], heartbeats=heartbeats)
        self.listener = Listener()
        self.connection.set_listener("", self.listener)
        self.connection.connect(wait=True)
        assert self.connection.is_connected()

    def message(self) -> stomp.utils.Frame:
        return self.listener.messages.get(timeout=10)

    def receipted(self) -> str:
        return self.listener.receipts.get(timeout=10)


@pytest.fixture
def connect(gateway: GatewayProcess) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(heartbeats: tuple[int, int] = (0, 0)) -> Client:
        clients.append(Client(gateway, heartbeats))
        return clients[-1]

    yield make
    for client in clients:
        if client.connection.is_connected():
            client.connection.disconnect()


def test_send_subscribe_ack_nack(connect: Callable[..., Client]) -> None:
    client = connect()
    client.connection.subscribe("/topic/StompOrders", id="1", ack="client-individual")
    client.connection.send("/topic/StompOrders", "中文 one", receipt="r1", tags="A", colour="red: a\nb")
    assert client.receipted() == "r1"
    first = client.message()
    assert first.body == "中文 one"
    assert (first.headers["tags"], first.headers["colour"]) == ("A", "red: a\nb")
    assert first.headers["delivery-attempt"] == "1"
    client.connection.nack(first.headers["ack"])
    again = client.message()
    assert (again.body, again.headers["delivery-attempt"]) == ("中文 one", "2")
    assert again.headers["message-id"] == first.headers["message-id"]
    client.connection.ack(again.headers["ack"], receipt="acked")
    assert client.receipted() == "acked"
    client.connection.disconnect(receipt="bye")
    assert client.receipted() == "bye"


def test_many_messages_shared_by_a_group_and_unacknowledged_ones_move_on(connect: Callable[..., Client]) -> None:
    producer, first, second = connect(), connect(), connect()
    for client in (first, second):
        client.connection.subscribe(
            "/topic/StompShared", id="s", ack="client-individual", headers={"group": "shared", "prefetch-count": "5"}
        )
    for number in range(40):
        producer.connection.send("/topic/StompShared", f"{number}", receipt=f"{number}")
    assert sorted(int(producer.receipted()) for _ in range(40)) == list(range(40))
    held = [first.message().body for _ in range(5)]
    done: list[str] = []
    while len(done) < 35:
        message = second.message()
        done.append(message.body)
        second.connection.ack(message.headers["ack"])
    assert first.listener.messages.empty(), "its window is full"
    first.connection.transport.disconnect_socket()  # gone without a word
    while len(done) < 40:
        message = second.message()
        done.append(message.body)
        second.connection.ack(message.headers["ack"])
    assert sorted(map(int, done)) == list(range(40))
    assert set(held) < set(done)


def test_an_error_ends_the_connection(connect: Callable[..., Client]) -> None:
    client = connect()
    client.connection.send("/queue/none", "x", receipt="r")
    error = client.listener.errors.get(timeout=10)
    assert "/topic/NAME" in error.body
    assert error.headers["receipt-id"] == "r"
    deadline = time.monotonic() + 10
    while client.connection.is_connected() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not client.connection.is_connected()


def test_heart_beats_keep_a_quiet_connection(connect: Callable[..., Client]) -> None:
    client = connect(heartbeats=(20_000, 20_000))
    client.connection.send("/topic/StompBeats", "x", receipt="r")
    assert client.receipted() == "r"


def test_messages_survive_a_restart_of_the_gateway(connect: Callable[..., Client], gateway: GatewayProcess) -> None:
    client = connect()
    client.connection.send("/topic/StompKept", "kept", receipt="r")
    assert client.receipted() == "r"
    gateway.stop()
    assert gateway.process.returncode == 0
    gateway.start()
    again = connect()
    again.connection.subscribe("/topic/StompKept", id="1", ack="auto")
    assert again.message().body == "kept"
