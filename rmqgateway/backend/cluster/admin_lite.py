"""Lite topics, for those who administer: every master is asked, and what they say is put together.

Brokers before 5.5 know nothing of lite topics, and refuse by the request's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.admin_topics import AdminTopics
from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.local import names
from rmqgateway.commands.administering import QueueProgress
from rmqgateway.commands.lite import (
    BrokerLiteInformation,
    GetBrokerLiteInformation,
    GetLiteClientInformation,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetParentTopicInformation,
    LiteClientInformation,
    LiteGroupInformation,
    LiteLag,
    LiteTopicInformation,
    ParentTopicInformation,
    TriggerLiteDispatch,
)
from rmqgateway.context import Context
from rmqgateway.message import MessageQueue
from rmqgateway.wire.bodies.codec import Body
from rmqgateway.wire.bodies.lite import (
    BrokerLiteInfo,
    LiteClientInfo,
    LiteGroupInfo,
    LiteLagInfo,
    LiteTopicInfo,
    ParentTopicInfo,
)
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["AdminLite"]

B = TypeVar("B", bound=Body)
_MAX_NAMED = 10_000
#: What a broker says of a group that it does not know, or that has no lite topics there.
_UNKNOWN_GROUP = (ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, ResponseCode.INVALID_PARAMETER)


class AdminLite(Component):
    """See the module."""

    def __init__(self, core: Core, topics: AdminTopics) -> None:
        super().__init__(core)
        self._topics = topics

    def handlers(self) -> Handlers:
        return {
            GetBrokerLiteInformation: lambda context, command: self.run(self._of_brokers(context)),
            GetParentTopicInformation: lambda context, command: self.run(self._of_parent(context, command)),
            GetLiteTopicInformation: lambda context, command: self.run(self._of_lite_topic(context, command)),
            GetLiteClientInformation: lambda context, command: self.run(self._of_client(context, command)),
            GetLiteGroupInformation: lambda context, command: self.run(self._of_group(context, command)),
            TriggerLiteDispatch: self.trigger_lite_dispatch,
        }

    def trigger_lite_dispatch(self, context: Context, command: TriggerLiteDispatch) -> Deferred[None]:
        return self.run(self._dispatch(context, command))

    # Each of them

    async def _of_brokers(self, context: Context) -> BrokerLiteInformation:
        told = await self._all(context, RequestCode.GET_BROKER_LITE_INFO, BrokerLiteInfo, {})
        bodies = [body for _, body in told]
        groups: dict[str, set[str]] = {}
        for body in bodies:
            for parent, some in body.group_meta.items():
                groups.setdefault(parent, set()).update(some)
        return BrokerLiteInformation(
            store=", ".join(sorted({body.store_type for body in bodies})),
            max_lite_topics=sum(body.max_lmq_num for body in bodies),
            lite_topics=sum(body.current_lmq_num for body in bodies),
            subscriptions=sum(body.lite_subscription_count for body in bodies),
            in_flight=sum(body.order_info_count for body in bodies),
            topics=sum(body.cq_table_size for body in bodies),
            offsets=sum(body.offset_table_size for body in bodies),
            clients=sum(body.event_map_size for body in bodies),
            parents={parent: minutes for body in bodies for parent, minutes in sorted(body.topic_meta.items())},
            groups={parent: tuple(sorted(some)) for parent, some in sorted(groups.items())},
        )

    async def _of_parent(self, context: Context, command: GetParentTopicInformation) -> ParentTopicInformation:
        ext = {"topic": command.topic}
        told = await self._at(context, command.topic, RequestCode.GET_PARENT_TOPIC_INFO, ParentTopicInfo, ext)
        return ParentTopicInformation(
            command.topic,
            told[0][1].ttl,
            tuple(sorted({group for _, body in told for group in body.groups or ()})),
            sum(body.lite_topic_count for _, body in told),
            sum(body.lmq_num for _, body in told),
        )

    async def _of_lite_topic(self, context: Context, command: GetLiteTopicInformation) -> LiteTopicInformation:
        ext = {"parentTopic": command.topic, "liteTopic": command.lite_topic}
        told = await self._at(context, command.topic, RequestCode.GET_LITE_TOPIC_INFO, LiteTopicInfo, ext)
        subscribers = {(one.client_id, one.group) for _, body in told for one in body.subscriber}
        # A lite topic is at one broker; after their number changed, older messages may be at another.
        place = max((body.topic_offset for _, body in told), key=lambda offset: offset.last_update_timestamp)
        return LiteTopicInformation(
            command.topic,
            command.lite_topic,
            tuple(sorted(subscribers)),
            place.min_offset,
            place.max_offset,
            place.last_update_timestamp,
        )

    async def _of_client(self, context: Context, command: GetLiteClientInformation) -> LiteClientInformation:
        most = min(max(command.max_count, 0), _MAX_NAMED)
        ext = {"parentTopic": command.topic, "group": command.group, "clientId": command.client_id, "maxCount": str(most)}
        told = await self._at(context, command.topic, RequestCode.GET_LITE_CLIENT_INFO, LiteClientInfo, ext)
        known = [body for _, body in told if body.lite_topic_count >= 0]
        named = {names.lite_name(name): None for body in known for name in sorted(body.lite_topic_set or ())}
        count = sum(body.lite_topic_count for body in known) if known else None
        last = max(body.last_access_time for _, body in told)
        return LiteClientInformation(
            command.topic, command.group, command.client_id, count, tuple(named)[:most], last
        )

    async def _of_group(self, context: Context, command: GetLiteGroupInformation) -> LiteGroupInformation:
        top = min(max(command.top, 1), _MAX_NAMED)  # none at all is an error to brokers
        ext = {"group": command.group, "topK": str(top)}
        if command.lite_topic:
            ext["liteTopic"] = command.lite_topic
        told = await self._all(context, RequestCode.GET_LITE_GROUP_INFO, LiteGroupInfo, ext)
        parent = told[0][1].parent_topic
        lags = [body.total_lag_count for _, body in told if body.total_lag_count >= 0]
        since = [body.earliest_unconsumed_timestamp for _, body in told if body.earliest_unconsumed_timestamp >= 0]
        most = _lags(lag for _, body in told for lag in body.lag_count_top_k or ())
        oldest = [lag for lag in _lags(lag for _, body in told for lag in body.lag_timestamp_top_k or ()) if lag.since >= 0]
        return LiteGroupInformation(
            command.group,
            parent,
            command.lite_topic,
            sum(lags) if lags else None,
            min(since, default=-1),
            _place(told, names.lite_topic(parent, command.lite_topic)),
            tuple(sorted(most, key=lambda lag: -lag.count)[: max(command.top, 0)]),
            tuple(sorted(oldest, key=lambda lag: lag.since)[: max(command.top, 0)]),
        )

    async def _dispatch(self, context: Context, command: TriggerLiteDispatch) -> None:
        ext = {"group": command.group}
        if command.client_id:
            ext["clientId"] = command.client_id
        await self._asked(context, self._topics.masters(), RequestCode.TRIGGER_LITE_DISPATCH, ext)

    # Asking

    async def _all(self, context: Context, code: RequestCode, kind: type[B], ext: dict[str, str]) -> list[tuple[str, B]]:
        """What the masters answer, by name."""
        answers = await self._asked(context, self._topics.masters(), code, ext)
        return [(name, self.core.read(answer, kind, code.name)) for name, answer in answers]

    async def _at(
        self, context: Context, topic: str, code: RequestCode, kind: type[B], ext: dict[str, str]
    ) -> list[tuple[str, B]]:
        """What the masters that have a topic answer, by name."""
        route = await self.core.routes.find(topic)
        masters = [(name, self.core.routes.master(name)) for name in route.names] or self._topics.masters()
        answers = await self._asked(context, masters, code, ext)
        return [(name, self.core.read(answer, kind, code.name)) for name, answer in answers]

    async def _asked(
        self, context: Context, masters: list[tuple[str, str]], code: RequestCode, ext: dict[str, str]
    ) -> list[tuple[str, RemotingCommand]]:
        """The answers of those masters that know the group; if none does, its refusal is raised."""
        answers = await all_of(
            self.core.ask(address, code, dict(ext), context=context, also=_UNKNOWN_GROUP) for _, address in masters
        )
        found = [(name, answer) for (name, _), answer in zip(masters, answers, strict=True) if not answer.code]
        if not found:
            raise refusal(answers[0], f"{code.name} at broker {masters[0][0]}")
        return found


def _lags(lags: Iterable[LiteLagInfo]) -> list[LiteLag]:
    return [LiteLag(lag.lite_topic, lag.lag_count, lag.earliest_unconsumed_timestamp) for lag in lags]


def _place(told: list[tuple[str, LiteGroupInfo]], topic: str) -> QueueProgress | None:
    """The group's place in a lite topic, at the broker that has one."""
    for name, body in told:
        offsets = body.lite_topic_offset_wrapper
        if offsets is not None:
            return QueueProgress(
                MessageQueue(topic, name, 0),
                offsets.broker_offset,
                offsets.consumer_offset,
                offsets.pull_offset,
                offsets.last_timestamp,
            )
    return None
