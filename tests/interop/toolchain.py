"""Builds the drivers with Maven and Go, once per content, below ``.build/`` which git ignores.

A missing program is no failure here: `missing` names it, and `conftest.py` turns that into a skip with the reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BUILD", "JVM_OPENS", "BuildError", "classpath", "go_program", "missing", "tail"]

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / ".build" / "interop"

#: What RocketMQ's own start scripts pass to a JVM of version 17.
JVM_OPENS = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.nio", "sun.nio.ch", "java.lang", "java.util")
)

_MAVEN_GOALS = ("package", "dependency:copy-dependencies")
_HINTS = {
    "java": "apt-get install openjdk-17-jdk-headless",
    "mvn": "apt-get install maven",
    "go": "apt-get install golang-go",
    "cargo": "Rust's rustup, 1.85 or newer",
}


class BuildError(Exception):
    """A driver could not be built; the text holds the end of the tool's output."""


def missing(*programs: str) -> str | None:
    """The reason why tests needing `programs` cannot run, or None."""
    absent = [name for name in programs if shutil.which(name) is None]
    if not absent:
        return None
    return "; ".join(f"{name} is not installed ({_HINTS[name]})" for name in absent)


def tail(text: str, lines: int = 40) -> str:
    """The last `lines` lines of `text`, for a failure message."""
    return "\n".join(text.splitlines()[-lines:])


def classpath(project: str, version: str, timeout: float = 300.0) -> str:
    """Class path of ``java/<project>`` built against RocketMQ `version`; raises BuildError."""
    source = HERE / "java" / project
    target = BUILD / f"java-{project}-{version}"

    def build() -> None:
        command = ["-B", "-q", f"-Dbuild.dir={target}", f"-Drocketmq.version={version}", *_MAVEN_GOALS]
        # Offline first: nothing is asked of a registry when the local repository has it all.
        try:
            _run(["mvn", "-o", *command], source, timeout)
        except BuildError:
            _run(["mvn", *command], source, timeout)

    _build_once(target, source.rglob("*"), version, build)
    return os.pathsep.join([str(target / "classes"), str(target / "lib" / "*")])


def go_program(timeout: float = 300.0, package: str = "") -> Path:
    """The executable of the Go driver, or of a package below it; raises BuildError."""
    source = HERE / "go"
    target = BUILD / (f"go-{package}" if package else "go")
    program = target / (package or "scenarios")
    _build_once(
        target,
        source.rglob("*"),
        "go",
        lambda: _run(["go", "build", "-o", str(program), f"./{package}"], source, timeout),
    )
    return program


def _build_once(target: Path, sources: Iterable[Path], salt: str, build: Callable[[], None]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(salt.encode())
    for path in sorted(path for path in sources if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    stamp = target / "built-from"
    with _locked(target / "lock"):
        if stamp.exists() and stamp.read_text() == digest.hexdigest():
            return
        stamp.unlink(missing_ok=True)
        build()
        stamp.write_text(digest.hexdigest())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two test runs beside each other build one after the other."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run(command: list[str], directory: Path, timeout: float) -> None:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(command)} took longer than {timeout:.0f} s") from error
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}: status {done.returncode}\n{tail(done.stdout + done.stderr)}")


if __name__ == "__main__":
    # What a session prepares beforehand, so that the first test run does not wait: `python toolchain.py 5.5.0 4.9.8`.
    for wanted in sys.argv[1:]:
        print(classpath("clients", wanted))
