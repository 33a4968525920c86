"""The Admin service of gRPC over the cluster backend, before a broker 5.5.0."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.convert_base import timestamp_of
from rmqgateway.commands import (
    CreateGroups,
    CreateTopics,
    GetConsumerOffset,
    GroupConfig,
    TopicConfig,
    UpdateConsumerOffset,
)
from tests.cluster.playing import judge, play_all
from tests.cluster.world import BROKER, ClusterGateway, ClusterWorld
from tests.contract.driver import Pending, Refused
from tests.contract.driver_commands import CommandsDriver
from tests.contract.driver_grpc import GrpcDriver

ADMIN = "/apache.rocketmq.v2.Admin/"


class Admin:
    """A topic of two queues and a group of their own, and who administers them."""

    def __init__(self, gateway: ClusterGateway, name: str) -> None:
        self.world = ClusterWorld(gateway, 20_000)
        self.client = GrpcDriver(self.world)
        self.operator = CommandsDriver(self.world)
        number = int(time.time() * 1000) % 10**8
        self.topic = v2.Resource(name=f"admin_{name}_{number}")
        self.group = v2.Resource(name=f"admin_{name}_{number}_group")
        self.operator.execute(CreateTopics((TopicConfig(self.topic.name, 2, 2),)))
        self.operator.execute(CreateGroups((GroupConfig(self.group.name),)))

    def call(self, name: str, request: Any) -> Any:
        what = "ListMessage" if name == "QueryMessage" else name
        stream = self.client._stream(ADMIN + name, request, getattr(admin, f"{what}Response"))
        (found,) = Pending(self.world, stream).answer()
        if found.status.code != v2.OK:
            raise Refused(int(found.status.code), found.status.message)
        return found

    def until(self, look: Any) -> None:
        for _ in range(100):
            if look():
                return
            self.world.advance(0.2)
        raise AssertionError("it does not come about")

    def send(self, body: str, tag: str = "") -> str:
        request = admin.AdminSendMessageRequest(topic=self.topic, tag=tag, key="k", body=body.encode())
        found: str = self.call("AdminSendMessage", request).message_id
        return found

    def pages(self, **search: Any) -> list[str]:
        found: list[str] = []
        scroll_id = ""
        for _ in range(50):
            request = admin.ListMessageRequest(topic=self.topic, scroll_id=scroll_id, **search)
            answer = self.call("QueryMessage", request)
            found += [message.body.decode() for message in answer.messages]
            scroll_id = answer.scroll_id
            if not scroll_id:
                return found
        raise AssertionError("there is no last page")


def reading(gateway: ClusterGateway) -> None:
    it = Admin(gateway, "reading")
    ids = {str(number): it.send(str(number), "ab"[number % 2]) for number in range(7)}
    it.until(lambda: len(it.pages(subscription="*")) == 7)
    assert sorted(it.pages(subscription="*", page_size=2)) == sorted(ids)
    assert sorted(it.pages(subscription="b", page_size=2)) == ["1", "3", "5"]
    halves = [it.pages(subscription="*", broker_name=BROKER, queue_id=queue_id) for queue_id in (0, 1)]
    assert sorted(halves[0] + halves[1]) == sorted(ids)
    it.until(lambda: sorted(it.pages(message_key="k", page_size=3)) == sorted(ids))
    assert it.pages(message_id=ids["3"]) == ["3"]
    with pytest.raises(Refused) as caught:
        it.pages(lite_topic="east")
    assert caught.value.args
    told = it.call("DescribeTopicStatus", admin.DescribeTopicStatusRequest(topic=it.topic))
    assert told.topic_message_type == v2.NORMAL
    assert BROKER in it.call("GetTopicRoute", admin.GetTopicRouteRequest(topic=it.topic)).topic_route_data
    stats = it.call("GetProxyRuntimeStats", admin.GetProxyRuntimeStatsRequest())
    assert stats.in_tps == stats.out_tps == -1 and stats.connections > 0


def consuming(gateway: ClusterGateway) -> None:
    it = Admin(gateway, "consuming")
    total = 0
    # Which queue takes a message depends on what else is sent meanwhile.
    while total < 40 and not all(it.pages(subscription="*", broker_name=BROKER, queue_id=each) for each in (0, 1)):
        for _ in range(4):
            it.send(str(total))
            total += 1
        it.until(lambda wanted=total: len(it.pages(subscription="*")) == wanted)
    for queue_id in (0, 1):
        it.operator.execute(UpdateConsumerOffset(it.group.name, it.topic.name, queue_id, 1, BROKER))
    group = {"group": it.group}
    it.until(
        lambda: (
            it.call("DescribeGroupAccumulation", admin.DescribeGroupAccumulationRequest(**group)).accumulation.accumulation
            == total - 2
        )
    )
    lag = it.call("DescribeGroupAccumulation", admin.DescribeGroupAccumulationRequest(**group, topics=[it.topic]))
    assert lag.topic_accumulation[it.topic.name].accumulation == total - 2
    assert lag.accumulation.inflight_messages == lag.accumulation.ready_messages == -1
    (known,) = it.call("ListSubscription", admin.ListSubscriptionRequest(**group)).subscription_info
    assert not known.online and known.topic == it.topic
    spans = it.call("QueryTimeSpan", admin.QueryTimeSpanRequest(**group)).queue_time_span_list
    assert [span.message_queue.id for span in spans] == [0, 1] and all(span.min_timestamp > 0 for span in spans)
    with pytest.raises(Refused) as caught:
        it.call("ListConsumerConnection", admin.ListConsumerConnectionRequest(**group))
    assert caught.value.args[0] == v2.CONSUMER_GROUP_NOT_FOUND
    reset = admin.ResetGroupOffsetRequest(**group, topic=it.topic, reset_timestamp=timestamp_of(1))
    it.call("ResetGroupOffset", reset)
    for queue_id in (0, 1):
        command = GetConsumerOffset(it.group.name, it.topic.name, queue_id, broker_name=BROKER)
        it.until(lambda command=command: it.operator.execute(command).offset == 0)
    with pytest.raises(Refused) as caught:
        it.call("DeleteSubscription", admin.DeleteSubscriptionRequest(**group, topic=it.topic))
    assert caught.value.args[0] == v2.UNSUPPORTED and "DeleteSubscription" in str(caught.value)


_SCENES = {scene.__name__: scene for scene in (reading, consuming)}


@pytest.fixture(scope="module")
def outcomes(gateway: ClusterGateway) -> dict[str, BaseException | None]:
    """What became of each."""
    return play_all(_SCENES, lambda name: _SCENES[name](gateway), 2)


@pytest.mark.parametrize("name", _SCENES)
def test_administering(name: str, outcomes: dict[str, BaseException | None]) -> None:
    judge(outcomes[name])
