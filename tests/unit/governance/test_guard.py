"""What the guard does beside judging commands (tests/contract/test_users.py has that): identity, tickets, the log."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from rmqgateway import commands as c
from rmqgateway.context import Credential
from rmqgateway.errors import Code, GatewayError, NotAuthenticated
from rmqgateway.message import Message
from rmqgateway.testing import World


@pytest.fixture
def world() -> World:
    made = World()
    made.execute(made.session(), c.CreateUser("root", "r00t", c.UserType.SUPER))
    return made


def test_while_no_user_exists_nothing_is_checked() -> None:
    world = World()
    gateway, session = world.gateway, world.session()
    assert gateway.authorizer is None and not gateway.guarded
    session.sign_in("anybody", "anything")
    world.execute(session, c.ListUsers())
    assert gateway.authenticate(session.context(), session.credential) is None
    assert gateway.authenticate(session.context(), None) is None
    ticket, _ = gateway.ticket(session.context())
    assert gateway.authenticate(session.context(), Credential(token=ticket)) is None
    assert gateway.authenticate(session.context(), Credential(token="any")) is None


def test_from_the_first_user_on_everything_is(world: World) -> None:
    assert world.gateway.guarded and world.gateway.authorizer is not None
    session = world.session()
    with pytest.raises(NotAuthenticated):
        world.execute(session, c.QueryRoute("t", create=True))
    with pytest.raises(NotAuthenticated):
        world.gateway.authenticate(session.context(), None)
    with pytest.raises(NotAuthenticated):
        world.gateway.ticket(session.context())


def test_a_context_is_its_users_from_then_on(world: World) -> None:
    context = world.session().context()
    assert world.gateway.authenticate(context, Credential.from_password("root", "r00t")) == "root"
    assert context.user == "root"
    world.gateway.execute(context, c.ListUsers())


def test_who_joins_groups_is_known_to_its_session(world: World) -> None:
    session = world.session()
    session.sign_in("root", "r00t")
    assert session.session.user is None
    world.execute(session, c.Heartbeat("client", producers=("p",)))
    assert session.session.user == "root"


def test_a_cluster_has_a_name(world: World) -> None:
    root = world.session()
    root.sign_in("root", "r00t")
    world.execute(root, c.CreateUser("alice", "secret"))
    alice = world.session()
    alice.sign_in("alice", "secret")
    for name, allowed in (("Cluster:Other", False), ("Cluster:DefaultCluster", True)):
        world.execute(root, c.CreateAcl("User:alice", (c.Policy(entries=(c.PolicyEntry(name, ("Get",)),)),)))
        if allowed:
            world.execute(alice, c.ListUsers())
        else:
            with pytest.raises(GatewayError) as caught:
                world.execute(alice, c.ListUsers())
            assert caught.value.code is Code.FORBIDDEN
            assert caught.value.message == (
                "User:alice has no permission Get on Cluster:DefaultCluster from 127.0.0.1: no policy allows it"
            )


def test_refused_credentials_are_logged_not_too_often_and_without_what_was_offered(world: World) -> None:
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        session = world.session()
        session.sign_in("root", "guessed-secret")
        for _ in range(50):
            with pytest.raises(NotAuthenticated):
                world.execute(session, c.ListUsers())
        told = [event for event in events if event.get("log_namespace") == "rmqgateway.security"]
        assert len(told) == 5
        assert "guessed-secret" not in repr(told) and "root" in repr(told)
        world.advance(1.5)
        with pytest.raises(NotAuthenticated):
            world.execute(session, c.ListUsers())
        assert len([event for event in events if event.get("log_namespace") == "rmqgateway.security"]) == 6
    finally:
        globalLogPublisher.removeObserver(events.append)


def test_no_user_costs_the_door_nothing() -> None:
    """While there are no users, no code of theirs runs."""
    world = World()
    world.gateway.guard.judge = None  # type: ignore[assignment,method-assign]
    world.execute(world.session(), c.QueryRoute("t", create=True))


def test_what_a_message_is_put_into_beside_its_topic_is_judged(world: World) -> None:
    root, ann = world.session(), world.session()
    root.sign_in("root", "r00t")
    world.execute(root, c.CreateUser("ann", "secret"))
    entry = c.PolicyEntry("Topic:mine", ("Pub",), (), c.Decision.ALLOW)
    world.execute(root, c.CreateAcl("User:ann", (c.Policy(entries=(entry,)),)))
    ann.sign_in("ann", "secret")

    def send(queues: bytes) -> None:
        message = Message(b"x", b"INNER_MULTI_DISPATCH\x01%b\x02" % queues)
        world.execute(ann, c.SendMessages("mine", (Message(b"x"), message)))

    send(b"")
    send(b"%LMQ%$mine$chat,%LMQ%$mine$other")
    for queues, refused in (
        (b"%LMQ%$mine$chat,%LMQ%$theirs$chat", "Topic:theirs"),
        (b"%LMQ%device", "Topic:%LMQ%device"),
        (b"%RETRY%g", "Group:g"),
    ):
        with pytest.raises(GatewayError, match=refused) as caught:
            send(queues)
        assert caught.value.code is Code.FORBIDDEN
