"""A missing prerequisite is named with the command that installs it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOO_OLD = "#!/bin/sh\ncase $1 in --version) echo Python 3.9.2;; *) exit 1;; esac\n"
NO_VENV = "#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; *print*) echo 3.11;; esac\nexit 0\n"
FINE = "#!/bin/sh\nexit 0\n"


def set_up(tmp_path: Path, what: str, python: str | None, in_venv: bool = False) -> str:
    tools = tmp_path / "bin"
    tools.mkdir()
    if python is not None:
        (tools / "python3").write_text(python)
        (tools / "python3").chmod(0o755)
    venv = tmp_path / "venv"
    if in_venv:
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").write_text(FINE)
        (venv / "bin" / "python").chmod(0o755)
    shell = shutil.which("sh")
    assert shell is not None
    done = subprocess.run(
        [shell, "tools/setup.sh", str(venv), what],
        cwd=ROOT, env={"PATH": str(tools)}, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("python", [TOO_OLD, None])
def test_python_too_old_or_missing(tmp_path: Path, python: str | None) -> None:
    said = set_up(tmp_path, "run", python)
    assert "Python 3.11 or newer is needed" in said
    assert ("3.9.2" in said) is (python is not None)
    assert "apt-get install python3" in said and "make PYTHON=" in said


def test_no_venv_module(tmp_path: Path) -> None:
    assert "apt-get install python3.11-venv" in set_up(tmp_path, "run", NO_VENV)


def test_no_compiler_for_the_test_tools(tmp_path: Path) -> None:
    said = set_up(tmp_path, "dev", None, in_venv=True)
    assert "C compiler" in said and "apt-get install gcc" in said
