"""Requests of producers: SEND_MESSAGE and its kin, END_TRANSACTION, CONSUMER_SEND_MSG_BACK, RECALL_MESSAGE.

Headers: ``SendMessageRequestHeader`` with names, ``SendMessageRequestHeaderV2`` with letters (same fields, see
`_SEND_LETTERS`), ``EndTransactionRequestHeader``, ``ConsumerSendMsgBackRequestHeader`` of 5.5.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    EndTransaction,
    RecalledMessage,
    RecallMessage,
    SendBack,
    SendMessages,
    SendReply,
    SendResults,
)
from rmqgateway.errors import Code, WireError
from rmqgateway.message import Message
from rmqgateway.wire.message_batch import decode_batch
from rmqgateway.wire.message_id import decode_offset_message_id
from rmqgateway.wire.message_properties import without_property
from rmqgateway.wire.remoting import JSON
from rmqgateway.wire.remoting_send import SendRequest
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import (
    INT32,
    INT64,
    Operation,
    Peer,
    boolean,
    explain,
    int32,
    int64,
    reply_nothing,
    respond,
    text,
)

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]

#: The letters of the short header, which clients use since 3.2: ``n`` is the broker's name.
_SEND_LETTERS = {
    "producerGroup": "a",
    "topic": "b",
    "defaultTopic": "c",
    "defaultTopicQueueNums": "d",
    "queueId": "e",
    "sysFlag": "f",
    "bornTimestamp": "g",
    "flag": "h",
    "properties": "i",
    "reconsumeTimes": "j",
    "unitMode": "k",
    "maxReconsumeTimes": "l",
    "batch": "m",
}
_SEND_NAMES = {letter: name for name, letter in _SEND_LETTERS.items()}
_NUMBERS = {
    "d": INT32,
    "e": INT32,
    "f": INT32,
    "g": INT64,
    "h": INT32,
    "j": INT32,
    "l": INT32,
}
_REQUIRED = ("a", "b", "d", "e", "f", "g", "h")
_LIMIT = 1 << 31
_LIMIT_64 = 1 << 63


def _message(ext: dict[str, str], body: bytes) -> Message:
    """The message of a request with the short header. :raise KeyError, ValueError: a field is missing or no number."""
    return _checked(
        body,
        ext.get("i"),
        int(ext["e"]),
        int(ext["h"]),
        int(ext["f"]),
        int(ext["g"]),
        int(ext.get("j") or 0),
    )


def _checked(
    body: bytes, properties: str | None, queue_id: int, flag: int, sys_flag: int, born: int, times: int
) -> Message:
    if properties:
        encoded = properties.encode()
        # A message that was popped and is sent again must not keep the handle of its former life.
        if b"POP_CK" in encoded:
            encoded = without_property(encoded, b"POP_CK")
    else:
        encoded = b""
    if not (
        -_LIMIT <= queue_id < _LIMIT
        and -_LIMIT <= flag < _LIMIT
        and -_LIMIT <= sys_flag < _LIMIT
        and -_LIMIT_64 <= born < _LIMIT_64
        and -_LIMIT <= times < _LIMIT
    ):
        raise ValueError
    return Message(body, encoded, queue_id, flag, sys_flag, born, times)


def parse_send_v2(request: RemotingCommand, peer: Peer) -> SendMessages:
    """SEND_MESSAGE_V2: the hot path."""
    ext = request.ext_fields
    try:
        if type(request) is SendRequest:
            fields = request.header
            message = _checked(
                request.body,
                fields.i,
                int(fields.e),
                int(fields.h),
                int(fields.f),
                int(fields.g),
                int(fields.j) if fields.j else 0,
            )
            return SendMessages(
                fields.b, (message,), fields.a, False, int(fields.d), False, int(fields.l or -1)
            )
        if boolean(ext, "m"):
            return _batch(ext, request.body)
        limit = ext.get("l")
        return SendMessages(
            ext["b"],
            (_message(ext, request.body),),
            ext["a"],
            False,
            int(ext["d"]),
            False,
            int(limit) if limit else -1,
        )
    except (KeyError, ValueError):
        if type(request) is SendRequest:
            ext = request.header.ext_fields()
        raise explain(ext, _NUMBERS, _REQUIRED, _SEND_NAMES) from None


def _batch(ext: dict[str, str], body: bytes) -> SendMessages:
    common = _message(ext, b"")
    messages = decode_batch(body)
    if not messages:
        raise WireError("message batch: expected at least one message, got none", fatal=False)
    return SendMessages(
        ext["b"],
        tuple(
            Message(
                message.body,
                without_property(message.properties, b"POP_CK") if b"POP_CK" in message.properties else message.properties,
                common.queue_id,
                message.flag,
                common.sys_flag,
                common.born_timestamp,
                common.reconsume_times,
            )
            for message in messages
        ),
        ext["a"],
        True,
        int(ext["d"]),
    )


def _letters(ext: dict[str, str]) -> dict[str, str]:
    """A header with names as one with letters."""
    short = {letter: ext[name] for name, letter in _SEND_LETTERS.items() if name in ext}
    for name, letter in _SEND_LETTERS.items():
        if letter in _REQUIRED and letter not in short:
            raise WireError(f"header field {name}: expected {_NUMBERS.get(letter, 'text')}, got none", fatal=False)
    return short


def parse_send(request: RemotingCommand, peer: Peer) -> SendMessages:
    """SEND_MESSAGE, whose header spells its fields out."""
    ext = _letters(request.ext_fields)
    try:
        if boolean(ext, "m"):
            return _batch(ext, request.body)
        return SendMessages(
            ext["b"], (_message(ext, request.body),), ext["a"], False, int(ext["d"]), False, int(ext.get("l") or -1)
        )
    except (KeyError, ValueError):
        kinds = {name: _NUMBERS[letter] for name, letter in _SEND_LETTERS.items() if letter in _NUMBERS}
        raise explain(request.ext_fields, kinds, ()) from None


def parse_send_batch(request: RemotingCommand, peer: Peer) -> SendMessages:
    """SEND_BATCH_MESSAGE: the short header, whatever its ``m`` says."""
    ext = request.ext_fields
    try:
        return _batch(ext, request.body)
    except (KeyError, ValueError):
        raise explain(ext, _NUMBERS, _REQUIRED, _SEND_NAMES) from None


def _lengths(size: int) -> bytes:
    """Both length words of a frame that is only a JSON header of `size` bytes."""
    return (size + 4 << 32 | size).to_bytes(8, "big")


_LENGTHS = [_lengths(size) for size in range(1024)]


def reply_send(reply: SendResults, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``SendMessageResponseHeader``. Of a batch the ids are joined, as the store of Apache's broker joins them."""
    results = reply.results
    first = results[0]
    key = first.unique_key
    if request.serialization == JSON and len(results) == 1 and not first.recall_handle and key.isalnum() and key.isascii():
        # Spelled out, and no JSON encoder asked: numbers and letters need no escaping.
        header = (
            f'{{"code":0,"extFields":{{"queueId":"{first.queue_id}","TRACE_ON":"true","MSG_REGION":"DefaultRegion",'
            f'"msgId":"{peer.id_prefix}{first.physical_offset:016X}","queueOffset":"{first.queue_offset}",'
            f'"transactionId":"{key}"}},"flag":1,"language":"JAVA","opaque":{request.opaque},'
            f'"serializeTypeCurrentRPC":"JSON","version":513}}'
        ).encode()
        size = len(header)
        out.append((_LENGTHS[size] if size < 1024 else _lengths(size)) + header)
        return
    prefix = peer.id_prefix
    ext = {
        "queueId": str(first.queue_id),
        "TRACE_ON": "true",
        "MSG_REGION": "DefaultRegion",
        "msgId": ",".join([f"{prefix}{result.physical_offset:016X}" for result in results]),
        "queueOffset": str(first.queue_offset),
    }
    if key:
        ext["transactionId"] = key
    if first.recall_handle:
        ext["recallHandle"] = first.recall_handle
    respond(request, out, ext)


def parse_reply_message_v2(request: RemotingCommand, peer: Peer) -> SendReply:
    """SEND_REPLY_MESSAGE_V2: a consumer answers a request message."""
    ext = request.ext_fields
    try:
        return SendReply(ext["b"], _message(ext, request.body), ext["a"])
    except (KeyError, ValueError):
        raise explain(ext, _NUMBERS, _REQUIRED, _SEND_NAMES) from None


def parse_reply_message(request: RemotingCommand, peer: Peer) -> SendReply:
    """SEND_REPLY_MESSAGE, with names."""
    ext = _letters(request.ext_fields)
    try:
        return SendReply(ext["b"], _message(ext, request.body), ext["a"])
    except (KeyError, ValueError):
        kinds = {name: _NUMBERS[letter] for name, letter in _SEND_LETTERS.items() if letter in _NUMBERS}
        raise explain(request.ext_fields, kinds, ()) from None


def reply_reply_message(reply: object, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """A reply is pushed, not stored, unless told otherwise: clients want the fields all the same."""
    queue_id = request.ext_fields.get("e") or request.ext_fields.get("queueId") or "0"
    respond(
        request,
        out,
        {
            "msgId": "0",
            "queueId": queue_id,
            "queueOffset": "0",
            "TRACE_ON": "true",
            "MSG_REGION": "DefaultRegion",
        },
    )


def parse_end_transaction(request: RemotingCommand, peer: Peer) -> EndTransaction:
    """END_TRANSACTION: ``commitOrRollback`` is 0, 8 or 12; ``commitLogOffset`` is the half message's position."""
    ext = request.ext_fields
    resolution = int32(ext, "commitOrRollback")
    if resolution not in (0, 8, 12):
        raise WireError(f"header field commitOrRollback: expected 0, 8 or 12, got {resolution}", fatal=False)
    return EndTransaction(
        topic=ext.get("topic", ""),
        producer_group=text(ext, "producerGroup"),
        resolution=resolution,
        transaction_id=ext.get("transactionId", ""),
        message_id=ext.get("msgId", ""),
        queue_offset=int64(ext, "tranStateTableOffset"),
        physical_offset=int64(ext, "commitLogOffset"),
        from_check=boolean(ext, "fromTransactionCheck"),
    )


def parse_send_back(request: RemotingCommand, peer: Peer) -> SendBack:
    """CONSUMER_SEND_MSG_BACK."""
    ext = request.ext_fields
    return SendBack(
        group=text(ext, "group"),
        physical_offset=int64(ext, "offset"),
        delay_level=int32(ext, "delayLevel"),
        topic=ext.get("originTopic", ""),
        message_id=ext.get("originMsgId", ""),
        max_reconsume_times=int32(ext, "maxReconsumeTimes", -1),
    )


def parse_recall(request: RemotingCommand, peer: Peer) -> RecallMessage:
    """RECALL_MESSAGE."""
    ext = request.ext_fields
    return RecallMessage(text(ext, "topic"), text(ext, "recallHandle"), ext.get("producerGroup", ""))


def reply_recall(reply: RecalledMessage, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``RecallMessageResponseHeader``."""
    respond(request, out, {"msgId": reply.unique_key})


def offset_of_message_id(message_id: str) -> int:
    """The position in an offset message id. :raise WireError: it is none."""
    return decode_offset_message_id(message_id)[1]


OPERATIONS = (
    Operation(RequestCode.SEND_MESSAGE_V2, SendMessages, parse_send_v2, reply_send, bulky=False),
    Operation(RequestCode.SEND_MESSAGE, SendMessages, parse_send, reply_send, bulky=False),
    Operation(RequestCode.SEND_BATCH_MESSAGE, SendMessages, parse_send_batch, reply_send, bulky=False),
    Operation(
        RequestCode.SEND_REPLY_MESSAGE_V2,
        SendReply,
        parse_reply_message_v2,
        reply_reply_message,
        errors={Code.CLIENT_NOT_FOUND: ResponseCode.SYSTEM_ERROR},
    ),
    Operation(
        RequestCode.SEND_REPLY_MESSAGE,
        SendReply,
        parse_reply_message,
        reply_reply_message,
        errors={Code.CLIENT_NOT_FOUND: ResponseCode.SYSTEM_ERROR},
    ),
    Operation(RequestCode.END_TRANSACTION, EndTransaction, parse_end_transaction, reply_nothing),
    Operation(
        RequestCode.CONSUMER_SEND_MSG_BACK,
        SendBack,
        parse_send_back,
        reply_nothing,
        errors={Code.MESSAGE_NOT_FOUND: ResponseCode.SYSTEM_ERROR},
    ),
    Operation(
        RequestCode.RECALL_MESSAGE,
        RecallMessage,
        parse_recall,
        reply_recall,
        errors={Code.BAD_RECEIPT_HANDLE: ResponseCode.ILLEGAL_OPERATION},
    ),
)
