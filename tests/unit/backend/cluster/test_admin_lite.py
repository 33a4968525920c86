"""Lite topics at two scripted brokers, told of as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rmqgateway.commands import (
    BrokerLiteInformation,
    GetBrokerLiteInformation,
    GetLiteClientInformation,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetParentTopicInformation,
    LiteClientInformation,
    LiteGroupInformation,
    LiteLag,
    LiteTopicInformation,
    ParentTopicInformation,
    QueueProgress,
    TriggerLiteDispatch,
)
from rmqgateway.errors import Code
from rmqgateway.message import MessageQueue
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.world import OK, A, B, World

BROKER = {
    "cqTableSize": 6,
    "currentLmqNum": 2,
    "eventMapSize": 1,
    "groupMeta": {"parent": ["g"]},
    "liteSubscriptionCount": 1,
    "maxLmqNum": 20000,
    "offsetTableSize": 1,
    "orderInfoCount": 1,
    "storeType": "default",
    "topicMeta": {"parent": 120},
}
GROUP = {"group": "g", "parentTopic": "parent", "earliestUnconsumedTimestamp": -1, "totalLagCount": 0}


def says(body: Any) -> Callable[[RemotingCommand], Any]:
    data = json.dumps(body).encode()
    return lambda _: (0, {}, data)


def world(code: RequestCode, at_a: Any, at_b: Any) -> World:
    made = World(brokers=(A, B))
    for address, body in ((A, at_a), (B, at_b)):
        made.servers[address].script[code] = body if callable(body) else says(body)
    return made


def test_what_there_is_in_all_is_added_up() -> None:
    other = {**BROKER, "groupMeta": {"parent": ["h"], "p2": ["g"]}, "topicMeta": {"parent": 120, "p2": -1}}
    told = world(RequestCode.GET_BROKER_LITE_INFO, BROKER, other).do(GetBrokerLiteInformation())
    assert told == BrokerLiteInformation(
        "default", 40000, 4, 2, 2, 12, 2, 2, {"parent": 120, "p2": -1}, {"p2": ("g",), "parent": ("g", "h")}
    )


def test_a_parent() -> None:
    body = {"groups": ["g"], "liteTopicCount": 2, "lmqNum": 3, "topic": "T", "ttl": 120}
    without = {name: value for name, value in body.items() if name != "groups"}
    told = world(RequestCode.GET_PARENT_TOPIC_INFO, without, body).do(GetParentTopicInformation("T"))
    assert told == ParentTopicInformation("T", 120, ("g",), 4, 6)


def test_a_lite_topic_is_where_its_messages_are() -> None:
    def body(clients: list[str], low: int, high: int, updated: int) -> dict[str, Any]:
        subscriber = [{"clientId": client, "group": "g"} for client in clients]
        offset = {"lastUpdateTimestamp": updated, "maxOffset": high, "minOffset": low}
        names = {"liteTopic": "one", "parentTopic": "T", "shardingToBroker": bool(updated)}
        return {**names, "subscriber": subscriber, "topicOffset": offset}

    made = world(RequestCode.GET_LITE_TOPIC_INFO, body(["c1"], 0, 0, 0), body(["c1", "c2"], 1, 7, 99))
    told = made.do(GetLiteTopicInformation("T", "one"))
    assert told == LiteTopicInformation("T", "one", (("c1", "g"), ("c2", "g")), 1, 7, 99)
    asked = made.servers[B].last(RequestCode.GET_LITE_TOPIC_INFO)
    assert asked.ext_fields == {"parentTopic": "T", "liteTopic": "one"}


def test_a_client() -> None:
    def body(count: int, names: list[str] | None, accessed: int) -> dict[str, Any]:
        found = {"clientId": "c", "group": "g", "parentTopic": "T", "lastAccessTime": accessed, "liteTopicCount": count}
        return found if names is None else {**found, "liteTopicSet": names}

    code, command = RequestCode.GET_LITE_CLIENT_INFO, GetLiteClientInformation("T", "g", "c", 2)
    made = world(code, body(2, ["%LMQ%$T$b", "%LMQ%$T$a"], 5), body(1, ["%LMQ%$T$c"], 9))
    assert made.do(command) == LiteClientInformation("T", "g", "c", 3, ("a", "b"), 9)
    assert made.servers[A].last(code).ext_fields["maxCount"] == "2"
    made = world(code, body(-1, None, -1), body(1, ["%LMQ%$T$c"], 9))
    assert made.do(command) == LiteClientInformation("T", "g", "c", 1, ("c",), 9)
    made = world(code, body(-1, None, -1), body(-1, None, -1))
    assert made.do(command) == LiteClientInformation("T", "g", "c", None, (), -1)


def test_the_worst_of_all_brokers() -> None:
    def lag(name: str, count: int, since: int) -> dict[str, Any]:
        return {"earliestUnconsumedTimestamp": since, "lagCount": count, "liteTopic": name}

    at_a = {**GROUP, "totalLagCount": 5, "lagCountTopK": [lag("a", 4, 70), lag("b", 1, 60)], "lagTimestampTopK": []}
    at_b = {
        **GROUP,
        "totalLagCount": 9,
        "earliestUnconsumedTimestamp": 50,
        "lagCountTopK": [lag("c", 9, 50)],
        "lagTimestampTopK": [lag("c", 9, 50)],
    }
    made = world(RequestCode.GET_LITE_GROUP_INFO, at_a, at_b)
    told = made.do(GetLiteGroupInformation("g", top=2))
    most = (LiteLag("c", 9, 50), LiteLag("a", 4, 70))
    assert told == LiteGroupInformation("g", "parent", "", 14, 50, None, most, (LiteLag("c", 9, 50),))
    assert made.servers[A].last(RequestCode.GET_LITE_GROUP_INFO).ext_fields == {"group": "g", "topK": "2"}
    assert made.do(GetLiteGroupInformation("g", top=0)).most == ()
    assert made.servers[A].last(RequestCode.GET_LITE_GROUP_INFO).ext_fields["topK"] == "1"


def test_one_lite_topic_of_a_group() -> None:
    nothing = {**GROUP, "liteTopic": "one", "totalLagCount": -1}
    wrapper = {"brokerOffset": 7, "consumerOffset": 4, "lastTimestamp": 8, "pullOffset": 0}
    here = {**nothing, "totalLagCount": 3, "earliestUnconsumedTimestamp": 9, "liteTopicOffsetWrapper": wrapper}
    command = GetLiteGroupInformation("g", "one")
    place = QueueProgress(MessageQueue("%LMQ%$parent$one", "broker-b", 0), 7, 4, 0, 8)
    told = world(RequestCode.GET_LITE_GROUP_INFO, nothing, here).do(command)
    assert told == LiteGroupInformation("g", "parent", "one", 3, 9, place)
    told = world(RequestCode.GET_LITE_GROUP_INFO, nothing, nothing).do(command)
    assert (told.lag, told.since, told.place) == (None, -1, None)


def test_everybody_is_dispatched_to() -> None:
    made = world(RequestCode.TRIGGER_LITE_DISPATCH, lambda _: OK, lambda _: OK)
    assert made.do(TriggerLiteDispatch("g", "c")) is None
    for address in (A, B):
        asked = made.servers[address].last(RequestCode.TRIGGER_LITE_DISPATCH)
        assert asked.ext_fields == {"group": "g", "clientId": "c"}


@pytest.mark.parametrize("code", [ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, ResponseCode.INVALID_PARAMETER])
def test_a_group_that_only_one_broker_knows(code: ResponseCode) -> None:
    made = world(RequestCode.GET_LITE_GROUP_INFO, lambda _: (int(code), {}, b""), {**GROUP, "totalLagCount": 3})
    assert made.do(GetLiteGroupInformation("g")).lag == 3
    made.servers[B].script[RequestCode.GET_LITE_GROUP_INFO] = lambda _: (int(code), {}, b"")
    wanted = {26: Code.GROUP_NOT_FOUND, 29: Code.BAD_REQUEST}[int(code)]
    assert made.do(GetLiteGroupInformation("g")).code is wanted


def test_brokers_without_lite_topics() -> None:
    made = World(brokers=(A, B))
    assert made.do(GetBrokerLiteInformation()).code is Code.UNSUPPORTED
    assert made.do(TriggerLiteDispatch("g")).code is Code.UNSUPPORTED
