"""Where topics and brokers are, as the name servers say: cached, refreshed, and kept while they are away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.commands.clients import Route, RouteBroker, RouteQueues
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import Permission
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.routes import BrokerData, ClusterInfo, TopicRouteData
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.passthrough_names import NameServers
    from rmqgateway.backend.cluster.settings import ClusterSettings

__all__ = ["AUTO_CREATE_TOPIC", "Routes", "TopicRoute", "read_route"]

log = Logger(namespace="rmqgateway.cluster")

#: Its route is there as long as some broker creates topics by itself (``TopicValidator``).
AUTO_CREATE_TOPIC = "TBW102"
#: Brokers make these when they put something there, with what they need for it.
_BROKERS_OWN = ("%RETRY%", "%DLQ%")
#: Queues of a topic that is created by its first use, at most; TBW102 says how many at its broker.
_CREATED_QUEUES = 8
#: A topic that was created is waited for: the broker must tell its name servers first. Attempts, and seconds between.
_ATTEMPTS, _BETWEEN = 30, 0.1
#: Refreshed routes per second.
_PER_SECOND = 500
#: A route that nobody asked for in so many refreshes is dropped.
_UNUSED = 20
#: Between two questions about the same thing that errors cause, in seconds.
_SOON = 1.0


class TopicRoute:
    """Where a topic is.

    :ivar route: as clients are told. :ivar writable, readable: (broker name, queues), in order of names; brokers without
        a master cannot be written to. :ivar write_queues: of all brokers together. :ivar asked_at: in reactor seconds.
    :ivar turn: of the brokers that messages are sent to; the topic's own, so that each of them gets as many whatever is sent
        to other topics in between.
    """

    __slots__ = ("asked_at", "names", "readable", "route", "turn", "used_at", "writable", "write_queues")

    def __init__(self, route: Route, now: float) -> None:
        self.route = route
        masters = {broker.name for broker in route.brokers if any(number == 0 for number, _ in broker.addresses)}
        known = {broker.name for broker in route.brokers if broker.addresses}
        self.names = tuple(sorted(known))
        self.writable = tuple(
            sorted(
                (queues.broker_name, queues.write_queues)
                for queues in route.queues
                if queues.permission & Permission.WRITE and queues.write_queues > 0 and queues.broker_name in masters
            )
        )
        self.readable = tuple(
            sorted(
                (queues.broker_name, queues.read_queues)
                for queues in route.queues
                if queues.permission & Permission.READ and queues.read_queues > 0 and queues.broker_name in known
            )
        )
        self.write_queues = sum(count for _, count in self.writable)
        self.asked_at = self.used_at = now
        self.turn = 0

    def queue(self, number: int) -> tuple[str, int]:
        """Broker and queue id of one of all writable queues, in order of broker names. :param number: below `write_queues`."""
        for name, count in self.writable:
            if number < count:
                return name, number
            number -= count
        return self.writable[-1]


def read_route(topic: str, body: bytes) -> Route:
    """The answer to GET_ROUTEINFO_BY_TOPIC. :raise WireError: not fatal."""
    data = decode_body(body, TopicRouteData)
    return Route(
        topic,
        tuple(_broker(one) for one in sorted(data.broker_datas, key=lambda one: one.broker_name)),
        tuple(
            RouteQueues(
                one.broker_name, one.read_queue_nums, one.write_queue_nums, Permission(one.perm & 7), one.topic_sys_flag
            )
            for one in sorted(data.queue_datas, key=lambda one: one.broker_name)
        ),
        order_configuration=data.order_topic_conf or "",
    )


def _broker(data: BrokerData) -> RouteBroker:
    return RouteBroker(data.cluster or "", data.broker_name, tuple(sorted(data.broker_addrs.items())))


class Routes:
    """All routes.

    :param create: makes a topic at a broker: (address, topic, queues) to a Deferred.
    :ivar brokers: addresses by id by name of every broker that is known. :ivar clusters: the cluster of each.
    :ivar on_brokers: told when brokers came, went or moved. :ivar on_route: told of each topic whose route changed.
    """

    def __init__(
        self,
        reactor: Any,
        settings: ClusterSettings,
        names: NameServers,
        create: Callable[[str, str, int], Deferred[Any]],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._names = names
        self._create = create
        self._routes: dict[str, TopicRoute] = {}
        self._asking: dict[str, list[Deferred[TopicRoute]]] = {}
        self._creating: dict[str, list[Deferred[TopicRoute]]] = {}
        self.brokers: dict[str, dict[int, str]] = {}
        self.clusters: dict[str, str] = {}
        self.on_brokers: list[Callable[[], None]] = []
        self.on_route: list[Callable[[TopicRoute], None]] = []
        self.known = False
        self.reason = "no name server has answered yet"
        self._cluster_at = float("-inf")
        self._cluster_asking = False
        self._unreachable: dict[str, float] = {}
        self._running = False
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor

    # Life.

    def start(self) -> None:
        """Ask where brokers are, and again from time to time."""
        self._running = True
        self._loop.start(1.0, now=True).addErrback(lambda failure: log.failure("refreshing ended", failure))

    def stop(self) -> None:
        """Ask no more."""
        self._running = False
        if self._loop.running:
            self._loop.stop()

    def ready(self) -> str | None:
        """None once brokers are known; else why not."""
        return None if self.known and self.brokers else self.reason

    # Asking.

    def cached(self, topic: str) -> TopicRoute | None:
        """The route of a topic, if it is known already; however old, since name servers may be away."""
        found = self._routes.get(topic)
        if found is not None:
            found.used_at = self._reactor.seconds()
        return found

    def all(self) -> list[tuple[str, TopicRoute]]:
        """Every topic whose route is known, and its route."""
        return list(self._routes.items())

    def forget(self, topic: str) -> None:
        """It was deleted here."""
        self._routes.pop(topic, None)

    def find(self, topic: str) -> Deferred[TopicRoute]:
        """The route of a topic. Fails with GatewayError TOPIC_NOT_FOUND, UPSTREAM_UNAVAILABLE …"""
        found = self.cached(topic)
        return succeed(found) if found is not None else self.ask(topic)

    def find_or_create(self, topic: str) -> Deferred[TopicRoute]:
        """As `find`; a topic that is not there is created where brokers do so by themselves."""
        return self.find(topic).addErrback(self._absent, topic)

    def ask(self, topic: str) -> Deferred[TopicRoute]:
        """The route of a topic, from a name server; those who ask at the same time share the answer."""
        done: Deferred[TopicRoute] = Deferred()
        waiting = self._asking.get(topic)
        if waiting is not None:
            waiting.append(done)
            return done
        self._asking[topic] = [done]
        request = RemotingCommand(
            int(RequestCode.GET_ROUTEINFO_BY_TOPIC), 0, ext_fields={"topic": topic, "acceptStandardJsonOnly": "true"}
        )
        self._names.ask(request).addCallback(self._told, topic).addBoth(self._tell, topic)
        return done

    def _tell(self, result: Any, topic: str) -> None:
        for one in self._asking.pop(topic, ()):
            one.callback(result)  # a Failure makes it an errback

    def _told(self, answer: RemotingCommand, topic: str) -> TopicRoute:
        if answer.code == ResponseCode.TOPIC_NOT_EXIST:
            if self._routes.pop(topic, None) is not None:
                log.info("topic {topic} has no route any more", topic=topic)
            raise GatewayError(
                Code.TOPIC_NOT_FOUND,
                f"no route of topic {topic!r}: {answer.remark or 'it does not exist'}",
                upstream_code=answer.code,
            )
        if answer.code:
            raise refusal(answer, f"the route of topic {topic!r}")
        try:
            route = read_route(topic, answer.body)
        except WireError as error:
            raise GatewayError(
                Code.UPSTREAM_ERROR, f"the name server's route of {topic!r} cannot be read: {error.message}"
            ) from None
        now = self._reactor.seconds()
        old = self._routes.get(topic)
        new = TopicRoute(route, now)
        if old is not None:
            new.used_at = old.used_at
            if route == old.route:
                old.asked_at = now
                return old
        if old is None and len(self._routes) >= self._settings.max_routes:
            oldest = min(self._routes, key=lambda name: self._routes[name].used_at)
            del self._routes[oldest]
        self._routes[topic] = new
        changed = False
        for broker in route.brokers:
            changed |= self._learn(broker.name, dict(broker.addresses), broker.cluster)
        for tell in self.on_route:
            tell(new)
        if changed:
            self._tell_brokers()
        return new

    def _absent(self, failure: Failure, topic: str) -> Any:
        error = failure.value
        if not isinstance(error, GatewayError) or error.code is not Code.TOPIC_NOT_FOUND:
            return failure
        if topic == AUTO_CREATE_TOPIC or topic.startswith(_BROKERS_OWN):
            return failure
        done: Deferred[TopicRoute] = Deferred()
        waiting = self._creating.get(topic)
        if waiting is not None:
            waiting.append(done)
            return done
        self._creating[topic] = [done]

        def created(result: Any) -> None:
            for one in self._creating.pop(topic, ()):
                one.callback(result)

        Deferred.fromCoroutine(self._make(topic, error)).addBoth(created)
        return done

    async def _make(self, topic: str, absent: GatewayError) -> TopicRoute:
        """What brokers do by themselves when a producer sends: here before it, since routes are asked for first."""
        try:
            model = await self.ask(AUTO_CREATE_TOPIC)
        except GatewayError as error:
            if error.code is Code.TOPIC_NOT_FOUND:
                raise absent from None
            raise
        if not model.writable:
            raise absent
        for name, queues in model.writable:
            await self._create(self.master(name), topic, min(queues, _CREATED_QUEUES))
        for _ in range(_ATTEMPTS):
            try:
                return await self.ask(topic)
            except GatewayError as error:
                if error.code is not Code.TOPIC_NOT_FOUND:
                    raise
            await deferLater(self._reactor, _BETWEEN)
        raise absent

    # Brokers.

    def master(self, name: str) -> str:
        """The address of a broker's master. :raise GatewayError: UPSTREAM_UNAVAILABLE: it has none, or is not known."""
        found = self.brokers.get(name)
        address = None if found is None else found.get(0)
        if address is None:
            self._cluster_soon()
            raise GatewayError(
                Code.UPSTREAM_UNAVAILABLE, f"broker {name[:200]!r} has no master that a name server knows", retry_after=1.0
            )
        return address

    def reading(self, name: str) -> str:
        """The address that a broker is read from: its master, or the first slave while that cannot be reached.

        :raise GatewayError: UPSTREAM_UNAVAILABLE: the broker is not known.
        """
        found = self.brokers.get(name)
        if not found:
            return self.master(name)  # raises
        now = self._reactor.seconds()
        for number in sorted(found):
            if now - self._unreachable.get(found[number], float("-inf")) > _SOON:
                return found[number]
        return found[min(found)]

    def reached_by(self, address: str) -> str | None:
        """The name of the broker with this address."""
        return next((name for name, addresses in self.brokers.items() if address in addresses.values()), None)

    def masters(self) -> Iterator[tuple[str, str]]:
        """Name and address of every master, in order of names."""
        for name in sorted(self.brokers):
            address = self.brokers[name].get(0)
            if address is not None:
                yield name, address

    def unreachable(self, address: str) -> None:
        """A broker could not be reached: maybe it is elsewhere, or another takes its place."""
        now = self._reactor.seconds()
        self._unreachable[address] = now
        if len(self._unreachable) > 10_000:
            self._unreachable = {one: at for one, at in self._unreachable.items() if now - at < _SOON}
        name = self.reached_by(address)
        for route in self._routes.values():
            if name in route.names and now - route.asked_at > _SOON:
                route.asked_at = float("-inf")  # the next tick asks
        self._cluster_soon()

    def _learn(self, name: str, addresses: dict[int, str], cluster: str) -> bool:
        if self.brokers.get(name) == addresses:
            return False
        self.brokers[name] = addresses
        self.clusters[name] = cluster
        return True

    def _tell_brokers(self) -> None:
        for tell in self.on_brokers:
            tell()

    # Refreshing.

    def _cluster_soon(self) -> None:
        if self._reactor.seconds() - self._cluster_at > _SOON:
            self._cluster_at = float("-inf")

    def _tick(self) -> None:
        now = self._reactor.seconds()
        pause = self._settings.refresh_s if self.known and self.brokers else _SOON
        if now - self._cluster_at >= pause and not self._cluster_asking:
            self._cluster_at = now
            self._cluster_asking = True
            request = RemotingCommand(int(RequestCode.GET_BROKER_CLUSTER_INFO), 0)
            self._names.ask(request).addCallback(self._told_cluster).addErrback(self._not_told).addBoth(self._asked_cluster)
        left = _PER_SECOND
        for topic, route in list(self._routes.items()):
            if now - route.asked_at < self._settings.refresh_s:
                continue
            if now - route.used_at > self._settings.refresh_s * _UNUSED:
                del self._routes[topic]
                continue
            left -= 1
            if left < 0:
                break
            route.asked_at = now
            self.ask(topic).addErrback(self._not_refreshed)

    @staticmethod
    def _not_refreshed(failure: Failure) -> None:
        """Name servers are away: what is known is kept (`_told_cluster` says so in the log)."""
        log.debug("a route is not refreshed: {reason}", reason=failure.getErrorMessage())

    def _asked_cluster(self, _: object) -> None:
        self._cluster_asking = False

    def _told_cluster(self, answer: RemotingCommand) -> None:
        if answer.code:
            raise refusal(answer, "the name server does not tell where brokers are")
        try:
            info = decode_body(answer.body, ClusterInfo)
        except WireError as error:
            raise GatewayError(
                Code.UPSTREAM_ERROR, f"the name server's answer cannot be read: {error.message}"
            ) from None
        changed = False
        for name, data in info.broker_addr_table.items():
            changed |= self._learn(name, dict(data.broker_addrs), data.cluster or "")
        for name in self.brokers.keys() - info.broker_addr_table.keys():
            del self.brokers[name]
            self.clusters.pop(name, None)
            changed = True
        if not self.known or changed:
            names = ", ".join(f"{name} at {' '.join(self.brokers[name].values())}" for name in sorted(self.brokers))
            log.info("the cluster has {names}", names=names or "no broker yet")
        self.known = True
        self.reason = "the name servers know no broker yet"
        if changed:
            self._tell_brokers()

    def _not_told(self, failure: Failure) -> None:
        reason = failure.getErrorMessage()
        if not failure.check(GatewayError):
            log.failure("asking for the brokers failed", failure=failure)
        elif self._running and reason != self.reason:
            log.warn("{reason}; it is tried again", reason=reason)
        self.reason = reason
