"""The sends of one turn go through the door together; each call gets its own answer, in its own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.sending import Sends
from rmqgateway.apis.service import METHODS
from rmqgateway.wire.grpc_framing import GrpcStatus
from tests.unit.apis.fakes import SERVICE, FakeRpc, Tester, metadata


def begin(tester: Tester, key: str, session: Any = None, topic: str = "topic") -> FakeRpc:
    message = v2.Message(
        topic=v2.Resource(name=topic), body=b"x", system_properties=v2.SystemProperties(message_id=key)
    )
    rpc = FakeRpc(
        tester.api,
        METHODS[SERVICE + "SendMessage"],
        metadata(),
        tester.information,
        session or tester.connection.session,
    )
    rpc.message(service.SendMessageRequest(messages=[message]).SerializeToString())
    return rpc


def answer(rpc: FakeRpc) -> Any:
    assert rpc.status is GrpcStatus.OK
    (message,) = rpc.messages
    return service.SendMessageResponse.FromString(message)


class Door:
    """Notes what the door is given, and passes it on."""

    def __init__(self, gateway: Any, guarded: bool = False) -> None:
        self._gateway = gateway
        self.outbox = gateway.outbox
        self.guarded = guarded
        self.passed: list[int] = []

    def perform(self, *arguments: Any) -> None:
        self.passed.append(1)
        self._gateway.perform(*arguments)

    def perform_sends(self, context: Any, commands: Sequence[Any], *rest: Any) -> None:
        self.passed.append(len(commands))
        self._gateway.perform_sends(context, commands, *rest)


def test_one_turn_is_one_pass_and_everyone_is_answered_in_order() -> None:
    tester = Tester()
    begin(tester, "warm")
    tester.world.settle()
    door = Door(tester.world.gateway)
    tester.api.sending = Sends(door)  # type: ignore[arg-type]
    with tester.world.gateway.outbox.scope():
        calls = [begin(tester, f"k{number}") for number in range(5)]
        assert not door.passed and not any(call.messages for call in calls)
    tester.world.settle()
    assert door.passed == [5]
    assert [answer(call).entries[0].message_id for call in calls] == [f"k{number}" for number in range(5)]


def test_sends_of_two_sessions_and_of_users_are_told_apart() -> None:
    tester = Tester()
    begin(tester, "warm")
    tester.world.settle()
    other = tester.world.session().session
    for guarded, passed in ((False, [2, 1, 1]), (True, [1, 1, 1, 1])):
        door = Door(tester.world.gateway, guarded)
        tester.api.sending = Sends(door)  # type: ignore[arg-type]
        with tester.world.gateway.outbox.scope():
            calls = [begin(tester, "a"), begin(tester, "b"), begin(tester, "c", other), begin(tester, "d")]
        tester.world.settle()
        assert door.passed == passed
        assert [answer(call).entries[0].message_id for call in calls] == ["a", "b", "c", "d"]


def test_one_that_is_refused_and_one_that_has_gone_do_not_hold_up_the_others() -> None:
    tester = Tester()
    begin(tester, "warm")
    tester.world.settle()
    with tester.world.gateway.outbox.scope():
        good = begin(tester, "good")
        bad = begin(tester, "bad", topic="TBW102")
        gone = begin(tester, "gone")
        last = begin(tester, "last")
        gone.gone("reset")
    tester.world.settle()
    assert answer(good).status.code == answer(last).status.code == v2.OK
    assert answer(bad).status.code != v2.OK
    assert not gone.messages
