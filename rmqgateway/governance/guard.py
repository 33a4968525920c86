"""Who may do what, while there are users: asked by the door for each command, and by nobody while there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rmqgateway.commands import Action, Heartbeat, Resource
from rmqgateway.errors import Code, GatewayError, NotAuthenticated
from rmqgateway.governance.acl import Address, address_of
from rmqgateway.governance.authentication import TICKET_S, Authenticator
from rmqgateway.governance.resources import needs_of, topic_need

if TYPE_CHECKING:
    from rmqgateway.commands import Command
    from rmqgateway.context import Context, Credential
    from rmqgateway.governance.users import User, Users

__all__ = ["Guard"]

_log = Logger(namespace="rmqgateway.security")
#: So many refused credentials are logged in a second; what is more is counted by the metrics of its command.
_LOGGED_PER_S = 5
#: Clients whose addresses are kept; all are dropped when there are so many.
_MAX_SOURCES = 16_384


class Guard:
    """Judges commands by the users that there are. :param now: the wall clock. :param seconds: see `Authenticator`."""

    def __init__(
        self, users: Users, now: Callable[[], float], seconds: Callable[[], float], strict: bool = False
    ) -> None:
        self.users = users
        self.authenticator = Authenticator(users, now, seconds, strict)
        self._seconds = seconds
        self._logged = (0.0, 0)
        self._sources: dict[str, Address | None] = {}

    def judge(self, context: Context, command: Command[Any]) -> None:
        """Let a command pass. :raise GatewayError: UNAUTHENTICATED, FORBIDDEN."""
        if context.own:
            return
        user = context.verified
        if user is None or self.users.by_name.get(user.name) is not user:
            if not command.signed:
                return
            user = self.identify(context)
        if type(command) is Heartbeat:
            context.session.user = user.name
        if user.is_super:
            return
        context.guard = self
        for kind, name, actions in needs_of(command):
            self._need(context, user, kind, name, actions)

    def identify(self, context: Context) -> User:
        """Verify the context's credential. :raise NotAuthenticated: it has none, or not a right one."""
        credential = context.credential
        try:
            if credential is None:
                raise NotAuthenticated("missing", "no credential: users exist, so every request must be signed by one")
            user = self.authenticator.verify(credential)
        except NotAuthenticated as error:
            self._log(context, error)
            raise
        context.verified = user
        context.user = user.name
        return user

    def authenticate(self, context: Context, credential: Credential | None) -> str | None:
        """See `IGateway.authenticate`."""
        if not self.users:
            if credential is not None and credential.token:
                self.authenticator.tickets.take(credential.token)
            return None
        context.credential = credential
        return self.identify(context).name

    def ticket(self, context: Context) -> tuple[str, float]:
        """See `IGateway.ticket`."""
        name = self.identify(context).name if self.users else ""
        ticket = self.authenticator.tickets.issue(name)
        if ticket is None:
            raise GatewayError(Code.TOO_MANY_REQUESTS, "too many unused tickets are out", retry_after=TICKET_S)
        return ticket, TICKET_S

    def require_topic(self, context: Context, topic: str, group: str, actions: tuple[Action, ...]) -> None:
        """For handlers that learn only late which topic is meant. :raise GatewayError: FORBIDDEN."""
        user = context.verified
        need = topic_need(topic, group, actions)
        if user is not None and not user.is_super and need is not None:
            self._need(context, user, *need)

    def _need(self, context: Context, user: User, kind: Resource, name: str, actions: tuple[Action, ...]) -> None:
        if name == "*" and kind is Resource.CLUSTER:
            name = self.users.cluster
        decision = user.decide(kind, name, actions, self._source(context.session.peer))
        if decision:
            return
        why = "no policy allows it" if decision is None else "a policy denies it"
        wanted = " or ".join(action.value for action in actions)
        source = context.session.peer.rpartition(":")[0]
        raise GatewayError(
            Code.FORBIDDEN,
            f"User:{user.name} has no permission {wanted} on {kind.value}:{name[:255]} from {source}: {why}",
        )

    def _source(self, peer: str) -> Address | None:
        """Where a client is; worked out once for each."""
        sources = self._sources
        if peer not in sources:
            if len(sources) >= _MAX_SOURCES:
                sources.clear()
            sources[peer] = address_of(peer)
        return sources[peer]

    def _log(self, context: Context, error: NotAuthenticated) -> None:
        now = self._seconds()
        began, count = self._logged
        if now - began >= 1.0:
            began, count = now, 0
        if count < _LOGGED_PER_S:
            _log.warn(
                "{peer} ({front_end}) is not let in: {reason}",
                peer=context.session.peer,
                front_end=context.session.front_end,
                reason=error.message,
            )
        self._logged = (began, count + 1)
