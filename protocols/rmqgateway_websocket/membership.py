"""The groups that a connection is a member of, and the heartbeat that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway import commands
from rmqgateway.errors import Code, GatewayError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway_websocket.connection import Client

__all__ = ["Membership"]

log = Logger(namespace="rmqgateway.websocket")

#: Groups are beaten this often; the gateway forgets them after 120 s.
_BEAT_S = 30.0
_MAX_PRODUCER_GROUPS = 64
_SHARES = (commands.ConsumeMode.POP, commands.MessageModel.CLUSTERING)
_BROADCASTS = (commands.ConsumeMode.PULL, commands.MessageModel.BROADCASTING)


class Membership:
    """Of one client. :ivar producer_groups: those that it answers for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.producer_groups: dict[str, None] = {}
        self._consumes: dict[str, dict[str, commands.Subscribed]] = {}  # by group and topic
        self._broadcasts: set[str] = set()
        self._beat: IDelayedCall | None = None

    def produce(self, groups: tuple[str, ...]) -> Deferred[Any] | None:
        """Answer for these producer groups from now on; None if that is known."""
        new = [group for group in groups if group not in self.producer_groups]
        if not new:
            return None
        if len(self.producer_groups) + len(new) > _MAX_PRODUCER_GROUPS:
            text = f"expected at most {_MAX_PRODUCER_GROUPS} producer groups on a connection"
            raise GatewayError(Code.TOO_MANY_REQUESTS, text)
        self.producer_groups.update(dict.fromkeys(new))

        def failed(failure: Failure) -> Failure:
            for group in new:
                self.producer_groups.pop(group, None)
            return failure

        return self.beat().addErrback(failed)

    def consume(self, group: str, subscribed: commands.Subscribed, broadcast: bool) -> Deferred[Any]:
        """Be a member of a consumer group with this subscription."""
        self._consumes.setdefault(group, {})[subscribed.topic] = subscribed
        if broadcast:
            self._broadcasts.add(group)
        return self.beat()

    def leave(self, group: str, topic: str) -> None:
        """The last subscription of a group to a topic has ended."""
        topics = self._consumes.get(group, {})
        topics.pop(topic, None)
        if not topics and self._consumes.pop(group, None) is not None:
            self._broadcasts.discard(group)
            client = self._client
            left = commands.Unregister(client.client_id, consumer_group=group)
            maybeDeferred(client.gateway.execute, client.context, left).addErrback(lambda _: None)

    def beat(self) -> Deferred[Any]:
        """Say so now, and every half minute from now on."""
        client = self._client
        if self._beat is None:
            self._beat = client.gateway.reactor.callLater(_BEAT_S, self._beat_again)
        consumers = tuple(
            [
                commands.Consumer(
                    group,
                    *(_BROADCASTS if group in self._broadcasts else _SHARES),
                    subscriptions=tuple(topics.values()),
                )
                for group, topics in self._consumes.items()
            ]
        )
        heartbeat = commands.Heartbeat(client.client_id, "BROWSER", "", tuple(self.producer_groups), consumers)
        return maybeDeferred(client.gateway.execute, client.context, heartbeat)

    def _beat_again(self) -> None:
        self._beat = None
        if self.producer_groups or self._consumes:
            self.beat().addErrback(lambda failure: log.debug("heartbeat: {why}", why=failure.getErrorMessage()))

    def stop(self) -> None:
        """The connection is gone."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
