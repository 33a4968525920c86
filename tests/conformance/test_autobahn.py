"""Autobahn's fuzzing client against our WebSocket: every case strict, compression included.

The suite runs under Python 2.7 (``autobahntestsuite`` of PyPI); WSTEST may name a ``wstest`` that is installed already. The
default is the quick groups and a part of the others; ``-m slow`` runs all 517 cases, which takes a quarter of an hour.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.conformance.serving import program

_PACKAGE = "autobahntestsuite==25.10.1"
_START = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _wstest() -> list[str]:
    found = os.environ.get("WSTEST") or shutil.which("wstest")
    if found:
        return [found]
    candidates = [os.environ.get("PYTHON27"), shutil.which("python2.7")]
    candidates += [str(path) for path in pathlib.Path.home().glob(".pyenv/versions/2.7*/bin/python2.7")]
    python = next((path for path in candidates if path and _runs(path)), None)
    if python is None:
        pytest.skip("the Autobahn Testsuite needs Python 2.7 (PYTHON27) or an installed wstest (WSTEST)")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "rmqgateway-tests" / "autobahntestsuite"
    if not (folder / "autobahntestsuite").exists():
        command = [python, "-m", "pip", "install", "-q", "--target", str(folder), _PACKAGE]
        if subprocess.run(command, check=False, timeout=600).returncode:
            pytest.skip(f"{_PACKAGE} cannot be installed for {python}")
    return [python, "-c", _START, str(folder)]


def _run(folder: pathlib.Path, cases: list[str], excluded: list[str], seconds: float) -> dict[str, dict[str, str]]:
    command = _wstest()
    with program("h2spec_server.py") as port:
        specification = {
            "outdir": str(folder / "reports"),
            "servers": [{"agent": "rmqgateway", "url": f"ws://127.0.0.1:{port}"}],
            "cases": cases,
            "exclude-cases": excluded,
            "exclude-agent-cases": {},
        }
        (folder / "specification.json").write_text(json.dumps(specification))
        subprocess.run(
            [*command, "-m", "fuzzingclient", "-s", str(folder / "specification.json")],
            cwd=folder,
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    report: dict[str, dict[str, dict[str, str]]] = json.loads((folder / "reports" / "index.json").read_text())
    return report["rmqgateway"]


def _judge(results: dict[str, dict[str, str]], least: int) -> None:
    fine = ("OK", "INFORMATIONAL")
    bad = {
        case: (result["behavior"], result["behaviorClose"])
        for case, result in results.items()
        if result["behavior"] not in fine or result["behaviorClose"] not in fine
    }
    assert not bad
    assert len(results) >= least


def test_the_quick_groups_of_the_autobahn_testsuite(tmp_path: pathlib.Path) -> None:
    _judge(_run(tmp_path, ["*"], ["9.*", "12.*", "13.*"], 300.0), 247)


def test_compression_and_some_of_the_large_messages(tmp_path: pathlib.Path) -> None:
    # A thousand messages each, about two seconds: of every kind of messages (12) and of negotiated windows (13) one size.
    cases = [*(f"12.{kind}.1" for kind in range(1, 6)), *(f"13.{window}.1" for window in range(1, 8)), "12.1.10", "9.1.1"]
    _judge(_run(tmp_path, cases, [], 400.0), len(cases))


@pytest.mark.slow
def test_all_of_the_autobahn_testsuite(tmp_path: pathlib.Path) -> None:
    _judge(_run(tmp_path, ["*"], [], 3600.0), 517)
