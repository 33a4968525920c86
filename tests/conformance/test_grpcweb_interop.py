"""gRPC-web's published interop cases, 11 of the text mode and 9 of the binary one, by its own client under Node."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.conformance.serving import program

_SOURCE = pathlib.Path(__file__).with_name("grpcweb_interop")
_BUILD = pathlib.Path(__file__).parents[2] / ".build" / "conformance"
_UNARY = (
    "empty_unary",
    "large_unary",
    "client_compressed_unary",
    "server_compressed_unary",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
)
_CASES = {"text": (*_UNARY, "server_streaming", "server_compressed_streaming"), "binary": _UNARY}


def _modules() -> pathlib.Path:
    """Where the client is installed, once for its version."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("gRPC-web's client needs node and npm")
    package = (_SOURCE / "package.json").read_bytes()
    target = _BUILD / f"grpcweb-{hashlib.sha256(package).hexdigest()[:16]}"
    target.mkdir(parents=True, exist_ok=True)
    stamp = target / "built"
    with (target / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not stamp.exists():
            (target / "package.json").write_bytes(package)
            subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=target,
                capture_output=True,
                timeout=240,
                check=True,
            )
            stamp.touch()
    return target / "node_modules"


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, str | None]]:
    """What became of each case, by mode."""
    modules = _modules()
    found: dict[str, dict[str, str | None]] = {}
    with program("interop_server.py") as port:
        for mode in _CASES:
            done = subprocess.run(
                ["node", str(_SOURCE / "cases.js"), str(port), mode],
                env={**os.environ, "NODE_PATH": str(modules)},
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            found[mode] = {line["name"]: line["error"] for line in lines}
    return found


@pytest.mark.parametrize(("mode", "case"), [(mode, case) for mode, cases in _CASES.items() for case in cases])
def test_interop_case(mode: str, case: str, results: dict[str, dict[str, str | None]]) -> None:
    assert case in results[mode]
    assert results[mode][case] is None, results[mode][case]
