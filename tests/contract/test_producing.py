"""What producers are promised, through every front-end that can say it."""

from __future__ import annotations

from rmqgateway.errors import Code
from tests.contract.driver import Driver, Stage, refused
from tests.contract.drivers import scenario

TOPIC, GROUP = "orders", "group"


def take(client: Driver, topic: str = TOPIC, group: str = GROUP) -> list[str]:
    """Receive and acknowledge what is there."""
    found = client.receive(group, topic)
    for message in found:
        client.ack(group, topic, message)
    return [message.body for message in found]


@scenario("send", "receive", "ack")
def test_what_is_sent_is_received_once(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "中文 one")
    client.send(TOPIC, "two")
    assert sorted(take(client)) == ["two", "中文 one"]
    stage.advance(100, 1)
    assert take(client) == []
    assert take(stage.client()) == []


@scenario("send", "receive")
def test_tags_keys_and_properties_arrive(stage: Stage) -> None:
    client = stage.client()
    colour = "blue 蓝" if ":" in client.not_in_properties else "blue: 蓝"
    client.send(TOPIC, "x", tag="A", keys="k1 k2", properties={"colour": colour})
    (message,) = client.receive(GROUP, TOPIC)
    assert (message.properties["TAGS"], message.properties["KEYS"]) == ("A", "k1 k2")
    assert message.properties["colour"] == colour
    assert message.properties["UNIQ_KEY"]
    assert message.attempt == 1


@scenario("send", "receive")
def test_tags_choose(stage: Stage) -> None:
    client = stage.client()
    for tag in ("A", "B", "C"):
        client.send(TOPIC, tag, tag=tag)
    assert sorted(message.body for message in client.receive(GROUP, TOPIC, tags="A || C")) == ["A", "C"]
    assert [message.body for message in client.receive("another", TOPIC, tags="B")] == ["B"]


@scenario("send", "send_to", "offsets", "queues")
def test_each_message_says_where_it_went(stage: Stage) -> None:
    client = stage.client()
    places = [client.send(TOPIC, str(number)) for number in range(20)]
    assert len({(place.queue_id, place.queue_offset) for place in places}) == 20
    if client.can("view"):
        assert len({place.physical_offset for place in places}) == 20
    ends = [client.offsets(TOPIC, queue_id) for queue_id in range(client.queues(TOPIC))]
    assert sum(end for _, end in ends) == 20
    assert {start for start, _ in ends} == {0}


@scenario("send_to", "pull")
def test_the_sender_may_choose_the_queue(stage: Stage) -> None:
    client = stage.client()
    for number in range(3):
        assert client.send_to(TOPIC, str(number), 2).queue_offset == number
    assert client.pull(GROUP, TOPIC, 2, 0).answer().bodies == ["0", "1", "2"]
    refused(client, Code.BAD_REQUEST, client.send_to, TOPIC, "x", 500)


@scenario("send_batch", "pull")
def test_a_batch_is_in_one_queue_in_order(stage: Stage) -> None:
    client = stage.client()
    first = client.send_batch(TOPIC, ["a", "b", "c"])
    assert first.queue_offset == 0
    found = client.pull(GROUP, TOPIC, first.queue_id, 0).answer()
    assert found.bodies == ["a", "b", "c"]
    assert len({message.properties["UNIQ_KEY"] for message in found.messages}) == 3


@scenario("send", "find_by_key")
def test_messages_are_found_by_key_and_unique_key(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "one", keys="red apple")
    client.send(TOPIC, "two", keys="red")
    client.send("other", "three", keys="red")
    assert sorted(message.body for message in client.find_by_key(TOPIC, "red")) == ["one", "two"]
    assert [message.body for message in client.find_by_key(TOPIC, "apple")] == ["one"]
    assert client.find_by_key(TOPIC, "green") == []


@scenario("send", "view")
def test_a_message_is_found_where_it_was_stored(stage: Stage) -> None:
    client = stage.client()
    places = [client.send(TOPIC, str(number)) for number in range(3)]
    assert client.view(places[1]).body == "1"
    stage.restart()
    assert stage.client().view(places[1]).body == "1"


@scenario("send")
def test_names_that_are_none(stage: Stage) -> None:
    for name in ("a b", "x" * 128, *(() if stage.kind.names_in_paths else ("a/b",))):
        client = stage.client()
        refused(client, Code.BAD_TOPIC_NAME, client.send, name, "x")


@scenario("send", "receive")
def test_group_names_that_are_none(stage: Stage) -> None:
    stage.client().send(TOPIC, "kept")
    for name in ("a b", "x" * 256, "中文", *(() if stage.kind.names_in_paths else ("a/b",))):
        client = stage.client()
        refused(client, Code.BAD_GROUP_NAME, client.receive, name, TOPIC, form=len(name) > 255)
    assert [message.body for message in stage.client().receive(GROUP, TOPIC)] == ["kept"]


@scenario("send", max_message_size=100)
def test_bodies_have_a_limit(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "x" * 100)
    refused(client, Code.MESSAGE_TOO_LARGE, client.send, TOPIC, "x" * 101)


@scenario("send", auto_create_topics=False)
def test_topics_are_not_created_when_that_is_off(stage: Stage) -> None:
    client = stage.client()
    refused(client, Code.TOPIC_NOT_FOUND, client.send, "unheard", "x")


@scenario("send", "receive")
def test_a_delayed_message_comes_at_its_time_and_not_before(stage: Stage) -> None:
    client = stage.client()
    client.send(TOPIC, "later", delay_ms=10_000)
    client.send(TOPIC, "now")
    assert [message.body for message in client.receive(GROUP, TOPIC)] == ["now"]
    stage.advance(9.9)
    assert client.receive(GROUP, TOPIC) == []
    stage.advance(1.2)
    assert [message.body for message in client.receive(GROUP, TOPIC)] == ["later"]


@scenario("send", "receive")
def test_a_delayed_message_outlives_a_crash(stage: Stage) -> None:
    stage.client().send(TOPIC, "later", delay_ms=10_000)
    stage.advance(5)
    stage.crash()
    client = stage.client()
    stage.advance(4)
    assert client.receive(GROUP, TOPIC) == []
    stage.advance(2)
    assert [message.body for message in client.receive(GROUP, TOPIC)] == ["later"]


@scenario("send_at_level", "receive")
def test_delay_levels(stage: Stage) -> None:
    client = stage.client()
    client.send_at_level(TOPIC, "5 s", 2)
    client.send_at_level(TOPIC, "1 s", 1)
    stage.advance(0.95)
    assert client.receive(GROUP, TOPIC) == []
    stage.advance(0.3)
    assert [message.body for message in client.receive(GROUP, TOPIC)] == ["1 s"]
    stage.advance(3.5)
    assert client.receive(GROUP, TOPIC) == []
    stage.advance(0.6)
    assert [message.body for message in client.receive(GROUP, TOPIC)] == ["5 s"]


@scenario("send_timed", "recall", "receive")
def test_a_message_for_a_time_can_be_recalled_before_it(stage: Stage) -> None:
    client = stage.client()
    at = stage.world.wall_ms + 20_000
    kept = client.send_timed(TOPIC, "kept", at)
    recalled = client.send_timed(TOPIC, "recalled", at)
    assert kept.recall_handle and kept.recall_handle != recalled.recall_handle
    assert client.recall(TOPIC, recalled.recall_handle)
    stage.advance(19.5, 0.5)
    assert client.receive(GROUP, TOPIC) == []
    stage.advance(2)
    assert [message.body for message in client.receive(GROUP, TOPIC)] == ["kept"]


# Transactions.

PRODUCERS = "producers"


@scenario("send_half", "end_transaction", "receive", "ack")
def test_a_transaction_is_visible_only_when_committed(stage: Stage) -> None:
    client = stage.client()
    committed = client.send_half(TOPIC, "committed", PRODUCERS)
    rolled_back = client.send_half(TOPIC, "rolled back", PRODUCERS)
    assert take(client) == []
    client.end_transaction(TOPIC, committed, PRODUCERS, True)
    client.end_transaction(TOPIC, rolled_back, PRODUCERS, False)
    assert take(client) == ["committed"]
    stage.advance(100, 1)
    assert take(client) == []


@scenario("send_half", "end_transaction", "receive", "ack")
def test_a_transaction_can_be_ended_after_a_crash(stage: Stage) -> None:
    half = stage.client().send_half(TOPIC, "half", PRODUCERS)
    stage.crash()
    client = stage.client()
    assert take(client) == []
    client.end_transaction(TOPIC, half, PRODUCERS, True)
    assert take(client) == ["half"]
    stage.crash()
    assert take(stage.client()) == []


@scenario("send_half", "end_transaction", "checks", "answer_for", "receive", "ack")
def test_the_producer_is_asked_about_what_it_left_undecided(stage: Stage) -> None:
    client = stage.client()
    client.answer_for("producer", PRODUCERS, TOPIC)
    half = client.send_half(TOPIC, "half", PRODUCERS)
    client.end_transaction(TOPIC, half, PRODUCERS, None)
    stage.advance(5)
    assert client.checks() == []
    stage.advance(2)
    (check,) = client.checks()
    assert (check.topic, check.body) == (TOPIC, "half")
    stage.advance(31, 0.5)
    assert len(client.checks()) == 1, "again, until it answers"
    client.end_transaction(TOPIC, half, PRODUCERS, True)
    assert take(client) == ["half"]
    stage.advance(100, 1)
    assert client.checks() == []


@scenario("send_half", "end_transaction", "checks", "answer_for", "receive", "ack")
def test_another_member_is_asked_when_the_first_is_gone(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    first.answer_for("first", PRODUCERS, TOPIC)
    half = first.send_half(TOPIC, "half", PRODUCERS)
    first.close()
    second.answer_for("second", PRODUCERS, TOPIC)
    stage.advance(7)
    assert [check.body for check in second.checks()] == ["half"]
    second.end_transaction(TOPIC, half, PRODUCERS, True)
    assert take(second) == ["half"]


@scenario("send_half", "checks", "answer_for", "receive", "ack", transaction_check_max=2, transaction_interval_s=10.0)
def test_checks_end_and_the_message_is_given_up(stage: Stage) -> None:
    client = stage.client()
    client.answer_for("producer", PRODUCERS, TOPIC)
    client.send_half(TOPIC, "half", PRODUCERS)
    checks = 0
    for _ in range(8):
        stage.advance(7, 0.5)
        checks += len(client.checks())
    assert checks == 2
    assert take(client) == []
    assert take(stage.operator(), "TRANS_CHECK_MAX_TIME_TOPIC", "operators") == ["half"]
