"""From a message's parts to the store: the one place where the backend makes stored messages."""

from __future__ import annotations

import os
import socket
import zlib
from typing import Protocol

from rmqgateway.backend.local.component import Component, Core
from rmqgateway.backend.local.queues import Topic
from rmqgateway.commands.producing import SendResult
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_const import TRANSACTION_MASK
from rmqgateway.wire.message_id import UniqueIdGenerator
from rmqgateway.wire.message_properties import decode_properties, set_property, without_property

__all__ = ["Draft", "Schedule", "Timers", "Writer", "index_keys"]


class Draft:
    """A message on its way into the store; may be changed until it is put.

    :ivar topic: where it goes. :ivar queue_id: which queue, valid there.
    :ivar properties: RocketMQ's property string; change it by `set` and `unset`, which keep `named` right.
    :ivar named: the same by name.
    :ivar born_host, store_host: as RocketMQ writes hosts.
    """

    __slots__ = (
        "body",
        "born_host",
        "born_timestamp",
        "flag",
        "named",
        "place",
        "prepared_transaction_offset",
        "properties",
        "queue_id",
        "reconsume_times",
        "store_host",
        "sys_flag",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        queue_id: int,
        body: bytes,
        properties: bytes,
        named: dict[str, str] | None = None,
        *,
        flag: int = 0,
        sys_flag: int = 0,
        born_timestamp: int = 0,
        born_host: bytes = stored_message.NO_HOST,
        store_host: bytes = stored_message.NO_HOST,
        reconsume_times: int = 0,
        prepared_transaction_offset: int = 0,
    ) -> None:
        self.topic = topic
        self.queue_id = queue_id
        self.body = body
        self.properties = properties
        self.named = decode_properties(properties) if named is None else named
        #: Where it is queued, if that is not its topic: behind a lite topic.
        self.place: Topic | None = None
        self.flag = flag
        self.sys_flag = sys_flag
        self.born_timestamp = born_timestamp
        self.born_host = born_host
        self.store_host = store_host
        self.reconsume_times = reconsume_times
        self.prepared_transaction_offset = prepared_transaction_offset

    @classmethod
    def from_stored(cls, message: stored_message.Buffer, topic: Topic, queue_id: int) -> Draft:
        """A copy of a stored message, on its way to another place."""
        parts = stored_message.decode(message)
        return cls(
            topic,
            queue_id,
            parts.body,
            parts.properties,
            flag=parts.flag,
            sys_flag=parts.sys_flag,
            born_timestamp=parts.born_timestamp,
            born_host=parts.born_host,
            store_host=parts.store_host,
            reconsume_times=parts.reconsume_times,
            prepared_transaction_offset=parts.prepared_transaction_offset,
        )

    def set(self, name: str, value: str) -> None:
        """Set a property.

        :raise GatewayError: BAD_MESSAGE_PROPERTY: the value cannot be one.
        """
        try:
            self.properties = set_property(self.properties, name.encode(), value.encode())
        except WireError as error:
            raise GatewayError(Code.BAD_MESSAGE_PROPERTY, error.message) from None
        self.named[name] = value

    def unset(self, *names: str) -> None:
        """Take properties away."""
        for name in names:
            if self.named.pop(name, None) is not None:
                self.properties = without_property(self.properties, name.encode())


class Schedule(Protocol):
    """Who keeps a message until a delay level's time is over (``delays.py``)."""

    def schedule(self, draft: Draft, level: int) -> SendResult:
        """Store `draft` so that it comes to its topic and queue after the time of `level` (>= 1; above the last one it is
        the last). Appends before it returns; the result says where it waits."""


class Timers(Protocol):
    """Who keeps a message until a point in time (the timers)."""

    def deliver_at(self, draft: Draft, deliver_ms: int) -> SendResult:
        """Store `draft` so that it comes to its topic and queue at `deliver_ms`, which is in the future and within
        `LocalSettings.timer_max_delay_s`. Appends before it returns; the result has the recall handle.

        :raise GatewayError: BUSY; StoreError.
        """


class Writer(Component):
    """Puts drafts into the store.

    :ivar delays, timers: who keeps delayed messages; set when the backend is put together.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.delays: Schedule | None = None
        self.timers: Timers | None = None
        host = socket.gethostname().encode()
        self._unique_ids = UniqueIdGenerator(
            zlib.crc32(host).to_bytes(4, "big"), os.getpid(), id(self) & 0xFFFFFFFF
        )

    def new_unique_key(self) -> str:
        """A UNIQ_KEY for a message that came without."""
        return self._unique_ids.next(self.core.now_ms())

    def put(self, draft: Draft) -> SendResult:
        """Append `draft` to its queue as it is; durable with the group (`Core.durable`).

        :raise GatewayError: PROPERTIES_TOO_LARGE, BAD_MESSAGE (a number that does not fit); StoreError.
        """
        queue = draft.topic.queue(draft.queue_id) if draft.place is None else draft.place.queue(0)
        properties = draft.properties
        limit = self.core.settings.max_properties_size
        if len(properties) > limit:
            raise GatewayError(
                Code.PROPERTIES_TOO_LARGE,
                f"expected properties of at most {limit} bytes, got {len(properties)}",
            )
        now = self.core.now_ms()
        try:
            message = stored_message.encode(
                draft.topic.name_bytes,
                draft.queue_id,
                draft.body,
                properties,
                draft.flag,
                draft.sys_flag,
                draft.born_timestamp or now,
                draft.born_host,
                now,
                draft.store_host,
                draft.reconsume_times,
                draft.prepared_transaction_offset,
            )
        except WireError as error:
            raise GatewayError(Code.BAD_MESSAGE, error.message) from None
        offset = queue.stored.next_offset
        position = queue.append(message, index_keys(draft.topic, draft.named))
        return SendResult(draft.queue_id, offset, position, draft.named.get("UNIQ_KEY", ""))

    def put_or_delay(self, draft: Draft) -> SendResult:
        """Append `draft`, now or, as its properties say, later (RocketMQ's handleScheduleMessage).

        :raise GatewayError: as `put`; BAD_DELIVERY_TIME.
        """
        named = draft.named
        transaction = draft.sys_flag & TRANSACTION_MASK
        if transaction == 4 or transaction == 12:  # prepared, rolled back: they do not go to consumers
            return self.put(draft)
        level = _integer(named.get("DELAY"))
        if level is not None and level > 0:
            # The level wins over a time, as with RocketMQ.
            draft.unset("TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS")
            if self.delays is None:
                raise GatewayError(Code.UNSUPPORTED, "this backend has no delay levels")
            return self.delays.schedule(draft, level)
        deliver_ms = self.delivery_time(named)
        if deliver_ms is None:
            return self.put(draft)
        if self.timers is None:
            raise GatewayError(Code.UNSUPPORTED, "this backend has no timers")
        return self.timers.deliver_at(draft, deliver_ms)

    def delivery_time(self, named: dict[str, str]) -> int | None:
        """When a message is to be delivered by its properties TIMER_DELAY_SEC, TIMER_DELAY_MS or TIMER_DELIVER_MS, in ms;
        None: now (also for a time that is over).

        :raise GatewayError: BAD_DELIVERY_TIME: not a number, or too far ahead.
        """
        if "TIMER_OUT_MS" in named:  # it has been through the timer
            return None
        for name, unit in (("TIMER_DELAY_SEC", 1000), ("TIMER_DELAY_MS", 1), ("TIMER_DELIVER_MS", 0)):
            text = named.get(name)
            if text is not None:
                number = _integer(text)
                if number is None:
                    raise GatewayError(
                        Code.BAD_DELIVERY_TIME, f"property {name}: expected a number, got {text[:64]!r}"
                    )
                now = self.core.now_ms()
                ahead = number * unit if unit else number - now
                limit = self.core.settings.timer_max_delay_s
                if ahead > limit * 1000:
                    raise GatewayError(
                        Code.BAD_DELIVERY_TIME,
                        f"expected a delay of at most {limit} s (timer_max_delay_s), got {ahead / 1000:.0f} s",
                    )
                if ahead <= 0 and "TIMER_DEL_UNIQKEY" in named:
                    raise GatewayError(
                        Code.BAD_DELIVERY_TIME,
                        "to take a delayed message back, expected a time in the future",
                    )
                return now + ahead if ahead > 0 else None
        return None


def _integer(text: str | None) -> int | None:
    """The number that a property holds, or None; at most 18 digits."""
    if text is None or len(text) > 19:
        return None
    try:
        return int(text)
    except ValueError:
        return None


def index_keys(topic: Topic, named: dict[str, str]) -> list[bytes]:
    """What QueryMessage finds a message by: its unique key and its keys, each as ``topic#key``."""
    unique_key = named.get("UNIQ_KEY")
    found = [] if unique_key is None else [topic.key_prefix + unique_key.encode()]
    keys = named.get("KEYS")
    if keys is not None:
        if " " in keys:
            found += [topic.key_prefix + key.encode() for key in keys.split(" ") if key]
        else:
            found.append(topic.key_prefix + keys.encode())
    return found
