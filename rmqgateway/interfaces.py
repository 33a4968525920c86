"""Every public interface. These docstrings are the specification; implementations do not repeat them.

A front-end is a plugin: an `IFrontEndMaker` made of strings, found without importing anything heavy, that loads an
`IFrontEnd` when it is enabled. Three kinds exist, by what they own: a connection, HTTP requests, WebSocket sub-protocols.
All of them talk to one `IGateway`; behind it is one `IBackend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IProtocol

    from rmqgateway.commands import Command, SendMessages, SendResults
    from rmqgateway.context import Context, Credential
    from rmqgateway.errors import GatewayError
    from rmqgateway.events import Event
    from rmqgateway.frontend import ConnectionInformation, Recognition, RouteDeclaration
    from rmqgateway.subscription import Delivery, Settlement, Subscription

__all__ = [
    "IBackend",
    "IBroadcastSink",
    "IConnectionFrontEnd",
    "IFrontEnd",
    "IFrontEndMaker",
    "IGateway",
    "IPassthrough",
    "IPassthroughClient",
    "IPassthroughLink",
    "IRequest",
    "IRequestFrontEnd",
    "ISendsTogether",
    "ISession",
    "ISubscription",
    "ISubscriptionSink",
    "IWebSocket",
    "IWebSocketFrontEnd",
]


class IFrontEndMaker(Interface):
    """How a front-end announces itself: strings only, so that finding it costs nothing.

    Found by ``twisted.plugin.getPlugins(IFrontEndMaker)`` in ``twisted.plugins`` and by the entry-point group
    ``rmqgateway.front_ends``. ``rmqgateway.frontend.FrontEndMaker`` provides it.
    """

    name: str = Attribute("One lower-case word, unique: the name in listeners, settings, metrics and logs.")
    description: str = Attribute("One sentence for people.")
    extra: str = Attribute("The extra to install when its import fails, such as ``rmqgateway[otel]``, or ''.")
    enabled_by_default: bool = Attribute("Whether it is served when the configuration says nothing.")

    def load() -> IFrontEnd:
        """Import the module and return the front-end, the same object each time.

        :raise ImportError: a dependency is missing; the loader adds `extra` to the text.
        """


class IFrontEnd(Interface):
    """What every kind of front-end has."""

    name: str = Attribute("As its maker's.")
    settings: type[Any] = Attribute(
        "A msgspec.Struct with a default for each field; its docstring's ``:ivar name:`` lines are the help. The "
        "loader reads the section [front_ends.NAME] of the configuration into it."
    )

    def configure(settings: Any) -> None:
        """Take the checked settings, once, before anything else is called. Raise ValueError naming the field."""


class IConnectionFrontEnd(IFrontEnd):
    """Owns whole connections of a byte stream."""

    recognition_order: int = Attribute("Who is asked first on a shared port: smaller earlier (Remoting 50).")
    web_socket_protocols: Sequence[str] = Attribute(
        "Sub-protocols over which it takes the same byte stream, or ()."
    )

    def recognise(first_bytes: bytes) -> Recognition:
        """Say whether a connection that begins with these bytes is ours: YES, NO, or MORE bytes are needed.

        Called with everything that has come so far, at most 64 bytes. YES must be certain enough that no other
        protocol of the same port begins so.
        """

    def make_protocol(gateway: IGateway, connection: ConnectionInformation) -> IProtocol:
        """Make the protocol for one connection. The bytes already read are delivered to it first."""


class IRequest(Interface):
    """One HTTP request, the same for HTTP/1.1 and HTTP/2.

    Bodies have budgets: nothing is read from the peer faster than `read` is called.
    """

    method: str = Attribute("GET, POST, …")
    target: bytes = Attribute("The request target exactly as sent (signatures cover it).")
    path: str = Attribute("Its path, percent-decoded once, normalised; never used as a file name.")
    query: Sequence[tuple[str, str]] = Attribute("Decoded query parameters in their order.")
    headers: Sequence[tuple[bytes, bytes]] = Attribute("Names in lower case, values as sent, in their order.")
    context: Context = Attribute("Session, peer, deadline, trace.")
    front_ends: Sequence[str] = Attribute("The names of all front-ends that the listener serves, of every kind.")
    paths: frozenset[str] = Attribute("The paths of all their routes, as declared.")

    def header(name: bytes) -> bytes | None:
        """The first value of a header (name in lower case)."""

    def read(limit: int) -> Deferred[bytes]:
        """The whole body. Fails with GatewayError(MESSAGE_TOO_LARGE) as soon as it is known to pass `limit`."""

    def on_body(receiver: Callable[[bytes, bool], None]) -> None:
        """Get the body in pieces as they come instead: (data, last). `consumed` lets more come."""

    def consumed(count: int) -> None:
        """That many bytes of the body were dealt with."""

    def also(name: bytes, value: bytes) -> None:
        """Have the response say this besides: for what differs with each one (a request id), since the headers that
        `start` and `respond` are given are kept encoded. `name` in lower case, one that the headers do not have.

        :raise ValueError: the value has line ends.
        """

    def start(status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the head of the response."""

    def write(data: bytes) -> None:
        """Send a piece of the response's body."""

    def finish(trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """End the response; trailers only where the protocol has them."""

    def respond(
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes = b"",
        trailers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Send a whole response. With a status of 200, no body, and trailers, HTTP/2 sends them in the one head."""

    is_crowded: bool = Attribute(
        "Whether responses of this connection, finished ones included, leave more untaken than they may."
    )

    def buffered() -> int:
        """How many bytes of the response the peer has not taken yet."""

    def on_drain(callback: Callable[[], None]) -> None:
        """Call once when `buffered` has fallen below the low-water mark."""

    def on_gone(callback: Callable[[str], None]) -> None:
        """Call once if the peer goes, resets, or stalls before the response is finished, with the reason."""

    def on_shutdown(callback: Callable[[float, str], None]) -> None:
        """Call with (deadline in seconds, reason) when the gateway asks clients to go before this is answered."""

    def abort(reason: str) -> None:
        """Break the response off (HTTP/1.1 closes the connection, HTTP/2 resets the stream)."""


class IRequestFrontEnd(IFrontEnd):
    """Owns HTTP requests, over whatever version of HTTP they came."""

    def routes() -> Iterable[RouteDeclaration]:
        """Declare what is served. The core answers preflights, 404, 405, 415, Host checks. Where several match, the greater
        priority wins, then the more precise path; it refuses to start when neither decides."""

    def respond(gateway: IGateway, request: IRequest, route: RouteDeclaration) -> None:
        """Answer one request, now or later. An exception becomes a 500 and is logged once."""


class IWebSocket(Interface):
    """One open WebSocket, in the core's keeping (Autobahn)."""

    protocol: str = Attribute("The sub-protocol that was agreed on.")

    def send(message: bytes, is_binary: bool) -> None:
        """Send a message."""

    def close(code: int, reason: str) -> None:
        """Close with a code of RFC 6455 and a reason of at most 123 bytes."""

    def buffered() -> int:
        """Bytes that the peer has not taken yet."""

    def on_drain(callback: Callable[[], None]) -> None:
        """Call once when `buffered` has fallen below the low-water mark."""

    def pause() -> None:
        """Take no more messages from the peer until `resume`."""

    def resume() -> None:
        """Take messages again."""


class IWebSocketFrontEnd(IFrontEnd):
    """Owns WebSocket sub-protocols."""

    protocols: Sequence[str] = Attribute("Sub-protocols, best first; '' takes clients that offer none.")

    def open(gateway: IGateway, context: Context, socket: IWebSocket) -> Any:
        """Take a new WebSocket; return an object with ``message_received(data: bytes, is_binary: bool)`` and
        ``closed(code: int, reason: str)``."""


class ISession(Interface):
    """One client connection as the backend knows it; made by `IGateway.open_session`, ended by its front-end."""

    number: int = Attribute("Unique in this process.")
    front_end: str = Attribute("The front-end's name.")
    peer: str = Attribute("host:port of the client (of the PROXY header, where that is trusted).")
    peer_bytes: bytes = Attribute(
        "The peer as RocketMQ writes hosts: 4 or 16 address bytes, then the port in 4."
    )
    host: str = Attribute(
        "host:port under which this client reaches us: the advertised address of its listener."
    )
    host_bytes: bytes = Attribute("`host` as RocketMQ writes hosts.")
    last_seen: float = Attribute("When the client last said something, in reactor seconds.")
    user: str | None = Attribute("In whose name it joined its groups, set by the door; None while no users exist.")
    pace: Callable[[bool], None] | None = Attribute(
        "Set by a front-end that can let its client wait: called with True by the door when this session sends while too "
        "many bytes are under way in the process, with False when they have come down; maybe after the session's end."
    )
    paced: bool = Attribute("Whether `pace` was called with True last; set by the door.")
    pace_is_shared: bool = Attribute(
        "Whether `pace` holds up acknowledgements too (all of the connection waits). Of a session that consumes the sends "
        "are refused then instead."
    )
    consumes: bool = Attribute("It has received, pulled or acknowledged something; set by the door.")

    def deliver(event: Event) -> bool:
        """Hand an event to the client; False if its protocol has no words for it, or its budget is used up."""

    def drain(deadline: float, reason: str) -> None:
        """Ask the client, in its protocol's words, to finish and go within `deadline` seconds."""

    def on_end(callback: Callable[[], None]) -> None:
        """Call when the session ends (its waits are cancelled, its groups left)."""

    def not_on_end(callback: Callable[[], None]) -> None:
        """Do not call it: whoever wanted it is over before the session."""

    def end() -> None:
        """The connection is gone. Calling it again does nothing."""


class IGateway(Interface):
    """The one door. Front-ends know nothing else."""

    outbox: Any = Attribute(
        "The `rmqgateway.outbox.Outbox`: replies collected into one write per connection."
    )
    reactor: Any = Attribute("IReactorTime, and IReactorCore where it is a real one.")
    guarded: bool = Attribute("Whether users exist, so that every command needs a credential.")
    leaving: bool = Attribute("Whether the process is about to end: all is served still, and clients may be told to come back.")
    meters: Sequence[Any] = Attribute("What was counted: a `rmqgateway.telemetry.metrics.CommandMeter` for each command.")
    sessions: Mapping[int, ISession] = Attribute("All connected clients, by the sessions' numbers.")
    passthrough: IPassthrough | None = Attribute(
        "Where Remoting connections go as they are, or None: requests are commands like those of all others."
    )

    def ready() -> str | None:
        """None when commands are served; else why not: the backend's reason, or that the gateway is shutting down."""

    def open_session(
        front_end: str,
        peer: IAddress,
        host: str,
        deliver: Callable[[Event], bool],
        drain: Callable[[float, str], None],
        close: Callable[[str], None],
    ) -> ISession:
        """Begin a session for a new connection.

        :param host: the advertised address, "host:port".
        :param close: end the connection now, with a reason for the log.
        :raise GatewayError: TOO_MANY_REQUESTS or SHUTTING_DOWN; close the connection.
        """

    def execute(context: Context, command: Command[Any]) -> Any:
        """Judge and carry out a command.

        :return: the reply, or a Deferred that fires with it. Cancelling the Deferred means what the command says.
        :raise GatewayError: at once, or by failing the Deferred, and nothing else: whatever else goes wrong behind the
            door is logged and becomes ``Code.INTERNAL``.
        """

    def perform(
        context: Context,
        command: Command[Any],
        done: Callable[[Any, Any, GatewayError | None], None],
        token: Any,
    ) -> Any:
        """As `execute`, for hot paths: ``done(token, reply, None)`` or ``done(token, None, error)`` is called exactly once,
        maybe before this returns.

        :return: of a command that waits and can be cancelled: what has a ``cancel()`` of the same meaning as that of the
            Deferred of `execute`. None: of others, and of what is done already.
        """

    def perform_sends(
        context: Context,
        commands: Sequence[SendMessages],
        done: Callable[[Any, Any, GatewayError | None], None],
        done_together: Callable[[Sequence[Any], Sequence[Any]], None],
        tokens: Sequence[Any],
    ) -> None:
        """As `perform` for each of `commands`, which came together over one connection, in their order. Those that are
        stored together are told of together: ``done_together(tokens, replies)``; the others by `done`, as there. Each
        token is told of exactly once. A third of the cost of a small send is this door; this passes it once."""

    def wait_for_room(command: SendMessages, go: Callable[[], None]) -> Callable[[], None]:
        """Put off a send of a session that is `paced`: its message counts, and `go` is called once, in a turn of its own, when
        too many bytes are under way no longer. For front-ends whose clients wait for the answer to each send.

        :return: to be called instead if the client goes: then `go` is not.
        :raise GatewayError: BUSY: too much waits already.
        """

    def judge(context: Context, command: Command[Any]) -> None:
        """Whether the caller may do this: for what is carried out elsewhere (a frame that is forwarded), or later.

        :raise GatewayError: UNAUTHENTICATED, FORBIDDEN.
        """

    def subscribe(context: Context, subscription: Subscription, sink: ISubscriptionSink) -> ISubscription:
        """Begin the receive loop behind a push front-end. Nothing is delivered until credit is granted. Of a broadcast the sink
        provides `IBroadcastSink`."""

    def authenticate(context: Context, credential: Credential | None) -> str | None:
        """Check now what a caller offers; return the user's name, None while no users exist. The context is its from now on.

        :raise NotAuthenticated: users exist, and this is none of them. Only commands need this: the door checks each.
        """

    def may_publish(session: ISession, topic: str) -> bool:
        """Whether the user in whose name a client joined its groups may send to a topic; True while no users exist."""

    def ticket(context: Context) -> tuple[str, float]:
        """A token of the context's user that is good once and soon: for what cannot sign (a page that opens a WebSocket),
        and for how many seconds. It is offered as ``Credential(token=…)``.

        :raise GatewayError: UNAUTHENTICATED, TOO_MANY_REQUESTS.
        """


class IPassthrough(Interface):
    """What is behind the door for a protocol that the cluster itself speaks: frames are judged, and then forwarded raw."""

    def open(
        client: IPassthroughClient, session: ISession, listener: str, meters: Mapping[int, Any]
    ) -> IPassthroughLink:
        """Begin the other half of a connection; what was forwarded before it stands is kept.

        :param listener: the name of the client's listener, which tells the server that it wants.
        :param meters: by request code, where answered requests are counted (`rmqgateway.telemetry.metrics.CommandMeter`).
        """

    def hold(count: int, transport: Any) -> None:
        """So many bytes more (or less) of unfinished frames are held; where that is too much, `transport` is cut."""


class IPassthroughLink(Interface):
    """The way of one connection to its server."""

    def takes(code: int) -> str | None:
        """None if a request is forwarded, else why it is refused."""

    def forward(data: bytes, frames: Sequence[bytes], scans: Sequence[Any]) -> None:
        """Send whole frames on; `data` is all of them, `scans` what `rmqgateway.wire.remoting_scan.scan` says of each."""

    def ask(frame: bytes, code: int, answered: Callable[[bytes | None], bytes | None]) -> None:
        """Send one request on under an opaque of the link's own, so that no other answer can pass for its.

        :param code: the request's. :param answered: called once with the answer's frame as it came, or None: none will come;
            returns the frame to pass to the client (addresses in it are changed as ever), or None.
        :raise WireError: the frame's header cannot be decoded.
        """

    def look(context: Context, physical_offset: int, shown: Callable[[bytes | None, str], None]) -> None:
        """Ask the server for the stored message at a place of its log. `shown` is called once, with the message, or with
        None and why not. The link of a client that has gone stays until then, for a few seconds.

        :param context: whose request it is, for signing.
        """

    def owns(opaque: int) -> bool:
        """Whether an opaque is one of the link's own, that no request of the client may have."""

    def pause() -> None:
        """The client does not read: let nothing more come."""

    def resume() -> None:
        """The client reads again."""

    def waiting() -> int:
        """How many requests are unanswered, without those that wait for messages."""

    def dismiss(reason: str) -> None:
        """Answer pulls that wait with SERVICE_NOT_AVAILABLE: they take nothing, and can be asked again elsewhere."""

    def close() -> None:
        """The client is gone."""


class IPassthroughClient(Interface):
    """The end of such a connection that the client is at."""

    def answered(data: bytes) -> None:
        """Bytes for the client: whole frames."""

    def slow() -> None:
        """Read no more of the client until `fast`: the server does not."""

    def fast() -> None:
        """Read again."""

    def ended(reason: str) -> None:
        """The server's end is gone; close once everything is written."""

    def may_publish(topic: str) -> bool:
        """Whether the client may be shown a half message of a topic: whoever names a producer group is asked for its."""


class ISubscription(Interface):
    """One consumer's stream of messages. Every message delivered is settled exactly once, or released at the end.

    Credit is spent by each delivery and comes back only by `grant`: a front-end with a window of N grants N, and one more
    for each settlement.
    """

    def grant(messages: int, size: int = 0) -> None:
        """Allow that many more messages (and, if not 0, bytes) to be delivered. Adds up; clamped by settings.

        The sink may be called before this returns. Bytes may be passed by one message: the last is never cut.
        """

    def settle(receipt_handle: str, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        """Say what became of a delivery: ACCEPT, RELEASE (visible at once), REJECT (dead-letter queue), RETRY_AFTER
        (visible after `delay_ms`). Fires when that is durable.

        Fails with GatewayError BAD_RECEIPT_HANDLE if it was not delivered here or is settled already,
        RECEIPT_HANDLE_EXPIRED if its time was over. A settlement that fails is not tried again: the message comes again.
        """

    def settle_many(
        receipt_handles: Sequence[str], settlement: Settlement, delay_ms: int = 0
    ) -> Deferred[dict[str, GatewayError]]:
        """As `settle` for each of them, with one command where that serves (ACCEPT): for who settles often. Fires with
        what failed, by handle, when the others are durable; never fails itself."""

    def pause() -> None:
        """Deliver nothing until `resume`, whatever the credit (the peer does not read). What was received already is
        kept, and its handles renewed."""

    def resume() -> None:
        """Deliver again."""

    def close() -> Deferred[None]:
        """End: everything delivered and not settled becomes visible at once; fires when that is durable. The end of the
        session does the same."""


class ISubscriptionSink(Interface):
    """Who gets what a subscription delivers."""

    def deliver(delivery: Delivery) -> None:
        """Take one message. Synchronous; to slow down, call `pause`. An exception ends the subscription."""

    def failed(error: Exception) -> None:
        """The subscription ended by an error (GatewayError); it is closed already, and everything is given back. Called
        for a refusal that no retry can change, such as TOPIC_NOT_FOUND: execute ``QueryRoute(topic, create=True)`` before
        subscribing where a topic is to come into being by that. What may pass (BUSY …) is tried again here."""


class IBroadcastSink(ISubscriptionSink):
    """Who gets what a subscription of a group that broadcasts delivers (see `rmqgateway.broadcasting`)."""

    def began(place: str) -> None:
        """The member begins after this place (see `Subscription.place`). Called once, before
        the first delivery, so that a client that loses its connection before that misses nothing."""


class IBackend(Interface):
    """What executes commands: the embedded broker, or a cluster of real ones."""

    name: str = Attribute("``local`` or ``cluster``.")

    def handlers() -> Mapping[type[Command[Any]], Callable[[Context, Any], Any]]:
        """What serves each command, by its class; what is missing is refused by name. Each returns the reply a
        Deferred, or a `rmqgateway.pending.Pending`, and raises GatewayError."""

    def start() -> Deferred[None] | None:
        """Open the store or the connections. Fails with StoreError or GatewayError: the process ends with its text."""

    def stop() -> Deferred[None]:
        """Finish what is under way, make everything durable, release."""

    def session_opened(session: ISession) -> None:
        """A client came."""

    def session_ended(session: ISession) -> None:
        """A client went: leave its groups, tell the others."""

    def ready() -> str | None:
        """None when commands are served; else why not."""


class ISendsTogether(Interface):
    """What a backend provides besides if it can store several sends for less than one by one."""

    def send_together(
        context: Context, commands: Sequence[SendMessages]
    ) -> tuple[list[SendResults], Callable[[Callable[[BaseException | None], None]], None]]:
        """Store as many of `commands`, from the first on, as need nothing special: their replies, and how to learn that
        these may be given (see `rmqgateway.pending.Pending`; called only if there are any). The handler of SendMessages
        gets the rest, the one that would have failed first. Never raises."""
