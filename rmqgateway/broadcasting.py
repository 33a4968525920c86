"""Subscriptions of groups that broadcast (RocketMQ's ``MessageModel.BROADCASTING``): every member gets every message.

Nothing is acknowledged, nothing is kept for a member: its place, an offset in each queue, goes with each delivery, and is all
that it takes to go on later, at whatever gateway. Members that have got everything share one pull of each queue, a `Feed`: a
message is read once, however many get it. One that is behind (it came with a place, did not read, or had no credit) pulls by
itself until it has caught up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.commands import GetGroup, InitMode, PulledMessages, PullMessages, PullStatus
from rmqgateway.errors import RETRYABLE, Code, GatewayError
from rmqgateway.feeds import BATCH, PASSING, error_of
from rmqgateway.interfaces import ISubscription
from rmqgateway.places import Place, Queue, read_place, write_place
from rmqgateway.subscription import FIRST_PAUSE, LAST_PAUSE, MAX_CREDIT, Delivery
from rmqgateway.wire.stored_message import queue_offset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.context import Context
    from rmqgateway.feeds import Feed, Feeds
    from rmqgateway.interfaces import IBroadcastSink, IGateway
    from rmqgateway.subscription import Settlement, Subscription

__all__ = ["BroadcastLoop"]

log = Logger(namespace="rmqgateway.broadcasting")


@implementer(ISubscription)
class BroadcastLoop:
    """See `ISubscription`: one member. There is nothing to settle.

    :ivar context: whose commands are carried out.
    """

    def __init__(
        self,
        gateway: IGateway,
        context: Context,
        subscription: Subscription,
        sink: IBroadcastSink,
        feeds: Feeds,
    ) -> None:
        self.context = context
        self._gateway = gateway
        self._subscription = subscription
        self._sink = sink
        self._feeds = feeds
        self._wanted = read_place(subscription.place) if subscription.place else None
        self._feed: Feed | None = None
        #: Where it is, while it is behind; None: where the feed is, or not known yet.
        self._place: Place | None = None
        self._begun = False
        self._pulling: Queue | None = None
        self._under_way: Any = None
        self._retry: IDelayedCall | None = None
        self._pause = FIRST_PAUSE
        self._credit = 0
        self._credit_bytes: int | None = None
        self._paused = False
        self._closed = False
        context.session.on_end(self._session_ended)

    in_flight = 0

    def grant(self, messages: int, size: int = 0) -> None:
        self._credit = min(self._credit + max(messages, 0), MAX_CREDIT)
        if size > 0:
            self._credit_bytes = (self._credit_bytes or 0) + size
        if not self._begun and not self._closed:
            self._begun = True
            self._check()
        self._catch_up()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._catch_up()

    def settle(self, receipt_handle: str, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        return succeed(None)

    def settle_many(
        self, receipt_handles: Sequence[str], settlement: Settlement, delay_ms: int = 0
    ) -> Deferred[dict[str, GatewayError]]:
        return succeed({})

    def close(self) -> Deferred[None]:
        if not self._closed:
            self._closed = True
            self.context.session.not_on_end(self._session_ended)
            self._stop()
            feed, self._feed = self._feed, None
            if feed is not None:
                feed.leave(self)
        return succeed(None)

    # What it may get, and from where.

    def _check(self) -> None:
        """Whether the caller may consume, and the group broadcast."""
        if self.judge():
            asked = maybeDeferred(self._gateway.execute, self.context, GetGroup(self._subscription.group))
            asked.addCallbacks(self._checked, self._not_checked)

    def judge(self) -> bool:
        """Whether the caller may consume; if not, it has failed."""
        wanted = self._subscription
        try:
            self._gateway.judge(self.context, PullMessages(wanted.group, wanted.topic, 0, 0))
        except GatewayError as error:
            self.fail(error)
            return False
        return True

    def _checked(self, group: Any) -> None:
        if not group.consume_broadcast_enable:
            name = self._subscription.group
            text = f"consumer group {name} may not broadcast (consumeBroadcastEnable)"
            self.fail(GatewayError(Code.GROUP_DISABLED, text))
            return
        self._join()

    def _not_checked(self, failure: Failure) -> None:
        error = error_of(failure)
        if error.code is Code.GROUP_NOT_FOUND:
            self._join()  # the first pull makes it, or tells that it may not
        elif error.code in RETRYABLE:
            self._retry = self._gateway.reactor.callLater(error.retry_after or 1.0, self._check_again)
        else:
            self.fail(error)

    def _check_again(self) -> None:
        self._retry = None
        self._check()

    def _join(self) -> None:
        if not self._closed:
            self._feed = feed = self._feeds.of(self.context, self._subscription)
            feed.join(self)

    def ready(self) -> None:
        """The feed knows where the queues end."""
        feed = self._feed
        if feed is None:
            return
        if self._wanted is not None:
            # All of a queue that it does not name is new.
            self._place = {queue: self._wanted.get(queue, 0) for queue in feed.place}
        elif self._subscription.init_mode is InitMode.MIN:
            self._place = dict.fromkeys(feed.place, 0)
        else:
            feed.at_end(self)
        self._sink.began(write_place(self._place or feed.place))
        self._catch_up()

    # At the end.

    def take(self, delivery: Delivery) -> bool:
        """Deliver it, if that may be."""
        if not self._may_deliver():
            return False
        self._deliver(delivery)
        return True

    def fall_behind(self, place: Place) -> None:
        """It could not be given what comes after this."""
        if not self._closed:
            self._place = place
            self._catch_up()

    def _deliver(self, delivery: Delivery) -> None:
        self._credit -= 1
        if self._credit_bytes is not None:
            self._credit_bytes -= len(delivery.message)
        try:
            self._sink.deliver(delivery)
        except Exception:
            log.failure("delivering failed")
            self.fail(GatewayError(Code.INTERNAL, "delivering failed; the gateway's log has the cause"))

    # Behind.

    def _may_deliver(self) -> bool:
        return not (
            self._closed
            or self._paused
            or self._credit <= 0
            or (self._credit_bytes is not None and self._credit_bytes <= 0)
        )

    def _catch_up(self) -> None:
        """Pull the next queue in which something is missing, or join those at the end."""
        feed, place = self._feed, self._place
        if feed is None or place is None or self._pulling is not None or self._retry is not None or not self._may_deliver():
            return
        for queue, end in feed.place.items():
            offset = place.get(queue)
            if offset is None:
                offset = place[queue] = min(feed.began[queue], end)
            if offset < end:
                break
        else:
            self._place = None
            feed.at_end(self)
            return
        wanted = self._subscription
        command = PullMessages(
            wanted.group,
            wanted.topic,
            queue[1],
            offset,
            min(BATCH, self._credit),
            filter=wanted.filter,
            broker_name=queue[0],
        )
        self._pulling = queue
        under_way = self._gateway.perform(self.context, command, self._pulled, queue)
        if self._pulling is not None:
            self._under_way = under_way

    def _pulled(self, queue: Queue, reply: PulledMessages | None, error: GatewayError | None) -> None:
        self._pulling = self._under_way = None
        feed, place = self._feed, self._place
        if self._closed or feed is None or place is None:
            return
        if reply is None:
            self._refused(error or GatewayError(Code.INTERNAL, "no reply"))
            return
        end = feed.place.get(queue, 0)
        before = place[queue]
        outbox = self._gateway.outbox
        outbox.enter()
        try:
            for message in reply.messages:
                offset = queue_offset(message)
                if offset >= end or not self._may_deliver():
                    break
                if offset >= place[queue]:
                    place[queue] = offset + 1
                    self._deliver(Delivery(message, "", 1, write_place(place)))
            else:
                if reply.status is PullStatus.OFFSET_MOVED or reply.next_offset > place[queue]:
                    place[queue] = min(reply.next_offset, end)
        finally:
            outbox.leave()
        if self._closed:
            return
        if place[queue] != before:
            self._pause = FIRST_PAUSE
            self._again_after(0)  # in a turn of its own, for many of them may be behind
        else:
            self._pause = min(self._pause * 2, LAST_PAUSE)
            self._again_after(self._pause)

    def _refused(self, error: GatewayError) -> None:
        if error.code is Code.CANCELLED:
            return
        if error.code in PASSING:
            self._again_after(error.retry_after or self._pause)
            self._pause = min(self._pause * 2, LAST_PAUSE)
        else:
            self.fail(error)

    def _again_after(self, seconds: float) -> None:
        self._retry = self._gateway.reactor.callLater(seconds, self._again)

    def _again(self) -> None:
        self._retry = None
        self._catch_up()

    # The end.

    def fail(self, error: GatewayError) -> None:
        """No retry can change it: the sink is told, once."""
        if not self._closed:
            self.close()
            self._sink.failed(error)

    def _stop(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.cancel()

    def _session_ended(self) -> None:
        self.close()
