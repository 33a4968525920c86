"""What strangers, broken clients and broken disks give a running gateway: each gets a clear answer, everybody else is served."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqgateway.wire.remoting_command import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway.wire.stored_message import iterate
from tests.client import Client, committing, pulling, sending
from tests.smoke.process import TWISTD, command, environment, free_port, refused, running

TOPIC = "known"


def creating(topic: str) -> tuple[int, dict[str, str], bytes]:
    fields = {"topic": topic, "readQueueNums": "4", "writeQueueNums": "4", "perm": "6", "defaultTopic": "TBW102"}
    return RequestCode.UPDATE_AND_CREATE_TOPIC, {**fields, "topicFilterType": "SINGLE_TAG"}, b""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A strict gateway with one topic."""
    folder, port = tmp_path_factory.mktemp("strict"), free_port()
    flags = ("--set", "local.auto_create_topics=false", "--set", "front_ends.remoting.stalled_seconds=1")
    with running(folder, port, *flags) as process:
        client = Client(port)
        assert client.ask(creating(TOPIC)).code == 0
        client.close()
        yield port
        assert process.poll() is None
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    client = Client(port)
    yield client
    assert client.ask(sending(TOPIC, 0, b"still served")).code == 0, "the connection must live on"
    client.close()


def head(length: int, header: int, rest: bytes = b"") -> bytes:
    return struct.pack(">II", length, header) + rest


HEADER = b'{"code":34,"flag":0,"opaque":1}'
NO_FRAMES = {
    "random": random.Random(1).randbytes(5000),
    "zeros": bytes(100),
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS that is none": b"\x16\x03\x01\xff\xff" + b"\xff" * 70000,
    "HTTP without end": b"GET /" + b"a" * 200_000,
    "HTTP/2 and then rubbish": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    "a frame of 2 GiB": head(0x7FFFFFFF, 100, HEADER),
    "a negative length": head(0xFFFFFFFF, 100, HEADER),
    "a header longer than its frame": head(len(HEADER) + 4, 5000, HEADER + bytes(6000)),
    "an unknown serialization": head(len(HEADER) + 4, 0x09000000 | len(HEADER), HEADER),
    "a good frame, then a lie": head(len(HEADER) + 4, len(HEADER), HEADER) + head(1, 0, bytes(100)),
}


@pytest.mark.parametrize("name", NO_FRAMES)
def test_what_is_no_protocol_ends_its_connection_alone(port: int, client: Client, name: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=15) as stranger:
        try:
            stranger.sendall(NO_FRAMES[name])
            while stranger.recv(65536):
                pass
        except ConnectionError:
            pass  # reset, with what we had still to say unread: closed all the same


def test_a_truncated_frame_is_waited_for_and_forgotten_with_its_connection(port: int, client: Client) -> None:
    frame = head(len(HEADER) + 4, len(HEADER), HEADER)
    for size in (1, 5, 8, len(frame) - 1):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.sendall(frame[:size])
            stranger.settimeout(0.05)
            with pytest.raises(TimeoutError):
                stranger.recv(1)


@pytest.mark.parametrize("name", ["a b", "a/../../etc", "x" * 128, "中文", "a.b", "a\nb", ""])
def test_names_outside_the_rules(client: Client, name: str) -> None:
    for request in (sending(name, 0, b"x"), creating(name), committing(name, TOPIC, 0, 1)):
        answer = client.ask(request)
        assert answer.code not in (0, ResponseCode.SYSTEM_ERROR), answer
        assert answer.remark


def test_an_unknown_topic_with_auto_create_off(client: Client) -> None:
    answer = client.ask(sending("unheard_of", 0, b"x"))
    assert answer.code == ResponseCode.TOPIC_NOT_EXIST
    assert answer.remark and "unheard_of" in answer.remark


def test_a_body_over_the_limit(client: Client) -> None:
    assert client.ask(sending(TOPIC, 0, bytes(4 << 20))).code == 0
    answer = client.ask(sending(TOPIC, 0, bytes((4 << 20) + 1)))
    assert answer.code == ResponseCode.MESSAGE_ILLEGAL
    assert answer.remark and str(4 << 20) in answer.remark


def test_a_client_that_stops_reading_is_cut_off_and_others_are_served(port: int, client: Client) -> None:
    for _ in range(8):
        assert client.ask(sending(TOPIC, 1, bytes(1 << 20))).code == 0
    lazy = Client(port)
    lazy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.socket.settimeout(0.2)
    began = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT012
        while time.monotonic() < began + 30:
            try:
                lazy.write(*[pulling("lazy", TOPIC, 1, number % 8, 1) for number in range(100)])
            except TimeoutError:
                answered = time.monotonic()
                assert client.ask(sending(TOPIC, 2, b"meanwhile")).code == 0
                assert time.monotonic() - answered < 2
    assert time.monotonic() - began < 30, "it must have been cut off"
    lazy.close()


def bodies(client: Client, queue: int) -> dict[int, bytes]:
    """Everything that can be had of a queue of `TOPIC`, by its offset."""
    found: dict[int, bytes] = {}
    at = 0
    while True:
        answer = client.ask(pulling("reader", TOPIC, queue, at))
        for message in iterate(answer.body):
            found[message.queue_offset] = message.body
        following = int(answer.ext_fields["nextBeginOffset"])
        if following <= at:
            return found
        at = following


def test_a_full_disk_refuses_sends_and_goes_on_serving(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as process:
        client = Client(port)
        for number in range(10):
            assert client.ask(sending(TOPIC, 0, b"%d" % number)).code == 0
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    with running(tmp_path, port, "--set", "store.disk_limit=0.000001") as process:
        client = Client(port)
        answer = client.ask(sending(TOPIC, 0, b"too much"))
        assert answer.code == ResponseCode.SERVICE_NOT_AVAILABLE
        assert answer.remark and "disk" in answer.remark, answer.remark
        assert bodies(client, 0) == {number: b"%d" % number for number in range(10)}
        assert client.ask(committing("reader", TOPIC, 0, 7)).code == 0
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    with running(tmp_path, port):
        client = Client(port)
        assert client.ask(sending(TOPIC, 0, b"room again")).code == 0
        assert bodies(client, 0)[10] == b"room again"
        fields = {"consumerGroup": "reader", "topic": TOPIC, "queueId": "0"}
        assert client.ask((RequestCode.QUERY_CONSUMER_OFFSET, fields, b"")).ext_fields["offset"] == "7"
        client.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    (tmp_path / "small").mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(tmp_path / "small")]
    if shutil.which("mount") is None or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield tmp_path / "small"
    subprocess.run(["umount", "--lazy", str(tmp_path / "small")], check=True)


def sent_until_refused(client: Client, sent: list[bytes]) -> RemotingCommand:
    """Send to one queue until the gateway takes no more; what was acknowledged is added to `sent`."""
    for _ in range(1000):
        body = b"%d " % len(sent) + random.Random(len(sent)).randbytes(50_000)
        answer = client.ask(sending(TOPIC, 0, body))
        if answer.code:
            return answer
        sent.append(body)
    raise AssertionError("more was taken than there is room for")


def fill(path: Path) -> None:
    """Take every page that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_a_file_system_without_a_byte_left(small: Path) -> None:
    """The disk says so itself, at the next segment; then not even an index or a snapshot can be written, nor is there room
    at a start after a crash."""
    port, sent = free_port(), list[bytes]()
    flags = ("--set", "store.segment_bytes=4194304", "--set", "store.disk_limit=1.0")

    def everything(client: Client) -> None:
        assert bodies(client, 0) == dict(enumerate(sent))
        fields = {"consumerGroup": "reader", "topic": TOPIC, "queueId": "0"}
        assert client.ask((RequestCode.QUERY_CONSUMER_OFFSET, fields, b"")).ext_fields["offset"] == "7"

    def refuses(client: Client) -> None:
        answer = sent_until_refused(client, sent)
        assert answer.code == ResponseCode.SERVICE_NOT_AVAILABLE
        assert answer.remark and ("no room" in answer.remark or "disk" in answer.remark), answer.remark

    with running(small, port, *flags) as process:
        client = Client(port)
        assert client.ask(sending(TOPIC, 0, b"first")).code == 0
        sent.append(b"first")
        assert client.ask(committing("reader", TOPIC, 0, 7)).code == 0
        refuses(client)
        assert len(sent) > 200
        fill(small / "filler")
        refuses(client)
        everything(client)
        process.kill()
    (small / "log").unlink()
    with running(small, port, *flags) as process:
        client = Client(port)
        everything(client)
        refuses(client)
        taken = len(sent)
        (small / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=80m", str(small)], check=True)
        deadline = time.monotonic() + 20
        while client.ask(sending(TOPIC, 0, b"room again")).code:
            assert time.monotonic() < deadline, "there is room, but messages are refused"
            time.sleep(0.1)
        sent.append(b"room again")
        assert len(sent) == taken + 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    with running(small, port, *flags):
        client = Client(port)
        everything(client)
        client.close()


def test_an_unwritable_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    if os.getuid():
        (tmp_path / "data").chmod(0o500)
        said = refused(tmp_path, free_port())
    else:
        for folder in [tmp_path, *tmp_path.parents][:4]:
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                folder.chmod(0o711)  # pytest's folders are closed to others
        (tmp_path / "data").chmod(0o755)
        arguments = command(tmp_path, free_port(), twistd=("-n", "--pidfile=", "--uid", "65534"))
        assert arguments[0] == TWISTD
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr
        said = done.stderr
    assert str(tmp_path / "data") in said and ("writ" in said or "ermission" in said), said
    assert list((tmp_path / "data").iterdir()) == []


def test_a_flipped_bit_in_any_file_costs_at_most_what_it_hit(tmp_path: Path) -> None:
    """The whole gateway, after a crash and after a clean end; the store alone is looked at much closer in its unit tests."""
    port, sent = free_port(), {queue: {n: b"%d/%d" % (queue, n) * 9 for n in range(30)} for queue in range(2)}
    with running(tmp_path, port) as process:
        client = Client(port)
        for queue, wanted in sent.items():
            for body in wanted.values():
                assert client.ask(sending(TOPIC, queue, body)).code == 0
        assert client.ask(committing("kept", TOPIC, 0, 20)).code == 0
        client.close()
        shutil.copytree(tmp_path / "data", tmp_path / "crashed", ignore=shutil.ignore_patterns("lock"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    shutil.copytree(tmp_path / "data", tmp_path / "closed", ignore=shutil.ignore_patterns("lock"))
    tried = 0
    for state in ("crashed", "closed"):
        for file in sorted((tmp_path / state / "store").rglob("*")):
            content = file.read_bytes().rstrip(b"\0") if file.is_file() else b""
            if not content:
                continue
            damaged = bytearray(file.read_bytes())
            damaged[len(content) // 2] ^= 4
            folder = tmp_path / f"{state}-{file.name}"
            shutil.copytree(tmp_path / state, folder / "data")
            (folder / "data" / file.relative_to(tmp_path / state)).write_bytes(damaged)
            with running(folder, port):
                client = Client(port)
                lost = 0
                for queue, wanted in sent.items():
                    there = bodies(client, queue)
                    assert {at: wanted[at] for at in there} == there, "nothing may be there but what was sent"
                    lost += len(wanted) - len(there)
                fields = {"consumerGroup": "kept", "topic": TOPIC, "queueId": "0"}
                kept: RemotingCommand = client.ask((RequestCode.QUERY_CONSUMER_OFFSET, fields, b""))
                lost += kept.ext_fields.get("offset") != "20"
                assert lost <= 1, (file.name, lost)
                assert client.ask(sending(TOPIC, 3, b"goes on")).code == 0
                client.close()
            said = (folder / "log").read_text()
            assert "Traceback" not in said
            assert lost == 0 or "damaged" in said, said
            tried += 1
    assert tried >= 6
