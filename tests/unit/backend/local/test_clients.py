"""Connected clients: members, notices, expiry, one mode of consuming at a time."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.administering import GroupConfig
from rmqgateway.commands.clients import (
    CheckSubscription,
    ConsumeMode,
    Consumer,
    Heartbeat,
    ListConsumers,
    MessageModel,
    QueryRoute,
    Subscribed,
    Unregister,
)
from rmqgateway.commands.producing import SendMessages
from rmqgateway.commands.pulling import PullMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ConsumersChanged
from rmqgateway.message import Filter, FilterType, Message
from rmqgateway.testing import TestSession, World


def consumer(
    *topics: str, group: str = "g", model: MessageModel = MessageModel.CLUSTERING, version: int = 0
) -> Consumer:
    return Consumer(
        group, model=model, subscriptions=tuple(Subscribed(topic, Filter(), version) for topic in topics)
    )


def notices(session: TestSession) -> int:
    """How often it was told to balance anew, since the last time it was asked here."""
    count = sum(isinstance(event, ConsumersChanged) for event in session.events)
    session.events.clear()
    return count


def ids(world: World, session: TestSession, group: str = "g") -> tuple[str, ...]:
    return world.execute(session, ListConsumers(group)).client_ids


@pytest.fixture
def world() -> World:
    return World()


def test_members_are_listed_and_told_of_each_other(world: World) -> None:
    first, second = world.session(), world.session()
    world.execute(first, Heartbeat("b", consumers=(consumer("t"),)))
    assert ids(world, second) == ("b",)
    world.execute(second, Heartbeat("a", consumers=(consumer("t"),)))
    assert ids(world, first) == ("a", "b")
    assert (notices(first), notices(second)) == (2, 1)
    world.execute(first, Heartbeat("b", consumers=(consumer("t"),)))
    assert (notices(first), notices(second)) == (0, 0)
    second.session.end()
    assert ids(world, first) == ("b",)
    assert notices(first) == 1
    world.execute(first, Unregister("b", consumer_group="g"))
    with pytest.raises(GatewayError) as caught:
        ids(world, first)
    assert caught.value.code is Code.GROUP_NOT_FOUND


def test_a_changed_subscription_is_told(world: World) -> None:
    session = world.session()
    world.execute(session, Heartbeat("a", consumers=(consumer("t"),)))
    notices(session)
    world.execute(session, Heartbeat("a", consumers=(consumer("t", "u"),)))
    assert notices(session) == 1
    world.execute(session, Heartbeat("a", consumers=(consumer("u"),)))
    assert notices(session) == 1
    assert world.backend.clients.groups_of_topic("u") == ["g"]
    assert world.backend.clients.groups_of_topic("t") == []


def test_an_older_subscription_does_not_replace_a_newer(world: World) -> None:
    session = world.session()
    for version, expression in ((5, "new"), (4, "old")):
        subscribed = Subscribed("t", Filter(expression), version)
        world.execute(session, Heartbeat("a", consumers=(Consumer("g", subscriptions=(subscribed,)),)))
    group = world.backend.clients.group("g")
    assert group is not None and group.subscriptions["t"].filter.expression == "new"


def test_broadcasting_members_are_not_told(world: World) -> None:
    session = world.session()
    world.execute(session, Heartbeat("a", consumers=(consumer("t", model=MessageModel.BROADCASTING),)))
    assert notices(session) == 0


def test_a_group_that_wants_no_notices(world: World) -> None:
    world.backend.groups.create([GroupConfig("g", notify_consumer_ids_changed=False)])
    session = world.session()
    world.execute(session, Heartbeat("a", consumers=(consumer("t"),)))
    assert notices(session) == 0


def test_a_heartbeat_makes_the_groups_retry_topic(world: World) -> None:
    session = world.session()
    world.execute(session, Heartbeat("a", consumers=(consumer("t"),)))
    assert world.execute(session, QueryRoute("%RETRY%g")).queues[0].read_queues == 1


def test_the_silent_expire(world: World) -> None:
    silent, lively = world.session(), world.session()
    world.execute(silent, Heartbeat("silent", producers=("p",), consumers=(consumer("t"),)))
    for _ in range(5):
        world.execute(lively, Heartbeat("lively", producers=("p",), consumers=(consumer("t"),)))
        world.advance(30, step=5)
    assert ids(world, lively) == ("lively",)
    assert [session.number for session in world.backend.clients.producer_sessions("p")] == [
        lively.session.number
    ]


def test_producers_come_and_go(world: World) -> None:
    clients = world.backend.clients
    session, other = world.session(), world.session()
    world.execute(session, Heartbeat("a", producers=("p", "q")))
    world.execute(other, Heartbeat("b", producers=("p",)))
    assert len(clients.producer_sessions("p")) == 2
    world.execute(other, Unregister("b", producer_group="p"))
    assert clients.producer_sessions("p") == [session.session]
    world.execute(session, Unregister("a"))
    assert clients.producers == {}


def test_leaving_is_for_ones_own_session_only(world: World) -> None:
    session, other = world.session(), world.session()
    world.execute(session, Heartbeat("a", producers=("p",), consumers=(consumer("t"),)))
    world.execute(other, Unregister("a"))
    world.execute(other, Unregister("a", "p", "g"))
    assert ids(world, session) == ("a",)


def test_a_client_is_found_by_its_id_on_its_newest_session(world: World) -> None:
    clients = world.backend.clients
    old, new = world.session(), world.session()
    world.execute(old, Heartbeat("a"))
    world.execute(new, Heartbeat("a", consumers=(consumer("t"),)))
    assert clients.session_of("a") is new.session
    new.session.end()
    assert clients.session_of("a") is old.session
    old.session.end()
    assert clients.session_of("a") is None
    assert clients.member("g", "a") is None


@pytest.mark.parametrize(
    ("heartbeat", "code"),
    [
        (Heartbeat(""), Code.BAD_CLIENT_ID),
        (Heartbeat("a", producers=("bad group",)), Code.BAD_GROUP_NAME),
        (Heartbeat("a", consumers=(consumer("t", group="bad group"),)), Code.BAD_GROUP_NAME),
        (
            Heartbeat(
                "a",
                consumers=(Consumer("g", subscriptions=(Subscribed("t", Filter("a >", FilterType.SQL92)),)),),
            ),
            Code.BAD_FILTER,
        ),
        (Heartbeat("a", producers=tuple(f"p{number}" for number in range(5000))), Code.BAD_REQUEST),
    ],
)
def test_what_is_refused(world: World, heartbeat: Heartbeat, code: Code) -> None:
    with pytest.raises(GatewayError) as caught:
        world.execute(world.session(), heartbeat)
    assert caught.value.code is code
    assert world.backend.clients.consumers == {}


def test_unknown_groups_are_refused_when_they_are_not_created() -> None:
    world = World(LocalSettings(auto_create_groups=False))
    with pytest.raises(GatewayError) as caught:
        world.execute(world.session(), Heartbeat("a", consumers=(consumer("t"),)))
    assert caught.value.code is Code.GROUP_NOT_FOUND


def test_filters_are_checked_on_demand(world: World) -> None:
    session = world.session()
    world.execute(session, CheckSubscription("g", "t", Filter("a > 1", FilterType.SQL92)))
    with pytest.raises(GatewayError) as caught:
        world.execute(session, CheckSubscription("g", "t", Filter("a >", FilterType.SQL92)))
    assert caught.value.code is Code.BAD_FILTER


def test_one_mode_of_consuming_at_a_time(world: World) -> None:
    puller, receiver = world.session(), world.session()
    world.execute(puller, SendMessages("t", (Message(b"1", queue_id=0),)))
    pop = Heartbeat(
        "b", consumers=(Consumer("g", ConsumeMode.POP, subscriptions=(Subscribed("t", Filter()),)),)
    )
    pull = PullMessages("g", "t", 0, 0)
    world.execute(puller, pull)
    with pytest.raises(GatewayError) as caught:
        world.execute(receiver, pop)
    assert caught.value.code is Code.CONSUME_MODE_CONFLICT
    puller.session.end()
    world.execute(receiver, pop)
    other = world.session()
    with pytest.raises(GatewayError) as caught:
        world.execute(other, pull)
    assert caught.value.code is Code.CONSUME_MODE_CONFLICT
    world.execute(other, PullMessages("TOOLS_CONSUMER", "t", 0, 0))
    world.execute(receiver, Unregister("b", consumer_group="g"))
    world.execute(other, pull)


def test_a_session_may_change_its_own_mode(world: World) -> None:
    session = world.session().session
    clients = world.backend.clients
    clients.use("g", "t", session, ConsumeMode.PULL)
    clients.use("g", "t", session, ConsumeMode.POP)
    with pytest.raises(GatewayError):
        clients.use("g", "t", world.session().session, ConsumeMode.PULL)
    clients.use("g", "u", world.session().session, ConsumeMode.PULL)


def test_a_mode_ends_when_nobody_has_used_it_for_long(world: World) -> None:
    clients = world.backend.clients
    clients.use("g", "t", world.session().session, ConsumeMode.PULL)
    world.advance(135, step=5)
    clients.use("g", "t", world.session().session, ConsumeMode.POP)
