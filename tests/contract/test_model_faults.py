"""The model finds what it is for: each planted fault turns it red, by the name of its invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rmqgateway.backend.local.pop_receive import Receive
from rmqgateway.backend.local.pop_state import PopState
from rmqgateway.backend.local.pulling import Pulling
from rmqgateway.backend.local.writing import Writer
from rmqgateway.backend.store.memory import MemoryStore
from rmqgateway.commands import PulledMessages
from rmqgateway.errors import GatewayError
from tests.contract.test_model import Consuming

Patch = Callable[[pytest.MonkeyPatch], None]


def lost_acknowledgement(patch: pytest.MonkeyPatch) -> None:
    """It is answered and never written."""
    settled = PopState._settled

    def only_in_memory(self: Any, group: str, number: int, queue_id: int, offsets: list[int]) -> None:
        settled(self, group, number, queue_id, offsets)

    patch.setattr(PopState, "settled", only_in_memory)


def double_delivery(patch: pytest.MonkeyPatch) -> None:
    """A received message is visible to others all the same."""
    delivered = PopState.delivered

    def visible(self: Any, group: str, number: int, pop_time: int, visible_at: int, taken: Any) -> None:
        delivered(self, group, number, pop_time, pop_time, taken)

    patch.setattr(PopState, "delivered", visible)


def early_timer(patch: pytest.MonkeyPatch) -> None:
    """A delay is a second short."""
    delivery_time = Writer.delivery_time

    def early(self: Any, named: dict[str, str]) -> int | None:
        found = delivery_time(self, named)
        return None if found is None else found - 1500

    patch.setattr(Writer, "delivery_time", early)


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


def skipped_sync(patch: pytest.MonkeyPatch) -> None:
    """Answers come before anything is durable."""

    def at_once(self: Any, callback: Callable[[BaseException | None], None]) -> None:
        callback(None)

    patch.setattr(MemoryStore, "when_durable", at_once)


@pytest.mark.parametrize(
    "fault",
    [lost_acknowledgement, double_delivery, early_timer, one_attempt_too_many, wrong_offset, skipped_sync],
    ids=lambda fault: fault.__name__,
)
def test_the_model_turns_red(fault: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises((AssertionError, GatewayError)):
        run_state_machine_as_test(
            Consuming,
            settings=settings(
                max_examples=300,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            ),
        )
