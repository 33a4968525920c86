"""Names inside and outside a namespace."""

from __future__ import annotations

import pytest

from rmqgateway.commands import (
    ConsumeProgress,
    Consumer,
    GetCluster,
    GetLiteTopicInformation,
    GroupConfig,
    GroupConfigs,
    GroupForbidden,
    Heartbeat,
    LiteTopicInformation,
    LockedQueues,
    LockQueues,
    Names,
    PulledMessages,
    PullStatus,
    QueueProgress,
    ReceivedMessage,
    ReceivedMessages,
    SendMessages,
    Subscribed,
    TopicConfig,
    TopicConfigs,
    UpdateGroupForbidden,
)
from rmqgateway.events import CheckTransaction, ConsumersChanged, OffsetsReset
from rmqgateway.message import TAG_ALL, Message, MessageQueue
from rmqgateway.namespaces import enter, leave, unwrap, wrap
from rmqgateway.wire import stored_message


@pytest.mark.parametrize(
    ("plain", "inner"),
    [
        ("T", "ns%T"),
        ("%RETRY%G", "%RETRY%ns%G"),
        ("%DLQ%G", "%DLQ%ns%G"),
        ("TBW102", "TBW102"),
        ("rmq_sys_x", "rmq_sys_x"),
        ("CLIENT_INNER_PRODUCER", "CLIENT_INNER_PRODUCER"),
        ("", ""),
    ],
)
def test_names(plain: str, inner: str) -> None:
    assert wrap("ns", plain) == inner
    assert wrap("ns", inner) == inner
    assert unwrap("ns", inner) == plain
    assert wrap("", plain) == plain == unwrap("", plain)


def test_names_of_others_stay() -> None:
    assert unwrap("ns", "other%T") == "other%T"


def test_commands_enter() -> None:
    send = enter("ns", SendMessages("T", (Message(b"x", b"PGROUP\x01P\x02"), Message(b"y", b"KEYS\x01k\x02")), "P"))
    assert isinstance(send, SendMessages)
    assert (send.topic, send.producer_group) == ("ns%T", "ns%P")
    assert [item.properties for item in send.messages] == [b"PGROUP\x01ns%P\x02", b"KEYS\x01k\x02"]
    beat = enter("ns", Heartbeat("c", producers=("P",), consumers=(Consumer("G", subscriptions=(Subscribed("T", TAG_ALL),)),)))
    assert isinstance(beat, Heartbeat)
    assert beat.producers == ("ns%P",) and beat.client_id == "c"
    assert (beat.consumers[0].group, beat.consumers[0].subscriptions[0].topic) == ("ns%G", "ns%T")
    lock = enter("ns", LockQueues("G", "c", (MessageQueue("T", "b", 0),)))
    assert lock == LockQueues("ns%G", "c", (MessageQueue("ns%T", "b", 0),))
    assert enter("ns", GetCluster()) == GetCluster()


def test_messages_leave_with_the_names_that_clients_know() -> None:
    stored = bytes(
        stored_message.encode(
            b"%RETRY%ns%G", 1, b"x", b"RETRY_TOPIC\x01ns%T\x02KEYS\x01k\x02", queue_offset=7, store_timestamp=5
        )
    )
    pulled = leave("ns", PulledMessages(PullStatus.FOUND, 1, 0, 1, (stored,)))
    message = stored_message.decode(pulled.messages[0])
    assert message.topic == b"%RETRY%G"
    assert sorted(message.properties.split(b"\x02")) == [b"", b"KEYS\x01k", b"RETRY_TOPIC\x01T"]
    assert (message.queue_offset, message.store_timestamp, message.body) == (7, 5, b"x")
    received = leave("ns", ReceivedMessages((ReceivedMessage(stored, "h", 1),)))
    assert received.messages[0].message == pulled.messages[0]
    check = leave("ns", CheckTransaction("ns%P", stored, "t", "m", 1, 2))
    assert (check.producer_group, check.message) == ("P", pulled.messages[0])


def test_replies_and_events_leave() -> None:
    queue = MessageQueue("ns%T", "b", 0)
    assert leave("ns", LockedQueues((queue,))) == LockedQueues((MessageQueue("T", "b", 0),))
    progress = leave("ns", ConsumeProgress((QueueProgress(queue, 1, 2, 3, 4),)))
    assert progress.queues[0].queue.topic == "T"
    assert leave("ns", ConsumersChanged("ns%G")) == ConsumersChanged("G")
    reset = leave("ns", OffsetsReset("ns%G", "ns%T", 1, True, ((queue, 5),)))
    assert (reset.group, reset.topic, reset.offsets[0][0].topic) == ("G", "T", "T")
    topics = leave("ns", TopicConfigs((TopicConfig("ns%T"), TopicConfig("other%T"), TopicConfig("TBW102"))))
    assert [topic.name for topic in topics.topics] == ["T", "TBW102"]
    assert leave("ns", Names(("ns%A", "B"))) == Names(("A",))
    assert leave("ns", None) is None


def test_what_groups_may_not_read_enters_and_leaves() -> None:
    assert enter("ns", UpdateGroupForbidden("G", "T", False)) == UpdateGroupForbidden("ns%G", "ns%T", False)
    assert leave("ns", GroupForbidden("ns%G", "ns%T", False)) == GroupForbidden("G", "T", False)
    listed = GroupConfigs((GroupConfig("ns%G"), GroupConfig("H")), 1, {"ns%G": ("ns%T", "U"), "H": ("T",)})
    assert leave("ns", listed) == GroupConfigs((GroupConfig("G"),), 1, {"G": ("T", "U")})


def test_who_wants_a_lite_topic_leaves_with_the_names_of_the_namespace() -> None:
    assert enter("ns", GetLiteTopicInformation("T", "lite")) == GetLiteTopicInformation("ns%T", "lite")
    told = LiteTopicInformation("ns%T", "lite", (("client", "ns%G"),))
    assert leave("ns", told) == LiteTopicInformation("T", "lite", (("client", "G"),))
