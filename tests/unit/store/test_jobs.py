"""Jobs: promised work that outlives processes."""

from __future__ import annotations

from datetime import timedelta

from rapport.store import Store
from store_processes import HandClock


def test_a_job_waits_until_it_is_due_and_is_forgotten_when_done(store: Store, clock: HandClock) -> None:
    job = store.jobs.put("acme", "c1", "disconnect", {"step": "tell"}, in_ms=1_000)
    assert store.jobs.due("disconnect") == []
    clock.move(timedelta(seconds=1))
    assert store.jobs.due("disconnect") == [job]
    assert store.jobs.due("other") == []
    store.jobs.done(job)
    assert store.jobs.of("acme", "c1", "disconnect") is None


def test_how_far_a_job_is_stays_known(store: Store, clock: HandClock) -> None:
    job = store.jobs.put("acme", "c1", "disconnect", {"step": "tell"})
    later = int((clock.now() + timedelta(hours=1)).timestamp() * 1000)
    store.jobs.note(job, {"step": "purge"}, next_at=later, attempts=2, detail="x" * 2_000)
    found = store.jobs.of("acme", "c1", "disconnect")
    assert found is not None
    assert (found.order, found.next_at, found.attempts, len(found.detail)) == (
        {"step": "purge"},
        later,
        2,
        1_024,
    )
    assert store.jobs.due("disconnect") == []


def test_what_a_job_is_to_do_is_sealed(store: Store, tmp_path: object) -> None:
    """The database alone tells which connection it concerns, and nothing else."""
    del tmp_path
    store.jobs.put("acme", "c1", "disconnect", {"user": "planted-secret"})
    with store.jobs._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM jobs").all()
    assert b"planted-secret" not in repr(rows).encode()
