"""One-way sends that could not be taken yet: kept and tried again in their order, since their sender would never know."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.commands import Command
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.interfaces import IGateway

__all__ = ["HELD_FOR", "HeldSends"]

log = Logger(namespace="rmqgateway.remoting")

#: Refusals that pass.
HELD_FOR = frozenset({Code.BUSY, Code.TOO_MANY_REQUESTS, Code.STORE_FULL, Code.NOT_READY})
_PAUSE_SECONDS = 0.05
#: Sends tried in one turn of the reactor.
_AT_ONCE = 1000


class HeldSends:
    """The sends of one connection that wait. While there are some, later one-way sends wait behind them.

    :param account: told (requests, bytes) that come under way, or with a minus have been dealt with.
    """

    def __init__(self, gateway: IGateway, account: Callable[[int, int], None]) -> None:
        self._gateway = gateway
        self._account = account
        self._waiting: deque[tuple[Context, Command[Any], int]] = deque()
        self._timer: IDelayedCall | None = None
        self._ended = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes of bodies."""
        return sum(size for _, _, size in self._waiting)

    def hold(self, context: Context, command: Command[Any], size: int) -> None:
        """Keep a send of `size` bytes until it is taken."""
        if self._ended:
            return
        self._waiting.append((context, command, size))
        self._account(0, size)
        self._plan()

    def end(self) -> None:
        """Try no more."""
        self._ended = True
        self._waiting.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _plan(self, pause: float = _PAUSE_SECONDS) -> None:
        if self._timer is None and self._waiting and not self._ended:
            self._timer = self._gateway.reactor.callLater(pause, self._try)

    def _try(self) -> None:
        self._timer = None
        outbox = self._gateway.outbox
        pause = 0.0
        outbox.enter()
        try:
            for _ in range(min(_AT_ONCE, len(self._waiting))):
                context, command, size = self._waiting[0]
                try:
                    result = self._gateway.execute(context, command)
                except GatewayError as error:
                    if error.code in HELD_FOR:
                        pause = _PAUSE_SECONDS
                        break
                    log.debug("a one-way send was refused: {error}", error=error)
                    result = None
                self._waiting.popleft()
                if isinstance(result, Deferred):
                    self._account(1, 0)
                    result.addCallbacks(
                        self._taken, self._refused, callbackArgs=(size,), errbackArgs=(context, command, size)
                    )
                else:
                    self._account(0, -size)
        finally:
            outbox.leave()
        self._plan(pause)

    def _taken(self, result: object, size: int) -> None:
        self._account(-1, -size)

    def _refused(self, failure: Failure, context: Context, command: Command[Any], size: int) -> None:
        self._account(-1, -size)
        error = failure.value
        if isinstance(error, GatewayError) and error.code in HELD_FOR:
            self.hold(context, command, size)
        else:
            log.debug("a one-way send was refused: {error}", error=error)
