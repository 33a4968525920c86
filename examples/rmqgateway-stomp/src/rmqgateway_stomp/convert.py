"""Frames to commands, deliveries and errors to frames."""

from rmqgateway.commands import SendMessages
from rmqgateway.errors import GatewayError, WireError
from rmqgateway.message import filter_of
from rmqgateway.subscription import Delivery, Settlement, Subscription
from rmqgateway.user_message import from_headers, from_stored, to_headers, to_message
from rmqgateway.wire.text import number, required
from rmqgateway_stomp.codec import Frame

_OWN = ("destination", "receipt", "content-length")
_ACK_MODES = ("auto", "client", "client-individual")


def heart_beat(client_ms: str, server_ms: int) -> float:
    """The interval in seconds of heart-beats of which the client says its part; 0: none."""
    wanted = number(client_ms, "heart-beat")
    return max(wanted, server_ms) / 1000 if wanted and server_ms else 0


def _topic(frame: Frame) -> str:
    prefix, _, topic = required(frame.headers, "destination").partition("/topic/")
    if prefix or not topic:
        raise WireError(f"destination: expected /topic/NAME, got {frame.headers['destination'][:80]!r}")
    return topic


def send_messages(frame: Frame) -> SendMessages:
    """The command of a SEND. :raise GatewayError: BAD_MESSAGE_PROPERTY."""
    if "transaction" in frame.headers:
        raise WireError("SEND: transactions are not served")
    return SendMessages(_topic(frame), (to_message(from_headers(frame.body, frame.headers, _OWN)),))


def subscription(frame: Frame, default_group: str) -> Subscription:
    """What a SUBSCRIBE asks for."""
    headers = frame.headers
    if (ack := headers.get("ack", "auto")) not in _ACK_MODES:
        raise WireError(f"ack: expected one of {', '.join(_ACK_MODES)}, got {ack[:40]!r}")
    wanted = filter_of(headers.get("tags", ""), headers.get("selector", ""))
    group = headers.get("group", default_group)
    return Subscription(group, _topic(frame), wanted, accept_on_delivery=ack == "auto")


def settlement(frame: Frame, delay_ms: int) -> tuple[Settlement, int]:
    """What an ACK or NACK says became of a message, and the delay."""
    if frame.command == "ACK":
        return Settlement.ACCEPT, 0
    if frame.headers.get("requeue") == "false":
        return Settlement.REJECT, 0
    return Settlement.RETRY_AFTER, number(frame.headers.get("delay", str(delay_ms)), "delay")


def message(subscribe: Frame, delivery: Delivery, token: str) -> Frame:
    """The MESSAGE of a delivery to a SUBSCRIBE; user properties are headers and replace none of STOMP's own."""
    found = from_stored(delivery.message)
    own = {
        "subscription": subscribe.headers["id"],
        "destination": subscribe.headers["destination"],
        "message-id": found.message_id,
        "ack": token,
        "delivery-attempt": str(delivery.delivery_attempt),
        "content-length": str(len(found.body)),
    }
    return Frame("MESSAGE", to_headers(found) | own, found.body)


def error(reason: BaseException | None, receipt: str | None) -> Frame:
    """The ERROR for what went wrong; STOMP has no error codes. :param receipt: what the frame asked for."""
    headers = {"message": reason.code.value if isinstance(reason, GatewayError) else "malformed frame"}
    if receipt:
        headers["receipt-id"] = receipt
    return Frame("ERROR", headers, str(reason).encode())
