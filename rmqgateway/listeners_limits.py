"""How many connections there are, and what happens to one too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connections", "RareLog"]

_log = Logger(namespace="rmqgateway.listeners")


class Connections:
    """Counts the connections of all listeners, and those of each remote address.

    Loopback is exempt from the limit per address: local clients and proxies share one. At the total nothing more is
    accepted (the kernel queues) until a few have gone; one too many of an address is closed before it has a protocol.
    """

    def __init__(self, limit: int, per_address: int) -> None:
        self.limit = limit
        self.per_address = per_address
        self.count = 0
        self.refused = 0
        self.by_address: dict[str, int] = {}
        self.ports: list[Any] = []
        self.paused = False
        self._resume_below = max(1, limit - max(1, limit // 100))

    def opened(self, address: str) -> bool:
        """Count one more; False: it is to be closed, and was not counted.

        :param address: the peer's, or "" if it has none or is exempt.
        """
        if self.count >= self.limit:
            self.refused += 1
            self._pause()
            return False
        if address:
            number = self.by_address.get(address, 0)
            if number >= self.per_address:
                self.refused += 1
                return False
            self.by_address[address] = number + 1
        self.count += 1
        if self.count >= self.limit:
            self._pause()
        return True

    def closed(self, address: str) -> None:
        """Count one less."""
        self.count -= 1
        if address:
            number = self.by_address.get(address, 0) - 1
            if number > 0:
                self.by_address[address] = number
            else:
                self.by_address.pop(address, None)
        if self.paused and self.count < self._resume_below:
            self.paused = False
            self._each_port("startReading")

    def _pause(self) -> None:
        if not self.paused:
            self.paused = True
            _log.warn(
                "{count} connections are open: no more are accepted until some close (setting listening.connections)",
                count=self.count,
            )
            self._each_port("stopReading")

    def _each_port(self, method: str) -> None:
        for port in self.ports:
            function = getattr(port, method, None)
            if function is not None:
                function()


class RareLog:
    """Writes a line at most every so many seconds, with the number of those left out.

    :param seconds: the reactor's clock.
    """

    def __init__(self, logger: Logger, seconds: Callable[[], float], interval: float = 10.0) -> None:
        self._logger = logger
        self._seconds = seconds
        self._interval = interval
        self._next = 0.0
        self._left_out = 0
        self._any = False

    def warn(self, text: str, **values: Any) -> None:
        """Log a line, or count it."""
        now = self._seconds()
        if self._any and now < self._next:
            self._left_out += 1
            return
        more = f" (and {self._left_out} more like this)" if self._left_out else ""
        self._any = True
        self._left_out = 0
        self._next = now + self._interval
        self._logger.warn(text + more, **values)
