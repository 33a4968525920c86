"""The scenarios of the contract suite over the cluster backend, through every front-end, the messages kept by a broker 5.5.0."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.wire.request_codes import RequestCode
from tests.cluster.drivers import FRONT_ENDS
from tests.cluster.left_out import ANSWERED_OTHERWISE, LEFT_OUT, MADE_BEFORE, SWITCHED_OFF
from tests.cluster.playing import judge, play_all
from tests.cluster.real_time import COUNTERPARTS
from tests.cluster.stage import ClusterStage
from tests.cluster.world import ClusterGateway
from tests.contract import test_clients, test_popping, test_producing, test_pulling
from tests.contract.driver import Driver
from tests.contract.driver_commands import CommandsDriver
from tests.contract.drivers import SCENARIOS
from tests.interop.apache import Apache
from tests.interop.cluster import ask

Name = tuple[str, str]

_FUNCTIONS: dict[str, Any] = {
    name: getattr(module, name)
    for module in (test_clients, test_popping, test_producing, test_pulling)
    for name in vars(module)
    if name in SCENARIOS
}
_DRIVERS: dict[str, type[Driver]] = {"commands": CommandsDriver, **FRONT_ENDS}
_NAMES: list[Name] = [
    (scenario, name)
    for scenario, needs in SCENARIOS.items()
    if scenario not in LEFT_OUT
    for name, driver in _DRIVERS.items()
    if all(driver.can(operation) for operation in needs)
]
_AT_ONCE = 60


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, apache: Apache, gateway: ClusterGateway, second_gateway: ClusterGateway
) -> dict[Name, BaseException | None]:
    """What became of each scenario that was asked for."""
    wanted = [
        item.callspec.params["name"]  # type: ignore[attr-defined]
        for item in request.session.items
        if item.name.startswith("test_scenario[")
    ]

    def one(name: Name) -> None:
        stage = ClusterStage([gateway, second_gateway], _DRIVERS[name[1]])
        for made in MADE_BEFORE.get(name[0], ()):
            stage.make(made)
        COUNTERPARTS.get(name[0], _FUNCTIONS[name[0]])(stage)

    def switch(setting: str, on: bool) -> None:
        ask(apache.broker_address, RequestCode.UPDATE_BROKER_CONFIG, {}, f"{setting}={str(on).lower()}".encode())

    found = play_all([name for name in wanted if name[0] not in SWITCHED_OFF], one, _AT_ONCE)
    for scenario, setting in SWITCHED_OFF.items():
        switch(setting, False)
        try:
            found.update(play_all([name for name in wanted if name[0] == scenario], one, _AT_ONCE))
        finally:
            switch(setting, True)
    return found


@pytest.mark.parametrize("name", _NAMES, ids="-".join)
def test_scenario(name: Name, outcomes: dict[Name, BaseException | None]) -> None:
    if name[1] in ANSWERED_OTHERWISE.get(name[0], ((), ""))[0]:
        assert outcomes[name] is not None, "it is listed as one that RocketMQ answers otherwise, but it passes"
        return
    judge(outcomes[name])


def test_what_is_left_out_is_listed() -> None:
    assert set(_FUNCTIONS) == set(SCENARIOS)
    assert set(LEFT_OUT) <= set(SCENARIOS)
    assert {scenario for scenario, _ in _NAMES} == set(SCENARIOS) - set(LEFT_OUT)
    assert {(scenario, name) for scenario, (names, _) in ANSWERED_OTHERWISE.items() for name in names} <= set(_NAMES)
    assert set(MADE_BEFORE) <= set(_FUNCTIONS)
    assert set(SWITCHED_OFF) <= set(SCENARIOS) - set(LEFT_OUT)
    assert set(COUNTERPARTS) <= set(SCENARIOS) - set(LEFT_OUT)
