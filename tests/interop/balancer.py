"""A balancer of TCP connections, as users put one before several gateways: to the next one that accepts, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import threading

__all__ = ["Balancer"]


class Balancer:
    """Listens on these ports of 127.0.0.1 and goes on to the same port of one of `hosts`, in turn.

    :ivar passed: how many connections each host got.
    """

    def __init__(self, hosts: tuple[str, ...], ports: tuple[int, ...]) -> None:
        self._hosts = hosts
        self._ports = ports
        self._next = 0
        self.passed = dict.fromkeys(hosts, 0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        if not self._ready.wait(20):
            raise OSError(f"the balancer cannot listen on {ports}")

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        for port in self._ports:
            await asyncio.start_server(lambda reader, writer, port=port: self._serve(reader, writer, port), "127.0.0.1", port)
        self._ready.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        for _ in self._hosts:
            host = self._hosts[self._next % len(self._hosts)]
            self._next += 1
            try:
                back, forth = await asyncio.open_connection(host, port)
            except OSError:
                continue
            self.passed[host] += 1
            try:
                await asyncio.gather(_copy(reader, forth), _copy(back, writer))
            except asyncio.CancelledError:
                return  # the balancer ends; asyncio's own callback cannot bear a cancelled task
            finally:
                forth.close()
                writer.close()
            return
        writer.transport.abort()

    def stop(self) -> None:
        """End it with all its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                self._loop.run_until_complete(task)
        self._loop.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of one direction, which is passed on."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()
