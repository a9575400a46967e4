"""What the processes that serve HTTP share: one socket on loopback, one server that says when it listens and ends in order."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from rapport_core.errors import ConfigError

HOST: Final = "127.0.0.1"
SECONDS_TO_FINISH: Final = 5
"""How long requests that run when the process is told to end may take."""


class Server(uvicorn.Server):
    """Says when it listens, and ends with exit code 0 when it is told to end."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends on SIGTERM and SIGINT without raising them again afterwards."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield


def listen(port: int, setting: str) -> socket.socket:
    """A socket that is bound to this port of loopback, 0 for a free one.

    Args:
        port: the port.
        setting: the variable that chooses it, for the error.

    Raises:
        ConfigError: the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"port {port} is in use: set {setting} to another, or 0 for a free one") from error
    return listening
