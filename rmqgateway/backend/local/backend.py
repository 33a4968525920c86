"""The embedded broker and name server: puts the components together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rmqgateway.backend.local.admin_clients import AdminClients
from rmqgateway.backend.local.admin_lite import AdminLite
from rmqgateway.backend.local.admin_messages import AdminMessages
from rmqgateway.backend.local.admin_progress import AdminProgress
from rmqgateway.backend.local.admin_runtime import AdminRuntime
from rmqgateway.backend.local.admin_topics import AdminTopics
from rmqgateway.backend.local.assignments import QueueAssignments
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, wall_clock_ms
from rmqgateway.backend.local.delays import Delays
from rmqgateway.backend.local.forbidden import Forbidden
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.lite import LiteTopics
from rmqgateway.backend.local.lite_expiry import LiteExpiry
from rmqgateway.backend.local.locks import Locks
from rmqgateway.backend.local.nameserver import NameServer
from rmqgateway.backend.local.notifications import Notifications
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.pop_moves import PopMoves
from rmqgateway.backend.local.popping import Popping
from rmqgateway.backend.local.producing import Producing
from rmqgateway.backend.local.pulling import Pulling
from rmqgateway.backend.local.relays import Relays
from rmqgateway.backend.local.sendback import SendingBack
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.timers import Timers
from rmqgateway.backend.local.topics import Topics
from rmqgateway.backend.local.transactions import Transactions
from rmqgateway.backend.local.users import StoredUsers
from rmqgateway.backend.local.waits import Waits
from rmqgateway.backend.local.writing import Writer
from rmqgateway.backend.store.interfaces import IMessageStore
from rmqgateway.commands import Command
from rmqgateway.context import Context
from rmqgateway.governance.users import Users
from rmqgateway.interfaces import IBackend, ISendsTogether, ISession
from rmqgateway.outbox import Outbox

__all__ = ["LocalBackend"]


@implementer(IBackend, ISendsTogether)
class LocalBackend:
    """See `IBackend`.

    :param store: not yet opened; `start` opens it.
    :param now_ms: the wall clock. :param users: those of the configuration; None: nobody.
    :ivar users: everybody, once it has started; the door asks them.
    """

    name = "local"

    def __init__(
        self,
        store: IMessageStore,
        settings: LocalSettings,
        reactor: IReactorTime,
        outbox: Outbox,
        now_ms: Callable[[], int] = wall_clock_ms,
        users: Users | None = None,
    ) -> None:
        self.core = core = Core(store, settings, reactor, outbox, now_ms)
        store.scope = outbox
        self.users = users if users is not None else Users(cluster=settings.cluster_name)
        self._not_ready: str | None = "the backend has not started"
        self.waits = Waits(core)
        self.topics = Topics(core)
        self.groups = Groups(core)
        self.forbidden = Forbidden(core, self.groups)
        self.statistics = Statistics(core, self.topics)
        self.clients = Clients(core, self.topics, self.groups)
        self.locks = Locks(core)
        self.offsets = Offsets(core, self.topics, self.groups)
        self.writer = Writer(core)
        self.delays = self.writer.delays = Delays(core, self.topics, self.writer)
        self.lite = LiteTopics(core, self.topics, self.groups, self.offsets)
        self.producing = Producing(
            core, self.topics, self.groups, self.clients, self.locks, self.writer, self.lite
        )
        self.sending_back = SendingBack(core, self.topics, self.groups, self.writer, self.statistics)
        self.pulling = Pulling(
            core, self.topics, self.groups, self.clients, self.offsets, self.waits, self.statistics, self.forbidden
        )
        self.timers = self.writer.timers = Timers(core, self.topics, self.writer)
        self.transactions = self.producing.transactions = Transactions(core, self.topics, self.clients, self.writer)
        self.transactions.may_publish = self.users.may_publish
        moves = PopMoves(core, self.topics, self.writer, self.statistics)
        self.popping = Popping(
            core,
            self.topics,
            self.groups,
            self.clients,
            self.offsets,
            moves,
            self.waits,
            self.lite,
            self.statistics,
        )
        self.lite.reset = self.popping.reset
        self.notifications = Notifications(core, self.popping, self.waits)
        self.relays = Relays(core, self.clients)
        self.name_server = NameServer(core, self.topics, self.groups)
        progress = AdminProgress(
            core, self.topics, self.groups, self.clients, self.offsets, self.popping, self.relays, self.statistics
        )
        administration = [
            AdminTopics(core, self.topics, self.groups, self.clients, self.offsets, self.statistics, self.forbidden),
            progress,
            AdminLite(core, self.topics, self.groups, self.offsets, self.popping, self.lite, progress),
            AdminClients(core, self.clients, self.popping),
            AdminMessages(core, self.topics),
            AdminRuntime(core, self.statistics, self.timers),
            StoredUsers(core, self.users),
            QueueAssignments(core, self.topics, self.groups, self.clients, self.name_server),
        ]
        #: In the order of starting; sessions' ends and stopping go the other way round.
        self.components: list[Component] = [
            self.topics,
            self.groups,
            self.forbidden,
            self.statistics,
            self.offsets,
            self.clients,
            self.locks,
            self.writer,
            self.delays,
            self.lite,
            LiteExpiry(core, self.topics, self.lite),
            self.producing,
            self.sending_back,
            self.waits,
            self.pulling,
            self.timers,
            self.transactions,
            self.popping,
            self.notifications,
            self.relays,
            self.name_server,
            *administration,
        ]

        self.send_together = self.producing.send_together

    def handlers(self) -> Mapping[type[Command[Any]], Callable[[Context, Any], Any]]:
        found: dict[type[Command[Any]], Callable[[Context, Any], Any]] = {}
        for component in self.components:
            for command, handler in component.handlers().items():
                if command in found:
                    raise ValueError(
                        f"{command.__name__} is served twice, the second time by {type(component).__name__}"
                    )
                found[command] = handler
        return found

    @inlineCallbacks
    def start(self) -> Any:
        self.core.store.open()
        for component in self.components:
            yield component.start()
        self._not_ready = None

    @inlineCallbacks
    def stop(self) -> Any:
        self._not_ready = "the backend is stopping"
        for component in self.components:
            component.end_loops()
        for component in reversed(self.components):
            yield component.stop()
        yield self.core.store.close()

    def session_opened(self, session: ISession) -> None:
        for component in self.components:
            component.session_opened(session)

    def session_ended(self, session: ISession) -> None:
        for component in reversed(self.components):
            component.session_ended(session)

    def ready(self) -> str | None:
        return self._not_ready or self.core.store.failed
