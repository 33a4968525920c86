"""Which names of topics and groups are allowed, and which ones mean something to RocketMQ.

Source: ``TopicValidator``, ``MixAll`` and ``KeyBuilder`` of 5.5.0.
"""

from __future__ import annotations

import re

from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.lite_topics import LITE_PREFIX, lite_name, lite_parent, lite_topic
from rmqgateway.wire.system_topics import is_system_topic

__all__ = [
    "AUTO_CREATE_TOPIC",
    "DLQ_PREFIX",
    "HALF_TOPIC",
    "LITE_PREFIX",
    "MAX_GROUP_SIZE",
    "MAX_TOPIC_SIZE",
    "OP_HALF_TOPIC",
    "RETRY_PREFIX",
    "SCHEDULE_TOPIC",
    "TRACE_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "WHEEL_TIMER_TOPIC",
    "check_client_id",
    "check_group",
    "check_topic",
    "dead_letter_topic",
    "group_of_retry_topic",
    "is_forbidden_to_send",
    "is_retry_or_dead_letter",
    "is_system_group",
    "is_system_topic",
    "lite_name",
    "lite_parent",
    "lite_topic",
    "pop_retry_topic",
    "reply_topic",
    "retry_topic",
]

RETRY_PREFIX = "%RETRY%"
DLQ_PREFIX = "%DLQ%"
AUTO_CREATE_TOPIC = "TBW102"
SCHEDULE_TOPIC = "SCHEDULE_TOPIC_XXXX"
HALF_TOPIC = "RMQ_SYS_TRANS_HALF_TOPIC"
OP_HALF_TOPIC = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
TRACE_TOPIC = "RMQ_SYS_TRACE_TOPIC"
TRANS_CHECK_MAX_TIME_TOPIC = "TRANS_CHECK_MAX_TIME_TOPIC"
WHEEL_TIMER_TOPIC = "rmq_sys_wheel_timer"
SELF_TEST_TOPIC = "SELF_TEST_TOPIC"
BENCHMARK_TOPIC = "BenchmarkTest"
OFFSET_MOVED_TOPIC = "OFFSET_MOVED_EVENT"

MAX_TOPIC_SIZE = 127
MAX_GROUP_SIZE = 120
MAX_RETRY_TOPIC_SIZE = 255
MAX_CLIENT_ID_SIZE = 255

_FORBIDDEN_TO_SEND = frozenset(
    {
        SCHEDULE_TOPIC,
        HALF_TOPIC,
        OP_HALF_TOPIC,
        TRANS_CHECK_MAX_TIME_TOPIC,
        SELF_TEST_TOPIC,
        OFFSET_MOVED_TOPIC,
    }
) | {WHEEL_TIMER_TOPIC}
#: Groups of RocketMQ's own tools and consumers (``MixAll.isSysConsumerGroup`` and its table of predefined groups).
_SYSTEM_GROUPS = frozenset(
    {
        "DEFAULT_CONSUMER",
        "DEFAULT_PRODUCER",
        "TOOLS_CONSUMER",
        "SCHEDULE_CONSUMER",
        "FILTERSRV_CONSUMER",
        "__MONITOR_CONSUMER",
        "CLIENT_INNER_PRODUCER",
        "SELF_TEST_P_GROUP",
        "SELF_TEST_C_GROUP",
        "CID_ONS-HTTP-PROXY",
        "CID_ONSAPI_PERMISSION",
        "CID_ONSAPI_OWNER",
        "CID_ONSAPI_PULL",
    }
)
_SYSTEM_GROUP_PREFIX = "CID_RMQ_SYS_"

_VALID = re.compile(r"[%|a-zA-Z0-9_-]+").fullmatch
_VALID_LITE = re.compile(r"[a-zA-Z0-9_-]+").fullmatch
#: Pop retry topics of version 2 are ``%RETRY%group+topic``.
_VALID_RETRY = re.compile(r"[%|a-zA-Z0-9_+-]+").fullmatch


def check_topic(topic: str) -> None:
    """:raise GatewayError: BAD_TOPIC_NAME, saying which rule it breaks."""
    if is_retry_or_dead_letter(topic):
        valid, limit = _VALID_RETRY, MAX_RETRY_TOPIC_SIZE
    else:
        valid, limit = _VALID, MAX_TOPIC_SIZE
    if not topic or topic.isspace():
        raise GatewayError(Code.BAD_TOPIC_NAME, "expected a topic name, got none")
    if not valid(topic):
        raise GatewayError(
            Code.BAD_TOPIC_NAME, f"topic {topic[:300]!r}: expected only characters of ^[%|a-zA-Z0-9_-]+$"
        )
    if len(topic) > limit:
        raise GatewayError(
            Code.BAD_TOPIC_NAME,
            f"topic {topic[:300]!r}: expected at most {limit} characters, got {len(topic)}",
        )


def check_group(group: str) -> None:
    """:raise GatewayError: BAD_GROUP_NAME, saying which rule it breaks."""
    if not group or group.isspace():
        raise GatewayError(Code.BAD_GROUP_NAME, "expected a consumer group name, got none")
    if not _VALID(group):
        raise GatewayError(
            Code.BAD_GROUP_NAME, f"group {group[:300]!r}: expected only characters of ^[%|a-zA-Z0-9_-]+$"
        )
    if len(group) > MAX_GROUP_SIZE:
        raise GatewayError(
            Code.BAD_GROUP_NAME,
            f"group {group[:300]!r}: expected at most {MAX_GROUP_SIZE} characters, got {len(group)}",
        )


def check_client_id(client_id: str) -> None:
    """:raise GatewayError: BAD_CLIENT_ID."""
    if not client_id or client_id.isspace():
        raise GatewayError(Code.BAD_CLIENT_ID, "expected a client id, got none")
    if len(client_id) > MAX_CLIENT_ID_SIZE:
        raise GatewayError(
            Code.BAD_CLIENT_ID,
            f"expected a client id of at most {MAX_CLIENT_ID_SIZE} characters, got {len(client_id)}",
        )


def is_retry_or_dead_letter(topic: str) -> bool:
    """Whether the topic holds a group's retries or dead letters."""
    return topic.startswith((RETRY_PREFIX, DLQ_PREFIX))


def is_forbidden_to_send(topic: str) -> bool:
    """Whether clients may not send to the topic."""
    return topic in _FORBIDDEN_TO_SEND


def is_system_group(group: str) -> bool:
    """Whether the group is one of RocketMQ's own tools."""
    return group in _SYSTEM_GROUPS or group.startswith(_SYSTEM_GROUP_PREFIX)


def retry_topic(group: str) -> str:
    """Where pulled messages of a group wait for another attempt."""
    return RETRY_PREFIX + group


def pop_retry_topic(group: str, topic: str, version: int = 2) -> str:
    """Where received messages of a group and topic wait for another attempt; version 1 as written by older brokers."""
    return f"{RETRY_PREFIX}{group}{'+' if version == 2 else '_'}{topic}"


def dead_letter_topic(group: str) -> str:
    """Where a group's messages go whose attempts are used up."""
    return DLQ_PREFIX + group


def is_lite_name(name: str) -> bool:
    """Whether a lite topic may be called so."""
    return _VALID_LITE(name) is not None


def reply_topic(cluster_name: str) -> str:
    """The topic of reply messages."""
    return cluster_name + "_REPLY_TOPIC"


def group_of_retry_topic(topic: str) -> str:
    """The group of a retry topic (of version 2 up to the ``+``); the topic itself if it is none."""
    if not topic.startswith(RETRY_PREFIX):
        return topic
    return topic[len(RETRY_PREFIX) :].partition("+")[0]
