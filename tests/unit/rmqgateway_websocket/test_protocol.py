"""The frames of a browser over the gateway's own WebSocket."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import (
    CreateAcl,
    CreateUser,
    Policy,
    PolicyEntry,
    ReceiveMessages,
    SendMessages,
    UserType,
)
from rmqgateway.message import Message
from rmqgateway.testing import World
from rmqgateway.wire.message_properties import encode_properties
from tests.unit.rmqgateway_websocket.websockets import JSON, MSGPACK, Browser, Gateway, send, text_of


@pytest.fixture(params=[JSON, MSGPACK])
def browser(request: pytest.FixtureRequest) -> Browser:
    return Gateway().client(request.param)


def stored(world: World, topic: str = "T", group: str = "looker") -> list[bytes]:
    """Every message of a topic."""
    session = world.session()
    found = []
    for _ in range(20):
        messages = world.execute(session, ReceiveMessages(group, topic)).messages
        if not messages:
            break
        found += [one.message for one in messages]
    return found


# Sending.


def test_one_and_many_are_sent(browser: Browser) -> None:
    (first,) = send(browser, "a")
    assert first["messageId"] and first["offset"] == 0
    assert len(send(browser, "b", "c")) == 2
    assert len(stored(browser.world)) == 3


def test_all_that_a_message_has_arrives(browser: Browser) -> None:
    fields = {"tag": "A", "keys": ["k1", "k2"], "properties": {"color": "rot"}, "messageGroup": "g", "queueId": 3}
    send(browser, "hällo", **fields)
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=5)
    (delivery,) = browser.take("deliver")
    message = delivery["message"]
    assert text_of(message) == "hällo"
    assert delivery["number"] == 1 and delivery["attempt"] == 1 and delivery["subscription"] == "s"
    assert {name: message[name] for name in fields} == fields
    assert message["topic"] == "T" and message["storeTimestamp"] == browser.world.wall_ms


def test_bytes_are_base64_in_json_and_themselves_in_messagepack() -> None:
    gateway = Gateway()
    raw = b"\xff\x00\xfe"
    json, msgpack = gateway.client(JSON), gateway.client(MSGPACK)
    json.ask("send", topic="T", messages=[{"body": base64.b64encode(raw).decode()}])
    msgpack.ask("send", topic="T", messages=[{"body": raw}])
    got = json.ask("receive", topic="T", group="J", maxMessages=32)["messages"]
    assert [base64.b64decode(one["body"]) for one in got] == [raw, raw]
    got = msgpack.ask("receive", topic="T", group="M", maxMessages=32)["messages"]
    assert [one["body"] for one in got] == [raw, raw]


def test_a_delayed_message_is_delivered_later_and_can_be_recalled(browser: Browser) -> None:
    (kept,) = send(browser, "later", delayMs=5000)
    (dropped,) = send(browser, "never", delayMs=5000)
    recalled = browser.ask("recall", topic="T", recallHandle=dropped["recallHandle"])
    assert (recalled["op"], recalled["messageId"]) == ("recalled", dropped["messageId"])
    send(browser, "at", deliverAt=browser.world.wall_ms + 5000)
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=5)
    assert not browser.take("deliver")
    browser.gateway.advance(6)
    got = {text_of(one["message"]) for one in browser.take("deliver")}
    assert got == {"later", "at"}
    assert kept["recallHandle"]


# Once only.


def test_a_repeated_id_is_stored_once_over_any_connection() -> None:
    gateway = Gateway()
    browser = gateway.client()
    (first,) = send(browser, "a", messageId="x1")
    (again,) = send(gateway.client(), "a", messageId="x1")
    assert again == {**first, "repeated": True}
    assert first["messageId"] == "x1"
    send(browser, "b", messageId="x1", topic="Other")
    assert len(stored(gateway.world)) == 1
    assert len(stored(gateway.world, "Other")) == 1


def test_a_repetition_waits_for_the_first_that_is_still_on_its_way() -> None:
    gateway = Gateway()
    one, two = gateway.client(), gateway.client()
    send(one, "make the topic")
    gateway.world.store.manual = True
    fields = {"topic": "T", "messages": [{"text": "a", "messageId": "x"}, {"text": "a", "messageId": "x"}]}
    first, second = one.start("send", **fields), two.start("send", **fields)
    assert not one.answered(first) and not two.answered(second)
    gateway.world.store.commit()
    gateway.world.settle()
    assert [each.get("repeated", False) for each in one.answer(first)["results"]] == [False, True]
    assert [each.get("repeated", False) for each in two.answer(second)["results"]] == [True, True]
    gateway.world.store.manual = False
    assert len(stored(gateway.world)) == 2


def test_ids_are_remembered_over_a_crash() -> None:
    gateway = Gateway()
    browser = gateway.client()
    send(browser, "now", messageId="n")
    send(browser, "delayed", messageId="d", delayMs=60_000)
    send(browser, "level", messageId="l", properties={"a": "b"})
    half = browser.ask(
        "send", topic="T", transaction=True, producerGroup="P", messages=[{"text": "half", "messageId": "h"}]
    )
    assert half["results"][0]["transactionId"] == "h"
    after = gateway.crash()
    browser = after.client()
    assert send(browser, "now", messageId="n")[0]["repeated"]
    assert send(browser, "delayed", messageId="d", delayMs=60_000)[0]["repeated"]
    again = browser.ask(
        "send", topic="T", transaction=True, producerGroup="P", messages=[{"text": "half", "messageId": "h"}]
    )
    assert again["results"][0]["repeated"]
    done = browser.ask("commit", topic="T", transactionId="h", producerGroup="P")
    assert done["op"] == "done"
    assert "repeated" not in send(browser, "new", messageId="new")[0]
    assert len(stored(after.world)) == 4
    after.advance(61)
    assert len(stored(after.world, group="again")) == 5


def test_after_two_minutes_the_index_is_not_asked_and_the_id_is_forgotten() -> None:
    gateway = Gateway()
    browser = gateway.client()
    send(browser, "a", messageId="x")
    ids = gateway.front_end._sent_ids(gateway.world.gateway)
    assert ids.lookups == 1
    gateway.advance(121)
    assert "repeated" not in send(browser, "a", messageId="x")[0]
    send(browser, "b", messageId="y")
    assert ids.lookups == 1
    assert len(stored(gateway.world)) == 3


def test_ids_beyond_the_memory_are_found_in_the_index() -> None:
    gateway = Gateway(remembered_ids=2)
    browser = gateway.client()
    gateway.advance(121)
    for name in "abcd":
        send(browser, name, messageId=name)
    assert [send(browser, name, messageId=name)[0].get("repeated") for name in "dcba"] == [True] * 4
    assert len(stored(gateway.world)) == 4


def test_a_refused_send_may_be_repeated() -> None:
    gateway = Gateway()
    browser = gateway.client()
    big = {"text": "x" * 5_000_000, "messageId": "x"}
    assert browser.ask("send", topic="T", messages=[big])["code"] == "MESSAGE_BODY_TOO_LARGE"
    assert "repeated" not in send(browser, "small", messageId="x")[0]


def test_after_a_failure_of_the_store_ids_are_looked_up() -> None:
    gateway = Gateway()
    browser = gateway.client()
    send(browser, "make the topic")
    gateway.advance(121)
    gateway.world.store.manual = True
    one = browser.start("send", topic="T", messages=[{"text": "a", "messageId": "x"}])
    two = browser.start("send", topic="T", messages=[{"text": "a", "messageId": "x"}])
    gateway.world.store.fail("the disk is gone")
    gateway.world.settle()
    for number in (one, two):
        answer = browser.answer(number)
        assert answer["op"] == "error" and answer["reason"] == "STORE_FAILED", answer
    ids = gateway.front_end._sent_ids(gateway.world.gateway)
    before = ids.lookups
    browser.ask("send", topic="T", messages=[{"text": "a", "messageId": "x"}])
    assert ids.lookups == before + 1  # nobody knows whether it was stored


# Transactions.


def test_transactions_end_and_are_checked() -> None:
    gateway = Gateway(World(LocalSettings(transaction_check_s=5)))
    browser = gateway.client()

    def begin(text: str) -> dict[str, Any]:
        answer = browser.ask("send", topic="T", transaction=True, producerGroup="P", messages=[{"text": text}])
        result: dict[str, Any] = answer["results"][0]
        return result

    good, bad, asked = begin("good"), begin("bad"), begin("asked")
    end = {"topic": "T", "producerGroup": "P"}
    assert browser.ask("commit", transactionId=good["transactionId"], **end)["op"] == "done"
    assert browser.ask("rollback", transactionId=bad["transactionId"], **end)["op"] == "done"
    assert browser.ask("commit", transactionId=bad["transactionId"], **end)["code"] == "INVALID_TRANSACTION_ID"
    browser.gateway.advance(40)
    checks = browser.take("check")
    assert checks[0]["transactionId"] == asked["transactionId"]
    assert checks[0]["producerGroup"] == "P" and checks[0]["message"]["text"] == "asked"
    assert browser.ask("commit", transactionId=asked["transactionId"], fromCheck=True, **end)["op"] == "done"
    assert len(stored(browser.world)) == 2


def test_a_new_connection_answers_for_a_producer_group() -> None:
    gateway = Gateway(World(LocalSettings(transaction_check_s=5)))
    first = gateway.client()
    first.ask("send", topic="T", transaction=True, producerGroup="P", messages=[{"text": "half"}])
    first.vanish()
    second = gateway.client()
    assert second.ask("heartbeat", producerGroups=["P"])["op"] == "done"
    gateway.advance(130)  # longer than a group lives that sends no heartbeats
    assert second.take("check")


# Consuming.


def test_credit_limits_what_is_delivered(browser: Browser) -> None:
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=2)
    send(browser, *"abcde")
    assert len(browser.take("deliver")) == 2
    assert browser.ask("ack", subscription="s", numbers=[1, 2])["op"] == "done"
    assert not browser.take("deliver")
    browser.say("credit", subscription="s", messages=2)
    assert len(browser.take("deliver")) == 2
    assert browser.ask("credit", subscription="s", messages=1)["op"] == "done"
    assert len(browser.take("deliver")) == 1


def test_bytes_of_credit(browser: Browser) -> None:
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10, creditBytes=1)
    send(browser, "a", "b")
    assert len(browser.take("deliver")) == 1
    browser.say("credit", subscription="s", bytes=1000)  # what was delivered has to be paid back first
    assert len(browser.take("deliver")) == 1


@pytest.mark.parametrize(("op", "after", "comes"), [("ack", 100, 0), ("nack", 1, 1), ("retry", 8, 1), ("reject", 100, 0)])
def test_settlements_by_number(browser: Browser, op: str, after: float, comes: int) -> None:
    send(browser, "a")
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    assert len(browser.take("deliver")) == 1
    more = {"delayMs": 5000} if op == "retry" else {}
    assert browser.ask(op, subscription="s", numbers=[1], **more)["op"] == "done"
    if op == "retry":
        browser.gateway.advance(4)
        assert not browser.take("deliver")
    browser.gateway.advance(after)
    got = browser.take("deliver")
    assert [one["attempt"] for one in got] == [2] * comes
    if op == "reject":
        assert len(stored(browser.world, "%DLQ%G")) == 1


@pytest.mark.parametrize(("op", "after", "comes"), [("ack", 100, 0), ("nack", 1, 1), ("retry", 8, 1), ("reject", 100, 0)])
def test_settlements_by_receipt_handle(browser: Browser, op: str, after: float, comes: int) -> None:
    send(browser, "a")
    place = {"topic": "T", "group": "G"}
    (got,) = browser.ask("receive", **place)["messages"]
    assert got["deliveryAttempt"] == 1
    more = {"delayMs": 5000} if op == "retry" else {}
    assert browser.ask(op, receiptHandles=[got["receiptHandle"]], **place, **more)["op"] == "done"
    browser.gateway.advance(after)
    assert len(browser.ask("receive", **place).get("messages", ())) == comes


def test_wrong_numbers_are_named_and_the_right_ones_settled(browser: Browser) -> None:
    send(browser, "a")
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    answer = browser.ask("ack", subscription="s", numbers=[1, 7])
    assert answer["code"] == "INVALID_RECEIPT_HANDLE" and "7" in answer["message"]
    browser.vanish()
    assert not stored(browser.world, group="G")


def test_several_subscriptions_and_groups(browser: Browser) -> None:
    browser.ask("subscribe", subscription="all", topic="T", group="G1", credit=10)
    browser.ask("subscribe", subscription="some", topic="T", group="G2", credit=10, filter="B")
    browser.ask("subscribe", subscription="sql", topic="T", group="G3", credit=10, filter="n > 1", filterType="SQL92")
    send(browser, "a", tag="A", properties={"n": "1"})
    send(browser, "b", tag="B", properties={"n": "2"})
    got = [(one["subscription"], text_of(one["message"])) for one in browser.take("deliver")]
    assert sorted(got) == [("all", "a"), ("all", "b"), ("some", "b"), ("sql", "b")]
    assert browser.ask("unsubscribe", subscription="all")["op"] == "done"
    send(browser, "c")
    assert not browser.take("deliver")
    assert len(stored(browser.world, group="G1")) == 3
    assert browser.ask("subscribe", subscription="sql", topic="T", group="G3")["reason"] == "ALREADY_EXISTS"


def test_what_a_lost_connection_had_is_there_for_others_at_once() -> None:
    gateway = Gateway()
    first = gateway.client()
    first.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    send(first, "a", "b")
    assert len(first.take("deliver")) == 2
    first.vanish()
    second = gateway.client()
    second.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    assert [one["attempt"] for one in second.take("deliver")] == [2, 2]


def test_auto_ack_and_start(browser: Browser) -> None:
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10, autoAck=True, start="max")
    send(browser, "after")
    (got,) = browser.take("deliver")
    assert text_of(got["message"]) == "after"
    browser.vanish()
    assert not stored(browser.world, group="G")


def test_a_message_in_the_works_is_renewed(browser: Browser) -> None:
    send(browser, "a")
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10, invisibleMs=10_000)
    assert len(browser.take("deliver")) == 1
    browser.gateway.advance(25)
    assert not browser.take("deliver")
    assert browser.ask("ack", subscription="s", numbers=[1])["op"] == "done"


def test_a_subscription_is_a_member_that_administrators_see() -> None:
    from rmqgateway.commands import ListConsumerConnections

    gateway = Gateway()
    browser = gateway.client()
    browser.ask("connect", clientId="page-1")
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=1)
    looker = gateway.world.session()
    seen = gateway.world.execute(looker, ListConsumerConnections("G")).connections
    assert [(one.client_id, one.protocol) for one in seen] == [("page-1", "websocket")]
    gateway.advance(150)
    assert gateway.world.execute(looker, ListConsumerConnections("G")).connections
    browser.ask("unsubscribe", subscription="s")
    with pytest.raises(Exception, match="group"):
        gateway.world.execute(looker, ListConsumerConnections("G"))


def test_receive_waits_and_may_be_cancelled(browser: Browser) -> None:
    send(browser, "make the topic", topic="T")
    browser.ask("receive", topic="T", group="G")
    waiting = browser.start("receive", topic="T", group="G", waitMs=20_000)
    browser.gateway.advance(1)
    assert not browser.answered(waiting)
    send(browser, "a")
    (got,) = browser.answer(waiting)["messages"]
    assert text_of(got) == "a"
    waiting = browser.start("receive", topic="T", group="G", waitMs=20_000)
    assert browser.ask("cancel", target=waiting)["op"] == "done"
    assert browser.answer(waiting)["reason"] == "CANCELLED"


def test_peek_pull_and_offsets(browser: Browser) -> None:
    send(browser, "a", "b", queueId=1)
    assert len(browser.ask("peek", topic="T", group="G", maxMessages=5)["messages"]) == 2
    place = {"topic": "T", "queueId": 1}
    pulled = browser.ask("pull", group="P", offset=0, **place)
    assert pulled["status"] == "FOUND" and pulled["nextOffset"] == 2
    assert [text_of(one) for one in pulled["messages"]] == ["a", "b"]
    assert browser.ask("pull", group="P", offset=2, **place)["status"] == "NO_NEW_MESSAGE"
    assert browser.ask("queryOffset", of="max", **place)["offset"] == 2
    assert browser.ask("queryOffset", of="min", **place)["offset"] == 0
    assert browser.ask("queryOffset", of="timestamp", timestamp=1, **place)["offset"] == 0
    assert browser.ask("updateOffset", group="P", offset=2, **place)["op"] == "done"
    assert browser.ask("getOffset", group="P", **place)["offset"] == 2
    route = browser.ask("route", topic="T")
    assert route["topic"] == "T" and route["queues"][0]["readQueues"] >= 2


def test_request_and_reply(browser: Browser) -> None:
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    asked = browser.start("request", topic="T", message={"text": "what?"}, timeoutMs=5000)
    (delivery,) = browser.take("deliver")
    to = delivery["message"]["replyTo"]
    assert to["timeoutMs"] == 5000
    assert browser.ask("reply", to=to, message={"text": "that"})["op"] == "done"
    assert text_of(browser.answer(asked)["message"]) == "that"
    late = browser.start("request", topic="T", message={"text": "what?"}, timeoutMs=1000)
    browser.gateway.advance(2)
    assert browser.answer(late)["reason"] == "TIMEOUT"


def test_a_reply_that_a_java_client_compressed_is_read() -> None:
    import zlib

    from rmqgateway.events import ReplyArrived
    from rmqgateway_websocket import convert

    event = ReplyArrived(
        "R", zlib.compress(b"x" * 9000), encode_properties({"CORRELATION_ID": "c"}), "h:1", 1, 2, sys_flag=1
    )
    correlation_id, answer = convert.reply(event, True)
    assert correlation_id == "c"
    assert getattr(answer, "text", "") == "x" * 9000
    bad = ReplyArrived("R", b"no zlib", encode_properties({"CORRELATION_ID": "c"}), "h:1", 1, 2, sys_flag=1)
    assert "cannot be read" in str(convert.reply(bad, True)[1])


def test_messages_of_other_clients_arrive(browser: Browser) -> None:
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    session = browser.world.session()
    browser.world.execute(session, SendMessages("T", (Message(b"by another"),)))
    assert text_of(browser.take("deliver")[0]["message"]) == "by another"


# Who it is.


def test_connect_comes_first_or_not_at_all(browser: Browser) -> None:
    connected = browser.ask("connect", clientId="page")
    assert connected["op"] == "connected" and connected["clientId"] == "page"
    assert "first frame" in browser.ask("connect")["message"]


def test_a_ticket_is_good_once() -> None:
    gateway = Gateway()
    root = gateway.world.session()
    gateway.world.execute(root, CreateUser("root", "hush", UserType.SUPER))
    root.sign_in("root", "hush")
    ticket, seconds = gateway.world.gateway.ticket(root.context())
    browser = gateway.client()
    connected = browser.ask("connect", ticket=ticket)
    assert connected["op"] == "connected" and connected["user"] == "root" and seconds == 60
    send(browser, "x")
    again = gateway.client()
    assert again.ask("connect", ticket=ticket)["code"] == "UNAUTHORIZED"
    again.read()
    assert again.closed is not None and again.closed[0] == 1008
    ticket, _ = gateway.world.gateway.ticket(root.context())
    gateway.world.advance(61)
    late = gateway.client()
    assert late.ask("connect", ticket=ticket)["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("first", ["connect", "send", "ping"])
def test_once_users_exist_the_first_frame_says_who_it_is(first: str) -> None:
    gateway = Gateway()
    gateway.world.execute(gateway.world.session(), CreateUser("root", "hush", UserType.SUPER))
    browser = gateway.client()
    more = {"topic": "T", "messages": [{"text": "x"}]} if first == "send" else {}
    assert browser.ask(first, **more)["code"] == "UNAUTHORIZED"
    browser.read()
    assert browser.closed is not None and browser.closed[0] == 1008


def test_who_may_only_publish_sends_under_ids_of_its_own() -> None:
    """Whether an id is stored already is looked up by the gateway; who may not even publish learns nothing by it."""
    gateway = Gateway()
    root = gateway.world.session()
    gateway.world.execute(root, CreateUser("root", "hush", UserType.SUPER))
    root.sign_in("root", "hush")
    gateway.world.execute(root, CreateUser("alice", "hush"))
    gateway.world.execute(root, CreateAcl("User:alice", (Policy(entries=(PolicyEntry("Topic:T", ("Pub",)),)),)))
    browser = gateway.client()
    browser.ask("connect", accessKey="alice", secretKey="hush")
    for more in ({}, {"transaction": True, "producerGroup": "P"}, {"deliverAt": gateway.world.wall_ms + 5000}):
        message = {"text": "x", "messageId": f"{len(more):032X}"}
        fields = more
        if "deliverAt" in more:
            message, fields = {**message, **more, "messageId": "F" * 32}, {}
        assert browser.ask("send", topic="T", messages=[message], **fields)["op"] == "sent"
        answer = browser.ask("send", topic="other", messages=[message], **fields)
        assert answer["code"] == "FORBIDDEN"


def test_two_credentials_are_one_too_many(browser: Browser) -> None:
    assert "one credential" in browser.ask("connect", token="a", accessKey="b")["message"]


def test_the_credential_of_connect_is_that_of_every_command() -> None:
    gateway = Gateway()
    seen: list[Any] = []
    gateway.world.gateway.authorizer = lambda context, command: seen.append(context.credential)
    browser = gateway.client()
    browser.ask("connect", token="t0ken")
    browser.ask("route", topic="T")
    assert [one.token for one in seen] == ["t0ken"] * len(seen) and len(seen) == 2
    other = gateway.client()
    other.ask("connect", accessKey="me", secretKey="hush")
    assert seen[-1].access_key == "me" and seen[-1].signature


# Bad input.


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"op":"sendd","id":1}', "did you mean 'send'"),
        (b'{"op":"ping","id":1,"idd":2}', "did you mean 'id'"),
        (b'{"op":"send","id":1,"topic":"T","messages":[]}', "length >= 1"),
        (b'{"op":"send","id":1,"topic":"T","messages":[{}]}', "text or a body"),
        (b'{"op":"send","id":1,"topic":"T","messages":[{"text":"a","body":"YQ=="}]}', "got both"),
        (b'{"op":"send","id":1,"topic":"T","messages":[{"body":"?"}]}', "base64"),
        (b'{"op":"send","id":1,"topic":"T","messages":[{"text":"a","delayMs":1,"deliverAt":1}]}', "got both"),
        (b'{"op":"send","id":1,"topic":"T","messages":[{"text":"a","messageId":"a b"}]}', "regex"),
        (b'{"op":"send","id":1,"topic":"T","messages":[{"text":"a","properties":{"KEYS":"x"}}]}', "KEYS"),
        (b'{"op":"send","id":1,"topic":"T","transaction":true,"messages":[{"text":"a"}]}', "producerGroup"),
        (b'{"op":"ack","id":1}', "subscription and numbers"),
        (b'{"op":"ack","id":1,"subscription":"s","topic":"T"}', "subscription and numbers"),
        (b'{"op":"ack","id":1,"subscription":"s","numbers":[1]}', "no subscription 's'"),
        (b'{"op":"receive","topic":"T","group":"G"}', "expected an id"),
        (b'{"op":"send","id":1,"topic":' + b"[" * 100 + b"]" * 100 + b"}", "levels"),
    ],
)
def test_bad_frames_are_named_and_the_connection_goes_on(frame: bytes, expected: str) -> None:
    browser = Gateway().client()
    browser.raw(frame)
    (answer,) = browser.take("error")
    assert expected in answer["message"], answer
    if b'"id":1' in frame and b"[[[" not in frame:
        assert answer["id"] == 1
    assert answer["status"] >= 40000 and "retryAfterMs" not in answer
    assert browser.ask("ping")["op"] == "done"


def test_text_and_binary_are_not_mixed(browser: Browser) -> None:
    if browser.library.__name__.endswith("msgpack"):
        browser.raw(b"{}", binary=False)
        assert "binary messages" in browser.take("error")[0]["message"]
    else:
        browser.raw(b"\x80", binary=True)
        assert "text messages" in browser.take("error")[0]["message"]


def test_a_gateway_that_is_busy_says_when_to_come_again() -> None:
    from rmqgateway.governance.budgets import Limits

    gateway = Gateway(World(limits=Limits(process_bytes=100)))
    browser = gateway.client()
    send(browser, "make the topic")
    gateway.world.store.manual = True
    browser.start("send", topic="T", messages=[{"text": "x" * 90}])
    answer = browser.ask("send", topic="T", messages=[{"text": "x" * 90}])
    assert answer["code"] == "TOO_MANY_REQUESTS" and answer["retryAfterMs"] == 1000


# Limits.


def test_too_much_under_way_is_not_read() -> None:
    gateway = Gateway(under_way=4)
    browser = gateway.client()
    send(browser, "make the topic")
    gateway.world.store.manual = True
    numbers = [browser.start("send", topic="T", messages=[{"text": "a"}]) for _ in range(8)]
    gateway.world.store.commit()
    gateway.world.settle()
    assert [browser.answered(number) for number in numbers] == [True] * 4 + [False] * 4
    for _ in range(3):
        gateway.world.store.commit()
        gateway.world.settle()
    assert all(browser.answered(number) for number in numbers)


def test_credit_subscriptions_and_waits_are_bounded() -> None:
    gateway = Gateway(unsettled=5, subscriptions=1, waits=1)
    browser = gateway.client()
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=5)
    assert browser.ask("credit", subscription="s", messages=1)["code"] == "TOO_MANY_REQUESTS"
    answer = browser.ask("subscribe", subscription="t", topic="T", group="H")
    assert "front_ends.websocket.subscriptions" in answer["message"]
    waiting = browser.start("receive", topic="T", group="H", waitMs=9000)
    assert "retryAfterMs" in browser.ask("receive", topic="T", group="H", waitMs=9000)
    assert not browser.answered(waiting)


def test_a_client_that_does_not_read_gets_no_more() -> None:
    gateway = Gateway(unsent_bytes=65_536)
    browser = gateway.client()
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=1000)
    producer = browser.http.transport.producer
    producer.pauseProducing()
    other = gateway.client()
    for _ in range(20):
        send(other, *["x" * 5000] * 2)
    producer.resumeProducing()
    first = len(browser.take("deliver"))
    assert 13 <= first <= 16
    gateway.advance(1)
    assert first + len(browser.take("deliver")) == 40


# Ending.


def test_a_draining_gateway_lets_settle_what_is_out_and_closes_with_1012() -> None:
    gateway = Gateway()
    browser = gateway.client()
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    send(browser, "a")
    assert len(browser.take("deliver")) == 1
    gateway.world.gateway.drain(30, "restart")
    gateway.world.settle()
    (going,) = browser.take("goAway")
    assert going["reason"] == "restart" and going["deadlineMs"] == 5000
    assert browser.closed is None
    refused = browser.ask("send", topic="T", messages=[{"text": "b"}])
    assert refused["reason"] == "SHUTTING_DOWN" and refused["retryAfterMs"] == 1000
    assert browser.ask("ack", subscription="s", numbers=[1])["op"] == "done"
    browser.read()
    assert browser.closed is not None and browser.closed[0] == 1012


def test_a_draining_gateway_does_not_wait_for_ever() -> None:
    gateway = Gateway()
    browser = gateway.client()
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    send(browser, "a")
    gateway.world.gateway.drain(4, "restart")
    gateway.advance(2.5)
    browser.read()
    assert browser.closed is not None and browser.closed[0] == 1012


def test_nothing_is_left_of_a_connection_that_is_gone() -> None:
    gateway = Gateway()
    before = len(gateway.world.clock.getDelayedCalls())
    browser = gateway.client(connect=True)
    browser.ask("subscribe", subscription="s", topic="T", group="G", credit=10)
    send(browser, "make the topic", topic="R")
    browser.start("request", topic="R", message={"text": "?"}, timeoutMs=100_000)
    browser.start("receive", topic="R", group="H", waitMs=20_000)
    browser.ask("heartbeat", producerGroups=["P"])
    browser.vanish()
    gateway.advance(1)
    assert len(gateway.world.clock.getDelayedCalls()) <= before + 2  # the topic's and the messages' own
    assert not gateway.world.gateway.sessions


def test_a_message_without_an_id_gets_one_and_the_short_way_to_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.ask("send", topic="T", messages=[{"text": "the topic comes into being"}])
    monkeypatch.setattr(gateway.world.backend.producing, "_send", None)  # the general way
    first, second = (client.ask("send", topic="T", messages=[{"text": "x"}]) for _ in range(2))
    ids = {first["results"][0]["messageId"], second["results"][0]["messageId"]}
    assert len(ids) == 2 and all(len(one) == 32 for one in ids)
