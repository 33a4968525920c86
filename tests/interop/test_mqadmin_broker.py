"""mqadmin of RocketMQ 5.5.0, unchanged: looking after a broker, its groups and its traces."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.mqadmin import Admin, Printed
from tests.interop.mqadmin_scene import Scene, fine

pytestmark = pytest.mark.needs("java", "mvn")


def test_consume_statistics_of_the_broker(admin: Admin, server: Server, scene: Scene) -> None:
    def listed(printed: Printed) -> bool:
        rows = [row for row in printed.lines if row[:2] == [scene.topic, scene.group]]
        return sum(int(row[5]) for row in rows) >= 3

    words = ("brokerConsumeStats", "-b", server.broker_address, "-t", "30000")
    printed = fine(admin.until(listed, *words, seconds=30))
    rows = [row for row in printed.lines if row[:2] == [scene.topic, scene.group]]
    assert rows and all(row[2] == server.broker and row[6] == "0" for row in rows)
    assert re.search(r"^Diff Total: \d+$", printed.out, re.M)


def test_statistics_of_all(admin: Admin, server: Server, scene: Scene) -> None:
    def counted(printed: Printed) -> bool:
        # Other tests of this topic have groups of their own.
        rows = [row for row in printed.lines if row[0] == scene.topic and row[1] == scene.group]
        return len(rows) == 1 and int(row_of(rows[0])["in"]) >= 3 and int(row_of(rows[0])["out"]) >= 3

    def row_of(row: list[str]) -> dict[str, str]:
        return {"group": row[1], "in": row[5], "out": row[6]}

    words = ("statsAll", "-t", scene.topic)
    printed = fine(admin.until(counted, *words, seconds=75 if server.broker != "rmqgateway" else 20))
    assert counted(printed), printed.out


def test_the_distribution_of_put_latency(admin: Admin, server: Server, scene: Scene) -> None:
    text = fine(admin.run("brokerStatus", "-b", server.broker_address)).out
    line = next(line for line in text.splitlines() if line.startswith("putMessageDistributeTime"))
    spans = dict(re.findall(r"\[([^]]+)\]:(\d+)", line))
    assert list(spans)[:3] == ["<=0ms", "0~10ms", "10~50ms"] and len(spans) == 13
    if server.broker == "rmqgateway":  # Apache's counts are those of the minute before
        assert sum(map(int, spans.values())) >= len(scene.sent)


@pytest.mark.parametrize("command", ["cleanExpiredCQ", "cleanUnusedTopic", "deleteExpiredCommitLog"])
@pytest.mark.parametrize("where", ["broker", "cluster"])
def test_cleaning(command: str, where: str, admin: Admin, server: Server, scene: Scene) -> None:
    words = ("-b", server.broker_address) if where == "broker" else ("-c", server.cluster)
    assert fine(admin.run(command, *words)).out.strip() == "success"
    assert scene.topic in fine(admin.run("topicList")).out.split()


def test_many_topics_and_groups_at_once(admin: Admin, server: Server, prefix: str, tmp_path: Path) -> None:
    topics = [
        {"topicName": f"{prefix}_many_{number}", "readQueueNums": number, "writeQueueNums": 2, "perm": 6}
        for number in (2, 3)
    ]
    groups = [{"groupName": f"{prefix}_groups_{number}", "retryMaxTimes": number} for number in (4, 5)]
    (tmp_path / "topics").write_text(json.dumps(topics))
    (tmp_path / "groups").write_text(json.dumps(groups))
    words = ("-b", server.broker_address, "-f")
    assert "success" in fine(admin.run("updateTopicList", *words, str(tmp_path / "topics"))).out
    assert "success" in fine(admin.run("updateSubGroupList", *words, str(tmp_path / "groups"))).out
    for number in (2, 3):
        route = ("topicRoute", "-t", f"{prefix}_many_{number}")
        printed = admin.until(lambda each: "readQueueNums" in each.out, *route)
        assert f'"readQueueNums":{number}' in fine(printed).out
    for number in (4, 5):
        printed = fine(admin.run("getConsumerConfig", "-g", f"{prefix}_groups_{number}"))
        assert re.search(rf"^retryMaxTimes += +{number}$", printed.out, re.M)


def test_skipping_and_cloning_offsets(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    group, clone = f"{prefix}_skipping", f"{prefix}_cloned"
    admin.run("updateSubGroup", "-c", server.cluster, "-g", group)
    admin.run("updateSubGroup", "-c", server.cluster, "-g", clone)
    fine(admin.run("resetOffsetByTime", "-g", group, "-t", scene.topic, "-s", "0"))

    def lag(name: str) -> int:
        text = fine(admin.run("consumerProgress", "-g", name)).out
        return int(re.findall(r"Consume Diff Total: (\d+)", text)[0])

    assert lag(group) >= 3
    printed = fine(admin.run("skipAccumulatedMessage", "-g", group, "-t", scene.topic))
    assert sorted(row[1] for row in printed.lines if row[0] == server.broker) == ["0", "1", "2", "3"]
    assert lag(group) == 0
    words = ("cloneGroupOffset", "-s", group, "-d", clone, "-t", scene.topic)
    assert "clone group offset success" in fine(admin.run(*words)).out
    assert lag(clone) == 0


def test_a_group_is_made_to_pop_and_its_progress_is_true(
    admin: Admin, server: Server, scene: Scene, prefix: str
) -> None:
    group = f"{prefix}_popping"
    words = ("-c", server.cluster, "-t", scene.topic, "-g", group)
    assert "consume mode[POP]" in fine(admin.run("setConsumeMode", *words, "-m", "POP", "-q", "4")).out
    client = admin.run("!pop", group, scene.topic).out.strip()
    received = admin.until(lambda each: len(each.lines) >= 3, "!received", group, seconds=30)
    assert {one.body for one in scene.sent} <= set(received.out.splitlines())

    def caught_up(printed: Printed) -> bool:
        rows = [row for row in printed.lines if row[0] == scene.topic]
        return len(rows) == 4 and all(row[3] == row[4] for row in rows)

    printed = admin.until(caught_up, "consumerProgress", "-g", group, seconds=20)
    assert caught_up(printed), printed.out
    assert client in fine(admin.run("consumerConnection", "-g", group)).out
    assert "Rebalance" in fine(admin.run("consumerStatus", "-g", group)).out
    admin.run("!stop", group)


def test_a_group_is_paused_and_goes_on(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    group = f"{prefix}_paused"
    words = ("updateSubGroup", "-c", server.cluster, "-g", group, "-s")
    fine(admin.run(*words, "false"))
    admin.run("!consume", group, scene.topic)
    time.sleep(3)
    assert not admin.run("!received", group).lines
    fine(admin.run(*words, "true"))
    received = admin.until(lambda each: len(each.lines) >= 3, "!received", group, seconds=30)
    assert {one.body for one in scene.sent} <= set(received.out.splitlines())
    admin.run("!stop", group)


def test_a_group_is_paused_at_one_topic_and_goes_on(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    group = f"{prefix}_paused_at"
    words = ("!readable", server.broker_address, group, scene.topic)
    fine(admin.run("updateSubGroup", "-c", server.cluster, "-g", group))
    assert admin.run(*words).out.strip() == "true"
    assert admin.run(*words, "false").out.strip() == "false"
    assert admin.run(*words).out.strip() == "false"
    admin.run("!consume", group, scene.topic)
    time.sleep(3)
    assert not admin.run("!received", group).lines
    assert admin.run(*words, "true").out.strip() == "true"
    received = admin.until(lambda each: len(each.lines) >= 3, "!received", group, seconds=30)
    assert {one.body for one in scene.sent} <= set(received.out.splitlines())
    admin.run("!stop", group)


def test_write_permission_of_a_broker(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    topic = f"{prefix}_wiped"
    fine(admin.run("updateTopic", "-c", server.cluster, "-t", topic))
    wiped = fine(admin.run("wipeWritePerm", "-b", server.broker))
    assert re.search(rf"wipe write perm of broker\[{server.broker}\] in name server\[.*\] OK, \d+", wiped.out)
    try:
        assert "No route info" in admin.run("sendMessage", "-t", topic, "-p", "x").err
    finally:
        given = fine(admin.run("addWritePerm", "-b", server.broker))
        assert re.search(rf"add write perm of broker\[{server.broker}\] .* OK, \d+", given.out)
    printed = admin.until(lambda each: "SEND_OK" in each.out, "sendMessage", "-t", topic, "-p", "x")
    assert "SEND_OK" in fine(printed).out


def test_clusters_and_queues_of_a_topic(admin: Admin, server: Server, scene: Scene) -> None:
    assert fine(admin.run("topicClusterList", "-t", scene.topic)).out.split() == [server.cluster]
    text = fine(admin.run("allocateMQ", "-t", scene.topic, "-i", "10.0.0.1,10.0.0.2")).out
    result = json.loads(text)["result"]
    assert [len(result[name]) for name in ("10.0.0.1", "10.0.0.2")] == [2, 2]


def test_round_trips_of_sends(admin: Admin, server: Server, scene: Scene) -> None:
    printed = fine(admin.run("checkMsgSendRT", "-t", scene.topic, "-a", "3", "-s", "10"))
    assert [row[2] for row in printed.lines if row[0] == server.broker] == ["true"] * 3
    printed = fine(admin.run("sendMsgStatus", "-b", server.broker, "-s", "16", "-c", "2"))
    assert printed.out.count("SEND_OK") == 2


def test_all_producers(admin: Admin, server: Server, scene: Scene) -> None:
    words = ("producer", "-b", server.broker_address)
    printed = fine(admin.until(lambda each: f"({scene.producers})" in each.out, *words))
    shown = rf"producer group \({scene.producers}\) instance : clientId=\S+, language=JAVA"
    assert re.search(shown, printed.out)


def test_replication(admin: Admin, server: Server, scene: Scene) -> None:
    text = fine(admin.run("haStatus", "-b", server.broker_address)).out
    assert f"#MasterAddr\t{server.broker_address}" in text
    assert int(re.findall(r"#MasterCommitLogMaxOffset\t(\d+)", text)[0]) > 0
    assert "#SlaveNum\t0" in text


@pytest.mark.gateway_only  # against Apache's own broker these fail on fastjson's dialect
@pytest.mark.parametrize("what", ["Metadata", "Metrics", "Configs"])
def test_exports(what: str, admin: Admin, server: Server, scene: Scene, tmp_path: Path) -> None:
    fine(admin.run(f"export{what}", "-c", server.cluster, "-f", str(tmp_path), seconds=60))
    written = json.loads((tmp_path / f"{what.lower()}.json").read_text())
    assert written
    if what == "Metadata":
        assert scene.topic in json.dumps(written) and scene.group in json.dumps(written)


@pytest.mark.gateway_only
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("POP_ROLLBACK(200056)", ("exportPopRecord", "-b", "{broker}")),
        ("GET_COLD_DATA_FLOW_CTR_INFO(2003)", ("getColdDataFlowCtrInfo", "-b", "{broker}")),
        (
            "UPDATE_COLD_DATA_FLOW_CTR_CONFIG(2001)",
            ("updateColdDataFlowCtrGroupConfig", "-b", "{broker}", "-g", "g", "-v", "1"),
        ),
        ("SET_COMMITLOG_READ_MODE(2004)", ("setCommitLogReadAheadMode", "-b", "{broker}", "-m", "0")),
        ("CHECK_ROCKSDB_CQ_WRITE_PROGRESS(354)", ("checkRocksdbCqWriteProgress", "-c", "{cluster}")),
        ("CONTROLLER_GET_METADATA_INFO(1005)", ("getControllerMetaData", "-a", "{broker}")),
        ("GET_BROKER_EPOCH_CACHE(1007)", ("getBrokerEpoch", "-b", "{name}")),
        ("GET_CONTROLLER_CONFIG(1010)", ("getControllerConfig", "-a", "{broker}")),
    ],
)
def test_what_a_single_broker_does_not_have_is_refused_by_name(
    code: str, words: tuple[str, ...], admin: Admin, server: Server
) -> None:
    named = {"broker": server.broker_address, "cluster": server.cluster, "name": server.broker}
    printed = admin.run(*(word.format(**named) for word in words))
    assert code in printed.err + printed.out


def test_a_trace_is_found_by_id_and_by_key(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    """A producer with its trace switched on writes RMQ_SYS_TRACE_TOPIC; mqadmin finds what became of the message."""
    producers = f"{prefix}_traced"
    unique_id = admin.run("!trace", producers, scene.topic, f"traced|{prefix}tracekey|A").lines[0][0]
    words = ("queryMsgTraceById", "-i", unique_id)
    printed = fine(admin.until(lambda each: "success" in each.out, *words, seconds=30))
    (row,) = [row for row in printed.lines if row[0] == "Pub"]
    assert row[1] == producers and row[-1] == "success"
    for key in (unique_id, f"{prefix}tracekey"):
        words = ("queryMsgByKey", "-t", "RMQ_SYS_TRACE_TOPIC", "-k", key)
        assert len(fine(admin.run(*words)).lines) == 1


def test_waiting_for_messages_without_taking_them(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    group = f"{prefix}_notified"
    fine(admin.run("updateSubGroup", "-c", server.cluster, "-g", group))
    for _ in range(2):
        assert admin.run("!await", server.broker_address, group, scene.topic, "2000").out.strip() == "true"
    empty = f"{prefix}_notified_none"
    fine(admin.run("updateTopic", "-c", server.cluster, "-t", empty))
    assert admin.run("!await", server.broker_address, group, empty, "1000").out.strip() == "false"


def test_a_namespace_of_the_second_version(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    """Header fields ``ns`` and ``nsd``: two namespaces do not see each other, tools see both."""
    topic, group = f"{prefix}_spaced", f"{prefix}_spaced_group"
    for space in ("one", "two"):
        printed = fine(admin.run("!namespaced", space, group, topic, f"body of {space}", seconds=60))
        assert printed.out.split("\n")[0].endswith(f" body of {space}"), printed
    topics = fine(admin.run("topicList")).out.split()
    assert {f"one%{topic}", f"two%{topic}"} <= set(topics) and topic not in topics
