"""Questions that somebody asks connected clients through a backend, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from rmqgateway.commands.administering import RelayedAnswer
from rmqgateway.errors import Code, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.backend.component import Tasks
    from rmqgateway.commands.clients import AnswerRelay
    from rmqgateway.context import Context
    from rmqgateway.events import Event
    from rmqgateway.interfaces import ISession

__all__ = ["Questions"]


class _Question:
    """One that is not answered yet."""

    __slots__ = ("deferred", "session", "timer")

    def __init__(self, session: ISession, deferred: Deferred[RelayedAnswer], timer: IDelayedCall) -> None:
        self.session = session
        self.deferred = deferred
        self.timer = timer


class Questions:
    """All under way. :param timeout_s: how long a client may take to answer."""

    def __init__(self, tasks: Tasks, timeout_s: float) -> None:
        self._tasks = tasks
        self._timeout_s = timeout_s
        self._open: dict[int, _Question] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, session: ISession, make: Callable[[int], Event]) -> Deferred[RelayedAnswer]:
        """Ask a client; `make` makes the event from the relay id.

        :return: its answer. Fails with GatewayError: CLIENT_NOT_FOUND (it has gone, or its protocol has no words for this),
            TIMEOUT, SHUTTING_DOWN. Cancelling forgets the question.
        """
        self._next = relay_id = self._next + 1

        def cancelled(_: Deferred[RelayedAnswer]) -> None:
            self._take(relay_id)

        deferred: Deferred[RelayedAnswer] = Deferred(cancelled)
        text = f"the client did not answer within {self._timeout_s} s"
        timer = self._tasks.later(self._timeout_s, self._fail, relay_id, Code.TIMEOUT, text)
        self._open[relay_id] = _Question(session, deferred, timer)
        if not session.deliver(make(relay_id)):
            self._fail(relay_id, Code.CLIENT_NOT_FOUND, "the client cannot be asked this")
        return deferred

    def answer(self, context: Context, command: AnswerRelay) -> None:
        """Serves AnswerRelay."""
        question = self._open.get(command.relay_id)
        # Late, or not the one who was asked: nobody is told.
        if question is None or question.session.number != context.session.number:
            return
        self._take(command.relay_id)
        question.deferred.callback(RelayedAnswer(command.code, command.remark, command.body))

    def session_ended(self, session: ISession) -> None:
        """A client went: what it was asked fails."""
        for relay_id in [one for one, question in self._open.items() if question.session.number == session.number]:
            self._fail(relay_id, Code.CLIENT_NOT_FOUND, "the client has gone")

    def stop(self) -> None:
        """The backend ends: all fail."""
        for relay_id in list(self._open):
            self._fail(relay_id, Code.SHUTTING_DOWN, "the backend is stopping")

    def _take(self, relay_id: int) -> _Question | None:
        question = self._open.pop(relay_id, None)
        if question is not None and question.timer.active():
            question.timer.cancel()
        return question

    def _fail(self, relay_id: int, code: Code, text: str) -> None:
        question = self._take(relay_id)
        if question is not None:
            question.deferred.errback(GatewayError(code, text))
