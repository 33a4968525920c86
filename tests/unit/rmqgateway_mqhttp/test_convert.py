"""Properties, handles and entries, without I/O."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.errors import Code, GatewayError
from rmqgateway.testing import World
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway_mqhttp import consuming
from rmqgateway_mqhttp.convert_handles import HalfHandle, decode_half_handle, encode_half_handle
from rmqgateway_mqhttp.convert_messages import write_entry
from rmqgateway_mqhttp.convert_publish import queue_of, read_published
from tests.unit.rmqgateway_mqhttp.helpers import Client, error

ID = "A" * 32


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ("name", Code.BAD_MESSAGE_PROPERTY),
        (":value", Code.BAD_MESSAGE_PROPERTY),
        ("name:", Code.BAD_MESSAGE_PROPERTY),
        ("a:b:c", Code.BAD_MESSAGE_PROPERTY),
        ("a:b|a:c", Code.BAD_MESSAGE_PROPERTY),
        ("UNIQ_KEY:x", Code.BAD_MESSAGE_PROPERTY),
        ("TIMER_DELIVER_MS:1", Code.BAD_MESSAGE_PROPERTY),
        ("__STARTDELIVERTIME:soon", Code.BAD_MESSAGE_PROPERTY),
        ("__STARTDELIVERTIME:-1", Code.BAD_MESSAGE_PROPERTY),
        ("__STARTDELIVERTIME:²", Code.BAD_MESSAGE_PROPERTY),
        ("__BodyEncoding:gzip", Code.BAD_MESSAGE_PROPERTY),
        ("__BodyEncoding:base64", Code.BAD_MESSAGE),
    ],
)
def test_properties_that_are_refused(properties: str, code: Code) -> None:
    with pytest.raises(GatewayError) as caught:
        read_published("body!", "", properties, ID)
    assert caught.value.code is code


def test_a_tag_is_one_tag() -> None:
    with pytest.raises(GatewayError, match="tag"):
        read_published("body", "a||b", "", ID)


def test_what_a_published_message_becomes() -> None:
    found = read_published("中", "t", "KEYS:k|__STARTDELIVERTIME:5|__SHARDINGKEY:s|mine:1|", ID)
    assert found.message.body == "中".encode()
    assert decode_properties(found.message.properties) == {
        "UNIQ_KEY": ID,
        "TAGS": "t",
        "KEYS": "k",
        "__SHARDINGKEY": "s",
        "mine": "1",
        "TIMER_DELIVER_MS": "5",
    }
    assert (found.sharding_key, found.check_seconds, found.message.sys_flag) == ("s", 0, 0)


def test_a_half_message() -> None:
    found = read_published("x", "", "__TransCheckT:10", ID)
    named = decode_properties(found.message.properties)
    assert (named["TRAN_MSG"], named["CHECK_IMMUNITY_TIME_IN_SECONDS"]) == ("true", "10")
    assert (found.check_seconds, found.message.sys_flag) == (10, 4)


def test_the_queue_is_apache_s() -> None:
    """Guava's consistentHash of String.hashCode, as gRPC clients of the same topic get it."""
    from rmqgateway.wire.consistent_hash import consistent_hash, java_hash

    assert [queue_of(key, 8) for key in ("a", "b", "order-1")] == [
        consistent_hash(java_hash(key), 8) for key in ("a", "b", "order-1")
    ]


@given(
    st.builds(
        HalfHandle,
        st.text(max_size=50),
        st.text(max_size=50),
        st.text(max_size=50),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**63 - 1),
    )
)
def test_handles_are_read_as_they_were_written(handle: HalfHandle) -> None:
    text = encode_half_handle(handle)
    assert decode_half_handle(text) == handle
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=80))
def test_garbage_is_no_handle(text: str) -> None:
    for one in (text, "half-1-" + text):
        with pytest.raises(GatewayError) as caught:
            decode_half_handle(one)
        assert caught.value.code is Code.BAD_RECEIPT_HANDLE


def stored(body: bytes, properties: bytes = b"", sys_flag: int = 0) -> bytes:
    return bytes(stored_message.encode(b"T", 0, body, properties, 0, sys_flag, 1000))


def test_a_compressed_body_is_read() -> None:
    entry = write_entry(stored(zlib.compress(b"plain"), sys_flag=1), {}, ID, "h", 1, 2, 3)
    assert "<MessageBody>plain</MessageBody>" in entry
    assert "Properties" not in entry
    assert "MessageTag" not in entry


def test_a_body_that_cannot_be_uncompressed_holds_nobody_up() -> None:
    entry = write_entry(stored(b"\x00damaged", sys_flag=1), {}, ID, "h", 1, 2, 3)
    text = base64.b64encode(b"\x00damaged").decode()
    assert f"<MessageBody>{text}</MessageBody>" in entry
    assert "__BodyEncoding:base64-compressed|" in entry


def test_first_deliveries_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consuming, "_MAX_FIRST_TIMES", 10)
    client = Client()
    for number in range(30):
        client.publish("T", str(number))
        assert client.consume("T", "G")
    assert len(client.front_end._responder.consuming._first_times) <= 10  # type: ignore[union-attr]


def test_where_no_more_can_wait() -> None:
    client = Client(World(LocalSettings(max_waits=1)))
    client.publish("T", "x")
    client.consume("T", "G")
    target = "/topics/T/messages?consumer=G&numOfMessages=1&waitseconds=30"
    client.http.start("GET", target)
    response = Client(client.world).ask("GET", target)
    assert error(response) == (503, "TooManyRequests")
    assert response.header("retry-after") == "1"


def test_an_acknowledgement_for_a_topic_that_is_not_there() -> None:
    client = Client()
    response = client.delete("none", "consumer=G", ["0 1767225600000 300000 0 0 rmqgateway 1 0"])
    assert response.status == 404
    assert b"<ErrorCode>" in response.body or b"<Code>" in response.body
