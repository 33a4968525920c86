"""The ApsaraMQ HTTP wire: XML over HTTP/1.1, signed as the SDKs do."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from rmqgateway.errors import Code
from rmqgateway.http.testing import HttpResponse
from rmqgateway.testing import World
from rmqgateway_mqhttp.errors import TABLE
from rmqgateway_mqhttp.frontend import MqHttpFrontEnd, MqHttpSettings
from tests.contract.driver import Got, Outgoing, Putting, Refused, Sent, shared

__all__ = ["MqHttpDriver"]

_NS = "{http://mq.aliyuncs.com/doc/v1}"
_MAX = 16
#: What the wire calls RocketMQ's properties, beside KEYS.
_OWN = {"__STARTDELIVERTIME", "__TransCheckT", "__BodyEncoding"}


class MqHttpDriver(Putting):
    name = "mqhttp"
    names_in_paths = True
    not_in_properties = ":|"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._host = world.peer_host

        def make() -> MqHttpFrontEnd:
            front_end = MqHttpFrontEnd(now=lambda: world.wall_ms / 1000)
            # Here the server says how long: for all consumers the same.
            front_end.configure(MqHttpSettings(invisible_seconds=self.invisible_ms / 1000))
            return front_end

        self._client = world.http(shared(world, "mqhttp", make))
        self._topic = ""

    def words(self, code: Code) -> object:
        return TABLE[code]

    def close(self) -> None:
        self._client.close()
        self.world.settle()

    def _ask(self, method: str, topic: str, body: str | None = None, **query: Any) -> HttpResponse:
        target = f"/topics/{quote(topic, '')}/messages"
        if query:
            target += "?" + urlencode(query)
        data = None if body is None else body.encode()
        date = formatdate(self.world.wall_ms / 1000, usegmt=True)
        kind = "text/xml;charset=utf-8"
        text = f"{method}\n\n{kind}\n{date}\nx-mq-version:2015-06-06\n{target}"
        digest = base64.b64encode(hmac.new(b"secret", text.encode(), hashlib.sha1).digest()).decode()
        headers = [
            ("x-mq-version", "2015-06-06"),
            ("Date", date),
            ("Content-Type", kind),
            ("Authorization", f"MQ key:{digest}"),
        ]
        answer = self._client.request(method, target, headers, data)
        if answer.status >= 400:
            found = ElementTree.fromstring(answer.body)
            if found.tag == f"{_NS}Errors":
                (found,) = found
                raise Refused(
                    (answer.status, found.findtext(f"{_NS}ErrorCode")), found.findtext(f"{_NS}ErrorMessage") or ""
                )
            raise Refused((answer.status, found.findtext(f"{_NS}Code")), found.findtext(f"{_NS}Message") or "")
        return answer

    # Producing.

    def _publish(self, topic: str, message: Outgoing, **more: object) -> Sent:
        assert message.queue_id < 0 and not message.level, "there is no word for it"
        named: dict[str, object] = {
            "KEYS": " ".join(message.keys),
            "__SHARDINGKEY": message.message_group,
            "__STARTDELIVERTIME": message.deliver_at
            or (self.world.wall_ms + message.delay_ms if message.delay_ms else ""),
            # A producer of this wire has no word for these; under RocketMQ's own names they are refused.
            "_SYS_MSG_PRIORITY_": "" if message.priority is None else message.priority,
            "__LITE_TOPIC": message.lite_topic,
            **message.properties,
            **more,
        }
        properties = "".join(f"{name}:{value}|" for name, value in named.items() if value != "")
        xml = f"<Message><MessageBody>{escape(message.body)}</MessageBody>"
        xml += f"<MessageTag>{escape(message.tag)}</MessageTag>" if message.tag else ""
        xml += f"<Properties>{escape(properties)}</Properties></Message>"
        found = ElementTree.fromstring(self._ask("POST", topic, xml).body)
        return Sent(
            message_id=found.findtext(f"{_NS}MessageId") or "",
            born_timestamp=self.world.wall_ms,
            born_host=self._host,
            transaction=found.findtext(f"{_NS}ReceiptHandle") or "",
        )

    def put(self, topic: str, message: Outgoing) -> Sent:
        return self._publish(topic, message)

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        return self._publish(topic, message, __TransCheckT=10)

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        if commit is not None:
            self._delete(topic, half.transaction, consumer=producer_group, trans="commit" if commit else "rollback")

    def _delete(self, topic: str, handle: str, **query: object) -> None:
        xml = f"<ReceiptHandles><ReceiptHandle>{escape(handle)}</ReceiptHandle></ReceiptHandles>"
        self._ask("DELETE", topic, xml, **query)

    # Consuming.

    def _consume(self, topic: str, **query: object) -> list[Got]:
        try:
            answer = self._ask("GET", topic, **query)
        except Refused as error:
            if error.reason == (404, "MessageNotExist"):
                return []
            raise
        return [self._got(topic, entry) for entry in ElementTree.fromstring(answer.body)]

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        # One request takes 16 at most.
        found: list[Got] = []
        while len(found) < max_messages:
            wanted = min(_MAX, max_messages - len(found))
            more = self._consume(topic, consumer=group, numOfMessages=wanted, tag=tags)
            found += more
            if not more:
                break
        return found

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        query: dict[str, Any] = {"consumer": group, "numOfMessages": max_messages}
        if fifo:
            query["trans"] = "order"
        if lite_topics:
            query["liteTopics"] = ",".join(lite_topics)
        return self._consume(topic, **query)

    def ack(self, group: str, topic: str, message: Got) -> None:
        self._delete(topic, message.handle, consumer=group)

    @staticmethod
    def _got(topic: str, entry: ElementTree.Element) -> Got:
        found = {child.tag.removeprefix(_NS): child.text or "" for child in entry}
        pairs = [item.partition(":") for item in found.get("Properties", "").split("|") if item]
        named = {name: value for name, _, value in pairs}
        own = {"TAGS": found.get("MessageTag", ""), "UNIQ_KEY": found["MessageId"]}
        return Got(
            found["MessageBody"],
            {
                **{name: value for name, value in named.items() if name not in _OWN},
                **{name: value for name, value in own.items() if value},
            },
            topic,
            handle=found["ReceiptHandle"],
            attempt=int(found["ConsumedTimes"]),
            born_timestamp=int(found["PublishTime"]),
            born_host=found.get("BornHost", ""),
            deliver_at=int(named.get("__STARTDELIVERTIME", 0)),
            priority=int(found["Priority"]) if "Priority" in found else None,
            lite_topic=found.get("LiteTopic", ""),
        )


