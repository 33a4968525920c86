"""The verdicts on results that are made up, and that the rows name instances which exist."""

from __future__ import annotations

import pytest

from bench.report import failures, verdicts_table
from bench.rows import PARTS, Part
from bench.session import PartResult, Sample


def sample(cpu: float, rate: float, **outcome: object) -> Sample:
    return {"figures": {"cpu": cpu, "rate": rate, "p99": 1.0}, "outcome": outcome}


def traffic(cpu: float, rate: float, their_cpu: float, their_rate: float) -> PartResult:
    samples = {
        "gateway": [sample(cpu, rate), sample(cpu * 100, rate), sample(cpu, rate)],
        "Apache ASYNC_FLUSH": [sample(their_cpu, their_rate)],
    }
    return {
        "name": "traffic",
        "rows": [{"name": "send 8\N{MULTIPLICATION SIGN}16, 1 KB", "samples": samples}],
        "memory": {"gateway": {"resident": 149.0, "anonymous": 140.0, "peak": 160.0}},
    }


def verdicts(result: PartResult) -> list[str]:
    return [line.split("|")[-2].strip() for line in verdicts_table([result])[2:]]


def test_medians_within_every_limit_are_ok() -> None:
    assert verdicts(traffic(18, 60_000, 27, 50_000)) == ["ok"] * 5


def test_each_limit_is_judged_for_itself() -> None:
    assert verdicts(traffic(19, 40_000, 27, 50_000)) == ["**over**", "**over**", "**over**", "ok", "ok"]


def test_failures_are_named() -> None:
    bad = sample(1, 1, errors={"17": 2}, unanswered=1, busy=5)
    assert failures([bad, bad]) == "unanswered: 2, code 17: 4"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_rows_name_instances_of_their_part(part: Part) -> None:
    labels = {each.label for each in part.instances}
    for row in part.rows:
        named = {row.subject, *row.only, *dict(row.loads), *(each.instance for each in row.against)}
        assert named <= labels
