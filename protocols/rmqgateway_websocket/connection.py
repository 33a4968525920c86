"""One client: frames in, commands; replies, deliveries and events, frames out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway import commands
from rmqgateway.context import Context, Credential
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import CheckTransaction, Event, ReplyArrived
from rmqgateway.subscription import Delivery, Settlement, Subscription
from rmqgateway_websocket import convert, frames
from rmqgateway_websocket.consuming import Consumer, all_of
from rmqgateway_websocket.errors import error_frame

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.interfaces import IGateway, IWebSocket
    from rmqgateway_websocket.codec import Codec
    from rmqgateway_websocket.sent_ids import SentIds
    from rmqgateway_websocket.settings import WebSocketSettings

__all__ = ["Client"]

log = Logger(namespace="rmqgateway.websocket")

_RESTART, _POLICY = 1012, 1008
#: Producer groups are beaten this often; the gateway forgets them after 120 s.
_BEAT_S = 30.0
#: While the gateway drains, a client has this long to settle what it has.
_GRACE_S = 5.0

F = TypeVar("F", bound=frames.Frame)
Id = int | str | None


class Client:
    """See the module. What the core calls: `message_received`, `event_arrived`, `drain`, `closed`.

    :param private: nobody can listen to the connection.
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
        self._settings = settings
        self._gateway = gateway
        self._context = context
        self._socket = socket
        self._codec = codec
        self._ids = ids
        self._private = private
        self._first = True
        self._closed = False
        self._client_id = f"websocket-{context.session.number}-{secrets.token_hex(4)}"
        self._consumers: dict[str, Consumer] = {}
        #: Frames that wait for a message or a reply: how to end them, by id.
        self._waits: dict[int | str, Callable[[], object]] = {}
        self._asked: dict[str, Callable[[Any], None]] = {}  # by correlation id
        self._producer_groups: dict[str, None] = {}
        self._groups_seen: dict[str, dict[str, commands.Subscribed]] = {}
        self._beat: IDelayedCall | None = None
        self._end: IDelayedCall | None = None
        self._draining = False
        self._under_way = 0
        self._under_way_bytes = 0
        self._held = False  # we do not read
        self._blocked = False  # the client does not
        self._size = 0  # of the frame that is being read

    # What the core calls.

    def message_received(self, data: bytes, is_binary: bool) -> None:
        """A frame, or what should be one."""
        self._size = len(data)
        try:
            frame = self._codec.decode(data, is_binary)
        except WireError as error:
            self._refuse(error, self._codec.id_of(data) if is_binary is self._codec.is_binary else None)
            return
        first, self._first = self._first, False
        try:
            if type(frame) is frames.Connect and not first:
                raise WireError("connect: expected in the first frame or not at all", fatal=False)
            if type(frame) is not frames.Connect and first and self._gateway.guarded:
                self._refuse_stranger(frame.id)
                return
            _SERVE[type(frame)](self, frame)
        except (WireError, GatewayError) as error:
            self._refuse(error, frame.id)
        except Exception as error:
            log.failure("serving a frame failed")
            self._refuse(error, frame.id)

    def event_arrived(self, event: Event) -> bool:
        """See ISession.deliver."""
        if isinstance(event, CheckTransaction) and event.producer_group in self._producer_groups:
            self._send(convert.check_frame(event, self._codec.text_bodies))
            return True
        if isinstance(event, ReplyArrived):
            correlation_id, answer = convert.reply(event, self._codec.text_bodies)
            asked = self._asked.get(correlation_id)
            if asked is not None:
                asked(answer)
                return True
        return False

    def drain(self, deadline: float, reason: str) -> None:
        """See ISession.drain: deliver nothing more, let the client settle what it has, then 1012."""
        if self._draining:
            return
        self._draining = True
        for consumer in self._consumers.values():
            consumer.subscription.pause()
        grace = min(_GRACE_S, deadline / 2)
        self._send(frames.GoAway(reason=reason, deadline_ms=round(grace * 1000)))
        self._end = self._gateway.reactor.callLater(grace, self._finish)
        self._look_whether_finished()

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone; its session ends next, and with it the subscriptions."""
        self._closed = True
        for call in (self._beat, self._end):
            if call is not None and call.active():
                call.cancel()
        for end in list(self._waits.values()):
            end()
        self._consumers.clear()

    # Sending.

    def _send(self, frame: Any) -> None:
        if not self._closed:
            self._socket.send(self._codec.encode(frame), self._codec.is_binary)

    def _refuse(self, error: BaseException | None, frame_id: Id = None, subscription: str = "") -> None:
        self._send(error_frame(error, frame_id, subscription))

    def _done(self, frame_id: Id) -> None:
        if frame_id is not None:
            self._send(frames.Done(id=frame_id))

    def deliver(self, name: str, number: int, delivery: Delivery) -> None:
        """See consuming.Receiver."""
        message = convert.incoming(delivery.message, self._codec.text_bodies)
        self._send(
            frames.Deliver(
                subscription=name, number=number, attempt=delivery.delivery_attempt, message=message
            )
        )
        if not self._blocked and self._socket.buffered() > self._settings.unsent_bytes:
            self._blocked = True
            for consumer in self._consumers.values():
                consumer.subscription.pause()
            self._socket.on_drain(self._drained)

    def _drained(self) -> None:
        self._blocked = False
        if not self._draining:
            for consumer in list(self._consumers.values()):
                consumer.subscription.resume()

    def consumer_failed(self, name: str, error: Exception) -> None:
        """See consuming.Receiver."""
        consumer = self._consumers.pop(name, None)
        if consumer is not None:
            self._leave(consumer.wanted)
            self._refuse(error, None, name)

    # What is under way.

    def _began(self, size: int) -> None:
        self._under_way += 1
        self._under_way_bytes += size
        settings = self._settings
        if not self._held and (
            self._under_way >= settings.under_way or self._under_way_bytes >= settings.under_way_bytes
        ):
            self._held = True
            self._socket.pause()

    def _ended(self, size: int) -> None:
        self._under_way -= 1
        self._under_way_bytes -= size
        if self._held and not self._closed:
            settings = self._settings
            if self._under_way * 2 <= settings.under_way and self._under_way_bytes * 2 <= settings.under_way_bytes:
                self._held = False
                self._socket.resume()
        if self._draining:
            self._look_whether_finished()

    def _look_whether_finished(self) -> None:
        if not self._under_way and not any(consumer.unsettled for consumer in self._consumers.values()):
            self._finish()

    def _finish(self) -> None:
        if not self._closed:
            self._socket.close(_RESTART, "the gateway restarts: connect again")

    def _execute(
        self, frame_id: Id, command: commands.Command[Any], answer: Callable[[Any], Any] | None = None
    ) -> Deferred[None]:
        """Execute a command and answer: by what `answer` makes of the reply, or that it is done."""
        done: Deferred[Any] = maybeDeferred(self._gateway.execute, self._context, command)
        return self._answer(frame_id, done, answer)

    def _answer(self, frame_id: Id, done: Deferred[Any], answer: Callable[[Any], Any] | None = None) -> Deferred[None]:
        size = self._size
        self._began(size)

        def succeeded(reply: Any) -> None:
            if answer is None:
                self._done(frame_id)
            elif frame_id is not None:
                self._send(answer(reply))

        def finished(result: Any) -> None:
            if isinstance(result, Failure):
                if not isinstance(result.value, (GatewayError, WireError)):
                    log.failure("answering a frame failed", failure=result)
                self._refuse(result.value, frame_id)
            self._ended(size)

        return done.addCallback(succeeded).addBoth(finished)

    # Who it is.

    def _connect(self, frame: frames.Connect) -> None:
        offered = [name for name in ("token", "access_key", "ticket") if getattr(frame, name)]
        if len(offered) > 1:
            raise WireError(f"connect: expected one credential, got {' and '.join(offered)}", fatal=False)
        try:
            user = self._authenticate(frame) if offered else self._gateway.authenticate(self._context, None)
        except GatewayError as error:
            self._refuse(error, frame.id)
            self._socket.close(_POLICY, error.message[:100])
            return
        if frame.client_id:
            self._client_id = frame.client_id
        self._execute(
            frame.id,
            commands.Heartbeat(self._client_id, frame.language or "BROWSER", frame.version),
            lambda _: frames.Connected(
                id=frame.id,
                client_id=self._client_id,
                user=user or "",
                max_under_way=self._settings.under_way,
            ),
        )

    def _refuse_stranger(self, frame_id: Id) -> None:
        """Users exist, and the first frame does not say who it is: nobody waits for a second one."""
        text = "expected connect with a credential in the first frame, since users exist"
        self._refuse(GatewayError(Code.UNAUTHENTICATED, text), frame_id)
        self._socket.close(_POLICY, text)

    def _authenticate(self, frame: frames.Connect) -> str | None:
        if frame.token or frame.ticket:
            credential = Credential(token=frame.token or frame.ticket)
        elif self._private or self._settings.secrets_in_clear:
            credential = Credential.from_password(frame.access_key, frame.secret_key)
        else:
            raise GatewayError(
                Code.UNAUTHENTICATED,
                "connect: a secretKey is taken over TLS only (setting front_ends.websocket.secrets_in_clear)",
            )
        self._context = Context(self._context.session, credential)
        return self._gateway.authenticate(self._context, credential)

    def _ping(self, frame: frames.Ping) -> None:
        self._done(frame.id)

    # Producing.

    def _send_messages(self, frame: frames.Send) -> None:
        command = convert.send_messages(frame, self._ids.new_id)
        self._refuse_new()
        if frame.transaction:
            known = self._produce((frame.producer_group,))
            if known is not None:
                known.addCallbacks(
                    lambda _: self._store(frame, command), lambda failure: self._refuse(failure.value, frame.id)
                )
                return
        self._store(frame, command)

    def _store(self, frame: frames.Send, command: commands.SendMessages) -> None:
        size = self._size
        self._began(size)

        def done(
            results: list[commands.SendResult] | None, repeated: set[int], error: GatewayError | None
        ) -> None:
            if results is None:
                self._refuse(error, frame.id)
            elif frame.id is not None:
                self._send(convert.sent(frame, results, repeated))
            self._ended(size)

        self._ids.send(self._context, command, [one.message_id for one in frame.messages], done)

    def _refuse_new(self) -> None:
        if self._draining:
            raise GatewayError(
                Code.SHUTTING_DOWN, "this gateway is shutting down; connect again", retry_after=1.0
            )

    def _produce(self, groups: tuple[str, ...]) -> Deferred[Any] | None:
        """Answer for these producer groups from now on; None if that is known."""
        new = [group for group in groups if group not in self._producer_groups]
        if not new:
            return None
        if len(self._producer_groups) + len(new) > 64:
            raise GatewayError(Code.TOO_MANY_REQUESTS, "expected at most 64 producer groups on a connection")
        self._producer_groups.update(dict.fromkeys(new))

        def failed(failure: Failure) -> Failure:
            for group in new:
                self._producer_groups.pop(group, None)
            return failure

        return self._beat_now().addErrback(failed)

    def _beat_now(self) -> Deferred[Any]:
        if self._beat is None:
            self._beat = self._gateway.reactor.callLater(_BEAT_S, self._beat_again)
        consumers = tuple(
            [
                commands.Consumer(group, commands.ConsumeMode.POP, subscriptions=tuple(topics.values()))
                for group, topics in self._groups_seen.items()
            ]
        )
        return maybeDeferred(
            self._gateway.execute,
            self._context,
            commands.Heartbeat(self._client_id, "BROWSER", "", tuple(self._producer_groups), consumers),
        )

    def _beat_again(self) -> None:
        self._beat = None
        if self._producer_groups or self._groups_seen:
            self._beat_now().addErrback(lambda failure: log.debug("heartbeat: {why}", why=failure.getErrorMessage()))

    def _heartbeat(self, frame: frames.Heartbeat) -> None:
        known = self._produce(frame.producer_groups)
        if known is None:
            self._done(frame.id)
        else:
            self._answer(frame.id, known)

    def _end_transaction(self, frame: frames.Transacting) -> None:
        self._execute(frame.id, convert.end_transaction(frame))

    def _recall(self, frame: frames.Recall) -> None:
        def answer(reply: commands.RecalledMessage) -> frames.Recalled:
            return frames.Recalled(id=_id(frame), message_id=reply.unique_key)

        self._execute(frame.id, commands.RecallMessage(frame.topic, frame.recall_handle), answer)

    # Consuming.

    def _subscribe(self, frame: frames.Subscribe) -> None:
        name = frame.subscription
        self._refuse_new()
        if name in self._consumers:
            raise GatewayError(Code.ALREADY_EXISTS, f"there is a subscription {name} already")
        if len(self._consumers) >= self._settings.subscriptions:
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"expected at most {self._settings.subscriptions} subscriptions (setting front_ends.websocket.subscriptions)",
            )
        wanted = convert.subscription(frame, self._client_id)
        consumer = Consumer(self, name, wanted, self._settings.unsettled)
        consumer.subscription = self._gateway.subscribe(self._context, wanted, consumer)
        self._consumers[name] = consumer
        subscribed = commands.Subscribed(frame.topic, wanted.filter)

        def join(_: object) -> Deferred[Any]:
            self._groups_seen.setdefault(frame.group, {})[frame.topic] = subscribed
            return self._beat_now()

        def begin(_: object) -> None:
            if self._consumers.get(name) is consumer:
                self._done(frame.id)
                consumer.grant(frame.credit, frame.credit_bytes)

        def failed(failure: Failure) -> None:
            if self._consumers.get(name) is consumer:
                del self._consumers[name]
            self._leave(wanted)
            consumer.subscription.close().addErrback(_forget)
            failure.trap(GatewayError)
            self._refuse(failure.value, frame.id, name)

        # The topic comes into being by its first consumer as by its first producer, where that is allowed.
        made: Deferred[Any] = maybeDeferred(
            self._gateway.execute, self._context, commands.QueryRoute(frame.topic, create=True)
        )
        made.addErrback(_unless_forbidden).addCallback(join).addCallback(begin).addErrback(failed)

    def _leave(self, wanted: Subscription) -> None:
        """A subscription has ended: be no member of its group any more, unless by another."""
        group, topic = wanted.group, wanted.topic
        if any(one.wanted.group == group and one.wanted.topic == topic for one in self._consumers.values()):
            return
        topics = self._groups_seen.get(group, {})
        topics.pop(topic, None)
        if not topics and self._groups_seen.pop(group, None) is not None:
            left = commands.Unregister(self._client_id, consumer_group=group)
            maybeDeferred(self._gateway.execute, self._context, left).addErrback(_forget)

    def _consumer(self, name: str) -> Consumer:
        consumer = self._consumers.get(name)
        if consumer is None:
            raise GatewayError(Code.BAD_REQUEST, f"there is no subscription {name[:64]!r}")
        return consumer

    def _credit(self, frame: frames.Credit) -> None:
        self._consumer(frame.subscription).grant(frame.messages, frame.bytes)
        self._done(frame.id)

    def _unsubscribe(self, frame: frames.Unsubscribe) -> None:
        consumer = self._consumer(frame.subscription)
        del self._consumers[frame.subscription]
        self._leave(consumer.wanted)
        self._answer(frame.id, consumer.subscription.close())

    def _settle(self, frame: frames.Settle) -> None:
        by_number = bool(frame.subscription or frame.numbers)
        by_handle = bool(frame.receipt_handles or frame.group or frame.topic)
        if by_number is by_handle:
            raise WireError(
                "expected subscription and numbers, or group, topic and receiptHandles", fatal=False
            )
        if by_number:
            settlement, delay_ms = _SETTLEMENTS[type(frame)], getattr(frame, "delay_ms", 0)
            settled = self._consumer(frame.subscription).settle(frame.numbers, settlement, delay_ms)
            self._answer(frame.id, settled)
            return
        elif isinstance(frame, frames.Ack):
            acked = commands.AckMessages(frame.group, frame.topic, frame.receipt_handles)
            self._answer(frame.id, maybeDeferred(self._gateway.execute, self._context, acked).addCallback(_check_acks))
            return
        else:
            done = [
                maybeDeferred(self._gateway.execute, self._context, self._handle_command(frame, handle))
                for handle in frame.receipt_handles
            ]
        self._answer(frame.id, all_of(done))

    @staticmethod
    def _handle_command(frame: frames.Settle, handle: str) -> commands.Command[Any]:
        if isinstance(frame, frames.Reject):
            return commands.ForwardToDeadLetterQueue(frame.group, frame.topic, handle)
        delay_ms = frame.delay_ms if isinstance(frame, frames.Retry) else 0
        return commands.ChangeInvisibleDuration(frame.group, frame.topic, handle, delay_ms)

    # Asking.

    def _wait(self, frame: frames.Frame) -> int | str:
        """Whether one more frame may wait. Returns its id."""
        self._refuse_new()
        found = _id(frame)
        if found in self._waits:
            raise GatewayError(Code.BAD_REQUEST, f"another frame waits under the id {found!r}")
        if len(self._waits) >= self._settings.waits:
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"{len(self._waits)} frames wait already (setting front_ends.websocket.waits)",
                retry_after=1.0,
            )
        return found

    def _waiting(
        self, frame: frames.Frame, command: commands.Command[Any], answer: Callable[[Any], Any]
    ) -> None:
        """Execute a command that may wait: it holds up nothing else, and may be cancelled."""
        frame_id = self._wait(frame)
        done: Deferred[Any] = maybeDeferred(self._gateway.execute, self._context, command)
        self._waits[frame_id] = done.cancel

        def finished(result: Any) -> None:
            self._waits.pop(frame_id, None)
            if isinstance(result, Failure):
                self._refuse(result.value, frame_id)
            else:
                self._send(answer(result))

        done.addBoth(finished)

    def _receive(self, frame: frames.Receive) -> None:
        text = self._codec.text_bodies
        self._waiting(
            frame, convert.receive(frame, self._client_id), lambda reply: convert.received(_id(frame), reply, text)
        )

    def _pull(self, frame: frames.Pull) -> None:
        text = self._codec.text_bodies
        self._waiting(frame, convert.pull(frame), lambda reply: convert.pulled(_id(frame), reply, text))

    def _peek(self, frame: frames.Peek) -> None:
        text = self._codec.text_bodies
        self._execute(frame.id, convert.peek(frame), lambda reply: convert.received(_id(frame), reply, text))

    def _query_offset(self, frame: frames.QueryOffset) -> None:
        self._execute(
            frame.id, convert.query_offset(frame), lambda reply: frames.OffsetIs(id=_id(frame), offset=reply.offset)
        )

    def _get_offset(self, frame: frames.GetOffset) -> None:
        self._execute(
            frame.id,
            commands.GetConsumerOffset(frame.group, frame.topic, frame.queue_id, False, frame.broker),
            lambda reply: frames.OffsetIs(id=_id(frame), offset=reply.offset),
        )

    def _update_offset(self, frame: frames.UpdateOffset) -> None:
        self._execute(
            frame.id,
            commands.UpdateConsumerOffset(frame.group, frame.topic, frame.queue_id, frame.offset, frame.broker),
        )

    def _route(self, frame: frames.Route) -> None:
        self._execute(
            frame.id,
            commands.QueryRoute(frame.topic, frame.create),
            lambda reply: convert.route(_id(frame), reply),
        )

    def _request(self, frame: frames.Request) -> None:
        frame_id = self._wait(frame)
        correlation_id = secrets.token_hex(16)
        message = convert.request_message(frame, correlation_id, self._client_id)

        def finished(answer: Any) -> None:
            if self._asked.pop(correlation_id, None) is None:
                return
            self._waits.pop(frame_id, None)
            if timer.active():
                timer.cancel()
            if isinstance(answer, frames.IncomingMessage):
                self._send(frames.Replied(id=frame_id, message=answer))
            else:
                self._refuse(answer, frame_id)

        late = GatewayError(Code.TIMEOUT, f"request: no reply within {frame.timeout_ms} ms")
        cancelled = GatewayError(Code.CANCELLED, "the request was cancelled")
        timer = self._gateway.reactor.callLater(frame.timeout_ms / 1000, finished, late)
        self._asked[correlation_id] = finished
        self._waits[frame_id] = lambda: finished(cancelled)

        def known(_: object) -> Any:
            return self._gateway.execute(self._context, commands.SendMessages(frame.topic, (message,)))

        # The reply finds this connection by the client id of a heartbeat.
        self._beat_now().addCallback(known).addErrback(lambda failure: finished(failure.value))

    def _reply(self, frame: frames.Reply) -> None:
        self._execute(frame.id, convert.reply_message(frame))

    def _cancel(self, frame: frames.Cancel) -> None:
        end = self._waits.get(frame.target)
        if end is not None:
            end()
        self._done(frame.id)


def _id(frame: frames.Frame) -> int | str:
    if frame.id is None:
        raise WireError("expected an id: the answer has nowhere to go", fatal=False)
    return frame.id


def _forget(_: object) -> None:
    """Nobody waits for this."""


def _unless_forbidden(failure: Failure) -> None:
    """Who may consume a topic may not always ask for its route."""
    error = failure.value
    if not isinstance(error, GatewayError) or error.code is not Code.FORBIDDEN:
        failure.raiseException()


def _check_acks(reply: commands.AckResults) -> None:
    wrong = [one for one in reply.results if one.code]
    if wrong:
        raise GatewayError(
            Code[wrong[0].code],
            f"{len(wrong)} of {len(reply.results)} receipt handles: {wrong[0].text} ({wrong[0].receipt_handle[:100]})",
        )


_SETTLEMENTS = {
    frames.Ack: Settlement.ACCEPT,
    frames.Nack: Settlement.RELEASE,
    frames.Retry: Settlement.RETRY_AFTER,
    frames.Reject: Settlement.REJECT,
}

_SERVE: dict[type[frames.Frame], Callable[[Client, Any], None]] = {
    frames.Connect: Client._connect,
    frames.Ping: Client._ping,
    frames.Send: Client._send_messages,
    frames.Commit: Client._end_transaction,
    frames.Rollback: Client._end_transaction,
    frames.Heartbeat: Client._heartbeat,
    frames.Recall: Client._recall,
    frames.Subscribe: Client._subscribe,
    frames.Credit: Client._credit,
    frames.Unsubscribe: Client._unsubscribe,
    frames.Ack: Client._settle,
    frames.Nack: Client._settle,
    frames.Retry: Client._settle,
    frames.Reject: Client._settle,
    frames.Receive: Client._receive,
    frames.Peek: Client._peek,
    frames.Pull: Client._pull,
    frames.QueryOffset: Client._query_offset,
    frames.GetOffset: Client._get_offset,
    frames.UpdateOffset: Client._update_offset,
    frames.Route: Client._route,
    frames.Request: Client._request,
    frames.Reply: Client._reply,
    frames.Cancel: Client._cancel,
}
