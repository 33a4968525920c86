"""The answer to a pop: which messages, under which handles, for the how-manyth time.

The handle's parts are in the header (``startOffsetInfo``, ``msgOffsetInfo``, ``orderCountInfo``) by kind of topic and queue,
or in the message itself as property POP_CK. Source: ``MQClientAPIImpl.processPopResponse`` of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rmqgateway.backend.cluster.handles import make_handle
from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import find_property, without_property
from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["Popped", "read_popped", "with_topic", "without_properties"]

#: As many as a broker gives at once.
MAX_MESSAGES = 1024


class Popped(msgspec.Struct, gc=False):
    """One message. :ivar message: with its real topic. :ivar reconsume_times: attempts before this one.

    :ivar retried: the group itself made the last of those. A dead letter that is received from its topic has those of the
        group that gave it up; this one has one at least.
    """

    message: bytes
    handle: str
    reconsume_times: int
    retried: bool


def read_popped(answer: RemotingCommand, topic: str, broker_name: str, order: bool, lite_topic: str = "") -> list[Popped]:
    """The messages of a successful answer. :raise WireError: not fatal: it is not what an answer to a pop must be."""
    ext = answer.ext_fields
    pop_time, invisible, revive = _number(ext, "popTime"), _number(ext, "invisibleTime"), _number(ext, "reviveQid")
    starts = _table(ext.get("startOffsetInfo"))
    offsets = {
        key: [_integer(number, "msgOffsetInfo") for number in value.split(",")]
        for key, value in _table(ext.get("msgOffsetInfo")).items()
    }
    counts = _table(ext.get("orderCountInfo"))
    body = memoryview(answer.body)
    found: list[tuple[bytes, str, int, int]] = []
    for start, size in stored_message.message_sizes(body, MAX_MESSAGES):
        message = bytes(body[start : start + size])
        kind = _kind(stored_message.topic(message))
        found.append((message, kind, stored_message.queue_id(message), stored_message.queue_offset(message)))
    ranks: dict[str, dict[int, int]] = {}
    for _, kind, queue_id, offset in found:
        ranks.setdefault(f"{kind}@{queue_id}", {})[offset] = 0
    for table in ranks.values():
        for rank, offset in enumerate(sorted(table)):
            table[offset] = rank
    firsts: dict[str, int] = {}
    popped: list[Popped] = []
    for message, kind, queue_id, offset in found:
        key = f"{kind}@{queue_id}"
        physical = stored_message.physical_offset(message)
        check_point = find_property(stored_message.properties(message), b"POP_CK")
        times = stored_message.reconsume_times(message)
        retried = kind != "0"
        if check_point is not None:
            parts = check_point.decode("utf-8", "replace").split(" ")[:8]
            if len(parts) != 8:
                raise WireError(f"a popped message's POP_CK: expected 8 parts, got {len(parts)}", fatal=False)
            handle = f"{' '.join(parts)} {physical}" + (f" {lite_topic}" if lite_topic else "")
            # Brokers give what waited in a retry topic its own topic back.
            retried = retried or parts[4] != "0"
        else:
            start_offset = firsts.setdefault(key, offset)
            told = offset
            if starts:
                if key not in starts:
                    raise WireError(f"startOffsetInfo: expected queue {key}, got {sorted(starts)!r:.200}", fatal=False)
                start_offset = _integer(starts[key], "startOffsetInfo")
                listed = offsets.get(key, [])
                rank = ranks[key][offset]
                if rank < len(listed):
                    told = listed[rank]
            if order and counts:
                count = counts.get(f"{kind}@qo{queue_id}%{offset}", counts.get(key, ""))
                if count.isdigit() and int(count) > 0:
                    times, retried = int(count), True
            handle = make_handle(
                start_offset, pop_time, invisible, revive, kind, broker_name, queue_id, told, physical, lite_topic
            )
        popped.append(Popped(message if kind == "0" else with_topic(message, topic), handle, times, retried))
    return popped


def with_topic(message: bytes, topic: str) -> bytes:
    """The same message with another topic: a client is told the real one, wherever its retries wait."""
    one = stored_message.decode(message)
    return _encoded(one, topic.encode(), one.properties)


def without_properties(message: bytes, *names: bytes) -> bytes:
    """The same message without what only the broker needs."""
    one = stored_message.decode(message)
    properties = one.properties
    for name in names:
        properties = without_property(properties, name)
    return _encoded(one, one.topic, properties)


def _encoded(one: stored_message.StoredMessage, topic: bytes, properties: bytes) -> bytes:
    return bytes(
        stored_message.encode(
            topic,
            one.queue_id,
            one.body,
            properties,
            one.flag,
            one.sys_flag,
            one.born_timestamp,
            one.born_host,
            one.store_timestamp,
            one.store_host,
            one.reconsume_times,
            one.prepared_transaction_offset,
            one.queue_offset,
            one.physical_offset,
        )
    )


def _kind(topic: bytes) -> str:
    if topic.startswith(b"%RETRY%"):
        return "2" if b"+" in topic else "1"
    return "0"


def _table(text: str | None) -> dict[str, str]:
    """``kind queue value;…`` as values by "kind@queue"."""
    found: dict[str, str] = {}
    for one in (text or "").split(";"):
        if one:
            parts = one.split(" ")
            if len(parts) != 3:
                raise WireError(f"the answer to a pop: expected 3 parts of each entry, got {one[:100]!r}", fatal=False)
            found[f"{parts[0]}@{parts[1]}"] = parts[2]
    return found


def _number(ext: Mapping[str, str], name: str) -> int:
    return _integer(ext.get(name, "0"), name)


def _integer(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise WireError(f"the answer to a pop, {name}: expected a number, got {text[:50]!r}", fatal=False) from None
