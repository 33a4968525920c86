"""Ask RocketMQ's own classes again which policy decides.

    python tests/vectors/capture_acl.py --jars DIRECTORY_OF_JARS [--out tests/vectors/acl]

The directory holds rocketmq-auth and all that it needs (or is named by the environment variable ROCKETMQ_JARS); a JDK must be on
the PATH. The cases are drawn from a fixed seed; nothing in the file is volatile.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
_COUNT = 600
_NAMES = ("a", "ab", "abc", "b", "%RETRY%a")
_KINDS = ("Topic", "Group", "Cluster")
_ACTIONS = ("Pub", "Sub", "Get", "All")
_SOURCES = ("", "", "", "10.0.0.0/8", "10.1.2.3", "192.0.2.0/24,10.1.0.0/16", "192.0.2.1")


def _entry(chance: random.Random) -> str:
    name = chance.choice((*_NAMES, "a*", "ab*", "%RETRY%*", "*", "*"))
    resource = "*" if chance.random() < 0.15 else f"{chance.choice(_KINDS[:2])}:{name}"
    actions = ",".join(chance.sample(_ACTIONS, chance.choice((1, 1, 2))))
    return f"{resource};{actions};{chance.choice(_SOURCES)};{chance.choice(('Allow', 'Deny'))}"


def _entries(chance: random.Random, most: int) -> list[str]:
    """At most one for each resource, as a stored policy has them."""
    found: dict[str, str] = {}
    for _ in range(chance.randint(0, most)):
        entry = _entry(chance)
        found.setdefault(entry.partition(";")[0], entry)
    return list(found.values())


def cases() -> list[dict[str, object]]:
    chance = random.Random(4711)
    return [
        {
            "custom": _entries(chance, 6),
            "default": _entries(chance, 3),
            "resource": f"{chance.choice(_KINDS)}:{chance.choice(_NAMES)}",
            "actions": chance.choice((["Pub"], ["Sub"], ["Sub", "Get"], ["Pub", "Sub", "Get"])),
            "source": chance.choice(("10.1.2.3", "10.2.3.4", "192.0.2.1")),
        }
        for _ in range(_COUNT)
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jars", default=os.environ.get("ROCKETMQ_JARS"))
    parser.add_argument("--out", default=str(HERE / "acl"))
    arguments = parser.parse_args()
    if not arguments.jars:
        parser.error("--jars, or the environment variable ROCKETMQ_JARS, names the directory of the jars")
    made = cases()
    lines = "".join(
        "\t".join(
            (
                " ".join(case["custom"]),  # type: ignore[arg-type]
                " ".join(case["default"]),  # type: ignore[arg-type]
                str(case["resource"]),
                ",".join(case["actions"]),  # type: ignore[arg-type]
                str(case["source"]),
            )
        )
        + "\n"
        for case in made
    )
    jars = f"{arguments.jars}/*"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["javac", "-nowarn", "-cp", jars, "-d", folder, str(HERE / "acl" / "Decide.java")], check=True)
        done = subprocess.run(
            ["java", "-cp", os.pathsep.join((folder, jars)), "Decide"],
            input=lines, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
    decisions = done.stdout.split()
    if len(decisions) != len(made):
        raise SystemExit(f"{len(decisions)} answers to {len(made)} cases\n{done.stderr}")
    for case, decision in zip(made, decisions, strict=True):
        case["decision"] = decision
    text = ",\n".join(json.dumps(case) for case in made)
    (pathlib.Path(arguments.out) / "decisions.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
