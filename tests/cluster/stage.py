"""The stage of a scenario before a real cluster."""

from __future__ import annotations

import itertools
import time
from typing import Any

from rmqgateway.commands import CreateGroups, CreateTopics, GroupConfig, TopicConfig
from rmqgateway.message import MessageType
from tests.cluster.renaming import Renamed
from tests.cluster.world import ClusterGateway, ClusterWorld
from tests.contract.driver import Driver, Stage
from tests.contract.driver_commands import CommandsDriver

__all__ = ["ClusterStage"]

_numbers = itertools.count()
#: What scenarios that must wait long for nothing to happen wait at most, in seconds.
_LONGEST = 30.0


class ClusterStage(Stage):
    """Clients of one kind.

    :param gateways: that stand beside each other: where scenarios start the gateway again, clients go on at the next one.
    """

    def __init__(self, gateways: list[ClusterGateway], kind: type[Driver] = CommandsDriver, invisible_ms: int = 20_000) -> None:
        self.kind = kind
        self._gateways = itertools.cycle(gateways)
        self._invisible_ms = invisible_ms
        self.world = ClusterWorld(next(self._gateways), invisible_ms)
        self.clients: list[Driver] = []
        self._suffix = f"_{next(_numbers)}_{int(time.time() * 1000) % 10**8}"

    def client(self) -> Any:
        driver = self.kind(self.world)
        self.clients.append(driver)
        return Renamed(driver, self._suffix)

    def operator(self) -> Any:
        return Renamed(CommandsDriver(self.world), self._suffix)

    def make(self, what: str) -> None:
        """What an administrator makes: the scenarios' topic, for transactions, or their group."""
        operator = CommandsDriver(self.world)
        if what == "mixed topic":
            operator.execute(CreateTopics((TopicConfig(f"orders{self._suffix}", 8, 8, message_type=MessageType.MIXED),)))
        elif what == "topic":
            operator.execute(CreateTopics((TopicConfig(f"orders{self._suffix}", 8, 8, message_type=MessageType.TRANSACTION),)))
        else:
            operator.execute(CreateGroups((GroupConfig(f"group{self._suffix}"),)))

    def restart(self) -> None:
        self.world = ClusterWorld(next(self._gateways), self._invisible_ms)

    crash = restart

    def advance(self, seconds: float, step: float = 0.05) -> None:
        left = min(seconds, _LONGEST)
        while left > 0:
            self.world.pause(min(left, 5))
            left -= 5
            for client in self.clients:
                if client.world is self.world:
                    client.live()
