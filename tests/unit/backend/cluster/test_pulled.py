"""Receiving from brokers that know no pop: the gateway as a member of the group, before a scripted broker."""

from __future__ import annotations

from typing import Any

import pytest

from rmqgateway.commands import (
    AckMessages,
    ChangeInvisibleDuration,
    ForwardToDeadLetterQueue,
    ReceivedMessage,
    ReceiveMessages,
)
from rmqgateway.errors import Code
from rmqgateway.message import Filter
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.world import A, Answer, World, stored


class Old(World):
    """One broker of 4.9 with a topic of two queues.

    :ivar queues: the messages of each. :ivar offsets: of group G, as the broker keeps them. :ivar ids: the group's members
        besides this gateway. :ivar waiting: pulls that wait.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.topics["T"] = 2
        self.queues: dict[int, list[bytes]] = {0: [], 1: []}
        self.offsets: dict[int, int] = {}
        self.ids: list[str] = []
        self.buried: list[int] = []
        server = self.servers[A]
        server.version = 401
        server.script.update(
            {
                RequestCode.POP_MESSAGE: lambda _: (int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), {}, b""),
                RequestCode.GET_CONSUMER_LIST_BY_GROUP: self._members,
                RequestCode.QUERY_CONSUMER_OFFSET: self._offset,
                RequestCode.UPDATE_CONSUMER_OFFSET: self._update,
                RequestCode.PULL_MESSAGE: self._pull,
                RequestCode.CONSUMER_SEND_MSG_BACK: self._back,
            }
        )

    def put(self, queue: int, *bodies: bytes) -> None:
        """Messages come in."""
        for body in bodies:
            offset = len(self.queues[queue])
            self.queues[queue].append(stored("T", body, queue, offset))

    def _members(self, _: RemotingCommand) -> Answer:
        ids = ",".join(f'"{one}"' for one in [*self.ids, self.backend.members.client_id])
        return 0, {}, f'{{"consumerIdList":[{ids}]}}'.encode()

    def _offset(self, request: RemotingCommand) -> Answer:
        return 0, {"offset": str(self.offsets.get(int(request.ext_fields["queueId"]), 0))}, b""

    def _update(self, request: RemotingCommand) -> Answer:
        self.offsets[int(request.ext_fields["queueId"])] = int(request.ext_fields["commitOffset"])
        return 0, {}, b""

    def _back(self, request: RemotingCommand) -> Answer:
        self.buried.append(int(request.ext_fields["offset"]) - 1000)
        return 0, {}, b""

    def _pull(self, request: RemotingCommand) -> Answer:
        ext = request.ext_fields
        found = self.queues[int(ext["queueId"])][int(ext["queueOffset"]) :][: int(ext["maxMsgNums"])]
        if not found:
            return None  # it waits
        following = int(ext["queueOffset"]) + len(found)
        header = {"nextBeginOffset": str(following), "minOffset": "0", "maxOffset": str(following)}
        return 0, header, b"".join(found)

    def receive(self, wait_s: float = 0.0, **more: Any) -> list[ReceivedMessage]:
        """What a receive gets, waiting so long."""
        found = self.begin(ReceiveMessages("G", "T", wait_ms=int(wait_s * 1000), **more))
        for _ in range(8 + round(wait_s * 4)):
            if found:
                break
            self.advance(0.25)
        (reply,) = found
        assert not isinstance(reply, Exception), reply
        return list(reply.messages)


def handle(message: ReceivedMessage) -> str:
    return message.receipt_handle


def test_what_is_received_is_acknowledged_by_the_groups_offset() -> None:
    world = Old()
    world.put(0, b"a", b"b", b"c")
    first, second, third = world.receive()
    assert [one.delivery_attempt for one in (first, second, third)] == [1, 1, 1]
    assert world.receive() == []
    assert world.do(AckMessages("G", "T", (handle(second),))).results[0].code == ""
    assert world.offsets.get(0, 0) == 0  # the first is not acknowledged
    world.do(AckMessages("G", "T", (handle(first),)))
    assert world.offsets[0] == 2
    world.do(AckMessages("G", "T", (handle(third),)))
    assert world.offsets[0] == 3


def test_acknowledging_twice_is_fine_but_not_with_an_older_handle() -> None:
    world = Old()
    world.put(0, b"a")
    (old,) = world.receive()
    changed = world.do(ChangeInvisibleDuration("G", "T", old.receipt_handle, 9000))
    for _ in range(2):
        assert world.do(AckMessages("G", "T", (changed.receipt_handle,))).results[0].code == ""
    assert world.do(AckMessages("G", "T", (old.receipt_handle,))).results[0].code == "BAD_RECEIPT_HANDLE"


def test_a_message_whose_time_is_over_comes_again_until_it_is_buried() -> None:
    world = Old()
    world.put(0, b"poison")
    for attempt in (1, 2, 3):  # the group's retryMaxTimes is 2
        (one,) = world.receive(invisible_ms=10_000)
        assert one.delivery_attempt == attempt
        world.advance(10.5, 0.5)
    assert world.receive() == []
    assert world.buried == [0]
    assert world.offsets[0] == 1


def test_a_dead_letter_of_another_group_can_be_received() -> None:
    world = Old()
    world.queues[0].append(stored("T", b"dead", 0, 0, times=17))
    (one,) = world.receive(invisible_ms=10_000)
    assert one.delivery_attempt == 18
    assert world.buried == []
    world.advance(10.5, 0.5)
    assert world.receive() == []
    assert world.buried == [0]


def test_given_back_is_visible_at_once_and_the_old_handle_is_none() -> None:
    world = Old()
    world.put(1, b"a")
    (one,) = world.receive()
    changed = world.do(ChangeInvisibleDuration("G", "T", handle(one), 0))
    assert world.do(AckMessages("G", "T", (handle(one),))).results[0].code == "BAD_RECEIPT_HANDLE"
    (again,) = world.receive()
    assert again.delivery_attempt == 2
    assert world.do(AckMessages("G", "T", (changed.receipt_handle,))).results[0].code == "BAD_RECEIPT_HANDLE"
    assert world.do(ForwardToDeadLetterQueue("G", "T", handle(again))) is None
    assert world.buried == [0]


def test_in_order_what_comes_later_waits() -> None:
    world = Old()
    world.put(0, b"a", b"b")
    (first,) = world.receive(fifo=True, max_messages=1)
    assert world.receive(fifo=True) == []
    world.do(AckMessages("G", "T", (handle(first),)))
    assert len(world.receive(fifo=True)) == 1


def test_a_handle_of_another_gateway_is_refused_saying_so() -> None:
    world, other = Old(), Old()
    world.put(0, b"a")
    (one,) = world.receive()
    (result,) = other.do(AckMessages("G", "T", (handle(one),))).results
    assert result.code == "BAD_RECEIPT_HANDLE"
    assert "another gateway" in result.text
    assert other.do(ChangeInvisibleDuration("G", "T", handle(one), 0)).code is Code.BAD_RECEIPT_HANDLE


def test_queues_are_shared_with_the_other_members() -> None:
    world = Old()
    world.put(0, b"a")
    world.put(1, b"b")
    world.ids = ["zzz"]  # sorts behind: the first queue is ours
    assert [one.message for one in world.receive()] == [world.queues[0][0]]
    world.ids = []
    world.servers[A].push(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, {"consumerGroup": "G"})
    world.advance(2)
    assert [one.message for one in world.receive()] == [world.queues[1][0]]


def test_a_queue_that_another_member_gets_is_given_up() -> None:
    world = Old()
    world.put(1, b"b")
    (one,) = world.receive()
    world.ids = ["zzz"]
    world.servers[A].push(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, {"consumerGroup": "G"})
    world.advance(2)
    (result,) = world.do(AckMessages("G", "T", (handle(one),))).results
    assert result.code == "BAD_RECEIPT_HANDLE"
    assert world.offsets.get(1, 0) == 0


def test_members_have_one_filter() -> None:
    world = Old()
    world.put(0, b"a")
    world.receive()
    assert world.do(ReceiveMessages("G", "T", filter=Filter("x"))).code is Code.SUBSCRIPTION_INCONSISTENT


def test_the_group_is_left_when_nobody_receives() -> None:
    world = Old()
    world.put(0, b"a")
    (one,) = world.receive()
    world.do(AckMessages("G", "T", (handle(one),)))
    world.servers[A].codes()
    world.advance(65, 0.5)
    gone = world.servers[A].last(RequestCode.UNREGISTER_CLIENT).ext_fields
    assert gone["consumerGroup"] == "G"


def test_a_receive_that_is_broken_off_leaves_nothing_behind() -> None:
    world = Old()
    found = world.begin(ReceiveMessages("G", "T", wait_ms=20_000))
    world.deferred.cancel()
    assert found[0].code is Code.CANCELLED
    world.put(0, b"a")
    world.servers[A].lose()  # the pull that waited is gone with its connection
    world.advance(3)
    assert len(world.receive(2)) == 1


@pytest.mark.parametrize("size", [1, 40])
def test_no_more_is_given_than_asked_for(size: int) -> None:
    world = Old()
    world.put(0, *[b"%d" % number for number in range(50)])
    assert len(world.receive(max_messages=size)) == min(size, 32)
