"""The model finds what it is for: each planted fault turns it red, by the name of its invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rmqgateway.backend.local import popping
from rmqgateway.backend.local.pop_moves import PopMoves
from rmqgateway.backend.local.pop_place import take
from rmqgateway.backend.local.pop_receive import Receive
from rmqgateway.backend.local.pop_state import PopState
from rmqgateway.backend.local.popping import Popping
from rmqgateway.backend.local.pulling import Pulling
from rmqgateway.backend.local.timer_wheel import TimerWheel
from rmqgateway.backend.local.transactions import Transactions
from rmqgateway.backend.local.writing import Draft, Writer
from rmqgateway.backend.store.memory import MemoryStore
from rmqgateway.commands import PulledMessages, TransactionResolution
from rmqgateway.errors import Code, GatewayError
from tests.contract.durable_world import FailingDisk
from tests.contract.model import ORDERED, POPPERS, Consuming
from tests.contract.test_model import DEEP, DurableConsuming

Patch = Callable[[pytest.MonkeyPatch], None]


def lost_acknowledgement(patch: pytest.MonkeyPatch) -> None:
    """It is answered and never written."""
    settled = PopState._settled

    def only_in_memory(self: Any, group: str, number: int, queue_id: int, offsets: list[int]) -> None:
        settled(self, group, number, queue_id, offsets)

    patch.setattr(PopState, "settled", only_in_memory)


def refused_acknowledgement(patch: pytest.MonkeyPatch) -> None:
    """Acknowledging twice is an error."""
    settleable = Popping._settleable

    def strict(self: Any, *arguments: Any) -> Any:
        found = settleable(self, *arguments)
        if found is None:
            raise GatewayError(Code.RECEIPT_HANDLE_EXPIRED, "planted")
        return found

    patch.setattr(Popping, "_settleable", strict)


def double_delivery(patch: pytest.MonkeyPatch) -> None:
    """A received message is visible to others all the same."""
    delivered = PopState.delivered

    def visible(self: Any, group: str, number: int, pop_time: int, visible_at: int, *rest: Any) -> None:
        delivered(self, group, number, pop_time, pop_time, *rest)

    patch.setattr(PopState, "delivered", visible)


def early_timer(patch: pytest.MonkeyPatch) -> None:
    """A delay is a second short."""
    delivery_time = Writer.delivery_time

    def early(self: Any, named: dict[str, str]) -> int | None:
        found = delivery_time(self, named)
        return None if found is None else found - 1500

    patch.setattr(Writer, "delivery_time", early)


def recalled_all_the_same(patch: pytest.MonkeyPatch) -> None:
    """What was recalled is delivered."""
    patch.setattr(TimerWheel, "recall", lambda self, when, offset: None)


def half_visible(patch: pytest.MonkeyPatch) -> None:
    """A half message is for consumers at once."""
    prepare = Transactions.prepare

    def visible(self: Any, draft: Draft, *rest: Any) -> Any:
        copy = Draft(draft.topic, draft.queue_id, draft.body, draft.properties)
        result = prepare(self, draft, *rest)
        self._writer.put(copy)
        return result

    patch.setattr(Transactions, "prepare", visible)


def rolled_back_all_the_same(patch: pytest.MonkeyPatch) -> None:
    """A transaction that is rolled back is committed."""
    end = Transactions.end_transaction

    def commit(self: Any, context: Any, command: Any) -> Any:
        return end(self, context, msgspec.structs.replace(command, resolution=TransactionResolution.COMMIT))

    patch.setattr(Transactions, "end_transaction", commit)


def asked_again(patch: pytest.MonkeyPatch) -> None:
    """A transaction is asked about though it has ended."""

    def undecided(self: Any, offset: int, key: int) -> None:
        return None

    patch.setattr(Transactions, "_ended", undecided)


def stored_twice(patch: pytest.MonkeyPatch) -> None:
    """A message is there twice."""
    put = Writer.put

    def twice(self: Any, draft: Draft) -> Any:
        put(self, draft)
        return put(self, draft)

    patch.setattr(Writer, "put", twice)


def out_of_order(patch: pytest.MonkeyPatch) -> None:
    """An ordered group gets what is behind a message in flight."""
    patch.setattr(popping, "take_in_order", take)


def lost_dead_letter(patch: pytest.MonkeyPatch) -> None:
    """A message whose attempts are used up is gone."""
    patch.setattr(PopMoves, "to_dead_letters", lambda *arguments: True)


def one_attempt_too_many(patch: pytest.MonkeyPatch) -> None:
    """The limit of deliveries is one off."""
    init = Receive.__init__

    def generous(self: Any, *arguments: Any) -> None:
        init(self, *arguments)
        self.max_attempts += 1

    patch.setattr(Receive, "__init__", generous)


def wrong_offset(patch: pytest.MonkeyPatch) -> None:
    """A pull says to go on one too far."""
    pull = Pulling.pull_messages

    def ahead(self: Any, context: Any, command: Any) -> Any:
        reply = pull(self, context, command)
        if isinstance(reply, PulledMessages) and reply.messages:
            return PulledMessages(
                reply.status, reply.next_offset + 1, reply.min_offset, reply.max_offset, reply.messages
            )
        return reply

    patch.setattr(Pulling, "pull_messages", ahead)


def wrong_lag(patch: pytest.MonkeyPatch) -> None:
    """What is in flight is no lag."""
    patch.setattr(Popping, "unsettled", lambda *arguments: 0)


def skipped_sync(patch: pytest.MonkeyPatch) -> None:
    """Answers come before anything is durable."""

    def at_once(self: Any, callback: Callable[[BaseException | None], None]) -> None:
        callback(None)

    patch.setattr(MemoryStore, "when_durable", at_once)


def lying_disk(patch: pytest.MonkeyPatch) -> None:
    """A sync that makes nothing durable."""
    patch.setattr(FailingDisk, "fdatasync", lambda self, fd: None)


class _Chosen:
    """What a rule draws: of a list the last."""

    def draw(self, strategy: Any) -> Any:
        elements = getattr(strategy, "elements", None)
        return strategy.end_value if elements is None else elements[-1]


_DATA: Any = _Chosen()
Play = Callable[[Consuming], Any]


def _send(delay_s: int = 0, message_group: str = "") -> Play:
    return lambda model: model.send(queue_id=0, delay_s=delay_s, level=0, message_group=message_group)


def _receive(group: str = POPPERS, invisible_s: int = 60) -> Play:
    return lambda model: model.receive(group=group, wanted=1, invisible_s=invisible_s)


def _wait(seconds: float) -> Play:
    return lambda model: model.wait(seconds=seconds)


def _acknowledge(model: Consuming) -> None:
    model.acknowledge(data=_DATA, strict=True)


def _recall(model: Consuming) -> None:
    model.recall(data=_DATA)


def _prepare(model: Consuming) -> None:
    model.prepare(queue_id=0)


def _end(commit: bool) -> Play:
    return lambda model: model.end_transaction(data=_DATA, commit=commit)


def _crash(model: Consuming) -> None:
    model.crash(settled=True)


def _send_and_crash(model: Consuming) -> None:
    model.send_and_crash(queue_id=0, delay_s=0, half=False, calls=0)


def _pull(model: Consuming) -> None:
    model.pull(queue_id=0)


_EXPIRE = (_receive(invisible_s=1), _wait(2))
#: Each fault, over which store, the invariant that it breaks, and the shortest way there.
_FAULTS: list[tuple[Patch, type[Consuming], str, tuple[Play, ...]]] = [
    (
        lost_acknowledgement,
        Consuming,
        "true_lag",  # seen before it is delivered again
        (_send(), _receive(), _acknowledge, _crash, _wait(40), _wait(40), _receive()),
    ),
    (refused_acknowledgement, Consuming, "acknowledging_is_idempotent", (_send(), _receive(), _acknowledge, _acknowledge)),
    (double_delivery, Consuming, "one_holder", (_send(), _receive(), _receive())),
    (early_timer, Consuming, "never_early", (_send(3), _wait(2))),
    (recalled_all_the_same, Consuming, "recalled_for_good", (_send(30), _recall, _wait(40))),
    (half_visible, Consuming, "never_half_visible", (_prepare,)),
    (rolled_back_all_the_same, Consuming, "never_half_visible", (_prepare, _end(False))),
    (asked_again, Consuming, "asked_only_while_undecided", (_prepare, _end(True), _wait(40))),
    (stored_twice, Consuming, "once_in_its_queue", (_send(),)),
    (
        out_of_order,
        Consuming,
        "order_of_a_message_group",
        (_send(0, "A"), _send(0, "A"), _receive(ORDERED), _receive(ORDERED)),
    ),
    (lost_dead_letter, Consuming, "nothing_lost", (_send(),)),
    (one_attempt_too_many, Consuming, "dead_letter_exactly_after_the_limit", (_send(), *_EXPIRE * 4)),
    (wrong_offset, Consuming, "offsets_in_order", (_send(), _pull)),
    (wrong_lag, Consuming, "true_lag", (_send(), _receive())),
    (skipped_sync, Consuming, "nothing_lost", (_send_and_crash,)),
    (lying_disk, DurableConsuming, "", (_send(), _crash) * 6),
]


def _play(machine: type[Consuming], steps: tuple[Play, ...]) -> None:
    """The steps, as hypothesis would carry them out, and the end."""
    model = machine()
    try:
        model.begin()
        for step in steps:
            step(model)
            model.offsets_in_order()
            model.true_lag()
            model.asked_only_while_undecided()
    except BaseException:
        model.clean()
        raise
    model.teardown()


@pytest.mark.parametrize(
    ("fault", "machine", "invariant", "steps"), _FAULTS, ids=lambda one: getattr(one, "__name__", "x")
)
def test_the_model_turns_red(
    fault: Patch, machine: type[Consuming], invariant: str, steps: tuple[Play, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _play(machine, steps)  # green as it is
    fault(monkeypatch)
    with pytest.raises((AssertionError, GatewayError)) as caught:
        _play(machine, steps)
    assert invariant in str(caught.value)


def _search(fault: Patch, machine: type[Consuming], monkeypatch: pytest.MonkeyPatch) -> None:
    """The model finds the way by itself."""
    fault(monkeypatch)
    with pytest.raises((AssertionError, GatewayError)):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=600,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            ),
        )


if DEEP:  # for `make soak`: minutes
    test_the_model_finds_the_way_itself = pytest.mark.parametrize(
        ("fault", "machine"), [row[:2] for row in _FAULTS], ids=lambda one: getattr(one, "__name__", "x")
    )(_search)
