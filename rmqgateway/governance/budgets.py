"""Budgets in bytes: what is under way is counted, and refused before memory is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = ["ByteBudget", "Limits", "Waiting"]


#: What a send that waits takes besides its message.
_A_WAIT = 1024


class Limits(msgspec.Struct, frozen=True):
    """Limits of the door.

    :ivar process_bytes: message bytes under way in the whole process (received, not yet durable or refused).
    :ivar slow_at: share of `process_bytes` from which connections that only produce are no longer read; of those that
        consume too the sends are refused, where pausing would hold up acknowledgements. gRPC's sends wait one by one.
    :ivar refuse_at: share from which sends are refused with a retry hint; those that wait count too.
    :ivar sessions: client connections.
    :ivar commands_under_way: commands that have not been answered yet, long polls included.
    :ivar producer_group_rate: messages/s of a producer group, all its connections together; 0 is no limit.
    :ivar producer_group_bytes: bytes of a producer group's messages under way; 0 is no limit.
    :ivar consumer_group_rate: messages/s to a consumer group, all its connections together; 0 is no limit.
    """

    process_bytes: int = 64 * 1024 * 1024
    slow_at: float = 0.80
    refuse_at: float = 0.95
    sessions: int = 10_000
    commands_under_way: int = 100_000
    producer_group_rate: float = 0.0
    producer_group_bytes: int = 0
    consumer_group_rate: float = 0.0


class Waiting:
    """A send that is not under way yet."""

    __slots__ = ("_budget", "_go", "size")

    def __init__(self, budget: ByteBudget, size: int, go: Callable[[], None]) -> None:
        self._budget = budget
        self._go: Callable[[], None] | None = go
        self.size = size

    def give_up(self) -> None:
        """Whoever sent it has gone."""
        if self._go is not None:
            self._go = None
            self._budget.waiting_bytes -= self.size
            del self._budget.waiting[self]

    def go(self) -> None:
        """There is room."""
        go = self._go
        if go is not None:
            self.give_up()
            go()


class ByteBudget:
    """Bytes under way against a limit.

    :ivar pressed: producers are slowed. :ivar relieve: called when the bytes have come down to three quarters of where
        that began, so that it does not go on and off with each message. :ivar waiting: sends that are not under way yet, and
        :ivar waiting_bytes: their size.
    """

    __slots__ = (
        "limit", "pressed", "refuse_above", "relieve", "relieved_below", "slow_above", "used", "waiting", "waiting_bytes",
    )  # fmt: skip

    def __init__(self, limit: int, slow_at: float, refuse_at: float) -> None:
        self.limit = limit
        self.slow_above = int(limit * slow_at)
        self.refuse_above = int(limit * refuse_at)
        self.relieved_below = self.slow_above * 3 // 4
        self.used = 0
        self.pressed = False
        self.relieve: Callable[[], None] | None = None
        self.waiting: dict[Waiting, None] = {}
        self.waiting_bytes = 0

    @property
    def slow(self) -> bool:
        """Whether producers are to be read no more until this falls again."""
        return self.used > self.slow_above

    def take(self, size: int) -> None:
        """Count `size` more bytes. :raise GatewayError: BUSY, nothing counted."""
        used = self.used + size
        if used + self.waiting_bytes > self.refuse_above and self.used:
            raise self._busy()
        self.used = used

    def wait(self, size: int, go: Callable[[], None]) -> Waiting:
        """Keep `size` bytes until there is room: then `go` is called. :raise GatewayError: BUSY: too many wait."""
        size += _A_WAIT
        if self.used + self.waiting_bytes + size > self.refuse_above:
            raise self._busy()
        self.waiting_bytes += size
        waiting = Waiting(self, size, go)
        self.waiting[waiting] = None
        return waiting

    def let_in(self) -> None:
        """Those that wait go on, as far as there is room; the others when it was made."""
        while self.waiting:
            first = next(iter(self.waiting))
            if self.used and self.used + first.size > self.slow_above:
                self.pressed = True
                return
            first.go()

    def _busy(self) -> GatewayError:
        return GatewayError(
            Code.BUSY,
            f"{self.used + self.waiting_bytes} bytes of messages are under way, the limit is {self.refuse_above} "
            "(setting limits.process_bytes)",
            retry_after=1.0,
        )

    def give_back(self, size: int) -> None:
        """`size` bytes are no longer under way."""
        self.used -= size
        if self.pressed and self.used <= self.relieved_below:
            self.pressed = False
            if self.relieve is not None:
                self.relieve()
