"""ReceiveMessage and PullMessage: streams of messages, at the pace at which the client takes them.

A receive that is broken off before its last message gives everything back at once: what a client has of it is discarded by
its own library, since the call has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_messages import MessageWriter, message_of
from rmqgateway.apis.convert_offsets import pull_status, read_pull
from rmqgateway.apis.convert_receiving import delivered_at, read_receive
from rmqgateway.apis.refusals import OK, Refusal, status_of
from rmqgateway.commands import ChangeInvisibleDuration, ReceivedMessage, ReceivedMessages, ReceiveMessages
from rmqgateway.errors import Code, GatewayError, WireError

if TYPE_CHECKING:
    from rmqgateway.apis.rpc import Rpc
    from rmqgateway.commands import PulledMessages

__all__ = ["pull_message", "receive_message"]

log = Logger(namespace="rmqgateway.apis")

_receive_response = service.ReceiveMessageResponse
_pull_response = service.PullMessageResponse
_OK = _receive_response(status=OK).SerializeToString()
_PULL_OK = _pull_response(status=OK).SerializeToString()
#: A gateway that stops has no message for who waits for one; elsewhere there may be.
_STOPPING = v2.Status(code=v2.MESSAGE_NOT_FOUND, message="this gateway is shutting down")
_CROWDED = "this connection leaves too much of its answers untaken (setting http.in_flight_bytes)"


#: Messages that leave in one frame of HTTP/2, whose least largest is 16 KiB.
_TOGETHER = 16_000


class _Writer:
    """Writes a stream's messages, stopping while the client leaves too much unread."""

    def __init__(self, rpc: Rpc, messages: Iterator[bytes], last: Callable[[], None]) -> None:
        self._rpc = rpc
        self._messages = messages
        self._last = last
        self._limit = rpc.api.settings.max_unsent_bytes
        self._unchecked = 0

    def go_on(self) -> None:
        """Write as much as the client may have waiting."""
        rpc = self._rpc
        together: list[bytes] = []
        size = 0
        for message in self._messages:
            if size + len(message) > _TOGETHER and together:
                rpc.write_all(together)
                if rpc.done:
                    return
                together = []
                size = 0
            together.append(message)
            size += len(message) + 5
            self._unchecked += len(message)
            if self._unchecked > self._limit:
                rpc.write_all(together)
                together = []
                size = 0
                if rpc.done:
                    return
                if rpc.buffered() > self._limit:
                    rpc.on_drain(self.go_on)
                    return
                self._unchecked = 0
        if together:
            rpc.write_all(together)
        if not rpc.done:
            self._last()


class _Receive:
    """One ReceiveMessage call."""

    def __init__(self, rpc: Rpc, request: service.ReceiveMessageRequest, command: ReceiveMessages) -> None:
        self._rpc = rpc
        self._topic = request.message_queue.topic
        self._command = command
        self._messages: Sequence[ReceivedMessage] = ()
        self._shutting_down = False

    def begin(self) -> None:
        received = maybeDeferred(self._rpc.execute, self._command)
        self._rpc.wait_for(received)
        if not received.called:
            self._rpc.on_shutdown(lambda deadline, reason: self._shut_down(received))
        received.addCallbacks(self._received, self._failed)
        received.addErrback(self._broken)

    def _shut_down(self, received: Deferred[Any]) -> None:
        """The gateway stops: a client that waits for messages is to wait elsewhere."""
        self._shutting_down = True
        received.cancel()

    def _received(self, reply: ReceivedMessages) -> None:
        rpc = self._rpc
        rpc.pending = None
        self._messages = reply.messages
        if rpc.done:
            self._give_back("the client has gone")
            return
        if not reply.messages:
            if reply.polling_full:
                self._end_with(v2.Status(code=v2.TOO_MANY_REQUESTS, message="polling full"))
            else:
                self._end_with(v2.Status(code=v2.MESSAGE_NOT_FOUND, message="no new message"))
            return
        if rpc.is_crowded:
            # Refused at its beginning was what came while it was so; this call has waited since before.
            self._give_back("")
            self._end_with(v2.Status(code=v2.TOO_MANY_REQUESTS, message=_CROWDED))
            return
        rpc.on_gone(self._give_back)
        rpc.write(_OK)
        if rpc.done:
            return
        _Writer(rpc, self._encoded(), self._complete).go_on()

    def _encoded(self) -> Iterator[bytes]:
        write = MessageWriter(self._rpc.host, self._topic, self._rpc.api.now_ms).write
        for received in self._messages:
            yield write(received.message, received.receipt_handle, received.delivery_attempt)

    def _complete(self) -> None:
        rpc = self._rpc
        if self._command.auto_renew:
            self._renew()
        rpc.write(delivered_at(rpc.api.now_ms()))
        rpc.close()

    def _renew(self) -> None:
        client = self._rpc.client
        if client is None:
            return
        command = self._command
        for received in self._messages:
            client.renewals.add(command.group, command.topic, "", received.receipt_handle, command.invisible_ms)

    def _failed(self, failure: Failure) -> None:
        self._rpc.pending = None
        error = failure.value
        if self._rpc.done:
            return
        if self._shutting_down and isinstance(error, CancelledError | GatewayError):
            self._end_with(_STOPPING)
        elif isinstance(error, Refusal | GatewayError | WireError):
            self._end_with(status_of(error))
        else:
            self._broken(failure)

    def _broken(self, failure: Failure) -> None:
        log.failure("ReceiveMessage failed", failure=failure)
        self._give_back("")
        if not self._rpc.done:
            self._end_with(
                status_of(GatewayError(Code.INTERNAL, "ReceiveMessage failed; the gateway's log has the cause"))
            )

    def _end_with(self, status: v2.Status) -> None:
        rpc = self._rpc
        rpc.write(_receive_response(status=status).SerializeToString())
        rpc.write(delivered_at(rpc.api.now_ms()))
        rpc.close()

    def _give_back(self, reason: str) -> None:
        messages, self._messages = self._messages, ()
        command = self._command
        for received in messages:
            change = ChangeInvisibleDuration(command.group, command.topic, received.receipt_handle, 0)
            maybeDeferred(self._rpc.execute, change).addErrback(_not_given_back)


def _not_given_back(failure: Failure) -> None:
    log.debug("a message is not given back: {reason}", reason=failure.getErrorMessage())


def receive_message(rpc: Rpc, data: bytes) -> None:
    """See `rpc.Method.handle`."""
    request = service.ReceiveMessageRequest.FromString(data)
    api = rpc.api
    try:
        if request.auto_renew and rpc.client is None:
            # Who renews must know when it goes.
            rpc.client = api.clients.open(
                rpc.client_key, rpc.client_id, rpc.information, rpc.front_end, rpc.context.credential
            )
            rpc.context.session = rpc.client.session
        command = read_receive(
            request,
            rpc.namespace,
            api.settings,
            rpc.remaining_ms(),
            rpc.text(b"x-mq-client-version"),
            rpc.client_id,
            0 if rpc.client is None else rpc.client.request_timeout_ms,
        )
    except (Refusal, GatewayError) as error:
        rpc.write(_receive_response(status=status_of(error)).SerializeToString())
        rpc.write(delivered_at(api.now_ms()))
        rpc.close()
        return
    _Receive(rpc, request, command).begin()


def pull_message(rpc: Rpc, data: bytes) -> Deferred[Any] | None:
    """See `rpc.Method.handle`."""
    command = read_pull(
        data, rpc.namespace, rpc.api.settings, rpc.remaining_ms(), rpc.text(b"x-mq-client-version")
    )
    topic = service.PullMessageRequest.FromString(data).message_queue.topic

    def pulled(reply: PulledMessages) -> None:
        rpc.pending = None
        if rpc.done:
            return
        status = pull_status(reply)
        if reply.messages and rpc.is_crowded:
            rpc.write(_pull_response(status=v2.Status(code=v2.TOO_MANY_REQUESTS, message=_CROWDED)).SerializeToString())
            rpc.close()
            return
        rpc.write(_PULL_OK if status is OK else _pull_response(status=status).SerializeToString())

        def encoded() -> Iterator[bytes]:
            for message in reply.messages:
                yield _pull_response(
                    message=message_of(message, rpc.host, rpc.api.now_ms, topic)
                ).SerializeToString()

        def complete() -> None:
            rpc.write(_pull_response(next_offset=reply.next_offset).SerializeToString())
            rpc.close()

        _Writer(rpc, encoded(), complete).go_on()

    shutting_down = False

    def shut_down(deadline: float, reason: str) -> None:
        nonlocal shutting_down
        shutting_down = True
        result.cancel()

    def cancelled(failure: Failure) -> None:
        if not shutting_down or not failure.check(CancelledError, GatewayError):
            failure.raiseException()
        rpc.pending = None
        if not rpc.done:
            rpc.write(_pull_response(status=_STOPPING).SerializeToString())
            rpc.write(_pull_response(next_offset=command.offset).SerializeToString())
            rpc.close()

    result = maybeDeferred(rpc.execute, command)
    if not result.called:
        rpc.on_shutdown(shut_down)
    return result.addCallbacks(pulled, cancelled)
