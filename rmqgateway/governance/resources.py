"""What a command does to which resources: the one place that reads the attributes of command classes.

As ``DefaultAuthorizationContextBuilder`` of RocketMQ 5.5.0 has it, but decided on commands, so that no wire is judged
differently, and stricter where Apache leaves a gap: the retry topic of another group than the one named is judged too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rmqgateway.commands import (
    Action,
    Command,
    EndTransaction,
    Heartbeat,
    LockQueues,
    QueryRoute,
    Resource,
    SendMessages,
    UnlockQueues,
)
from rmqgateway.wire.lite_topics import lite_parent
from rmqgateway.wire.message_const import PROPERTY_INNER_MULTI_DISPATCH
from rmqgateway.wire.message_properties import find_property

__all__ = ["Need", "needs_of", "resources_of", "topic_need"]

#: Kind, name ("*" is the cluster itself, or all of the kind) and the actions of which one must be permitted.
Need = tuple[Resource, str, tuple[Action, ...]]

_RETRY = "%RETRY%"
#: RocketMQ's own topic whose route stands for that of a topic that does not exist yet.
_AUTO_CREATE = "TBW102"
#: A producer may name queues of other topics here, separated by commas, into which a real broker puts the message, too.
_DISPATCH = PROPERTY_INNER_MULTI_DISPATCH.encode()
_ACTIONS: dict[type[Command[Any]], tuple[Action, ...]] = {}


def resources_of(command: Command[Any]) -> Iterator[tuple[Resource, str]]:
    """Yield (kind, name) of each resource; the cluster itself, or all of a kind, has the name "*"."""
    for kind, field in command.resources:
        if field is None:
            yield kind, "*"
            continue
        value = getattr(command, field)
        if isinstance(value, str):
            yield kind, value
        else:
            for name in value:
                yield kind, name


def needs_of(command: Command[Any]) -> Iterable[Need]:
    """Everything that the caller must be permitted; nothing for commands about the caller's own connection."""
    needs: Callable[[Any], Iterable[Need]] = _NEEDS.get(type(command), _of_any)
    return needs(command)


def _actions_of(command: Command[Any]) -> tuple[Action, ...]:
    kind = type(command)
    actions = _ACTIONS.get(kind)
    if actions is None:
        actions = _ACTIONS[kind] = (command.action, *command.or_actions)
    return actions


def _of_any(command: Command[Any]) -> Iterator[Need]:
    actions = _actions_of(command)
    group = getattr(command, "group", "")
    if not isinstance(group, str):
        group = ""
    for resource, name in resources_of(command):
        if resource is not Resource.TOPIC:
            yield resource, name, actions
        else:
            need = topic_need(name, group, actions)
            if need is not None:
                yield need


def topic_need(topic: str, group: str, actions: tuple[Action, ...]) -> Need | None:
    """What doing one of `actions` to a topic needs; a retry topic is its group's. None: what the group needs says it all.

    :param group: the consumer group that the command names (and is judged for), or "".
    """
    # What is behind a lite topic is its parent's.
    topic = lite_parent(topic) or topic
    if not topic.startswith(_RETRY):
        return Resource.TOPIC, topic, actions
    rest = topic[len(_RETRY) :]
    # Who may consume in a group may send to its retry topic (the pull clients' ladder).
    actions = tuple(dict.fromkeys(Action.SUB if action is Action.PUB else action for action in actions))
    if group:
        if rest == group:
            return None
        # Pop's retry topics: GROUP_TOPIC, and GROUP+TOPIC of the second version.
        if rest.startswith(group) and rest[len(group) :][:1] in ("_", "+"):
            return Resource.TOPIC, rest[len(group) + 1 :], actions
    return Resource.GROUP, rest.partition("+")[0], actions


def _of_sends(command: SendMessages) -> list[Need]:
    """The topic, and further queues that messages name to be put into (``CommitLogDispatcher`` of lite and LMQ queues)."""
    actions = _actions_of(command)
    needs = [topic_need(command.topic, "", actions)]
    for message in command.messages:
        if _DISPATCH in message.properties:
            queues = find_property(message.properties, _DISPATCH) or b""
            needs += [topic_need(queue, "", actions) for queue in queues.decode("utf-8", "replace").split(",") if queue]
    return [need for need in needs if need is not None]


def _of_end(command: EndTransaction) -> Iterable[Need]:
    # Clients before 5.1 do not name the topic: it is judged when the half message is found.
    return _of_any(command) if command.topic else ()


def _of_route(command: QueryRoute) -> Iterable[Need]:
    # The route of that topic tells producers of a new one where the broker is, and nothing else.
    return () if command.topic == _AUTO_CREATE else _of_any(command)


def _of_locks(command: LockQueues | UnlockQueues) -> Iterator[Need]:
    yield from _of_any(command)
    actions = _actions_of(command)
    for topic in dict.fromkeys(queue.topic for queue in command.queues):
        need = topic_need(topic, command.group, actions)
        if need is not None:
            yield need


def _of_heartbeat(command: Heartbeat) -> Iterator[Need]:
    actions = (Action.SUB,)
    for consumer in command.consumers:
        yield Resource.GROUP, consumer.group, actions
        for subscribed in consumer.subscriptions:
            need = topic_need(subscribed.topic, consumer.group, actions)
            if need is not None:
                yield need


#: Commands of which more than their `resources` counts, or less.
_NEEDS: dict[type[Command[Any]], Callable[[Any], Iterable[Need]]] = {
    EndTransaction: _of_end,
    Heartbeat: _of_heartbeat,
    LockQueues: _of_locks,
    QueryRoute: _of_route,
    SendMessages: _of_sends,
    UnlockQueues: _of_locks,
}
