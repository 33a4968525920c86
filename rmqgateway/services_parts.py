"""The parts of a gateway's process: data directory, backend, sessions, listeners."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.listeners_limits import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.data_directory import DataDirectory
    from rmqgateway.gateway import Gateway
    from rmqgateway.interfaces import IBackend
    from rmqgateway.listeners import Listener
    from rmqgateway.listeners_tls import Certificates

__all__ = ["BackendPart", "DataDirectoryPart", "ListenersPart", "NoticePart", "SessionsPart", "calm_garbage_collector"]

_log = Logger(namespace="rmqgateway")


class DataDirectoryPart:
    """See Part."""

    name = "the data directory"

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory

    def prepare(self) -> None:
        self._directory.prepare()

    def start(self) -> None:
        return None

    def stop(self) -> None:
        return None


class BackendPart:
    """See Part. Started after privileges are given up, so that what it creates is its user's."""

    def __init__(self, backend: IBackend) -> None:
        self._backend = backend
        self.name = f"the {backend.name} backend"

    def prepare(self) -> None:
        return None

    def start(self) -> Deferred[None] | None:
        return self._backend.start()

    def stop(self) -> Deferred[None] | None:
        return self._backend.stop()


class SessionsPart:
    """Clients are asked to finish, then told to go. See Part."""

    name = "the clients' sessions"
    _INTERVAL = 0.05

    def __init__(self, gateway: Gateway, reactor: Any, seconds: float) -> None:
        self._gateway = gateway
        self._reactor = reactor
        self._seconds = seconds

    def prepare(self) -> None:
        return None

    def start(self) -> None:
        return None

    def stop(self) -> Deferred[None]:
        gateway, reactor = self._gateway, self._reactor
        deadline = reactor.seconds() + self._seconds
        gateway.drain(self._seconds, "the gateway is shutting down")
        done: Deferred[None] = Deferred()
        closed = False
        call: IDelayedCall | None = None

        def look() -> None:
            nonlocal closed, call
            left = len(gateway.sessions)
            if not left or closed:
                done.callback(None)
                return
            if reactor.seconds() >= deadline:
                closed = True
                _log.warn(
                    "{left} clients have not finished in {seconds} s: closed",
                    left=left,
                    seconds=self._seconds,
                )
                for session in list(gateway.sessions.values()):
                    session.close("the gateway is shutting down")
            call = reactor.callLater(self._INTERVAL, look)

        if gateway.sessions:
            _log.info("waiting for {count} clients to finish", count=len(gateway.sessions))
        look()
        return done


class NoticePart:
    """Whoever asks is told that the gateway is going, before it refuses anybody. See Part; it stops first."""

    name = "the notice"

    def __init__(self, gateway: Gateway, reactor: Any, seconds: float) -> None:
        self._gateway = gateway
        self._reactor = reactor
        self._seconds = seconds

    def prepare(self) -> None:
        return None

    def start(self) -> None:
        return None

    def stop(self) -> Deferred[None] | None:
        self._gateway.leaving = True
        if not self._seconds:
            return None
        _log.info("not ready from now on; serving for {seconds} s more", seconds=self._seconds)
        over: Deferred[None] = Deferred()
        self._reactor.callLater(self._seconds, over.callback, None)
        return over


class ListenersPart:
    """Ports are bound while there are rights to, and read once everything else has started. See Part.

    :param announce: called when all of them serve.
    """

    name = "the listeners"

    def __init__(
        self,
        listeners: Sequence[Listener],
        connections: Connections,
        certificates: Certificates,
        reactor: Any,
        announce: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._connections = connections
        self._certificates = certificates
        self._reactor = reactor
        self._announce = announce
        self._listening: list[tuple[Listener, Deferred[Any]]] = []

    def prepare(self) -> None:
        raise_file_limit(self._connections.limit)
        for listener in self._listeners:
            listening = maybeDeferred(listener.endpoint.listen, listener)
            listening.addCallbacks(listener.bound, self._not_bound, errbackArgs=(listener,))
            # A TCP or UNIX endpoint answers at once; whatever else there is has time until `start`.
            if isinstance(result := getattr(listening, "result", None), Failure):
                listening.addErrback(lambda failure: None)
                result.raiseException()
            self._listening.append((listener, listening))
            stop_reading = getattr(listener.port, "stopReading", None)
            if stop_reading is not None:
                stop_reading()

    @staticmethod
    def _not_bound(failure: Failure, listener: Listener) -> None:
        raise listener.cannot_listen(failure.value) from failure.value  # type: ignore[arg-type]

    def start(self) -> Deferred[None]:
        all_bound = DeferredList(
            [listening for _, listening in self._listening], fireOnOneErrback=True, consumeErrors=True
        )
        return all_bound.addCallbacks(self._begin, _unwrap)

    def _begin(self, _: object) -> None:
        for listener in self._listeners:
            listener.check_exposure()
        for listener in self._listeners:
            start_reading = getattr(listener.port, "startReading", None)
            if start_reading is not None:
                start_reading()
        self._announce()
        if self._certificates.is_generated:
            # 0.1 s once per installation, and not before everything listens.
            self._reactor.callLater(0, self._certificates.ensure)

    def stop(self) -> Deferred[Any]:
        waits = []
        for listener in self._listeners:
            if listener.port is not None:
                waits.append(maybeDeferred(listener.port.stopListening))
            listener.close_waiting()
        return DeferredList(waits, consumeErrors=True)


def _unwrap(failure: Failure) -> Failure:
    """The failure of the one listener that could not begin."""
    first: Failure = failure.value.subFailure  # type: ignore[union-attr]
    return first


def raise_file_limit(connections: int) -> None:
    """Let the process open as many files as it may have connections, where the hard limit allows it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 1000
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    except (OSError, ValueError):
        possible = soft
    if possible < wanted:
        _log.warn(
            "only {possible} files may be open: fewer than listening.connections ({connections}) needs; raise ulimit -n",
            possible=possible,
            connections=connections,
        )


def calm_garbage_collector() -> None:
    """Have cyclic garbage looked for less often, and never among what lives as long as the process.

    A loaded gateway makes thousands of short-lived objects a second, freed by their counts; with Python's thresholds the
    collector goes through all that the imports left again and again: 2 of 28 µs for each send, and pauses.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
