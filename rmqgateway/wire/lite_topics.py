"""The topics behind lite topics: ``%LMQ%$parent$lite``. Source: ``LiteUtil`` of Apache RocketMQ 5.5.0."""

from __future__ import annotations

__all__ = ["LITE_PREFIX", "lite_name", "lite_parent", "lite_topic"]

#: Before the names of topics behind lite topics.
LITE_PREFIX = "%LMQ%"
_BEGIN = LITE_PREFIX + "$"


def lite_topic(parent: str, lite_name: str) -> str:
    """The topic behind a lite topic."""
    return f"{_BEGIN}{parent}${lite_name}"


def lite_name(topic: str) -> str:
    """The lite topic that a topic of `lite_topic` is behind."""
    return topic.rpartition("$")[2]


def lite_parent(topic: str) -> str:
    """The parent of the lite topic that a topic of `lite_topic` is behind, or "": it is behind none."""
    return topic[len(_BEGIN) :].rpartition("$")[0] if topic.startswith(_BEGIN) else ""
