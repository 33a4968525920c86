"""The gateway's HTTP server on a loopback port, with front-ends of a test, as a process of its own.

It prints its port and serves until its standard input is closed.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec

__all__ = ["NoSettings", "program", "serve"]

_ROOT = pathlib.Path(__file__).parents[2]


class NoSettings(msgspec.Struct):
    """Nothing."""


@contextmanager
def program(name: str) -> Iterator[int]:
    """Run one of the servers in this folder; its port."""
    path = os.pathsep.join(str(_ROOT / part) for part in (".", "protocols", "tap"))
    with subprocess.Popen(
        [sys.executable, str(pathlib.Path(__file__).with_name(name))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def serve(front_ends: Sequence[Any]) -> None:
    """Serve these until standard input is closed."""
    from twisted.internet import endpoints, reactor, stdio
    from twisted.internet.interfaces import IReactorCore, IReactorTCP
    from twisted.internet.protocol import Protocol

    from rmqgateway.config_sections import ListenerSettings, ListeningSettings, TLSSettings
    from rmqgateway.http.server import HttpServer
    from rmqgateway.http.settings import HttpSettings
    from rmqgateway.listeners import Listener
    from rmqgateway.listeners_limits import Connections
    from rmqgateway.listeners_tls import Certificates
    from rmqgateway.outbox import Outbox

    class Session:
        last_seen = 0.0

        def end(self) -> None:
            """See ISession."""

    class Gateway:
        """As much of one as HTTP needs."""

        leaving = False

        def __init__(self) -> None:
            self.outbox = Outbox()
            self.reactor = reactor

        def open_session(self, *arguments: object) -> Session:
            return Session()

    class UntilClosed(Protocol):
        """Ends the process with whoever started it."""

        def connectionLost(self, reason: object = None) -> None:
            core = cast("IReactorCore", reactor)
            if core.running:
                core.stop()

    gateway = cast("Any", Gateway())
    settings = HttpSettings(max_frame=1 << 25, max_message=1 << 25)
    listener = Listener(
        "conformance",
        endpoints.TCP4ServerEndpoint(cast("IReactorTCP", reactor), 0, interface="127.0.0.1"),
        ListenerSettings(endpoint="tcp:0:interface=127.0.0.1"),
        "conformance",
        [],
        [one.name for one in front_ends],
        gateway=gateway,
        reactor=reactor,
        settings=ListeningSettings(),
        certificates=Certificates(TLSSettings(mode="off"), "/nonexistent"),
        connections=Connections(1000, 1000),
        http_server=HttpServer(gateway, list(front_ends), settings),
    )

    def announce(port: Any) -> None:
        listener.bound(port)
        print(port.getHost().port, flush=True)

    listener.endpoint.listen(listener).addCallback(announce)
    stdio.StandardIO(UntilClosed())
    cast("IReactorCore", reactor).run()
