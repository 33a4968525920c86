"""Budgets in bytes: what is under way is counted, and refused before memory is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = ["ByteBudget", "Limits"]


class Limits(msgspec.Struct, frozen=True):
    """Limits of the door.

    :ivar process_bytes: message bytes under way in the whole process (received, not yet durable or refused).
    :ivar slow_at: share of `process_bytes` from which connections that only produce are no longer read; of those that
        consume too the sends are refused, where pausing would hold up acknowledgements.
    :ivar refuse_at: share from which sends are refused with a retry hint.
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


class ByteBudget:
    """Bytes under way against a limit.

    :ivar pressed: producers are slowed. :ivar relieve: called when the bytes have come down to three quarters of where
        that began, so that it does not go on and off with each message.
    """

    __slots__ = ("limit", "pressed", "refuse_above", "relieve", "relieved_below", "slow_above", "used")

    def __init__(self, limit: int, slow_at: float, refuse_at: float) -> None:
        self.limit = limit
        self.slow_above = int(limit * slow_at)
        self.refuse_above = int(limit * refuse_at)
        self.relieved_below = self.slow_above * 3 // 4
        self.used = 0
        self.pressed = False
        self.relieve: Callable[[], None] | None = None

    @property
    def slow(self) -> bool:
        """Whether producers are to be read no more until this falls again."""
        return self.used > self.slow_above

    def take(self, size: int) -> None:
        """Count `size` more bytes. :raise GatewayError: BUSY, nothing counted."""
        used = self.used + size
        if used > self.refuse_above and self.used:
            raise GatewayError(
                Code.BUSY,
                f"{self.used} bytes of messages are under way, the limit is {self.refuse_above} "
                "(setting limits.process_bytes)",
                retry_after=1.0,
            )
        self.used = used

    def give_back(self, size: int) -> None:
        """`size` bytes are no longer under way."""
        self.used -= size
        if self.pressed and self.used <= self.relieved_below:
            self.pressed = False
            if self.relieve is not None:
                self.relieve()
