"""The ports of the Remoting passthrough as a part of the process: a listener like any other for each broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from rmqgateway.backend.cluster.passthrough import Passthrough
from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
from rmqgateway.backend.cluster.registry import Registry
from rmqgateway.backend.cluster.registry_settings import RegistrySettings
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.config_sections import ListenerSettings
from rmqgateway.listeners import Listener, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from rmqgateway.config import Configuration

__all__ = [
    "BrokerPortsPart",
    "PassthroughPart",
    "RegistryPart",
    "cluster_settings",
    "make_passthrough",
    "make_registry",
    "own_listeners",
]


def make_passthrough(configuration: Configuration, reactor: Any) -> Passthrough:
    """The passthrough as it is configured; nothing is opened."""
    settings = configuration.section("passthrough", PassthroughSettings)
    return Passthrough(reactor, settings, cluster_settings(configuration))


def own_listeners(**common: Any) -> Callable[[str, str, str, Any], Listener]:
    """What makes listeners that the configuration does not list: (name, endpoint, place of the setting, front-end).

    :param common: see `Listener`.
    """

    def make(name: str, endpoint: str, place: str, front_end: Any) -> Listener:
        described = ListenerSettings(endpoint=endpoint)
        parsed = parse_endpoint(common["reactor"], endpoint, place)
        return Listener(name, parsed, described, place, [front_end], [front_end.name], http=False, **common)

    return make


def make_registry(configuration: Configuration, reactor: Any) -> Registry | None:
    """The gateway as name server, where that is configured; nothing is opened."""
    settings = configuration.section("registry", RegistrySettings)
    return Registry(reactor, settings) if settings.endpoint else None


def cluster_settings(configuration: Configuration) -> ClusterSettings:
    """How the cluster is reached: a gateway that is a name server itself needs to be told no other."""
    settings = configuration.section("cluster", ClusterSettings)
    own = configuration.section("registry", RegistrySettings).address
    if settings.namesrv or own is None:
        return settings
    return msgspec.structs.replace(settings, namesrv=own)


class RegistryPart:
    """See Part: the name server for brokers, there before anybody asks it and until nobody does."""

    name = "the registry"

    def __init__(self, registry: Registry, make_listener: Callable[..., Listener]) -> None:
        self._registry = registry
        self._make_listener = make_listener

    def prepare(self) -> None:
        self._registry.prepare(self._make_listener)

    def start(self) -> None:
        self._registry.start()

    def stop(self) -> Deferred[Any] | None:
        return self._registry.stop()


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

    def __init__(
        self, passthrough: Passthrough, make_listener: Callable[..., Listener], front_end: Any
    ) -> None:
        self._passthrough = passthrough
        self._make_listener = make_listener
        self._front_end = front_end

    def prepare(self) -> None:
        self._passthrough.prepare(lambda *what: self._make_listener(*what, self._front_end))

    def start(self) -> None:
        self._passthrough.expose()

    def stop(self) -> Deferred[Any]:
        return self._passthrough.close_ports()
