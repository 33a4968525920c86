"""Messages as applications see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import Code, GatewayError
from rmqgateway.user_message import UserMessage, from_stored, to_message
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
