"""Receiving by the broker's pop. Dead-lettering what has no attempts left is the gateway's: brokers never do it for pop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers
from rmqgateway.backend.cluster.lite import LiteTopics, read_lite_popped
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.cluster.popped import Popped, read_popped
from rmqgateway.backend.cluster.routes import TopicRoute
from rmqgateway.backend.cluster.settling import Settling
from rmqgateway.commands.maintaining import AwaitMessages, MessagesAwaited
from rmqgateway.commands.popping import PeekMessages, ReceivedMessage, ReceivedMessages, ReceiveMessages
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import FilterType
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import find_property
from rmqgateway.wire.request_codes import RequestCode, ResponseCode, request_name

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.pulled import Pulled
    from rmqgateway.context import Context
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["Popping"]

log = Logger(namespace="rmqgateway.cluster")

_POP = int(RequestCode.POP_MESSAGE)
_NOTHING = frozenset(
    int(code)
    for code in (ResponseCode.POLLING_TIMEOUT, ResponseCode.PULL_NOT_FOUND, ResponseCode.PULL_RETRY_IMMEDIATELY)
)
_POLLING_FULL = int(ResponseCode.POLLING_FULL)
#: What a broker gives for one pop at most.
_MAX_MESSAGES = 32
#: Of several brokers each is waited at for so long for lite topics, in turn.
_TURN_MS = 1000
_MAX_INVISIBLE_MS = 12 * 3600 * 1000
#: Groups at topics whose turn is remembered; all are forgotten when there are so many.
_MAX_TURNS = 10_000


class Popping(Component):
    """Serves ReceiveMessages, PeekMessages, AwaitMessages. :ivar pulled: who receives from brokers that know no pop."""

    def __init__(self, core: Core, metadata: Metadata, settling: Settling, lite: LiteTopics) -> None:
        super().__init__(core)
        self._lite = lite
        self._metadata = metadata
        self._settling = settling
        self.pulled: Pulled | None = None
        #: Of each group at each topic, which broker is asked first next time.
        self._turns: dict[tuple[str, str], int] = {}

    def handlers(self) -> Handlers:
        return {ReceiveMessages: self.receive, PeekMessages: self.peek, AwaitMessages: self.await_messages}

    # Receiving.

    def receive(self, context: Context, command: ReceiveMessages) -> Deferred[ReceivedMessages]:
        if command.max_messages <= 0:
            raise GatewayError(Code.BAD_REQUEST, f"expected to receive at least 1 message, got {command.max_messages}")
        if not 0 < command.invisible_ms <= _MAX_INVISIBLE_MS:
            raise GatewayError(
                Code.BAD_INVISIBLE_DURATION,
                f"invisible duration: expected 1 to {_MAX_INVISIBLE_MS} ms, got {command.invisible_ms}",
            )
        if command.wait_ms < 0:
            raise GatewayError(Code.BAD_POLLING_TIME, f"wait: expected 0 ms or more, got {command.wait_ms}")
        return self.run(self._receive(context, command))

    async def _receive(self, context: Context, command: ReceiveMessages) -> ReceivedMessages:
        group = await self._metadata.group(command.group)
        if not group.consume_enable:
            raise GatewayError(Code.GROUP_DISABLED, f"consumer group {command.group} may not consume (consumeEnable)")
        route = await self.core.routes.find(command.topic)
        names = self._brokers(route, command)
        order = group.consume_message_orderly if command.fifo is None else command.fifo
        wait_ms = min(command.wait_ms, self.core.settings.long_poll_max_ms)
        deadline = self.core.reactor.seconds() + wait_ms / 1000
        limit = (group.retry_max_times if group.retry_max_times >= 0 else 16) + 1
        lite_client = await self._lite.client_of(context, command)
        if lite_client:
            return await self._receive_lite(context, command, names, wait_ms, limit, lite_client)
        if len(names) == 1:
            found = await self._pop(context, command, names[0], order, wait_ms, limit)
            return found if found is not None else ReceivedMessages(invisible_ms=command.invisible_ms)
        empty = ReceivedMessages(invisible_ms=command.invisible_ms)
        while True:
            error: GatewayError | None = None
            reached = []
            for name in names:
                try:
                    found = await self._pop(context, command, name, order, 0, limit)
                except GatewayError as raised:
                    if raised.code not in (Code.UPSTREAM_UNAVAILABLE, Code.TIMEOUT):
                        raise
                    error = raised
                    continue
                reached.append(name)
                if found is not None and found.messages:
                    return found
            if not reached and error is not None:
                raise error
            left = deadline - self.core.reactor.seconds()
            if left <= 0.05:
                return empty
            first = await self._first_with_messages(context, command, reached, order, left)
            if first is None:
                return empty
            names = [first, *[name for name in names if name != first]]

    async def _receive_lite(
        self, context: Context, command: ReceiveMessages, names: list[str], wait_ms: int, limit: int, client_id: str
    ) -> ReceivedMessages:
        """A receive of lite topics. Nothing tells which broker has some: each is asked, and waited at in turn."""
        deadline = self.core.reactor.seconds() + wait_ms / 1000
        wait = 0 if len(names) > 1 else wait_ms
        while True:
            for name in names:
                popping = _Pop(self, context, command, name, True, True)
                ext = {
                    "clientId": client_id,
                    "consumerGroup": command.group,
                    "topic": command.topic,
                    "maxMsgNum": str(min(command.max_messages, _MAX_MESSAGES)),
                    "invisibleTime": str(command.invisible_ms),
                    "pollTime": str(wait),
                    "bornTime": str(self.core.now_ms()),
                    "bname": name,
                }
                if command.attempt_id:
                    ext["attemptId"] = command.attempt_id
                popping.begin(self.core.routes.master(name), ext, wait)
                answer = await popping.answered
                if answer.code == _POLLING_FULL:
                    return ReceivedMessages(polling_full=True)
                if answer.code and answer.code not in _NOTHING:
                    raise self._refused(answer, command)
                if answer.code:
                    continue
                messages = self._take(context, command, self.read(answer, command, name, True, True), limit)
                if messages:
                    return ReceivedMessages(tuple(messages), self.core.number(answer, "popTime", 0), command.invisible_ms)
            left = int((deadline - self.core.reactor.seconds()) * 1000)
            if left < 50:
                return ReceivedMessages(invisible_ms=command.invisible_ms)
            wait = min(left, _TURN_MS) if len(names) > 1 else left

    @staticmethod
    def read(answer: RemotingCommand, command: ReceiveMessages, name: str, order: bool, lite: bool) -> list[Popped]:
        """What a pop took. :raise GatewayError: UPSTREAM_ERROR: it cannot be read."""
        try:
            return read_lite_popped(answer, name) if lite else read_popped(answer, command.topic, name, order)
        except WireError as error:
            raise GatewayError(Code.UPSTREAM_ERROR, f"broker {name}: {error.message}") from None

    def _brokers(self, route: TopicRoute, command: ReceiveMessages | PeekMessages | AwaitMessages) -> list[str]:
        """Who is asked, in turn."""
        readable = [name for name, queues in route.readable if command.queue_id < queues]
        if command.queue_id >= 0 and route.readable and not readable:
            raise GatewayError(Code.BAD_REQUEST, f"topic {command.topic} has no queue {command.queue_id} at any broker")
        wanted = getattr(command, "broker_name", "")
        if wanted:
            readable = [name for name in readable if name == wanted]
        if not readable:
            raise GatewayError(
                Code.TOPIC_NOT_READABLE, f"topic {command.topic} has no queue that can be read at present", retry_after=1.0
            )
        if len(readable) > 1:
            # By themselves: groups that ask in turn would each begin with the same broker for good.
            turns, key = self._turns, (command.group, command.topic)
            if len(turns) >= _MAX_TURNS:
                turns.clear()
            turns[key] = turn = turns.get(key, 0) + 1
            at = turn % len(readable)
            readable = readable[at:] + readable[:at]
        return readable

    async def _pop(
        self, context: Context, command: ReceiveMessages, name: str, order: bool, wait_ms: int, limit: int
    ) -> ReceivedMessages | None:
        """One pop at one broker; None: it has nothing."""
        core = self.core
        address = core.routes.master(name)
        if not self._metadata.pops(address):
            return await self._pull_instead(context, command, name, wait_ms, limit)
        ext = {
            "consumerGroup": command.group,
            "topic": command.topic,
            "queueId": str(command.queue_id),
            "maxMsgNums": str(min(command.max_messages, _MAX_MESSAGES)),
            "invisibleTime": str(command.invisible_ms),
            "pollTime": str(wait_ms),
            "bornTime": str(core.now_ms()),
            "initMode": str(command.init_mode.value),
            "expType": command.filter.type.value,
            "exp": command.filter.expression,
            "order": "true" if order else "false",
            "bname": name,
        }
        if command.attempt_id:
            ext["attemptId"] = command.attempt_id
        popping = _Pop(self, context, command, name, order, False)
        popping.begin(address, ext, wait_ms)
        answer = await popping.answered
        code = answer.code
        if code in _NOTHING:
            return None
        if code == _POLLING_FULL:
            return ReceivedMessages(polling_full=True)
        if code == ResponseCode.REQUEST_CODE_NOT_SUPPORTED:
            self._metadata.is_old(address)
            return await self._pull_instead(context, command, name, wait_ms, limit)
        if code:
            raise self._refused(answer, command)
        messages = self._take(context, command, self.read(answer, command, name, order, False), limit)
        rest = answer.ext_fields.get("restNum", "0")
        return ReceivedMessages(
            tuple(messages),
            core.number(answer, "popTime", 0),
            core.number(answer, "invisibleTime", command.invisible_ms),
            int(rest) if rest.isdigit() else 0,
        )

    async def _pull_instead(
        self, context: Context, command: ReceiveMessages, name: str, wait_ms: int, limit: int
    ) -> ReceivedMessages | None:
        if self.pulled is None:
            raise GatewayError(Code.UNSUPPORTED, f"broker {name} knows no pop: receiving needs RocketMQ 5.0 or newer there")
        return await self.pulled.receive(context, command, name, wait_ms, limit)

    @staticmethod
    def _refused(answer: RemotingCommand, command: ReceiveMessages) -> GatewayError:
        return refusal(answer, f"topic {command.topic}, group {command.group}")

    def _take(
        self, context: Context, command: ReceiveMessages, popped: list[Popped], limit: int
    ) -> list[ReceivedMessage]:
        """What the client gets: brokers filter tags by their hashes, and know no last attempt."""
        tags = None
        if command.filter.type is FilterType.TAG and command.filter.expression != "*":
            tags = {tag.strip().encode() for tag in command.filter.expression.split("||")}
        taken: list[ReceivedMessage] = []
        size = 0
        for one in popped:
            if tags is not None and find_property(stored_message.properties(one.message), b"TAGS") not in tags:
                self.background(self._settling.forget(context, command, one.handle), "acknowledging another tag's message")
            elif one.retried and one.reconsume_times >= limit:
                self.background(self._settling.bury(context, command, one), "dead-lettering a message")
            elif command.max_bytes and taken and size + len(one.message) > command.max_bytes:
                self.background(self._settling.give_back(context, command, one.handle), "giving a message back")
            else:
                size += len(one.message)
                taken.append(ReceivedMessage(one.message, one.handle, one.reconsume_times + 1))
        return taken

    def given_up(
        self, context: Context, command: ReceiveMessages, name: str, order: bool, lite: bool, answer: RemotingCommand
    ) -> None:
        """Nobody waits for this pop any more: what it took is visible to others at once."""
        if answer.code:
            return
        try:
            popped = self.read(answer, command, name, order, lite)
        except GatewayError:
            return
        for one in popped:
            self.background(self._settling.give_back(context, command, one.handle), "giving a message back")

    # Waiting at several brokers.

    async def _first_with_messages(
        self,
        context: Context,
        command: ReceiveMessages | AwaitMessages,
        names: list[str],
        order: bool,
        seconds: float,
    ) -> str | None:
        """The first broker that has something, by NOTIFICATION, which takes nothing."""
        done: Deferred[str | None] = Deferred()
        left = len(names)
        asked: list[Deferred[Any]] = []

        def answered(result: Any, name: str) -> None:
            nonlocal left
            left -= 1
            if done.called:
                return
            if not isinstance(result, Failure) and not result.code and result.ext_fields.get("hasMsg") == "true":
                done.callback(name)
            elif left == 0:
                done.callback(None)

        for name in names:
            one = self._notification(context, command, name, order, seconds)
            asked.append(one)
            one.addBoth(partial(answered), name)
        try:
            return await done
        finally:
            for one in asked:
                one.cancel()

    def _notification(
        self, context: Context, command: ReceiveMessages | AwaitMessages, name: str, order: bool, seconds: float
    ) -> Deferred[RemotingCommand]:
        wait_ms = int(seconds * 1000)
        ext = {
            "consumerGroup": command.group,
            "topic": command.topic,
            "queueId": str(command.queue_id),
            "pollTime": str(wait_ms),
            "bornTime": str(self.core.now_ms()),
            "order": "true" if order else "false",
            "bname": name,
        }
        if isinstance(command, ReceiveMessages):
            ext["expType"], ext["exp"] = command.filter.type.value, command.filter.expression
        timeout = seconds + self.core.settings.request_s
        return self.core.upstream.ask(
            self.core.routes.master(name), RequestCode.NOTIFICATION, ext, timeout_s=timeout, context=context
        )

    def await_messages(self, context: Context, command: AwaitMessages) -> Deferred[MessagesAwaited]:
        return self.run(self._await(context, command))

    async def _await(self, context: Context, command: AwaitMessages) -> MessagesAwaited:
        route = await self.core.routes.find(command.topic)
        names = self._brokers(route, command)
        seconds = min(max(command.wait_ms, 0), self.core.settings.long_poll_max_ms) / 1000
        if len(names) > 1:
            return MessagesAwaited(await self._first_with_messages(context, command, names, command.fifo, seconds) is not None)
        answer = await self._notification(context, command, names[0], command.fifo, seconds)
        if answer.code:
            raise refusal(answer, request_name(RequestCode.NOTIFICATION))
        has = answer.ext_fields.get("hasMsg") == "true"
        return MessagesAwaited(has, not has and answer.ext_fields.get("pollingFull") == "true")

    # Peeking.

    def peek(self, context: Context, command: PeekMessages) -> Deferred[ReceivedMessages]:
        return self.run(self._peek(context, command))

    async def _peek(self, context: Context, command: PeekMessages) -> ReceivedMessages:
        route = await self.core.routes.find(command.topic)
        found: list[ReceivedMessage] = []
        wanted = min(max(command.max_messages, 1), _MAX_MESSAGES)
        for name in self._brokers(route, command):
            ext = {
                "topic": command.topic,
                "consumerGroup": command.group,
                "queueId": str(command.queue_id),
                "maxMsgNums": str(wanted - len(found)),
                "bname": name,
            }
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.PEEK_MESSAGE, ext, context=context, also=_NOTHING
            )
            if answer.code:
                continue
            try:
                for message in stored_message.message_sizes(answer.body, 1024):
                    one = answer.body[message[0] : message[0] + message[1]]
                    found.append(ReceivedMessage(one, "", stored_message.reconsume_times(one) + 1))
            except WireError as error:
                raise GatewayError(Code.UPSTREAM_ERROR, f"broker {name}: {error.message}") from None
            if len(found) >= wanted:
                break
        return ReceivedMessages(tuple(found[:wanted]))


class _Pop:
    """One pop on its way. A pop that nobody waits for any more still takes messages at the broker: they are given back."""

    def __init__(
        self, popping: Popping, context: Context, command: ReceiveMessages, name: str, order: bool, lite: bool
    ) -> None:
        self._popping = popping
        self._arguments = (context, command, name, order, lite)
        self._code = int(RequestCode.POP_LITE_MESSAGE) if lite else _POP
        self.answered: Deferred[RemotingCommand] = Deferred(self._cancelled)
        self._gone = False

    def begin(self, address: str, ext: dict[str, str], wait_ms: int) -> None:
        """Ask. :raise GatewayError: nothing was sent."""
        core = self._popping.core
        seconds = wait_ms / 1000 + core.settings.request_s
        core.upstream.request(address, self._code, ext, b"", self._done, None, seconds, self._arguments[0])

    def _cancelled(self, _: Deferred[RemotingCommand]) -> None:
        self._gone = True
        self._popping.unfinished += 1

    def _done(self, _: None, answer: RemotingCommand | None, error: GatewayError | None) -> None:
        if self._gone:
            self._popping.unfinished -= 1
            if answer is not None:
                self._popping.given_up(*self._arguments, answer)
        elif answer is not None:
            self.answered.callback(answer)
        else:
            self.answered.errback(error)
