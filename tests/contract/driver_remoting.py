"""The Remoting front-end, spoken to in our own codec over a transport in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from rmqgateway.errors import Code
from rmqgateway.testing import World
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.clients import (
    ConsumerData,
    ConsumerList,
    HeartbeatData,
    LiteSubscription,
    LiteSubscriptionRequest,
    ProducerData,
    SubscriptionData,
)
from rmqgateway.wire.bodies.common import MessageQueue
from rmqgateway.wire.bodies.consuming import LockBatchRequest, LockBatchResponse, UnlockBatchRequest
from rmqgateway.wire.bodies.routes import TopicRouteData
from rmqgateway.wire.consistent_hash import consistent_hash, java_hash
from rmqgateway.wire.message_batch import BatchedMessage, encode_batch
from rmqgateway.wire.message_id import decode_offset_message_id
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.errors import RESPONSE_CODES
from rmqgateway_remoting.frontend import RemotingFrontEnd
from tests.contract.driver import Got, Outgoing, Pending, Pulled, Putting, Refused, Sent, got_of, named_of

__all__ = ["SLOW_CLOCK_MS", "RemotingDriver"]

T = TypeVar("T")
#: What producers say of the time differs from the gateway's clock by so much.
SLOW_CLOCK_MS = 1500
_PULL = {0: "FOUND", 19: "NO_NEW_MESSAGE", 20: "NO_MATCHED_MESSAGE", 21: "OFFSET_MOVED"}


class RemotingDriver(Putting):
    name = "remoting"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._host = world.peer_host
        self._protocol, self._transport = world.connect(RemotingFrontEnd())
        self._decoder = RemotingDecoder()
        self._opaque = 0
        self._answers: dict[int, RemotingCommand] = {}
        self._pushed: list[RemotingCommand] = []
        self._unique = 0

    def words(self, code: Code) -> object:
        return int(RESPONSE_CODES[code])

    def close(self) -> None:
        self._protocol.connectionLost()  # type: ignore[call-arg]  # the reason has a default
        self.world.settle()

    def _read(self) -> None:
        for frame in self._decoder.receive_data(self._transport.value()):
            assert isinstance(frame, RemotingCommand)
            if frame.is_response:
                self._answers[frame.opaque] = frame
            else:
                self._pushed.append(frame)
        self._transport.clear()

    def _begin(self, code: RequestCode, ext: dict[str, object], body: bytes = b"") -> Callable[[], RemotingCommand | None]:
        self._opaque += 1
        opaque = self._opaque
        fields = {name: str(value) for name, value in ext.items()}
        self._protocol.dataReceived(encode_request(code, opaque, fields, body, language="JAVA"))

        def look() -> RemotingCommand | None:
            self._read()
            return self._answers.pop(opaque, None)

        return look

    def ask(self, code: RequestCode, ext: dict[str, object], body: bytes = b"") -> RemotingCommand:
        answer = Pending(self.world, self._begin(code, ext, body)).answer()
        if answer.code:
            raise Refused(answer.code, answer.remark or "")
        return answer

    # Producing.

    def _send(
        self,
        topic: str,
        body: bytes,
        properties: dict[str, str],
        queue_id: int = -1,
        sys_flag: int = 0,
        producer_group: str = "producers",
        code: RequestCode = RequestCode.SEND_MESSAGE_V2,
    ) -> Sent:
        self._unique += 1
        born = self.world.wall_ms - SLOW_CLOCK_MS
        named = {"UNIQ_KEY": f"{id(self):024X}{self._unique:08X}", **properties}
        text = "".join(f"{name}\x01{value}\x02" for name, value in named.items() if value)
        ext: dict[str, object] = {
            "a": producer_group,
            "b": topic,
            "c": "TBW102",
            "d": 4,
            "e": queue_id,
            "f": sys_flag,
            "g": born,
            "h": 0,
            "i": text,
            "j": 0,
            "k": "false",
            "m": "true" if code is RequestCode.SEND_BATCH_MESSAGE else "false",
        }
        found = self.ask(code, ext, body).ext_fields
        offset = decode_offset_message_id(found["msgId"].split(",")[0])[1]
        return Sent(
            int(found["queueId"]),
            int(found["queueOffset"]),
            offset,
            found.get("transactionId") or named["UNIQ_KEY"],
            found.get("recallHandle", ""),
            born,
            self._host,
        )

    def put(self, topic: str, message: Outgoing) -> Sent:
        queue_id = message.queue_id
        if queue_id < 0 and message.message_group:
            queue_id = consistent_hash(java_hash(message.message_group), self.queues(topic))  # as a Java selector would
        return self._send(topic, message.body.encode(), named_of(message), queue_id)

    def put_half(self, topic: str, message: Outgoing, producer_group: str) -> Sent:
        properties = {**named_of(message), "TRAN_MSG": "true", "PGROUP": producer_group}
        return self._send(topic, message.body.encode(), properties, sys_flag=4, producer_group=producer_group)

    def send_to(self, topic: str, body: str, queue_id: int) -> Sent:
        return self.put(topic, Outgoing(body, queue_id=queue_id))

    def send_batch(self, topic: str, bodies: list[str]) -> Sent:
        packed = encode_batch(BatchedMessage(body.encode(), b"UNIQ_KEY\x01K%d\x02" % at) for at, body in enumerate(bodies))
        return self._send(topic, packed, {}, code=RequestCode.SEND_BATCH_MESSAGE)

    def send_at_level(self, topic: str, body: str, level: int) -> Sent:
        return self.put(topic, Outgoing(body, level=level))

    def recall(self, topic: str, handle: str) -> str:
        ext: dict[str, object] = {"producerGroup": "producers", "topic": topic, "recallHandle": handle}
        return self.ask(RequestCode.RECALL_MESSAGE, ext).ext_fields["msgId"]

    def end_transaction(self, topic: str, half: Sent, producer_group: str, commit: bool | None) -> None:
        ext: dict[str, object] = {
            "topic": topic,
            "producerGroup": producer_group,
            "tranStateTableOffset": half.queue_offset,
            "commitLogOffset": half.physical_offset,
            "commitOrRollback": {True: 8, False: 12, None: 0}[commit],
            "fromTransactionCheck": "false",
            "msgId": half.message_id,
            "transactionId": half.message_id,
        }
        self.ask(RequestCode.END_TRANSACTION, ext)

    def _pushes(self, code: RequestCode) -> list[RemotingCommand]:
        self.world.settle()
        self._read()
        found = [frame for frame in self._pushed if frame.code == code]
        self._pushed = [frame for frame in self._pushed if frame.code != code]
        return found

    def answer_for(self, client_id: str, producer_group: str, topic: str) -> None:
        self.heartbeat(client_id, producer=producer_group)

    def checks(self) -> list[Got]:
        return [got_of(frame.body) for frame in self._pushes(RequestCode.CHECK_TRANSACTION_STATE)]

    # Popping.

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        return self._pop(group, topic, self.invisible_ms, 0, False, max_messages, tags).answer()

    def receive_for(
        self, group: str, topic: str, invisible_ms: int, *, wait_ms: int = 0, fifo: bool = False, max_messages: int = 32
    ) -> Pending[list[Got]]:
        return self._pop(group, topic, invisible_ms, wait_ms, fifo, max_messages, "*")

    def _pop(
        self, group: str, topic: str, invisible_ms: int, wait_ms: int, fifo: bool, max_messages: int, tags: str
    ) -> Pending[list[Got]]:
        ext: dict[str, object] = {
            "consumerGroup": group,
            "topic": topic,
            "queueId": -1,
            "maxMsgNums": max_messages,
            "invisibleTime": invisible_ms,
            "pollTime": wait_ms,
            "bornTime": self.world.wall_ms,
            "initMode": 0,
            "exp": tags,
            "expType": "TAG",
            "order": "true" if fifo else "false",
        }
        look = self._begin(RequestCode.POP_MESSAGE, ext)

        def found() -> list[Got] | None:
            answer = look()
            if answer is None:
                return None
            if answer.code == ResponseCode.POLLING_TIMEOUT:
                return []
            if answer.code:
                raise Refused(answer.code, answer.remark or "")
            return _popped(answer, self.world.settings.broker_name)

        return Pending(self.world, found)

    def _handle(self, group: str, topic: str, message: Got) -> dict[str, object]:
        parts = message.handle.split(" ")
        name = topic if parts[4] == "0" else f"%RETRY%{group}+{topic}"
        return {
            "consumerGroup": group,
            "topic": name,
            "queueId": parts[6],
            "extraInfo": message.handle,
            "offset": parts[7],
            **({"liteTopic": message.lite_topic} if message.lite_topic else {}),
        }

    def consume(
        self, group: str, topic: str, *, fifo: bool = False, lite_topics: tuple[str, ...] = (), max_messages: int = 16
    ) -> list[Got]:
        if lite_topics:
            return self._consume_lite(group, topic, lite_topics, max_messages)
        return self.receive_for(group, topic, self.invisible_ms, fifo=fifo, max_messages=max_messages).answer()

    def _consume_lite(self, group: str, topic: str, lite_topics: tuple[str, ...], max_messages: int) -> list[Got]:
        """POP_LITE_MESSAGE, after LITE_SUBSCRIPTION_CTL."""
        client_id = f"lite-{id(self)}"
        wanted = LiteSubscription(
            action="COMPLETE_ADD", client_id=client_id, group=group, topic=topic, lite_topic_set=list(lite_topics)
        )
        self.ask(RequestCode.LITE_SUBSCRIPTION_CTL, {}, encode_body(LiteSubscriptionRequest(subscription_set=[wanted])))
        ext: dict[str, object] = {
            "clientId": client_id,
            "consumerGroup": group,
            "topic": topic,
            "maxMsgNum": max_messages,
            "invisibleTime": self.invisible_ms,
            "pollTime": 0,
            "bornTime": self.world.wall_ms,
        }
        try:
            answer = self.ask(RequestCode.POP_LITE_MESSAGE, ext)
        except Refused as error:
            if error.reason == ResponseCode.POLLING_TIMEOUT:
                return []
            raise
        return _popped_lite(answer, self.world.settings.broker_name)

    def ack(self, group: str, topic: str, message: Got) -> None:
        self.ask(RequestCode.ACK_MESSAGE, self._handle(group, topic, message))

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        self.change_invisible(group, topic, message, delay_ms)

    def change_invisible(self, group: str, topic: str, message: Got, invisible_ms: int) -> Got:
        ext = {**self._handle(group, topic, message), "invisibleTime": invisible_ms}
        found = self.ask(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, ext).ext_fields
        parts = message.handle.split(" ")
        parts[1:4] = [found["popTime"], found["invisibleTime"], found["reviveQid"]]
        return msgspec.structs.replace(message, handle=" ".join(parts))

    # Pulling.

    def pull(self, group: str, topic: str, queue_id: int, offset: int, wait_ms: int = 0, tags: str = "*") -> Pending[Pulled]:
        ext: dict[str, object] = {
            "consumerGroup": group,
            "topic": topic,
            "queueId": queue_id,
            "queueOffset": offset,
            "maxMsgNums": 32,
            "sysFlag": 6 if wait_ms else 4,
            "commitOffset": 0,
            "suspendTimeoutMillis": wait_ms,
            "subscription": tags,
            "subVersion": 0,
            "expressionType": "TAG",
        }
        look = self._begin(RequestCode.PULL_MESSAGE, ext)

        def found() -> Pulled | None:
            answer = look()
            if answer is None:
                return None
            if answer.code not in _PULL:
                raise Refused(answer.code, answer.remark or "")
            fields = answer.ext_fields
            return Pulled(
                _PULL[answer.code],
                _messages(answer.body),
                int(fields["nextBeginOffset"]),
                int(fields["minOffset"]),
                int(fields["maxOffset"]),
            )

        return Pending(self.world, found)

    def _offset(self, code: RequestCode, **ext: object) -> int:
        return int(self.ask(code, ext).ext_fields["offset"])

    def offsets(self, topic: str, queue_id: int) -> tuple[int, int]:
        return (
            self._offset(RequestCode.GET_MIN_OFFSET, topic=topic, queueId=queue_id),
            self._offset(RequestCode.GET_MAX_OFFSET, topic=topic, queueId=queue_id),
        )

    def offset_at(self, topic: str, queue_id: int, at_ms: int) -> int:
        return self._offset(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, topic=topic, queueId=queue_id, timestamp=at_ms)

    def commit(self, group: str, topic: str, queue_id: int, offset: int) -> None:
        ext: dict[str, object] = {"consumerGroup": group, "topic": topic, "queueId": queue_id, "commitOffset": offset}
        self.ask(RequestCode.UPDATE_CONSUMER_OFFSET, ext)

    def committed(self, group: str, topic: str, queue_id: int) -> int | None:
        try:
            return self._offset(
                RequestCode.QUERY_CONSUMER_OFFSET,
                consumerGroup=group,
                topic=topic,
                queueId=queue_id,
                setZeroIfNotFound="false",
            )
        except Refused as error:
            if error.reason == ResponseCode.QUERY_NOT_FOUND:
                return None
            raise

    def send_back(self, group: str, topic: str, message: Got, level: int = 0) -> None:
        ext: dict[str, object] = {
            "group": group,
            "offset": message.physical_offset,
            "delayLevel": level,
            "originMsgId": "",
            "originTopic": topic,
            "unitMode": "false",
        }
        self.ask(RequestCode.CONSUMER_SEND_MSG_BACK, ext)

    def _queues(self, topic: str, queue_ids: list[int]) -> list[MessageQueue]:
        return [MessageQueue(self.world.settings.broker_name, queue_id, topic) for queue_id in queue_ids]

    def lock(self, group: str, client_id: str, topic: str, queue_ids: list[int]) -> list[int]:
        body = LockBatchRequest(client_id=client_id, consumer_group=group, mq_set=self._queues(topic, queue_ids))
        answer = decode_body(self.ask(RequestCode.LOCK_BATCH_MQ, {}, encode_body(body)).body, LockBatchResponse)
        return sorted(queue.queue_id for queue in answer.lock_ok_mq_set)

    def unlock(self, group: str, client_id: str, topic: str, queue_ids: list[int]) -> None:
        body = UnlockBatchRequest(client_id=client_id, consumer_group=group, mq_set=self._queues(topic, queue_ids))
        self.ask(RequestCode.UNLOCK_BATCH_MQ, {}, encode_body(body))

    # Clients and administration.

    def heartbeat(
        self, client_id: str, group: str = "", topics: list[str] | None = None, *, producer: str = "", broadcast: bool = False
    ) -> None:
        consumer = ConsumerData(
            group_name=group,
            consume_type="CONSUME_PASSIVELY",
            message_model="BROADCASTING" if broadcast else "CLUSTERING",
            consume_from_where="CONSUME_FROM_LAST_OFFSET",
            subscription_data_set=[SubscriptionData(topic=topic, sub_string="*") for topic in topics or ()],
        )
        body = HeartbeatData(
            client_id=client_id,
            consumer_data_set=[consumer] if group else [],
            producer_data_set=[ProducerData(group_name=producer)] if producer else [],
        )
        self.ask(RequestCode.HEART_BEAT, {}, encode_body(body))

    def unregister(self, client_id: str, group: str) -> None:
        self.ask(RequestCode.UNREGISTER_CLIENT, {"clientID": client_id, "consumerGroup": group})

    def members(self, group: str) -> list[str]:
        answer = self.ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, {"consumerGroup": group})
        return sorted(decode_body(answer.body, ConsumerList).consumer_id_list)

    def changes(self) -> list[str]:
        return [frame.ext_fields["consumerGroup"] for frame in self._pushes(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED)]

    def queues(self, topic: str) -> int:
        route = decode_body(self.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, {"topic": topic}).body, TopicRouteData)
        return sum(queues.write_queue_nums for queues in route.queue_datas)

    def find_by_key(self, topic: str, key: str) -> list[Got]:
        ext: dict[str, object] = {
            "topic": topic,
            "key": key,
            "maxNum": 32,
            "beginTimestamp": 0,
            "endTimestamp": self.world.wall_ms + 1,
        }
        try:
            return _messages(self.ask(RequestCode.QUERY_MESSAGE, ext).body)
        except Refused as error:
            if error.reason == ResponseCode.QUERY_NOT_FOUND:
                return []
            raise

    def view(self, sent: Sent) -> Got:
        return _messages(self.ask(RequestCode.VIEW_MESSAGE_BY_ID, {"offset": sent.physical_offset}).body)[0]


def _popped_lite(answer: RemotingCommand, broker_name: str) -> list[Got]:
    """Messages of lite topics with the handles that a client puts together (``MQClientAPIImpl.processPopLiteResponse``)."""
    fields = answer.ext_fields
    found = []
    counts = fields["orderCountInfo"].split(";")
    for (start, size), count in zip(stored_message.message_sizes(answer.body), counts, strict=True):
        message = answer.body[start : start + size]
        named = decode_properties(stored_message.properties(message))
        parent, lite_topic = named.pop("INNER_MULTI_DISPATCH").split("$")[1:]
        offset = named.pop("INNER_MULTI_QUEUE_OFFSET")
        assert parent == stored_message.topic(message).decode() and lite_topic == named["__LITE_TOPIC"]
        handle = (
            f"{offset} {fields['popTime']} {fields['invisibleTime']} {fields['reviveQid']} 0 {broker_name} 0 {offset}"
        )
        got = got_of(message, handle, int(count) + 1)
        found.append(msgspec.structs.replace(got, properties=named))
    return found


def _messages(body: bytes) -> list[Got]:
    return [got_of(body[start : start + size]) for start, size in stored_message.message_sizes(body)]


def _popped(answer: RemotingCommand, broker_name: str) -> list[Got]:
    """Messages with the handles that a client puts together (``ExtraInfoUtil.buildExtraInfo``)."""
    fields = answer.ext_fields
    starts = dict(part.rsplit(" ", 1) for part in fields["startOffsetInfo"].split(";") if part)
    found = []
    for start, size in stored_message.message_sizes(answer.body):
        message = answer.body[start : start + size]
        place = stored_message.decode(message)
        handle = decode_properties(place.properties).get("POP_CK")
        if handle is None:
            queue = place.queue_id
            handle = (
                f"{starts[f'0 {queue}']} {fields['popTime']} {fields['invisibleTime']} {fields['reviveQid']} 0"
                f" {broker_name} {queue} {place.queue_offset}"
            )
        found.append(got_of(message, handle, place.reconsume_times + 1))
    return found
