"""The dashboard process: the pages on 127.0.0.1. Ends in order on SIGTERM and SIGINT."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from urllib.parse import urlsplit

import structlog
import uvicorn

from rapport.connecting.opened import open_desk as connecting_desk
from rapport.connection_settings import SettingsDesk
from rapport.dashboard.app import create_app
from rapport.dashboard.parts import ConnectionParts
from rapport.directory.change import Desk as DirectoryDesk
from rapport.directory.change import choose
from rapport.erasing.opened import DashboardDesk
from rapport.explaining.desk import Desk
from rapport.local.ready import announce
from rapport.logs import configure
from rapport.newest import Newest
from rapport.processes.serving import HOST, SECONDS_TO_FINISH, Server, listen
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import open_store
from rapport_core.errors import RapportError
from rapport_schemas.topics import CONNECTIONS
from rapport_sinks.clickhouse.board import Board
from rapport_sinks.clickhouse.client import connect

NAME = "dashboard"
_LOG = structlog.get_logger(__name__)


def main() -> None:
    """Serves until told to end. Exits with a sentence and the error's code where a person must act."""
    try:
        settings = load_settings()
        configure(settings.log_level, process=NAME)
        _serve(settings, endpoints(settings))
    except RapportError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from error


def _serve(settings: Settings, where: Endpoints) -> None:
    with (
        open_store(settings, where) as store,
        listen(_port(settings, where), "RAPPORT_DASHBOARD_PORT") as listening,
    ):
        port = listening.getsockname()[1]
        open_board = LazyBoard(where.clickhouse)
        desk = Desk(where, store, open_board)
        directory = DirectoryDesk(where, store)
        app = create_app(
            store,
            open_board,
            left_out=desk,
            choose=partial(choose, directory),
            with_connections=ConnectionParts(
                read=Newest(where, CONNECTIONS, "rapport-connections-reader").of,
                settings=SettingsDesk(where, directory),
                microsoft=connecting_desk(settings, where, store) if settings.microsoft_client_id else None,
                disconnecting=DashboardDesk(settings, where, store),
                comparisons=open_board,
                home=settings.public_url or "",
            ),
            cookie=f"rapport_session_{port}",
        )
        config = uvicorn.Config(
            app,
            access_log=False,  # the guard logs requests, without what people searched for
            log_config=None,
            server_header=False,
            # A proxy in front is believed only when it is named: it says who asks, and whether by https.
            proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
        )
        _LOG.info("dashboard_started", address=f"http://{HOST}:{port}")
        Server(config, lambda: announce(settings, NAME)).run(sockets=[listening])


class LazyBoard:
    """Connects to ClickHouse when a page first asks, and again after a failure: the dashboard starts without it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._board: Board | None = None

    def __call__(self) -> Board:
        """The numbers. Raises UnavailableError while ClickHouse does not answer."""
        with self._lock:
            if self._board is None:
                self._board = Board(connect(self._url))
            return self._board


def _port(settings: Settings, where: Endpoints) -> int:
    recorded = urlsplit(where.dashboard).port if where.dashboard else None
    return recorded or settings.dashboard_port


if __name__ == "__main__":
    main()
