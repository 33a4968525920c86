"""What the door counts of each command: how many, how long, which errors. Reading them out is an exporter's work."""

from __future__ import annotations

from bisect import bisect_left

from rmqgateway.errors import Code

__all__ = ["LATENCY_BOUNDS", "CommandMeter"]

#: Upper bounds of the latency histogram's buckets, in seconds (RocketMQ's rocketmq_rpc_latency, in finer steps below 10 ms
#: since a local broker answers there); a last bucket has the rest.
LATENCY_BOUNDS = (0.0005, 0.001, 0.003, 0.005, 0.01, 0.03, 0.1, 0.5, 1.0, 3.0, 5.0, 7.0, 10.0)


class CommandMeter:
    """Counters of one command.

    :ivar latency_buckets: number of commands by `LATENCY_BOUNDS`, not cumulative, one more for the rest.
    """

    __slots__ = ("errors", "in_flight", "latency_buckets", "latency_sum", "name", "succeeded")

    def __init__(self, name: str) -> None:
        self.name = name
        self.succeeded = 0
        self.in_flight = 0
        self.errors: dict[Code, int] = {}
        self.latency_sum = 0.0
        self.latency_buckets = [0] * (len(LATENCY_BOUNDS) + 1)

    def took(self, seconds: float, count: int = 1) -> None:
        """`count` commands were carried out, each in that time."""
        self.succeeded += count
        self.latency_sum += seconds * count
        self.latency_buckets[bisect_left(LATENCY_BOUNDS, seconds)] += count

    def refused(self, code: Code) -> None:
        """One command ended in an error."""
        self.errors[code] = self.errors.get(code, 0) + 1
