"""One Faust worker: `python -m rapport.processes.worker`, started by `rapport up` or by an orchestrator."""

from __future__ import annotations

import gc
import logging
import sys
from functools import partial

import faust
import uvloop

from rapport.directory.bounds import BoundsTimer
from rapport.directory.change import Desk, reach
from rapport.directory.follow import DirectoryFollower
from rapport.kafka import consumer, delete_below, producer, wire
from rapport.local.ready import announce
from rapport.logs import configure
from rapport.settings import Settings, endpoints, load_settings
from rapport.store import open_store
from rapport_core.clock import SystemClock
from rapport_core.errors import RapportError
from rapport_processors.edge.app import Ports, WorkerApp
from rapport_processors.edge.recovery import CONSUMER_SETTINGS

_CHATTY = (
    "faust",
    "mode",
    "aiokafka",
    "rapport_processors.edge.client",
    "rapport_processors.edge.consumer",
    "rapport_processors.edge.transport",
)
"""Loggers of Faust's services, which tell of every start and stop; ours speak through structlog."""
_WHOLE_BATCHES = {"linger.ms": 1}
"""Batches are handed over whole and waited for: lingering for more would only make each of them late."""
_COLLECTED_AFTER = 50_000
"""Objects: a few megabytes."""
_UNUSED_GROUP = "rapport-worker-reader"
"""Plain readers assign their partitions themselves and never commit; the client wants a name all the same."""


def build(settings: Settings) -> WorkerApp:
    """The worker with its real ports. Raises what the settings, the store or Kafka raise."""
    where = endpoints(settings)
    store = open_store(settings, where)
    decode = wire(where)
    directory = DirectoryFollower(lambda: consumer(where, _UNUSED_GROUP), decode)
    directory.catch_up()
    clock = SystemClock()
    timer = BoundsTimer(directory.bounds, partial(reach, Desk(where, store, clock)), clock)
    ports = Ports(
        wire=decode,
        keys=store.keys,
        clock=clock,
        directory=directory,
        new_producer=lambda: producer(where, **_WHOLE_BATCHES),
        new_consumer=lambda: consumer(where, _UNUSED_GROUP, **CONSUMER_SETTINGS),
        next_assignment=store.next_assignment,
        delete_below=partial(delete_below, where),
        on_ready=partial(_ready, settings, timer),
    )
    return WorkerApp(where.kafka, settings.home / "workers" / str(settings.worker), ports)


def _ready(settings: Settings, timer: BoundsTimer) -> None:
    announce(settings, "worker")
    timer.start()


def _collect_seldom() -> None:
    """Records become many small dictionaries that form no cycles: looking for some after every 700 of them found none.

    What a worker has when it starts stays until it ends, and is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, 20, 50)


def main() -> None:
    """Runs until SIGTERM; exits 70 from inside when it must not go on."""
    settings = load_settings()
    configure(settings.log_level, process=f"worker-{settings.worker}")
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uvloop.install()
    try:
        worker_app = build(settings)
    except RapportError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
    _collect_seldom()
    worker = faust.Worker(
        worker_app.app, loglevel="WARNING", redirect_stdouts=False, override_logging=False, quiet=True
    )
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
