"""Installs the four SDKs from their registries, once per content, and says how each driver is started."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.interop.toolchain import BUILD, BuildError, build_once, missing, run

__all__ = ["command", "lacking"]

HERE = Path(__file__).resolve().parent
_PYTHON_SDK = "mq_http_sdk==1.0.3"
_PROGRAMS = {"python": (), "node": ("node", "npm"), "java": ("java", "mvn"), "go": ("go",)}


def lacking(sdk: str) -> str | None:
    """Why the SDK of this language cannot be run here, or None."""
    programs = _PROGRAMS[sdk]
    if sdk == "node":
        absent = [name for name in programs if shutil.which(name) is None]
        return f"{' and '.join(absent)}: not installed (apt-get install nodejs npm)" if absent else None
    return missing(*programs)


def command(sdk: str, timeout: float = 300.0) -> list[str]:
    """The driver, to be followed by endpoint, names and prefix; raises BuildError."""
    source = HERE / sdk
    target = BUILD / f"mqhttp-{sdk}"
    made: dict[str, list[str]] = {
        "python": [sys.executable, str(target / "scenarios.py")],
        "node": ["node", str(target / "scenarios.js")],
        "go": [str(target / "scenarios")],
        "java": [
            "java",
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            os.pathsep.join([str(target / "classes"), str(target / "lib" / "*")]),
            "MqHttpScenarios",
        ],
    }

    def build() -> None:
        if sdk in ("python", "node"):
            # Both look for their SDK beside the driver.
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        if sdk == "python":
            install = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--upgrade",
                "--target",
                str(target),
                _PYTHON_SDK,
            ]
            run(install, target, timeout)
        elif sdk == "node":
            run(
                ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"],
                target,
                timeout,
            )
        elif sdk == "go":
            run(["go", "build", "-o", str(target / "scenarios"), "."], source, timeout)
        else:
            maven = ["-B", "-q", f"-Dbuild.dir={target}", "package", "dependency:copy-dependencies"]
            try:
                run(["mvn", "-o", *maven], source, timeout)
            except BuildError:
                run(["mvn", *maven], source, timeout)

    salt = _PYTHON_SDK if sdk == "python" else sdk
    build_once(target, [path for path in source.rglob("*") if "__pycache__" not in path.parts], salt, build)
    return made[sdk]
