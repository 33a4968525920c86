"""What went wrong, in RocketMQ's words: one table for every `Code`."""

from __future__ import annotations

from rmqgateway.errors import RETRYABLE, Code, GatewayError, WireError
from rmqgateway_websocket.frames import FrameError

__all__ = ["STATUS", "error_frame"]

#: Word and number of ``Code`` of apache.rocketmq.v2, as the gRPC front-end answers (a test compares them).
STATUS: dict[Code, tuple[str, int]] = {
    Code.BAD_REQUEST: ("BAD_REQUEST", 40000),
    Code.BAD_TOPIC_NAME: ("ILLEGAL_TOPIC", 40002),
    Code.BAD_GROUP_NAME: ("ILLEGAL_CONSUMER_GROUP", 40003),
    Code.BAD_MESSAGE: ("MESSAGE_CORRUPTED", 40016),
    Code.BAD_MESSAGE_PROPERTY: ("ILLEGAL_MESSAGE_PROPERTY_KEY", 40007),
    Code.BAD_MESSAGE_TYPE: ("MESSAGE_PROPERTY_CONFLICT_WITH_TYPE", 40014),
    Code.BAD_DELIVERY_TIME: ("ILLEGAL_DELIVERY_TIME", 40012),
    Code.BAD_FILTER: ("ILLEGAL_FILTER_EXPRESSION", 40010),
    Code.BAD_RECEIPT_HANDLE: ("INVALID_RECEIPT_HANDLE", 40013),
    Code.BAD_OFFSET: ("ILLEGAL_OFFSET", 40019),
    Code.BAD_INVISIBLE_DURATION: ("ILLEGAL_INVISIBLE_TIME", 40011),
    Code.BAD_POLLING_TIME: ("ILLEGAL_POLLING_TIME", 40018),
    Code.BAD_CLIENT_ID: ("CLIENT_ID_REQUIRED", 40017),
    Code.MESSAGE_TOO_LARGE: ("MESSAGE_BODY_TOO_LARGE", 41301),
    Code.PROPERTIES_TOO_LARGE: ("MESSAGE_PROPERTIES_TOO_LARGE", 43101),
    Code.TOPIC_NOT_FOUND: ("TOPIC_NOT_FOUND", 40402),
    Code.GROUP_NOT_FOUND: ("CONSUMER_GROUP_NOT_FOUND", 40403),
    Code.MESSAGE_NOT_FOUND: ("MESSAGE_NOT_FOUND", 40401),
    Code.OFFSET_NOT_FOUND: ("OFFSET_NOT_FOUND", 40404),
    Code.CLIENT_NOT_FOUND: ("NOT_FOUND", 40400),
    Code.USER_NOT_FOUND: ("NOT_FOUND", 40400),
    Code.POLICY_NOT_FOUND: ("NOT_FOUND", 40400),
    Code.ALREADY_EXISTS: ("BAD_REQUEST", 40000),
    Code.RECEIPT_HANDLE_EXPIRED: ("INVALID_RECEIPT_HANDLE", 40013),
    Code.TRANSACTION_NOT_FOUND: ("INVALID_TRANSACTION_ID", 40008),
    Code.SUBSCRIPTION_INCONSISTENT: ("PRECONDITION_FAILED", 42800),
    Code.CONSUME_MODE_CONFLICT: ("PRECONDITION_FAILED", 42800),
    Code.UNSUPPORTED: ("UNSUPPORTED", 50500),
    Code.UNAUTHENTICATED: ("UNAUTHORIZED", 40100),
    Code.FORBIDDEN: ("FORBIDDEN", 40300),
    Code.TOPIC_NOT_WRITABLE: ("FORBIDDEN", 40300),
    Code.TOPIC_NOT_READABLE: ("FORBIDDEN", 40300),
    Code.GROUP_DISABLED: ("FORBIDDEN", 40300),
    Code.TOO_MANY_REQUESTS: ("TOO_MANY_REQUESTS", 42900),
    Code.BUSY: ("TOO_MANY_REQUESTS", 42900),
    Code.STORE_FULL: ("INTERNAL_SERVER_ERROR", 50001),
    Code.SHUTTING_DOWN: ("INTERNAL_SERVER_ERROR", 50001),
    Code.NOT_READY: ("INTERNAL_SERVER_ERROR", 50001),
    Code.TIMEOUT: ("PROXY_TIMEOUT", 50400),
    Code.CANCELLED: ("REQUEST_TIMEOUT", 40800),
    Code.UPSTREAM_UNAVAILABLE: ("PROXY_TIMEOUT", 50400),
    Code.UPSTREAM_ERROR: ("INTERNAL_SERVER_ERROR", 50001),
    Code.STORE_FAILED: ("INTERNAL_SERVER_ERROR", 50001),
    Code.INTERNAL: ("INTERNAL_SERVER_ERROR", 50001),
}

#: The hint where a refusal that passes names no time.
_RETRY_MS = 1000


def error_frame(
    error: BaseException | None, frame_id: int | str | None = None, subscription: str = ""
) -> FrameError:
    """The frame that tells a WireError or a GatewayError; of anything else it tells nothing but that it is ours."""
    if isinstance(error, WireError):
        code, text = Code.BAD_REQUEST, error.message
    elif isinstance(error, GatewayError):
        code, text = error.code, error.message
    else:
        code, text = Code.INTERNAL, "the gateway's log has the cause"
    retry_ms = None
    if code in RETRYABLE:
        after = error.retry_after if isinstance(error, GatewayError) else None
        retry_ms = _RETRY_MS if after is None else max(1, round(after * 1000))
    word, status = STATUS[code]
    return FrameError(
        code=word,
        status=status,
        reason=code.name,
        message=text,
        id=frame_id,
        subscription=subscription,
        retry_after_ms=retry_ms,
    )
