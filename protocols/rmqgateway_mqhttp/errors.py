"""Status and code for each error: what the SDKs name where they name something."""

from __future__ import annotations

from rmqgateway.errors import Code, GatewayError, NotAuthenticated, WireError

__all__ = [
    "ACK_CODES",
    "INVALID_ARGUMENT",
    "MESSAGE_NOT_EXIST",
    "RECEIPT_HANDLE_ERROR",
    "TABLE",
    "Refused",
    "refused_by",
]

MESSAGE_NOT_EXIST = "MessageNotExist"
RECEIPT_HANDLE_ERROR = "ReceiptHandleError"
INVALID_ARGUMENT = "InvalidArgument"

_BAD = (400, INVALID_ARGUMENT)
_BUSY = (503, "ServiceUnavailable")
_FAULT = (500, "InternalServerError")

#: Status and code of each error of the gateway.
TABLE: dict[Code, tuple[int, str]] = {
    Code.BAD_REQUEST: _BAD,
    Code.BAD_TOPIC_NAME: _BAD,
    Code.BAD_GROUP_NAME: _BAD,
    Code.BAD_MESSAGE: _BAD,
    Code.BAD_MESSAGE_PROPERTY: _BAD,
    Code.BAD_MESSAGE_TYPE: _BAD,
    Code.BAD_DELIVERY_TIME: _BAD,
    Code.BAD_FILTER: _BAD,
    Code.BAD_RECEIPT_HANDLE: (404, RECEIPT_HANDLE_ERROR),
    Code.BAD_OFFSET: _BAD,
    Code.BAD_INVISIBLE_DURATION: _BAD,
    Code.BAD_POLLING_TIME: _BAD,
    Code.BAD_CLIENT_ID: _BAD,
    Code.MESSAGE_TOO_LARGE: (400, "MessageBodyTooLarge"),
    Code.PROPERTIES_TOO_LARGE: (400, "MessagePropertiesTooLarge"),
    Code.TOPIC_NOT_FOUND: (404, "TopicNotExist"),
    Code.GROUP_NOT_FOUND: (404, "SubscriptionNotExist"),
    Code.MESSAGE_NOT_FOUND: (404, MESSAGE_NOT_EXIST),
    Code.OFFSET_NOT_FOUND: (404, MESSAGE_NOT_EXIST),
    Code.CLIENT_NOT_FOUND: _FAULT,
    Code.USER_NOT_FOUND: (403, "InvalidAccessKeyId"),
    Code.POLICY_NOT_FOUND: (403, "AccessDenied"),
    Code.ALREADY_EXISTS: (409, "AlreadyExists"),
    Code.RECEIPT_HANDLE_EXPIRED: (404, MESSAGE_NOT_EXIST),
    Code.TRANSACTION_NOT_FOUND: (404, MESSAGE_NOT_EXIST),
    Code.SUBSCRIPTION_INCONSISTENT: (409, "SubscriptionInconsistent"),
    Code.CONSUME_MODE_CONFLICT: (409, "ConsumeModeConflict"),
    Code.UNSUPPORTED: (501, "NotImplemented"),
    Code.UNAUTHENTICATED: (403, "SignatureDoesNotMatch"),
    Code.FORBIDDEN: (403, "AccessDenied"),
    Code.TOPIC_NOT_WRITABLE: (403, "AccessDenied"),
    Code.TOPIC_NOT_READABLE: (403, "AccessDenied"),
    Code.GROUP_DISABLED: (403, "AccessDenied"),
    Code.TOO_MANY_REQUESTS: (503, "TooManyRequests"),
    Code.BUSY: _BUSY,
    Code.STORE_FULL: _BUSY,
    Code.SHUTTING_DOWN: _BUSY,
    Code.NOT_READY: _BUSY,
    Code.TIMEOUT: _BUSY,
    Code.CANCELLED: _BUSY,
    Code.UPSTREAM_UNAVAILABLE: _BUSY,
    Code.UPSTREAM_ERROR: _FAULT,
    Code.STORE_FAILED: _FAULT,
    Code.INTERNAL: _FAULT,
}

#: The codes of who is not let in, by reason.
_WHO = {
    "missing": "AccessIDAuthError",
    "unknown": "InvalidAccessKeyId",
    "disabled": "InvalidAccessKeyId",
    "expired": "InvalidDate",
    "replayed": "InvalidDate",
}

#: The codes of entries of ``<Errors>``, by the name of a Code, as `AckResult` has it.
ACK_CODES = {code.name: text for code, (_, text) in TABLE.items()}


class Refused(Exception):
    """A request that is answered by an error.

    :ivar status: of HTTP. :ivar code: the word that SDKs compare. :ivar message: for people.
    :ivar retry_after: seconds, or None. :ivar allow: with status 405, the methods.
    """

    def __init__(
        self, status: int, code: str, message: str, retry_after: float | None = None, allow: bytes = b""
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.allow = allow


def refused_by(error: Exception) -> Refused | None:
    """What answers an error; None for one that nobody foresaw."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, GatewayError):
        status, code = TABLE[error.code]
        if isinstance(error, NotAuthenticated):
            code = _WHO.get(error.reason, code)
        return Refused(status, code, error.message, error.retry_after)
    if isinstance(error, WireError):
        return Refused(400, "MalformedXML", error.message)
    return None
