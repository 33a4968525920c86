"""The matrix before a broker of 4.9, which knows no pop: the gateway consumes by pull, as a member of the group.

Remoting clients of such brokers pull themselves and are in ``tests/interop``; messages with a time, a priority or a lite topic
came with 5.0 and later.
"""

from __future__ import annotations

import pytest

from tests.cluster.drivers import FRONT_ENDS
from tests.cluster.playing import judge, play_all
from tests.cluster.test_matrix import ClusterCell, Name
from tests.cluster.world import ClusterGateway
from tests.contract.driver import Refused
from tests.contract.test_matrix import PLAYS

KINDS = ("normal", "fifo", "transactional")
EXITS = tuple(name for name in FRONT_ENDS if name != "remoting")
_AT_ONCE = 90


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, old_gateway: ClusterGateway) -> dict[Name, BaseException | None]:
    """What became of each cell that was asked for."""
    wanted = [item.callspec.params for item in request.session.items if item.name.startswith("test_old_cell[")]  # type: ignore[attr-defined]
    names: list[Name] = [(one["kind"], one["entry"], one["exit"]) for one in wanted]

    def one(name: Name) -> None:
        kind, entry, exit = name
        if kind == "delayed":
            _delayed(old_gateway, entry)
        else:
            PLAYS[kind](ClusterCell(old_gateway, entry, exit, kind))

    delayed: list[Name] = [("delayed", entry, "http") for entry in _DELAYED]
    return play_all([*names, *delayed], one, _AT_ONCE)


#: Remoting's passthrough leaves the message to the broker as it came.
_DELAYED = tuple(name for name in FRONT_ENDS if name != "remoting")


def _delayed(gateway: ClusterGateway, entry: str) -> None:
    cell = ClusterCell(gateway, entry, "http", "normal")
    with pytest.raises(Refused) as caught:
        cell.put("later", deliver_at=cell.world.wall_ms + 20_000)
    assert "older than RocketMQ 5.0" in str(caught.value)
    assert cell.consume() == [], "not at once either"


#: (kind, exit): gRPC's clients get messages in order when their group says so, which groups cannot say before 5.0.
_NOT_KNOWN = {("fifo", "grpc"), ("fifo", "grpcweb")}


@pytest.mark.parametrize("exit", EXITS)
@pytest.mark.parametrize("entry", FRONT_ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_old_cell(kind: str, entry: str, exit: str, outcomes: dict[Name, BaseException | None]) -> None:
    if (kind, exit) in _NOT_KNOWN:
        # The second comes before the first is acknowledged: at the first look, or, where it was pulled later, at the next.
        outcome = outcomes[kind, entry, exit]
        assert isinstance(outcome, AssertionError) and "a2" in str(outcome), outcome
        return
    judge(outcomes[kind, entry, exit])


@pytest.mark.parametrize("entry", _DELAYED)
def test_a_message_with_a_time_is_refused(entry: str, outcomes: dict[Name, BaseException | None]) -> None:
    judge(outcomes["delayed", entry, "http"])
