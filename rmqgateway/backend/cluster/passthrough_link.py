"""One client's connection to one broker: the upstream half of a pair that lives and dies together.

Requests go up as they came; answers and the broker's own requests come down, their addresses changed. Opaques stay as they
are, since nobody else uses the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.cluster.rewriting import Place, error_frame
from rmqgateway.backend.cluster.rewriting_table import REFUSED_FOR, REPLIES, REQUESTS_OF_BROKERS, TABLE, Way
from rmqgateway.backend.cluster.upstream import signed
from rmqgateway.eager import writer
from rmqgateway.errors import WireError
from rmqgateway.interfaces import IPassthroughLink
from rmqgateway.session import split_host
from rmqgateway.wire import stored_message
from rmqgateway.wire.remoting import FrameSplitter, decode_frame, encode_request
from rmqgateway.wire.remoting_scan import Scan, scan, splice_opaque
from rmqgateway.wire.request_codes import RequestCode, ResponseCode, request_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.backend.cluster.passthrough import Passthrough
    from rmqgateway.context import Context
    from rmqgateway.interfaces import IPassthroughClient, ISession

__all__ = ["BrokerLink", "proxy_header"]

log = Logger(namespace="rmqgateway.passthrough")

_TO_BROKERS = frozenset(code for code, rule in TABLE.items() if rule.way in (Way.BROKER, Way.BOTH))
#: Requests that brokers hold until there is something to answer: a drain does not wait for them.
_HELD = frozenset(
    {
        int(code)
        for code in (
            RequestCode.PULL_MESSAGE,
            RequestCode.LITE_PULL_MESSAGE,
            RequestCode.POP_MESSAGE,
            RequestCode.POP_LITE_MESSAGE,
            RequestCode.NOTIFICATION,
        )
    }
)
#: Those of them that take nothing: other ones are the client's, answered or not.
_PULLS = frozenset({int(RequestCode.PULL_MESSAGE), int(RequestCode.LITE_PULL_MESSAGE)})
_CHECK = int(RequestCode.CHECK_TRANSACTION_STATE)
#: Opaques of the link's own begin here, and are never used twice; clients count up from about 0.
_FIRST_OWN = -(1 << 31)
#: For so long what a client that has gone asked last is still looked at and passed on, in seconds.
_LINGER_S = 5.0
#: Of broker frames: Apache's limit is the client's, 16 MiB; a pull of 32 bodies of 4 MB is cut by the broker long before.
_MAX_ANSWER = 64 * 1024 * 1024


@implementer(IPassthroughLink)
class BrokerLink:
    """See `IPassthroughLink`."""

    def __init__(
        self, passthrough: Passthrough, place: Place, client: IPassthroughClient, session: ISession
    ) -> None:
        self._passthrough = passthrough
        self._place = place
        self._client = client
        self._session = session
        self._seconds: Callable[[], float] = passthrough.reactor.seconds
        # Opaque -> (request code, when): of requests that the broker has not answered.
        self._pending: dict[int, tuple[int, float]] = {}
        # Own opaque -> who takes the answer.
        self._asked: dict[int, Callable[[bytes | None], bytes | None]] = {}
        self._next_own = _FIRST_OWN
        self._limit = passthrough.settings.pending_requests
        self._before: list[bytes] = []
        self._upstream: _Upstream | None = None
        self._write: Callable[[bytes], None] = self._before.append
        self._paused = False
        self._slow = False
        self._crowded = False
        self._closed = False
        self._sweep_timer: IDelayedCall | None = None
        self._stall_timer: IDelayedCall | None = None
        self._linger_timer: IDelayedCall | None = None
        self._connector: Any = None
        self._address = ""

    def connect(self) -> None:
        """Begin to connect to where the broker is now."""
        address = self._passthrough.brokers.addresses.get(self._place.key)
        if address is None:
            self._passthrough.refresh_soon()
            self._passthrough.reactor.callLater(0, self._failed, "no name server knows where it is")
            return
        self._address = address
        host, port = split_host(address)
        self._connector = self._passthrough.reactor.connectTCP(
            host, port, _Connecting(self), timeout=self._passthrough.cluster.connect_s
        )
        # Until it stands, no more than one read of the client is kept.
        self._hold_client()

    # What the client's side calls.

    def takes(self, code: int) -> str | None:
        if code in _TO_BROKERS:
            return None
        if code in REFUSED_FOR:
            return REFUSED_FOR[code]
        if code in TABLE:
            return f"this port stands for the broker {self._place.key}; a name server is asked elsewhere"
        return ""

    def forward(self, data: bytes, frames: Sequence[bytes], scans: Sequence[Scan]) -> None:
        if self._closed:
            return
        pending = self._pending
        now = self._seconds()
        for seen in scans:
            if not seen.flag & 3:
                pending[seen.opaque] = (seen.code, now)
        self._write(data)
        if len(pending) > self._limit and not self._crowded:
            self._crowded = True
            self._hold_client()
        if self._sweep_timer is None:
            self._sweep_timer = self._passthrough.reactor.callLater(
                self._passthrough.settings.forget_s, self._sweep
            )

    def ask(self, frame: bytes, code: int, answered: Callable[[bytes | None], bytes | None]) -> None:
        if self._closed:
            answered(None)
            return
        own = self._next_own
        while own in self._pending:
            own += 1
        spliced = splice_opaque(frame, own)
        self._next_own = own + 1
        self._asked[own] = answered
        self.forward(spliced, (spliced,), (Scan(code, own),))

    def look(self, context: Context, physical_offset: int, shown: Callable[[bytes | None, str], None]) -> None:
        ext = {"offset": str(physical_offset)}
        cluster = self._passthrough.cluster
        user = context.verified
        if cluster.access_key and cluster.sign_as == "own":
            ext = signed(ext, b"", cluster.access_key, cluster.secret_key.encode())
        elif user is not None:
            # Whose requests go on as they came must be known to brokers that want signatures, by the same key.
            ext = signed(ext, b"", user.name, user.key)

        def answered(frame: bytes | None) -> None:
            if frame is None:
                shown(None, f"the broker {self._place.key} does not answer")
                return
            try:
                answer = decode_frame(frame)
            except WireError as error:
                shown(None, f"the broker {self._place.key} answers unreadably: {error.message}")
                return
            if answer.code:
                shown(None, f"the broker {self._place.key} answers {answer.code}: {answer.remark}")
            elif stored_message.is_stored_at(answer.body, physical_offset):
                shown(answer.body, "")
            else:
                shown(None, f"the broker {self._place.key} has no message at {physical_offset}")

        # Nobody counts it: code 0 has no meter.
        self.ask(encode_request(RequestCode.VIEW_MESSAGE_BY_ID, 0, ext, version=513), 0, answered)

    def owns(self, opaque: int) -> bool:
        return _FIRST_OWN <= opaque < self._next_own

    def pause(self) -> None:
        self._paused = True
        if self._upstream is not None:
            self._upstream.transport.pauseProducing()

    def resume(self) -> None:
        self._paused = False
        if self._upstream is not None:
            self._upstream.transport.resumeProducing()

    def waiting(self) -> int:
        return sum(1 for code, _ in self._pending.values() if code not in _HELD)

    def dismiss(self, reason: str) -> None:
        pulls = [opaque for opaque, (code, _) in self._pending.items() if code in _PULLS]
        for opaque in pulls:
            del self._pending[opaque]  # the broker's own answer is dropped
        if pulls:
            code = int(ResponseCode.SERVICE_NOT_AVAILABLE)
            self._client.answered(b"".join([error_frame(opaque, code, reason) for opaque in pulls]))

    def close(self) -> None:
        if self._asked and not self._closed and self._linger_timer is None:
            # What is looked at now, such as the commit of a transaction, is passed on all the same.
            self._linger_timer = self._passthrough.reactor.callLater(_LINGER_S, self._close)
            self.resume()
            return
        self._close()

    def _close(self) -> None:
        self._closed = True
        self._end()
        if self._upstream is not None:
            self._upstream.transport.unregisterProducer()
            self._upstream.transport.loseConnection()
        elif self._connector is not None:
            self._connector.disconnect()

    def _end(self) -> None:
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        self._stop_stall()
        if self._linger_timer is not None:
            if self._linger_timer.active():
                self._linger_timer.cancel()
            self._linger_timer = None
        asked, self._asked = self._asked, {}
        self._pending.clear()
        self._before.clear()
        self._passthrough.link_ended(self)
        for answered in asked.values():
            self._unanswered(answered)

    def _sweep(self) -> None:
        """Forget what was never answered: clients have given up on it, and would use its opaque again."""
        self._sweep_timer = None
        settings = self._passthrough.settings
        oldest = self._seconds() - settings.forget_s
        for opaque in [opaque for opaque, (_, when) in self._pending.items() if when <= oldest]:
            del self._pending[opaque]
            self._unanswered(self._asked.pop(opaque, None))
        self._uncrowd()
        if self._pending and not self._closed:
            self._sweep_timer = self._passthrough.reactor.callLater(settings.forget_s / 2, self._sweep)

    def _unanswered(self, answered: Callable[[bytes | None], bytes | None] | None) -> None:
        if answered is not None:
            frame = answered(None)
            if frame is not None:
                self._client.answered(frame)

    def _hold_client(self) -> None:
        if not self._slow:
            self._slow = True
            self._client.slow()

    def _release_client(self) -> None:
        if self._slow and self._upstream is not None and not self._upstream.blocked and not self._crowded:
            self._slow = False
            self._client.fast()

    def _uncrowd(self) -> None:
        if self._crowded and len(self._pending) * 2 <= self._limit:
            self._crowded = False
            self._release_client()

    # What the broker's side calls.

    def connected(self, upstream: _Upstream) -> None:
        """The connection stands."""
        if self._closed:
            upstream.transport.abortConnection()
            return
        self._upstream = upstream
        transport = upstream.transport
        try:
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        except (AttributeError, OSError):
            pass  # a transport in memory, or the broker has gone already
        header = self._passthrough.begin_upstream(transport, self._session)
        if header:
            transport.write(header)
        transport = upstream.transport = self._passthrough.secure(transport, upstream, self._address)
        self._write = writer(transport)
        before, self._before = self._before, []
        if before:
            self._write(b"".join(before))
        if self._paused:
            transport.pauseProducing()
        transport.registerProducer(upstream, True)
        self._passthrough.link_connected(self, self._session.peer, transport)
        self._release_client()

    def failed(self, reason: str) -> None:
        """The broker cannot be connected to."""
        self._failed(reason)

    def _failed(self, reason: str) -> None:
        if self._closed:
            return
        self._passthrough.refresh_soon()
        key = self._place.key
        log.info("broker {key} cannot be reached: {reason}", key=str(key), reason=reason)
        remark = f"this gateway cannot reach the broker {key}: {reason}"
        code = int(ResponseCode.SERVICE_NOT_AVAILABLE)
        answers = [error_frame(opaque, code, remark) for opaque in self._pending if opaque not in self._asked]
        self._closed = True
        self._end()
        if answers:
            self._client.answered(b"".join(answers))
        self._client.ended(remark)

    def lost(self, reason: str) -> None:
        """The broker closed the connection, or it broke."""
        if self._closed:
            return
        self._closed = True
        self._end()
        self._passthrough.refresh_soon()
        self._client.ended(f"the broker {self._place.key} closed its end: {reason}")

    def blocked(self, is_blocked: bool) -> None:
        """The broker does not read as fast as the client writes."""
        if is_blocked:
            self._hold_client()
            if self._stall_timer is None and not self._closed:
                self._stall_timer = self._passthrough.reactor.callLater(
                    self._passthrough.settings.stalled_s, self._stalled
                )
        else:
            self._stop_stall()
            self._release_client()

    def _stop_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stalled(self) -> None:
        self._stall_timer = None
        seconds = self._passthrough.settings.stalled_s
        log.warn("broker {key} has taken nothing for {seconds} s", key=str(self._place.key), seconds=seconds)
        if self._upstream is not None:
            self._upstream.transport.abortConnection()
        self.lost(f"it has taken nothing for {seconds:g} s (setting passthrough.stalled_s)")

    def received(self, data: bytes, frames: list[bytes | WireError], is_whole: bool) -> None:
        """Frames came from the broker; `data` is all of them if `is_whole`."""
        out: list[bytes] = []
        changed = False
        pending = self._pending
        place = self._place
        took = self._passthrough.took
        now = self._seconds()
        for frame in frames:
            if isinstance(frame, WireError):
                self._garbage(frame, out)
                return
            try:
                seen = scan(frame)
            except WireError as error:
                self._garbage(error, out)
                return
            if seen.flag & 1:
                asked = pending.pop(seen.opaque, None)
                if asked is None:
                    changed = True  # of a request that was forgotten: whoever asked has given up
                    continue
                code, when = asked
                took(code, now - when)
                if seen.opaque in self._asked:
                    changed = True
                    judged = self._asked.pop(seen.opaque)(frame)
                    if judged is None:
                        continue
                    frame = judged
                    seen = scan(frame)
                rewrite = REPLIES.get(code)
                # Errors of sends and pulls hold no address.
                if rewrite is None or (seen.code and code not in _HELD):
                    out.append(frame)
                    continue
            else:
                if seen.code not in REQUESTS_OF_BROKERS:
                    changed = True
                    self._unknown(seen)
                    continue
                if seen.code == _CHECK and not self._may_be_asked(frame):
                    changed = True
                    continue
                rewrite = REQUESTS_OF_BROKERS[seen.code]
                if rewrite is None:
                    out.append(frame)
                    continue
            changed = True
            try:
                out.append(rewrite(frame, place))
            except WireError as error:
                log.warn(
                    "an answer of the broker {key} is not what it should be: {error}",
                    key=str(place.key),
                    error=error.message,
                )
                if seen.flag & 1:
                    remark = f"the answer of the broker {place.key} is not what it should be: {error.message}"
                    out.append(error_frame(seen.opaque, int(ResponseCode.SYSTEM_ERROR), remark))
        if out:
            self._client.answered(data if is_whole and not changed else b"".join(out))
        if self._crowded:
            self._uncrowd()
        if self._linger_timer is not None and not self._asked:
            self._close()

    def _may_be_asked(self, frame: bytes) -> bool:
        """Brokers ask any client that names the producer group; its half message is for those only who could have sent it."""
        try:
            body = decode_frame(frame).body
            topics = [stored_message.topic(body[at : at + size]) for at, size in stored_message.message_sizes(body)]
        except WireError:
            return True  # the rewriting tells what is wrong with it
        return all(self._client.may_publish(topic.decode("utf-8", "replace")) for topic in topics)

    def _unknown(self, seen: Scan) -> None:
        """A question that this gateway does not know might tell an address: it is answered here."""
        log.info("broker {key} asks {code}: refused", key=str(self._place.key), code=request_name(seen.code))
        if not seen.flag & 2:
            remark = f"request code {request_name(seen.code)} is not forwarded to clients by this gateway"
            self._write(error_frame(seen.opaque, int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), remark))

    def _garbage(self, error: WireError, out: list[bytes]) -> None:
        """The broker's bytes are no Remoting frames: nothing that follows can be understood."""
        if out:
            self._client.answered(b"".join(out))
        log.warn("broker {key} answers garbage: {error}", key=str(self._place.key), error=error.message)
        if self._upstream is not None:
            self._upstream.transport.abortConnection()
        self.lost(f"it answers what is no Remoting frame: {error.message}")


class _Connecting(ClientFactory):
    """Makes the one connection of a link."""

    noisy = False

    def __init__(self, link: BrokerLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> _Upstream:
        """See IProtocolFactory."""
        return _Upstream(self._link)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        self._link.failed(reason.getErrorMessage())


@implementer(IPushProducer)
class _Upstream(Protocol):
    """The socket to the broker. As IPushProducer it is told when the broker does not read."""

    transport: Any

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self._splitter = FrameSplitter(_MAX_ANSWER)
        self.blocked = False

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._link.connected(self)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        splitter = self._splitter
        held = splitter.buffered
        frames = splitter.receive_data(data)
        left = splitter.buffered
        if held or left:
            self._link._passthrough.hold(left - held, self.transport)
        if frames:
            self._link.received(data, frames, not held and not left)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See IProtocol."""
        self._link._passthrough.hold(-self._splitter.buffered, None)
        self._link.lost(reason.getErrorMessage())

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self.blocked = True
        self._link.blocked(True)

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self.blocked = False
        self._link.blocked(False)

    def stopProducing(self) -> None:
        """See IPushProducer; `connectionLost` follows."""


def proxy_header(peer: str, own: Any) -> bytes:
    """The PROXY protocol's header, version 2, for a TCP connection of `peer` ("host:port") that goes on from `own`.

    Source: section 2.2 of HAProxy's proxy-protocol.txt.
    """
    from ipaddress import ip_address

    signature = b"\r\n\r\n\x00\r\nQUIT\n"
    try:
        host, port = split_host(peer)
        source = ip_address(host.partition("%")[0])
        target = ip_address(own.host.partition("%")[0])
    except (ValueError, AttributeError):
        return signature + b"\x20\x00\x00\x00"  # LOCAL: nothing is known of the client
    if source.version != target.version:
        # Both must be of one family: an IPv4 address has a form within IPv6.
        source_bytes = source.packed if source.version == 6 else bytes(10) + b"\xff\xff" + source.packed
        target_bytes = target.packed if target.version == 6 else bytes(10) + b"\xff\xff" + target.packed
    else:
        source_bytes, target_bytes = source.packed, target.packed
    family = b"\x11" if len(source_bytes) == 4 else b"\x21"
    addresses = source_bytes + target_bytes + port.to_bytes(2, "big") + int(own.port).to_bytes(2, "big")
    return signature + b"\x21" + family + len(addresses).to_bytes(2, "big") + addresses
