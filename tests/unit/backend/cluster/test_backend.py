"""The cluster backend before scripted brokers: what is sent to whom, and what becomes of every answer."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from zope.interface.verify import verifyObject

from rmqgateway.commands import (
    AckMessages,
    AwaitMessages,
    ChangeInvisibleDuration,
    EndTransaction,
    ForwardToDeadLetterQueue,
    Heartbeat,
    ListUsers,
    ReceiveMessages,
    SendMessages,
    SendReply,
    all_commands,
)
from rmqgateway.commands.clients import ConsumeMode, Consumer, Subscribed
from rmqgateway.commands.users import Policy, PolicyEntry
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction, ReplyArrived
from rmqgateway.governance.users import UserRecord
from rmqgateway.interfaces import IBackend
from rmqgateway.message import Filter, Message
from rmqgateway.wire.message_properties import decode_properties, encode_properties
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from tests.unit.backend.cluster.world import NOW, A, B, World, stored

#: Refused by name: these are the brokers' own business, or not there yet.
REFUSED = {
    "CreateAcl",
    "CreateUser",
    "DeleteAcl",
    "DeleteSubscription",
    "DeleteUser",
    "GetAcl",
    "GetUser",
    "ListAcls",
    "ListUsers",
    "UpdateAcl",
    "UpdateUser",
}


def message(body: bytes = b"hi", **properties: str) -> Message:
    return Message(body, encode_properties({"UNIQ_KEY": "K1", **properties}))


def popped(*messages: bytes, start: int = 0, queue: int = 0) -> tuple[int, dict[str, str], bytes]:
    offsets = ",".join(str(start + number) for number in range(len(messages)))
    ext = {"popTime": str(NOW), "invisibleTime": "60000", "reviveQid": "3", "restNum": "9"}
    ext |= {"startOffsetInfo": f"0 {queue} {start}", "msgOffsetInfo": f"0 {queue} {offsets}"}
    return 0, ext, b"".join(messages)


def test_every_command_is_served_or_refused_by_name() -> None:
    world = World()
    verifyObject(IBackend, world.backend)
    served = world.backend.handlers()
    assert {command.__name__ for command in all_commands() if command not in served} == REFUSED
    with pytest.raises(GatewayError, match="ListUsers is not served by the cluster backend"):
        world.gateway.execute(world.context, ListUsers())


# Sending.


def test_a_send_goes_to_its_broker_as_it_came_and_its_place_comes_back() -> None:
    world = World()
    reply = world.do(
        SendMessages("T", (Message(b"body", encode_properties({"a": "b", "UNIQ_KEY": "K1"}), flag=3),), "PG")
    )
    (result,) = reply.results
    assert (result.queue_id, result.queue_offset, result.physical_offset, result.unique_key) == (
        1,
        5,
        77,
        "K1",
    )
    request = world.servers[A].last(RequestCode.SEND_MESSAGE_V2)
    ext = request.ext_fields
    assert request.body == b"body"
    assert (ext["a"], ext["b"], ext["e"], ext["h"], ext["n"]) == ("PG", "T", "-1", "3", "broker-a")
    assert decode_properties(ext["i"].encode()) == {"a": "b", "UNIQ_KEY": "K1", "__BORNHOST": "192.0.2.7"}
    assert "Signature" not in ext


def test_a_message_without_a_key_gets_one() -> None:
    world = World()
    (result,) = world.do(SendMessages("T", (Message(b"x"),))).results
    assert len(result.unique_key) == 32
    sent = world.servers[A].last(RequestCode.SEND_MESSAGE_V2).ext_fields["i"]
    assert decode_properties(sent.encode())["UNIQ_KEY"] == result.unique_key


def test_sends_take_brokers_in_turn_and_a_group_stays_with_one_queue() -> None:
    world = World(brokers=(A, B))
    for _ in range(4):
        world.do(SendMessages("T", (message(),)))
    assert [world.servers[one].codes().count(RequestCode.SEND_MESSAGE_V2) for one in (A, B)] == [2, 2]
    places = set()
    for _ in range(4):
        world.do(SendMessages("T", (message(__SHARDINGKEY="order-7"),)))
        for address in (A, B):
            for request in world.servers[address].asked:
                places.add((request.ext_fields["n"], request.ext_fields["e"]))
            world.servers[address].asked.clear()
    assert len(places) == 1
    assert next(iter(places))[1] != "-1"


def test_each_topic_takes_brokers_in_turn_whatever_is_sent_to_others() -> None:
    world = World(brokers=(A, B))
    world.topics["U"] = 4
    for topic in "TU" * 4:
        world.do(SendMessages(topic, (message(),)))
    for address in (A, B):
        sends = [one for one in world.servers[address].asked if one.code == RequestCode.SEND_MESSAGE_V2]
        assert sorted(one.ext_fields["b"] for one in sends) == ["T", "T", "U", "U"]


def test_what_was_not_written_goes_to_another_broker_and_what_was_does_not() -> None:
    world = World(brokers=(A, B))
    world.servers[A].go()
    for _ in range(2):
        assert world.do(SendMessages("T", (message(),))).results
    assert world.servers[B].codes().count(RequestCode.SEND_MESSAGE_V2) == 2
    # B takes it and is gone before it answers: maybe it is stored.
    world.servers[A].up = True
    world.advance(2)
    for address in (A, B):
        world.servers[address].script[RequestCode.SEND_MESSAGE_V2] = lambda _: None
        world.servers[address].codes()
    found = world.begin(SendMessages("T", (message(),)))
    assert not found
    for address in (A, B):
        world.servers[address].lose()
    world.pump()
    assert found[0].code is Code.UPSTREAM_UNAVAILABLE
    assert sum(world.servers[one].codes().count(RequestCode.SEND_MESSAGE_V2) for one in (A, B)) == 1


def test_an_ordered_message_is_never_sent_elsewhere() -> None:
    world = World(brokers=(A, B))
    for server in (world.servers[A], world.servers[B]):
        server.go()
    before = len(world.reactor.tcpClients)
    found = world.begin(SendMessages("T", (message(__SHARDINGKEY="g"),)))
    assert found[0].code is Code.UPSTREAM_UNAVAILABLE
    assert len({client[0] for client in world.reactor.tcpClients[before:]} & {"10.0.0.1", "10.0.0.2"}) == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (ResponseCode.SYSTEM_BUSY, Code.BUSY),
        (ResponseCode.TOPIC_NOT_EXIST, Code.TOPIC_NOT_FOUND),
        (ResponseCode.MESSAGE_ILLEGAL, Code.BAD_MESSAGE),
        (ResponseCode.NO_PERMISSION, Code.FORBIDDEN),
        (ResponseCode.FLOW_CONTROL, Code.TOO_MANY_REQUESTS),
        (777, Code.UPSTREAM_ERROR),
    ],
)
def test_refusals_keep_the_brokers_code_and_text(number: int, code: Code) -> None:
    world = World()
    world.servers[A].script[RequestCode.SEND_MESSAGE_V2] = lambda _: (int(number), {}, b"")
    error = world.do(SendMessages("T", (message(),)))
    assert (error.code, error.upstream_code) == (code, int(number))
    assert f"remark {int(number)}" in error.message


@pytest.mark.parametrize("number", [ResponseCode.FLUSH_DISK_TIMEOUT, ResponseCode.SLAVE_NOT_AVAILABLE])
def test_stored_but_not_everywhere_is_a_success_as_for_apaches_clients(number: int) -> None:
    world = World()
    ext = {"msgId": "0" * 32, "queueId": "0", "queueOffset": "0"}
    world.servers[A].script[RequestCode.SEND_MESSAGE_V2] = lambda _: (int(number), ext, b"")
    assert world.do(SendMessages("T", (message(),))).results


@pytest.mark.parametrize("ext", [{}, {"msgId": "zz", "queueId": "x", "queueOffset": "1"}, {"queueId": "1"}])
def test_an_answer_that_does_not_fit_a_send_is_an_error(ext: dict[str, str]) -> None:
    world = World()
    world.servers[A].script[RequestCode.SEND_MESSAGE_V2] = lambda _: (0, ext, b"")
    assert world.do(SendMessages("T", (message(),))).code is Code.UPSTREAM_ERROR


def test_a_batch_is_one_request() -> None:
    world = World()
    world.servers[A].script[RequestCode.SEND_BATCH_MESSAGE] = lambda _: (
        0,
        {"msgId": f"{'0' * 16}{10:016X},{'0' * 16}{20:016X}", "queueId": "2", "queueOffset": "8"},
        b"",
    )
    two = (message(b"1"), Message(b"2", encode_properties({"UNIQ_KEY": "K2"})))
    results = world.do(SendMessages("T", two, as_batch=True)).results
    assert [(one.unique_key, one.queue_offset, one.physical_offset) for one in results] == [
        ("K1", 8, 10),
        ("K2", 9, 20),
    ]
    assert world.do(SendMessages("T", (message(DELAY="1"), message()))).code is Code.BAD_MESSAGE


def test_types_are_checked_for_those_who_ask() -> None:
    world = World()
    error = world.do(SendMessages("T", (message(__SHARDINGKEY="g"),), check_type=True))
    assert error.code is Code.BAD_MESSAGE_TYPE
    assert world.do(SendMessages("T", (message(),), check_type=True)).results


def test_a_broker_without_timers_gets_no_message_with_a_time() -> None:
    """It would deliver it at once."""
    world = World()
    server = world.servers[A]
    server.script[RequestCode.GET_BROKER_RUNTIME_INFO] = lambda _: (0, {}, b'{"table":{}}')
    assert world.do(SendMessages("T", (message(TIMER_DELAY_MS="5000"),))).results
    old = World(start=False)
    old.servers[A].version = 401
    old.backend.start()
    old.pump()
    old.servers[A].script[RequestCode.GET_BROKER_RUNTIME_INFO] = server.script[RequestCode.GET_BROKER_RUNTIME_INFO]
    assert old.do(SendMessages("T", (message(TIMER_DELAY_MS="5000"),))).code is Code.UNSUPPORTED
    assert old.do(SendMessages("T", (message(DELAY="3"),))).results


def test_signatures_are_those_of_apaches_clients() -> None:
    world = World(access_key="me", secret_key="secret")
    world.do(SendMessages("T", (message(),)))
    request = world.servers[A].last(RequestCode.SEND_MESSAGE_V2)
    fields = dict(request.ext_fields)
    given = fields.pop("Signature")
    import base64
    import hashlib
    import hmac

    content = "".join(fields[name] for name in sorted(fields)).encode() + request.body
    assert base64.b64decode(given) == hmac.new(b"secret", content, hashlib.sha1).digest()


def test_pending_requests_are_bounded() -> None:
    world = World(pending_requests=3)
    world.servers[A].script[RequestCode.SEND_MESSAGE_V2] = lambda _: None
    waiting = [world.begin(SendMessages("T", (message(),))) for _ in range(3)]
    refused = world.begin(SendMessages("T", (message(),)))[0]
    assert refused.code is Code.BUSY
    assert refused.retry_after
    world.advance(6)
    assert all(one[0].code is Code.TIMEOUT for one in waiting)
    assert world.backend.upstream.broker(A).pending == world.backend.upstream.broker(A).bytes == 0


# Receiving.


def test_what_is_popped_carries_handles_that_any_gateway_takes() -> None:
    world = World()
    world.servers[A].script[RequestCode.POP_MESSAGE] = lambda _: popped(
        stored("T", b"1", 2, 7), start=7, queue=2
    )
    reply = world.do(ReceiveMessages("G", "T", max_messages=99, wait_ms=500))
    (one,) = reply.messages
    assert one.receipt_handle == f"7 {NOW} 60000 3 0 broker-a 2 7 1007"
    assert (one.delivery_attempt, reply.rest) == (1, 9)
    asked = world.servers[A].last(RequestCode.POP_MESSAGE).ext_fields
    assert (asked["maxMsgNums"], asked["pollTime"], asked["order"], asked["queueId"]) == (
        "32",
        "500",
        "false",
        "-1",
    )
    other = World()
    assert other.do(AckMessages("G", "T", (one.receipt_handle,))).results[0].code == ""
    acked = other.servers[A].last(RequestCode.ACK_MESSAGE).ext_fields
    assert (acked["extraInfo"], acked["offset"], acked["queueId"]) == (
        f"7 {NOW} 60000 3 0 broker-a 2 7",
        "7",
        "2",
    )


def test_a_message_of_a_retry_topic_has_its_real_topic_and_is_acknowledged_where_it_is() -> None:
    world = World()
    retried = stored("%RETRY%G+T", b"again", 0, 3, b"POP_CK\x013 1 60000 0 2 broker-a 0 3\x02", times=1)
    world.servers[A].script[RequestCode.POP_MESSAGE] = lambda _: popped(retried)
    (one,) = world.do(ReceiveMessages("G", "T")).messages
    from rmqgateway.wire import stored_message

    assert stored_message.topic(one.message) == b"T"
    assert one.delivery_attempt == 2
    handle = f"3 {NOW} 60000 0 2 broker-a 0 3 1003"
    world.do(AckMessages("G", "T", (handle,)))
    assert world.servers[A].last(RequestCode.ACK_MESSAGE).ext_fields["topic"] == "%RETRY%G+T"


@pytest.mark.parametrize("topic", ["T", "%RETRY%G_T"])
def test_used_up_attempts_go_to_the_dead_letter_queue_and_other_tags_are_acknowledged(topic: str) -> None:
    world = World()
    messages = (
        stored(topic, b"dead", 0, 0, b"POP_CK\x010 1 60000 0 1 broker-a 0 0\x02", times=3),
        stored("T", b"b", 0, 1, b"TAGS\x01b\x02"),
        stored("T", b"a", 0, 2, b"TAGS\x01a\x02"),
    )
    world.servers[A].script[RequestCode.POP_MESSAGE] = lambda _: popped(*messages)
    reply = world.do(ReceiveMessages("G", "T"))
    assert len(reply.messages) == 2  # the group's retryMaxTimes is 2: three attempts
    back = world.servers[A].last(RequestCode.CONSUMER_SEND_MSG_BACK).ext_fields
    assert (back["offset"], back["delayLevel"], back["originTopic"]) == ("1000", "-1", "%RETRY%G_T")
    world.servers[A].codes()
    reply = world.do(ReceiveMessages("G", "T", filter=Filter("a")))
    assert len(reply.messages) == 1
    assert world.servers[A].codes().count(RequestCode.ACK_MESSAGE) == 2  # tag b, and the one without


def test_a_dead_letter_can_be_received_whatever_its_attempts_were() -> None:
    """They were those of the group that gave it up; once it is retried, the broker counts on."""
    world = World()
    world.topics["%DLQ%other"] = 1
    world.servers[A].script[RequestCode.POP_MESSAGE] = lambda _: popped(stored("%DLQ%other", b"dead", times=17))
    (got,) = world.do(ReceiveMessages("G", "%DLQ%other")).messages
    assert got.delivery_attempt == 18
    assert RequestCode.CONSUMER_SEND_MSG_BACK not in world.servers[A].codes()


@pytest.mark.parametrize(
    "answer",
    [
        (0, {"popTime": "x"}, stored("T", b"1")),
        (0, {}, b"garbage"),
        (0, {"startOffsetInfo": "0 1"}, stored("T", b"1")),
        (0, {"startOffsetInfo": "0 9 0"}, stored("T", b"1")),
        (0, {"msgOffsetInfo": "0 0 a"}, stored("T", b"1")),
    ],
)
def test_an_answer_that_does_not_fit_a_pop_is_an_error(answer: tuple[int, dict[str, str], bytes]) -> None:
    world = World()
    world.servers[A].script[RequestCode.POP_MESSAGE] = lambda _: answer
    assert world.do(ReceiveMessages("G", "T")).code is Code.UPSTREAM_ERROR


def test_a_cancelled_receive_gives_back_what_it_takes_all_the_same() -> None:
    from rmqgateway.wire.remoting import encode_response

    world = World()
    server = world.servers[A]
    server.script[RequestCode.POP_MESSAGE] = lambda _: None
    server.script[RequestCode.CHANGE_MESSAGE_INVISIBLETIME] = lambda _: (0, {}, b"")
    found = world.begin(ReceiveMessages("G", "T", wait_ms=10_000))
    world.deferred.cancel()
    assert found[0].code is Code.CANCELLED
    code, ext, body = popped(stored("T", b"1"))
    server.connections[-1][0].dataReceived(
        encode_response(server.last(RequestCode.POP_MESSAGE).opaque, code, ext, None, body)
    )
    world.pump()
    assert server.last(RequestCode.CHANGE_MESSAGE_INVISIBLETIME).ext_fields["invisibleTime"] == "0"


def test_a_backend_that_stops_gives_back_what_a_broken_off_receive_takes() -> None:
    """Else it is invisible for as long as the client wanted: half a minute after each restart."""
    from rmqgateway.wire.remoting import encode_response

    world = World()
    server = world.servers[A]
    server.script[RequestCode.POP_MESSAGE] = lambda _: None
    server.script[RequestCode.CHANGE_MESSAGE_INVISIBLETIME] = lambda _: (0, {}, b"")
    world.begin(ReceiveMessages("G", "T", wait_ms=10_000))
    world.deferred.cancel()
    stopped = world.backend.stop()
    assert not stopped.called
    code, ext, body = popped(stored("T", b"1"))
    server.connections[-1][0].dataReceived(
        encode_response(server.last(RequestCode.POP_MESSAGE).opaque, code, ext, None, body)
    )
    assert not stopped.called
    world.pump()
    assert server.last(RequestCode.CHANGE_MESSAGE_INVISIBLETIME).ext_fields["invisibleTime"] == "0"
    world.reactor.advance(0.1)
    assert stopped.called


def test_a_backend_that_stops_does_not_wait_for_a_broker_that_has_nothing() -> None:
    world = World()
    world.servers[A].script[RequestCode.POP_MESSAGE] = lambda _: None
    world.begin(ReceiveMessages("G", "T", wait_ms=10_000))
    world.deferred.cancel()
    stopped = world.backend.stop()
    world.reactor.pump([0.02] * 49)
    assert not stopped.called
    world.reactor.advance(0.1)
    assert stopped.called


def test_of_several_brokers_the_one_that_has_something_is_asked() -> None:
    world = World(brokers=(A, B))
    has = False

    def pop(request: object) -> tuple[int, dict[str, str], bytes]:
        return popped(stored("T", b"1")) if has else (int(ResponseCode.POLLING_TIMEOUT), {}, b"")

    for server in (world.servers[A], world.servers[B]):
        server.script[RequestCode.POP_MESSAGE] = lambda _: (int(ResponseCode.POLLING_TIMEOUT), {}, b"")
        server.script[RequestCode.NOTIFICATION] = lambda _: None
    world.servers[B].script[RequestCode.POP_MESSAGE] = pop
    found = world.begin(ReceiveMessages("G", "T", wait_ms=10_000))
    assert not found
    from rmqgateway.wire.remoting import encode_response

    has = True
    asked = world.servers[B].last(RequestCode.NOTIFICATION)
    world.servers[B].connections[-1][0].dataReceived(encode_response(asked.opaque, 0, {"hasMsg": "true"}))
    world.pump()
    assert len(found[0].messages) == 1
    world.servers[B].script[RequestCode.NOTIFICATION] = lambda _: (0, {"hasMsg": "true"}, b"")
    assert world.do(AwaitMessages("G", "T", wait_ms=100)).has_messages


def test_each_group_asks_brokers_in_turn_whatever_others_receive() -> None:
    world = World(brokers=(A, B))
    for server in (world.servers[A], world.servers[B]):
        server.script[RequestCode.POP_MESSAGE] = lambda _: popped(stored("T", b"1"))
    for _ in range(6):
        world.do(ReceiveMessages("G", "T"))
        world.do(ReceiveMessages("other", "T"))
    for server in (world.servers[A], world.servers[B]):
        groups = [one.ext_fields["consumerGroup"] for one in server.asked if one.code == RequestCode.POP_MESSAGE]
        assert groups.count("G") == groups.count("other") == 3


@pytest.mark.parametrize(
    "handle", ["", "a b", "1 2 3 4 9 b 6 7", "x 2 3 4 0 b 6 7", "1 2 3 4 0  6 7", "9" * 3000]
)
def test_bad_handles_are_told_one_by_one(handle: str) -> None:
    world = World()
    good = f"0 {NOW} 60000 0 0 broker-a 0 0 5"
    results = world.do(AckMessages("G", "T", (handle, good))).results
    assert [one.code for one in results] == ["BAD_RECEIPT_HANDLE", ""]


def test_expired_handles_are_refused_to_the_strict() -> None:
    world = World()
    handle = f"0 {NOW - 61_000} 60000 0 0 broker-a 0 0 5"
    assert world.do(AckMessages("G", "T", (handle,))).results[0].code == "RECEIPT_HANDLE_EXPIRED"
    assert world.do(AckMessages("G", "T", (handle,), strict=False)).results[0].code == ""
    assert world.do(ForwardToDeadLetterQueue("G", "T", handle)).code is Code.RECEIPT_HANDLE_EXPIRED


def test_many_acknowledgements_are_one_request_and_singles_where_that_is_not_known() -> None:
    world = World()
    handles = tuple(f"0 {NOW} 60000 1 0 broker-a 0 {number} 5" for number in range(3))
    world.servers[A].script[RequestCode.BATCH_ACK_MESSAGE] = lambda _: (0, {}, b"")
    assert [one.code for one in world.do(AckMessages("G", "T", handles)).results] == ["", "", ""]
    assert world.servers[A].codes().count(RequestCode.BATCH_ACK_MESSAGE) == 1
    del world.servers[A].script[RequestCode.BATCH_ACK_MESSAGE]
    assert [one.code for one in world.do(AckMessages("G", "T", handles)).results] == ["", "", ""]
    assert world.servers[A].codes().count(RequestCode.ACK_MESSAGE) == 3


def test_a_changed_duration_is_a_new_handle() -> None:
    world = World()
    ext = {"popTime": str(NOW + 5), "invisibleTime": "9000", "reviveQid": "2"}
    world.servers[A].script[RequestCode.CHANGE_MESSAGE_INVISIBLETIME] = lambda _: (0, ext, b"")
    reply = world.do(ChangeInvisibleDuration("G", "T", f"0 {NOW} 60000 0 0 broker-a 1 4 55", 9000))
    assert reply.receipt_handle == f"4 {NOW + 5} 9000 2 0 broker-a 1 4 55"


# Transactions, replies.


def _half(world: World) -> None:
    properties = encode_properties({"UNIQ_KEY": "K1", "TRAN_MSG": "true", "PGROUP": "PG"})
    world.do(SendMessages("T", (Message(b"half", properties),), "PG"))


def test_a_transaction_is_ended_where_its_half_message_is() -> None:
    world = World()
    _half(world)
    assert int(world.servers[A].last(RequestCode.SEND_MESSAGE_V2).ext_fields["f"]) & 12 == 4
    assert world.do(EndTransaction("T", "other", 8, "K1")).code is Code.FORBIDDEN
    assert world.do(EndTransaction("T", "PG", 8, "K1")) is None
    ended = world.servers[A].last(RequestCode.END_TRANSACTION).ext_fields
    assert (ended["commitLogOffset"], ended["tranStateTableOffset"], ended["commitOrRollback"]) == (
        "77",
        "5",
        "8",
    )
    assert world.do(EndTransaction("T", "PG", 8, "K1")).code is Code.TRANSACTION_NOT_FOUND


@pytest.mark.parametrize(("named", "stored_as"), [({}, "PG"), ({"PGROUP": "own"}, "own")])
def test_a_half_message_holds_its_producer_group(named: dict[str, str], stored_as: str) -> None:
    """END_TRANSACTION fails at a broker (NullPointerException) where the property is missing."""
    world = World()
    properties = encode_properties({"TRAN_MSG": "true", "UNIQ_KEY": "K1", **named})
    world.do(SendMessages("T", (Message(b"half", properties, sys_flag=4),), "PG"))
    sent = world.servers[A].last(RequestCode.SEND_MESSAGE_V2).ext_fields
    assert decode_properties(sent["i"].encode())["PGROUP"] == stored_as


def test_a_half_message_at_a_broker_that_names_no_transaction() -> None:
    """Brokers before 5.0 answer a half message without transactionId."""
    world = World()
    world.servers[A].script[RequestCode.SEND_MESSAGE_V2] = lambda _: (
        0, {"msgId": "0A000001" + "00002A9F" + f"{77:016X}", "queueId": "1", "queueOffset": "5"}, b""
    )  # fmt: skip
    _half(world)
    world.do(EndTransaction("T", "PG", 8, "K1"))
    assert world.servers[A].last(RequestCode.END_TRANSACTION).ext_fields["commitLogOffset"] == "77"


def test_a_transaction_of_another_gateway_is_ended_by_its_offsets() -> None:
    world = World(brokers=(A, B))
    world.servers[A].script[RequestCode.END_TRANSACTION] = lambda _: (1, {}, b"")
    assert world.do(EndTransaction("T", "PG", 12, "K9", queue_offset=3, physical_offset=99)) is None
    assert RequestCode.END_TRANSACTION in world.servers[B].codes()


def test_a_check_reaches_those_who_could_have_sent_the_message() -> None:
    """Whoever names a producer group is its member."""
    body = stored("T", b"half", properties=encode_properties({"UNIQ_KEY": "K5", "PGROUP": "PG"}))
    place = {"tranStateTableOffset": "6", "commitLogOffset": "88"}
    for topic in ("T", "U"):
        world = World()
        world.do(Heartbeat("client", producers=("PG",)))
        policy = Policy(entries=(PolicyEntry(f"Topic:{topic}", ("Pub",)),))
        world.backend.users.take(UserRecord("u", "s3cret", policies=(policy,)))
        world.session.user = "u"
        world.servers[A].push(RequestCode.CHECK_TRANSACTION_STATE, place, body)
        assert len(world.events) == (topic == "T")


def test_the_members_of_each_group_are_asked_in_turn_whatever_other_groups_are() -> None:
    world = World()
    members = world.backend.members
    peer = IPv4Address("TCP", "192.0.2.8", 4000)
    another = world.gateway.open_session("test", peer, "10.1.1.1:8080", lambda _: True, lambda *_: None, lambda _: None)
    sessions = [world.session, another]
    for session in sessions:
        world.gateway.execute(Context(session), Heartbeat("client", producers=("PG", "other")))
    first: dict[str, list[object]] = {"PG": [], "other": []}
    for _ in range(4):
        for group, asked in first.items():
            asked.append(members.producer_sessions(group)[0])
    for asked in first.values():
        assert all(asked.count(session) == 2 for session in sessions)
    assert members.producer_sessions("nobody") == []


def test_a_check_reaches_the_client_and_its_answer_the_broker() -> None:
    world = World()
    world.do(Heartbeat("client", producers=("PG",)))
    beat = world.servers[A].last(RequestCode.HEART_BEAT)
    assert b'"groupName":"PG"' in beat.body
    assert world.backend.members.client_id.encode() in beat.body
    body = stored("T", b"half", properties=encode_properties({"UNIQ_KEY": "K5", "PGROUP": "PG"}))
    world.servers[A].push(
        RequestCode.CHECK_TRANSACTION_STATE, {"tranStateTableOffset": "6", "commitLogOffset": "88"}, body
    )
    (event,) = world.events
    assert isinstance(event, CheckTransaction)
    assert (event.transaction_id, event.queue_offset) == ("K5", 6)
    assert world.do(EndTransaction("T", "PG", 8, "K5", from_check=True)) is None
    assert world.servers[A].last(RequestCode.END_TRANSACTION).ext_fields["commitLogOffset"] == "88"
    world.servers[A].push(RequestCode.CHECK_TRANSACTION_STATE, {"tranStateTableOffset": "x"}, b"nonsense")
    assert len(world.events) == 1


def test_members_are_told_to_brokers_and_taken_back_when_they_go() -> None:
    world = World()
    consumer = Consumer("G", ConsumeMode.POP, subscriptions=(Subscribed("T", Filter("a || b"), 1),))
    world.do(Heartbeat("client", consumers=(consumer,)))
    assert b'"consumeType":"CONSUME_POP"' in world.servers[A].last(RequestCode.HEART_BEAT).body
    world.servers[A].codes()
    world.advance(31)
    assert RequestCode.HEART_BEAT in world.servers[A].codes()
    world.session.end()
    world.pump()
    assert world.servers[A].last(RequestCode.UNREGISTER_CLIENT).ext_fields["consumerGroup"] == "G"


def test_a_new_connection_learns_the_groups_again() -> None:
    world = World()
    world.do(Heartbeat("client", producers=("PG",)))
    world.servers[A].codes()
    world.servers[A].lose()
    world.advance(1)
    world.do(SendMessages("T", (message(),)))
    assert world.servers[A].codes().count(RequestCode.HEART_BEAT) >= 1


def test_a_reply_comes_to_the_gateway_and_goes_to_who_asked() -> None:
    world = World()
    world.do(Heartbeat("asker", producers=("CLIENT_INNER_PRODUCER",)))
    world.do(SendMessages("T", (message(REPLY_TO_CLIENT="asker", CORRELATION_ID="c1", TTL="3000"),)))
    sent = decode_properties(world.servers[A].last(RequestCode.SEND_MESSAGE_V2).ext_fields["i"].encode())
    assert sent["REPLY_TO_CLIENT"] == world.backend.members.client_id
    properties = encode_properties(
        {"REPLY_TO_CLIENT": sent["REPLY_TO_CLIENT"], "CORRELATION_ID": "c1"}
    ).decode()
    world.servers[A].push(
        RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, {"topic": "R", "properties": properties}, b"answer"
    )
    (event,) = world.events
    assert isinstance(event, ReplyArrived)
    assert (event.body, decode_properties(event.properties)["REPLY_TO_CLIENT"]) == (b"answer", "asker")
    assert world.do(SendReply("T", message())).code is Code.BAD_MESSAGE
