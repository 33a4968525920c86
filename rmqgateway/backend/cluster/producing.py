"""Producers: messages to the broker that their queue is at. Bodies and properties go as they came."""

from __future__ import annotations

import base64
import binascii
import os
import re
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.answers import BrokerUnreachable, refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.cluster.routes import AUTO_CREATE_TOPIC, TopicRoute
from rmqgateway.backend.local import names
from rmqgateway.backend.local.producing import message_type
from rmqgateway.commands.producing import (
    RecalledMessage,
    RecallMessage,
    SendMessages,
    SendResult,
    SendResults,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message, MessageType
from rmqgateway.pending import Later
from rmqgateway.wire.consistent_hash import consistent_hash, java_hash
from rmqgateway.wire.message_batch import BatchedMessage, encode_batch
from rmqgateway.wire.message_const import MessageSysFlag
from rmqgateway.wire.message_id import UniqueIdGenerator
from rmqgateway.wire.message_properties import decode_properties, find_property, set_property
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.relays import Relays
    from rmqgateway.backend.cluster.transactions import Transactions
    from rmqgateway.context import Context
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["Producing"]

_SEND = int(RequestCode.SEND_MESSAGE_V2)
_BATCH = int(RequestCode.SEND_BATCH_MESSAGE)
_PREPARED = int(MessageSysFlag.TRANSACTION_PREPARED)
_TRANSACTION_BITS = 0xC
#: Answers of a message that is stored, though not where it should be as well (``SendStatus``): RocketMQ's own clients
#: take these for successes.
_STORED = frozenset(
    int(code)
    for code in (
        ResponseCode.SUCCESS,
        ResponseCode.FLUSH_DISK_TIMEOUT,
        ResponseCode.FLUSH_SLAVE_TIMEOUT,
        ResponseCode.SLAVE_NOT_AVAILABLE,
    )
)
_LIMIT = re.compile(r"body length limit (\d{1,12})")
_MAX_PROPERTIES = 32767
_BORN_HOST = b"__BORNHOST\x01"
#: Properties that make a message something else than a normal one, or want something of the gateway.
_special = re.compile(
    rb"TRAN_MSG\x01|DELAY\x01|TIMER_DEL|__SHARDINGKEY\x01|_SYS_MSG_PRIORITY_\x01|__LITE_TOPIC\x01|REPLY_TO_CLIENT\x01"
).search
_TAKE_NORMAL = frozenset({MessageType.NORMAL, MessageType.MIXED, MessageType.UNSPECIFIED})
_TIMED = {"TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS"}
_SHARDING_KEY = b"__SHARDINGKEY\x01"
#: The group of producers that name none.
_NO_GROUP = "DEFAULT_PRODUCER"
_MAX_MESSAGES = 10_000
_NUMBERS = [str(number) for number in range(1024)]


class _Sending(Later[SendResults]):
    """One send, from the first attempt to its answer."""

    __slots__ = ("body", "brokers", "command", "context", "ext", "keys", "place", "sending")

    def __init__(
        self,
        sending: Producing,
        context: Context,
        command: SendMessages,
        ext: dict[str, str],
        body: bytes,
        keys: list[str],
        brokers: list[str],
    ) -> None:
        super().__init__()
        self.sending = sending
        self.context = context
        self.command = command
        self.ext = ext
        self.body = body
        self.keys = keys
        #: Where it may go, the next one last.
        self.brokers = brokers
        self.place = ""


class Producing(Component):
    """Serves producers.

    :ivar transactions: who keeps where half messages are. :ivar relays: who knows where replies go. Both are set when the
        backend is put together.
    """

    def __init__(self, core: Core, metadata: Metadata) -> None:
        super().__init__(core)
        self._metadata = metadata
        self.transactions: Transactions | None = None
        self.relays: Relays | None = None
        address = socket.inet_aton("127.0.0.1")
        self._ids = UniqueIdGenerator(address, os.getpid(), int.from_bytes(os.urandom(4), "big"))

    def handlers(self) -> Handlers:
        return {SendMessages: self.send_messages, RecallMessage: self.recall_message}

    def send_messages(self, context: Context, command: SendMessages) -> Any:
        route = self.core.routes.cached(command.topic)
        if route is None:
            names.check_topic(command.topic)
            return self.core.routes.find_or_create(command.topic).addCallback(self._send_now, context, command)
        if command.check_type and self._metadata.cached_topic(command.topic) is None:
            return self._metadata.topic(command.topic).addCallback(lambda _: self._send_now(route, context, command))
        return self._send(route, context, command)

    def _send_now(self, _: object, context: Context, command: SendMessages) -> Any:
        result = self.send_messages(context, command)
        return result.deferred() if isinstance(result, _Sending) else result

    def _send(self, route: TopicRoute, context: Context, command: SendMessages) -> Any:
        messages = command.messages
        if len(messages) != 1:
            if command.check_type:
                self._check_types(command)
            return self._send_many(route, context, command)
        message = messages[0]
        if (
            message.queue_id < 0
            and message.sys_flag & _TRANSACTION_BITS == 0
            and not command.as_batch
            and _special(message.properties) is None
        ):
            return self._send_plain(route, context, command, message)
        if command.check_type:
            self._check_types(command)
        if message.sys_flag & _TRANSACTION_BITS == 0 and b"TRAN_MSG\x01true\x02" in message.properties + b"\x02":
            message = _with_prepared(message)
        properties, key = self._with_key(message.properties)
        if message.sys_flag & _TRANSACTION_BITS == _PREPARED and not find_property(properties, b"PGROUP"):
            # Brokers look for it there when the transaction ends, and fail without.
            properties = set_property(properties, b"PGROUP", (command.producer_group or _NO_GROUP).encode())
        if b"TIMER_DEL" in properties and not self._timers_known(route) and _TIMED & decode_properties(properties).keys():
            return self.run(self._check_timers(route, context, command))
        joined = None
        if b"REPLY_TO_CLIENT\x01" in properties and self.relays is not None:
            properties, joined = self.relays.asking(properties)
        if _BORN_HOST not in properties:
            properties = _with_born_host(properties, context)
        name, queue_id, fixed = self._queue(route, message, properties)
        ext = self._header(command, message, properties, queue_id, name)
        if command.as_batch:
            body = encode_batch([BatchedMessage(message.body, properties, message.flag)])
            ext["m"] = "true"
        else:
            body = message.body
        brokers = [name] if fixed else self._others(route, name)
        sending = _Sending(self, context, command, ext, body, [key], brokers)
        if joined is not None:
            return joined.addCallback(lambda _: self._begin(sending).deferred())
        return self._begin(sending)

    def _send_plain(self, route: TopicRoute, context: Context, command: SendMessages, message: Message) -> _Sending:
        """The hot path: `_send` for a message of no particular kind."""
        if command.check_type:
            config = self._metadata.cached_topic(command.topic)
            if config is not None and config.message_type not in _TAKE_NORMAL:
                self._check_types(command)
        properties, key = self._with_key(message.properties)
        if _BORN_HOST not in properties:
            properties = _with_born_host(properties, context)
        writable = route.writable
        if not writable:
            raise _not_writable(route)
        route.turn = turn = route.turn + 1
        name = writable[turn % len(writable)][0]
        ext = self._header(command, message, properties, -1, name)
        sending = _Sending(self, context, command, ext, message.body, [key], self._others(route, name))
        self._attempt(sending)
        return sending

    # One message.

    def _timers_known(self, route: TopicRoute) -> bool:
        """Whether every broker of a topic is known to be one that has timers."""
        brokers = [self.core.upstream.broker(self.core.routes.master(name)) for name, _ in route.writable]
        return all(broker.version and self._metadata.pops(broker.address) for broker in brokers)

    async def _check_timers(self, route: TopicRoute, context: Context, command: SendMessages) -> SendResults:
        """Brokers before 5.0 pass over the time of a delayed message, and deliver it at once."""
        for name, _ in route.writable:
            if not await self._metadata.has_timers(self.core.routes.master(name)):
                raise GatewayError(
                    Code.UNSUPPORTED,
                    f"broker {name} is older than RocketMQ 5.0: it delays messages by levels (property DELAY), not until a time",
                )
        sent = self._send(route, context, command)
        return await (sent.deferred() if isinstance(sent, _Sending) else sent)  # type: ignore[no-any-return]

    def _with_key(self, properties: bytes) -> tuple[bytes, str]:
        at = properties.find(b"UNIQ_KEY\x01")
        if at == 0 or (at > 0 and properties[at - 1] == 2):
            end = properties.find(b"\x02", at)
            return properties, properties[at + 9 : end if end >= 0 else None].decode("utf-8", "replace")
        key = self._ids.next(self.core.now_ms())
        return set_property(properties, b"UNIQ_KEY", key.encode()), key

    def _queue(self, route: TopicRoute, message: Message, properties: bytes) -> tuple[str, int, bool]:
        """Broker, queue id (-1: the broker chooses), and whether it must be this one."""
        writable = route.writable
        if not writable:
            raise _not_writable(route)
        if _SHARDING_KEY in properties:
            group = find_property(properties, b"__SHARDINGKEY")
            if group:
                number = consistent_hash(java_hash(group.decode("utf-8", "replace")), route.write_queues)
                name, number = route.queue(number)
                return name, number, True
        if message.queue_id >= 0:
            if message.queue_id >= route.write_queues:
                raise GatewayError(
                    Code.BAD_REQUEST,
                    f"topic {route.route.topic}: expected a queue id below {route.write_queues}, got {message.queue_id}",
                )
            name, number = route.queue(message.queue_id)
            return name, number, True
        route.turn = turn = route.turn + 1
        return writable[turn % len(writable)][0], -1, False

    @staticmethod
    def _others(route: TopicRoute, first: str) -> list[str]:
        """The brokers that take a message in any queue: `first` at the end, since they are taken from there."""
        if len(route.writable) == 1:
            return [first]
        all_names = [name for name, _ in route.writable]
        at = all_names.index(first)
        return (all_names[at:] + all_names[:at])[::-1]

    def _header(
        self, command: SendMessages, message: Message, properties: bytes, queue_id: int, broker: str
    ) -> dict[str, str]:
        """``SendMessageRequestHeaderV2``."""
        born = message.born_timestamp
        queues = command.default_queues
        return {
            "a": command.producer_group or _NO_GROUP,
            "b": command.topic,
            "c": AUTO_CREATE_TOPIC,
            "d": "4" if queues <= 0 else str(queues),
            "e": "-1" if queue_id < 0 else _NUMBERS[queue_id] if queue_id < 1024 else str(queue_id),
            "f": str(message.sys_flag),
            "g": str(born if born > 0 else self.core.now_ms()),
            "h": str(message.flag),
            "i": properties.decode("utf-8", "replace"),
            "j": str(message.reconsume_times),
            "k": "false",
            "l": str(command.max_reconsume_times if command.max_reconsume_times >= 0 else 16),
            "m": "false",
            "n": broker,
        }

    # Several.

    def _send_many(self, route: TopicRoute, context: Context, command: SendMessages) -> Any:
        messages = command.messages
        if not messages:
            raise GatewayError(Code.BAD_MESSAGE, "expected at least one message")
        if len(messages) > _MAX_MESSAGES:
            raise GatewayError(
                Code.MESSAGE_TOO_LARGE, f"expected at most {_MAX_MESSAGES} messages of one send, got {len(messages)}"
            )
        keyed = [self._with_key(message.properties) for message in messages]
        named = [decode_properties(properties) for properties, _ in keyed]
        special = ("TRAN_MSG", "DELAY", "TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS", "__LITE_TOPIC")
        if any(not one.keys().isdisjoint(special) for one in named):
            raise GatewayError(
                Code.BAD_MESSAGE,
                "brokers take no delayed, transactional or lite messages in a batch; all or none of them could not be promised",
            )
        name, queue_id, fixed = self._queue(route, messages[0], keyed[0][0])
        if len({one.get("__SHARDINGKEY") for one in named}) > 1:
            raise GatewayError(Code.BAD_MESSAGE, "messages of different groups cannot be stored together")
        body = encode_batch(
            [
                BatchedMessage(message.body, properties, message.flag)
                for message, (properties, _) in zip(messages, keyed, strict=True)
            ]
        )
        if len({message.sys_flag for message in messages}) > 1:
            raise GatewayError(Code.BAD_MESSAGE, "messages of a batch are compressed all or none of them")
        ext = self._header(command, messages[0], b"", queue_id, name)
        # The broker gives the batch one unique key made of these.
        ext["i"] = f"UNIQ_KEY\x01{','.join(key for _, key in keyed)}\x02" if len(keyed) <= 100 else ""
        ext["m"] = "true"
        brokers = [name] if fixed else self._others(route, name)
        return self._begin(_Sending(self, context, command, ext, body, [key for _, key in keyed], brokers))

    # On its way.

    def _begin(self, sending: _Sending) -> _Sending:
        self._attempt(sending)
        return sending

    def _attempt(self, sending: _Sending) -> None:
        """Send to the next broker; to another only while nothing was written. :raise GatewayError: none takes it."""
        core = self.core
        while True:
            name = sending.brokers.pop()
            ext = sending.ext
            ext["n"] = sending.place = name
            ext.pop("Signature", None)
            try:
                core.upstream.request(
                    core.routes.master(name),
                    _BATCH if ext["m"] == "true" else _SEND,
                    ext,
                    sending.body,
                    _sent,
                    sending,
                    context=sending.context,
                    channel=True,
                )
                return
            except GatewayError as error:
                if not sending.brokers or error.code not in (Code.UPSTREAM_UNAVAILABLE, Code.BUSY):
                    raise

    def sent(self, sending: _Sending, answer: RemotingCommand | None, error: GatewayError | None) -> None:
        """What became of an attempt."""
        if answer is None:
            if isinstance(error, BrokerUnreachable) and not error.written and sending.brokers:
                try:
                    self._attempt(sending)
                    return
                except GatewayError as raised:
                    error = raised
            sending.tell(None, error)
            return
        if answer.code == ResponseCode.GO_AWAY and sending.brokers:
            # The broker is going, and has not looked at the request.
            try:
                self._attempt(sending)
            except GatewayError as raised:
                sending.tell(None, raised)
            return
        if answer.code not in _STORED:
            if answer.code == ResponseCode.TOPIC_NOT_EXIST or answer.code == ResponseCode.NO_PERMISSION:
                self.core.routes.ask(sending.command.topic).addErrback(lambda _: None)  # it may have moved
            sending.tell(None, _refused(sending, answer))
            return
        try:
            results = self._results(sending, answer)
        except GatewayError as raised:
            sending.tell(None, raised)
            return
        sending.tell(results)

    def _results(self, sending: _Sending, answer: RemotingCommand) -> SendResults:
        """``SendMessageResponseHeader``."""
        ext = answer.ext_fields
        keys = sending.keys
        try:
            queue_id = int(ext["queueId"])
            offset = int(ext["queueOffset"])
            ids = ext["msgId"].split(",")
            # An offset message id ends with the physical offset in 16 hexadecimal digits.
            places = [int(one[-16:], 16) if len(one) >= 32 else -1 for one in ids]
        except (KeyError, ValueError):
            raise GatewayError(
                Code.UPSTREAM_ERROR, "the broker's answer to a send has no place of the message in it"
            ) from None
        recall = ext.get("recallHandle", "")
        # Brokers before 5.0 name no transactionId in their answer; it is the unique key.
        if self.transactions is not None and int(sending.ext["f"]) & _TRANSACTION_BITS == _PREPARED:
            self.transactions.prepared(
                sending.place, sending.command.topic, sending.ext["a"], keys[0], ids[0], offset, places[0]
            )
        if len(keys) == 1:
            return SendResults((SendResult(queue_id, offset, places[0], keys[0], recall),))
        if len(places) != len(keys):
            places = [places[0]] * len(keys)
        return SendResults(
            tuple(
                SendResult(queue_id, offset + number, place, key)
                for number, (place, key) in enumerate(zip(places, keys, strict=True))
            )
        )

    # Types.

    def _check_types(self, command: SendMessages) -> None:
        config = self._metadata.cached_topic(command.topic)
        if config is None or config.message_type in (MessageType.MIXED, MessageType.UNSPECIFIED):
            return
        if command.topic.startswith(("%RETRY%", "%DLQ%")):
            return
        for message in command.messages:
            got = message_type(decode_properties(message.properties), message.sys_flag)
            if got is not config.message_type:
                raise GatewayError(
                    Code.BAD_MESSAGE_TYPE,
                    f"topic {command.topic} takes messages of type {config.message_type.value}, got one of type {got.value}",
                )

    # Recalling.

    def recall_message(self, context: Context, command: RecallMessage) -> Deferred[RecalledMessage]:
        return self.run(self._recall(context, command))

    async def _recall(self, context: Context, command: RecallMessage) -> RecalledMessage:
        name = _broker_of_recall(command.recall_handle)
        ext = {
            "producerGroup": command.producer_group or _NO_GROUP,
            "topic": command.topic,
            "recallHandle": command.recall_handle,
            "bname": name,
        }
        try:
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.RECALL_MESSAGE, ext, context=context
            )
        except GatewayError as error:
            if error.code is Code.BAD_MESSAGE:
                raise GatewayError(Code.BAD_RECEIPT_HANDLE, error.message, upstream_code=error.upstream_code) from None
            raise
        return RecalledMessage(answer.ext_fields.get("msgId", ""))


def _sent(sending: _Sending, answer: RemotingCommand | None, error: GatewayError | None) -> None:
    sending.sending.sent(sending, answer, error)


def _refused(sending: _Sending, answer: RemotingCommand) -> GatewayError:
    """Brokers say "illegal" of what is too large as well, and tell their limit."""
    error = refusal(answer, f"topic {sending.command.topic}")
    if error.code is Code.BAD_MESSAGE:
        limit = _LIMIT.search(error.message)
        if limit is not None and len(sending.body) > int(limit[1]):
            error.code = Code.MESSAGE_TOO_LARGE
        elif len(sending.ext["i"].encode()) > _MAX_PROPERTIES:
            error.code = Code.PROPERTIES_TOO_LARGE
    return error


def _with_born_host(properties: bytes, context: Context) -> bytes:
    """Brokers see the gateway's address: the client's goes in a property, as from Apache's proxy."""
    host = context.session.peer.rpartition(":")[0].strip("[]")
    end = b"" if not properties or properties.endswith(b"\x02") else b"\x02"
    return b"%b%b__BORNHOST\x01%b\x02" % (properties, end, host.encode())


def _with_prepared(message: Message) -> Message:
    return Message(
        message.body,
        message.properties,
        message.queue_id,
        message.flag,
        message.sys_flag | _PREPARED,
        message.born_timestamp,
        message.reconsume_times,
    )


def _not_writable(route: TopicRoute) -> GatewayError:
    topic = route.route.topic
    return GatewayError(Code.TOPIC_NOT_WRITABLE, f"topic {topic} has no queue that can be written to at present")


def _broker_of_recall(handle: str) -> str:
    """The broker's name in a recall handle: ``v1 topic broker time id`` in Base64 (``RecallMessageHandle``)."""
    try:
        parts = base64.b64decode(handle.encode(), b"-_", validate=True).decode().split(" ")
    except (binascii.Error, ValueError):
        parts = []
    if len(parts) < 5 or parts[0] != "v1":
        raise GatewayError(Code.BAD_RECEIPT_HANDLE, "recall handle: it was not made by a broker")
    return parts[2]
