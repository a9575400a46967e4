"""The calendar archive connector: reads .ics files twice, publishes their occurrences as pages.

The first reading only finds the events and puts them aside by UID, on disk; the second takes one UID at a time, so that
memory holds one meeting with all that changes it, never the calendar.

A calendar is published as a full listing of the window: what an earlier export showed and this one does not is gone.
That is only said of a calendar that was read to its end without a single event lost: an event that cannot be read today
would else count as deleted. Where at least its id can be read, it is said to be still there, and is not lost. A calendar
with a lost event, a damaged file and what is no whole calendar (see `Silence`) say what they show and nothing more.
There is no going on in the middle: a run that was broken off starts over, under a new listing that voids the old one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum, auto

import structlog

from rapport_core.errors import ConfigError, PoisonError, UnavailableError
from rapport_producers.archive.opening import ArchiveFile
from rapport_producers.calendar_archive.events import Event, base_id
from rapport_producers.calendar_archive.properties import Properties
from rapport_producers.calendar_archive.scan import RawCalendar, RawEvent, Scanner
from rapport_producers.calendar_archive.series import Window, changes
from rapport_producers.calendar_archive.shelf import Shelf, ShelvedEvent
from rapport_producers.calendar_archive.sources import CalendarArchive, CalendarFile, instead_of_calendar
from rapport_producers.ledger import Ledger
from rapport_producers.pages import Pager, Sized, fitting
from rapport_producers.records import Listing, Owner
from rapport_producers.session import Link, Session, StoppedError, check_owner, saved_position
from rapport_schemas.changes import still_shown
from rapport_schemas.records import Change
from rapport_schemas.topics import CALENDAR_RAW, Lane

MOST_COMPONENTS = 10_000
"""Components of one UID that are held together: a series and its single changes."""

MOST_BYTES = 32 * 1024 * 1024
"""Most bytes of their text: what a longer group has beyond is a dead letter."""

_STOP_PATIENCE_SECONDS = 10.0
_REPORT_EVENTS = 200
_NOBODY = frozenset({"", "mailto:", "invalid:nomail", "mailto:invalid:nomail"})
"""What programs write in the place of an organiser where there is none."""

_log = structlog.get_logger(__name__)


class Silence(Enum):
    """Why an archive that was read says nothing of what is missing from it."""

    UNREADABLE = auto()
    """An event or a file could not be read, and it is not known that it is still there."""

    MESSAGES = auto()
    """All its events are in messages about meetings (iTIP)."""

    EMPTY = auto()
    """There is no event in it: rather a failed export than a calendar from which everything was deleted."""

    SINGLE = auto()
    """One file with one meeting: rather a saved invitation (booking tools write no METHOD) than a whole calendar."""


@dataclass(slots=True)
class Outcome:
    """What one run did.

    Attributes:
        read: events in the archive; a series is one, each of its changed occurrences another.
        published: single events and occurrences.
        removed: occurrences that the calendar says are taken out of their series.
        named: events that name somebody, as organiser or attendee; without any, none can match.
        dead: events that could not be read, each a dead letter.
        others: tasks, journals, free/busy and the like, which are no events.
        untouched: nobody changed the archive since the last run, and nothing was done.
        compared: whether what is missing from the archive now counts as gone.
        silence: why not, when it was read and was not damaged.
        consumed, total: bytes of the archive, for a progress bar.
    """

    read: int = 0
    published: int = 0
    removed: int = 0
    named: int = 0
    dead: int = 0
    others: int = 0
    untouched: bool = False
    compared: bool = False
    silence: Silence | None = None
    consumed: int = field(default=0, repr=False)
    total: int = field(default=0, repr=False)


Watch = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the cursor holds: how the archive looked, and the window, when it was published completely."""

    fingerprint: str = ""
    begin: int = 0
    end: int = 0
    read: int = 0

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def _seen(saved: bytes | None) -> _Seen:
    """Nothing seen for what another version wrote."""
    try:
        return _Seen(**json.loads(saved)) if saved else _Seen()
    except (ValueError, TypeError):
        return _Seen()


def ingest(
    archive: CalendarArchive,
    owner: Owner,
    ledger: Ledger,
    link: Link,
    *,
    window: Window,
    again: bool = False,
    watch: Watch = lambda _: None,
) -> Outcome:
    """Publishes what `archive` shows. One that nobody touched, in a window that did not move, costs nothing.

    Args:
        archive: what is read.
        owner: the connection that the events belong to.
        ledger: what the log knows of the connection.
        link: clients and keys.
        window: where series are expanded, and what the listing covers.
        again: publish everything once more, with the same provider ids.
        watch: called now and then with the outcome so far.

    Raises:
        ConfigError: the archive is no calendar, cannot be read, is damaged, or the connection belongs to somebody else.
            What could be read of a damaged archive is published.
        RefusedError: the connection was disconnected.
        UnavailableError: Kafka is gone, or the temporary folder is full. Nothing is lost when the run is repeated.
        StoppedError: Ctrl-C.
    """
    check_owner(owner, ledger)
    run = _Run(archive, owner, ledger, link, window, watch)
    seen = _seen(saved_position(ledger, archive.stream(), owner, link.keys))
    target = _Seen(archive.fingerprint(), window.begin, window.end, seen.read)
    if not again and seen == target:
        run.session.touch()
        return Outcome(read=seen.read, untouched=True)
    try:
        return run.all()
    except KeyboardInterrupt:
        raise run.stopped() from None


class _Run:
    """One run over one archive."""

    def __init__(
        self,
        archive: CalendarArchive,
        owner: Owner,
        ledger: Ledger,
        link: Link,
        window: Window,
        watch: Watch,
    ) -> None:
        self._archive, self._window, self._watch = archive, window, watch
        self.session: Session[int] = Session(
            link, owner, ledger, CALENDAR_RAW[Lane.BACKFILL], archive.stream()
        )
        self._pager = Pager()
        self._listing: Listing | None = None
        self._outcome = Outcome(total=archive.total)
        self._damaged: list[str] = []
        self._unreadable = 0
        self._lost = False
        self._unfinished = _Seen().to_json()

    def all(self) -> Outcome:
        """Reads, publishes, saves. See `ingest`."""
        outcome = self._outcome
        with Shelf() as shelf:
            self._find(shelf)
            outcome.silence = self._silence(shelf)
            if outcome.silence is None and not self._damaged:
                window = self._window
                self._listing = self.session.begin_listing(window.begin, window.end, self._unfinished)
            for number, group in enumerate(shelf.groups()):
                self._take(group)
                if number % _REPORT_EVENTS == 0:
                    self._watch(outcome)
        self._send()
        self._compare()
        self._finish()
        return outcome

    def stopped(self) -> StoppedError:
        """What Ctrl-C ends with: what was sent is confirmed, if Kafka still answers."""
        try:
            self.session.drain(_STOP_PATIENCE_SECONDS)
        except UnavailableError:
            _log.warning("pages_not_confirmed")
        return StoppedError(
            f"stopped while reading {self._archive.name}: run the same command again and it starts over"
        )

    def _silence(self, shelf: Shelf) -> Silence | None:
        """Why what was found is no calendar that others could be missing from; None when it is one."""
        if self._lost:
            return Silence.UNREADABLE
        if not shelf.uids:
            return Silence.EMPTY
        if shelf.only_messages():
            return Silence.MESSAGES
        return Silence.SINGLE if shelf.uids == 1 and len(self._archive.files) == 1 else None

    def _compare(self) -> None:
        """Ends the listing, so that what it did not show is gone; leaves it open when an event was lost on the way."""
        if self._listing is None:
            return
        if self._lost:
            self._outcome.silence = Silence.UNREADABLE
            return
        self.session.end_listing(self._listing, self._unfinished)
        self._outcome.compared = True

    def _find(self, shelf: Shelf) -> None:
        """The first reading."""
        for file in self._archive.files:
            before = self._archive.consumed
            try:
                self._scan(file, shelf)
            except ConfigError:
                if not file.inside:
                    raise
                self._unreadable += 1
                self._lose(
                    file.place(0),
                    PoisonError(
                        "unreadable",
                        "this file is no calendar or cannot be read: check it, or fetch it again",
                    ),
                )
            self._archive.consumed = before + file.size

    def _scan(self, file: CalendarFile, shelf: Shelf) -> None:
        before = self._archive.consumed
        with ArchiveFile(file.path) as stream:
            scanner = Scanner(stream, shelf.calendars)
            for found in scanner:
                if isinstance(found, RawCalendar):
                    shelf.add_calendar(found)
                elif found.finished or not scanner.cut:
                    self._shelve(found, file, shelf)
                if shelf.events % _REPORT_EVENTS == 0:
                    self._outcome.consumed = before + stream.consumed
                    self._watch(self._outcome)
        if not scanner.components and not scanner.cut:
            raise ConfigError(f"{file.path} is no calendar: {instead_of_calendar(file.path)}")
        self._outcome.others += scanner.others
        if scanner.cut:
            self._damaged.append(file.inside or self._archive.name)

    def _shelve(self, event: RawEvent, file: CalendarFile, shelf: Shelf) -> None:
        place = file.place(event.place)
        self._outcome.read += 1
        if not event.finished:
            poison = PoisonError(
                "unfinished", "an event without its end (END:VEVENT): export the calendar again"
            )
            self._lose(place, poison)
        elif event.too_large:
            self._lose(
                place, PoisonError("too_large", "an event of more than 512 KiB without its attachments")
            )
        else:
            shelf.add_event(event, place)

    def _take(self, group: Iterator[ShelvedEvent]) -> None:
        """The second reading: everything of one UID."""
        events: list[Event] = []
        unread: list[ShelvedEvent] = []
        size = 0
        for number, shelved in enumerate(group):
            size += shelved.size
            if number >= MOST_COMPONENTS or size > MOST_BYTES:
                self._lose(shelved.place, _too_many())
                break
            try:
                events.append(
                    Event(shelved.properties, shelved.zones, shelved.method, shelved.place, shelved.order)
                )
            except PoisonError as poison:
                self._bury(shelved.place, poison)
                # Somebody's answer to an invitation was never published, so that it cannot be missing either.
                if poison.reason != "itip_answer":
                    unread.append(shelved)
            else:
                self._outcome.named += _names_somebody(shelved.properties)
        if events:
            self._lost = self._lost or bool(unread)
            for change in changes(events, self._window, self._lose):
                self._add(change, events[0].place)
        elif unread:
            self._keep(unread)

    def _keep(self, unread: list[ShelvedEvent]) -> None:
        """Of a UID of which nothing can be read: says that it is still there, or that something was lost.

        Only a single event has one provider id that is known without reading it: a series, and one that is written out
        as several events, has one for each occurrence.
        """
        properties = unread[0].properties
        if self._listing is not None and len(unread) == 1 and _is_single(properties):
            self._put(fitting(still_shown(base_id(properties))))
        else:
            self._lost = True

    def _add(self, change: Change, place: str) -> None:
        try:
            sized = fitting(change)
        except PoisonError as poison:
            self._bury(place, poison)
            # Whether it is still there can be said without its fields.
            sized = fitting({**change, "event": None})
        else:
            self._outcome.published += change["op"] == "upsert"
            self._outcome.removed += change["op"] == "removed"
        self._put(sized)

    def _put(self, sized: Sized) -> None:
        if not self._pager.takes(sized):
            self._send()
        self._pager.add(sized)

    def _send(self) -> None:
        if self._pager:
            listing = self._listing.id if self._listing else None
            self.session.page(self._pager.take(), self._outcome.published, self._unfinished, listing)

    def _finish(self) -> None:
        outcome, window = self._outcome, self._window
        self.session.drain()
        whole = not self._damaged and not self._unreadable
        fingerprint = self._archive.fingerprint() if whole else ""
        self.session.save_last(_Seen(fingerprint, window.begin, window.end, outcome.read).to_json())
        self.session.touch()
        outcome.consumed = outcome.total
        self._watch(outcome)
        if self._damaged:
            raise ConfigError(
                f"{', '.join(self._damaged[:3])} is cut off or damaged; what could be read is published "
                f"({outcome.read:,} events), nothing counts as gone: "
                "export the calendar or fetch the file again and run the same command again"
            )

    def _lose(self, place: str, poison: PoisonError) -> None:
        """A dead letter for what would seem deleted if the listing were ended."""
        self._bury(place, poison)
        self._lost = True

    def _bury(self, place: str, poison: PoisonError) -> None:
        self.session.bury(f"{self._archive.name}:{place}", poison)
        self._outcome.dead += 1


def _names_somebody(properties: Properties) -> bool:
    """Whether there is an organiser or attendee, whatever the address looks like."""
    people = (one.value.strip().lower() for name in ("ORGANIZER", "ATTENDEE") for one in properties.all(name))
    return any(value not in _NOBODY for value in people)


def _is_single(properties: Properties) -> bool:
    """Whether it is known by its UID, and is neither a series nor a part of one."""
    series = ("RECURRENCE-ID", "RRULE", "RDATE")
    return bool(properties.text("UID")) and not any(properties.all(name) for name in series)


def _too_many() -> PoisonError:
    return PoisonError("too_many_occurrences", "this event and those behind it are too many of one UID")
