"""Frames and headers of rmqgateway.wire.remoting, in any split, honest and not."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting import (
    JSON,
    ROCKETMQ,
    FrameSplitter,
    RemotingCommand,
    RemotingDecoder,
    decode_frame,
    encode_command,
    encode_head,
    encode_request,
    encode_response,
)
from rmqgateway.wire.remoting_command import LANGUAGE_CODES, LANGUAGE_NAMES, language_code, language_name

int32 = st.integers(-(2**31), 2**31 - 1)
int16 = st.integers(-(2**15), 2**15 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def commands(draw: st.DrawFn) -> RemotingCommand:
    serialization = draw(st.sampled_from([JSON, ROCKETMQ]))
    number = int32 if serialization == JSON else int16
    return RemotingCommand(
        draw(number),
        draw(int32),
        draw(int32),
        draw(number),
        draw(st.sampled_from(sorted(LANGUAGE_CODES))),
        draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)),
        draw(st.dictionaries(text, text, max_size=6)),
        draw(st.binary(max_size=200)),
        serialization,
    )


def frame(header: bytes, body: bytes = b"", serialization: int = JSON) -> bytes:
    return struct.pack(">II", 4 + len(header) + len(body), serialization << 24 | len(header)) + header + body


def only_error(data: bytes, **limits: int) -> WireError:
    events = RemotingDecoder(**limits).receive_data(data)
    assert len(events) == 1
    assert isinstance(events[0], WireError)
    return events[0]


@given(commands())
def test_round_trip(command: RemotingCommand) -> None:
    assert decode_frame(encode_command(command)) == command


@given(st.lists(commands(), max_size=5), st.lists(st.integers(1, 400), max_size=30))
def test_any_split(sent: list[RemotingCommand], cuts: list[int]) -> None:
    data = b"".join(map(encode_command, sent))
    decoder, splitter = RemotingDecoder(), FrameSplitter()
    commands_seen: list[object] = []
    frames_seen: list[object] = []
    position = 0
    for cut in [*cuts, len(data) + 1]:
        piece = data[position : position + cut]
        commands_seen += decoder.receive_data(piece)
        frames_seen += splitter.receive_data(piece)
        position += cut
    assert commands_seen == sent
    assert frames_seen == list(map(encode_command, sent))
    assert decoder.buffered == splitter.buffered == 0


@pytest.mark.parametrize("serialization", [JSON, ROCKETMQ])
def test_byte_by_byte(serialization: int) -> None:
    data = encode_request(310, 7, {"b": "T", "i": "k\x01v\x02"}, b"body", serialization=serialization) * 3
    decoder = RemotingDecoder()
    seen = [event for byte in data for event in decoder.receive_data(bytes([byte]))]
    assert [event.opaque for event in seen if isinstance(event, RemotingCommand)] == [7, 7, 7]


@given(st.binary(max_size=300))
def test_garbage_gives_only_wire_errors(data: bytes) -> None:
    for reader in (RemotingDecoder(max_frame=1000), FrameSplitter(max_frame=1000)):
        reader.receive_data(data)
        reader.receive_data(data)


@given(st.binary(max_size=200), st.binary(max_size=20), st.sampled_from([JSON, ROCKETMQ]))
def test_garbage_header_keeps_the_framing(header: bytes, body: bytes, serialization: int) -> None:
    good = encode_response(9)
    events = RemotingDecoder().receive_data(frame(header, body, serialization) + good)
    assert len(events) == 2
    if isinstance(events[0], WireError):
        assert not events[0].fatal
    assert isinstance(events[1], RemotingCommand)
    assert events[1].opaque == 9


@given(
    st.dictionaries(
        st.sampled_from(["code", "opaque", "flag", "language", "version", "remark", "extFields", "body"]),
        st.recursive(
            st.none() | st.booleans() | int32 | st.floats(allow_nan=False) | text,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
        ),
    )
)
def test_any_json_header_is_taken_or_refused(fields: dict[str, object]) -> None:
    try:
        command = decode_frame(frame(json.dumps(fields).encode()))
    except WireError as error:
        assert not error.fatal
    else:
        assert all(isinstance(value, str) for value in command.ext_fields.values())


def test_response_is_what_apache_writes() -> None:
    assert encode_response(5, 0, {"queueId": "1"})[8:] == (
        b'{"code":0,"extFields":{"queueId":"1"},"flag":1,"language":"JAVA","opaque":5,'
        b'"serializeTypeCurrentRPC":"JSON","version":513}'
    )


def test_head_announces_a_body_sent_apart() -> None:
    head = encode_head(0, 1, 1, body_size=3)
    assert decode_frame(head + b"abc").body == b"abc"
    assert encode_response(1, body=b"abc") == head + b"abc"


def test_flags() -> None:
    assert decode_frame(encode_response(1)).is_response
    assert not decode_frame(encode_response(1)).is_oneway
    oneway = decode_frame(encode_request(310, 1, oneway=True))
    assert oneway.is_oneway
    assert not oneway.is_response


def test_values_that_should_have_been_strings() -> None:
    command = decode_frame(
        frame(
            b'{"code":"310","opaque":7.0,"flag":null,"language":null,"remark":5,"version":"3",'
            b'"extFields":{"a":1,"b":true,"c":false,"d":null,"e":1.5,"f":{"x":[1]},"g":"s"}}'
        )
    )
    assert (command.code, command.opaque, command.flag, command.version) == (310, 7, 0, 3)
    assert (command.language, command.remark) == ("OTHER", "5")
    assert command.ext_fields == {"a": "1", "b": "true", "c": "false", "e": "1.5", "f": '{"x":[1]}', "g": "s"}


def test_null_ext_fields_and_bytes_that_are_not_utf8() -> None:
    assert decode_frame(frame(b'{"code":1,"opaque":2,"extFields":null}')).ext_fields == {}
    command = decode_frame(frame(b'{"code":1,"opaque":2,"extFields":{"a":"\xff"}}'))
    assert command.ext_fields == {"a": "\ufffd"}


@pytest.mark.parametrize(
    ("header", "expected", "request_id"),
    [
        (b'{"code":1}', "opaque", None),
        (b'{"opaque":3}', "code", 3),
        (b'{"code":"x","opaque":3}', "code", 3),
        (b'{"code":1,"opaque":2147483648}', "opaque", None),
        (b'{"code":2147483648,"opaque":3}', "code", 3),
        (b'{"code":true,"opaque":3}', "code", 3),
        (b'{"code":1,"opaque":3,"extFields":[]}', "extFields", 3),
        (b'{"code":1,"opaque":3,"remark":{}}', "remark", 3),
        (b"[]", "object", None),
        (b"", "header", None),
        (b"{\xff", "header", None),
        (b'{"code":1,"opaque":3,"x":"\xff"', "header", None),
        (b"[" * 100_000, "header", None),
    ],
)
def test_bad_json_header(header: bytes, expected: str, request_id: int | None) -> None:
    error = only_error(frame(header))
    assert not error.fatal
    assert expected in error.message
    assert error.request_id == request_id


def test_ours_alone_cannot_be_set_by_a_peer() -> None:
    command = decode_frame(
        frame(b'{"code":1,"opaque":2,"-body":"QUJD","-serialization":9,"body":"x"}', b"real")
    )
    assert (command.body, command.serialization) == (b"real", JSON)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (struct.pack(">II", 3, 0), "expected 4..996, got 3"),
        (struct.pack(">II", 997, 0), "expected 4..996, got 997"),
        (struct.pack(">II", 0xFFFFFFFF, 0), "got 4294967295"),
        (struct.pack(">II", 10, 7), "at most 6 (the frame's), got 7"),
        (struct.pack(">II", 10, 2 << 24), "got 2"),
        (struct.pack(">II", 210, 200), "at most 100 (the limit), got 200"),
    ],
)
@pytest.mark.parametrize("step", [1, 5, 1000])
def test_lengths_that_lose_the_framing(data: bytes, expected: str, step: int) -> None:
    good = encode_response(1)
    for reader in (RemotingDecoder(1000, 100), FrameSplitter(1000, 100)):
        stream = (b"" if step == 5 else good) + data + bytes(20 if step == 5 else 1)
        if step != 5:
            stream += bytes(300)
        events: list[object] = []
        for at in range(0, len(stream), step):
            events += reader.receive_data(stream[at : at + step])
        error = events[-1]
        assert isinstance(error, WireError)
        assert error.fatal
        assert expected in error.message
        assert reader.receive_data(good) == []
        assert reader.buffered == 0


def test_whole_frame_with_bad_lengths_in_one_read() -> None:
    for reader in (RemotingDecoder(1000, 100), FrameSplitter(1000, 100)):
        (error,) = reader.receive_data(struct.pack(">II", 10, 7) + bytes(50))
        assert isinstance(error, WireError)
        assert error.fatal


def test_a_promise_of_bytes_reserves_nothing() -> None:
    decoder = RemotingDecoder()
    decoder.receive_data(struct.pack(">II", 16 * 1024 * 1024 - 4, 100) + b"x" * 10)
    assert decoder.buffered == 18


def test_largest_frame_is_apaches() -> None:
    assert only_error(struct.pack(">I", 16 * 1024 * 1024 - 3) + bytes(4)).fatal
    assert RemotingDecoder().receive_data(struct.pack(">I", 16 * 1024 * 1024 - 4) + bytes(4)) == []


def test_frame_that_is_not_whole() -> None:
    good = encode_response(1)
    for bad in (b"", good[:-1], good + b"x", struct.pack(">II", 4, 1)):
        with pytest.raises(WireError):
            decode_frame(bad)


def binary(
    ext: bytes = b"", remark: bytes = b"", ext_size: int | None = None, remark_size: int | None = None
) -> bytes:
    return (
        struct.pack(">hbhiii", 310, 0, 513, 7, 0, len(remark) if remark_size is None else remark_size)
        + remark
        + struct.pack(">i", len(ext) if ext_size is None else ext_size)
        + ext
    )


@pytest.mark.parametrize(
    ("header", "expected", "request_id"),
    [
        (b"", "at least 21", None),
        (binary()[:12], "at least 21", 7),
        (binary(remark_size=-1), "remark", 7),
        (binary(remark_size=1), "remark", 7),
        (binary(ext_size=-5), "extFields", 7),
        (binary(ext_size=5), "extFields", 7),
        (binary(ext=b"\0"), "extFields key", 7),
        (binary(ext=b"\0\5ab"), "extFields key", 7),
        (binary(ext=b"\xff\xffab"), "extFields key", 7),
        (binary(ext=b"\0\1a\0\0\0\5b"), "extFields value", 7),
        (binary(ext=b"\0\1a\xff\xff\xff\xffb"), "extFields value", 7),
        (binary(ext=b"\0\1a\0\0"), "extFields key", 7),
    ],
)
def test_bad_binary_header(header: bytes, expected: str, request_id: int | None) -> None:
    error = only_error(frame(header, serialization=ROCKETMQ))
    assert not error.fatal
    assert expected in error.message
    assert error.request_id == request_id


def test_bad_header_in_a_frame_that_came_in_pieces() -> None:
    decoder = RemotingDecoder()
    data = frame(b"nonsense")
    assert decoder.receive_data(data[:10]) == []
    (error,) = decoder.receive_data(data[10:])
    assert isinstance(error, WireError)
    assert not error.fatal


def test_binary_strings_beyond_ascii() -> None:
    ext = {"北": "京", "é": "ÿ", "a": ""}
    assert decode_frame(encode_request(1, 2, ext, serialization=ROCKETMQ)).ext_fields == ext
    header = binary(ext=b"\0\1\xff\0\0\0\1\xfe", remark=b"\xff")
    command = decode_frame(frame(header, serialization=ROCKETMQ))
    assert command.ext_fields == {"\ufffd": "\ufffd"}
    assert command.remark == "\ufffd"


@pytest.mark.parametrize(("code", "key"), [(200050, "a"), (1, "k" * 32768)])
def test_what_a_binary_header_cannot_say(code: int, key: str) -> None:
    with pytest.raises(WireError) as caught:
        encode_request(code, 1, {key: "v"}, serialization=ROCKETMQ)
    assert not caught.value.fatal


def test_languages_both_ways() -> None:
    assert all(language_code(language_name(code)) == code for code in LANGUAGE_NAMES)
    assert language_name(-1) == "OTHER"
    assert language_code("COBOL") == LANGUAGE_CODES["OTHER"]
    command = decode_frame(frame(struct.pack(">hbhiiii", 1, 99, 0, 0, 0, 0, 0), serialization=ROCKETMQ))
    assert command.language == "OTHER"
