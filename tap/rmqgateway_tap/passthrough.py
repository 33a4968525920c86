"""The ports of the Remoting passthrough as a part of the process: a listener like any other for each broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmqgateway.backend.cluster.passthrough import Passthrough
from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.config_sections import ListenerSettings
from rmqgateway.listeners import Listener, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from rmqgateway.config import Configuration

__all__ = ["BrokerPortsPart", "PassthroughPart", "broker_listeners", "make_passthrough"]


def make_passthrough(configuration: Configuration, reactor: Any) -> Passthrough:
    """The passthrough as it is configured; nothing is opened."""
    settings = configuration.section("passthrough", PassthroughSettings)
    return Passthrough(reactor, settings, configuration.section("cluster", ClusterSettings))


def broker_listeners(front_end: Any, **common: Any) -> Callable[[str, str, str], Listener]:
    """What makes the listener of a broker's port: (name, endpoint, place of the setting).

    :param front_end: Remoting's; nothing else is served there. :param common: see `Listener`.
    """

    def make(name: str, endpoint: str, place: str) -> Listener:
        described = ListenerSettings(endpoint=endpoint)
        parsed = parse_endpoint(common["reactor"], endpoint, place)
        return Listener(
            name,
            parsed,
            described,
            place,
            [front_end],
            [front_end.name],
            http=False,
            http_server=None,
            **common,
        )

    return make


class PassthroughPart:
    """See Part: looks where brokers are, for as long as there are clients."""

    name = "the passthrough"

    def __init__(self, passthrough: Passthrough) -> None:
        self._passthrough = passthrough

    def prepare(self) -> None:
        return None

    def start(self) -> None:
        self._passthrough.start()

    def stop(self) -> None:
        self._passthrough.stop()


class BrokerPortsPart:
    """See Part: configured ports are bound while there are rights to, the others when their brokers are seen."""

    name = "the brokers' ports"

    def __init__(self, passthrough: Passthrough, make_listener: Callable[[str, str, str], Listener]) -> None:
        self._passthrough = passthrough
        self._make_listener = make_listener

    def prepare(self) -> None:
        self._passthrough.prepare(self._make_listener)

    def start(self) -> None:
        return None

    def stop(self) -> Deferred[Any]:
        return self._passthrough.close_ports()
