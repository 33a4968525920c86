"""A decoder that reads as its protocol does: a generator that asks for a head, a line, so many bytes, and gives what they mean.

What serves the most messages here parses by hand instead: a generator adds about a microsecond to each thing that it reads.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Generic, TypeAlias, TypeVar

from rmqgateway.errors import WireError

__all__ = ["Decoder", "Parsing", "Reading"]

T = TypeVar("T")
R = TypeVar("R")

#: What `Decoder.parse` returns: a generator of units; what it yields besides (None) means that more bytes are needed.
Parsing: TypeAlias = Generator[T | None, None, None]
#: What a reading method returns: ``value = yield from self.exactly(4)``.
Reading: TypeAlias = Generator[None, None, R]

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_NO_LINE_END = re.compile(rb"[^\r\n]")


class Decoder(Generic[T]):
    """Bytes in, units out, however the bytes are split. Derive, and implement `parse`::

        class Words(Decoder[bytes]):
            def parse(self) -> Parsing[bytes]:
                while True:
                    yield (yield from self.line(1000, "max_line"))

    Of every reading method: `most` is how many bytes it takes at most, and `setting` names that limit in the WireError
    (fatal) that it raises when more have come than these and a part of their end. Never more is held than that and what came
    last; dripped bytes cost no more than others.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # so much was searched already
        self._broken = ""
        self._parsing = self.parse()

    def parse(self) -> Parsing[T]:
        """Read and yield units, for ever; what comes after its end is dropped. It may raise WireError. It begins with the first
        bytes, not before."""
        raise NotImplementedError

    def receive_data(self, data: bytes) -> Iterator[T]:
        """Yield each unit that is whole now.

        :raise WireError: fatal; the units before it were yielded, and the same is raised from now on.
        """
        if self._broken:
            raise WireError(self._broken)
        self._buffer += data
        try:
            for unit in self._parsing:
                if unit is None:
                    return
                yield unit
            self._buffer.clear()  # `parse` has ended: nothing can follow
        except WireError as error:
            self._broken = error.message
            self._buffer.clear()
            raise

    def exactly(self, size: int) -> Reading[bytes]:
        """So many bytes. Check a size that the peer names before: see `rmqgateway.wire.text.number`."""
        while len(self._buffer) < size:
            yield None
        return self._take(size, size)

    def until(self, end: bytes, most: int, setting: str) -> Reading[bytes]:
        """The bytes before `end`, which is dropped."""
        return (yield from self._until(re.compile(re.escape(end)), len(end), most, setting))

    def line(self, most: int, setting: str) -> Reading[bytes]:
        """A line without its end, LF or CR LF."""
        return (yield from self.until(b"\n", most, setting)).removesuffix(b"\r")

    def head(self, most: int, setting: str) -> Reading[list[bytes]]:
        """The lines up to an empty one, at least one line. Empty lines before them are skipped: heart-beats, and what RFC 9112,
        2.2 wants of robust servers."""
        while (begin := _NO_LINE_END.search(self._buffer)) is None:
            self._buffer.clear()
            yield None
        del self._buffer[: begin.start()]
        head = yield from self._until(_END_OF_HEAD, 3, most, setting)
        return [line.removesuffix(b"\r") for line in head.split(b"\n")]

    def _until(self, end: re.Pattern[bytes], longest: int, most: int, setting: str) -> Reading[bytes]:
        while (found := end.search(self._buffer, self._seen)) is None and len(self._buffer) < most + longest:
            self._seen = max(len(self._buffer) - longest + 1, 0)
            yield None
        if found is None or found.start() > most:
            raise WireError(f"expected at most {most} bytes ({setting})")
        return self._take(found.start(), found.end())

    def _take(self, size: int, drop: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:drop]
        self._seen = 0
        return taken
