"""What consumers that keep their own place are promised, through every front-end that can say it."""

from __future__ import annotations

from rmqgateway.errors import Code
from tests.contract.driver import Driver, Got, Stage, refused
from tests.contract.drivers import scenario

TOPIC, GROUP = "orders", "group"


def fill(client: Driver, *bodies: str, queue_id: int = 0) -> None:
    """Where a producer of the protocol cannot choose the queue, somebody else does."""
    producer = client if client.can("send_to") else client.helper()
    for body in bodies:
        producer.send_to(TOPIC, body, queue_id)


@scenario("pull")
def test_a_pull_goes_on_from_its_offset(stage: Stage) -> None:
    client = stage.client()
    fill(client, "a", "b", "c")
    found = client.pull(GROUP, TOPIC, 0, 1).answer()
    assert (found.status, found.bodies) == ("FOUND", ["b", "c"])
    assert (found.next_offset, found.min_offset, found.max_offset) == (3, 0, 3)
    assert [message.queue_offset for message in found.messages] == [1, 2]
    end = client.pull(GROUP, TOPIC, 0, 3).answer()
    assert (end.status, end.next_offset) == ("NO_NEW_MESSAGE", 3)
    beyond = client.pull(GROUP, TOPIC, 0, 100).answer()
    assert (beyond.status, beyond.next_offset) == ("OFFSET_MOVED", 3)


@scenario("pull")
def test_a_pull_waits_and_wakes_at_the_append(stage: Stage) -> None:
    client, producer = stage.client(), stage.client()
    fill(producer, "a")
    waiting = client.pull(GROUP, TOPIC, 0, 1, wait_ms=15_000)
    stage.advance(5)
    assert not waiting.done
    fill(producer, "elsewhere", queue_id=1)
    assert not waiting.done
    fill(producer, "b")
    assert waiting.answer().bodies == ["b"]


@scenario("pull")
def test_a_pull_that_finds_nothing_ends_in_time(stage: Stage) -> None:
    client = stage.client()
    fill(client, "a")
    waiting = client.pull(GROUP, TOPIC, 0, 1, wait_ms=5000)
    stage.advance(4.8)
    assert not waiting.done
    stage.advance(0.4)
    assert waiting.answer().status == "NO_NEW_MESSAGE"


@scenario("send", "pull", "queues")
def test_tags_choose_and_the_offset_passes_what_they_leave_out(stage: Stage) -> None:
    client = stage.client()
    for tag in ("A", "B", "A", "C") * 8:
        client.send(TOPIC, tag, tag=tag)
    found: list[str] = []
    for queue_id in range(client.queues(TOPIC)):
        offset = 0
        for _ in range(20):
            pulled = client.pull(GROUP, TOPIC, queue_id, offset, tags="B || C").answer()
            found += pulled.bodies
            offset = pulled.next_offset
            if pulled.status == "NO_NEW_MESSAGE":
                break
        assert offset == client.offsets(TOPIC, queue_id)[1]
    assert sorted(found) == ["B"] * 8 + ["C"] * 8


@scenario("commit", "committed")
def test_the_place_of_a_group_is_kept(stage: Stage) -> None:
    client = stage.client()
    fill(client, "a", "b", "c")
    assert client.committed(GROUP, TOPIC, 0) is None
    client.commit(GROUP, TOPIC, 0, 2)
    assert client.committed(GROUP, TOPIC, 0) == 2
    assert client.committed("another", TOPIC, 0) is None
    stage.restart()
    assert stage.client().committed(GROUP, TOPIC, 0) == 2
    stage.client().commit(GROUP, TOPIC, 0, 3)
    stage.advance(2)
    stage.crash()
    assert stage.client().committed(GROUP, TOPIC, 0) == 3


@scenario("offset_at", "offsets")
def test_offsets_by_time(stage: Stage) -> None:
    client = stage.client()
    times = []
    for body in ("a", "b", "c"):
        times.append(stage.world.wall_ms)
        fill(client, body)
        stage.advance(10, 0.5)
    assert client.offsets(TOPIC, 0) == (0, 3)
    assert [client.offset_at(TOPIC, 0, at) for at in times] == [0, 1, 2]
    assert client.offset_at(TOPIC, 0, times[0] - 1000) == 0
    assert client.offset_at(TOPIC, 0, times[1] + 1) == 2


@scenario("pull")
def test_queues_that_are_none(stage: Stage) -> None:
    client = stage.client()
    fill(client, "a")
    refused(client, Code.BAD_OFFSET, client.pull, GROUP, TOPIC, 99, 0)
    refused(client, Code.TOPIC_NOT_FOUND, client.pull, GROUP, "unheard", 0, 0)


@scenario("pull")
def test_what_was_answered_outlives_a_crash(stage: Stage) -> None:
    client = stage.client()
    fill(client, *"abcdef")
    stage.crash()
    client = stage.client()
    assert client.pull(GROUP, TOPIC, 0, 0).answer().bodies == list("abcdef")
    fill(client, "g")
    assert client.pull(GROUP, TOPIC, 0, 6).answer().bodies == ["g"]


def only(client: Driver, topic: str, offset: int) -> Got:
    (message,) = client.pull(GROUP, topic, 0, offset).answer().messages
    return message


@scenario("pull", "send_back", "heartbeat")
def test_what_is_sent_back_comes_by_the_ladder_in_the_retry_topic(stage: Stage) -> None:
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    fill(client, "a")
    message = only(client, TOPIC, 0)
    retry = f"%RETRY%{GROUP}"
    # RocketMQ's ladder begins at level 3: 10 s, 30 s, 1 min …
    for times, seconds in ((1, 10), (2, 30), (3, 60)):
        client.send_back(GROUP, TOPIC, message)
        stage.advance(seconds - 0.5, 0.5)
        assert client.pull(GROUP, retry, 0, times - 1).answer().messages == []
        stage.advance(1.5)
        message = only(client, retry, times - 1)
        assert (message.body, message.reconsume_times) == ("a", times)
        assert message.properties["RETRY_TOPIC"] == TOPIC


@scenario("pull", "send_back", "heartbeat")
def test_a_level_of_its_own_and_the_dead_letters_at_once(stage: Stage) -> None:
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    fill(client, "a", "b")
    first, second = client.pull(GROUP, TOPIC, 0, 0).answer().messages
    client.send_back(GROUP, TOPIC, first, 1)
    client.send_back(GROUP, TOPIC, second, -1)
    stage.advance(1.5)
    assert only(client, f"%RETRY%{GROUP}", 0).body == "a"
    assert only(client, f"%DLQ%{GROUP}", 0).body == "b"


@scenario("pull", "send_back", "heartbeat")
def test_after_the_last_attempt_it_is_a_dead_letter(stage: Stage) -> None:
    client = stage.client()
    client.heartbeat("client", GROUP, [TOPIC])
    fill(client, "a")
    message = only(client, TOPIC, 0)
    for times in range(16):
        client.send_back(GROUP, TOPIC, message, 1)
        stage.advance(1.5)
        message = only(client, f"%RETRY%{GROUP}", times)
    assert message.reconsume_times == 16
    client.send_back(GROUP, TOPIC, message, 1)
    stage.advance(1.5)
    assert client.pull(GROUP, f"%RETRY%{GROUP}", 0, 16).answer().messages == []
    assert only(client, f"%DLQ%{GROUP}", 0).body == "a"


@scenario("lock", "unlock")
def test_queues_are_locked_by_one_and_free_again_in_time(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    fill(first, "a")
    assert first.lock(GROUP, "first", TOPIC, [0, 1]) == [0, 1]
    assert second.lock(GROUP, "second", TOPIC, [1, 2]) == [2]
    assert second.lock("another", "second", TOPIC, [0]) == [0], "of another group"
    stage.advance(40, 0.5)
    assert first.lock(GROUP, "first", TOPIC, [0]) == [0], "renewed"
    stage.advance(30, 0.5)
    assert second.lock(GROUP, "second", TOPIC, [0, 1]) == [1]
    first.unlock(GROUP, "first", TOPIC, [0])
    assert second.lock(GROUP, "second", TOPIC, [0]) == [0]
    second.unlock(GROUP, "stranger", TOPIC, [0])
    assert first.lock(GROUP, "first", TOPIC, [0]) == [], "only who holds it gives it up"
