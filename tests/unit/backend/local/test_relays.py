"""Questions to clients and their answers."""

from __future__ import annotations

import pytest

from rmqgateway.commands.administering import ConsumeDirectly, GetRunningInformation, RelayedAnswer
from rmqgateway.commands.clients import AnswerRelay, Consumer, Heartbeat
from rmqgateway.commands.producing import SendMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ConsumeMessageDirectly, RunningInformationAsked
from rmqgateway.message import Message
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import encode_offset_message_id

ASK = GetRunningInformation("g", "c", True)


@pytest.fixture
def world() -> World:
    return World()


def member(world: World, takes_events: bool = True) -> TestSession:
    session = world.session(takes_events)
    world.execute(session, Heartbeat("c", consumers=(Consumer("g"),)))
    session.events.clear()
    return session


def code_of(deferred: object) -> Code:
    with pytest.raises(GatewayError) as caught:
        result_of(deferred)  # type: ignore[arg-type]
    return caught.value.code


def test_a_question_and_its_answer(world: World) -> None:
    session, asker = member(world), world.session()
    asked = world.start(asker, ASK)
    (event,) = session.events
    assert event == RunningInformationAsked(event.relay_id, "g", "c", True)  # type: ignore[attr-defined]
    assert isinstance(event, RunningInformationAsked)
    # Somebody else's answer does not count.
    world.execute(asker, AnswerRelay(event.relay_id, body=b"forged"))
    world.execute(session, AnswerRelay(event.relay_id + 1, body=b"another"))
    with pytest.raises(NoReplyYet):
        result_of(asked)
    world.execute(session, AnswerRelay(event.relay_id, 0, "fine", b"{}"))
    assert result_of(asked) == RelayedAnswer(0, "fine", b"{}")
    world.execute(session, AnswerRelay(event.relay_id))
    assert not world.backend.relays.questions


def test_no_answer_in_time(world: World) -> None:
    member(world)
    asked = world.start(world.session(), ASK)
    world.advance(10.1)
    assert code_of(asked) is Code.TIMEOUT


def test_clients_that_cannot_be_asked(world: World) -> None:
    assert code_of(world.start(world.session(), ASK)) is Code.CLIENT_NOT_FOUND
    member(world, takes_events=False)
    assert code_of(world.start(world.session(), ASK)) is Code.CLIENT_NOT_FOUND
    assert not world.backend.relays.questions


def test_a_client_that_goes(world: World) -> None:
    session = member(world)
    asked = world.start(world.session(), ASK)
    session.session.end()
    assert code_of(asked) is Code.CLIENT_NOT_FOUND


def test_stopping_fails_what_is_under_way(world: World) -> None:
    member(world)
    asked = world.start(world.session(), ASK)
    world.backend.stop()
    assert code_of(asked) is Code.SHUTTING_DOWN


def test_a_cancelled_question_is_forgotten(world: World) -> None:
    member(world)
    asked = world.start(world.session(), ASK)
    asked.addErrback(lambda failure: None)
    asked.cancel()
    assert not world.backend.relays.questions
    world.advance(15)


def test_a_message_is_consumed_directly(world: World) -> None:
    session = member(world)
    position = (
        world.execute(session, SendMessages("t", (Message(b"x", queue_id=0),))).results[0].physical_offset
    )
    world.start(world.session(), ConsumeDirectly("g", "c", position))
    (event,) = session.events
    assert isinstance(event, ConsumeMessageDirectly)
    assert stored_message.body(event.message) == b"x" and event.broker_name == "rmqgateway"
    assert (
        code_of(world.start(world.session(), ConsumeDirectly("g", "c", position + 1)))
        is Code.MESSAGE_NOT_FOUND
    )


def test_a_message_to_consume_directly_may_be_named_by_its_id(world: World) -> None:
    session = member(world)
    sent = world.execute(session, SendMessages("t", (Message(b"x", queue_id=0),))).results[0]
    message_id = encode_offset_message_id(session.session.host_bytes, sent.physical_offset)
    world.start(world.session(), ConsumeDirectly("g", "c", -1, message_id=message_id))
    assert isinstance(session.events[0], ConsumeMessageDirectly)
    bad = world.start(world.session(), ConsumeDirectly("g", "c", -1, message_id="no id"))
    assert code_of(bad) is Code.MESSAGE_NOT_FOUND
