"""The truth and the real connector and stages agree in every cell of meetings, before and after the second exports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo_pipeline import DemoPipeline
from memory_pipeline import TENANT
from rapport.demo.calendars import write_calendars
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison, compare_counts
from rapport.demo.mailboxes import generate

AUTUMN = datetime(2026, 11, 23, 14, 0, 7, tzinfo=UTC)
SPRING = datetime(2026, 4, 20, 9, 30, tzinfo=UTC)
SIZE = CompanySize(members=12, customers=25, contacts=110, copies=20, meetings=700)


def _compared(
    folder: Path, seed: int, now: datetime, match_by: str = "address", crash_rate: float = 0.0
) -> Comparison:
    made = generate(folder / "mail", seed=seed, now=now, size=SIZE, match_by=match_by, tenant=TENANT)
    calendars = write_calendars(folder, made.company, made.truth, seed=seed, now=now)
    demo = DemoPipeline(made, seed, crash_rate=crash_rate)
    demo.load(made.first_directory)
    demo.ingest(made.mailboxes)
    assert demo.ingest_calendars(calendars.calendars, now + timedelta(minutes=3)) == []
    demo.load(made.directory)
    demo.pipeline.run()
    calendars.later()
    for minutes in (6, 9):
        assert demo.ingest_calendars(calendars.calendars, now + timedelta(minutes=minutes)) == []
    demo.pipeline.run()
    result = Comparison()
    items = [item for item, body in demo.pipeline.items().values() if item["kind"] == "meeting" and body]
    counted = [item for item in items if item["synced"] and not item["cancelled"]]
    result.cell("all", "counted meetings", made.truth.meeting_reasons["counted"], len(counted))
    for by in ("member", "customer", "contact"):
        for days, until in (
            (365, None),
            (30, None),
            (1, None),
            (30, now.date() - timedelta(days=40)),
            (7, now.date() + timedelta(days=48)),
        ):
            expected = made.truth.counts(by, days, until, now)
            actual = demo.counts(by, days, until, now)
            result.add(compare_counts(expected, actual, f"by {by}, {days} days until {until}"))
    return result


@pytest.mark.parametrize(
    ("seed", "now", "match_by"),
    [(41, AUTUMN, "address"), (42, SPRING, "domain"), (43, AUTUMN, "domain"), (44, SPRING, "address")],
)
def test_meetings_come_out_as_the_story_knows_them(
    tmp_path: Path, seed: int, now: datetime, match_by: str
) -> None:
    """No cell differs, over both changes of summer time, matching by address and by domain."""
    result = _compared(tmp_path, seed, now, match_by)
    assert result.differences == []
    assert result.cells > 4_000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2000, 2040))
def test_forty_diaries_come_out_as_the_story_knows_them(tmp_path: Path, seed: int) -> None:
    """Every diary, at any time of the year, with crashes between any two steps and batches in any order."""
    now = AUTUMN + timedelta(days=seed * 37 % 365, minutes=seed * 53 % 1440)
    match_by = "domain" if seed % 3 == 0 else "address"
    assert _compared(tmp_path, seed, now, match_by, crash_rate=0.05).differences == []
