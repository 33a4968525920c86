"""Scenarios all speak of the same topics and groups; before one broker, each is given its own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import msgspec

from tests.cluster.world import ClusterWorld
from tests.contract.driver import Driver, Got, Pending, Pulled

__all__ = ["Renamed"]

#: The system's own, and what no name can be.
_KEPT = {"TRANS_CHECK_MAX_TIME_TOPIC"}
_NAME = re.compile(r"[%|a-zA-Z0-9_-]{1,60}\Z")
_NAMED = ("topic", "group", "producer_group", "producer")
#: After what changes something, brokers need a moment until consumers find it.
_CHANGES = {"send", "send_to", "send_batch", "send_at_level", "send_timed", "send_half", "put", "put_half", "end_transaction"}
_CHANGES |= {"ack", "release", "dead_letter", "change_invisible", "send_back", "commit", "heartbeat", "unregister", "close"}
_MOMENT = 1.5


class Renamed:
    """A driver whose topics and groups are called otherwise at the broker.

    :param suffix: what their names have behind there.
    """

    def __init__(self, driver: Driver, suffix: str) -> None:
        self._driver = driver
        self._suffix = suffix

    def helper(self) -> Renamed:
        """See `Driver`."""
        return Renamed(self._driver.helper(), self._suffix)

    def name_at_broker(self, name: str) -> str:
        """What the broker calls it."""
        return name + self._suffix if name not in _KEPT and _NAME.match(name) else name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        if not callable(found) or name in ("can", "words", "live"):
            return found
        signature = inspect.signature(found)

        def call(*arguments: Any, **named: Any) -> Any:
            bound = signature.bind(*arguments, **named)
            for key, value in bound.arguments.items():
                if key in _NAMED and value:
                    bound.arguments[key] = self.name_at_broker(value)
                elif key == "topics" and value:
                    bound.arguments[key] = [self.name_at_broker(one) for one in value]
            try:
                return self._back(found(*bound.args, **bound.kwargs))
            finally:
                if name in _CHANGES and isinstance(self._driver.world, ClusterWorld):
                    self._driver.world.pause(_MOMENT)

        return call

    def _back(self, value: Any) -> Any:
        """A result with the names that the scenario knows."""
        if isinstance(value, Pending):
            return _RenamedPending(value, self._back)
        if isinstance(value, Got):
            named = dict(value.properties)
            if "RETRY_TOPIC" in named:
                named["RETRY_TOPIC"] = named["RETRY_TOPIC"].removesuffix(self._suffix)
            return msgspec.structs.replace(value, topic=value.topic.removesuffix(self._suffix), properties=named)
        if isinstance(value, Pulled):
            return msgspec.structs.replace(value, messages=[self._back(one) for one in value.messages])
        if isinstance(value, list):
            return [self._back(one) for one in value]
        if isinstance(value, str):
            return value.removesuffix(self._suffix)
        return value


class _RenamedPending(Pending[Any]):
    def __init__(self, pending: Pending[Any], back: Callable[[Any], Any]) -> None:
        # Nothing is asked but the other.
        self._pending = pending
        self._back = back
        self.cancel = pending.cancel

    @property
    def done(self) -> bool:
        return self._pending.done

    def answer(self) -> Any:
        return self._back(self._pending.answer())
