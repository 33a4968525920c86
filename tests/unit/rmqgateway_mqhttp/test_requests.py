"""The wire, request by request, over HTTP in memory and a whole gateway."""

from __future__ import annotations

import base64
import hashlib

import pytest

from rmqgateway.commands import ReceiveMessages, SendMessages
from rmqgateway.message import Message
from rmqgateway.testing import NoReplyYet, World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway_mqhttp.frontend import MqHttpSettings
from tests.unit.rmqgateway_mqhttp.helpers import Client, ack_errors, error, fields, messages, root


def stored_properties(client: Client, topic: str) -> dict[str, str]:
    """Of the first message, as RocketMQ's other clients see it."""
    world = client.world
    (received,) = world.execute(world.session(), ReceiveMessages("other", topic, max_messages=1)).messages
    return decode_properties(stored_message.properties(received.message))


def test_publish_and_consume_and_acknowledge() -> None:
    client = Client()
    published = client.publish("T", "你好 &amp; &lt;hello&gt;", "TagA", "KEYS:order-1|colour:red|")
    body = "你好 & <hello>"
    assert published == {
        "MessageId": published["MessageId"],
        "MessageBodyMD5": hashlib.md5(body.encode()).hexdigest().upper(),
    }
    assert len(published["MessageId"]) == 32
    (message,) = client.consume("T", "G")
    start = client.world.wall_ms
    assert message == {
        **published,
        "MessageBody": body,
        "ReceiptHandle": message["ReceiptHandle"],
        "PublishTime": str(start),
        "FirstConsumeTime": str(start),
        "NextConsumeTime": str(start + 300_000),
        "ConsumedTimes": "1",
        "MessageTag": "TagA",
        "Properties": "KEYS:order-1|colour:red|",
        "BornHost": "127.0.0.1",
    }
    done = client.delete("T", "consumer=G", [message["ReceiptHandle"]])
    assert (done.status, done.body, done.header("content-type")) == (204, b"", None)
    assert done.header("x-mq-request-id")
    client.world.advance(301, 1.0)
    empty = client.ask("GET", "/topics/T/messages?consumer=G&numOfMessages=1")
    assert error(empty) == (404, "MessageNotExist")


def test_what_others_see_of_a_published_message() -> None:
    client = Client()
    client.publish("T", "x", "TagA", "KEYS:k|mine:1")
    named = stored_properties(client, "T")
    assert (named["TAGS"], named["KEYS"], named["mine"]) == ("TagA", "k", "1")


def test_what_others_sent() -> None:
    client = Client()
    world = client.world
    properties = b"TAGS\x01t\x02KEYS\x01k\x02a\x01b\x02url\x01http://x\x02p\x01a|b\x02UNIQ_KEY\x01ID1\x02WAIT\x01true\x02"
    for body in (b"\x00\xff", b"a\x01b", b"line\r\nline"):
        world.execute(world.session(), SendMessages("T", (Message(body, properties),)))
    found = {one["MessageBody"]: one for one in client.consume("T", "G")}
    assert found.keys() == {
        base64.b64encode(b"\x00\xff").decode(),
        base64.b64encode(b"a\x01b").decode(),
        "line\r\nline",
    }
    assert found["line\r\nline"]["Properties"] == "KEYS:k|a:b|"
    binary = found[base64.b64encode(b"\x00\xff").decode()]
    assert binary["Properties"] == "KEYS:k|a:b|__BodyEncoding:base64|"
    assert binary["MessageBodyMD5"] == hashlib.md5(binary["MessageBody"].encode()).hexdigest().upper()
    assert binary["MessageId"] == "ID1"


def test_binary_body_both_ways() -> None:
    client = Client()
    text = base64.b64encode(bytes(range(256))).decode()
    client.publish("T", text, properties="__BodyEncoding:base64")
    world = client.world
    (received,) = world.execute(world.session(), ReceiveMessages("other", "T")).messages
    assert stored_message.body(received.message) == bytes(range(256))
    (message,) = client.consume("T", "G")
    assert (message["MessageBody"], message["Properties"]) == (text, "__BodyEncoding:base64|")


def test_tags_filter() -> None:
    client = Client()
    for tag in ("A", "B", "C"):
        client.publish("T", tag, tag)
    found = client.consume("T", "G", "&numOfMessages=16&tag=A%7C%7CB")
    assert sorted(one["MessageBody"] for one in found) == ["A", "B"]


def test_a_wait_ends_with_a_message() -> None:
    client = Client()
    client.publish("T", "first")
    client.consume("T", "G")
    target = "/topics/T/messages?consumer=G&numOfMessages=1&waitseconds=30"
    client.http.start("GET", target)
    client.world.advance(5, 1.0)
    with pytest.raises(NoReplyYet):
        client.http.response()
    other = Client(client.world)
    other.publish("T", "second")
    (message,) = messages(client.http.response())
    assert message["MessageBody"] == "second"


def test_a_wait_ends_in_time() -> None:
    client = Client()
    client.publish("T", "first")
    client.consume("T", "G")
    client.http.start("GET", "/topics/T/messages?consumer=G&numOfMessages=1&waitseconds=3")
    client.world.advance(3.1)
    assert error(client.http.response()) == (404, "MessageNotExist")


def test_who_goes_while_waiting_takes_nothing() -> None:
    client = Client()
    client.publish("T", "first")
    client.consume("T", "G")
    client.http.start("GET", "/topics/T/messages?consumer=G&numOfMessages=1&waitseconds=30")
    client.http.close()
    other = Client(client.world)
    other.publish("T", "second")
    assert [one["MessageBody"] for one in other.consume("T", "G")] == ["second"]


def test_a_wait_ends_when_the_gateway_drains() -> None:
    client = Client()
    client.publish("T", "first")
    client.consume("T", "G")
    client.http.start("GET", "/topics/T/messages?consumer=G&numOfMessages=1&waitseconds=30")
    client.world.gateway.drain(10, "stopping")
    client.world.settle()
    assert error(client.http.response()) == (404, "MessageNotExist")


def test_what_is_not_acknowledged_comes_again() -> None:
    client = Client(settings=MqHttpSettings(invisible_seconds=10))
    client.publish("T", "again")
    (first,) = client.consume("T", "G")
    client.world.advance(10.1)
    (second,) = client.consume("T", "G")
    assert second["ConsumedTimes"] == "2"
    assert second["FirstConsumeTime"] == first["FirstConsumeTime"]
    assert second["NextConsumeTime"] == str(client.world.wall_ms + 10_000)
    (wrong,) = ack_errors(client.delete("T", "consumer=G", [first["ReceiptHandle"]]))
    assert wrong["ErrorCode"] == "MessageNotExist"
    assert wrong["ReceiptHandle"] == first["ReceiptHandle"]
    assert client.delete("T", "consumer=G", [second["ReceiptHandle"]]).status == 204


def test_each_handle_fails_alone() -> None:
    client = Client()
    client.publish("T", "one")
    (message,) = client.consume("T", "G")
    handles = [message["ReceiptHandle"], "nonsense &lt;&amp;&gt;"]
    (wrong,) = ack_errors(client.delete("T", "consumer=G", handles))
    assert (wrong["ErrorCode"], wrong["ReceiptHandle"]) == ("ReceiptHandleError", "nonsense <&>")
    client.world.advance(301, 1.0)
    assert error(client.ask("GET", "/topics/T/messages?consumer=G&numOfMessages=1"))[1] == "MessageNotExist"


def test_in_order_per_sharding_key() -> None:
    client = Client()
    for number in range(4):
        for key in ("a", "b"):
            client.publish("T", f"{key}{number}", properties=f"__SHARDINGKEY:{key}|")
    query = "&numOfMessages=2&trans=order"
    seen: list[str] = []
    for _ in range(20):
        response = client.ask("GET", f"/topics/T/messages?consumer=G{query}")
        if response.status == 404:
            break
        found = messages(response)
        # Nothing more of these keys until they are acknowledged.
        keys = {one["MessageBody"][0] for one in found}
        rest = client.ask("GET", f"/topics/T/messages?consumer=G{query}")
        others = messages(rest) if rest.status == 200 else []
        assert keys.isdisjoint(one["MessageBody"][0] for one in others)
        seen += [one["MessageBody"] for one in found + others]
        handles = [one["ReceiptHandle"] for one in found + others]
        assert client.delete("T", "consumer=G", handles).status == 204
    assert [one for one in seen if one[0] == "a"] == ["a0", "a1", "a2", "a3"]
    assert [one for one in seen if one[0] == "b"] == ["b0", "b1", "b2", "b3"]


def test_delivered_at_its_time() -> None:
    client = Client()
    at = client.world.wall_ms + 5000
    client.publish("T", "later", properties=f"__STARTDELIVERTIME:{at}|")
    client.publish("T", "past", properties=f"__STARTDELIVERTIME:{at - 60_000}|")
    assert [one["MessageBody"] for one in client.consume("T", "G")] == ["past"]
    client.world.advance(6)
    (message,) = client.consume("T", "G")
    assert message["MessageBody"] == "later"
    assert f"__STARTDELIVERTIME:{at}|" in message["Properties"]


def test_namespaces_part_topics_and_groups() -> None:
    client = Client()
    client.publish("T", "inside", query="?ns=NS")
    assert error(client.ask("GET", "/topics/T/messages?consumer=G&numOfMessages=1")) == (404, "TopicNotExist")
    (message,) = client.consume("T", "G", "&numOfMessages=1&ns=NS")
    assert message["MessageBody"] == "inside"
    assert client.delete("T", "consumer=G&ns=NS", [message["ReceiptHandle"]]).status == 204
    world = client.world
    assert world.execute(world.session(), ReceiveMessages("other", "NS%T")).messages


BAD_REQUESTS = [
    ("GET", "/topics/T/messages?consumer=G", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=0", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=17", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=-1", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&waitseconds=31", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&waitSeconds=3", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&numOfMessages=2", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&trans=commit", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&trans=pop&tag=A", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&tag=%FF", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=G&numOfMessages=1&ns=a%25b", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?numOfMessages=1", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/messages?consumer=a%20b&numOfMessages=1", None, 400, "InvalidArgument"),
    ("GET", "/topics/T/other?consumer=G&numOfMessages=1", None, 404, "ResourceNotFound"),
    ("GET", "/topics/none/messages?consumer=G&numOfMessages=1", None, 404, "TopicNotExist"),
    ("GET", "/topics/none/messages?consumer=G&numOfMessages=1&trans=pop", None, 404, "TopicNotExist"),
    ("DELETE", "/topics/T/messages?consumer=G", "<ReceiptHandles/>", 400, "InvalidArgument"),
    ("DELETE", "/topics/T/messages?consumer=G", "<Handles/>", 400, "MalformedXML"),
    (
        "DELETE",
        "/topics/T/messages?consumer=G",
        f"<ReceiptHandles>{'<ReceiptHandle>x</ReceiptHandle>' * 17}</ReceiptHandles>",
        400,
        "InvalidArgument",
    ),
    (
        "DELETE",
        "/topics/T/messages?consumer=G&trans=commit",
        f"<ReceiptHandles>{'<ReceiptHandle>x</ReceiptHandle>' * 2}</ReceiptHandles>",
        400,
        "InvalidArgument",
    ),
    ("POST", "/topics/T/messages", "<Message>", 400, "MalformedXML"),
    ("POST", "/topics/T/messages", "<Message><MessageTag>a</MessageTag></Message>", 400, "MalformedXML"),
    (
        "POST",
        "/topics/T/messages",
        '<!DOCTYPE M [<!ENTITY a "b">]><Message><MessageBody>&a;</MessageBody></Message>',
        400,
        "MalformedXML",
    ),
    (
        "POST",
        "/topics/T/messages",
        "<Message><MessageBody>a</MessageBody><Properties>TRAN_MSG:true|</Properties></Message>",
        400,
        "InvalidArgument",
    ),
    (
        "POST",
        "/topics/bad%20name/messages",
        "<Message><MessageBody>a</MessageBody></Message>",
        400,
        "InvalidArgument",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "status", "code"), BAD_REQUESTS)
def test_bad_requests(method: str, target: str, body: str | None, status: int, code: str) -> None:
    client = Client()
    client.publish("T", "x")
    assert error(client.ask(method, target, body)) == (status, code)


def test_a_body_over_the_limit() -> None:
    client = Client(settings=MqHttpSettings(max_request=1024))
    response = client.ask(
        "POST", "/topics/T/messages", f"<Message><MessageBody>{'x' * 1024}</MessageBody></Message>"
    )
    assert error(response) == (400, "MessageBodyTooLarge")


def test_head_consumes_nothing() -> None:
    client = Client()
    client.publish("T", "x")
    response = client.ask("HEAD", "/topics/T/messages?consumer=G&numOfMessages=1")
    assert (response.status, response.header("allow")) == (405, "POST, GET, DELETE")
    assert len(client.consume("T", "G")) == 1


def test_content_md5_is_checked() -> None:
    client = Client()
    body = b"<Message><MessageBody>x</MessageBody></Message>"
    right = base64.b64encode(hashlib.md5(body).hexdigest().encode()).decode()
    wrong = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert client.http.request("POST", "/topics/T/messages", [("Content-Md5", right)], body).status == 201
    response = client.http.request("POST", "/topics/T/messages", [("Content-Md5", wrong)], body)
    assert error(response) == (400, "InvalidDigest")


def test_many_over_one_connection() -> None:
    """One kept-alive connection and requests behind each other, as the SDKs send them."""
    client = Client(World(), None)
    for number in range(50):
        client.publish("T", str(number))
    seen = [one["MessageBody"] for _ in range(4) for one in client.consume("T", "G")]
    assert sorted(map(int, seen)) == list(range(50))


def test_the_name_of_the_request_id_is_in_lower_case() -> None:
    """The Python SDK looks it up so."""
    client = Client()
    client.http.send(
        b"GET /topics/T/messages?consumer=G&numOfMessages=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
    )
    assert b"\r\nx-mq-request-id: " in client.http.transport.value()


def test_only_its_own_paths_are_taken() -> None:
    client = Client()
    assert client.http.request("GET", "/v1/topics").header("content-type") == "application/problem+json"


def test_published_answer_is_one_message() -> None:
    client = Client()
    response = client.ask("POST", "/topics/T/messages", "<Message><MessageBody>x</MessageBody></Message>")
    assert list(fields(root(response, "Message"))) == ["MessageId", "MessageBodyMD5"]


def test_a_group_is_shared_with_consumers_of_other_protocols() -> None:
    client = Client()
    world = client.world
    for number in range(20):
        client.publish("T", str(number))
    mine = client.consume("T", "G", "&numOfMessages=10")
    others = world.execute(world.session(), ReceiveMessages("G", "T", max_messages=16)).messages
    bodies = [one["MessageBody"] for one in mine]
    bodies += [stored_message.body(one.message).decode() for one in others]
    assert sorted(map(int, bodies)) == list(range(20))
    # Handles are the same everywhere.
    assert client.delete("T", "consumer=G", [one.receipt_handle for one in others]).status == 204
