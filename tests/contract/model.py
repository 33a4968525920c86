"""A model of what RocketMQ promises, against the backend: any order of commands, times, restarts and failures of power.

Named invariants, checked after every step: ``nothing_lost`` (at the end), ``nothing_from_nowhere``, ``once_in_its_queue``,
``order_of_a_queue``, ``order_of_a_message_group``, ``one_holder``, ``acknowledged_for_good``, ``acknowledging_is_idempotent``,
``never_early``, ``never_half_visible``, ``asked_only_while_undecided``, ``recalled_for_good``,
``dead_letter_exactly_after_the_limit``, ``offsets_in_order``, ``true_lag``.

Deterministic: a fake clock, and a store in memory or on a disk that fails on command (`durable_world`), so a failure replays
from its seed. What a command that was under way at a failure did is not known, unless it was answered: then it holds.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    CreateGroups,
    CreateTopics,
    EndTransaction,
    ForwardToDeadLetterQueue,
    GetConsumeProgress,
    GetConsumerOffset,
    GroupConfig,
    Heartbeat,
    OffsetOf,
    PulledMessages,
    PullMessages,
    QueryOffset,
    RecallMessage,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    TopicConfig,
    TransactionResolution,
    UpdateConsumerOffset,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction
from rmqgateway.message import Message, MessageType
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

__all__ = ["LIMIT", "ORDERED", "POPPERS", "Consuming"]

TOPIC, PULLERS, MAKERS = "topic", "pullers", "makers"
POPPERS, OTHERS, ORDERED = "poppers", "others", "ordered"
RECEIVING = (POPPERS, OTHERS, ORDERED)
#: How often a message is delivered at most: once, and again so often as the group allows.
LIMIT = 3
QUEUES = 2
_LEVELS_S = {1: 1, 2: 5}

Place = tuple[int, int]


class Known(msgspec.Struct):
    """What is known of one message.

    :ivar sent: its send was answered. :ivar due: not before (ms). :ivar number: of the send, or -1 where its place in the queue
        does not follow from that. :ivar half: "" where it is of no transaction; undecided, committed, rolled back; perhaps: a
        commit's answer never came. :ivar recalled: None: perhaps. :ivar copies: where it was seen.
        :ivar doubled: a failure between two records of one group may have made another copy.
    """

    sent: bool
    due: int
    number: int
    message_group: str = ""
    half: str = ""
    result: Any = None
    recalled: bool | None = False
    copies: list[Place] = []
    doubled: bool = False


class Held(msgspec.Struct):
    """One message at its place, as a receiving group knows it.

    :ivar visible_at: not before, after a delivery (ms). :ivar least, most: deliveries that certainly were, and that may have
        been. :ivar acknowledged: None: perhaps. :ivar buried: forwarded to the dead letters; None: perhaps.
    """

    visible_at: int = 0
    least: int = 0
    most: int = 0
    handle: str = ""
    acknowledged: bool | None = False
    buried: bool | None = False

    @property
    def settled(self) -> bool:
        """Whether it may be out of the way of what is behind it."""
        return self.acknowledged is not False or self.buried is not False


class Consuming(RuleBasedStateMachine):
    """See the module. A subclass says over which store."""

    #: A failure may keep a part of what was written together.
    tears = False

    def make_world(self) -> World:
        return World()

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make_world()
        self.messages: dict[str, Known] = {}
        self.places: dict[Place, str] = {}
        self.held: dict[str, dict[Place, Held]] = {group: {} for group in RECEIVING}
        self.handles: list[tuple[str, Place, str]] = []
        self.joined: set[str] = set()
        self.pulled = [0] * QUEUES
        self.ends = [0] * QUEUES
        self.sends = 0
        self.connect()

    def connect(self) -> None:
        self.session: TestSession = self.world.session()

    def do(self, command: Any) -> Any:
        return self.world.execute(self.session, command)

    @initialize()
    def begin(self) -> None:
        self.do(CreateTopics((TopicConfig(TOPIC, QUEUES, QUEUES, message_type=MessageType.MIXED),)))
        groups = [GroupConfig(group, retry_max_times=LIMIT - 1) for group in (POPPERS, OTHERS)]
        ordered = GroupConfig(ORDERED, retry_max_times=LIMIT - 1, consume_message_orderly=True)
        self.do(CreateGroups((*groups, ordered, GroupConfig(PULLERS))))
        self.pull_from_the_start()
        self.beat()

    def beat(self) -> None:
        self.do(Heartbeat("maker", producers=(MAKERS,)))

    def pull_from_the_start(self) -> None:
        for queue_id in range(QUEUES):
            self.pulled[queue_id] = 0
            self.do(UpdateConsumerOffset(PULLERS, TOPIC, queue_id, 0))

    # Producing.

    def message(
        self, queue_id: int, delay_s: int = 0, level: int = 0, message_group: str = "", half: bool = False
    ) -> tuple[str, SendMessages]:
        body = f"m{len(self.messages)}"
        named = {"TIMER_DELAY_MS": str(delay_s * 1000 or ""), "DELAY": str(level or ""), "__SHARDINGKEY": message_group}
        if half:
            named |= {"TRAN_MSG": "true", "PGROUP": MAKERS}
        self.sends += 1
        due = self.world.wall_ms + (delay_s or _LEVELS_S.get(level, 0)) * 1000
        number = -1 if delay_s or level or half else self.sends
        self.messages[body] = Known(False, due, number, message_group, "undecided" if half else "")
        properties = encode_properties({name: value for name, value in named.items() if value})
        sent = Message(body.encode(), properties, queue_id, sys_flag=4 if half else 0)
        return body, SendMessages(TOPIC, (sent,), MAKERS if half else "")

    def answered(self, body: str, reply: Any) -> None:
        if reply is not None:
            self.messages[body].sent = True
            self.messages[body].result = reply.results[0]

    @rule(
        queue_id=st.integers(0, QUEUES - 1),
        delay_s=st.sampled_from([0, 0, 0, 3, 30]),
        level=st.sampled_from([0, 0, 0, 1, 2]),
        message_group=st.sampled_from(["", "A", "B"]),
    )
    def send(self, queue_id: int, delay_s: int, level: int, message_group: str) -> None:
        body, command = self.message(queue_id, delay_s, 0 if delay_s else level, message_group)
        self.answered(body, self.do(command))

    @rule(queue_id=st.integers(0, QUEUES - 1))
    def prepare(self, queue_id: int) -> None:
        body, command = self.message(queue_id, half=True)
        self.answered(body, self.do(command))

    def halves(self) -> list[str]:
        return [body for body, known in self.messages.items() if known.half and known.sent]

    def end(self, body: str, commit: bool) -> EndTransaction:
        result = self.messages[body].result
        resolution = TransactionResolution.COMMIT if commit else TransactionResolution.ROLLBACK
        return EndTransaction(TOPIC, MAKERS, resolution, result.unique_key, queue_offset=result.queue_offset)

    @precondition(lambda self: self.halves())
    @rule(data=st.data(), commit=st.booleans())
    def end_transaction(self, data: st.DataObject, commit: bool) -> None:
        body = data.draw(st.sampled_from(self.halves()))
        known = self.messages[body]
        try:
            self.do(self.end(body, commit))
        except GatewayError as error:
            # Ended before, or given up after the last check.
            assert error.code is Code.TRANSACTION_NOT_FOUND
            assert known.half != "undecided" or self.world.wall_ms - known.due > 400_000, "a half message is kept"
            return
        assert known.half in ("undecided", "perhaps", "rolled back or not"), "a transaction ends once"
        if known.half != "perhaps" or commit:
            known.half = "committed" if commit else "rolled back"

    def timed(self) -> list[str]:
        return [body for body, known in self.messages.items() if known.result and known.result.recall_handle]

    @precondition(lambda self: self.timed())
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        body = data.draw(st.sampled_from(self.timed()))
        known = self.messages[body]
        try:
            self.do(RecallMessage(TOPIC, known.result.recall_handle))
        except GatewayError as error:
            assert error.code is Code.MESSAGE_NOT_FOUND
            assert self.world.wall_ms >= known.due or known.recalled is not False, "it waits, and can be recalled"
        else:
            assert not known.copies, "recalled_for_good"
            known.recalled = True

    # Receiving.

    def seen(self, message: bytes) -> Place:
        """A message of a queue: one that was sent, at one place, when it may be."""
        body = stored_message.body(message).decode()
        place = stored_message.queue_id(message), stored_message.queue_offset(message)
        assert body in self.messages, "nothing_from_nowhere"
        known = self.messages[body]
        assert self.world.wall_ms >= known.due, "never_early"
        assert known.half in ("", "committed", "perhaps"), "never_half_visible"
        assert known.recalled is not True, "recalled_for_good"
        if place not in self.places:
            assert not known.copies or known.doubled, "once_in_its_queue"
            self.places[place] = body
            known.copies = [*known.copies, place]
            for group in RECEIVING:
                self.held[group][place] = Held()
        assert self.places[place] == body, "order_of_a_queue"
        return place

    def received(self, group: str, message: ReceivedMessage, invisible_ms: int) -> Place:
        place = self.seen(message.message)
        held = self.held[group][place]
        now = self.world.wall_ms
        assert held.acknowledged is not True and held.buried is not True, "acknowledged_for_good"
        assert now >= held.visible_at, "one_holder"
        held.least += 1
        held.most += 1
        assert held.least <= message.delivery_attempt <= held.most
        assert message.delivery_attempt <= LIMIT, "dead_letter_exactly_after_the_limit"
        held.least = held.most = message.delivery_attempt
        held.acknowledged = held.buried = False
        held.visible_at = now + invisible_ms
        held.handle = message.receipt_handle
        self.handles.append((group, place, message.receipt_handle))
        return place

    def in_order(self, places: list[Place]) -> None:
        """What an ordered group gets: nothing of a message group before what is in front of it."""
        for at, (queue_id, offset) in enumerate(places):
            message_group = self.messages[self.places[queue_id, offset]].message_group
            for (other_queue, before), body in self.places.items():
                if other_queue != queue_id or before >= offset or self.messages[body].message_group != message_group:
                    continue
                held = self.held[ORDERED][other_queue, before]
                exhausted = held.most >= LIMIT and self.world.wall_ms >= held.visible_at
                together = (other_queue, before) in places[:at]
                assert together or held.settled or exhausted, "order_of_a_message_group"

    @rule(group=st.sampled_from(RECEIVING), wanted=st.integers(1, 5), invisible_s=st.sampled_from([1, 5, 60]))
    def receive(self, group: str, wanted: int, invisible_s: int) -> None:
        command = ReceiveMessages(group, TOPIC, max_messages=wanted, invisible_ms=invisible_s * 1000)
        reply = self.do(command)
        self.joined.add(group)
        places = [self.seen(one.message) for one in reply.messages]
        if group == ORDERED:
            self.in_order(places)
        for one in reply.messages:
            self.received(group, one, invisible_s * 1000)

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), strict=st.booleans())
    def acknowledge(self, data: st.DataObject, strict: bool) -> None:
        group, place, handle = data.draw(st.sampled_from(self.handles))
        (result,) = self.do(AckMessages(group, TOPIC, (handle,), strict)).results
        held = self.held[group][place]
        valid = self.world.wall_ms < held.visible_at
        if held.acknowledged or held.buried:
            assert result.code == "", "acknowledging_is_idempotent"
        elif handle != held.handle:
            if held.acknowledged is False and held.buried is False:
                # Given up to the dead letters meanwhile, it is settled, and any handle is as good.
                given_up = held.most >= LIMIT and not valid
                assert result.code == "RECEIPT_HANDLE_EXPIRED" or (given_up and not result.code), "one_holder"
                if not result.code:
                    held.acknowledged = None
        elif valid or not strict:
            # Expired but not yet delivered again, or given up meanwhile: not strict, either is right.
            if valid:
                assert result.code == ""
            if result.code == "":
                # What may be a dead letter already was not acknowledged by this for certain.
                held.acknowledged = True if valid and held.buried is False else None
        else:
            assert result.code in ("RECEIPT_HANDLE_EXPIRED", "")
            if result.code == "":
                held.acknowledged = None  # it was given up to the dead letters meanwhile: settled

    def current(self, data: st.DataObject) -> tuple[str, Held, str] | None:
        """A handle that certainly is valid; None if the one drawn is not."""
        group, place, handle = data.draw(st.sampled_from(self.handles))
        held = self.held[group][place]
        if handle != held.handle or held.settled or self.world.wall_ms >= held.visible_at:
            return None
        return group, held, handle

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), seconds=st.sampled_from([0, 2, 20]))
    def change(self, data: st.DataObject, seconds: int) -> None:
        found = self.current(data)
        if found is None:
            return
        group, held, handle = found
        reply = self.do(ChangeInvisibleDuration(group, TOPIC, handle, seconds * 1000))
        held.handle = reply.receipt_handle
        held.visible_at = self.world.wall_ms + seconds * 1000
        (place,) = [place for known, place, one in self.handles if known == group and one == handle][:1]
        self.handles.append((group, place, reply.receipt_handle))

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        found = self.current(data)
        if found is not None:
            group, held, handle = found
            self.do(ForwardToDeadLetterQueue(group, TOPIC, handle))
            held.buried = True

    @rule(queue_id=st.integers(0, QUEUES - 1))
    def pull(self, queue_id: int) -> None:
        offset = self.pulled[queue_id]
        reply: PulledMessages = self.do(PullMessages(PULLERS, TOPIC, queue_id, offset, max_messages=3))
        for message in reply.messages:
            assert stored_message.queue_offset(message) == offset, "offsets_in_order"
            self.seen(message)
            offset += 1
        assert reply.next_offset == offset, "offsets_in_order"
        self.pulled[queue_id] = offset
        self.do(UpdateConsumerOffset(PULLERS, TOPIC, queue_id, offset))

    # Time, and what goes wrong.

    @rule(seconds=st.sampled_from([0.5, 2, 6, 40]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds, max(0.05, seconds / 8))

    @rule()
    def restart(self) -> None:
        self.world = self.world.restart()
        self.connect()
        self.beat()

    def fail(self) -> None:
        """The power goes, now."""
        self.world = self.world.crash()
        self.connect()
        for known in self.messages.values():
            known.doubled = known.doubled or (self.tears and known.number < 0)
        self.beat()

    @rule(settled=st.booleans())
    def crash(self, settled: bool) -> None:
        if settled:
            self.world.advance(1)  # consumer offsets that nobody waits for are recorded by then
        self.fail()
        if not settled:
            self.pull_from_the_start()

    def crash_before_the_answer(self, command: Any, calls: int) -> Any:
        """The command is under way when the power fails: what came of it is not known, unless it was answered already
        (with this reply): then it holds. :param calls: for a disk: how many it still carries out."""
        replies: list[Any] = []
        self.world.store.manual = True
        self.world.start(self.session, command).addCallbacks(replies.append, lambda _: None)
        self.crash(False)
        return replies[0] if replies else None

    @rule(queue_id=st.integers(0, QUEUES - 1), delay_s=st.sampled_from([0, 3]), half=st.booleans(), calls=st.integers(0, 4))
    def send_and_crash(self, queue_id: int, delay_s: int, half: bool, calls: int) -> None:
        body, command = self.message(queue_id, 0 if half else delay_s, half=half)
        self.answered(body, self.crash_before_the_answer(command, calls))

    @precondition(lambda self: any(held.handle for group in self.held.values() for held in group.values()))
    @rule(data=st.data(), calls=st.integers(0, 4), bury=st.booleans())
    def settle_and_crash(self, data: st.DataObject, calls: int, bury: bool) -> None:
        held_ones = [(group, held) for group in RECEIVING for held in self.held[group].values() if held.handle]
        number = data.draw(st.integers(0, len(held_ones) - 1))
        group, held = held_ones[number]
        command: Any = AckMessages(group, TOPIC, (held.handle,))
        if bury:
            command = ForwardToDeadLetterQueue(group, TOPIC, held.handle)
        valid = self.world.wall_ms < held.visible_at and not held.settled
        reply = self.crash_before_the_answer(command, calls)
        if not bury and held.acknowledged and reply is not None:
            assert reply.results[0].code == "", "acknowledging_is_idempotent"
        if bury and (valid or held.buried is False) and not held.acknowledged:
            held.buried = None
        elif not bury and held.acknowledged is False and not held.buried:
            held.acknowledged = None

    @rule(group=st.sampled_from(RECEIVING), invisible_s=st.sampled_from([1, 5]), calls=st.integers(0, 4))
    def receive_and_crash(self, group: str, invisible_s: int, calls: int) -> None:
        for held in self.held[group].values():
            held.most += 1
        self.unseen_may_be_delivered(group)
        command = ReceiveMessages(group, TOPIC, max_messages=5, invisible_ms=invisible_s * 1000)
        self.crash_before_the_answer(command, calls)

    def unseen_may_be_delivered(self, group: str) -> None:
        """Nothing is in a queue that was not looked at after the last step."""

    @precondition(lambda self: self.halves())
    @rule(data=st.data(), commit=st.booleans(), calls=st.integers(0, 4))
    def end_and_crash(self, data: st.DataObject, commit: bool, calls: int) -> None:
        body = data.draw(st.sampled_from(self.halves()))
        known = self.messages[body]
        command = self.end(body, commit)
        self.crash_before_the_answer(command, calls)
        if commit and known.half in ("undecided", "rolled back or not"):
            known.half = "perhaps"
        elif known.half == "undecided":
            known.half = "rolled back or not"

    @precondition(lambda self: self.timed())
    @rule(data=st.data(), calls=st.integers(0, 4))
    def recall_and_crash(self, data: st.DataObject, calls: int) -> None:
        known = self.messages[data.draw(st.sampled_from(self.timed()))]
        self.crash_before_the_answer(RecallMessage(TOPIC, known.result.recall_handle), calls)
        if known.recalled is False and not known.copies:
            known.recalled = None

    # After every step.

    @invariant()
    def offsets_in_order(self) -> None:
        for queue_id in range(QUEUES):
            end = self.do(QueryOffset(TOPIC, queue_id, OffsetOf.MAX)).offset
            assert end >= self.ends[queue_id], "offsets_in_order"
            if end > self.ends[queue_id]:
                self.new_in_queue(queue_id, self.ends[queue_id], end)
            self.ends[queue_id] = end
            place = self.do(GetConsumerOffset(PULLERS, TOPIC, queue_id)).offset
            assert place == self.pulled[queue_id], "offsets_in_order"

    def new_in_queue(self, queue_id: int, start: int, end: int) -> None:
        found = self.do(PullMessages("watchers", TOPIC, queue_id, start, max_messages=100)).messages
        assert [stored_message.queue_offset(message) for message in found] == [*range(start, end)], "offsets_in_order"
        for message in found:
            self.seen(message)
        numbers = [
            self.messages[self.places[queue_id, offset]].number for offset in range(end) if (queue_id, offset) in self.places
        ]
        sent = [number for number in numbers if number >= 0]
        assert sent == sorted(sent), "order_of_a_queue"

    @invariant()
    def true_lag(self) -> None:
        for group in sorted(self.joined):
            for queue in self.do(GetConsumeProgress(group, TOPIC)).queues:
                held = [one for place, one in self.held[group].items() if place[0] == queue.queue.queue_id]
                open_ones = [one for one in held if not one.settled]
                least = sum(1 for one in open_ones if one.most < LIMIT or self.world.wall_ms < one.visible_at)
                most = len(open_ones) + sum(1 for one in held if one.acknowledged is None or one.buried is None)
                lag = queue.broker_offset - queue.consumer_offset
                assert least <= lag <= most, f"true_lag of {group}: {least} <= {lag} <= {most}"

    @invariant()
    def asked_only_while_undecided(self) -> None:
        for event in self.session.events:
            if isinstance(event, CheckTransaction):
                known = self.messages[stored_message.body(event.message).decode()]
                assert known.half in ("undecided", "perhaps", "rolled back or not"), "asked_only_while_undecided"
                assert self.world.wall_ms >= known.due + 6000, "asked_only_while_undecided"
        self.session.events.clear()

    # The end.

    def teardown(self) -> None:
        """nothing_lost: after some time everything was either acknowledged, or comes, or is a dead letter."""
        try:
            if self.messages:
                for group in RECEIVING:
                    self.drain(group)
        finally:
            self.clean()

    def clean(self) -> None:
        """Leave nothing behind."""

    def drain(self, group: str) -> None:
        found: set[Place] = set()
        for _ in range(LIMIT + 3):
            self.world.advance(70, 7)
            for _ in range(len(self.messages) * 2 + 1):
                reply = self.do(ReceiveMessages(group, TOPIC, invisible_ms=1000))
                if not reply.messages:
                    break
                places = [self.seen(one.message) for one in reply.messages]
                if group == ORDERED:
                    self.in_order(places)
                for one in reply.messages:
                    found.add(self.received(group, one, 1000))
        buried = self.dead_letters(group)
        for body, known in self.messages.items():
            certain = known.sent and known.half in ("", "committed") and known.recalled is False
            assert known.copies or not certain, "nothing_lost"
            for place in known.copies:
                held = self.held[group][place]
                if held.acknowledged is True:
                    assert place not in found and (body not in buried or known.doubled), "acknowledged_for_good"
                elif held.acknowledged is False:
                    assert body in buried, "nothing_lost"
                    forwarded = held.buried is not False
                    assert forwarded or held.least == LIMIT or held.most > held.least, "dead_letter_exactly_after_the_limit"

    def dead_letters(self, group: str) -> set[str]:
        topic = f"%DLQ%{group}"
        found: set[str] = set()
        if self.world.backend.topics.get(topic) is None:
            return found
        for _ in range(len(self.messages) * 3 + 1):
            reply = self.do(ReceiveMessages("burial", topic))
            if not reply.messages:
                break
            for message in reply.messages:
                body = stored_message.body(message.message).decode()
                assert body in self.messages, "nothing_from_nowhere"
                assert body not in found or self.tears, "a message is buried once"
                found.add(body)
        return found
