"""One Remoting connection: frames to commands, replies to one write, back-pressure in both directions."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.commands import (
    AnswerRelay,
    Command,
    PullMessages,
    ReceiveMessages,
    SendMessages,
    SendResults,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import Event, GoAway
from rmqgateway.namespaces import enter, leave
from rmqgateway.wire.remoting import (
    JSON,
    RemotingCommand,
    RemotingDecoder,
    RemotingEvent,
    encode_request,
    encode_response,
)
from rmqgateway.wire.request_codes import RequestCode, ResponseCode, request_name
from rmqgateway_remoting.connection import RemotingConnection
from rmqgateway_remoting.convert_base import Operation
from rmqgateway_remoting.convert_sending import parse_send_v2, reply_send
from rmqgateway_remoting.credentials import credential_of
from rmqgateway_remoting.errors import response_code
from rmqgateway_remoting.held import HELD_FOR, HeldSends
from rmqgateway_remoting.push import push_of
from rmqgateway_remoting.table import OPERATIONS, REFUSED
from rmqgateway_remoting.versions import V5_3_1

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway
    from rmqgateway_remoting.frontend import RemotingSettings

__all__ = ["RemotingProtocol"]

log = Logger(namespace="rmqgateway.remoting")

#: A request under way, with what it became.
_Request = tuple[RemotingCommand, Operation, Context, Command[Any]]

_SEND_MESSAGE = int(RequestCode.SEND_MESSAGE_V2)
_SENDING = OPERATIONS[_SEND_MESSAGE]

#: Commands whose replies need nothing of the request's header: while they wait for messages it is let go.
_FORGETFUL = frozenset({PullMessages, ReceiveMessages})

_LEAVING = GatewayError(Code.SHUTTING_DOWN, "this gateway is shutting down")
#: What the transport gets at a time while its peer is slow, so that each piece taken is progress.
_PIECE = 256 * 1024
#: Questions to the client that it has not answered; older ones are forgotten first.
_MAX_QUESTIONS = 1000


class RemotingProtocol(RemotingConnection):
    """Serves one client."""

    def __init__(
        self, gateway: IGateway, connection: ConnectionInformation, settings: RemotingSettings
    ) -> None:
        super().__init__(gateway, connection, settings)
        self._outbox = gateway.outbox
        self._execute: Callable[[Context, Command[Any]], Any] = gateway.execute
        self._perform = gateway.perform
        self._when_done: Callable[[_Request, Any, GatewayError | None], None] = self._done
        self._decoder = RemotingDecoder(settings.max_frame, settings.max_header, sends_in_fields=True)
        # Responses of this turn, and what the transport would not take yet.
        self._pending: list[bytes] = []
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        # Of bulky responses, in this turn; and requests that wait until these are taken.
        self._pending_bytes = 0
        self._backlog: deque[RemotingEvent] = deque()
        self._backlog_timer: IDelayedCall | None = None
        # Requests that wait for their replies.
        self._in_flight_bytes = 0
        self._in_flight = 0
        self._waiting: dict[Deferred[Any], bool] = {}  # whether it is a poll
        self._held = HeldSends(gateway, self._account)
        self._slow = False  # the process has too much to do
        # Questions to the client: our opaque -> relay id.
        self._next_opaque = 0
        self._questions: dict[int, int] = {}

    def _begin(self) -> None:
        self._session.pace = self._set_slow

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._closed:
            return
        self._session.last_seen = self._seconds()
        events = self._decoder.receive_data(data)
        if self._backlog:
            self._backlog.extend(events)
        else:
            self._work(events)

    def _work(self, events: list[RemotingEvent]) -> None:
        """Carry requests out; those that would make more answers than the client is ready to take wait their turn."""
        limit = self._settings.unsent_bytes
        self._outbox.enter()
        try:
            at, count = 0, len(events)
            while at < count:
                event = events[at]
                if not isinstance(event, RemotingCommand):
                    self._malformed(event)
                    at += 1
                elif event.code == _SEND_MESSAGE and at + 1 < count:
                    at += self._send_together(events, at)
                else:
                    self._request(event)
                    at += 1
                if self._pending_bytes > limit:
                    self._backlog.extend(events[at:])
                    break
        finally:
            self._outbox.leave()
        if (
            self._in_flight_bytes > self._settings.in_flight_bytes
            or self._in_flight > self._settings.in_flight_requests
        ):
            self._balance()
        if self._backlog and self._reading:
            self._plan_backlog()

    def _plan_backlog(self) -> None:
        if self._backlog_timer is None and not self._closed:
            self._backlog_timer = self._gateway.reactor.callLater(0, self._work_backlog)

    def _work_backlog(self) -> None:
        self._backlog_timer = None
        events = list(self._backlog)
        self._backlog.clear()
        if not self._closed:
            self._work(events)

    def _end(self) -> None:
        if self._backlog_timer is not None:
            self._backlog_timer.cancel()
        self._pending.clear()
        self._backlog.clear()
        self._unsent.clear()
        self._unsent_bytes = 0
        if self._held:
            log.warn(
                "{count} one-way sends of {peer} were refused until its connection ended: {size} bytes are lost",
                count=len(self._held),
                peer=self._connection.peer,
                size=self._held.size,
            )
        self._held.end()
        # A wait whose client is gone would only hold what another could get.
        for deferred in list(self._waiting):
            deferred.cancel()
        self._questions.clear()

    # Requests.

    def _request(self, request: RemotingCommand) -> None:
        flag = request.flag
        if flag & 1:
            self._answered(request)
            return
        operation = OPERATIONS.get(request.code)
        if operation is None:
            self._unserved(request)
            return
        if self._going_away and self._answer_go_away(request):
            return
        ext = request.ext_fields
        context = Context(self._session, credential_of(request) if "AccessKey" in ext else None)
        try:
            command = operation.parse(request, self._peer)
            if "ns" in ext:
                command = self._enter_namespace(ext, context, command)
        except WireError as error:
            self._refused(error, request, operation)
            return
        if not operation.waits:
            if flag & 2 and self._held and type(command) is SendMessages:
                self._held.hold(context, command, len(request.body))
                return
            self._in_flight += 1
            self._in_flight_bytes += len(request.body)
            self._perform(context, command, self._when_done, (request, operation, context, command))
            return
        try:
            result = self._execute(context, command)
        except GatewayError as error:
            self._refused(error, request, operation)
            return
        if isinstance(result, Deferred):
            if operation.command in _FORGETFUL:
                request = _outline(request)
            self._waiting[result] = operation.command in _FORGETFUL
            result.addBoth(self._waited, result)
            result.addCallbacks(
                self._reply,
                self._wait_failed,
                callbackArgs=(request, operation),
                errbackArgs=(request, operation),
            )
        else:
            self._reply(result, request, operation)

    def _send_together(self, events: list[RemotingEvent], at: int) -> int:
        """Carry out the sends that came in a row from `at` on; return how many requests that were.

        Those with something about them (a credential, a namespace), and when the connection is in no plain state, go one
        by one.
        """
        tokens: list[_Request] = []
        commands: list[SendMessages] = []
        if not (self._going_away or self._held):
            context = Context(self._session)
            size = 0
            for event in events[at:] if at else events:
                if (
                    not isinstance(event, RemotingCommand)
                    or event.code != _SEND_MESSAGE
                    or event.flag & 1
                    or "AccessKey" in event.ext_fields
                    or "ns" in event.ext_fields
                ):
                    break
                try:
                    command = parse_send_v2(event, self._peer)
                except WireError:
                    break
                size += len(event.body)
                commands.append(command)
                tokens.append((event, _SENDING, context, command))
        if len(tokens) < 2:
            event = events[at]
            if isinstance(event, RemotingCommand):
                self._request(event)
            return 1
        self._in_flight += len(tokens)
        self._in_flight_bytes += size
        self._gateway.perform_sends(context, commands, self._when_done, self._sent_together, tokens)
        return len(tokens)

    def _sent_together(self, tokens: Sequence[_Request], replies: Sequence[SendResults]) -> None:
        """The sends of one read are durable."""
        size = 0
        pending = self._pending
        nothing_waits = not pending
        open_ = not self._closed
        peer = self._peer
        for token, reply in zip(tokens, replies, strict=True):
            request = token[0]
            size += len(request.body)
            if open_ and not request.flag & 2:
                reply_send(reply, request, peer, pending)
        self._account(-len(tokens), -size)
        if nothing_waits and pending:
            self._outbox.ready(self)

    def _enter_namespace(self, ext: dict[str, str], context: Context, command: Command[Any]) -> Command[Any]:
        """Clients with a namespace of the second version send plain names, and the namespace beside them."""
        namespace = ext["ns"]
        if not namespace or ext.get("nsd", "").lower() != "true":
            del ext["ns"]
            return command
        self._peer.namespace = context.namespace = namespace
        return enter(namespace, command)

    def _waited(self, result: Any, deferred: Deferred[Any]) -> Any:
        self._waiting.pop(deferred, None)
        return result

    def _account(self, count: int, size: int) -> None:
        """So many requests and bytes came under way, or (less than 0) were dealt with."""
        self._in_flight += count
        self._in_flight_bytes += size
        if not self._reading:
            self._balance()

    def _done(self, token: _Request, reply: Any, error: GatewayError | None) -> None:
        """The outcome of a request that does not wait for messages."""
        request, operation, context, command = token
        self._in_flight -= 1
        self._in_flight_bytes -= len(request.body)
        if not self._reading:
            self._balance()
        if error is None:
            self._reply(reply, request, operation)
        elif self._closed:
            pass
        elif request.flag & 2 and error.code in HELD_FOR and type(command) is SendMessages:
            self._held.hold(context, command, len(request.body))
        else:
            self._refused(error, request, operation)

    def _wait_failed(self, failure: Failure, request: RemotingCommand, operation: Operation) -> None:
        if self._closed:
            return
        error = failure.value
        if self._going_away and operation.command in _FORGETFUL:
            if not self._answer_go_away(request):
                self._refused(_LEAVING, request, operation)
        elif isinstance(error, GatewayError):
            self._refused(error, request, operation)
        else:
            log.failure("{operation} failed", failure=failure, operation=operation.name)
            self._refused(GatewayError(Code.INTERNAL, "the gateway's log has the cause"), request, operation)

    def _reply(self, result: Any, request: RemotingCommand, operation: Operation) -> None:
        if self._closed or request.flag & 2:
            return
        pending = self._pending
        count = len(pending)
        try:
            if "ns" in request.ext_fields:
                result = leave(request.ext_fields["ns"], result)
            operation.reply(result, request, self._peer, pending)
        except GatewayError as error:
            # A reply that says that nothing was done.
            del pending[count:]
            self._refused(error, request, operation)
            return
        except Exception:
            del pending[count:]
            log.failure("the reply to {operation} could not be written", operation=operation.name)
            self._refused(GatewayError(Code.INTERNAL, "the gateway's log has the cause"), request, operation)
            return
        if operation.bulky:
            self._pending_bytes += sum(map(len, pending[count:]))
        if not count:
            self._outbox.ready(self)

    def _refused(
        self, error: GatewayError | WireError, request: RemotingCommand, operation: Operation
    ) -> None:
        if request.flag & 2:
            log.debug("one-way {operation} was refused: {error}", operation=operation.name, error=error)
        elif isinstance(error, GatewayError):
            self._say(request, response_code(error, operation.errors), error.message)
        else:
            self._say(request, ResponseCode.INVALID_PARAMETER, f"{operation.name}: {error.message}")

    def _unserved(self, request: RemotingCommand) -> None:
        name = request_name(request.code)
        if request.flag & 2:
            log.debug("one-way {name} is not served", name=name)
        elif request.code in REFUSED:
            self._say(request, ResponseCode.NO_PERMISSION, f"{name}: {REFUSED[request.code]}")
        else:
            self._say(
                request,
                ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
                f"request code {name} is not served by this gateway",
            )

    def _malformed(self, error: WireError) -> None:
        if error.fatal:
            log.info("connection of {peer} ends: {error}", peer=self._connection.peer, error=error.message)
            self.flush()
            self._close()
        elif error.request_id is not None:
            self._send(
                encode_response(error.request_id, int(ResponseCode.INVALID_PARAMETER), remark=error.message)
            )
        else:
            log.info(
                "a request of {peer} is dropped: {error}", peer=self._connection.peer, error=error.message
            )

    def _say(self, request: RemotingCommand, code: int, remark: str) -> None:
        self._send(encode_response(request.opaque, int(code), None, remark, b"", request.serialization))

    def _send(self, frame: bytes) -> None:
        if self._closed:
            return
        self._pending.append(frame)
        if len(self._pending) == 1:
            self._outbox.ready(self)

    # Writing.

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        pending = self._pending
        if not pending:
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        self._pending_bytes = 0
        if self._closed:
            return
        if len(data) <= _PIECE and not self._blocked and not self._unsent:
            self._write(data)
            return
        for start in range(0, len(data), _PIECE):
            self._unsent.append(data[start : start + _PIECE])
        self._unsent_bytes += len(data)
        self._pump()
        if self._unsent_bytes > self._settings.max_unsent_bytes:
            self._cut(f"it leaves {self._unsent_bytes} bytes of answers unread (setting max_unsent_bytes)")
        elif self._unsent_bytes > self._settings.unsent_bytes and self._reading:
            self._balance()

    def _pump(self) -> None:
        while self._unsent and not self._blocked:
            piece = self._unsent.popleft()
            self._unsent_bytes -= len(piece)
            self._write(piece)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._pump()
        if not self._reading:
            self._balance()

    # Reading.

    def _balance(self) -> None:
        """Stop reading when too much is under way or unsent; read again when it has come down to half of that."""
        if self._closed:
            return
        settings = self._settings
        if self._reading:
            if (
                self._slow
                or self._in_flight_bytes > settings.in_flight_bytes
                or self._in_flight > settings.in_flight_requests
                or self._unsent_bytes > settings.unsent_bytes
            ):
                self._reading = False
                self._transport.pauseProducing()
        elif (
            not self._slow
            and self._in_flight_bytes * 2 <= settings.in_flight_bytes
            and self._in_flight * 2 <= settings.in_flight_requests
            and self._unsent_bytes * 2 <= settings.unsent_bytes
        ):
            self._reading = True
            self._session.last_seen = self._seconds()
            self._transport.resumeProducing()
            if self._backlog:
                self._plan_backlog()

    def _set_slow(self, slow: bool) -> None:
        """See `ISession.pace`."""
        self._slow = slow
        self._balance()

    # Ending.

    def _dismiss(self, reason: str) -> None:
        for deferred in [one for one, polls in self._waiting.items() if polls]:
            deferred.cancel()

    def _is_busy(self) -> bool:
        return bool(self._in_flight or self._held or self._unsent or self._backlog)

    def _answer_go_away(self, request: RemotingCommand) -> bool:
        """Whether the request was answered by GO_AWAY: its sender asks again over a new connection."""
        if request.version <= V5_3_1 or request.flag & 2:
            return False
        self._say(request, ResponseCode.GO_AWAY, "this gateway is shutting down: please go away")
        return True

    # Events.

    def _deliver(self, event: Event) -> bool:
        if self._closed:
            return False
        if isinstance(event, GoAway):
            self._drain(event.deadline, event.reason)
            return True
        if self._unsent_bytes > self._settings.unsent_bytes:
            return False
        if self._peer.namespace:
            event = leave(self._peer.namespace, event)
        push = push_of(event, self._peer)
        if push is None:
            return False
        opaque = self._next_opaque
        self._next_opaque = opaque + 1 & 0x7FFFFFFF
        if push.relay_id is not None:
            if len(self._questions) >= _MAX_QUESTIONS:
                del self._questions[next(iter(self._questions))]
            self._questions[opaque] = push.relay_id
        self._send(
            encode_request(
                int(push.code), opaque, push.ext_fields, push.body, oneway=push.oneway, serialization=JSON
            )
        )
        return True

    def _answered(self, response: RemotingCommand) -> None:
        relay_id = self._questions.pop(response.opaque, None)
        if relay_id is None:
            return
        answer = AnswerRelay(relay_id, response.code, response.remark or "", response.body)
        try:
            result = self._execute(Context(self._session), answer)
        except GatewayError as error:
            log.debug("the answer of a client is not wanted any more: {error}", error=error)
            return
        if isinstance(result, Deferred):
            result.addErrback(_ignored)


def _ignored(failure: Failure) -> None:
    log.debug("the answer of a client is not wanted any more: {error}", error=failure.value)


def _outline(request: RemotingCommand) -> RemotingCommand:
    """What is needed to answer a request: a header of a pull takes 2 KB, and there may be 100,000 of them waiting."""
    namespace = request.ext_fields.get("ns")
    ext = {} if namespace is None else {"ns": namespace}
    return RemotingCommand(
        request.code,
        request.opaque,
        request.flag,
        request.version,
        request.language,
        None,
        ext,
        b"",
        request.serialization,
    )
