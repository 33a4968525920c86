"""Where new groups of the Java client 5.5.0 begin in a queue whose first messages retention has dropped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.interop.gateway import Gateway
from tests.interop.mqadmin import Admin
from tests.interop.mqadmin_scene import fine

pytestmark = [pytest.mark.needs("java", "mvn"), pytest.mark.gateway_only]
TOPIC = "aged"


@dataclass(frozen=True)
class Old:
    """A topic of one queue: `kept` numbers are left, the last three were sent after `moment`."""

    admin: Admin
    kept: list[str]
    moment: str


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    directory = tmp_path_factory.mktemp("aged")
    small = {
        "store.segment_bytes": 1 << 20,
        "store.snapshot_interval": 1,
        "store.retention_interval": 1,
        "local.retention_bytes": 2 << 20,
    }
    options = tuple(word for name, value in small.items() for word in ("--set", f"{name}={value}"))
    gateway = Gateway(directory / "gateway", options)
    gateway.start()
    admin: Admin | None = None
    try:
        admin = Admin(gateway.address, directory)
        admin.run("updateTopic", "-c", gateway.cluster, "-t", TOPIC, "-r", "1", "-w", "1")

        def offsets() -> tuple[int, int]:
            rows = [row for row in admin.run("topicStatus", "-t", TOPIC).lines if row[0] == gateway.broker]
            return int(rows[0][2]), int(rows[0][3])

        sent = 0
        for _ in range(20):
            admin.run("!fill", TOPIC, str(sent), "600", seconds=120)
            sent += 600
            time.sleep(2)
            if offsets()[0] > 0:
                break
        # Times of clients have no smaller unit than a second.
        time.sleep(2)
        moment = time.strftime("%Y%m%d%H%M%S")
        time.sleep(1)
        admin.run("!fill", TOPIC, str(sent), "3")
        lowest, highest = offsets()
        assert 0 < lowest < highest == sent + 3
        yield Old(admin, [str(number) for number in range(lowest, highest)], moment)
    finally:
        if admin is not None:
            admin.stop()
        gateway.stop()


def received(old: Old, group: str, count: int) -> list[str]:
    printed = old.admin.until(lambda each: len(each.lines) >= count, "!received", group, seconds=60)
    return sorted((row[0] for row in printed.lines), key=int)


@pytest.mark.parametrize("kind", ["push", "poll"])
def test_from_the_first_offset(kind: str, old: Old) -> None:
    group = f"first_{kind}"
    fine(old.admin.run("!from", kind, "FIRST", group, TOPIC))
    assert received(old, group, len(old.kept)) == old.kept


@pytest.mark.parametrize("kind", ["push", "poll"])
def test_from_a_time(kind: str, old: Old) -> None:
    group = f"time_{kind}"
    fine(old.admin.run("!from", kind, old.moment, group, TOPIC))
    assert received(old, group, 3) == old.kept[-3:]
    time.sleep(2)
    assert received(old, group, 3) == old.kept[-3:], "and nothing from before"


def test_from_the_last_offset(old: Old) -> None:
    """Only what comes after the group began; it is sent when both have begun."""
    for kind in ("push", "poll"):
        fine(old.admin.run("!from", kind, "LAST", f"last_{kind}", TOPIC))
    for kind in ("push", "poll"):
        connected = ("consumerConnection", "-g", f"last_{kind}")
        assert "JAVA" in old.admin.until(lambda each: "JAVA" in each.out, *connected, seconds=60).out
    # Nothing shows from outside that a client has asked where the queue ends; it does so when it has balanced.
    time.sleep(10)
    late = str(int(old.kept[-1]) + 1)
    old.admin.run("!fill", TOPIC, late, "1")
    for kind in ("push", "poll"):
        assert received(old, f"last_{kind}", 1) == [late]
