"""The simulated hosts as a server that processes can reach: over TLS on a free port, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import uvicorn

from graph.certificates import make_certificates

STOPPED_WITHIN: Final = 120.0
_LOOKS_EVERY: Final = 0.1

Beside = Callable[[], Coroutine[Any, Any, None]]
"""Runs in the server's loop until it is cancelled."""


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of the server says more than that a connection was cut, as a fault wants it."""
    return record.exc_info is None or not isinstance(record.exc_info[1], httpx2.ReadError)


class Served:
    """A server that runs. Ends with `close` or as a context manager.

    Attributes:
        host: `https://localhost:<port>`, of Graph and of Entra.
        graph: the base of Graph's paths.
        authority: what msal is given.
        ca_file: the certificates to trust, PEM.
    """

    def __init__(self, app: Any, folder: Path, *beside: Beside) -> None:
        certificates = make_certificates(folder)
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.host = f"https://localhost:{self._socket.getsockname()[1]}"
        self.graph = f"{self.host}/v1.0"
        self.authority = f"{self.host}/organizations"
        self.ca_file = certificates.ca
        self._beside = beside
        self._failed: list[Exception] = []
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,  # the tests that follow in this process look at what is logged
                access_log=False,
                ssl_certfile=certificates.server,
                ssl_keyfile=certificates.key,
                timeout_keep_alive=120,
            )
        )
        self._thread = threading.Thread(target=self._run, name="simulated Microsoft", daemon=True)
        self._thread.start()
        self._server.await_start(self._thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """No port is open any more; requests under way are cut off. Raises what ended the work beside the server."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(STOPPED_WITHIN)
        self._socket.close()
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        beside = [asyncio.ensure_future(one()) for one in self._beside]
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            for one in beside:
                one.cancel()
            ended = await asyncio.gather(*beside, return_exceptions=True)
            self._failed = [one for one in ended if isinstance(one, Exception)]


class _Server(uvicorn.Server):
    """Tells another thread that it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._began = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._began.set()

    def await_start(self, thread: threading.Thread) -> None:
        """Returns once connections are taken."""
        while not self._began.wait(_LOOKS_EVERY):
            if not thread.is_alive():
                raise RuntimeError("the simulated Microsoft did not start")
