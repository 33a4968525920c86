"""GET …/stream: messages as they come, as Server-Sent Events or lines of JSON.

Who acknowledges: ``ack=auto`` has the gateway do it after writing; of Server-Sent Events the last `resume_s` seconds stay
unacknowledged, so that a client that comes back with ``Last-Event-ID`` loses nothing. ``ack=explicit`` leaves it to the
client, by receipt handle or by the id of the last event that it dealt with. An event's id holds the handles that were
unsettled then, so it is good at another gateway and after a restart too.

A stream has a session of its own, since its messages outlive a broken connection by `resume_s` (JSON lines: not at all).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.commands import AckMessages, CheckSubscription, InitMode, QueryRoute
from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import ISubscriptionSink
from rmqgateway.message import TAG_ALL
from rmqgateway.subscription import Settlement, Subscription
from rmqgateway_http.broadcasts import BroadcastStream, check_broadcast, read_place_of
from rmqgateway_http.call import Call
from rmqgateway_http.codec_handles import (
    MAX_LISTED,
    append_handle,
    read_event_id,
    write_event_id,
    write_receipt_handle,
)
from rmqgateway_http.receiving import filter_of, lite_topics_of
from rmqgateway_http.stream_writing import WrittenStream

if TYPE_CHECKING:
    from rmqgateway.subscription import Delivery
    from rmqgateway_http.deadlines import Deadline

__all__ = ["Stream", "stream"]

log = Logger(namespace="rmqgateway.http")

#: An acknowledgement that waits for the client to take what was written is looked at so often, in seconds.
_LOOK_S = 0.1
#: With ack=auto no more than so many wait for the client's return.
_MAX_HELD = 256
#: An event's id names so many unsettled handles at most, those delivered last; the rest is known to this process only.
_LISTED, _LISTED_EXPLICIT = 16, MAX_LISTED
#: A list of handles is made anew when so many in it are settled.
_STALE = 16


def stream(call: Call) -> None:
    """Open a stream."""
    call.run(_open(call), cancel=True)


async def _open(call: Call) -> None:
    topic, group = call.names
    values = call.query()
    get = values.get
    accept = call.request.fields.get(b"accept", b"").lower()
    as_events = b"ndjson" not in accept and b"jsonl" not in accept and get("format", "sse") == "sse"
    last = (call.request.fields.get(b"last-event-id") or b"").decode("utf-8", "replace") or get("last_event_id", "")
    broadcast = get("broadcast", False)
    place = ""
    if broadcast:
        check_broadcast(values)
        place = read_place_of(last) if last else ""
    wanted = Subscription(
        group,
        topic,
        filter_of(values),
        get("invisible", round(call.settings.invisible_s * 1000)),
        get("fifo"),
        auto_renew=get("ack", "auto") == "explicit",
        batch=min(get("max", call.settings.stream_window), 32),
        init_mode=InitMode.MAX if get("start", "max" if broadcast else "min") == "max" else InitMode.MIN,
        lite_topics=lite_topics_of(values),
        broadcast=broadcast,
        place=place,
    )
    if last and not broadcast:
        await _take_up(call, group, topic, last)
    await call.execute(QueryRoute(topic, create=True))  # a consumer may come before the first message
    if wanted.filter is not TAG_ALL:
        await call.execute(CheckSubscription(group, topic, wanted.filter))
    if not call.request.done:
        (BroadcastStream if broadcast else Stream)(call, wanted, as_events, values)


async def _take_up(call: Call, group: str, topic: str, last: str) -> None:
    """The client was here before: acknowledge what it got, have the rest come again."""
    event = read_event_id(last)
    before = call.service.streams.get(event.stream)
    if before is not None and (before.wanted.group, before.wanted.topic) == (group, topic) and before.is_of(call):
        await before.end_at(call, event.number)
    elif event.handles:
        # Another gateway's, or of before a restart. What is settled or visible again already fails alone.
        await call.execute(AckMessages(group, topic, event.handles, strict=False))


@implementer(ISubscriptionSink)
class Stream(WrittenStream):
    """One client's stream, whose messages are settled.

    :ivar wanted: its subscription. :ivar unsettled: handles by the numbers of their events, oldest first.
    """

    def __init__(self, call: Call, wanted: Subscription, as_events: bool, values: dict[str, Any]) -> None:
        super().__init__(call, as_events, values)
        service, request = self._service, self._request
        self.wanted = wanted
        self.unsettled: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._explicit = values.get("ack") == "explicit"
        self._window: int = values.get("max", service.settings.stream_window)
        self._owed, self._grant_at = 0, max(1, self._window // 2)  # credit goes back in few pieces
        self._resume_s: float = values.get("resume", round(service.settings.resume_s * 1000)) / 1000 if as_events else 0.0
        self._number = 0
        self._listed = self._last = ""
        self._beginning = self._blanks = ""  # of `_last`: what comes before its last part, and that with nothing said
        self._listed_count = 0
        self._written: deque[tuple[float, int]] = deque()  # (when, number) of what ack=auto has yet to acknowledge
        self._settle_call: Deadline | None = None
        self._end_call: Deadline | None = None
        self._user = call.context.credential
        service.streams[self.id] = self
        request.on_gone(self._client_gone)
        self._subscription = service.gateway.subscribe(self._context, wanted, self)
        self._subscription.grant(self._window)
        if not self._closed:
            self._start()

    # Delivering.

    def deliver(self, delivery: Delivery) -> None:
        """See `ISubscriptionSink`."""
        handle = delivery.receipt_handle
        if not self._number:
            self._start()
        self._number = number = self._number + 1
        self.unsettled[number] = handle
        shown = write_receipt_handle(handle)
        data = self._service.shown.encode(delivery.message, shown, delivery.delivery_attempt, self._body_as)
        request = self._request
        if self._as_events:
            event_id = write_event_id(self.id, number, self._list(shown)).encode()
            self._write(b"id: %b\ndata: %b\n\n" % (event_id, data))
        else:
            self._write(data + b"\n")
        self._quiet = False
        if request.buffered() > self._high:
            self._pause()
        if self._explicit:
            self._numbers[handle] = number
            self._service.in_streams[self.wanted.group, self.wanted.topic, handle] = self
            return
        self._written.append((self._reactor.seconds() + self._resume_s, number))
        self._owed = owed = self._owed + 1
        if owed >= self._grant_at:
            self._owed = 0
            self._subscription.grant(owed)
        if self._settle_call is None:
            self._settle_call = self._service.deadlines.later(self._resume_s, self._settle_written)
        elif len(self._written) > _MAX_HELD:
            self._settle_oldest()

    def _list(self, shown: str) -> str:
        """The unsettled handles as text, the newest last."""
        most = _LISTED_EXPLICIT if self._explicit else _LISTED
        if self._listed_count >= most or self._listed_count > len(self.unsettled) + _STALE:
            self._listed = self._last = ""
            unsettled = self.unsettled
            first = self._number - most // 2
            handles = [unsettled[number] for number in range(first, self._number) if number in unsettled]
            for handle in handles:
                before = write_receipt_handle(handle)
                self._listed = append_handle(self._listed, self._last, before)
                self._last = before
            self._listed_count = len(handles)
        beginning = self._beginning
        end = shown[len(beginning) :] if beginning and self._listed and shown.startswith(beginning) else ""
        if end and "~" not in end and shown != self._last:
            # As `append_handle`, for the next message of the same receive and queue.
            self._listed += self._blanks + end
        else:
            self._listed = append_handle(self._listed, self._last, shown)
            cut = shown.rfind("~") + 1
            alike = 0 < cut < len(shown) and "~~" not in shown and shown[0] not in "=~"
            self._beginning = shown[:cut] if alike else ""
            self._blanks = "," + "~" * shown.count("~")
        self._last = shown
        self._listed_count += 1
        return self._listed

    # Settling.

    def is_of(self, call: Call) -> bool:
        """Whether the same client asks, as far as it said who it is."""
        user = self._context.user
        if user is not None or call.context.user is not None:
            return user == call.context.user
        mine, other = self._user, call.context.credential
        return (mine and (mine.access_key, mine.token)) == (other and (other.access_key, other.token))

    def settle(self, call: Call, handle: str, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        """The client says what became of a message. Fails as `ISubscription.settle`, or with FORBIDDEN."""
        if not self.is_of(call):
            return fail(GatewayError(Code.FORBIDDEN, "the message was delivered to somebody else"))
        return self._settle(handle, settlement, delay_ms)

    def _settle(self, handle: str, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        number = self._numbers.pop(handle, None)
        if number is not None:
            del self.unsettled[number]
            self._service.in_streams.pop((self.wanted.group, self.wanted.topic, handle), None)
        settled: Deferred[None] = self._subscription.settle(handle, settlement, delay_ms)
        if self._explicit:
            self._subscription.grant(1)
        return settled

    def handles_to(self, call: Call, number: int) -> list[str]:
        """The unsettled handles up to an event. :raise GatewayError: FORBIDDEN."""
        if not self.is_of(call):
            raise GatewayError(Code.FORBIDDEN, "this stream is somebody else's")
        return [handle for one, handle in self.unsettled.items() if one <= number]

    def _settle_written(self) -> None:
        """ack=auto: what was written long enough ago is acknowledged, if the client takes what it is sent."""
        self._settle_call = None
        now = self._reactor.seconds()
        written = self._written
        wait = _LOOK_S
        if not self._paused and not self._gone:
            due = []
            while written and written[0][0] <= now:
                due.append(written.popleft()[1])
            self._accept(due)
            wait = written[0][0] - now if written else 0.0
        if written and not self._closed:
            self._settle_call = self._service.deadlines.later(wait, self._settle_written)

    def _settle_oldest(self) -> None:
        if not self._paused:
            self._accept([self._written.popleft()[1] for _ in range(_MAX_HELD // 4)])

    def _accept(self, numbers: list[int]) -> Deferred[None]:
        """What an administrator, or the client, has settled meanwhile fails; nobody waits for that."""
        handles = [handle for number in numbers if (handle := self.unsettled.pop(number, None)) is not None]
        if self._explicit:
            for handle in handles:
                self._numbers.pop(handle, None)
                self._service.in_streams.pop((self.wanted.group, self.wanted.topic, handle), None)
        if not handles:
            return succeed(None)
        outbox = self._service.gateway.outbox
        outbox.enter()
        try:
            settled: Deferred[dict[str, GatewayError]] = self._subscription.settle_many(handles, Settlement.ACCEPT)
        finally:
            outbox.leave()
        return settled.addCallback(self._not_accepted)

    def _not_accepted(self, failed: dict[str, GatewayError]) -> None:
        for error in failed.values():
            log.debug("not acknowledged: {reason}", reason=error.message)

    def _not_settled(self, failure: Any) -> None:
        log.debug("not acknowledged: {reason}", reason=failure.getErrorMessage())

    # The end.

    def end_at(self, call: Call, number: int) -> Deferred[Any]:
        """The client is back elsewhere and had everything up to this event. Fires when the rest is visible again."""
        self.handles_to(call, number)  # whether it may
        done = self._accept([one for one in self.unsettled if one <= number])
        self._gone = True
        settled: Deferred[Any] = done.addCallback(lambda _: self._close())
        if not self._request.done:
            self._request.abort("its client has opened the stream again")
        return settled

    def _client_gone(self, reason: str) -> None:
        self._gone = True
        if self._closed:
            return
        if self._resume_s > 0 and self.unsettled:
            self._subscription.pause()
            self._end_call = self._service.deadlines.later(self._resume_s, self._close)
        else:
            self._close()

    def _close(self) -> Deferred[None]:
        """Everything that is not settled becomes visible at once; fires when that is durable."""
        if self._closed:
            return succeed(None)
        self._stop_writing()
        for call in (self._settle_call, self._end_call):
            if call is not None:
                call.cancel()
        for handle in self.unsettled.values():
            self._service.in_streams.pop((self.wanted.group, self.wanted.topic, handle), None)
        self.unsettled.clear()
        self._service.streams.pop(self.id, None)
        closed: Deferred[None] = self._subscription.close()
        session = self._session

        def ended(result: Any) -> None:
            session.end()

        return closed.addBoth(ended)
