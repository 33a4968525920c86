"""Receipt handles: taken apart as they were made; what is none is told which part is wrong."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.receipt_handles import format_handle, parse_handle
from rmqgateway.errors import GatewayError


@pytest.mark.parametrize("lite", ["", "lite"])
@pytest.mark.parametrize("kind", ["0", "1", "2"])
@pytest.mark.parametrize("broker", ["broker-a", "", "b\nc"])
def test_a_handle_is_taken_apart_as_it_was_made(lite: str, kind: str, broker: str) -> None:
    parsed = parse_handle(format_handle(1, 1_767_225_600_123, 60_000, kind, broker, 7, 10**17, lite))
    assert (parsed.start_offset, parsed.pop_time, parsed.invisible_ms) == (1, 1_767_225_600_123, 60_000)
    assert (parsed.revive_queue, parsed.topic_kind, parsed.broker_name) == (0, kind, broker)
    assert (parsed.queue_id, parsed.offset, parsed.lite_topic) == (7, 10**17, lite)


@pytest.mark.parametrize(
    ("handle", "why"),
    [
        ("", "8 parts"),
        ("1 2 3 0 0 b 0", "8 parts"),
        ("1 2 3 0 0 b 0 1 x y", "8 parts"),
        ("1 2 3 0 3 b 0 1", "expected 0, 1 or 2"),
        ("1 2 3 0 00 b 0 1", "expected 0, 1 or 2"),
        ("-1 2 3 0 0 b 0 1", "expected numbers"),
        ("1 2 3 0 0 b 0 1\n", "expected numbers"),
        ("1 2 3 0 0 b 0 \u0663", "expected numbers"),
        ("1 2 3 0 0 b 0 1234567890123456789", "expected numbers"),
        ("1 2 3 0 0 b 0 ", "expected numbers"),
    ],
)
def test_what_is_none_is_refused(handle: str, why: str) -> None:
    with pytest.raises(GatewayError, match=why):
        parse_handle(handle)
