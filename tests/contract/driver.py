"""What a client can do, whatever its protocol: scenarios are written against `Driver`, once.

A front-end joins by one class that derives from `Driver` and overrides what its protocol has words for; `DRIVERS` in
``drivers.py`` lists them. Each scenario names the operations that it needs and runs through every driver that has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.errors import Code
from rmqgateway.testing import World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import host_text
from rmqgateway.wire.message_properties import decode_properties

__all__ = [
    "Driver",
    "Got",
    "Outgoing",
    "Pending",
    "Pulled",
    "Putting",
    "Refused",
    "Sent",
    "Stage",
    "got_of",
    "named_of",
    "refused",
    "shared",
]

T = TypeVar("T")


class Refused(Exception):
    """A command was refused. :ivar reason: in the protocol's words, as `Driver.words` gives them for a Code."""

    def __init__(self, reason: object, text: str) -> None:
        super().__init__(reason, text)
        self.reason = reason


class Outgoing(msgspec.Struct, frozen=True):
    """A message to send, with all that RocketMQ knows of one. Times are in ms."""

    body: str
    tag: str = ""
    keys: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    message_group: str = ""
    delay_ms: int = 0
    deliver_at: int = 0
    level: int = 0
    priority: int | None = None
    lite_topic: str = ""
    queue_id: int = -1


class Sent(msgspec.Struct, frozen=True):
    """Where a message went, as far as the protocol says.

    :ivar born_timestamp, born_host: as the sender said, or as it should be found out. :ivar transaction: what ends it.
    :ivar topic: where it was sent, if who looks for it has to say so.
    """

    queue_id: int = -1
    queue_offset: int = -1
    physical_offset: int = -1
    message_id: str = ""
    recall_handle: str = ""
    born_timestamp: int = 0
    born_host: str = ""
    transaction: str = ""
    topic: str = ""


class Got(msgspec.Struct, frozen=True):
    """A message as a consumer sees it.

    :ivar properties: the user's, and RocketMQ's own under RocketMQ's names (TAGS, KEYS, UNIQ_KEY …) wherever the protocol
        has them. :ivar handle: what settles it. :ivar deliver_at: of a delayed message. :ivar transaction: what ends it.
    """

    body: str
    properties: dict[str, str]
    topic: str = ""
    queue_id: int = -1
    queue_offset: int = -1
    physical_offset: int = -1
    reconsume_times: int = 0
    handle: str = ""
    attempt: int = 1
    born_timestamp: int = 0
    born_host: str = ""
    deliver_at: int = 0
    priority: int | None = None
    lite_topic: str = ""
    transaction: str = ""

    @property
    def message_id(self) -> str:
        return self.properties.get("UNIQ_KEY", "")


class Pulled(msgspec.Struct, frozen=True):
    """The answer to a pull. :ivar status: ``PullStatus`` by name."""

    status: str
    messages: list[Got]
    next_offset: int
    min_offset: int
    max_offset: int

    @property
    def bodies(self) -> list[str]:
        return [message.body for message in self.messages]


class Pending(Generic[T]):
    """Something asked whose answer may not have come yet. :param look: the answer, or None; raises Refused."""

    def __init__(self, world: World, look: Callable[[], T | None], cancel: Callable[[], None] | None = None) -> None:
        self._world = world
        self._look = look
        self.cancel = cancel
        self._answer: T | None = None

    @property
    def done(self) -> bool:
        self._world.settle()
        if self._answer is None:
            self._answer = self._look()
        return self._answer is not None

    def answer(self) -> T:
        # A world that is not in memory takes its time.
        until = getattr(self._world, "until", None)
        if until is not None:
            until(lambda: self.done)
        assert self.done, "no answer has come"
        assert self._answer is not None
        return self._answer


class Driver:
    """One client connected to `world`. What is not overridden, the protocol cannot say.

    Times are in ms. Each operation does what is due, and raises Refused.
    """

    #: For test ids.
    name = ""
    #: Names of topics are parts of paths: one with a slash in it is another path.
    names_in_paths = False
    #: Asking for a topic's queues makes the topic, as clients of the protocol need it.
    route_creates = False
    #: What user properties cannot hold here.
    not_in_properties = ""

    def __init__(self, world: World) -> None:
        self.world = world
        #: For so long is invisible what `receive` and `consume` give.
        self.invisible_ms: int = getattr(world, "invisible_ms", 60_000)

    @classmethod
    def can(cls, operation: str) -> bool:
        return getattr(cls, operation) is not getattr(Driver, operation)

    def helper(self) -> Driver:
        """Somebody at the same gateway who can say everything."""
        from tests.contract.driver_commands import CommandsDriver

        return CommandsDriver(self.world)

    def words(self, code: Code) -> object:
        """How the protocol says this error."""
        raise NotImplementedError

    def close(self) -> None:
        """The connection is lost."""
        raise NotImplementedError

    def live(self) -> None:
        """What a client does every few seconds without being asked, such as answering pings."""

    # Producing.

    def put(self, topic: str, message: Outgoing) -> Sent:
        """Any message that the protocol can say; what it cannot say of one is refused by AssertionError in the driver, or
        by the front-end."""
        raise NotImplementedError

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        """The first half of a transaction."""
        raise NotImplementedError

    def send(
        self,
        topic: str,
        body: str,
        *,
        tag: str = "",
        keys: str = "",
        message_group: str = "",
        delay_ms: int = 0,
        properties: dict[str, str] | None = None,
    ) -> Sent:
        raise NotImplementedError

    def send_to(self, topic: str, body: str, queue_id: int) -> Sent:
        """To a queue of the sender's choice."""
        raise NotImplementedError

    def send_batch(self, topic: str, bodies: list[str]) -> Sent:
        """All in one queue, one after the other; the place of the first."""
        raise NotImplementedError

    def send_at_level(self, topic: str, body: str, level: int) -> Sent:
        """After the time of a delay level."""
        raise NotImplementedError

    def send_timed(self, topic: str, body: str, at_ms: int) -> Sent:
        """Not before a wall-clock time; the answer has a recall handle."""
        raise NotImplementedError

    def recall(self, topic: str, handle: str) -> str:
        """The id of the message that will not be delivered."""
        raise NotImplementedError

    def send_half(self, topic: str, body: str, producer_group: str) -> Sent:
        """The first half of a transaction."""
        raise NotImplementedError

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        """None: not known yet."""
        raise NotImplementedError

    def answer_for(self, client_id: str, producer_group: str, topic: str) -> None:
        """Be asked about the transactions of a producer group (and topic, for protocols without such groups) from now on."""
        raise NotImplementedError

    def checks(self) -> list[Got]:
        """Half messages that this producer was asked about since the last call."""
        raise NotImplementedError

    # Popping.

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        """What is there for this client now."""
        raise NotImplementedError

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        """Invisible to others for a time of the client's choice."""
        raise NotImplementedError

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        """What is there for this client now, of a topic of any type; invisible to others for `invisible_ms`."""
        raise NotImplementedError

    def ack(self, group: str, topic: str, message: Got) -> None:
        raise NotImplementedError

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        """Let it come again after a time."""
        raise NotImplementedError

    def change_invisible(self, group: str, topic: str, message: Got, invisible_ms: int) -> Got:
        """The same message with the handle that is valid now."""
        raise NotImplementedError

    def dead_letter(self, group: str, topic: str, message: Got) -> None:
        raise NotImplementedError

    # Pulling.

    def pull(self, group: str, topic: str, queue_id: int, offset: int, wait_ms: int = 0, tags: str = "*") -> Pending[Pulled]:
        raise NotImplementedError

    def offsets(self, topic: str, queue_id: int) -> tuple[int, int]:
        """Smallest, and one past the largest."""
        raise NotImplementedError

    def offset_at(self, topic: str, queue_id: int, at_ms: int) -> int:
        raise NotImplementedError

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        raise NotImplementedError

    def committed(self, group: str, topic: str, queue_id: int) -> int | None:
        """None: there is none."""
        raise NotImplementedError

    def send_back(self, group: str, topic: str, message: Got, level: int = 0) -> None:
        raise NotImplementedError

    def lock(self, group: str, client_id: str, topic: str, queue_ids: list[int]) -> list[int]:
        """Those that it holds now."""
        raise NotImplementedError

    def unlock(self, group: str, client_id: str, topic: str, queue_ids: list[int]) -> None:
        raise NotImplementedError

    # Clients and administration.

    def heartbeat(
        self, client_id: str, group: str = "", topics: list[str] | None = None, *, producer: str = "", broadcast: bool = False
    ) -> None:
        raise NotImplementedError

    def unregister(self, client_id: str, group: str) -> None:
        raise NotImplementedError

    def members(self, group: str) -> list[str]:
        raise NotImplementedError

    def changes(self) -> list[str]:
        """Groups that changed, as this client was told since the last call."""
        raise NotImplementedError

    def queues(self, topic: str) -> int:
        """How many the route says that there are to write to."""
        raise NotImplementedError

    def find_by_key(self, topic: str, key: str) -> list[Got]:
        raise NotImplementedError

    def view(self, sent: Sent) -> Got:
        raise NotImplementedError


class Putting(Driver):
    """A driver that says every kind of message by `put` and `put_half`."""

    def send(
        self,
        topic: str,
        body: str,
        *,
        tag: str = "",
        keys: str = "",
        message_group: str = "",
        delay_ms: int = 0,
        properties: dict[str, str] | None = None,
    ) -> Sent:
        message = Outgoing(body, tag, tuple(keys.split()), properties or {}, message_group, delay_ms)
        return self.put(topic, message)

    def send_timed(self, topic: str, body: str, at_ms: int) -> Sent:
        return self.put(topic, Outgoing(body, deliver_at=at_ms))

    def send_half(self, topic: str, body: str, producer_group: str) -> Sent:
        return self.put_half(topic, Outgoing(body), producer_group)


def named_of(message: Outgoing) -> dict[str, str]:
    """All but the body, as RocketMQ's properties."""
    named = {
        "TAGS": message.tag,
        "KEYS": " ".join(message.keys),
        "__SHARDINGKEY": message.message_group,
        "TIMER_DELAY_MS": str(message.delay_ms or ""),
        "TIMER_DELIVER_MS": str(message.deliver_at or ""),
        "DELAY": str(message.level or ""),
        "_SYS_MSG_PRIORITY_": "" if message.priority is None else str(message.priority),
        "__LITE_TOPIC": message.lite_topic,
        **message.properties,
    }
    return {name: value for name, value in named.items() if value}


def shared(world: World, name: str, make: Callable[[], T]) -> T:
    """What all clients of one kind share in a world, such as their front-end."""
    known: dict[str, T] = world.__dict__.setdefault("_shared", {})
    if name not in known:
        known[name] = make()
    return known[name]


class Stage:
    """A world and the drivers of one kind in it.

    :ivar settings: of every world of this stage. :ivar clients: that live while time passes.
    """

    def __init__(
        self, kind: type[Driver], settings: LocalSettings | None = None, world: type[World] = World
    ) -> None:
        self.kind = kind
        self.world = world(settings)
        self.clients: list[Driver] = []

    def client(self) -> Driver:
        """One more client."""
        self.clients.append(self.kind(self.world))
        return self.clients[-1]

    def operator(self) -> Driver:
        """Somebody who sees the system's topics too, which some protocols show to nobody."""
        from tests.contract.driver_commands import CommandsDriver

        return CommandsDriver(self.world)

    def restart(self) -> None:
        """The gateway stops in good order and starts again; clients have to connect again."""
        self.world = self.world.restart()

    def crash(self) -> None:
        """The power fails: another gateway starts over what was durable."""
        self.world = self.world.crash()

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass; clients do meanwhile what theirs do by themselves."""
        while seconds > 0:
            part = min(seconds, 5)
            self.world.advance(part, step)
            seconds = round(seconds - part, 6)
            for client in self.clients:
                if client.world is self.world:
                    client.live()


def got_of(message: bytes, handle: str = "", attempt: int = 1) -> Got:
    """A stored message as a scenario sees it."""
    found = stored_message.decode(message)
    named = decode_properties(found.properties)
    deliver_at, priority = named.get("TIMER_DELIVER_MS"), named.get("_SYS_MSG_PRIORITY_")
    return Got(
        found.body.decode(),
        named,
        found.topic.decode(),
        found.queue_id,
        found.queue_offset,
        found.physical_offset,
        found.reconsume_times,
        handle,
        attempt,
        found.born_timestamp,
        named.get("__BORNHOST") or host_text(found.born_host)[0],
        int(deliver_at or 0),
        None if priority is None else int(priority),
        named.get("__LITE_TOPIC", ""),
    )


def refused(
    client: Driver, code: Code, call: Callable[..., Any], *arguments: Any, form: bool = False, **named: Any
) -> None:
    """`call` is refused, in the words that the protocol has for `code`.

    :param form: a protocol whose own form (a schema, a parameter's limits) leaves no room for such a value may say that.
    """
    with pytest.raises(Refused) as caught:
        result = call(*arguments, **named)
        if isinstance(result, Pending):
            result.answer()
    allowed = [client.words(code)] + ([client.words(Code.BAD_REQUEST)] if form else [])
    assert caught.value.reason in allowed, caught.value
