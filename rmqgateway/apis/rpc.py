"""One call of the API, whatever carries it: who calls, until when, what became of it.

A front-end derives from `Rpc` and provides `write`, `close`, `buffered` and `on_drain`; it hands over each request message by
`message`, the end of the client's side by `half_closed`, and the loss of the client by `gone`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.credentials import credential_of
from rmqgateway.apis.refusals import Refusal, status_of
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.grpc_framing import GrpcError, GrpcStatus, decode_timeout

if TYPE_CHECKING:
    from rmqgateway.apis.clients import Client
    from rmqgateway.apis.service import Api
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import ISession

__all__ = ["Method", "Rpc"]

log = Logger(namespace="rmqgateway.apis")

_REFUSALS = (Refusal, GatewayError, WireError)


class Method:
    """One call of a service.

    :ivar handle: takes (rpc, request message); returns the response message or a Deferred of it, or None if it writes the
        stream itself. :ivar refuse: the response message that carries a status.
    :ivar streams: responses are a stream, which `handle` ends. :ivar bidirectional: so are requests.
    :ivar anonymous: who calls need not say who it is (health, reflection).
    :ivar nameless: who calls needs a credential where there are users, and no client id (administration).
    :ivar ended: if `bidirectional`: takes (rpc) when the client has sent its last message, and returns as `handle` does,
        here None if the stream goes on; without it the end of one side is that of the call.
    """

    __slots__ = ("anonymous", "bidirectional", "ended", "handle", "name", "nameless", "refuse", "streams")

    def __init__(
        self,
        name: str,
        handle: Callable[[Rpc, bytes], Any],
        refuse: Callable[[v2.Status], bytes],
        streams: bool = False,
        bidirectional: bool = False,
        anonymous: bool = False,
        ended: Callable[[Rpc], Any] | None = None,
        nameless: bool = False,
    ) -> None:
        self.name = name
        self.handle = handle
        self.refuse = refuse
        self.streams = streams
        self.bidirectional = bidirectional
        self.anonymous = anonymous
        self.nameless = nameless
        self.ended = ended


class Rpc:
    """One call.

    :ivar client: who calls, if it has reported its settings; else the connection is its session.
    :ivar done: nothing more can be written.
    """

    #: Of the front-end, for sessions.
    front_end = "grpc"

    __slots__ = (
        "_on_gone",
        "_received",
        "api",
        "client",
        "client_id",
        "client_key",
        "context",
        "deadline",
        "done",
        "fields",
        "information",
        "method",
        "namespace",
        "pending",
        "slot",
    )

    context: Context

    def __init__(self, api: Api, method: Method, fields: Mapping[bytes, bytes], information: ConnectionInformation) -> None:
        self.api = api
        self.method = method
        self.fields = fields
        self.information = information
        self.client: Client | None = None
        self.client_id = ""
        self.client_key = b""
        self.namespace = ""
        self.deadline: float | None = None
        self.done = False
        self.pending: Deferred[Any] | None = None
        self.slot = 0
        self._received = False
        self._on_gone: Callable[[str], None] | None = None

    # What a front-end provides.

    def write(self, message: bytes) -> None:
        """Send a response message."""
        raise NotImplementedError

    def write_all(self, messages: list[bytes]) -> None:
        """Send several response messages; together they are small."""
        for message in messages:
            self.write(message)

    def close(self, status: GrpcStatus = GrpcStatus.OK, text: str = "") -> None:
        """End the call."""
        raise NotImplementedError

    def reply(self, message: bytes) -> None:
        """Send the only response message, and end the call."""
        self.write(message)
        self.close()

    def buffered(self) -> int:
        """Bytes that the client has not taken."""
        raise NotImplementedError

    @property
    def is_crowded(self) -> bool:
        """Whether all calls of the connection, finished ones included, leave so much untaken that it gets no messages for now."""
        return False

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call when it has taken most."""
        raise NotImplementedError

    def on_shutdown(self, callback: Callable[[float, str], None]) -> None:
        """Call with (deadline in seconds, reason) when the gateway asks its clients to go before this is answered; never
        where the front-end ends the call itself then."""

    # What a front-end calls.

    def begin(self, session: ISession, trace: str) -> None:
        """The call's metadata are there. :raise GrpcError: its deadline is none."""
        self.begin_in(Context(session, trace=trace))

    def begin_in(self, context: Context) -> None:
        """As `begin`, in a context that is this call's alone."""
        self.context = context
        timeout = self.fields.get(b"grpc-timeout")
        if timeout is not None:
            context.deadline = self.deadline = self.api.seconds() + decode_timeout(timeout)
            self.api.deadlines.add(self, self.deadline)

    def identify(self) -> None:
        """Who calls. :raise Refusal: CLIENT_ID_REQUIRED, UNAUTHORIZED."""
        fields = self.fields
        client_id = fields.get(b"x-mq-client-id", b"")
        if (not client_id or client_id.isspace()) and not self.method.nameless:
            raise Refusal(v2.CLIENT_ID_REQUIRED, "client id cannot be empty")
        context = self.context
        key = client_id
        if b"authorization" in fields:
            context.credential = credential_of(fields)
            if context.credential is not None:
                key = b"%b\0%b" % (client_id, context.credential.access_key.encode())
        if self.api.gateway.guarded:
            # Also for calls that execute nothing: a key names a client's session, and is to be its user's.
            self.api.gateway.authenticate(context, context.credential)
        self.client_key = key
        request_id = fields.get(b"x-mq-request-id")
        if request_id is not None:
            context.request_id = request_id.decode("utf-8", "replace")
        self.namespace = context.namespace = fields.get(b"x-mq-namespace", b"").decode("utf-8", "replace")
        self.client_id = client_id.decode("utf-8", "replace")
        client = self.client = self.api.clients.get(key)
        if client is not None:
            client.last_seen = client.session.last_seen = self.api.seconds()
            context.session = client.session

    def message(self, data: bytes) -> None:
        """A request message has come."""
        if self.done:
            return
        method = self.method
        try:
            if not self._received:
                self._received = True
                if not method.anonymous:
                    self.identify()
            elif not method.bidirectional:
                self.close(GrpcStatus.UNIMPLEMENTED, "expected one request message, got more")
                return
            result = method.handle(self, data)
        except _REFUSALS as error:
            self.refuse(error)
            return
        except DecodeError:
            self.close(GrpcStatus.INTERNAL, f"{method.name}: the request is not a valid protobuf message")
            return
        except Exception:
            self._broken(Failure())
            return
        if isinstance(result, Deferred):
            self.wait_for(result)
            result.addCallbacks(self._replied, self._failed)
            result.addErrback(self._broken)
        elif result is not None:
            self.reply(result)

    def half_closed(self) -> None:
        """The client sends no more."""
        if self.done:
            return
        ended = self.method.ended
        if ended is not None:
            result = maybeDeferred(ended, self)
            self.wait_for(result)
            result.addCallbacks(self._replied, self._failed)
            result.addErrback(self._broken)
        elif self.method.bidirectional:
            callback, self._on_gone = self._on_gone, None
            self.close()
            if callback is not None:
                callback("the client ended the stream")
        elif not self._received:
            self.close(GrpcStatus.INTERNAL, f"{self.method.name}: the request ended without a message")

    def gone(self, reason: str) -> None:
        """Nobody waits for the answer any more."""
        if self.done:
            return
        self.done = True
        self.ended(reason)

    # What methods use.

    @property
    def host(self) -> str:
        """ "host:port" under which the client reaches us."""
        return self.information.advertised

    def execute(self, command: Any) -> Any:
        """Have a command carried out in the caller's name."""
        return self.api.execute(self.context, command)

    def remaining_ms(self) -> int | None:
        """Until the deadline, or None."""
        return None if self.deadline is None else int((self.deadline - self.api.seconds()) * 1000)

    def text(self, name: bytes) -> str:
        """A field of the metadata, or ""."""
        return self.fields.get(name, b"").decode("utf-8", "replace")

    def wait_for(self, deferred: Deferred[Any]) -> None:
        """What is cancelled when the client goes."""
        self.pending = deferred

    def on_gone(self, callback: Callable[[str], None]) -> None:
        """Call if the client goes, or the deadline passes, before `close`."""
        self._on_gone = callback

    def refuse(self, error: Refusal | GatewayError | WireError) -> None:
        """Answer with an error in the API's words; what ends the call itself is the transport's status."""
        if self.done:
            return
        if isinstance(error, GrpcError):
            self.close(error.status, error.message)
        elif self.method.anonymous:
            self.close(GrpcStatus.INTERNAL, error.message)
        else:
            self.reply(self.method.refuse(status_of(error)))

    def ended(self, reason: str) -> None:
        """For front-ends: `done` was set. :param reason: "" if all is well."""
        if self.slot:
            self.api.deadlines.remove(self)
        pending, self.pending = self.pending, None
        callback, self._on_gone = self._on_gone, None
        if not reason:
            return
        if callback is not None:
            callback(reason)
        if pending is not None:
            pending.cancel()

    def expired(self) -> None:
        """See `deadlines.Expiring`."""
        if self.done:
            return
        callback, self._on_gone = self._on_gone, None
        pending, self.pending = self.pending, None
        self.close(GrpcStatus.DEADLINE_EXCEEDED, "the deadline has passed")
        if callback is not None:
            callback("the deadline has passed")
        if pending is not None:
            pending.cancel()

    # Inside.

    def _replied(self, message: bytes | None) -> None:
        self.pending = None
        if message is not None and not self.done:
            self.reply(message)

    def _failed(self, failure: Failure) -> None:
        self.pending = None
        if self.done:
            return
        error = failure.value
        if isinstance(error, _REFUSALS):
            self.refuse(error)
        else:
            self._broken(failure)

    def _broken(self, failure: Failure) -> None:
        log.failure("{method} failed", failure=failure, method=self.method.name)
        if not self.done:
            self.refuse(GatewayError(Code.INTERNAL, f"{self.method.name} failed; the gateway's log has the cause"))
