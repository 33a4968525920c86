"""The timer wheel against a sorted list."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.backend.local.timer_wheel import TimerWheel


def _drain(wheel: TimerWheel, now: int) -> list[tuple[int, int]]:
    fired = []
    while found := wheel.due(now, 3):
        wheel.fire(found[-1][0], found[-1][1])
        fired += [(when, offset) for when, offset, recalled in found if not recalled]
    return fired


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "fire", "recall", "restart", "keep", "forget"]), st.integers(1, 5000), st.integers(0, 30)
        ),
        max_size=60,
    )
)
def test_fires_in_order_exactly_once(steps: list[tuple[str, int, int]]) -> None:
    wheel = TimerWheel()
    pending: list[tuple[int, int]] = []
    kept: list[tuple[Iterator[tuple[int, bytes]], list[tuple[int, bytes]]]] = []
    now = 0
    offset = 0
    for what, number, pick in steps:
        if what == "add":
            when = wheel.add(now + number, offset)
            pending.append((when, offset))
            offset += 1
        elif what == "fire":
            now += number
            expected = sorted(pair for pair in pending if pair[0] <= now)
            assert _drain(wheel, now) == expected
            pending = [pair for pair in pending if pair[0] > now]
        elif what == "recall" and pending:
            pair = pending.pop(pick % len(pending))
            assert pair[1] in wheel.at(pair[0])
            wheel.recall(*pair)
            assert pair[1] not in wheel.at(pair[0])
        elif what == "restart":
            again = TimerWheel()
            again.fired = wheel.fired
            for second, piece in wheel.pieces():
                again.restore(second, piece)
            for pair in wheel.recalled:
                again.recall(*pair)
            wheel = again
        elif what == "keep":
            kept.append((wheel.pieces(), list(wheel.pieces())))
        elif what == "forget" and pending:
            when, last = pending[pick % len(pending)]
            second = when // 1000
            wheel.forget(second, last)
            pending = [pair for pair in pending if pair[0] // 1000 != second or pair[1] > last]
        assert wheel.count == len(pending)
        next_time = wheel.next_time()
        if pending:
            # A timer that was taken back may still be the first to wake up for.
            assert next_time is not None and next_time <= min(pending)[0]
    for pieces, expected in kept:
        assert list(pieces) == expected, "pieces show the moment of the call"


def test_what_is_added_for_the_past_fires_after_what_has_fired() -> None:
    wheel = TimerWheel()
    wheel.add(5000, 1)
    assert _drain(wheel, 6000) == [(5000, 1)]
    assert wheel.add(4000, 2) == 5001
    assert _drain(wheel, 6000) == [(5001, 2)]
    assert wheel.next_time() is None


def test_pieces_show_the_moment_of_the_call() -> None:
    wheel = TimerWheel()
    for offset in range(6):
        wheel.add(1000 * (offset % 3), offset)
    expected = list(wheel.pieces())
    pieces = wheel.pieces()
    for second in range(3):
        wheel.add(1000 * second + 5, 10 + second)
        wheel.add(1000 * second + 5, 20 + second)
        wheel.forget(second, 2)
    assert list(pieces) == expected
    assert list(wheel.pieces()) != expected
