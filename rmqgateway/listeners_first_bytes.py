"""The protocol of a connection until it is known which it speaks; then it steps aside and nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from zope.interface import implementer

from rmqgateway.recognition import Found

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.interfaces import IConnectionFrontEnd
    from rmqgateway.listeners import Listener

__all__ = ["FirstBytes", "hand_over"]


def hand_over(transport: Any, old: Any, new: Any) -> bool:
    """Let `transport` (or the TLS or PROXY layer upon it) deliver to `new` what it would have delivered to `old`.

    :return: False if this transport has no place that could be changed.
    """
    # A plain transport holds its protocol; a layer upon it (TLS, or that of an ssl: or haproxy: endpoint) is itself our
    # transport, and holds what it wraps.
    for attribute in ("wrappedProtocol", "protocol"):
        if getattr(transport, attribute, None) is old:
            setattr(transport, attribute, new)
            return True
    return False


@implementer(IProtocol)
class FirstBytes:
    """Collects at most `FIRST_BYTES` (what comes in one read may be more), asks, hands over. Small: probes cost little."""

    __slots__ = ("_data", "_instead", "_is_secure", "_listener", "_timer", "address", "factory", "transport")

    def __init__(self, listener: Listener, address: str) -> None:
        self._listener = listener
        self.address = address
        self._data = b""
        self._is_secure = False
        self._timer: IDelayedCall | None = None
        self._instead: Any = None
        self.factory: Any = None
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """See IProtocol."""
        listener = self._listener
        self._is_secure = listener.is_secure(self.transport)
        listener.made(self, self.transport)
        speaks_first = listener.recogniser.speaks_first
        if speaks_first is not None:
            self._hand_over(speaks_first)
            return
        self._timer = listener.reactor.callLater(listener.settings.first_bytes_s, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._instead is not None:
            self._instead.dataReceived(data)
            return
        if self._data:
            data = self._data + data
        listener = self._listener
        judgement = listener.recogniser.judge(
            data, not self._is_secure and listener.offers_tls(self.transport)
        )
        if not isinstance(judgement, Found):
            if listener.refuses_plain(self._is_secure):
                self._close("a connection without TLS from {peer}: tls.mode is required")
                return
            self._data = data
            self._hand_over(judgement)
        elif judgement is Found.MORE:
            self._data = data
        elif judgement is Found.TLS:
            self._data = b""
            self._start_tls(data)
        elif judgement is Found.UNKNOWN:
            self._data = data
            self._close("no protocol of this port begins like what came from {peer}: {begin}")
        else:
            self._data = data
            self._http(judgement)

    def connectionLost(self, reason: Failure) -> None:
        """See IProtocol."""
        self._stop_timer()
        if self._instead is not None:
            self._instead.connectionLost(reason)
        self._listener.lost(self)
        self._data = b""

    def _http(self, found: Found) -> None:
        listener = self._listener
        if listener.refuses_plain(self._is_secure):
            self._close("a connection without TLS from {peer}: tls.mode is required")
            return
        protocol = listener.make_http_protocol(found, self.transport, self._is_secure)
        if protocol is not None:
            self._give_to(protocol)
            return
        self._stop_timer()
        self._data = b""
        listener.answer_http(self.transport, found)

    def _hand_over(self, front_end: IConnectionFrontEnd) -> None:
        self._give_to(self._listener.make_protocol(front_end, self.transport, self._is_secure))

    def _give_to(self, protocol: Any) -> None:
        self._stop_timer()
        listener, transport, data = self._listener, self.transport, self._data
        self._data = b""
        if hand_over(transport, self, protocol):
            listener.recognised(self)
            self.transport = None
        else:
            self._instead = protocol
        protocol.makeConnection(transport)
        if data and not getattr(transport, "disconnected", False):
            protocol.dataReceived(data)

    def _start_tls(self, data: bytes) -> None:
        from rmqgateway.tls import TLSTransport

        plain = self.transport
        try:
            secure = TLSTransport(self._listener.certificates.context(), plain, self)
        except Exception as error:
            self._listener.report("TLS with {peer} cannot begin: {error}", plain, error=str(error))
            plain.abortConnection()
            return
        if not hand_over(plain, self, secure):
            self._listener.report("TLS with {peer} cannot begin: its transport keeps its protocol", plain)
            plain.abortConnection()
            return
        self._is_secure = True
        self.transport = secure
        secure.dataReceived(data)

    def _too_late(self) -> None:
        self._timer = None
        if self._data:
            self._close("the first bytes from {peer} told no protocol in time: {begin}")
        else:
            self.transport.abortConnection()

    def _close(self, text: str) -> None:
        self._stop_timer()
        self._listener.report(text, self.transport, begin=repr(self._data[:16])[2:-1])
        self._data = b""
        self._instead = _Deaf()
        self.transport.loseConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Deaf:
    """What a connection that is being closed is heard by."""

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""

    def connectionLost(self, reason: Failure) -> None:
        """See IProtocol."""
