"""What clients keep, parameters, JSON: round trips, and garbage that is refused in words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rmqgateway.errors import GatewayError
from rmqgateway_http.codec_handles import (
    ReplyAddress,
    Transaction,
    append_handle,
    read_event_id,
    read_receipt_handle,
    read_token,
    write_event_id,
    write_receipt_handle,
    write_token,
)
from rmqgateway_http.codec_json import EnvelopeIn, gunzip, read_base64, read_json
from rmqgateway_http.codec_parameters import read_duration, read_time
from rmqgateway_http.convert_cloudevents import read_many
from rmqgateway_http.convert_sending import read_envelope, read_raw

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
#: RocketMQ's: eight parts with blanks between; and anything.
HANDLES = st.one_of(
    st.builds(
        lambda *parts: " ".join(map(str, parts)),
        st.integers(0, 99), st.integers(10**12, 10**13), st.just(60000), st.just(0), st.sampled_from("012"),
        st.sampled_from(["broker-a", "b!~,:="]), st.integers(0, 15), st.integers(0, 10**9),
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
)  # fmt: skip


@given(HANDLES)
def test_receipt_handles(handle: str) -> None:
    text = write_receipt_handle(handle)
    assert " " not in text and "," not in text
    assert read_receipt_handle(text) == handle


def test_a_handle_with_blanks_is_taken_as_it_is() -> None:
    assert read_receipt_handle("1 2 3") == "1 2 3"


@given(st.lists(HANDLES, max_size=40), st.integers(1, 10**9))
@example(["=a", "=b c", "=b d"], 1)
@example(["a  b", "a  c", "a b"], 1)
def test_event_ids(handles: list[str], number: int) -> None:
    listed = last = ""
    for handle in handles:
        shown = write_receipt_handle(handle)
        listed = append_handle(listed, last, shown)
        last = shown
    event = read_event_id(write_event_id("ab12", number, listed))
    assert (event.stream, event.number, list(event.handles)) == ("ab12", number, handles)


def test_handles_of_one_receive_take_few_characters() -> None:
    listed = last = ""
    for offset in range(32):
        shown = write_receipt_handle(f"0 1767225600000 60000 0 0 broker-a 3 {offset}")
        listed, last = append_handle(listed, last, shown), shown
    assert len(listed) < 32 * 11 + 40


@given(TEXT, TEXT, TEXT, st.integers(-1, 2**62), st.integers(-1, 2**62), st.booleans())
def test_transactions(topic: str, group: str, one: str, queue: int, physical: int, checked: bool) -> None:
    value = Transaction(topic, group, one, queue, physical, checked)
    assert read_token(write_token(value), Transaction, "x") == value


@given(TEXT, TEXT, TEXT, TEXT)
def test_reply_addresses(topic: str, client: str, correlation: str, ttl: str) -> None:
    value = ReplyAddress(topic, client, correlation, ttl)
    assert read_token(write_token(value), ReplyAddress, "x") == value


@given(st.text(max_size=200))
def test_garbage_is_refused_in_words(text: str) -> None:
    for read in (
        read_event_id,
        lambda one: read_token(one, Transaction, "transaction"),
        lambda one: read_token(one, ReplyAddress, "reply_to"),
        lambda one: read_base64(one, "body_base64"),
    ):
        with contextlib.suppress(GatewayError):
            read(text)
    for parse in (read_duration, read_time):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
    read_receipt_handle(text)


@given(st.binary(max_size=300))
def test_bytes_are_refused_in_words(data: bytes) -> None:
    for read in (
        lambda one: read_json(one, EnvelopeIn, 1000),
        lambda one: gunzip(one, 1000),
        lambda one: read_envelope(one, 1000, 10, lambda: "id"),
        lambda one: read_many(one, 1000, 10, False, lambda: "id"),
        lambda one: read_many(one, 1000, 10, True, lambda: "id"),
        lambda one: read_raw(b"", [(b"x-rocketmq-property-" + one[:5].lower(), one)], {}, lambda: "id"),
    ):
        with contextlib.suppress(GatewayError):
            read(data)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("5", 5000), ("1.5", 1500), ("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000)],
)
def test_durations(text: str, ms: int) -> None:
    assert read_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1767225600000", 1767225600000),
        ("2026-01-01T00:00:00Z", 1767225600000),
        ("2026-01-01T01:00:00.5+01:00", 1767225600500),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert read_time(text) == ms


def test_a_time_without_its_zone_is_none() -> None:
    with pytest.raises(ValueError, match="zone"):
        read_time("2026-01-01T00:00:00")
