"""``twistd rmqgateway``: options and wiring, with a reactor in memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IServiceMaker
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

from rmqgateway import __version__
from rmqgateway.services import OrderedService, StartFailed
from rmqgateway_tap import Options, makeService
from rmqgateway_tap.showing import show_front_ends


class Reactor(MemoryReactorClock):
    """As real as it has to be: the store's threads are not started before something is written."""

    def callFromThread(self, function: Any, *arguments: Any) -> None:  # noqa: N802
        self.callLater(0, function, *arguments)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:  # noqa: N802
        made: Any = super().listenTCP(port, factory, backlog, interface)
        made._hostAddress = IPv4Address("TCP", interface or "0.0.0.0", port)
        return made


def options(*flags: str, environment: dict[str, str] | None = None) -> Options:
    made = Options()
    made.environment = environment or {"HOME": "/nonexistent"}
    made.parseOptions(list(flags))
    return made


def service(tmp_path: Path, *flags: str, **more: Any) -> OrderedService:
    return makeService(options("-d", str(tmp_path / "data"), *flags, **more), Reactor())


def fails(capsys: pytest.CaptureFixture[str], *flags: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SystemExit) as raised:
        options(*flags, environment=environment)
    assert raised.value.code == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("rmqgateway: ")
    return said.err


def test_twistd_finds_the_service_maker() -> None:
    (maker,) = (one for one in getPlugins(IServiceMaker) if one.tapname == "rmqgateway")
    assert verifyObject(IServiceMaker, maker)
    assert maker.options is Options
    assert maker.makeService is makeService


def test_making_the_service_opens_nothing(tmp_path: Path) -> None:
    reactor = Reactor()
    made = makeService(options("-d", str(tmp_path / "data")), reactor)
    assert [part.name for part in made.parts] == [
        "the data directory",
        "the local backend",
        "the clients' sessions",
        "the listeners",
        "the notice",
    ]
    assert not reactor.tcpServers and not list(tmp_path.iterdir()) and not reactor.getDelayedCalls()


def test_the_defaults_listen_on_loopback_for_everybody_there_is(tmp_path: Path) -> None:
    reactor = Reactor()
    makeService(options("-d", str(tmp_path / "data")), reactor).parts[-2].prepare()
    assert [(port, interface) for port, _, _, interface in reactor.tcpServers] == [
        (9876, "127.0.0.1"),
        (8081, "127.0.0.1"),
        (8080, "127.0.0.1"),
    ]
    for _, factory, _, _ in reactor.tcpServers:
        assert {"grpc", "remoting"} <= set(factory.names)


def test_a_flag_that_does_not_exist_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "option --lisen not recognized; did you mean 'listen'?" in fails(capsys, "--lisen", "x")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--set", "local.flsh=sync"], "--set local.flsh: there is no setting 'flsh'; did you mean 'flush'?"),
        (["--set", "local.delay_levels=10 parsecs"], "delay_levels: expected words such as 10s"),
        (["--config", "/nonexistent.toml"], "the configuration file /nonexistent.toml cannot be read"),
        (["stray"], "expected only options"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], flags: list[str], text: str
) -> None:
    assert text in fails(capsys, *flags)


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, environment={"RMQGATEWAY_LIMITS__SESIONS": "5"})
    assert (
        "the environment variable RMQGATEWAY_LIMITS__SESIONS: there is no setting 'sesions'; did you mean 'sessions'?"
        in said
    )


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--backend", "cluster"], "--backend: the backend cluster needs its name servers: --namesrv"),
        (["--backend", "lokal"], "--backend: there is no backend 'lokal'; there are local and cluster"),
        (["--listen", "a=tpc:1"], "--listen a=tpc:1: 'tpc:1' is no endpoint"),
        (["--advertise", "0.0.0.0"], "--advertise: 0.0.0.0 is every address and none"),
        (["--set", "listeners.web.advertise=a:b:c"], "--set listeners.web.advertise: expected"),
        (
            ["--set", "front_ends.remoting.max_header=1"],
            "--set front_ends.remoting.max_header: max_header: expected at least",
        ),
        (
            ["--set", "front_ends.remoting.max_heder=1"],
            "there is no setting 'max_heder'; did you mean 'max_header'?",
        ),
        (["--set", "tls.certificate=/nonexistent.pem"], "tls.certificate: /nonexistent.pem"),
        (["--set", "tls.mode=required"], "tls.mode: required needs a certificate"),
    ],
)
def test_what_only_the_wiring_finds_out_names_its_place_too(
    tmp_path: Path, flags: list[str], text: str
) -> None:
    with pytest.raises(StartFailed) as raised:
        service(tmp_path, *flags)
    assert text in str(raised.value)


def test_the_environment_names_a_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('advertise = "example.org"\n[listeners]\nonly = "tcp:1:interface=127.0.0.1"\n')
    reactor = Reactor()
    made = makeService(
        options("-d", str(tmp_path / "data"), environment={"RMQGATEWAY_CONFIG": str(file)}), reactor
    )
    made.parts[-2].prepare()
    ((port, factory, _, _),) = reactor.tcpServers
    assert (port, factory.advertise) == (1, ("example.org", 0))


def test_a_listener_for_one_connection_front_end_alone_serves_no_http(tmp_path: Path) -> None:
    reactor = Reactor()
    makeService(
        options(
            "-d",
            str(tmp_path),
            "-l",
            "a=tcp:1:interface=127.0.0.1;remoting",
            "-l",
            "b=tcp:2:interface=127.0.0.2",
        ),
        reactor,
    ).parts[-2].prepare()
    assert [factory.recogniser.http for _, factory, _, _ in reactor.tcpServers] == [False, True]


def test_settings_reach_the_store(tmp_path: Path) -> None:
    made = service(
        tmp_path, "-s", "local.flush=async", "-s", "local.retention_hours=1", "-s", "store.disk_limit=0.5"
    )
    backend: Any = made.parts[1]
    settings = backend._backend.core.store.settings
    assert (settings.flush, settings.retention_seconds, settings.disk_limit) == ("async", 3600.0, 0.5)


def test_help_and_version_are_shown_and_end_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, text in (
        ("--version", __version__),
        ("--help-front-ends", "remoting: "),
        ("--print-config", "[limits]"),
    ):
        with pytest.raises(SystemExit) as raised:
            options(flag)
        assert not raised.value.code
        assert text in capsys.readouterr().out


def test_print_config_is_toml_with_origins(capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    with pytest.raises(SystemExit):
        options("--print-config", "--set", "limits.sessions=7", "--data-dir", "/d")
    text = capsys.readouterr().out
    shown = tomllib.loads(text)
    assert shown["limits"]["sessions"] == 7
    assert shown["front_ends"]["remoting"]["enabled"] is True
    assert 'data_dir = "/d"  # --data-dir' in text
    assert "sessions = 7  # --set limits.sessions" in text


def test_a_front_end_that_cannot_be_imported_does_not_spoil_the_list() -> None:
    from rmqgateway.frontend import FrontEndMaker

    file = io.StringIO()
    show_front_ends(
        {"gone": FrontEndMaker("gone", "Gone.", "rmqgateway_gone", extra="rmqgateway[gone]")}, file
    )
    assert "cannot be enabled" in file.getvalue() and "pip install 'rmqgateway[gone]'" in file.getvalue()
