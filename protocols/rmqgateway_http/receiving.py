"""Consuming by receipt handles: receive by long poll, acknowledge, give back, dead-letter. The handle is all the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    ForwardToDeadLetterQueue,
    PeekMessages,
    ReceiveMessages,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import TAG_ALL, Filter, FilterType
from rmqgateway.subscription import Settlement
from rmqgateway_http.call import JSON, Call, Fields, fields_of
from rmqgateway_http.codec_handles import read_event_id, read_receipt_handle, write_receipt_handle
from rmqgateway_http.codec_json import (
    AckFailure,
    Acknowledged,
    Acknowledgement,
    ChangedHandle,
    MessageOut,
    MessagesOut,
    encode_json,
)
from rmqgateway_http.convert_cloudevents import BATCH, STRUCTURED
from rmqgateway_http.convert_receiving import body_of, event_out, message_out, raw_headers
from rmqgateway_http.problems import PROBLEMS

if TYPE_CHECKING:
    from rmqgateway.commands import AckResult, AckResults, ReceivedMessage, ReceivedMessages

__all__ = [
    "acknowledge",
    "acknowledge_many",
    "change_invisible",
    "dead_letter",
    "filter_of",
    "give_back",
    "lite_topics_of",
    "peek",
    "receive",
]

_NDJSON = b"application/x-ndjson"
_OCTETS = b"application/octet-stream"


def filter_of(values: dict[str, Any]) -> Filter:
    """The filter of a request. :raise GatewayError: BAD_FILTER."""
    tags, sql = values.get("filter", ""), values.get("sql", "")
    if tags and sql:
        raise GatewayError(Code.BAD_FILTER, "expected one of filter and sql, got both")
    if sql:
        return Filter(sql, FilterType.SQL92)
    return Filter(tags) if tags else TAG_ALL


def lite_topics_of(values: dict[str, Any]) -> tuple[str, ...]:
    """The lite topics that a request names."""
    given: str = values.get("lite_topics", "")
    return tuple([name for name in given.replace(" ", "").split(",") if name]) if given else ()


def receive(call: Call) -> None:
    """Receive messages, waiting for one if none is there. If the client goes meanwhile, they are given back."""
    topic, group = call.names
    values = call.query()
    get = values.get
    raw = get("raw", False) or (call.accepts(_OCTETS) and not call.accepts(b"json"))
    one = raw or call.accepts(STRUCTURED)
    command = ReceiveMessages(
        group,
        topic,
        get("queue_id", -1),
        1 if one else get("max", 1),
        get("max_bytes", 0),
        get("invisible", round(call.settings.invisible_s * 1000)),
        call.service.check_wait(get("wait", 0)),
        filter_of(values),
        get("fifo"),
        get("attempt_id", ""),
        lite_topics=lite_topics_of(values),
    )
    result = call.gateway.execute(call.context, command)
    body_as = get("body", "auto")
    if isinstance(result, Deferred):
        call.request.on_gone(lambda reason: result.cancel())
        call.request.on_shutdown(lambda deadline, reason: result.cancel())
        result.addCallback(_received, call, raw, body_as).addErrback(call.failed)
    else:
        _received(result, call, raw, body_as)


def _received(reply: ReceivedMessages, call: Call, raw: bool, body_as: str) -> None:
    messages = reply.messages
    if call.request.done:
        # The client went just now; nobody would acknowledge these.
        _give_all_back(call, messages)
        return
    if raw or call.accepts(STRUCTURED) or call.accepts(BATCH) or call.accepts(_NDJSON):
        _answer_otherwise(call, messages, raw, body_as)
        return
    found = [_out(one, body_as) for one in messages]
    call.answer(200, encode_json(MessagesOut(found)), JSON)


def _out(one: ReceivedMessage, body_as: str) -> MessageOut:
    return message_out(one.message, write_receipt_handle(one.receipt_handle), one.delivery_attempt, body_as)


def _answer_otherwise(call: Call, messages: tuple[ReceivedMessage, ...], raw: bool, body_as: str) -> None:
    """As bytes, CloudEvents or lines of JSON, for who asks for that."""
    if call.accepts(BATCH):
        events = [event_out(one.message, write_receipt_handle(one.receipt_handle)) for one in messages]
        call.answer(200, encode_json(events), _typed(BATCH))
    elif call.accepts(_NDJSON) and not raw:
        lines = [encode_json(_out(one, body_as)) + b"\n" for one in messages]
        call.answer(200, b"".join(lines), _typed(_NDJSON))
    elif not messages:
        call.done()
    elif raw:
        found = _out(messages[0], "text")
        call.answer(200, body_of(messages[0].message), fields_of(raw_headers(found)))
    else:
        event = event_out(messages[0].message, write_receipt_handle(messages[0].receipt_handle))
        call.answer(200, encode_json(event), _typed(STRUCTURED))


def _typed(media_type: bytes) -> Fields:
    return ((b"content-type", media_type), (b"cache-control", b"no-store"))


def _give_all_back(call: Call, messages: tuple[ReceivedMessage, ...]) -> None:
    topic, group = call.names

    def ignore(*_: object) -> None:
        """They come again when their time is over."""

    for one in messages:
        call.gateway.perform(call.context, ChangeInvisibleDuration(group, topic, one.receipt_handle, 0), ignore, None)


def peek(call: Call) -> None:
    """Look at messages without taking them."""
    call.run(_peek(call))


async def _peek(call: Call) -> None:
    topic, group = call.names
    values = call.query()
    reply = await call.execute(PeekMessages(group, topic, values.get("queue_id", -1), values.get("max", 1)))
    found = [message_out(one.message, "", 0, values.get("body", "auto")) for one in reply.messages]
    call.answer_json(200, MessagesOut(found))


# Settling.


def acknowledge(call: Call) -> None:
    """One message is done: DELETE it."""
    topic, group, text = call.names
    call.query()
    handle = read_receipt_handle(text)
    stream = call.service.in_streams.get((group, topic, handle)) if call.service.in_streams else None
    if stream is not None:
        call.run(_settled(call, stream.settle(call, handle, Settlement.ACCEPT)))
        return
    call.gateway.perform(call.context, AckMessages(group, topic, (handle,)), _acknowledged, call)


async def _settled(call: Call, settled: Deferred[None]) -> None:
    await settled
    call.done()


def _acknowledged(call: Call, reply: AckResults | None, error: GatewayError | None) -> None:
    if reply is None:
        call.refuse(error or GatewayError(Code.INTERNAL, "no reply"))
        return
    result = reply.results[0]
    if result.code:
        call.refuse(GatewayError(Code[result.code], result.text))
    else:
        call.done()


def acknowledge_many(call: Call) -> None:
    """Several at once; each fails alone (then 207)."""
    call.run(_acknowledge_many(call))


async def _acknowledge_many(call: Call) -> None:
    topic, group = call.names
    call.query()
    wanted = await call.json(Acknowledgement)
    given = list(wanted.receipt_handles)
    most = call.settings.max_messages
    if len(given) > most:
        raise GatewayError(Code.BAD_REQUEST, f"receipt_handles: expected at most {most} (setting max_messages), got {len(given)}")
    handles = [read_receipt_handle(text) for text in given]
    if wanted.last_event_id:
        event = read_event_id(wanted.last_event_id)
        stream = call.service.streams.get(event.stream)
        known = event.handles if stream is None else stream.handles_to(call, event.number)
        handles += [handle for handle in known if handle not in handles]
    elif not handles:
        raise GatewayError(Code.BAD_REQUEST, "expected receipt_handles or last_event_id")
    failures = await _acknowledge_all(call, group, topic, handles)
    found = Acknowledged(len(handles) - len(failures), failures)
    call.answer_json(207 if failures else 200, found)


async def _acknowledge_all(call: Call, group: str, topic: str, handles: list[str]) -> list[AckFailure]:
    streams = call.service.in_streams
    failures: list[AckFailure] = []
    settling = []
    rest = []
    for handle in handles:
        stream = streams.get((group, topic, handle)) if streams else None
        if stream is None:
            rest.append(handle)
        else:
            settling.append((handle, stream.settle(call, handle, Settlement.ACCEPT)))
    if rest:
        reply = await call.execute(AckMessages(group, topic, tuple(rest)))
        failures += [_failure(result) for result in reply.results if result.code]
    if settling:
        outcomes = await DeferredList([settled for _, settled in settling], consumeErrors=True)
        for (handle, _), (went_well, outcome) in zip(settling, outcomes, strict=True):
            if not went_well and isinstance(outcome, Failure):
                error = outcome.value
                code = error.code if isinstance(error, GatewayError) else Code.INTERNAL
                failures.append(AckFailure(write_receipt_handle(handle), PROBLEMS[code][1], str(error)))
    return failures


def _failure(result: AckResult) -> AckFailure:
    return AckFailure(write_receipt_handle(result.receipt_handle), PROBLEMS[Code[result.code]][1], result.text)


def change_invisible(call: Call) -> None:
    """Keep a message longer, or less long; the answer has the handle that is valid from now on."""
    topic, group, text = call.names
    values = call.query()
    if "invisible" not in values:
        raise GatewayError(Code.BAD_INVISIBLE_DURATION, "query: expected invisible, such as ?invisible=5m")
    handle = read_receipt_handle(text)
    if (group, topic, handle) in call.service.in_streams:
        call.answer_json(200, ChangedHandle(text))  # its stream keeps it invisible
        return
    call.run(_change(call, ChangeInvisibleDuration(group, topic, handle, values["invisible"])))


async def _change(call: Call, command: ChangeInvisibleDuration) -> None:
    reply = await call.execute(command)
    call.answer_json(200, ChangedHandle(write_receipt_handle(reply.receipt_handle)))


def give_back(call: Call) -> None:
    """Not done: visible to others at once, or after a delay."""
    topic, group, text = call.names
    delay = call.query().get("delay", 0)
    handle = read_receipt_handle(text)
    stream = call.service.in_streams.get((group, topic, handle))
    if stream is not None:
        settlement = Settlement.RETRY_AFTER if delay else Settlement.RELEASE
        call.run(_settled(call, stream.settle(call, handle, settlement, delay)))
    else:
        call.run(_done(call, ChangeInvisibleDuration(group, topic, handle, delay)))


def dead_letter(call: Call) -> None:
    """Never again: to the group's dead-letter queue."""
    topic, group, text = call.names
    call.query()
    handle = read_receipt_handle(text)
    stream = call.service.in_streams.get((group, topic, handle))
    if stream is not None:
        call.run(_settled(call, stream.settle(call, handle, Settlement.REJECT)))
    else:
        call.run(_done(call, ForwardToDeadLetterQueue(group, topic, handle)))


async def _done(call: Call, command: ChangeInvisibleDuration | ForwardToDeadLetterQueue) -> None:
    await call.execute(command)  # type: ignore[misc]  # of either reply type
    call.done()
