"""gRPC-web's published interop cases, 11 of the text mode and 9 of the binary one, by its own client under Node."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.conformance.serving import program
from tests.interop.toolchain import node_modules

_SOURCE = pathlib.Path(__file__).with_name("grpcweb_interop")
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
    """Where the client is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("gRPC-web's client needs node and npm")
    return node_modules(_SOURCE)


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
