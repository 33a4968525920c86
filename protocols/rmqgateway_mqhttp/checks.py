"""Half messages whose producers are asked, kept until somebody fetches them with ``trans=pop``.

A backend asks a connected member of the producer group (`CheckTransaction`); here the clients are no members, they come by
and look. So whoever fetches for a group makes an `Asker` its member: a session of our own, which lives a while longer than
the last fetch. A publish names no group: half messages published over this wire are of a group of their topic's own, so that
no other producer of the topic is asked about them, and an asker is a member of that and of the group that its client named.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred

from rmqgateway.commands import EndTransaction, Heartbeat, QueryRoute, TransactionResolution
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction, Event
from rmqgateway.session import split_host
from rmqgateway.wire import stored_message

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.interfaces import IGateway, ISession

__all__ = ["Asker", "Checks", "producer_group_of"]

#: Seconds after the last fetch in which checks are still taken; a fetch waits 30 s at most.
_IDLE = 60.0
#: A member says that it lives; backends forget those that do not within 120 s.
_HEARTBEAT = 30.0
_MAX_ASKERS = 1000
_MAX_PENDING = 1000


def producer_group_of(topic: str) -> str:
    """The producer group of half messages that are published over this wire."""
    namespace, percent, plain = topic.rpartition("%")
    return f"{namespace}{percent}MQHTTP_{plain}"


class _Fetch:
    """One fetch that waits. :ivar done: fires with the checks, [] when the time is over."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done: Deferred[list[CheckTransaction]] = Deferred()
        self.timer: IDelayedCall | None = None


class Asker:
    """Who fetches the half messages of one topic for one group.

    :param first: the session of who fetched first: what is known of the client.

    :ivar pending: checks that nobody fetched yet, by transaction id, oldest first.
    """

    def __init__(self, checks: Checks, first: ISession, topic: str, group: str) -> None:
        self._checks = checks
        self._gateway = checks.gateway
        self.topic = topic
        self.group = group
        self.pending: dict[str, CheckTransaction] = {}
        self._waiting: deque[_Fetch] = deque()
        self._beaten: float | None = None
        self._serving: IDelayedCall | None = None
        self.last_used = self._gateway.reactor.seconds()
        host, port = split_host(first.peer)
        peer = IPv4Address("TCP", host, port)
        self.session = self._gateway.open_session(
            "mqhttp", peer, first.host, self._deliver, self._drain, self._close
        )

    @property
    def idle(self) -> bool:
        """Whether nobody has fetched for long."""
        return not self._waiting and self._gateway.reactor.seconds() - self.last_used > _IDLE

    def beat(self, context: Context) -> Any:
        """Become, or stay, a member of the producer groups."""
        now = self._gateway.reactor.seconds()
        self.last_used = now
        if self._beaten is not None and now - self._beaten < _HEARTBEAT:
            return None
        self._beaten = now
        own = Context(self.session, context.credential, request_id=context.request_id)
        own.user = context.user  # whom the door found behind this very request
        groups = (self.group, producer_group_of(self.topic))
        return self._gateway.execute(
            own, Heartbeat(f"mqhttp-{self.session.number}", "HTTP", producers=groups)
        )

    def fetch(self, count: int, wait_s: float) -> Deferred[list[CheckTransaction]]:
        """Take at most `count` checks, waiting for one. Cancelling ends the wait with none."""
        fetch = _Fetch(count)

        def cancelled(done: Deferred[list[CheckTransaction]]) -> None:
            self._leave(fetch)
            done.callback([])

        fetch.done = Deferred(cancelled)
        if wait_s > 0 and not self.pending:
            self._waiting.append(fetch)
            fetch.timer = self._gateway.reactor.callLater(wait_s, self._over, fetch)
        else:
            fetch.done.callback(self._take(count))
        return fetch.done

    def _take(self, count: int) -> list[CheckTransaction]:
        taken = list(self.pending.values())[:count]
        for event in taken:
            del self.pending[event.transaction_id]
        return taken

    def _leave(self, fetch: _Fetch) -> None:
        self.last_used = self._gateway.reactor.seconds()
        if fetch.timer is not None:
            if fetch.timer.active():
                fetch.timer.cancel()
            fetch.timer = None
        if fetch in self._waiting:
            self._waiting.remove(fetch)

    def _over(self, fetch: _Fetch) -> None:
        self._leave(fetch)
        outbox = self._gateway.outbox
        outbox.enter()
        try:
            fetch.done.callback([])
        finally:
            outbox.leave()

    def _deliver(self, event: Event) -> bool:
        if not isinstance(event, CheckTransaction) or self._topic_of(event) != self.topic:
            return False
        if event.transaction_id not in self.pending and len(self.pending) >= _MAX_PENDING:
            return False
        self.pending[event.transaction_id] = event
        if self._waiting and self._serving is None:
            # A backend asks about many at once: those of this turn go together.
            self._serving = self._gateway.reactor.callLater(0, self._serve)
        return True

    def _serve(self) -> None:
        self._serving = None
        outbox = self._gateway.outbox
        outbox.enter()
        try:
            while self._waiting and self.pending:
                fetch = self._waiting[0]
                self._leave(fetch)
                fetch.done.callback(self._take(fetch.count))
        finally:
            outbox.leave()

    @staticmethod
    def _topic_of(event: CheckTransaction) -> str:
        return stored_message.topic(event.message).decode("utf-8", "replace")

    def end(self) -> None:
        """Leave the groups; who waits gets nothing."""
        if self._serving is not None:
            self._serving.cancel()
            self._serving = None
        for fetch in list(self._waiting):
            self._over(fetch)
        self.session.end()

    def _drain(self, deadline: float, reason: str) -> None:
        self._checks.forget(self)  # the gateway waits for its sessions to end

    def _close(self, reason: str) -> None:
        self._checks.forget(self)


class Checks:
    """All askers of a gateway."""

    def __init__(self, gateway: IGateway) -> None:
        self.gateway = gateway
        self._askers: dict[tuple[str, str], Asker] = {}
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._askers)

    async def asker(self, context: Context, topic: str, group: str) -> Asker:
        """Who fetches for a group, once it is known that the caller may send to the topic.

        :raise GatewayError: TOPIC_NOT_FOUND, FORBIDDEN, TOO_MANY_REQUESTS and what Heartbeat raises.
        """
        execute = self.gateway.execute
        # Ends nothing, but is judged as the end of a transaction: who may not do that gets no half message to read.
        await maybeDeferred(execute, context, EndTransaction(topic, group, TransactionResolution.UNKNOWN))
        await maybeDeferred(execute, context, QueryRoute(topic))
        asker = self._askers.get((topic, group))
        if asker is None:
            if len(self._askers) >= _MAX_ASKERS:
                raise GatewayError(
                    Code.TOO_MANY_REQUESTS,
                    f"half messages are fetched for {len(self._askers)} topics and groups already",
                    retry_after=5.0,
                )
            asker = self._askers[topic, group] = Asker(self, context.session, topic, group)
            if self._timer is None:
                self._timer = self.gateway.reactor.callLater(_IDLE, self._expire)
        try:
            await maybeDeferred(asker.beat, context)
        except GatewayError:
            self.forget(asker)
            raise
        return asker

    def ended(self, topic: str, transaction_id: str) -> None:
        """A transaction is over: nobody need be asked."""
        for (name, _), asker in self._askers.items():
            if name == topic:
                asker.pending.pop(transaction_id, None)

    def forget(self, asker: Asker) -> None:
        """End an asker."""
        if self._askers.get((asker.topic, asker.group)) is asker:
            del self._askers[asker.topic, asker.group]
        asker.end()

    def _expire(self) -> None:
        self._timer = None
        for asker in list(self._askers.values()):
            if asker.idle:
                self.forget(asker)
        if self._askers:
            self._timer = self.gateway.reactor.callLater(_IDLE / 2, self._expire)
