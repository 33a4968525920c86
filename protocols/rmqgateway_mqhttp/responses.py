"""How every request ends: status, headers, XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from rmqgateway_mqhttp.codec import write_error
from rmqgateway_mqhttp.errors import Refused, refused_by

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from rmqgateway.interfaces import IRequest

__all__ = ["answer", "failed", "refuse"]

log = Logger(namespace="rmqgateway_mqhttp")

# The Python SDK looks for x-mq-request-id in lower case; Node's parses a body only under this type.
_TYPE = (b"content-type", b"text/xml;charset=utf-8")
_VERSION = (b"x-mq-version", b"2015-06-06")
_WITHOUT_BODY, _WITH_BODY = (_VERSION,), (_TYPE, _VERSION)
_UNFORESEEN = Refused(500, "InternalServerError", "the gateway's log has the cause")


def answer(request: IRequest, status: int, body: bytes = b"") -> None:
    """Answer; with 204 there is no body."""
    request.also(b"x-mq-request-id", request.context.request_id.encode())
    if status == 204:
        request.respond(204, _WITHOUT_BODY)
    else:
        request.respond(status, _WITH_BODY, body)


def refuse(request: IRequest, error: Exception) -> None:
    """Answer by an ``<Error>``; one that nobody foresaw is told without its text."""
    refused = refused_by(error) or _UNFORESEEN
    request_id = request.context.request_id
    headers = [_TYPE, (b"x-mq-request-id", request_id.encode()), _VERSION]
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(refused.retry_after))))
    if refused.allow:
        headers.append((b"allow", refused.allow))
    host = (request.header(b"host") or b"").decode("ascii", "replace")
    body = write_error(refused.code, refused.message, request_id, f"http://{host}" if host else "")
    request.respond(refused.status, tuple(headers), body)


def failed(failure: Failure, request: IRequest) -> None:
    """The end of a Deferred's errbacks."""
    error = failure.value
    if not isinstance(error, Exception) or refused_by(error) is None:
        log.failure("a request of {peer} failed", failure=failure, peer=request.context.session.peer)
        error = _UNFORESEEN
    refuse(request, error)
