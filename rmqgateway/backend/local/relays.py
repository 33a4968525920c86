"""Questions that administrators ask connected clients through the broker, and the clients' answers."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.questions import Questions
from rmqgateway.commands import Action
from rmqgateway.commands.administering import ConsumeDirectly, GetRunningInformation, RelayedAnswer
from rmqgateway.commands.clients import AnswerRelay
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import ConsumeMessageDirectly, RunningInformationAsked
from rmqgateway.interfaces import ISession
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import decode_offset_message_id

__all__ = ["Relays"]


class Relays(Component):
    """See the module."""

    def __init__(self, core: Core, clients: Clients) -> None:
        super().__init__(core)
        self._clients = clients
        self.questions = Questions(core, core.settings.relay_timeout_s)

    def handlers(self) -> Handlers:
        return {
            AnswerRelay: self.questions.answer,
            ConsumeDirectly: self.consume_directly,
            GetRunningInformation: self.get_running_information,
        }

    def get_running_information(
        self, context: Context, command: GetRunningInformation
    ) -> Deferred[RelayedAnswer]:
        session = self._session(command.group, command.client_id)
        return self.questions.ask(
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
        return self.questions.ask(
            session,
            lambda relay_id: ConsumeMessageDirectly(
                relay_id, command.group, command.client_id, message, self.core.settings.broker_name
            ),
        )

    def session_ended(self, session: ISession) -> None:
        self.questions.session_ended(session)

    def stop(self) -> None:
        self.questions.stop()

    def _session(self, group: str, client_id: str) -> ISession:
        member = self._clients.member(group, client_id)
        if member is None:
            raise GatewayError(
                Code.CLIENT_NOT_FOUND,
                f"client {client_id[:300]!r} is not connected in consumer group {group[:300]!r}",
            )
        return member.session
