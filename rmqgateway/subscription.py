"""The one receive loop behind every push front-end (WebSocket, SSE, STOMP, MQTT, AMQP …): credit, settlement, release."""

from __future__ import annotations

import enum

import msgspec

from rmqgateway.message import TAG_ALL, Filter

__all__ = ["Delivery", "Settlement", "Subscription"]


class Settlement(enum.Enum):
    """What became of a delivered message."""

    ACCEPT = "accept"  # acknowledged for good
    RELEASE = "release"  # visible to others at once
    REJECT = "reject"  # to the dead-letter queue
    RETRY_AFTER = "retry after"  # visible again after a delay


class Subscription(msgspec.Struct, frozen=True):
    """What to receive.

    :ivar auto_renew: handles are renewed while the client is connected, so that slow handling is not a redelivery.
    :ivar accept_on_delivery: acknowledge each message once the sink has taken it (at most once from the client's side).
    """

    group: str
    topic: str
    filter: Filter = TAG_ALL
    invisible_ms: int = 60_000
    fifo: bool | None = None
    auto_renew: bool = True
    accept_on_delivery: bool = False
    batch: int = 32


class Delivery(msgspec.Struct, frozen=True):
    """One message for the sink. :ivar message: the whole stored message (``rmqgateway.wire.stored_message``)."""

    message: bytes
    receipt_handle: str
    delivery_attempt: int
