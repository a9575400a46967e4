"""Real Kafka: the beginnings of changelogs and of routed are deleted, and a worker without its disk lives on what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

import worker_lab as lab_module
from local_stack import why_no_kafka
from rapport.doctor import examine
from rapport.kafka import consumer, watermarks
from rapport_schemas.topics import ROUTE_CHANGELOG, ROUTED, WEAVE_CHANGELOG, Lane, Topic
from shuffled_mail import Company, directory, truth_of
from worker_lab import Outcome, WorkerLab, forget_state, worker_lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
LETTERS, FURTHER, PARTITIONS = 1_500, 300, 2
CHANGELOGS = (ROUTE_CHANGELOG, WEAVE_CHANGELOG)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerLab]:
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    program = Path(lab_module.__file__).with_name("trimming_worker.py")
    monkeypatch.setattr(lab_module, "_PROGRAM", program)
    with worker_lab(tmp_path, tmp_path, PARTITIONS) as running:
        yield running


def _firsts(lab: WorkerLab, *topics: Topic) -> list[int]:
    """The first offset of each partition."""
    with closing(consumer(lab.where, uuid4().hex)) as asked:
        return [watermarks(asked, topic.name, n)[0] for topic in topics for n in range(PARTITIONS)]


def _as_told(outcome: Outcome) -> object:
    return outcome.messages.keys(), outcome.threads


def test_a_deleted_disk_is_recovered_from_what_is_left_of_trimmed_topics(lab: WorkerLab) -> None:
    company = Company(7)
    first = company.write(LETTERS)
    pages, further = company.shuffled(first), company.shuffled(company.write(FURTHER))
    lab.tell(directory())
    lab.publish(pages)
    worker = lab.start()
    before = lab.finish()
    truth = truth_of(pages)
    assert _as_told(before) == (truth.messages.keys(), truth.threads)
    lab.until(lambda: all(_firsts(lab, *CHANGELOGS, ROUTED[Lane.BACKFILL])), 60)

    assert worker.stop() == 0
    forget_state(worker)
    lab.start_on(worker.folder)
    lab.publish(further)
    after = lab.finish()
    whole = truth_of([*pages, *further])
    assert _as_told(after) == (whole.messages.keys(), whole.threads)
    assert lab.dead_letters() == 0
    assert next(found for found in examine(lab.settings) if found.part == "workers").is_fine
