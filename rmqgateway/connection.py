"""One client connection of a byte stream, for front-ends that own connections: what all of them need, written once.

The session, one write per turn, back-pressure in both directions, peers that take nothing, draining, the end; requests and
their errors; consumers. A front-end derives its protocol from `ClientConnection`, implements `data_received`, and may override
what is marked so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.commands import Command
from rmqgateway.consumer import Consumers
from rmqgateway.context import Context, Credential
from rmqgateway.eager import writer
from rmqgateway.errors import Code, GatewayError, WireError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.events import Event
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway, ISubscription, ISubscriptionSink
    from rmqgateway.subscription import Subscription

__all__ = ["ClientConnection"]

log = Logger(namespace="rmqgateway.connection")

Q = TypeVar("Q")
R = TypeVar("R")


@implementer(IPushProducer)
class ClientConnection(Protocol):
    """A client. As IPushProducer it is told by its transport when the client does not read.

    :ivar front_end: the front-end's name; set by the class.
    :ivar in_flight_bytes: of a connection whose commands under way hold more, nothing is read until they hold less.
    :ivar unsent_bytes: of a connection that has left more than this unread, nothing is read until it has taken it.
    :ivar stalled_seconds: a connection that does not take what it was sent for so long is closed.
    :ivar settings: the front-end's, where its `ConnectionFrontEnd` makes the connection.
    :ivar consumers: what the client subscribed to, by its own names.
    :ivar context: for commands of this connection; a front-end whose clients say who they are replaces it.
    :ivar closing: nothing more is read, nothing more is sent.
    """

    front_end = ""
    in_flight_bytes = 16 * 1024 * 1024
    unsent_bytes = 1024 * 1024
    stalled_seconds = 30.0

    transport: Any  # also an ITCPTransport and an IConsumer

    settings: Any

    def __init__(self, gateway: IGateway, connection: ConnectionInformation, settings: Any = None) -> None:
        self.gateway = gateway
        self.connection = connection
        self.settings = settings
        self.consumers = Consumers(self)
        self.context: Context
        self.closing = False
        self._write: Callable[[bytes], None]
        self._out: list[bytes] = []
        self._under_way: dict[Deferred[Any], int] = {}
        self._in_flight = 0
        self._subscriptions: dict[ISubscription, None] = {}
        self._reading = True
        self._blocked = False
        self._unsent = 0
        self._stall: IDelayedCall | None = None
        self._beats: LoopingCall | None = None
        self._silence: LoopingCall | None = None
        self._heard = False

    # For front-ends to override.

    def data_received(self, data: bytes) -> None:
        """Bytes came. A WireError or GatewayError that this raises goes to `failed`."""
        raise NotImplementedError

    def opened(self) -> None:
        """The session exists; for what the connection keeps, for protocols whose server speaks first, and for timers."""

    def served(self, request: Any, reply: Any) -> None:
        """A request was carried out (see `serve`): tell the client, if it wants to know."""

    def failed(self, error: BaseException | None, request: Any = None) -> None:
        """Something failed (a WireError, a GatewayError): say so in the protocol's words, and `close` unless the protocol goes
        on after such an error.

        :param error: as a Failure's value is typed; None never comes.
        :param request: what failed (see `serve`); None: the connection itself, which cannot go on.
        """
        self.close()

    def event_arrived(self, event: Event) -> bool:
        """See `ISession.deliver`."""
        return False

    def drain(self, deadline: float, reason: str) -> None:
        """See `ISession.drain`. Unless overridden: deliver nothing more, finish what is under way, then `failed` with
        SHUTTING_DOWN."""
        for subscription in list(self._subscriptions):
            self.track(subscription.close())
        self.finished().addCallback(lambda _: self.failed(GatewayError(Code.SHUTTING_DOWN, reason)))

    def lost(self) -> None:
        """The connection is gone, and its session with it: cancel timers."""

    # For front-ends to call.

    def send(self, data: bytes) -> None:
        """Send these bytes, with everything else of this turn, in one write."""
        if self.closing:
            return
        self._out.append(data)
        if len(self._out) == 1:
            self.gateway.outbox.ready(self)

    def authenticate(self, credential: Credential) -> None:
        """Commands from now on are this caller's. :raise GatewayError: UNAUTHENTICATED."""
        self.context = Context(self.context.session, credential)
        self.gateway.authenticate(self.context, credential)

    def execute(self, command: Command[R], size: int = 0) -> Deferred[R]:
        """Execute a command in the connection's context.

        :param size: bytes that it keeps in memory until it is answered (a message's body).
        :return: always a Deferred; fails with GatewayError.
        """
        return self.track(maybeDeferred(self.gateway.execute, self.context, command), size)

    def serve(self, call: Callable[[Q], Any], request: Q) -> None:
        """Carry out a request: ``call(request)`` returns its reply or a Deferred. Then `served`, or `failed` with what was
        raised, is called: a WireError, a GatewayError, or, for whatever else it was (a bug: it is logged), INTERNAL. Of a
        connection that is `closing` nothing is carried out any more."""
        if self.closing:
            return
        done = maybeDeferred(call, request)
        done.addCallbacks(partial(self.served, request), lambda failure: self.failed(self._told(failure), request))
        done.addErrback(lambda failure: self.failed(self._told(failure)))

    def track(self, done: Deferred[R], size: int = 0) -> Deferred[R]:
        """Count something as under way until it is done: `finished` waits for it, its bytes are counted. Returns it."""
        self._under_way[done] = size
        self._in_flight += size
        done.addBoth(self._done, done)
        self._balance()
        return done

    def finished(self) -> Deferred[None]:
        """Fires when everything that is under way now is done, whatever came of it."""
        return DeferredList(list(self._under_way)).addCallback(_nothing)

    def subscribe(self, subscription: Subscription, sink: ISubscriptionSink) -> ISubscription:
        """Begin a subscription that is paused while the client does not read. Grant it credit; close it by `unsubscribe`."""
        made = self.gateway.subscribe(self.context, subscription, sink)
        self._subscriptions[made] = None
        if self._blocked:
            made.pause()
        return made

    def unsubscribe(self, subscription: ISubscription) -> Deferred[None]:
        """Close a subscription; fires when what was not settled is visible to others."""
        self._subscriptions.pop(subscription, None)
        return self.track(subscription.close())

    def send_every(self, seconds: float, data: bytes) -> None:
        """Send heart-beats from now on; 0: no more."""
        self._beats = self._every(self._beats, seconds, lambda: self.send(data))

    def expect_every(self, seconds: float) -> None:
        """From now on, `failed` with TIMEOUT if nothing comes for so long (at most twice as long); 0: no more. Begin with
        this in `opened`, and a client that says nothing is not kept."""
        self._heard = True
        self._silence = self._every(self._silence, seconds, self._check_silence)

    def close(self) -> None:
        """Send what is to be sent, then close the connection."""
        if self.closing:
            return
        self.flush()
        self.closing = True
        if hasattr(self, "context"):
            self.transport.unregisterProducer()  # TLS would wait for its last word
        self.transport.loseConnection()

    # What Twisted and the core call.

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        out, self._out = self._out, []
        if out and not self.closing:
            data = b"".join(out)
            self._write(data)
            if self._blocked:
                self._unsent += len(data)
                self._balance()

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._write = writer(self.transport)
        try:
            session = self.gateway.open_session(
                self.front_end,
                self.connection.peer,
                self.connection.advertised,
                self.event_arrived,
                self.drain,
                self._cut,
            )
        except GatewayError as error:
            self.failed(error)
            self.close()
            return
        self.context = Context(session)
        self.transport.registerProducer(self, True)
        self._in_scope(self.opened)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if not self.closing:
            self._heard = True
            self.context.session.last_seen = self.gateway.reactor.seconds()
            self._in_scope(self.data_received, data)

    def connectionLost(self, reason: Failure = Failure(Exception("connection lost"))) -> None:  # noqa: B008
        """See IProtocol."""
        self.closing = True
        self._out.clear()
        self._stop_stall()
        self.send_every(0, b"")
        self.expect_every(0)
        if hasattr(self, "context"):
            self.context.session.end()
            self.lost()

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._blocked = True
        if self._stall is None:
            self._stall = self.gateway.reactor.callLater(self.stalled_seconds, self._stalled)
        for subscription in self._subscriptions:
            subscription.pause()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._blocked = False
        self._unsent = 0
        self._stop_stall()
        self._balance()
        for subscription in list(self._subscriptions):
            subscription.resume()

    def stopProducing(self) -> None:
        """See IPushProducer; `connectionLost` follows."""

    def _in_scope(self, call: Callable[..., None], *arguments: Any) -> None:
        self.gateway.outbox.enter()
        try:
            call(*arguments)
        except Exception:
            self.failed(self._told(Failure()))
        finally:
            self.gateway.outbox.leave()

    def _told(self, failure: Failure) -> BaseException | None:
        """What is told to the client of something that went wrong."""
        if failure.check(WireError, GatewayError) is not None:
            return failure.value
        log.failure("serving a connection of {front_end} failed", failure, front_end=self.front_end)
        return GatewayError(Code.INTERNAL, "the gateway's log has the cause")

    def _done(self, result: Any, done: Deferred[Any]) -> Any:
        self._in_flight -= self._under_way.pop(done)
        self._balance()
        return result

    def _balance(self) -> None:
        """Read, or do not."""
        wanted = self._in_flight <= self.in_flight_bytes and self._unsent <= self.unsent_bytes
        if wanted is self._reading or self.closing:
            return
        self._reading = wanted
        if wanted:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    def _every(self, before: LoopingCall | None, seconds: float, call: Callable[[], None]) -> LoopingCall | None:
        if before is not None and before.running:
            before.stop()
        if seconds <= 0:
            return None
        made = LoopingCall(call)
        made.clock = self.gateway.reactor
        made.start(seconds, now=False)
        return made

    def _check_silence(self) -> None:
        if not self._heard:
            self.failed(GatewayError(Code.TIMEOUT, "the client said nothing for too long"))
        self._heard = False

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stalled(self) -> None:
        self._stall = None
        self._cut(f"it took nothing for {self.stalled_seconds} s")

    def _cut(self, reason: str) -> None:
        log.info("connection of {peer} is closed: {reason}", peer=self.connection.peer, reason=reason)
        self.closing = True
        self.transport.abortConnection()


def _nothing(_: object) -> None:
    return None
