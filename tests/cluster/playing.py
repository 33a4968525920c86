"""Many plays at the same time, for tests that ask afterwards what became of each."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import pytest

from tests.cluster.world import play

__all__ = ["judge", "play_all"]

N = TypeVar("N", bound=Hashable)


def play_all(names: Iterable[N], function: Callable[[N], None], at_once: int) -> dict[N, BaseException | None]:
    """Play each, so many at the same time; what each raised, or None."""
    import pytest_twisted
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore

    found: dict[N, BaseException | None] = {}
    room = DeferredSemaphore(at_once)

    def one(name: N) -> Deferred[None]:
        return play(reactor, lambda: function(name)).addCallback(lambda error: found.update({name: error}))

    async def everything() -> None:
        await DeferredList([room.run(one, name) for name in names])

    pytest_twisted.blockon(Deferred.fromCoroutine(everything()))
    return found


def judge(error: BaseException | None) -> None:
    """Fail as the play did."""
    if error is not None:
        pytest.fail("".join(traceback.format_exception(error)), pytrace=False)
