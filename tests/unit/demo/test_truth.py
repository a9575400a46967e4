"""The truth knows better than nobody: broken truths are noticed, and its sums hold."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from rapport.demo import truth as truth_module
from rapport.demo.appointment import Occasion
from rapport.demo.attendance import Attendance, attend
from rapport.demo.calendars import write_calendars
from rapport.demo.company import Company, CompanySize
from rapport.demo.compare import Comparison, compare_counts, compare_days
from rapport.demo.letter import Letter, Way
from rapport.demo.mailboxes import GeneratedCompany, generate
from rapport.demo.truth import Truth, Window
from rapport.demo.verdict import Verdict, judge
from rapport.demo.whole import make_company

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SIZE = CompanySize(members=10, customers=15, contacts=60, copies=3_000, meetings=900)
BY = ("member", "customer", "contact")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GeneratedCompany:
    return _again(tmp_path_factory.mktemp("demo"))


def _again(folder: Path) -> GeneratedCompany:
    return make_company(folder, seed=4, now=NOW, size=SIZE).mail


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
    """A contact that was created without mail and meetings stands there with zeros and no times."""
    last = made.truth.counts("contact", 183, None, NOW)["rows"][-1]
    assert (last["emails"], last["meetings"], last["planned"]) == (0, 0, 0)
    assert (last["last_interaction"], last["last_email_reply"]) == (None, None)


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


@pytest.mark.parametrize("by", BY)
def test_days_and_the_window_agree(made: GeneratedCompany, by: str) -> None:
    """The numbers of the days of a window are the window's, in total and in every row."""
    counts, days = made.truth.counts(by, 90, None, NOW), made.truth.daily(by, 90, None, NOW)
    for key, numbers in (("", counts["total"]), *((row["id"], row) for row in counts["rows"])):
        for name in ("emails", "sent", "received", "meetings"):
            assert sum(rows.get(key, {}).get(name, 0) for rows in days.values()) == numbers[name]


def test_started_meetings_are_not_planned_and_planned_ones_not_started(made: GeneratedCompany) -> None:
    """Every counted meeting of the story is either before now, or planned, and no window holds both."""
    far = made.truth.counts("member", 365, None, NOW)["total"]
    assert far["meetings"] + far["planned"] == made.truth.meeting_reasons["counted"]
    assert min(far["meetings"], far["planned"]) > 50
    past = made.truth.counts("member", 30, NOW.date() - timedelta(days=1), NOW)
    assert past["total"]["planned"] == 0 < past["total"]["meetings"]


def test_planned_meetings_begin_now_and_end_with_the_last_day() -> None:
    """One day: until midnight in the company's zone; with an end, until the end of that day, and never in the past."""
    assert Window.ahead(1, None, NOW) == Window(int(NOW.timestamp()), _second(2026, 11, 23, 23))
    assert Window.ahead(30, date(2026, 11, 24), NOW).before == _second(2026, 11, 24, 23)
    past = Window.ahead(30, date(2026, 11, 20), NOW)
    assert past.before == past.since


def _second(year: int, month: int, day: int, hour: int) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


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


def _break_planned(counts: dict[str, Any]) -> None:
    counts["rows"][1]["planned"] += 1


def _break_meetings(counts: dict[str, Any]) -> None:
    counts["total"]["meetings"] -= 1


@pytest.mark.parametrize(
    "breaking",
    [
        _break_by_one,
        _break_total,
        _break_time,
        _lose_time,
        _lose_row,
        _swap_ids,
        _row_twice,
        _break_planned,
        _break_meetings,
    ],
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


def test_difference_of_a_day_reads_as_a_sentence(made: GeneratedCompany) -> None:
    """Day, row, cell, what is there and what should be; a day or row that one side lacks counts as nothing."""
    expected = made.truth.daily("customer", 30, None, NOW)
    day, rows = next((day, rows) for day, rows in expected.items() if len(rows) > 2)
    row, lost = sorted(rows)[1:3]
    numbers: dict[str, dict[str, Any]] = copy.deepcopy(expected)
    there = numbers[day][row].get("meetings", 0)
    numbers[day][row]["meetings"] = there + 1
    del numbers[day][lost]
    result = compare_days(expected, _as_daily(numbers), "by customer")
    assert f"by customer, {day}, {row}: meetings is {there + 1}, expected {there}" in result.differences
    assert any(line.startswith(f"by customer, {day}, {lost}: ") for line in result.differences)
    assert compare_days(expected, _as_daily(expected), "by customer").equal


def _as_daily(numbers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """As `daily` gives them, with the days before that were empty."""
    nothing = dict.fromkeys(("emails", "sent", "received", "meetings"), 0)
    return {
        "days": [
            {"day": "2020-01-01", "total": nothing, "rows": []},
            *(
                {
                    "day": day,
                    "total": nothing | rows[""],
                    "rows": [{"id": key, **nothing, **found} for key, found in rows.items() if key],
                }
                for day, rows in numbers.items()
            ),
        ]
    }


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


def _a_meeting_more(occasion: Occasion) -> Occasion:
    return replace(occasion, cancelled=False)


def _everybody_comes(occasion: Occasion) -> Occasion:
    return replace(occasion, declined=frozenset())


def _a_day_later(occasion: Occasion) -> Occasion:
    return replace(occasion, start=occasion.start + 86_400)


def _a_second_later(occasion: Occasion) -> Occasion:
    return replace(occasion, start=occasion.start + 1)


def _holders_do_not_count(occasion: Occasion) -> Occasion:
    return replace(occasion, holders=frozenset())


def _everything_is_over(occasion: Occasion) -> Occasion:
    return replace(occasion, start=min(occasion.start, int(NOW.timestamp()) - 1))


@pytest.mark.parametrize(
    "lie",
    [
        _a_meeting_more,
        _everybody_comes,
        _a_day_later,
        _a_second_later,
        _holders_do_not_count,
        _everything_is_over,
    ],
)
def test_a_truth_that_lies_about_meetings_is_noticed(
    made: GeneratedCompany, lie: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled, declined, moved by a day or a second, held, planned: whoever believes something else differs."""
    learn = Truth.learn_meeting
    monkeypatch.setattr(Truth, "learn_meeting", lambda self, occasion: learn(self, lie(occasion)))
    assert _differences(made.truth, _met_again(made, tmp_path))


def test_a_truth_that_forgets_late_contacts_is_noticed(
    made: GeneratedCompany, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leaves out the contacts that the directory got only later differs."""

    def early(occasion: Occasion, company: Company) -> Attendance:
        found = attend(occasion, company)
        return replace(found, contacts=tuple(c for c in found.contacts if c not in company.late_contacts))

    monkeypatch.setattr(truth_module, "attend", early)
    assert _differences(made.truth, _met_again(made, tmp_path))


def test_the_same_meetings_told_again_differ_in_nothing(made: GeneratedCompany, tmp_path: Path) -> None:
    """The comparison that notices each lie finds nothing where there is none."""
    assert _differences(made.truth, _met_again(made, tmp_path)) == []


def _met_again(made: GeneratedCompany, folder: Path) -> Truth:
    """The truth with its mail as it is and the meetings told once more."""
    truth = copy.copy(made.truth)
    nothing = Truth(made.company, made.truth.threads)
    for name in ("meetings", "meeting_reasons", "_starts", "_present", "_present_ends"):
        setattr(truth, name, getattr(nothing, name))
    write_calendars(folder, made.company, truth, seed=4, now=made.now)
    return truth


def _differences(expected: Truth, actual: Truth) -> list[str]:
    found = Comparison()
    for by in BY:
        wanted, told = (truth.counts(by, 30, None, NOW) for truth in (expected, actual))
        found.add(compare_counts(wanted, told, by))
        days_told = _as_daily(actual.daily(by, 183, None, NOW))
        found.add(compare_days(expected.daily(by, 183, None, NOW), days_told, by))
    return found.differences


def test_list_copies_alone_make_no_participation(made: GeneratedCompany, tmp_path: Path) -> None:
    """The story holds counted letters in which no member takes part: they came through a list only."""
    alone: list[Verdict] = []

    def observe(letter: Letter) -> None:
        if all(c.way is Way.LIST for c in letter.copies):
            alone.append(judge(letter, made.company))

    generate(tmp_path, seed=4, now=NOW, size=SIZE, observe=observe)
    assert any(verdict.counted and not verdict.members for verdict in alone)
