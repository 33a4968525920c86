"""Messages by id and key, and what brokers say of themselves."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.cluster.pulling import Pulling
from rmqgateway.commands import Action
from rmqgateway.commands.administering import (
    ConsumeQueueEntries,
    ConsumeQueueEntry,
    GetBrokerConfiguration,
    GetRuntimeInformation,
    GetStatistics,
    QueryConsumeQueue,
    QueryMessages,
    StoredMessages,
    Table,
    ViewMessage,
)
from rmqgateway.commands.maintaining import DeleteExpired, ResumeTransaction
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.session import host_to_bytes
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies.routes import KVTable
from rmqgateway.wire.bodies.topics import BrokerStatsData, QueryConsumeQueueBody
from rmqgateway.wire.message_id import encode_offset_message_id
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["AdminBrokers"]

_MAX_MESSAGES = 1024
_GIVEN_UP = "TRANS_CHECK_MAX_TIME_TOPIC"
#: Settings of brokers whose names hold one of these are nobody's business.
_SECRETS = ("secret", "password", "accesskey", "credential", "token", "initauthenticationuser")


class AdminBrokers(Component):
    """See the module. Of several brokers a table says them all, each name after the broker's."""

    def __init__(self, core: Core, pulling: Pulling) -> None:
        super().__init__(core)
        self._pulling = pulling

    def handlers(self) -> Handlers:
        return {
            ViewMessage: self.view_message,
            QueryMessages: self.query_messages,
            QueryConsumeQueue: self.query_consume_queue,
            GetRuntimeInformation: self.get_runtime_information,
            GetBrokerConfiguration: self.get_broker_configuration,
            GetStatistics: self.get_statistics,
            DeleteExpired: self.delete_expired,
            ResumeTransaction: self.resume_transaction,
        }

    # Messages.

    def view_message(self, context: Context, command: ViewMessage) -> Deferred[StoredMessages]:
        return self.run(self._view(context, command))

    async def _view(self, context: Context, command: ViewMessage) -> StoredMessages:
        finder = self._pulling.finder
        message = await finder.message(context, command.physical_offset, command.broker_name, command.topic)
        # Whatever topic the caller names, if any: it is this one that is read.
        context.require_topic(stored_message.topic(message).decode("utf-8", "replace"), "", (Action.GET, Action.SUB))
        return StoredMessages((message,))

    def query_messages(self, context: Context, command: QueryMessages) -> Deferred[StoredMessages]:
        if not command.key:
            raise GatewayError(Code.BAD_REQUEST, "expected a key")
        return self.run(self._query(context, command))

    async def _query(self, context: Context, command: QueryMessages) -> StoredMessages:
        route = await self.core.routes.find(command.topic)
        wanted = min(max(command.max_messages, 1), _MAX_MESSAGES)
        found: list[bytes] = []
        newest = 0
        for name in route.names:
            ext = {
                "topic": command.topic,
                "key": command.key,
                "maxNum": str(wanted),
                "beginTimestamp": str(command.begin),
                "endTimestamp": str(command.end),
                "_UNIQUE_KEY_QUERY": "true" if command.unique_key else "false",
                "bname": name,
            }
            answer = await self.core.ask(
                self.core.routes.reading(name),
                RequestCode.QUERY_MESSAGE,
                ext,
                context=context,
                also=(ResponseCode.QUERY_NOT_FOUND,),
            )
            newest = max(newest, self.core.number(answer, "indexLastUpdateTimestamp", 0))
            if not answer.code:
                # The index holds hashes.
                found += [message for message in _messages(answer.body) if _has(message, command)]
        found.sort(key=stored_message.store_timestamp, reverse=True)
        return StoredMessages(tuple(found[:wanted]), newest)

    def query_consume_queue(self, context: Context, command: QueryConsumeQueue) -> Deferred[ConsumeQueueEntries]:
        return self.run(self._query_consume_queue(context, command))

    async def _query_consume_queue(self, context: Context, command: QueryConsumeQueue) -> ConsumeQueueEntries:
        name = await self._pulling.place(command.topic, command.queue_id, command.broker_name)
        ext = {
            "topic": command.topic,
            "queueId": str(command.queue_id),
            "index": str(command.offset),
            "count": str(min(max(command.count, 1), _MAX_MESSAGES)),
            "bname": name,
        }
        if command.group:
            ext["consumerGroup"] = command.group
        answer = await self.core.ask(
            self.core.routes.reading(name), RequestCode.QUERY_CONSUME_QUEUE, ext, context=context
        )
        body = self.core.read(answer, QueryConsumeQueueBody, "QUERY_CONSUME_QUEUE")
        return ConsumeQueueEntries(
            tuple(
                ConsumeQueueEntry(
                    one.physic_offset, one.physic_size, one.tags_code, one.eval if command.group else True
                )
                for one in body.queue_data
            ),
            body.min_queue_index,
            body.max_queue_index,
        )

    # Brokers.

    async def _tables(self, context: Context, code: RequestCode) -> list[tuple[str, dict[str, str]]]:
        found: list[tuple[str, dict[str, str]]] = []
        for name, address in self.core.routes.masters():
            answer = await self.core.ask(address, code, context=context)
            if code is RequestCode.GET_BROKER_CONFIG:
                found.append((name, _properties(answer.body)))
            else:
                found.append((name, self.core.read(answer, KVTable, code.name).table))
        return found

    def get_runtime_information(self, context: Context, command: GetRuntimeInformation) -> Deferred[Table]:
        return self.run(self._table(context, RequestCode.GET_BROKER_RUNTIME_INFO))

    def get_broker_configuration(self, context: Context, command: GetBrokerConfiguration) -> Deferred[Table]:
        return self.run(self._table(context, RequestCode.GET_BROKER_CONFIG))

    async def _table(self, context: Context, code: RequestCode) -> Table:
        tables = await self._tables(context, code)
        if len(tables) == 1:
            return Table(tuple(sorted(tables[0][1].items())))
        return Table(tuple((f"{name}/{key}", value) for name, table in tables for key, value in sorted(table.items())))

    def get_statistics(self, context: Context, command: GetStatistics) -> Deferred[Table]:
        return self.run(self._statistics(context, command))

    async def _statistics(self, context: Context, command: GetStatistics) -> Table:
        """Sums and rates of all brokers together; empty for what none of them counts."""
        sums: dict[str, tuple[int, float]] = {}
        for _, address in self.core.routes.masters():
            answer = await self.core.ask(
                address,
                RequestCode.VIEW_BROKER_STATS_DATA,
                {"statsName": command.name, "statsKey": command.key},
                context=context,
                also=(ResponseCode.SYSTEM_ERROR,),
            )
            if answer.code:
                continue
            data = self.core.read(answer, BrokerStatsData, "VIEW_BROKER_STATS_DATA")
            for span, item in (("minute", data.stats_minute), ("hour", data.stats_hour), ("day", data.stats_day)):
                total, rate = sums.get(span, (0, 0.0))
                sums[span] = (total + item.sum, rate + item.tps)
        rows: list[tuple[str, str]] = []
        for span, (total, rate) in sums.items():
            rows += [(f"{span}.sum", str(total)), (f"{span}.tps", f"{rate:.2f}")]
        return Table(tuple(rows))

    def delete_expired(self, context: Context, command: DeleteExpired) -> Deferred[None]:
        return self.run(self._delete_expired(context))

    async def _delete_expired(self, context: Context) -> None:
        await all_of(
            self.core.ask(address, RequestCode.DELETE_EXPIRED_COMMITLOG, context=context)
            for _, address in self.core.routes.masters()
        )

    def resume_transaction(self, context: Context, command: ResumeTransaction) -> Deferred[None]:
        return self.run(self._resume(context, command))

    async def _resume(self, context: Context, command: ResumeTransaction) -> None:
        finder = self._pulling.finder
        # Brokers take any message for a half message: it is looked at first.
        name = await finder.broker(context, command.physical_offset, command.broker_name, "", _GIVEN_UP)
        message = await finder.message(context, command.physical_offset, name)
        named = decode_properties(stored_message.properties(message))
        if stored_message.topic(message) != _GIVEN_UP.encode():
            raise GatewayError(Code.BAD_REQUEST, f"the message at {command.physical_offset} is no half message that was given up")
        if command.topic and named.get("REAL_TOPIC") != command.topic:
            raise GatewayError(
                Code.BAD_REQUEST, f"the half message is of topic {named.get('REAL_TOPIC', '')!r}, not of {command.topic[:200]!r}"
            )
        address = self.core.routes.master(name)
        ext = {"msgId": encode_offset_message_id(host_to_bytes(address), command.physical_offset), "bname": name}
        if command.topic:
            ext["topic"] = command.topic
        try:
            await self.core.ask(address, RequestCode.RESUME_CHECK_HALF_MESSAGE, ext, context=context)
        except GatewayError as error:
            if error.code is not Code.UPSTREAM_ERROR:
                raise
            raise GatewayError(Code.MESSAGE_NOT_FOUND, error.message, upstream_code=error.upstream_code) from None


def _messages(body: bytes) -> list[bytes]:
    try:
        return [body[at : at + size] for at, size in stored_message.message_sizes(body, _MAX_MESSAGES)]
    except WireError as error:
        raise GatewayError(Code.UPSTREAM_ERROR, f"the broker's messages cannot be read: {error.message}") from None


def _has(message: bytes, command: QueryMessages) -> bool:
    # A hash is of topic and key, and easily had by another topic and key.
    if stored_message.topic(message) != command.topic.encode():
        return False
    named = decode_properties(stored_message.properties(message))
    if command.unique_key:
        return named.get("UNIQ_KEY") == command.key
    return command.key in named.get("KEYS", "").split()


def _properties(body: bytes) -> dict[str, str]:
    """Java's ``key=value`` lines, without secrets."""
    found: dict[str, str] = {}
    for line in body.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not any(secret in key.lower() for secret in _SECRETS):
            found[key.strip()] = value.strip()
    return found
