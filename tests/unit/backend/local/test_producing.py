"""Sending: checks, queues, what is stored, when it is answered; retry topics; replies."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.administering import GroupConfig, TopicConfig
from rmqgateway.commands.clients import Heartbeat
from rmqgateway.commands.producing import SendMessages, SendReply, SendResult
from rmqgateway.commands.pulling import LockQueues, PullMessages
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import ReplyArrived
from rmqgateway.message import Message, MessageQueue, MessageType, Permission
from rmqgateway.testing import TestSession, World, result_of
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties, encode_properties


def properties(**named: str) -> bytes:
    return encode_properties(named)


def stored(
    world: World, session: TestSession, topic: str, queue_id: int = 0
) -> list[stored_message.StoredMessage]:
    reply = world.execute(session, PullMessages("reader", topic, queue_id, 0, max_messages=100))
    return [stored_message.decode(message) for message in reply.messages]


def refused(world: World, session: TestSession, command: SendMessages) -> Code:
    with pytest.raises(GatewayError) as caught:
        world.execute(session, command)
    return caught.value.code


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(world: World) -> TestSession:
    return world.session()


def test_what_is_stored(world: World, session: TestSession) -> None:
    sent = properties(UNIQ_KEY="U1", KEYS="k1 k2", TAGS="A", name="汉字")
    reply = world.execute(
        session, SendMessages("t", (Message("正文".encode(), sent, 2, 7, 1, 1234, 3),), "producers")
    )
    assert reply.results == (SendResult(2, 0, reply.results[0].physical_offset, "U1"),)
    (message,) = stored(world, session, "t", 2)
    assert message.topic == b"t" and message.queue_id == 2 and message.queue_offset == 0
    assert message.body == "正文".encode()
    assert message.properties == sent
    assert (message.flag, message.sys_flag, message.born_timestamp, message.reconsume_times) == (
        7,
        1,
        1234,
        3,
    )
    assert message.born_host == session.session.peer_bytes
    assert message.store_host == session.session.host_bytes
    assert message.store_timestamp == world.wall_ms
    assert message.physical_offset == reply.results[0].physical_offset


def test_both_ways_store_the_same(world: World, session: TestSession) -> None:
    """The short way of plain messages, and the general one (which `check_type` takes)."""
    sent = Message(b"b", properties(UNIQ_KEY="U1", KEYS="k", TAGS="A"), 1, 7, 1, 1234, 3)
    world.execute(session, SendMessages("t", (Message(b"first"),)))
    world.execute(session, SendMessages("t", (sent,)))
    world.execute(session, SendMessages("t", (sent,), check_type=True))
    short, general = stored(world, session, "t", 1)[-2:]
    general.queue_offset, general.physical_offset = short.queue_offset, short.physical_offset
    assert short == general


def test_nothing_is_answered_before_it_is_durable(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("t", (Message(b"0"),)))
    world.store.manual = True
    reply = world.start(session, SendMessages("t", (Message(b"1", properties(UNIQ_KEY="U"), 0),)))
    world.settle()
    assert not reply.called
    world.store.commit()
    assert result_of(reply).results[0].queue_id == 0


def test_a_failed_group_fails_the_send(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("t", (Message(b"0"),)))
    world.store.manual = True
    reply = world.start(session, SendMessages("t", (Message(b"1", properties(UNIQ_KEY="U"), 0),)))
    world.store.fail("I/O error")
    with pytest.raises(GatewayError) as caught:
        result_of(reply)
    assert caught.value.code is Code.STORE_FAILED
    assert world.backend.ready() == "I/O error"


def test_a_full_store_refuses(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("t", (Message(b"0"),)))
    world.store.is_full = True
    assert refused(world, session, SendMessages("t", (Message(b"1"),))) is Code.STORE_FULL


def test_cancelling_a_send_is_harmless(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("t", (Message(b"0", queue_id=0),)))
    reply = world.start(session, SendMessages("t", (Message(b"1", properties(UNIQ_KEY="U"), 0),)))
    reply.addErrback(lambda failure: None)
    reply.cancel()
    world.settle()
    assert len(stored(world, session, "t")) == 2


def test_without_a_queue_the_broker_chooses_in_turn(world: World, session: TestSession) -> None:
    queues = {
        world.execute(
            session, SendMessages("t", (Message(b"1", properties(UNIQ_KEY="U")),), default_queues=4)
        )
        .results[0]
        .queue_id
        for _ in range(8)
    }
    assert queues == {0, 1, 2, 3}


def test_a_unique_key_is_given_to_a_message_without(world: World, session: TestSession) -> None:
    reply = world.execute(session, SendMessages("t", (Message(b"1", queue_id=0), Message(b"2", queue_id=0))))
    keys = [result.unique_key for result in reply.results]
    assert len(set(keys)) == 2 and all(len(key) == 32 for key in keys)
    assert [
        decode_properties(message.properties)["UNIQ_KEY"] for message in stored(world, session, "t")
    ] == keys


def test_messages_are_found_by_their_keys(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("t", (Message(b"1", properties(UNIQ_KEY="U1", KEYS="a b"), 0),)))
    for key in (b"t#U1", b"t#a", b"t#b"):
        assert len(world.store.query_key(key, 0, 1 << 62, 10)) == 1
    assert world.store.query_key(b"t#a b", 0, 1 << 62, 10) == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Message(b"x" * 1001), Code.MESSAGE_TOO_LARGE),
        (Message(b"x" * 1001, properties(UNIQ_KEY="U")), Code.MESSAGE_TOO_LARGE),
        (Message(b"x", b"a\x01" + b"b" * 32_768), Code.PROPERTIES_TOO_LARGE),
        (Message(b"x", properties(UNIQ_KEY="U", a="b" * 32_768)), Code.PROPERTIES_TOO_LARGE),
        (Message(b"x", queue_id=8), Code.BAD_REQUEST),
        (Message(b"x", properties(UNIQ_KEY="U"), queue_id=8), Code.BAD_REQUEST),
        (Message(b"x", properties(UNIQ_KEY="U"), queue_id=0, flag=1 << 40), Code.BAD_MESSAGE),
        (Message(b"x", flag=1 << 40), Code.BAD_MESSAGE),
        (Message(b"x", properties(TIMER_DELAY_SEC="soon")), Code.BAD_DELIVERY_TIME),
        (Message(b"x", properties(TIMER_DELAY_SEC="99999999999999999999999")), Code.BAD_DELIVERY_TIME),
        (Message(b"x", properties(TIMER_DELAY_MS=str(100 * 86_400_000))), Code.BAD_DELIVERY_TIME),
    ],
)
def test_what_is_refused(message: Message, code: Code) -> None:
    world = World(LocalSettings(max_message_size=1000))
    session = world.session()
    assert refused(world, session, SendMessages("t", (message,))) is code
    # The same once the topic exists, and a good message goes through.
    world.execute(session, SendMessages("t", (Message(b"ok", queue_id=0),)))
    assert refused(world, session, SendMessages("t", (message,))) is code
    assert len(stored(world, session, "t")) == 1


def test_the_largest_message_is_taken() -> None:
    world = World(LocalSettings(max_message_size=1000))
    world.execute(world.session(), SendMessages("t", (Message(b"x" * 1000),)))


@pytest.mark.parametrize("topic", ["", "a b", "t" * 128])
def test_bad_names_are_refused(world: World, session: TestSession, topic: str) -> None:
    assert refused(world, session, SendMessages(topic, (Message(b"1"),))) is Code.BAD_TOPIC_NAME


def test_no_messages_is_an_error(world: World, session: TestSession) -> None:
    assert refused(world, session, SendMessages("t", ())) is Code.BAD_MESSAGE


def test_the_systems_topics_take_nothing_from_clients(world: World, session: TestSession) -> None:
    for topic in ("SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "rmq_sys_wheel_timer"):
        assert refused(world, session, SendMessages(topic, (Message(b"1"),))) is Code.TOPIC_NOT_WRITABLE


def test_a_topic_without_permission_takes_nothing(world: World, session: TestSession) -> None:
    world.backend.topics.create([TopicConfig("t", permission=Permission.READ)])
    world.settle()
    assert refused(world, session, SendMessages("t", (Message(b"1"),))) is Code.TOPIC_NOT_WRITABLE


def test_all_or_none(world: World, session: TestSession) -> None:
    good = Message(b"1", queue_id=0)
    world.execute(session, SendMessages("t", (good,)))
    for bad in (Message(b"x" * (4 << 20) + b"x"), Message(b"x", properties(TIMER_DELAY_SEC="soon"))):
        with pytest.raises(GatewayError):
            world.execute(session, SendMessages("t", (good, bad)))
    assert len(stored(world, session, "t")) == 1


def test_a_batch_goes_to_one_queue_in_order(world: World, session: TestSession) -> None:
    messages = tuple(Message(str(number).encode(), queue_id=2 if number == 0 else -1) for number in range(5))
    reply = world.execute(session, SendMessages("t", messages, as_batch=True))
    assert [(result.queue_id, result.queue_offset) for result in reply.results] == [
        (2, number) for number in range(5)
    ]


def test_a_batch_holds_plain_messages_only(world: World, session: TestSession) -> None:
    messages = (Message(b"1"), Message(b"2", properties(DELAY="1")))
    assert refused(world, session, SendMessages("t", messages, as_batch=True)) is Code.BAD_MESSAGE


def test_types_are_checked_when_asked_for(world: World, session: TestSession) -> None:
    world.backend.topics.create([TopicConfig("fifo", message_type=MessageType.FIFO), TopicConfig("normal")])
    world.settle()
    ordered = Message(b"1", properties(UNIQ_KEY="U", __SHARDINGKEY="s"))
    plain = Message(b"1", properties(UNIQ_KEY="U"))
    world.execute(session, SendMessages("fifo", (ordered,), check_type=True))
    world.execute(session, SendMessages("normal", (plain,), check_type=True))
    assert refused(world, session, SendMessages("fifo", (plain,), check_type=True)) is Code.BAD_MESSAGE_TYPE
    assert (
        refused(world, session, SendMessages("normal", (ordered,), check_type=True)) is Code.BAD_MESSAGE_TYPE
    )
    prepared = Message(b"1", properties(UNIQ_KEY="U"), sys_flag=4)
    assert (
        refused(world, session, SendMessages("normal", (prepared,), check_type=True)) is Code.BAD_MESSAGE_TYPE
    )
    world.execute(session, SendMessages("normal", (ordered,)))  # Remoting's brokers check nothing
    context = session.context()
    checked = [
        SendMessages("normal", (message,), check_type=True) for message in (plain, plain, prepared, plain)
    ]
    assert len(world.backend.send_together(context, checked)[0]) == 2
    keyed = [SendMessages("fifo", (message,), check_type=True) for message in (ordered, ordered, plain)]
    assert len(world.backend.send_together(context, keyed)[0]) == 2


def test_a_client_cannot_forge_a_check_point(world: World, session: TestSession) -> None:
    world.execute(session, SendMessages("t", (Message(b"1", properties(UNIQ_KEY="U", POP_CK="x y"), 0),)))
    assert "POP_CK" not in decode_properties(stored(world, session, "t")[0].properties)


def test_a_consumer_sends_its_message_to_its_retry_topic(world: World, session: TestSession) -> None:
    sent = properties(UNIQ_KEY="U", DELAY="1", RETRY_TOPIC="t")
    world.execute(session, SendMessages("%RETRY%g", (Message(b"1", sent, reconsume_times=16),)))
    assert stored(world, session, "%RETRY%g") == []
    world.advance(1.1)
    (message,) = stored(world, session, "%RETRY%g")
    assert message.reconsume_times == 16


@pytest.mark.parametrize(("times", "own_limit"), [(17, -1), (3, 2)])
def test_with_its_attempts_used_up_it_goes_to_the_dead_letters(times: int, own_limit: int) -> None:
    world = World()
    session = world.session()
    sent = properties(UNIQ_KEY="U", DELAY="3", RETRY_TOPIC="t")
    command = SendMessages(
        "%RETRY%g", (Message(b"1", sent, reconsume_times=times),), max_reconsume_times=own_limit
    )
    reply = world.execute(session, command)
    (message,) = stored(world, session, "%DLQ%g")
    assert message.physical_offset == reply.results[0].physical_offset
    assert decode_properties(message.properties)["DELAY"] == "-1"


def test_a_group_that_consumes_in_order_sends_to_its_dead_letters_at_once(
    world: World, session: TestSession
) -> None:
    world.execute(session, LockQueues("g", "client", (MessageQueue("t", "rmqgateway", 0),)))
    world.execute(session, SendMessages("%RETRY%g", (Message(b"1", properties(UNIQ_KEY="U", DELAY="1")),)))
    assert len(stored(world, session, "%DLQ%g")) == 1


def test_the_retry_topic_of_an_unknown_group_is_refused() -> None:
    world = World(LocalSettings(auto_create_groups=False))
    world.backend.groups.create([GroupConfig("known"), GroupConfig("reader")])
    session = world.session()
    assert refused(world, session, SendMessages("%RETRY%g", (Message(b"1"),))) is Code.GROUP_NOT_FOUND
    world.execute(session, SendMessages("%RETRY%known", (Message(b"1"),)))


def test_a_reply_reaches_the_client_that_asked(world: World, session: TestSession) -> None:
    asker = world.session()
    world.execute(asker, Heartbeat("asker", producers=("requesters",)))
    world.execute(
        asker, SendMessages("t", (Message(b"?", properties(UNIQ_KEY="U", REPLY_TO_CLIENT="asker"), 0),))
    )
    (request,) = stored(world, session, "t")
    assert decode_properties(request.properties)["CLUSTER"] == "DefaultCluster"
    answer = Message(b"!", properties(REPLY_TO_CLIENT="asker", CORRELATION_ID="c"), born_timestamp=5)
    world.execute(session, SendReply("DefaultCluster_REPLY_TOPIC", answer, "repliers"))
    (event,) = [event for event in asker.events if isinstance(event, ReplyArrived)]
    assert (event.body, event.properties, event.born_timestamp) == (b"!", answer.properties, 5)
    asker.session.end()
    with pytest.raises(GatewayError) as caught:
        world.execute(session, SendReply("DefaultCluster_REPLY_TOPIC", answer))
    assert caught.value.code is Code.CLIENT_NOT_FOUND
    with pytest.raises(GatewayError) as caught:
        world.execute(session, SendReply("DefaultCluster_REPLY_TOPIC", Message(b"!")))
    assert caught.value.code is Code.BAD_MESSAGE


@pytest.mark.parametrize(
    "named",
    [{"TRAN_MSG": "true", "PGROUP": "p"}, {"DELAY": "3"}, {"TIMER_DELAY_SEC": "60"}, {"TIMER_DELAY_MS": "60000"}],
)
def test_what_is_stored_twice_may_have_a_limit_of_its_own(named: dict[str, str]) -> None:
    limited = World(LocalSettings(max_delayed_message_size=100))
    session = limited.session()
    large = SendMessages("t", (Message(b"x" * 101, properties(**named), 0),))
    assert refused(limited, session, large) is Code.MESSAGE_TOO_LARGE
    limited.execute(session, SendMessages("t", (Message(b"x" * 100, properties(**named), 0),)))
    limited.execute(session, SendMessages("t", (Message(b"x" * 101, properties(__SHARDINGKEY="a"), 0),)))
    free = World()
    free.execute(free.session(), large)
