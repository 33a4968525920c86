"""Settings: their order of precedence, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from rmqgateway.backend.local.settings import Flush, LocalSettings
from rmqgateway.config import Configuration, ConfigurationError, section_types
from rmqgateway.config_help import describe, help_of, is_secret, spell, summary_of
from rmqgateway.config_sections import ListeningSettings, ProcessSettings, TLSSettings
from rmqgateway.config_sources import Given, from_environment, from_file, from_listen_flag, from_set_flag
from rmqgateway.governance.budgets import Limits

FRONT_ENDS = {"remoting": True, "http": False}


class Secrets(msgspec.Struct, frozen=True):
    """:ivar api_secret: hidden. :ivar marked: hidden too."""

    api_secret: str = ""
    marked: Annotated[str, msgspec.Meta(extra={"secret": True})] = ""
    small: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    names: tuple[str, ...] = ()


def make(*flags: str, file: Path | None = None, environment: dict[str, str] | None = None) -> Configuration:
    given = from_file(str(file)) if file else []
    given += from_environment(environment or {})
    given += [from_set_flag(flag) for flag in flags]
    return Configuration(given, FRONT_ENDS)


def toml(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return file


def test_without_anything_the_defaults_hold() -> None:
    configuration = make()
    assert configuration.section("limits", Limits) == Limits()
    assert configuration.section("local", LocalSettings) == LocalSettings()
    assert configuration.section("", ProcessSettings).backend == "local"
    assert configuration.enabled == ["remoting"]
    assert {name: one.endpoint for name, one in configuration.listeners.items()} == {
        "remoting": "tcp:9876:interface=127.0.0.1",
        "grpc": "tcp:8081:interface=127.0.0.1",
        "web": "tcp:8080:interface=127.0.0.1",
    }


def test_flags_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    file = toml(tmp_path, '[limits]\nsessions = 1\ncommands_under_way = 2\n[local]\ncluster_name = "file"\n')
    environment = {"RMQGATEWAY_LIMITS__SESSIONS": "3", "RMQGATEWAY_LIMITS__COMMANDS_UNDER_WAY": "4"}
    limits = make("limits.sessions=5", file=file, environment=environment).section("limits", Limits)
    assert (limits.sessions, limits.commands_under_way) == (5, 4)
    assert limits.process_bytes == Limits().process_bytes
    assert make(file=file).section("local", LocalSettings).cluster_name == "file"


def test_text_becomes_the_setting_s_type() -> None:
    settings = make("local.auto_create_topics=false", "local.flush=async", "listening.drain_s=2").section(
        "local", LocalSettings
    )
    assert settings.auto_create_topics is False
    assert settings.flush is Flush.ASYNC
    secrets = make("front_ends.remoting.names=a, b").front_end("remoting", Secrets)
    assert secrets.names == ("a", "b")


def test_a_file_is_strict_about_types(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"gateway.toml: limits.sessions: expected a whole number, got '5'"
    ):
        make(file=toml(tmp_path, '[limits]\nsessions = "5"\n'))


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("limit.sessions=1", "--set limit.sessions: there is no section 'limit'; did you mean 'limits'?"),
        ("limits.session=1", "--set limits.session: there is no setting 'session'; did you mean 'sessions'?"),
        ("limits.sessions=many", "--set limits.sessions: expected a whole number, got 'many'"),
        ("limits.slow_at=x", "--set limits.slow_at: expected a number, got 'x'"),
        ("local.auto_create_topics=maybe", "expected true or false, got 'maybe'"),
        (
            "local.flush=snyc",
            "--set local.flush: expected one of sync, async, got 'snyc'; did you mean 'sync'?",
        ),
        (
            "logging.level=inof",
            "expected one of debug, info, warn, error, critical, got 'inof'; did you mean 'info'?",
        ),
        ("listening.drain_s=-1", "--set listening.drain_s: drain_s: expected 0 or more, got -1.0"),
        ("bakend=x", "there is no setting 'bakend'; did you mean 'backend'?"),
        ("limits=1", "--set limits: expected limits.key, got limits"),
        ("limits.a.b=1", "--set limits.a.b: expected limits.key, got limits.a.b"),
        ("front_ends.remotin.x=1", "no front-end named 'remotin' is installed; did you mean 'remoting'?"),
        ("front_ends.remoting=1", "expected front_ends.NAME.key"),
        ("listeners.web.endpont=tcp:1", "there is no setting 'endpont'; did you mean 'endpoint'?"),
        ("listeners.wed.front_ends=remoting", "the listener 'wed' has no endpoint"),
        ("listeners.web.front_ends=http", "no front-end named 'http' is enabled; there is remoting"),
        ("store.flush=async", "this is set in the section local"),
        ("store.segment_bytes=1", "--set store.segment_bytes: segment_bytes must be within"),
        (
            "tls.private_key=k",
            "--set tls.private_key: private_key: names a key, but certificate names no certificate",
        ),
        ("no_equals_sign", "--set no_equals_sign: expected section.key=value"),
        ("=5", "expected section.key=value"),
    ],
)
def test_what_is_said_of_a_wrong_flag(flag: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make(flag)
    assert text in str(raised.value)


def test_what_is_said_of_a_wrong_variable() -> None:
    with pytest.raises(
        ConfigurationError,
        match="the environment variable RMQGATEWAY_LIMITS__SESION: .* did you mean 'sessions'",
    ):
        make(environment={"RMQGATEWAY_LIMITS__SESION": "1"})


def test_what_is_said_of_a_wrong_key_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"gateway.toml: local.cluster: there is no setting 'cluster'; did you mean"
    ):
        make(file=toml(tmp_path, '[local]\ncluster = "x"\n'))


def test_what_is_said_of_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing.toml cannot be read: No such file"):
        from_file(str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigurationError, match=r"gateway.toml is no TOML: .*line 1"):
        make(file=toml(tmp_path, "= 5"))


def test_variables_of_others_and_of_the_tests_are_left_alone() -> None:
    environment = {
        "HOME": "/",
        "RMQGATEWAY_CONFIG": "x",
        "RMQGATEWAY_TEST_KILL_ROUNDS": "5",
        "RMQGATEWAYX": "1",
    }
    assert from_environment(environment) == []


def test_top_level_settings_and_listeners_by_variable() -> None:
    configuration = make(
        environment={"RMQGATEWAY_DATA_DIR": "/d", "RMQGATEWAY_LISTEN": "a=tcp:1 b=tcp:2;remoting"}
    )
    assert configuration.section("", ProcessSettings).data_dir == "/d"
    assert list(configuration.listeners) == ["a", "b"]
    assert configuration.listeners["b"].front_ends == ("remoting",)


def test_naming_an_endpoint_replaces_the_default_listeners() -> None:
    assert list(make("listeners.mine.endpoint=tcp:1").listeners) == ["mine"]


def test_a_default_listener_can_be_told_more_without_being_replaced() -> None:
    listeners = make("listeners.web.advertise=example.org").listeners
    assert list(listeners) == ["remoting", "grpc", "web"]
    assert listeners["web"].advertise == "example.org"
    assert listeners["web"].endpoint == "tcp:8080:interface=127.0.0.1"


def test_a_listener_in_a_file_is_a_string_or_a_table(tmp_path: Path) -> None:
    text = '[listeners]\na = "tcp:1"\n[listeners.b]\nendpoint = "tcp:2"\nfront_ends = ["remoting"]\n'
    listeners = make(file=toml(tmp_path, text)).listeners
    assert listeners["a"].endpoint == "tcp:1"
    assert listeners["b"].front_ends == ("remoting",)


def listen(text: str) -> dict[str, str]:
    return {".".join(given.path): given.value for given in from_listen_flag(text)}


def test_the_listen_flag() -> None:
    assert listen("mqtt=tcp6:1883:interface=\\:\\:1;mqtt,stomp") == {
        "listeners.mqtt.endpoint": "tcp6:1883:interface=\\:\\:1",
        "listeners.mqtt.front_ends": "mqtt,stomp",
    }
    assert listen("tcp:19876:interface=127.0.0.1") == {
        "listeners.tcp-19876.endpoint": "tcp:19876:interface=127.0.0.1"
    }
    assert listen("unix:/tmp/x.sock") == {"listeners.unix-tmp-x-sock.endpoint": "unix:/tmp/x.sock"}
    with pytest.raises(ConfigurationError, match="expected NAME=ENDPOINT"):
        from_listen_flag("a=;remoting")


def test_front_ends_are_enabled_by_their_section() -> None:
    assert make("front_ends.http.enabled=true").enabled == ["remoting", "http"]
    assert make("front_ends.remoting.enabled=false").enabled == []
    with pytest.raises(
        ConfigurationError, match="front_ends.http.enabled: expected true or false, got 'on!'"
    ):
        make("front_ends.http.enabled=on!")


def test_a_front_end_s_section_is_checked_when_it_is_loaded() -> None:
    configuration = make("front_ends.remoting.smal=1", "front_ends.http.anything=1")
    with pytest.raises(ConfigurationError, match="there is no setting 'smal'; did you mean 'small'"):
        configuration.front_end("remoting", Secrets)


def test_a_bound_is_part_of_the_reason() -> None:
    with pytest.raises(
        ConfigurationError, match=r"small: expected a whole number, got '10' \(Expected `int` <= 9\)"
    ):
        make("front_ends.remoting.small=10").front_end("remoting", Secrets)


def test_secrets_are_never_shown() -> None:
    configuration = make("front_ends.remoting.api_secret=canary", "front_ends.remoting.marked=canary")
    configuration.front_end("remoting", Secrets)
    shown = list(configuration.effective())
    assert not [line for line in shown if "canary" in "".join(line)]
    assert ("front_ends.remoting", "api_secret", "******", "--set front_ends.remoting.api_secret") in shown
    with pytest.raises(ConfigurationError) as raised:
        Configuration(
            [Given(("front_ends", "remoting", "api_secret"), 5, "a file", False)], FRONT_ENDS
        ).front_end("remoting", Secrets)
    assert "5" not in str(raised.value)


def test_each_value_is_shown_with_its_origin() -> None:
    shown = {
        (section, key): (value, place) for section, key, value, place in make("limits.sessions=7").effective()
    }
    assert shown["limits", "sessions"] == ("7", "--set limits.sessions")
    assert shown["limits", "slow_at"] == ("0.8", "default")
    assert shown["", "backend"] == ('"local"', "default")


def test_every_section_documents_every_field() -> None:
    for name, struct in section_types().items():
        helps = help_of(struct)
        for field in msgspec.structs.fields(struct):
            assert name == "store" or field.name in helps, f"{name}.{field.name} has no help"
        assert summary_of(struct) or name == ""


def test_types_in_words_and_values_as_toml() -> None:
    assert describe(int | None) == "a whole number or nothing"
    assert describe(tuple[str, ...]) == "a list"
    assert spell(True) == "true"
    assert spell(("a", 1)) == '["a", 1]'
    assert spell('a"b') == '"a\\"b"'
    assert is_secret("private_password") and not is_secret("private_key_path")


def test_tls_and_listening_defaults_are_safe() -> None:
    assert TLSSettings().minimum_version == "1.2"
    assert ListeningSettings().remote_without_users is False
