"""A TCP proxy that cuts its connections: half a frame, half an answer, whatever was on its way is gone."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Proxy", "running_proxy"]


class Proxy:
    """:ivar port: where it listens. :ivar to: the port that it leads to. :ivar cuts: how many connections it has cut.
    :ivar cutting: whether it cuts, each connection after a random time or number of bytes."""

    def __init__(self, to: int, seed: int) -> None:
        self.to = to
        self.port = 0
        self.cuts = 0
        self.cutting = False
        self._random = random.Random(seed)
        self.loop = asyncio.new_event_loop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            _reset(writer)
            return
        # An upgrade takes some 1200 bytes: most cuts come later, some before.
        left = [self._random.choice((300, 2000, 5000, 20_000))]

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(self._random.choice((64, 1000, 65_536))):
                if self.cutting:
                    left[0] -= len(data)
                    if left[0] < 0:
                        target.write(data[: len(data) // 2])
                        return
                target.write(data)
                await target.drain()

        tasks = [asyncio.ensure_future(copy(reader, up_writer)), asyncio.ensure_future(copy(up_reader, writer))]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if self.cutting:
            self.cuts += 1
        for task in pending:
            task.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
        _reset(writer)
        _reset(up_writer)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection."""
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()  # type: ignore[union-attr]
        await asyncio.gather(*tasks, return_exceptions=True)  # type: ignore[arg-type]


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def running_proxy(to: int, seed: int = 1) -> Iterator[Proxy]:
    """A proxy in a thread of its own."""
    proxy = Proxy(to, seed)
    thread = threading.Thread(target=proxy.loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(proxy.start(), proxy.loop).result(10)
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), proxy.loop).result(10)
        proxy.loop.call_soon_threadsafe(proxy.loop.stop)
        thread.join(10)
        proxy.loop.close()
