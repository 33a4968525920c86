"""Routes, the cluster, key-value configuration."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.administering import (
    ChangeKeyValues,
    GetCluster,
    GetKeyValues,
    SetBrokerWritable,
    TopicConfig,
)
from rmqgateway.commands.clients import QueryRoute, RouteBroker
from rmqgateway.commands.producing import SendMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message, MessageType
from rmqgateway.testing import World


def test_a_route_names_this_broker() -> None:
    world = World(LocalSettings(cluster_name="C", broker_name="b"))
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"1"),), default_queues=4))
    route = world.execute(session, QueryRoute("t"))
    assert route.brokers == (RouteBroker("C", "b", ((0, ""),)),)
    (queues,) = route.queues
    assert (queues.broker_name, queues.read_queues, queues.write_queues, queues.permission) == ("b", 4, 4, 6)
    assert route.message_type is MessageType.MIXED
    assert world.execute(session, GetCluster()).brokers == route.brokers


def test_unknown_topics_have_no_route_unless_they_are_to_be_created() -> None:
    world = World()
    session = world.session()
    with pytest.raises(GatewayError) as caught:
        world.execute(session, QueryRoute("t"))
    assert caught.value.code is Code.TOPIC_NOT_FOUND
    assert world.backend.topics.get("t") is None
    assert world.execute(session, QueryRoute("t", create=True)).queues[0].write_queues == 8
    # What Remoting producers fall back to.
    assert world.execute(session, QueryRoute("TBW102")).queues[0].permission == 7


def test_nothing_is_created_when_told_so() -> None:
    world = World(LocalSettings(auto_create_topics=False))
    for command in (QueryRoute("t", create=True), QueryRoute("TBW102")):
        with pytest.raises(GatewayError) as caught:
            world.execute(world.session(), command)
        assert caught.value.code is Code.TOPIC_NOT_FOUND


def test_a_bad_name_is_refused() -> None:
    world = World()
    with pytest.raises(GatewayError) as caught:
        world.execute(world.session(), QueryRoute("a b"))
    assert caught.value.code is Code.BAD_TOPIC_NAME


def test_key_values_are_kept() -> None:
    world = World()
    session = world.session()
    world.execute(session, ChangeKeyValues("ORDER_TOPIC_CONFIG", "t", "b:4"))
    world.execute(session, ChangeKeyValues("n", "b", "2"))
    world.execute(session, ChangeKeyValues("n", "a", "1"))
    world.execute(session, ChangeKeyValues("n", "gone", "1"))
    world.execute(session, ChangeKeyValues("n", "gone", None))
    world = world.restart()
    session = world.session()
    assert world.execute(session, GetKeyValues("n")).table == (("a", "1"), ("b", "2"))
    assert world.execute(session, GetKeyValues("n", "a")).table == (("a", "1"),)
    assert world.execute(session, GetKeyValues("n", "gone")).table == ()
    assert world.execute(session, GetKeyValues("other")).table == ()
    world.backend.topics.create([TopicConfig("t", order=True)])
    world.settle()
    assert world.execute(session, QueryRoute("t")).order_configuration == "b:4"


@pytest.mark.parametrize(
    "command",
    [ChangeKeyValues("", "k", "v"), ChangeKeyValues("n", "", "v"), ChangeKeyValues("n\nm", "k", "v"),
     ChangeKeyValues("n" * 2000, "k", "v"), ChangeKeyValues("n", "k", "v" * 70_000)],
)  # fmt: skip
def test_bad_key_values_are_refused(command: ChangeKeyValues) -> None:
    world = World()
    with pytest.raises(GatewayError) as caught:
        world.execute(world.session(), command)
    assert caught.value.code is Code.BAD_REQUEST


def test_taking_the_write_permission_away_and_giving_it_back() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("t", (Message(b"1"),)))
    assert world.execute(session, SetBrokerWritable("other", False)).names == ()
    assert "t" in world.execute(session, SetBrokerWritable("rmqgateway", False)).names
    assert world.execute(session, SetBrokerWritable("rmqgateway", False)).names == ()
    assert world.execute(session, QueryRoute("t")).queues[0].permission == 4
    assert "t" in world.execute(session, SetBrokerWritable("rmqgateway", True)).names
    assert world.execute(session, QueryRoute("t")).queues[0].permission == 6
