"""The numbers of Apache's proxy, as settings of the front-ends that serve this API."""

from __future__ import annotations

import msgspec

__all__ = ["ApiSettings"]

_AT_LEAST_ONE = (
    "max_message",
    "max_body",
    "max_properties",
    "max_user_properties",
    "max_message_group",
    "max_lite_topic",
    "max_invisible_ms",
    "max_delay_ms",
    "max_recovery_seconds",
    "default_invisible_ms",
    "max_poll_ms",
    "receive_batch",
    "max_batch",
    "producer_attempts",
    "producer_first_backoff_ms",
    "producer_max_backoff_ms",
    "renew_seconds",
    "max_renewed",
    "client_idle_seconds",
    "stream_lost_seconds",
    "max_clients",
    "max_telemetry_bytes",
    "max_unsent_bytes",
)


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the apache.rocketmq.v2 API; the defaults are those of Apache's proxy 5.5.0 where it has them.

    :ivar max_message: bytes of one request message, before and after inflation.
    :ivar max_body: bytes of one message's body.
    :ivar max_properties: bytes of one message's user properties, tag and keys.
    :ivar max_user_properties: how many user properties a message may have.
    :ivar max_message_group: bytes that a message group must stay below.
    :ivar max_lite_topic: bytes of a lite topic's name.
    :ivar check_message_types: refuse messages whose type does not fit their topic.
    :ivar min_invisible_ms: the least invisible duration of a receive.
    :ivar max_invisible_ms: the longest invisible duration.
    :ivar default_invisible_ms: the invisible duration where the server renews it.
    :ivar max_delay_ms: how far ahead a message may be set.
    :ivar max_recovery_seconds: the latest first check of a transaction.
    :ivar min_poll_ms: the least time that a receive waits; Apache's proxy has 5000.
    :ivar max_poll_ms: the longest time that a receive waits, and what push consumers are told to ask for.
    :ivar poll_reserve_ms: of the client's deadline, kept for the answer to a poll (at most a quarter, or 100): there are clients
        whose deadline is their polling time.
    :ivar receive_batch: how many messages push consumers are told to ask for.
    :ivar max_batch: messages of one receive; who asks for more gets so many.
    :ivar producer_attempts: how often producers are told to try.
    :ivar producer_first_backoff_ms: their first pause.
    :ivar producer_max_backoff_ms: their longest pause.
    :ivar producer_backoff_multiplier: by what the pause grows.
    :ivar renew_ahead_ms: a renewed message's duration is extended when so much of it is left.
    :ivar renew_seconds: for how long one is renewed at most.
    :ivar max_renewed: messages that one client may have renewed at once; more are not renewed.
    :ivar cleared_invisible_ms: after what time messages of a client that has gone are visible again.
    :ivar client_idle_seconds: a client that says nothing for so long has gone.
    :ivar stream_lost_seconds: the same, when its telemetry stream is gone too.
    :ivar max_clients: client ids that may be connected.
    :ivar max_telemetry_bytes: unread bytes of a telemetry stream; what comes then is not told.
    :ivar max_unsent_bytes: bytes that a receiving client may leave unread; then its stream waits.
    """

    max_message: int = 8 * 1024 * 1024
    max_body: int = 4 * 1024 * 1024
    max_properties: int = 16 * 1024
    max_user_properties: int = 128
    max_message_group: int = 64
    max_lite_topic: int = 64
    check_message_types: bool = True
    min_invisible_ms: int = 10_000
    max_invisible_ms: int = 12 * 3600 * 1000
    default_invisible_ms: int = 60_000
    max_delay_ms: int = 24 * 3600 * 1000
    max_recovery_seconds: int = 3600
    min_poll_ms: int = 0
    max_poll_ms: int = 20_000
    poll_reserve_ms: int = 250
    receive_batch: int = 32
    max_batch: int = 32
    producer_attempts: int = 3
    producer_first_backoff_ms: int = 10
    producer_max_backoff_ms: int = 1000
    producer_backoff_multiplier: float = 2.0
    renew_ahead_ms: int = 10_000
    renew_seconds: int = 3 * 3600
    max_renewed: int = 10_000
    cleared_invisible_ms: int = 1000
    client_idle_seconds: float = 120.0
    stream_lost_seconds: float = 30.0
    max_clients: int = 10_000
    max_telemetry_bytes: int = 1024 * 1024
    max_unsent_bytes: int = 1024 * 1024

    def check(self) -> None:
        """:raise ValueError: naming the setting, what was expected and what came."""
        for name in _AT_LEAST_ONE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("min_invisible_ms", "min_poll_ms", "poll_reserve_ms", "renew_ahead_ms", "cleared_invisible_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.max_message < self.max_body:
            raise ValueError(f"max_message: expected at least max_body ({self.max_body}), got {self.max_message}")
        if self.renew_ahead_ms >= self.default_invisible_ms:
            raise ValueError(
                f"renew_ahead_ms: expected less than default_invisible_ms ({self.default_invisible_ms}), "
                f"got {self.renew_ahead_ms}"
            )
        if self.min_poll_ms > self.max_poll_ms:
            raise ValueError(f"min_poll_ms: expected at most max_poll_ms ({self.max_poll_ms}), got {self.min_poll_ms}")
