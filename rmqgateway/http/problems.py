"""What the core itself answers when it refuses a request: problem+json (RFC 9457)."""

from __future__ import annotations

import msgspec

from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.http1 import reason_phrase

__all__ = ["problem", "problem_of", "status_of"]

_HEADERS = ((b"content-type", b"application/problem+json"), (b"cache-control", b"no-store"))
_STATUS = {
    Code.BAD_REQUEST: 400,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.MESSAGE_TOO_LARGE: 413,
    Code.TOO_MANY_REQUESTS: 429,
    Code.BUSY: 503,
    Code.SHUTTING_DOWN: 503,
    Code.NOT_READY: 503,
    Code.TIMEOUT: 408,
}
#: The word of RocketMQ's API (``apache.rocketmq.v2.Code``) for a status; "BAD_REQUEST" for all others.
_WORDS = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    413: "MESSAGE_BODY_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_SERVER_ERROR",
    501: "UNSUPPORTED",
    503: "TOO_MANY_REQUESTS",
}

Fields = tuple[tuple[bytes, bytes], ...]


def problem(status: int, detail: str, more: Fields = ()) -> tuple[int, Fields, bytes]:
    """Status, headers and body of a refusal: the arguments of ``IRequest.respond``."""
    body = {
        "type": "about:blank",
        "title": reason_phrase(status).decode(),
        "status": status,
        "code": _WORDS.get(status, "BAD_REQUEST"),
        "detail": detail,
    }
    return status, _HEADERS + more, msgspec.json.encode(body)


def status_of(error: GatewayError) -> int:
    """The HTTP status where the core answers for a front-end that did not."""
    return _STATUS.get(error.code, 500)


def problem_of(error: GatewayError) -> tuple[int, Fields, bytes]:
    """As `problem`; an error that the core has no status for is told without its text."""
    status = status_of(error)
    more: Fields = ()
    if error.retry_after is not None:
        more = ((b"retry-after", b"%d" % max(1, round(error.retry_after))),)
    return problem(status, error.message if status != 500 else "the gateway's log has the cause", more)
