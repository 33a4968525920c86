"""``run_tests.py [--soak] [SUITE...]``: the suites of tests/expected.toml, one after the other, each in its own process.

Prints for each suite what ran, what was skipped and what was expected, and at the end one line: N passed, N failed,
N skipped. A suite fails when a test fails, when fewer ran than expected, when it takes too long, and, with CI=true, when a
test is skipped that expected.toml does not list.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".build" / "results"
#: What has been started and not waited for.
_running: set[subprocess.Popen[bytes]] = set()


class Outcome:
    """What became of one suite.

    :ivar problems: why it fails beyond failed tests. :ivar skips: (test, reason).
    """

    def __init__(self, name: str, least: int) -> None:
        self.name = name
        self.least = least
        self.passed = 0
        self.failed = 0
        self.skips: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.seconds = 0.0

    @property
    def ok(self) -> bool:
        """Whether the suite is green."""
        return not self.failed and not self.problems


def judge(outcome: Outcome, suite: dict[str, Any], in_ci: bool) -> None:
    """Compare what ran with what was expected, and note the problems.

    A skip is permitted by part of a test's name, such as ``tests/smoke/test_x.py`` or ``test_x::test_y``. It counts as if it had
    run, so that a machine without a toolchain is not told a second time.
    """
    permitted = [
        one["test"].removesuffix(".py").replace("/", ".") if one["test"].startswith("tests/") else one["test"]
        for one in suite.get("skips", [])
    ]
    counted = 0
    for test, reason in outcome.skips:
        if any(one in test for one in permitted):
            counted += 1
        elif in_ci:
            outcome.problems.append(f"skipped without permission: {test} ({reason})")
        else:
            counted += 1
    ran = outcome.passed + outcome.failed
    if ran + counted < outcome.least:
        outcome.problems.append(f"{ran} ran and {counted} were skipped, {outcome.least} were expected")


def read_results(path: Path, outcome: Outcome) -> None:
    """Count pytest's JUnit results."""
    if not path.exists():
        outcome.problems.append("pytest left no results: it broke off")
        return
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        elif skipped is not None:
            outcome.skips.append((name, skipped.get("message") or ""))
        else:
            outcome.passed += 1


def read_coverage(path: Path, wanted: dict[str, float], outcome: Outcome) -> None:
    """Compare the branch coverage below each folder with the least that is wanted."""
    files = json.loads(path.read_text())["files"] if path.exists() else {}
    for folder, least in wanted.items():
        possible = covered = 0
        for name, file in files.items():
            if name.startswith(folder + "/"):
                summary = file["summary"]
                possible += summary["num_statements"] + summary["num_branches"]
                covered += summary["covered_lines"] + summary["covered_branches"]
        share = 100.0 * covered / possible if possible else 0.0
        print(f"   branch coverage of {folder}: {share:.1f} %, at least {least} is wanted")
        if share < least:
            outcome.problems.append(
                f"branch coverage of {folder} is {share:.1f} %, at least {least} is wanted"
            )


def run(
    command: list[str], environment: dict[str, str], seconds: float, output: IO[bytes] | None = None
) -> int | None:
    """Run a program in a group of its own; its status, or None when it took too long and was ended.

    :param output: what it prints goes there instead of where ours goes.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, start_new_session=True, stdout=output, stderr=output
    )
    _running.add(process)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        _running.discard(process)


def run_suite(
    name: str, suite: dict[str, Any], soak: bool, before: set[str], output: IO[bytes] | None = None
) -> Outcome:
    """Run one suite and judge it; `before` ran before it, `output` as for `run`."""
    outcome = Outcome(name, suite["least"])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "protocols", "tap")),
    }
    environment.update(suite.get("environment", {}))
    if soak:
        environment.update(suite.get("soak_environment", {}))
    seconds = suite["seconds"] * (20 if soak else 1)
    began = time.monotonic()
    for command in suite.get("commands", []):
        status = run([part.format(python=sys.executable) for part in command], environment, seconds, output)
        if status == 0:
            outcome.passed += 1
        else:
            outcome.failed += 1
            outcome.problems.append(
                f"{' '.join(command[1:4])} {'took too long' if status is None else f'ended with {status}'}"
            )
    if "paths" in suite:
        RESULTS.mkdir(parents=True, exist_ok=True)
        results, coverage = RESULTS / f"{name}.xml", RESULTS / f"{name}.coverage.json"
        results.unlink(missing_ok=True)
        coverage.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={results}", *suite["paths"]]
        command += [f"--ignore={path}" for path in suite.get("ignored", [])]
        if not soak:
            command += ["-m", "not slow"]
        measured, wanted = suite.get("measure", []), suite.get("coverage", {})
        if measured:
            # Added up over the suites of one run; the one that states what is wanted comes last.
            environment["COVERAGE_FILE"] = str(RESULTS / "coverage")
            command += [f"--cov={folder}" for folder in measured]
            command += [
                "--cov-branch",
                "--cov-append",
                f"--cov-report={f'json:{coverage}' if wanted else ''}",
            ]
        status = run(command, environment, seconds, output)
        if status is None:
            outcome.problems.append(f"took longer than {seconds} s and was ended")
        elif status not in (0, 1):
            outcome.problems.append(f"pytest ended with {status}")
        read_results(results, outcome)
        if set(suite.get("coverage_with", [])) <= before:
            read_coverage(coverage, wanted, outcome)
    outcome.seconds = time.monotonic() - began
    judge(outcome, suite, os.environ.get("CI", "").lower() == "true")
    return outcome


def run_lanes(
    lanes: dict[str, list[tuple[str, dict[str, Any]]]], soak: bool, before: set[str]
) -> list[Outcome]:
    """Run lanes beside each other, the suites of a lane one after the other; each prints when it has ended."""
    outcomes: dict[str, Outcome] = {}
    printing = threading.Lock()

    def run_lane(suites: list[tuple[str, dict[str, Any]]]) -> None:
        for name, suite in suites:
            RESULTS.mkdir(parents=True, exist_ok=True)
            path = RESULTS / f"{name}.output"
            with path.open("wb") as output:
                outcome = run_suite(name, suite, soak, before, output)
            with printing:
                outcomes[name] = outcome
                print(f"== {name}", flush=True)
                sys.stdout.buffer.write(path.read_bytes())
                sys.stdout.flush()

    threads = [threading.Thread(target=run_lane, args=(suites,), daemon=True) for suites in lanes.values()]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        for process in list(_running):
            os.killpg(process.pid, signal.SIGTERM)
        raise
    # A lane that broke off has no outcome for its suite: that must not look green.
    for suites in lanes.values():
        for name, suite in suites:
            if name not in outcomes:
                outcomes[name] = Outcome(name, suite["least"])
                outcomes[name].problems.append("did not run to its end")
    return [outcomes[name] for suites in lanes.values() for name, _ in suites]


def has_something(suite: dict[str, Any]) -> bool:
    """Whether any of the suite's paths holds a test."""
    paths = [ROOT / path for path in suite.get("paths", [])]
    return not paths or any(path.is_file() or any(path.rglob("test_*.py")) for path in paths)


def show(outcomes: list[Outcome]) -> None:
    """Print the table, the problems, the skips."""
    print(f"\n{'suite':<14}{'ran':>7}{'failed':>8}{'skipped':>9}{'expected':>10}{'seconds':>9}")
    for one in outcomes:
        ran = one.passed + one.failed
        print(
            f"{one.name:<14}{ran:>7}{one.failed:>8}{len(one.skips):>9}{one.least:>10}{one.seconds:>9.0f}"
            f"  {'' if one.ok else 'FAILED'}"
        )
    for one in outcomes:
        for test, reason in one.skips:
            print(f"skipped  {one.name}: {test}: {reason}")
    for one in outcomes:
        for problem in one.problems:
            print(f"FAILED   {one.name}: {problem}")


def main() -> int:
    """Run what is asked for; the status for make."""
    suites: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tests" / "expected.toml").read_text())[
        "suites"
    ]
    parser = argparse.ArgumentParser(description="Run the suites of tests/expected.toml.")
    parser.add_argument("--soak", action="store_true", help="with the long parameters")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"some of: {' '.join(suites)}")
    arguments = parser.parse_args()
    for suite in suites.values():
        suite["ignored"] = [path for other in suite.get("without", []) for path in suites[other]["paths"]]
    unknown = set(arguments.suites) - set(suites)
    if unknown:
        parser.error(f"there is no suite {', '.join(sorted(unknown))}; there is {', '.join(suites)}")
    (RESULTS / "coverage").unlink(missing_ok=True)
    outcomes: list[Outcome] = []
    lanes: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, suite in suites.items():
        if (arguments.suites and name not in arguments.suites) or (
            suite.get("optional") and not has_something(suite)
        ):
            continue
        if "lane" in suite:
            lanes.setdefault(suite["lane"], []).append((name, suite))
            continue
        print(f"== {name}", flush=True)
        outcomes.append(run_suite(name, suite, arguments.soak, {one.name for one in outcomes}))
        sys.stdout.flush()
    if lanes:
        print(f"== {', '.join(name for suites in lanes.values() for name, _ in suites)}", flush=True)
        outcomes += run_lanes(lanes, arguments.soak, {one.name for one in outcomes})
    show(outcomes)
    # A suite that fails for another reason than a test counts as one failure: the line must not look green.
    failed = sum(one.failed or len(one.problems) for one in outcomes)
    passed, skipped = sum(one.passed for one in outcomes), sum(len(one.skips) for one in outcomes)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
