"""Ids cost the same whether there is room or the oldest has to go for each."""

from __future__ import annotations

import statistics
import time
from types import SimpleNamespace
from typing import Any

from rmqgateway_websocket.sent_ids import SentIds


def test_a_full_memory_of_ids_costs_no_more_than_one_with_room() -> None:
    gateway: Any = SimpleNamespace(reactor=SimpleNamespace(seconds=lambda: 0.0))
    ids = SentIds(gateway, lambda: 0.0, 20_000)
    costs = []
    for start in range(0, 50_000, 1000):
        began = time.process_time()
        for number in range(start, start + 1000):
            ids._remember(("topic", str(number)), 0.0)
        costs.append(time.process_time() - began)
    assert len(ids._known) == 20_000
    # A plain dict, whose first entry is searched for among all that were deleted, took ten times as long.
    assert statistics.median(costs[25:]) < 4 * statistics.median(costs[:20])
