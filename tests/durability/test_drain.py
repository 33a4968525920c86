"""SIGTERM under load, on the wire: what each protocol is told, how long it takes, and that nothing acknowledged is lost.

Real processes and sockets; the clients are this project's codecs and h2, so that every byte is seen. (Official clients are in
tests/interop/test_drain.)
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import h2.config
import h2.connection
import hpack

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.wire.stored_message import iterate
from tests.client import Client, pulling, sending
from tests.smoke.process import free_port, running

TOPIC, QUEUES = "drained", 4
_DATA, _HEADERS, _GOAWAY = 0, 1, 7


class Sender:
    """A Remoting client that does not know GO_AWAY, sends without a pause, and comes back when it is left.

    :ivar acknowledged: bodies by (queue, offset). :ivar left: how often its connection ended.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.acknowledged: dict[tuple[int, int], bytes] = {}
        self.left = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                client = Client(self._port)
            except OSError:
                time.sleep(0.05)
                continue
            try:
                while not self._stop.is_set():
                    body = b"m%d" % number
                    response = client.ask(sending(TOPIC, number % QUEUES, body))
                    assert response.code == 0, response.remark
                    place = int(response.ext_fields["queueId"]), int(response.ext_fields["queueOffset"])
                    assert place not in self.acknowledged, f"{place} was given out twice"
                    self.acknowledged[place] = body
                    number += 1
                    time.sleep(0.005)
            except OSError:
                self.left += 1
            finally:
                client.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)


class Http1:
    """A kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._rest = b""

    def ask(self, target: str) -> tuple[int, dict[str, str], bytes]:
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(self._rest) < int(fields["content-length"]):
            self._more()
        body, self._rest = self._rest, b""
        return int(lines[0].split()[1]), fields, body

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self._rest += data


class Telemetry:
    """A gRPC client's stream over HTTP/2, frame by frame. :ivar frames: (type, flags, payload), until the connection's end."""

    def __init__(self, port: int, client_id: str = "drained") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.frames: list[tuple[int, int, bytes]] = []
        self._rest = b""
        http2.initiate_connection()
        fields = {":method": "POST", ":scheme": "http", ":authority": "localhost", "te": "trailers",
                  ":path": "/apache.rocketmq.v2.MessagingService/Telemetry", "content-type": "application/grpc",
                  "x-mq-client-id": client_id, "x-mq-language": "JAVA"}  # fmt: skip
        http2.send_headers(1, sorted(fields.items()))
        settings = v2.Settings(client_type=v2.PRODUCER, publishing=v2.Publishing(topics=[v2.Resource(name=TOPIC)]))
        data = service.TelemetryCommand(settings=settings).SerializeToString()
        http2.send_data(1, b"\0" + struct.pack(">I", len(data)) + data)
        self.socket.sendall(http2.data_to_send())
        while not self.of(_DATA):
            assert self._read(), "the stream is refused"

    def _read(self) -> bool:
        data = self.socket.recv(65536)
        self._rest += data
        while len(self._rest) >= 9 and len(self._rest) >= 9 + int.from_bytes(self._rest[:3], "big"):
            end = 9 + int.from_bytes(self._rest[:3], "big")
            self.frames.append((self._rest[3], self._rest[4], self._rest[9:end]))
            self._rest = self._rest[end:]
        return bool(data)

    def read_all(self) -> None:
        while self._read():
            pass

    def of(self, kind: int) -> list[bytes]:
        """The payloads of frames of a type."""
        return [payload for found, _, payload in self.frames if found == kind]

    def commands(self) -> list[str | None]:
        """Which commands came."""
        data = b"".join(self.of(_DATA))
        found = []
        while data:
            size = struct.unpack(">I", data[1:5])[0]
            found.append(service.TelemetryCommand.FromString(data[5 : 5 + size]).WhichOneof("command"))
            data = data[5 + size :]
        return found

    def trailers(self) -> dict[str, str]:
        """Of the last HEADERS."""
        decoder = hpack.Decoder()
        return [dict(decoder.decode(payload)) for payload in self.of(_HEADERS)][-1]  # type: ignore[misc]


class WebSocket:
    """A page's connection, unmasked as only a test's may be read."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: rmqgateway.v1.json\r\n\r\n".encode()
        )
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self.socket.recv(65536)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        assert b" 101 " in head, head

    def send(self, frame: dict[str, object]) -> None:
        data = json.dumps(frame).encode()
        assert len(data) < 126
        self.socket.sendall(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)

    def next(self) -> tuple[int, bytes]:
        """Opcode and payload."""
        head = self._take(2)
        size = head[1] & 0x7F
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        return head[0] & 0xF, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError
            self._rest += data
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_each_protocol_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    port = free_port()
    sender = None
    try:
        with running(tmp_path, port, "--set", "listening.notice_s=1.5") as process:
            sender = Sender(port)
            prober, telemetry, page, modern = Http1(port), Telemetry(port), WebSocket(port), Client(port)
            assert prober.ask("/readyz")[0] == 200
            busy = _half_a_request(port)
            Telemetry(port, "killed").socket.close()  # without a word; the gateway thinks that it may come back
            assert modern.ask(sending(TOPIC, 0, b"modern")).code == 0
            while len(sender.acknowledged) < 100:
                time.sleep(0.01)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            status, fields, body = prober.ask("/readyz")
            while status == 200:
                assert time.monotonic() - began < 10
                if fields.get("connection") == "close":  # told to go to another gateway, or to come anew
                    prober = Http1(port)
                status, fields, body = prober.ask("/readyz")
            assert (status, b"shutting down" in body) == (503, True)
            assert fields["connection"] == "close"
            assert not _refused(port) and modern.ask(sending(TOPIC, 0, b"served")).code == 0
            while not _refused(port):
                assert time.monotonic() - began < 10
                time.sleep(0.01)
            frames = [page.next(), page.next()]
            assert json.loads(frames[0][1])["op"] == "goAway"
            assert (frames[1][0], struct.unpack(">H", frames[1][1][:2])[0]) == (8, 1012)
            page.socket.sendall(bytes([0x88, 0x82]) + bytes(4) + frames[1][1][:2])
            _ask_as(modern, 513)
            telemetry.read_all()
            assert telemetry.commands() == ["settings", "reconnect_endpoints_command"]
            # GOAWAY twice (RFC 9113, 6.8): with the greatest stream first, then with the last one served; no error.
            assert [struct.unpack(">II", payload[:8]) for payload in telemetry.of(_GOAWAY)] == [(2**31 - 1, 0), (1, 0)]
            assert telemetry.trailers()["grpc-status"] == "14"
            busy.sendall(b"7890")  # who was in the midst of a request is answered
            answer = busy.recv(65536)
            assert answer.startswith(b"HTTP/1.1 201") and b"connection: close" in answer.lower()
            assert process.wait(timeout=25) == 0
            took = time.monotonic() - began
        assert "Traceback" not in (tmp_path / "log").read_text()
        before = len(sender.acknowledged)
        with running(tmp_path, port) as process:
            while len(sender.acknowledged) < before + 50:
                time.sleep(0.01)
            sender.stop()
            _check(port, sender)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=25) == 0
        assert sender.left == 1
        assert took < 15
    finally:
        if sender is not None:
            sender.stop()


def _ask_as(client: Client, version: int) -> None:
    """A client that knows GO_AWAY is told, with each answer, over the connection that it has."""
    from rmqgateway.wire.remoting import RemotingDecoder, encode_command
    from rmqgateway.wire.remoting_command import RemotingCommand

    code, fields, body = sending(TOPIC, 0, b"refused")
    client.socket.sendall(
        encode_command(RemotingCommand(code=code, opaque=77, version=version, ext_fields=fields, body=body))
    )
    (answer,) = RemotingDecoder().receive_data(client.socket.recv(65536))
    assert isinstance(answer, RemotingCommand) and (answer.code, answer.opaque) == (1500, 77)


def _half_a_request(port: int) -> socket.socket:
    """A send whose body is not whole."""
    busy = socket.create_connection(("127.0.0.1", port), timeout=20)
    busy.sendall(f"POST /v1/topics/{TOPIC}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n123456".encode())
    time.sleep(0.3)
    return busy


def _check(port: int, sender: Sender) -> None:
    """Everything acknowledged is where it was said to be."""
    client = Client(port)
    try:
        for queue in range(QUEUES):
            wanted = {at: body for (where, at), body in sender.acknowledged.items() if where == queue}
            at = min(wanted)
            while wanted:
                pulled = client.ask(pulling("checkers", TOPIC, queue, at))
                assert pulled.code == 0, f"queue {queue}: lost from {at} on: {pulled.remark}"
                for message in iterate(pulled.body):
                    assert wanted.pop(message.queue_offset, message.body) == message.body
                    at = message.queue_offset + 1
    finally:
        client.close()


def test_the_time_to_drain_is_a_setting(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port, "--set", "listening.drain_s=1.5") as process:
        busy = _half_a_request(port)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert 1.4 < time.monotonic() - began < 15
        busy.close()
    assert "1 clients have not finished in 1.5 s" in (tmp_path / "log").read_text()


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as process:
        busy = _half_a_request(port)
        process.send_signal(signal.SIGTERM)
        while not _refused(port):
            time.sleep(0.01)
        try:
            process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == -signal.SIGTERM
        busy.close()
