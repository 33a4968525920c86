"""What the members of a group that broadcasts share: one pull of each queue, however many get what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.commands import OffsetOf, PulledMessages, PullMessages, PullStatus, QueryOffset, QueryRoute
from rmqgateway.errors import RETRYABLE, Code, GatewayError
from rmqgateway.message import Permission
from rmqgateway.places import MAX_QUEUES, Place, Queue, write_place
from rmqgateway.subscription import FIRST_PAUSE, LAST_PAUSE, WAIT_MS, Delivery
from rmqgateway.wire.stored_message import queue_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.broadcasting import BroadcastLoop
    from rmqgateway.commands import Offset, Route
    from rmqgateway.context import Context
    from rmqgateway.interfaces import IGateway
    from rmqgateway.subscription import Subscription

__all__ = ["BATCH", "PASSING", "Feed", "Feeds", "error_of"]

log = Logger(namespace="rmqgateway.broadcasting")

#: How often it is looked for new queues, in seconds: as often as RocketMQ's clients do.
ROUTE_S = 30.0
#: Messages of one pull.
BATCH = 32
#: What a pull may be refused for and be tried again; with BAD_OFFSET the topic has fewer queues now.
PASSING = RETRYABLE | {Code.BAD_OFFSET, Code.UPSTREAM_ERROR}
#: What a pull is refused for because of the member in whose name it was made: it has gone, or may not.
_OF_ONE = frozenset({Code.CANCELLED, Code.FORBIDDEN, Code.UNAUTHENTICATED})


class Feeds:
    """All feeds of a gateway, by what they deliver and to whom it may go."""

    def __init__(self, gateway: IGateway) -> None:
        self._gateway = gateway
        self._feeds: dict[Hashable, Feed] = {}

    def of(self, context: Context, subscription: Subscription) -> Feed:
        """The feed for a caller; callers share one only if they are the same user, since the door judges each pull."""
        caller: Hashable = None
        if self._gateway.guarded or context.credential is not None:
            caller = (context.user,) if self._gateway.guarded and context.user is not None else object()
        key = (subscription.group, subscription.topic, subscription.filter, caller)
        found = self._feeds.get(key)
        if found is None:
            found = self._feeds[key] = Feed(self._gateway, subscription, lambda: self._feeds.pop(key, None))
        return found


class _Tail:
    """The end of one queue. :ivar under_way: what a pull that waits is cancelled by. :ivar member: in whose name it is made."""

    __slots__ = ("member", "pause", "pulling", "queue", "retry", "under_way")

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.member: BroadcastLoop | None = None
        self.pulling = False
        self.under_way: Any = None
        self.retry: IDelayedCall | None = None
        self.pause = FIRST_PAUSE


class Feed:
    """What the members of a group that have got everything of a topic are given next.

    Its pulls are made as one of its members; when that one goes, as another.

    :ivar place: what the members at the end have got. :ivar began: where each queue was when it was first seen.
    """

    def __init__(self, gateway: IGateway, subscription: Subscription, ended: Callable[[], Any]) -> None:
        self.place: Place = {}
        self.began: Place = {}
        self._gateway = gateway
        self._subscription = subscription
        self._ended = ended
        self._members: dict[BroadcastLoop, None] = {}
        #: Those of them that have got everything.
        self._at_end: dict[BroadcastLoop, None] = {}
        self._tails: dict[Queue, _Tail] = {}
        self._is_ready = False
        self._is_over = False
        self._looking = False
        self._look_call: IDelayedCall | None = None

    # Members.

    def join(self, member: BroadcastLoop) -> None:
        """A member; it is told by `BroadcastLoop.ready` when it is known where the queues end."""
        self._members[member] = None
        if self._is_ready:
            member.ready()
        elif len(self._members) == 1:
            self._look()

    def leave(self, member: BroadcastLoop) -> None:
        """It is closed."""
        self._members.pop(member, None)
        self._at_end.pop(member, None)
        if not self._members:
            self._end()

    def at_end(self, member: BroadcastLoop) -> None:
        """It has got everything up to `place`."""
        self._at_end[member] = None

    # Queues.

    def _look(self) -> None:
        """Ask where the queues are; those not known yet begin."""
        if self._gateway.guarded:
            # The rest is judged with each pull, but that is made in the name of one of them.
            for one in list(self._members):
                one.judge()
            if self._is_over:
                return
        self._looking = True
        member = next(iter(self._members))
        asked = maybeDeferred(self._gateway.execute, member.context, QueryRoute(self._subscription.topic))
        asked.addCallback(self._found, member).addErrback(self._not_found)

    def _found(self, route: Route, member: BroadcastLoop) -> Deferred[Any]:
        queues = {
            (one.broker_name, number)
            for one in route.queues
            if one.permission & Permission.READ
            for number in range(one.read_queues)
        }
        if len(queues) > MAX_QUEUES:
            topic = self._subscription.topic
            raise GatewayError(
                Code.BAD_REQUEST, f"topic {topic} has {len(queues)} queues; a broadcast takes at most {MAX_QUEUES}"
            )
        for gone in [queue for queue in self._tails if queue not in queues]:
            self._stop(self._tails.pop(gone))
        of = OffsetOf.MIN if self._is_ready else OffsetOf.MAX  # all of a queue that is new is new
        new = sorted(queue for queue in queues if queue not in self._tails)
        topic = self._subscription.topic
        asked = [
            maybeDeferred(self._gateway.execute, member.context, QueryOffset(topic, number, of, broker_name=name))
            for name, number in new
        ]
        return DeferredList(asked, fireOnOneErrback=True, consumeErrors=True).addCallbacks(
            self._begin, _first_error, callbackArgs=(new,)
        )

    def _begin(self, answers: list[tuple[bool, Offset]], queues: list[Queue]) -> None:
        self._looking = False
        if self._is_over:
            return
        for queue, (_, reply) in zip(queues, answers, strict=True):
            self.place[queue] = self.began[queue] = reply.offset
            self._tails[queue] = _Tail(queue)
        self._look_again(ROUTE_S)
        for queue in queues:
            tail = self._tails.get(queue)
            if tail is not None:
                self._pull(tail)
        # After the first pulls: what refuses them at once refuses the members before they have begun.
        if not self._is_ready and not self._is_over:
            self._is_ready = True
            for member in list(self._members):
                member.ready()

    def _not_found(self, failure: Failure) -> None:
        self._looking = False
        if self._is_over:
            return
        error = error_of(failure)
        if error.code in RETRYABLE or error.code is Code.CANCELLED or (self._is_ready and error.code is Code.UPSTREAM_ERROR):
            self._look_again(error.retry_after or 1.0)
        else:
            self._fail(error)

    def _look_again(self, seconds: float) -> None:
        if self._look_call is not None and self._look_call.active():
            self._look_call.cancel()
        self._look_call = self._gateway.reactor.callLater(seconds, self._look)

    # Pulling.

    def _pull(self, tail: _Tail) -> None:
        if self._is_over or tail.pulling or tail.retry is not None or self._tails.get(tail.queue) is not tail:
            return
        wanted = self._subscription
        name, number = tail.queue
        member = next(iter(self._members))
        command = PullMessages(
            wanted.group,
            wanted.topic,
            number,
            self.place[tail.queue],
            BATCH,
            wait_ms=WAIT_MS,
            filter=wanted.filter,
            broker_name=name,
        )
        tail.pulling = True
        tail.member = member
        under_way = self._gateway.perform(member.context, command, self._pulled, tail)
        if tail.pulling:
            tail.under_way = under_way

    def _pulled(self, tail: _Tail, reply: PulledMessages | None, error: GatewayError | None) -> None:
        tail.pulling = False
        tail.under_way = None
        member, tail.member = tail.member, None
        if self._is_over or self._tails.get(tail.queue) is not tail:
            return
        if reply is None:
            self._refused(tail, member, error or GatewayError(Code.INTERNAL, "no reply"))
            return
        tail.pause = FIRST_PAUSE
        self._hand_out(tail.queue, reply)
        if not self._is_over:
            # In a turn of its own: what is pulled at once must not keep everything else waiting.
            tail.retry = self._gateway.reactor.callLater(0, self._again, tail)

    def _again(self, tail: _Tail) -> None:
        tail.retry = None
        self._pull(tail)

    def _refused(self, tail: _Tail, member: BroadcastLoop | None, error: GatewayError) -> None:
        if error.code in _OF_ONE:
            if error.code is not Code.CANCELLED and member is not None:
                member.fail(error)
            if not self._is_over:
                tail.retry = self._gateway.reactor.callLater(0, self._again, tail)
        elif error.code in PASSING:
            if error.code is Code.BAD_OFFSET and not self._looking:
                self._look_again(0)
            tail.retry = self._gateway.reactor.callLater(error.retry_after or tail.pause, self._again, tail)
            tail.pause = min(tail.pause * 2, LAST_PAUSE)
        else:
            self._fail(error)

    def _hand_out(self, queue: Queue, reply: PulledMessages) -> None:
        place = self.place
        outbox = self._gateway.outbox
        outbox.enter()
        try:
            for message in reply.messages:
                before = place[queue]
                after = queue_offset(message) + 1
                if after <= before:
                    continue
                place[queue] = after
                delivery = Delivery(message, "", 1, write_place(place))
                for member in list(self._at_end):
                    if member not in self._at_end:
                        continue  # closed by what another was given
                    if not member.take(delivery):
                        del self._at_end[member]
                        behind = dict(place)
                        behind[queue] = before
                        member.fall_behind(behind)
                if self._is_over:
                    return
            if reply.status is PullStatus.OFFSET_MOVED or reply.next_offset > place[queue]:
                place[queue] = reply.next_offset
        finally:
            outbox.leave()

    # The end.

    def _stop(self, tail: _Tail) -> None:
        self.place.pop(tail.queue, None)
        if tail.retry is not None:
            tail.retry.cancel()
            tail.retry = None
        if tail.under_way is not None:
            under_way, tail.under_way = tail.under_way, None
            under_way.cancel()

    def _end(self) -> None:
        self._is_over = True
        self._ended()
        tails = list(self._tails.values())
        self._tails.clear()
        for tail in tails:
            self._stop(tail)
        if self._look_call is not None and self._look_call.active():
            self._look_call.cancel()

    def _fail(self, error: GatewayError) -> None:
        members = list(self._members)
        self._members.clear()
        self._at_end.clear()
        self._end()
        for member in members:
            member.fail(error)


def error_of(failure: Failure) -> GatewayError:
    """What refused a command; anything else is logged, and INTERNAL."""
    error = failure.value
    if isinstance(error, GatewayError):
        return error
    log.failure("a broadcast cannot go on", failure)
    return GatewayError(Code.INTERNAL, "the gateway's log has the cause")


def _first_error(failure: Failure) -> Failure:
    """Of a DeferredList: what went wrong, not at which of them."""
    first: Failure = failure.value.subFailure  # type: ignore[union-attr]
    return first
