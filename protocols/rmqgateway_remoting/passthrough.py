"""One Remoting connection before a real cluster: frames are judged, and go on as they came.

Without users a frame's header is looked into for its code and opaque, no more; from the first user on it is decoded, and
the command that it is must be allowed. What is not known is refused.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import Event, GoAway
from rmqgateway.interfaces import IPassthroughClient
from rmqgateway.wire.remoting import FrameSplitter, decode_split, encode_response
from rmqgateway.wire.remoting_scan import Scan, scan, splice_opaque
from rmqgateway.wire.request_codes import ResponseCode, request_name
from rmqgateway_remoting.connection import RemotingConnection
from rmqgateway_remoting.credentials import credential_of
from rmqgateway_remoting.errors import response_code
from rmqgateway_remoting.passthrough_commands import command_of, meters_of
from rmqgateway_remoting.passthrough_places import (
    JUDGED_LATER,
    is_judged_by_answer,
    judge_answer,
    judge_message,
    place_of,
)
from rmqgateway_remoting.table import OPERATIONS
from rmqgateway_remoting.versions import V5_3_1

if TYPE_CHECKING:
    from rmqgateway.commands import Command
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway, IPassthrough, IPassthroughLink
    from rmqgateway.wire.remoting import RemotingCommand
    from rmqgateway_remoting.frontend import RemotingSettings

__all__ = ["PassthroughProtocol"]

log = Logger(namespace="rmqgateway.remoting")


def _look_into(frame: bytes) -> tuple[RemotingCommand | None, Scan]:
    """A frame's request, None if its header cannot be decoded, and what `scan` tells. :raise WireError: as `scan`."""
    try:
        request = decode_split(frame)
    except WireError:
        return None, scan(frame)
    return request, Scan(request.code, request.opaque, request.flag)


@implementer(IPassthroughClient)
class PassthroughProtocol(RemotingConnection):
    """The client's half."""

    def __init__(
        self,
        gateway: IGateway,
        passthrough: IPassthrough,
        connection: ConnectionInformation,
        settings: RemotingSettings,
    ) -> None:
        super().__init__(gateway, connection, settings)
        self._passthrough = passthrough
        self._splitter = FrameSplitter(settings.max_frame, settings.max_header)
        # Codes that this connection's server takes, as far as they were asked for.
        self._taken: set[int] = set()
        # Set when the connection is made.
        self._link: IPassthroughLink

    def _begin(self) -> None:
        meters = meters_of(self._gateway)
        self._link = self._passthrough.open(self, self._session, self._connection.listener, meters)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._closed:
            return
        self._session.last_seen = self._seconds()
        splitter = self._splitter
        held = splitter.buffered
        frames = splitter.receive_data(data)
        left = splitter.buffered
        if held or left:
            self._passthrough.hold(left - held, self._transport)
        if not frames:
            return
        scans: list[Scan] = []
        good: list[bytes] = []
        taken = self._taken
        look = self._going_away or self._gateway.guarded
        broken: WireError | None = None
        for frame in frames:
            if type(frame) is not bytes:
                broken = frame  # type: ignore[assignment]
                break
            request: RemotingCommand | None = None
            try:
                if look:
                    request, seen = _look_into(frame)
                else:
                    seen = scan(frame)
            except WireError as error:
                self._malformed(error)
                continue
            if not seen.flag & 1 and (
                (seen.code not in taken and not self._takes(seen, frame))
                or (look and not self._may(seen, frame, request))
            ):
                continue
            scans.append(seen)
            good.append(frame)
        if good:
            is_whole = not held and not left and len(good) == len(frames)
            self._link.forward(data if is_whole else b"".join(good), good, scans)
        if broken is not None:
            log.info("connection of {peer} ends: {error}", peer=self._connection.peer, error=broken.message)
            self._close()

    def _end(self) -> None:
        self._passthrough.hold(-self._splitter.buffered, None)
        if self._opened:
            self._link.close()

    # Judging.

    def _takes(self, seen: Scan, frame: bytes) -> bool:
        """Whether the server behind this connection is asked such things; else the client is told."""
        reason = self._link.takes(seen.code)
        if reason is None:
            self._taken.add(seen.code)
            return True
        name = request_name(seen.code)
        if seen.flag & 2:
            log.debug("one-way {name} is refused: {reason}", name=name, reason=reason)
        elif reason:
            self._say(seen, frame, ResponseCode.NO_PERMISSION, f"{name}: {reason}")
        else:
            self._say(
                seen,
                frame,
                ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
                f"request code {name} is not served by this gateway",
            )
        return False

    def _may(self, seen: Scan, frame: bytes, request: RemotingCommand | None) -> bool:
        """The long way: while the gateway drains, or users exist. :param request: None: it cannot be decoded."""
        try:
            if request is None:
                request = decode_split(frame)  # raises: says what is wrong with it
            if self._going_away and request.version > V5_3_1 and not request.flag & 2:
                self._say(seen, frame, ResponseCode.GO_AWAY, "this gateway is shutting down: please go away")
                return False
            if not self._gateway.guarded:
                return True
            if self._link.owns(seen.opaque):
                raise WireError(f"opaque {seen.opaque} is used by this gateway itself", fatal=False)
            context = Context(self._session, credential_of(request))
            # Brokers do not look at the header fields of a namespace (ns, nsd): the names are judged as they take them.
            command = command_of(request, self._peer)
            self._gateway.judge(context, command)
            # Without a guard the caller may do everything.
            if context.guard is None or type(command) not in JUDGED_LATER:
                return True
            return not self._goes_later(context, command, seen, frame)
        except GatewayError as error:
            self._refuse(seen, frame, response_code(error), error.message)
            return False
        except WireError as error:
            self._refuse(
                seen, frame, ResponseCode.INVALID_PARAMETER, f"{request_name(seen.code)}: {error.message}"
            )
            return False

    def _goes_later(self, context: Context, command: Command[Any], seen: Scan, frame: bytes) -> bool:
        """Whether a message tells if this request is allowed; then it goes on by another way, or not at all."""
        if is_judged_by_answer(command):
            if seen.flag & 2:
                # Brokers would answer all the same.
                log.debug("one-way {name} is dropped", name=request_name(seen.code))
            else:
                self._link.ask(frame, seen.code, partial(self._judged, context, command, seen))
            return True
        place = place_of(command)
        if place is None:
            return False
        self._passthrough.hold(len(frame), self._transport)
        self._link.look(context, place, partial(self._looked_at, context, command, seen, frame))
        return True

    def _judged(self, context: Context, command: Command[Any], seen: Scan, answer: bytes | None) -> bytes:
        """The answer that a client gets to what is judged by its answer."""
        try:
            if answer is None:
                raise GatewayError(Code.UPSTREAM_UNAVAILABLE, "the broker does not answer")
            return judge_answer(context, command, splice_opaque(answer, seen.opaque))
        except GatewayError as error:
            code, remark = response_code(error, OPERATIONS[seen.code].errors), error.message
        except WireError as error:
            code, remark = int(ResponseCode.SYSTEM_ERROR), f"the broker's answer cannot be read: {error.message}"
        return encode_response(seen.opaque, code, remark=f"{request_name(seen.code)}: {remark}")

    def _looked_at(
        self, context: Context, command: Command[Any], seen: Scan, frame: bytes, message: bytes | None, why: str
    ) -> None:
        """What a request acts on is known, or why not."""
        self._passthrough.hold(-len(frame), None)
        try:
            if message is None:
                raise GatewayError(Code.MESSAGE_NOT_FOUND, why)
            judge_message(context, command, message)
        except GatewayError as error:
            self._refuse(seen, frame, response_code(error, OPERATIONS[seen.code].errors), error.message)
        else:
            self._link.forward(frame, (frame,), (seen,))

    def _refuse(self, seen: Scan, frame: bytes, code: int, remark: str) -> None:
        if seen.flag & 2:
            log.debug("one-way {name} was refused: {remark}", name=request_name(seen.code), remark=remark)
        else:
            self._say(seen, frame, code, remark)

    def _malformed(self, error: WireError) -> None:
        if isinstance(error.request_id, int):
            self.answered(
                encode_response(error.request_id, int(ResponseCode.INVALID_PARAMETER), remark=error.message)
            )
        else:
            log.info(
                "a request of {peer} is dropped: {error}", peer=self._connection.peer, error=error.message
            )

    def _say(self, seen: Scan, frame: bytes, code: int, remark: str) -> None:
        self.answered(encode_response(seen.opaque, int(code), None, remark, b"", frame[4]))

    # What the link calls.

    def answered(self, data: bytes) -> None:
        """See `IPassthroughClient`."""
        if not self._closed:
            self._write(data)

    def slow(self) -> None:
        """See `IPassthroughClient`."""
        if self._reading and not self._closed:
            self._reading = False
            self._transport.pauseProducing()

    def fast(self) -> None:
        """See `IPassthroughClient`."""
        if not self._reading and not self._closed:
            self._reading = True
            self._session.last_seen = self._seconds()
            self._transport.resumeProducing()

    def ended(self, reason: str) -> None:
        """See `IPassthroughClient`."""
        if not self._closed:
            log.debug("connection of {peer} ends: {reason}", peer=self._connection.peer, reason=reason)
            self._close()

    def may_publish(self, topic: str) -> bool:
        """See `IPassthroughClient`."""
        return self._gateway.may_publish(self._session, topic)

    # Writing.

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self._link.pause()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if not self._closed:
            self._link.resume()

    # Ending.

    def _deliver(self, event: Event) -> bool:
        """See `ISession.deliver`: what a broker has to say comes over the link."""
        if isinstance(event, GoAway) and not self._closed:
            self._drain(event.deadline, event.reason)
            return True
        return False

    def _dismiss(self, reason: str) -> None:
        self._link.dismiss(reason)

    def _is_busy(self) -> bool:
        return bool(self._link.waiting())
