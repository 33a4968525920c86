"""GET …/stream?broadcast=true: everything that is sent to a topic, to everybody who listens.

Nothing is acknowledged. An event's id is the place after it (`rmqgateway.broadcasting`), so that a client that comes back with
``Last-Event-ID`` goes on there, at any gateway and after a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import IBroadcastSink
from rmqgateway.places import read_place
from rmqgateway.subscription import MAX_CREDIT
from rmqgateway_http.codec_json import encode_json
from rmqgateway_http.convert_receiving import message_out
from rmqgateway_http.stream_writing import WrittenStream

if TYPE_CHECKING:
    from rmqgateway.subscription import Delivery, Subscription
    from rmqgateway_http.call import Call

__all__ = ["BroadcastStream", "Frames", "check_broadcast", "read_place_of"]

#: What is of messages that are acknowledged.
_NOT_HERE = ("max", "invisible", "fifo", "lite_topics", "ack", "resume")
#: What an event's id begins with; those of other streams begin otherwise.
_MARK = "@"
#: Credit is given back in such pieces: what holds a broadcast up is what its client leaves unread.
_PIECE = MAX_CREDIT // 2


def check_broadcast(values: dict[str, Any]) -> None:
    """Whether the parameters are for a broadcast. :raise GatewayError: BAD_REQUEST."""
    for name in _NOT_HERE:
        if name in values:
            raise GatewayError(
                Code.BAD_REQUEST, f"query: {name} is not for a broadcast, whose messages nobody acknowledges"
            )


def read_place_of(event_id: str) -> str:
    """The place that an event's id holds. :raise GatewayError: BAD_REQUEST: another stream's."""
    if not event_id.startswith(_MARK):
        raise GatewayError(
            Code.BAD_REQUEST, f"Last-Event-ID: expected the id of an event of a broadcast, got {event_id[:100]!r}"
        )
    place = event_id[len(_MARK) :]
    read_place(place)
    return place


class Frames:
    """A delivery as streams write it, made once for all of them."""

    __slots__ = ("_delivery", "_frames")

    def __init__(self) -> None:
        self._delivery: Delivery | None = None
        self._frames: dict[tuple[bool, str], bytes] = {}

    def of(self, delivery: Delivery, as_events: bool, body_as: str) -> bytes:
        """An event, or a line whose ``event_id`` is what `last_event_id` takes."""
        if delivery is not self._delivery:
            self._delivery = delivery
            self._frames = {}
        key = as_events, body_as
        found = self._frames.get(key)
        if found is None:
            data = encode_json(message_out(delivery.message, body_as=body_as))
            event_id = f"{_MARK}{delivery.place}".encode()
            if as_events:
                found = b"id: %b\ndata: %b\n\n" % (event_id, data)
            else:
                found = b'%b,"event_id":"%b"}\n' % (data[:-1], event_id)
            self._frames[key] = found
        return found


@implementer(IBroadcastSink)
class BroadcastStream(WrittenStream):
    """One client that listens."""

    def __init__(self, call: Call, wanted: Subscription, as_events: bool, values: dict[str, Any]) -> None:
        super().__init__(call, as_events, values)
        self._frames = self._service.frames
        self._owed = 0
        self._request.on_gone(self._client_gone)
        self._subscription = self._service.gateway.subscribe(self._context, wanted, self)
        self._subscription.grant(MAX_CREDIT)
        if not self._closed:
            self._start()

    def deliver(self, delivery: Delivery) -> None:
        """See `ISubscriptionSink`."""
        self._write(self._frames.of(delivery, self._as_events, self._body_as))
        self._quiet = False
        if self._request.buffered() > self._high:
            self._pause()
        self._owed = owed = self._owed + 1
        if owed == _PIECE:
            self._owed = 0
            self._subscription.grant(owed)

    def began(self, place: str) -> None:
        """See `IBroadcastSink`. An event without data only tells EventSource its id."""
        self._start()
        if self._as_events:
            self._write(f"id: {_MARK}{place}\n\n".encode())

    def _client_gone(self, reason: str) -> None:
        self._gone = True
        self._close()

    def _close(self) -> Deferred[None]:
        if not self._closed:
            self._stop_writing()
            self._subscription.close()
            self._session.end()
        return succeed(None)
