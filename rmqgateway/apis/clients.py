"""Who is connected under which client id, whatever connections it uses.

A client reports its settings on a telemetry stream and then calls over as many connections as it likes: it is one session,
to which the backend's events go by that stream. Identities do not mix: the same client id with another access key is another
client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_clients import telemetry_of
from rmqgateway.apis.renewals import Renewals
from rmqgateway.commands import AnswerRelay
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import Event, GoAway, RunningInformationAsked
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.consuming import ConsumerRunningInfo

if TYPE_CHECKING:
    from typing import Protocol

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
    from rmqgateway.apis.limits import ApiSettings
    from rmqgateway.context import Credential
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway, ISession

    class Stream(Protocol):
        """A telemetry stream, as the client's record sees it."""

        def tell(self, command: service.TelemetryCommand) -> bool:
            """Write a command; False if the client leaves too much unread."""

        def end(self, reason: str) -> None:
            """End the stream."""


__all__ = ["Client", "Clients"]

log = Logger(namespace="rmqgateway.apis")

_EVERY = 5.0
#: While the gateway drains: how long a client's stream stays open after it was asked to reconnect.
_GRACE = 1.0


class Client:
    """One client id.

    :ivar settings: as it reported them last. :ivar stream: on which it is told things, or None.
    :ivar group: the inner name of a consumer's group. :ivar request_timeout_ms: by its settings.
    """

    def __init__(
        self,
        clients: Clients,
        key: bytes,
        client_id: str,
        information: ConnectionInformation,
        front_end: str,
        credential: Credential | None,
    ) -> None:
        gateway = clients.gateway
        self._clients = clients
        self.key = key
        self.client_id = client_id
        self.credential = credential
        self.settings: v2.Settings | None = None
        self.namespace = ""
        self.group = ""
        self.language = self.version = ""
        self.request_timeout_ms = 0
        self.stream: Stream | None = None
        self.stream_since = self.last_seen = gateway.reactor.seconds()
        self.session: ISession = gateway.open_session(
            front_end, information.peer, information.advertised, self._deliver, self._drain, self._close
        )
        # Its sends wait one by one (`Sends`), and nothing else does.
        self.session.pace = _nothing
        self.session.pace_is_shared = False
        self.renewals = Renewals(self.execute, gateway.reactor, clients.settings)
        self._end: IDelayedCall | None = None
        self.session.on_end(self._ended)

    def execute(self, command: Any) -> Any:
        """A command in the client's name, with what it offered last to prove who it is."""
        return self._clients.gateway.execute(Context(self.session, self.credential), command)

    def lost(self, stream: Stream) -> None:
        """A telemetry stream ended."""
        if self.stream is stream:
            self.stream = None
            self.stream_since = self._clients.gateway.reactor.seconds()

    def _deliver(self, event: Event) -> bool:
        if isinstance(event, RunningInformationAsked) and not event.with_stack:
            return self._say_what_is_known(event)
        if self.stream is None:
            return False
        command = telemetry_of(event, self.session.host, self._clients.now_ms)
        return command is not None and self.stream.tell(command)

    def _say_what_is_known(self, event: RunningInformationAsked) -> bool:
        """Clients of this API tell a thread's stack only; the rest is what they have reported."""
        kind = "" if self.settings is None else str(self.settings.client_type)
        information = ConsumerRunningInfo(
            properties={"PROP_CLIENT_VERSION": self.version, "language": self.language, "client_type": kind}
        )
        self.execute(AnswerRelay(event.relay_id, body=encode_body(information)))
        return True

    def _drain(self, deadline: float, reason: str) -> None:
        """Clients renew a stream that ended, and not all know what a command to reconnect means. Calls that are under way
        are their connection's; who has no stream, or was killed, is not waited for."""
        if self.stream is None:
            self._close(reason)
        elif self._end is None:
            self._deliver(GoAway(reason, deadline))
            self._end = self._clients.gateway.reactor.callLater(min(_GRACE, deadline / 2), self._close, reason)

    def _ended(self) -> None:
        if self._end is not None and self._end.active():
            self._end.cancel()

    def _close(self, reason: str) -> None:
        self._clients.forget(self, reason)


def _nothing(_: bool) -> None:
    """See `ISession.pace`."""


class Clients:
    """All clients of a gateway. :ivar now_ms: the wall clock."""

    def __init__(self, gateway: IGateway, settings: ApiSettings, now_ms: Callable[[], int]) -> None:
        self.gateway = gateway
        self.settings = settings
        self.now_ms = now_ms
        self._clients: dict[bytes, Client] = {}
        self.get = self._clients.get
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def open(
        self,
        key: bytes,
        client_id: str,
        information: ConnectionInformation,
        front_end: str,
        credential: Credential | None,
    ) -> Client:
        """The client of this key, a new one if it is not known. :raise GatewayError: TOO_MANY_REQUESTS, SHUTTING_DOWN."""
        client = self._clients.get(key)
        if client is not None:
            client.credential = credential
            return client
        if len(self._clients) >= self.settings.max_clients:
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"{len(self._clients)} clients are connected, no more are taken (setting max_clients)",
                retry_after=5.0,
            )
        client = self._clients[key] = Client(self, key, client_id, information, front_end, credential)
        if self._timer is None:
            self._timer = self.gateway.reactor.callLater(_EVERY, self._expire)
        return client

    def forget(self, client: Client, reason: str = "") -> None:
        """A client has gone: what it had is visible again soon, it leaves its groups, its stream ends."""
        if self._clients.get(client.key) is not client:
            return
        del self._clients[client.key]
        client.renewals.clear()
        stream, client.stream = client.stream, None
        client.session.end()
        if stream is not None and reason:
            stream.end(reason)

    def _expire(self) -> None:
        self._timer = None
        now = self.gateway.reactor.seconds()
        settings = self.settings
        for client in list(self._clients.values()):
            silent = now - client.last_seen
            lost = client.stream is None and now - client.stream_since > settings.stream_lost_seconds
            if silent > settings.client_idle_seconds or (lost and silent > settings.stream_lost_seconds):
                log.debug("client {client_id} has gone: it says nothing", client_id=client.client_id)
                self.forget(client, "the client said nothing for too long")
        if self._clients:
            self._timer = self.gateway.reactor.callLater(_EVERY, self._expire)
