"""Lite topics before real brokers (5.5 and newer): who wants which is told to every broker of the parent topic."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.cluster.handles import make_handle
from rmqgateway.backend.cluster.members import Members
from rmqgateway.backend.cluster.popped import Popped, without_properties
from rmqgateway.commands.clients import LiteOffset, SyncLiteSubscription
from rmqgateway.errors import WireError
from rmqgateway.events import LiteTopicUnsubscribed
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.clients import LiteOffsetOption, LiteSubscription, LiteSubscriptionRequest
from rmqgateway.wire.message_properties import find_property
from rmqgateway.wire.request_codes import RequestCode

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.connection import Link
    from rmqgateway.backend.cluster.upstream import Broker
    from rmqgateway.commands.popping import ReceiveMessages
    from rmqgateway.context import Context
    from rmqgateway.interfaces import ISession
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["LiteTopics", "read_lite_popped"]

_OFFSETS = {
    LiteOffset.MIN: ("POLICY", 1),
    LiteOffset.MAX: ("POLICY", 2),
    LiteOffset.AT: ("OFFSET", None),
    LiteOffset.BEFORE: ("TAIL_N", None),
    LiteOffset.TIME: ("TIMESTAMP", None),
}
#: Those who name lite topics with each receive are told to brokers again after so many seconds.
_AGAIN = 20.0
_MAX_CLIENTS = 20_000
_Key = tuple[str, str, str]


class LiteTopics(Component):
    """Serves SyncLiteSubscription; says under which client id a receive of lite topics is made."""

    def __init__(self, core: Core, members: Members) -> None:
        super().__init__(core)
        self._members = members
        #: By (group, parent topic, client id): the sessions that said so, by number.
        self._clients: dict[_Key, dict[int, ISession]] = {}
        self._told_at: dict[_Key, float] = {}

    def handlers(self) -> Handlers:
        return {SyncLiteSubscription: self.sync}

    def sync(self, context: Context, command: SyncLiteSubscription) -> Deferred[None]:
        return self.run(self._sync(context, command))

    async def _sync(self, context: Context, command: SyncLiteSubscription) -> None:
        key = (command.group, command.topic, command.client_id)
        await self._tell(context, command)
        if command.change == "COMPLETE_REMOVE":
            self._clients.pop(key, None)
        else:
            self._clients.setdefault(key, {})[context.session.number] = context.session

    async def _tell(self, context: Context | None, command: SyncLiteSubscription) -> None:
        option = None
        if command.offset is not LiteOffset.UNCHANGED:
            kind, value = _OFFSETS[command.offset]
            option = LiteOffsetOption(type=kind, value=command.offset_value if value is None else value)
        body = encode_body(
            LiteSubscriptionRequest(
                subscription_set=[
                    LiteSubscription(
                        action=command.change,
                        client_id=command.client_id,
                        group=command.group,
                        lite_topic_set=list(command.lite_topics),
                        topic=command.topic,
                        version=command.version,
                        offset_option=option,
                    )
                ]
            )
        )
        route = await self.core.routes.find(command.topic)
        # Over the channel: what the broker has to say about a lite topic comes back by it.
        await all_of(
            self.core.ask(
                self.core.routes.master(name),
                RequestCode.LITE_SUBSCRIPTION_CTL,
                {"bname": name},
                body,
                context=context,
                channel=True,
            )
            for name, _ in route.readable
        )

    async def client_of(self, context: Context, command: ReceiveMessages) -> str:
        """The client id under which a receive takes lite topics, or "": it takes the topic itself."""
        if not command.lite_topics:
            return command.client_id if (command.group, command.topic, command.client_id) in self._clients else ""
        # The client names them each time: the gateway is a client for all that name the same, in one group of one topic. Brokers
        # know a subscription by the client's id alone.
        named = "\n".join((command.group, command.topic, *sorted(command.lite_topics)))
        names = hashlib.sha256(named.encode()).hexdigest()[:16]
        client_id = f"{self._members.client_id}-{names}"
        key = (command.group, command.topic, client_id)
        now = self.core.reactor.seconds()
        if now - self._told_at.get(key, float("-inf")) > _AGAIN:
            if len(self._told_at) >= _MAX_CLIENTS:
                self._told_at = {one: at for one, at in self._told_at.items() if now - at < _AGAIN}
            await self._tell(
                context,
                SyncLiteSubscription(
                    command.group, command.topic, client_id, "COMPLETE_ADD", command.lite_topics, self.core.now_ms()
                ),
            )
            self._told_at[key] = now
        return client_id

    def unsubscribed(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        """NOTIFY_UNSUBSCRIBE_LITE: another client of the group has taken a lite topic."""
        ext = request.ext_fields
        client_id, group = ext.get("clientId", ""), ext.get("consumerGroup", "")
        event = LiteTopicUnsubscribed(group, ext.get("liteTopic", ""))
        for (name, _, one), sessions in self._clients.items():
            if name == group and one == client_id:
                for session in sessions.values():
                    session.deliver(event)

    def session_ended(self, session: ISession) -> None:
        for key, sessions in list(self._clients.items()):
            if sessions.pop(session.number, None) is not None and not sessions:
                del self._clients[key]
                leaving = SyncLiteSubscription(*key, change="COMPLETE_REMOVE", version=self.core.now_ms())
                self.background(self._tell(None, leaving), "leaving lite topics")


def read_lite_popped(answer: RemotingCommand, broker_name: str) -> list[Popped]:
    """The messages of a successful answer to POP_LITE_MESSAGE (``MQClientAPIImpl.processPopLiteResponse`` of 5.5.0).

    :raise WireError: not fatal: it is not what such an answer must be.
    """
    ext = answer.ext_fields
    try:
        pop_time, invisible, revive = (int(ext.get(name, "0")) for name in ("popTime", "invisibleTime", "reviveQid"))
    except ValueError:
        raise WireError("the answer to a pop of lite topics: expected numbers in its header", fatal=False) from None
    sizes = stored_message.message_sizes(answer.body, 1024)
    counts = ext.get("orderCountInfo", "").split(";")
    popped: list[Popped] = []
    for number, (at, size) in enumerate(sizes):
        message = answer.body[at : at + size]
        properties = stored_message.properties(message)
        offset = find_property(properties, b"INNER_MULTI_QUEUE_OFFSET") or b""
        lite_topic = find_property(properties, b"__LITE_TOPIC") or b""
        if not offset.isdigit() or not lite_topic:
            raise WireError("a popped message of a lite topic: it does not say of which, and its offset there", fatal=False)
        count = counts[number].split(" ")[-1] if len(counts) == len(sizes) else ""
        handle = make_handle(
            0,
            pop_time,
            invisible,
            revive,
            "0",
            broker_name,
            0,
            int(offset),
            stored_message.physical_offset(message),
            lite_topic.decode("utf-8", "replace"),
        )
        # How lite topics are stored is no property that anybody sent.
        message = without_properties(message, b"INNER_MULTI_DISPATCH", b"INNER_MULTI_QUEUE_OFFSET")
        times = int(count) if count.isdigit() else 0
        popped.append(Popped(message, handle, times, times > 0))
    return popped
