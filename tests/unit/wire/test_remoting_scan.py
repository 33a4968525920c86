"""Looking into raw frames, and replacing the opaque in them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting import (
    JSON,
    ROCKETMQ,
    RemotingCommand,
    decode_frame,
    encode_command,
    encode_request,
)
from rmqgateway.wire.remoting_scan import scan, splice_opaque
from tests.unit.wire.test_remoting import commands, int32


def frame(header: bytes, body: bytes = b"", serialization: int = JSON) -> bytes:
    return struct.pack(">II", 4 + len(header) + len(body), serialization << 24 | len(header)) + header + body


@given(commands())
def test_scan_sees_what_decoding_sees(command: RemotingCommand) -> None:
    seen = scan(encode_command(command))
    assert (seen.code, seen.opaque, seen.flag) == (command.code, command.opaque, command.flag)


@given(commands(), int32)
def test_splice_changes_only_the_opaque(command: RemotingCommand, opaque: int) -> None:
    raw = encode_command(command)
    command.opaque = opaque
    assert splice_opaque(raw, opaque) == encode_command(command)


def test_splice_keeps_what_it_does_not_know() -> None:
    raw = frame(b'{"x": [1, 2] ,"opaque" : -17 , "code":1}', b"body")
    assert splice_opaque(raw, 5) == frame(b'{"x": [1, 2] ,"opaque" : 5 , "code":1}', b"body")


@pytest.mark.parametrize(
    "header",
    [
        b'{"code":1,"extFields":{"opaque":"3"},"opaque":4}',
        b'{"code":1,"extFields":{"opaque":3},"\\u006fpaque":4}',
        b'{"code":1,"extFields":{"x":"\\"opaque\\":9"},"opaque":4}',
        b'{"code":1,"extFields":{"x":"opaque"},"opaque":4}',
        b'{"code":1,"opaque":3,"opaque":4}',
        b'{"code":1,"opaque":"4"}',
        b'{"code":1,"opaque":4e0}',
        b'{"code":1,"opaque":4.0}',
        b'{"code":"1","opaque":4}',
    ],
)
def test_doubtful_places(header: bytes) -> None:
    before = decode_frame(frame(header, b"body"))
    assert before.opaque == scan(frame(header)).opaque == 4
    after = decode_frame(splice_opaque(frame(header, b"body"), 77))
    before.opaque = 77
    assert after == before


@pytest.mark.parametrize("serialization", [JSON, ROCKETMQ])
def test_bad_headers(serialization: int) -> None:
    for look in (scan, lambda raw: splice_opaque(raw, 1)):
        with pytest.raises(WireError) as caught:
            look(frame(b"x" * 9, serialization=serialization))
        assert not caught.value.fatal


def test_opaque_only_within_ext_fields() -> None:
    with pytest.raises(WireError):
        splice_opaque(frame(b'{"code":1,"extFields":{"opaque":3}}'), 5)


def test_binary_scan_of_a_known_request() -> None:
    seen = scan(encode_request(310, -5, {"a": "b"}, b"x", oneway=True, serialization=ROCKETMQ))
    assert (seen.code, seen.opaque, seen.flag) == (310, -5, 2)
