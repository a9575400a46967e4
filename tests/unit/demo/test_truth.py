"""The truth knows better than nobody: broken truths are noticed, and its sums hold."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from rapport.demo import truth as truth_module
from rapport.demo.company import CompanySize
from rapport.demo.compare import compare_counts
from rapport.demo.letter import Letter, Way
from rapport.demo.mailboxes import GeneratedCompany, generate
from rapport.demo.truth import Window
from rapport.demo.verdict import Verdict, judge

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SIZE = CompanySize(members=10, customers=15, contacts=60, copies=3_000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GeneratedCompany:
    return generate(tmp_path_factory.mktemp("demo"), seed=4, now=NOW, size=SIZE)


def _again(folder: Path) -> GeneratedCompany:
    return generate(folder, seed=4, now=NOW, size=SIZE)


@pytest.mark.parametrize("by", ["member", "customer", "contact"])
@pytest.mark.parametrize(("days", "until"), [(30, None), (7, date(2026, 10, 25)), (183, None)])
def test_sums_hold(made: GeneratedCompany, by: str, days: int, until: date | None) -> None:
    """Sent and received make emails; no row is larger than the total; conversations are no more than emails."""
    counts = made.truth.counts(by, days, until, NOW)
    for cells in (counts["total"], *counts["rows"]):
        assert cells["sent"] + cells["received"] == cells["emails"]
        assert cells["conversations"] <= cells["emails"]
    assert counts["total"]["emails"] <= sum(row["emails"] for row in counts["rows"]) or by == "member"
    assert all(row["emails"] <= counts["total"]["emails"] for row in counts["rows"])


def test_total_is_the_same_by_whatever_it_is_asked(made: GeneratedCompany) -> None:
    """The total does not depend on how rows are cut."""
    totals = [made.truth.counts(by, 30, None, NOW)["total"] for by in ("member", "customer", "contact")]
    assert totals[0] == totals[1] == totals[2]


def test_days_add_up_to_their_window(made: GeneratedCompany) -> None:
    """Emails of seven single days, counted through --until, are the emails of the seven days' window."""
    days = [date(2026, 10, 20) + timedelta(days=n) for n in range(7)]
    single = sum(made.truth.counts("customer", 1, day, NOW)["total"]["emails"] for day in days)
    assert single == made.truth.counts("customer", 7, days[-1], NOW)["total"]["emails"] > 0


def test_silent_contacts_have_rows_of_nothing(made: GeneratedCompany) -> None:
    """A contact that was created without mail stands there with zeros and no times."""
    last = made.truth.counts("contact", 183, None, NOW)["rows"][-1]
    assert (last["emails"], last["last_interaction"], last["last_email_reply"]) == (0, None, None)


def test_a_reply_is_never_later_than_the_last_interaction(made: GeneratedCompany) -> None:
    """Last e-mail reply is one of the interactions."""
    rows = made.truth.counts("contact", 30, None, NOW)["rows"]
    replied = [row for row in rows if row["last_email_reply"] is not None]
    assert replied
    assert all(row["last_email_reply"] <= row["last_interaction"] for row in replied)


def test_windows_are_calendar_days_of_the_tenant() -> None:
    """The 30 days over the end of summer time begin at local midnight; today's window ends now."""
    window = Window.of(30, None, NOW)
    assert datetime.fromtimestamp(window.since, UTC) == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    assert window.before == int(NOW.timestamp())
    past = Window.of(1, date(2026, 10, 25), NOW)
    assert past.before - past.since == 25 * 3600


def _break_by_one(counts: dict[str, Any]) -> None:
    counts["rows"][3]["emails"] += 1


def _break_total(counts: dict[str, Any]) -> None:
    counts["total"]["conversations"] -= 1


def _break_time(counts: dict[str, Any]) -> None:
    row = next(row for row in counts["rows"] if row["last_interaction"])
    row["last_interaction"] += timedelta(seconds=1)


def _lose_time(counts: dict[str, Any]) -> None:
    next(row for row in counts["rows"] if row["last_email_reply"])["last_email_reply"] = None


def _lose_row(counts: dict[str, Any]) -> None:
    counts["rows"].remove(next(row for row in counts["rows"] if row["emails"]))


def _swap_ids(counts: dict[str, Any]) -> None:
    busy = [row for row in counts["rows"] if row["emails"]]
    busy[0]["id"], busy[-1]["id"] = busy[-1]["id"], busy[0]["id"]


def _row_twice(counts: dict[str, Any]) -> None:
    counts["rows"].append(counts["rows"][0])


@pytest.mark.parametrize(
    "breaking", [_break_by_one, _break_total, _break_time, _lose_time, _lose_row, _swap_ids, _row_twice]
)
def test_any_wrong_cell_is_reported(made: GeneratedCompany, breaking: Any) -> None:
    """One cell, one row or one time that is off is a difference, in words that name where."""
    expected = made.truth.counts("customer", 30, None, NOW)
    actual = copy.deepcopy(expected)
    assert compare_counts(expected, actual, "by customer").equal
    breaking(actual)
    result = compare_counts(expected, actual, "by customer")
    assert result.differences
    assert not result.equal
    assert all(line.startswith("by customer, ") for line in result.differences)


def test_difference_reads_as_a_sentence(made: GeneratedCompany) -> None:
    """A difference names question, row, cell, what is there and what should be."""
    expected = made.truth.counts("member", 30, None, NOW)
    actual = copy.deepcopy(expected)
    actual["rows"][0]["sent"] += 2
    sent, name = expected["rows"][0]["sent"], expected["rows"][0]["name"]
    assert compare_counts(expected, actual, "by member, 30 days").differences == [
        f"by member, 30 days, {name} (m0): sent is {sent + 2}, expected {sent}"
    ]


def test_times_compare_as_instants_and_idle_rows_may_be_left_out(made: GeneratedCompany) -> None:
    """Times in another zone, as text, and rows without anything left out: no difference."""
    expected = made.truth.counts("contact", 30, None, NOW)
    actual = copy.deepcopy(expected)
    actual["rows"] = [row for row in actual["rows"] if row["last_interaction"]]
    assert len(actual["rows"]) < len(expected["rows"])
    for row in actual["rows"]:
        row["last_interaction"] = row["last_interaction"].astimezone(timezone(timedelta(hours=5))).isoformat()
    assert compare_counts(expected, actual, "by contact").equal


def test_nothing_compared_is_not_equal() -> None:
    """An empty comparison proves nothing."""
    assert not compare_counts({"total": {}, "rows": []}, {"total": {"emails": 1}, "rows": []}, "x").equal


def _through_lists_too(letter: Letter, verdict: Verdict) -> dict[str, Any]:
    return {"members": tuple(sorted({*verdict.members, *(c.owner for c in letter.copies)}))}


def _hidden_are_nobody(letter: Letter, verdict: Verdict) -> dict[str, Any]:
    named = {m.person.index for m in letter.named if m.person.kind == "member"}
    return {"members": tuple(m for m in verdict.members if m in named)}


def _auto_replies_count(_: Letter, verdict: Verdict) -> dict[str, Any]:
    return {"why": "counted" if verdict.why == "class_auto_reply" else verdict.why}


def _exclusions_do_not(_: Letter, verdict: Verdict) -> dict[str, Any]:
    return {"why": "counted" if verdict.why == "excluded" else verdict.why}


def _strangers_count(_: Letter, verdict: Verdict) -> dict[str, Any]:
    return {"why": "counted" if verdict.why == "unknown_sender" else verdict.why}


@pytest.mark.parametrize(
    "lie", [_through_lists_too, _hidden_are_nobody, _auto_replies_count, _exclusions_do_not, _strangers_count]
)
def test_a_truth_that_breaks_a_rule_is_noticed(
    made: GeneratedCompany, lie: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truth that believes something else about one rule differs in some cell."""

    def lying(letter: Letter, company: Any) -> Verdict:
        verdict = judge(letter, company)
        fields = {name: getattr(verdict, name) for name in Verdict.__slots__}
        return Verdict(**{**fields, **lie(letter, verdict)})

    monkeypatch.setattr(truth_module, "judge", lying)
    broken = _again(tmp_path).truth
    found = [
        compare_counts(
            made.truth.counts(by, 183, None, NOW), broken.counts(by, 183, None, NOW), by
        ).differences
        for by in ("member", "customer", "contact")
    ]
    assert any(found)


def test_list_copies_alone_make_no_participation(made: GeneratedCompany, tmp_path: Path) -> None:
    """The story holds counted letters in which no member takes part: they came through a list only."""
    alone: list[Verdict] = []

    def observe(letter: Letter) -> None:
        if all(c.way is Way.LIST for c in letter.copies):
            alone.append(judge(letter, made.company))

    generate(tmp_path, seed=4, now=NOW, size=SIZE, observe=observe)
    assert any(verdict.counted and not verdict.members for verdict in alone)
