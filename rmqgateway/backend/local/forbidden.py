"""Which consumer groups may not read which topics: a group's members are paused at one topic.

Source: ``SubscriptionGroupManager`` (its ``forbiddenTable``) and ``PullMessageProcessor`` of 5.5.0. There, letting one topic go
on lets all of the group's go on, and is not written down; here it is one topic, and durable.
"""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.commands.administering import GroupForbidden, UpdateGroupForbidden
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError

__all__ = ["Forbidden"]

_TABLE = "forbidden"
_log = Logger()


class _Record(msgspec.Struct, array_like=True):
    """What the metadata table holds for a group. :ivar format: 1."""

    format: int
    topics: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class Forbidden(Component):
    """The topics that groups may not read.

    :ivar by_group: only groups that have such topics; read only for others.
    """

    def __init__(self, core: Core, groups: Groups) -> None:
        super().__init__(core)
        self._groups = groups
        self.by_group: dict[str, set[str]] = {}
        groups.on_delete.append(self._group_deleted)

    def handlers(self) -> Handlers:
        return {UpdateGroupForbidden: self.update_group_forbidden}

    def start(self) -> None:
        for group, value in self.core.store.metadata.items(_TABLE):
            try:
                self.by_group[group] = set(_decode(value).topics)
            except msgspec.MsgspecError as error:
                _log.error(
                    "what consumer group {group} may not read is passed over: {error}", group=group, error=error
                )

    def may_read(self, group: str, topic: str) -> bool:
        """Whether members of a group may read a topic."""
        topics = self.by_group.get(group)
        return topics is None or topic not in topics

    def update_group_forbidden(
        self, context: Context, command: UpdateGroupForbidden
    ) -> GroupForbidden | Deferred[GroupForbidden]:
        group, topic = command.group, command.topic
        if command.readable is None or command.readable is self.may_read(group, topic):
            return GroupForbidden(group, topic, self.may_read(group, topic))
        topics = set(self.by_group.get(group, ()))
        if command.readable:
            topics.discard(topic)
        else:
            names.check_topic(topic)
            self._groups.find(group)
            limit = self.core.settings.max_groups
            if sum(map(len, self.by_group.values())) >= limit:
                raise GatewayError(
                    Code.STORE_FULL, f"{limit} topics are forbidden to consumer groups already (max_groups)"
                )
            topics.add(topic)
        return self._keep(group, topics).addCallback(lambda _: GroupForbidden(group, topic, bool(command.readable)))

    def _keep(self, group: str, topics: set[str]) -> Deferred[None]:
        if topics:
            self.by_group[group] = topics
        else:
            self.by_group.pop(group, None)
        value = _encode(_Record(1, sorted(topics))) if topics else None
        return self.core.store.metadata.change([(_TABLE, group, value), self._groups.changed()])

    def _group_deleted(self, group: str) -> None:
        if group in self.by_group:
            self._keep(group, set()).addErrback(
                lambda failure: _log.failure("what a deleted consumer group might not read is still recorded", failure)
            )
