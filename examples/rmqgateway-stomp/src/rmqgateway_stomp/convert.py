"""Frames to commands, deliveries and errors to frames."""

from rmqgateway.commands import SendMessages
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import TAG_ALL, Filter, FilterType
from rmqgateway.subscription import Delivery, Settlement, Subscription
from rmqgateway.user_message import UserMessage, from_stored, to_message
from rmqgateway_stomp.codec import Frame

#: STOMP has no error codes: this is the header `message` of an ERROR.
ERRORS = {code: code.value for code in Code}
_OWN = {"destination", "receipt", "content-length", "tags", "keys", "message-group", "delay"}
_ACK_MODES = ("auto", "client", "client-individual")


def needed(frame: Frame, name: str) -> str:
    """A header that must be there. :raise WireError: it is not."""
    if name not in frame.headers:
        raise WireError(f"{frame.command}: expected a header {name}")
    return frame.headers[name]


def number(text: str) -> int:
    """A number in a header. :raise WireError: it is none."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise WireError(f"expected a number, got {text[:40]!r}")


def seconds(client_ms: str, server_ms: int) -> float:
    """The interval of heart-beats of which the client says its part; 0: none."""
    return max(number(client_ms), server_ms) / 1000 if server_ms and client_ms.strip("0") else 0


def settlement(frame: Frame, delay_ms: int) -> tuple[Settlement, int]:
    """What an ACK or NACK says became of a message, and the delay."""
    if frame.command == "ACK":
        return Settlement.ACCEPT, 0
    if frame.headers.get("requeue") == "false":
        return Settlement.REJECT, 0
    return Settlement.RETRY_AFTER, number(frame.headers.get("delay", str(delay_ms)))


def topic_of(frame: Frame) -> str:
    prefix, _, topic = needed(frame, "destination").partition("/topic/")
    if prefix or not topic:
        raise WireError(f"destination: expected /topic/NAME, got {frame.headers['destination'][:80]!r}")
    return topic


def send_messages(frame: Frame) -> SendMessages:
    """The command of a SEND. :raise GatewayError: BAD_MESSAGE_PROPERTY."""
    headers = frame.headers
    if "transaction" in headers:
        raise WireError("SEND: transactions are not served")
    message = UserMessage(
        frame.body,
        {name: value for name, value in headers.items() if name not in _OWN},
        headers.get("tags", ""),
        tuple(headers.get("keys", "").split()),
        headers.get("message-group", ""),
        number(headers.get("delay", "0")),
    )
    return SendMessages(topic_of(frame), (to_message(message),))


def subscription(frame: Frame, default_group: str) -> Subscription:
    """What a SUBSCRIBE asks for."""
    headers = frame.headers
    if (ack := headers.get("ack", "auto")) not in _ACK_MODES:
        raise WireError(f"ack: expected one of {', '.join(_ACK_MODES)}, got {ack[:40]!r}")
    wanted = Filter(headers["tags"]) if "tags" in headers else TAG_ALL
    if "selector" in headers:
        wanted = Filter(headers["selector"], FilterType.SQL92)
    return Subscription(headers.get("group", default_group), topic_of(frame), wanted, accept_on_delivery=ack == "auto")


def message(subscribe: Frame, delivery: Delivery, number: int) -> Frame:
    """The MESSAGE of a delivery to a SUBSCRIBE; user properties are headers and replace none of STOMP's own."""
    found = from_stored(delivery.message)
    headers = {
        "subscription": subscribe.headers["id"],
        "destination": subscribe.headers["destination"],
        "message-id": found.message_id,
        "ack": f"{subscribe.headers['id']} {number}",
        "delivery-attempt": str(delivery.delivery_attempt),
        "tags": found.tag,
        "keys": " ".join(found.keys),
        "message-group": found.message_group,
    }
    return Frame("MESSAGE", found.properties | {name: value for name, value in headers.items() if value}, found.body)


def error(reason: BaseException | None, receipt: str = "") -> Frame:
    """The ERROR for what went wrong. :param receipt: what the frame asked for."""
    headers = {"message": ERRORS[reason.code] if isinstance(reason, GatewayError) else "malformed frame"}
    if receipt:
        headers["receipt-id"] = receipt
    return Frame("ERROR", headers, str(reason).encode())
