"""How a connection stands, in the contract's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fake_connections import ms, record
from rapport.dashboard.standing import Pace, away, compared_at, duration, progress_of, state_of, whole_of
from rapport_core.clock import to_ms

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATES = (
    "connected",
    "needs_auth",
    "needs_admin",
    "throttled",
    "mailbox_unavailable",
    "paused",
    "disconnected",
)


@pytest.mark.parametrize("name", STATES)
def test_every_state_offers_to_sign_in_or_to_revoke_and_never_both(name: str) -> None:
    state = state_of(record("m1", state=name))
    assert state.may_revoke != state.may_start
    assert state.words


def test_the_records_reason_goes_before_the_general_one() -> None:
    said = state_of(record("m1", state="needs_auth", reason="The password was changed."))
    assert said.hint == "The password was changed."
    assert state_of(record("m1", state="needs_auth")).hint


def test_what_the_administrator_allowed_for_all_is_not_one_members_to_revoke() -> None:
    state = state_of(record("m1", access="application"))
    assert (state.words, state.may_revoke, state.may_start) == ("Authenticated", False, False)


def test_an_archive_has_nobody_to_sign_in() -> None:
    state = state_of(record("m1", provider="archive"))
    assert (state.words, state.may_revoke, state.may_start) == ("Read from files", False, False)


def test_a_state_of_a_later_release_shows_as_it_is() -> None:
    assert state_of(record("m1", state="dreaming")).words == "dreaming"


@pytest.mark.parametrize(
    ("compared", "missing", "words", "tone"),
    [
        (NOW - timedelta(hours=6), 0, "nothing missing", "good"),
        (NOW - timedelta(hours=6), 1234, "1\N{NARROW NO-BREAK SPACE}234 missing", "alarm"),
        (NOW - timedelta(days=3), 0, "not compared for 3 days", "alarm"),
        (NOW - timedelta(days=3), 2, "2 missing", "alarm"),
        (None, 0, "not compared yet", "off"),
    ],
)
def test_green_is_a_young_comparison_with_nothing_missing(
    compared: datetime | None, missing: int, words: str, tone: str
) -> None:
    whole = whole_of(compared, missing, NOW)
    assert (whole.words, whole.tone) == (words, tone)


def test_a_comparison_counts_once_it_was_listed_and_counted() -> None:
    """A sweep whose listing nobody has worked through says nothing yet, and a young part of an old one no more than that."""
    swept, counted = ms(2026, 11, 23, 6), "2026-11-21T06:00:00Z"
    assert compared_at(record("m1", last_sweep=swept), None) is None
    assert compared_at(record("m1", last_sweep=None), {"missing": 0, "compared_at": counted}) is None
    old = compared_at(record("m1", last_sweep=swept), {"missing": 0, "compared_at": counted})
    assert old == datetime(2026, 11, 21, 6, tzinfo=UTC)
    young = compared_at(record("m1", last_sweep=swept), {"missing": 0, "compared_at": "2026-11-23T11:00:00Z"})
    assert young == datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=20), "less than a minute"),
        (timedelta(minutes=1), "about 1 minute"),
        (timedelta(minutes=85), "about 85 minutes"),
        (timedelta(minutes=100), "about 2 hours"),
        (timedelta(hours=35), "about 35 hours"),
        (timedelta(hours=49), "about 2 days"),
    ],
)
def test_lengths_are_told_roughly(length: timedelta, words: str) -> None:
    assert duration(length) == words


def at_work(minute: int, done: int, total: int = 1000) -> dict[str, Any]:
    """What a record says during a first sync."""
    return {
        "first_ended": None,
        "first_total": total,
        "first_done": done,
        "updated_at": ms(2026, 11, 23, 12, minute),
    }


def test_time_left_needs_two_marks_and_follows_the_pace() -> None:
    pace = Pace()
    first = progress_of(record("m1", **at_work(0, 100)), pace)
    assert first is not None
    assert (first.done, first.total, first.left) == (100, 1000, "")
    assert pace.left(record("m1", **at_work(10, 300))) == timedelta(minutes=35)
    assert pace.left(record("m2", **at_work(10, 300))) is None


def test_pace_forgets_what_was_long_ago_and_what_began_anew() -> None:
    pace = Pace()
    for minute, done in ((0, 100), (30, 200), (40, 400)):
        left = pace.left(record("m1", **at_work(minute, done)))
    assert left == timedelta(minutes=30)
    assert pace.left(record("m1", **at_work(41, 10))) is None


def test_a_first_sync_of_unknown_size_shows_what_was_read() -> None:
    shown = progress_of(record("m1", **at_work(0, 30, 0)), Pace())
    assert shown is not None
    assert (shown.done, shown.total, shown.left) == (30, 0, "")


def test_more_than_was_announced_is_no_more_than_everything() -> None:
    shown = progress_of(record("m1", **at_work(0, 1100)), Pace())
    assert shown is not None
    assert shown.total == 1100


@pytest.mark.parametrize("state", ["disconnected", "needs_auth", "needs_admin", "paused"])
def test_who_does_not_read_makes_no_progress(state: str) -> None:
    assert progress_of(record("m1", state=state, **at_work(0, 1)), Pace()) is None
    assert progress_of(record("m1"), Pace()) is None
    assert progress_of(record("m1", provider="archive", **at_work(0, 1)), Pace()) is None


def test_what_was_connected_a_moment_ago_begins() -> None:
    shown = progress_of(record("m1", **{**at_work(0, 0, 0), "history_from": None}), Pace())
    assert shown is not None
    assert (shown.done, shown.total, shown.left) == (0, 0, "")


def test_out_of_office_is_when_replies_go_out() -> None:
    def says(status: str, since: int | None = None, until: int | None = None) -> bool:
        replies = {"status": status, "since": since, "until": until, "audience": "all"}
        return away(record("m1", out_of_office=replies), NOW)

    now = to_ms(NOW)
    assert says("always")
    assert not says("disabled")
    assert says("scheduled", now, now + 1)
    assert not says("scheduled", now + 1, now + 2)
    assert not says("scheduled", now - 2, now)
    assert not away(record("m1"), NOW)
