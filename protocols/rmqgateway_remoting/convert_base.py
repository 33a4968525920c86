"""What all conversions share: how an operation is described, reading header fields, writing responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmqgateway.errors import WireError
from rmqgateway.message import TAG_ALL, Filter, FilterType, MessageQueue
from rmqgateway.wire.bodies.common import MessageQueue as QueueBody
from rmqgateway.wire.remoting import JSON, encode_response
from rmqgateway.wire.request_codes import request_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rmqgateway.commands import Command, Consumer
    from rmqgateway.errors import Code
    from rmqgateway.interfaces import ISession
    from rmqgateway.wire.remoting import RemotingCommand
    from rmqgateway.wire.request_codes import ResponseCode

__all__ = [
    "INT32",
    "INT64",
    "Operation",
    "Peer",
    "boolean",
    "explain",
    "filter_of",
    "int32",
    "int64",
    "queue_bodies",
    "queue_body",
    "queues_of",
    "reply_nothing",
    "respond",
    "text",
]

#: Kinds of numbers, for `explain`.
INT32 = "an int32"
INT64 = "an int64"
BOOLEAN = "true or false"
TEXT = "text"


class Peer:
    """What conversions know of the connection that they serve.

    :ivar host, host_bytes: under which address the client reaches us, as text and as in stored messages.
    :ivar id_prefix: the first 16 or 40 digits of offset message ids, which are this host.
    :ivar client_id, language: from the last heartbeat, or "".
    :ivar namespace: of the requests of a client that has one (header fields ``ns`` and ``nsd``), or "".
    :ivar consumers: the consumers of the last whole heartbeat; later ones may leave the subscriptions out.
    :ivar fingerprint: the heartbeat fingerprint that `consumers` came with, or 0.
    """

    __slots__ = (
        "client_id",
        "consumers",
        "fingerprint",
        "host",
        "host_bytes",
        "id_prefix",
        "language",
        "namespace",
        "session",
        "subscriptions_changed",
    )

    def __init__(self, session: ISession) -> None:
        self.session = session
        self.host = session.host
        self.host_bytes = session.host_bytes
        self.id_prefix = session.host_bytes.hex().upper()
        self.client_id = ""
        self.language = ""
        self.namespace = ""
        self.consumers: dict[str, Consumer] = {}
        self.fingerprint = 0
        self.subscriptions_changed = True


class Operation:
    """How one request code is served.

    :ivar parse: makes the command of a request. Raises WireError (not fatal).
    :ivar reply: writes the response to a reply into a list of bytes.
    :ivar waits: whether the request may wait long for something to happen; it is cancelled when the client goes.
    :ivar bulky: whether its response may be much larger than the request.
    :ivar errors: response codes that differ from the table of all.
    """

    __slots__ = ("bulky", "code", "command", "errors", "name", "parse", "reply", "waits")

    def __init__(
        self,
        code: int,
        command: type[Command[Any]],
        parse: Callable[[RemotingCommand, Peer], Command[Any]],
        reply: Callable[[Any, RemotingCommand, Peer, list[bytes]], None],
        *,
        waits: bool = False,
        bulky: bool = True,
        errors: dict[Code, ResponseCode] | None = None,
    ) -> None:
        self.code = code
        self.command = command
        self.parse = parse
        self.reply = reply
        self.waits = waits
        self.bulky = bulky
        self.errors = errors
        self.name = request_name(code)


_PLAIN = b'{"code":0,"flag":1,"language":"JAVA","opaque":%d,"serializeTypeCurrentRPC":"JSON","version":513}'


def respond(
    request: RemotingCommand,
    out: list[bytes],
    ext_fields: dict[str, str] | None = None,
    body: bytes = b"",
    code: int = 0,
    remark: str | None = None,
) -> None:
    """Write a response, in the serialization of its request."""
    out.append(encode_response(request.opaque, code, ext_fields, remark, body, request.serialization))


def reply_nothing(reply: object, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """Write a response that says no more than that it was done."""
    if request.serialization == JSON:
        header = _PLAIN % request.opaque
        size = len(header)
        out.append((size + 4 << 32 | size).to_bytes(8, "big") + header)
    else:
        out.append(encode_response(request.opaque, serialization=request.serialization))


def explain(
    ext_fields: dict[str, str], kinds: dict[str, str], required: tuple[str, ...], names: dict[str, str] | None = None
) -> WireError:
    """Find out which field a fast reader stumbled over.

    :param kinds: kinds of the fields that are numbers. :param required: fields that must be there.
    :param names: whole names of fields that are spelt by letters.
    """
    for field in (*required, *kinds):
        kind = kinds.get(field, TEXT)
        value = ext_fields.get(field)
        if value is None or (not value and kind != TEXT):
            if field not in required:
                continue
            got = "none" if value is None else "''"
        else:
            if kind == TEXT:
                continue
            bits = 31 if kind == INT32 else 63
            try:
                if -(1 << bits) <= int(value) < 1 << bits:
                    continue
            except ValueError:
                pass
            got = repr(value[:40])
        label = field if names is None else f"{names[field]} ({field})"
        return WireError(f"header field {label}: expected {kind}, got {got}", fatal=False)
    return WireError("header fields: one of them is not what it should be", fatal=False)


def text(ext_fields: dict[str, str], name: str) -> str:
    """A field that must be there. :raise WireError: it is not."""
    value = ext_fields.get(name)
    if value is None:
        raise WireError(f"header field {name}: expected {TEXT}, got none", fatal=False)
    return value


def _number(ext_fields: dict[str, str], name: str, default: int | None, kind: str, bits: int) -> int:
    value = ext_fields.get(name)
    if value is None:
        if default is None:
            raise WireError(f"header field {name}: expected {kind}, got none", fatal=False)
        return default
    try:
        number = int(value)
    except ValueError:
        raise WireError(f"header field {name}: expected {kind}, got {value[:40]!r}", fatal=False) from None
    if not -(1 << bits) <= number < 1 << bits:
        raise WireError(f"header field {name}: expected {kind}, got {value[:40]!r}", fatal=False)
    return number


def int32(ext_fields: dict[str, str], name: str, default: int | None = None) -> int:
    """A number of 32 bits; without a default it must be there. :raise WireError: it is not, or is none."""
    return _number(ext_fields, name, default, INT32, 31)


def int64(ext_fields: dict[str, str], name: str, default: int | None = None) -> int:
    """A number of 64 bits; without a default it must be there. :raise WireError: it is not, or is none."""
    return _number(ext_fields, name, default, INT64, 63)


def boolean(ext_fields: dict[str, str], name: str, default: bool = False) -> bool:
    """A boolean as Java's Boolean.parseBoolean reads it: everything but "true" is false."""
    value = ext_fields.get(name)
    return default if value is None else value.lower() == "true"


def filter_of(expression: str | None, kind: str | None) -> Filter:
    """A filter as clients write it: nothing and ``*`` let everything through, no type means tags.

    :raise WireError: a type that RocketMQ does not define.
    """
    if not kind or kind == "TAG":
        if not expression or expression == "*":
            return TAG_ALL
        return Filter(expression)
    if kind == "SQL92":
        return Filter(expression or "", FilterType.SQL92)
    raise WireError(f"expressionType: expected TAG or SQL92, got {kind[:40]!r}", fatal=False)


def queue_bodies(queues: Iterable[MessageQueue]) -> list[QueueBody]:
    """Queues as bodies have them."""
    return [QueueBody(queue.broker_name, queue.queue_id, queue.topic) for queue in queues]


def queue_body(queue: MessageQueue) -> QueueBody:
    """A queue as bodies have it, also as a key of maps."""
    return QueueBody(queue.broker_name, queue.queue_id, queue.topic)


def queues_of(bodies: Iterable[QueueBody] | None) -> tuple[MessageQueue, ...]:
    """The queues of a body."""
    return tuple([MessageQueue(body.topic, body.broker_name, body.queue_id) for body in bodies or ()])
