"""What consumers that receive and acknowledge are promised, through every front-end that can say it."""

from __future__ import annotations

from rmqgateway.errors import Code
from tests.contract.driver import Driver, Got, Stage, refused
from tests.contract.drivers import scenario

TOPIC, GROUP = "orders", "group"


def bodies(messages: list[Got]) -> list[str]:
    return sorted(message.body for message in messages)


def now(client: Driver, invisible_ms: int = 60_000, **more: bool) -> list[Got]:
    return client.receive_for(GROUP, TOPIC, invisible_ms, **more).answer()


@scenario("send", "receive", "ack")
def test_groups_do_not_disturb_each_other(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    (message,) = client.receive("one", TOPIC)
    client.ack("one", TOPIC, message)
    assert bodies(client.receive("two", TOPIC)) == ["a"]


@scenario("send", "receive")
def test_members_of_a_group_share_the_messages(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    for number in range(10):
        first.send(TOPIC, str(number))
    found = first.receive(GROUP, TOPIC, max_messages=4)
    rest = second.receive(GROUP, TOPIC)
    assert len(found) == 4
    assert sorted(bodies(found) + bodies(rest)) == [str(number) for number in range(10)]


@scenario("send", "receive", "ack", "release")
def test_what_is_given_back_comes_again_after_its_delay_with_the_next_attempt(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    for attempt in (1, 2, 3):
        (message,) = client.receive(GROUP, TOPIC)
        assert message.attempt == attempt
        client.release(GROUP, TOPIC, message, 5000)
        stage.advance(4.9)
        assert client.receive(GROUP, TOPIC) == []
        stage.advance(0.2)
    (message,) = client.receive(GROUP, TOPIC)
    client.ack(GROUP, TOPIC, message)
    stage.advance(100, 1)
    assert client.receive(GROUP, TOPIC) == []


@scenario("send", "receive", "dead_letter")
def test_a_rejected_message_goes_to_the_dead_letters(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a", properties={"colour": "blue"})
    (message,) = client.receive(GROUP, TOPIC)
    client.dead_letter(GROUP, TOPIC, message)
    stage.advance(100, 1)
    assert client.receive(GROUP, TOPIC) == []
    (buried,) = client.receive("burial", f"%DLQ%{GROUP}")
    assert (buried.body, buried.properties["colour"]) == ("a", "blue")


@scenario("send", "receive", "release")
def test_attempts_end_in_the_dead_letters(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    attempts = 0
    for _ in range(30):
        found = client.receive(GROUP, TOPIC)
        if not found:
            break
        attempts += 1
        client.release(GROUP, TOPIC, found[0], 1000)
        stage.advance(1.1)
    assert attempts == 17, "once, and the 16 retries of a group that nobody configured"
    assert client.receive(GROUP, TOPIC) == []
    assert bodies(client.receive("burial", f"%DLQ%{GROUP}")) == ["a"]


@scenario("send", "receive", "ack")
def test_what_was_received_or_acknowledged_outlives_a_crash(stage: Stage) -> None:
    client = stage.client()
    for name in ("a", "b", "c"):
        client.send(TOPIC, name)
    found = {message.body: message for message in client.receive(GROUP, TOPIC)}
    client.ack(GROUP, TOPIC, found["a"])
    stage.crash()
    stage.advance(70, 0.5)
    assert bodies(stage.client().receive(GROUP, TOPIC)) == ["b", "c"]


@scenario("send", "receive", "ack")
def test_what_was_acknowledged_stays_so_after_a_restart(stage: Stage) -> None:
    client = stage.client()
    for name in ("a", "b", "c"):
        client.send(TOPIC, name)
    for message in client.receive(GROUP, TOPIC):
        client.ack(GROUP, TOPIC, message)
    stage.restart()
    stage.advance(70, 0.5)
    assert stage.client().receive(GROUP, TOPIC) == []
    assert bodies(stage.client().receive("other", TOPIC)) == ["a", "b", "c"]


@scenario("send", "receive_for")
def test_a_received_message_is_invisible_for_its_time(stage: Stage) -> None:
    client, other = stage.client(), stage.client()
    client.send(TOPIC, "a")
    assert bodies(now(client, 10_000)) == ["a"]
    stage.advance(9.9)
    assert now(other) == []
    stage.advance(0.2)
    (again,) = now(other)
    assert (again.body, again.attempt) == ("a", 2)


@scenario("send", "receive_for", "ack")
def test_a_receive_waits_and_wakes_at_the_append(stage: Stage) -> None:
    client, producer = stage.client(), stage.client()
    producer.send(TOPIC, "first")
    client.ack(GROUP, TOPIC, now(client)[0])
    waiting = client.receive_for(GROUP, TOPIC, 60_000, wait_ms=15_000)
    stage.advance(5)
    assert not waiting.done
    producer.send(TOPIC, "second")
    assert bodies(waiting.answer()) == ["second"]


@scenario("send", "receive_for")
def test_a_receive_that_finds_nothing_ends_empty_in_time(stage: Stage) -> None:
    client = stage.client()
    client.send("other", "x")
    client.send(TOPIC, "a")
    now(client)
    waiting = client.receive_for(GROUP, TOPIC, 60_000, wait_ms=5000)
    stage.advance(4.8)
    assert not waiting.done
    stage.advance(0.4)
    assert waiting.answer() == []


@scenario("send", "receive_for", "ack")
def test_a_waiting_client_that_goes_takes_no_message_along(stage: Stage) -> None:
    client, other = stage.client(), stage.client()
    client.send(TOPIC, "first")
    client.ack(GROUP, TOPIC, now(client)[0])
    client.receive_for(GROUP, TOPIC, 60_000, wait_ms=15_000)
    client.close()
    other.send(TOPIC, "second")
    (message,) = now(other)
    assert (message.body, message.attempt) == ("second", 1)


@scenario("send", "receive_for", "change_invisible", "ack")
def test_changing_the_time_makes_the_old_handle_void(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    (message,) = now(client, 10_000)
    stage.advance(9)
    changed = client.change_invisible(GROUP, TOPIC, message, 30_000)
    stage.advance(25, 0.5)
    assert now(client) == [], "it counts from the change"
    refused(client, Code.RECEIPT_HANDLE_EXPIRED, client.ack, GROUP, TOPIC, message)
    client.ack(GROUP, TOPIC, changed)
    stage.advance(60, 0.5)
    assert now(client) == []


@scenario("send", "receive_for", "ack")
def test_acknowledging_twice_is_fine_and_an_outdated_handle_is_not(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    (first,) = now(client, 10_000)
    stage.advance(10.2)
    (second,) = now(client, 10_000)
    assert second.handle != first.handle
    refused(client, Code.RECEIPT_HANDLE_EXPIRED, client.ack, GROUP, TOPIC, first)
    client.ack(GROUP, TOPIC, second)
    client.ack(GROUP, TOPIC, second)
    stage.advance(30, 0.5)
    assert now(client) == []


@scenario("send", "receive_for", "ack")
def test_handles_are_valid_after_a_crash(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    (message,) = now(client, 30_000)
    stage.crash()
    client = stage.client()
    assert now(client) == [], "it is still in flight"
    client.ack(GROUP, TOPIC, message)
    stage.advance(60, 0.5)
    assert now(client) == []


@scenario("receive_for", "ack", "change_invisible")
def test_in_order_a_queue_waits_for_its_first_message(stage: Stage) -> None:
    client = stage.client()
    for number in range(3):
        stage.operator().send_to(TOPIC, str(number), 0)
    found = client.receive_for(GROUP, TOPIC, 10_000, fifo=True, max_messages=1).answer()
    assert bodies(found) == ["0"]
    assert now(client, 10_000, fifo=True) == [], "blocked behind the first"
    changed = client.change_invisible(GROUP, TOPIC, found[0], 1000)
    stage.advance(1.1)
    (again,) = client.receive_for(GROUP, TOPIC, 10_000, fifo=True, max_messages=1).answer()
    assert (again.body, again.attempt) == ("0", 2)
    refused(client, Code.RECEIPT_HANDLE_EXPIRED, client.ack, GROUP, TOPIC, changed)
    client.ack(GROUP, TOPIC, again)
    assert [message.body for message in now(client, 10_000, fifo=True)] == ["1", "2"]


@scenario("send", "receive_for")
def test_times_that_are_none(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    for invisible_ms in (0, -5, 13 * 3600 * 1000):
        refused(client, Code.BAD_INVISIBLE_DURATION, client.receive_for, GROUP, TOPIC, invisible_ms, form=True)


@scenario("send", "receive_for", "change_invisible", "ack")
def test_handles_that_are_none(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    (message,) = now(client)
    parts = message.handle.split(" ")
    never = Got("", {}, handle=" ".join([*parts[:7], "999"]))
    refused(client, Code.BAD_RECEIPT_HANDLE, client.ack, GROUP, TOPIC, never)
    foreign = Got("", {}, handle=" ".join([*parts[:5], "elsewhere", *parts[6:]]))
    refused(client, Code.BAD_RECEIPT_HANDLE, client.change_invisible, GROUP, TOPIC, foreign, 1000)


@scenario("send", "receive_for", auto_create_groups=False)
def test_groups_are_not_created_when_that_is_off(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "a")
    refused(client, Code.GROUP_NOT_FOUND, client.receive_for, GROUP, TOPIC, 60_000)
