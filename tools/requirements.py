"""``requirements.py run|test|dev``: the dependencies that setup.cfg names, one per line, for pip.

The project itself is not installed by them: daily work uses the tree (PYTHONPATH), and a wheel is tested as a wheel.
"""

from __future__ import annotations

import sys
from configparser import ConfigParser
from pathlib import Path

SETUP = Path(__file__).resolve().parent.parent / "setup.cfg"


def requirements(what: str, setup: Path = SETUP) -> list[str]:
    """Everything to install for ``run``, or for an extra with what it includes."""
    parser = ConfigParser(interpolation=None)
    parser.read(setup, encoding="utf-8")
    found = parser["options"]["install_requires"].split("\n")
    if what != "run":
        extras = parser["options.extras_require"]
        for line in extras[what].split("\n"):
            if line.startswith("rmqgateway["):
                found += requirements(line[len("rmqgateway[") : -1], setup)
            else:
                found.append(line)
    return list(dict.fromkeys(line.strip() for line in found if line.strip()))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
