"""The topics that brokers have for themselves. Source: ``TopicValidator`` of Apache RocketMQ 5.5.0."""

from __future__ import annotations

__all__ = ["SYSTEM_TOPICS", "is_system_topic"]

#: Apart from those that begin with ``rmq_sys_``, and those named after the cluster and the broker.
SYSTEM_TOPICS = frozenset(
    {
        "BenchmarkTest",
        "CHECKPOINT_TOPIC",
        "OFFSET_MOVED_EVENT",
        "RMQ_SYS_TRACE_TOPIC",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC",
        "SCHEDULE_TOPIC_XXXX",
        "SELF_TEST_TOPIC",
        "TBW102",
        "TRANS_CHECK_MAX_TIME_TOPIC",
    }
)


def is_system_topic(topic: str) -> bool:
    """Whether the topic is one of RocketMQ's own (those named after cluster and broker are not told here)."""
    return topic in SYSTEM_TOPICS or topic.startswith("rmq_sys_")
