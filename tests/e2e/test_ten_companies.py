"""Ten companies of ten seeds in one instance with two workers, in any order and twice: no differing cell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from local_stack import RunningStack
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison
from rapport.demo.steps import (
    compare_conversations,
    compare_numbers,
    ingest_sources,
    load_directory,
    questions,
)
from rapport.demo.whole import Source, WholeCompany, make_company
from rapport.waiting import wait_for_visible

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
SMALL = CompanySize(members=6, customers=12, contacts=40, copies=400, meetings=120)


def _companies(folder: Path, seeds: Sequence[int]) -> list[WholeCompany]:
    now = datetime.now(UTC)
    return [
        make_company(
            folder / str(seed),
            seed=seed,
            now=now,
            size=SMALL,
            match_by="domain" if seed % 3 == 0 else "address",
            tenant=f"company-{seed}",
            keep_message_ids=True,
        )
        for seed in seeds
    ]


def _ingest(instance: RunningStack, rng: Random, sources: list[Source], *, again: bool = False) -> None:
    """Every source, in any order."""
    rng.shuffle(sources)
    ingest_sources(instance.settings, instance.endpoints, sources, again=again)


def _told(instance: RunningStack, folder: Path, seeds: Sequence[int]) -> Comparison:
    """The companies of the seeds told side by side: their directories, both rounds of their files, everything compared."""
    companies, rng = _companies(folder, seeds), Random(seeds[0])
    for made in companies:
        load_directory(instance.settings, instance.endpoints, made.mail.first_directory)
    first = [source for made in companies for source in made.first_sources()]
    _ingest(instance, rng, first)
    for made in companies:
        made.later()
    sources = [source for made in companies for source in made.sources()]
    _ingest(instance, rng, [source for source in sources if source not in first])
    _ingest(instance, rng, sources, again=True)
    result = Comparison()
    for made in companies:
        load_directory(instance.settings, instance.endpoints, made.mail.directory)
    for number, made in enumerate(companies):
        wait_for_visible(instance.settings, made.tenant, timeout_seconds=300)
        # All days of each, and together all windows.
        own = compare_numbers(instance.endpoints, made.mail, questions(made.now)[number % 3 :: 3])
        own.add(compare_conversations(instance.settings, instance.endpoints, made.mail))
        result.cells += own.cells
        result.differences += [f"{made.tenant}: {line}" for line in own.differences]
    return result


def test_ten_companies_differ_in_no_cell(instance: RunningStack, tmp_path: Path) -> None:
    """Two workers, two rounds, shuffled arrival, every file ingested twice at least."""
    result = _told(instance, tmp_path, range(200, 210))
    assert result.differences == []
    assert result.cells > 30_000


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1000, 1100, 10))
def test_a_hundred_companies_differ_in_no_cell(instance: RunningStack, tmp_path: Path, first: int) -> None:
    """A hundred seeds, ten at a time."""
    assert _told(instance, tmp_path, range(first, first + 10)).differences == []
