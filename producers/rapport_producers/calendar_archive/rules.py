"""Recurrence rules on the wall clock, and the times they are written with.

A rule is followed on the wall clock of its event's zone; what each start is in UTC is the zone's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from dateutil.rrule import rrulestr

from rapport_core.errors import PoisonError
from rapport_producers.calendar_archive.properties import Property

MOST_STEPS = 500_000
"""Starts of one rule that are looked at, from its first: about a second."""

_TIME = re.compile(r"\s*(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z)?)?\s*\Z", re.IGNORECASE)
_LAST_YEAR = 9999
_CYCLE = 400
_PARTS = frozenset(
    {"FREQ", "COUNT", "INTERVAL", "WKST", "BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"}
    | {"BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS"}
)

_CLOCK_PARTS = frozenset({"BYHOUR", "BYMINUTE", "BYSECOND"})
_DAY_PARTS = frozenset({"BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})


@dataclass(frozen=True, slots=True)
class TimeValue:
    """A DATE or DATE-TIME as it is written: the wall clock, at midnight for a date."""

    wall: datetime
    whole_day: bool = False
    utc: bool = False


def time_value(written: Property | str | None) -> TimeValue:
    """Raises PoisonError(`unreadable_time`)."""
    text = written.value if isinstance(written, Property) else written or ""
    found = _TIME.match(text)
    try:
        if found:
            day = date(int(found[1]), int(found[2]), int(found[3]))
            if found[4] is None:
                return TimeValue(datetime.combine(day, time(0)), whole_day=True)
            clock = time(int(found[4]), int(found[5]), min(int(found[6] or 0), 59))
            return TimeValue(datetime.combine(day, clock), utc=bool(found[7]))
    except ValueError:
        pass
    raise PoisonError("unreadable_time", "one of its times is no iCalendar time")


def rule_starts(
    rule: str,
    first: datetime,
    local: Callable[[datetime], datetime],
    *,
    begin: datetime,
    end: datetime,
    most: int,
) -> Iterator[datetime]:
    """The starts that a rule gives from `begin` to `end`, both included, in order.

    Args:
        rule: the value of an RRULE or EXRULE.
        first: the start of the event, on its wall clock.
        local: from UTC to that wall clock; an UNTIL may be in UTC.
        begin: the first wall clock that is asked for.
        end: the last one.
        most: how many starts are given before it is too many.

    Raises PoisonError: `unreadable_rule`, `too_many_occurrences`.
    """
    parts, until = _parts(rule, local)
    end = end if until is None else min(end, until)
    if first > end:
        return
    # A rule that never matches (30 February) is followed to the last year there is. The calendar repeats every 400
    # years, weekdays included, so that moving the rule to the last of these cycles leaves it the least to look at.
    years = (_LAST_YEAR - 1 - end.year) // _CYCLE * _CYCLE
    try:
        given = 0
        for number, moved in enumerate(rrulestr(parts, dtstart=first.replace(year=first.year + years))):
            start = moved.replace(year=moved.year - years)
            if start > end:
                return
            given += start >= begin
            if given > most or number >= MOST_STEPS:
                raise PoisonError(
                    "too_many_occurrences",
                    "its rule repeats it too often for meetings: end the series, or correct its RRULE",
                )
            if start >= begin:
                yield start
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise _unreadable() from error


def _parts(rule: str, local: Callable[[datetime], datetime]) -> tuple[str, datetime | None]:
    """The rule without what dateutil does not know and without its UNTIL, which comes apart."""
    parts: dict[str, str] = {}
    until = None
    for part in "".join(rule.split()).strip(";").upper().split(";"):
        name, _, value = part.partition("=")
        if name == "UNTIL":
            until = _until(value, local)
        elif name in _PARTS:
            parts[name] = value
        elif name == "RSCALE" and value != "GREGORIAN":
            raise _unreadable()
    if "FREQ" not in parts or parts.get("INTERVAL", "1").lstrip("+").strip("0") == "":
        raise _unreadable()
    if _searches(parts):
        raise PoisonError(
            "unreadable_rule",
            "its recurrence rule (RRULE) picks among hours, minutes or seconds in a way that is not followed: "
            "write it with FREQ=DAILY",
        )
    return ";".join(f"{name}={value}" for name, value in parts.items()), until


def _searches(parts: Mapping[str, str]) -> bool:
    """Whether dateutil would try every single minute or second up to the last year.

    Nothing could stop it: it only comes back with a start, of which such a rule may have none.
    """
    frequency, names = parts["FREQ"], parts.keys()
    return (
        (frequency in {"HOURLY", "MINUTELY", "SECONDLY"} and "BYSETPOS" in parts)
        or (frequency == "MINUTELY" and bool(names & _CLOCK_PARTS) and bool(names & _DAY_PARTS))
        or (frequency == "SECONDLY" and bool(names & _CLOCK_PARTS))
    )


def _until(value: str, local: Callable[[datetime], datetime]) -> datetime:
    try:
        found = time_value(value)
    except PoisonError as error:
        raise _unreadable() from error
    if found.whole_day:
        return datetime.combine(found.wall.date(), time.max)
    try:
        return local(found.wall) if found.utc else found.wall
    except OverflowError:
        return found.wall  # the first or last day there is, in a zone that has left it behind


def _unreadable() -> PoisonError:
    return PoisonError(
        "unreadable_rule", "its recurrence rule (RRULE) cannot be read: correct it in the calendar"
    )
