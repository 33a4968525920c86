"""Connections to brokers: a few for each, shared by all clients, with bounds in requests and bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rmqgateway.backend.cluster.answers import BrokerUnreachable
from rmqgateway.backend.cluster.connection import Link, Waiting
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.session import split_host
from rmqgateway.wire.remoting import RemotingCommand, encode_head, encode_response
from rmqgateway.wire.remoting_command import FLAG_ONEWAY
from rmqgateway.wire.request_codes import request_name

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.secure import Secure
    from rmqgateway.backend.cluster.settings import ClusterSettings
    from rmqgateway.context import Context
    from rmqgateway.outbox import Outbox

__all__ = ["Broker", "Upstream", "signed"]

log = Logger(namespace="rmqgateway.cluster")

#: How often requests are looked through for those whose time is over, in seconds.
_SWEEP = 0.25
#: A connection on which requests time out is given up when it has been silent for so many times request_s: a broker that
#: pauses answers later, and everything that waits for messages would be lost with it.
_SILENT = 3
#: After it could not be connected to, a broker is left alone so long, in seconds: what is asked fails at once.
_PAUSE = 0.5


def signed(ext: dict[str, str], body: bytes, access_key: str, secret: bytes) -> dict[str, str]:
    """The fields of a request with a signature: HMAC-SHA1 over the values in the order of their names, and the body
    (``AclClientRPCHook``)."""
    ext["AccessKey"] = access_key
    content = "".join([ext[name] for name in sorted(ext)]).encode() + body
    ext["Signature"] = base64.b64encode(hmac.new(secret, content, hashlib.sha1).digest()).decode()
    return ext


class Broker:
    """One address.

    :ivar pending, bytes: unanswered requests, and their frames' bytes. :ivar version: the ordinal of its ``MQVersion``, which
        every answer carries; 0 before the first.
    """

    def __init__(self, hub: Upstream, address: str) -> None:
        self.hub = hub
        self.address = address
        self.pending = 0
        self.bytes = 0
        self.version = 0
        self._links: list[Link] = []
        self._turn = 0
        self._failed_at = float("-inf")
        self._reason = ""
        self._complained = False

    @property
    def channel(self) -> Link | None:
        """The connection under which the broker knows the gateway's groups."""
        return self._links[0] if self._links else None

    def link(self, channel: bool) -> Link:
        """A connection that takes a request. What is short goes over the channel, where much of it is written and read at
        once; what may bring megabytes goes beside it.

        :param channel: the one that groups are registered on. :raise BrokerUnreachable: not written.
        """
        links = self._links
        if links:
            if channel:
                return links[0]
            count = len(links)
            if count >= self.hub.settings.connections:
                self._turn = turn = (self._turn + 1) % count
                return links[turn]
            # One more only while the others are busy.
            idle = next((each for each in links if not each.pending), None)
            if idle is not None:
                return idle
        hub = self.hub
        if hub.reactor.seconds() - self._failed_at < _PAUSE:
            raise BrokerUnreachable(f"broker {self.address}: {self._reason}", False)
        link = Link(self)
        links.append(link)
        try:
            host, port = split_host(self.address)
        except ValueError as error:
            link.not_connected(str(error))
            raise BrokerUnreachable(f"broker {self.address!r}: {error}", False) from None
        link.connect(host, port, hub.settings.connect_s)
        if link.ended:
            raise BrokerUnreachable(f"broker {self.address}: {self._reason}", False)
        return link

    def connected(self, link: Link) -> None:
        """A connection stands."""
        if self._complained:
            log.info("broker {address} is connected to again", address=self.address)
            self._complained = False
        self._failed_at = float("-inf")
        self.hub.connected(self, link)

    def ended(self, link: Link, stood: bool, reason: str) -> None:
        """A connection is gone, or never stood."""
        was_channel = bool(self._links) and self._links[0] is link
        if link in self._links:
            self._links.remove(link)
        self._reason = reason
        if not stood:
            self._failed_at = self.hub.reactor.seconds()
        if not self._complained and not self.hub.stopping and (not stood or link.pending):
            self._complained = True
            log.warn("broker {address}: {reason}", address=self.address, reason=reason)
        self.hub.lost(self, was_channel)

    def took_away(self, waiting: Waiting) -> None:
        """A request waits no more."""
        self.pending -= 1
        self.bytes -= waiting.size

    def sweep(self, now: float) -> None:
        """Fail what waited too long; close what nobody uses."""
        settings = self.hub.settings
        for link in list(self._links):
            late = [opaque for opaque, waiting in link.pending.items() if waiting.deadline <= now]
            for opaque in late:
                waiting = link.pending.pop(opaque, None)
                if waiting is not None:
                    self.took_away(waiting)
                    text = f"broker {self.address} has not answered in time"
                    waiting.done(waiting.token, None, BrokerUnreachable(text, link.connected_, Code.TIMEOUT))
            if late and now - link.heard > settings.request_s * _SILENT:
                link.cut(f"it has said nothing for {now - link.heard:.1f} s")
            elif not link.pending and now - link.used > settings.idle_s:
                link.cut("nobody uses it", gently=True)

    def stop(self) -> None:
        """Close all connections."""
        for link in list(self._links):
            link.cut("the gateway is shutting down", Code.SHUTTING_DOWN, gently=True)


class Upstream:
    """All brokers by address.

    :param secure: begins TLS on a new connection, where that is set.
    :param asked: takes what a broker asks by itself: (broker, link, command).
    :ivar on_connected: told when a connection stands, so that groups can be registered on it.
    :ivar on_error: told of each broker that could not be reached: its address may have changed.
    """

    def __init__(
        self,
        reactor: Any,
        outbox: Outbox,
        settings: ClusterSettings,
        secure: Secure,
        asked: Callable[[Broker, Link, RemotingCommand], None],
    ) -> None:
        self.reactor = reactor
        self.outbox = outbox
        self.settings = settings
        self.secure = secure
        self.asked = asked
        self.stopping = False
        self.on_connected: list[Callable[[Broker, Link], None]] = []
        self.on_error: list[Callable[[str], None]] = []
        self._brokers: dict[str, Broker] = {}
        self._own = (settings.access_key, settings.secret_key.encode())
        self._signs = bool(settings.access_key) or settings.sign_as == "caller"
        self._sweeper = LoopingCall(self._sweep)
        self._sweeper.clock = reactor

    def start(self) -> None:
        """Begin to watch the clock."""
        self._sweeper.start(_SWEEP, now=False).addErrback(lambda failure: log.failure("the sweep ended", failure))

    def stop(self) -> None:
        """Close everything; what waits fails."""
        self.stopping = True
        if self._sweeper.running:
            self._sweeper.stop()
        for broker in list(self._brokers.values()):
            broker.stop()
        self._brokers.clear()

    def broker(self, address: str) -> Broker:
        """The broker at "host:port"."""
        found = self._brokers.get(address)
        if found is None:
            found = self._brokers[address] = Broker(self, address)
        return found

    def request(
        self,
        address: str,
        code: int,
        ext: dict[str, str],
        body: bytes,
        done: Callable[[Any, RemotingCommand | None, GatewayError | None], None],
        token: Any,
        timeout_s: float = 0.0,
        context: Context | None = None,
        channel: bool = False,
    ) -> tuple[Link, int]:
        """Send a request; `done` is called exactly once, maybe before this returns only by raising.

        :param timeout_s: 0: the setting request_s. :param context: whose request it is, for signing.
        :return: what `forget` takes.
        :raise GatewayError: BUSY: too much is unanswered. BrokerUnreachable, not written. FORBIDDEN: cannot be signed.
        """
        broker = self._brokers.get(address)
        if broker is None:
            broker = self.broker(address)
        settings = self.settings
        if broker.pending >= settings.pending_requests or (broker.bytes > settings.pending_bytes and broker.pending):
            raise GatewayError(
                Code.BUSY,
                f"broker {address} has {broker.pending} requests of {broker.bytes} bytes to answer first"
                " (settings cluster.pending_requests, cluster.pending_bytes)",
                retry_after=0.5,
            )
        if self.stopping:
            raise BrokerUnreachable("the gateway is shutting down", False, Code.SHUTTING_DOWN)
        if self._signs:
            ext = self._sign(ext, body, context)
        try:
            link = broker.link(channel)
        except BrokerUnreachable:
            self._error(address)
            raise
        opaque = link.next_opaque()
        try:
            frame = encode_head(code, opaque, 0, ext, None, len(body)) + body
        except WireError as error:
            raise GatewayError(Code.BAD_REQUEST, f"{request_name(code)}: {error.message}") from None
        size = len(frame)
        now = link.used = self.reactor.seconds()
        link.pending[opaque] = Waiting(done, token, now + (timeout_s or settings.request_s), size)
        broker.pending += 1
        broker.bytes += size
        link.send(frame)
        return link, opaque

    def ask(
        self,
        address: str,
        code: int,
        ext: dict[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 0.0,
        context: Context | None = None,
        channel: bool = False,
    ) -> Deferred[RemotingCommand]:
        """As `request`, by a Deferred; it never raises. Cancelling it drops the answer."""
        place: list[tuple[Link, int]] = []

        def cancelled(_: Deferred[RemotingCommand]) -> None:
            if place:
                self.forget(*place[0])

        deferred: Deferred[RemotingCommand] = Deferred(cancelled)
        try:
            place.append(
                self.request(address, code, ext or {}, body, _fire, deferred, timeout_s, context, channel)
            )
        except GatewayError as error:
            if not deferred.called:
                deferred.errback(error)
        return deferred

    def forget(self, link: Link, opaque: int) -> None:
        """Nobody waits for this answer any more."""
        waiting = link.pending.pop(opaque, None)
        if waiting is not None:
            link._broker.took_away(waiting)

    def tell(self, address: str, code: int, ext: dict[str, str], body: bytes = b"", channel: bool = False) -> None:
        """Send a request that wants no answer. What cannot be sent is dropped."""
        try:
            if self._signs:
                ext = self._sign(ext, body, None)
            link = self.broker(address).link(channel)
            link.used = self.reactor.seconds()
            link.send(encode_head(code, link.next_opaque(), FLAG_ONEWAY, ext, None, len(body)) + body)
        except GatewayError as error:
            log.debug("{code} to {address} is dropped: {error}", code=request_name(code), address=address, error=str(error))

    def answer(self, link: Link, request: RemotingCommand, code: int = 0, remark: str | None = None, body: bytes = b"") -> None:
        """Answer what a broker asked."""
        if not link.ended and not request.flag & FLAG_ONEWAY:
            link.send(
                encode_response(request.opaque, code, None, remark, body, serialization=request.serialization)
            )

    # What brokers tell.

    def connected(self, broker: Broker, link: Link) -> None:
        """A connection stands."""
        for tell in self.on_connected:
            tell(broker, link)

    def lost(self, broker: Broker, was_channel: bool) -> None:
        """A connection is gone."""
        if not self.stopping:
            self._error(broker.address)

    def _error(self, address: str) -> None:
        for tell in self.on_error:
            tell(address)

    def _sweep(self) -> None:
        now = self.reactor.seconds()
        self.outbox.enter()
        try:
            for broker in list(self._brokers.values()):
                broker.sweep(now)
        except Exception:
            log.failure("looking for late answers failed")
        finally:
            self.outbox.leave()

    def _sign(self, ext: dict[str, str], body: bytes, context: Context | None) -> dict[str, str]:
        if self.settings.sign_as == "caller" and context is not None:
            user = context.verified
            if user is None:
                raise GatewayError(
                    Code.UNAUTHENTICATED,
                    "requests are signed with the caller's key (setting cluster.sign_as), and the caller offers none",
                )
            return signed(ext, body, user.name, user.key)
        access_key, secret = self._own
        return signed(ext, body, access_key, secret) if access_key else ext


def _fire(
    deferred: Deferred[RemotingCommand], answer: RemotingCommand | None, error: GatewayError | None
) -> None:
    if deferred.called:
        return
    if answer is not None:
        deferred.callback(answer)
    else:
        deferred.errback(error)
