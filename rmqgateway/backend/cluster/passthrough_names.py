"""The name-server role of the passthrough: each request is asked of a name server that answers, over connections of our own.

Nothing of a client's connection is known to a name server, so these need not be one for one: a dead name server is skipped
without the client noticing, and what changes anything goes to all of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.cluster.rewriting import Place, error_frame
from rmqgateway.backend.cluster.rewriting_table import REFUSED_FOR, REPLIES, TABLE, Way
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.interfaces import IPassthroughLink
from rmqgateway.session import split_host
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, decode_frame, encode_command
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.backend.cluster.passthrough import Passthrough
    from rmqgateway.backend.cluster.secure import Secure
    from rmqgateway.context import Context
    from rmqgateway.interfaces import IPassthroughClient
    from rmqgateway.wire.remoting_scan import Scan

__all__ = ["NameServers", "NamesLink"]

log = Logger(namespace="rmqgateway.passthrough")

#: Unanswered requests of one name server; routes of a large cluster come in milliseconds.
_MAX_PENDING = 10_000
_TO_ONE = frozenset(code for code, rule in TABLE.items() if rule.way is Way.NAMES)
_TO_ALL = frozenset(code for code, rule in TABLE.items() if rule.way is Way.CHANGES_NAMES)
_NAMES = _TO_ONE | _TO_ALL


class NameServers:
    """Several name servers, one connection to each.

    :param secure: begins TLS on a new connection, where that is set.
    """

    def __init__(
        self,
        reactor: Any,
        addresses: Sequence[str],
        connect_s: float,
        request_s: float,
        secure: Secure,
    ) -> None:
        self.reactor = reactor
        self.connect_s = connect_s
        self.request_s = request_s
        self.secure = secure
        self._servers = [_Server(self, address) for address in addresses]
        self._first = 0

    def ask(self, request: RemotingCommand) -> Deferred[RemotingCommand]:
        """Ask the one that answered last, and the others if it does not answer.

        Fails with GatewayError UPSTREAM_UNAVAILABLE if none does.
        """
        done: Deferred[RemotingCommand] = Deferred()
        self._try(request, done, 0, [])
        return done

    def _try(
        self, request: RemotingCommand, done: Deferred[RemotingCommand], tried: int, reasons: list[str]
    ) -> None:
        count = len(self._servers)
        if tried == count:
            why = "; ".join(reasons) or "none is configured"
            done.errback(
                GatewayError(Code.UPSTREAM_UNAVAILABLE, f"no name server answers: {why}", retry_after=1.0)
            )
            return
        number = (self._first + tried) % count
        server = self._servers[number]

        def answered(answer: RemotingCommand) -> None:
            if number != self._first and tried:
                log.info("name server {address} is asked from now on", address=server.address)
                self._first = number
            done.callback(answer)

        def failed(failure: Failure) -> None:
            reasons.append(f"{server.address}: {failure.getErrorMessage()}")
            self._try(request, done, tried + 1, reasons)

        server.ask(request).addCallbacks(answered, failed)

    def ask_all(self, request: RemotingCommand) -> Deferred[RemotingCommand]:
        """Ask every one; the answer is the first that is no success, or a success if all that answered say so.

        Fails with GatewayError UPSTREAM_UNAVAILABLE if none answers.
        """
        asked = DeferredList([server.ask(request) for server in self._servers], consumeErrors=True)
        return asked.addCallback(self._judge, request)

    def _judge(self, results: list[tuple[bool, Any]], request: RemotingCommand) -> RemotingCommand:
        answers = [result for succeeded, result in results if succeeded]
        for (succeeded, result), server in zip(results, self._servers, strict=True):
            if not succeeded:
                log.warn(
                    "request code {code} did not reach the name server {address}: {reason}",
                    code=request.code,
                    address=server.address,
                    reason=result.getErrorMessage(),
                )
        if not answers:
            raise GatewayError(Code.UPSTREAM_UNAVAILABLE, "no name server answers", retry_after=1.0)
        found: RemotingCommand = next((answer for answer in answers if answer.code), answers[0])
        return found

    def stop(self) -> None:
        """Close all connections; what waits fails."""
        for server in self._servers:
            server.stop()


class _Server:
    """One name server; connected to when it is asked."""

    def __init__(self, servers: NameServers, address: str) -> None:
        self.address = address
        self._servers = servers
        self._connection: _Connection | None = None
        self._connector: Any = None
        self._next_opaque = 0
        self._pending: dict[int, tuple[Deferred[RemotingCommand], IDelayedCall]] = {}
        self._unsent: list[bytes] = []

    def ask(self, request: RemotingCommand) -> Deferred[RemotingCommand]:
        done: Deferred[RemotingCommand] = Deferred()
        if len(self._pending) >= _MAX_PENDING:
            done.errback(GatewayError(Code.BUSY, f"{_MAX_PENDING} requests wait for it", retry_after=1.0))
            return done
        opaque = self._next_opaque
        self._next_opaque = opaque + 1 & 0x7FFFFFFF
        frame = encode_command(
            RemotingCommand(
                request.code,
                opaque,
                request.flag & ~2,
                request.version,
                request.language,
                request.remark,
                request.ext_fields,
                request.body,
                request.serialization,
            )
        )
        timer = self._servers.reactor.callLater(self._servers.request_s, self._timed_out, opaque)
        self._pending[opaque] = (done, timer)
        if self._connection is not None:
            self._connection.transport.write(frame)
        else:
            self._unsent.append(frame)
            if self._connector is None:
                self._connect()
        return done

    def _connect(self) -> None:
        try:
            host, port = split_host(self.address)
        except ValueError as error:
            self.lost(None, str(error))
            return
        self._connector = self._servers.reactor.connectTCP(
            host, port, _Connecting(self), timeout=self._servers.connect_s
        )

    def connected(self, connection: _Connection) -> None:
        self._connection = connection
        connection.transport = self._servers.secure(connection.transport, connection, self.address)
        unsent, self._unsent = self._unsent, []
        connection.transport.write(b"".join(unsent))

    def lost(self, connection: _Connection | None, reason: str) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._connector = None
        self._unsent.clear()
        pending, self._pending = self._pending, {}
        for done, timer in pending.values():
            timer.cancel()
            done.errback(GatewayError(Code.UPSTREAM_UNAVAILABLE, reason))

    def answered(self, answer: RemotingCommand) -> None:
        waiting = self._pending.pop(answer.opaque, None)
        if waiting is not None:
            waiting[1].cancel()
            waiting[0].callback(answer)

    def _timed_out(self, opaque: int) -> None:
        done, _ = self._pending.pop(opaque)
        # Silent: the next question is asked of a new connection.
        connection, self._connection = self._connection, None
        connector, self._connector = self._connector, None
        if connection is not None:
            connection.transport.abortConnection()
        elif connector is not None:
            connector.disconnect()
        pending, self._pending = self._pending, {}
        self._unsent.clear()
        error = GatewayError(Code.TIMEOUT, f"no answer within {self._servers.request_s:g} s")
        done.errback(error)
        for other, timer in pending.values():
            timer.cancel()
            other.errback(error)

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.transport.abortConnection()
        elif self._connector is not None:
            self._connector.disconnect()
        self.lost(self._connection, "the gateway is shutting down")


class _Connecting(ClientFactory):
    noisy = False

    def __init__(self, server: _Server) -> None:
        self._server = server

    def buildProtocol(self, addr: IAddress | None) -> _Connection:
        """See IProtocolFactory."""
        return _Connection(self._server)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        if connector is self._server._connector:
            self._server.lost(None, reason.getErrorMessage())


class _Connection(Protocol):
    transport: Any

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._decoder = RemotingDecoder()

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._server.connected(self)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        for event in self._decoder.receive_data(data):
            if isinstance(event, WireError):
                self.transport.abortConnection()
                self._server.lost(self, f"it is no name server: {event.message}")
                return
            if event.flag & 1:
                self._server.answered(event)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See IProtocol."""
        self._server.lost(self, reason.getErrorMessage())


@implementer(IPassthroughLink)
class NamesLink:
    """See `IPassthroughLink`: what a client asks the gateway as its name server."""

    def __init__(self, passthrough: Passthrough, place: Place, client: IPassthroughClient) -> None:
        self._passthrough = passthrough
        self._place = place
        self._client = client
        self._under_way = 0
        self._closed = False
        self._slow = False

    def takes(self, code: int) -> str | None:
        if code in _NAMES:
            return None
        if code in REFUSED_FOR:
            return REFUSED_FOR[code]
        if code in TABLE:
            return (
                "this port stands for a name server; brokers are asked by their own ports, which routes tell"
            )
        return ""

    def forward(self, data: bytes, frames: Sequence[bytes], scans: Sequence[Scan]) -> None:
        for frame in frames:
            try:
                request = decode_frame(frame)
            except WireError as error:
                log.info("a request cannot be read: {error}", error=error.message)
                continue
            if not request.flag & 1:
                self._ask(request)
        if self._under_way > 1000 and not self._slow and not self._closed:
            self._slow = True
            self._client.slow()

    def _ask(self, request: RemotingCommand) -> None:
        names = self._passthrough.names
        began = self._passthrough.reactor.seconds()
        ask = names.ask_all if request.code in _TO_ALL else names.ask
        # The signature of a client is for brokers: name servers check none.
        self._under_way += 1
        ask(request).addCallbacks(
            partial(self._answered, request, began), partial(self._failed, request)
        ).addBoth(self._done)

    def _done(self, result: object) -> None:
        self._under_way -= 1
        if self._slow and self._under_way < 500 and not self._closed:
            self._slow = False
            self._client.fast()

    def _answered(self, request: RemotingCommand, began: float, answer: RemotingCommand) -> None:
        self._passthrough.took(request.code, self._passthrough.reactor.seconds() - began)
        if self._closed or request.flag & 2:
            return
        answer.opaque = request.opaque
        try:
            frame = encode_command(answer)
            rewrite = REPLIES.get(request.code)
            if rewrite is not None and answer.code == 0:
                frame = rewrite(frame, self._place)
        except WireError as error:
            remark = f"the answer of the name server is not what it should be: {error.message}"
            frame = error_frame(request.opaque, int(ResponseCode.SYSTEM_ERROR), remark)
        self._client.answered(frame)

    def _failed(self, request: RemotingCommand, failure: Failure) -> None:
        if not self._closed and not request.flag & 2:
            remark = failure.getErrorMessage()
            self._client.answered(error_frame(request.opaque, int(ResponseCode.SYSTEM_ERROR), remark))

    def ask(self, frame: bytes, code: int, answered: Callable[[bytes | None], bytes | None]) -> None:
        """See IPassthroughLink: what a name server is asked is judged by its request alone."""
        answered(None)

    def look(self, context: Context, physical_offset: int, shown: Callable[[bytes | None, str], None]) -> None:
        """See IPassthroughLink: there are no messages at a name server."""
        shown(None, "a name server has no messages")

    def owns(self, opaque: int) -> bool:
        return False

    def pause(self) -> None:
        if not self._slow:
            self._slow = True
            self._client.slow()

    def resume(self) -> None:
        if self._slow and self._under_way < 500:
            self._slow = False
            self._client.fast()

    def waiting(self) -> int:
        return self._under_way

    def dismiss(self, reason: str) -> None:
        """See IPassthroughLink: nobody waits for messages at a name server."""

    def close(self) -> None:
        self._closed = True


def cluster_request() -> RemotingCommand:
    """GET_BROKER_CLUSTER_INFO: where all brokers are."""
    return RemotingCommand(int(RequestCode.GET_BROKER_CLUSTER_INFO), 0, 0, 513)
