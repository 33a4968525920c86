"""Messages as applications see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import TAG_ALL, Filter, FilterType, filter_of
from rmqgateway.user_message import UserMessage, from_headers, from_stored, to_headers, to_message
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway.wire.stored_message import encode

# What properties can hold: no separators, no surrogates, not empty.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x01\x02"), min_size=1, max_size=20)
WORD = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=10)
MESSAGES = st.builds(
    UserMessage,
    body=st.binary(max_size=50),
    properties=st.dictionaries(TEXT.filter(lambda name: name not in SYSTEM_PROPERTIES), TEXT, max_size=4),
    tag=TEXT,
    keys=st.lists(WORD, max_size=3).map(tuple),
    message_group=TEXT,
    message_id=TEXT,
)


@given(MESSAGES)
def test_a_message_comes_out_as_it_went_in(message: UserMessage) -> None:
    sent = to_message(message)
    assert from_stored(encode(b"topic", 0, sent.body, sent.properties)) == message


def test_a_delay_is_rocketmqs_property() -> None:
    assert decode_properties(to_message(UserMessage(b"", delay_ms=1500)).properties) == {"TIMER_DELAY_MS": "1500"}


@pytest.mark.parametrize("name", ["TRAN_MSG", "TAGS", "__SHARDINGKEY", "POP_CK", "a\x01b"])
def test_names_that_a_user_cannot_set(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        to_message(UserMessage(b"", {name: "x"}))
    assert caught.value.code is Code.BAD_MESSAGE_PROPERTY


HEADERS = {"tags": "A", "keys": "k1 k2", "message-group": "g", "delay": "5", "colour": "red", "receipt": "r"}


def test_messages_with_named_texts() -> None:
    message = from_headers(b"x", HEADERS, ("receipt",))
    assert message == UserMessage(b"x", {"colour": "red"}, "A", ("k1", "k2"), "g", 5)
    assert to_headers(message) == {name: HEADERS[name] for name in ("tags", "keys", "message-group", "colour")}
    assert from_headers(b"", {}) == UserMessage(b"")
    assert to_headers(UserMessage(b"", {"a": "b"})) == {"a": "b"}
    with pytest.raises(WireError, match="delay"):
        from_headers(b"", {"delay": "soon"})


def test_a_property_does_not_pass_for_a_field() -> None:
    assert to_headers(UserMessage(b"", {"tags": "B"}, "A")) == {"tags": "A"}


def test_filters_of_tags_or_sql() -> None:
    assert filter_of("", "") is TAG_ALL
    assert filter_of("A || B", "") == Filter("A || B")
    assert filter_of("", "a = 1") == Filter("a = 1", FilterType.SQL92)
    with pytest.raises(GatewayError) as caught:
        filter_of("A", "a = 1")
    assert caught.value.code is Code.BAD_FILTER
