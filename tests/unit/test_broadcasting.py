"""Broadcasts at the core: places, members, feeds, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rmqgateway.commands import (
    Command,
    CreateAcl,
    CreateGroups,
    CreateUser,
    DeleteAcl,
    InitMode,
    Policy,
    PolicyEntry,
    PullMessages,
    QueryOffset,
    QueryRoute,
    SendMessages,
    UserType,
)
from rmqgateway.commands.administering import GroupConfig
from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import IBroadcastSink, ISubscription
from rmqgateway.message import Message
from rmqgateway.places import read_place, write_place
from rmqgateway.subscription import Delivery, Subscription
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message


@implementer(IBroadcastSink)
class Sink:
    """:ivar places: where it began, and where it was after each delivery."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.places: list[str] = []
        self.error: Any = None
        self.on_delivery: Callable[[], None] = lambda: None

    def began(self, place: str) -> None:
        self.places.append(place)

    def deliver(self, delivery: Delivery) -> None:
        self.bodies.append(stored_message.body(delivery.message).decode())
        self.places.append(delivery.place)
        self.on_delivery()

    def failed(self, error: Exception) -> None:
        self.error = error


class Scene:
    """A gateway whose commands may be refused. :ivar refused: errors to come, by kind of command; one each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.world = World()
        self.producer = self.world.session()
        self.refused: dict[type[Command[Any]], list[GatewayError]] = {}
        self.asked: list[Command[Any]] = []
        if monkeypatch is not None:
            gateway = self.world.gateway
            perform, execute = gateway.perform, gateway.execute

            def refusing(context: Any, command: Any, done: Any, token: Any) -> Any:
                self.asked.append(command)
                errors = self.refused.get(type(command))
                if errors:
                    done(token, None, errors.pop(0))
                    return None
                return perform(context, command, done, token)

            def refusing_execute(context: Any, command: Any) -> Any:
                self.asked.append(command)
                errors = self.refused.get(type(command))
                if errors:
                    raise errors.pop(0)
                return execute(context, command)

            monkeypatch.setattr(gateway, "perform", refusing)
            monkeypatch.setattr(gateway, "execute", refusing_execute)

    def send(self, *bodies: str, queue: int = 0) -> None:
        for body in bodies:
            self.world.execute(self.producer, SendMessages("T", (Message(body.encode(), queue_id=queue),)))
        self.world.settle()

    def member(
        self, credit: int = 1000, session: TestSession | None = None, **more: Any
    ) -> tuple[Sink, Any]:
        """A new member of the group and its subscription."""
        sink = Sink()
        session = session or self.world.session()
        made = self.world.gateway.subscribe(
            session.context(), Subscription("G", "T", broadcast=True, **{"init_mode": InitMode.MAX, **more}), sink
        )
        made.grant(credit)
        self.world.settle()
        return sink, made

    def guarded(self) -> TestSession:
        """From now on users exist: the session of the first, who may do everything, as the producer does."""
        root = self.world.session()
        self.world.execute(root, CreateUser("root", "hush", UserType.SUPER))
        for session in (root, self.producer):
            session.sign_in("root", "hush")
        return root

    def user(self, name: str) -> Sink:
        """A new member that has said who it is."""
        session = self.world.session()
        session.sign_in(name, "hush")
        context = session.context()
        self.world.gateway.authenticate(context, context.credential)
        sink = Sink()
        wanted = Subscription("G", "T", broadcast=True, init_mode=InitMode.MAX)
        self.world.gateway.subscribe(context, wanted, sink).grant(100)
        self.world.settle()
        return sink

    def feeds(self) -> int:
        feeds: Any = self.world.gateway._feeds
        return len(feeds._feeds)


# Places.


@given(
    st.dictionaries(
        st.tuples(st.text(min_size=1, max_size=20), st.integers(0, 40)), st.integers(0, (1 << 63) - 1), min_size=1, max_size=20
    )
)
def test_a_place_as_text(place: dict[tuple[str, int], int]) -> None:
    text = write_place(place)
    assert text.isascii() and not set(text) & set(" \r\n\"\\")
    assert read_place(text) == place


@given(st.text(max_size=60) | st.text("ab:~.%0z-", max_size=60))
def test_any_other_text_is_refused_or_a_place(text: str) -> None:
    try:
        place = read_place(text)
    except GatewayError as error:
        assert error.code is Code.BAD_REQUEST
    else:
        assert all(0 <= offset < 1 << 63 for offset in place.values())


def test_a_long_place_is_refused() -> None:
    for text in ("b:" + "1." * 1100, "b:" + "." * 20_000, "b" * 20_000 + ":1"):
        with pytest.raises(GatewayError, match="place: expected"):
            read_place(text)


# Members.


def test_it_provides_what_it_says() -> None:
    scene = Scene()
    scene.send("before")
    sink, member = scene.member()
    verifyObject(ISubscription, member)
    verifyObject(IBroadcastSink, sink)


def test_a_message_is_pulled_once_however_many_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.send("before")
    members = [scene.member() for _ in range(20)]
    scene.asked.clear()
    scene.send("1")
    assert [sink.bodies for sink, _ in members] == [["1"]] * 20
    assert len([command for command in scene.asked if type(command) is PullMessages]) == 1, "the next pull of that queue"


def test_each_begins_where_it_says_and_places_go_on() -> None:
    scene = Scene()
    scene.send("1", "2")
    scene.send("3", queue=4)
    late, _ = scene.member()
    early, _ = scene.member(init_mode=InitMode.MIN)
    assert (late.bodies, sorted(early.bodies)) == ([], ["1", "2", "3"])
    assert late.places[-1] == early.places[-1]
    scene.send("4")
    assert late.bodies == ["4"]
    for sink in (late, early):
        for at, place in enumerate(sink.places):
            again, _ = scene.member(place=place)
            assert sorted(again.bodies) == sorted(sink.bodies[at:])
            assert again.places[0] == place and again.places[-1] == sink.places[-1]


def test_who_pauses_or_has_no_credit_gets_the_rest_later() -> None:
    scene = Scene()
    scene.send("before")
    paused, pausing = scene.member()
    poor, granting = scene.member(credit=3)
    rich, _ = scene.member()
    pausing.pause()
    for number in range(50):
        scene.send(str(number), queue=number % 5)
    assert (len(paused.bodies), len(poor.bodies), len(rich.bodies)) == (0, 3, 50)
    pausing.resume()
    granting.grant(10)
    scene.world.settle()
    assert (len(paused.bodies), len(poor.bodies)) == (50, 13)
    granting.grant(100)
    scene.world.settle()
    assert sorted(poor.bodies) == sorted(paused.bodies) == sorted(rich.bodies)
    scene.send("last")
    assert paused.bodies[-1] == poor.bodies[-1] == "last"
    assert paused.places[-1] == poor.places[-1] == rich.places[-1]


def test_a_pause_in_the_middle_of_a_delivery() -> None:
    scene = Scene()
    scene.send(*map(str, range(100)))
    sink, member = scene.member(init_mode=InitMode.MIN)
    assert len(sink.bodies) == 100
    sink.on_delivery = member.pause
    for number in range(100, 110):
        scene.send(str(number))
    assert len(sink.bodies) == 101
    for _ in range(9):
        member.resume()
        scene.world.settle()
    assert sink.bodies == [str(number) for number in range(110)]


def test_bytes_of_credit() -> None:
    scene = Scene()
    scene.send("before")
    sink = Sink()
    member = scene.world.gateway.subscribe(scene.world.session().context(), Subscription("G", "T", broadcast=True), sink)
    member.grant(10, 1)
    scene.world.settle()
    scene.send("1", "2")
    assert len(sink.bodies) == 1
    member.grant(0, 10_000)
    scene.world.settle()
    assert len(sink.bodies) == 3


def test_closing_ends_it_and_the_feed_with_the_last() -> None:
    scene = Scene()
    scene.send("before")
    first, one = scene.member()
    second, two = scene.member()
    one.close()
    scene.send("1")
    assert (first.bodies, second.bodies, scene.feeds()) == ([], ["1"], 1)
    two.close()
    two.close()
    assert scene.feeds() == 0
    waits: Any = scene.world.backend
    assert not waits.waits.count


def test_the_end_of_its_session_ends_it_and_others_go_on() -> None:
    scene = Scene()
    scene.send("before")
    session = scene.world.session()
    first, _ = scene.member(session=session)
    second, _ = scene.member()
    session.session.end()
    scene.world.settle()
    scene.send("1")
    assert (first.bodies, second.bodies) == ([], ["1"])


def test_a_sink_that_raises_ends_only_itself() -> None:
    scene = Scene()
    scene.send("before")
    good, _ = scene.member()
    bad, _ = scene.member()

    def fail() -> None:
        raise RuntimeError("a front-end's fault")

    bad.on_delivery = fail
    scene.send("1", "2")
    assert good.bodies == ["1", "2"]
    assert bad.bodies == ["1"] and bad.error.code is Code.INTERNAL


def test_the_only_sink_raises_in_the_middle_of_a_batch() -> None:
    scene = Scene()
    scene.send("before")
    bad, _ = scene.member()

    def fail() -> None:
        raise RuntimeError("a front-end's fault")

    bad.on_delivery = fail
    messages = tuple([Message(body, queue_id=0) for body in (b"1", b"2", b"3")])
    scene.world.execute(scene.producer, SendMessages("T", messages, as_batch=True))
    scene.world.settle()
    assert bad.bodies == ["1"] and bad.error.code is Code.INTERNAL
    assert scene.feeds() == 0


def test_one_closes_another_while_they_are_given_a_message() -> None:
    scene = Scene()
    scene.send("before")
    first, _ = scene.member()
    second, closing = scene.member()
    first.on_delivery = closing.close
    scene.send("1", "2")
    assert (first.bodies, second.bodies) == (["1", "2"], [])


# What is refused.


def test_who_may_no_more_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights may hold from some addresses only, so that of one user's members one may and another may not."""
    scene = Scene(monkeypatch)
    scene.send("before")
    first, _ = scene.member()
    second, _ = scene.member()
    scene.refused[PullMessages] = [GatewayError(Code.FORBIDDEN, "not from there")]
    scene.send("1")
    scene.send("2")
    assert first.error.code is Code.FORBIDDEN
    assert (second.bodies, second.error) == (["1", "2"], None)


@pytest.mark.parametrize("command", [PullMessages, QueryRoute, QueryOffset])
def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch, command: type[Command[Any]]) -> None:
    scene = Scene(monkeypatch)
    scene.send("before")
    scene.refused[command] = [GatewayError(Code.UPSTREAM_UNAVAILABLE, "away") for _ in range(3)]
    sink, _ = scene.member()
    scene.world.advance(10)
    scene.send("1")
    scene.world.advance(1)
    assert (sink.bodies, sink.error) == (["1"], None)


def test_one_that_is_behind_tries_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.send("before")
    scene.member()
    scene.refused[PullMessages] = [GatewayError(Code.BUSY, "later", retry_after=2.0)]
    sink, _ = scene.member(init_mode=InitMode.MIN)
    scene.world.advance(1)
    assert sink.bodies == []
    scene.world.advance(1.5)
    assert sink.bodies == ["before"]


@pytest.mark.parametrize("command", [PullMessages, QueryRoute, QueryOffset])
def test_what_cannot_pass_ends_it(monkeypatch: pytest.MonkeyPatch, command: type[Command[Any]]) -> None:
    scene = Scene(monkeypatch)
    scene.send("before")
    scene.refused[command] = [GatewayError(Code.TOPIC_NOT_FOUND, "no such topic")]
    sink, _ = scene.member()
    scene.world.settle()
    assert sink.error.code is Code.TOPIC_NOT_FOUND
    assert scene.feeds() == 0


def test_a_group_that_may_not_broadcast() -> None:
    scene = Scene()
    scene.send("before")
    scene.world.execute(scene.producer, CreateGroups((GroupConfig("G", consume_broadcast_enable=False),)))
    sink, _ = scene.member()
    assert sink.error.code is Code.GROUP_DISABLED


def test_users_share_no_feed_and_each_needs_the_right() -> None:
    scene = Scene()
    scene.send("before")
    world = scene.world
    root = scene.guarded()
    sinks = []
    for name in ("alice", "bob", "carol"):
        world.execute(root, CreateUser(name, "hush"))
        if name != "carol":
            entries = (PolicyEntry("Topic:T", ("Sub",)), PolicyEntry("Group:G", ("Sub",)))
            world.execute(root, CreateAcl(f"User:{name}", (Policy(entries=entries),)))
        for _ in range(2):
            sinks.append(scene.user(name))
    assert scene.feeds() == 2
    scene.send("1")
    assert [sink.bodies for sink in sinks] == [["1"]] * 4 + [[]] * 2
    assert [sink.error and sink.error.code for sink in sinks] == [None] * 4 + [Code.FORBIDDEN] * 2
    world.execute(root, DeleteAcl("User:bob"))
    scene.send("2")
    world.advance(40)
    scene.send("3")
    assert [sink.bodies[1:] for sink in sinks[:2]] == [["2", "3"]] * 2
    assert all(sink.error.code is Code.FORBIDDEN and "3" not in sink.bodies for sink in sinks[2:4])


def test_each_member_is_judged_again_and_again() -> None:
    """A message is pulled in the name of one member: the others' rights are looked at, too."""
    scene = Scene()
    scene.send("before")
    world = scene.world
    root = scene.guarded()
    world.execute(root, CreateUser("alice", "hush"))

    def allow(*addresses: str) -> None:
        entries = tuple(
            [PolicyEntry(name, ("Sub",), source_ips=addresses) for name in ("Topic:T", "Group:G")]
        )
        world.execute(root, CreateAcl("User:alice", (Policy(entries=entries),)))

    allow("127.0.0.1", "10.0.0.0/8")
    sinks = []
    for host in ("127.0.0.1", "10.1.2.3"):
        world.peer_host = host
        sinks.append(scene.user("alice"))
    assert scene.feeds() == 1
    allow("127.0.0.1")
    world.advance(31)
    assert [sink.error and sink.error.code for sink in sinks] == [None, Code.FORBIDDEN]
