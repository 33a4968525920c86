"""Frames that ask: receiving and pulling once, offsets, routes, requests and replies."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from rmqgateway import commands
from rmqgateway.errors import Code, GatewayError
from rmqgateway_websocket import convert, frames
from rmqgateway_websocket.convert import id_of

if TYPE_CHECKING:
    from rmqgateway_websocket.connection import Client

__all__ = [
    "cancel", "get_offset", "peek", "pull", "query_offset", "receive", "reply", "request", "route", "update_offset"
]  # fmt: skip


def _wait(client: Client, frame: frames.Frame) -> int | str:
    """Whether one more frame may wait. Returns its id."""
    client.refuse_new()
    found = id_of(frame)
    if found in client.waits:
        raise GatewayError(Code.BAD_REQUEST, f"another frame waits under the id {found!r}")
    if len(client.waits) >= client.settings.waits:
        raise GatewayError(
            Code.TOO_MANY_REQUESTS,
            f"{len(client.waits)} frames wait already (setting front_ends.websocket.waits)",
            retry_after=1.0,
        )
    return found


def _waiting(
    client: Client, frame: frames.Frame, command: commands.Command[Any], answer: Callable[[Any], Any]
) -> None:
    """Execute a command that may wait: it holds up nothing else, and may be cancelled."""
    frame_id = _wait(client, frame)
    done: Deferred[Any] = maybeDeferred(client.gateway.execute, client.context, command)
    client.waits[frame_id] = done.cancel

    def finished(result: Any) -> None:
        client.waits.pop(frame_id, None)
        if isinstance(result, Failure):
            client.refuse(result.value, frame_id)
        else:
            client.send(answer(result))

    done.addBoth(finished)


def receive(client: Client, frame: frames.Receive) -> None:
    text = client.codec.text_bodies
    _waiting(
        client, frame, convert.receive(frame, client.client_id), lambda reply: convert.received(id_of(frame), reply, text)
    )


def pull(client: Client, frame: frames.Pull) -> None:
    text = client.codec.text_bodies
    _waiting(client, frame, convert.pull(frame), lambda reply: convert.pulled(id_of(frame), reply, text))


def peek(client: Client, frame: frames.Peek) -> None:
    text = client.codec.text_bodies
    client.execute(frame.id, convert.peek(frame), lambda reply: convert.received(id_of(frame), reply, text))


def query_offset(client: Client, frame: frames.QueryOffset) -> None:
    client.execute(
        frame.id, convert.query_offset(frame), lambda reply: frames.OffsetIs(id=id_of(frame), offset=reply.offset)
    )


def get_offset(client: Client, frame: frames.GetOffset) -> None:
    client.execute(
        frame.id,
        commands.GetConsumerOffset(frame.group, frame.topic, frame.queue_id, False, frame.broker),
        lambda reply: frames.OffsetIs(id=id_of(frame), offset=reply.offset),
    )


def update_offset(client: Client, frame: frames.UpdateOffset) -> None:
    client.execute(
        frame.id,
        commands.UpdateConsumerOffset(frame.group, frame.topic, frame.queue_id, frame.offset, frame.broker),
    )


def route(client: Client, frame: frames.Route) -> None:
    client.execute(
        frame.id,
        commands.QueryRoute(frame.topic, frame.create),
        lambda reply: convert.route(id_of(frame), reply),
    )


def request(client: Client, frame: frames.Request) -> None:
    frame_id = _wait(client, frame)
    correlation_id = secrets.token_hex(16)
    message = convert.request_message(frame, correlation_id, client.client_id)

    def finished(answer: Any) -> None:
        if client.asked.pop(correlation_id, None) is None:
            return
        client.waits.pop(frame_id, None)
        if timer.active():
            timer.cancel()
        if isinstance(answer, frames.IncomingMessage):
            client.send(frames.Replied(id=frame_id, message=answer))
        else:
            client.refuse(answer, frame_id)

    late = GatewayError(Code.TIMEOUT, f"request: no reply within {frame.timeout_ms} ms")
    cancelled = GatewayError(Code.CANCELLED, "the request was cancelled")
    timer = client.gateway.reactor.callLater(frame.timeout_ms / 1000, finished, late)
    client.asked[correlation_id] = finished
    client.waits[frame_id] = lambda: finished(cancelled)

    def known(_: object) -> Any:
        return client.gateway.execute(client.context, commands.SendMessages(frame.topic, (message,)))

    # The reply finds this connection by the client id of a heartbeat.
    client.membership.beat().addCallback(known).addErrback(lambda failure: finished(failure.value))


def reply(client: Client, frame: frames.Reply) -> None:
    client.execute(frame.id, convert.reply_message(frame))


def cancel(client: Client, frame: frames.Cancel) -> None:
    end = client.waits.get(frame.target)
    if end is not None:
        end()
    client.done(frame.id)
