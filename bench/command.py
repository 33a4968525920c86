"""The command line: measures the rows, prints them as they come, writes Markdown and raw JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from bench.disk import sync_latency
from bench.load import build, build_go
from bench.nchan import nchan_folder
from bench.parts import PARTS
from bench.process import ServerFailed
from bench.report import report, verdicts_table
from bench.rows import Part
from bench.servers import apache_jars
from bench.session import FULL, QUICK, Session

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit status: 0 when all was measured, budgets kept or not; 1 when a server failed, the rest is kept."""
    options = _options()
    build_directory = ROOT / ".build/bench"
    data = options.data_dir or build_directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    pace = QUICK if options.quick else FULL
    pace = replace(pace, rounds=options.rounds or pace.rounds, seconds=options.seconds or pace.seconds)
    about = _about(data, options.quick)
    print("\n".join(about), flush=True)
    parts = [_chosen(part, options.servers) for part in PARTS if _wanted(part, options.rows)]
    results = []
    status = 0
    try:
        jars = None
        if any(each.kind in ("apache", "proxy", "clusterproxy") for part in parts for each in part.instances):
            jars = options.rocketmq_jars or apache_jars(build_directory)
        programs = {"remoting": build(build_directory)}
        nchan = None
        if any(row.load.program == "http" for part in parts for row in part.rows):
            programs["http"] = build_go(build_directory, "http")
            nchan = nchan_folder(options.nchan) if "nchan" in options.servers else None
        if any(row.load.program == "grpc" for part in parts for row in part.rows):
            programs["grpc"] = build_go(build_directory, "grpc")
        session = Session(data, programs, jars, pace, nchan)
        for part in parts:
            if part.instances:
                results.append(session.play(part, lambda line: print(line, flush=True)))
    except ServerFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        status = 1
    print("\n".join(verdicts_table(results)))
    if options.output:
        options.output.write_text(report(about, results))
        raw = json.dumps({"about": about, "parts": results}, indent=1)
        options.output.with_suffix(".json").write_text(raw)
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a measurement")
    parser.add_argument("--rounds", type=int, help="rounds of each row instead of 5")
    parser.add_argument("--seconds", type=float, help="length of each measurement instead of 5")
    parser.add_argument("--rows", action="append", metavar="PART", help="only parts with this in their name")
    servers = "gateway,bare,apache,proxy,nchan,passthrough,guarded,forwarder,clusterproxy"
    parser.add_argument("--servers", default=servers, type=lambda text: text.split(","))
    parser.add_argument("--output", type=Path, help="Markdown file; raw JSON goes beside it")
    parser.add_argument("--data-dir", type=Path, help="on the disk to measure (default: .build/bench/data)")
    parser.add_argument("--rocketmq-jars", type=Path, help="Apache RocketMQ's jars instead of Maven's")
    parser.add_argument("--nchan", type=Path, default=Path("/"), help="below which nginx and nchan are unpacked")
    return parser.parse_args()


def _wanted(part: Part, names: list[str] | None) -> bool:
    return not names or any(name in part.name for name in names)


def _chosen(part: Part, servers: list[str]) -> Part:
    instances = tuple(each for each in part.instances if each.kind in servers)
    return replace(part, instances=instances)


def _about(data: Path, quick: bool) -> list[str]:
    """What the figures depend on, for the head of the report."""
    sync = sync_latency(data)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    lines = [
        f"{os.cpu_count()} cores, {system}, {_java_version()}",
        f"fdatasync of 4 KB on the disk of the data: p50 {sync['p50']:.3f} ms, p99 {sync['p99']:.3f} ms",
        f"load average at the start: {os.getloadavg()[0]:.2f}",
    ]
    return [*lines, "--quick: one short round, a look and not a measurement"] if quick else lines


def _java_version() -> str:
    if shutil.which("java") is None:
        return "no Java"
    done = subprocess.run(["java", "-version"], stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr.partition("\n")[0]
