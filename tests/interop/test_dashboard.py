"""What Apache's dashboard asks of a cluster, page by page, by the administration library of the version that it uses."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Server
from tests.interop.mqadmin import Admin, Printed
from tests.interop.mqadmin_scene import Scene, fine

pytestmark = pytest.mark.needs("java", "mvn")

VERSION = "5.3.3"


@pytest.fixture(scope="module")
def pages(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    started = Admin(server.address, tmp_path_factory.mktemp("pages"), VERSION)
    try:
        yield started
    finally:
        started.stop()


def told(printed: Printed) -> dict[str, list[str]]:
    """What a page says under each name."""
    found: dict[str, list[str]] = {}
    for line in fine(printed).out.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def test_clusters_and_what_their_brokers_do(pages: Admin, server: Server, scene: Scene) -> None:
    def sampled(printed: Printed) -> bool:
        # A broker samples each second, and has no rates before.
        return re.search(r"^(putTps|getTransferredTps|getTotalTps) *$", printed.out, re.M) is None

    page = told(pages.until(sampled, "!page", "clusters", seconds=20))
    assert page["clusters"] == [f"{{{server.cluster}=[{server.broker}]}}"]
    assert page["broker"] == [f"{server.broker} 0 {server.broker_address}"]
    assert page["configured"] == [server.broker]
    assert page["namesrv"] == [f"[{server.address}]"]
    for name in ("putTps", "getTransferredTps", "getTotalTps"):
        (rates,) = page[name]
        # Of 10 s, 1 and 10 minutes; a broker that has just started has fewer.
        assert 1 <= len([float(rate) for rate in rates.split()]) <= 3
    for day in ("TodayMorning", "TodayNow", "YesterdayMorning"):
        for what in ("Put", "Get"):
            assert int(page[f"msg{what}Total{day}"][0]) >= 0
    assert int(page["msgPutTotalTodayNow"][0]) - int(page["msgPutTotalTodayMorning"][0]) >= len(scene.sent)
    assert page["brokerVersionDesc"][0].startswith("V5_")
    assert page["runtime"][0].startswith("[ 0 days, ")


def test_topics_and_their_types(pages: Admin, server: Server, scene: Scene) -> None:
    page = told(pages.run("!page", "topics"))
    assert scene.topic in page["topic"]
    assert {"TBW102", "SCHEDULE_TOPIC_XXXX"} & set(page["system"]) and scene.topic not in page["system"]
    assert any(line.split()[0] == scene.topic for line in page["type"])


def test_one_topic(pages: Admin, server: Server, scene: Scene) -> None:
    page = told(pages.run("!page", "topic", scene.topic))
    assert page["route"] == [f"{server.broker} 4"]
    assert int(page["messages"][0]) >= len(scene.sent)
    assert scene.group in page["groups"][0]
    assert page["queues"] == ["4"]
    assert page["of"] == [f"[{server.cluster}]"]


def test_charts(pages: Admin, server: Server, scene: Scene) -> None:
    """A broker has its figures by the hour only after a while; in the gateway they are there at once."""

    def counted(printed: Printed) -> bool:
        sums = re.findall(r"^\w+_NUMS (\d+) true$", printed.out, re.M)
        return len(sums) == 2 and min(map(int, sums)) >= (3 if server.broker == "rmqgateway" else 0)

    printed = pages.until(counted, "!page", "charts", scene.topic, scene.group, seconds=30)
    assert counted(fine(printed)), printed


def test_groups(pages: Admin, server: Server, scene: Scene) -> None:
    page = told(pages.run("!page", "groups", scene.group))
    assert (page["listed"], page["orderly"]) == (["true true"], ["false"])


def test_one_group(pages: Admin, server: Server, scene: Scene) -> None:
    def done(printed: Printed) -> bool:
        # Java's consumer says how far it is every 5 s; before, a broker knows of no queue, and no lag.
        return "\nqueues 0\n" not in printed.out and printed.out.startswith("lag 0\n")

    page = told(pages.until(done, "!page", "group", scene.group, seconds=20))
    assert page["lag"] == ["0"]
    assert page["connected"] == ["1 CONSUME_PASSIVELY CLUSTERING true"]
    assert int(page["queues"][0]) >= 4
    (assigned,) = page["assigned"]
    assert assigned.split()[0] == scene.client and int(assigned.split()[1]) >= 4


def test_messages_of_a_topic_between_two_times(pages: Admin, server: Server, scene: Scene) -> None:
    now = int(time.time() * 1000)
    page = told(pages.run("!page", "messages", scene.topic, "0", str(now)))
    assert {one.unique_id for one in scene.sent} <= set(page["message"])
    assert told(pages.run("!page", "messages", scene.topic, str(now + 3_600_000), str(now + 7_200_000))) == {}
    assert told(pages.run("!page", "messages", scene.topic, "0", "1")) == {}


def test_one_message(pages: Admin, server: Server, scene: Scene) -> None:
    one = scene.sent[1]
    page = told(pages.run("!page", "message", scene.topic, one.unique_id, one.key, scene.group))
    assert page["body"] == [one.body]
    assert f"{scene.group} CONSUMED" in page["track"]
    assert page["by_key"] == [one.unique_id]
    assert page["consumed"] == ["CR_SUCCESS"]


def test_dead_letters(pages: Admin, server: Server, scene: Scene) -> None:
    """A group without any: the page shows an empty list if it is told that there is no such topic (17)."""
    assert told(pages.run("!page", "dead_letters", scene.group)) == {"none": ["17"]}
