"""Log lines: one per event, whatever a peer put into it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from rmqgateway.config_sections import LoggingSettings
from rmqgateway.telemetry.logging import make_observer, observer_for_twistd


def lines(
    level: str, text: str, form: str = "text", least: str = "info", namespace: str = "test", **values: Any
) -> list[str]:
    file = io.StringIO()
    settings = LoggingSettings(level=least, format=form)  # type: ignore[arg-type]
    logger = Logger(namespace=namespace, observer=make_observer(settings, file))
    logger.emit(LogLevel.lookupByName(level), text, **values)
    return file.getvalue().split("\n")[:-1]


def test_a_text_line() -> None:
    (line,) = lines("warn", "{count} things", count=3)
    assert line.endswith("Z [test#warn] 3 things")
    assert line[:4].isdigit() and line[10] == "T"


def test_a_json_line() -> None:
    (line,) = lines("info", "{count} things", "json", count=3)
    event = json.loads(line)
    assert (event["level"], event["where"], event["message"]) == ("info", "test", "3 things")


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_writes_lines_of_his_own(form: str) -> None:
    forged = "x\r\n2026-01-01T00:00:00Z [rmqgateway#info] all is well\x1b[2J\u2028y"
    assert len(lines("info", "topic {topic}", form, topic=forged)) == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_there_and_forges_nothing_either(form: str) -> None:
    try:
        raise ValueError("bad\n2026 forged")
    except ValueError:
        found = lines("critical", "it failed", form, log_failure=Failure())
    assert any("ValueError" in line for line in found)
    assert not [line for line in found[1:] if not line.startswith("    ")]


def test_levels() -> None:
    assert lines("debug", "x") == []
    assert lines("debug", "x", least="debug")
    assert lines("warn", "x", least="error") == []


def test_twisted_s_old_log_is_left_out_unless_it_is_worse_than_information() -> None:
    assert lines("info", "Listener starting on 9876", namespace="log_legacy") == []
    assert lines("critical", "Unhandled", namespace="log_legacy")
    assert lines("info", "Listener starting on 9876", namespace="log_legacy", least="debug")


def test_a_broken_event_is_a_line_too() -> None:
    assert len(lines("info", "{missing}")) >= 1


def test_twistd_s_own_choice_of_a_log_is_kept() -> None:
    assert observer_for_twistd(LoggingSettings(), {"nodaemon": True, "syslog": True}) is None
    assert observer_for_twistd(LoggingSettings(), {"nodaemon": True, "logger": "some.thing"}) is None
    assert observer_for_twistd(LoggingSettings(), {"nodaemon": False, "logfile": "-"}) is None
    assert observer_for_twistd(LoggingSettings(), {"nodaemon": True}) is not None
