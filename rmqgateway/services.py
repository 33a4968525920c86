"""The parts of the process, started and stopped one after the other.

twistd's ``MultiService`` stops its children all at once; here a part is stopped when the one before has finished. A part
that cannot start ends the process with one sentence and status 1. The first SIGTERM or SIGINT drains and ends with
status 0; a second one ends the process at once.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.components import Componentized
from twisted.python.usage import UsageError

from rmqgateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from twisted.python.failure import Failure

__all__ = ["OrderedService", "Part", "StartFailed", "reason_of", "show_only_the_reason"]

_log = Logger(namespace="rmqgateway")


class StartFailed(Exception):
    """The process cannot start; its text is all that is said."""

    __module__ = "builtins"  # twistd's parent process shows the class with its module, and 100 bytes in all


class Part(Protocol):
    """One part of the process. Its methods raise, or fail with, StartFailed, UsageError or GatewayError for what an
    operator can put right; anything else is a bug and is logged with its traceback."""

    name: str

    def prepare(self) -> None:
        """Before privileges are given up and before the reactor runs: bind ports, create directories."""

    def start(self) -> Deferred[None] | None:
        """Begin; the parts before have begun."""

    def stop(self) -> Deferred[None] | None:
        """End; the parts behind have ended."""


def reason_of(error: BaseException) -> str | None:
    """What to say of an error that an operator can put right; None for others."""
    if isinstance(error, GatewayError):
        return error.message
    if isinstance(error, (StartFailed, UsageError)):
        return str(error)
    return None


def show_only_the_reason() -> None:
    """Let an uncaught StartFailed end the process with its text on standard error, without a traceback."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        if isinstance(error, StartFailed):
            _say(error)
            return
        before(kind, error, traceback)

    sys.excepthook = hook


class OrderedService(Service):
    """Starts parts in their order, stops them in reverse, waiting for each.

    :param observer: where log events go, or None: where twistd sends them.
    :param signals: whether to handle SIGTERM and SIGINT (the reactor's own handlers make twistd end by the signal
        instead of with status 0).
    :param log_reason: whether the reason of a failed start goes to the log too; not where the log is on the terminal,
        which shows it anyway.
    """

    name = "rmqgateway"

    def __init__(
        self,
        reactor: Any,
        parts: Sequence[Part],
        *,
        observer: Callable[[Any], None] | None = None,
        signals: bool = True,
        log_reason: bool = True,
    ) -> None:
        self.reactor = reactor
        self.parts = parts
        self._observer = observer
        self._signals = signals
        self._log_reason = log_reason
        self._started: list[Part] = []
        #: The status with which the process is to end when the reactor has stopped.
        self.status = 0

    def setServiceParent(self, parent: Any) -> None:
        """See IService; an application that is our parent gets our log observer."""
        if self._observer is not None and isinstance(parent, Componentized):
            from twisted.logger import ILogObserver

            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """See IService. :raise StartFailed: the process ends."""
        for part in self.parts:
            try:
                part.prepare()
            except Exception as error:
                raise self._failed(part, error) from error

    def startService(self) -> None:
        """See IService. :raise StartFailed: the process ends."""
        super().startService()
        if self._signals:
            self.reactor.addSystemEventTrigger("after", "startup", self._handle_signals)
        starting = self._start()
        failures: list[BaseException] = []
        running = False

        def failed(failure: Failure) -> None:
            error = failure.value or StartFailed("no reason is known")
            if running:
                self._end_with(error)
            else:
                failures.append(error)

        starting.addErrback(failed)
        if failures:
            raise failures[0]
        running = True  # it goes on under the reactor, and may fail there

    @inlineCallbacks
    def _start(self) -> Generator[Any, Any, None]:
        for part in self.parts:
            try:
                self._started.append(part)
                yield part.start()
            except Exception as error:
                raise self._failed(part, error) from error

    def _failed(self, part: Part, error: Exception) -> StartFailed:
        reason = reason_of(error)
        if reason is None:
            _log.failure("{part} cannot start", part=part.name)
            reason = f"{part.name} cannot start: {type(error).__name__}: {error}"
        if self._log_reason:
            _log.critical("{reason}", reason=reason)
        return StartFailed(reason)

    def _end_with(self, error: BaseException) -> None:
        self.status = 1
        _say(error)
        _exit_with(self.status)
        self.reactor.stop()

    def stopService(self) -> Deferred[None]:
        """See IService; fires when everything has ended."""
        super().stopService()
        if self._signals:
            self._let_signals_kill()
        return self._stop()

    @inlineCallbacks
    def _stop(self) -> Generator[Any, Any, None]:
        while self._started:
            part = self._started.pop()
            try:
                yield part.stop()
            except Exception:
                _log.failure("{part} did not stop as it should", part=part.name)
                self.status = 1
                _exit_with(self.status)

    # Signals.

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        self._let_signals_kill()
        self.reactor.callFromThread(self._stop_for, name)

    def _stop_for(self, name: str) -> None:
        _log.info("{name}: finishing; once more ends the process at once", name=name)
        self.reactor.stop()

    @staticmethod
    def _let_signals_kill() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)


def _say(error: BaseException) -> None:
    """One line to the terminal; twistd has made sys.stderr a part of the log."""
    sys.stdout.flush()
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"rmqgateway: {error}\n")
        sys.__stderr__.flush()


def _exit_with(status: int) -> None:
    """Let the process end with a status once twistd has put away its pid file; twistd itself would say 0."""
    import atexit
    import os

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    atexit.register(leave)
