"""Who is connected: producers and consumers by group and session, their subscriptions, who is told of changes.

Source: ``ClientManageProcessor``, ``ConsumerManager``, ``ConsumerGroupInfo`` and ``ProducerManager`` of 5.5.0. A member is a
client id on a session: with Remoting a connection has one, with gRPC behind a proxy it may carry many.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from rmqgateway.backend.local import filters, names
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.commands.clients import (
    CheckSubscription,
    ConsumeMode,
    Consumer,
    ConsumerIds,
    Heartbeat,
    ListConsumers,
    MessageModel,
    Subscribed,
    Unregister,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ConsumersChanged
from rmqgateway.interfaces import ISession
from rmqgateway.message import Filter

__all__ = ["Clients", "ConsumerGroup", "Member", "Use"]

_log = Logger()
_MAX_GROUPS_OF_CLIENT = 4096
_MAX_SUBSCRIPTIONS = 4096

#: Session number and client id.
_Key = tuple[int, str]


class Member:
    """One client in one producer or consumer group.

    :ivar consumer: what it consumes; None for a producer.
    :ivar last_seen: of its last heartbeat, reactor seconds. :ivar last_heartbeat: the same in ms since 1970.
    """

    __slots__ = ("client_id", "consumer", "language", "last_heartbeat", "last_seen", "session", "version")

    def __init__(self, session: ISession, command: Heartbeat, consumer: Consumer | None) -> None:
        self.session = session
        self.client_id = command.client_id
        self.language = command.language
        self.version = command.version
        self.consumer = consumer
        self.last_seen = 0.0
        self.last_heartbeat = 0


class ConsumerGroup:
    """The connected members of a consumer group.

    :ivar newest: what the member said whose heartbeat came last; its mode, model and beginning count for the group.
    :ivar subscriptions: by topic; changed by each heartbeat, as RocketMQ does, since members must agree.
    """

    __slots__ = ("members", "name", "newest", "subscriptions")

    def __init__(self, name: str, newest: Consumer) -> None:
        self.name = name
        self.newest = newest
        self.members: dict[_Key, Member] = {}
        self.subscriptions: dict[str, Subscribed] = {}

    def subscribe(self, consumer: Consumer) -> bool:
        """Take a member's subscriptions; say whether topics came or went."""
        wanted = {subscribed.topic: subscribed for subscribed in consumer.subscriptions}
        changed = wanted.keys() != self.subscriptions.keys()
        for topic, subscribed in wanted.items():
            old = self.subscriptions.get(topic)
            if old is None or subscribed.version > old.version:
                self.subscriptions[topic] = subscribed
        for topic in self.subscriptions.keys() - wanted.keys():
            del self.subscriptions[topic]
        return changed


class Use:
    """How a topic is consumed by a group: in one mode at a time.

    :ivar sessions: by number, when last. :ivar filter: of the newest receive, or None: not known (pulls).
    """

    __slots__ = ("filter", "mode", "sessions")

    def __init__(self, mode: ConsumeMode) -> None:
        self.mode = mode
        self.sessions: dict[int, float] = {}
        self.filter: Filter | None = None


class Clients(Component):
    """All connected clients.

    :ivar consumers: consumer groups with at least one member. :ivar producers: members of producer groups.
    """

    def __init__(self, core: Core, topics: Topics, groups: Groups) -> None:
        super().__init__(core)
        self.consumers: dict[str, ConsumerGroup] = {}
        self.producers: dict[str, dict[_Key, Member]] = {}
        self._topics = topics
        self._groups = groups
        self._clients: dict[str, dict[int, ISession]] = {}
        self._of_session: dict[int, dict[str, tuple[set[str], set[str]]]] = {}
        self._uses: dict[tuple[str, str], Use] = {}
        self._consuming: dict[int, tuple[ISession, str]] = {}  # those that are in _uses, and as whom they last were
        self._places: dict[int, set[tuple[str, str]]] = {}  # by session: where it is in _uses
        #: Called with (group, topic, mode) when a group begins to consume a topic in a mode.
        self.on_mode: list[Callable[[str, str, ConsumeMode], None]] = []

    def handlers(self) -> Handlers:
        return {
            CheckSubscription: self.check_subscription,
            Heartbeat: self.heartbeat,
            ListConsumers: self.list_consumers,
            Unregister: self.unregister,
        }

    def start(self) -> None:
        self.every(10.0, self._expire)

    # Asking

    def group(self, name: str) -> ConsumerGroup | None:
        """The connected members of a consumer group, or None."""
        return self.consumers.get(name)

    def session_of(self, client_id: str) -> ISession | None:
        """The newest session on which a client id is known, or None."""
        sessions = self._clients.get(client_id)
        return sessions[next(reversed(sessions))] if sessions else None

    def member(self, group: str, client_id: str) -> Member | None:
        """The member of a consumer group with this client id, or None."""
        found = self.consumers.get(group)
        if found is not None:
            for member in found.members.values():
                if member.client_id == client_id:
                    return member
        return None

    def producer_sessions(self, group: str) -> list[ISession]:
        """The sessions of a producer group's members (for checks of transactions), each once."""
        found = {member.session.number: member.session for member in self.producers.get(group, {}).values()}
        return list(found.values())

    def groups_of_topic(self, topic: str) -> list[str]:
        """The connected consumer groups that subscribe to a topic."""
        return sorted(name for name, group in self.consumers.items() if topic in group.subscriptions)

    def uses_of(self, group: str) -> dict[str, Use]:
        """How a group is consuming at present, by topic: also by clients that send no heartbeat."""
        return {topic: use for (name, topic), use in self._uses.items() if name == group}

    def consuming(self, number: int) -> tuple[ISession, str] | None:
        """The session of this number and the client id that it last received with ("": none), if it is in some `Use`."""
        return self._consuming.get(number)

    def use(
        self,
        group: str,
        topic: str,
        session: ISession,
        mode: ConsumeMode,
        wanted: Filter | None = None,
        client_id: str = "",
    ) -> None:
        """A session pulls or receives (pops) a topic for a group. One mode at a time: RocketMQ itself would deliver
        messages twice and strand others. A session may change its own mode; RocketMQ's own tools are let through.

        :raise GatewayError: CONSUME_MODE_CONFLICT: others do so in the other mode.
        """
        number = session.number
        now = self.core.reactor.seconds()
        use = self._uses.get((group, topic))
        if use is None:
            if names.is_system_group(group):
                return
            use = self._uses[group, topic] = Use(mode)
            for tell in self.on_mode:
                tell(group, topic, mode)
        elif use.mode is not mode:
            oldest = now - self.core.settings.client_expiry_s
            if any(seen > oldest for other, seen in use.sessions.items() if other != number):
                raise GatewayError(
                    Code.CONSUME_MODE_CONFLICT,
                    f"consumer group {group} consumes topic {topic} by {use.mode.value} at present; it cannot be consumed by"
                    f" {mode.value} before those members are gone",
                )
            use.mode = mode
            use.sessions.clear()
            for tell in self.on_mode:
                tell(group, topic, mode)
        if number not in use.sessions:
            self._places.setdefault(number, set()).add((group, topic))
            self._consuming[number] = (session, client_id)
        use.sessions[number] = now
        use.filter = wanted

    # Commands

    def heartbeat(self, context: Context, command: Heartbeat) -> Deferred[None] | None:
        names.check_client_id(command.client_id)
        if len(command.consumers) + len(command.producers) > _MAX_GROUPS_OF_CLIENT:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected at most {_MAX_GROUPS_OF_CLIENT} groups in a heartbeat"
            )
        session = context.session
        for group in command.producers:
            names.check_group(group)
        for consumer in command.consumers:
            self._check_consumer(consumer)
            if consumer.mode is ConsumeMode.POP:
                for subscribed in consumer.subscriptions:
                    self.use(consumer.group, subscribed.topic, session, ConsumeMode.POP)
        pending: list[Deferred[object]] = []
        for consumer in command.consumers:
            config = self._groups.find(consumer.group)
            # RocketMQ's broker makes the group's retry topic now: pulling clients ask for its route next.
            if config.retry_queues > 0:
                retry = names.retry_topic(consumer.group)
                created = self._topics.ensure(TopicConfig(retry, config.retry_queues, config.retry_queues))
                if isinstance(created, Deferred):
                    pending.append(created.addCallback(lambda _: None))
            self._register_consumer(session, command, consumer, config.notify_consumer_ids_changed)
        for group in command.producers:
            members = self.producers.setdefault(group, {})
            self._seen(members, session, command, None)
            self._known(session, command.client_id)[0].add(group)
        if not command.consumers and not command.producers:
            self._known(session, command.client_id)
        if not pending:
            return None
        return gatherResults(pending, consumeErrors=True).addCallbacks(
            lambda _: None, lambda failure: failure.value.subFailure
        )

    def unregister(self, context: Context, command: Unregister) -> None:
        known = self._of_session.get(context.session.number, {}).get(command.client_id)
        if known is None:
            return
        producers, consumers = known
        everything = not command.producer_group and not command.consumer_group
        key = (context.session.number, command.client_id)
        for group in list(producers) if everything else [command.producer_group]:
            self._leave_producers(group, key)
        for group in list(consumers) if everything else [command.consumer_group]:
            config = self._groups.by_name.get(group)
            self._leave_consumers(group, key, config is None or config.notify_consumer_ids_changed)

    def list_consumers(self, context: Context, command: ListConsumers) -> ConsumerIds:
        group = self.consumers.get(command.group)
        if group is None:
            raise GatewayError(
                Code.GROUP_NOT_FOUND, f"no member of consumer group {command.group[:300]!r} is connected"
            )
        return ConsumerIds(tuple(sorted({member.client_id for member in group.members.values()})))

    def check_subscription(self, context: Context, command: CheckSubscription) -> None:
        filters.compile_filter(command.filter)

    # Sessions

    def session_ended(self, session: ISession) -> None:
        for client_id, (producers, consumers) in list(self._of_session.get(session.number, {}).items()):
            key = (session.number, client_id)
            for group in list(producers):
                self._leave_producers(group, key)
            for group in list(consumers):
                self._leave_consumers(group, key, True)
            self._forget(session.number, client_id)
        for place in self._places.pop(session.number, ()):
            self._no_use(place, session.number)
        self._consuming.pop(session.number, None)

    # Inside

    @staticmethod
    def _check_consumer(consumer: Consumer) -> None:
        names.check_group(consumer.group)
        if len(consumer.subscriptions) > _MAX_SUBSCRIPTIONS:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected at most {_MAX_SUBSCRIPTIONS} subscriptions of a group"
            )
        for subscribed in consumer.subscriptions:
            filters.compile_filter(subscribed.filter)

    def _register_consumer(
        self, session: ISession, command: Heartbeat, consumer: Consumer, notify: bool
    ) -> None:
        group = self.consumers.get(consumer.group)
        if group is None:
            group = self.consumers[consumer.group] = ConsumerGroup(consumer.group, consumer)
        group.newest = consumer
        joined = self._seen(group.members, session, command, consumer)
        changed = group.subscribe(consumer)
        self._known(session, command.client_id)[1].add(consumer.group)
        if (joined or changed) and notify:
            self._tell(group)

    def _seen(
        self, members: dict[_Key, Member], session: ISession, command: Heartbeat, consumer: Consumer | None
    ) -> bool:
        """Note a heartbeat; say whether the member is new."""
        key = (session.number, command.client_id)
        member = members.get(key)
        new = member is None
        if member is None:
            member = members[key] = Member(session, command, consumer)
        member.consumer = consumer
        member.language, member.version = command.language, command.version
        member.last_seen = self.core.reactor.seconds()
        member.last_heartbeat = self.core.now_ms()
        return new

    def _known(self, session: ISession, client_id: str) -> tuple[set[str], set[str]]:
        """The producer and consumer groups of a client on a session."""
        known = self._of_session.setdefault(session.number, {})
        found = known.get(client_id)
        if found is None:
            found = known[client_id] = (set(), set())
            self._clients.setdefault(client_id, {})[session.number] = session
        return found

    def _forget(self, number: int, client_id: str) -> None:
        known = self._of_session.get(number)
        if known is not None:
            known.pop(client_id, None)
            if not known:
                del self._of_session[number]
        sessions = self._clients.get(client_id)
        if sessions is not None:
            sessions.pop(number, None)
            if not sessions:
                del self._clients[client_id]

    def _leave_producers(self, group: str, key: _Key) -> None:
        members = self.producers.get(group)
        if members is not None and members.pop(key, None) is not None:
            if not members:
                del self.producers[group]
            self._of_session[key[0]][key[1]][0].discard(group)

    def _leave_consumers(self, group: str, key: _Key, notify: bool) -> None:
        found = self.consumers.get(group)
        if found is None or found.members.pop(key, None) is None:
            return
        self._of_session[key[0]][key[1]][1].discard(group)
        mine = self._places.get(key[0], set())
        for place in [place for place in mine if place[0] == group]:
            mine.discard(place)
            self._no_use(place, key[0])
        if not found.members:
            del self.consumers[group]
        elif notify:
            self._tell(found)

    def _no_use(self, place: tuple[str, str], number: int) -> None:
        use = self._uses.get(place)
        if use is not None:
            use.sessions.pop(number, None)
            if not use.sessions:
                del self._uses[place]

    @staticmethod
    def _tell(group: ConsumerGroup) -> None:
        """Have the members of a group balance anew. Those who broadcast share nothing."""
        if group.newest.model is MessageModel.BROADCASTING:
            return
        event = ConsumersChanged(group.name)
        for session in {member.session.number: member.session for member in group.members.values()}.values():
            session.deliver(event)

    def _expire(self) -> None:
        """Members that are silent have gone, though their connection may stand."""
        oldest = self.core.reactor.seconds() - self.core.settings.client_expiry_s
        for name, group in list(self.consumers.items()):
            for key, member in list(group.members.items()):
                if member.last_seen < oldest:
                    self._leave_consumers(name, key, True)
        for name, members in list(self.producers.items()):
            for key, member in list(members.items()):
                if member.last_seen < oldest:
                    self._leave_producers(name, key)
        for place, use in list(self._uses.items()):
            for number in [number for number, seen in use.sessions.items() if seen < oldest]:
                self._places.get(number, set()).discard(place)
                self._no_use(place, number)
