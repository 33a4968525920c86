"""The model of `model` over both stores: in memory, and on a disk whose power fails between any two of its calls."""

from __future__ import annotations

import os
import random
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from rmqgateway.testing import World
from tests.contract.durable_world import DurableWorld
from tests.contract.model import Consuming

DEEP = os.environ.get("RMQGATEWAY_TEST_HYPOTHESIS") == "deep"


class DurableConsuming(Consuming):
    """Over files; the disk dies after some of the calls that a command makes."""

    tears = True

    def make_world(self) -> World:
        DurableWorld.chance = random.Random(1)
        return DurableWorld()

    def crash_before_the_answer(self, command: Any, calls: int) -> Any:
        world = self.world
        assert isinstance(world, DurableWorld)
        disk = world.disk
        disk.fail_at = disk.calls + calls + 1
        replies: list[Any] = []

        def keep(reply: Any) -> None:
            if not disk.dead:
                replies.append(reply)

        world.start(self.session, command).addCallbacks(keep, lambda _: None)
        if calls:
            world.settle()
        self.crash(False)
        return replies[0] if replies else None

    def clean(self) -> None:
        world = self.world
        assert isinstance(world, DurableWorld)
        world.clean()


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples * (15 if DEEP else 1),
        stateful_step_count=60 if DEEP else 30,
        deadline=None,
        # Shrinking takes minutes: a failure prints its steps, and replays from its seed.
        phases=list(Phase) if DEEP else [Phase.explicit, Phase.reuse, Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


Consuming.TestCase.settings = _settings(100)
DurableConsuming.TestCase.settings = _settings(60)
TestConsuming = Consuming.TestCase
TestDurableConsuming = DurableConsuming.TestCase
