"""Producer groups of plain sends: whom limits act on, and who is shown as connected (RIP-17).

A request names its producer group (``X-RocketMQ-Producer-Group``, or ``?producer_group=``); without one it is the topic's
name, as of every producer that did not say. While a connection sends for a group it is a member of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rmqgateway.commands import Heartbeat
from rmqgateway.errors import Code, GatewayError

if TYPE_CHECKING:
    from rmqgateway_http.call import Call

__all__ = ["Producers", "group_of", "named_group"]

log = Logger(namespace="rmqgateway.http")

_HEADER = b"x-rocketmq-producer-group"
#: RocketMQ's own rules for the name of a group.
_well_formed = re.compile(r"[%|a-zA-Z0-9_-]{1,255}").fullmatch
#: A member that says nothing for 120 s is forgotten: it says so again when it sends after so many seconds.
_BEAT_S = 30.0
#: Of one connection, at most so many groups are kept up.
_MAX_GROUPS = 64


def named_group(call: Call) -> str:
    """The producer group that a request names, or "". The query counts more than the header.

    :raise GatewayError: BAD_GROUP_NAME, or BAD_REQUEST: the query is none.
    """
    request = call.request
    given = request.fields.get(_HEADER)
    found = "" if given is None else given.decode("utf-8", "replace")
    if request.raw_query:
        found = call.query().get("producer_group") or found
    if found and not _well_formed(found):
        raise GatewayError(
            Code.BAD_GROUP_NAME, f"producer_group: expected 1 to 255 characters of ^[%|a-zA-Z0-9_-]+$, got {found[:100]!r}"
        )
    return found


def group_of(call: Call) -> str:
    """The producer group of a request that sends to the topic it names; its connection is a member of the one that it names.

    :raise GatewayError: BAD_GROUP_NAME.
    """
    request = call.request
    group = named_group(call) if request.raw_query or _HEADER in request.fields else ""
    if not group:
        return call.names[0]
    call.service.producers.seen(call, group)
    return group


class Producers:
    """Which connections send for which groups. :param instance: names this process in client ids."""

    def __init__(self, gateway: Any, instance: str) -> None:
        self._gateway = gateway
        self._instance = instance
        self._seen: dict[int, dict[str, float]] = {}  # by session: groups, and when it said so last

    def seen(self, call: Call, group: str) -> None:
        """A request sends for a group: its connection is a member. Nobody waits for that, and a refusal refuses no send."""
        session = call.context.session
        now = self._gateway.reactor.seconds()
        groups = self._seen.get(session.number)
        if groups is None:
            groups = self._seen[session.number] = {}
            session.on_end(lambda: self._forget(session.number))
        if now - groups.get(group, -_BEAT_S) < _BEAT_S:
            return
        if group not in groups and len(groups) >= _MAX_GROUPS:
            del groups[min(groups, key=groups.__getitem__)]
        groups[group] = now
        client_id = f"rmqgateway-http@{self._instance}#{session.number}"
        self._gateway.perform(call.context, Heartbeat(client_id, "HTTP", producers=tuple(groups)), _told, group)

    def _forget(self, number: int) -> None:
        self._seen.pop(number, None)


def _told(group: str, reply: None, error: GatewayError | None) -> None:
    if error is not None:
        log.debug("not a member of {group}: {reason}", group=group, reason=error.message)
