"""Transactions: where half messages are, their ends, and the brokers' questions about those that nobody ended."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.cluster.component import Component, Core, Handlers
from rmqgateway.backend.cluster.finding import Finder
from rmqgateway.backend.cluster.members import Members
from rmqgateway.commands import Action
from rmqgateway.commands.producing import EndTransaction, TransactionResolution
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import CheckTransaction
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway.wire.request_codes import RequestCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.backend.cluster.connection import Link
    from rmqgateway.backend.cluster.upstream import Broker
    from rmqgateway.context import Context
    from rmqgateway.interfaces import ISession
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["Transactions"]

log = Logger(namespace="rmqgateway.cluster")

#: Brokers that keep them in RocksDB have another beginning of the name.
_HALF = b"_TRANS_HALF_TOPIC"
_RESOLUTIONS = (TransactionResolution.COMMIT, TransactionResolution.ROLLBACK)


class _Half(msgspec.Struct, frozen=True):
    """Where a half message is. :ivar message_id: its offset message id."""

    broker: str
    topic: str
    group: str
    message_id: str
    queue_offset: int
    physical_offset: int


class Transactions(Component):
    """Serves EndTransaction; passes on checks. A transaction that began at another gateway can be ended here by its offsets,
    or once a broker has asked here."""

    def __init__(self, core: Core, members: Members) -> None:
        super().__init__(core)
        self._members = members
        #: Whether a client may be shown a half message of a topic.
        self.may_publish: Callable[[ISession, str], bool] = lambda session, topic: True
        self._halves: OrderedDict[str, _Half] = OrderedDict()

    def handlers(self) -> Handlers:
        return {EndTransaction: self.end_transaction}

    def prepared(
        self, broker: str, topic: str, group: str, transaction_id: str, message_id: str, queue_offset: int, physical_offset: int
    ) -> None:
        """A half message was stored, or asked about."""
        halves = self._halves
        halves[transaction_id] = _Half(broker, topic, group, message_id, queue_offset, physical_offset)
        halves.move_to_end(transaction_id)
        while len(halves) > self.core.settings.max_transactions:
            halves.popitem(last=False)

    # Ending.

    def end_transaction(self, context: Context, command: EndTransaction) -> Deferred[None] | None:
        if command.resolution == TransactionResolution.UNKNOWN:
            return None  # the broker would not answer it; it asks again
        if command.resolution not in _RESOLUTIONS:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"transaction resolution: expected 0 (unknown), 8 (commit) or 12 (roll back), got {command.resolution}",
            )
        return self.run(self._end(context, command))

    async def _end(self, context: Context, command: EndTransaction) -> None:
        half = self._halves.get(command.transaction_id)
        group = command.producer_group
        if half is not None:
            if group and group != half.group:
                raise GatewayError(
                    Code.FORBIDDEN, f"the half message is of producer group {half.group!r}, not of {group[:200]!r}"
                )
            if command.topic and command.topic != half.topic:
                raise GatewayError(
                    Code.BAD_REQUEST, f"the half message is of topic {half.topic!r}, not of {command.topic[:200]!r}"
                )
            if not command.topic:
                context.require_topic(half.topic, "", (Action.PUB,))
            await self._end_at(context, command, half)
            self._halves.pop(command.transaction_id, None)
            return
        if command.queue_offset < 0 or command.physical_offset < 0 or not command.topic:
            raise _unknown(command)
        # It began at another gateway: brokers check that the message at this place is the one that is meant.
        route = await self.core.routes.find(command.topic)
        for name in route.names:
            message_id = encode_offset_message_id(stored_message.NO_HOST, command.physical_offset)
            place = _Half(name, command.topic, group, message_id, command.queue_offset, command.physical_offset)
            try:
                if context.guard is not None:
                    await self._check_topic(context, command, name)
                await self._end_at(context, command, place)
                return
            except GatewayError as error:
                if error.code is not Code.TRANSACTION_NOT_FOUND:
                    raise
        raise _unknown(command)

    async def _check_topic(self, context: Context, command: EndTransaction, name: str) -> None:
        """Brokers do not compare the topic, which is what the caller may send to. :raise GatewayError: it is another."""
        try:
            message = await Finder(self.core).message(context, command.physical_offset, name)
        except GatewayError as error:
            raise _of_transaction(error) from None
        named = decode_properties(stored_message.properties(message))
        if not stored_message.topic(message).endswith(_HALF) or named.get("REAL_TOPIC") != command.topic:
            raise _unknown(command)

    async def _end_at(self, context: Context, command: EndTransaction, half: _Half) -> None:
        ext = {
            "topic": half.topic,
            "producerGroup": half.group,
            "tranStateTableOffset": str(half.queue_offset),
            "commitLogOffset": str(half.physical_offset),
            "commitOrRollback": str(command.resolution),
            "fromTransactionCheck": "true" if command.from_check else "false",
            "msgId": half.message_id,
            "transactionId": command.transaction_id,
            "bname": half.broker,
        }
        try:
            await self.core.ask(
                self.core.routes.master(half.broker), RequestCode.END_TRANSACTION, ext, context=context
            )
        except GatewayError as error:
            raise _of_transaction(error) from None

    # The brokers' questions.

    def check(self, broker: Broker, link: Link, request: RemotingCommand) -> None:
        """CHECK_TRANSACTION_STATE; it wants no answer but END_TRANSACTION."""
        ext = request.ext_fields
        try:
            message = stored_message.decode(request.body)
            queue_offset, physical = int(ext["tranStateTableOffset"]), int(ext["commitLogOffset"])
        except (WireError, KeyError, ValueError) as error:
            log.warn("broker {where} asks for a transaction unreadably: {error}", where=broker.address, error=str(error))
            return
        named = decode_properties(message.properties)
        group = named.get("PGROUP", "")
        transaction_id = named.get("UNIQ_KEY") or ext.get("transactionId") or ext.get("msgId", "")
        name = self.core.routes.reached_by(broker.address) or ext.get("bname", "")
        topic = message.topic.decode("utf-8", "replace")
        offset_id = ext.get("offsetMsgId") or encode_offset_message_id(stored_message.NO_HOST, physical)
        self.prepared(name, topic, group, transaction_id, offset_id, queue_offset, physical)
        event = CheckTransaction(
            group, bytes(request.body), transaction_id, named.get("UNIQ_KEY", transaction_id), queue_offset, physical
        )
        for session in self._members.producer_sessions(group):
            # Whoever names a producer group is its member; the message is shown to those only who could have sent it.
            if self.may_publish(session, topic) and session.deliver(event):
                return
        log.debug("nobody of producer group {group} can be asked for a transaction", group=group)


def _unknown(command: EndTransaction) -> GatewayError:
    return GatewayError(
        Code.TRANSACTION_NOT_FOUND,
        f"no half message of transaction {command.transaction_id[:100]!r} is known to this gateway; it may have ended already",
    )


def _of_transaction(error: GatewayError) -> GatewayError:
    """What brokers say by SYSTEM_ERROR and its text."""
    if error.code in (Code.UPSTREAM_ERROR, Code.MESSAGE_NOT_FOUND):
        text = error.message.lower()
        code = Code.FORBIDDEN if "producer group" in text else Code.TRANSACTION_NOT_FOUND
        return GatewayError(code, error.message, upstream_code=error.upstream_code)
    return error
