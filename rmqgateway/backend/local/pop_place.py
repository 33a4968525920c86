"""Taking messages out of a queue for a consumer group: what is due again, then what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rmqgateway.backend.local.pop_queue import PopQueue
from rmqgateway.backend.local.pop_state import Taken
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_const import PROPERTY_SHARDING_KEY
from rmqgateway.wire.message_properties import find_property

if TYPE_CHECKING:
    from rmqgateway.backend.local.queues import Queue

__all__ = ["Picked", "Picker", "take", "take_in_order"]

#: A whole queue's message groups are looked at for at most so many messages behind a blocked one.
MAX_PASSED_OVER = 4096
#: New messages are read from the store in pieces of at most this many bytes.
_READ_BYTES = 4 * 1024 * 1024

_SHARDING_KEY = PROPERTY_SHARDING_KEY.encode()

Filter = Callable[[bytes], bool]


class Picked:
    """A message that a receive takes. :ivar attempt: this delivery is the n-th since it was stored in its queue."""

    __slots__ = ("attempt", "message", "offset")

    def __init__(self, offset: int, message: bytes, attempt: int) -> None:
        self.offset = offset
        self.message = message
        self.attempt = attempt


class Picker:
    """What one receive wants, over all queues that it looks into.

    :ivar exhausted: judges a message that would be delivered again, (message, deliveries so far): False to deliver it,
        True when its attempts are used up and it has been dealt with, so that it is settled instead, None when that is
        not possible now, so that it stays due.
    """

    __slots__ = ("bytes_left", "exhausted", "matches", "now", "scan_left", "wanted")

    def __init__(
        self,
        now: int,
        wanted: int,
        max_bytes: int,
        max_scan: int,
        matches: Filter | None,
        exhausted: Callable[[bytes, int], bool | None],
    ) -> None:
        self.now = now
        self.wanted = wanted
        self.bytes_left = max_bytes
        self.scan_left = max_scan
        self.matches = matches
        self.exhausted = exhausted

    def fits(self, size: int, first: bool) -> bool:
        """Whether one more message of this size may be taken; the very first always may."""
        if size > self.bytes_left and not first:
            self.wanted = 0
            return False
        self.bytes_left -= size
        self.wanted -= 1
        return True


def take(
    queue: Queue, popped: PopQueue, picker: Picker, is_first: bool
) -> tuple[list[Picked], Taken, list[int]]:
    """Take messages from one queue, in any order.

    :return: what is delivered, how to record it, and offsets that are settled on the way (gone, or attempts used up).
        Nothing is recorded yet; due offsets that are not in the result were put back.
    """
    picked: list[Picked] = []
    gone: list[int] = []
    taken = Taken(queue.queue_id, popped.next_offset)
    stored = queue.stored
    due = popped.take_due(picker.now, picker.wanted)
    later: list[int] = []
    for index, offset in enumerate(due):
        if not picker.wanted:
            popped.put_back(due[index:])
            break
        found = stored.read(offset, 1, _READ_BYTES)
        attempts = popped.entries[offset][1]
        if not found or stored_message.queue_offset(found[0]) != offset:
            gone.append(offset)
            continue
        exhausted = picker.exhausted(found[0], attempts)
        if exhausted is not False:
            (later if exhausted is None else gone).append(offset)
            continue
        if not picker.fits(len(found[0]), is_first and not picked):
            popped.put_back(due[index:])
            break
        picked.append(Picked(offset, found[0], attempts + 1))
    popped.put_back(later)
    next_offset = max(popped.next_offset, stored.min_offset)
    matches = picker.matches
    while picker.wanted and picker.scan_left > 0 and next_offset < stored.max_offset:
        messages = stored.read(next_offset, min(picker.wanted, picker.scan_left), _READ_BYTES)
        if not messages:
            next_offset += 1  # a damaged record: the store has reported it
            picker.scan_left -= 1
            continue
        for message in messages:
            offset = stored_message.queue_offset(message)
            picker.scan_left -= 1
            if matches is None or matches(message):
                if not picker.fits(len(message), is_first and not picked):
                    break
                picked.append(Picked(offset, message, 1))
            next_offset = offset + 1
    taken.next_offset = next_offset
    taken.offsets = [one.offset for one in picked]
    taken.attempts = [one.attempt for one in picked]
    return picked, taken, gone


def _message_group(message: bytes) -> str:
    return (find_property(stored_message.properties(message), _SHARDING_KEY) or b"").decode(
        "utf-8", "replace"
    )


def take_in_order(
    queue: Queue, popped: PopQueue, picker: Picker, is_first: bool
) -> tuple[list[Picked], Taken, list[int]]:
    """Take messages from one queue so that each message group has one receive in flight at a time.

    Messages behind a blocked one of their message group are passed over: remembered, and delivered when it is settled.
    """
    picked: list[Picked] = []
    gone: list[int] = []
    taken = Taken(queue.queue_id, popped.next_offset)
    stored = queue.stored
    free, blocked = popped.due_in_order(picker.now)
    for offset in free:
        message_group = popped.message_groups.get(offset, "")
        if not picker.wanted:
            break
        if message_group in blocked:
            continue
        found = stored.read(offset, 1, _READ_BYTES)
        attempts = popped.entries[offset][1]
        if not found or stored_message.queue_offset(found[0]) != offset:
            gone.append(offset)
            continue
        if picker.matches is not None and not attempts and not picker.matches(found[0]):
            gone.append(offset)
            continue
        exhausted = picker.exhausted(found[0], attempts)
        if exhausted is None:
            blocked.add(message_group)
            continue
        if exhausted:
            gone.append(offset)
            continue
        if not picker.fits(len(found[0]), is_first and not picked):
            break
        picked.append(Picked(offset, found[0], attempts + 1))
        taken.message_groups.append((offset, message_group))
    # A message group whose due messages did not all fit must not be overtaken by its new ones.
    delivered = {one.offset for one in picked}
    settled = set(gone)
    behind = {
        popped.message_groups.get(offset, "")
        for offset in popped.entries
        if offset not in delivered and offset not in settled
    }
    next_offset = max(popped.next_offset, stored.min_offset)
    room = MAX_PASSED_OVER - len(popped.entries)
    while picker.wanted and room > 0 and picker.scan_left > 0 and next_offset < stored.max_offset:
        messages = stored.read(next_offset, min(64, picker.scan_left), _READ_BYTES)
        if not messages:
            next_offset += 1
            picker.scan_left -= 1
            continue
        for message in messages:
            offset = stored_message.queue_offset(message)
            picker.scan_left -= 1
            if picker.matches is None or picker.matches(message):
                message_group = _message_group(message)
                if message_group in behind:
                    if room <= 0:
                        break
                    room -= 1
                    taken.passed_over.append(offset)
                else:
                    if not picker.wanted or not picker.fits(len(message), is_first and not picked):
                        break
                    picked.append(Picked(offset, message, 1))
                taken.message_groups.append((offset, message_group))
            next_offset = offset + 1
        else:
            continue
        break
    taken.next_offset = next_offset
    taken.offsets = [one.offset for one in picked]
    taken.attempts = [one.attempt for one in picked]
    return picked, taken, gone
