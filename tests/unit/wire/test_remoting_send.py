"""The header of a send decoded straight into fields means what the general decoder makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting import RemotingDecoder, encode_request
from rmqgateway.wire.remoting_command import RemotingCommand
from rmqgateway.wire.remoting_json import decode_json_header
from rmqgateway.wire.remoting_send import SendRequest, decode_send_header
from rmqgateway_remoting.convert_sending import parse_send_v2

#: As the Java client 5.5.0 sends it.
EXT = {
    "a": "producers",
    "b": "topic",
    "c": "TBW102",
    "d": "4",
    "e": "3",
    "f": "0",
    "g": "1795255133606",
    "h": "0",
    "i": "KEYS\x01k\x02UNIQ_KEY\x01U\x02",
    "j": "0",
    "k": "false",
    "m": "false",
    "n": "broker-a",
}


def header(ext: dict[str, Any], **more: Any) -> bytes:
    fields: dict[str, Any] = {"code": 310, "extFields": ext, "flag": 0, "language": "JAVA", "opaque": 7}
    fields |= {"serializeTypeCurrentRPC": "JSON", "version": 513, **more}
    return json.dumps(fields, separators=(",", ":")).encode()


def outcome(request: RemotingCommand) -> Any:
    try:
        return parse_send_v2(request, None)  # type: ignore[arg-type]  # it needs nothing of its peer
    except WireError as error:
        return error.message


def head(request: RemotingCommand) -> tuple[Any, ...]:
    return (
        request.code,
        request.opaque,
        request.flag,
        request.version,
        request.language,
        request.remark,
        request.body,
        request.serialization,
    )


def same(raw: bytes) -> None:
    results: list[Any] = []
    for decode in (decode_send_header, decode_json_header):
        try:
            request = decode(raw, b"body")
        except WireError as error:
            results.append((error.message, error.request_id, error.fatal))
        else:
            results.append((head(request), outcome(request)))
    assert results[0] == results[1]


def test_the_usual_header_goes_the_short_way() -> None:
    assert type(decode_send_header(header(EXT), b"")) is SendRequest
    same(header(EXT))


def test_the_decoder_takes_it() -> None:
    frame = encode_request(310, 5, EXT, b"body")
    for pieces in ([frame], [frame[:50], frame[50:]], [frame + frame[:3], frame[3:]]):
        decoder = RemotingDecoder(sends_in_fields=True)
        events = [event for piece in pieces for event in decoder.receive_data(piece)]
        assert len(events) == sum(map(len, pieces)) // len(frame)
        for event in events:
            assert type(event) is SendRequest and event.body == b"body" and event.opaque == 5


def test_only_who_asks_for_fields_gets_them() -> None:
    (event,) = RemotingDecoder().receive_data(encode_request(310, 5, EXT))
    assert type(event) is RemotingCommand and event.ext_fields == EXT


@pytest.mark.parametrize("special", [{"m": "true"}, {"ns": "n"}, {"ns": ""}, {"AccessKey": "k"}])
def test_what_is_special_is_left_to_the_general_decoder(special: dict[str, str]) -> None:
    request = decode_send_header(header({**EXT, **special}), b"")
    assert type(request) is RemotingCommand and request.ext_fields == {**EXT, **special}


@pytest.mark.parametrize(
    "change",
    [
        {"i": "POP_CK\x011 2\x02A\x01B\x02"},
        {"l": "3"},
        {"l": ""},
        {"j": ""},
        {"e": "1.0"},
        {"e": "1e1"},
        {"d": 4.0},
        {"e": " 1"},
        {"e": "1_0"},
        {"e": "+1"},
        {"e": "٣"},
        {"e": "-0"},
        {"e": "007"},
        {"e": ""},
        {"e": "true"},
        {"e": "2147483648"},
        {"e": "-2147483649"},
        {"g": "9223372036854775808"},
        {"g": "-9223372036854775808"},
        {"d": None},
        {"d": 4},
        {"d": True},
        {"b": 5},
        {"i": None},
        {"i": "\ud800"},
        {"unknown": "x"},
    ],
    ids=str,
)
def test_odd_fields_mean_the_same(change: dict[str, Any]) -> None:
    same(header({**EXT, **change}))


@pytest.mark.parametrize("name", list(EXT))
def test_missing_fields_mean_the_same(name: str) -> None:
    same(header({key: value for key, value in EXT.items() if key != name}))


@pytest.mark.parametrize(
    "more", [{"code": 11}, {"flag": 2}, {"opaque": "9"}, {"remark": "r"}, {"opaque": None}, {"header": 1}, {"ext_fields": 1}]
)
def test_odd_heads_mean_the_same(more: dict[str, Any]) -> None:
    same(header(EXT, **more))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"code":310,"code":11,"opaque":1,"extFields":{}}',
        b'{"code":310,',
        b'{"code":310,"extFields":[]}',
        b'{"code":310,"opaque":1,"extFields":{"a":"\xff"}}',
        b'{"code":310,"opaque":1,"extFields":null}',
        b'{"code":310,"x":' + b"[" * 5000,
    ],
    ids=range(6),
)
def test_broken_headers_mean_the_same(raw: bytes) -> None:
    same(raw)


numbers = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.text("0123456789+-. _eE٣", max_size=6),
    st.text("ab \x01\x02汉", max_size=3),
)


@given(st.dictionaries(st.sampled_from("abcdefghijklmn"), numbers), st.sets(st.sampled_from("abdefghi")))
def test_whatever_the_fields_are(ext: dict[str, str], missing: set[str]) -> None:
    same(header({key: value for key, value in {**EXT, **ext}.items() if key not in missing}))
