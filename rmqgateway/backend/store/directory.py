"""The store's directory: ours, of a version that we know, and nobody else's for life.

``STORE`` marks it (with a copy, ``STORE.copy``), ``lock`` is locked with flock; ``log/`` holds segments and indexes,
``state/`` snapshots, ``damaged/`` what was moved aside.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib

from twisted.logger import Logger

from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.records import VERSION
from rmqgateway.errors import StoreError

__all__ = ["StoreDirectory"]

_log = Logger()
_MARKS = ("STORE", "STORE.copy")
_NAMES = {"lock", "log", "state", "damaged", *(mark + ".new" for mark in _MARKS)}


class StoreDirectory:
    """A locked directory. Paths are strings; `path` is absolute."""

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = os.path.abspath(path)
        self.log = os.path.join(self.path, "log")
        self.state = os.path.join(self.path, "state")
        self.damaged = os.path.join(self.path, "damaged")
        self._disk = disk
        self._lock = -1

    def open(self) -> None:
        """Lock it and create what is missing.

        :raise StoreError: used by another process, not ours, newer than we are, or not writable.
        """
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            names = set(os.listdir(self.path))
            marked = bool(names & set(_MARKS)) and ("log" in names or any(map(self._read_mark, _MARKS)))
            if not marked and names - _NAMES:
                raise StoreError(
                    f"{self.path} holds other files ({', '.join(sorted(names)[:3])}) and no store: name an empty directory"
                )
            self._take_lock()
            self._check_marks(names)
            for path in (self.log, self.state, self.damaged):
                os.makedirs(path, mode=0o700, exist_ok=True)
            for path in (self.log, self.state):
                for name in os.listdir(path):
                    if name.endswith(".new"):  # a file whose writing was interrupted
                        os.unlink(os.path.join(path, name))
            self._disk.sync_directory(self.path)
            self._disk.sync_directory(os.path.dirname(self.path))
        except OSError as error:
            self.close()
            raise StoreError(f"the store's directory {self.path} cannot be used: {error.strerror or error}") from error
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def move_aside(self, path: str) -> None:
        """Move a damaged file out of the way."""
        os.rename(path, self._free_name(os.path.basename(path)))
        self._disk.sync_directory(os.path.dirname(path))

    def keep_damaged(self, name: str, content: bytes) -> str:
        """Keep damaged bytes under a name like `name`; say where. Never fails: a full disk must not stop a start."""
        path = self._free_name(name)
        try:
            self._disk.write_file(path, [content])
        except OSError as error:
            return f"nowhere ({error})"
        return path

    def _free_name(self, name: str) -> str:
        path = os.path.join(self.damaged, name)
        number = 1
        while os.path.exists(path):
            number += 1
            path = os.path.join(self.damaged, f"{name}.{number}")
        return path

    def _take_lock(self) -> None:
        self._lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            by = f" (process {pid})" if pid.isdigit() else ""
            raise StoreError(f"the store's directory {self.path} is in use by another process{by}") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def _check_marks(self, names: set[str]) -> None:
        contents = [self._read_mark(name) for name in _MARKS]
        for content in contents:
            if content is not None and content > VERSION:
                raise StoreError(
                    f"the store in {self.path} has format version {content}; this program knows up to {VERSION}: use a newer one"
                )
        for name, content in zip(_MARKS, contents, strict=True):
            if content is None:
                if name in names:
                    _log.error("the store's file {name} is damaged; written anew", name=name)
                    os.makedirs(self.damaged, mode=0o700, exist_ok=True)
                    self.move_aside(os.path.join(self.path, name))
                body = json.dumps({"format": "rmqgateway store", "version": VERSION})
                line = f"{body} {zlib.crc32(body.encode()):08x}\n"
                self._disk.write_file(os.path.join(self.path, name), [line.encode()])

    def _read_mark(self, name: str) -> int | None:
        """The format version that a mark states, or None if it is missing or damaged."""
        try:
            with open(os.path.join(self.path, name), "rb") as file:
                body, _, check = file.read(4096).rstrip(b"\n").rpartition(b" ")
        except FileNotFoundError:
            return None
        if check != b"%08x" % zlib.crc32(body):
            return None
        try:
            return int(json.loads(body)["version"])
        except (ValueError, KeyError, TypeError):
            return None
