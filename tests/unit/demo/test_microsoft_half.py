"""Half of the company at Microsoft 365: simulator, real syncs and real stages agree with the story in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo_microsoft import DemoMicrosoft
from demo_pipeline import DemoPipeline
from memory_pipeline import TENANT
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison, compare_counts
from rapport.demo.oddities import AT_MICROSOFT, MAIL, MEETINGS
from rapport.demo.whole import WholeCompany, make_company
from rapport_processors import holdings
from rapport_producers.graph import folders, mail_sync
from rapport_producers.graph.folders import EXCLUDED
from rapport_schemas.topics import DEAD

AUTUMN = datetime(2026, 11, 23, 14, 0, 7, tzinfo=UTC)
SPRING = datetime(2026, 4, 20, 9, 30, tzinfo=UTC)
SIZE = CompanySize(members=12, customers=25, contacts=110, copies=1_200, meetings=500, microsoft=True)


def _windows(now: datetime) -> Sequence[tuple[int, date | None]]:
    return (
        (365, None),
        (30, None),
        (1, None),
        (30, now.date() - timedelta(days=40)),
        (7, now.date() + timedelta(days=48)),
    )


def _compare(made: WholeCompany, demo: DemoPipeline) -> Comparison:
    result = Comparison()
    items = [item for item, body in demo.pipeline.items().values() if body is not None]
    mails = sum(item["kind"] == "email" for item in items)
    result.cell("all", "messages", made.truth.messages, mails)
    result.cell("all", "threads", made.truth.conversations, len(demo.pipeline.threads()))
    counted = [i for i in items if i["kind"] == "meeting" and i["synced"] and not i["cancelled"]]
    result.cell("all", "counted meetings", made.truth.meeting_reasons["counted"], len(counted))
    for by in ("member", "customer", "contact"):
        for days, until in _windows(made.now):
            expected = made.truth.counts(by, days, until, made.now)
            actual = demo.counts(by, days, until, made.now)
            result.add(compare_counts(expected, actual, f"by {by}, {days} days until {until}"))
    return result


def _told(folder: Path, seed: int, now: datetime, match_by: str, size: CompanySize = SIZE) -> Comparison:
    made = make_company(folder, seed=seed, now=now, size=size, match_by=match_by, tenant=TENANT)
    demo = DemoPipeline(made.mail, seed)
    with DemoMicrosoft(made, demo, seed) as microsoft:
        return _compared(made, demo, microsoft)


def _compared(made: WholeCompany, demo: DemoPipeline, microsoft: DemoMicrosoft) -> Comparison:
    now = made.now
    demo.load(made.mail.first_directory)
    demo.ingest(made.mail.first_mailboxes)
    assert demo.ingest_calendars(made.calendars.first_calendars, now + timedelta(minutes=3)) == []
    microsoft.first()
    demo.pipeline.run()
    assert _compare(made, demo).differences, "what happens later changes nothing"
    made.later()
    demo.ingest(made.mail.mailboxes)
    assert demo.ingest_calendars(made.calendars.calendars, now + timedelta(minutes=6)) == []
    microsoft.later()
    demo.load(made.mail.directory)
    demo.pipeline.run()
    result = _compare(made, demo)
    microsoft.sweep()
    demo.pipeline.run()
    result.add(_compare(made, demo))
    assert demo.pipeline.dead() == []
    assert microsoft.log.of(DEAD) == []
    assert microsoft.simulator.violations == []
    return result


@pytest.mark.parametrize(("seed", "now", "match_by"), [(61, AUTUMN, "address"), (62, SPRING, "domain")])
def test_mail_and_meetings_at_microsoft_come_out_as_the_story_knows_them(
    tmp_path: Path, seed: int, now: datetime, match_by: str
) -> None:
    """No cell differs: after the changes, and after everything was compared once more."""
    result = _told(tmp_path, seed, now, match_by)
    assert result.differences == []
    assert result.cells > 8_000


def test_every_awkward_thing_happens_there_and_is_explained(tmp_path: Path) -> None:
    """What only Microsoft has, and everything else that the demo shows, moves and late drafts among it."""
    size = replace(SIZE, members=24, copies=12_000, meetings=2_000)
    made = make_company(tmp_path, seed=11, now=AUTUMN, size=size)
    assert {name for oddity in AT_MICROSOFT for name in oddity.names} <= set(made.awkward)
    explained = {name for oddity in (*MAIL, *MEETINGS, *AT_MICROSOFT) for name in oddity.names}
    plain = {"clock_utc", "clock_stockholm", "clock_berlin", "clock_new_york", "clock_tokyo", "clock_kolkata"}
    assert set(made.awkward) - explained - plain == set()


def test_half_of_the_members_are_there_and_the_others_have_archives(tmp_path: Path) -> None:
    """Nobody is at both; of the archives there is every kind, and some come late."""
    made = make_company(tmp_path, seed=12, now=AUTUMN, size=replace(SIZE, copies=200, meetings=50))
    there = {f"m{index}" for index in made.company.microsoft}
    assert len(there) == SIZE.members // 2
    assert there == made.scripts.keys()
    assert there.isdisjoint(source.member for source in made.sources())
    assert {source.member for source in made.sources()} | there == {f"m{n}" for n in range(SIZE.members)}
    assert made.mail.late_mailboxes
    assert not made.mail.late_mailboxes & there
    assert made.calendars.late_calendars
    assert {path.suffix for path in made.mail.mailboxes.values()} == {"", ".mbox"}


@pytest.mark.parametrize("lie", ["moved_to_junk", "older_than_is_read", "joined_by_conversation"])
def test_what_microsoft_alone_has_would_be_noticed(
    tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that reads junk or everything, or that believes no conversation, differs in some cell."""
    if lie == "moved_to_junk":
        monkeypatch.setattr(mail_sync, "EXCLUDED", EXCLUDED - {"junkemail"})
        monkeypatch.setattr(folders, "EXCLUDED", EXCLUDED - {"junkemail"})
        monkeypatch.setattr(holdings, "EXCLUDED_FOLDERS", holdings.EXCLUDED_FOLDERS - {"junkemail"})
    elif lie == "older_than_is_read":
        monkeypatch.setattr("demo_microsoft.history_begin", lambda now, _: now - timedelta(days=700))
    else:
        monkeypatch.setattr("rapport_producers.graph.messages._text", _without_conversation)
    size = replace(SIZE, copies=900, meetings=60)
    assert _told(tmp_path, 64, AUTUMN, "address", size).differences


def _without_conversation(of: dict[str, Any], name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) and name != "conversationId" else ""


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3000, 3030))
def test_thirty_companies_come_out_as_the_story_knows_them(tmp_path: Path, seed: int) -> None:
    """Every company, at any time of the year."""
    now = AUTUMN + timedelta(days=seed * 37 % 365, minutes=seed * 53 % 1440)
    match_by = "domain" if seed % 3 == 0 else "address"
    assert _told(tmp_path, seed, now, match_by).differences == []
