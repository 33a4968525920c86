"""The one door between front-ends and backends.

Whatever protocol a client speaks, its commands pass here: who asks, may they, is there room, how long did it take. Each of
these is written once, on commands, and judged by the attributes of the command's class.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    Command,
    Heartbeat,
    PullMessages,
    ReceiveMessages,
    SendMessages,
    Unregister,
    UpdateConsumerOffset,
    all_commands,
)
from rmqgateway.errors import Code, GatewayError, UnsupportedCommand
from rmqgateway.governance.budgets import ByteBudget, Limits
from rmqgateway.governance.group_flow import GroupFlow
from rmqgateway.governance.guard import Guard
from rmqgateway.governance.users import Users
from rmqgateway.interfaces import IGateway, ISendsTogether
from rmqgateway.outbox import Outbox
from rmqgateway.pending import Later, Pending
from rmqgateway.session import Session
from rmqgateway.telemetry.metrics import CommandMeter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.context import Context, Credential
    from rmqgateway.events import Event
    from rmqgateway.feeds import Feeds
    from rmqgateway.interfaces import (
        IBackend,
        IBroadcastSink,
        IPassthrough,
        ISession,
        ISubscription,
        ISubscriptionSink,
    )
    from rmqgateway.subscription import Subscription

__all__ = ["Authorizer", "Done", "Gateway"]

log = Logger(namespace="rmqgateway.gateway")

#: Judges a command: sets ``context.user`` or raises UNAUTHENTICATED or FORBIDDEN.
Authorizer = Callable[["Context", Command[Any]], None]


#: Who is told the outcome of `Gateway.perform`: (token, reply, error); one of the last two is None.
Done = Callable[[Any, Any, "GatewayError | None"], None]

#: Who is told what `Gateway.perform_sends` stored together: (tokens, replies), one for one.
DoneTogether = Callable[["Sequence[Any]", "Sequence[Any]"], None]


class _Door:
    """One command class: who serves it, and what is counted."""

    __slots__ = ("handler", "meter")

    def __init__(self, handler: Callable[[Context, Any], Any] | None, meter: CommandMeter) -> None:
        self.handler = handler
        self.meter = meter


@implementer(IGateway)
class Gateway:
    """See `IGateway`.

    :param reactor: IReactorTime. :param guard: who asks for users; None: one over the backend's own.
    :ivar authorizer: what judges each command; None while no users exist: everybody may do everything.
    """

    def __init__(
        self,
        backend: IBackend,
        reactor: Any,
        *,
        outbox: Outbox | None = None,
        limits: Limits | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.backend = backend
        self.reactor = reactor
        self.outbox = outbox if outbox is not None else Outbox()
        self.limits = limits if limits is not None else Limits()
        if guard is None:
            users = getattr(backend, "users", None)
            guard = Guard(Users() if users is None else users, time.time, reactor.seconds)
        self.guard = guard
        self.authorizer: Authorizer | None = None
        guard.users.watch(self._users_changed)
        self._users_changed()
        #: See `IGateway`; a backend that has one says so.
        self.passthrough: IPassthrough | None = getattr(backend, "passthrough", None)
        self.budget = ByteBudget(self.limits.process_bytes, self.limits.slow_at, self.limits.refuse_at)
        self.budget.relieve = self._relieve
        self._paced: list[Any] = []  # sessions
        self.sessions: dict[int, Session] = {}
        self.commands_under_way = 0
        self._feeds: Feeds | None = None
        self.draining = False
        #: Whether the process is about to end; all is served until it drains.
        self.leaving = False
        self._next_session = 1
        self._seconds: Callable[[], float] = reactor.seconds
        handlers = backend.handlers()
        #: What each group uses, where groups have limits.
        self.group_flow = GroupFlow(self.limits, reactor.seconds)
        if self.group_flow.active:
            handlers = self.group_flow.wrap(handlers)
        self._doors: dict[type[Command[Any]], _Door] = {
            command: _Door(handlers.get(command), CommandMeter(command.__name__))
            for command in all_commands()
        }

        # Where producer groups have limits each send is counted by itself.
        self._send_together = None
        if ISendsTogether.providedBy(backend) and not self.group_flow.active:
            self._send_together = backend.send_together

    @property
    def meters(self) -> list[CommandMeter]:
        """What was counted, for each command."""
        return [door.meter for door in self._doors.values()]

    @property
    def guarded(self) -> bool:
        return bool(self.guard.users)

    def _users_changed(self) -> None:
        self.authorizer = self.guard.judge if self.guard.users else None

    def ready(self) -> str | None:
        return "shutting down" if self.draining or self.leaving else self.backend.ready()

    # Sessions.

    def open_session(
        self,
        front_end: str,
        peer: Any,
        host: str,
        deliver: Callable[[Event], bool],
        drain: Callable[[float, str], None],
        close: Callable[[str], None],
    ) -> Session:
        if self.draining:
            raise GatewayError(
                Code.SHUTTING_DOWN, "this gateway is shutting down; connect to another", retry_after=1.0
            )
        if len(self.sessions) >= self.limits.sessions:
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"{len(self.sessions)} clients are connected, no more are taken (setting limits.sessions)",
                retry_after=5.0,
            )
        number = self._next_session
        self._next_session += 1
        session = Session(number, front_end, _host_of(peer), host, self._seconds(), deliver, drain, close)
        self.sessions[number] = session
        session.on_end(lambda: self._session_ended(session))
        self.backend.session_opened(session)
        return session

    def _session_ended(self, session: Session) -> None:
        self.sessions.pop(session.number, None)
        self.outbox.enter()
        try:
            self.backend.session_ended(session)
        except Exception:
            log.failure("leaving the groups of a client failed")
        finally:
            self.outbox.leave()

    def drain(self, deadline: float, reason: str) -> None:
        """Take no new clients and ask each one, in its protocol's words, to finish within `deadline` seconds."""
        self.draining = True
        for session in list(self.sessions.values()):
            session.drain(deadline, reason)

    # Commands.

    def execute(self, context: Context, command: Command[Any]) -> Any:
        door = self._doors.get(type(command))
        if door is None or door.handler is None:
            raise UnsupportedCommand(type(command).__name__, self.backend.name)
        meter = door.meter
        taken = 0
        began = self._seconds()
        try:
            taken = self._admit(context, command)
            result = door.handler(context, command)
        except GatewayError as error:
            self.budget.give_back(taken)
            meter.refused(error.code)
            raise
        except Exception:
            self.budget.give_back(taken)
            meter.refused(Code.INTERNAL)
            log.failure("{command} failed", command=meter.name)
            raise GatewayError(Code.INTERNAL, _internal(meter.name)) from None
        if type(result) is Pending or isinstance(result, Later):
            result = result.deferred()
        if isinstance(result, Deferred):
            self.commands_under_way += 1
            meter.in_flight += 1
            return result.addBoth(self._finished, meter, began, taken)
        self.budget.give_back(taken)
        meter.took(self._seconds() - began)
        return result

    def perform(self, context: Context, command: Command[Any], done: Done, token: Any) -> Any:
        door = self._doors.get(type(command))
        if door is None or door.handler is None:
            done(token, None, UnsupportedCommand(type(command).__name__, self.backend.name))
            return None
        meter = door.meter
        taken = 0
        began = self._seconds()
        try:
            taken = self._admit(context, command)
            result = door.handler(context, command)
        except Exception as raised:
            self.budget.give_back(taken)
            if isinstance(raised, GatewayError):
                error = raised
            else:
                log.failure("{command} failed", command=meter.name)
                error = GatewayError(Code.INTERNAL, _internal(meter.name))
            meter.refused(error.code)
            done(token, None, error)
            return None
        if type(result) is Pending:
            self.commands_under_way += 1
            meter.in_flight += 1
            result.subscribe(_Performed(self, meter, began, taken, result.reply, done, token))
        elif isinstance(result, Later):
            self.commands_under_way += 1
            meter.in_flight += 1
            result.subscribe(_Performed(self, meter, began, taken, None, done, token).heard)
            return result
        elif isinstance(result, Deferred):
            self.commands_under_way += 1
            meter.in_flight += 1
            result.addBoth(self._finished, meter, began, taken)
            result.addCallbacks(
                _tell_reply, _tell_error, callbackArgs=(done, token), errbackArgs=(done, token)
            )
            return result
        else:
            self.budget.give_back(taken)
            meter.took(self._seconds() - began)
            done(token, result, None)
        return None

    def perform_sends(
        self,
        context: Context,
        commands: Sequence[SendMessages],
        done: Done,
        done_together: DoneTogether,
        tokens: Sequence[Any],
    ) -> None:
        stored = 0
        together = self._send_together
        if (
            together is not None
            and self.authorizer is None
            and self.commands_under_way + len(commands) <= self.limits.commands_under_way
        ):
            meter = self._doors[SendMessages].meter
            began = self._seconds()
            budget = self.budget
            sizes = [_size_of(command) for command in commands]
            taken = sum(sizes)
            if budget.used + taken <= budget.slow_above:
                budget.used += taken
                replies, when_durable = together(context, commands)
                stored = len(replies)
                if stored < len(commands):
                    left_out = sum(sizes[stored:])
                    budget.used -= left_out
                    taken -= left_out
                if stored:
                    self.commands_under_way += stored
                    meter.in_flight += stored
                    when_durable(
                        _PerformedTogether(
                            self, meter, began, taken, replies, done, done_together, tokens[:stored]
                        )
                    )
        for number in range(stored, len(commands)):
            self.perform(context, commands[number], done, tokens[number])

    def wait_for_room(self, command: SendMessages, go: Callable[[], None]) -> Callable[[], None]:
        return self.budget.wait(_size_of(command), go).give_up

    def judge(self, context: Context, command: Command[Any]) -> None:
        if self.authorizer is not None:
            self.authorizer(context, command)

    def may_publish(self, session: ISession, topic: str) -> bool:
        return self.guard.users.may_publish(session, topic)

    def _admit(self, context: Context, command: Command[Any]) -> int:
        """Judge a command; return how many bytes of the budget it takes until it is done."""
        if self.authorizer is not None:
            self.authorizer(context, command)
        if self.commands_under_way >= self.limits.commands_under_way and type(command) not in _ALWAYS_TAKEN:
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"{self.commands_under_way} commands are under way (setting limits.commands_under_way)",
                retry_after=1.0,
            )
        if type(command) is not SendMessages:
            if type(command) in _CONSUMING:
                context.session.consumes = True
            return 0
        size = _size_of(command)
        budget = self.budget
        if budget.used + size > budget.slow_above:
            self._press(context.session)
        budget.take(size)
        return size

    def _press(self, session: Any) -> None:
        """Too many bytes are under way: let this producer wait. :raise GatewayError: BUSY: it cannot."""
        pace = session.pace
        if pace is None or session.paced:
            return
        if session.consumes and session.pace_is_shared:
            raise GatewayError(
                Code.BUSY,
                f"{self.budget.used} bytes of messages are under way; this connection cannot be paused, since it consumes "
                "too (settings limits.process_bytes, limits.slow_at)",
                retry_after=1.0,
            )
        if not self.budget.pressed:
            self.budget.pressed = True
            log.warn("{used} bytes of messages are under way: producers are slowed", used=self.budget.used)
        session.paced = True
        self._paced.append(session)
        pace(True)

    def _relieve(self) -> None:
        """Those that wait go on, in the next turn."""
        paced, self._paced = self._paced, []
        for session in paced:
            session.paced = False
            self.reactor.callLater(0, session.pace, False)
        if self.budget.waiting:
            self.reactor.callLater(0, self.budget.let_in)

    def _finished(self, result: Any, meter: CommandMeter, began: float, taken: int) -> Any:
        self.commands_under_way -= 1
        meter.in_flight -= 1
        self.budget.give_back(taken)
        if not isinstance(result, Failure):
            meter.took(self._seconds() - began)
            return result
        error = result.value
        if isinstance(error, GatewayError):
            meter.refused(error.code)
            return result
        if result.check(CancelledError):
            meter.refused(Code.CANCELLED)
            return Failure(GatewayError(Code.CANCELLED, f"{meter.name} was cancelled"))
        log.failure("{command} failed", failure=result, command=meter.name)
        meter.refused(Code.INTERNAL)
        return Failure(GatewayError(Code.INTERNAL, _internal(meter.name)))

    def subscribe(
        self, context: Context, subscription: Subscription, sink: ISubscriptionSink
    ) -> ISubscription:
        if subscription.broadcast:
            from rmqgateway.broadcasting import BroadcastLoop
            from rmqgateway.feeds import Feeds

            if self._feeds is None:
                self._feeds = Feeds(self)
            return BroadcastLoop(self, context, subscription, cast("IBroadcastSink", sink), self._feeds)
        from rmqgateway.subscription import ReceiveLoop

        return ReceiveLoop(self, context, subscription, sink)

    def authenticate(self, context: Context, credential: Credential | None) -> str | None:
        return self.guard.authenticate(context, credential)

    def ticket(self, context: Context) -> tuple[str, float]:
        return self.guard.ticket(context)


class _Performed:
    """A `Pending` reply on its way through the door: called when it may be given."""

    __slots__ = ("began", "done", "gateway", "meter", "reply", "taken", "token")

    def __init__(
        self,
        gateway: Gateway,
        meter: CommandMeter,
        began: float,
        taken: int,
        reply: Any,
        done: Done,
        token: Any,
    ) -> None:
        self.gateway = gateway
        self.meter = meter
        self.began = began
        self.taken = taken
        self.reply = reply
        self.done = done
        self.token = token

    def heard(self, reply: Any, error: BaseException | None) -> None:
        """See `rmqgateway.pending.Later`."""
        self.reply = reply
        self(error)

    def __call__(self, error: BaseException | None) -> None:
        gateway = self.gateway
        meter = self.meter
        gateway.commands_under_way -= 1
        meter.in_flight -= 1
        gateway.budget.give_back(self.taken)
        if error is None:
            meter.took(gateway._seconds() - self.began)
            self.done(self.token, self.reply, None)
        else:
            refusal = (
                error
                if isinstance(error, GatewayError)
                else GatewayError(Code.INTERNAL, _internal(meter.name))
            )
            meter.refused(refusal.code)
            self.done(self.token, None, refusal)


class _PerformedTogether:
    """Replies to several sends that may be given at the same time, on their way through the door."""

    __slots__ = ("began", "done", "done_together", "gateway", "meter", "replies", "taken", "tokens")

    def __init__(
        self,
        gateway: Gateway,
        meter: CommandMeter,
        began: float,
        taken: int,
        replies: Sequence[Any],
        done: Done,
        done_together: DoneTogether,
        tokens: Sequence[Any],
    ) -> None:
        self.gateway = gateway
        self.meter = meter
        self.began = began
        self.taken = taken
        self.replies = replies
        self.done = done
        self.done_together = done_together
        self.tokens = tokens

    def __call__(self, error: BaseException | None) -> None:
        gateway = self.gateway
        meter = self.meter
        count = len(self.tokens)
        gateway.commands_under_way -= count
        meter.in_flight -= count
        gateway.budget.give_back(self.taken)
        if error is None:
            meter.took(gateway._seconds() - self.began, count)
            self.done_together(self.tokens, self.replies)
            return
        refusal = (
            error if isinstance(error, GatewayError) else GatewayError(Code.INTERNAL, _internal(meter.name))
        )
        for token in self.tokens:
            meter.refused(refusal.code)
            self.done(token, None, refusal)


def _size_of(command: SendMessages) -> int:
    size = 0
    for message in command.messages:
        size += len(message.body) + len(message.properties)
    return size


def _tell_reply(reply: Any, done: Done, token: Any) -> None:
    done(token, reply, None)


def _tell_error(failure: Failure, done: Done, token: Any) -> None:
    done(token, None, failure.value)  # type: ignore[arg-type]  # `_finished` lets nothing else through


#: Who does this has to be read, or what it took is never settled.
_CONSUMING = frozenset(
    {AckMessages, ChangeInvisibleDuration, PullMessages, ReceiveMessages, UpdateConsumerOffset}
)
#: Never refused for load: they free resources, or keep a client's place.
_ALWAYS_TAKEN = frozenset({AckMessages, ChangeInvisibleDuration, Heartbeat, Unregister, UpdateConsumerOffset})


def _internal(command: str) -> str:
    return f"{command} failed; the gateway's log has the cause"


def _host_of(peer: Any) -> str:
    host, port = getattr(peer, "host", ""), getattr(peer, "port", 0)
    if not host:
        return "0.0.0.0:0"  # a UNIX socket or an in-memory transport has no address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
