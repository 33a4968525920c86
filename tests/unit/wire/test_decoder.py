"""What every decoder may stand on: any split, hard limits, and nothing held that is not wanted."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.decoder import Decoder, Parsing
from rmqgateway.wire.text import number, required


class Things(Decoder[object]):
    """A head, whose first line says what follows: ``bytes N``, ``line``, ``until`` (a ``--``), ``end`` (nothing, ever)."""

    def parse(self) -> Parsing[object]:
        while True:
            lines = yield from self.head(20, "max_head")
            yield lines
            word, _, size = lines[0].partition(b" ")
            if word == b"bytes":
                yield (yield from self.exactly(number(size.decode("latin-1"), "bytes", 1000)))
            elif word == b"line":
                yield (yield from self.line(10, "max_line"))
            elif word == b"until":
                yield (yield from self.until(b"--", 10, "max_text"))
            elif word == b"end":
                return


def decode(data: bytes, cuts: list[int] | None = None) -> list[object]:
    decoder, found = Things(), []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in pairwise(places):
        found += list(decoder.receive_data(data[start:end]))
    return found


EVERY_ONE = b"\r\n\n\rbytes 3\nx\r\n\r\na\n\nline\n\nab\r\n\nuntil\r\n\n-a-b--bytes 0\n\nline\n\n\nuntil\n\n0123456789--"
FOUND = [[b"bytes 3", b"x"], b"a\n\n", [b"line"], b"ab", [b"until"], b"-a-b", [b"bytes 0"], b"", [b"line"], b""]
FOUND += [[b"until"], b"0123456789"]


@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_units_come_out_however_they_are_split(cuts: list[int]) -> None:
    assert decode(EVERY_ONE, cuts) == FOUND


def test_one_byte_at_a_time() -> None:
    assert decode(EVERY_ONE, list(range(len(EVERY_ONE)))) == FOUND


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"line\n\n" + b"x" * 11, "10 bytes (max_line)"),
        (b"line\n\n" + b"x" * 11 + b"\n", "10 bytes (max_line)"),
        (b"until\n\n" + b"x" * 11 + b"--", "10 bytes (max_text)"),
        (b"until\n\n" + b"x" * 12, "10 bytes (max_text)"),
        (b"x" * 21 + b"\n\n", "20 bytes (max_head)"),
        (b"x" * 23, "20 bytes (max_head)"),
        (b"x\n" * 40, "20 bytes (max_head)"),
        (b"bytes 1001\n\n", "bytes: expected a number from 0 to 1000, got '1001'"),
    ],
)
def test_limits_are_kept_and_named(data: bytes, named: str) -> None:
    for cuts in ([], list(range(len(data)))):
        with pytest.raises(WireError) as caught:
            decode(data, cuts)
        assert named in str(caught.value) and caught.value.fatal


def test_what_is_good_comes_before_the_error_and_the_error_stays() -> None:
    decoder, found = Things(), []
    with pytest.raises(WireError) as first:
        for unit in decoder.receive_data(b"line\n\nab\n" + b"x" * 30):
            found.append(unit)
    assert found == [[b"line"], b"ab"]
    with pytest.raises(WireError) as again:
        list(decoder.receive_data(b"line\n\nab\n"))
    assert str(again.value) == str(first.value)


def test_after_the_last_unit_nothing_comes_and_nothing_is_held() -> None:
    decoder = Things()
    assert list(decoder.receive_data(b"end\n\nmore")) == [[b"end"]]
    for _ in range(10):
        assert list(decoder.receive_data(bytes(1000))) == []
    assert len(decoder._buffer) <= 1000


def test_a_size_that_is_said_is_not_reserved_and_line_ends_are_not_kept() -> None:
    class Sizes(Decoder[bytes]):
        def parse(self) -> Parsing[bytes]:
            yield (yield from self.exactly(1 << 30))

    tracemalloc.start()
    try:
        assert list(Sizes().receive_data(b"x")) == []
        things = Things()
        for _ in range(1000):
            assert list(things.receive_data(b"\r\n" * 1000)) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_garbage_raises_nothing_else(pieces: list[bytes]) -> None:
    decoder = Things()
    try:
        for piece in pieces:
            list(decoder.receive_data(piece))
    except WireError:
        pass


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("007", 7), ("100", 100)])
def test_numbers(text: str, value: int) -> None:
    assert number(text, "n", 100) == value


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "1.0", "\u0663", "\xb2", "101", "9" * 5000])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(WireError, match="n: expected a number from 0 to 100"):
        number(text, "n", 100)


def test_required_fields() -> None:
    assert required({"a": ""}, "a") == ""
    with pytest.raises(WireError, match="b, it is missing"):
        required({"a": ""}, "b")
