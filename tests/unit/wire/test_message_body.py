"""Bodies as their producers had them."""

from __future__ import annotations

import sys
import types
import zlib

import pytest

from rmqgateway.errors import WireError
from rmqgateway.wire.message_body import readable_body
from rmqgateway.wire.stored_message import encode

PLAIN = "中文 and more ".encode() * 100


def message(body: bytes, sys_flag: int) -> bytes:
    return bytes(encode(b"topic", 0, body, sys_flag=sys_flag))


@pytest.mark.parametrize(
    ("body", "sys_flag"),
    [(PLAIN, 0), (b"", 0), (zlib.compress(PLAIN), 1), (zlib.compress(PLAIN), 0x301)],
)
def test_plain_and_zlib(body: bytes, sys_flag: int) -> None:
    assert readable_body(message(body, sys_flag)) == (PLAIN if body else b"")


@pytest.mark.parametrize(
    ("body", "sys_flag", "reason"),
    [
        (b"no zlib", 1, "expected ZLIB"),
        (zlib.compress(PLAIN)[:-3], 1, "ends too early"),
        (zlib.compress(bytes(1 << 20)), 1, "at most 65536 bytes"),
        (PLAIN, 0x701, "7"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, sys_flag: int, reason: str) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        readable_body(message(body, sys_flag), 65536)
    assert not caught.value.fatal


@pytest.mark.parametrize(("sys_flag", "name"), [(0x101, "LZ4"), (0x201, "ZSTD")])
def test_a_missing_extra_is_named(sys_flag: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.frame", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(WireError, match=rf"{name} needs the extra rmqgateway\[compress\]"):
        readable_body(message(b"x", sys_flag))


class Decompressor:
    """Stands for either library: reverses the bytes, and fails for b"bad"."""

    def stream_reader(self, body: bytes) -> Decompressor:
        self.body = body
        return self

    def read(self, size: int) -> bytes:
        return self.decompress(self.body, size)

    def decompress(self, body: bytes, max_length: int) -> bytes:
        if body == b"bad":
            raise RuntimeError("damaged")
        return body[::-1][:max_length]


@pytest.mark.parametrize("sys_flag", [0x101, 0x201])
def test_the_optional_libraries(sys_flag: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4", types.SimpleNamespace(frame=None))
    monkeypatch.setitem(sys.modules, "lz4.frame", types.SimpleNamespace(LZ4FrameDecompressor=Decompressor))
    monkeypatch.setitem(sys.modules, "zstandard", types.SimpleNamespace(ZstdDecompressor=Decompressor))
    assert readable_body(message(b"abc", sys_flag)) == b"cba"
    with pytest.raises(WireError, match="damaged"):
        readable_body(message(b"bad", sys_flag))
    with pytest.raises(WireError, match="at most 2 bytes"):
        readable_body(message(b"abc", sys_flag), 2)
