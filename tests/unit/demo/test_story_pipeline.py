"""The truth and the real stages agree in every cell: with late directory entries, late mail, moves and deletions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from demo_pipeline import DemoPipeline
from memory_pipeline import TENANT
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison, compare_counts
from rapport.demo.mailboxes import GeneratedCompany, generate

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SIZE = CompanySize(members=12, customers=25, contacts=110, copies=1_200)
WINDOWS = ((30, None), (90, date(2026, 10, 25)), (183, None))


def _compare(made: GeneratedCompany, demo: DemoPipeline) -> Comparison:
    result = Comparison()
    items = demo.pipeline.items().values()
    result.cell("all", "messages", made.truth.messages, sum(body is not None for _, body in items))
    result.cell("all", "threads", made.truth.conversations, len(demo.pipeline.threads()))
    for by in ("member", "customer", "contact"):
        for days, until in WINDOWS:
            expected = made.truth.counts(by, days, until, NOW)
            result.add(compare_counts(expected, demo.counts(by, days, until, NOW), f"by {by}, {days} days"))
    return result


def _two_rounds(folder: Path, seed: int, match_by: str, *, crash_rate: float = 0.0) -> Comparison:
    made = generate(
        folder, seed=seed, now=NOW, size=SIZE, match_by=match_by, tenant=TENANT, in_two_rounds=True
    )
    demo = DemoPipeline(made, seed, crash_rate=crash_rate)
    demo.load(made.first_directory)
    demo.ingest(made.first_mailboxes)
    demo.pipeline.run()
    made.later()
    demo.ingest(made.mailboxes)
    demo.pipeline.run()
    assert _compare(made, demo).differences, "the late directory entries change nothing"
    demo.load(made.directory)
    demo.pipeline.run()
    assert demo.pipeline.dead() == []
    return _compare(made, demo)


@pytest.mark.parametrize(("seed", "match_by"), [(31, "address"), (32, "domain")])
def test_two_rounds_end_where_one_would_have(tmp_path: Path, seed: int, match_by: str) -> None:
    """Contacts, a customer, an alias and mail that come late change nothing of the end."""
    result = _two_rounds(tmp_path, seed, match_by)
    assert result.differences == []
    assert result.cells > 3_000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
def test_thirty_stories_end_where_they_should(tmp_path: Path, seed: int) -> None:
    """Every story, with crashes between any two steps and batches in any order."""
    match_by = "domain" if seed % 3 == 0 else "address"
    assert _two_rounds(tmp_path, seed, match_by, crash_rate=0.1).differences == []
