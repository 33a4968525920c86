"""What topics and consumer groups may be made of, whoever keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.backend.local import names
from rmqgateway.errors import Code, GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.commands.administering import GroupConfig, TopicConfig

__all__ = ["check_groups", "check_no_system_group", "check_no_system_topic", "check_topics"]


def check_topics(configs: Sequence[TopicConfig], most: int, max_queues: int) -> None:
    """:param most: so many at once. :raise GatewayError: BAD_REQUEST, BAD_TOPIC_NAME."""
    if not 1 <= len(configs) <= most:
        raise GatewayError(Code.BAD_REQUEST, f"expected 1 to {most} topics, got {len(configs)}")
    for config in configs:
        names.check_topic(config.name)
        check_no_system_topic(config.name, Code.BAD_TOPIC_NAME)
        for field, number in (("read queues", config.read_queues), ("write queues", config.write_queues)):
            if not 1 <= number <= max_queues:
                raise GatewayError(
                    Code.BAD_REQUEST, f"topic {config.name}: expected 1 to {max_queues} {field}, got {number}"
                )
        if not 0 <= config.permission <= 7:
            raise GatewayError(
                Code.BAD_REQUEST, f"topic {config.name}: expected a permission of 0 to 7, got {config.permission}"
            )


def check_groups(configs: Sequence[GroupConfig], most: int, max_queues: int) -> None:
    """:param most: so many at once. :raise GatewayError: BAD_REQUEST, BAD_GROUP_NAME."""
    if not 1 <= len(configs) <= most:
        raise GatewayError(Code.BAD_REQUEST, f"expected 1 to {most} consumer groups, got {len(configs)}")
    for config in configs:
        names.check_group(config.name)
        if not 0 <= config.retry_queues <= max_queues:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"consumer group {config.name}: expected 0 to {max_queues} retry queues, got {config.retry_queues}",
            )
        if config.retry_max_times < -1:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"consumer group {config.name}: expected at least -1 retries, got {config.retry_max_times}",
            )


def check_no_system_topic(topic: str, code: Code = Code.FORBIDDEN) -> None:
    """:raise GatewayError: `code`: the topic is not a user's to make or delete."""
    if names.is_system_topic(topic):
        raise GatewayError(code, f"topic {topic} is one of the system's own")


def check_no_system_group(group: str) -> None:
    """:raise GatewayError: FORBIDDEN: the group is not a user's to delete."""
    if names.is_system_group(group):
        raise GatewayError(Code.FORBIDDEN, f"consumer group {group} is one of the system's own")
