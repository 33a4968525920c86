"""Request and reply: send a request and wait for its reply; answer a request that was received.

The reply comes to the client id that the request names (``REPLY_TO_CLIENT``). That is the gateway's own, on a session of its
own; who waits is found by the correlation id, which is made here and guessed by nobody.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from rmqgateway.commands import Heartbeat, SendMessages, SendReply
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ReplyArrived
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import find_property
from rmqgateway_http.call import Call, fields_of
from rmqgateway_http.codec_handles import ReplyAddress, read_token
from rmqgateway_http.convert_receiving import body_of, message_out, raw_headers
from rmqgateway_http.producers import group_of
from rmqgateway_http.sending import read_drafts

if TYPE_CHECKING:
    from rmqgateway.events import Event
    from rmqgateway_http.service import HttpService

__all__ = ["Asker", "ask", "reply"]

_BEAT_S = 30.0
_DEFAULT_MS = 3000  # RocketMQ's sendMsgTimeout


def ask(call: Call) -> None:
    """Send a request and answer with its reply."""
    call.run(_ask(call), cancel=True, polls=False)


async def _ask(call: Call) -> None:
    topic = call.names[0]
    values = call.query()
    timeout_ms = call.service.check_wait(values.get("timeout", _DEFAULT_MS))
    drafts, _, as_list = read_drafts(call, await call.body(call.settings.max_request))
    if as_list:
        raise GatewayError(Code.BAD_MESSAGE, "a request is one message, got a list")
    (draft,) = drafts
    service = call.service
    if service.asker is None:
        service.asker = Asker(service, call)
    asker = service.asker
    await asker.join(call)
    correlation_id = os.urandom(16).hex()
    draft.named["CORRELATION_ID"] = correlation_id
    draft.named["REPLY_TO_CLIENT"] = asker.client_id
    draft.named["TTL"] = str(timeout_ms)
    if draft.group and draft.queue_id < 0:
        draft.queue_id = await service.queue_of_group(call, topic, draft.group)
    arrived = asker.expect(correlation_id, timeout_ms / 1000)
    try:
        await call.execute(SendMessages(topic, (draft.message(),), group_of(call)))
    except BaseException:
        arrived.addErrback(lambda _: None)
        arrived.cancel()
        raise
    event = await arrived
    message = stored_message.encode(
        event.topic.encode(), event.queue_id, event.body, event.properties, event.flag, event.sys_flag & 0x701,
        event.born_timestamp, store_timestamp=event.store_timestamp,
    )  # fmt: skip
    found = message_out(bytes(message), body_as=values.get("body", "auto"))
    if values.get("raw_reply") or (call.accepts(b"application/octet-stream") and not call.accepts(b"json")):
        call.answer(200, body_of(bytes(message)), fields_of(raw_headers(found)))
    else:
        call.answer_json(200, found)


def reply(call: Call) -> None:
    """Answer a request."""
    call.run(_reply(call))


async def _reply(call: Call) -> None:
    address = read_token(call.names[0], ReplyAddress, "reply_to")
    drafts, _, as_list = read_drafts(call, await call.body(call.settings.max_request))
    if as_list:
        raise GatewayError(Code.BAD_MESSAGE, "a reply is one message, got a list")
    (draft,) = drafts
    named = draft.named
    named["MSG_TYPE"] = "reply"
    named["REPLY_TO_CLIENT"] = address.client_id
    if address.correlation_id:
        named["CORRELATION_ID"] = address.correlation_id
    if address.ttl_ms:
        named["TTL"] = address.ttl_ms
    await call.execute(SendReply(address.topic, draft.message(), address.topic))
    call.done()


class Asker:
    """The client, as RocketMQ knows it, of everybody who waits for a reply here."""

    def __init__(self, service: HttpService, call: Call) -> None:
        self._service = service
        self._waiting: dict[str, Deferred[ReplyArrived]] = {}
        self._draining = False
        self._beat = float("-inf")
        information = call.request.information
        self._session = service.gateway.open_session(
            "http", information.peer, information.advertised, self._deliver, self._drain, self._close
        )
        self.client_id = f"rmqgateway-http@{service.instance.hex()}{os.urandom(8).hex()}"

    async def join(self, call: Call) -> None:
        """Be known to the broker. :raise GatewayError: see Heartbeat."""
        now = self._service.gateway.reactor.seconds()
        if now - self._beat < _BEAT_S:
            return
        context = Context(self._session, call.context.credential)
        result = self._service.gateway.execute(
            context, Heartbeat(self.client_id, "HTTP", producers=("CLIENT_INNER_PRODUCER",))
        )
        if isinstance(result, Deferred):
            await result
        self._beat = now

    def expect(self, correlation_id: str, seconds: float) -> Deferred[ReplyArrived]:
        """Fires with the reply. Fails with GatewayError TIMEOUT."""
        waiter: Deferred[ReplyArrived] = Deferred(lambda _: None)
        self._waiting[correlation_id] = waiter

        def time_out() -> None:
            waiter.errback(GatewayError(Code.TIMEOUT, f"no reply within {seconds:g} s; the request was sent"))

        timer = self._service.gateway.reactor.callLater(seconds, time_out)

        def over(result: ReplyArrived) -> ReplyArrived:
            self._waiting.pop(correlation_id, None)
            if timer.active():
                timer.cancel()
            if self._draining and not self._waiting:
                self._close("the gateway stops")
            return result

        return waiter.addBoth(over)

    def _deliver(self, event: Event) -> bool:
        if not isinstance(event, ReplyArrived):
            return False
        found = find_property(event.properties, b"CORRELATION_ID")
        waiter = self._waiting.get((found or b"").decode("utf-8", "replace"))
        if waiter is None or waiter.called:
            return False
        waiter.callback(event)
        return True

    def _drain(self, deadline: float, reason: str) -> None:
        """Those who wait get their replies, or their own time-outs; then nothing holds the gateway up."""
        self._draining = True
        if not self._waiting:
            self._close(reason)

    def _close(self, reason: str) -> None:
        self._service.asker = None
        self._session.end()
