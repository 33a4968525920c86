"""Plays the rows: which instance when, for how long, and what is read from the kernel around it."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict

from bench.behind import BareForwarder, ClusterProxy, GuardedPassthrough, Passthrough
from bench.load import Generator, Outcome
from bench.nchan import Nchan
from bench.process import ServerFailed
from bench.proxy import Proxy
from bench.rows import Instance, Load, Part, Row
from bench.servers import Apache, Bare, Gateway, Server

__all__ = ["FULL", "QUICK", "Pace", "PartResult", "RowResult", "Sample", "Session"]

Options: TypeAlias = dict[str, int | float | str]


class Sample(TypedDict):
    """One run of one row on one instance: the ``figures`` that count, and the generator's whole outcome."""

    figures: dict[str, float]
    outcome: Outcome


class RowResult(TypedDict):
    """The samples by label of the instance, in the order in which they were taken."""

    name: str
    samples: dict[str, list[Sample]]


class PartResult(TypedDict):
    """``memory`` by label of the instance after the last row: ``resident``, ``anonymous``, ``peak`` in MB."""

    name: str
    rows: list[RowResult]
    memory: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Pace:
    """How long all of it takes. Counts of messages in preparations are divided by ``shrink``."""

    rounds: int = 5
    seconds: float = 5.0
    warm_up: float = 1.0
    java_warm_up: float = 30.0
    gateway_warm_up: float = 1.0
    shrink: int = 1


FULL = Pace()
QUICK = Pace(rounds=1, seconds=2.0, warm_up=0.5, java_warm_up=8.0, gateway_warm_up=1.0, shrink=20)


class Session:
    """All instances live below ``directory``, which is emptied of them again."""

    def __init__(
        self, directory: Path, programs: Mapping[str, Path], jars: Path | None, pace: Pace, nchan: Path | None = None
    ) -> None:
        self._directory = directory
        self._programs = programs
        self._jars = jars
        self._nchan = nchan
        self._pace = pace
        self._count = 0
        # What stands before a broker stands before the one of its part that was started last.
        self._broker: Apache | None = None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def play(self, part: Part, say: Callable[[str], None]) -> PartResult:
        """Every row of a part, ``rounds`` times, the instances in turn: A B, B A, A B and so on."""
        jars, nchan = self._jars is not None, self._nchan is not None
        java = dict.fromkeys(("apache", "proxy", "passthrough", "guarded", "clusterproxy", "forwarder"), jars)
        there = {"gateway": True, "bare": True, "nchan": nchan, **java}
        instances = [each for each in part.instances if there[each.kind]]
        rows: list[RowResult] = []
        result: PartResult = {"name": part.name, "rows": rows, "memory": {}}
        if part.fresh:
            for row in part.rows:
                rows.append(
                    {"name": row.name, "samples": self._rounds(row, instances, self._play_fresh, say)}
                )
            return result
        with self._running(instances) as servers:
            for instance in instances:
                self._warm_up(instance, servers[instance.label], part.warm_up)
            for row in part.rows:

                def play(row: Row, instance: Instance) -> Sample:
                    return self._play(row, instance, servers[instance.label])

                rows.append({"name": row.name, "samples": self._rounds(row, instances, play, say)})
            result["memory"] = {label: _memory(server) for label, server in servers.items()}
        return result

    def _rounds(
        self,
        row: Row,
        instances: list[Instance],
        play: Callable[[Row, Instance], Sample],
        say: Callable[[str], None],
    ) -> dict[str, list[Sample]]:
        chosen = [each for each in instances if not row.only or each.label in row.only]
        samples: dict[str, list[Sample]] = {each.label: [] for each in chosen}
        for number in range(self._pace.rounds):
            for instance in chosen if number % 2 == 0 else reversed(chosen):
                sample = play(row, instance)
                samples[instance.label].append(sample)
                say(f"{row.name} | {instance.label} | {_short(sample)}")
        return samples

    @contextmanager
    def _running(self, instances: list[Instance]) -> Iterator[dict[str, Server]]:
        servers: dict[str, Server] = {}
        directories: list[Path] = []
        try:
            for instance in instances:
                server, directory = self._make(instance)
                directories.append(directory)
                servers[instance.label] = server
                server.start()
                if instance.kind == "apache" and isinstance(server, Apache):
                    self._broker = server
                self._prepare(instance, server)
            yield servers
        except ServerFailed as error:
            logs = [
                f"{process.log}:\n{process.log_end()}"
                for each in servers.values()
                for process in each.processes
            ]
            raise ServerFailed("\n".join([str(error), *logs])) from error
        finally:
            for server in servers.values():
                server.stop()
            for directory in directories:
                shutil.rmtree(directory, ignore_errors=True)

    def _make(self, instance: Instance) -> tuple[Server, Path]:
        self._count += 1
        # Another run may be under way in the same place.
        directory = self._directory / f"instance-{os.getpid()}-{self._count}"
        shutil.rmtree(directory, ignore_errors=True)
        if instance.kind == "nchan" and self._nchan is not None:
            return Nchan(directory, self._nchan), directory
        if instance.kind == "bare":
            return Bare(directory), directory
        if instance.kind in ("passthrough", "guarded", "clusterproxy", "forwarder"):
            return self._make_behind(instance, directory), directory
        if instance.kind == "gateway" or self._jars is None:
            return Gateway(directory, dict(instance.settings)), directory
        apache = Proxy if instance.kind == "proxy" else Apache
        return apache(directory, dict(instance.settings), self._jars), directory

    def _make_behind(self, instance: Instance, directory: Path) -> Server:
        if self._broker is None or self._jars is None:
            raise ServerFailed(f"{instance.label} stands before the part's broker: --servers must have apache")
        if instance.kind == "passthrough":
            return Passthrough(directory, dict(instance.settings), self._broker)
        if instance.kind == "guarded":
            return GuardedPassthrough(directory, dict(instance.settings), self._broker)
        if instance.kind == "forwarder":
            return BareForwarder(directory, self._broker)
        return ClusterProxy(directory, dict(instance.settings), self._jars, self._broker)

    def _prepare(self, instance: Instance, server: Server) -> None:
        for load in instance.prepare:
            options: Options = dict(load.options)
            if isinstance(count := options.get("count"), int):
                options["count"] = max(1, count // self._pace.shrink)
            outcome = self._generator(load, server, options).run({})
            wanted = options.get("count", options.get("topics", 1))
            # A broker that answers "busy" to a few of many is as good as filled.
            if outcome["messages"] < wanted * 0.99:
                raise ServerFailed(f"preparing {instance.label}: {wanted} wanted, but {outcome}")

    def _warm_up(self, instance: Instance, server: Server, loads: tuple[Load, ...]) -> None:
        """Sends and pulls until a JVM has compiled what the rows run."""
        if instance.kind in ("nchan", "bare"):
            return  # knows no Remoting, or nothing to pull, and compiles nothing
        ours = instance.kind in ("gateway", "passthrough", "guarded")
        seconds = self._pace.gateway_warm_up if ours else self._pace.java_warm_up
        if loads:
            timed = sum("count" not in dict(load.options) for load in loads)
            for load in loads:
                options: Options = {**dict(load.options), "seconds": seconds / timed}
                if instance.kind == "guarded":
                    options |= {"access_key": GuardedPassthrough.ACCESS_KEY, "secret_key": GuardedPassthrough.SECRET_KEY}
                self._generator(load, server, options).run({})
            return
        for mode, share in (("create", 0.0), ("send", 0.75), ("pull", 0.25)):
            options = {
                "connections": 8,
                "in_flight": 8,
                "topic": "warm_",
                "seconds": seconds * share,
            }
            self._generator(Load(mode), server, options).run({})

    def _generator(self, load: Load, server: Server, options: Mapping[str, int | float | str]) -> Generator:
        place: Options = {"port": server.port, "broker_name": server.broker_name}
        if load.program == "grpc":
            place = {"port": server.grpc_port, "broker_port": server.port}
        return Generator(self._programs[load.program], load.mode, {**options, **place})

    def _play_fresh(self, row: Row, instance: Instance) -> Sample:
        if row.kind == "start":
            return self._play_start(instance)
        with self._running([instance]) as servers:
            if row.kind == "idle":
                return self._play_idle(dict(row.loads).get(instance.label, row.load), servers[instance.label])
            return self._play_waiting(row.load, servers[instance.label])

    def _play(self, row: Row, instance: Instance, server: Server) -> Sample:
        if row.kind == "restart":
            server.stop()
            return {"figures": {"seconds": server.start()}, "outcome": {}}
        load = dict(row.loads).get(instance.label, row.load)
        options: Options = {
            **dict(load.options),
            "seconds": self._pace.seconds,
            "warm_up": self._pace.warm_up,
        }
        cpu: list[float] = []

        def read() -> None:
            cpu.append(sum(process.cpu_seconds() for process in server.processes))

        outcome = self._generator(load, server, options).run({"measuring": read, "measured": read})
        messages = _number(outcome, "messages")
        latency = outcome.get("latency_ms")
        figures = {
            "cpu": (cpu[1] - cpu[0]) / messages * 1e6 if messages else float("nan"),
            "rate": _number(outcome, "messages_per_second"),
            "generator_cpu": _number(outcome, "generator_cpu_seconds"),
        }
        if isinstance(latency, dict):
            figures |= {name: float(latency[name]) for name in ("p50", "p99", "p999")}
        return {"figures": figures, "outcome": outcome}

    def _play_start(self, instance: Instance) -> Sample:
        server, directory = self._make(instance)
        try:
            seconds = server.start()
            time.sleep(2.0)
            resident = _memory(server)["resident"]
        finally:
            server.stop()
            shutil.rmtree(directory, ignore_errors=True)
        return {"figures": {"seconds": seconds, "resident": resident}, "outcome": {}}

    def _play_idle(self, load: Load, server: Server) -> Sample:
        """Memory of connections that say nothing."""
        options = dict(load.options)
        # The first connections bring what all of them share.
        self._generator(load, server, {**options, "connections": 10}).run({"connected": lambda: None})
        memory = [_memory(server)["anonymous"]]

        def read() -> None:
            time.sleep(1.0)
            memory.append(_memory(server)["anonymous"])

        outcome = self._generator(load, server, options).run({"connected": read})
        kb = (memory[1] - memory[0]) * 1024 / int(options["connections"])
        return {"figures": {"connection_kb": kb}, "outcome": outcome}

    def _play_waiting(self, load: Load, server: Server) -> Sample:
        options = dict(load.options)
        memory = [_memory(server)["anonymous"]]

        def read() -> None:
            memory.append(_memory(server)["anonymous"])

        outcome = self._generator(load, server, options).run({"connected": read, "waiting": read})
        connections = int(options["connections"])
        polls = connections * int(options["in_flight"])
        wake = outcome.get("wake_ms")
        figures = {
            "connection_kb": (memory[1] - memory[0]) * 1024 / connections,
            "poll_kb": (memory[2] - memory[1]) * 1024 / polls,
        }
        if isinstance(wake, dict):
            figures |= {f"wake_{name}": float(wake[name]) for name in ("p50", "p99", "max")}
        return {"figures": figures, "outcome": outcome}


def _memory(server: Server) -> dict[str, float]:
    """MB of all processes of a server."""
    each = [process.memory_kb() for process in server.processes]
    return {name: sum(kb[name] for kb in each) / 1024 for name in ("resident", "anonymous", "peak")}


def _number(outcome: Outcome, name: str) -> float:
    value = outcome.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _short(sample: Sample) -> str:
    return "  ".join(f"{name} {value:,.2f}" for name, value in sample["figures"].items())
