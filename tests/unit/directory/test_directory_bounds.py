"""Bounds: what begins or ends later is watched for, and published when it is reached."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from directory_entries import TENANT, at, entry
from fake_directory_topic import FakeTopic
from rapport.directory.bounds import Bounds, BoundsTimer
from rapport.directory.follow import DirectoryFollower
from rapport_core.errors import UnavailableError
from rapport_schemas.wire import Wire


class _Clock:
    """Stands at a millisecond."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now(self) -> datetime:
        """Where it stands."""
        return datetime.fromtimestamp(self.ms / 1000, UTC)


@pytest.mark.parametrize(
    ("since", "until", "ended", "due_at"),
    [
        (None, None, None, None),
        (900, None, None, None),  # had begun when the record was published
        (2000, None, None, 2000),
        (None, 3000, None, 3000),
        (2000, 3000, None, 2000),
        (None, 3000, 500, None),
    ],
)
def test_a_bound_ahead_of_its_record_is_due_when_it_is_reached(
    since: int | None, until: int | None, ended: int | None, due_at: int | None
) -> None:
    """The first of them; what was reached or recorded before is not."""
    bounds = Bounds()
    bounds.note(entry("contact", "p1", at("x@kund.se", since, until, ended=ended), recorded_at=1000))
    if due_at is None:
        assert bounds.due(1 << 50) == []
    else:
        assert (bounds.due(due_at - 1), bounds.due(due_at)) == ([], [TENANT])


def test_the_newest_record_of_a_key_counts() -> None:
    """Published again at the bound, deleted, or said otherwise: it is no longer due, or later."""
    bounds = Bounds()
    begins = at("x@kund.se", 2000, 4000)
    bounds.note(entry("contact", "p1", begins, recorded_at=1000))
    bounds.note(entry("contact", "p1", begins, recorded_at=2000))
    assert (bounds.due(3999), bounds.due(4000)) == ([], [TENANT])
    bounds.note(entry("contact", "p1", recorded_at=2500, deleted=True))
    assert bounds.due(4000) == []


def test_a_follower_notes_what_it_reads() -> None:
    """Tombstones too."""
    topic = FakeTopic(Wire())
    follower = DirectoryFollower(topic.consumer, topic.wire)
    topic.add(entry("customer", "c1", at("kund.se", 5000), recorded_at=1000))
    follower.catch_up()
    assert follower.bounds.due(5000) == [TENANT]
    topic.raw(f"{TENANT}\0customer\0c1".encode(), None)
    follower.catch_up()
    assert follower.bounds.due(5000) == []


def test_the_timer_publishes_what_is_due_and_tries_again_after_a_failure() -> None:
    """A service that is away ends nothing."""
    bounds, clock = Bounds(), _Clock(1500)
    bounds.note(entry("contact", "p1", at("x@kund.se", 2000), recorded_at=1000))
    asked: list[str] = []

    def reach(tenant: str) -> None:
        asked.append(tenant)
        if len(asked) == 1:
            raise UnavailableError("Kafka is away")

    timer = BoundsTimer(bounds, reach, clock)
    timer.look()
    assert asked == []
    clock.ms = 2000
    timer.look()
    timer.look()
    assert asked == [TENANT, TENANT]


def test_the_timer_runs_until_it_is_stopped() -> None:
    """Started twice it runs once."""
    bounds = Bounds()
    reached: list[str] = []
    bounds.note(entry("contact", "p1", at("x@kund.se", 2000), recorded_at=1000))
    timer = BoundsTimer(bounds, reached.append, _Clock(2000), every_seconds=0.01)
    timer.start()
    timer.start()
    while not reached:
        pass
    timer.stop()
    count = len(reached)
    timer.start()
    assert len(reached) == count
