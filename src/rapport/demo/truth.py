"""What must come out, known from the story alone.

For every letter the story made, `judge` says what is true of it, for every meeting `attend`; `Truth` keeps that in
arrays (about sixty bytes each) and answers the counts of any window. Persons are compared, never addresses parsed: the story knows who is who.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from rapport.demo.appointment import Occasion
from rapport.demo.attendance import Attendance, attend
from rapport.demo.company import TIMEZONE, Company
from rapport.demo.letter import Letter
from rapport.demo.pen import ZONE
from rapport.demo.threads import ThreadBook
from rapport.demo.verdict import NOBODY, Verdict, judge

BY: Final = ("member", "contact", "customer")
_LISTS: Final = 5


@dataclass(frozen=True, slots=True)
class Window:
    """From the first second of the first day (included) to the last one (excluded), and never past `now`."""

    since: int
    before: int

    @classmethod
    def of(cls, days: int, until: date | None, now: datetime, timezone: str = TIMEZONE) -> Window:
        """The window of `days` calendar days that ends with today, or with the day `until`."""
        zone = ZoneInfo(timezone)
        last = until if until is not None else now.astimezone(zone).date()
        first = last - timedelta(days=days - 1)
        end = last + timedelta(days=1)
        before = int(datetime(end.year, end.month, end.day, tzinfo=zone).timestamp())
        since = int(datetime(first.year, first.month, first.day, tzinfo=zone).timestamp())
        return cls(since, min(before, int(now.timestamp())))

    @classmethod
    def ahead(cls, days: int, until: date | None, now: datetime, timezone: str = TIMEZONE) -> Window:
        """What is planned: from now to the end of the `days` calendar days that begin today, or of the day `until`."""
        zone = ZoneInfo(timezone)
        last = until if until is not None else now.astimezone(zone).date() + timedelta(days=days - 1)
        end = last + timedelta(days=1)
        since, before = (
            int(now.timestamp()),
            int(datetime(end.year, end.month, end.day, tzinfo=zone).timestamp()),
        )
        return cls(since, max(since, before))


class Truth:
    """The expected numbers of a story. Feed every letter to `learn` and every meeting to `learn_meeting` once, then ask.

    Attributes:
        threads: the story's conversations.
        copies, messages: how many were written. Every letter is one message.
        meetings: how many there are, counted or not.
        reasons, meeting_reasons: letters and meetings per reason, `counted` among them.
    """

    def __init__(self, company: Company, threads: ThreadBook) -> None:
        self.company = company
        self.copies = 0
        self.messages = 0
        self.meetings = 0
        self.reasons: Counter[str] = Counter()
        self.meeting_reasons: Counter[str] = Counter()
        self.threads = threads
        self._used = bytearray()
        self._at = array("q")
        self._thread = array("i")
        self._author = array("i")  # the member that wrote each counted letter, or NOBODY
        # Of each counted letter end to end: members, contacts, customers, and the author's contacts and customers.
        self._people = array("i")
        self._ends = array("I", [0])  # where the five lists of each end
        self._starts = array("q")  # of each counted meeting
        self._present = array("i")  # and its members, contacts and customers, end to end
        self._present_ends = array("I", [0])

    def learn(self, letter: Letter) -> Verdict:
        """Take one letter in; returns the verdict on it."""
        verdict = judge(letter, self.company)
        self.copies += len(letter.copies)
        self.messages += 1
        self.reasons[verdict.why] += 1
        self._mark(letter.thread)
        if verdict.counted and letter.counts_at is not None:
            self._at.append(letter.counts_at)
            self._thread.append(letter.thread)
            self._author.append(verdict.author_member)
            for people in (
                verdict.members,
                verdict.contacts,
                verdict.customers,
                verdict.author_contacts,
                verdict.author_customers,
            ):
                self._people.extend(people)
                self._ends.append(len(self._people))
        return verdict

    def learn_meeting(self, occasion: Occasion) -> Attendance:
        """Take one meeting in; returns what is true of it."""
        attendance = attend(occasion, self.company)
        self.meetings += 1
        self.meeting_reasons[attendance.why] += 1
        if attendance.counted:
            self._starts.append(occasion.start)
            for people in (attendance.members, attendance.contacts, attendance.customers):
                self._present.extend(people)
                self._present_ends.append(len(self._present))
        return attendance

    def _mark(self, thread: int) -> None:
        self._used.extend(b"\0" * (thread + 1 - len(self._used)))
        self._used[thread] = 1

    @property
    def conversations(self) -> int:
        """How many threads all letters make, counted or not."""
        return len({self.threads.root(handle) for handle, used in enumerate(self._used) if used})

    def counts(self, by: str, days: int, until: date | None, now: datetime) -> dict[str, Any]:
        """What `rapport counts --planned --json` must say, as a dict; times are aware datetimes in UTC."""
        window = Window.of(days, until, now)
        ahead = Window.ahead(days, until, now)
        asked = BY.index(by)
        tally = _Tally(asked)
        first_of_ours = self._first_of_ours(window.before)
        for place in self._before(window.before):
            tally.count(self, place, window.since, first_of_ours)
        for place, start in enumerate(self._starts):
            tally.meet(start, self.present(place, asked), window, ahead)
        return {
            "window": {"timezone": TIMEZONE, "since": window.since, "before": window.before},
            "total": tally.total.numbers(),
            "rows": [tally.row(number, *subject) for number, subject in enumerate(self._subjects(by))],
        }

    def daily(self, by: str, days: int, until: date | None, now: datetime) -> dict[str, Any]:
        """The numbers of every calendar day of the window, empty days and rows left out: `{day: {id or "": numbers}}`."""
        window, asked = Window.of(days, until, now), BY.index(by)
        names = [subject for subject, _ in self._subjects(by)]
        found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for place in self._before(window.before):
            at, _, author = self.facts(place)
            if at < window.since:
                continue
            day, authors = found[_day(at)], self.authors(place, asked)
            _add_mail(day[""], sent=author != NOBODY)
            for number in self.people(place, asked):
                sent = number in authors if asked == 0 else author != NOBODY
                _add_mail(day[names[number]], sent=sent)
        for place, start in enumerate(self._starts):
            if window.since <= start < window.before:
                for name in ("", *(names[number] for number in self.present(place, asked))):
                    found[_day(start)][name]["meetings"] += 1
        return {day: {name: dict(numbers) for name, numbers in rows.items()} for day, rows in found.items()}

    def _before(self, limit: int) -> Iterator[int]:
        return (place for place, at in enumerate(self._at) if at < limit)

    def _first_of_ours(self, limit: int) -> dict[int, int]:
        """When a team member's first counted mail stands in each thread."""
        first: dict[int, int] = {}
        for place in self._before(limit):
            if self._author[place] != NOBODY:
                root = self.threads.root(self._thread[place])
                first[root] = min(first.get(root, self._at[place]), self._at[place])
        return first

    def _subjects(self, by: str) -> list[tuple[str, str]]:
        company = self.company
        if by == "customer":
            return [(f"c{index}", customer.name) for index, customer in enumerate(company.customers)]
        people = company.members if by == "member" else company.contacts
        return [(f"{by[0] if by == 'member' else 'p'}{person.index}", person.name) for person in people]

    def facts(self, place: int) -> tuple[int, int, int]:
        """Second, thread and writing member (or NOBODY) of a counted letter."""
        return self._at[place], self.threads.root(self._thread[place]), self._author[place]

    def people(self, place: int, asked: int) -> array[int]:
        """Members (0), contacts (1) or customers (2) of a counted letter."""
        return self._list(place, asked)

    def authors(self, place: int, asked: int) -> array[int]:
        """Whom the author of a counted letter is: member (0), contacts (1) or customers (2)."""
        if asked == 0:
            return self._author[place : place + 1]
        return self._list(place, 2 + asked)

    def present(self, place: int, asked: int) -> array[int]:
        """Members (0) who did not decline, contacts (1) or customers (2) of a counted meeting."""
        end = 3 * place + asked
        return self._present[self._present_ends[end] : self._present_ends[end + 1]]

    def _list(self, place: int, which: int) -> array[int]:
        end = _LISTS * place + which
        return self._people[self._ends[end] : self._ends[end + 1]]


class _Cells:
    """The numbers of one row, or of the total."""

    __slots__ = ("emails", "interaction", "meetings", "planned", "reply", "sent", "threads")

    def __init__(self) -> None:
        self.emails = 0
        self.sent = 0
        self.meetings = 0
        self.planned = 0
        self.threads: set[int] = set()
        self.interaction: int | None = None
        self.reply: int | None = None

    def numbers(self) -> dict[str, int]:
        return {
            "emails": self.emails,
            "sent": self.sent,
            "received": self.emails - self.sent,
            "meetings": self.meetings,
            "conversations": len(self.threads),
            "planned": self.planned,
        }


class _Tally:
    """Adds letters up for one question: by member (0), contact (1) or customer (2)."""

    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._rows: dict[int, _Cells] = {}
        self.total = _Cells()

    def count(self, truth: Truth, place: int, since: int, first_of_ours: dict[int, int]) -> None:
        at, thread, author = truth.facts(place)
        ours = author != NOBODY
        authors = truth.authors(place, self._asked)
        if at >= since:
            _add(self.total, thread, sent=ours)
        for number in truth.people(place, self._asked):
            row = self._rows.setdefault(number, _Cells())
            wrote = number in authors
            if at >= since:
                _add(row, thread, sent=wrote if self._asked == 0 else ours)
            row.interaction = max(at, row.interaction or at)
            if self._asked and wrote and first_of_ours.get(thread, at) < at:
                row.reply = max(at, row.reply or at)

    def meet(self, start: int, people: Iterable[int], window: Window, ahead: Window) -> None:
        """Take one counted meeting in: it lies behind, in the window or before it, or is planned, or none of these."""
        behind, planned = start < window.before, ahead.since <= start < ahead.before
        for cells in (self.total, *(self._rows.setdefault(number, _Cells()) for number in people)):
            cells.meetings += behind and start >= window.since
            cells.planned += planned
            if behind:
                cells.interaction = max(start, cells.interaction or start)

    def row(self, number: int, subject: str, name: str) -> dict[str, Any]:
        cells = self._rows.get(number) or _Cells()
        return {
            "id": subject,
            "name": name,
            **cells.numbers(),
            "last_interaction": _aware(cells.interaction),
            "last_email_reply": _aware(cells.reply),
        }


def _add(cells: _Cells, thread: int, *, sent: bool) -> None:
    cells.emails += 1
    cells.sent += sent
    cells.threads.add(thread)


def _add_mail(numbers: Counter[str], *, sent: bool) -> None:
    numbers["emails"] += 1
    numbers["sent" if sent else "received"] += 1


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, ZONE).date().isoformat()


def _aware(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)
