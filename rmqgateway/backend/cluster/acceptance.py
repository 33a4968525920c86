"""Whether the brokers take what the gateway says in its own name: a heartbeat without groups, now and then, to each master.

Name servers check no credential, and may take connections without TLS where brokers do not: that they tell where brokers are
does not mean that one of them can be used. A heartbeat is judged like any other request and changes nothing at the broker.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from rmqgateway.backend.cluster.answers import BrokerUnreachable
from rmqgateway.backend.cluster.component import Component, Core
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.clients import HeartbeatData
from rmqgateway.wire.request_codes import RequestCode

__all__ = ["Acceptance"]

log = Logger(namespace="rmqgateway.cluster")

#: A broker that refused, or did not answer, is asked again after so many seconds; one that took it each `heartbeat_s`.
_AGAIN_S: Final = 2.0


class _Known:
    """What a master said last. :ivar taken: it took the heartbeat; None: it has not answered. :ivar reason: why it did not."""

    __slots__ = ("asked_at", "reason", "taken")

    def __init__(self) -> None:
        self.asked_at = float("-inf")
        self.taken: bool | None = None
        self.reason = "it has not answered yet"


class Acceptance(Component):
    """See the module. :param client_id: the gateway's own at the brokers."""

    def __init__(self, core: Core, client_id: str) -> None:
        super().__init__(core)
        self._body = encode_body(HeartbeatData(client_id=client_id))
        self._masters: dict[str, _Known] = {}
        self._ever = False
        core.routes.on_brokers.append(self._look)

    def start(self) -> None:
        self.every(1.0, self._look)

    def ready(self) -> str | None:
        """None if a broker has taken a heartbeat and not all refuse it by now; else what they say.

        Without `access_key` a broker that demands one is no obstacle: clients may have their own (the passthrough, and
        `sign_as` caller).
        """
        masters = self._masters.items()
        if any(known.taken for _, known in masters):
            return None
        refusing = [f"{address}: {known.reason}" for address, known in masters if known.taken is False]
        if refusing:
            return f"the brokers refuse the gateway's own credential (setting cluster.access_key): {'; '.join(refusing)}"
        if self._ever or not self._masters:
            return None  # brokers that are away for a while are told to clients by each request
        return "no broker has answered: " + "; ".join(f"{address}: {known.reason}" for address, known in masters)

    def _look(self) -> None:
        now = self.core.reactor.seconds()
        addresses = [address for _, address in self.core.routes.masters()]
        for gone in self._masters.keys() - set(addresses):
            del self._masters[gone]
        for address in addresses:
            known = self._masters.setdefault(address, _Known())
            pause = self.core.settings.heartbeat_s if known.taken else max(_AGAIN_S, self.core.settings.request_s)
            if now - known.asked_at >= pause:
                known.asked_at = now
                self.background(self._ask(address, known), "asking whether a broker takes heartbeats")

    async def _ask(self, address: str, known: _Known) -> None:
        try:
            await self.core.ask(address, RequestCode.HEART_BEAT, {}, self._body, channel=True)
        except BrokerUnreachable as error:
            known.reason = error.message
            # What it said before may not hold for what comes back; that it took everything so far is kept for clients.
            if known.taken is False:
                known.taken = None
            return
        except GatewayError as error:
            if error.code is Code.FORBIDDEN:
                self._refused(address, known, error.message)
                return
        if known.taken is False:
            log.info("broker {address} takes the gateway's credential now", address=address)
        known.taken = self._ever = True

    def _refused(self, address: str, known: _Known, reason: str) -> None:
        own = bool(self.core.settings.access_key)
        if known.reason != reason:
            known.reason = reason
            log.warn(
                "broker {address} refuses what the gateway says in its own name ({setting}): {reason}",
                address=address,
                setting="setting cluster.access_key" if own else "setting cluster.access_key is empty",
                reason=reason,
            )
        known.taken = not own
        self._ever |= not own
