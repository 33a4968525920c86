"""Capture the golden bytes again: takes Apache RocketMQ's jars by name with Maven, then runs each capturing script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = "5.5.0"


def jars() -> Path:
    """A folder with every jar that the capturing scripts need."""
    sys.path.insert(0, str(ROOT))
    from tests.interop.toolchain import classpath, missing

    reason = missing("java", "mvn")
    if reason is not None:
        raise SystemExit(f"the golden bytes come from the real programs: {reason}")
    folder = ROOT / ".build" / "vectors" / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    for project in ("apache", "mqadmin"):
        for part in classpath(project, VERSION).split(os.pathsep):
            for jar in Path(part.rstrip("*")).glob("*.jar"):
                link = folder / jar.name
                link.unlink(missing_ok=True)
                link.symlink_to(jar)
    return folder


def main(arguments: list[str]) -> int:
    """Run each script; the status of the first that fails."""
    environment = {**os.environ, "ROCKETMQ_JARS": str(jars())}
    for script in sorted((ROOT / "tests" / "vectors").glob("capture_*.py")):
        print(f"== {script.name}", flush=True)
        done = subprocess.run([sys.executable, str(script), *arguments], env=environment, cwd=ROOT)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
