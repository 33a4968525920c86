"""``twistd rmqgateway`` as a process: what it says, how it begins, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.smoke.process import TWISTD, command, environment, free_port, hello, refused, running, wait_for


def test_it_says_in_ten_lines_what_there_is_and_ends_with_status_0(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as process:
        said = (tmp_path / "log").read_text()
        assert len(said.splitlines()) <= 10
        for part in (f"127.0.0.1:{port}", str(tmp_path / "data"), f"rmqgateway.hello 127.0.0.1:{port}"):
            assert part in said
        assert "fetched it again" in hello(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_three_default_listeners_are_announced_in_ten_lines_too(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(2)]
    flags = [flag for name, port in zip(("b", "c"), ports, strict=True)
             for flag in ("--listen", f"{name}=tcp:{port}:interface=127.0.0.1")]  # fmt: skip
    with running(tmp_path, free_port(), *flags):
        assert len((tmp_path / "log").read_text().splitlines()) <= 10


def test_it_keeps_what_it_was_given_over_a_restart(tmp_path: Path) -> None:
    offsets = []
    for _ in range(2):
        port = free_port()
        with running(tmp_path, port) as process:
            offsets.append(hello(port).split("offset ")[1].split(":")[0])
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
    assert offsets == ["0", "1"]


def test_a_second_signal_ends_a_drain_at_once(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as process, socket.create_connection(("127.0.0.1", port)) as client:
        # A client that has said something and does not go: the drain would wait for it.
        header = b'{"code":34,"flag":0,"language":"JAVA","opaque":1,"version":1}'
        client.sendall((len(header) + 4).to_bytes(4, "big") + len(header).to_bytes(4, "big") + header)
        client.recv(10)
        client.setblocking(False)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == -signal.SIGTERM
        else:
            assert process.returncode == 0, "the client was idle, so that it was let go at once"


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(tmp_path, port)
    assert f"port {port} of 127.0.0.1 is in use" in said and "--listen remoting=" in said


def test_a_second_gateway_on_the_same_data_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port):
        assert "in use by another process" in refused(tmp_path, free_port())
        assert "fetched it again" in hello(port)


def test_a_foreign_data_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("years of work")
    assert "holds other files (thesis.tex)" in refused(tmp_path, free_port())
    assert os.listdir(tmp_path / "data") == ["thesis.tex"]


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert "the data directory" in refused(tmp_path, free_port())


def test_every_address_is_refused_while_no_user_exists(tmp_path: Path) -> None:
    said = refused(tmp_path, free_port(), "--listen", f"all=tcp:{free_port()}")
    assert "listening.remote_without_users=true" in said


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--set", "local.flsh=sync"], "did you mean 'flush'?"),
        (["--lisen", "x"], "did you mean 'listen'?"),
        (["start"], "expected only options"),
        (["--backend", "cluster"], "the backend cluster needs its name servers: --namesrv"),
        (["--listen", "x=tpc:1"], "did you mean 'tcp'?"),
    ],
)
def test_wrong_flags_are_said_in_one_line(tmp_path: Path, flags: list[str], text: str) -> None:
    assert text in refused(tmp_path, free_port(), *flags)


def test_as_a_daemon_it_writes_its_pid_and_its_log_and_ends_cleanly(tmp_path: Path) -> None:
    port = free_port()
    files = ("--pidfile", str(tmp_path / "pid"), "--logfile", str(tmp_path / "log"))
    started = subprocess.run(
        command(tmp_path, port, twistd=files), cwd=tmp_path, env=environment(), timeout=30
    )
    assert started.returncode == 0
    pid = int((tmp_path / "pid").read_text())
    try:
        assert "fetched it again" in hello(port)
        assert re.search(r"serves [a-z, ]*remoting", (tmp_path / "log").read_text())
    finally:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not (tmp_path / "pid").exists()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_daemon_that_cannot_start_says_so_with_status_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        files = ("--pidfile", str(tmp_path / "pid"), "--logfile", str(tmp_path / "log"))
        done = subprocess.run(
            command(tmp_path, taken.getsockname()[1], twistd=files),
            cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert done.returncode == 1
    assert "StartFailed" in done.stderr
    assert "is in use" in (tmp_path / "log").read_text()
    assert not (tmp_path / "pid").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_with_uid_the_data_are_that_user_s(tmp_path: Path) -> None:
    for folder in [tmp_path, *tmp_path.parents]:
        if (
            folder.stat().st_uid == 0
            and not folder.stat().st_mode & 0o001
            and str(folder).startswith("/tmp/")
        ):
            folder.chmod(0o711)  # pytest's folders are closed to others
    port = free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(tmp_path, port, twistd=("-n", "--pidfile=", "--uid", "65534")),
            cwd=tmp_path, env=environment(), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_for(lambda: "serves" in log.read_text(), log, process)
        assert "fetched it again" in hello(port), log.read_text()
        owners = {path.stat().st_uid for path in (tmp_path / "data").rglob("*")}
        assert owners == {65534} and (tmp_path / "data").stat().st_uid == 65534
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_twistd_without_us_prints_no_traceback(tmp_path: Path) -> None:
    """A drop-in that fails to import would print one on every twistd run on that machine."""
    done = subprocess.run(
        [TWISTD, "--help"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0 and "rmqgateway" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("flag", ["--help-front-ends", "--print-config"])
def test_who_has_read_enough_may_go(tmp_path: Path, flag: str) -> None:
    listing = subprocess.Popen(
        [TWISTD, "rmqgateway", flag], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None and listing.stderr is not None
    listing.stdout.close()
    said = listing.stderr.read()
    listing.stderr.close()
    assert listing.wait(timeout=20) == 0 and said == b""
