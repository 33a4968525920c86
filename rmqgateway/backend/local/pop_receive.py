"""Receives under way: where they look, how they wait, and that each is answered once its record is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from rmqgateway.backend.local import names
from rmqgateway.backend.local.pop_queue import PopQueue
from rmqgateway.backend.local.pop_state import Taken
from rmqgateway.backend.local.queues import Topic, Waiter
from rmqgateway.backend.local.waits import Wait
from rmqgateway.commands import GroupConfig, InitMode, ReceivedMessages, ReceiveMessages
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError

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
    """

    __slots__ = ("group", "owner", "polling", "popped", "timer", "timer_at", "topic", "turn", "waiting")

    def __init__(self, owner: Popping, group: str, topic: Topic) -> None:
        self.owner = owner
        self.group = group
        self.topic = topic
        self.popped: dict[int, PopQueue] = owner.state.place(group, topic.number)
        self.waiting: dict[Waiter, None] = {}
        self.polling: dict[int, Polling] = {}
        self.turn = 0
        self.timer: IDelayedCall | None = None
        self.timer_at = 0

    def queue(self, queue_id: int, init_mode: InitMode) -> PopQueue:
        found = self.popped.get(queue_id)
        if found is None:
            found = self.popped[queue_id] = PopQueue(
                self.owner.first_offset(self.group, self.topic, queue_id, init_mode)
            )
        return found

    def sources(self) -> list[Topic]:
        """Every topic that a receive here gets messages from: its own, and where its retries wait."""
        found = [self.topic]
        for name in (names.pop_retry_topic(self.group, self.topic.name), names.retry_topic(self.group)):
            topic = self.owner.topics.get(name)
            if topic is not None:
                found.append(topic)
        return found

    def has_work(self, now: int, queue_id: int = -1, fifo: bool = False) -> bool:
        """Whether a receive may find something; cheap, and may be wrong only by saying yes.

        :param queue_id: in this queue of the topic (and where retries wait); -1: in any.
        :param fifo: a queue received in order whose messages are in flight has nothing.
        """
        for topic in self.sources():
            popped_queues = self.owner.state.places.get((self.group, topic.number), {})
            one = queue_id >= 0 and topic is self.topic
            for queue_id_ in (queue_id,) if one else range(topic.read_queues):
                popped = popped_queues.get(queue_id_)
                if fifo and popped is not None and not popped.message_groups and popped.in_flight(now):
                    continue
                stored = topic.queue(queue_id_).stored
                if popped is None:
                    if stored.max_offset > max(
                        self.owner.offsets.get(self.group, topic.name, queue_id_), stored.min_offset
                    ):
                        return True
                elif popped.next_offset < stored.max_offset or popped.has_due(now):
                    return True
        return False

    def wake(self) -> None:
        """Something may have come: serve who waits, oldest first, as long as there is something."""
        for wait in list(self.waiting):
            if not self.has_work(self.owner.core.now_ms()):
                break
            wait.wake()
        self.plan()

    def end(self, reason: str) -> None:
        """The topic was deleted."""
        for wait in list(self.waiting):
            wait.end(reason)

    def plan(self) -> None:
        """Wake up when the next message in flight becomes visible, if anybody waits for it."""
        sources = self.sources()
        if not self.waiting:
            for topic in sources:
                topic.waiting.pop(self, None)
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None
            return
        now = self.owner.core.now_ms()
        times = []
        for topic in sources:
            topic.waiting[self] = None
            for queue in topic.known_queues():
                queue.watch()
            for popped in self.owner.state.places.get((self.group, topic.number), {}).values():
                when = popped.next_visible_at(now)
                if when is not None:
                    times.append(when)
        if not times:
            return
        at = max(min(times), now + 1)
        if self.timer is not None:
            if self.timer_at <= at:
                return
            self.timer.cancel()
        self.timer_at = at
        self.timer = self.owner.core.later((at - now) / 1000, self._due)

    def _due(self) -> None:
        self.timer = None
        self.wake()


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

    def next_pop_time(self, now: int) -> int:
        """A pop time that none of the messages in flight here was delivered with before."""
        for topic in self.lite_topics():
            for popped in self.owner.state.places.get((self.group, topic.number), {}).values():
                now = popped.next_pop_time(popped.entries, now)
        return now

    def sources(self) -> list[Topic]:
        # The parent holds no lite messages, but who waits there is told of new lite topics and subscriptions.
        return [self.topic, *self.lite_topics()]


class Receive:
    """One ReceiveMessages under way: taken, waiting, or waiting for its record to be durable."""

    __slots__ = (
        "_taken",
        "_wait",
        "command",
        "context",
        "deferred",
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
        self.owner = owner
        self.context = context
        self.command = command
        self.place = place
        self.fifo = fifo
        # The first delivery is no retry (the proxy's settings: max_attempts = retryMaxTimes + 1); -1 is RocketMQ's 16.
        self.max_attempts = (group.retry_max_times if group.retry_max_times >= 0 else 16) + 1
        self.deferred: Deferred[ReceivedMessages] = Deferred(self._cancelled)
        self._wait: Wait | None = None
        self._taken: list[tuple[Topic, Taken]] = []

    def begin(self) -> Any:
        """Answer at once, or the Deferred that will."""
        reply = self._look()
        if reply is None:
            command = self.command
            if command.wait_ms <= 0:
                return ReceivedMessages(pop_time=self.owner.core.now_ms(), invisible_ms=command.invisible_ms)
            waits = self.owner.waits
            if waits.full:
                return ReceivedMessages(
                    pop_time=self.owner.core.now_ms(), invisible_ms=command.invisible_ms, polling_full=True
                )
            wait_ms = min(command.wait_ms, self.owner.core.settings.long_poll_max_ms)
            polling = self.place.polling.get(command.queue_id)
            if polling is None:
                polling = self.place.polling[command.queue_id] = Polling()
            self._wait = waits.add((self.place, polling), wait_ms, self.context.session, self._woken, self._ended)
            self.place.plan()
        return self.deferred

    def _look(self) -> ReceivedMessages | None:
        """Take what is there, record it and plan the answer; None if nothing is there."""
        found = self.owner.collect(self)
        if found is None:
            return None
        reply, self._taken = found
        self.owner.core.store.when_durable(lambda error: self._durable(reply, error))
        return reply

    def _woken(self) -> bool:
        try:
            return self._look() is not None
        except GatewayError as error:
            self.deferred.errback(Failure(error))
            return True

    def _ended(self, reason: str) -> None:
        self.place.plan()
        if reason == "timeout":
            self.deferred.callback(
                ReceivedMessages(pop_time=self.owner.core.now_ms(), invisible_ms=self.command.invisible_ms)
            )
        elif reason == "topic":
            error = GatewayError(Code.TOPIC_NOT_FOUND, f"topic {self.command.topic} was deleted")
            self.deferred.errback(Failure(error))
        elif reason == "session":
            self.deferred.errback(Failure(CancelledError()))
        else:
            self.deferred.errback(
                Failure(GatewayError(Code.SHUTTING_DOWN, "the broker is stopping", retry_after=1.0))
            )

    def _durable(self, reply: ReceivedMessages, error: BaseException | None) -> None:
        if self.deferred.called:
            return
        if error is not None:
            self.deferred.errback(Failure(error))
        else:
            self._taken = []
            self.deferred.callback(reply)

    def _cancelled(self, _: Deferred[ReceivedMessages]) -> None:
        if self._wait is not None:
            self._wait.leave()
            self.place.plan()
        taken, self._taken = self._taken, []
        for topic, one in taken:
            self.owner.give_back(self.place.group, topic, one)
