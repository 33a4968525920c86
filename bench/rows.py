"""What is measured, and what it may cost: the rows of the design's table of budgets, as values.

A later protocol adds rows whose ``Load.program`` is another generator; nothing else here knows Remoting.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

__all__ = ["PARTS", "Against", "Instance", "Load", "Part", "Row"]

GATEWAY, ASYNC, SYNC = "gateway", "Apache ASYNC_FLUSH", "Apache SYNC_FLUSH"
#: The least that it takes here: the prototype of the design's budgets, in brackets there.
BARE = "bare Twisted"
EMPTY, LOADED = "gateway, empty", "gateway, loaded"


@dataclass(frozen=True)
class Load:
    """One run of a load generator: ``mode`` and its options, with underscores for hyphens."""

    mode: str
    options: tuple[tuple[str, int | str], ...] = ()
    program: str = "remoting"


@dataclass(frozen=True)
class Against:
    """At most ``ratio`` times the figure of another instance of the same row and run.

    ``figure`` is ``cpu`` (CPU µs per message), ``p99`` (ms) or ``rate`` (messages per second, where the ratio
    is at least).
    """

    instance: str
    figure: str
    ratio: float


@dataclass(frozen=True)
class Row:
    """What is measured on each instance of its part.

    ``kind`` is ``load`` (a timed run), ``start`` (until it listens, then idle memory), ``restart`` (stopped
    and started on what it holds), ``waiting`` (memory and wake-up of long-polls that wait) or ``idle`` (memory
    of connections). ``budgets`` are upper limits of the figures of ``subject``. ``loads`` replaces the load for
    single instances, ``only`` leaves the others out.
    """

    name: str
    load: Load
    kind: str = "load"
    budgets: tuple[tuple[str, float], ...] = ()
    against: tuple[Against, ...] = ()
    only: tuple[str, ...] = ()
    loads: tuple[tuple[str, Load], ...] = ()
    subject: str = GATEWAY


@dataclass(frozen=True)
class Instance:
    """A server of this session. ``prepare`` fills it before the first row."""

    label: str
    kind: str = "gateway"
    settings: tuple[tuple[str, str], ...] = ()
    prepare: tuple[Load, ...] = ()


@dataclass(frozen=True)
class Part:
    """Rows on the same running instances, which start before the first row and end after the last.

    ``fresh`` starts and ends an instance for every sample instead. ``memory`` are upper limits in MB of what
    an instance holds after the last row. ``warm_up`` replaces the Remoting sends and pulls before the first row; the
    time is shared equally among those of its loads that have no count.
    """

    name: str
    instances: tuple[Instance, ...]
    rows: tuple[Row, ...]
    fresh: bool = False
    memory: tuple[tuple[str, float], ...] = field(default=())
    warm_up: tuple[Load, ...] = ()


def _load(mode: str, connections: int, in_flight: int, **options: int | str) -> Load:
    return Load(mode, (("connections", connections), ("in_flight", in_flight), *options.items()))


def _create(topic: str, topics: int = 1) -> Load:
    return _load("create", 1, 16, topic=topic, topics=topics)


def _send(
    connections: int,
    in_flight: int,
    cpu: float | None,
    other: str,
    ratio: float,
    size: int = 1024,
    bare: float = 0,
) -> Row:
    """:param bare: what the budget is of the prototype's, both measured where the budget was set."""
    label = "1 KB" if size == 1024 else f"{size} B"
    beside = (Against(BARE, "cpu", cpu / bare),) if cpu is not None and bare else ()
    return Row(
        f"send {connections}×{in_flight}, {label}",
        _load("send", connections, in_flight, body_size=size, topic=f"send{size}_"),
        budgets=(("cpu", cpu),) if cpu is not None else (),
        against=(Against(other, "cpu", ratio), Against(other, "rate", 1.0), Against(other, "p99", 1.0), *beside),
        only=(GATEWAY, ASYNC, SYNC, *((BARE,) if bare else ())),
    )


APACHE = (
    Instance(ASYNC, "apache", (("flushDiskType", "ASYNC_FLUSH"),)),
    Instance(SYNC, "apache", (("flushDiskType", "SYNC_FLUSH"),)),
)
TOPICS = (_create("send1024_"), _create("send100_"), _create("pull_"))
FILL = _load("send", 8, 16, topic="pull_", count=200_000)

# Apache's own broker is compared at 1×1 with what it needs for the same promise: SYNC_FLUSH.
START = Part(
    "start",
    (Instance(GATEWAY), APACHE[0]),
    (
        Row(
            "start until listening",
            Load("none"),
            "start",
            (("seconds", 0.6), ("resident", 75)),
            (Against(ASYNC, "seconds", 0.1), Against(ASYNC, "resident", 0.1)),
        ),
    ),
    fresh=True,
)
TRAFFIC = Part(
    "traffic",
    (
        *(replace(each, prepare=(*TOPICS, FILL)) for each in (Instance(GATEWAY), *APACHE)),
        Instance(BARE, "bare"),
    ),
    (
        _send(1, 1, 170, SYNC, 1 / 2, bare=113),
        _send(64, 1, 36, ASYNC, 2 / 3, bare=23),
        _send(8, 16, 18, ASYNC, 2 / 3, bare=9),
        _send(4, 64, None, ASYNC, 2 / 3),
        _send(1, 16, None, ASYNC, 2 / 3),
        _send(8, 16, None, ASYNC, 2 / 3, size=100),
        Row(
            "pull, batches of 32",
            _load("pull", 8, 1, topic="pull_"),
            budgets=(("cpu", 5),),
            against=(Against(ASYNC, "cpu", 1 / 2), Against(ASYNC, "p99", 1.0)),
            only=(GATEWAY, ASYNC),
        ),
    ),
    memory=((GATEWAY, 150),),
)
WAITING = Part(
    "waiting",
    (Instance(GATEWAY, prepare=(_create("idle_"),)), replace(APACHE[0], prepare=(_create("idle_"),))),
    (
        Row(
            "waiting long-polls, 2,000 connections",
            _load("idle", 2000, 1, topic="idle_", wakes=1),
            "waiting",
            (("poll_kb", 4), ("wake_p99", 20)),
        ),
    ),
    fresh=True,
)


def _scale(name: str, load: Load, baseline: Load, prepare: tuple[Load, ...], cpu: float) -> Part:
    """A gateway that is loaded beside one that is not, in turn."""
    first = _create(_topic(baseline))
    row = Row(
        name,
        load,
        budgets=(("cpu", cpu * 1.2),),
        against=(Against(EMPTY, "cpu", 1.2), Against(EMPTY, "p99", 1.2)),
        loads=((EMPTY, baseline),),
        subject=LOADED,
    )
    return Part(
        name, (Instance(EMPTY, prepare=(first,)), Instance(LOADED, prepare=(first, *prepare))), (row,)
    )


def _topic(load: Load) -> str:
    return str(dict(load.options)["topic"])


BASE = _load("send", 8, 16, topic="base_")
MILLION = _load("send", 8, 16, topic="base_", count=1_000_000)
MIXED = _load("send", 8, 16, topic="base_", mix_4mb=5_000)


def _topics(count: int) -> Part:
    many = _load("send", 8, 16, topic="many_", topics=count)
    return _scale(f"{count:,} topics", many, BASE, (_create("many_", count),), 18)


STORED = _scale("1 M messages stored", BASE, BASE, (MILLION,), 18)
RESTART = Row(
    "restart with 1 M messages", Load("none"), "restart", (("seconds", 2),), only=(LOADED,), subject=LOADED
)
SCALE = (
    _topics(1_000),
    _topics(10_000),
    replace(STORED, rows=(*STORED.rows, RESTART)),
    _scale("one 4 MB body in 5,000", MIXED, BASE, (), 18),
)
PARTS = (START, TRAFFIC, WAITING, *SCALE)
