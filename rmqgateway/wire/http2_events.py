"""What an HTTP/2 connection reports to its owner."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_tables import Header

__all__ = [
    "ConnectionTerminated",
    "DataReceived",
    "Event",
    "GoAwayReceived",
    "PingAcknowledged",
    "RequestReceived",
    "SettingsAcknowledged",
    "SettingsChanged",
    "StreamReset",
    "TrailersReceived",
]


class RequestReceived(msgspec.Struct, gc=False):
    """A request's head. `headers` are the regular fields in the order of arrival, names in lower case; a missing
    `authority`, and `scheme` and `path` of a plain CONNECT, are empty. `protocol` is that of RFC 8441."""

    stream: int
    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    headers: list[Header]
    end_stream: bool
    protocol: bytes = b""


class DataReceived(msgspec.Struct, gc=False):
    """A part of a request's body. The windows reopen when the owner calls ``consumed(stream,
    flow_controlled_length)``."""

    stream: int
    data: bytes
    flow_controlled_length: int
    end_stream: bool


class TrailersReceived(msgspec.Struct, gc=False):
    """The request's trailers, with which it ends."""

    stream: int
    headers: list[Header]


class StreamReset(msgspec.Struct, gc=False):
    """The stream is gone, and what was queued for it; `by_peer` false: we reset it for a fault of the peer."""

    stream: int
    code: int
    by_peer: bool
    message: str = ""


class SettingsChanged(msgspec.Struct, gc=False):
    """The peer's SETTINGS (identifier to value), already applied and acknowledged."""

    settings: dict[int, int]


class SettingsAcknowledged(msgspec.Struct, gc=False):
    """The peer applies ours from here on."""


class PingAcknowledged(msgspec.Struct, gc=False):
    """The answer to a ``ping``: its eight bytes."""

    payload: bytes


class GoAwayReceived(msgspec.Struct, gc=False):
    """The peer leaves; streams that it opened go on."""

    last_stream: int
    code: int
    debug: bytes


class ConnectionTerminated(msgspec.Struct, gc=False):
    """The last event. GOAWAY with `code` is queued in ``bytes_to_send``: write it and close. Streams are gone."""

    code: int
    error: WireError


Event: TypeAlias = (
    RequestReceived
    | DataReceived
    | TrailersReceived
    | StreamReset
    | SettingsChanged
    | SettingsAcknowledged
    | PingAcknowledged
    | GoAwayReceived
    | ConnectionTerminated
)
