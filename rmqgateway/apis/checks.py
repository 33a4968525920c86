"""What the API asks of names and values before they become commands; codes and texts of the proxy's ``GrpcValidator``."""

from __future__ import annotations

import re
from functools import lru_cache

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.refusals import Refusal
from rmqgateway.namespaces import wrap
from rmqgateway.wire.system_topics import is_system_topic

__all__ = [
    "check_group",
    "check_invisible",
    "check_key",
    "check_lite_topic",
    "check_message_group",
    "check_tag",
    "check_topic",
    "group_name",
    "has_control",
    "topic_name",
]

#: Java's ISO control characters.
has_control = re.compile("[\x00-\x1f\x7f-\x9f]").search
_valid = re.compile(r"[%|a-zA-Z0-9_-]+").fullmatch
_valid_lite = re.compile(r"[a-zA-Z0-9_-]+").fullmatch
_MAX_TOPIC = 127
_MAX_GROUP = 120
_SYSTEM_GROUP = "CID_RMQ_SYS_"


def check_topic(name: str) -> None:
    """:raise Refusal: ILLEGAL_TOPIC."""
    if not name or name.isspace():
        raise Refusal(v2.ILLEGAL_TOPIC, "The specified topic is blank")
    if len(name) > _MAX_TOPIC:
        raise Refusal(v2.ILLEGAL_TOPIC, f"The specified topic is longer than topic max length {_MAX_TOPIC}.")
    if not _valid(name):
        raise Refusal(
            v2.ILLEGAL_TOPIC,
            f"The specified topic[{name}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
        )
    if is_system_topic(name):
        raise Refusal(v2.ILLEGAL_TOPIC, "cannot access system topic")


def check_group(name: str) -> None:
    """:raise Refusal: ILLEGAL_CONSUMER_GROUP."""
    if not name or name.isspace():
        raise Refusal(v2.ILLEGAL_CONSUMER_GROUP, "the specified group is blank")
    if len(name) > _MAX_GROUP:
        raise Refusal(
            v2.ILLEGAL_CONSUMER_GROUP, f"the specified group is longer than group max length {_MAX_GROUP}."
        )
    if not _valid(name):
        raise Refusal(
            v2.ILLEGAL_CONSUMER_GROUP,
            f"the specified group[{name}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
        )
    if name.startswith(_SYSTEM_GROUP):
        raise Refusal(v2.ILLEGAL_CONSUMER_GROUP, "cannot use system consumer group")


def topic_name(resource: v2.Resource, namespace: str = "") -> str:
    """The checked inner name of a topic. :param namespace: of the request, where the resource names none."""
    return _inner_topic(resource.resource_namespace or namespace, resource.name)


def group_name(resource: v2.Resource, namespace: str = "") -> str:
    """The checked inner name of a consumer group."""
    return _inner_group(resource.resource_namespace or namespace, resource.name)


# A client sends the same few names again and again.
@lru_cache(4096)
def _inner_topic(namespace: str, name: str) -> str:
    _check_namespace(namespace, v2.ILLEGAL_TOPIC)
    check_topic(name)
    return wrap(namespace, name)


@lru_cache(4096)
def _inner_group(namespace: str, name: str) -> str:
    _check_namespace(namespace, v2.ILLEGAL_CONSUMER_GROUP)
    check_group(name)
    return wrap(namespace, name)


def _check_namespace(namespace: str, code: v2.Code) -> None:
    if namespace and not _valid_lite(namespace):
        raise Refusal(code, "the namespace of a resource allows only ^[a-zA-Z0-9_-]+$")


def check_tag(tag: str) -> None:
    """:raise Refusal: ILLEGAL_MESSAGE_TAG."""
    if tag.isspace():
        raise Refusal(v2.ILLEGAL_MESSAGE_TAG, "tag cannot be the char sequence of whitespace")
    if "|" in tag:
        raise Refusal(v2.ILLEGAL_MESSAGE_TAG, "tag cannot contain '|'")
    if has_control(tag):
        raise Refusal(v2.ILLEGAL_MESSAGE_TAG, "tag cannot contain control character")


def check_key(key: str) -> None:
    """:raise Refusal: ILLEGAL_MESSAGE_KEY."""
    if key.isspace():
        raise Refusal(v2.ILLEGAL_MESSAGE_KEY, "key cannot be the char sequence of whitespace")
    if has_control(key):
        raise Refusal(v2.ILLEGAL_MESSAGE_KEY, "key cannot contain control character")


def check_message_group(group: str, limit: int) -> None:
    """:raise Refusal: ILLEGAL_MESSAGE_GROUP."""
    if group.isspace():
        raise Refusal(v2.ILLEGAL_MESSAGE_GROUP, "message group cannot be the char sequence of whitespace")
    if len(group.encode()) >= limit:
        raise Refusal(v2.ILLEGAL_MESSAGE_GROUP, f"message group exceed the max size {limit}")
    if has_control(group):
        raise Refusal(v2.ILLEGAL_MESSAGE_GROUP, "message group cannot contain control character")


def check_lite_topic(name: str, limit: int) -> None:
    """:raise Refusal: ILLEGAL_LITE_TOPIC."""
    if not name or name.isspace():
        raise Refusal(v2.ILLEGAL_LITE_TOPIC, "lite topic cannot be the char sequence of whitespace")
    if len(name.encode()) > limit:
        raise Refusal(v2.ILLEGAL_LITE_TOPIC, f"lite topic exceed the max size {limit}")
    if not _valid_lite(name):
        raise Refusal(
            v2.ILLEGAL_LITE_TOPIC,
            "lite topic can only contain alphanumeric characters, hyphens(-), and underscores(_)",
        )


def check_invisible(duration_ms: int, least: int, most: int) -> None:
    """:raise Refusal: ILLEGAL_INVISIBLE_TIME."""
    if duration_ms < least:
        raise Refusal(v2.ILLEGAL_INVISIBLE_TIME, f"the invisibleTime is too small. min is {least}")
    if duration_ms > most:
        raise Refusal(v2.ILLEGAL_INVISIBLE_TIME, f"the invisibleTime is too large. max is {most}")
