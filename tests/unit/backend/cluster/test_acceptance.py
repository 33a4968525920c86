"""Whether the brokers take what the gateway says in its own name, and what readiness says of it."""

from __future__ import annotations

from typing import Any

from rmqgateway.commands import SendMessages
from rmqgateway.errors import Code
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.test_backend import message
from tests.unit.backend.cluster.world import OK, A, Answer, B, World

KEY: dict[str, Any] = {"access_key": "gate", "secret_key": "wrong"}


def refused(_: RemotingCommand) -> Answer:
    return int(ResponseCode.NO_PERMISSION), {}, b""


def started(*addresses: str, **settings: Any) -> World:
    """A world whose brokers refuse every heartbeat."""
    world = World(start=False, brokers=addresses, **settings)
    for address in addresses:
        world.servers[address].script[RequestCode.HEART_BEAT] = refused
    world.backend.start()
    world.pump()
    return world


def test_a_credential_that_is_refused_is_not_ready_until_it_is_taken() -> None:
    world = started(A, **KEY)
    asked = world.servers[A].last(RequestCode.HEART_BEAT)
    assert asked.ext_fields["AccessKey"] == "gate"
    assert b'"producerDataSet":[]' in asked.body
    reason = str(world.backend.ready())
    assert "cluster.access_key" in reason and A in reason and "remark 16" in reason
    world.advance(4)
    world.servers[A].script[RequestCode.HEART_BEAT] = lambda _: OK
    world.advance(3)
    assert world.backend.ready() is None


def test_one_broker_that_takes_it_is_enough() -> None:
    world = started(A, B, **KEY)
    assert B in str(world.backend.ready())
    world.servers[B].script[RequestCode.HEART_BEAT] = lambda _: OK
    world.advance(6)
    assert world.backend.ready() is None


def test_a_credential_that_is_withdrawn_is_noticed() -> None:
    world = World(**KEY)
    assert world.backend.ready() is None
    world.servers[A].script[RequestCode.HEART_BEAT] = refused
    world.advance(world.settings.heartbeat_s + 2)
    assert "remark 16" in str(world.backend.ready())


def test_without_a_credential_clients_may_have_their_own() -> None:
    world = started(A)
    assert world.backend.ready() is None
    assert world.do(SendMessages("T", (message(),))).results


def test_a_broker_that_does_not_answer_is_not_ready_and_one_that_goes_is() -> None:
    world = World(start=False)
    world.servers[A].up = False
    world.backend.start()
    world.pump()
    assert "no broker has answered" in str(world.backend.ready()) and A in str(world.backend.ready())
    world.servers[A].up = True
    world.advance(6)
    assert world.backend.ready() is None
    world.servers[A].go()
    world.advance(60)
    assert world.backend.ready() is None


def test_what_is_no_refusal_of_a_credential_is_an_answer() -> None:
    world = World(start=False, **KEY)
    world.servers[A].script[RequestCode.HEART_BEAT] = lambda _: (int(ResponseCode.SYSTEM_BUSY), {}, b"")
    world.backend.start()
    world.pump()
    assert world.backend.ready() is None


def test_a_broker_that_left_the_cluster_is_forgotten() -> None:
    world = started(A, B, **KEY)
    del world.addresses["broker-b"]
    world.advance(world.settings.refresh_s + 8)
    assert B not in str(world.backend.ready())
    assert A in str(world.backend.ready())


def test_clients_are_refused_in_the_brokers_words() -> None:
    world = started(A, **KEY)
    world.servers[A].script[RequestCode.SEND_MESSAGE_V2] = refused
    error = world.do(SendMessages("T", (message(),)))
    assert (error.code, error.upstream_code) == (Code.FORBIDDEN, ResponseCode.NO_PERMISSION)
