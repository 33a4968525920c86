"""The REST front-end: JSON over HTTP/1.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from rmqgateway.errors import Code
from rmqgateway.http.testing import HttpClient, HttpResponse
from rmqgateway.testing import NoReplyYet, World
from rmqgateway_http.frontend import HttpFrontEnd
from rmqgateway_http.problems import PROBLEMS
from tests.contract.driver import Got, Outgoing, Pending, Pulled, Putting, Refused, Sent, shared

__all__ = ["HttpDriver"]

_JSON = [("Content-Type", "application/json")]


class HttpDriver(Putting):
    name = "http"
    names_in_paths = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._host = world.peer_host
        self._front_end = shared(world, "http", HttpFrontEnd)
        self._client = world.http(self._front_end)
        self._waiting: list[HttpClient] = []
        self._idle: list[HttpClient] = []
        self._group = ""

    def words(self, code: Code) -> object:
        # The gateway's own word is finer than RocketMQ's, and both are told.
        return PROBLEMS[code][0], "urn:rmqgateway:" + code.name.lower().replace("_", "-")

    def close(self) -> None:
        for client in (self._client, *self._waiting, *self._idle):
            client.close()
        self.world.settle()

    def _checked(self, answer: HttpResponse) -> Any:
        if answer.status >= 400:
            problem = answer.json()
            raise Refused((answer.status, problem["type"]), problem["detail"])
        return answer.json() if answer.body else None

    def _ask(self, method: str, path: str, value: object = None, **query: object) -> Any:
        target = path + ("?" + urlencode(query) if query else "")
        if value is None:
            return self._checked(self._client.request(method, target))
        return self._checked(self._client.request(method, target, _JSON, msgspec.json.encode(value)))

    def _begin(self, path: str, **query: object) -> tuple[Callable[[], Any], Callable[[], None]]:
        """A GET that may wait, on a connection of its own: how to look for its answer, and how to go away."""
        client = self._idle.pop() if self._idle else self.world.http(self._front_end)
        if client.closed:
            client.connect()
        self._waiting.append(client)
        client.start("GET", f"{path}?{urlencode(query)}")

        def look() -> Any:
            try:
                answer = client.response()
            except NoReplyYet:
                return None
            self._waiting.remove(client)
            self._idle.append(client)
            return self._checked(answer)

        return look, client.close

    # Producing.

    @staticmethod
    def _value(message: Outgoing) -> dict[str, Any]:
        found = {
            "body": message.body,
            "tag": message.tag,
            "keys": list(message.keys),
            "properties": message.properties,
            "message_group": message.message_group,
            "delay": f"{message.delay_ms}ms" if message.delay_ms else None,
            "deliver_at": message.deliver_at or None,
            "delay_level": message.level or None,
            "priority": message.priority,
            "lite_topic": message.lite_topic,
            "queue_id": message.queue_id,
        }
        return {name: value for name, value in found.items() if value is not None and value != ""}

    def _sent(self, answer: dict[str, Any]) -> Sent:
        return Sent(
            answer.get("queue_id", -1),
            answer.get("queue_offset", -1),
            message_id=answer["message_id"],
            recall_handle=answer.get("recall_handle", ""),
            born_timestamp=self.world.wall_ms,
            born_host=self._host,
            transaction=answer.get("transaction", ""),
        )

    def put(self, topic: str, message: Outgoing) -> Sent:
        return self._sent(self._ask("POST", f"/v1/topics/{quote(topic, '')}/messages", self._value(message)))

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        path = f"/v1/topics/{topic}/transactions"
        return self._sent(self._ask("POST", path, self._value(message), producer_group=producer_group))

    def send_to(self, topic: str, body: str, queue_id: int) -> Sent:
        return self.put(topic, Outgoing(body, queue_id=queue_id))

    def send_batch(self, topic: str, bodies: list[str]) -> Sent:
        value = {"messages": [{"body": body} for body in bodies], "as_batch": True}
        return self._sent(self._ask("POST", f"/v1/topics/{topic}/messages", value)["messages"][0])

    def send_at_level(self, topic: str, body: str, level: int) -> Sent:
        return self.put(topic, Outgoing(body, level=level))

    def recall(self, topic: str, handle: str) -> str:
        found: str = self._ask("DELETE", f"/v1/topics/{topic}/delayed/{quote(handle, '')}")["message_id"]
        return found

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        if commit is not None:  # who does not know yet says nothing
            self._ask("POST", f"/v1/transactions/{half.transaction}/{'commit' if commit else 'rollback'}")

    def answer_for(self, client_id: str, producer_group: str, topic: str) -> None:
        self._group = producer_group
        assert self.checks() == [], "who polls is a member from the first time on"

    def checks(self) -> list[Got]:
        found = self._ask("GET", f"/v1/producer-groups/{self._group}/checks")["transactions"]
        return [_got(one) for one in found]

    # Popping.

    def _messages(self, group: str, topic: str) -> str:
        return f"/v1/topics/{quote(topic, '')}/groups/{quote(group, '')}/messages"

    def _receive(self, group: str, topic: str, **query: object) -> Pending[list[Got]]:
        look, go = self._begin(self._messages(group, topic), **query)

        def found() -> list[Got] | None:
            answer = look()
            return None if answer is None else [_got(one) for one in answer["messages"]]

        return Pending(self.world, found, go)

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        return self._receive(group, topic, max=max_messages, filter=tags).answer()

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        query = {"invisible": f"{invisible_ms}ms", "wait": f"{wait_ms}ms", "max": max_messages, "fifo": str(fifo).lower()}
        return self._receive(group, topic, **query)

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        query: dict[str, object] = {"max": max_messages, "invisible": f"{self.invisible_ms}ms", "fifo": str(fifo).lower()}
        if lite_topics:
            query["lite_topics"] = ",".join(lite_topics)
        return self._receive(group, topic, **query).answer()

    def _of(self, group: str, topic: str, message: Got, what: str = "") -> str:
        return f"{self._messages(group, topic)}/{quote(message.handle, '')}{what}"

    def ack(self, group: str, topic: str, message: Got) -> None:
        self._ask("DELETE", self._of(group, topic, message))

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        self._ask("POST", self._of(group, topic, message, "/nack"), delay=f"{delay_ms}ms")

    def change_invisible(self, group: str, topic: str, message: Got, invisible_ms: int) -> Got:
        answer = self._ask("PATCH", self._of(group, topic, message), invisible=f"{invisible_ms}ms")
        return msgspec.structs.replace(message, handle=answer["receipt_handle"].replace("~", " "))

    def dead_letter(self, group: str, topic: str, message: Got) -> None:
        self._ask("POST", self._of(group, topic, message, "/dead-letter"))

    # Pulling.

    def pull(self, group: str, topic: str, queue_id: int, offset: int, wait_ms: int = 0, tags: str = "*") -> Pending[Pulled]:
        path = f"/v1/topics/{quote(topic, '')}/groups/{group}/queues/{queue_id}/messages"
        look, go = self._begin(path, offset=offset, wait=f"{wait_ms}ms", filter=tags)

        def found() -> Pulled | None:
            answer = look()
            if answer is None:
                return None
            return Pulled(
                answer["status"].upper(),
                [_got(one) for one in answer["messages"]],
                answer["next_offset"],
                answer["min_offset"],
                answer["max_offset"],
            )

        return Pending(self.world, found, go)

    def offsets(self, topic: str, queue_id: int) -> tuple[int, int]:
        answer = self._ask("GET", f"/v1/topics/{topic}/queues/{queue_id}/offsets")
        return answer["min_offset"], answer["max_offset"]

    def offset_at(self, topic: str, queue_id: int, at_ms: int) -> int:
        found: int = self._ask("GET", f"/v1/topics/{topic}/queues/{queue_id}/offsets", timestamp=at_ms)["offset"]
        return found

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        self._ask("PUT", f"/v1/topics/{topic}/groups/{group}/queues/{queue_id}/offset", {"offset": offset})

    def committed(self, group: str, topic: str, queue_id: int) -> int | None:
        try:
            found: int = self._ask("GET", f"/v1/topics/{topic}/groups/{group}/queues/{queue_id}/offset")["offset"]
        except Refused as error:
            if error.reason == self.words(Code.OFFSET_NOT_FOUND):
                return None
            raise
        return found

    def queues(self, topic: str) -> int:
        return sum(one["write_queues"] for one in self._ask("GET", f"/v1/topics/{topic}/queues")["queues"])


def _got(message: dict[str, Any]) -> Got:
    get = message.get
    own = {
        "TAGS": get("tag", ""),
        "KEYS": " ".join(get("keys", [])),
        "UNIQ_KEY": get("message_id", ""),
        "__SHARDINGKEY": get("message_group", ""),
    }
    return Got(
        get("body", ""),
        {**get("properties", {}), **{name: value for name, value in own.items() if value}},
        message["topic"],
        get("queue_id", -1),
        get("queue_offset", -1),
        handle=get("receipt_handle", "").replace("~", " "),
        attempt=get("delivery_attempt", 1),
        born_timestamp=get("born_at", 0),
        born_host=get("born_host", ""),
        deliver_at=get("deliver_at", 0),
        priority=get("priority"),
        lite_topic=get("lite_topic", ""),
        transaction=get("transaction", ""),
    )
