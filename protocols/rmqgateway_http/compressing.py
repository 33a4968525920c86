"""gzip for who accepts it (RFC 9110 8.4.1): whole bodies, and streams whose every event can be read when it comes."""

from __future__ import annotations

import zlib

__all__ = ["GZIPPED", "StreamCompressor", "compress", "takes_gzip"]

#: What a compressed response says besides.
GZIPPED = ((b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
_REFUSED = (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
#: A window of 4 KiB and small tables: 32 KiB for each stream, where zlib's defaults take 256.
_WINDOW_BITS, _MEMORY_LEVEL = 16 + 12, 5


def takes_gzip(accepted: bytes | None) -> bool:
    """Whether an Accept-Encoding names gzip with a weight above 0."""
    if accepted is None or b"gzip" not in accepted:
        return False
    for item in accepted.lower().split(b","):
        coding, _, weight = item.partition(b";")
        if coding.strip() == b"gzip":
            return weight.replace(b" ", b"") not in _REFUSED
    return False


def compress(body: bytes) -> bytes:
    """A whole body."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, 31)
    return deflater.compress(body) + deflater.flush()


class StreamCompressor:
    """One stream. Each piece is flushed, so that its client sees it at once."""

    __slots__ = ("_deflater",)

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)

    def piece(self, data: bytes) -> bytes:
        """The bytes with which the client has all of `data`."""
        deflater = self._deflater
        return deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """The bytes behind the last piece."""
        return self._deflater.flush()
