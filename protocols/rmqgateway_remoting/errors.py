"""Which response code says what in RocketMQ's words: one table for every `Code`, after what a real broker answers."""

from __future__ import annotations

from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.request_codes import ResponseCode

__all__ = ["RESPONSE_CODES", "response_code"]

#: An operation may answer otherwise where the real broker does (``Operation.errors``).
RESPONSE_CODES: dict[Code, ResponseCode] = {
    Code.BAD_REQUEST: ResponseCode.INVALID_PARAMETER,
    Code.BAD_TOPIC_NAME: ResponseCode.INVALID_PARAMETER,
    Code.BAD_GROUP_NAME: ResponseCode.INVALID_PARAMETER,
    Code.BAD_MESSAGE: ResponseCode.MESSAGE_ILLEGAL,
    Code.BAD_MESSAGE_PROPERTY: ResponseCode.MESSAGE_ILLEGAL,
    Code.BAD_MESSAGE_TYPE: ResponseCode.MESSAGE_ILLEGAL,
    Code.BAD_DELIVERY_TIME: ResponseCode.MESSAGE_ILLEGAL,
    Code.BAD_FILTER: ResponseCode.SUBSCRIPTION_PARSE_FAILED,
    Code.BAD_RECEIPT_HANDLE: ResponseCode.MESSAGE_ILLEGAL,
    Code.BAD_OFFSET: ResponseCode.INVALID_PARAMETER,
    Code.BAD_INVISIBLE_DURATION: ResponseCode.INVALID_PARAMETER,
    Code.BAD_POLLING_TIME: ResponseCode.INVALID_PARAMETER,
    Code.BAD_CLIENT_ID: ResponseCode.INVALID_PARAMETER,
    Code.MESSAGE_TOO_LARGE: ResponseCode.MESSAGE_ILLEGAL,
    Code.PROPERTIES_TOO_LARGE: ResponseCode.MESSAGE_ILLEGAL,
    Code.TOPIC_NOT_FOUND: ResponseCode.TOPIC_NOT_EXIST,
    Code.GROUP_NOT_FOUND: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    Code.MESSAGE_NOT_FOUND: ResponseCode.QUERY_NOT_FOUND,
    Code.OFFSET_NOT_FOUND: ResponseCode.QUERY_NOT_FOUND,
    Code.CLIENT_NOT_FOUND: ResponseCode.CONSUMER_NOT_ONLINE,
    Code.USER_NOT_FOUND: ResponseCode.USER_NOT_EXIST,
    Code.POLICY_NOT_FOUND: ResponseCode.POLICY_NOT_EXIST,
    Code.ALREADY_EXISTS: ResponseCode.INVALID_PARAMETER,
    Code.RECEIPT_HANDLE_EXPIRED: ResponseCode.NO_MESSAGE,
    Code.TRANSACTION_NOT_FOUND: ResponseCode.SYSTEM_ERROR,
    Code.SUBSCRIPTION_INCONSISTENT: ResponseCode.SUBSCRIPTION_NOT_LATEST,
    Code.CONSUME_MODE_CONFLICT: ResponseCode.NO_PERMISSION,
    Code.UNSUPPORTED: ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
    Code.UNAUTHENTICATED: ResponseCode.NO_PERMISSION,
    Code.FORBIDDEN: ResponseCode.NO_PERMISSION,
    Code.TOPIC_NOT_WRITABLE: ResponseCode.NO_PERMISSION,
    Code.TOPIC_NOT_READABLE: ResponseCode.NO_PERMISSION,
    Code.GROUP_DISABLED: ResponseCode.NO_PERMISSION,
    Code.TOO_MANY_REQUESTS: ResponseCode.SYSTEM_BUSY,
    Code.BUSY: ResponseCode.SYSTEM_BUSY,
    # A broker with a full disk says this, and producers then try another broker.
    Code.STORE_FULL: ResponseCode.SERVICE_NOT_AVAILABLE,
    Code.SHUTTING_DOWN: ResponseCode.SERVICE_NOT_AVAILABLE,
    Code.NOT_READY: ResponseCode.SERVICE_NOT_AVAILABLE,
    Code.TIMEOUT: ResponseCode.CONSUME_MSG_TIMEOUT,
    Code.CANCELLED: ResponseCode.SYSTEM_ERROR,
    Code.UPSTREAM_UNAVAILABLE: ResponseCode.SERVICE_NOT_AVAILABLE,
    Code.UPSTREAM_ERROR: ResponseCode.SYSTEM_ERROR,
    Code.STORE_FAILED: ResponseCode.SYSTEM_ERROR,
    Code.INTERNAL: ResponseCode.SYSTEM_ERROR,
}


def response_code(error: GatewayError, overrides: dict[Code, ResponseCode] | None = None) -> int:
    """The number to answer: a real broker's own where one refused, else the operation's, else the table's."""
    if error.upstream_code is not None:
        return error.upstream_code
    if overrides is not None and error.code in overrides:
        return int(overrides[error.code])
    return int(RESPONSE_CODES[error.code])
