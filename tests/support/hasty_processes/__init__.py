"""An instance in which what was erased leaves the disks within seconds: topics, workers and the sink wait for nothing.

Importing it changes this process alone; each part of the instance imports it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

from rapport.erasing import opened
from rapport.erasing.erasure import Times
from rapport.local import kafka as local_kafka
from rapport_processors.edge import app
from rapport_processors.edge.trimming import Trimmer
from rapport_schemas.topics import CATALOGUE
from rapport_sinks.clickhouse import strangers

SEGMENT_MS = 1_000
SETTLE_SECONDS = 3.0
_COMPACTION = {
    "max.compaction.lag.ms": "500",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "500",
}
_BROKER = {
    "log.cleaner.backoff.ms": "200",
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "200",
}
_TIDY_SECONDS = 0.3
_properties = local_kafka._server_properties


def _hasty_properties(broker: local_kafka.Broker) -> str:
    return _properties(broker) + "".join(f"{name}={value}\n" for name, value in _BROKER.items())


@contextmanager
def haste() -> Iterator[None]:
    """Whatever waits for an hour waits for a second."""
    for topic in CATALOGUE:
        short = (
            {"segment.ms": str(SEGMENT_MS), "file.delete.delay.ms": "200"}
            if "segment.ms" in topic.config
            else {}
        )
        topic.config.update(short | (_COMPACTION if topic.config["cleanup.policy"] == "compact" else {}))
    times = partial(Times, settle_s=SETTLE_SECONDS, name_age_s=1)
    with ExitStack() as changed:
        changed.enter_context(patch.object(opened, "Times", times))
        changed.enter_context(patch.object(local_kafka, "_server_properties", _hasty_properties))
        changed.enter_context(patch.object(app, "_TIDY_SECONDS", _TIDY_SECONDS))
        changed.enter_context(patch.object(app, "Trimmer", partial(Trimmer, every_s=_TIDY_SECONDS)))
        changed.enter_context(patch.object(strangers, "REMEMBERED_SECONDS", 0.0))
        yield


def run(main: Callable[[], object]) -> None:
    """A part of the instance, in haste."""
    with haste():
        main()
