"""Scenarios of the contract suite as they are before a real broker, whose clock nobody moves.

They promise the same as those of their name, which look at tenths of a second of a fake clock: not before its time, and then
within `PATIENCE`. What is not before a time is measured, since a machine may be busy: nothing is asked to be early.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from rmqgateway.errors import Code
from tests.contract.driver import Driver, Got, Refused, refused
from tests.contract.test_pulling import fill

__all__ = ["COUNTERPARTS"]

TOPIC, GROUP, PRODUCERS = "orders", "group", "producers"
#: Seconds for what must come.
PATIENCE = 60.0
#: Seconds by which a broker's timers may be early: they round down (``TimerMessageStore``, timerPrecisionMs).
EARLY = 1.1

_numbers = itertools.count()


def _until(stage: Any, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What `look` finds, as soon as it finds something."""
    found: list[Any] = []

    def done() -> bool:
        result = look()
        if result:
            found.append(result)
        return bool(found)

    assert stage.world.until(done, patience), f"nothing has come within {patience} s"
    return found[0]


def _bodies(messages: list[Got]) -> list[str]:
    return sorted(message.body for message in messages)


def _next(stage: Any, client: Driver, topic: str = TOPIC, group: str = GROUP) -> Got:
    """The next message, which is alone."""
    (message,) = _until(stage, lambda: client.receive(group, topic))
    assert isinstance(message, Got)
    return message


def _received(stage: Any, client: Driver, invisible_ms: int, **more: Any) -> Got:
    """The same with an invisible time of the client's choice."""
    (message,) = _until(stage, lambda: client.receive_for(GROUP, TOPIC, invisible_ms, **more).answer())
    assert isinstance(message, Got)
    return message


def _take(client: Driver, topic: str = TOPIC, group: str = GROUP) -> list[str]:
    found = client.receive(group, topic)
    for message in found:
        client.ack(group, topic, message)
    return [message.body for message in found]


def _pulled(stage: Any, client: Driver, topic: str, offset: int) -> Got:
    """The message at an offset of a topic that may not be there yet."""

    def look() -> list[Got]:
        try:
            return client.pull(GROUP, topic, 0, offset).answer().messages
        except Refused:
            return []

    (message,) = _until(stage, look)
    assert isinstance(message, Got)
    return message


# Delays.


def a_delayed_message_comes_at_its_time_and_not_before(stage: Any) -> None:
    client = stage.client()
    began = time.monotonic()
    client.send(TOPIC, "later", delay_ms=10_000)
    client.send(TOPIC, "now")
    assert _next(stage, client).body == "now"
    assert _next(stage, client).body == "later"
    assert time.monotonic() - began > 10 - EARLY


def a_delayed_message_outlives_a_crash(stage: Any) -> None:
    began = time.monotonic()
    stage.client().send(TOPIC, "later", delay_ms=10_000)
    stage.crash()
    assert _next(stage, stage.client()).body == "later"
    assert time.monotonic() - began > 10 - EARLY


def delay_levels(stage: Any) -> None:
    """Each level of this broker is a second."""
    client = stage.client()
    began = time.monotonic()
    client.send_at_level(TOPIC, "level 2", 2)
    client.send_at_level(TOPIC, "level 1", 1)
    found: list[str] = []
    while len(found) < 2:
        found += _until(stage, lambda: _bodies(client.receive(GROUP, TOPIC)))
    assert sorted(found) == ["level 1", "level 2"]
    assert time.monotonic() - began > 1


def a_message_for_a_time_can_be_recalled_before_it(stage: Any) -> None:
    client = stage.client()
    at = stage.world.wall_ms + 20_000
    kept = client.send_timed(TOPIC, "kept", at)
    recalled = client.send_timed(TOPIC, "recalled", at)
    assert kept.recall_handle and kept.recall_handle != recalled.recall_handle
    assert client.recall(TOPIC, recalled.recall_handle)
    assert _next(stage, client).body == "kept"
    assert stage.world.wall_ms > at - EARLY * 1000
    stage.advance(5)
    assert client.receive(GROUP, TOPIC) == []


# Transactions: this broker asks after 10 s, then every 2.


def the_producer_is_asked_about_what_it_left_undecided(stage: Any) -> None:
    client = stage.client()
    client.answer_for("producer", PRODUCERS, TOPIC)
    began = time.monotonic()
    half = client.send_half(TOPIC, "half", PRODUCERS)
    if client.name != "remoting":  # a broker does not answer that it is not known yet
        client.end_transaction(TOPIC, half, PRODUCERS, None)
    first = _until(stage, client.checks)
    assert time.monotonic() - began > 8
    assert {(check.topic, check.body) for check in first} == {(TOPIC, "half")}
    assert _until(stage, client.checks), "again, until it answers"
    client.end_transaction(TOPIC, half, PRODUCERS, True)
    assert _until(stage, lambda: _take(client)) == ["half"]
    for _ in range(6):
        stage.advance(10)
        if not client.checks():
            return  # what came before were questions of before the commit, which a broker notes every few seconds
    raise AssertionError("it is asked about for a minute after it was committed")


def another_member_is_asked_when_the_first_is_gone(stage: Any) -> None:
    first, second = stage.client(), stage.client()
    first.answer_for("first", PRODUCERS, TOPIC)
    half = first.send_half(TOPIC, "half", PRODUCERS)
    first.close()
    second.answer_for("second", PRODUCERS, TOPIC)
    checks = _until(stage, second.checks)
    assert {check.body for check in checks} == {"half"}
    second.end_transaction(TOPIC, half, PRODUCERS, True)
    assert _until(stage, lambda: _take(second)) == ["half"]


def checks_end_and_the_message_is_given_up(stage: Any) -> None:
    """After 15 times. All that were given up are in one topic of the broker."""
    client = stage.client()
    client.answer_for("producer", PRODUCERS, TOPIC)
    number = next(_numbers)
    body = f"half {number}"
    client.send_half(TOPIC, body, PRODUCERS)
    asked = 0
    operator = stage.operator()

    def given_up() -> bool:
        nonlocal asked
        asked += len(client.checks())
        try:
            return body in _take(operator, "TRANS_CHECK_MAX_TIME_TOPIC", f"operators{number}")
        except Refused:
            return False  # the broker makes the topic when it gives up the first

    _until(stage, given_up, 150)
    assert 1 <= asked <= 15
    assert _take(client) == []


# Popping.


def what_is_given_back_comes_again_after_its_delay_with_the_next_attempt(stage: Any) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    message = _next(stage, client)
    for attempt in (2, 3):
        began = time.monotonic()
        client.release(GROUP, TOPIC, message, 5000)
        message = _next(stage, client)
        assert time.monotonic() - began > 5 - EARLY
        assert message.attempt == attempt
    client.ack(GROUP, TOPIC, message)
    stage.advance(20)
    assert client.receive(GROUP, TOPIC) == []


def attempts_end_in_the_dead_letters(stage: Any) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    for attempt in range(1, 18):
        message = _next(stage, client)
        assert message.attempt == attempt
        client.release(GROUP, TOPIC, message, 1000)

    def buried() -> list[str]:
        assert client.receive(GROUP, TOPIC) == [], "once, and the 16 retries of a group that nobody configured"
        try:
            return _bodies(client.receive("burial", f"%DLQ%{GROUP}"))
        except Refused:
            return []  # the broker makes the topic for the first of them

    assert _until(stage, buried) == ["a"]


def what_was_received_or_acknowledged_outlives_a_crash(stage: Any) -> None:
    client = stage.client()
    for name in ("a", "b", "c"):
        client.send(TOPIC, name)
    found: dict[str, Got] = {}
    while len(found) < 3:
        found.update({message.body: message for message in _until(stage, lambda: client.receive(GROUP, TOPIC))})
    client.ack(GROUP, TOPIC, found["a"])
    stage.crash()
    client = stage.client()
    again: set[str] = set()
    while len(again) < 2:
        again.update(_until(stage, lambda: _bodies(client.receive(GROUP, TOPIC)), 90))
    assert again == {"b", "c"}
    stage.advance(5)
    assert client.receive(GROUP, TOPIC) == []


def a_received_message_is_invisible_for_its_time(stage: Any) -> None:
    client, other = stage.client(), stage.client()
    client.send(TOPIC, "a")
    began = time.monotonic()
    assert _received(stage, client, 10_000).body == "a"
    again = _received(stage, other, 60_000)
    assert time.monotonic() - began > 10 - EARLY
    assert (again.body, again.attempt) == ("a", 2)


def a_receive_that_finds_nothing_ends_empty_in_time(stage: Any) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    _received(stage, client, 60_000)
    began = time.monotonic()
    waiting = client.receive_for(GROUP, TOPIC, 60_000, wait_ms=5000)
    assert waiting.answer() == []
    assert 5 - EARLY < time.monotonic() - began < 5 + PATIENCE


def changing_the_time_makes_the_old_handle_void(stage: Any) -> None:
    """The old one is not refused before its time, but settles nothing."""
    client = stage.client()
    client.send(TOPIC, "a")
    message = _received(stage, client, 30_000)
    began = time.monotonic()
    changed = client.change_invisible(GROUP, TOPIC, message, 10_000)
    client.ack(GROUP, TOPIC, message)
    again = _received(stage, client, 60_000)
    assert time.monotonic() - began > 10 - EARLY, "it counts from the change"
    assert again.body == "a" and again.handle != changed.handle
    refused(client, Code.RECEIPT_HANDLE_EXPIRED, client.ack, GROUP, TOPIC, changed)
    client.ack(GROUP, TOPIC, again)


def acknowledging_twice_is_fine_and_an_outdated_handle_is_not(stage: Any) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    first = _received(stage, client, 10_000)
    second = _received(stage, client, 30_000)
    assert second.handle != first.handle
    refused(client, Code.RECEIPT_HANDLE_EXPIRED, client.ack, GROUP, TOPIC, first)
    client.ack(GROUP, TOPIC, second)
    client.ack(GROUP, TOPIC, second)
    stage.advance(30)
    assert client.receive_for(GROUP, TOPIC, 10_000).answer() == []


def in_order_a_queue_waits_for_its_first_message(stage: Any) -> None:
    client = stage.client()
    for number in range(3):
        stage.operator().send_to(TOPIC, str(number), 0)
    first = _received(stage, client, 30_000, fifo=True, max_messages=1)
    assert first.body == "0"
    assert client.receive_for(GROUP, TOPIC, 10_000, fifo=True).answer() == [], "blocked behind the first"
    changed = client.change_invisible(GROUP, TOPIC, first, 2000)
    again = _received(stage, client, 30_000, fifo=True, max_messages=1)
    assert (again.body, again.attempt) == ("0", 2)
    refused(client, Code.RECEIPT_HANDLE_EXPIRED, client.ack, GROUP, TOPIC, changed)
    client.ack(GROUP, TOPIC, again)
    rest = _until(stage, lambda: client.receive_for(GROUP, TOPIC, 10_000, fifo=True).answer())
    assert [message.body for message in rest] == ["1", "2"]


# Pulling.


def a_pull_that_finds_nothing_ends_in_time(stage: Any) -> None:
    client = stage.client()
    fill(client, "a")
    began = time.monotonic()
    waiting = client.pull(GROUP, TOPIC, 0, 1, wait_ms=5000)
    assert waiting.answer().status == "NO_NEW_MESSAGE"
    assert 5 - EARLY < time.monotonic() - began < 5 + PATIENCE


def offsets_by_time(stage: Any) -> None:
    client = stage.client()
    times = []
    for body in ("a", "b", "c"):
        times.append(stage.world.wall_ms)
        fill(client, body)
        stage.advance(3)
    after = stage.world.wall_ms
    assert client.offsets(TOPIC, 0) == (0, 3)
    assert [client.offset_at(TOPIC, 0, at) for at in times] == [0, 1, 2]
    assert client.offset_at(TOPIC, 0, times[0] - 1000) == 0
    assert client.offset_at(TOPIC, 0, after) in (2, 3)


def queues_are_locked_by_one_and_free_again_in_time(stage: Any) -> None:
    first, second = stage.client(), stage.client()
    fill(first, "a")
    began = time.monotonic()
    assert first.lock(GROUP, "first", TOPIC, [0, 1]) == [0, 1]
    assert second.lock(GROUP, "second", TOPIC, [1, 2]) == [2]
    assert second.lock("another", "second", TOPIC, [0]) == [0], "of another group"
    stage.advance(30)
    assert first.lock(GROUP, "first", TOPIC, [0]) == [0], "renewed"
    assert _until(stage, lambda: second.lock(GROUP, "second", TOPIC, [0, 1])) == [1]
    assert time.monotonic() - began > 60 - EARLY
    first.unlock(GROUP, "first", TOPIC, [0])
    assert second.lock(GROUP, "second", TOPIC, [0]) == [0]
    second.unlock(GROUP, "stranger", TOPIC, [0])
    assert first.lock(GROUP, "first", TOPIC, [0]) == [], "only who holds it gives it up"


def what_is_sent_back_comes_by_the_ladder_in_the_retry_topic(stage: Any) -> None:
    """Each step of this broker's ladder is a second."""
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    fill(client, "a")
    message = _pulled(stage, client, TOPIC, 0)
    for times in (1, 2, 3):
        began = time.monotonic()
        client.send_back(GROUP, TOPIC, message)
        message = _pulled(stage, client, f"%RETRY%{GROUP}", times - 1)
        assert time.monotonic() - began > 0.9
        assert (message.body, message.reconsume_times) == ("a", times)
        assert message.properties["RETRY_TOPIC"] == TOPIC


def a_level_of_its_own_and_the_dead_letters_at_once(stage: Any) -> None:
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    for body in ("a", "b"):
        fill(client, body)
    first, second = client.pull(GROUP, TOPIC, 0, 0).answer().messages
    client.send_back(GROUP, TOPIC, first, 1)
    client.send_back(GROUP, TOPIC, second, -1)
    assert _pulled(stage, client, f"%RETRY%{GROUP}", 0).body == "a"
    assert _pulled(stage, client, f"%DLQ%{GROUP}", 0).body == "b"


def after_the_last_attempt_it_is_a_dead_letter(stage: Any) -> None:
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    fill(client, "a")
    message = _pulled(stage, client, TOPIC, 0)
    for times in range(16):
        client.heartbeat("client", GROUP, [TOPIC])
        client.send_back(GROUP, TOPIC, message, 1)
        message = _pulled(stage, client, f"%RETRY%{GROUP}", times)
    assert message.reconsume_times == 16
    client.send_back(GROUP, TOPIC, message, 1)
    assert _pulled(stage, client, f"%DLQ%{GROUP}", 0).body == "a"
    assert client.pull(GROUP, f"%RETRY%{GROUP}", 0, 16).answer().messages == []


# Limits.


def bodies_have_a_limit(stage: Any) -> None:
    """This broker's is 256 KB."""
    client = stage.client()
    client.send(TOPIC, "x" * (200 << 10))
    refused(client, Code.MESSAGE_TOO_LARGE, client.send, TOPIC, "x" * ((256 << 10) + 1))


#: By the scenario in whose place each is played.
COUNTERPARTS: dict[str, Callable[[Any], None]] = {
    f"test_{function.__name__}": function
    for function in (
        a_delayed_message_comes_at_its_time_and_not_before,
        a_delayed_message_outlives_a_crash,
        delay_levels,
        a_message_for_a_time_can_be_recalled_before_it,
        the_producer_is_asked_about_what_it_left_undecided,
        another_member_is_asked_when_the_first_is_gone,
        checks_end_and_the_message_is_given_up,
        what_is_given_back_comes_again_after_its_delay_with_the_next_attempt,
        attempts_end_in_the_dead_letters,
        what_was_received_or_acknowledged_outlives_a_crash,
        a_received_message_is_invisible_for_its_time,
        a_receive_that_finds_nothing_ends_empty_in_time,
        changing_the_time_makes_the_old_handle_void,
        acknowledging_twice_is_fine_and_an_outdated_handle_is_not,
        in_order_a_queue_waits_for_its_first_message,
        a_pull_that_finds_nothing_ends_in_time,
        offsets_by_time,
        queues_are_locked_by_one_and_free_again_in_time,
        what_is_sent_back_comes_by_the_ladder_in_the_retry_topic,
        a_level_of_its_own_and_the_dead_letters_at_once,
        after_the_last_attempt_it_is_a_dead_letter,
        bodies_have_a_limit,
    )
}
