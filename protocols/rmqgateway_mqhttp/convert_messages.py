"""Stored messages to entries of ``<Messages>``; sans-IO.

What XML or the format of ``<Properties>`` cannot carry: a body that is no XML text goes as base64, and the property
``__BodyEncoding`` says so; a property with ``:`` or ``|`` or a control character in it is left out, since every SDK splits at
those and would drop it, or others with it.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5

from rmqgateway.commands import ReceivedMessage
from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_body import readable_body
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES
from rmqgateway.wire.message_id import encode_offset_message_id, host_text
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway_mqhttp.codec import escape, is_xml_text
from rmqgateway_mqhttp.convert_publish import BASE64, BODY_ENCODING, DELIVERY_TIME, TRANSACTION_CHECK

__all__ = ["message_id_of", "write_entry", "write_received"]

#: How RocketMQ's own properties are called here.
_NAMES = {
    "KEYS": "KEYS",
    "TIMER_DELIVER_MS": DELIVERY_TIME,
    "CHECK_IMMUNITY_TIME_IN_SECONDS": TRANSACTION_CHECK,
}
_HIDDEN = SYSTEM_PROPERTIES - _NAMES.keys() | {
    "REAL_TOPIC",
    "REAL_QID",
    "TRANSACTION_CHECK_TIMES",
    "__transactionId__",
    "TRANS_OFFSET",
}


def message_id_of(message: bytes, named: dict[str, str]) -> str:
    """The unique key; for a message whose producer gave it none, the offset message id."""
    return named.get("UNIQ_KEY") or encode_offset_message_id(
        stored_message.store_host(message), stored_message.physical_offset(message)
    )


def _properties(named: dict[str, str], more: str = "") -> str:
    found: dict[str, str] = {}
    for name, value in named.items():
        if name in _NAMES:
            name = _NAMES[name]
        elif name in _HIDDEN:
            continue
        both = name + value
        if ":" not in both and "|" not in both and is_xml_text(both):
            found[name] = value
    if more:
        found[BODY_ENCODING] = more
    return "".join([f"{name}:{value}|" for name, value in found.items()])


def _body(message: bytes) -> tuple[str, str]:
    """The body as text, and how it is encoded."""
    try:
        data = readable_body(message)
    except WireError:
        # Its compression cannot be read here. Whoever can finds it as it is; the others are not held up by it.
        return b64encode(stored_message.body(message)).decode(), f"{BASE64}-compressed"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if is_xml_text(text):
        return text, ""
    return b64encode(data).decode(), BASE64


def _others(message: bytes, named: dict[str, str]) -> list[tuple[str, str]]:
    """What ApsaraMQ's entries do not have, in elements of our own: the SDKs pass over those, and no user property is
    joined by what no user set."""
    born_host = stored_message.born_host(message)
    host = named.get("__BORNHOST") or ("" if born_host == stored_message.NO_HOST else host_text(born_host)[0])
    found = (
        ("BornHost", host),
        ("Priority", named.get("_SYS_MSG_PRIORITY_", "")),
        ("LiteTopic", named.get("__LITE_TOPIC", "")),
    )
    return [(name, value) for name, value in found if value]


def write_entry(
    message: bytes,
    named: dict[str, str],
    message_id: str,
    receipt_handle: str,
    consumed_times: int,
    first_time: int,
    next_time: int,
) -> str:
    """One ``<Message>``; times in ms. :param named: its properties."""
    body, encoding = _body(message)
    digest = md5(body.encode(), usedforsecurity=False).hexdigest().upper()
    tag = named.get("TAGS", "")
    properties = _properties(named, encoding)
    published = stored_message.born_timestamp(message) or stored_message.store_timestamp(message)
    parts = [
        f"<Message><MessageId>{escape(message_id)}</MessageId><MessageBodyMD5>{digest}</MessageBodyMD5>"
        f"<MessageBody>{escape(body)}</MessageBody><ReceiptHandle>{escape(receipt_handle)}</ReceiptHandle>"
        f"<PublishTime>{published}</PublishTime><FirstConsumeTime>{first_time}</FirstConsumeTime>"
        f"<NextConsumeTime>{next_time}</NextConsumeTime><ConsumedTimes>{consumed_times}</ConsumedTimes>"
    ]
    if tag and is_xml_text(tag):
        parts.append(f"<MessageTag>{escape(tag)}</MessageTag>")
    if properties:
        parts.append(f"<Properties>{escape(properties)}</Properties>")
    parts += [f"<{name}>{escape(value)}</{name}>" for name, value in _others(message, named) if is_xml_text(value)]
    parts.append("</Message>")
    return "".join(parts)


def write_received(
    received: ReceivedMessage, pop_time: int, invisible_ms: int, first_times: dict[str, int], group: str
) -> str:
    """The entry of a received message.

    :param first_times: when messages were first received, as far as remembered; this one's is added by the first delivery.
    """
    message = received.message
    named = decode_properties(stored_message.properties(message))
    message_id = message_id_of(message, named)
    key = f"{group} {message_id}"
    if received.delivery_attempt <= 1:
        first_times[key] = first = pop_time
    else:
        told = named.get("1ST_POP_TIME", "")  # a real broker writes it into what it delivers again
        first = int(told) if told.isascii() and told.isdigit() else first_times.get(key, pop_time)
    return write_entry(
        message,
        named,
        message_id if is_xml_text(message_id) else "-",
        received.receipt_handle,
        received.delivery_attempt,
        first,
        pop_time + invisible_ms,
    )
