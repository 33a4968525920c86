"""Which topics are the broker's own."""

from __future__ import annotations

import pytest

from rmqgateway.wire.system_topics import is_system_topic


@pytest.mark.parametrize("name", ["TBW102", "CHECKPOINT_TOPIC", "SCHEDULE_TOPIC_XXXX", "rmq_sys_wheel_timer"])
def test_the_brokers_own(name: str) -> None:
    assert is_system_topic(name)


@pytest.mark.parametrize("name", ["orders", "tbw102", "%RETRY%group", "RMQ_SYS_", ""])
def test_everybodys(name: str) -> None:
    assert not is_system_topic(name)
