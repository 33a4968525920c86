"""What is changed in frames, on golden bytes of a real broker: every address, and nothing else."""

from __future__ import annotations

import base64
import json
import pathlib
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.backend.cluster.ports import BrokerKey, Brokers, Face, Ports, packed_address
from rmqgateway.backend.cluster.rewriting import (
    Place,
    rewrite_clients,
    rewrite_messages,
    rewrite_routes,
    rewrite_send_reply,
)
from rmqgateway.backend.cluster.rewriting_table import REPLIES, REQUESTS_OF_BROKERS, TABLE
from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.fastjson import parse_fastjson
from rmqgateway.wire.message_id import decode_offset_message_id, encode_offset_message_id, host_bytes
from rmqgateway.wire.remoting import RemotingCommand, decode_frame, encode_command, encode_response
from rmqgateway.wire.request_codes import RequestCode

VECTORS = pathlib.Path(__file__).parents[3] / "vectors" / "remoting"
EXCHANGES: list[dict[str, Any]] = [
    exchange
    for name in ("json", "rocketmq")
    for exchange in json.loads((VECTORS / f"{name}.json").read_text())["exchanges"]
]
#: The broker of the capture, as the other programs of the capture reached it.
OLD_PORT = 40705
OLD = f"127.0.0.1:{OLD_PORT}"
NEW_PORT = 10911
A0 = BrokerKey("broker-a", 0)


def place_of(host: str = "127.0.0.1", port: int = NEW_PORT, clients: dict[str, str] | None = None) -> Place:
    brokers = Brokers(Ports({A0: port, BrokerKey("broker-b", 0): 10921}, 0, 1), lambda key: None)
    brokers.learn(A0, OLD)
    brokers.learn(BrokerKey("broker-b", 0), "10.0.0.2:10911")
    return Place(Face(brokers, host, packed_address(host)), A0, clients or {})


def forms(port: int) -> tuple[bytes, bytes, bytes]:
    return (
        b"127.0.0.1:%d" % port,
        b"7F000001%08X" % port,
        b"\x7f\0\0\1" + struct.pack(">I", port),
    )


def identity(exchange: dict[str, Any]) -> str:
    return f"{exchange['name']}-{exchange['serialization']}"


def normal(frame: bytes, *ports: int) -> tuple[Any, ...]:
    """A frame as values, with every form of these ports made the same."""

    def same(data: bytes) -> bytes:
        for port in ports:
            for old in forms(port):
                data = data.replace(old, b"<>")
        return data

    command = decode_frame(frame)
    ext = {name: same(value.encode()) for name, value in command.ext_fields.items()}
    body: Any = same(command.body)
    if command.body[:1] == b"{":
        body = parse_fastjson(body)
    return command.code, command.opaque, command.flag, command.version, command.remark, ext, body


@pytest.mark.parametrize("exchange", EXCHANGES, ids=identity)
def test_answers_of_a_real_broker(exchange: dict[str, Any]) -> None:
    """Its address is nowhere left, and all that differs are addresses."""
    request = decode_frame(base64.b64decode(exchange["request"]))
    if exchange["response"]:
        response = base64.b64decode(exchange["response"])
        rewrite = REPLIES.get(request.code)
        changed = response if rewrite is None else rewrite(response, place_of())
        if request.code != RequestCode.GET_BROKER_CONFIG:
            for old in forms(OLD_PORT):
                assert old not in changed
        assert normal(changed, OLD_PORT, NEW_PORT) == normal(response, OLD_PORT, NEW_PORT)
        if any(old in response for old in forms(OLD_PORT)):
            assert any(new in changed for new in forms(NEW_PORT))
    pushed = REQUESTS_OF_BROKERS.get(request.code)
    if exchange["asked_by"] != "client" and pushed is not None:
        frame = base64.b64decode(exchange["request"])
        changed = pushed(frame, place_of())
        for old in forms(OLD_PORT):
            assert old not in changed
        assert normal(changed, OLD_PORT, NEW_PORT) == normal(frame, OLD_PORT, NEW_PORT)


def test_the_capture_has_addresses_to_find() -> None:
    """Else the test above could not fail."""
    with_address = {
        decode_frame(base64.b64decode(exchange["request"])).code
        for exchange in EXCHANGES
        if exchange["response"]
        and any(old in base64.b64decode(exchange["response"]) for old in forms(OLD_PORT))
    }
    assert with_address >= {11, 12, 33, 105, 106, 310, 317, 320, 325, 343, 361, 200050}
    assert all(TABLE[code].reply is not None for code in with_address - {26})


def sent(message_id: str, serialization: int, **more: str) -> bytes:
    ext = {"msgId": message_id, "queueId": "1", "queueOffset": "7", **more}
    return encode_response(9, 0, ext, None, b"", serialization)


@pytest.mark.parametrize("serialization", [0, 1])
@pytest.mark.parametrize(
    ("asked_of", "expected"),
    [("127.0.0.1", "127.0.0.1"), ("2001:db8::7", "2001:db8::7"), ("10.1.1.1", "10.1.1.1")],
)
def test_ids_of_sends(serialization: int, asked_of: str, expected: str) -> None:
    old = encode_offset_message_id(host_bytes("127.0.0.1", OLD_PORT), 123)
    other = encode_offset_message_id(host_bytes("10.0.0.2", 10911), 456)
    new = encode_offset_message_id(host_bytes(expected, NEW_PORT), 123)
    new_other = encode_offset_message_id(host_bytes(expected, 10921), 456)
    place = place_of(asked_of)
    for given_id, wanted in (
        (old, new),
        (f"{old},{old}", f"{new},{new}"),
        (f"{old},{other}", f"{new},{new_other}"),
        (other, new_other),
        ("0", "0"),
        ("", ""),
        ("Z" * 32, "Z" * 32),
    ):
        changed = decode_frame(rewrite_send_reply(sent(given_id, serialization), place))
        assert changed.ext_fields == {"msgId": wanted, "queueId": "1", "queueOffset": "7"}
        assert (changed.opaque, changed.serialization) == (9, serialization)


def test_an_id_of_an_unknown_host_is_taken_for_the_broker_that_gave_it() -> None:
    """A broker with two addresses writes its own choice into ids."""
    given_id = encode_offset_message_id(host_bytes("172.16.0.9", 10911), 5)
    changed = decode_frame(rewrite_send_reply(sent(given_id, 0), place_of()))
    assert decode_offset_message_id(changed.ext_fields["msgId"]) == (host_bytes("127.0.0.1", NEW_PORT), 5)


def test_ids_follow_a_broker_that_moved() -> None:
    place = place_of()
    first = sent(encode_offset_message_id(host_bytes("127.0.0.1", OLD_PORT), 1), 0)
    assert rewrite_send_reply(first, place) != first
    place.face.brokers.learn(A0, "127.0.0.1:40999")
    moved = sent(encode_offset_message_id(host_bytes("127.0.0.1", 40999), 1), 0)
    changed = decode_frame(rewrite_send_reply(moved, place)).ext_fields["msgId"]
    assert decode_offset_message_id(changed)[0] == host_bytes("127.0.0.1", NEW_PORT)


V4, V6 = host_bytes("192.0.2.1", 4000), host_bytes("2001:db8::1", 4000)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([V4, V6]),
            st.sampled_from(
                [
                    host_bytes("127.0.0.1", OLD_PORT),
                    host_bytes("10.0.0.2", 10911),
                    host_bytes("2001:db8::9", 1),
                ]
            ),
            st.binary(max_size=60),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["127.0.0.1", "2001:db8::7"]),
    st.sampled_from([0, 1]),
)
def test_hosts_of_messages_of_all_families(
    messages: list[tuple[bytes, bytes, bytes]], host: str, serialization: int
) -> None:
    body = b"".join(
        stored_message.encode(
            b"T", 3, text, b"k\x01v\x02", queue_offset=5, physical_offset=9, born_host=born, store_host=store
        )
        for born, store, text in messages
    )
    frame = encode_response(4, 0, {"nextBeginOffset": "8"}, None, body, serialization)
    place = place_of(host)
    changed = decode_frame(rewrite_messages(frame, place))
    assert changed.ext_fields == {"nextBeginOffset": "8"}
    found = list(stored_message.iterate(changed.body))
    assert [(one.born_host, one.body, one.topic, one.queue_offset) for one in found] == [
        (born, text, b"T", 5) for born, _, text in messages
    ]
    port = {host_bytes("10.0.0.2", 10911): 10921}
    assert [one.store_host for one in found] == [
        host_bytes(host, port.get(store, NEW_PORT)) for _, store, _ in messages
    ]


@given(st.binary(min_size=1, max_size=400))
def test_a_body_that_is_no_messages_is_an_error_of_ours(body: bytes) -> None:
    for host in ("127.0.0.1", "2001:db8::7"):
        with pytest.raises(WireError):
            rewrite_messages(encode_response(4, 0, {}, None, body), place_of(host))


def test_a_message_that_lies_about_its_size_is_not_read_beyond_the_frame() -> None:
    message = bytearray(stored_message.encode(b"T", 0, b"x"))
    for size in (0, 90, len(message) + 1, 1 << 31, (1 << 32) - 1):
        struct.pack_into(">I", message, 0, size)
        with pytest.raises(WireError):
            rewrite_messages(encode_response(4, 0, {}, None, bytes(message)), place_of())


@given(st.binary(max_size=300), st.sampled_from(sorted(REPLIES)))
def test_garbage_raises_nothing_but_wire_errors(body: bytes, code: int) -> None:
    for frame in (encode_response(4, 0, {"msgId": body.decode("latin-1")}, None, body),):
        try:
            REPLIES[code](frame, place_of())
        except WireError:
            pass


def test_brokers_without_a_port_are_not_told() -> None:
    route = (
        b'{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:40705",1:"10.0.0.5:1"},"brokerName":"broker-a","cluster":"c"},'
        b'{"brokerAddrs":{0:"10.0.0.9:1"},"brokerName":"broker-z","cluster":"c"}],"filterServerTable":{},'
        b'"newField":[1,{"a":"b"}],"queueDatas":[{"brokerName":"broker-a","perm":6},{"brokerName":"broker-z","perm":6}]}'
    )
    face = place_of().face
    assert rewrite_routes(route, face) == (
        b'{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a","cluster":"c"}],'
        b'"filterServerTable":{},"newField":[1,{"a":"b"}],"queueDatas":[{"brokerName":"broker-a","perm":6}]}'
    )
    assert face.brokers.addresses[BrokerKey("broker-z", 0)] == "10.0.0.9:1"
    cluster = (
        b'{"brokerAddrTable":{"broker-a":{"brokerAddrs":{"0":"127.0.0.1:40705"},"brokerName":"broker-a"},'
        b'"broker-z":{"brokerAddrs":{0:"10.0.0.9:1"},"brokerName":"broker-z"}},'
        b'"clusterAddrTable":{"c":["broker-a","broker-z"]}}'
    )
    assert rewrite_routes(cluster, face) == (
        b'{"brokerAddrTable":{"broker-a":{"brokerAddrs":{"0":"127.0.0.1:10911"},"brokerName":"broker-a"}},'
        b'"clusterAddrTable":{"c":["broker-a"]}}'
    )


@pytest.mark.parametrize("body", [b"[]", b"{", b"7", b'{"brokerDatas":[7,{}],"queueDatas":[1]}'])
def test_routes_that_are_none(body: bytes) -> None:
    try:
        changed = rewrite_routes(body, place_of().face)
    except WireError:
        return
    assert changed == b'{"brokerDatas":[],"queueDatas":[]}'


def test_clients_of_this_gateway_are_told_by_their_own_addresses() -> None:
    body = b'{"connectionSet":[{"clientAddr":"10.0.0.1:5","clientId":"c"},{"clientAddr":"10.0.0.1:6"}],"x":{"y":[{}]}}'
    place = place_of(clients={"10.0.0.1:5": "192.0.2.7:1234"})
    changed = decode_frame(rewrite_clients(encode_response(1, 0, {}, None, body), place))
    assert changed.body == body.replace(b"10.0.0.1:5", b"192.0.2.7:1234")
    untouched = encode_response(1, 0, {}, None, body.replace(b"10.0.0.1:5", b"10.0.0.1:7"))
    assert rewrite_clients(untouched, place) is untouched


def test_a_check_has_its_half_message_and_id_changed() -> None:
    host = host_bytes("127.0.0.1", OLD_PORT)
    unique = "FD000000000000000000000000000002336A4E0E2F2A693254F60008"
    message = stored_message.encode(b"RMQ_SYS_TRANS_HALF_TOPIC", 0, b"x", store_host=host, born_host=V4)
    ext = {"offsetMsgId": encode_offset_message_id(host, 3720), "msgId": unique, "transactionId": unique}
    frame = encode_command(RemotingCommand(39, 8, 0, 513, "JAVA", None, ext, message))
    pushed = REQUESTS_OF_BROKERS[39]
    assert pushed is not None
    changed = decode_frame(pushed(frame, place_of()))
    assert changed.ext_fields["offsetMsgId"] == encode_offset_message_id(
        host_bytes("127.0.0.1", NEW_PORT), 3720
    )
    assert changed.ext_fields["msgId"] == unique
    assert stored_message.store_host(changed.body) == host_bytes("127.0.0.1", NEW_PORT)
    assert re.search(rb"RMQ_SYS_TRANS_HALF_TOPIC", changed.body)
