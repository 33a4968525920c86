"""mqadmin of RocketMQ 5.5.0, unchanged: what each subcommand prints about things that are known to be there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.gateway import Gateway
from tests.interop.mqadmin import Admin, Printed
from tests.interop.mqadmin_scene import Scene, Sent, fine, shows

pytestmark = pytest.mark.needs("java", "mvn")


def test_cluster_list(admin: Admin, server: Server) -> None:
    rows = fine(admin.run("clusterList")).lines
    assert [row[:4] for row in rows] == [[server.cluster, server.broker, "0", server.broker_address]]
    assert re.fullmatch(r"V\d+_\d+_\d+", rows[0][4])


def test_cluster_list_more(admin: Admin, server: Server, scene: Scene) -> None:
    rows = fine(admin.run("clusterList", "-m")).lines
    assert rows[0][:2] == [server.cluster, server.broker]
    # Total of what came in until now, messages; the scene alone is three.
    assert int(rows[0][4]) >= len(scene.sent)


def test_topic_list(admin: Admin, scene: Scene) -> None:
    assert scene.topic in fine(admin.run("topicList")).out.split()


def test_topic_list_of_cluster(admin: Admin, server: Server, scene: Scene) -> None:
    rows = fine(admin.run("topicList", "-c")).lines
    assert [server.cluster, scene.topic, scene.group] in rows


def test_topic_route(admin: Admin, server: Server, scene: Scene) -> None:
    text = re.sub(r"\s", "", fine(admin.run("topicRoute", "-t", scene.topic)).out)
    assert f'"brokerAddrs":{{0:"{server.broker_address}"}}' in text
    assert f'"brokerName":"{server.broker}"' in text
    assert f'"cluster":"{server.cluster}"' in text
    assert '"perm":6,"readQueueNums":4' in text
    assert '"writeQueueNums":4' in text


def test_topic_route_unknown(admin: Admin, prefix: str) -> None:
    assert "CODE: 17" in admin.run("topicRoute", "-t", f"{prefix}_none").err


def test_topic_status(admin: Admin, server: Server, scene: Scene) -> None:
    printed = admin.until(
        lambda each: sum(int(row[3]) for row in each.lines if row[0] == server.broker) >= 3,
        "topicStatus",
        "-t",
        scene.topic,
    )
    rows = [row for row in fine(printed).lines if row[0] == server.broker]
    assert [row[1] for row in rows] == ["0", "1", "2", "3"]
    assert all(row[2] == "0" for row in rows)
    assert any(re.match(r"20\d\d-", row[4]) for row in rows if len(row) > 4)


def test_update_and_delete_topic(admin: Admin, server: Server, prefix: str) -> None:
    topic = f"{prefix}_admin_other"
    made = fine(admin.run("updateTopic", "-b", server.broker_address, "-t", topic, "-r", "3", "-w", "2"))
    assert f"create topic to {server.broker_address} success." in made.out
    assert "readQueueNums=3, writeQueueNums=2, perm=RW-" in made.out
    route = admin.until(lambda printed: '"readQueueNums":3' in printed.out, "topicRoute", "-t", topic)
    assert '"writeQueueNums":2' in fine(route).out
    changed = fine(
        admin.run("updateTopic", "-c", server.cluster, "-t", topic, "-r", "6", "-w", "6", "-p", "4")
    )
    assert "perm=R--" in changed.out
    route = admin.until(lambda printed: '"readQueueNums":6' in printed.out, "topicRoute", "-t", topic)
    assert '"perm":4' in route.out
    gone = fine(admin.run("deleteTopic", "-c", server.cluster, "-t", topic))
    assert f"delete topic [{topic}] from cluster [{server.cluster}] success." in gone.out
    assert "CODE: 17" in admin.run("topicRoute", "-t", topic).err


def test_update_and_delete_group(admin: Admin, server: Server, prefix: str) -> None:
    group = f"{prefix}_admin_sub"
    made = fine(admin.run("updateSubGroup", "-c", server.cluster, "-g", group, "-r", "3", "-q", "1"))
    assert f"create subscription group to {server.broker_address} success." in made.out
    assert f"groupName={group}" in made.out and "retryMaxTimes=3" in made.out
    gone = fine(admin.run("deleteSubGroup", "-c", server.cluster, "-g", group))
    assert f"delete subscription group [{group}] from broker [{server.broker_address}]" in gone.out


def test_consumer_progress_of_group(admin: Admin, server: Server, scene: Scene) -> None:
    def caught_up(printed: Printed) -> bool:
        # Offsets that were never committed are not listed yet.
        return "Consume Diff Total: 0" in printed.out and f"{scene.topic} " in printed.out

    printed = admin.until(caught_up, "consumerProgress", "-g", scene.group, seconds=30)
    rows = [row for row in fine(printed).lines if row[0] == scene.topic]
    assert [row[1:3] for row in rows] == [[server.broker, str(queue)] for queue in range(4)]
    assert caught_up(printed), printed.out
    assert all(row[3] == row[4] and row[5] == "0" for row in rows)


def test_consumer_progress_of_all(admin: Admin, scene: Scene) -> None:
    rows = fine(admin.run("consumerProgress", seconds=90)).lines
    mine = [row for row in rows if row[0] == scene.group]
    assert len(mine) == 1
    assert mine[0][1] == "1" and mine[0][3:5] == ["PUSH", "CLUSTERING"]


def test_consumer_connection(admin: Admin, scene: Scene) -> None:
    text = fine(admin.run("consumerConnection", "-g", scene.group)).out
    assert re.search(rf"^{re.escape(scene.client)} +127\.0\.0\.1:\d+ +JAVA +V5_5_0", text, re.M)
    assert [scene.topic, "*"] in [line.split() for line in text.splitlines()]
    assert [f"%RETRY%{scene.group}", "*"] in [line.split() for line in text.splitlines()]
    assert "ConsumeType: CONSUME_PASSIVELY" in text
    assert "MessageModel: CLUSTERING" in text
    assert "ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET" in text


def test_consumer_connection_unknown(admin: Admin, prefix: str) -> None:
    assert re.search(r"CODE: (17|206)", admin.run("consumerConnection", "-g", f"{prefix}_nobody").err)


def test_producer_connection(admin: Admin, scene: Scene) -> None:
    words = ("producerConnection", "-g", scene.producers, "-t", scene.topic)
    printed = fine(admin.until(lambda each: "JAVA" in each.out, *words))
    assert re.search(r"producer-of-\S+ +127\.0\.0\.1:\d+ +JAVA +V5_5_0", printed.out)


def test_consumer_status(admin: Admin, scene: Scene) -> None:
    text = fine(admin.run("consumerStatus", "-g", scene.group)).out
    assert scene.client in text
    assert "Same subscription in the same group of consumer" in text
    assert "Rebalance OK" in text


def test_consumer_status_of_client(admin: Admin, scene: Scene) -> None:
    printed = admin.run("consumerStatus", "-g", scene.group, "-i", scene.client, "-s")
    assert not printed.err
    text = printed.out
    assert "#Consumer Properties#" in text
    assert "PROP_CONSUME_TYPE" in text
    assert scene.topic in text
    # The stack of the client's own threads was asked for with -s.
    assert "java.base" in text or "Thread" in text


def test_send_message(admin: Admin, server: Server, scene: Scene) -> None:
    first = fine(admin.run("sendMessage", "-t", scene.topic, "-p", "sent", "-k", "k9", "-c", "A")).lines
    assert first[0][0] == server.broker and first[0][2] == "SEND_OK"
    words = ("sendMessage", "-t", scene.topic, "-p", "sent there", "-b", server.broker, "-i", "2")
    assert fine(admin.run(*words)).lines[0][:3] == [server.broker, "2", "SEND_OK"]
    received = admin.until(lambda printed: "sent there" in printed.out, "!received", scene.group)
    assert {"sent", "sent there"} <= set(received.out.splitlines())


def test_consume_message(admin: Admin, scene: Scene) -> None:
    text = fine(admin.run("consumeMessage", "-t", scene.topic)).out
    assert "Consume ok" in text
    assert {each.unique_id for each in scene.sent} <= set(re.findall(r"MSGID: (\S+)", text))
    assert "BODY: 三" in text


def test_consume_message_at(admin: Admin, server: Server, scene: Scene) -> None:
    one = scene.sent[1]
    words = (
        "consumeMessage",
        "-t",
        scene.topic,
        "-b",
        server.broker,
        "-i",
        one.queue,
        "-o",
        one.offset,
        "-c",
        "1",
    )
    assert f"MSGID: {one.unique_id}" in fine(admin.run(*words)).out


@pytest.mark.parametrize("number", [0, 2])
def test_query_message_by_id(number: int, admin: Admin, server: Server, scene: Scene) -> None:
    one = scene.sent[number]
    text = fine(admin.run("queryMsgById", "-i", one.offset_id, "-t", scene.topic)).out
    shows(text, one)
    assert f"Store Host:          {server.broker_address}" in text
    assert re.search(rf"consumerGroup={scene.group}, trackType=CONSUMED", text)


def test_consume_directly(admin: Admin, scene: Scene) -> None:
    one = scene.sent[0]
    words = ("queryMsgById", "-i", one.offset_id, "-t", scene.topic, "-g", scene.group, "-d", scene.client)
    before = admin.run("!received", scene.group).lines.count([one.body])
    assert "consumeResult=CR_SUCCESS" in fine(admin.run(*words)).out
    assert admin.run("!received", scene.group).lines.count([one.body]) == before + 1


@pytest.mark.parametrize("number", [0, 2])
def test_query_message_by_key(number: int, admin: Admin, scene: Scene) -> None:
    one = scene.sent[number]
    words = ("queryMsgByKey", "-t", scene.topic, "-k", one.key)
    printed = admin.until(lambda each: one.unique_id in each.out, *words)
    assert [row[:3] for row in fine(printed).lines] == [[one.unique_id, one.queue, one.offset]]


def test_query_message_by_unknown_key(admin: Admin, scene: Scene) -> None:
    assert "CODE: 208" in admin.run("queryMsgByKey", "-t", scene.topic, "-k", "no-such-key").err


def test_query_message_by_unique_key(admin: Admin, scene: Scene) -> None:
    one = scene.sent[1]
    words = ("queryMsgByUniqueKey", "-i", one.unique_id, "-t", scene.topic)
    shows(fine(admin.until(lambda each: "Queue ID" in each.out, *words)).out, one)


def test_query_message_by_offset(admin: Admin, server: Server, scene: Scene) -> None:
    one = scene.sent[2]
    words = ("queryMsgByOffset", "-t", scene.topic, "-b", server.broker, "-i", one.queue, "-o", one.offset)
    text = fine(admin.run(*words)).out
    shows(text, one)
    assert f"OffsetID:            {one.offset_id}" in text


def test_print_messages(admin: Admin, scene: Scene) -> None:
    text = fine(admin.run("printMsg", "-t", scene.topic)).out
    assert text.count("minOffset=0") == 4
    assert {each.unique_id for each in scene.sent} <= set(re.findall(r"MSGID: (\S+)", text))


def test_reset_offset_by_time(admin: Admin, server: Server, scene: Scene) -> None:
    """A running consumer is told, and everything comes again."""
    before = admin.run("!received", scene.group).lines
    printed = fine(admin.run("resetOffsetByTime", "-g", scene.group, "-t", scene.topic, "-s", "0"))
    rows = sorted(row for row in printed.lines if row[0] == server.broker)
    assert rows == [[server.broker, str(queue), "0"] for queue in range(4)]

    def again(each: Printed) -> bool:
        return all(each.lines.count([one.body]) > before.count([one.body]) for one in scene.sent)

    # The client itself waits ten seconds before it begins at the new offset.
    assert again(admin.until(again, "!received", scene.group, seconds=40))


def test_reset_offset_without_consumer(admin: Admin, server: Server, scene: Scene, prefix: str) -> None:
    group = f"{prefix}_admin_reset"
    admin.run("!consume", group, scene.topic)
    everything = admin.until(lambda each: len(each.lines) >= 3, "!received", group)
    assert {one.body for one in scene.sent} <= set(everything.out.splitlines())
    admin.run("!stop", group)
    fine(admin.run("resetOffsetByTime", "-g", group, "-t", scene.topic, "-s", "0"))
    before = admin.run("!received", group).lines
    admin.run("!consume", group, scene.topic)

    def again(each: Printed) -> bool:
        return all(each.lines.count([one.body]) > before.count([one.body]) for one in scene.sent)

    assert again(admin.until(again, "!received", group, seconds=20))
    admin.run("!stop", group)


def test_broker_status(admin: Admin, server: Server) -> None:
    text = fine(admin.run("brokerStatus", "-b", server.broker_address)).out
    told = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())
    }
    assert int(told["msgPutTotalTodayNow"]) >= 3
    assert int(told["bootTimestamp"]) > 1_600_000_000_000
    assert re.fullmatch(r"V\d+_\d+_\d+", told["brokerVersionDesc"])
    assert {
        "putTps",
        "getTotalTps",
        "runtime",
        "commitLogMaxOffset",
        "earliestMessageTimeStamp",
    } <= told.keys()


def test_broker_config(admin: Admin, server: Server) -> None:
    text = fine(admin.run("getBrokerConfig", "-b", server.broker_address)).out
    told = {
        name.strip(): value.strip() for name, _, value in (line.partition("=") for line in text.splitlines())
    }
    assert told["brokerName"] == server.broker
    assert told["brokerClusterName"] == server.cluster
    assert told["autoCreateTopicEnable"] == "true"
    assert told["maxMessageSize"] == str(4 << 20)


@pytest.mark.gateway_only
def test_update_broker_config_is_refused(admin: Admin, server: Server) -> None:
    words = ("updateBrokerConfig", "-b", server.broker_address, "-k", "maxMessageSize", "-v", "1024")
    printed = admin.run(*words)
    assert re.search(r"CODE: (3|16)\b", printed.err), printed
    told = fine(admin.run("getBrokerConfig", "-b", server.broker_address)).out
    assert re.search(rf"maxMessageSize +=  {4 << 20}", told)


@pytest.mark.gateway_only
def test_update_namesrv_config_is_refused(admin: Admin, server: Server) -> None:
    printed = admin.run("updateNamesrvConfig", "-n", server.address, "-k", "listenPort", "-v", "1")
    assert re.search(r"CODE: (3|16)\b", printed.err), printed


@pytest.mark.gateway_only
def test_query_message_by_id_after_restart(prefix: str, tmp_path: Path) -> None:
    """An id holds an address, and the client dials it: the one that is shown today is that of today's port."""
    first = Gateway(tmp_path / "gateway")
    first.start()
    topic = f"{prefix}_admin_restart"
    before: Admin | None = None
    after: Admin | None = None
    try:
        before = Admin(first.address, tmp_path)
        produced = before.run("!produce", f"{prefix}_restart", topic, "kept|key|tag")
        unique, stored, number, place = produced.lines[0][:4]
        one = Sent(unique, stored, number, place, "kept", "key", "tag")
        before.stop()
        old = first.address
        first.stop()
        first.start()
        assert first.address != old
        after = Admin(first.address, tmp_path)
        words = ("queryMsgByOffset", "-t", topic, "-b", first.broker, "-i", one.queue, "-o", one.offset)
        text = fine(after.run(*words)).out
        today = re.findall(r"OffsetID: +(\S+)", text)[0]
        assert today[-16:] == one.offset_id[-16:] and today != one.offset_id
        shows(text, one)
        shows(fine(after.run("queryMsgById", "-i", today, "-t", topic)).out, one)
        # The id that the producer made up is no address; the client falls back to asking for it as a key.
        shows(fine(after.run("queryMsgById", "-i", one.unique_id, "-t", topic)).out, one)
    finally:
        for each in (before, after):
            if each is not None:
                each.stop()
        first.stop()
        shutil.rmtree(tmp_path / "gateway", ignore_errors=True)
