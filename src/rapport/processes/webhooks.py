"""The receiver of notifications, on 127.0.0.1 behind a proxy with TLS. Ends in order on SIGTERM and SIGINT."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvicorn

from rapport.kafka import producer, wire
from rapport.local.ready import announce
from rapport.logs import configure
from rapport.processes.serving import HOST, SECONDS_TO_FINISH, Server, listen
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import open_store
from rapport.webhooks import create_app
from rapport_core.clock import SystemClock
from rapport_core.errors import RapportError
from rapport_producers.outlet import Outlet

NAME = "webhooks"
_SEND_SOON = {"linger.ms": 1, "message.timeout.ms": 10_000}
"""Nobody waits for more to come; and what Kafka does not take is asked for again by Microsoft, so it need not be kept for long."""
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
        listen(settings.webhook_port, "RAPPORT_WEBHOOK_PORT") as listening,
    ):
        outlet = Outlet(producer(where, **_SEND_SOON), wire(where))

        @asynccontextmanager
        async def running() -> AsyncIterator[None]:
            outlet.start()
            try:
                yield
            finally:
                await outlet.close()

        config = uvicorn.Config(
            create_app(store.subscriptions.find, outlet, SystemClock(), running=running),
            access_log=False,  # a request's address may hold what Microsoft wants repeated
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
        )
        _LOG.info("webhooks_started", address=f"http://{HOST}:{listening.getsockname()[1]}")
        Server(config, lambda: announce(settings, NAME)).run(sockets=[listening])


if __name__ == "__main__":
    main()
