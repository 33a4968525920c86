"""What brokers and administrators ask clients, and what clients answer; replies to requests."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway import __version__
from rmqgateway.backend.cluster.component import Component, Core, Handlers
from rmqgateway.backend.cluster.finding import Finder
from rmqgateway.backend.cluster.members import Members
from rmqgateway.backend.questions import Questions
from rmqgateway.commands import Action
from rmqgateway.commands.administering import ConsumeDirectly, GetRunningInformation, RelayedAnswer
from rmqgateway.commands.clients import AnswerRelay
from rmqgateway.commands.producing import SendReply
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import (
    ConsumeMessageDirectly,
    ConsumersChanged,
    OffsetsReset,
    ReplyArrived,
    RunningInformationAsked,
)
from rmqgateway.message import MessageQueue
from rmqgateway.session import host_to_bytes
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.consuming import ConsumerRunningInfo
from rmqgateway.wire.bodies.groups import ConsumerStatusBody, ResetOffsetBody
from rmqgateway.wire.message_id import decode_offset_message_id, encode_offset_message_id
from rmqgateway.wire.message_properties import find_property, set_property
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rmqgateway.backend.cluster.connection import Link
    from rmqgateway.backend.cluster.upstream import Broker
    from rmqgateway.context import Context
    from rmqgateway.interfaces import ISession
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["Relays"]

log = Logger(namespace="rmqgateway.cluster")

_STARTED = int(time.time() * 1000)
#: The producer group of those who ask for replies; Java's is called so too.
_ASKERS = "CLIENT_INNER_PRODUCER"
_MAX_ASKED = 100_000


class Relays(Component):
    """Serves AnswerRelay, ConsumeDirectly, GetRunningInformation, SendReply; takes what brokers ask of group members."""

    def __init__(self, core: Core, members: Members) -> None:
        super().__init__(core)
        self._members = members
        self._questions = Questions(core, core.settings.relay_timeout_s)
        #: Who asked, by correlation id: brokers know the gateway in its place.
        self._asked: OrderedDict[str, str] = OrderedDict()
        #: Told of each group whose members changed, as brokers say.
        self.on_consumers_changed: list[Callable[[str], None]] = []

    def handlers(self) -> Handlers:
        return {
            AnswerRelay: self._questions.answer,
            ConsumeDirectly: self.consume_directly,
            GetRunningInformation: self.get_running_information,
            SendReply: self.send_reply,
        }

    def takers(self) -> dict[int, Callable[[Broker, Link, RemotingCommand], None]]:
        """Who takes what a broker asks."""
        return {
            int(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED): self._consumers_changed,
            int(RequestCode.RESET_CONSUMER_CLIENT_OFFSET): self._offsets_reset,
            int(RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT): self._status,
            int(RequestCode.GET_CONSUMER_RUNNING_INFO): self._running_information,
            int(RequestCode.CONSUME_MESSAGE_DIRECTLY): self._consume,
            int(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT): self._reply_arrived,
        }

    def session_ended(self, session: ISession) -> None:
        self._questions.session_ended(session)

    def stop(self) -> None:
        self._questions.stop()

    # Administrators.

    def get_running_information(self, context: Context, command: GetRunningInformation) -> Deferred[RelayedAnswer]:
        member = self._members.member(command.group, command.client_id)
        if member is not None:
            return self._questions.ask(
                member.session,
                lambda relay_id: RunningInformationAsked(relay_id, command.group, command.client_id, command.with_stack),
            )
        ext = {
            "consumerGroup": command.group,
            "clientId": command.client_id,
            "jstackEnable": "true" if command.with_stack else "false",
        }
        return self.run(self._by_brokers(context, RequestCode.GET_CONSUMER_RUNNING_INFO, ext, self.core.routes.masters()))

    def consume_directly(self, context: Context, command: ConsumeDirectly) -> Deferred[RelayedAnswer]:
        """Have the broker do it that has the message; where the client is this gateway's, it comes back here."""
        return self.run(self._consume_directly(context, command))

    async def _consume_directly(self, context: Context, command: ConsumeDirectly) -> RelayedAnswer:
        position = command.physical_offset
        if position < 0:
            try:
                position = decode_offset_message_id(command.message_id)[1]
            except WireError as error:
                raise GatewayError(Code.MESSAGE_NOT_FOUND, error.message) from None
        # Any broker would hand over what it has at this place.
        finder = Finder(self.core)
        name = await finder.broker(context, position, command.broker_name, command.message_id, command.topic)
        # Else whoever may administer one group could have any message delivered to it.
        message = await finder.message(context, position, name)
        topic = stored_message.topic(message).decode("utf-8", "replace")
        context.require_topic(topic, command.group, (Action.SUB, Action.GET))
        address = self.core.routes.master(name)
        local = self._members.member(command.group, command.client_id) is not None
        ext = {
            "consumerGroup": command.group,
            "clientId": self._members.client_id if local else command.client_id,
            "msgId": encode_offset_message_id(host_to_bytes(address), position),
        }
        if command.topic:
            ext["topic"] = command.topic
        return await self._by_brokers(context, RequestCode.CONSUME_MESSAGE_DIRECTLY, ext, ((name, address),))

    async def _by_brokers(
        self, context: Context, code: RequestCode, ext: dict[str, str], masters: Iterable[tuple[str, str]]
    ) -> RelayedAnswer:
        """By the first broker at which the client is."""
        error = GatewayError(Code.CLIENT_NOT_FOUND, "no broker of the cluster can be asked")
        for name, address in masters:
            ext["brokerName"] = ext["bname"] = name
            timeout = self.core.settings.relay_timeout_s
            try:
                answer = await self.core.ask(address, code, dict(ext), context=context, timeout_s=timeout)
                return RelayedAnswer(0, answer.remark or "", answer.body)
            except GatewayError as raised:
                error = raised
        if error.code is Code.UPSTREAM_ERROR:
            raise GatewayError(Code.CLIENT_NOT_FOUND, error.message, upstream_code=error.upstream_code)
        raise error

    # What brokers ask.

    def _consumers_changed(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        group = request.ext_fields.get("consumerGroup", "")
        for tell in self.on_consumers_changed:
            tell(group)
        for session in self._members.consumer_sessions(group):
            session.deliver(ConsumersChanged(group))

    def _offsets_reset(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        ext = request.ext_fields
        try:
            table = decode_body(request.body, ResetOffsetBody).offset_table
            offsets = tuple(
                (MessageQueue(queue.topic, queue.broker_name, queue.queue_id), offset) for queue, offset in table.items()
            )
            timestamp = int(ext.get("timestamp", "0"))
        except (WireError, ValueError) as error:
            log.warn("broker {where} resets offsets unreadably: {error}", where=broker.address, error=str(error))
            return
        group = ext.get("group", "")
        event = OffsetsReset(group, ext.get("topic", ""), timestamp, ext.get("isForce") == "true", offsets)
        for session in self._members.consumer_sessions(group):
            session.deliver(event)

    def _status(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        # Those who receive hold no offsets.
        self.core.upstream.answer(link, request, 0, None, encode_body(ConsumerStatusBody()))

    def _running_information(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        """The gateway is asked as the client that it is: who its own clients are."""
        group = request.ext_fields.get("consumerGroup", "")
        members = self._members.consumers.get(group, {}).values()
        clients = [f"{member.client_id} ({member.session.peer})" for member in members]
        body = ConsumerRunningInfo(
            properties={
                "PROP_CLIENT_VERSION": f"rmqgateway {__version__}",
                "PROP_CONSUMER_START_TIMESTAMP": str(_STARTED),
                "PROP_CONSUME_TYPE": "CONSUME_PASSIVELY",
                "PROP_CONSUMEORDERLY": "false",
                "PROP_THREADPOOL_CORE_SIZE": "1",
                "PROP_NAMESERVER_ADDR": self.core.settings.namesrv,
                "clients of this gateway": ", ".join(clients[:100]),
            }
        )
        self.core.upstream.answer(link, request, 0, None, encode_body(body))

    def _consume(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        ext = request.ext_fields
        group = ext.get("consumerGroup", "")
        sessions = self._members.consumer_sessions(group)
        if not sessions:
            self.core.upstream.answer(link, request, int(ResponseCode.CONSUMER_NOT_ONLINE), f"no member of {group} is here")
            return
        name = self.core.routes.reached_by(broker.address) or ext.get("brokerName", "")
        client_id = ext.get("clientId", "")
        asked = self._questions.ask(
            sessions[0],
            lambda relay_id: ConsumeMessageDirectly(relay_id, group, client_id, bytes(request.body), name),
        )

        def answered(result: RelayedAnswer) -> None:
            self.core.upstream.answer(link, request, result.code, result.remark, result.body)

        def failed(failure: Any) -> None:
            self.core.upstream.answer(link, request, int(ResponseCode.SYSTEM_ERROR), failure.getErrorMessage())

        asked.addCallbacks(answered, failed)

    # Requests and replies.

    def asking(self, properties: bytes) -> tuple[bytes, Deferred[None] | None]:
        """A message that wants a reply: the reply comes to the gateway first. Its properties as brokers are to have them, and
        what to wait for before it is sent."""
        client_id = find_property(properties, b"REPLY_TO_CLIENT")
        correlation = find_property(properties, b"CORRELATION_ID")
        if client_id is None or correlation is None or find_property(properties, b"MSG_TYPE") == b"reply":
            return properties, None
        if self._members.session_of(client_id.decode("utf-8", "replace")) is None:
            return properties, None  # a reply address that is not ours
        asked = self._asked
        asked[correlation.decode("utf-8", "replace")] = client_id.decode("utf-8", "replace")
        while len(asked) > _MAX_ASKED:
            asked.popitem(last=False)
        replaced = set_property(properties, b"REPLY_TO_CLIENT", self._members.client_id.encode())
        return replaced, self._members.join_as_producer(_ASKERS)

    def _reply_arrived(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        """PUSH_REPLY_MESSAGE_TO_CLIENT."""
        ext = request.ext_fields
        properties = ext.get("properties", "").encode()
        correlation = (find_property(properties, b"CORRELATION_ID") or b"").decode("utf-8", "replace")
        client_id = self._asked.pop(correlation, None)
        session = None if client_id is None else self._members.session_of(client_id)
        if client_id is None or session is None:
            remark = "the client that asked is not connected to this gateway any more"
            self.core.upstream.answer(link, request, int(ResponseCode.SYSTEM_ERROR), remark)
            return

        def number(name: str) -> int:
            text = ext.get(name, "0")
            return int(text) if text.lstrip("-").isdigit() else 0

        event = ReplyArrived(
            ext.get("topic", ""),
            bytes(request.body),
            set_property(properties, b"REPLY_TO_CLIENT", client_id.encode()),
            ext.get("bornHost", ""),
            number("bornTimestamp"),
            number("storeTimestamp"),
            number("sysFlag"),
            number("flag"),
            max(number("queueId"), 0),
            ext.get("producerGroup", ""),
            number("reconsumeTimes"),
        )
        if session.deliver(event):
            self.core.upstream.answer(link, request)
        else:
            self.core.upstream.answer(link, request, int(ResponseCode.SYSTEM_ERROR), "the client takes no reply")

    def send_reply(self, context: Context, command: SendReply) -> Deferred[None]:
        message = command.message
        if find_property(message.properties, b"REPLY_TO_CLIENT") is None:
            raise GatewayError(Code.BAD_MESSAGE, "a reply needs the property REPLY_TO_CLIENT of the request")
        return self.run(self._send_reply(context, command))

    async def _send_reply(self, context: Context, command: SendReply) -> None:
        """To the brokers of the reply topic, until one knows the client that asked."""
        message = command.message
        route = await self.core.routes.find(command.topic)
        error: GatewayError | None = None
        for name in route.names:
            ext = {
                "a": command.producer_group or _ASKERS,
                "b": command.topic,
                "c": "TBW102",
                "d": "4",
                "e": "0",
                "f": str(message.sys_flag),
                "g": str(message.born_timestamp or self.core.now_ms()),
                "h": str(message.flag),
                "i": message.properties.decode("utf-8", "replace"),
                "j": str(message.reconsume_times),
                "k": "false",
                "m": "false",
                "n": name,
            }
            try:
                await self.core.ask(
                    self.core.routes.master(name), RequestCode.SEND_REPLY_MESSAGE_V2, ext, message.body, context=context
                )
                return
            except GatewayError as raised:
                error = raised
        if error is None or error.code is Code.UPSTREAM_ERROR:
            text = "no broker has the reply topic" if error is None else error.message
            raise GatewayError(Code.CLIENT_NOT_FOUND, text)
        raise error
