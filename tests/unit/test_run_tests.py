"""The runner of the tiers: what it counts, and what it lets pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.run_tests import Outcome, judge, read_coverage, read_results

JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="passes"/>
<testcase classname="a" name="fails"><failure message="x"/></testcase>
<testcase classname="a" name="breaks"><error message="x"/></testcase>
<testcase classname="a" name="is_skipped"><skipped message="no java"/></testcase>
</testsuite></testsuites>"""


def judged(least: int, in_ci: bool, skipped: list[tuple[str, str]], **suite: Any) -> list[str]:
    outcome = Outcome("suite", least)
    outcome.passed = 5
    outcome.skips = skipped
    judge(outcome, {"least": least, **suite}, in_ci)
    return outcome.problems


def test_junit_results_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "results.xml"
    file.write_text(JUNIT)
    outcome = Outcome("suite", 1)
    read_results(file, outcome)
    assert (outcome.passed, outcome.failed, outcome.skips) == (1, 2, [("a::is_skipped", "no java")])
    assert not outcome.ok


def test_no_results_are_a_failure(tmp_path: Path) -> None:
    outcome = Outcome("suite", 0)
    read_results(tmp_path / "missing.xml", outcome)
    assert not outcome.ok


def test_fewer_than_expected_fail() -> None:
    assert judged(5, False, []) == []
    assert judged(6, False, []) == ["5 ran and 0 were skipped, 6 were expected"]


def test_a_skip_counts_where_it_is_permitted() -> None:
    skips = [("tests.x::test_java", "no java")]
    assert judged(6, False, skips) == []
    assert judged(6, True, skips, skips=[{"test": "test_java", "reason": "r"}]) == []
    assert judged(6, True, skips, skips=[{"test": "tests/x.py", "reason": "r"}]) == []
    problems = judged(6, True, skips)
    assert "skipped without permission: tests.x::test_java (no java)" in problems and len(problems) == 2


@pytest.mark.parametrize(("covered", "ok"), [(95, True), (94, False)])
def test_coverage_below_a_folder(tmp_path: Path, covered: int, ok: bool) -> None:
    def file(lines: int) -> dict[str, Any]:
        return {
            "summary": {
                "num_statements": 80,
                "num_branches": 20,
                "covered_lines": lines,
                "covered_branches": 20,
            }
        }

    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": {"a/x.py": file(covered - 20), "b/y.py": file(0)}}))
    outcome = Outcome("suite", 0)
    read_coverage(report, {"a": 95}, outcome)
    assert outcome.ok is ok


def test_no_coverage_is_a_failure(tmp_path: Path) -> None:
    outcome = Outcome("suite", 0)
    read_coverage(tmp_path / "missing.json", {"a": 95}, outcome)
    assert not outcome.ok
