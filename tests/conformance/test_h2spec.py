"""h2spec, the conformance suite for HTTP/2 servers, against our engine: generic, http2 and hpack, all of it.

The suite is a Go program, built once from its module and kept in the user's cache folder.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

_MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
_ROOT = pathlib.Path(__file__).parents[2]
_LEAST = 145


def _h2spec() -> pathlib.Path:
    found = os.environ.get("H2SPEC") or shutil.which("h2spec")
    if found:
        return pathlib.Path(found)
    folder = (
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "rmqgateway-tests"
    )
    program = folder / "h2spec"
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            pytest.skip("h2spec needs go to be built")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [go, "install", _MODULE],
            env={**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"},
            cwd=folder,
            check=True,
            timeout=300,
        )
    return program


def test_h2spec_has_nothing_to_object_to(tmp_path: pathlib.Path) -> None:
    program = _h2spec()
    report = tmp_path / "report.xml"
    path = os.pathsep.join(str(_ROOT / name) for name in (".", "protocols", "tap"))
    with subprocess.Popen(
        [sys.executable, str(pathlib.Path(__file__).with_name("h2spec_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().decode().strip()
            finished = subprocess.run(
                [str(program), "-p", port, "-S", "-o", "5", "-j", str(report), "generic", "http2", "hpack"],
                capture_output=True,
                timeout=300,
                check=False,
            )
        finally:
            assert server.stdin is not None
            server.stdin.close()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
    text = finished.stdout.decode()
    cases = ElementTree.parse(report).getroot().iter("testcase")
    results = [(case.get("package"), case.get("classname"), [child.tag for child in case]) for case in cases]
    bad = [case for case in results if "failure" in case[2] or "error" in case[2]]
    passed = [case for case in results if not case[2]]
    assert finished.returncode == 0, text
    assert not bad, text
    assert len(passed) >= _LEAST, text
