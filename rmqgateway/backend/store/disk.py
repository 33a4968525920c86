"""What the store asks of the operating system: one object, so that tests can make any call fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

__all__ = ["Disk"]

_MOST_BUFFERS = 1024  # IOV_MAX on Linux


class Disk:
    """The real one."""

    def pwritev(self, fd: int, parts: Sequence[bytes], at: int) -> None:
        """Write all the parts from `at` on."""
        for first in range(0, len(parts), _MOST_BUFFERS):
            some = parts[first : first + _MOST_BUFFERS]
            written = os.pwritev(fd, some, at)
            at += written
            rest = b""
            if written < sum(map(len, some)):
                rest = b"".join(some)[written:]
            while rest:  # a short write: a signal, or a quota met in the middle; the next one tells
                written = os.pwrite(fd, rest, at)
                at += written
                rest = rest[written:]

    def pread(self, fd: int, size: int, at: int) -> bytes:
        """Read up to `size` bytes."""
        return os.pread(fd, size, at)

    def next_data(self, fd: int, at: int) -> int | None:
        """The first place from `at` on that may hold more than zeros; None if there is none.

        What was allocated and never written need not be read to know that: reading the rest of a segment takes 0.1 s or more.
        """
        try:
            return os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            return at  # the file system cannot tell

    def fdatasync(self, fd: int) -> None:
        """Make what was written durable."""
        os.fdatasync(fd)

    def allocate(self, path: str, size: int, header: bytes) -> None:
        """Create a file of `size` with room for all its bytes, durable with its name."""
        temporary = path + ".new"
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            os.pwrite(fd, header, 0)
            os.fsync(fd)
        except OSError:
            os.unlink(temporary)
            raise
        finally:
            os.close(fd)
        self.rename(temporary, path)

    def write_file(self, path: str, parts: Sequence[bytes]) -> None:
        """Write a whole file so that it is there in full and durable, or not at all."""
        temporary = path + ".new"
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self.pwritev(fd, parts, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.rename(temporary, path)

    def rename(self, old: str, new: str) -> None:
        """Rename durably."""
        os.rename(old, new)
        self.sync_directory(os.path.dirname(new))

    def unlink(self, path: str) -> None:
        """Remove a file if it is there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def sync_directory(self, path: str) -> None:
        """Make names in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def used_ratio(self, path: str) -> float:
        """The share of the file system that is in use, as `df` shows it (what root keeps back counts as used)."""
        it = os.statvfs(path)
        used = it.f_blocks - it.f_bfree
        return used / max(used + it.f_bavail, 1)
