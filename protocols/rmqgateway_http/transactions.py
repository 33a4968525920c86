"""Transactions: prepare a message, commit it or roll it back; and who is asked about those that nobody ended.

The broker asks a producer group about messages that stay undecided. A gateway calls no URL that a client gave: whoever can
answer fetches the questions by long poll. The group's membership is a session of the gateway's own, so that it does not come
and go with each poll; it ends when nobody has polled for a while.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rmqgateway.commands import EndTransaction, Heartbeat, SendMessages, TransactionResolution
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway_http.call import Call
from rmqgateway_http.codec_handles import Transaction, read_token, write_token
from rmqgateway_http.codec_json import Checks, MessageOut, Prepared
from rmqgateway_http.convert_receiving import message_out
from rmqgateway_http.producers import named_group
from rmqgateway_http.sending import read_drafts

if TYPE_CHECKING:
    from rmqgateway.events import Event
    from rmqgateway_http.service import HttpService

__all__ = ["Checker", "begin", "check", "commit", "roll_back"]

#: A group that nobody polls for so long is left, in seconds; and so often its membership is renewed.
_KEEP_S = 60.0
_BEAT_S = 30.0
#: Questions kept for the next poll; those that do not fit are asked again by the broker.
_MAX_QUESTIONS = 1024
_MAX_CHECKERS = 1000


def begin(call: Call) -> None:
    """Prepare a message: nobody gets it before it is committed."""
    call.run(_begin(call))


async def _begin(call: Call) -> None:
    topic = call.names[0]
    values = call.query()
    drafts, _, as_list = read_drafts(call, await call.body(call.settings.max_request))
    if as_list:
        raise GatewayError(Code.BAD_MESSAGE, "a transaction prepares one message, got a list")
    (draft,) = drafts
    group = named_group(call) or topic
    draft.named["TRAN_MSG"] = "true"
    draft.named["PGROUP"] = group
    if "check_after" in values:
        draft.named["CHECK_IMMUNITY_TIME_IN_SECONDS"] = str(max(1, round(values["check_after"] / 1000)))
    if draft.group and draft.queue_id < 0:
        draft.queue_id = await call.service.queue_of_group(call, topic, draft.group)
    reply = await call.execute(SendMessages(topic, (draft.message(),), group))
    result = reply.results[0]
    token = Transaction(topic, group, result.unique_key, result.queue_offset, result.physical_offset)
    call.answer_json(201, Prepared(write_token(token), result.unique_key, result.queue_id))


def commit(call: Call) -> None:
    """Let consumers have the message."""
    call.run(_end(call, TransactionResolution.COMMIT))


def roll_back(call: Call) -> None:
    """Drop the message."""
    call.run(_end(call, TransactionResolution.ROLLBACK))


async def _end(call: Call, resolution: int) -> None:
    call.query()
    found = read_token(call.names[0], Transaction, "transaction")
    await call.execute(
        EndTransaction(
            found.topic,
            found.producer_group,
            resolution,
            found.transaction_id,
            found.transaction_id,
            found.queue_offset,
            found.physical_offset,
            found.from_check,
        )
    )
    for checker in call.service.checkers.values():
        checker.ended(found.transaction_id)
    call.done()


def check(call: Call) -> None:
    """Fetch the questions for a producer group, waiting for one if there is none."""
    call.run(_check(call), cancel=True)


async def _check(call: Call) -> None:
    group = call.names[0]
    values = call.query()
    wait_ms = call.service.check_wait(values.get("wait", 0))
    checker = await _checker(call, group)
    questions = checker.take(values.get("max", 32))
    if not questions and wait_ms:
        await checker.wait(wait_ms / 1000)
        questions = checker.take(values.get("max", 32))
    body_as = values.get("body", "auto")
    call.answer_json(200, Checks([_question(event, body_as) for event in questions]))


def _question(event: CheckTransaction, body_as: str) -> MessageOut:
    topic = stored_message.topic(event.message).decode("utf-8", "replace")
    token = Transaction(
        topic, event.producer_group, event.transaction_id, event.queue_offset, event.physical_offset, True
    )
    times = decode_properties(stored_message.properties(event.message)).get("TRANSACTION_CHECK_TIMES", "1")
    return message_out(event.message, "", 0, body_as, write_token(token), int(times) if times.isdigit() else 1)


async def _checker(call: Call, group: str) -> Checker:
    """Who collects a group's questions for this user; joins the group if need be."""
    service = call.service
    if call.context.credential is not None:
        user = call.gateway.authenticate(call.context, call.context.credential)
    else:
        user = None
    key = (user, group)
    checker = service.checkers.get(key)
    if checker is None:
        if len(service.checkers) >= _MAX_CHECKERS:
            raise GatewayError(Code.TOO_MANY_REQUESTS, "too many producer groups are polled for checks", retry_after=5.0)
        checker = service.checkers[key] = Checker(service, key, call)
    try:
        await checker.join(call)
    except GatewayError:
        checker.leave_if_idle()
        raise
    return checker


class Checker:
    """A member of a producer group that keeps the broker's questions until somebody fetches them."""

    def __init__(self, service: HttpService, key: tuple[str | None, str], call: Call) -> None:
        self._service = service
        self._key = key
        self._questions: dict[str, CheckTransaction] = {}
        self._waiters: deque[Deferred[None]] = deque()
        self._used = self._beat = float("-inf")
        information = call.request.information
        self._session = service.gateway.open_session(
            "http", information.peer, information.advertised, self._deliver, self._drain, self._close
        )
        self._client_id = f"rmqgateway-http@{service.instance.hex()}#{self._session.number}"
        self._timer: Any = service.gateway.reactor.callLater(_KEEP_S, self._look)
        self._credential = call.context.credential

    async def join(self, call: Call) -> None:
        """Be a member, in the name of who asks now. :raise GatewayError: see Heartbeat."""
        now = self._used = self._service.gateway.reactor.seconds()
        if now - self._beat < _BEAT_S:
            return
        self._credential = call.context.credential
        result = self._heartbeat()
        if isinstance(result, Deferred):
            await result
        self._beat = now

    def _heartbeat(self) -> Any:
        context = Context(self._session, self._credential)
        return self._service.gateway.execute(context, Heartbeat(self._client_id, "HTTP", producers=(self._key[1],)))

    def take(self, most: int) -> list[CheckTransaction]:
        """The oldest questions; they are not asked again here before the broker does."""
        return [self._questions.pop(key) for key in list(self._questions)[:most]]

    def wait(self, seconds: float) -> Deferred[None]:
        """Fires when there is a question, or the time is over."""
        reactor = self._service.gateway.reactor
        waiter: Deferred[None] = Deferred(lambda _: over())
        self._waiters.append(waiter)

        def over() -> None:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

        def fired(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            self._used = reactor.seconds()
            return result

        def time_out() -> None:
            over()
            waiter.callback(None)

        timer = reactor.callLater(seconds, time_out)
        return waiter.addBoth(fired)

    def ended(self, transaction_id: str) -> None:
        """Somebody committed it or rolled it back."""
        self._questions.pop(transaction_id, None)

    def _deliver(self, event: Event) -> bool:
        if not isinstance(event, CheckTransaction) or len(self._questions) >= _MAX_QUESTIONS:
            return False
        self._questions[event.transaction_id] = event
        if self._waiters:
            self._waiters.popleft().callback(None)
        return True

    def _drain(self, deadline: float, reason: str) -> None:
        while self._waiters:
            self._waiters.popleft().callback(None)
        self._close(reason)

    def _close(self, reason: str) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._service.checkers.pop(self._key, None)
        self._session.end()

    def leave_if_idle(self) -> None:
        """It could not join."""
        if self._beat == float("-inf"):
            self._close("not a member")

    def _look(self) -> None:
        reactor = self._service.gateway.reactor
        now = reactor.seconds()
        if not self._waiters and now - self._used >= _KEEP_S:
            self._close("nobody asks")
            return
        self._timer = reactor.callLater(_BEAT_S, self._look)
        if now - self._beat >= _BEAT_S:
            self._beat = now
            try:
                result = self._heartbeat()
            except GatewayError:
                self._beat = float("-inf")
                return
            if isinstance(result, Deferred):
                result.addErrback(lambda _: None)
