"""Other versions of Python that this machine has: everything imports, and one message goes through."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join(str(ROOT / part) for part in (".", "protocols", "tap"))
VERSIONS = [version for version in ("3.12", "3.13", "3.14") if not sys.version.startswith(version)]

IMPORT_ALL = """
import importlib, pathlib, sys, warnings
warnings.simplefilter("error", SyntaxWarning)
count = 0
for base in sys.argv[1].split(":"):
    for file in sorted(pathlib.Path(base).glob("rmqgateway*/**/*.py")):
        name = ".".join(file.relative_to(base).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
        count += 1
print(count)
"""


def interpreter(version: str) -> str | None:
    """From the path, or from pyenv's folder."""
    candidates = [shutil.which(f"python{version}")]
    versions = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    candidates += [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python{version}"))]
    for candidate in candidates:
        if (
            candidate
            and subprocess.run(
                [candidate, "-c", "import venv, ensurepip, sqlite3"], capture_output=True
            ).returncode
            == 0
        ):
            return candidate
    return None


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    """A virtual environment of that version with the dependencies; made once for each content of setup.cfg."""
    found = interpreter(request.param)
    if found is None:
        pytest.skip(f"this machine has no python{request.param}")
    wanted = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "requirements.py"), "run"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    folder = ROOT / ".build" / "smoke" / request.param
    made_of = hashlib.sha256((found + wanted).encode()).hexdigest()
    stamp = folder / "made-of"
    if not stamp.exists() or stamp.read_text() != made_of:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([found, "-m", "venv", str(folder)], check=True)
        install = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
        ]
        done = subprocess.run([*install, *wanted.split()], capture_output=True, text=True, timeout=150)
        assert done.returncode == 0, done.stdout + done.stderr
        stamp.write_text(made_of)
    return folder / "bin" / "python"


def test_everything_imports(python: Path) -> None:
    done = subprocess.run(
        [str(python), "-c", IMPORT_ALL, PATHS],
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_a_message_goes_through(python: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python.with_name("twistd")), "-n", "--pidfile=", "rmqgateway", "-d", str(tmp_path / "data"),
             "-l", f"tcp:{port}:interface=127.0.0.1"],
            env=environment, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while "serves" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        said = subprocess.run(
            [str(python), "-m", "rmqgateway.hello", f"127.0.0.1:{port}"],
            env=environment, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert "fetched it again" in said.stdout, said.stderr + log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0, log.read_text()
