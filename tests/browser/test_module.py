"""The browser's module: its size, its logic under node, its types as tsc sees them."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "protocols" / "rmqgateway_websocket" / "client"
_TSC_FLAGS = (
    "--checkJs", "--allowJs", "--strict", "--target", "es2022", "--module", "es2022", "--lib", "es2023,dom,dom.iterable",
)  # fmt: skip


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_module_has_at_most_8_kib_compressed() -> None:
    assert len(gzip.compress((CLIENT / "rmqgateway.js").read_bytes(), 9)) <= 8192


def test_its_logic_under_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    run(node, "--test", "tests/browser/module.test.mjs")


def test_its_types_are_right_and_those_that_are_shipped(tmp_path: Path) -> None:
    tsc = os.environ.get("RMQGATEWAY_TEST_TSC") or shutil.which("tsc")
    if tsc is None:
        pytest.skip("tsc of TypeScript is not installed (npm install -g typescript, or RMQGATEWAY_TEST_TSC)")
    module = str(CLIENT / "rmqgateway.js")
    run(tsc, *_TSC_FLAGS, "--noEmit", module)
    run(tsc, *_TSC_FLAGS, "--declaration", "--emitDeclarationOnly", "--stripInternal", "--outDir", str(tmp_path), module)
    assert (tmp_path / "rmqgateway.d.ts").read_text() == (CLIENT / "rmqgateway.d.ts").read_text()
