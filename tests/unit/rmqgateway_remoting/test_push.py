"""Events as requests to the client."""

from __future__ import annotations

import pytest

from rmqgateway.events import (
    CheckTransaction,
    ConsumeMessageDirectly,
    Event,
    LiteTopicUnsubscribed,
    OffsetsAsked,
    OffsetsReset,
    ReplyArrived,
)
from rmqgateway.message import MessageQueue
from rmqgateway.wire import stored_message
from rmqgateway.wire.fastjson import parse_fastjson
from rmqgateway_remoting.convert_base import Peer
from rmqgateway_remoting.push import push_of
from tests.unit.rmqgateway_remoting.fakes import Client

HOST = bytes([10, 1, 2, 3, 0, 0, 0x26, 0x94])
MESSAGE = bytes(stored_message.encode(b"T", 0, b"body", store_host=bytes([1, 2, 3, 4, 0, 0, 0, 9])))


@pytest.fixture()
def peer() -> Peer:
    return Client().protocol._peer


def test_a_check_carries_what_the_answer_needs(peer: Peer) -> None:
    push = push_of(CheckTransaction("P", MESSAGE, "TX", "", 7, 255), peer)
    assert push is not None and (push.code, push.oneway, push.relay_id) == (39, True, None)
    assert push.ext_fields == {
        "topic": "T",
        "tranStateTableOffset": "7",
        "commitLogOffset": "255",
        "msgId": "TX",
        "transactionId": "TX",
        "offsetMsgId": "0A0102030000269400000000000000FF",
    }
    assert stored_message.decode(push.body).store_host == HOST


def test_reset_offsets_in_the_clients_dialect(peer: Peer) -> None:
    event = OffsetsReset("G", "T", -1, True, ((MessageQueue("T", "b", 1), 7),))
    push = push_of(event, peer)
    assert push is not None and push.code == 220
    assert push.ext_fields == {"topic": "T", "group": "G", "timestamp": "-1", "isForce": "true"}
    assert push.body == b'{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}}'
    peer.language = "CPP"
    listed = push_of(event, peer)
    assert listed is not None
    assert parse_fastjson(listed.body)["offsetTable"][0]["offset"] == 7


def test_questions_have_a_relay(peer: Peer) -> None:
    for event, code in (
        (OffsetsAsked(5, "G", "T"), 221),
        (ConsumeMessageDirectly(5, "G", "c", MESSAGE, "b"), 309),
    ):
        push = push_of(event, peer)
        assert push is not None
        assert (push.code, push.oneway, push.relay_id) == (code, False, 5)


def test_a_reply_is_carried_to_who_asked(peer: Peer) -> None:
    push = push_of(ReplyArrived("R", b"answer", b"CORRELATION_ID\x01x\x02", "9.9.9.9:1", 3, 4, producer_group="P"), peer)
    assert push is not None and push.code == 326 and push.body == b"answer"
    assert push.ext_fields["properties"] == "CORRELATION_ID\x01x\x02"
    assert push.ext_fields["bornHost"] == "9.9.9.9:1"
    assert push.ext_fields["storeHost"] == "10.1.2.3:9876"
    # Fields that ReplyMessageRequestHeader demands.
    for field in ("producerGroup", "topic", "defaultTopic", "queueId", "sysFlag", "bornTimestamp", "flag"):
        assert field in push.ext_fields


def test_lite_topics_and_the_unknown(peer: Peer) -> None:
    peer.client_id = "c@1"
    push = push_of(LiteTopicUnsubscribed("G", "L"), peer)
    assert push is not None
    assert push.ext_fields == {"consumerGroup": "G", "liteTopic": "L", "clientId": "c@1"}
    assert push_of(Event(), peer) is None
