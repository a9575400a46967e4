"""Windows in a tenant's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from rapport_core.errors import ConfigError
from rapport_sinks.clickhouse.window import iso, planned_window, window

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def found(timezone: str, now: datetime = NOON, days: int = 30, until: date | None = None) -> tuple[str, str]:
    said = window(timezone, now, days, until).as_json()
    return said["from"], said["to"]


def test_thirty_days_are_today_and_the_twenty_nine_before_it_up_to_now() -> None:
    """The days are the tenant's: they begin at its midnight, here before and after its clocks changed."""
    assert found("UTC") == ("2026-10-25T00:00:00Z", "2026-11-23T12:00:00Z")
    assert found("Europe/Stockholm") == ("2026-10-24T22:00:00Z", "2026-11-23T12:00:00Z")
    assert found("Europe/Stockholm", days=29) == ("2026-10-25T23:00:00Z", "2026-11-23T12:00:00Z")


def test_today_is_the_tenants_today() -> None:
    """At 23:30 UTC it is tomorrow in Stockholm and still today in New York."""
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert found("Europe/Stockholm", late, days=1)[0] == "2026-11-23T23:00:00Z"
    assert found("America/New_York", late, days=1)[0] == "2026-11-23T05:00:00Z"


def test_until_ends_with_the_whole_day_named() -> None:
    """A day on which the clocks go back has 25 hours, one on which they go forward 23."""
    assert found("Europe/Stockholm", days=1, until=date(2026, 10, 25)) == (
        "2026-10-24T22:00:00Z",
        "2026-10-25T23:00:00Z",
    )
    assert found("Europe/Stockholm", days=1, until=date(2026, 3, 29)) == (
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z",
    )


def test_until_never_reaches_beyond_now() -> None:
    assert found("UTC", days=2, until=date(2026, 11, 23)) == ("2026-11-22T00:00:00Z", "2026-11-23T12:00:00Z")
    assert found("UTC", days=2, until=date(2026, 11, 24)) == ("2026-11-23T00:00:00Z", "2026-11-23T12:00:00Z")


def test_a_window_in_the_future_is_empty() -> None:
    """It still ends now: what is asked of the time before its end is never asked of the future."""
    assert found("UTC", days=1, until=date(2027, 1, 1)) == ("2027-01-01T00:00:00Z", "2026-11-23T12:00:00Z")


def test_a_day_without_midnight_begins_when_the_clocks_jump() -> None:
    """In Beirut the clocks go from 0:00 to 1:00."""
    assert found("Asia/Beirut", days=1, until=date(2026, 3, 29))[0] == "2026-03-28T22:00:00Z"


def test_a_day_with_two_midnights_begins_at_the_first() -> None:
    """In Havana the clocks go from 1:00 back to 0:00."""
    assert found("America/Havana", days=1, until=date(2026, 11, 1))[0] == "2026-11-01T04:00:00Z"


def ahead(timezone: str, days: int = 30, until: date | None = None, now: datetime = NOON) -> tuple[str, str]:
    said = planned_window(timezone, now, days, until).as_json()
    return said["from"], said["to"]


def test_planned_are_the_rest_of_today_and_the_days_after_it() -> None:
    """As many days as the window has, today included, to a midnight of the tenant; here before its clocks change."""
    assert ahead("UTC", days=1) == ("2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z")
    assert ahead("Europe/Stockholm") == ("2026-11-23T12:00:00Z", "2026-12-22T23:00:00Z")
    assert ahead("Europe/Stockholm", days=127)[1] == "2027-03-29T22:00:00Z"
    assert ahead("Europe/Stockholm", days=126)[1] == "2027-03-28T22:00:00Z"
    assert ahead("Europe/Stockholm", days=125)[1] == "2027-03-27T23:00:00Z"


def test_planned_until_a_day_reaches_to_its_end_however_many_days() -> None:
    assert ahead("UTC", 7, date(2027, 1, 1)) == ("2026-11-23T12:00:00Z", "2027-01-02T00:00:00Z")
    assert ahead("UTC", 7, date(2026, 11, 23)) == ("2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z")


def test_nothing_is_planned_until_a_day_that_is_past() -> None:
    """In the tenant's zone: on a late evening in UTC its own day may be over."""
    assert ahead("UTC", 7, date(2026, 11, 22)) == ("2026-11-23T12:00:00Z",) * 2
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert ahead("Europe/Stockholm", 7, date(2026, 11, 23), late) == ("2026-11-23T23:30:00Z",) * 2
    assert ahead("America/New_York", 7, date(2026, 11, 23), late)[1] == "2026-11-24T05:00:00Z"


@pytest.mark.parametrize("days", [0, -1, 40_000])
def test_days_that_cannot_be_counted_are_refused(days: int) -> None:
    for windowed in (window, planned_window):
        with pytest.raises(ConfigError, match="--days"):
            windowed("UTC", NOON, days)


def test_a_window_beyond_the_calendar_is_refused() -> None:
    for until in (date.min, date.max):
        with pytest.raises(ConfigError, match="calendar"):
            window("UTC", NOON, 30, until)
    with pytest.raises(ConfigError, match="calendar"):
        planned_window("UTC", NOON, 30, date.max)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match="time zone"):
        window(name, NOON)


def test_instants_show_milliseconds_only_where_there_are_some() -> None:
    assert iso(1_760_000_000_000) == "2025-10-09T08:53:20Z"
    assert iso(1_760_000_000_007) == "2025-10-09T08:53:20.007Z"
    assert iso(-1) == "1969-12-31T23:59:59.999Z"
