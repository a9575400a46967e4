"""The local ClickHouse: the embedded engine of this home behind its HTTP facade, until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from urllib.parse import unquote, urlsplit

import structlog

from rapport import logs
from rapport.local.engine import Context, Engine
from rapport.local.facade import Facade
from rapport.local.facade_request import Credentials
from rapport.local.ready import announce
from rapport.settings import Settings, endpoints, load_settings
from rapport_core.errors import RapportError

_log = structlog.get_logger(__name__)


def main() -> int:
    """Runs until SIGTERM or SIGINT; the exit code."""
    try:
        settings = load_settings()
        logs.configure(settings.log_level, process="clickhouse")
        facade = open_facade(settings)
    except RapportError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the sentence a person looks for in the log
        return error.exit_code
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=facade.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    announce(settings, "clickhouse")
    _log.info("clickhouse_started", port=facade.port)
    stopping.wait()
    finished = facade.stop()
    _log.info("clickhouse_stopped", finished=finished)
    if not finished:
        # A statement that still runs would keep the process; what was acknowledged is on disk.
        os._exit(0)
    return 0


def open_facade(settings: Settings) -> Facade:
    """The facade at the address that `rapport up` recorded, with the database of its URL. Not serving yet."""
    address = urlsplit(endpoints(settings).clickhouse)
    engine = Engine(settings.home / "clickhouse")
    name = address.path.strip("/")
    with engine.handle(Context()) as handle:
        # The engine's own default database is no Atomic one.
        handle.whole(f"CREATE DATABASE IF NOT EXISTS `{name}` ENGINE = Atomic", "TabSeparated")
    user = Credentials(unquote(address.username or ""), unquote(address.password or ""))
    return Facade(
        address.hostname or "", address.port or 0, engine, user, settings.home / "tmp" / "clickhouse"
    )


if __name__ == "__main__":
    sys.exit(main())
