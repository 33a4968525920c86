"""The process with users: they are read at start, they let listeners on every address begin, their secrets show nowhere."""

from __future__ import annotations

import base64
import socket
import subprocess
from pathlib import Path

from tests.smoke.process import command, environment, free_port, refused, running

SECRET = "s3cret-that-shows-nowhere"


def users(folder: Path, text: str = f'[users.root]\nsecret = "{SECRET}"\ntype = "Super"\n') -> tuple[str, str]:
    path = folder / "users.toml"
    path.write_text(text)
    path.chmod(0o600)
    return "--set", f"users.file={path}"


def status(port: int, secret: str = "") -> bytes:
    head = b"POST /v1/tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n"
    if secret:
        head += b"Authorization: Basic " + base64.b64encode(f"root:{secret}".encode()) + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as http:
        http.sendall(head + b"\r\n")
        return http.recv(4096).split(b" ")[1]


def test_with_users_every_address_is_listened_on(tmp_path: Path) -> None:
    everywhere = free_port()
    with running(tmp_path, free_port(), *users(tmp_path), "--listen", f"all=tcp:{everywhere}"):
        assert status(everywhere, SECRET) == b"201"
        assert status(everywhere, "guess") == b"401"
        assert status(everywhere) == b"401"
    said = (tmp_path / "log").read_text()
    assert "users exist" in said and "rmqgateway.hello" not in said, "which signs nothing"
    assert SECRET not in said


def test_a_super_user_by_the_environment(tmp_path: Path) -> None:
    given = {"RMQGATEWAY_USERS__SUPER_USER": "root", "RMQGATEWAY_USERS__SUPER_SECRET": SECRET}
    done = subprocess.run(
        [*command(tmp_path, free_port()), "--print-config"],
        cwd=tmp_path,
        env={**environment(), **given},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert 'super_user = "root"' in done.stdout and "RMQGATEWAY_USERS__SUPER_SECRET" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_what_is_wrong_with_users_is_said_in_one_line_without_a_secret(tmp_path: Path) -> None:
    said = refused(tmp_path, free_port(), *users(tmp_path, f'[users.root]\nsecret = "{SECRET}"\ntype = "Root"\n'))
    assert "users.root" in said and SECRET not in said
    said = refused(tmp_path, free_port(), "--set", "users.super_user=root")
    assert "super_secret" in said
