"""The drivers of the contract suite, where a real cluster makes a difference to clients."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.testing import StringTransport

from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.routes import TopicRouteData
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode
from tests.cluster.world import ClusterWorld
from tests.contract.driver import Driver, Got, Pending
from tests.contract.driver_remoting import RemotingDriver
from tests.contract.matrix import FRONT_ENDS as _FRONT_ENDS

__all__ = ["FRONT_ENDS", "PassthroughDriver"]


class _NamesWorld(ClusterWorld):
    """A world whose Remoting connections go to the name server."""

    def __init__(self, world: ClusterWorld) -> None:
        super().__init__(world.shared, world.invisible_ms)
        self.peer_host = world.peer_host

    def connect(self, front_end: Any, listener: str = "") -> tuple[Any, StringTransport]:
        return super().connect(front_end, listener)


class PassthroughDriver(RemotingDriver):
    """A Remoting client has one connection to the name server and one to the broker, as its frames name neither."""

    world: ClusterWorld

    def __init__(self, world: ClusterWorld) -> None:
        self._counts: dict[str, int] = {}
        super().__init__(world)
        #: Brokers know the gateway's address, not the client's.
        self._host = "127.0.0.1"
        self._names: RemotingDriver | None = None

    def queues(self, topic: str) -> int:
        if self._names is None:
            self._names = RemotingDriver(_NamesWorld(self.world))
        answer = self._names.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, {"topic": topic})
        return sum(one.write_queue_nums for one in decode_body(answer.body, TopicRouteData).queue_datas)

    def ask(self, code: RequestCode, ext: dict[str, object], body: bytes = b"") -> RemotingCommand:
        answer = super().ask(code, ext, body)
        if code is RequestCode.POP_LITE_MESSAGE:
            # Each is "kind place count", of which the count is what clients read.
            counts = [count.rpartition(" ")[2] for count in answer.ext_fields.get("orderCountInfo", "").split(";")]
            size = len(stored_message.message_sizes(answer.body))
            answer.ext_fields["orderCountInfo"] = ";".join(counts if len(counts) == size and all(counts) else ["0"] * size)
        return answer

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        if not fifo:
            return super().receive_for(group, topic, invisible_ms, wait_ms=wait_ms, max_messages=max_messages)
        # How often a message in order was received before is told beside it, by its queue and offset.
        pending = self._pop(group, topic, invisible_ms, wait_ms, True, max_messages, "*")
        counts: dict[str, int] = {}
        self._counts = counts

        def look() -> list[Got] | None:
            if not pending.done:
                return None
            return [
                msgspec.structs.replace(got, attempt=counts.get(f"qo{got.queue_id}%{got.queue_offset}", 0) + 1)
                for got in pending.answer()
            ]

        return Pending(self.world, look)

    def _read(self) -> None:
        super()._read()
        for answer in self._answers.values():
            for part in answer.ext_fields.get("orderCountInfo", "").split(";"):
                _kind, _, rest = part.partition(" ")
                place, _, count = rest.rpartition(" ")
                if place and count.isdigit():
                    self._counts[place] = int(count)

    def _handle(self, group: str, topic: str, message: Got) -> dict[str, object]:
        found = super()._handle(group, topic, message)
        if message.handle.split(" ")[4] == "1":
            found["topic"] = f"%RETRY%{group}_{topic}"
        return found


FRONT_ENDS: dict[str, type[Driver]] = {**_FRONT_ENDS, "remoting": PassthroughDriver}
