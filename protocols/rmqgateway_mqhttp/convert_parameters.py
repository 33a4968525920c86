"""Path and query of a request: what is asked, of which topic, for which group; sans-IO."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from rmqgateway.errors import Code, GatewayError
from rmqgateway.namespaces import wrap
from rmqgateway_mqhttp.errors import Refused

__all__ = ["MAX_MESSAGES", "MAX_WAIT", "Operation", "Parameters", "read_parameters"]

#: Most messages of one consume, and most handles of one acknowledgement.
MAX_MESSAGES = 16
#: Longest wait of a consume, in seconds.
MAX_WAIT = 30


class Operation(enum.Enum):
    """What a request asks for."""

    PUBLISH = "publish"
    CONSUME = "consume"
    CONSUME_IN_ORDER = "consume in order"
    CONSUME_HALF = "consume half messages"
    ACKNOWLEDGE = "acknowledge"
    COMMIT = "commit"
    ROLL_BACK = "roll back"


_OPERATIONS = {
    "POST": {"": Operation.PUBLISH},
    "GET": {"": Operation.CONSUME, "order": Operation.CONSUME_IN_ORDER, "pop": Operation.CONSUME_HALF},
    "DELETE": {"": Operation.ACKNOWLEDGE, "commit": Operation.COMMIT, "rollback": Operation.ROLL_BACK},
}
#: Names are case-sensitive. A misspelt one is refused: without `tag` all messages would be consumed.
_KNOWN = {
    "POST": frozenset({"ns"}),
    "GET": frozenset({"ns", "consumer", "numOfMessages", "waitseconds", "tag", "trans", "liteTopics"}),
    "DELETE": frozenset({"ns", "consumer", "trans"}),
}


class Parameters(msgspec.Struct, frozen=True):
    """What a request asks for.

    :ivar topic: and :ivar group: inner names; the group is "" for a publish, and where Go's SDK leaves it out.
    :ivar wait_ms: how long to wait for a message.
    :ivar lite_topics: which of the topic's lite topics; ApsaraMQ has none, so the parameter ``liteTopics`` is ours.
    """

    operation: Operation
    topic: str
    group: str = ""
    namespace: str = ""
    max_messages: int = 1
    wait_ms: int = 0
    tag: str = "*"
    lite_topics: tuple[str, ...] = ()


def read_parameters(method: str, path: str, query: Sequence[tuple[str, str]]) -> Parameters:
    """Take a request apart.

    :param path: decoded. :param query: decoded, in any order: each SDK has its own.
    :raise Refused: 404 or 405. :raise GatewayError: BAD_REQUEST, naming the parameter.
    """
    parts = path.split("/")
    if len(parts) != 4 or parts[1] != "topics" or parts[3] != "messages" or not parts[2]:
        raise Refused(
            404, "ResourceNotFound", f"expected the path /topics/{{topic}}/messages, got {path[:200]!r}"
        )
    operations = _OPERATIONS.get(method)
    if operations is None:
        raise Refused(
            405, "MethodNotAllowed", f"expected POST, GET or DELETE, got {method}", allow=b"POST, GET, DELETE"
        )
    known = _KNOWN[method]
    given: dict[str, str] = {}
    for name, value in query:
        if name not in known:
            raise _bad(name[:50], f"expected one of {', '.join(sorted(known))} with {method}")
        if name in given:
            raise _bad(name, "expected it once")
        given[name] = value
    trans = given.get("trans", "")
    operation = operations.get(trans)
    if operation is None:
        raise _bad(
            "trans",
            f"expected one of {', '.join(filter(None, operations))} with {method}, got {trans[:50]!r}",
        )
    namespace = given.get("ns", "")
    if "%" in namespace:  # it parts an instance's name from a topic's
        raise _bad("ns", f"expected an instance id without '%', got {namespace[:50]!r}")
    topic = wrap(namespace, parts[2])
    if method == "POST":
        return Parameters(operation, topic, namespace=namespace)
    group = wrap(namespace, given.get("consumer", ""))
    if not group and operation not in (Operation.COMMIT, Operation.ROLL_BACK):
        raise _bad("consumer", "expected a consumer group")
    if method == "DELETE":
        return Parameters(operation, topic, group, namespace)
    tag = given.get("tag", "")
    if tag and operation is Operation.CONSUME_HALF:
        raise _bad("tag", "half messages are not filtered")
    if "liteTopics" in given and operation is Operation.CONSUME_HALF:
        raise _bad("liteTopics", "half messages are of no lite topic")
    return Parameters(
        operation,
        topic,
        group,
        namespace,
        _number("numOfMessages", given.get("numOfMessages"), 1, MAX_MESSAGES),
        _number("waitseconds", given.get("waitseconds", "0"), 0, MAX_WAIT) * 1000,
        tag or "*",
        tuple([name for name in given.get("liteTopics", "").split(",") if name]),
    )


def _number(name: str, text: str | None, least: int, most: int) -> int:
    if text is None:
        raise _bad(name, f"expected {least} to {most}, it is missing")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise _bad(name, f"expected {least} to {most}, got {text[:50]!r}")
    return int(text)


def _bad(name: str, text: str) -> GatewayError:
    return GatewayError(Code.BAD_REQUEST, f"parameter {name}: {text}")
