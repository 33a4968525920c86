"""Every request code of RocketMQ, by name, and which way it goes: raw, rewritten, or refused. Nothing is forgotten."""

from __future__ import annotations

import pytest

from rmqgateway.backend.cluster import rewriting
from rmqgateway.backend.cluster.passthrough_link import _TO_BROKERS
from rmqgateway.backend.cluster.passthrough_names import _NAMES
from rmqgateway.backend.cluster.rewriting_table import REFUSED_FOR, REQUESTS_OF_BROKERS, TABLE, Way
from rmqgateway.wire.request_codes import RequestCode

#: What a reader of the table would look for; the table itself says it by code.
REWRITTEN = {
    rewriting.rewrite_send_reply: "SEND_MESSAGE SEND_MESSAGE_V2 SEND_BATCH_MESSAGE SEND_REPLY_MESSAGE SEND_REPLY_MESSAGE_V2",
    rewriting.rewrite_messages: "PULL_MESSAGE LITE_PULL_MESSAGE QUERY_MESSAGE VIEW_MESSAGE_BY_ID POP_MESSAGE "
    "POP_LITE_MESSAGE PEEK_MESSAGE",
    rewriting.rewrite_clients: "GET_CONSUMER_CONNECTION_LIST GET_PRODUCER_CONNECTION_LIST GET_ALL_PRODUCER_INFO",
    rewriting.rewrite_broker_address: "GET_BROKER_CONSUME_STATS QUERY_TOPICS_BY_CONSUMER",
    rewriting.rewrite_addresses: "GET_ROUTEINFO_BY_TOPIC GET_BROKER_CLUSTER_INFO GET_BROKER_MEMBER_GROUP "
    "GET_SYSTEM_TOPIC_LIST_FROM_NS GET_ALL_TOPIC_LIST_FROM_NAMESERVER GET_TOPICS_BY_CLUSTER GET_UNIT_TOPIC_LIST "
    "GET_HAS_UNIT_SUB_TOPIC_LIST GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST",
}
PUSHED = {
    "CHECK_TRANSACTION_STATE": rewriting.rewrite_check,
    "CONSUME_MESSAGE_DIRECTLY": rewriting.rewrite_pushed_message,
    "PUSH_REPLY_MESSAGE_TO_CLIENT": rewriting.rewrite_pushed_reply,
    "NOTIFY_CONSUMER_IDS_CHANGED": None,
    "RESET_CONSUMER_CLIENT_OFFSET": None,
    "GET_CONSUMER_STATUS_FROM_CLIENT": None,
    "GET_CONSUMER_RUNNING_INFO": None,
    "NOTIFY_UNSUBSCRIBE_LITE": None,
}


@pytest.mark.parametrize("code", RequestCode, ids=lambda code: code.name)
def test_each_request_code_goes_one_way(code: RequestCode) -> None:
    rule = TABLE[code]
    assert (rule.way is Way.REFUSED) == bool(rule.why) == (code in REFUSED_FOR)
    expected = [rewrite for rewrite, names in REWRITTEN.items() if code.name in names.split()]
    assert [rule.reply] == (expected or [None])
    assert (code in REQUESTS_OF_BROKERS) == (code.name in PUSHED)
    assert rule.pushed == PUSHED.get(code.name)
    assert (code in _TO_BROKERS) == (rule.way in (Way.BROKER, Way.BOTH))
    assert (code in _NAMES) == (rule.way in (Way.NAMES, Way.CHANGES_NAMES))


def test_nothing_else_is_in_the_table() -> None:
    assert set(TABLE) == set(RequestCode)


@pytest.mark.parametrize(
    "name", ["UPDATE_BROKER_CONFIG", "UPDATE_NAMESRV_CONFIG", "UPDATE_CONTROLLER_CONFIG"]
)
def test_no_configuration_is_written_from_afar(name: str) -> None:
    """CVE-2023-33246 and CVE-2023-37582 came in by these."""
    assert TABLE[RequestCode[name]].way is Way.REFUSED
    assert "configuration" in TABLE[RequestCode[name]].why


@pytest.mark.parametrize("name", ["REGISTER_BROKER", "BROKER_HEARTBEAT", "UNREGISTER_BROKER"])
def test_a_client_registers_no_broker(name: str) -> None:
    assert TABLE[RequestCode[name]].way is Way.REFUSED
