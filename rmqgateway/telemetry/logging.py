"""Log events as lines: of text, or of JSON; control characters escaped, so that no peer writes lines of its own."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)

if TYPE_CHECKING:
    from twisted.logger import ILogObserver, LogEvent

    from rmqgateway.config_sections import LoggingSettings

__all__ = ["as_json", "as_text", "make_observer", "observer_for_twistd"]

#: Where Twisted tells at level info what only developers want to know ("reactor class", "(TCP Port 9876 Closed)", "Main loop
#: terminated"); its errors are critical.
_CHATTY = ("log_legacy", "twisted.scripts._twistd_unix", "twisted.internet.base")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def _parts(event: LogEvent) -> tuple[datetime, str, str, str]:
    level = event.get("log_level")
    when = datetime.fromtimestamp(event.get("log_time") or 0.0, UTC)
    where = str(event.get("log_namespace") or event.get("log_system") or "-")
    return when, getattr(level, "name", "info"), where, formatEvent(event)


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    try:
        return "" if failure is None else str(failure.getTraceback())
    except Exception as error:  # a failure that cannot even be shown must not stop the log
        return f"(a traceback that cannot be shown: {error!r})"


def as_text(event: LogEvent) -> str:
    """One line: UTC time, [where#level], what; a traceback follows, each of its lines indented."""
    when, level, where, text = _parts(event)
    if not text and event.get("log_failure") is None:
        return ""
    line = f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z [{where}#{level}] {_escaped(text)}\n"
    for part in _traceback(event).splitlines():
        line += f"    {_escaped(part)}\n"
    return line


def as_json(event: LogEvent) -> str:
    """One JSON object: time, level, where, message, traceback."""
    when, level, where, text = _parts(event)
    if not text and event.get("log_failure") is None:
        return ""
    fields: dict[str, Any] = {
        "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "where": where,
        "message": text,
    }
    traceback = _traceback(event)
    if traceback:
        fields["traceback"] = traceback
    return msgspec.json.encode(fields).decode() + "\n"


def make_observer(settings: LoggingSettings, file: TextIO) -> ILogObserver:
    """An observer that writes to a file what is at least of the level; errors of the program are never left out."""
    least = LogLevel.lookupByName(settings.level)
    writer = FileLogObserver(file, as_json if settings.format == "json" else as_text)
    predicate = LogLevelFilterPredicate(least)
    if least >= LogLevel.info:
        for namespace in _CHATTY:
            predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
    return FilteringLogObserver(writer, [predicate])  # type: ignore[return-value]


def observer_for_twistd(settings: LoggingSettings, twistd: Any) -> ILogObserver | None:
    """The observer that takes the place of twistd's own; None where twistd was told of another (--logger, --syslog).

    :param twistd: its options: ``nodaemon``, ``logfile``, ``syslog``, ``logger``.
    """
    if twistd.get("syslog") or twistd.get("logger"):
        return None
    name, in_foreground = twistd.get("logfile"), twistd.get("nodaemon") or twistd.get("debug")
    if name == "-" or (in_foreground and not name):
        if not in_foreground:
            return None  # twistd refuses this itself
        return make_observer(settings, sys.stdout)
    return make_observer(settings, _log_file(name or "twistd.log"))


def _log_file(name: str) -> Any:
    """As twistd opens it: SIGUSR1 begins another file unless somebody else wants that signal."""
    import signal

    from twisted.python.logfile import LogFile

    file = LogFile.fromFullPath(name)
    if not signal.getsignal(signal.SIGUSR1):

        def rotate(number: int, frame: object) -> None:
            from twisted.internet import reactor

            reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

        signal.signal(signal.SIGUSR1, rotate)
    return file
