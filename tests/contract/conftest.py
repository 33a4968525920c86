"""The stage of a scenario; see ``drivers.scenario``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.driver import Stage
from tests.contract.durable_world import DurableWorld

# The example is a distribution of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "rmqgateway-stomp" / "src"))


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A fresh gateway, and clients of one kind."""
    driver, settings, world = request.param
    made = Stage(driver, settings, world)
    yield made
    if isinstance(made.world, DurableWorld):
        made.world.clean()
