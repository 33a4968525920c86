"""Names of topics, groups and clients."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local import names
from rmqgateway.errors import Code, GatewayError


@pytest.mark.parametrize(
    "topic", ["a", "%RETRY%group", "%RETRY%group+topic", "x|y-z_%9", "t" * 127, "%DLQ%" + "g" * 250]
)
def test_good_topics(topic: str) -> None:
    names.check_topic(topic)


@pytest.mark.parametrize(
    "topic", ["", " ", "t" * 128, "a b", "主题", "a+b", "a/b", "..", "%RETRY%" + "g" * 249, "a\n", "a\x00"]
)
def test_bad_topics(topic: str) -> None:
    with pytest.raises(GatewayError) as caught:
        names.check_topic(topic)
    assert caught.value.code is Code.BAD_TOPIC_NAME


@pytest.mark.parametrize("group", ["", "  ", "g" * 121, "a.b", "组", "g\n"])
def test_bad_groups(group: str) -> None:
    with pytest.raises(GatewayError) as caught:
        names.check_group(group)
    assert caught.value.code is Code.BAD_GROUP_NAME


def test_the_longest_group_is_good() -> None:
    names.check_group("g" * 120)


@pytest.mark.parametrize("client_id", ["", " ", "c" * 256])
def test_bad_client_ids(client_id: str) -> None:
    with pytest.raises(GatewayError) as caught:
        names.check_client_id(client_id)
    assert caught.value.code is Code.BAD_CLIENT_ID


def test_an_error_shows_a_long_name_in_part_only() -> None:
    with pytest.raises(GatewayError) as caught:
        names.check_topic("t" * 100_000)
    assert len(caught.value.message) < 1000


def test_what_names_mean() -> None:
    assert names.retry_topic("g") == "%RETRY%g"
    assert names.dead_letter_topic("g") == "%DLQ%g"
    assert names.pop_retry_topic("g", "t") == "%RETRY%g+t"
    assert names.pop_retry_topic("g", "t", 1) == "%RETRY%g_t"
    assert names.group_of_retry_topic("%RETRY%g+t") == names.group_of_retry_topic("%RETRY%g") == "g"
    assert (
        names.is_system_topic("TBW102")
        and names.is_system_topic("rmq_sys_x")
        and not names.is_system_topic("t")
    )
    assert names.is_system_group("TOOLS_CONSUMER") and names.is_system_group("CID_RMQ_SYS_X")
    assert names.is_forbidden_to_send("SCHEDULE_TOPIC_XXXX") and not names.is_forbidden_to_send("TBW102")
