"""Every command in the name of everybody: nobody, a stranger, a disabled user, one without policies, one who may just this, a
Super user. The cases are made from the commands themselves, so a new command without a rule fails here."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway import commands as c
from rmqgateway.commands import Action, Command, Resource, all_commands
from rmqgateway.context import Credential
from rmqgateway.errors import Code, GatewayError, NotAuthenticated
from rmqgateway.governance.resources import needs_of
from rmqgateway.message import Filter, Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire.message_properties import encode_properties
from tests.unit.test_commands import instance

COMMANDS = [command for command in all_commands() if command.__module__.startswith("rmqgateway.")]
#: About the caller's own connection, or judged by what a lookup finds.
NO_NEED = {c.AnswerRelay, c.Unregister, c.ViewMessage}
PASSED = "carried out"


class Door:
    """A gateway whose backend does nothing, so that only the door is seen."""

    def __init__(self) -> None:
        self.world = World()
        self.root = self.signed_in("root", "r00t", create=c.UserType.SUPER)
        for name in ("normal", "disabled"):
            self.world.execute(self.root, c.CreateUser(name, "secret"))
        self.world.execute(self.root, c.UpdateUser("disabled", status=c.UserStatus.DISABLE))
        for door in self.world.gateway._doors.values():
            door.handler = lambda context, command: PASSED

    def signed_in(self, name: str, secret: str, create: c.UserType | None = None) -> TestSession:
        session = self.world.session()
        if create is not None:
            self.world.execute(session, c.CreateUser(name, secret, create))
        session.sign_in(name, secret)
        return session

    def grant(self, *entries: c.PolicyEntry) -> TestSession:
        users = self.world.backend.users
        users.take(users.with_policies("normal", [c.Policy(entries=entries)]))
        return self.signed_in("normal", "secret")

    def refusal(self, session: TestSession, command: Command[Any]) -> Code | None:
        try:
            assert self.world.execute(session, command) == PASSED
        except GatewayError as error:
            return error.code
        return None


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def ids(command: type[Any]) -> str:
    return command.__name__


@pytest.mark.parametrize("command", COMMANDS, ids=ids)
def test_every_command_has_a_rule(command: type[Any]) -> None:
    needs = list(needs_of(instance(command)))
    assert bool(needs) != (command in NO_NEED)
    for kind, name, actions in needs:
        assert isinstance(kind, Resource) and name and actions and Action.NONE not in actions


@pytest.mark.parametrize("command", COMMANDS, ids=ids)
@pytest.mark.parametrize(
    "who", ["nobody", "stranger", "wrong secret", "disabled", "normal", "without enough", "with policy", "denied", "super"]
)
def test_every_command_in_everybodys_name(door: Door, who: str, command: type[Any]) -> None:
    value = instance(command)
    needs = list(needs_of(value))
    if who == "super":
        assert door.refusal(door.root, value) is None
        return
    if who in ("nobody", "stranger", "wrong secret", "disabled"):
        session = door.world.session()
        if who != "nobody":
            session.sign_in({"stranger": "eve", "disabled": "disabled"}.get(who, "normal"), "secret")
        if who == "wrong secret":
            session.sign_in("normal", "guess")
        assert door.refusal(session, value) is (None if not command.signed else Code.UNAUTHENTICATED)
        return
    policies = [c.PolicyEntry(f"{kind.value}:{name}", (actions[0].value,)) for kind, name, actions in needs]
    denial = c.PolicyEntry("*", ("All",), decision=c.Decision.DENY)
    users = door.world.backend.users
    users.take(users.without_policy("normal", lambda record: ())) if users.by_name["normal"].record.policies else None
    session = door.signed_in("normal", "secret")
    if who == "normal":
        assert door.refusal(session, value) is (Code.FORBIDDEN if needs else None)
    elif who == "without enough":
        for left_out in range(len(policies)):
            some = policies[:left_out] + policies[left_out + 1 :]
            if policies[left_out] in some:
                continue
            if some:
                session = door.grant(*some)
            assert door.refusal(session, value) is Code.FORBIDDEN
            if some:
                users.take(users.without_policy("normal", lambda record: ()))
    elif policies and who == "with policy":
        assert door.refusal(door.grant(*policies), value) is None
        # Whatever action of those that do is permitted.
        for action in needs[0][2]:
            entries = [c.PolicyEntry(entry.resource, (action.value,)) for entry in policies]
            assert door.refusal(door.grant(*entries), value) is None
    elif policies:
        assert door.refusal(door.grant(denial), value) is Code.FORBIDDEN


# What is judged behind the door, by what is found there.


class Shop:
    """A real backend with two topics, and a user who may do everything to one of them."""

    def __init__(self) -> None:
        self.world = World()
        self.root = self.world.session()
        self.world.execute(self.root, c.CreateUser("root", "r00t", c.UserType.SUPER))
        self.root.sign_in("root", "r00t")
        self.world.execute(self.root, c.CreateUser("alice", "secret"))
        entries = (c.PolicyEntry("Topic:open", ("All",)), c.PolicyEntry("Group:mine", ("All",)))
        self.world.execute(self.root, c.CreateAcl("User:alice", (c.Policy(entries=entries),)))
        self.alice = self.world.session()
        self.alice.sign_in("alice", "secret")

    def send(self, topic: str, **properties: str) -> c.SendResult:
        message = Message(b"x", encode_properties(properties), 0)
        reply: c.SendResults = self.world.execute(self.root, c.SendMessages(topic, (message,)))
        return reply.results[0]

    def forbidden(self, command: Command[Any]) -> None:
        with pytest.raises(GatewayError) as caught:
            self.world.execute(self.alice, command)
        assert caught.value.code is Code.FORBIDDEN, caught.value


def test_a_message_is_viewed_by_who_may_read_its_topic() -> None:
    shop = Shop()
    mine, other = shop.send("open"), shop.send("closed")
    assert shop.world.execute(shop.alice, c.ViewMessage(mine.physical_offset)).messages
    shop.forbidden(c.ViewMessage(other.physical_offset))
    shop.forbidden(c.ViewMessage(other.physical_offset, "open"))


def test_what_may_not_be_read_is_not_sent_back_to_ones_own_group() -> None:
    shop = Shop()
    shop.world.execute(shop.alice, c.SendBack("mine", shop.send("open").physical_offset))
    shop.forbidden(c.SendBack("mine", shop.send("closed").physical_offset))
    shop.forbidden(c.SendBack("theirs", shop.send("open").physical_offset))


def test_what_may_not_be_read_is_not_consumed_directly() -> None:
    shop = Shop()
    consumer = c.Consumer("mine", subscriptions=(c.Subscribed("open", Filter("*")),))
    shop.world.execute(shop.alice, c.Heartbeat("member", "JAVA", "V5_5_0", (), (consumer,)))
    shop.forbidden(c.ConsumeDirectly("mine", "member", shop.send("closed").physical_offset))


def test_transactions_end_by_who_may_publish_also_where_no_topic_is_named() -> None:
    shop = Shop()
    for named in ("closed", ""):
        half = shop.send("closed", TRAN_MSG="true", PGROUP="producers")
        shop.forbidden(c.EndTransaction(named, "producers", c.TransactionResolution.COMMIT, half.unique_key))
    for named in ("open", ""):
        half = shop.send("open", TRAN_MSG="true", PGROUP="producers")
        shop.world.execute(
            shop.alice, c.EndTransaction(named, "producers", c.TransactionResolution.COMMIT, half.unique_key)
        )


def test_half_messages_are_shown_to_who_could_have_sent_them() -> None:
    shop = Shop()
    shop.world.execute(shop.alice, c.Heartbeat("producer", producers=("producers",)))
    shop.send("closed", TRAN_MSG="true", PGROUP="producers")
    shop.world.advance(70)
    assert not shop.alice.events
    shop.send("open", TRAN_MSG="true", PGROUP="producers")
    shop.world.execute(shop.alice, c.Heartbeat("producer", producers=("producers",)))
    shop.world.advance(70)
    assert len({event.transaction_id for event in shop.alice.events}) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("topic", "group", "allowed"),
    [
        ("open", "mine", True),
        ("closed", "mine", False),
        ("open", "theirs", False),
        ("%RETRY%mine", "mine", True),
        ("%RETRY%mine_open", "mine", True),
        ("%RETRY%mine+open", "mine", True),
        ("%RETRY%mine_closed", "mine", False),
        ("%RETRY%theirs", "mine", False),
        ("%RETRY%theirs+open", "mine", False),
        ("%DLQ%mine", "mine", False),
    ],
)
def test_retry_topics_are_their_groups(topic: str, group: str, allowed: bool) -> None:
    shop = Shop()
    command = c.PullMessages(group, topic, 0, 0)
    try:
        shop.world.execute(shop.alice, command)
    except GatewayError as error:
        assert (error.code is Code.FORBIDDEN) is not allowed
    else:
        assert allowed


def test_a_heartbeat_is_judged_for_every_group_and_topic_in_it() -> None:
    shop = Shop()

    def beat(group: str, *topics: str) -> c.Heartbeat:
        wanted = tuple(c.Subscribed(topic, Filter("*")) for topic in topics)
        return c.Heartbeat("client", "JAVA", "V5_5_0", (), (c.Consumer(group, subscriptions=wanted),))

    shop.world.execute(shop.alice, beat("mine", "open", "%RETRY%mine"))
    shop.forbidden(beat("mine", "open", "closed"))
    shop.forbidden(beat("theirs", "open"))
    shop.forbidden(beat("mine", "%RETRY%theirs"))


def test_queues_are_locked_by_who_may_read_them() -> None:
    from rmqgateway.message import MessageQueue

    shop = Shop()
    mine, other = MessageQueue("open", "rmqgateway", 0), MessageQueue("closed", "rmqgateway", 0)
    shop.world.execute(shop.alice, c.LockQueues("mine", "client", (mine,)))
    shop.forbidden(c.LockQueues("mine", "client", (mine, other)))
    shop.forbidden(c.UnlockQueues("mine", "client", (other,)))


# Changes of users count at once, for whoever is connected.


def test_who_is_disabled_or_deleted_or_has_another_secret_is_out_at_once() -> None:
    shop = Shop()
    route = c.QueryRoute("open", create=True)
    shop.world.execute(shop.alice, route)
    for change, undo in (
        (c.UpdateUser("alice", status=c.UserStatus.DISABLE), c.UpdateUser("alice", status=c.UserStatus.ENABLE)),
        (c.UpdateUser("alice", "other"), c.UpdateUser("alice", "secret")),
    ):
        shop.world.execute(shop.root, change)
        with pytest.raises(NotAuthenticated):
            shop.world.execute(shop.alice, route)
        shop.world.execute(shop.root, undo)
        shop.world.execute(shop.alice, route)
    shop.world.execute(shop.root, c.DeleteAcl("User:alice"))
    shop.forbidden(route)
    shop.world.execute(shop.root, c.DeleteUser("alice"))
    with pytest.raises(NotAuthenticated):
        shop.world.execute(shop.alice, route)


def test_a_kept_context_is_judged_anew_when_its_user_changes() -> None:
    shop = Shop()
    kept = shop.alice.context()
    gateway = shop.world.gateway
    gateway.execute(kept, c.QueryRoute("open", create=True))
    shop.world.settle()
    shop.world.execute(shop.root, c.UpdateUser("alice", "other"))
    with pytest.raises(NotAuthenticated):
        gateway.execute(kept, c.QueryRoute("open"))
    with pytest.raises(NotAuthenticated):
        gateway.execute(shop.alice.context(), c.QueryRoute("open"))


def test_users_outlast_a_restart_and_a_crash() -> None:
    shop = Shop()
    for world in (shop.world.crash(), shop.world.restart()):
        root = world.session()
        with pytest.raises(NotAuthenticated):
            world.execute(root, c.ListUsers())
        root.sign_in("root", "r00t")
        assert [user.name for user in world.execute(root, c.ListUsers()).users] == ["alice", "root"]
        assert world.execute(root, c.GetAcl("User:alice")).acls[0].policies[0].entries[0].resource == "Topic:open"


def test_no_reply_holds_a_secret() -> None:
    shop = Shop()
    for command in (c.GetUser("alice"), c.ListUsers(), c.GetAcl("User:alice"), c.ListAcls()):
        assert "secret" not in repr(shop.world.execute(shop.root, command))
    for shown in (c.CreateUser("a", "secret"), c.UpdateUser("a", "secret"), Credential.from_password("a", "secret")):
        assert "'secret'" not in repr(shown) and "secret," not in repr(shown)
    assert "secret" not in repr(shop.world.backend.users.by_name["alice"].record)
