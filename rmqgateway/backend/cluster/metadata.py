"""What brokers have configured: topics' types, groups' limits. Asked for once and kept for a while, as in Apache's proxy."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from rmqgateway.backend.cluster.component import Component, Core
from rmqgateway.backend.cluster.configs import group_of, topic_of
from rmqgateway.backend.local.names import check_group
from rmqgateway.commands.administering import GroupConfig, TopicConfig
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageType
from rmqgateway.wire.bodies.groups import SubscriptionGroupConfig, SubscriptionGroupWrapper
from rmqgateway.wire.bodies.topics import TopicConfig as TopicBody
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["Metadata"]

T = TypeVar("T")

#: Seconds that an answer is taken for true.
_KEPT = 20.0
#: Why another broker is asked.
_AWAY = frozenset({Code.UPSTREAM_UNAVAILABLE, Code.TIMEOUT, Code.BUSY})
_MAX = 20_000
#: The ordinal of ``MQVersion.Version.V5_0_0``.
_V5_0_0 = 413


class _Cache(Generic[T]):
    """Values by name; who asks for one that is old gets it, and a new one is asked for."""

    def __init__(self, clock: Any, ask: Callable[[str], Coroutine[Any, Any, T]]) -> None:
        self._clock = clock
        self._ask = ask
        self._values: dict[str, tuple[T, float]] = {}
        self._waiting: dict[str, list[Deferred[T]]] = {}

    def cached(self, name: str) -> T | None:
        found = self._values.get(name)
        if found is None:
            return None
        if self._clock.seconds() - found[1] > _KEPT and name not in self._waiting:
            self._begin(name)
        return found[0]

    def get(self, name: str) -> Deferred[T]:
        found = self.cached(name)
        if found is not None:
            return succeed(found)
        done: Deferred[T] = Deferred()
        if name in self._waiting:
            self._waiting[name].append(done)
        else:
            self._begin(name, done)
        return done

    def forget(self, name: str) -> None:
        self._values.pop(name, None)

    def _begin(self, name: str, *waiting: Deferred[T]) -> None:
        self._waiting[name] = list(waiting)

        def answered(result: Any) -> None:
            if not isinstance(result, Failure):
                if len(self._values) >= _MAX:
                    self._values.clear()
                self._values[name] = (result, self._clock.seconds())
            elif isinstance(result.value, GatewayError) and result.value.code in (
                Code.TOPIC_NOT_FOUND,
                Code.GROUP_NOT_FOUND,
            ):
                self._values.pop(name, None)
            for one in self._waiting.pop(name, ()):
                one.callback(result)

        Deferred.fromCoroutine(self._ask(name)).addBoth(answered)


class Metadata(Component):
    """See the module."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._topics = _Cache(core.reactor, self._ask_topic)
        self._groups = _Cache(core.reactor, self._ask_group)
        self._old_brokers: set[str] = set()

    def topic(self, topic: str) -> Deferred[TopicConfig]:
        """A topic's configuration at the first broker that has it. Fails with GatewayError TOPIC_NOT_FOUND …"""
        return self._topics.get(topic)

    def cached_topic(self, topic: str) -> TopicConfig | None:
        """The same, if it is known already."""
        return self._topics.cached(topic)

    def group(self, group: str) -> Deferred[GroupConfig]:
        """A group's configuration; a group that brokers do not know yet has RocketMQ's defaults.

        :raise GatewayError: BAD_GROUP_NAME: brokers would say that there is no such group, and never can there be one.
        """
        check_group(group)
        return self._groups.get(group)

    def cached_group(self, group: str) -> GroupConfig | None:
        """The same, if it is known already."""
        return self._groups.cached(group)

    def forget_topic(self, topic: str) -> None:
        """It was changed here."""
        self._topics.forget(topic)

    def forget_group(self, group: str) -> None:
        """It was changed here."""
        self._groups.forget(group)

    def pops(self, address: str) -> bool:
        """Whether the broker knows pop and timers, as far as it is known: those before 5.0 do not."""
        return address not in self._old_brokers and not 0 < self.core.upstream.broker(address).version < _V5_0_0

    async def has_timers(self, address: str) -> bool:
        """The same for certain; a broker that has said nothing yet is asked."""
        if not self.core.upstream.broker(address).version:
            await self.core.ask(address, RequestCode.GET_BROKER_RUNTIME_INFO)
        return self.pops(address)

    def is_old(self, address: str) -> None:
        """The broker has said that it does not know pop."""
        self._old_brokers.add(address)

    async def _ask_topic(self, topic: str) -> TopicConfig:
        route = await self.core.routes.find(topic)
        names = [name for name, _ in route.writable] or list(route.names)
        error = GatewayError(Code.UPSTREAM_UNAVAILABLE, f"topic {topic} has no broker at present", retry_after=1.0)
        for name in names:
            queues = next((queues for queues in route.route.queues if queues.broker_name == name), None)
            if queues is None:
                continue
            try:
                answer = await self.core.ask(
                    self.core.routes.reading(name),
                    RequestCode.GET_TOPIC_CONFIG,
                    {"topic": topic},
                    also=(ResponseCode.REQUEST_CODE_NOT_SUPPORTED, ResponseCode.SYSTEM_ERROR),
                )
            except GatewayError as raised:
                if raised.code not in _AWAY:
                    raise
                error = raised
                continue
            if answer.code or b'"attributes"' not in answer.body:
                # Brokers of 4.x have no types, and check none.
                return TopicConfig(
                    topic,
                    queues.read_queues,
                    queues.write_queues,
                    queues.permission,
                    MessageType.MIXED,
                    queues.topic_sys_flag,
                )
            return topic_of(self.core.read(answer, TopicBody, "GET_TOPIC_CONFIG"))
        raise error

    async def _ask_group(self, group: str) -> GroupConfig:
        error: GatewayError | None = None
        for _, address in self.core.routes.masters():
            try:
                found = await self.ask_group_of(address, group)
            except GatewayError as raised:
                if raised.code not in _AWAY:
                    raise
                error = raised
                continue
            if found is not None:
                return found
        if error is not None:
            raise error  # those that could be asked do not know it; another may
        return GroupConfig(group)

    async def ask_group_of(
        self, address: str, group: str, context: Context | None = None
    ) -> GroupConfig | None:
        """One broker's settings of a group; None: it knows no such group. Brokers of 4.x tell only all groups."""
        answer = await self.core.ask(
            address,
            RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG,
            {"group": group},
            context=context,
            also=(
                ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
                ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
                ResponseCode.SYSTEM_ERROR,
            ),
        )
        if not answer.code:
            return group_of(self.core.read(answer, SubscriptionGroupConfig, "GET_SUBSCRIPTIONGROUP_CONFIG"))
        if answer.code == ResponseCode.REQUEST_CODE_NOT_SUPPORTED:
            answer = await self.core.ask(address, RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, context=context)
            table = self.core.read(answer, SubscriptionGroupWrapper, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG")
            found = table.subscription_group_table.get(group)
            return None if found is None else group_of(found)
        return None
