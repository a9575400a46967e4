"""Meetings that repeat: what each calendar shows of the whole and of its single occurrences, and what is true of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

from rapport.demo.agenda import BACK, DAY, SAFE_AHEAD, Agenda, instant
from rapport.demo.appointment import Answer, Appointment, Entry, Guest, Occasion, Page, Span
from rapport.demo.casting import Casting
from rapport.demo.clocks import software_of
from rapport.demo.pen import ZONE
from rapport.demo.plan import Face, Plan
from rapport.demo.uids import is_outlook, of_one_day

_MONTH: Final = 31
_SURELY_READ: Final = 180
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(slots=True, eq=False)
class _Part:
    """One occurrence: when it was meant to be, what is true of it, and which calendars show it as an exception."""

    span: Span
    occasion: Occasion
    fate: str = ""
    exceptions: dict[int, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """The days of a series, the rule that names them, and whether it names their number or their end.

    Attributes:
        before: its days before those that are read.
    """

    rule: str
    days: tuple[date, ...]
    counted: bool
    before: tuple[date, ...] = ()


class Series:
    """Writes series. All choices come from the story's random numbers.

    Args:
        again: members whose calendars are exported a second time.
        microsoft: members whose calendars are at Microsoft 365.
    """

    def __init__(
        self,
        rng: Random,
        agenda: Agenda,
        casting: Casting,
        awkward: Counter[str],
        *,
        again: frozenset[int],
        microsoft: frozenset[int],
        now: int,
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._casting = casting
        self._awkward = awkward
        self._again = again
        self._microsoft = microsoft
        self._now = now
        self._today = datetime.fromtimestamp(now, ZONE).date()

    def tell(self, plan: Plan, most: int) -> Appointment:
        """The plan, again and again, at most `most` times; its own time says at which hour."""
        rhythm = self._rhythm(most)
        parts = [self._part(plan, self._span(plan.span, day)) for day in rhythm.days]
        self._awkward["series"] += 1
        happening = [part for part in parts if part.fate != "left_out"] or parts
        pages = {
            owner: Page(owner, self._entries(plan, owner, parts, rhythm), copies=len(happening))
            for owner in plan.owners
        }
        guest = self._guest_of_one(plan, happening)
        if guest is not None:
            # The organiser's calendar names the guest too.
            knows = plan.right
            pages[knows] = replace(pages[knows], first=self._entries(plan, knows, parts, rhythm))
        gone = self._gone(plan, happening)
        if gone:
            self._awkward["series_shortened"] += 1
            host = pages[plan.right]
            later = self._entries(plan, host.owner, parts, rhythm, without=gone)
            pages[host.owner] = replace(host, later=later)
            for place in gone:
                happening[place].occasion = replace(happening[place].occasion, cancelled=True)
        extra = () if guest is None else (guest,)
        return Appointment((*pages.values(), *extra), tuple(part.occasion for part in happening))

    def _entries(
        self,
        plan: Plan,
        owner: int,
        parts: list[_Part],
        rhythm: _Rhythm,
        without: Collection[int] = (),
    ) -> tuple[Entry, ...]:
        """The whole and its exceptions in one calendar, without the occurrences at these places of those that happen."""
        happening = [part for part in parts if part.fate != "left_out"] or parts
        dropped = [happening[place] for place in without]
        shown = [part for part in happening if part not in dropped]
        if not shown and not rhythm.before:
            return ()
        left_out = [part.span.start for part in parts if part not in shown]
        number = len(rhythm.before) + len(rhythm.days)
        exceptions = tuple(part.exceptions[owner] for part in shown if owner in part.exceptions)
        whole = plan.entry(
            owner,
            stamp=self._changed(plan, owner, exceptions),
            span=self._span(plan.span, (*rhythm.before, *rhythm.days)[0]),
            rule=rhythm.rule + (f";COUNT={number}" if rhythm.counted else ""),
            until=None if rhythm.counted else parts[-1].span.start,
            left_out=tuple(left_out),
        )
        return (whole, *exceptions)

    def _changed(self, plan: Plan, owner: int, exceptions: Sequence[Entry]) -> int:
        """When the whole was changed: at Microsoft with each of its exceptions; whoever is right changed it last."""
        if owner not in self._microsoft or not exceptions:
            return plan.stamp
        return plan.stamp + (120 if owner == plan.right else 60)

    # -- when ---------------------------------------------------------------------------------------------------

    def _rhythm(self, most: int) -> _Rhythm:
        counted, chance = self._rng.random() < 0.5, self._rng.random()
        if chance < 0.1:
            return self._old_rhythm(most, counted=counted)
        if chance < 0.65:
            weeks = 1 if chance < 0.55 else 2
            count = min(most, self._rng.randint(3, 24 // weeks))
            first = self._first(7 * weeks * count)
            days = tuple(first + timedelta(weeks=weeks * n) for n in range(count))
            rule = f"FREQ=WEEKLY;INTERVAL={weeks};BYDAY={_WEEKDAYS[first.weekday()]}"
        elif chance < 0.8:
            count = min(most, self._rng.randint(2, 5))
            first = self._first(count)
            days = tuple(first + timedelta(days=n) for n in range(count))
            rule = "FREQ=DAILY"
        elif chance < 0.9:
            count = min(most, self._rng.randint(2, 5))
            first = self._first(_MONTH * count)
            days = tuple(_month(first, n).replace(day=min(first.day, 28)) for n in range(count))
            rule = f"FREQ=MONTHLY;BYMONTHDAY={days[0].day}"
        else:
            count = min(most, self._rng.randint(2, 5))
            first = self._first(_MONTH * count)
            days = tuple(_second(_month(first, n), first.weekday()) for n in range(count))
            rule = f"FREQ=MONTHLY;BYDAY=2{_WEEKDAYS[first.weekday()]}"
        return _Rhythm(rule, days, counted)

    def _old_rhythm(self, most: int, *, counted: bool) -> _Rhythm:
        """Every other week since long ago. Six months are 181 to 184 days: none of its days is a matter of opinion."""
        self._awkward["series_begun_before"] += 1
        first = self._today - timedelta(days=_SURELY_READ)
        step = timedelta(weeks=2)
        days = tuple(first + step * n for n in range(min(most, self._rng.randint(3, 20))))
        before = tuple(first - step * n for n in range(self._rng.randint(1, 80), 0, -1))
        rule = f"FREQ=WEEKLY;INTERVAL=2;BYDAY={_WEEKDAYS[first.weekday()]}"
        return _Rhythm(rule, days, counted, before)

    def _first(self, length: int) -> date:
        """A day from which so many days lie where calendars are read; months may begin that much earlier or later."""
        earliest = -BACK + _MONTH
        return self._today + timedelta(
            days=self._rng.randint(earliest, max(self._agenda.ahead - length - _MONTH, earliest))
        )

    def _span(self, first: Span, day: date) -> Span:
        if first.all_day:
            return self._agenda.whole_days(day, round((first.end - first.start) / DAY))
        clock = datetime.fromtimestamp(first.start, ZONE)
        return first.at(instant(day, clock.hour, clock.minute))

    # -- what became of an occurrence ---------------------------------------------------------------------------

    def _part(self, plan: Plan, span: Span) -> _Part:
        part = _Part(span, plan.occasion(span.start))
        chance = self._rng.random()
        if chance < 0.06:
            moved = self._agenda.moved(span)
            part.fate, part.occasion = "moved", plan.occasion(moved.start)
            self._announce(plan, part, span=moved)
        elif chance < 0.11:
            part.fate = "left_out"
        elif chance < 0.15:
            part.fate, part.occasion = "cancelled", plan.occasion(span.start, cancelled=True)
            self._announce(plan, part, span=span, cancelled=True)
        elif chance < 0.20:
            self._decline(plan, part)
        if part.fate:
            self._awkward[f"occurrence_{part.fate}"] += 1
        return part

    def _announce(self, plan: Plan, part: _Part, **changes: Any) -> None:
        """Whose calendar is right shows it; some others do."""
        knows = {plan.right, *(owner for owner in plan.owners if self._rng.random() < 0.5)}
        for owner in plan.owners:
            if owner in knows:
                part.exceptions[owner] = plan.entry(
                    owner,
                    original=part.span.start,
                    sequence=plan.bumped,
                    stamp=plan.stamp + 60,
                    **changes,
                )

    def _decline(self, plan: Plan, part: _Part) -> None:
        """A guest comes to all but this one."""
        guests = [m for m in plan.invited() if m in plan.owners and m != plan.host]
        if not guests:
            return
        guest = self._rng.choice(guests)
        part.fate = "declined"
        part.occasion = plan.occasion(part.span.start, declined=plan.declined() | {guest})
        seen = plan.seen_by(guest, plan.guests, Answer.DECLINED)
        part.exceptions[guest] = plan.entry(
            guest, span=part.span, original=part.span.start, guests=seen, stamp=plan.stamp + 60
        )

    def _guest_of_one(self, plan: Plan, happening: list[_Part]) -> Page | None:
        """A colleague is invited to a single occurrence and holds nothing of the rest."""
        plain = [part for part in happening if not part.fate]
        mention = self._casting.member()
        index = mention.person.index
        if self._rng.random() < 0.7 or not plain or index in plan.invited() or index in plan.owners:
            return None
        if index == plan.host or plan.organiser is None or plan.uid is None:
            return None
        if index in self._microsoft:
            # There such a copy says its day and not its time, which nobody could tell from another one's.
            return None
        self._awkward["invited_to_one_occurrence"] += 1
        part = self._rng.choice(plain)
        guests = [*plan.guests, Guest(mention, Answer.ACCEPTED)]
        part.fate = "guest"
        part.occasion = plan.occasion(part.span.start, guests=guests, also_held_by=(index,))
        day = datetime.fromtimestamp(part.span.start, ZONE).date()
        uid = of_one_day(plan.uid, day) if is_outlook(plan.uid) else plan.uid
        plan.faces[index] = Face(uid, self._rng.choice(software_of(index).regular), "")
        changes: dict[str, Any] = {"span": part.span, "original": part.span.start}
        knows = plan.right
        part.exceptions[knows] = plan.entry(knows, guests=plan.seen_by(knows, guests), **changes)
        return Page(index, (plan.entry(index, guests=tuple(guests), **changes),))

    def _gone(self, plan: Plan, happening: list[_Part]) -> list[int]:
        """Places of the occurrences that the organiser's second export no longer shows: one, or all from one on."""
        if not plan.held_by_host or plan.host not in self._again or self._rng.random() < 0.5:
            return []
        ahead = [
            place
            for place, part in enumerate(happening)
            if min(part.span.start, part.occasion.start) > self._now + SAFE_AHEAD
        ]
        if not ahead:
            return []
        first = self._rng.choice(ahead)
        if self._rng.random() < 0.5:
            return [first]
        tail = list(range(first, len(happening)))
        return tail if set(tail) <= set(ahead) else [first]


def _month(day: date, months: int) -> date:
    """The first day of the month that is so many months later."""
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _second(month: date, weekday: int) -> date:
    """The month's second such weekday."""
    return month + timedelta(days=(weekday - month.weekday()) % 7 + 7)
