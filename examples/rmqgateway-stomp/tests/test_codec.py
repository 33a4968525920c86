"""Frames: any split, limits, escapes, garbage."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmqgateway_stomp.codec import Frame, FrameDecoder, encode_frame

from rmqgateway.errors import WireError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
FRAMES = st.builds(
    Frame,
    st.sampled_from(["SEND", "MESSAGE", "ACK", "ERROR"]),
    st.dictionaries(TEXT.filter(lambda name: name != "content-length"), TEXT, max_size=4),
    st.binary(max_size=60),
)


def decode(data: bytes, cuts: list[int] | None = None) -> list[Frame]:
    decoder = FrameDecoder(10_000, 10_000)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    found = []
    for start, end in pairwise(places):
        found += list(decoder.receive_data(data[start:end]))
    return found


@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_out_as_they_went_in_however_split(frames: list[Frame], cuts: list[int]) -> None:
    decoded = decode(b"\n".join(encode_frame(frame) for frame in frames), cuts)
    for frame in decoded:
        frame.headers.pop("content-length", None)
    assert decoded == frames


# From the specification's text: https://stomp.github.io/stomp-specification-1.2.html
@pytest.mark.parametrize(
    ("data", "frame"),
    [
        (b"CONNECT\naccept-version:1.2\nhost:a\\b\n\n\0", Frame("CONNECT", {"accept-version": "1.2", "host": "a\\b"})),
        (b"\n\r\nSEND\r\na:b\r\n\r\nbody\0\n", Frame("SEND", {"a": "b"}, b"body")),
        (b"SEND\nfoo:first\nfoo:second\n\n\0", Frame("SEND", {"foo": "first"})),
        (b"SEND\na\\c\\n:\\r\\\\ \n\n\0", Frame("SEND", {"a:\n": "\r\\ "})),
        (b"SEND\nurl:http://x:1\n\n\0", Frame("SEND", {"url": "http://x:1"})),
        (b"SEND\ncontent-length:3\n\na\0b\0", Frame("SEND", {"content-length": "3"}, b"a\0b")),
    ],
)
def test_what_the_specification_says(data: bytes, frame: Frame) -> None:
    assert decode(data) == [frame]
    assert decode(data, list(range(len(data)))) == [frame]


@pytest.mark.parametrize(
    "data",
    [
        b"SEND\nno colon\n\n\0",
        b"SEND\na:\\t\n\n\0",
        b"SEND\na:\\\n\n\0",
        b"SEND\na:\xff\n\n\0",
        b"SEND\ncontent-length:x\n\n\0",
        b"SEND\ncontent-length:-1\n\n\0",
        b"SEND\ncontent-length:1\n\nab\0",
        b"SEND\ncontent-length:99999\n\n",
        b"SEND\n\n" + b"x" * 10_001,
        b"S" * 10_003,  # two more: of these its end, LF CR LF, could have begun
    ],
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)
    with pytest.raises(WireError):
        decode(data, list(range(len(data))))


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_garbage_raises_nothing_else(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(100, 100)
    try:
        for piece in pieces:
            list(decoder.receive_data(piece))
    except WireError:
        pass
