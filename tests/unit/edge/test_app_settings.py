"""The settings: what is read ahead stays small, and Faust takes every one of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import faust
import pytest
from mode import CrashingSupervisor

from rapport_core.errors import InvariantError
from rapport_processors.edge import transport
from rapport_processors.edge.app_settings import app_settings, prefetched_bytes
from rapport_processors.edge.room import QUEUE_BYTES, QUEUE_RECORDS, free_records


def test_a_worker_that_owns_everything_reads_ahead_less_than_200_mb() -> None:
    assert prefetched_bytes(topics=4, partitions=8, record_bytes=1024 * 1024) < 200_000_000


def test_faust_takes_the_settings(tmp_path: Path) -> None:
    app = faust.App("group", **app_settings("one:1, two:2", datadir=tmp_path))
    assert [str(url) for url in app.conf.broker_consumer] == ["kafka://one:1", "kafka://two:2"]
    supervisor: object = app.conf.agent_supervisor
    assert supervisor is CrashingSupervisor
    assert app.conf.stream_wait_empty
    assert not app.conf.web_enabled


def test_attach_refuses_another_faust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "version", lambda _: "0.15.4")
    with pytest.raises(InvariantError, match=r"faust-streaming 0\.15\.4 is installed and 0\.15\.3 is needed"):
        transport.check_faust_version()


def _queue(*sizes: int) -> SimpleNamespace:
    return SimpleNamespace(
        _queue=[SimpleNamespace(message=SimpleNamespace(value=b"x" * size)) for size in sizes]
    )


def test_a_queue_is_filled_up_only_after_it_drained_to_half() -> None:
    assert free_records(_queue()) == QUEUE_RECORDS
    assert free_records(_queue(1, 1)) == QUEUE_RECORDS - 2
    assert free_records(_queue(*[1] * (QUEUE_RECORDS // 2 + 1))) == 0


def test_a_few_large_records_fill_a_queue() -> None:
    assert free_records(_queue(*[QUEUE_BYTES // 4] * 3)) == 0
