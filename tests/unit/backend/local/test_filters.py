"""Filters tried on stored messages."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.filters import compile_filter
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Filter, FilterType
from rmqgateway.wire.stored_message import encode

V6 = bytes(16) + b"\x00\x00\x00\x01"


def passes(
    expression: str, properties: bytes, body: bytes = b"", topic: bytes = b"t", host: bytes = bytes(8)
) -> bool:
    compiled = compile_filter(Filter(expression))
    assert compiled is not None
    return compiled.matches(bytes(encode(topic, 0, body, properties, born_host=host, store_host=host)))


@pytest.mark.parametrize("expression", ["*", ""])
def test_everything_passes(expression: str) -> None:
    assert compile_filter(Filter(expression)) is None


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (b"TAGS\x01A\x02", True),
        (b"TAGS\x01A", True),
        (b"X\x01Y\x02TAGS\x01A\x02Z\x01z\x02", True),
        (b"TAGS\x01B\x02TAGS\x01A\x02", True),  # the last counts
        (b"TAGS\x01A\x02TAGS\x01B\x02", False),
        (b"TAGS\x01A\x02TAGS\x01\x02", True),  # an empty value is none
        (b"TAGS\x01A\x02MYTAGS\x01B\x02", True),
        (b"MYTAGS\x01A\x02", False),
        (b"TAGS\x01AA\x02", False),
        (b"TAGS\x01B\x02", False),
        (b"", False),
    ],
)
@pytest.mark.parametrize("host", [bytes(8), V6])
@pytest.mark.parametrize("topic", [b"t", b"t" * 200])
def test_tags(properties: bytes, expected: bool, host: bytes, topic: bytes) -> None:
    for body in (b"", b"\x02TAGS\x01A\x02", b"\x02TAGS\x01B\x02"):
        assert passes("A || C", properties, body, topic, host) is expected


def test_spaces_around_tags_do_not_count() -> None:
    assert passes("  A||B  ", b"TAGS\x01B\x02")
    assert passes("标签", "TAGS\x01标签\x02".encode())


@pytest.mark.parametrize("expression", ["||", " || ", "   "])
def test_no_tags_is_an_error(expression: str) -> None:
    with pytest.raises(GatewayError) as caught:
        compile_filter(Filter(expression))
    assert caught.value.code is Code.BAD_FILTER


def test_sql() -> None:
    compiled = compile_filter(Filter("a > 1 AND TAGS = 'X'", FilterType.SQL92))
    assert compiled is not None
    assert compiled.matches(bytes(encode(b"t", 0, b"", b"a\x012\x02TAGS\x01X\x02")))
    assert not compiled.matches(bytes(encode(b"t", 0, b"", b"a\x011\x02TAGS\x01X\x02")))


@pytest.mark.parametrize("wanted", [Filter("a >", FilterType.SQL92), Filter("A" * 20_000)])
def test_bad_filters(wanted: Filter) -> None:
    with pytest.raises(GatewayError) as caught:
        compile_filter(wanted)
    assert caught.value.code is Code.BAD_FILTER
