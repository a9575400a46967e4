"""A TCP proxy in front of a Kafka broker that delays or holds produce requests and passes everything else at once."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PRODUCE = 0


class SlowProxy:
    """Listens on a loopback port. `delay_s` may be changed at any time; requests under way keep the old one."""

    def __init__(self, port: int, broker_port: int) -> None:
        self.port = port
        self._broker_port = broker_port
        self.delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Returns when the port is open."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Drops all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        ways = [
            asyncio.ensure_future(self._requests(reader, up_writer)),
            asyncio.ensure_future(_copy(up_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        writer.close()
        up_writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(6)
                length, api = struct.unpack(">ih", head)
                body = await reader.readexactly(length - 2)
                if api == _PRODUCE and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return


@contextmanager
def slow_proxy(port: int, broker_port: int) -> Iterator[SlowProxy]:
    """A running proxy, stopped at the end."""
    proxy = SlowProxy(port, broker_port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
