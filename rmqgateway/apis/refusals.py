"""Which status code says what: one table for every `Code`, after ``ResponseBuilder`` and ``GrpcProxyException`` of 5.5.0."""

from __future__ import annotations

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.request_codes import ResponseCode

__all__ = ["OK", "STATUS_CODES", "Refusal", "status_of"]

STATUS_CODES: dict[Code, v2.Code] = {
    Code.BAD_REQUEST: v2.BAD_REQUEST,
    Code.BAD_TOPIC_NAME: v2.ILLEGAL_TOPIC,
    Code.BAD_GROUP_NAME: v2.ILLEGAL_CONSUMER_GROUP,
    Code.BAD_MESSAGE: v2.MESSAGE_CORRUPTED,
    Code.BAD_MESSAGE_PROPERTY: v2.ILLEGAL_MESSAGE_PROPERTY_KEY,
    Code.BAD_MESSAGE_TYPE: v2.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE,
    Code.BAD_DELIVERY_TIME: v2.ILLEGAL_DELIVERY_TIME,
    Code.BAD_FILTER: v2.ILLEGAL_FILTER_EXPRESSION,
    Code.BAD_RECEIPT_HANDLE: v2.INVALID_RECEIPT_HANDLE,
    Code.BAD_OFFSET: v2.ILLEGAL_OFFSET,
    Code.BAD_INVISIBLE_DURATION: v2.ILLEGAL_INVISIBLE_TIME,
    Code.BAD_POLLING_TIME: v2.ILLEGAL_POLLING_TIME,
    Code.BAD_CLIENT_ID: v2.CLIENT_ID_REQUIRED,
    Code.MESSAGE_TOO_LARGE: v2.MESSAGE_BODY_TOO_LARGE,
    Code.PROPERTIES_TOO_LARGE: v2.MESSAGE_PROPERTIES_TOO_LARGE,
    Code.TOPIC_NOT_FOUND: v2.TOPIC_NOT_FOUND,
    Code.GROUP_NOT_FOUND: v2.CONSUMER_GROUP_NOT_FOUND,
    Code.MESSAGE_NOT_FOUND: v2.MESSAGE_NOT_FOUND,
    Code.OFFSET_NOT_FOUND: v2.OFFSET_NOT_FOUND,
    Code.CLIENT_NOT_FOUND: v2.NOT_FOUND,
    Code.USER_NOT_FOUND: v2.NOT_FOUND,
    Code.POLICY_NOT_FOUND: v2.NOT_FOUND,
    Code.ALREADY_EXISTS: v2.BAD_REQUEST,
    # The proxy says "receipt handle is expired" under this code.
    Code.RECEIPT_HANDLE_EXPIRED: v2.INVALID_RECEIPT_HANDLE,
    # The proxy calls a transaction that it has forgotten an internal error; clients would try that again.
    Code.TRANSACTION_NOT_FOUND: v2.INVALID_TRANSACTION_ID,
    Code.SUBSCRIPTION_INCONSISTENT: v2.PRECONDITION_FAILED,
    Code.CONSUME_MODE_CONFLICT: v2.PRECONDITION_FAILED,
    Code.UNSUPPORTED: v2.UNSUPPORTED,
    Code.UNAUTHENTICATED: v2.UNAUTHORIZED,
    Code.FORBIDDEN: v2.FORBIDDEN,
    Code.TOPIC_NOT_WRITABLE: v2.FORBIDDEN,
    Code.TOPIC_NOT_READABLE: v2.FORBIDDEN,
    Code.GROUP_DISABLED: v2.FORBIDDEN,
    Code.TOO_MANY_REQUESTS: v2.TOO_MANY_REQUESTS,
    Code.BUSY: v2.TOO_MANY_REQUESTS,
    Code.STORE_FULL: v2.INTERNAL_SERVER_ERROR,
    Code.SHUTTING_DOWN: v2.INTERNAL_SERVER_ERROR,
    Code.NOT_READY: v2.INTERNAL_SERVER_ERROR,
    Code.TIMEOUT: v2.PROXY_TIMEOUT,
    Code.CANCELLED: v2.REQUEST_TIMEOUT,
    Code.UPSTREAM_UNAVAILABLE: v2.PROXY_TIMEOUT,
    Code.UPSTREAM_ERROR: v2.INTERNAL_SERVER_ERROR,
    Code.STORE_FAILED: v2.INTERNAL_SERVER_ERROR,
    Code.INTERNAL: v2.INTERNAL_SERVER_ERROR,
}

#: What a real broker answered, or would have, where it says more than our own code.
_UPSTREAM: dict[int, v2.Code] = {
    int(ResponseCode.SYSTEM_BUSY): v2.TOO_MANY_REQUESTS,
    int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED): v2.NOT_IMPLEMENTED,
    int(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST): v2.CONSUMER_GROUP_NOT_FOUND,
    int(ResponseCode.TOPIC_NOT_EXIST): v2.TOPIC_NOT_FOUND,
    int(ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED): v2.LITE_SUBSCRIPTION_QUOTA_EXCEEDED,
}

#: The status of everything that went well; never changed.
OK = v2.Status(code=v2.OK, message="OK")


class Refusal(Exception):
    """A request that this API's own rules refuse. :ivar code: a number of ``Code`` of the API."""

    def __init__(self, code: v2.Code, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def status_of(error: Refusal | GatewayError | WireError) -> v2.Status:
    """What to answer for an error."""
    if isinstance(error, Refusal):
        return v2.Status(code=error.code, message=error.message)
    if isinstance(error, WireError):
        return v2.Status(code=v2.BAD_REQUEST, message=error.message)
    code = STATUS_CODES[error.code]
    if error.upstream_code is not None:
        code = _UPSTREAM.get(error.upstream_code, code)
    return v2.Status(code=code, message=error.message)
