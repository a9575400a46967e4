"""One archive under many directories: the naive pipeline, whose boards of hundreds of rows are counted in one pass."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from naive_pipeline import Book, Fact, NaivePipeline, decide, numbers

Row = dict[str, Any]


class ArchiveOracle(NaivePipeline):
    """What the boards must show of the same mail when the directory is another one."""

    def under(self, document: dict[str, Any]) -> None:
        """Decides every mail once more, by this directory document."""
        self.book = Book(document)
        self.facts = [decide(m, self.book, f.thread) for m, f in zip(self.mails, self.facts, strict=True)]

    def board(self, by: str, days: int, now: datetime) -> dict[str, Row]:
        """The rows that have something, and under an empty id the total, of a window that ends now."""
        today = now.astimezone(ZoneInfo(self.book.data["tenant"]["timezone"])).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        since = (today - timedelta(days=days - 1)).timestamp()
        known = [f for f in self.facts if f.counted and f.at is not None and f.at < now.timestamp()]
        answered = _first_of_team(known)
        rows: dict[str, list[Fact]] = defaultdict(list)
        for fact in known:
            for who in getattr(fact, f"{by}s"):
                rows[who].append(fact)
        found = {who: _row(facts, by, who, since, answered) for who, facts in rows.items()}
        return {"": numbers([f for f in known if (f.at or 0) >= since], None, None), **found}


def _first_of_team(known: list[Fact]) -> dict[str, int]:
    """When the team wrote first, by thread: what is later answers it."""
    found: dict[str, int] = {}
    for fact in known:
        if fact.author["member"] and fact.at is not None:
            found[fact.thread] = min(found.get(fact.thread, fact.at), fact.at)
    return found


def _row(facts: list[Fact], by: str, who: str, since: float, answered: dict[str, int]) -> Row:
    replies = [
        fact.at
        for fact in facts
        if by != "member" and who in fact.author[by] and fact.at is not None
        if fact.at > answered.get(fact.thread, fact.at)
    ]
    return {
        **numbers([f for f in facts if (f.at or 0) >= since], by, who),
        "last_interaction": _iso(max((f.at for f in facts if f.at is not None), default=None)),
        "last_email_reply": _iso(max(replies, default=None)),
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
