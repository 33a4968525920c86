"""What can go wrong, in one vocabulary for every layer.

A codec raises :class:`WireError` and nothing else. The gateway and the backends raise :class:`GatewayError` with a
:class:`Code`; each front-end turns the code into its protocol's own words by a table that covers every member.
"""

from __future__ import annotations

import enum

__all__ = ["Code", "GatewayError", "NotAuthenticated", "StoreError", "UnsupportedCommand", "WireError"]


class Code(enum.Enum):
    """Every reason for which a command can be refused, named once for all protocols."""

    # The caller's fault: sending the same again gives the same answer.
    BAD_REQUEST = "bad request"
    BAD_TOPIC_NAME = "bad topic name"
    BAD_GROUP_NAME = "bad consumer group name"
    BAD_MESSAGE = "bad message"
    BAD_MESSAGE_PROPERTY = "bad message property"
    BAD_MESSAGE_TYPE = "message type does not fit the topic"
    BAD_DELIVERY_TIME = "bad delivery time"
    BAD_FILTER = "bad filter expression"
    BAD_RECEIPT_HANDLE = "bad receipt handle"
    BAD_OFFSET = "bad offset"
    BAD_INVISIBLE_DURATION = "bad invisible duration"
    BAD_POLLING_TIME = "bad polling time"
    BAD_CLIENT_ID = "bad client id"
    MESSAGE_TOO_LARGE = "message too large"
    PROPERTIES_TOO_LARGE = "message properties too large"
    TOPIC_NOT_FOUND = "topic not found"
    GROUP_NOT_FOUND = "consumer group not found"
    MESSAGE_NOT_FOUND = "message not found"
    OFFSET_NOT_FOUND = "offset not found"
    CLIENT_NOT_FOUND = "client not found"
    USER_NOT_FOUND = "user not found"
    POLICY_NOT_FOUND = "policy not found"
    ALREADY_EXISTS = "already exists"
    RECEIPT_HANDLE_EXPIRED = "receipt handle expired"
    TRANSACTION_NOT_FOUND = "transaction not found"
    SUBSCRIPTION_INCONSISTENT = "subscription inconsistent"
    CONSUME_MODE_CONFLICT = "consumer group is consumed in another mode"
    UNSUPPORTED = "unsupported command"
    # May they?
    UNAUTHENTICATED = "not authenticated"
    FORBIDDEN = "forbidden"
    TOPIC_NOT_WRITABLE = "topic is not writable"
    TOPIC_NOT_READABLE = "topic is not readable"
    GROUP_DISABLED = "consumer group is disabled"
    # Not now: the same may succeed later.
    TOO_MANY_REQUESTS = "too many requests"
    BUSY = "busy"
    STORE_FULL = "store is full"
    SHUTTING_DOWN = "shutting down"
    NOT_READY = "not ready"
    TIMEOUT = "timed out"
    CANCELLED = "cancelled"
    # Ours, or the broker's.
    UPSTREAM_UNAVAILABLE = "broker unavailable"
    UPSTREAM_ERROR = "broker answered with an error"
    STORE_FAILED = "store failed"
    INTERNAL = "internal error"


#: Codes that a client may answer by trying again, after a pause.
RETRYABLE = frozenset(
    {
        Code.TOO_MANY_REQUESTS,
        Code.BUSY,
        Code.STORE_FULL,
        Code.SHUTTING_DOWN,
        Code.NOT_READY,
        Code.TIMEOUT,
        Code.UPSTREAM_UNAVAILABLE,
    }
)


class GatewayError(Exception):
    """A command was refused.

    :ivar code: the reason, which every front-end's table translates.
    :ivar message: one sentence for people: what was expected, what came, which field or setting.
    :ivar retry_after: seconds after which a new attempt makes sense, or None.
    :ivar upstream_code: the code that a real broker answered, where it did, or has for just this; passed through unchanged
        where the client's protocol has a place for it.
    """

    def __init__(
        self, code: Code, message: str, *, retry_after: float | None = None, upstream_code: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.upstream_code = upstream_code

    def __str__(self) -> str:
        return f"{self.code.value}: {self.message}"


class NotAuthenticated(GatewayError):
    """The caller is nobody whom the gateway knows.

    :ivar reason: ``missing``, ``unknown`` (the key, or the ticket), ``signature``, ``expired``, ``replayed``, ``disabled``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(Code.UNAUTHENTICATED, message)
        self.reason = reason


class UnsupportedCommand(GatewayError):
    """The backend in use does not serve this command; the text names it."""

    def __init__(self, command_name: str, backend: str) -> None:
        super().__init__(Code.UNSUPPORTED, f"{command_name} is not served by the {backend} backend")
        self.command_name = command_name


class StoreError(GatewayError):
    """The store could not do what was asked of it; nothing acknowledged is lost by that."""

    def __init__(self, message: str, code: Code = Code.STORE_FAILED) -> None:
        super().__init__(code, message)


class WireError(Exception):
    """Bytes from a peer that are not what its protocol says.

    :ivar fatal: the framing is lost and the connection cannot go on; otherwise only this one request is refused.
    :ivar message: what was expected, what came, and in which field.
    :ivar request_id: the number by which the peer will recognise a refusal of this request (a Remoting opaque, a
        stream id), where it could be read.
    """

    def __init__(self, message: str, *, fatal: bool = True, request_id: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fatal = fatal
        self.request_id = request_id
