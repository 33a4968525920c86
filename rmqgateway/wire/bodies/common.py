"""What many bodies share."""

from __future__ import annotations

import msgspec

from rmqgateway.wire.bodies.codec import Body

__all__ = [
    "DataVersion",
    "MessageQueue",
    "MessageQueueWithOffset",
    "Nothing",
]


class MessageQueue(msgspec.Struct, frozen=True, rename="camel"):
    """One message queue by its full name; also the key of maps."""

    broker_name: str
    queue_id: int
    topic: str


class MessageQueueWithOffset(Body, kw_only=True):
    """A queue as C++ clients are told of one (``MessageQueueForC``)."""

    broker_name: str
    offset: int
    queue_id: int
    topic: str


class DataVersion(Body, kw_only=True):
    """The version of a broker's table: grows with each change."""

    counter: int = 0
    state_version: int = 0
    timestamp: int = 0


class Nothing(Body, kw_only=True):
    """A body that says nothing we know."""
