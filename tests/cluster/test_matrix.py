"""The matrix of the contract suite over the cluster backend: the same plays, the messages of all kept by a real broker 5.5.0.

All cells are played at the same time, each on a topic and with a group of its own, since most of a cell is waiting.
"""

from __future__ import annotations

import time

import pytest

from rmqgateway.commands import GroupConfig
from tests.cluster.drivers import FRONT_ENDS
from tests.cluster.playing import judge, play_all
from tests.cluster.stage import ClusterStage
from tests.cluster.world import ClusterGateway, ClusterWorld
from tests.contract.driver import Got, Refused, Sent
from tests.contract.matrix import KINDS, REFUSALS
from tests.contract.test_matrix import PLAYS, Cell

Name = tuple[str, str, str]

#: Seconds that a message may take which is there.
_PATIENCE = 100.0
#: RocketMQ's timers have a precision of a second, and round down.
_EARLY_MS = 1000
_INVISIBLE_MS = 20_000
_LITE_S = 3.0
#: Whose messages hold the time that their producers say.
_SAY_WHEN = ("remoting", "grpc", "grpcweb")
#: So long may sending take on a busy machine.
_SENDING_MS = 60_000
#: Cells that play at the same time.
_AT_ONCE = 108


class ClusterCell(Cell):
    """A cell whose broker takes its time, and judges no handle that is still within its time."""

    #: The broker puts the unique key there once more (``TransactionalMessageBridge``).
    left = Cell.left | {"__transactionId__"}

    def __init__(self, gateway: ClusterGateway, entry: str, exit: str, kind: str) -> None:
        stage = ClusterStage([gateway], invisible_ms=_INVISIBLE_MS)
        name = f"{kind}_{entry}_{exit}_{int(time.time() * 1000) % 10**8}"
        super().__init__(entry, exit, kind, stage, (f"t_{name}", f"g_{name}"), FRONT_ENDS)

    @property
    def world(self) -> ClusterWorld:
        assert isinstance(self.stage.world, ClusterWorld)
        return self.stage.world

    def group_config(self, kind: str) -> GroupConfig:
        attributes = {"lite.bind.topic": self.topic} if kind == "lite" else {}
        return GroupConfig(self.group, consume_message_orderly=kind == "fifo", attributes=attributes)

    def born_then(self, born_timestamp: int, sent: Sent) -> bool:
        # Who does not say when it sent looks at the clock when it has the answer.
        early = 0 if self.entry.name in _SAY_WHEN else _SENDING_MS
        return sent.born_timestamp - early <= born_timestamp <= sent.born_timestamp

    def some(self, count: int, max_messages: int = 16) -> list[Got]:
        if self.lite:
            # A message of a lite topic that is in flight is given again when another comes: let both be there.
            self.world.pause(_LITE_S)
        found: list[Got] = []

        def more() -> bool:
            if len(found) < count:
                found.extend(self.consume(max_messages))
            return len(found) >= count

        self.world.until(more, _PATIENCE)
        assert len(found) == count, [got.body for got in found]
        return found

    def arrives(self, at: int) -> Got:
        (got,) = self.some(1)
        assert self.world.wall_ms >= at - _EARLY_MS, "never early"
        return got

    def settle_from_behind(self, first: Got, second: Got) -> None:
        """A broker keeps one place of each lite topic: what was acknowledged behind what was not comes again with it."""
        self.exit.ack(self.group, self.topic, second)
        if self.exit.can("release"):
            self.exit.release(self.group, self.topic, first, 0)
        else:
            self.past_invisible()
        found = self.some(2)
        assert [got.body for got in found] == [first.body, second.body]
        self.check(found[0], first.attempt + 1)
        self.void(first)
        self.settle(*found)

    def void(self, got: Got) -> None:
        # Brokers do not refuse a handle that is within its time; it settles nothing, as what follows shows.
        try:
            self.exit.ack(self.group, self.topic, got)
        except Refused:
            pass


def _played(gateway: ClusterGateway, name: Name) -> None:
    kind, entry, exit = name
    cell = ClusterCell(gateway, entry, exit, kind)
    text = REFUSALS.get((entry, kind))
    if text is None:
        PLAYS[kind](cell)
        return
    with pytest.raises(Refused) as caught:
        PLAYS[kind](cell)
    assert text in str(caught.value)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, gateway: ClusterGateway) -> dict[Name, BaseException | None]:
    """What became of each cell that was asked for."""
    wanted = [item.callspec.params for item in request.session.items if item.name.startswith("test_cell[")]  # type: ignore[attr-defined]
    names: list[Name] = [(one["kind"], one["entry"], one["exit"]) for one in wanted]
    return play_all(names, lambda name: _played(gateway, name), _AT_ONCE)


@pytest.mark.parametrize("exit", FRONT_ENDS)
@pytest.mark.parametrize("entry", FRONT_ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_cell(kind: str, entry: str, exit: str, outcomes: dict[Name, BaseException | None]) -> None:
    judge(outcomes[kind, entry, exit])
