"""SendMessage, RecallMessage, EndTransaction: requests to commands, results to responses.

Source: ``SendMessageActivity``, ``RecallMessageActivity`` and ``EndTransactionActivity`` of the proxy 5.5.0.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.checks import (
    check_key,
    check_lite_topic,
    check_message_group,
    check_tag,
    has_control,
    topic_name,
)
from rmqgateway.apis.convert_base import millis, varint
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.refusals import OK, Refusal
from rmqgateway.commands import (
    EndTransaction,
    RecallMessage,
    SendMessages,
    SendResult,
    SendResults,
    TransactionResolution,
)
from rmqgateway.message import Message
from rmqgateway.wire.consistent_hash import consistent_hash, java_hash
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES, MessageSysFlag

__all__ = ["SendReader", "read_end_transaction", "read_recall", "write_sent"]

_COMPRESSED = int(MessageSysFlag.COMPRESSED)
_PREPARED = int(MessageSysFlag.TRANSACTION_PREPARED)
_GZIP = v2.GZIP
_TRANSACTION = v2.TRANSACTION
_GZIP_WINDOW = 16 + 15
_parse = service.SendMessageRequest.FromString
_no_system_key = SYSTEM_PROPERTIES.isdisjoint


class SendReader:
    """Reads SendMessage requests.

    :param now_ms: the wall clock, ms since 1970; asked for messages with a delivery time only.
    :param write_queues: of a topic (inner name), or 0 if unknown: then an ordered message's queue is the broker's choice.
    """

    __slots__ = ("_limits", "_max_body", "_max_properties", "_max_user", "_now_ms", "_write_queues")

    def __init__(
        self, limits: ApiSettings, now_ms: Callable[[], int], write_queues: Callable[[str], int]
    ) -> None:
        self._limits = limits
        self._max_body = limits.max_body
        self._max_properties = limits.max_properties
        self._max_user = limits.max_user_properties
        self._now_ms = now_ms
        self._write_queues = write_queues

    def read(self, data: bytes, namespace: str, peer: str) -> SendMessages:
        """The command of a request.

        :param peer: the address of who sends it, for messages that name no born host.
        :raise Refusal: what a message breaks. :raise google.protobuf.message.DecodeError: no such request.
        """
        request = _parse(data)
        messages = request.messages
        count = len(messages)
        if not count:
            raise Refusal(v2.MESSAGE_CORRUPTED, "no message to send")
        resource = messages[0].topic
        topic = topic_name(resource, namespace)
        limits = self._limits
        if count == 1:
            return SendMessages(
                topic, (self._message(messages[0], topic, peer, True),), topic, check_type=limits.check_message_types
            )
        for message in messages:
            if message.topic != resource:
                raise Refusal(v2.MESSAGE_CORRUPTED, "topic in message is not same")
        return SendMessages(
            topic,
            tuple([self._message(message, topic, peer, False) for message in messages]),
            topic,
            as_batch=True,
            check_type=limits.check_message_types,
        )

    def _message(self, message: v2.Message, topic: str, peer: str, alone: bool) -> Message:
        body = message.body
        if not body:
            raise Refusal(v2.MESSAGE_BODY_EMPTY, "message body cannot be empty")
        if len(body) > self._max_body:
            raise Refusal(v2.MESSAGE_BODY_TOO_LARGE, f"message body cannot exceed the max {self._max_body}")
        system = message.system_properties
        text = self._user_text(message.user_properties, system)
        message_id = system.message_id
        if not message_id or message_id.isspace():
            raise Refusal(v2.ILLEGAL_MESSAGE_ID, "message id cannot be empty")
        born_host = system.born_host
        if not born_host or born_host.isspace():
            born_host = peer
        if not (message_id + born_host).isprintable():
            _refuse_control(message_id, v2.ILLEGAL_MESSAGE_ID, "message id")
            _refuse_control(born_host, v2.MESSAGE_CORRUPTED, "born host")
        text = (
            f"{text}UNIQ_KEY\x01{message_id}\x02PGROUP\x01{topic}\x02"
            f"RECONSUME_TIME\x01{system.delivery_attempt}\x02__BORNHOST\x01{born_host}\x02"
        )
        sys_flag = 0
        queue_id = -1
        born = 0
        if system.HasField("born_timestamp"):
            born = millis(system.born_timestamp)
            text = f"{text}BORN_TIMESTAMP\x01{born}\x02"
        if system.body_encoding == _GZIP:
            body = self._as_zlib(body)
            sys_flag = _COMPRESSED
        if system.message_type == _TRANSACTION:
            sys_flag |= _PREPARED
            text += self._transaction_text(system)
        if system.HasField("delivery_timestamp"):
            text += self._delivery_text(millis(system.delivery_timestamp))
        group = system.message_group
        if group:
            check_message_group(group, self._limits.max_message_group)
            text = f"{text}__SHARDINGKEY\x01{group}\x02"
            if alone:
                queue_id = self._queue_of(topic, group)
        trace = system.trace_context
        if trace:
            _refuse_control(trace, v2.MESSAGE_CORRUPTED, "trace context")
            text = f"{text}TRACE_CONTEXT\x01{trace}\x02"
        if system.HasField("priority"):
            if system.priority < 0:
                raise Refusal(v2.BAD_REQUEST, "The priority must be greater than or equal to 0")
            text = f"{text}_SYS_MSG_PRIORITY_\x01{system.priority}\x02"
        lite = system.lite_topic
        if lite:
            check_lite_topic(lite, self._limits.max_lite_topic)
            text = f"{text}__LITE_TOPIC\x01{lite}\x02"
        return Message(body, text.encode(), queue_id, 0, sys_flag, born)

    def _user_text(self, user: Mapping[str, str], system: v2.SystemProperties) -> str:
        """User properties, tag and keys."""
        tag = system.tag
        keys = system.keys
        if not user and not tag and not keys:
            return ""
        text = ""
        content = ""
        if user:
            if len(user) > self._max_user:
                raise Refusal(
                    v2.MESSAGE_PROPERTIES_TOO_LARGE, f"too many user properties, max is {self._max_user}"
                )
            named = dict(user)
            if not _no_system_key(named):
                name = next(name for name in named if name in SYSTEM_PROPERTIES)
                raise Refusal(v2.ILLEGAL_MESSAGE_PROPERTY_KEY, f"property is used by system: {name}")
            for name, value in named.items():
                content = f"{content}{name}{value}"
                text = f"{text}{name}\x01{value}\x02"
            if not content.isprintable() and has_control(content):
                where = "value" if not any(has_control(name) for name in named) else "key"
                raise Refusal(
                    v2.ILLEGAL_MESSAGE_PROPERTY_KEY,
                    f"the {where} of property cannot contain control character",
                )
        if tag:
            check_tag(tag)
            content += tag
            text = f"{text}TAGS\x01{tag}\x02"
        if keys:
            for key in keys:
                check_key(key)
            content += "".join(keys)
            text = f"{text}KEYS\x01{' '.join(keys)}\x02"
        size = len(content) if content.isascii() else len(content.encode())
        if size > self._max_properties:
            raise Refusal(
                v2.MESSAGE_PROPERTIES_TOO_LARGE,
                f"the total size of user property is too large, max is {self._max_properties}",
            )
        return text

    def _transaction_text(self, system: v2.SystemProperties) -> str:
        if not system.HasField("orphaned_transaction_recovery_duration"):
            return "TRAN_MSG\x01true\x02"
        seconds = system.orphaned_transaction_recovery_duration.seconds
        limit = self._limits.max_recovery_seconds
        if seconds > limit:
            raise Refusal(
                v2.BAD_REQUEST, f"the max transaction recovery time of message is too large, max is {limit}"
            )
        return f"TRAN_MSG\x01true\x02CHECK_IMMUNITY_TIME_IN_SECONDS\x01{seconds}\x02"

    def _delivery_text(self, deliver_ms: int) -> str:
        limit = self._limits.max_delay_ms
        if deliver_ms - self._now_ms() > limit:
            raise Refusal(
                v2.ILLEGAL_DELIVERY_TIME, f"the max delay time of message is too large, max is {limit}"
            )
        return f"TIMER_DELIVER_MS\x01{deliver_ms}\x02"

    def _queue_of(self, topic: str, group: str) -> int:
        queues = self._write_queues(topic)
        return consistent_hash(java_hash(group), queues) if queues > 0 else -1

    def _as_zlib(self, body: bytes) -> bytes:
        """What RocketMQ's other clients expect under the flag COMPRESSED is ZLIB, which all gRPC clients read as well."""
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        if body[:2] != b"\x1f\x8b":
            inflater = zlib.decompressobj()
        try:
            plain = inflater.decompress(body, self._max_body + 1)
        except zlib.error:
            raise Refusal(v2.MESSAGE_CORRUPTED, "message body is not what its encoding says") from None
        if len(plain) > self._max_body:
            raise Refusal(v2.MESSAGE_BODY_TOO_LARGE, f"message body cannot exceed the max {self._max_body}")
        if not inflater.eof or inflater.unused_data:
            raise Refusal(v2.MESSAGE_CORRUPTED, "message body is not what its encoding says")
        return body if body[:2] != b"\x1f\x8b" else zlib.compress(plain)


def _refuse_control(text: str, code: v2.Code, what: str) -> None:
    if has_control(text):
        raise Refusal(code, f"{what} cannot contain control character")


_OK_BYTES = OK.SerializeToString()
#: Field 1, the status, both of a response and of an entry.
_SENT = b"\x0a" + bytes((len(_OK_BYTES),)) + _OK_BYTES


def write_sent(reply: SendResults) -> bytes:
    """The response to SendMessage: one entry for each message."""
    results = reply.results
    if len(results) == 1:
        (result,) = results
        key = result.unique_key.encode()
        size = len(key)
        # The common answer, written out: an entry below 128 bytes, whose lengths take one byte each.
        if size <= 48 and not result.recall_handle:
            entry = b"%b\x12%c%b\x1a%c%b" % (_SENT, size, key, size, key)
            offset = result.queue_offset
            if offset:
                entry += b"\x20" + varint(offset)
            return b"%b\x12%c%b" % (_SENT, len(entry), entry)
    return service.SendMessageResponse(
        status=OK, entries=[_entry(result) for result in results]
    ).SerializeToString()


def _entry(result: SendResult) -> service.SendResultEntry:
    return service.SendResultEntry(
        status=OK,
        message_id=result.unique_key,
        transaction_id=result.unique_key,
        offset=result.queue_offset,
        recall_handle=result.recall_handle,
    )


_RESOLUTIONS = {
    v2.COMMIT: TransactionResolution.COMMIT,
    v2.ROLLBACK: TransactionResolution.ROLLBACK,
}


def read_end_transaction(data: bytes, namespace: str) -> EndTransaction:
    """The command of an EndTransaction request; the topic is the producer group, as in the proxy."""
    request = service.EndTransactionRequest.FromString(data)
    topic = topic_name(request.topic, namespace)
    if not request.transaction_id or request.transaction_id.isspace():
        raise Refusal(v2.INVALID_TRANSACTION_ID, "transaction id cannot be empty")
    return EndTransaction(
        topic,
        topic,
        _RESOLUTIONS.get(request.resolution, TransactionResolution.UNKNOWN),
        transaction_id=request.transaction_id,
        message_id=request.message_id,
        from_check=request.source == v2.SOURCE_SERVER_CHECK,
    )


def read_recall(data: bytes, namespace: str) -> RecallMessage:
    """The command of a RecallMessage request."""
    request = service.RecallMessageRequest.FromString(data)
    topic = topic_name(request.topic, namespace)
    return RecallMessage(topic, request.recall_handle, topic)
