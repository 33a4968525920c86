"""A model of what consumers are promised, against the backend: any order of commands, times, restarts and crashes.

Invariants, by name: nothing_lost, nothing_from_nowhere, one_holder, never_early, acknowledged_for_good,
dead_letter_exactly_after_the_limit, offsets_in_order.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    CreateGroups,
    CreateTopics,
    GetConsumerOffset,
    GroupConfig,
    OffsetOf,
    PullMessages,
    QueryOffset,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    TopicConfig,
    UpdateConsumerOffset,
)
from rmqgateway.message import Message, MessageType
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties

TOPIC, POPPERS, PULLERS = "topic", "poppers", "pullers"
#: How often a message is delivered at most: once, and again so often as the group allows.
LIMIT = 3
QUEUES = 2


class Model(msgspec.Struct):
    """What is known of one message to the group that pops.

    :ivar sent: its send was answered. :ivar due: not before (ms). :ivar visible_at: not before, after a delivery (ms).
    :ivar least, most: deliveries that certainly were, and that may have been (a crash before the answer).
    :ivar acknowledged: None: perhaps.
    """

    sent: bool
    due: int
    visible_at: int = 0
    least: int = 0
    most: int = 0
    handle: str = ""
    acknowledged: bool | None = False


class Consuming(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.session = self.world.session()
        self.messages: dict[str, Model] = {}
        self.handles: list[tuple[str, str]] = []
        self.pulled = [0] * QUEUES
        self.ends = [0] * QUEUES

    def do(self, command: Any, session: TestSession | None = None) -> Any:
        return self.world.execute(session or self.session, command)

    @initialize()
    def begin(self) -> None:
        self.do(CreateTopics((TopicConfig(TOPIC, QUEUES, QUEUES, message_type=MessageType.MIXED),)))
        self.do(CreateGroups((GroupConfig(POPPERS, retry_max_times=LIMIT - 1), GroupConfig(PULLERS))))
        self.pull_from_the_start()

    def pull_from_the_start(self) -> None:
        for queue_id in range(QUEUES):
            self.pulled[queue_id] = 0
            self.do(UpdateConsumerOffset(PULLERS, TOPIC, queue_id, 0))

    def message(self, queue_id: int, delay_s: int) -> tuple[str, SendMessages]:
        body = f"m{len(self.messages)}"
        due = self.world.wall_ms + delay_s * 1000
        properties = encode_properties({"TIMER_DELAY_MS": str(delay_s * 1000)} if delay_s else {})
        self.messages[body] = Model(False, due)
        return body, SendMessages(TOPIC, (Message(body.encode(), properties, queue_id),))

    @rule(queue_id=st.integers(0, QUEUES - 1), delay_s=st.sampled_from([0, 0, 0, 3, 30]))
    def send(self, queue_id: int, delay_s: int) -> None:
        body, command = self.message(queue_id, delay_s)
        self.do(command)
        self.messages[body].sent = True

    def received(self, message: ReceivedMessage, invisible_ms: int) -> None:
        body = stored_message.body(message.message).decode()
        assert body in self.messages, "nothing_from_nowhere"
        model = self.messages[body]
        now = self.world.wall_ms
        assert now >= model.due, "never_early"
        assert model.acknowledged is not True, "acknowledged_for_good"
        assert now >= model.visible_at, "one_holder"
        model.least += 1
        model.most += 1
        assert model.least <= message.delivery_attempt <= model.most
        assert message.delivery_attempt <= LIMIT, "dead_letter_exactly_after_the_limit"
        model.least = model.most = message.delivery_attempt
        model.acknowledged = False
        model.visible_at = now + invisible_ms
        model.handle = message.receipt_handle
        self.handles.append((body, message.receipt_handle))

    @rule(wanted=st.integers(1, 5), invisible_s=st.sampled_from([1, 5, 60]))
    def receive(self, wanted: int, invisible_s: int) -> None:
        reply = self.do(ReceiveMessages(POPPERS, TOPIC, max_messages=wanted, invisible_ms=invisible_s * 1000))
        for message in reply.messages:
            self.received(message, invisible_s * 1000)

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), strict=st.booleans())
    def acknowledge(self, data: st.DataObject, strict: bool) -> None:
        body, handle = data.draw(st.sampled_from(self.handles))
        (result,) = self.do(AckMessages(POPPERS, TOPIC, (handle,), strict)).results
        model = self.messages[body]
        if model.acknowledged:
            assert result.code == "", "acknowledging twice is no error"
        elif handle != model.handle:
            assert result.code == "RECEIPT_HANDLE_EXPIRED", "one_holder"
        elif self.world.wall_ms < model.visible_at or not strict:
            # Expired but not yet delivered again, or given up meanwhile: not strict, either is right.
            if self.world.wall_ms < model.visible_at:
                assert result.code == ""
            if result.code == "":
                model.acknowledged = True
        else:
            assert result.code in ("RECEIPT_HANDLE_EXPIRED", "")
            if result.code == "":
                model.acknowledged = None  # it was given up to the dead letters meanwhile: settled

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), seconds=st.sampled_from([0, 2, 20]))
    def change(self, data: st.DataObject, seconds: int) -> None:
        body, handle = data.draw(st.sampled_from(self.handles))
        model = self.messages[body]
        if handle != model.handle or model.acknowledged is not False or self.world.wall_ms >= model.visible_at:
            return
        reply = self.do(ChangeInvisibleDuration(POPPERS, TOPIC, handle, seconds * 1000))
        model.handle = reply.receipt_handle
        model.visible_at = self.world.wall_ms + seconds * 1000
        self.handles.append((body, reply.receipt_handle))

    @rule(queue_id=st.integers(0, QUEUES - 1))
    def pull(self, queue_id: int) -> None:
        offset = self.pulled[queue_id]
        reply = self.do(PullMessages(PULLERS, TOPIC, queue_id, offset, max_messages=3))
        for message in reply.messages:
            assert stored_message.queue_offset(message) == offset, "offsets_in_order"
            model = self.messages[stored_message.body(message).decode()]
            assert self.world.wall_ms >= model.due, "never_early"
            offset += 1
        assert reply.next_offset == offset
        self.pulled[queue_id] = offset
        self.do(UpdateConsumerOffset(PULLERS, TOPIC, queue_id, offset))

    @rule(seconds=st.sampled_from([0.5, 2, 6, 40]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds, max(0.05, seconds / 8))

    @rule()
    def restart(self) -> None:
        self.world = self.world.restart()
        self.session = self.world.session()

    @rule(settled=st.booleans())
    def crash(self, settled: bool) -> None:
        if settled:
            self.world.advance(1)  # consumer offsets that nobody waits for are recorded by then
        self.world = self.world.crash()
        self.session = self.world.session()
        if not settled:
            self.pull_from_the_start()

    def crash_before_the_answer(self, command: Any) -> Any:
        """The command is under way when the power fails: what came of it is not known, unless it was answered already
        (with this reply): then it holds."""
        replies: list[Any] = []
        self.world.store.manual = True
        self.world.start(self.session, command).addCallbacks(replies.append, lambda _: None)
        self.crash(False)
        return replies[0] if replies else None

    @rule(queue_id=st.integers(0, QUEUES - 1), delay_s=st.sampled_from([0, 3]))
    def send_and_crash(self, queue_id: int, delay_s: int) -> None:
        body, command = self.message(queue_id, delay_s)
        self.messages[body].sent = self.crash_before_the_answer(command) is not None

    @precondition(lambda self: any(model.handle for model in self.messages.values()))
    @rule(data=st.data())
    def acknowledge_and_crash(self, data: st.DataObject) -> None:
        body = data.draw(st.sampled_from([body for body, model in self.messages.items() if model.handle]))
        model = self.messages[body]
        reply = self.crash_before_the_answer(AckMessages(POPPERS, TOPIC, (model.handle,)))
        if model.acknowledged is False:
            # Answered at once, it was settled before: by its last delivery it may have become a dead letter.
            model.acknowledged = None
        elif model.acknowledged and reply is not None:
            assert reply.results[0].code == ""

    @rule(invisible_s=st.sampled_from([1, 5]))
    def receive_and_crash(self, invisible_s: int) -> None:
        for model in self.messages.values():
            model.most += 1
        self.crash_before_the_answer(ReceiveMessages(POPPERS, TOPIC, max_messages=5, invisible_ms=invisible_s * 1000))

    @invariant()
    def offsets_in_order(self) -> None:
        for queue_id in range(QUEUES):
            end = self.do(QueryOffset(TOPIC, queue_id, OffsetOf.MAX)).offset
            assert end >= self.ends[queue_id], "offsets_in_order"
            if end > self.ends[queue_id]:
                self.new_in_queue(queue_id, self.ends[queue_id])
            self.ends[queue_id] = end
            place = self.do(GetConsumerOffset(PULLERS, TOPIC, queue_id)).offset
            assert place == self.pulled[queue_id]

    def new_in_queue(self, queue_id: int, offset: int) -> None:
        for message in self.do(PullMessages("watchers", TOPIC, queue_id, offset, max_messages=100)).messages:
            body = stored_message.body(message).decode()
            assert body in self.messages, "nothing_from_nowhere"
            assert self.world.wall_ms >= self.messages[body].due, "never_early"

    def teardown(self) -> None:
        """nothing_lost: after some time everything was either acknowledged, or comes, or is a dead letter."""
        if not self.messages:
            return
        found: set[str] = set()
        for _ in range(LIMIT + 3):
            self.world.advance(70, 7)
            for _ in range(len(self.messages) + 1):
                reply = self.do(ReceiveMessages(POPPERS, TOPIC, invisible_ms=1000))
                if not reply.messages:
                    break
                for message in reply.messages:
                    self.received(message, 1000)
                    found.add(stored_message.body(message.message).decode())
        buried = set()
        for _ in range(len(self.messages) + 1):
            reply = self.do(ReceiveMessages("burial", f"%DLQ%{POPPERS}")) if self.is_topic(f"%DLQ%{POPPERS}") else None
            if reply is None or not reply.messages:
                break
            for message in reply.messages:
                body = stored_message.body(message.message).decode()
                assert body not in buried, "a message is buried once"
                buried.add(body)
        for body, model in self.messages.items():
            if model.acknowledged is True:
                assert body not in found and body not in buried, "acknowledged_for_good"
            elif model.sent and model.acknowledged is False:
                assert body in buried, "nothing_lost"
                assert model.least == LIMIT or model.most > model.least, "dead_letter_exactly_after_the_limit"

    def is_topic(self, name: str) -> bool:
        return self.world.backend.topics.get(name) is not None


DEEP = os.environ.get("RMQGATEWAY_TEST_HYPOTHESIS") == "deep"
Consuming.TestCase.settings = settings(
    max_examples=1500 if DEEP else 100,
    stateful_step_count=60 if DEEP else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestConsuming = Consuming.TestCase
