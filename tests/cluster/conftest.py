"""A real name server and broker, and the gateway of this process in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite(
    *(f"tests.contract.test_{name}" for name in ("matrix", "clients", "popping", "producing", "pulling"))
)

from tests.cluster.world import ClusterGateway  # noqa: E402  (its assertions are to tell what they saw)
from tests.interop.apache import Apache  # noqa: E402
from tests.interop.cluster import BROKER_SETTINGS  # noqa: E402
from tests.interop.toolchain import missing  # noqa: E402

#: Each of a broker's threads holds a buffer outside the heap for the greatest message: by default 4 MB, and with so many plays
#: at once they run out of it.
_SETTINGS = {**BROKER_SETTINGS, "maxMessageSize": str(256 << 10), "enableMixedMessageType": "true"}


#: The newest release of 4.9 whose broker is published.
_OLD = "4.9.4"


def _cluster(tmp_path_factory: pytest.TempPathFactory, version: str) -> Iterator[Apache]:
    reason = missing("java", "mvn")
    if reason is not None:
        pytest.skip(reason)
    made = Apache(tmp_path_factory.mktemp("cluster") / "apache", version, _SETTINGS)
    made.patience = 180.0
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apache]:
    """RocketMQ 5.5.0."""
    yield from _cluster(tmp_path_factory, "5.5.0")


@pytest.fixture(scope="module")
def old_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterGateway]:
    """In front of RocketMQ 4.9."""
    for old in _cluster(tmp_path_factory, _OLD):
        yield from _started(old)


@pytest.fixture(scope="session")
def gateway(apache: Apache) -> Iterator[ClusterGateway]:
    """In front of it."""
    yield from _started(apache)


@pytest.fixture(scope="session")
def second_gateway(apache: Apache) -> Iterator[ClusterGateway]:
    """Beside the first."""
    yield from _started(apache)


def _started(apache: Apache) -> Iterator[ClusterGateway]:
    import pytest_twisted
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    made = ClusterGateway(reactor, apache.address)

    async def start() -> None:
        made.start()
        for _ in range(600):
            if made.ready():
                return
            await deferLater(reactor, 0.1)  # type: ignore[arg-type]
        raise AssertionError(f"the gateway finds no broker: {made.backend.ready()}, {made.passthrough.ready()}")

    async def stop() -> Any:
        return await made.stop()

    pytest_twisted.blockon(_deferred(start()))
    try:
        yield made
    finally:
        pytest_twisted.blockon(_deferred(stop()))


def _deferred(coroutine: Any) -> Any:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(coroutine)
