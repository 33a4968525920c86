"""The process in front of a cluster: which parts it has, which ports it binds, whom it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock

from rmqgateway.config import ConfigurationError
from rmqgateway.services import StartFailed
from rmqgateway_tap import Options, makeService


class Reactor(MemoryReactorClock):
    """Ports have the address that they are bound to."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:  # noqa: N802
        made: Any = super().listenTCP(port, factory, backlog, interface)
        made._hostAddress = IPv4Address("TCP", interface or "0.0.0.0", port)
        return made


def service(tmp_path: Path, *flags: str) -> tuple[Any, Reactor]:
    options = Options()
    options.environment = {"HOME": "/nonexistent"}
    options.parseOptions(["-d", str(tmp_path / "data"), "--backend", "cluster", *flags])
    reactor = Reactor()
    return makeService(options, reactor), reactor


def part(made: Any, name: str) -> Any:
    return next(each for each in made.parts if each.name == name)


BROKERS = ("--set", "passthrough.brokers=broker-a:0=10911,broker-a:1=10921")


def test_ports_of_brokers_end_before_sessions_and_the_rest_after_them(tmp_path: Path) -> None:
    """Parts stop in the opposite order: clients are drained while routes and the registry still answer."""
    made, reactor = service(tmp_path, "--set", "registry.endpoint=tcp:9877:interface=127.0.0.1", *BROKERS)
    names = [each.name for each in made.parts]
    assert names.index("the registry") < names.index("the passthrough") < names.index("the clients' sessions")
    assert (
        names.index("the clients' sessions")
        < names.index("the brokers' ports")
        < names.index("the listeners")
    )
    assert not reactor.tcpServers


def test_what_is_bound_at_start(tmp_path: Path) -> None:
    made, reactor = service(tmp_path, "--set", "registry.endpoint=tcp:9877:interface=127.0.0.1", *BROKERS)
    part(made, "the registry").prepare()
    part(made, "the brokers' ports").prepare()
    assert [(port, interface) for port, _, _, interface in reactor.tcpServers] == [
        (9877, "127.0.0.1"),
        (10911, "127.0.0.1"),
        (10921, "127.0.0.1"),
    ]
    assert [factory.names for _, factory, _, _ in reactor.tcpServers] == [
        ["registry"],
        ["remoting"],
        ["remoting"],
    ]


def test_a_gateway_that_is_a_name_server_asks_itself_unless_told_otherwise(tmp_path: Path) -> None:
    own = ("--set", "registry.endpoint=tcp:9877:interface=127.0.0.1")
    for flags, asked in (
        (own, ("127.0.0.1", 9877)),
        ((*own, "--namesrv", "10.0.0.9:9876"), ("10.0.0.9", 9876)),
    ):
        made, reactor = service(tmp_path, *flags)
        part(made, "the passthrough").start()
        assert reactor.tcpClients[-1][:2] == asked


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ((), "--namesrv host:port;host:port, or to be one"),
        (("--namesrv", "nowhere"), "namesrv"),
        (
            ("--namesrv", "a:1", "--set", "passthrough.brokers=x"),
            "--set passthrough.brokers: brokers: expected name:id=port",
        ),
        (("--set", "registry.endpoint=unix:/x"), "--set registry.endpoint: endpoint: expected tcp:PORT"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, flags: tuple[str, ...], text: str) -> None:
    with pytest.raises((StartFailed, SystemExit)) as raised:
        service(tmp_path, *flags)
    assert text in str(raised.value) or isinstance(raised.value, SystemExit)


def test_ports_of_brokers_where_everybody_could_reach_them_need_users(tmp_path: Path) -> None:
    flags = ("--namesrv", "10.0.0.9:9876", "--set", "passthrough.interface=0.0.0.0", *BROKERS)
    made, _ = service(tmp_path, *flags)
    ports = part(made, "the brokers' ports")
    ports.prepare()
    with pytest.raises(ConfigurationError, match="no user exists"):
        ports.start()
    made, reactor = service(tmp_path, *flags, "--set", "listening.remote_without_users=true")
    ports = part(made, "the brokers' ports")
    ports.prepare()
    ports.start()
    assert len(reactor.tcpServers) == 2
