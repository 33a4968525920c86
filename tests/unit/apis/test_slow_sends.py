"""From 80 % of the process's budget on, sends of this API wait for their answer, and nothing else of the same client does."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.service import METHODS
from rmqgateway.wire.grpc_framing import GrpcStatus
from tests.unit.apis.fakes import SERVICE, FakeRpc, Tester, metadata
from tests.unit.apis.test_service import ack, consumer_settings, producer_settings, receive, report, send


@pytest.fixture
def tester() -> Tester:
    """Its client has settings, as official ones report them; the topic is there."""
    tester = Tester()
    report(tester, producer_settings("topic"))
    send(tester, b"first")
    return tester


def press(tester: Tester, used: int = 90_000) -> None:
    budget = tester.world.gateway.budget
    budget.slow_above, budget.relieved_below, budget.refuse_above = 80_000, 60_000, 95_000
    budget.take(used)


def relieve(tester: Tester, size: int = 90_000) -> None:
    tester.world.gateway.budget.give_back(size)
    tester.world.advance(0.1)
    tester.world.settle()


def begin(tester: Tester, body: bytes, client_id: str = "client-1", **more: str) -> FakeRpc:
    message = v2.Message(
        topic=v2.Resource(name="topic"), body=body, system_properties=v2.SystemProperties(message_id=body.decode()[:20])
    )
    request = service.SendMessageRequest(messages=[message])
    return tester.start("SendMessage", request, metadata(client_id, **more))


def code(rpc: FakeRpc) -> Any:
    assert rpc.status is GrpcStatus.OK
    (message,) = rpc.messages
    return service.SendMessageResponse.FromString(message).status.code


def stored(tester: Tester) -> list[bytes]:
    """All bodies, by a group of its own."""
    return sorted(message.body for message in receive(tester))


def test_sends_wait_until_there_is_room(tester: Tester) -> None:
    press(tester)
    last_of_old = begin(tester, b"a")
    assert code(last_of_old) == v2.OK, "what has come is dealt with, as over other protocols"
    waiting = [begin(tester, body) for body in (b"b", b"c")]
    assert not any(rpc.done for rpc in waiting)
    tester.world.gateway.budget.give_back(20_000)
    tester.world.advance(0.1)
    assert not any(rpc.done for rpc in waiting), "it is not well below the mark"
    relieve(tester, 70_000)
    assert [code(rpc) for rpc in waiting] == [v2.OK, v2.OK]
    assert code(begin(tester, b"d")) == v2.OK
    assert tester.world.gateway.budget.used == tester.world.gateway.budget.waiting_bytes == 0


def test_several_of_one_turn_wait_too(tester: Tester) -> None:
    press(tester)
    begin(tester, b"a")
    rpcs = []
    with tester.world.gateway.outbox.scope():
        for body in (b"b", b"c", b"d"):
            rpc = FakeRpc(
                tester.api, METHODS[SERVICE + "SendMessage"], metadata(), tester.information, tester.connection.session
            )
            message = v2.Message(
                topic=v2.Resource(name="topic"), body=body, system_properties=v2.SystemProperties(message_id="1")
            )
            rpc.message(service.SendMessageRequest(messages=[message]).SerializeToString())
            rpcs.append(rpc)
    tester.world.settle()
    assert not any(rpc.done for rpc in rpcs)
    relieve(tester)
    assert [code(rpc) for rpc in rpcs] == [v2.OK] * 3


def test_whoever_consumes_settles_while_its_sends_wait(tester: Tester) -> None:
    report(tester, consumer_settings())
    (message,) = receive(tester)
    press(tester)
    begin(tester, b"a")
    waiting = begin(tester, b"b")
    assert ack(tester, message).status.code == v2.OK
    assert not waiting.done
    relieve(tester)
    assert code(waiting) == v2.OK


def test_a_send_whose_client_has_gone_is_not_stored(tester: Tester) -> None:
    press(tester)
    begin(tester, b"a")
    gone, late, kept = begin(tester, b"gone"), begin(tester, b"late", grpc_timeout="50m"), begin(tester, b"kept")
    budget = tester.world.gateway.budget
    before = budget.waiting_bytes
    gone.gone("reset")
    assert budget.waiting_bytes < before, "it counts no longer"
    tester.world.advance(1)
    assert late.status is GrpcStatus.DEADLINE_EXCEEDED
    relieve(tester)
    assert code(kept) == v2.OK
    assert stored(tester) == [b"a", b"first", b"kept"]


def test_what_waits_is_bounded_and_counts(tester: Tester) -> None:
    press(tester)
    begin(tester, b"a")
    assert not begin(tester, b"x" * 3_000).done
    assert code(begin(tester, b"y" * 3_000)) == v2.TOO_MANY_REQUESTS
    other = begin(tester, b"z" * 3_000, "client-2")
    assert code(other) == v2.TOO_MANY_REQUESTS, "of another session as well"
    relieve(tester)
    assert code(begin(tester, b"y" * 3_000)) == v2.OK


def test_all_that_waits_does_not_go_at_once(tester: Tester) -> None:
    press(tester, 82_000)
    tester.world.gateway.budget.slow_above, tester.world.gateway.budget.relieved_below = 6_000, 4_500
    begin(tester, b"a")
    waiting = [begin(tester, bytes([65 + number]) * 2_000) for number in range(3)]
    assert not any(rpc.done for rpc in waiting)
    relieve(tester, 78_000)
    assert [rpc.done for rpc in waiting] == [False] * 3, "4,000 bytes of others are under way still"
    relieve(tester, 4_000)
    assert [code(rpc) for rpc in waiting] == [v2.OK] * 3
    assert tester.world.gateway.budget.waiting_bytes == 0


def test_another_client_of_the_process_goes_on_until_it_sends(tester: Tester) -> None:
    press(tester)
    begin(tester, b"a")
    other = send_of_another(tester)
    assert other.done, "its first one is dealt with"
    assert not send_of_another(tester).done


def send_of_another(tester: Tester) -> FakeRpc:
    if tester.api.clients.get(b"client-2") is None:
        report(tester, producer_settings("topic"), "client-2")
    return begin(tester, b"o", "client-2")
