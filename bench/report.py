"""Markdown from the raw results: what was measured, and whether it keeps the budgets."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from bench.parts import PARTS
from bench.rows import Row
from bench.session import PartResult, RowResult, Sample

__all__ = ["failures", "figures_table", "report", "verdicts_table"]

COLUMNS = ("cpu", "rate", "p50", "p99", "p999")
COUNTED = ("unexpected", "garbage", "unanswered", "lost_connections")


def report(about: Sequence[str], parts: Sequence[PartResult]) -> str:
    """The whole document: how it was measured, every figure, every budget."""
    lines = [
        "# Benchmarks",
        "",
        "Median (least to most) of all rounds; CPU of the server, user and system.",
        "",
    ]
    lines += [f"- {each}" for each in about]
    lines += ["", *figures_table(parts), "", *verdicts_table(parts), ""]
    return "\n".join(lines)


def figures_table(parts: Sequence[PartResult]) -> list[str]:
    """One line for every row and instance."""
    lines = ["| row | server | CPU µs per message | msg/s | p50 ms | p99 ms | p999 ms | busy | errors |"]
    lines.append("|" + "---|" * 9)
    rest = ["| row | server | figures |", "|---|---|---|"]
    for part in parts:
        for result in part["rows"]:
            for label, samples in result["samples"].items():
                if samples and "cpu" in samples[0]["figures"]:
                    cells = [_spread(samples, name) for name in COLUMNS]
                    cells += [str(_total(samples, "busy")), failures(samples) or "0"]
                    lines.append(f"| {result['name']} | {label} | {' | '.join(cells)} |")
                elif samples:
                    names = samples[0]["figures"]
                    told = ", ".join(f"{name} {_spread(samples, name)}" for name in names)
                    rest.append(f"| {result['name']} | {label} | {told}{_but(samples)} |")
        for label, memory in part["memory"].items():
            told = ", ".join(f"{name} {value:,.0f}" for name, value in memory.items())
            rest.append(f"| memory in MB after {part['name']} | {label} | {told} |")
    return [*lines, "", *rest]


def verdicts_table(parts: Sequence[PartResult]) -> list[str]:
    """Every budget and comparison with what came out: ok, or over."""
    lines = ["| row | figure | measured | limit | |", "|---|---|---|---|---|"]
    known = {part.name: part for part in PARTS}
    for part in parts:
        declared = known[part["name"]]
        rows = {row.name: row for row in declared.rows}
        for result in part["rows"]:
            lines += _judge(rows[result["name"]], result)
        for label, limit in declared.memory:
            if label in part["memory"]:
                measured = part["memory"][label]["resident"]
                name = f"memory after {part['name']}"
                lines.append(_verdict(name, "resident MB", measured, f"{limit:g}", measured <= limit))
    return lines


def failures(samples: Sequence[Sample]) -> str:
    """What went wrong in these runs, by name or reply code; empty when nothing did."""
    found: dict[str, int] = {name: _total(samples, name) for name in COUNTED}
    for sample in samples:
        errors = sample["outcome"].get("errors")
        for code, count in (errors if isinstance(errors, dict) else {}).items():
            found[f"code {code}"] = found.get(f"code {code}", 0) + int(count)
    return ", ".join(f"{name}: {count}" for name, count in found.items() if count)


def _judge(row: Row, result: RowResult) -> Iterator[str]:
    own = result["samples"].get(row.subject, [])
    for figure, limit in row.budgets:
        if own and figure in own[0]["figures"]:
            measured = _median(own, figure)
            yield _verdict(row.name, figure, measured, f"{limit:g}", measured <= limit)
    for against in row.against:
        other = result["samples"].get(against.instance, [])
        if not own or not other or against.figure not in own[0]["figures"]:
            continue
        theirs = _median(other, against.figure)
        ratio = _median(own, against.figure) / theirs if theirs else float("inf")
        more = against.figure == "rate"
        limit_text = f"{'≥' if more else '≤'} {against.ratio:.2f} × {against.instance} ({theirs:,.3g})"
        kept = ratio >= against.ratio if more else ratio <= against.ratio
        yield _verdict(row.name, against.figure, ratio, limit_text, kept, "× ")


def _verdict(row: str, figure: str, measured: float, limit: str, kept: bool, unit: str = "") -> str:
    return f"| {row} | {figure} | {unit}{measured:,.3g} | {limit} | {'ok' if kept else '**over**'} |"


def _median(samples: Sequence[Sample], figure: str) -> float:
    return statistics.median(each["figures"].get(figure, float("nan")) for each in samples)


def _spread(samples: Sequence[Sample], figure: str) -> str:
    values = [each["figures"][figure] for each in samples if figure in each["figures"]]
    if not values:
        return ""
    if len(values) == 1:
        return _round(values[0])
    return f"{_round(statistics.median(values))} ({_round(min(values))}–{_round(max(values))})"


def _round(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _total(samples: Sequence[Sample], name: str) -> int:
    counts = (each["outcome"].get(name) for each in samples)
    return sum(count for count in counts if isinstance(count, int))


def _but(samples: Sequence[Sample]) -> str:
    wrong = failures(samples)
    return f", errors: {wrong}" if wrong else ""
