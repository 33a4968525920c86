"""A snapshot shows the state at the call, although the store takes its pieces later, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from rmqgateway.commands import (
    AckMessages,
    EndTransaction,
    Heartbeat,
    ReceiveMessages,
    SendBack,
    SendMessages,
    TransactionResolution,
    UpdateConsumerOffset,
)
from rmqgateway.message import Message
from rmqgateway.testing import TestSession, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import encode_properties


def timers(world: World, session: TestSession) -> None:
    delay = encode_properties({"TIMER_DELAY_MS": "1500"})
    world.execute(session, SendMessages("topic", (Message(b"timer", delay),)))
    world.advance(1)
    world.execute(session, SendMessages("topic", (Message(b"timer", delay),)))
    world.advance(0.7)


def transactions(world: World, session: TestSession) -> None:
    half = encode_properties({"TRAN_MSG": "true", "PGROUP": "p"})
    world.execute(session, Heartbeat("client", producers=("p",)))
    first = world.execute(session, SendMessages("topic", (Message(b"half", half, sys_flag=4),), "p")).results[
        0
    ]
    world.execute(session, SendMessages("topic", (Message(b"half", half, sys_flag=4),), "p"))
    world.execute(
        session,
        EndTransaction("topic", "p", TransactionResolution.COMMIT, first.unique_key, "", first.queue_offset),
    )
    world.advance(7)


def pops(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("topic", (Message(b"a"), Message(b"b"), Message(b"c"))))
    reply = world.execute(session, ReceiveMessages("group", "topic", max_messages=2))
    world.execute(session, AckMessages("group", "topic", (reply.messages[0].receipt_handle,)))


def offsets(world: World, session: TestSession) -> None:
    for number, topic in enumerate(("one", "two", "three")):
        world.execute(session, SendMessages(topic, (Message(b"a"),)))
        world.execute(session, UpdateConsumerOffset(f"group{number}", topic, 0, number))


def delays(world: World, session: TestSession) -> None:
    result = world.execute(session, SendMessages("topic", (Message(b"a"),))).results[0]
    world.execute(session, SendBack("group", result.physical_offset, delay_level=1))
    world.advance(1.5)


def states(world: World) -> dict[str, Callable[[], Iterable[bytes]]]:
    backend = world.backend
    return {
        "offsets": backend.offsets.snapshot,
        "delays": backend.delays.snapshot,
        "timers": backend.timers.snapshot,
        "transactions": backend.transactions.snapshot,
        "pops": backend.popping.state.snapshot,
    }


WORK = {"offsets": offsets, "delays": delays, "timers": timers, "transactions": transactions, "pops": pops}


@pytest.mark.parametrize("name", WORK)
def test_what_happens_later_is_not_in_it(name: str) -> None:
    world = World()
    session = world.session()
    WORK[name](world, session)
    snapshot = states(world)[name]
    expected = list(snapshot())
    assert expected
    taken = iter(snapshot())
    for work in WORK.values():
        work(world, session)
    assert list(taken) == expected
    assert list(snapshot()) != expected


def test_the_pieces_of_many_in_flight_messages_are_small() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("topic", tuple(Message(b"x", queue_id=0) for _ in range(5000))))
    taken = 0
    while taken < 5000:
        reply = world.execute(session, ReceiveMessages("group", "topic", max_messages=1000))
        taken += len(reply.messages)
        assert reply.messages
    assert len(list(world.backend.popping.state.snapshot())) >= 2
    again = world.crash()
    (message,) = again.execute(
        again.session(), SendMessages("topic", (Message(b"last", queue_id=0),))
    ).results
    found = again.execute(again.session(), ReceiveMessages("group", "topic"))
    assert [stored_message.body(one.message) for one in found.messages] == [b"last"]
    assert message.queue_offset == 5000
