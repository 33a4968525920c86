"""h2spec, the conformance suite for HTTP/2 servers, against our engine: generic, http2 and hpack, all of it.

The suite is a Go program, built once from its module and kept in the user's cache folder.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from tests.conformance.serving import program

_MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
_LEAST = 145


def _h2spec() -> pathlib.Path:
    found = os.environ.get("H2SPEC") or shutil.which("h2spec")
    if found:
        return pathlib.Path(found)
    folder = (
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "rmqgateway-tests"
    )
    built = folder / "h2spec"
    if not built.exists():
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
    return built


def test_h2spec_has_nothing_to_object_to(tmp_path: pathlib.Path) -> None:
    h2spec = _h2spec()
    report = tmp_path / "report.xml"
    with program("h2spec_server.py") as port:
        finished = subprocess.run(
            [str(h2spec), "-p", str(port), "-S", "-o", "5", "-j", str(report), "generic", "http2", "hpack"],
            capture_output=True,
            timeout=300,
            check=False,
        )
    text = finished.stdout.decode()
    cases = ElementTree.parse(report).getroot().iter("testcase")
    results = [(case.get("package"), case.get("classname"), [child.tag for child in case]) for case in cases]
    bad = [case for case in results if "failure" in case[2] or "error" in case[2]]
    passed = [case for case in results if not case[2]]
    assert finished.returncode == 0, text
    assert not bad, text
    assert len(passed) >= _LEAST, text
