"""kill -9 of the whole gateway under load: what a client was told is there after the next start, and nothing was repaired.

A real ``twistd rmqgateway`` and real sockets; the client is this project's own codec. (180 more of a bare store are in
test_kill, power failures in test_power_failure.)
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from rmqgateway.wire.remoting_command import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode
from rmqgateway.wire.stored_message import iterate
from tests.client import Client, Request, committing, pulling, sending

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("RMQGATEWAY_TEST_GATEWAY_KILL_ROUNDS", "20"))
TOPIC, GROUP, QUEUES = "killed", "killed_group", 4
#: How many requests wait for their answer while the process is killed.
IN_FLIGHT = 64


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A gateway on the data of the one before; it may not listen yet."""
    command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "rmqgateway"]
    command += ["--data-dir", str(folder / "data"), "--listen", f"remoting=tcp:{port}:interface=127.0.0.1"]
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "protocols", "tap"))
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=log, stderr=subprocess.STDOUT
        )


def connect(port: int, folder: Path, process: subprocess.Popen[bytes]) -> Client:
    """A client as soon as the gateway listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return Client(port)
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.01)


class Truth:
    """What was acknowledged over all rounds. :ivar messages: body of (queue, offset). :ivar offsets: of each queue."""

    def __init__(self) -> None:
        self.messages: dict[tuple[int, int], bytes] = {}
        self.offsets: dict[int, int] = {}
        self.lowest_unchecked = dict.fromkeys(range(QUEUES), 0)

    def note(self, request: RemotingCommand, response: RemotingCommand) -> None:
        assert response.code == 0, response.remark
        if request.code == RequestCode.UPDATE_CONSUMER_OFFSET:
            queue = int(request.ext_fields["queueId"])
            self.offsets[queue] = max(self.offsets.get(queue, 0), int(request.ext_fields["commitOffset"]))
            return
        place = int(response.ext_fields["queueId"]), int(response.ext_fields["queueOffset"])
        assert place not in self.messages, f"{place} was given out twice"
        self.messages[place] = request.body

    def wrong(self, client: Client, queue: int, begin: int) -> list[str]:
        """What is not as it was acknowledged in one queue from an offset on."""
        wrong = []
        fields = {"consumerGroup": GROUP, "topic": TOPIC, "queueId": str(queue)}
        if queue in self.offsets:
            kept = client.ask((RequestCode.QUERY_CONSUMER_OFFSET, fields, b""))
            if kept.code != 0 or int(kept.ext_fields["offset"]) < self.offsets[queue]:
                wrong.append(f"queue {queue}: committed {self.offsets[queue]}, kept {kept.ext_fields} {kept.remark}")
        expected = {at for number, at in self.messages if number == queue and at >= begin}
        at = begin
        while expected:
            pulled = client.ask(pulling(GROUP, TOPIC, queue, at))
            if pulled.code != 0:
                return [*wrong, f"queue {queue}: lost from {at} on: {pulled.remark} ({len(expected)} messages)"]
            for message in iterate(pulled.body):
                if message.queue_offset != at:
                    wrong.append(f"queue {queue}: {message.queue_offset} instead of {at}")
                if self.messages.get((queue, message.queue_offset), message.body) != message.body:
                    wrong.append(f"queue {queue}: another body at {message.queue_offset}")
                expected.discard(message.queue_offset)
                at = message.queue_offset + 1
        return wrong

    def check(self, client: Client, everything: bool) -> list[str]:
        wrong = []
        for queue in range(QUEUES):
            wrong += self.wrong(client, queue, 0 if everything else self.lowest_unchecked[queue])
            self.lowest_unchecked[queue] = max((at + 1 for number, at in self.messages if number == queue), default=0)
        return wrong


def load(client: Client, truth: Truth, round_number: int, seconds: float, process: subprocess.Popen[bytes]) -> None:
    """Keep the gateway busy, kill it in the midst of it, and read what it had answered until then."""
    chance = random.Random(round_number)
    number = 0
    highest: dict[int, int] = {}
    killing = time.monotonic() + seconds
    killed = False
    try:
        while True:
            batch: list[Request] = []
            while not killed and len(client.waiting) + len(batch) < IN_FLIGHT:
                queue = chance.randrange(QUEUES)
                number += 1
                if chance.random() < 0.1 and queue in highest:
                    batch.append(committing(GROUP, TOPIC, queue, highest[queue] + 1))
                else:
                    body = b"%d/%d " % (round_number, number) * chance.choice([1, 10, 100, 1000])
                    batch.append(sending(TOPIC, queue, body))
            client.write(*batch)
            for request, response in client.answers():
                truth.note(request, response)
                if request.code == RequestCode.SEND_MESSAGE_V2:
                    queue, at = int(response.ext_fields["queueId"]), int(response.ext_fields["queueOffset"])
                    highest[queue] = max(highest.get(queue, 0), at)
            if not killed and time.monotonic() > killing:
                os.kill(process.pid, signal.SIGKILL)
                killed = True
    except OSError:
        pass
    assert process.wait(timeout=10) == -signal.SIGKILL, "it ended by itself"


def test_kill_9_of_the_gateway_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    truth, chance = Truth(), random.Random(5)
    for number in range(ROUNDS + 1):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        process = start(tmp_path, port)
        client = None
        try:
            client = connect(port, tmp_path, process)
            assert truth.check(client, everything=number == ROUNDS) == [], f"after kill {number}"
            if number < ROUNDS:
                before = len(truth.messages)
                load(client, truth, number, chance.uniform(0.02, 0.5), process)
                assert len(truth.messages) > before, "nothing was acknowledged: this round proves nothing"
        finally:
            if client is not None:
                client.close()
            if process.poll() is None:
                process.kill()
            process.wait()
    assert len(truth.messages) > 100 * ROUNDS and len(truth.offsets) == QUEUES
    kept = [path.name for path in (tmp_path / "data").rglob("damaged/*") if path.suffix != ".tail"]
    assert kept == [], "only a write that was under way may need to be cut"
    assert "Traceback" not in (tmp_path / "log").read_text()
