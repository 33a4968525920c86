"""Questions that administrators ask connected clients through the broker, and the clients' answers."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.commands import Action
from rmqgateway.commands.administering import ConsumeDirectly, GetRunningInformation, RelayedAnswer
from rmqgateway.commands.clients import AnswerRelay
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import ConsumeMessageDirectly, Event, RunningInformationAsked
from rmqgateway.interfaces import ISession
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import decode_offset_message_id

__all__ = ["Relays"]


class _Relay:
    """One question under way."""

    __slots__ = ("deferred", "session", "timer")

    def __init__(self, session: ISession, deferred: Deferred[RelayedAnswer], timer: IDelayedCall) -> None:
        self.session = session
        self.deferred = deferred
        self.timer = timer


class Relays(Component):
    """All questions under way."""

    def __init__(self, core: Core, clients: Clients) -> None:
        super().__init__(core)
        self._clients = clients
        self._relays: dict[int, _Relay] = {}
        self._next = 0

    def handlers(self) -> Handlers:
        return {
            AnswerRelay: self.answer_relay,
            ConsumeDirectly: self.consume_directly,
            GetRunningInformation: self.get_running_information,
        }

    def ask(self, session: ISession, make: Callable[[int], Event]) -> Deferred[RelayedAnswer]:
        """Ask a client; `make` makes the event from the relay id.

        :return: its answer. Fails with GatewayError: CLIENT_NOT_FOUND (it has gone, or its protocol has no words for this),
            TIMEOUT. Cancelling forgets the question.
        """
        self._next = relay_id = self._next + 1

        def cancelled(_: Deferred[RelayedAnswer]) -> None:
            self._end(relay_id)

        deferred: Deferred[RelayedAnswer] = Deferred(cancelled)
        timeout = self.core.settings.relay_timeout_s
        timer = self.core.later(
            timeout, self._fail, relay_id, Code.TIMEOUT, f"the client did not answer within {timeout} s"
        )
        self._relays[relay_id] = _Relay(session, deferred, timer)
        if not session.deliver(make(relay_id)):
            self._fail(relay_id, Code.CLIENT_NOT_FOUND, "the client cannot be asked this")
        return deferred

    def answer_relay(self, context: Context, command: AnswerRelay) -> None:
        relay = self._relays.get(command.relay_id)
        # Late, or not the one who was asked: nobody is told.
        if relay is None or relay.session.number != context.session.number:
            return
        self._end(command.relay_id)
        relay.deferred.callback(RelayedAnswer(command.code, command.remark, command.body))

    def get_running_information(
        self, context: Context, command: GetRunningInformation
    ) -> Deferred[RelayedAnswer]:
        session = self._session(command.group, command.client_id)
        return self.ask(
            session,
            lambda relay_id: RunningInformationAsked(
                relay_id, command.group, command.client_id, command.with_stack
            ),
        )

    def consume_directly(self, context: Context, command: ConsumeDirectly) -> Deferred[RelayedAnswer]:
        session = self._session(command.group, command.client_id)
        position = command.physical_offset
        if position < 0 and command.message_id:
            try:
                _, position = decode_offset_message_id(command.message_id)
            except WireError as error:
                raise GatewayError(Code.MESSAGE_NOT_FOUND, error.message) from None
        message = self.core.store.read_at(position)
        if message is None:
            raise GatewayError(Code.MESSAGE_NOT_FOUND, f"there is no message at {position}")
        # Else whoever may administer one group could have any message delivered to it.
        topic = stored_message.topic(message).decode("utf-8", "replace")
        context.require_topic(topic, command.group, (Action.SUB, Action.GET))
        return self.ask(
            session,
            lambda relay_id: ConsumeMessageDirectly(
                relay_id, command.group, command.client_id, message, self.core.settings.broker_name
            ),
        )

    def session_ended(self, session: ISession) -> None:
        for relay_id in [
            relay_id for relay_id, relay in self._relays.items() if relay.session.number == session.number
        ]:
            self._fail(relay_id, Code.CLIENT_NOT_FOUND, "the client has gone")

    def stop(self) -> None:
        for relay_id in list(self._relays):
            self._fail(relay_id, Code.SHUTTING_DOWN, "the backend is stopping")

    def _session(self, group: str, client_id: str) -> ISession:
        member = self._clients.member(group, client_id)
        if member is None:
            raise GatewayError(
                Code.CLIENT_NOT_FOUND,
                f"client {client_id[:300]!r} is not connected in consumer group {group[:300]!r}",
            )
        return member.session

    def _end(self, relay_id: int) -> _Relay | None:
        relay = self._relays.pop(relay_id, None)
        if relay is not None and relay.timer.active():
            relay.timer.cancel()
        return relay

    def _fail(self, relay_id: int, code: Code, text: str) -> None:
        relay = self._end(relay_id)
        if relay is not None:
            relay.deferred.errback(GatewayError(code, text))
