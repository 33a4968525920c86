"""The stage of a scenario; see ``drivers.scenario``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contract.driver import Stage

# The example is a distribution of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "rmqgateway-stomp" / "src"))


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    """A fresh gateway, and clients of one kind."""
    driver, settings = request.param
    return Stage(driver, settings)
