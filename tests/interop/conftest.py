"""Which server the official clients meet, and the skips of a machine that lacks their toolchains."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.interop.apache import Apache
from tests.interop.gateway import Gateway
from tests.interop.mqadmin_scene import admin, scene
from tests.interop.serving import started
from tests.interop.toolchain import missing

__all__ = ["Server", "admin", "against", "prefix", "scene", "server"]

Server = Apache | Gateway


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--against",
        choices=("gateway", "apache"),
        default="gateway",
        help="what the interop scenarios talk to: the gateway, or a real Apache RocketMQ that validates them",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*programs): skipped, with the reason, where one is not installed"
    )
    config.addinivalue_line(
        "markers", "gateway_only: a promise of the gateway that Apache RocketMQ does not make"
    )


def against(config: pytest.Config) -> str:
    """The option is unknown when pytest was started from above this folder; then it is the gateway."""
    return str(config.getoption("--against", default="gateway"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("needs"):
            reason = missing(*mark.args)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("gateway_only") and against(config) == "apache":
            item.add_marker(pytest.mark.skip(reason="a promise of the gateway only"))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one server that all official clients of this run share."""
    directory = tmp_path_factory.mktemp("server")
    reason = missing("java", "mvn")
    made: Server
    if against(request.config) == "apache":
        if reason is not None:
            pytest.skip(reason)
        made = Apache(directory, settings={"enableLmq": "true", "enableMultiDispatch": "true"})
    else:
        made = Gateway(directory)
    with started(made):
        yield made


@pytest.fixture(scope="session")
def prefix() -> str:
    """Begins every topic and group of this run."""
    return f"it{int(time.time()) % 1_000_000}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    from tests.interop.drivers import FIGURES

    if FIGURES:
        terminalreporter.write_sep("-", f"figures of the official clients against {against(config)}")
        for line in FIGURES:
            terminalreporter.write_line(line)
