"""The WebSocket front-end, in JSON over the real upgrade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmqgateway.errors import Code
from rmqgateway.testing import World
from tests.contract.driver import Got, Outgoing, Pending, Pulled, Putting, Refused, Sent, shared
from tests.unit.rmqgateway_websocket.websockets import JSON, Gateway

__all__ = ["WebSocketDriver"]


class WebSocketDriver(Putting):
    name = "websocket"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._host = world.peer_host
        self._gone = False
        self._browser = shared(world, "websocket", lambda: Gateway(world)).client(JSON)

    def words(self, code: Code) -> object:
        return code.name

    def close(self) -> None:
        self._gone = True
        self._browser.vanish()

    def live(self) -> None:
        if not self._browser.closed and not self._gone:
            self._browser.read()

    @staticmethod
    def _checked(frame: dict[str, Any]) -> dict[str, Any]:
        if frame["op"] == "error":
            raise Refused(frame["reason"], frame["message"])
        return frame

    def _begin(self, op: str, **fields: object) -> Callable[[], dict[str, Any] | None]:
        number = self._browser.start(op, **fields)
        return lambda: self._checked(self._browser.answer(number)) if self._browser.answered(number) else None

    def _ask(self, op: str, **fields: object) -> dict[str, Any]:
        answer = Pending(self.world, self._begin(op, **fields)).answer()
        self.world.settle()
        return answer

    # Producing.

    @staticmethod
    def _value(message: Outgoing) -> dict[str, Any]:
        assert not message.level, "there is no word for it"
        found = {
            "text": message.body,
            "tag": message.tag or None,
            "keys": message.keys or None,
            "properties": message.properties or None,
            "messageGroup": message.message_group or None,
            "delayMs": message.delay_ms or None,
            "deliverAt": message.deliver_at or None,
            "priority": message.priority,
            "liteTopic": message.lite_topic or None,
            "queueId": None if message.queue_id < 0 else message.queue_id,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _send(self, topic: str, message: Outgoing, **more: object) -> Sent:
        (result,) = self._ask("send", topic=topic, messages=[self._value(message)], **more)["results"]
        return Sent(
            result["queueId"],
            result["offset"],
            message_id=result["messageId"],
            recall_handle=result.get("recallHandle", ""),
            born_timestamp=self.world.wall_ms,
            born_host=self._host,
            transaction=result.get("transactionId", ""),
        )

    def put(self, topic: str, message: Outgoing) -> Sent:
        return self._send(topic, message)

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        return self._send(topic, message, transaction=True, producerGroup=producer_group)

    def send_to(self, topic: str, body: str, queue_id: int) -> Sent:
        return self.put(topic, Outgoing(body, queue_id=queue_id))

    def recall(self, topic: str, handle: str) -> str:
        found: str = self._ask("recall", topic=topic, recallHandle=handle)["messageId"]
        return found

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        if commit is not None:  # who does not know yet says nothing
            op = "commit" if commit else "rollback"
            self._ask(op, topic=topic, transactionId=half.transaction, producerGroup=producer_group)

    def answer_for(self, client_id: str, producer_group: str, topic: str) -> None:
        self._ask("heartbeat", producerGroups=[producer_group])

    def checks(self) -> list[Got]:
        return [_got(frame["message"]) for frame in self._browser.take("check")]

    # Popping.

    def _receive(self, group: str, topic: str, **fields: object) -> Pending[list[Got]]:
        look = self._begin("receive", group=group, topic=topic, **fields)

        def found() -> list[Got] | None:
            frame = look()
            return None if frame is None else [_got(one) for one in frame["messages"]]

        return Pending(self.world, found)

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        return self._receive(group, topic, maxMessages=max_messages, filter=tags, invisibleMs=self.invisible_ms).answer()

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        fields = {"invisibleMs": invisible_ms, "waitMs": wait_ms, "fifo": fifo, "maxMessages": max_messages}
        return self._receive(group, topic, **fields)

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        fields = {"maxMessages": max_messages, "fifo": fifo, "liteTopics": lite_topics}
        return self._receive(group, topic, invisibleMs=self.invisible_ms, **fields).answer()

    def _settle(self, op: str, group: str, topic: str, message: Got, **more: object) -> None:
        self._ask(op, group=group, topic=topic, receiptHandles=[message.handle], **more)

    def ack(self, group: str, topic: str, message: Got) -> None:
        self._settle("ack", group, topic, message)

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        self._settle("retry", group, topic, message, delayMs=delay_ms)

    def dead_letter(self, group: str, topic: str, message: Got) -> None:
        self._settle("reject", group, topic, message)

    # Pulling.

    def pull(self, group: str, topic: str, queue_id: int, offset: int, wait_ms: int = 0, tags: str = "*") -> Pending[Pulled]:
        fields = {"queueId": queue_id, "offset": offset, "waitMs": wait_ms, "filter": tags}
        look = self._begin("pull", group=group, topic=topic, **fields)

        def found() -> Pulled | None:
            frame = look()
            if frame is None:
                return None
            messages = [_got(one) for one in frame["messages"]]
            return Pulled(frame["status"], messages, frame["nextOffset"], frame["minOffset"], frame["maxOffset"])

        return Pending(self.world, found)

    def _offset(self, topic: str, queue_id: int, of: str, **more: object) -> int:
        found: int = self._ask("queryOffset", topic=topic, queueId=queue_id, of=of, **more)["offset"]
        return found

    def offsets(self, topic: str, queue_id: int) -> tuple[int, int]:
        return self._offset(topic, queue_id, "min"), self._offset(topic, queue_id, "max")

    def offset_at(self, topic: str, queue_id: int, at_ms: int) -> int:
        return self._offset(topic, queue_id, "timestamp", timestamp=at_ms)

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        self._ask("updateOffset", group=group, topic=topic, queueId=queue_id, offset=offset)

    def committed(self, group: str, topic: str, queue_id: int) -> int | None:
        try:
            found: int = self._ask("getOffset", group=group, topic=topic, queueId=queue_id)["offset"]
        except Refused as error:
            if error.reason == "OFFSET_NOT_FOUND":
                return None
            raise
        return found

    def queues(self, topic: str) -> int:
        return sum(one["writeQueues"] for one in self._ask("route", topic=topic)["queues"])


def _got(message: dict[str, Any]) -> Got:
    get = message.get
    own = {
        "TAGS": get("tag", ""),
        "KEYS": " ".join(get("keys", [])),
        "UNIQ_KEY": get("messageId", ""),
        "__SHARDINGKEY": get("messageGroup", ""),
    }
    return Got(
        get("text", ""),
        {**get("properties", {}), **{name: value for name, value in own.items() if value}},
        message["topic"],
        get("queueId", 0),
        get("offset", -1),
        handle=get("receiptHandle", ""),
        attempt=get("deliveryAttempt", 1),
        born_timestamp=get("bornTimestamp", 0),
        born_host=get("bornHost", ""),
        deliver_at=get("deliverAt", 0),
        priority=get("priority"),
        lite_topic=get("liteTopic", ""),
    )
