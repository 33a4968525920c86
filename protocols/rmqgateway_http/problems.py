"""Errors in HTTP's words: a status and RocketMQ's code word for each `Code`, as problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

import msgspec

from rmqgateway.errors import RETRYABLE, Code, GatewayError, WireError

__all__ = ["PROBLEMS", "WORDS", "problem_value", "status_of"]

#: The status, and the word of RocketMQ's API (``apache.rocketmq.v2.Code``) that its own clients would see.
PROBLEMS: dict[Code, tuple[int, str]] = {
    Code.BAD_REQUEST: (400, "BAD_REQUEST"),
    Code.BAD_TOPIC_NAME: (400, "ILLEGAL_TOPIC"),
    Code.BAD_GROUP_NAME: (400, "ILLEGAL_CONSUMER_GROUP"),
    Code.BAD_MESSAGE: (400, "MESSAGE_CORRUPTED"),
    Code.BAD_MESSAGE_PROPERTY: (400, "ILLEGAL_MESSAGE_PROPERTY_KEY"),
    Code.BAD_MESSAGE_TYPE: (409, "MESSAGE_PROPERTY_CONFLICT_WITH_TYPE"),
    Code.BAD_DELIVERY_TIME: (400, "ILLEGAL_DELIVERY_TIME"),
    Code.BAD_FILTER: (400, "ILLEGAL_FILTER_EXPRESSION"),
    Code.BAD_RECEIPT_HANDLE: (400, "INVALID_RECEIPT_HANDLE"),
    Code.BAD_OFFSET: (400, "ILLEGAL_OFFSET"),
    Code.BAD_INVISIBLE_DURATION: (400, "ILLEGAL_INVISIBLE_TIME"),
    Code.BAD_POLLING_TIME: (400, "ILLEGAL_POLLING_TIME"),
    Code.BAD_CLIENT_ID: (400, "CLIENT_ID_REQUIRED"),
    Code.MESSAGE_TOO_LARGE: (413, "MESSAGE_BODY_TOO_LARGE"),
    Code.PROPERTIES_TOO_LARGE: (413, "MESSAGE_PROPERTIES_TOO_LARGE"),
    Code.TOPIC_NOT_FOUND: (404, "TOPIC_NOT_FOUND"),
    Code.GROUP_NOT_FOUND: (404, "CONSUMER_GROUP_NOT_FOUND"),
    Code.MESSAGE_NOT_FOUND: (404, "MESSAGE_NOT_FOUND"),
    Code.OFFSET_NOT_FOUND: (404, "OFFSET_NOT_FOUND"),
    Code.CLIENT_NOT_FOUND: (404, "NOT_FOUND"),
    Code.USER_NOT_FOUND: (404, "NOT_FOUND"),
    Code.POLICY_NOT_FOUND: (404, "NOT_FOUND"),
    Code.ALREADY_EXISTS: (409, "BAD_REQUEST"),
    Code.RECEIPT_HANDLE_EXPIRED: (410, "INVALID_RECEIPT_HANDLE"),
    Code.TRANSACTION_NOT_FOUND: (404, "INVALID_TRANSACTION_ID"),
    Code.SUBSCRIPTION_INCONSISTENT: (409, "PRECONDITION_FAILED"),
    Code.CONSUME_MODE_CONFLICT: (409, "PRECONDITION_FAILED"),
    Code.UNSUPPORTED: (501, "UNSUPPORTED"),
    Code.UNAUTHENTICATED: (401, "UNAUTHORIZED"),
    Code.FORBIDDEN: (403, "FORBIDDEN"),
    Code.TOPIC_NOT_WRITABLE: (403, "FORBIDDEN"),
    Code.TOPIC_NOT_READABLE: (403, "FORBIDDEN"),
    Code.GROUP_DISABLED: (403, "FORBIDDEN"),
    Code.TOO_MANY_REQUESTS: (429, "TOO_MANY_REQUESTS"),
    Code.BUSY: (503, "TOO_MANY_REQUESTS"),
    Code.STORE_FULL: (507, "INTERNAL_SERVER_ERROR"),
    Code.SHUTTING_DOWN: (503, "INTERNAL_SERVER_ERROR"),
    Code.NOT_READY: (503, "INTERNAL_SERVER_ERROR"),
    Code.TIMEOUT: (504, "PROXY_TIMEOUT"),
    Code.CANCELLED: (408, "REQUEST_TIMEOUT"),
    Code.UPSTREAM_UNAVAILABLE: (503, "PROXY_TIMEOUT"),
    Code.UPSTREAM_ERROR: (502, "INTERNAL_SERVER_ERROR"),
    Code.STORE_FAILED: (500, "INTERNAL_SERVER_ERROR"),
    Code.INTERNAL: (500, "INTERNAL_SERVER_ERROR"),
}
#: Every word that a problem's ``code`` may be.
WORDS = tuple(sorted({word for _, word in PROBLEMS.values()}))

Fields = tuple[tuple[bytes, bytes], ...]
_TYPE: Fields = ((b"content-type", b"application/problem+json"), (b"cache-control", b"no-store"))
_WHO: Fields = ((b"www-authenticate", b'Basic realm="rmqgateway", charset="UTF-8", Bearer realm="rmqgateway"'),)


def problem_value(error: GatewayError | WireError) -> dict[str, Any]:
    """The members of the problem. ``code`` is RocketMQ's word, ``type`` names our own, finer one."""
    if isinstance(error, WireError):
        error = GatewayError(Code.BAD_REQUEST, error.message)
    status, word = PROBLEMS[error.code]
    value: dict[str, Any] = {
        "type": "urn:rmqgateway:" + error.code.name.lower().replace("_", "-"),
        "title": error.code.value,
        "status": status,
        "code": word,
        "detail": error.message,
    }
    if error.upstream_code is not None:
        value["upstream_code"] = error.upstream_code
    return value


def status_of(error: GatewayError | WireError, request_id: str = "") -> tuple[int, Fields, bytes]:
    """Status, headers and body of a refusal: the arguments of ``IRequest.respond``."""
    value = problem_value(error)
    headers = _TYPE
    if request_id:
        value["request_id"] = request_id
        headers += ((b"x-request-id", request_id.encode()),)
    if isinstance(error, GatewayError):
        if error.code in RETRYABLE or error.retry_after is not None:
            headers += ((b"retry-after", b"%d" % max(1, round(error.retry_after or 1.0))),)
        if error.code is Code.UNAUTHENTICATED:
            headers += _WHO
    return value["status"], headers, msgspec.json.encode(value)
