"""POST /v1/topics/{topic}/messages: one message or many, as bytes, JSON, or CloudEvents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from rmqgateway.commands import RecallMessage, SendMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway_http.call import JSON, Call, refused
from rmqgateway_http.codec_json import Recalled, Sent, SentMany, encode_json
from rmqgateway_http.convert_cloudevents import BATCH, STRUCTURED, read_binary, read_many
from rmqgateway_http.convert_sending import Draft, read_envelope, read_raw
from rmqgateway_http.producers import group_of, named_group

if TYPE_CHECKING:
    from rmqgateway.commands import SendResult, SendResults

__all__ = ["read_drafts", "recall", "send"]

_JSON_TYPES = frozenset({b"application/json", STRUCTURED, BATCH})
_EVENTS = b"application/cloudevents"
_NOTHING: dict[str, Any] = {}
_ACCEPT_POST = ((b"accept-post", b"*/*, application/json, application/cloudevents+json, application/cloudevents-batch+json"),)


def send(call: Call) -> None:
    """Store messages; 201 once they are durable."""
    content_type = call.content_type()
    request = call.request
    is_json = content_type in _JSON_TYPES
    if not is_json and not request.raw_query and not content_type.startswith(_EVENTS) and b"ce-specversion" not in request.fields:
        take = _send_raw  # the usual case
    else:
        take = _send
    body = call.body(call.settings.max_request if is_json else call.settings.max_body)
    if body.called and type(result := body.result) is bytes:
        take(result, call)  # without a chain of callbacks
    else:
        body.addCallback(take, call).addErrback(call.failed)


def _send_raw(body: bytes, call: Call) -> None:
    """The body is the message's, and there is nothing in the query."""
    try:
        draft = read_raw(body, call.request.headers, _NOTHING, call.service.new_message_id)
        if draft.group and draft.queue_id < 0:
            call.run(_send_ordered(call, [draft], False, False))
            return
        command = SendMessages(call.names[0], (draft.message(),), group_of(call), check_type=draft.is_lite)
    except Exception:
        call.failed(Failure())
        return
    call.gateway.perform(call.context, command, _sent, call)


def read_drafts(call: Call, body: bytes) -> tuple[list[Draft], bool, bool]:
    """The messages of a request, whether they are one batch, and whether they came as a list.

    :raise GatewayError: what is wrong with them.
    """
    found = _read_drafts(call, body)
    most = call.settings.max_body
    for draft in found[0]:
        if len(draft.body) > most:
            detail = f"a message's body: expected at most {most} bytes (setting max_body), got {len(draft.body)}"
            raise GatewayError(Code.MESSAGE_TOO_LARGE, detail)
    return found


def _read_drafts(call: Call, body: bytes) -> tuple[list[Draft], bool, bool]:
    request = call.request
    content_type = call.content_type()
    settings = call.settings
    values = call.query()
    new_id = call.service.new_message_id
    raw = values.pop("raw", False)
    values.pop("producer_group", None)
    values.pop("check_after", None)
    values.pop("timeout", None)
    if not raw:
        if b"ce-specversion" in request.fields and content_type not in (STRUCTURED, BATCH):
            return [read_binary(body, request.headers, request.fields.get(b"content-type", b""), new_id)], False, False
        if content_type == b"application/json":
            if values:
                raise GatewayError(Code.BAD_REQUEST, f"query: {min(values)}: a JSON envelope says that itself (or add raw=true)")
            try:
                return read_envelope(body, settings.max_request, settings.max_messages, new_id)
            except GatewayError as error:
                if error.code is Code.BAD_REQUEST:
                    error.message += " (to send JSON as the message itself, add ?raw=true)"
                raise
        if content_type in (STRUCTURED, BATCH):
            is_batch = content_type == BATCH
            return read_many(body, settings.max_request, settings.max_messages, is_batch, new_id), False, is_batch
        if content_type.startswith(_EVENTS):
            raise refused(415, "content-type", "application/cloudevents+json", content_type, _ACCEPT_POST)
    return [read_raw(body, request.headers, values, new_id)], False, False


def _send(body: bytes, call: Call) -> None:
    try:
        drafts, as_batch, as_list = read_drafts(call, body)
        if not as_list and not drafts[0].group:
            draft = drafts[0]
            command = SendMessages(call.names[0], (draft.message(),), group_of(call), check_type=draft.is_lite)
            call.gateway.perform(call.context, command, _sent, call)
            return
        if any(draft.group and draft.queue_id < 0 for draft in drafts):
            call.run(_send_ordered(call, drafts, as_batch, as_list))
            return
        command = _many(call, drafts, as_batch)
    except Exception:
        call.failed(Failure())
        return
    call.gateway.perform(call.context, command, _sent_list if as_list else _sent, call)


def _many(call: Call, drafts: list[Draft], as_batch: bool) -> SendMessages:
    messages = tuple([draft.message() for draft in drafts])
    is_lite = any(draft.is_lite for draft in drafts)
    return SendMessages(call.names[0], messages, group_of(call), as_batch, check_type=is_lite)


async def _send_ordered(call: Call, drafts: list[Draft], as_batch: bool, as_list: bool) -> None:
    """Messages with a group go to its queue."""
    topic = call.names[0]
    for draft in drafts:
        if draft.group and draft.queue_id < 0:
            draft.queue_id = await call.service.queue_of_group(call, topic, draft.group)
    results = await call.execute(_many(call, drafts, as_batch))
    (_sent_list if as_list else _sent)(call, results, None)


def _sent(call: Call, results: SendResults | None, error: GatewayError | None) -> None:
    if results is None:
        call.refuse(error or GatewayError(Code.INTERNAL, "no reply"))
    else:
        call.answer(201, encode_json(_out(results.results[0])), JSON)


def _sent_list(call: Call, results: SendResults | None, error: GatewayError | None) -> None:
    if results is None:
        call.refuse(error or GatewayError(Code.INTERNAL, "no reply"))
    else:
        call.answer(201, encode_json(SentMany([_out(result) for result in results.results])), JSON)


def _out(result: SendResult) -> Sent:
    return Sent(result.unique_key, result.queue_id, result.queue_offset, result.recall_handle)


def recall(call: Call) -> None:
    """Take a delayed message back."""
    call.run(_recall(call))


async def _recall(call: Call) -> None:
    topic, handle = call.names
    recalled = await call.execute(RecallMessage(topic, handle, named_group(call) or topic))
    call.answer_json(200, Recalled(recalled.unique_key))


