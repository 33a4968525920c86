"""The settings of the local backend, with their defaults."""

from __future__ import annotations

import enum
import re

import msgspec

__all__ = ["DELAY_LEVELS", "Flush", "LocalSettings", "parse_delay_levels"]

#: RocketMQ's messageDelayLevel.
DELAY_LEVELS = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

_NAME = re.compile(r"[a-zA-Z0-9_-]+").fullmatch
_POSITIVE = (
    "default_queues",
    "max_queues",
    "max_topics",
    "max_groups",
    "max_message_size",
    "max_batch_messages",
    "max_properties_size",
    "pull_max_messages",
    "pull_max_bytes",
    "pull_max_scan",
    "max_waits",
    "retention_hours",
    "client_expiry_s",
    "lock_expiry_s",
    "offset_interval_ms",
    "relay_timeout_s",
    "transaction_interval_s",
    "transaction_check_max",
    "timer_max_delay_s",
)
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Flush(enum.Enum):
    """When a send is answered: when its group is synced to the disk, or when it is in the operating system's hands."""

    SYNC = "sync"
    ASYNC = "async"


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the embedded broker may be told.

    :ivar cluster_name: the cluster that it says it belongs to.
    :ivar broker_name: its broker name, in routes and handles.
    :ivar auto_create_topics: create topics on their first use.
    :ivar auto_create_groups: create consumer groups on their first use.
    :ivar default_queues: queues of an automatically created topic, at most; the producer may wish for fewer.
    :ivar max_queues: queues that a topic may have at most.
    :ivar max_topics: topics that may exist at most, retry and dead-letter topics included.
    :ivar max_groups: consumer groups that may exist at most.
    :ivar max_message_size: bytes of one message's body.
    :ivar max_delayed_message_size: bytes of the body of a transactional or delayed message (RocketMQ once had 65536); 0: as
        any other message.
    :ivar max_batch_messages: messages of one send.
    :ivar max_properties_size: bytes of one message's properties; the wire's field holds at most 32767.
    :ivar pull_max_messages: messages of one pull.
    :ivar pull_max_bytes: bytes of one pull, unless its first message alone is larger.
    :ivar pull_max_scan: messages that one pull looks at when its filter lets few of them through.
    :ivar long_poll_max_ms: how long a pull or receive may wait.
    :ivar max_waits: pulls and receives that may wait at once.
    :ivar delay_levels: the times of the delay levels 1, 2, …
    :ivar flush: sync or async.
    :ivar retention_hours: messages older than this are dropped, segment by segment.
    :ivar retention_bytes: the oldest segments are dropped when the log is larger than this; 0: no limit.
    :ivar cache_bytes: recent messages kept in memory.
    :ivar client_expiry_s: a client that sends no heartbeat for so long has gone.
    :ivar lock_expiry_s: a queue lock that is not renewed for so long is free.
    :ivar offset_interval_ms: consumer offsets that nobody waits for are recorded at least so often.
    :ivar relay_timeout_s: how long a client may take to answer what an administrator asked it.
    :ivar max_lite_subscriptions: lite topics that one client may be subscribed to.
    :ivar transaction_check_s: age at which a half message is first checked with its producer.
    :ivar transaction_interval_s: how often half messages are looked through for some to check.
    :ivar transaction_check_max: checks after which a half message is given up.
    :ivar timer_max_delay_s: how far ahead a delayed message may be set.
    """

    cluster_name: str = "DefaultCluster"
    broker_name: str = "rmqgateway"
    auto_create_topics: bool = True
    auto_create_groups: bool = True
    default_queues: int = 8
    max_queues: int = 1024
    max_topics: int = 100_000
    max_groups: int = 100_000
    max_message_size: int = 4 * 1024 * 1024
    max_delayed_message_size: int = 0
    max_batch_messages: int = 10_000
    max_properties_size: int = 32767
    pull_max_messages: int = 1024
    pull_max_bytes: int = 1024 * 1024
    pull_max_scan: int = 4096
    long_poll_max_ms: int = 30_000
    max_waits: int = 100_000
    delay_levels: str = DELAY_LEVELS
    flush: Flush = Flush.SYNC
    retention_hours: float = 72.0
    retention_bytes: int = 0
    cache_bytes: int = 32 * 1024 * 1024
    client_expiry_s: float = 120.0
    lock_expiry_s: float = 60.0
    offset_interval_ms: int = 200
    relay_timeout_s: float = 10.0
    max_lite_subscriptions: int = 2000
    transaction_check_s: float = 6.0
    transaction_interval_s: float = 30.0
    transaction_check_max: int = 15
    timer_max_delay_s: int = 3 * 86_400

    def __post_init__(self) -> None:
        """:raise ValueError: naming the setting, what was expected and what came."""
        for name in ("cluster_name", "broker_name"):
            value = getattr(self, name)
            if not _NAME(value) or len(value) > 127:  # a topic is called so
                raise ValueError(
                    f"{name}: expected 1 to 127 characters of a-z, A-Z, 0-9, _ and -, got {value!r}"
                )
        if self.cluster_name == self.broker_name:
            raise ValueError(
                f"broker_name: expected another name than the cluster's, got {self.broker_name!r}"
            )
        for name in _POSITIVE:
            value = getattr(self, name)
            if value <= 0:
                raise ValueError(f"{name}: expected more than 0, got {value}")
        for name in ("max_delayed_message_size", "retention_bytes", "cache_bytes", "long_poll_max_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.max_properties_size > 32767:
            raise ValueError(f"max_properties_size: expected at most 32767, got {self.max_properties_size}")
        if self.default_queues > self.max_queues:
            raise ValueError(
                f"default_queues: expected at most max_queues ({self.max_queues}), got {self.default_queues}"
            )
        if not parse_delay_levels(self.delay_levels):
            raise ValueError("delay_levels: expected at least one level")


def parse_delay_levels(text: str) -> tuple[int, ...]:
    """The delays of the levels 1, 2, … in ms, from words such as ``10s``, ``2m``, ``1h``, ``1d``.

    :raise ValueError: naming the word that is none.
    """
    levels: list[int] = []
    for word in text.split():
        unit = _UNITS.get(word[-1:])
        if unit is None or not word[:-1].isdigit():
            raise ValueError(f"delay_levels: expected words such as 10s, 2m, 1h, 1d, got {word!r}")
        levels.append(int(word[:-1]) * unit)
    return tuple(levels)
