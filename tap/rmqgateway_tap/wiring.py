"""Builds the process's parts from its configuration; opens nothing, since twistd daemonises afterwards."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.logger import Logger
from twisted.python.usage import UsageError

from rmqgateway import __version__
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.config import ConfigurationError
from rmqgateway.config_sections import ListeningSettings, LoggingSettings, ProcessSettings, TLSSettings
from rmqgateway.data_directory import DataDirectory, default_data_directory
from rmqgateway.governance.budgets import Limits
from rmqgateway.governance.user_file import UsersSettings, configured_users
from rmqgateway.governance.users import Users
from rmqgateway.http.settings import HttpSettings
from rmqgateway.interfaces import IBackend, IConnectionFrontEnd, IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway.listeners import Listener, check_advertised, parse_endpoint
from rmqgateway.listeners_limits import Connections
from rmqgateway.listeners_tls import Certificates
from rmqgateway.loader import load_front_end
from rmqgateway.outbox import Outbox
from rmqgateway.services import OrderedService, Part, StartFailed, reason_of, show_only_the_reason
from rmqgateway.services_parts import (
    BackendPart,
    DataDirectoryPart,
    ListenersPart,
    NoticePart,
    SessionsPart,
    calm_garbage_collector,
)
from rmqgateway.telemetry.logging import observer_for_twistd

if TYPE_CHECKING:
    from rmqgateway.config import Configuration
    from rmqgateway.gateway import Gateway
    from rmqgateway_tap.options import Options

__all__ = ["load_front_ends", "makeService"]

_log = Logger(namespace="rmqgateway")


def makeService(options: Options, reactor: Any = None) -> OrderedService:
    """See IServiceMaker.

    :param reactor: for tests; None is the real one, with its signals.
    :raise StartFailed: something that is set cannot be.
    """
    is_real = reactor is None
    if is_real:
        from twisted.internet import reactor

        show_only_the_reason()
    twistd = getattr(options, "parent", None) or {}
    try:
        return _make(options, reactor, twistd, is_real)
    except Exception as error:
        reason = reason_of(error)
        if reason is None:
            raise
        raise StartFailed(reason) from error


def _make(options: Options, reactor: Any, twistd: Any, is_real: bool) -> OrderedService:
    configuration = options.configuration
    process = configuration.section("", ProcessSettings)
    listening = configuration.section("listening", ListeningSettings)
    front_ends = load_front_ends(options)
    directory = _data_directory(options, process, twistd)
    outbox = Outbox()
    users = _users(configuration)
    backend = _backend(configuration, process, directory, reactor, outbox, users)
    gateway = _gateway(configuration, backend, reactor, outbox, users)
    certificates = Certificates(configuration.section("tls", TLSSettings), directory.tls)
    certificates.check()
    connections = Connections(listening.connections, listening.connections_per_address)
    listeners = _listeners(
        configuration, process, listening, front_ends, gateway, reactor, certificates, connections
    )
    observer = (
        observer_for_twistd(configuration.section("logging", LoggingSettings), twistd) if is_real else None
    )

    def announce() -> None:
        if is_real:
            calm_garbage_collector()
        where = f"data in {directory.path}"
        if process.backend == "cluster":
            from rmqgateway_tap.passthrough import cluster_settings

            where = f"in front of the name servers {cluster_settings(configuration).namesrv}"
        _announce(listeners, where, backend.name, certificates)

    in_foreground = twistd.get("nodaemon") or twistd.get("debug")
    before, ports = _passthrough(configuration, process, listening, front_ends, gateway, certificates, connections)
    parts: list[Part] = [
        DataDirectoryPart(directory),
        BackendPart(backend),
        *before,
        SessionsPart(gateway, reactor, listening.drain_s),
        *ports,
        ListenersPart(listeners, connections, certificates, reactor, announce),
        NoticePart(gateway, reactor, listening.notice_s),
    ]
    log_reason = not in_foreground or twistd.get("logfile") not in (None, "-")
    return OrderedService(reactor, parts, observer=observer, signals=is_real, log_reason=log_reason)


def load_front_ends(options: Options) -> dict[str, Any]:
    """Import and configure every enabled front-end. :raise UsageError: by name, what is wrong."""
    configuration = options.configuration
    found = {}
    for name in configuration.enabled:
        front_end = load_front_end(options.makers, name)
        settings = configuration.front_end(name, front_end.settings)
        try:
            front_end.configure(settings)
        except ValueError as error:
            raise ConfigurationError(configuration.blame(f"front_ends.{name}", error)) from error
        found[name] = front_end
    return found


def _data_directory(options: Options, process: ProcessSettings, twistd: Any) -> DataDirectory:
    uid, gid = twistd.get("uid"), twistd.get("gid")
    path = process.data_dir
    if path:
        place = options.configuration.place("data_dir")
    else:
        path = default_data_directory(options.environment, uid)
        place = "data_dir (the default)"
    return DataDirectory(os.path.expanduser(path), place, uid, gid)


def _backend(
    configuration: Configuration,
    process: ProcessSettings,
    directory: DataDirectory,
    reactor: Any,
    outbox: Outbox,
    users: Users,
) -> IBackend:
    if process.backend == "cluster":
        return _cluster(configuration, reactor, outbox, users)
    if process.backend != "local":
        place = configuration.place("backend")
        raise UsageError(f"{place}: there is no backend {process.backend!r}; there are local and cluster")
    from rmqgateway.backend.local.backend import LocalBackend
    from rmqgateway.backend.store.durable import DurableStore

    local = configuration.section("local", LocalSettings)
    try:
        store_settings = msgspec.structs.replace(
            configuration.section("store", StoreSettings),
            flush=local.flush.value,
            cache_bytes=local.cache_bytes,
            retention_seconds=local.retention_hours * 3600.0,
            retention_bytes=local.retention_bytes,
        )
        store = DurableStore(directory.store, reactor, store_settings)
        return LocalBackend(store, local, reactor, outbox, users=users)
    except ValueError as error:
        raise ConfigurationError(configuration.blame("local", error)) from error


def _cluster(configuration: Configuration, reactor: Any, outbox: Outbox, users: Users) -> IBackend:
    from rmqgateway.backend.cluster.backend import ClusterBackend
    from rmqgateway_tap.passthrough import cluster_settings

    settings = cluster_settings(configuration)
    if not settings.addresses:
        raise UsageError(
            f"{configuration.place('backend')}: the backend cluster needs its name servers: --namesrv host:port;host:port, "
            "or to be one: --set registry.endpoint=tcp:9877:interface=127.0.0.1"
        )
    return ClusterBackend(settings, reactor, outbox, users=users)


def _users(configuration: Configuration) -> Users:
    """Those of the configuration; the backend adds what it has stored."""
    settings = configuration.section("users", UsersSettings)
    found = configured_users(settings, lambda key: configuration.place("users", key))
    return Users(found, configuration.section("local", LocalSettings).cluster_name)


def _gateway(
    configuration: Configuration, backend: IBackend, reactor: Any, outbox: Outbox, users: Users
) -> Gateway:
    from rmqgateway.gateway import Gateway
    from rmqgateway.governance.guard import Guard

    strict = configuration.section("users", UsersSettings).utc_only
    guard = Guard(users, time.time, reactor.seconds, strict)
    limits = configuration.section("limits", Limits)
    return Gateway(backend, reactor, outbox=outbox, limits=limits, guard=guard)


def _listeners(
    configuration: Configuration,
    process: ProcessSettings,
    settings: ListeningSettings,
    front_ends: dict[str, Any],
    gateway: Gateway,
    reactor: Any,
    certificates: Certificates,
    connections: Connections,
) -> list[Listener]:
    for_all = None
    if process.advertise:
        for_all = check_advertised(process.advertise, configuration.place("advertise"))
    found = []
    http_settings = configuration.section("http", HttpSettings)
    for name, described in configuration.listeners.items():
        place = configuration.place("listeners", name, "endpoint")
        advertise = for_all
        if described.advertise:
            advertise = check_advertised(
                described.advertise, configuration.place("listeners", name, "advertise")
            )
        names = list(described.front_ends) or list(front_ends)
        served = [front_ends[front_end] for front_end in names]
        # A listener that is told to serve one connection front-end alone serves no HTTP: there the server may speak first.
        alone = len(described.front_ends) == 1 and IConnectionFrontEnd.providedBy(served[0])
        http_server = None
        if not alone and any(_is_served_over_http(front_end) for front_end in served):
            from rmqgateway.http.server import HttpServer

            try:
                http_server = HttpServer(gateway, served, http_settings)
            except ValueError as error:
                raise ConfigurationError(f"{place}: {error}") from error
        found.append(
            Listener(
                name,
                parse_endpoint(reactor, described.endpoint, place),
                described,
                place,
                [front_end for front_end in served if IConnectionFrontEnd.providedBy(front_end)],
                names,
                gateway=gateway,
                reactor=reactor,
                settings=settings,
                certificates=certificates,
                connections=connections,
                advertise=advertise,
                http=not alone,
                http_server=http_server,
            )
        )
    return found


def _passthrough(
    configuration: Configuration,
    process: ProcessSettings,
    settings: ListeningSettings,
    front_ends: dict[str, Any],
    gateway: Gateway,
    certificates: Certificates,
    connections: Connections,
) -> tuple[list[Part], list[Part]]:
    """What is besides before a cluster: parts that outlive the clients' sessions, and those that end before them."""
    if process.backend != "cluster":
        return [], []
    from rmqgateway_tap.passthrough import (
        BrokerPortsPart,
        PassthroughPart,
        RegistryPart,
        make_passthrough,
        make_registry,
        own_listeners,
    )

    make_listener = own_listeners(
        gateway=gateway,
        reactor=gateway.reactor,
        settings=settings,
        certificates=certificates,
        connections=connections,
    )
    before: list[Part] = []
    after: list[Part] = []
    registry = make_registry(configuration, gateway.reactor)
    if registry is not None:
        before.append(RegistryPart(registry, make_listener))
    if "remoting" in front_ends:
        passthrough = gateway.passthrough = make_passthrough(configuration, gateway.reactor)
        before.append(PassthroughPart(passthrough))
        after.append(BrokerPortsPart(passthrough, make_listener, front_ends["remoting"]))
    return before, after


def _is_served_over_http(front_end: Any) -> bool:
    return (
        IRequestFrontEnd.providedBy(front_end)
        or IWebSocketFrontEnd.providedBy(front_end)
        or (IConnectionFrontEnd.providedBy(front_end) and bool(front_end.web_socket_protocols))
    )


def _announce(
    listeners: list[Listener], where: str, backend: str, certificates: Certificates
) -> None:
    _log.info(
        "rmqgateway {version}, backend {backend}, {where}",
        version=__version__,
        backend=backend,
        where=where,
    )
    for listener in listeners[:4]:
        _log.info(
            "{name} listens on {where} and serves {served}",
            name=listener.name,
            where=listener.describe(),
            served=", ".join(listener.names) or "nothing",
        )
    if len(listeners) > 4:
        rest = "; ".join(f"{listener.name} on {listener.describe()}" for listener in listeners[4:])
        _log.info("and {rest}", rest=rest)
    if certificates.is_generated:
        _log.info(
            "the same ports take TLS from loopback; certificate: {path}", path=certificates.certificate_path
        )
    elif certificates.offered(True):
        _log.info("the same ports take TLS; certificate: {path}", path=certificates.certificate_path)
    if listeners and listeners[0].gateway.guarded:
        _log.info("users exist: every client needs a credential (docs/security.md)")
        return
    for listener in listeners:
        if "remoting" in listener.names and listener.described.endpoint.startswith("tcp"):
            where = listener.advertised(listener.port.getHost())
            python = sys.executable.removeprefix(os.getcwd() + os.sep)
            _log.info(
                "try: {python} -m rmqgateway.hello {where}  (clients: NAMESRV_ADDR={where})", python=python, where=where
            )
            break
