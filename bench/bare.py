"""``bare.py PORT FILE``: the least that a durable send can cost with Twisted on this machine.

Takes the generator's requests, finds their numbers by a search in the header, writes and syncs the bytes in a thread, a
group at a time, and answers with the same bytes always: no routes but one, no checks, no queues, nothing to read later.
The budgets of the design were set by such a prototype elsewhere; what it takes here says what they are worth here.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import threading
from queue import SimpleQueue

from twisted.internet import protocol, reactor

_FILE_BYTES = 512 << 20
_NUMBER, _CODE = re.compile(rb'"opaque":(\d+)'), re.compile(rb'"code":(\d+)')
_ANSWER = (
    b'{"code":0,"extFields":{"queueId":"1","msgId":"7F00000100002A9F0000000000000000","queueOffset":"0"},'
    b'"flag":1,"language":"OTHER","opaque":%s,"serializeTypeCurrentRPC":"JSON","version":513}'
)
_ROUTE = (
    '{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:%d"},"brokerName":"bare","cluster":"DefaultCluster"}],'
    '"filterServerTable":{},"queueDatas":[{"brokerName":"bare","perm":6,"readQueueNums":8,"topicSysFlag":0,'
    '"writeQueueNums":8}]}'
)
_SENDS = (b"10", b"310", b"320")


class Log:
    """Groups of sends, each written and synced by a thread, the next one collected meanwhile."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(self._file, 0, _FILE_BYTES)
        self._at = 0
        self._busy = False
        self._parts: list[bytes] = []
        self._answers: list[tuple[Bare, bytes]] = []
        self._jobs: SimpleQueue[tuple[list[bytes], int, list[tuple[Bare, bytes]]]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def append(self, frame: bytes, answer: tuple[Bare, bytes]) -> None:
        self._parts.append(frame)
        self._answers.append(answer)

    def begin(self) -> None:
        if self._busy or not self._parts:
            return
        self._busy = True
        size = sum(map(len, self._parts))
        if self._at + size > _FILE_BYTES:
            self._at = 0
        self._jobs.put((self._parts, self._at, self._answers))
        self._parts, self._answers = [], []
        self._at += size

    def _run(self) -> None:
        while True:
            parts, at, answers = self._jobs.get()
            os.pwritev(self._file, parts, at)
            os.fdatasync(self._file)
            reactor.callFromThread(self._written, answers)

    def _written(self, answers: list[tuple[Bare, bytes]]) -> None:
        self._busy = False
        together: dict[Bare, list[bytes]] = {}
        for connection, answer in answers:
            together.setdefault(connection, []).append(answer)
        for connection, several in together.items():
            connection.transport.write(b"".join(several))
        self.begin()


class Bare(protocol.Protocol):
    """One connection. :ivar port: what the one route says."""

    log: Log
    port = 0

    def __init__(self) -> None:
        self._rest = b""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while len(data) - at >= 8:
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end > len(data):
                break
            header = data[at + 8 : at + 8 + int.from_bytes(data[at + 5 : at + 8], "big")]
            self._answer(header, data[at:end])
            at = end
        self._rest = data[at:]
        self.log.begin()

    def _answer(self, header: bytes, frame: bytes) -> None:
        number, code = _NUMBER.search(header), _CODE.search(header)
        if number is None or code is None:
            self.transport.loseConnection()
            return
        answer = _ANSWER % number[1]
        body = (_ROUTE % self.port).encode() if code[1] == b"105" else b""
        answer = struct.pack(">II", 4 + len(answer) + len(body), len(answer)) + answer + body
        if code[1] in _SENDS:
            self.log.append(frame, (self, answer))
        else:
            self.transport.write(answer)


def main() -> None:
    """Serves until it is ended."""
    Bare.port, Bare.log = int(sys.argv[1]), Log(sys.argv[2])
    reactor.listenTCP(Bare.port, protocol.Factory.forProtocol(Bare), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
