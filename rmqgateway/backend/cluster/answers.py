"""What brokers and name servers refuse, in the gateway's own words.

The code and the text of the real thing go on to the client where its protocol has a place for them.
"""

from __future__ import annotations

from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import ResponseCode, response_name

__all__ = ["BrokerUnreachable", "refusal"]

_CODES: dict[int, Code] = {
    ResponseCode.SYSTEM_BUSY: Code.BUSY,
    ResponseCode.FLOW_CONTROL: Code.TOO_MANY_REQUESTS,
    ResponseCode.REQUEST_CODE_NOT_SUPPORTED: Code.UNSUPPORTED,
    ResponseCode.VERSION_NOT_SUPPORTED: Code.UNSUPPORTED,
    ResponseCode.FLUSH_DISK_TIMEOUT: Code.TIMEOUT,
    ResponseCode.FLUSH_SLAVE_TIMEOUT: Code.TIMEOUT,
    ResponseCode.SLAVE_NOT_AVAILABLE: Code.UPSTREAM_UNAVAILABLE,
    ResponseCode.MESSAGE_ILLEGAL: Code.BAD_MESSAGE,
    ResponseCode.SERVICE_NOT_AVAILABLE: Code.UPSTREAM_UNAVAILABLE,
    ResponseCode.NO_PERMISSION: Code.FORBIDDEN,
    ResponseCode.TOPIC_NOT_EXIST: Code.TOPIC_NOT_FOUND,
    ResponseCode.TOPIC_EXIST_ALREADY: Code.ALREADY_EXISTS,
    ResponseCode.QUERY_NOT_FOUND: Code.OFFSET_NOT_FOUND,
    ResponseCode.SUBSCRIPTION_PARSE_FAILED: Code.BAD_FILTER,
    ResponseCode.SUBSCRIPTION_NOT_EXIST: Code.SUBSCRIPTION_INCONSISTENT,
    ResponseCode.SUBSCRIPTION_NOT_LATEST: Code.SUBSCRIPTION_INCONSISTENT,
    ResponseCode.FILTER_DATA_NOT_EXIST: Code.SUBSCRIPTION_INCONSISTENT,
    ResponseCode.FILTER_DATA_NOT_LATEST: Code.SUBSCRIPTION_INCONSISTENT,
    ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST: Code.GROUP_NOT_FOUND,
    ResponseCode.INVALID_PARAMETER: Code.BAD_REQUEST,
    ResponseCode.TRANSACTION_FAILED: Code.TRANSACTION_NOT_FOUND,
    ResponseCode.TRANSACTION_STATE_GROUP_WRONG: Code.FORBIDDEN,
    ResponseCode.CONSUMER_NOT_ONLINE: Code.CLIENT_NOT_FOUND,
    ResponseCode.CONSUME_MSG_TIMEOUT: Code.TIMEOUT,
    ResponseCode.NO_MESSAGE: Code.MESSAGE_NOT_FOUND,
    ResponseCode.BROKER_NOT_EXIST: Code.UPSTREAM_UNAVAILABLE,
    ResponseCode.NOT_LEADER_FOR_QUEUE: Code.UPSTREAM_UNAVAILABLE,
    ResponseCode.ILLEGAL_OPERATION: Code.MESSAGE_NOT_FOUND,
    ResponseCode.PULL_OFFSET_MOVED: Code.BAD_OFFSET,
    ResponseCode.GO_AWAY: Code.UPSTREAM_UNAVAILABLE,
    ResponseCode.USER_NOT_EXIST: Code.USER_NOT_FOUND,
    ResponseCode.POLICY_NOT_EXIST: Code.POLICY_NOT_FOUND,
    ResponseCode.LMQ_QUOTA_EXCEEDED: Code.TOO_MANY_REQUESTS,
    ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED: Code.TOO_MANY_REQUESTS,
}
_PAUSES = {Code.BUSY: 0.5, Code.TOO_MANY_REQUESTS: 1.0, Code.UPSTREAM_UNAVAILABLE: 1.0, Code.TIMEOUT: 1.0}
_LONGEST_TEXT = 1000


class BrokerUnreachable(GatewayError):
    """A request has no answer.

    :ivar written: its bytes may have reached the broker; if not, it may be sent to another.
    """

    def __init__(self, message: str, written: bool, code: Code = Code.UPSTREAM_UNAVAILABLE) -> None:
        super().__init__(code, message, retry_after=1.0)
        self.written = written


def refusal(answer: RemotingCommand, about: str = "") -> GatewayError:
    """The error of an answer whose code is no success.

    :param about: what was asked of whom, for the text.
    """
    number = answer.code
    code = _CODES.get(number)
    remark = (answer.remark or "")[:_LONGEST_TEXT]
    if code is None:
        code = Code.UPSTREAM_ERROR
        if number == ResponseCode.SYSTEM_ERROR:
            code = _of_system_error(remark)
    elif code is Code.FORBIDDEN:
        code = _of_no_permission(remark)
    elif code is Code.BAD_MESSAGE and "timer message illegal" in remark:
        code = Code.BAD_DELIVERY_TIME
    text = f"{about}: {response_name(number)}: {remark}" if about else f"{response_name(number)}: {remark}"
    return GatewayError(code, text, retry_after=_PAUSES.get(code), upstream_code=number)


def _of_system_error(remark: str) -> Code:
    """Brokers of 4.x say so much by SYSTEM_ERROR that its text must tell the cases apart."""
    if "AclException" in remark or "signature" in remark.lower():
        return Code.FORBIDDEN
    if "[TIMEOUT_CLEAN_QUEUE]" in remark or "[PC_SYNCHRONIZED]" in remark or "system busy" in remark:
        return Code.BUSY
    if "look message by offset failed" in remark:
        return Code.MESSAGE_NOT_FOUND
    if "not exist" in remark and "topic" in remark.lower():
        return Code.TOPIC_NOT_FOUND
    return Code.UPSTREAM_ERROR


def _of_no_permission(remark: str) -> Code:
    """What the broker forbids to everybody, and what only to this caller."""
    low = remark.lower()
    if "sending message" in low and "forbidden" in low:
        return Code.TOPIC_NOT_WRITABLE
    if "the topic[" in low and ("pulling message is forbidden" in low or "peeking message is forbidden" in low):
        return Code.TOPIC_NOT_READABLE
    if "subscription group no permission" in low:
        return Code.GROUP_DISABLED
    return Code.FORBIDDEN
