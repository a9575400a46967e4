"""The sink process: from the topics to ClickHouse. Ends in order on SIGTERM and SIGINT; what is gone is waited for."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import dataclass

import structlog

from rapport.erasing.desk import in_background
from rapport.erasing.opened import open_desk
from rapport.erasing.timer import Timer
from rapport.kafka import consumer, producer, wire
from rapport.local.ready import announce, ready_file
from rapport.logs import configure
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import Store, open_store
from rapport_core.clock import SystemClock
from rapport_core.errors import RapportError, UnavailableError
from rapport_schemas.topics import SINK_GROUP
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.dead import DeadLetters
from rapport_sinks.clickhouse.migrate import identity, prepared
from rapport_sinks.clickhouse.sink import Sink
from rapport_sinks.clickhouse.source import CONSUMER_SETTINGS, Source
from rapport_sinks.clickhouse.writer import Writer

NAME = "sink"
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _ReadyFile:
    settings: Settings

    def announce(self) -> None:
        """Everything the process needs answers."""
        announce(self.settings, NAME)

    def withdraw(self) -> None:
        """Something it needs is gone."""
        ready_file(self.settings, NAME).unlink(missing_ok=True)


def main() -> None:
    """Work until told to end. Exits with a sentence and the error's code where a person must act."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        settings = load_settings()
        configure(settings.log_level, process=NAME)
        _run(settings, stopping)
    except RapportError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from error


def _run(settings: Settings, stopping: threading.Event) -> None:
    where = endpoints(settings)
    tables = _tables(where, stopping)
    if tables is None:
        return
    store = open_store(settings, where)
    disconnects = Timer(in_background(open_desk(settings, where, store).tools))
    disconnects.start()
    try:
        _sink(settings, where, store, tables).run(stopping.is_set)
    finally:
        disconnects.stop()
        tables.close()
        store.close()


def _sink(settings: Settings, where: Endpoints, store: Store, tables: ClickHouse) -> Sink:
    codec = wire(where)
    return Sink(
        source=Source(consumer(where, SINK_GROUP, **CONSUMER_SETTINGS), identity(tables)),
        writer=Writer(tables),
        dead=DeadLetters(producer(where), codec),
        keys=store.keys,
        wire=codec,
        clock=SystemClock(),
        readiness=_ReadyFile(settings),
    )


def _tables(where: Endpoints, stopping: threading.Event) -> ClickHouse | None:
    """The database, made and migrated; waits for a server that is not there yet. None when told to end meanwhile."""
    pause = _FIRST_PAUSE_SECONDS
    while not stopping.is_set():
        try:
            return prepared(where.clickhouse, SystemClock().now())
        except UnavailableError as error:
            _LOG.warning("sink_waits", reason=str(error), seconds=round(pause, 1))
            stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return None


if __name__ == "__main__":
    main()
