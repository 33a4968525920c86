"""Every front-end of this repository joins the suite, and what its scenarios leave out is listed, exactly."""

from __future__ import annotations

import pytest

from rmqgateway.loader import find_makers
from tests.contract import test_clients, test_popping, test_producing, test_pulling
from tests.contract.driver import Driver
from tests.contract.drivers import DRIVERS, SCENARIOS
from tests.contract.unexpressed import UNEXPRESSED

_MODULES = (test_clients, test_popping, test_producing, test_pulling)
#: Front-ends without a word for sending or receiving messages.
_OTHERS = {"console"}


def missing(driver: type[Driver]) -> dict[str, set[str]]:
    """The scenarios that a driver does not take part in, by the first operation that it lacks."""
    found: dict[str, set[str]] = {}
    for name, needs in SCENARIOS.items():
        lacking = [operation for operation in needs if not driver.can(operation)]
        if lacking:
            found.setdefault(lacking[0], set()).add(name)
    return found


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_what_cannot_be_said_is_listed(driver: type[Driver]) -> None:
    listed = UNEXPRESSED[driver.name]
    assert missing(driver) == {operation: set(names) for operation, (_, names) in listed.items()}
    assert all(reason for reason, _ in listed.values())


def test_each_scenario_is_known_by_its_name() -> None:
    defined = [name for module in _MODULES for name in vars(module) if name.startswith("test_")]
    assert set(SCENARIOS) == set(defined)
    assert len(defined) == len(SCENARIOS), "two scenarios of one name"


def test_each_front_end_has_a_driver() -> None:
    assert set(find_makers()) - _OTHERS <= {driver.name for driver in DRIVERS}
