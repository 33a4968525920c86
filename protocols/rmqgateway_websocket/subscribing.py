"""Frames of consumers: subscriptions, their credit, and what became of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from rmqgateway import commands
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.subscription import Settlement
from rmqgateway_websocket import convert, frames
from rmqgateway_websocket.consuming import Consumer, all_of

if TYPE_CHECKING:
    from rmqgateway.subscription import Subscription
    from rmqgateway_websocket.connection import Client

__all__ = ["credit", "leave", "settle", "subscribe", "unsubscribe"]

_SETTLEMENTS = {
    frames.Ack: Settlement.ACCEPT,
    frames.Nack: Settlement.RELEASE,
    frames.Retry: Settlement.RETRY_AFTER,
    frames.Reject: Settlement.REJECT,
}


def subscribe(client: Client, frame: frames.Subscribe) -> None:
    name = frame.subscription
    client.refuse_new()
    if name in client.consumers:
        raise GatewayError(Code.ALREADY_EXISTS, f"there is a subscription {name} already")
    if len(client.consumers) >= client.settings.subscriptions:
        raise GatewayError(
            Code.TOO_MANY_REQUESTS,
            f"expected at most {client.settings.subscriptions} subscriptions (setting front_ends.websocket.subscriptions)",
        )
    wanted = convert.subscription(frame, client.client_id)
    consumer = Consumer(client, name, wanted, client.settings.unsettled)
    consumer.subscription = client.gateway.subscribe(client.context, wanted, consumer)
    client.consumers[name] = consumer
    subscribed = commands.Subscribed(frame.topic, wanted.filter)

    def join(_: object) -> Deferred[Any]:
        return client.membership.consume(frame.group, subscribed, wanted.broadcast)

    def begin(_: object) -> None:
        if client.consumers.get(name) is consumer:
            client.done(frame.id)
            consumer.grant(frame.credit, frame.credit_bytes)

    def failed(failure: Failure) -> None:
        if client.consumers.get(name) is consumer:
            del client.consumers[name]
        leave(client, wanted)
        consumer.subscription.close().addErrback(_forget)
        failure.trap(GatewayError)
        client.refuse(failure.value, frame.id, name)

    # The topic comes into being by its first consumer as by its first producer, where that is allowed.
    made: Deferred[Any] = maybeDeferred(
        client.gateway.execute, client.context, commands.QueryRoute(frame.topic, create=True)
    )
    made.addErrback(_unless_forbidden).addCallback(join).addCallback(begin).addErrback(failed)


def leave(client: Client, wanted: Subscription) -> None:
    """A subscription has ended: be no member of its group any more, unless by another."""
    group, topic = wanted.group, wanted.topic
    if any(one.wanted.group == group and one.wanted.topic == topic for one in client.consumers.values()):
        return
    client.membership.leave(group, topic)


def _consumer(client: Client, name: str) -> Consumer:
    consumer = client.consumers.get(name)
    if consumer is None:
        raise GatewayError(Code.BAD_REQUEST, f"there is no subscription {name[:64]!r}")
    return consumer


def credit(client: Client, frame: frames.Credit) -> None:
    _consumer(client, frame.subscription).grant(frame.messages, frame.bytes)
    client.done(frame.id)


def unsubscribe(client: Client, frame: frames.Unsubscribe) -> None:
    consumer = _consumer(client, frame.subscription)
    del client.consumers[frame.subscription]
    leave(client, consumer.wanted)
    client.answer(frame.id, consumer.subscription.close())


def settle(client: Client, frame: frames.Settle) -> None:
    by_number = bool(frame.subscription or frame.numbers)
    by_handle = bool(frame.receipt_handles or frame.group or frame.topic)
    if by_number is by_handle:
        raise WireError(
            "expected subscription and numbers, or group, topic and receiptHandles", fatal=False
        )
    if by_number:
        settlement, delay_ms = _SETTLEMENTS[type(frame)], getattr(frame, "delay_ms", 0)
        settled = _consumer(client, frame.subscription).settle(frame.numbers, settlement, delay_ms)
        client.answer(frame.id, settled)
        return
    elif isinstance(frame, frames.Ack):
        acked = commands.AckMessages(frame.group, frame.topic, frame.receipt_handles)
        client.answer(frame.id, maybeDeferred(client.gateway.execute, client.context, acked).addCallback(_check_acks))
        return
    else:
        done = [
            maybeDeferred(client.gateway.execute, client.context, _handle_command(frame, handle))
            for handle in frame.receipt_handles
        ]
    client.answer(frame.id, all_of(done))


def _handle_command(frame: frames.Settle, handle: str) -> commands.Command[Any]:
    if isinstance(frame, frames.Reject):
        return commands.ForwardToDeadLetterQueue(frame.group, frame.topic, handle)
    delay_ms = frame.delay_ms if isinstance(frame, frames.Retry) else 0
    return commands.ChangeInvisibleDuration(frame.group, frame.topic, handle, delay_ms)



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
