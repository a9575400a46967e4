"""The board computed from plain values in Python: counting as the contract's part 7 says it, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Fact:
    """One item as the tables hold it, deleted or not."""

    id: str
    at: datetime | None
    kind: str = "email"
    mail_class: str = "human"
    thread: str = "aa"
    cancelled: bool = False
    members: frozenset[str] = frozenset()
    declined_members: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    contacts: frozenset[str] = frozenset()
    author_members: frozenset[str] = frozenset()
    author_customers: frozenset[str] = frozenset()
    author_contacts: frozenset[str] = frozenset()


@dataclass
class Oracle:
    """One tenant's counted facts before one end, in its zone."""

    facts: Collection[Fact]
    labels: dict[str, str]
    zone: ZoneInfo
    now: datetime
    days: int
    until: date | None
    classes: frozenset[str] = frozenset({"human", "list"})
    past: list[Fact] = field(init=False)
    start: datetime = field(init=False)
    end: datetime = field(init=False)
    ahead: list[Fact] = field(init=False)

    def __post_init__(self) -> None:
        last = self.until or self.now.astimezone(self.zone).date()
        self.start = self._begin_of(last - timedelta(days=self.days - 1))
        self.end = min(self.now, self._begin_of(last + timedelta(days=1)))
        today = self.now.astimezone(self.zone).date()
        beyond = self._begin_of((self.until or today + timedelta(days=self.days - 1)) + timedelta(days=1))
        counted = [(fact, fact.at) for fact in self.facts if fact.at is not None and self._is_counted(fact)]
        self.past = [fact for fact, at in counted if at < self.end]
        self.ahead = [fact for fact, at in counted if fact.kind == "meeting" and self.now <= at < beyond]

    def _begin_of(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def _is_counted(self, fact: Fact) -> bool:
        return fact.mail_class in self.classes if fact.kind == "email" else not fact.cancelled

    def _of(self, fact: Fact, by: str) -> frozenset[str]:
        subjects: frozenset[str] = getattr(fact, f"{by}s")
        return subjects - fact.declined_members if by == "member" else subjects

    def restricted(self, member: str) -> Oracle:
        """The same board of one member's items."""
        mine = [fact for fact in self.facts if member in self._of(fact, "member")]
        return Oracle(mine, self.labels, self.zone, self.now, self.days, self.until, self.classes)

    def numbers(self, by: str, who: str | None) -> dict[str, int]:
        """A row's numbers; the total's when `who` is None."""
        seen = [fact for fact in self.past if fact.at is not None and fact.at >= self.start]
        seen = [fact for fact in seen if who is None or who in self._of(fact, by)]
        mails = [fact for fact in seen if fact.kind == "email"]
        sent = sum(self._is_sent(fact, by, who) for fact in mails)
        return {
            "emails": len(mails),
            "sent": sent,
            "received": len(mails) - sent,
            "meetings": len(seen) - len(mails),
            "conversations": len({self._thread(fact) for fact in mails}),
        }

    def planned(self, by: str, who: str | None) -> int:
        """How many meetings lie ahead in a row; in total when `who` is None."""
        return sum(who is None or who in self._of(fact, by) for fact in self.ahead)

    def daily(self, by: str) -> dict[str, dict[str | None, dict[str, int]]]:
        """The numbers of each day that has some: of each row, and under None of the total."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.past:
            if fact.at is not None and fact.at >= self.start:
                found[fact.at.astimezone(self.zone).date().isoformat()].append(fact)
        return {day: self._day(facts, by) for day, facts in found.items()}

    def _day(self, facts: list[Fact], by: str) -> dict[str | None, dict[str, int]]:
        rows: dict[str | None, dict[str, int]] = {}
        for who in (None, *{who for fact in facts for who in self._of(fact, by)}):
            mine = [fact for fact in facts if who is None or who in self._of(fact, by)]
            mails = [fact for fact in mine if fact.kind == "email"]
            sent = sum(self._is_sent(fact, by, who) for fact in mails)
            rows[who] = {
                "emails": len(mails),
                "sent": sent,
                "received": len(mails) - sent,
                "meetings": len(mine) - len(mails),
            }
        return rows

    def _is_sent(self, fact: Fact, by: str, who: str | None) -> bool:
        return who in fact.author_members if by == "member" and who is not None else bool(fact.author_members)

    def _thread(self, fact: Fact) -> str:
        return self.labels.get(fact.thread, fact.thread)

    def last(self, by: str) -> dict[str, datetime]:
        """Each subject's last interaction."""
        found: dict[str, datetime] = {}
        for fact in self.past:
            for who in self._of(fact, by):
                assert fact.at is not None
                found[who] = max(found.get(who, fact.at), fact.at)
        return found

    def replies(self, by: str) -> dict[str, datetime]:
        """Each customer's or contact's last reply."""
        found: dict[str, datetime] = {}
        threads: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.past:
            if fact.kind == "email":
                threads[self._thread(fact)].append(fact)
        for thread in threads.values():
            team = [fact.at for fact in thread if fact.author_members and fact.at]
            for fact in thread:
                for who in getattr(fact, f"author_{by}s") if by != "member" else ():
                    if fact.at and any(earlier < fact.at for earlier in team):
                        found[who] = max(found.get(who, fact.at), fact.at)
        return found

    def board(self, by: str, names: dict[str, str], *, planned: bool = False) -> dict[str, Any]:
        """Total and rows as `counts` gives them."""
        last, replies = self.last(by), self.replies(by)
        shown = set(last) | (set(names) if by == "member" else set())
        if planned:
            shown |= {who for fact in self.ahead for who in self._of(fact, by)}

        def numbers(who: str | None) -> dict[str, int]:
            ahead = {"planned": self.planned(by, who)} if planned else {}
            return self.numbers(by, who) | ahead

        rows = [
            {
                "id": who,
                "name": names.get(who, who),
                **numbers(who),
                "last_interaction": _iso(last.get(who)),
                "last_email_reply": _iso(replies.get(who)),
            }
            for who in shown
        ]
        rows.sort(key=lambda row: (-int(str(row["emails"])) - int(str(row["meetings"])), str(row["id"])))
        return {"total": numbers(None), "rows": rows}


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
