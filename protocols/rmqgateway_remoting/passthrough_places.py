"""Requests that say where a message is, or a key of it, instead of its topic: what the message itself tells is judged.

Some are judged by the answer, which shows messages. Others act on the message, so it is looked at before they go on:
brokers act on whatever is at the place, and do not compare it with the topic that the request names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rmqgateway.commands import (
    Action,
    ConsumeDirectly,
    EndTransaction,
    QueryMessages,
    ResumeTransaction,
    SendBack,
    TransactionResolution,
    ViewMessage,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway.wire.remoting import decode_frame, encode_command, encode_response
from rmqgateway.wire.request_codes import ResponseCode

if TYPE_CHECKING:
    from rmqgateway.commands import Command
    from rmqgateway.context import Context

__all__ = ["JUDGED_LATER", "is_judged_by_answer", "judge_answer", "judge_message", "place_of"]

_BY_ANSWER: Final = (ViewMessage, QueryMessages)
_BY_PLACE: Final = (SendBack, ConsumeDirectly, ResumeTransaction, EndTransaction)
#: The commands that are, or may be, judged by a message; most are none of these.
JUDGED_LATER: Final[frozenset[type]] = frozenset((*_BY_ANSWER, *_BY_PLACE))

_HALF: Final = (b"RMQ_SYS_TRANS_HALF_TOPIC", b"RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC")
_GIVEN_UP: Final = b"TRANS_CHECK_MAX_TIME_TOPIC"
_READING: Final = (Action.GET, Action.SUB)
_ENDING: Final = (TransactionResolution.COMMIT, TransactionResolution.ROLLBACK)


def is_judged_by_answer(command: Command[Any]) -> bool:
    """Whether the answer to this may show messages of any topic.

    QueryMessages does: a broker's index holds nothing but ``String.hashCode`` of topic and key, and another topic's key with
    the same hash is found by arithmetic.
    """
    return isinstance(command, _BY_ANSWER)


def place_of(command: Command[Any]) -> int | None:
    """The place of the message that is to be looked at before this goes on; None: its fields say all."""
    if isinstance(command, EndTransaction) and command.resolution not in _ENDING:
        return None  # brokers do nothing
    return command.physical_offset if isinstance(command, _BY_PLACE) else None


def judge_message(context: Context, command: Command[Any], message: bytes) -> None:
    """Judge what `place_of` named by its message, as the local backend does.

    :param message: as brokers store it, checked. :raise GatewayError: FORBIDDEN; TRANSACTION_NOT_FOUND, BAD_REQUEST: the
        message is no half message.
    """
    topic = stored_message.topic(message)
    if isinstance(command, SendBack):
        # The retry topic is read by the group: only what its members may read goes there.
        context.require_topic(_text(topic), command.group, (Action.SUB,))
    elif isinstance(command, ConsumeDirectly):
        context.require_topic(_text(topic), command.group, (Action.SUB, Action.GET))
    elif isinstance(command, EndTransaction):
        # Brokers would take a property REAL_TOPIC that a producer gave to any message.
        if topic not in _HALF:
            raise GatewayError(Code.TRANSACTION_NOT_FOUND, f"the message at {command.physical_offset} is no half message")
        context.require_topic(_real_topic(message), "", (Action.PUB,))
    elif isinstance(command, ResumeTransaction):
        real = _real_topic(message)
        if topic != _GIVEN_UP:
            raise GatewayError(
                Code.BAD_REQUEST, f"the message at {command.physical_offset} is no half message that was given up"
            )
        if command.topic and command.topic != real:
            raise GatewayError(
                Code.BAD_REQUEST, f"the half message is of topic {real!r}, not of {command.topic[:200]!r}"
            )
        context.require_topic(real, "", (Action.UPDATE,))


def judge_answer(context: Context, command: Command[Any], frame: bytes) -> bytes:
    """The answer to a command that `is_judged_by_answer`, as the caller may have it.

    :param frame: a whole raw frame. :raise GatewayError: FORBIDDEN; MESSAGE_NOT_FOUND: what is shown is no message that was
        stored at this place. :raise WireError: not fatal: it cannot be read.
    """
    answer = decode_frame(frame)
    if not answer.body:
        return frame
    if isinstance(command, ViewMessage):
        if not stored_message.is_stored_at(answer.body, command.physical_offset):
            raise GatewayError(Code.MESSAGE_NOT_FOUND, f"there is no message at {command.physical_offset}")
        context.require_topic(_text(stored_message.topic(answer.body)), "", _READING)
        return frame
    known: dict[bytes, bool] = {}
    kept: list[bytes] = []
    sizes = stored_message.message_sizes(answer.body)
    for start, size in sizes:
        message = answer.body[start : start + size]
        topic = stored_message.topic(message)
        allowed = known.get(topic)
        if allowed is None:
            allowed = known[topic] = _may_read(context, topic)
        if allowed:
            kept.append(message)
    if len(kept) == len(sizes):
        return frame
    if not kept:
        code = int(ResponseCode.QUERY_NOT_FOUND)
        return encode_response(answer.opaque, code, None, "no message has this key", b"", answer.serialization)
    answer.body = b"".join(kept)
    return encode_command(answer)


def _may_read(context: Context, topic: bytes) -> bool:
    try:
        context.require_topic(_text(topic), "", _READING)
    except GatewayError:
        return False
    return True


def _real_topic(message: bytes) -> str:
    return decode_properties(stored_message.properties(message)).get("REAL_TOPIC", "")


def _text(topic: bytes) -> str:
    return topic.decode("utf-8", "replace")
