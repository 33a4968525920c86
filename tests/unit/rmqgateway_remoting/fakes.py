"""A gateway that answers as told, and a client's end of a connection, for tests of this front-end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from rmqgateway.commands import Command
from rmqgateway.context import Context
from rmqgateway.errors import GatewayError, UnsupportedCommand
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.outbox import Outbox
from rmqgateway.session import Session
from rmqgateway.telemetry.metrics import CommandMeter
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request
from rmqgateway_remoting.frontend import RemotingSettings
from rmqgateway_remoting.protocol import RemotingProtocol


class FakeGateway:
    """Remembers commands; answers with `replies[type]`: a value, an exception, or a function of (context, command)."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.outbox = Outbox()
        self.replies: dict[type[Command[Any]], Any] = {}
        self.commands: list[Command[Any]] = []
        self.contexts: list[Context] = []
        self.sessions: list[Session] = []
        self.refuse_sessions: GatewayError | None = None
        self.passthrough: Any = None
        self.guarded = False
        self.meters: list[CommandMeter] = []

    def open_session(self, front_end: str, peer: Any, host: str, deliver: Any, drain: Any, close: Any) -> Session:
        if self.refuse_sessions is not None:
            raise self.refuse_sessions
        number = len(self.sessions) + 1
        session = Session(number, front_end, f"{peer.host}:{peer.port}", host, 0.0, deliver, drain, close)
        self.sessions.append(session)
        return session

    def execute(self, context: Context, command: Command[Any]) -> Any:
        self.commands.append(command)
        self.contexts.append(context)
        if type(command) not in self.replies:
            raise UnsupportedCommand(type(command).__name__, "fake")
        reply = self.replies[type(command)]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Callable):  # type: ignore[arg-type]
            return reply(context, command)
        return reply

    def perform(self, context: Context, command: Command[Any], done: Callable[[Any, Any, Any], None], token: Any) -> None:
        try:
            result = self.execute(context, command)
        except GatewayError as error:
            done(token, None, error)
            return
        if isinstance(result, Deferred):
            result.addCallbacks(
                lambda reply: done(token, reply, None), lambda failure: done(token, None, failure.value)
            )
        else:
            done(token, result, None)

    def perform_sends(
        self,
        context: Context,
        commands: Sequence[Command[Any]],
        done: Callable[[Any, Any, Any], None],
        done_together: Callable[[Sequence[Any], Sequence[Any]], None],
        tokens: Sequence[Any],
    ) -> None:
        for command, token in zip(commands, tokens, strict=True):
            self.perform(context, command, done, token)


class Client:
    """The client's end: sends requests, reads frames. Its transport is a StringTransport."""

    def __init__(
        self, gateway: FakeGateway | None = None, settings: RemotingSettings | None = None, advertised: str = "10.1.2.3:9876"
    ) -> None:
        self.gateway = gateway if gateway is not None else FakeGateway()
        peer = IPv4Address("TCP", "192.168.0.9", 50123)
        self.transport = StringTransport(peerAddress=peer)
        self.protocol = RemotingProtocol(
            self.gateway,  # type: ignore[arg-type]
            ConnectionInformation(peer, advertised, False, "test"),
            settings if settings is not None else RemotingSettings(),
        )
        self.protocol.makeConnection(self.transport)
        self._opaque = 100

    def send(
        self,
        code: int,
        ext_fields: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        oneway: bool = False,
        serialization: int = 0,
        version: int = 513,
        language: str = "JAVA",
    ) -> int:
        """Send one request; return its opaque."""
        self._opaque += 1
        frame = encode_request(
            code,
            self._opaque,
            ext_fields,
            body,
            oneway=oneway,
            serialization=serialization,
            version=version,
            language=language,
        )
        self.protocol.dataReceived(frame)
        return self._opaque

    def received(self) -> list[RemotingCommand]:
        """What came since the last call."""
        frames = RemotingDecoder().receive_data(self.transport.value())
        self.transport.clear()
        assert all(isinstance(frame, RemotingCommand) for frame in frames)
        return frames  # type: ignore[return-value]

    def ask(self, code: int, ext_fields: dict[str, str] | None = None, body: bytes = b"", **more: Any) -> RemotingCommand:
        """Send one request and return its response."""
        opaque = self.send(code, ext_fields, body, **more)
        (response,) = self.received()
        assert response.opaque == opaque and response.is_response
        return response
