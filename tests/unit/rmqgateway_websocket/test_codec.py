"""Frames in JSON and MessagePack: what is written is read, whatever else comes is a WireError."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import RETRYABLE, Code, GatewayError, WireError
from rmqgateway_websocket import frames
from rmqgateway_websocket.codec import CODECS, JSON, MSGPACK
from rmqgateway_websocket.errors import STATUS, error_frame

LIBRARIES: dict[str, Any] = {JSON: msgspec.json, MSGPACK: msgspec.msgpack}
ids = st.integers(0, 2**53 - 1) | st.text("abc-1", max_size=64)
names = st.text("abcZ%_-9", min_size=1, max_size=60)
messages = st.builds(
    frames.OutgoingMessage,
    body=st.binary(max_size=50),
    message_id=st.text("abc-", max_size=64),
    tag=st.text(max_size=10),
    keys=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    properties=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    delay_ms=st.integers(0, 2**53 - 1),
)
some = st.one_of(
    st.builds(frames.Ping, id=ids),
    st.builds(frames.Send, id=ids, topic=names, messages=st.lists(messages, min_size=1, max_size=3).map(tuple)),
    st.builds(frames.Subscribe, id=ids, subscription=names, group=names, topic=names, credit=st.integers(0, 100_000)),
    st.builds(frames.Retry, subscription=names, numbers=st.lists(st.integers(0, 9)).map(tuple), delay_ms=st.integers(0, 99)),
    st.builds(frames.Receive, id=ids, group=names, topic=names, wait_ms=st.integers(0, 30_000)),
)


@given(name=st.sampled_from([JSON, MSGPACK]), frame=some)
def test_what_is_written_is_read(name: str, frame: Any) -> None:
    codec = CODECS[name]
    data = LIBRARIES[name].encode(frame)
    assert codec.decode(data, codec.is_binary) == frame
    assert codec.id_of(data) == frame.id


@given(
    name=st.sampled_from([JSON, MSGPACK]),
    data=st.binary(max_size=200) | st.text('{}[]":,op123 send', max_size=80).map(str.encode),
)
def test_garbage_is_a_wire_error_that_is_not_fatal(name: str, data: bytes) -> None:
    codec = CODECS[name]
    try:
        codec.decode(data, codec.is_binary)
    except WireError as error:
        assert not error.fatal and error.message
    codec.id_of(data)


@given(name=st.sampled_from([JSON, MSGPACK]), frame=some, cut=st.integers(0, 400), other=st.binary(max_size=3))
def test_damaged_frames_are_wire_errors(name: str, frame: Any, cut: int, other: bytes) -> None:
    data = LIBRARIES[name].encode(frame)
    cut %= len(data)
    codec = CODECS[name]
    try:
        codec.decode(data[:cut] + other + data[cut + 1 :], codec.is_binary)
    except WireError as error:
        assert not error.fatal


def test_deep_nesting_is_refused() -> None:
    for name, data in ((JSON, b'{"op":"ping","id":' + b"[" * 10_000), (MSGPACK, b"\x82\xa2op\xa4ping\xa2id" + b"\x91" * 10_000)):
        codec = CODECS[name]
        with pytest.raises(WireError):
            codec.decode(data, codec.is_binary)


def test_every_reason_has_rocketmqs_word_and_number_as_over_grpc() -> None:
    from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
    from rmqgateway.apis.refusals import STATUS_CODES

    assert set(STATUS) == set(Code)
    assert {code: number for code, (_, number) in STATUS.items()} == {
        code: int(number) for code, number in STATUS_CODES.items()
    }
    for word, number in STATUS.values():
        assert v2.Code.Name(number) == word


def test_what_may_succeed_later_says_when() -> None:
    for code in Code:
        frame = error_frame(GatewayError(code, "why"), 1)
        assert (frame.retry_after_ms is not None) is (code in RETRYABLE)
        assert frame.reason == code.name and frame.message == "why"
    assert error_frame(GatewayError(Code.BUSY, "", retry_after=2.5)).retry_after_ms == 2500
    assert error_frame(ValueError("secret")).message == "the gateway's log has the cause"
