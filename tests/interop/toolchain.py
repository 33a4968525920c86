"""Builds the drivers with Maven, Go, npm, pip, once per content, below ``.build/`` which git ignores.

A missing program is no failure here: `missing` names it, and `conftest.py` turns that into a skip with the reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "BUILD",
    "JVM_OPENS",
    "REBALANCING",
    "BuildError",
    "build_once",
    "classpath",
    "go_program",
    "java",
    "locked",
    "missing",
    "node_modules",
    "python_with",
    "run",
    "tail",
]

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / ".build" / "interop"

#: What RocketMQ's own start scripts pass to a JVM of version 17.
JVM_OPENS = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.nio", "sun.nio.ch", "java.lang", "java.util")
)

#: How soon Java's Remoting client balances queues, instead of after 1 and 20 s. Its first heartbeat is sent after 1 s, too:
#: one that finds the other's lock taken is left out, and until the next every pull is refused as newer than the
#: subscription that its broker knows (so consumers send them every 3 s here, not every 30: Stage.HEARTBEAT_MILLIS).
REBALANCING = ("-Drocketmq.client.rebalance.minInterval=300", "-Drocketmq.client.rebalance.waitInterval=700")

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
            run(["mvn", "-o", *command], source, timeout)
        except BuildError:
            run(["mvn", *command], source, timeout)

    build_once(target, source.rglob("*"), version, build)
    return os.pathsep.join([str(target / "classes"), str(target / "lib" / "*")])


def java(project: str, version: str, directory: Path, *properties: str) -> list[str]:
    """The command of a JVM with ``java/<project>``, up to its main class, for a short life; raises BuildError.

    :param directory: where clients write their logs, and the offsets of broadcasting.
    """
    return [
        "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Duser.home={directory}", *properties,
        "-cp", classpath(project, version),
    ]  # fmt: skip


def go_program(timeout: float = 300.0, package: str = "", source: Path = HERE / "go") -> Path:
    """The executable of a Go module, or of a package below it; raises BuildError."""
    name = source.name.replace("_", "-")
    target = BUILD / (f"{name}-{package}" if package else name)
    program = target / (package or "scenarios")
    build_once(
        target,
        source.rglob("*"),
        "go",
        lambda: run(["go", "build", "-o", str(program), f"./{package}"], source, timeout),
    )
    return program


def node_modules(source: Path) -> Path:
    """Where the packages of a ``package.json`` are installed; raises BuildError."""
    target = BUILD / source.name.replace("_", "-")

    def install() -> None:
        shutil.copy(source / "package.json", target)
        run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], target, 240)

    build_once(target, [source / "package.json"], "npm", install)
    return target / "node_modules"


def python_with(requirement: str) -> Path:
    """A Python that has this distribution and nothing of ours; raises BuildError."""
    target = BUILD / f"python-{requirement.replace('==', '-')}"
    python = target / "venv" / "bin" / "python"

    def install() -> None:
        run([sys.executable, "-m", "venv", str(target / "venv")], target, 240)
        run([str(python), "-m", "pip", "install", "-q", requirement], target, 240)

    build_once(target, (), requirement, install)
    return python


def build_once(target: Path, sources: Iterable[Path], salt: str, build: Callable[[], None]) -> None:
    """Call `build` unless `target` was built from the same files and salt."""
    target.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(salt.encode())
    for path in sorted(path for path in sources if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    stamp = target / "built-from"
    with locked(target / "lock"):
        if stamp.exists() and stamp.read_text() == digest.hexdigest():
            return
        stamp.unlink(missing_ok=True)
        build()
        stamp.write_text(digest.hexdigest())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two test runs beside each other build one after the other."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: list[str], directory: Path, timeout: float, environment: Mapping[str, str] | None = None) -> None:
    """To its end; raises BuildError, with what it printed last."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(command)} took longer than {timeout:.0f} s") from error
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}: status {done.returncode}\n{tail(done.stdout + done.stderr)}")


if __name__ == "__main__":
    # To be done beforehand, so that the first test run does not wait: `python toolchain.py 5.5.0 4.9.8`.
    for wanted in sys.argv[1:]:
        print(classpath("clients", wanted))
