"""All components of one UID as changes: single events, expanded series, moved and cancelled occurrences."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from rapport_core.clock import from_ms
from rapport_core.errors import PoisonError
from rapport_producers.calendar_archive.events import Event, Span, When, newest
from rapport_producers.calendar_archive.rules import rule_starts
from rapport_schemas.calendar_times import instant_ms
from rapport_schemas.changes import event_change, removed, replaced
from rapport_schemas.records import Change, EventFields

MOST_OCCURRENCES = 10_000
"""Occurrences of one series in the window; hourly for a year is fewer."""

_ZONES_APART = timedelta(hours=27)
"""No wall clock is further from UTC than this."""

_ZONES_APART_MS = int(_ZONES_APART.total_seconds()) * 1000

Bury = Callable[[str, PoisonError], None]


@dataclass(frozen=True, slots=True)
class Window:
    """The time, in milliseconds, inside of which series are expanded."""

    begin: int
    end: int

    def holds(self, when: When) -> bool:
        """Whether it begins inside."""
        return self.begin <= instant_ms(when.text()) < self.end

    def walls(self) -> tuple[datetime, datetime]:
        """A little more than the window on any wall clock."""
        begin, end = (from_ms(at).replace(tzinfo=None) for at in (self.begin, self.end))
        return begin - _ZONES_APART, end + _ZONES_APART


@dataclass(frozen=True, slots=True)
class _Occurrence:
    original: When
    start: When
    span: Span
    source: Event


def changes(events: list[Event], window: Window, bury: Bury) -> Iterator[Change]:
    """What one UID has to say. `events` are of one base id and in the order of the file.

    Single events come whatever their time is, as do members whose series is not there; of a series only what begins,
    or began before it was moved, in the window. A series that cannot be followed is buried and hides nothing else.
    """
    singles = [event for event in events if event.replaces is None]
    members = [event for event in events if event.replaces is not None]
    if not singles:
        # A program that writes a RECURRENCE-ID into the series itself means the series all the same.
        singles = [event for event in members if event.repeats]
        members = [event for event in members if not event.repeats]
    master = _master(singles, members) if singles else None
    moved = _overrides(members, master)
    if master is None or not master.repeats:
        if master is not None:
            expanded = _expanded(master, singles)
            yield from _exported_singly(expanded, moved) if len(expanded) > 1 else _single(master, moved)
        yield from map(_member, moved)
        return
    try:
        found = list(_series(master, moved, window))
    except PoisonError as poison:
        bury(master.place, poison)
        found = [_member(one) for one in moved]
    except OverflowError:
        bury(
            master.place, PoisonError("unreadable_time", "its series leaves the calendar: correct its times")
        )
        found = [_member(one) for one in moved]
    yield from found


def _master(singles: list[Event], members: list[Event]) -> Event:
    """The newest of those that are no single occurrence.

    A message that cancels a whole series names no rule, so that it would look like the single event which the series
    became: it cancels the series and its occurrences instead.
    """
    cancels = [event for event in singles if event.cancels_all]
    others = [event for event in singles if not event.cancels_all]
    master = newest(others or singles)
    if not cancels or not master.repeats:
        return newest(singles)
    for event in (master, *members):
        event.cancel(newest(cancels).version)
    return master


def _expanded(master: Event, singles: list[Event]) -> list[Event]:
    """The events of the master's version, the last of each start: more than one where a program wrote a series out.

    A meeting that was moved has two starts as well, but with another SEQUENCE or time of change.
    """
    version = (master.version.sequence, master.version.updated)
    if master.cancels_all:
        return [master]
    same = (event for event in singles if (event.version.sequence, event.version.updated) == version)
    return list({event.start.text(): event for event in same if not event.cancels_all}.values())


def _exported_singly(events: list[Event], moved: list[_Occurrence]) -> Iterator[Change]:
    """Events of one UID that do not say which occurrence they are: each is the one of its own start."""
    yield replaced(events[0].base_id())
    own = {one.original.text() for one in moved}
    for event in events:
        if event.start.text() not in own:
            yield _member(_Occurrence(event.start, event.start, event.span, event))


def _single(event: Event, moved: list[_Occurrence]) -> Iterator[Change]:
    base, first = event.base_id(), event.start.text()
    if first not in {one.original.text() for one in moved}:
        # The first occurrence of a series of this UID that became single must not count besides it.
        yield replaced(f"{base}:{first}")
    yield event_change(base, event.fields)


def _series(master: Event, moved: list[_Occurrence], window: Window) -> Iterator[Change]:
    """The changes of one series in the window.

    Raises PoisonError for a rule that cannot be followed, OverflowError for one that leaves the calendar.
    """
    # A single event of this UID that became a series must not count besides it.
    yield replaced(master.base_id())
    own = {one.original.text() for one in moved}
    future = sorted((one for one in moved if one.source.and_future), key=_original_wall)
    starts, excluded = _starts(master, window)
    for wall in sorted(starts.keys() | excluded):
        original = master.start.at(wall)
        if original.text() in own:
            continue
        if wall in excluded:
            if window.holds(original):
                yield _removed(_Occurrence(original, original, starts.get(wall, master.span), master))
            continue
        one = _from_then_on(_Occurrence(original, original, starts[wall], master), future)
        if window.holds(original) or window.holds(one.start):
            yield _member(one)
    yield from (_member(one) for one in moved if window.holds(one.start) or window.holds(one.original))


def _member(one: _Occurrence) -> Change:
    base, original = one.source.base_id(), one.original.text()
    fields: EventFields = {
        **one.source.fields,
        "original_start": original,
        "series": base,
        "start": one.start.text(),
        "end": one.span.end(one.start),
    }
    return event_change(f"{base}:{original}", fields)


def _removed(one: _Occurrence) -> Change:
    """It was taken out of the series, so that it did not take place, whenever somebody looked: gone before its start.

    What it was comes along, because nobody else's copy says that the organiser took it out.
    """
    original = one.original
    local = (
        original.whole_day or original.zone is None
    )  # it begins earlier in UTC than it reads, in zones of the east
    at = instant_ms(original.text()) - (_ZONES_APART_MS if local else 1)
    shown = _member(one)
    return removed(shown["provider_id"], at, shown["event"])


def _overrides(members: list[Event], master: Event | None) -> list[_Occurrence]:
    """The newest component of each occurrence, in the order of the occurrences' first components."""
    by_original: dict[str, list[_Occurrence]] = {}
    for event in members:
        if event.replaces is not None:
            original = _as_written_by(master, event.replaces)
            one = _Occurrence(original, event.start, event.span, event)
            by_original.setdefault(original.text(), []).append(one)
    return [max(same, key=lambda one: one.source.version.key()) for same in by_original.values()]


def _as_written_by(master: Event | None, original: When) -> When:
    """A RECURRENCE-ID as a date for a series with a clock, or the other way round, or without a zone."""
    if master is None:
        return original
    start = master.start
    if start.whole_day:
        return start.at(datetime.combine(original.wall.date(), time(0)))
    if original.whole_day:
        return start.at(datetime.combine(original.wall.date(), start.wall.time()))
    if original.zone is None or start.zone is None:
        return start.at(original.wall)
    return start.at(start.zone.local(original.zone.utc(original.wall)))


def _from_then_on(one: _Occurrence, future: list[_Occurrence]) -> _Occurrence:
    """Under the last change of `this and all that follow` before it: moved as far, and with its fields."""
    behind = bisect_right(future, one.original.wall, key=_original_wall)
    if not behind:
        return one
    change = future[behind - 1]
    wall = one.start.wall + (change.start.wall - change.original.wall)
    return replace(one, start=change.start.at(wall), span=change.span, source=change.source)


def _original_wall(one: _Occurrence) -> datetime:
    return one.original.wall


def _starts(master: Event, window: Window) -> tuple[dict[datetime, Span], set[datetime]]:
    """Every start around the window with its length, on the wall clock, and which of them are excluded.

    The event's own start is always one, whether its rule gives it or not.
    """
    begin, end = window.walls()
    starts = {master.start.wall: master.span}
    for rule in master.rules:
        starts.update(dict.fromkeys(_ruled(master, rule, begin, end), master.span))
    starts.update(master.added())
    starts = {wall: span for wall, span in starts.items() if begin <= wall <= end}
    exact, days = master.excluded()
    excluded = {wall for wall in exact if begin <= wall <= end}
    excluded.update(wall for wall in starts if datetime.combine(wall.date(), time(0)) in days)
    for rule in master.exclusion_rules:
        excluded.update(_ruled(master, rule, begin, end))
    return starts, excluded


def _ruled(master: Event, rule: str, begin: datetime, end: datetime) -> Iterable[datetime]:
    return rule_starts(rule, master.start.wall, master.local, begin=begin, end=end, most=MOST_OCCURRENCES)
