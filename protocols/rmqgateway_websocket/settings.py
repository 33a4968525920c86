"""Settings of the WebSocket front-end."""

from __future__ import annotations

from typing import Annotated

import msgspec

from rmqgateway.setting_types import Positive

__all__ = ["WebSocketSettings"]


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """WebSocket for browsers: frames of JSON and MessagePack; sizes in bytes. The size of a message and keep-alive are in [http].

    :ivar under_way: unanswered frames of one connection, of which more are not read.
    :ivar under_way_bytes: bytes of unanswered sends of one connection, of which more are not read.
    :ivar unsent_bytes: of a client that has left so much unread (at least 64 KiB), subscriptions deliver no
        more until it reads.
    :ivar subscriptions: subscriptions of one connection.
    :ivar waits: frames of one connection that wait for a message or a reply.
    :ivar unsettled: messages that a subscription may have granted or delivered and not settled.
    :ivar remembered_ids: message ids in memory, to know repeated sends by; ids of the last two minutes beyond that are
        looked up in the store's index.
    :ivar secrets_in_clear: take a secret key also over a connection that is neither TLS nor from this machine.
    :ivar example: serve the example page at /examples/chat.
    """

    under_way: Positive = 1000
    under_way_bytes: Positive = 16 * 1024 * 1024
    unsent_bytes: Annotated[int, msgspec.Meta(ge=65_536)] = 512 * 1024
    subscriptions: Positive = 64
    waits: Positive = 64
    unsettled: Positive = 10_000
    remembered_ids: Positive = 50_000
    secrets_in_clear: bool = False
    example: bool = True
