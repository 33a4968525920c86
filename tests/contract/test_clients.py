"""What clients are told of each other, through every front-end that can say it."""

from __future__ import annotations

from rmqgateway.commands import GetConsumeProgress, ListConsumerConnections
from rmqgateway.errors import Code
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.clients import ConsumerConnection
from rmqgateway.wire.bodies.groups import ConsumeStats
from rmqgateway.wire.request_codes import RequestCode
from tests.contract.driver import Stage, refused
from tests.contract.driver_remoting import RemotingDriver
from tests.contract.drivers import scenario
from tests.contract.test_pulling import fill

TOPIC, GROUP = "orders", "group"


@scenario("heartbeat", "members", "changes")
def test_members_are_told_of_members(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    first.heartbeat("first", GROUP, [TOPIC])
    first.changes()
    second.heartbeat("second", GROUP, [TOPIC])
    assert GROUP in first.changes()
    assert first.members(GROUP) == ["first", "second"]
    second.heartbeat("second", GROUP, [TOPIC])
    assert first.changes() == [], "nothing changed"
    second.unregister("second", GROUP)
    assert GROUP in first.changes()
    assert first.members(GROUP) == ["first"]


@scenario("heartbeat", "members", "changes")
def test_a_member_that_goes_without_a_word(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    first.heartbeat("first", GROUP, [TOPIC])
    second.heartbeat("second", GROUP, [TOPIC])
    first.changes()
    second.close()
    assert GROUP in first.changes()
    assert first.members(GROUP) == ["first"]


@scenario("heartbeat", "members")
def test_a_member_that_is_silent_is_gone(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    second.heartbeat("second", GROUP, [TOPIC])
    for _ in range(5):
        first.heartbeat("first", GROUP, [TOPIC])
        stage.advance(30, 1)
    assert first.members(GROUP) == ["first"]


@scenario("heartbeat", "members")
def test_a_group_without_members(stage: Stage) -> None:
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    client.unregister("client", GROUP)
    with_reason = Code.GROUP_NOT_FOUND if client.name == "commands" else Code.INTERNAL  # SYSTEM_ERROR, as the broker says
    refused(client, with_reason, client.members, GROUP)


@scenario("heartbeat", "pull", "committed")
def test_broadcasting_members_each_get_all(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    for client, name in ((first, "first"), (second, "second")):
        client.heartbeat(name, GROUP, [TOPIC], broadcast=True)
    for body in ("a", "b"):
        fill(first, body)
    for client in (first, second):
        assert client.pull(GROUP, TOPIC, 0, 0).answer().bodies == ["a", "b"]
    assert first.committed(GROUP, TOPIC, 0) is None, "each keeps its own place"


@scenario("send", "queues")
def test_an_automatic_topic_has_the_queues_that_its_producer_likes(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    assert client.queues(TOPIC) == (4 if client.name == "remoting" else 8)
    if client.route_creates:
        assert client.queues("unheard") == 8
    else:
        refused(client, Code.TOPIC_NOT_FOUND, client.queues, "unheard")
    stage.restart()
    assert stage.client().queues(TOPIC) == (4 if client.name == "remoting" else 8)


@scenario("receive_for", "pull")
def test_one_group_is_consumed_in_one_mode_at_a_time(stage: Stage) -> None:
    pulling, popping = stage.client(), stage.client()
    fill(pulling, "a")
    pulling.pull(GROUP, TOPIC, 0, 0).answer()
    refused(popping, Code.CONSUME_MODE_CONFLICT, popping.receive_for, GROUP, TOPIC, 60_000)
    pulling.close()
    assert [message.body for message in popping.receive_for(GROUP, TOPIC, 60_000).answer()] == ["a"]
    pulling = stage.client()
    refused(pulling, Code.CONSUME_MODE_CONFLICT, pulling.pull, GROUP, TOPIC, 0, 0)


@scenario("receive_for", "pull", "ack")
def test_nothing_is_lost_when_the_mode_changes(stage: Stage) -> None:
    popping = stage.client()
    for body in ("acknowledged", "in flight", "new"):
        fill(popping, body)
    found = popping.receive_for(GROUP, TOPIC, 60_000, max_messages=2).answer()
    popping.ack(GROUP, TOPIC, found[0])
    popping.close()
    pulling = stage.client()
    pulling.pull(GROUP, TOPIC, 0, 0).answer()
    stage.advance(2)
    place = pulling.committed(GROUP, TOPIC, 0)
    assert place == 2
    assert pulling.pull(GROUP, TOPIC, 0, place).answer().bodies == ["new"]
    assert pulling.pull(GROUP, f"%RETRY%{GROUP}", 0, 0).answer().bodies == ["in flight"]


#: What sessions of a driver are called: the front-end's name.
_FRONT_ENDS = {"commands": "test"}


@scenario("send", "receive")
def test_administrators_see_who_consumes_and_what_is_in_flight(stage: Stage) -> None:
    client = stage.client()
    for body in ("a", "b", "c"):
        client.send(TOPIC, body)
    found = client.receive(GROUP, TOPIC, max_messages=2)
    assert len(found) == 2
    administrator = stage.world.session()
    shown = stage.world.execute(administrator, ListConsumerConnections(GROUP))
    (connection,) = shown.connections
    assert connection.protocol == _FRONT_ENDS.get(client.name, client.name)
    assert connection.address.startswith("127.0.0.1:")
    assert connection.in_flight == 2
    assert shown.consumer is not None
    assert TOPIC in [subscribed.topic for subscribed in shown.consumer.subscriptions]
    queues = stage.world.execute(administrator, GetConsumeProgress(GROUP, TOPIC)).queues
    assert sum(queue.broker_offset - queue.consumer_offset for queue in queues) == 3
    assert sum(queue.in_flight or 0 for queue in queues) == 2
    # The same for mqadmin.
    remoting = RemotingDriver(stage.world)
    answer = remoting.ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, {"consumerGroup": GROUP})
    (listed,) = decode_body(answer.body, ConsumerConnection).connection_set
    assert listed.client_addr == connection.address and listed.client_id
    answer = remoting.ask(RequestCode.GET_CONSUME_STATS, {"consumerGroup": GROUP, "topic": TOPIC})
    table = decode_body(answer.body, ConsumeStats).offset_table.values()
    assert sum(place.broker_offset - place.consumer_offset for place in table) == 3
    assert sum(place.pull_offset - place.consumer_offset for place in table) == 2


@scenario("send", "pull")
def test_administrators_see_who_pulls(stage: Stage) -> None:
    client = stage.client()
    fill(client, "a")
    fill(client, "b")
    assert client.pull(GROUP, TOPIC, 0, 0).answer().bodies == ["a", "b"]
    administrator = stage.world.session()
    (connection,) = stage.world.execute(administrator, ListConsumerConnections(GROUP)).connections
    assert connection.protocol == _FRONT_ENDS.get(client.name, client.name)
    assert connection.in_flight is None, "nobody knows what a client that pulls still has"
    queues = stage.world.execute(administrator, GetConsumeProgress(GROUP, TOPIC)).queues
    assert sum(queue.broker_offset - queue.consumer_offset for queue in queues) == 2
