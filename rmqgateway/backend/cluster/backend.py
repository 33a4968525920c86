"""Real brokers behind the door: puts the components together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.cluster.acceptance import Acceptance
from rmqgateway.backend.cluster.admin_brokers import AdminBrokers
from rmqgateway.backend.cluster.admin_lite import AdminLite
from rmqgateway.backend.cluster.admin_progress import AdminProgress
from rmqgateway.backend.cluster.admin_topics import AdminTopics
from rmqgateway.backend.cluster.component import Component, Core
from rmqgateway.backend.cluster.configs import topic_ext
from rmqgateway.backend.cluster.connection import Link
from rmqgateway.backend.cluster.lite import LiteTopics
from rmqgateway.backend.cluster.members import Members
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.cluster.naming import Naming
from rmqgateway.backend.cluster.passthrough_names import NameServers
from rmqgateway.backend.cluster.popping import Popping
from rmqgateway.backend.cluster.producing import Producing
from rmqgateway.backend.cluster.pulled import Pulled
from rmqgateway.backend.cluster.pulling import Pulling
from rmqgateway.backend.cluster.relays import Relays
from rmqgateway.backend.cluster.routes import Routes
from rmqgateway.backend.cluster.secure import Secure
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.backend.cluster.settling import Settling
from rmqgateway.backend.cluster.transactions import Transactions
from rmqgateway.backend.cluster.upstream import Broker, Upstream
from rmqgateway.backend.local.component import wall_clock_ms
from rmqgateway.commands import Command
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.context import Context
from rmqgateway.governance.users import Users
from rmqgateway.interfaces import IBackend, ISession
from rmqgateway.message import MessageType
from rmqgateway.outbox import Outbox
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode, request_name

__all__ = ["ClusterBackend"]

_log = Logger(namespace="rmqgateway.cluster")

#: How long a backend that stops waits for what it has in the works, in seconds, and how often it looks.
_FINISH_S, _LOOK_S = 1.0, 0.02


@implementer(IBackend)
class ClusterBackend:
    """See `IBackend`.

    :param now_ms: the wall clock. :param users: those of the configuration; the brokers' own are theirs.
    """

    name = "cluster"

    def __init__(
        self,
        settings: ClusterSettings,
        reactor: Any,
        outbox: Outbox,
        now_ms: Callable[[], int] = wall_clock_ms,
        users: Users | None = None,
    ) -> None:
        self.settings = settings
        self.users = users if users is not None else Users()
        self._outbox = outbox
        secure = Secure(settings)
        self.upstream = Upstream(reactor, outbox, settings, secure, self._asked)
        names = NameServers(reactor, settings.addresses, settings.connect_s, settings.request_s, secure)
        self.routes = Routes(reactor, settings, names, self._create)
        self.core = core = Core(reactor, outbox, settings, self.upstream, names, self.routes, now_ms)
        self.upstream.on_error.append(self.routes.unreachable)
        self.metadata = Metadata(core)
        self.producing = Producing(core, self.metadata)
        self.settling = Settling(core)
        self.members = Members(core, self.metadata)
        self.acceptance = Acceptance(core, self.members.client_id)
        self.lite = LiteTopics(core, self.members)
        self.popping = Popping(core, self.metadata, self.settling, self.lite)
        self.relays = self.producing.relays = Relays(core, self.members)
        self.transactions = self.producing.transactions = Transactions(core, self.members)
        self.transactions.may_publish = self.users.may_publish
        self.pulling = Pulling(core)
        self.pulled = self.popping.pulled = self.settling.pulled = Pulled(core, self.metadata, self.members, self.pulling)
        self.relays.on_consumers_changed.append(self.pulled.members_changed)
        topics = AdminTopics(core, self.metadata)
        self._not_ready: str | None = "the backend has not started"
        self.components: list[Component] = [
            self.metadata,
            self.members,
            self.acceptance,
            self.relays,
            self.producing,
            self.transactions,
            self.settling,
            self.lite,
            self.popping,
            self.pulling,
            self.pulled,
            Naming(core, self.metadata),
            topics,
            AdminLite(core, topics),
            AdminProgress(core, self.pulling),
            AdminBrokers(core, self.pulling),
        ]
        #: Who takes what brokers ask by themselves, by request code.
        self._takers: dict[int, Callable[[Broker, Link, RemotingCommand], None]] = {
            int(RequestCode.CHECK_TRANSACTION_STATE): self.transactions.check,
            int(RequestCode.NOTIFY_UNSUBSCRIBE_LITE): self.lite.unsubscribed,
            **self.relays.takers(),
        }

    def handlers(self) -> Mapping[type[Command[Any]], Callable[[Context, Any], Any]]:
        found: dict[type[Command[Any]], Callable[[Context, Any], Any]] = {}
        for component in self.components:
            for command, handler in component.handlers().items():
                if command in found:
                    raise ValueError(f"{command.__name__} is served twice, the second time by {type(component).__name__}")
                found[command] = handler
        return found

    def start(self) -> Deferred[None] | None:
        self._not_ready = None
        self.upstream.start()
        self.routes.start()
        for component in self.components:
            component.start()
        return None

    def stop(self) -> Deferred[None]:
        self._not_ready = "the backend is stopping"
        for component in self.components:
            component.end_loops()
        return self._let_finish().addCallback(self._stopped)

    def _let_finish(self) -> Deferred[None]:
        """Fires when what nobody waits for is done: messages of receives that were broken off are given back, others are
        acknowledged or dead letters. A pop that finds nothing stays at its broker, which forgets it with the connection."""
        reactor = self.core.reactor
        finished: Deferred[None] = Deferred()
        deadline = reactor.seconds() + _FINISH_S

        def look() -> None:
            if reactor.seconds() < deadline and any(component.unfinished for component in self.components):
                reactor.callLater(_LOOK_S, look)
            else:
                finished.callback(None)

        look()
        return finished

    def _stopped(self, _: None) -> None:
        for component in reversed(self.components):
            component.stop()
        self.routes.stop()
        self.upstream.stop()
        self.core.names.stop()

    def session_opened(self, session: ISession) -> None:
        for component in self.components:
            component.session_opened(session)

    def session_ended(self, session: ISession) -> None:
        for component in reversed(self.components):
            component.session_ended(session)

    def ready(self) -> str | None:
        return self._not_ready or self.routes.ready() or self.acceptance.ready()

    # Inside.

    def _create(self, address: str, topic: str, queues: int) -> Deferred[Any]:
        """For `Routes`: a topic as brokers make one by themselves, of no type in particular."""
        config = TopicConfig(topic, queues, queues, message_type=MessageType.UNSPECIFIED)
        return Deferred.fromCoroutine(self.core.ask(address, RequestCode.UPDATE_AND_CREATE_TOPIC, topic_ext(config)))

    def _asked(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        taker = self._takers.get(request.code)
        if taker is not None:
            taker(broker, link, request)
            return
        _log.debug("broker {address} asks {code}", address=broker.address, code=request_name(request.code))
        self.upstream.answer(
            link, request, int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), f"a gateway does not answer {request_name(request.code)}"
        )
