"""Receives under way: where they look, how they wait, and that each is answered once its record is durable."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from rmqgateway.backend.local import names
from rmqgateway.backend.local.pop_queue import NEVER_DUE, NOWHERE, PopPlace, PopQueue
from rmqgateway.backend.local.pop_state import Taken
from rmqgateway.backend.local.queues import Topic, Waiter
from rmqgateway.backend.local.waits import Wait
from rmqgateway.commands import GroupConfig, InitMode, ReceivedMessages, ReceiveMessages
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.pending import Later

if TYPE_CHECKING:
    from rmqgateway.backend.local.popping import Popping

__all__ = ["LitePlace", "Place", "Receive"]


class Polling:
    """The receives that wait at a place for the same queue id (`waits.Place`)."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[Waiter, None] = {}


class Place:
    """One group at one topic: where a receive looks, and who waits there.

    :ivar waiting: the receives that wait, oldest first. :ivar turn: the queue that the next receive begins with.
    :ivar polling: by queue id (-1: any), the receives that have waited.
    :ivar retries: the topics where pop retries and pull retries of the group wait.
    :ivar caught: of each queue, what its maximum offset was when the group had looked at everything below it.
    :ivar due_at: when `DueTimes` wakes it (ms), or 0.
    """

    __slots__ = ("caught", "due_at", "group", "owner", "polling", "popped", "retries", "topic", "turn", "waiting")

    def __init__(self, owner: Popping, group: str, topic: Topic) -> None:
        self.owner = owner
        self.group = group
        self.topic = topic
        self.popped: PopPlace = owner.state.place(group, topic.number)
        # In a plain dict the first of many gets slow to find when those before it have left.
        self.waiting: dict[Waiter, None] = OrderedDict()
        self.polling: dict[int, Polling] = {}
        self.turn = 0
        self.due_at = 0
        self.caught: list[int] = []
        self.retries = (names.pop_retry_topic(group, topic.name), names.retry_topic(group))

    def queue(self, queue_id: int, init_mode: InitMode) -> PopQueue:
        found = self.popped.get(queue_id)
        if found is None:
            found = self.popped[queue_id] = PopQueue(
                self.owner.first_offset(self.group, self.topic, queue_id, init_mode), self.popped
            )
        return found

    def sources(self) -> list[Topic]:
        """Every topic that a receive here gets messages from: its own, and where its retries wait."""
        found = [self.topic]
        by_name = self.owner.topics.by_name
        for name in self.retries:
            topic = by_name.get(name)
            if topic is not None:
                found.append(topic)
        return found

    def has_nothing(self, now: int) -> bool:
        """Whether a receive would find nothing, whichever queue it asks for; cheap, and may be wrong only by saying no."""
        max_offsets = self.topic.max_offsets()
        if (self.popped.first_due <= now or self.caught != max_offsets) and not self._has_caught_up(now, max_offsets):
            return False
        by_name = self.owner.topics.by_name
        for name in self.retries:
            if name in by_name:
                return not self.has_work(now)
        return True

    def has_work(self, now: int, queue_id: int = -1, fifo: bool = False) -> bool:
        """Whether a receive may find something; cheap, and may be wrong only by saying yes.

        :param queue_id: in this queue of the topic (and where retries wait); -1: in any.
        :param fifo: a queue received in order whose messages are in flight has nothing.
        """
        places = self.owner.state.places
        for topic in self.sources():
            popped_queues = places.get((self.group, topic.number), NOWHERE)
            queues = topic.queues
            one = queue_id >= 0 and topic is self.topic
            for queue_id_ in (queue_id,) if one else range(topic.read_queues):
                popped = popped_queues.get(queue_id_)
                if fifo and popped is not None and not popped.message_groups and popped.in_flight(now):
                    continue
                stored = (queues.get(queue_id_) or topic.queue(queue_id_)).stored
                if popped is None:
                    if stored.max_offset > max(
                        self.owner.offsets.get(self.group, topic.name, queue_id_), stored.min_offset
                    ):
                        return True
                elif popped.next_offset < stored.max_offset or (
                    (popped.expiries or popped.due) and popped.has_due(now)
                ):
                    return True
        return False

    def _has_caught_up(self, now: int, max_offsets: list[int]) -> bool:
        first = NEVER_DUE
        for queue_id, max_offset in enumerate(max_offsets):
            popped = self.popped.get(queue_id)
            # Where the group begins is settled when a receive first looks: then it has to.
            if popped is None or popped.next_offset < max_offset:
                return False
            when = popped.next_visible_at(now)
            if when is not None:
                if when <= now:
                    return False
                first = min(first, when)
        self.popped.first_due = first
        self.caught = max_offsets
        return True

    def wake(self) -> None:
        """Something may have come: serve who waits, oldest first, as long as there is something."""
        waiting = self.waiting
        many = len(waiting)
        while many and waiting:
            if many > 1 and not self.has_work(self.owner.core.now_ms()):
                break
            first = next(iter(waiting))
            first.wake()
            many -= 1
            if first in waiting:
                # Not what it waits for; the others may take it.
                for wait in list(waiting)[1 : many + 1]:
                    if not self.has_work(self.owner.core.now_ms()):
                        break
                    wait.wake()
                break
        self.plan()

    def end(self, reason: str) -> None:
        """The topic was deleted."""
        for wait in list(self.waiting):
            wait.end(reason)

    def plan(self) -> None:
        """Wake up when the next message in flight becomes visible, if anybody waits for it."""
        if not self.waiting:
            for topic in self.sources():
                topic.waiting.pop(self, None)
            return
        now = self.owner.core.now_ms()
        first = NEVER_DUE
        places = self.owner.state.places
        for topic in self.sources():
            topic.waiting[self] = None
            topic.watch()
            popped_queues = places.get((self.group, topic.number), NOWHERE)
            if popped_queues.first_due <= now:
                times = [popped.next_visible_at(now) for popped in popped_queues.values()]
                popped_queues.first_due = min((when for when in times if when is not None), default=NEVER_DUE)
            first = min(first, popped_queues.first_due)
        if first < NEVER_DUE:
            self.owner.due_times.set(self, max(first, now + 1))


class LitePlace(Place):
    """One client of a group at the lite topics that it is subscribed to."""

    __slots__ = ("asked", "client_id")

    def __init__(
        self, owner: Popping, group: str, parent: Topic, client_id: str, asked: tuple[str, ...]
    ) -> None:
        super().__init__(owner, group, parent)
        self.client_id = client_id
        self.asked = asked

    def lite_topics(self) -> list[Topic]:
        """What is behind the lite topics that it wants, as far as anything was sent to them."""
        lite = self.owner.lite
        wanted = lite.wanted(self.group, self.topic.name, self.client_id, self.asked) or ()
        found = (lite.find(self.topic.name, name) for name in wanted)
        return [topic for topic in found if topic is not None]

    def has_nothing(self, now: int) -> bool:
        return False

    def next_pop_time(self, now: int) -> int:
        """A pop time that none of the messages in flight here was delivered with before."""
        for topic in self.lite_topics():
            for popped in self.owner.state.places.get((self.group, topic.number), NOWHERE).values():
                now = popped.next_pop_time(popped.entries, now)
        return now

    def sources(self) -> list[Topic]:
        # The parent holds no lite messages, but who waits there is told of new lite topics and subscriptions.
        return [self.topic, *self.lite_topics()]


class Receive(Later[ReceivedMessages]):
    """One ReceiveMessages under way: taken, waiting, or waiting for its record to be durable."""

    __slots__ = (
        "_found",
        "_taken",
        "_wait",
        "command",
        "context",
        "fifo",
        "max_attempts",
        "owner",
        "place",
    )

    def __init__(
        self,
        owner: Popping,
        context: Context,
        command: ReceiveMessages,
        place: Place,
        group: GroupConfig,
        fifo: bool,
    ) -> None:
        super().__init__()
        self.owner = owner
        self.context = context
        self.command = command
        self.place = place
        self.fifo = fifo
        # The first delivery is no retry (the proxy's settings: max_attempts = retryMaxTimes + 1); -1 is RocketMQ's 16.
        self.max_attempts = (group.retry_max_times if group.retry_max_times >= 0 else 16) + 1
        self._wait: Wait | None = None
        self._found: ReceivedMessages | None = None
        self._taken: list[tuple[Topic, Taken]] = []

    def begin(self) -> ReceivedMessages | Receive:
        """Answer at once, or later: itself."""
        command = self.command
        place = self.place
        if place.has_nothing(self.owner.core.now_ms()) or self._look() is None:
            if command.wait_ms <= 0:
                return ReceivedMessages(pop_time=self.owner.core.now_ms(), invisible_ms=command.invisible_ms)
            waits = self.owner.waits
            if waits.full:
                return ReceivedMessages(
                    pop_time=self.owner.core.now_ms(), invisible_ms=command.invisible_ms, polling_full=True
                )
            wait_ms = min(command.wait_ms, self.owner.core.settings.long_poll_max_ms)
            polling = place.polling.get(command.queue_id)
            if polling is None:
                polling = place.polling[command.queue_id] = Polling()
            self._wait = waits.add((place, polling), wait_ms, self.context.session, self._woken, self._ended)
            place.plan()
        return self

    def _look(self) -> ReceivedMessages | None:
        """Take what is there, record it and plan the answer; None if nothing is there."""
        found = self.owner.collect(self)
        if found is None:
            return None
        self._found, self._taken = found
        self.owner.core.store.when_durable(self._durable)
        return self._found

    def _woken(self) -> bool:
        try:
            return self._look() is not None
        except GatewayError as error:
            self.tell(None, error)
            return True

    def _ended(self, reason: str) -> None:
        self.place.plan()
        if reason == "timeout":
            self.tell(ReceivedMessages(pop_time=self.owner.core.now_ms(), invisible_ms=self.command.invisible_ms))
        elif reason == "topic":
            self.tell(None, GatewayError(Code.TOPIC_NOT_FOUND, f"topic {self.command.topic} was deleted"))
        elif reason == "session":
            self.tell(None, GatewayError(Code.CANCELLED, "the client has gone"))
        else:
            self.tell(None, GatewayError(Code.SHUTTING_DOWN, "the broker is stopping", retry_after=1.0))

    def _durable(self, error: BaseException | None) -> None:
        if self.told:
            return
        reply, self._found = self._found, None
        if error is not None:
            self.tell(None, error)
        else:
            self._taken = []
            self.tell(reply)

    def cancel(self) -> None:
        """Give back what was taken, which does not count as delivered."""
        if self.told:
            return
        self.told = True
        if self._wait is not None:
            self._wait.leave()
            self.place.plan()
        taken, self._taken = self._taken, []
        for topic, one in taken:
            self.owner.give_back(self.place.group, topic, one)
        self.tell(None, GatewayError(Code.CANCELLED, "the receive was cancelled"))
