"""One client: frames in, commands; replies, deliveries and events, frames out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway import commands
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import CheckTransaction, Event, ReplyArrived
from rmqgateway_websocket import asking, connecting, convert, frames, producing, subscribing
from rmqgateway_websocket.connecting import refuse_stranger
from rmqgateway_websocket.errors import error_frame
from rmqgateway_websocket.membership import Membership
from rmqgateway_websocket.subscribing import leave

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.context import Context
    from rmqgateway.interfaces import IGateway, IWebSocket
    from rmqgateway.subscription import Delivery
    from rmqgateway_websocket.codec import Codec
    from rmqgateway_websocket.consuming import Consumer
    from rmqgateway_websocket.sent_ids import SentIds
    from rmqgateway_websocket.settings import WebSocketSettings

__all__ = ["Client"]

log = Logger(namespace="rmqgateway.websocket")

_RESTART = 1012
#: While the gateway drains, a client has this long to settle what it has.
_GRACE_S = 5.0

Id = int | str | None


class Client:
    """See the module. What the core calls: `message_received`, `event_arrived`, `drain`, `closed`; the rest is for what serves
    the frames (connecting.py, producing.py, subscribing.py, asking.py).

    :ivar private: nobody can listen to the connection. :ivar consumers: subscriptions by the client's names.
    :ivar waits: frames that wait for a message or a reply: how to end them, by id. :ivar asked: who waits for which reply, by
        correlation id. :ivar size: of the frame that is being read.
    """

    def __init__(
        self,
        settings: WebSocketSettings,
        gateway: IGateway,
        context: Context,
        socket: IWebSocket,
        codec: Codec,
        ids: SentIds,
        private: bool,
    ) -> None:
        self.settings = settings
        self.gateway = gateway
        self.context = context
        self.socket = socket
        self.codec = codec
        self.ids = ids
        self.private = private
        self._first = True
        self._closed = False
        self.client_id = f"websocket-{context.session.number}-{secrets.token_hex(4)}"
        self.consumers: dict[str, Consumer] = {}
        self.waits: dict[int | str, Callable[[], object]] = {}
        self.asked: dict[str, Callable[[Any], None]] = {}
        self.membership = Membership(self)
        self._end: IDelayedCall | None = None
        self.draining = False
        self._under_way = 0
        self._under_way_bytes = 0
        self._held = False  # we do not read
        self._blocked = False  # the client does not
        self.size = 0

    # What the core calls.

    def message_received(self, data: bytes, is_binary: bool) -> None:
        """A frame, or what should be one."""
        self.size = len(data)
        try:
            frame = self.codec.decode(data, is_binary)
        except WireError as error:
            self.refuse(error, self.codec.id_of(data) if is_binary is self.codec.is_binary else None)
            return
        first, self._first = self._first, False
        try:
            if type(frame) is frames.Connect and not first:
                raise WireError("connect: expected in the first frame or not at all", fatal=False)
            if type(frame) is not frames.Connect and first and self.gateway.guarded:
                refuse_stranger(self, frame.id)
                return
            _SERVE[type(frame)](self, frame)
        except (WireError, GatewayError) as error:
            self.refuse(error, frame.id)
        except Exception as error:
            log.failure("serving a frame failed")
            self.refuse(error, frame.id)

    def event_arrived(self, event: Event) -> bool:
        """See ISession.deliver."""
        if isinstance(event, CheckTransaction) and event.producer_group in self.membership.producer_groups:
            self.send(convert.check_frame(event, self.codec.text_bodies))
            return True
        if isinstance(event, ReplyArrived):
            correlation_id, answer = convert.reply(event, self.codec.text_bodies)
            asked = self.asked.get(correlation_id)
            if asked is not None:
                asked(answer)
                return True
        return False

    def drain(self, deadline: float, reason: str) -> None:
        """See ISession.drain: deliver nothing more, let the client settle what it has, then 1012."""
        if self.draining:
            return
        self.draining = True
        for consumer in self.consumers.values():
            consumer.subscription.pause()
        grace = min(_GRACE_S, deadline / 2)
        self.send(frames.GoAway(reason=reason, deadline_ms=round(grace * 1000)))
        self._end = self.gateway.reactor.callLater(grace, self._finish)
        self._look_whether_finished()

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone; its session ends next, and with it the subscriptions."""
        self._closed = True
        self.membership.stop()
        if self._end is not None and self._end.active():
            self._end.cancel()
        for end in list(self.waits.values()):
            end()
        self.consumers.clear()

    # Sending.

    def send(self, frame: Any) -> None:
        """Send a frame of the gateway's, unless the connection is gone."""
        if not self._closed:
            self.socket.send(self.codec.encode(frame), self.codec.is_binary)

    def refuse(self, error: BaseException | None, frame_id: Id = None, subscription: str = "") -> None:
        """Send an error."""
        self.send(error_frame(error, frame_id, subscription))

    def done(self, frame_id: Id) -> None:
        """Say that a frame is served, to who wants to know."""
        if frame_id is not None:
            self.send(frames.Done(id=frame_id))

    def deliver(self, name: str, number: int, delivery: Delivery) -> None:
        """See consuming.Receiver."""
        message: Any
        if delivery.place:
            message = self.codec.shared(delivery.message)
        else:
            message = convert.incoming(delivery.message, self.codec.text_bodies)
        self.send(
            frames.Deliver(
                subscription=name,
                number=number,
                attempt=delivery.delivery_attempt,
                message=message,
                place=delivery.place,
            )
        )
        if not self._blocked and self.socket.buffered() > self.settings.unsent_bytes:
            self._blocked = True
            for consumer in self.consumers.values():
                consumer.subscription.pause()
            self.socket.on_drain(self._drained)

    def began_at(self, name: str, place: str) -> None:
        """See consuming.Receiver."""
        self.send(frames.PlaceIs(subscription=name, place=place))

    def _drained(self) -> None:
        self._blocked = False
        if not self.draining:
            for consumer in list(self.consumers.values()):
                consumer.subscription.resume()

    def consumer_failed(self, name: str, error: Exception) -> None:
        """See consuming.Receiver."""
        consumer = self.consumers.pop(name, None)
        if consumer is not None:
            leave(self, consumer.wanted)
            self.refuse(error, None, name)

    # What is under way.

    def began(self, size: int) -> None:
        """Something of this size is under way; with too much of it nothing more is read. To be followed by `ended`."""
        self._under_way += 1
        self._under_way_bytes += size
        settings = self.settings
        if not self._held and (
            self._under_way >= settings.under_way or self._under_way_bytes >= settings.under_way_bytes
        ):
            self._held = True
            self.socket.pause()

    def ended(self, size: int) -> None:
        """It is not any more."""
        self._under_way -= 1
        self._under_way_bytes -= size
        if self._held and not self._closed:
            settings = self.settings
            if self._under_way * 2 <= settings.under_way and self._under_way_bytes * 2 <= settings.under_way_bytes:
                self._held = False
                self.socket.resume()
        if self.draining:
            self._look_whether_finished()

    def _look_whether_finished(self) -> None:
        if not self._under_way and not any(consumer.unsettled for consumer in self.consumers.values()):
            self._finish()

    def _finish(self) -> None:
        if not self._closed:
            self.socket.close(_RESTART, "the gateway restarts: connect again")

    def execute(
        self, frame_id: Id, command: commands.Command[Any], answer: Callable[[Any], Any] | None = None
    ) -> Deferred[None]:
        """Execute a command and answer: by what `answer` makes of the reply, or that it is done."""
        done: Deferred[Any] = maybeDeferred(self.gateway.execute, self.context, command)
        return self.answer(frame_id, done, answer)

    def answer(self, frame_id: Id, done: Deferred[Any], answer: Callable[[Any], Any] | None = None) -> Deferred[None]:
        """The same of what somebody else has begun."""
        size = self.size
        self.began(size)

        def succeeded(reply: Any) -> None:
            if answer is None:
                self.done(frame_id)
            elif frame_id is not None:
                self.send(answer(reply))

        def finished(result: Any) -> None:
            if isinstance(result, Failure):
                if not isinstance(result.value, (GatewayError, WireError)):
                    log.failure("answering a frame failed", failure=result)
                self.refuse(result.value, frame_id)
            self.ended(size)

        return done.addCallback(succeeded).addBoth(finished)

    def refuse_new(self) -> None:
        """:raise GatewayError: SHUTTING_DOWN: nothing new is begun."""
        if self.draining:
            raise GatewayError(
                Code.SHUTTING_DOWN, "this gateway is shutting down; connect again", retry_after=1.0
            )


#: What serves each kind of frame.
_SERVE: dict[type[frames.Frame], Callable[[Client, Any], None]] = {
    frames.Connect: connecting.connect,
    frames.Ping: connecting.ping,
    frames.Send: producing.send_messages,
    frames.Commit: producing.end_transaction,
    frames.Rollback: producing.end_transaction,
    frames.Heartbeat: producing.heartbeat,
    frames.Recall: producing.recall,
    frames.Subscribe: subscribing.subscribe,
    frames.Credit: subscribing.credit,
    frames.Unsubscribe: subscribing.unsubscribe,
    frames.Ack: subscribing.settle,
    frames.Nack: subscribing.settle,
    frames.Retry: subscribing.settle,
    frames.Reject: subscribing.settle,
    frames.Receive: asking.receive,
    frames.Peek: asking.peek,
    frames.Pull: asking.pull,
    frames.QueryOffset: asking.query_offset,
    frames.GetOffset: asking.get_offset,
    frames.UpdateOffset: asking.update_offset,
    frames.Route: asking.route,
    frames.Request: asking.request,
    frames.Reply: asking.reply,
    frames.Cancel: asking.cancel,
}
