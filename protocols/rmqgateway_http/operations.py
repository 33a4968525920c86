"""Everything that is served, in one table: requests are routed by it, and ``/openapi.json`` is made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmqgateway_http import (
    landing,
    pages,
    pulling,
    receiving,
    replies,
    sending,
    streams,
    tickets,
    transactions,
)
from rmqgateway_http.call import Call
from rmqgateway_http.codec_json import (
    Acknowledged,
    Acknowledgement,
    ChangedHandle,
    Checks,
    LandingOut,
    MessageOut,
    MessagesOut,
    OffsetIn,
    OffsetOut,
    OffsetsOut,
    Prepared,
    Pulled,
    QueuesOut,
    Recalled,
    Sent,
    SentMany,
    Status,
    TicketOut,
)
from rmqgateway_http.codec_parameters import Parameter, boolean, choice, duration, moment, number, text
from rmqgateway_http.convert_sending import SEND_PARAMETERS

__all__ = ["NOTHING", "OPERATIONS", "Operation", "find"]

_MAX_INVISIBLE_MS = 43_200_000
_MAX_WAIT_MS = 30_000
_MAX_OFFSET = (1 << 63) - 1

#: What anybody may ask: about the API and the process.
ABOUT = "This API"

#: How a message body can come as a request's: the raw bytes, or one of these.
SENDING = "sending"


class Operation:
    """One method of one path.

    :ivar path: with variables in braces. :ivar request: a struct, SENDING, or None. :ivar responses: a struct, or None
        without a body, by status. :ivar safe: HEAD may be asked instead of GET.
    :ivar signed: needs a credential once users exist.
    """

    __slots__ = ("handler", "method", "name", "parameters", "path", "request", "responses", "safe", "signed", "summary", "tag")

    def __init__(
        self,
        name: str,
        method: str,
        path: str,
        handler: Callable[[Call], None],
        tag: str,
        parameters: tuple[Parameter, ...] = (),
        request: Any = None,
        responses: dict[int, Any] | None = None,
        safe: bool = False,
        summary: str = "",
    ) -> None:
        self.name = name
        self.method = method
        self.path = path
        self.handler = handler
        self.tag = tag
        self.signed = tag != ABOUT
        self.parameters = {parameter.name: parameter for parameter in parameters}
        self.request = request
        self.responses = responses or {}
        self.safe = safe
        self.summary = summary or (handler.__doc__ or "").split("\n")[0]


WAIT = duration("wait", "Wait so long for a message if none is there: 0 to 30 s.", _MAX_WAIT_MS, "0")
INVISIBLE = duration("invisible", "How long a message stays invisible to others of the group.", _MAX_INVISIBLE_MS, "60s")
FILTER = text("filter", "Tags that are wanted: a || b; * is all.")
SQL = text("sql", "An SQL92 expression over properties instead.")
BODY = choice("body", "How bodies are written: auto is text where it is UTF-8, else base64.", ("auto", "text", "base64"))
FIFO = boolean("fifo", "In order per message group; without it as the group is configured.")
QUEUE = number("queue_id", "One queue only.", 0, 65535)
BROKER = text("broker", "Whose queue it is, before a cluster where several brokers have one of this number.", 255)
MAX_BYTES = number("max_bytes", "So many bytes of messages at most; the first comes in any case.", 1, 1 << 28)
LITE = text("lite_topics", "Of a topic of type LITE: which of its lite topics, separated by commas.")
RAW = boolean("raw", "The request's body is the message's, whatever its content type.")
PRODUCER_GROUP = text(
    "producer_group",
    "The producer group that sends: limits act on it, and the connection is shown as its member. Of a transaction: who is asked "
    "if nobody ends it. The topic's name without it. Also as header X-RocketMQ-Producer-Group.",
    255,
)


def _most(most: int, default: int) -> Parameter:
    return number("max", f"So many messages at most, 1 to {most}.", 1, most, default)


_GROUP = "/v1/topics/{topic}/groups/{group}"
_SEND = (*SEND_PARAMETERS.values(), RAW, PRODUCER_GROUP)
_RECEIVE = (
    WAIT,
    _most(32, 1),
    INVISIBLE,
    FILTER,
    SQL,
    FIFO,
    QUEUE,
    MAX_BYTES,
    BODY,
    LITE,
    text("attempt_id", "Repeating a receive of an ordered group with the same id gives the same messages.", 255),
    boolean("raw", "One message, its body as it is; the rest in headers. 204 if there is none."),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "send", "POST", "/v1/topics/{topic}/messages", sending.send, "Producing", _SEND, SENDING, {201: (Sent, SentMany)}
    ),
    Operation(
        "recall", "DELETE", "/v1/topics/{topic}/delayed/{recall_handle}", sending.recall, "Producing", (PRODUCER_GROUP,), None,
        {200: Recalled},
    ),
    Operation(
        "begin", "POST", "/v1/topics/{topic}/transactions", transactions.begin, "Transactions",
        (*_SEND, duration("check_after", "Ask the group if it is undecided so much later.", 86_400_000)),
        SENDING, {201: Prepared},
    ),
    Operation(
        "commit", "POST", "/v1/transactions/{transaction}/commit", transactions.commit, "Transactions", (), None, {204: None}
    ),
    Operation(
        "roll_back", "POST", "/v1/transactions/{transaction}/rollback", transactions.roll_back, "Transactions", (), None,
        {204: None},
    ),
    Operation(
        "check", "GET", "/v1/producer-groups/{group}/checks", transactions.check, "Transactions", (WAIT, _most(32, 32), BODY),
        None, {200: Checks},
    ),
    Operation(
        "ask", "POST", "/v1/topics/{topic}/requests", replies.ask, "Requests and replies",
        (*_SEND, duration("timeout", "Wait so long for the reply.", _MAX_WAIT_MS, "3s")), SENDING, {200: MessageOut},
    ),
    Operation("reply", "POST", "/v1/replies/{reply_to}", replies.reply, "Requests and replies", _SEND, SENDING, {204: None}),
    Operation("receive", "GET", f"{_GROUP}/messages", receiving.receive, "Consuming", _RECEIVE, None,
        {200: MessagesOut, 204: None}),
    Operation(
        "receive_by_post", "POST", f"{_GROUP}/messages", receiving.receive, "Consuming", _RECEIVE, None,
        {200: MessagesOut, 204: None},
        summary="The same as GET, for those who must not cache or repeat it.",
    ),
    Operation("stream", "GET", f"{_GROUP}/stream", streams.stream, "Consuming", (
        number("max", "So many unsettled messages at most.", 1, 1024), INVISIBLE, FILTER, SQL, FIFO, BODY, LITE,
        choice("ack", "Who acknowledges: the gateway after writing, or the client.", ("auto", "explicit")),
        choice("format", "sse, or JSON lines (Accept: application/x-ndjson says the same).", ("sse", "ndjson")),
        duration("resume", "Messages of a broken event stream wait so long for the client to come back.", 60_000, "2s"),
        text("last_event_id", "As the header Last-Event-ID, for those who cannot send it.", 16_384),
        boolean("broadcast", "Every listener of the group gets every message; nothing is acknowledged."),
        choice(
            "start", "Where a group that is new, or a listener of a broadcast, begins: with the oldest message (min: groups, "
            "unless said otherwise), or with what comes from now on (max: broadcasts).", ("min", "max"), default=False,
        ),
    ), None, {200: str}),
    Operation(
        "acknowledge", "DELETE", f"{_GROUP}/messages/{{receipt_handle}}", receiving.acknowledge, "Consuming", (), None,
        {204: None},
    ),
    Operation(
        "acknowledge_many", "POST", f"{_GROUP}/acks", receiving.acknowledge_many, "Consuming", (), Acknowledgement,
        {200: Acknowledged, 207: Acknowledged},
    ),
    Operation(
        "change_invisible", "PATCH", f"{_GROUP}/messages/{{receipt_handle}}", receiving.change_invisible, "Consuming",
        (INVISIBLE,), None, {200: ChangedHandle},
    ),
    Operation(
        "give_back", "POST", f"{_GROUP}/messages/{{receipt_handle}}/nack", receiving.give_back, "Consuming",
        (duration("delay", "Visible again after so long; at once without it.", _MAX_INVISIBLE_MS, "0"),), None, {204: None},
    ),
    Operation(
        "dead_letter", "POST", f"{_GROUP}/messages/{{receipt_handle}}/dead-letter", receiving.dead_letter, "Consuming", (), None,
        {204: None},
    ),
    Operation(
        "peek", "GET", f"{_GROUP}/peek", receiving.peek, "Consuming", (_most(32, 1), QUEUE, BODY), None, {200: MessagesOut}, True
    ),
    Operation(
        "pull", "GET", f"{_GROUP}/queues/{{queue}}/messages", pulling.pull, "Pulling", (
            number("offset", "Where to begin; without it where the group is.", 0, _MAX_OFFSET), WAIT, _most(1024, 32), MAX_BYTES,
            FILTER, SQL, BODY, number("commit_offset", "Record this as the group's place first.", 0, _MAX_OFFSET), BROKER,
        ), None, {200: Pulled},
    ),
    Operation(
        "get_offset", "GET", f"{_GROUP}/queues/{{queue}}/offset", pulling.get_offset, "Pulling", (BROKER,), None,
        {200: OffsetOut}, True
    ),
    Operation(
        "set_offset", "PUT", f"{_GROUP}/queues/{{queue}}/offset", pulling.set_offset, "Pulling", (BROKER,), OffsetIn, {204: None}
    ),
    Operation(
        "query_offsets", "GET", "/v1/topics/{topic}/queues/{queue}/offsets", pulling.query_offsets, "Pulling",
        (moment("timestamp", "Also the offset of the first message stored at or after this: ms, or RFC 3339."), BROKER), None,
        {200: OffsetsOut}, True,
    ),
    Operation(
        "query_queues", "GET", "/v1/topics/{topic}/queues", pulling.query_queues, "Pulling", (), None, {200: QueuesOut}, True
    ),
    Operation("create_ticket", "POST", "/v1/tickets", tickets.create_ticket, "Signing in", (), None, {201: TicketOut}),
    Operation("landing", "GET", "/", landing.landing, ABOUT, (), None, {200: LandingOut}, True),
    Operation("openapi", "GET", "/openapi.json", pages.openapi, ABOUT, (), None, {200: dict}, True),
    Operation("docs", "GET", "/docs", pages.docs, ABOUT, (), None, {200: str}, True),
    Operation("health", "GET", "/healthz", pages.health, ABOUT, (), None, {200: Status}, True),
    Operation("readiness", "GET", "/readyz", pages.readiness, ABOUT, (), None, {200: Status}, True),
)  # fmt: skip

#: What a request is about that no operation serves.
NOTHING = Operation("nothing", "GET", "", lambda call: None, "")

#: Fixed parts of a path (every second segment behind the version) and how many segments: what is served there, by method.
_TABLE: dict[tuple[str, int], dict[str, Operation]] = {}
_MAX_SEGMENTS = 9


def _key(segments: list[str]) -> tuple[str, int]:
    return "/".join(segments[2::2]), len(segments)


for _operation in OPERATIONS:
    if _operation.path.startswith("/v1/"):
        _methods = _TABLE.setdefault(_key(_operation.path.split("/")), {})
    else:
        _methods = _TABLE.setdefault((_operation.path, 0), {})
    _methods[_operation.method] = _operation
    if _operation.safe:
        _methods["HEAD"] = _operation


Found = tuple[Operation | None, tuple[str, ...], tuple[str, ...]]
_CACHE: dict[tuple[str, str], Found] = {}
_MAX_CACHED = 1024
_LONGEST_CACHED = 100


def find(method: str, path: str) -> Found:
    """What serves a request, the variable parts of its path, and (where nothing does) the methods of that path."""
    key = (method, path)
    found = _CACHE.get(key)
    if found is None:
        found = _find(method, path)
        # Producers use few paths often; each receipt handle is a path of its own.
        if len(path) <= _LONGEST_CACHED and found[0] is not None and "receipt_handle" not in found[0].path:
            if len(_CACHE) >= _MAX_CACHED:
                _CACHE.clear()
            _CACHE[key] = found
    return found


def _find(method: str, path: str) -> Found:
    segments = path.split("/", _MAX_SEGMENTS)
    found = _TABLE.get(_key(segments)) if segments[1] == "v1" else _TABLE.get((path, 0))
    names = tuple(segments[3::2]) if segments[1] == "v1" else ()
    if found is None or "" in names:
        return None, (), ()
    operation = found.get(method)
    if operation is None:
        return None, (), tuple(found)
    return operation, names, ()
