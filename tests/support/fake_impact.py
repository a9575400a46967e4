"""The numbers in memory: counts, lists and threads over a handful of items, by the contract's words, slowly and plainly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rapport_core.errors import ConfigError


@dataclass(frozen=True)
class FakeItem:
    """One item; `author_members` makes it sent. People of a meeting may have their answer as a fourth value."""

    id: str
    at: datetime
    subject: str
    thread: str
    members: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    author_members: tuple[str, ...] = ()
    author: str = "x@kund.se"
    author_name: str = ""
    preview: str = ""
    kind: str = "email"
    mail_class: str = "human"
    ambiguous: bool = False
    copies: int = 1
    people: tuple[tuple[str, ...], ...] = ()
    rule: str = "contact_address"
    entries: tuple[Mapping[str, str], ...] = ()
    ends: datetime | None = None
    all_day: bool = False
    cancelled: bool = False
    private: bool = False
    location: str = ""
    declined: tuple[str, ...] = ()
    series: str = ""


def meeting(name: str, at: datetime, **changes: Any) -> FakeItem:
    """An hour of m1 and c1 in a series, with every kind of participant."""
    usual: dict[str, Any] = {
        "subject": f"Meeting {name}",
        "thread": "weekly",
        "members": ("m1",),
        "customers": ("c1",),
        "kind": "meeting",
        "mail_class": "",
        "ends": at + timedelta(hours=1),
        "location": "Room 4",
        "author": "anna@acme.com",
        "people": (
            ("organizer", "anna@acme.com", "Anna", "accepted"),
            ("attendee", "kim@kund.se", "Kim", ""),
            ("optional", "bo@acme.com", "Bo", "declined"),
            ("room", "room4@acme.com", "Room 4", ""),
        ),
        "series": "weekly",
    }
    return FakeItem(f"meeting-{name}", at, **(usual | changes))


@dataclass
class FakeTenant:
    """What one tenant has."""

    names: dict[str, dict[str, str]]
    items: list[FakeItem] = field(default_factory=list)
    timezone: str = "Europe/Stockholm"
    health: dict[str, Any] = field(default_factory=dict)
    away: dict[str, Any] = field(default_factory=dict)


class FakeImpact:
    """A `BoardReader` that remembers which tenants it was asked for. `fail` raises what it is set to."""

    def __init__(self, tenants: Mapping[str, FakeTenant]) -> None:
        self.tenants = dict(tenants)
        self.asked: list[str] = []
        self.fail: Exception | None = None

    def _tenant(self, tenant: str) -> FakeTenant:
        self.asked.append(tenant)
        if self.fail is not None:
            raise self.fail
        if tenant not in self.tenants:
            raise ConfigError(
                f"there is no tenant {tenant!r}: load its directory with rapport directory load"
            )
        return self.tenants[tenant]

    def _window(
        self, tenant: FakeTenant, days: int, until: date | None, now: datetime
    ) -> tuple[datetime, datetime]:
        zone = ZoneInfo(tenant.timezone)
        last = until or now.astimezone(zone).date()
        start = datetime.combine(last - timedelta(days=days - 1), time(), zone)
        return start, min(now, datetime.combine(last + timedelta(days=1), time(), zone))

    def _ahead(
        self, tenant: FakeTenant, days: int, until: date | None, now: datetime
    ) -> tuple[datetime, datetime]:
        zone = ZoneInfo(tenant.timezone)
        last = until or now.astimezone(zone).date() + timedelta(days=days - 1)
        return now, datetime.combine(last + timedelta(days=1), time(), zone)

    def _inside(
        self, found: FakeTenant, window: tuple[datetime, datetime], keep: Callable[[FakeItem], bool]
    ) -> list[FakeItem]:
        start, end = window
        inside = [
            item for item in found.items if start <= item.at < end and keep(item) and not item.cancelled
        ]
        return sorted(inside, key=lambda item: (item.at, item.id), reverse=True)

    def counts(
        self,
        tenant: str,
        by: Any,
        days: int,
        until: date | None,
        now: datetime,
        *,
        member: str | None = None,
        planned: bool = False,
    ) -> dict[str, Any]:
        """The board."""
        found = self._tenant(tenant)
        start, end = self._window(found, days, until, now)
        mine = [item for item in found.items if member is None or member in _subjects(item, "member")]
        inside = self._inside(found, (start, end), lambda item: item in mine)
        ahead = self._inside(
            found,
            self._ahead(found, days, until, now),
            lambda item: planned and item in mine and item.kind == "meeting",
        )
        ids = {who for item in mine for who in _subjects(item, by)} | (
            set(found.names["member"]) if by == "member" else set()
        )

        def numbers(who: str) -> dict[str, int]:
            counted = _numbers(_row_of(inside, by, who), by, who)
            return counted | ({"planned": len(_row_of(ahead, by, who))} if planned else {})

        rows = [
            {
                "id": who,
                "name": found.names[by].get(who, who),
                **numbers(who),
                "last_interaction": _last([item for item in _row_of(mine, by, who) if item.at < end]),
                "last_email_reply": None
                if by == "member"
                else _last(
                    [
                        item
                        for item in _row_of(mine, by, who)
                        if item.kind == "email" and item.at < end and not item.author_members
                    ]
                ),
            }
            for who in ids
            if by != "member" or member in (None, who)
        ]
        return {
            "window": {"from": start.isoformat(), "to": end.isoformat(), "timezone": found.timezone},
            "total": numbers(""),
            "rows": rows,
        }

    def items(
        self,
        tenant: str,
        *,
        now: datetime,
        member: str | None = None,
        customer: str | None = None,
        kind: Any = None,
        direction: Any = None,
        planned: bool = False,
        days: int = 30,
        until: date | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> dict[str, Any]:
        """The drill-down."""
        by, who = _row(member, customer)

        def keep(item: FakeItem) -> bool:
            return (
                _takes_part(item, member, customer)
                and kind in (None, item.kind)
                and direction in (None, _direction(item, by, who))
            )

        whose = self._tenant(tenant)
        window = (self._ahead if planned else self._window)(whose, days, until, now)
        found = self._inside(whose, window, keep)
        if planned:
            found.reverse()
        page = found[offset:] if limit is None else found[offset : offset + limit]
        return {"window": {}, "total": len(found), "items": [_listed(item, by, who) for item in page]}

    def conversations(
        self,
        tenant: str,
        *,
        now: datetime,
        member: str | None = None,
        customer: str | None = None,
        days: int = 30,
        until: date | None = None,
    ) -> Sequence[dict[str, Any]]:
        """The threads."""

        def keep(item: FakeItem) -> bool:
            return item.kind == "email" and _takes_part(item, member, customer)

        threads: dict[str, list[FakeItem]] = {}
        whose = self._tenant(tenant)
        for item in self._inside(whose, self._window(whose, days, until, now), keep):
            threads.setdefault(item.thread, []).append(item)
        return [
            {
                "thread": thread,
                "emails": len(items),
                "last": items[0].at.isoformat(),
                "subject": items[0].subject,
            }
            for thread, items in threads.items()
        ]

    def item(self, tenant: str, item_id: str) -> dict[str, Any] | None:
        """One item."""
        found = [item for item in self._tenant(tenant).items if item.id == item_id]
        return _whole(found[0]) if found else None

    def thread(self, tenant: str, thread: str) -> list[dict[str, Any]]:
        """One thread."""
        found = [item for item in self._tenant(tenant).items if item.thread == thread]
        return [_whole(item) for item in sorted(found, key=lambda item: item.at)]

    def daily(
        self,
        tenant: str,
        by: Any,
        days: int,
        until: date | None,
        now: datetime,
        *,
        member: str | None = None,
        who: str | None = None,
    ) -> dict[str, Any]:
        """The numbers of each day; of the rows only the one that is asked for."""
        found = self._tenant(tenant)
        window = self._window(found, days, until, now)
        zone = ZoneInfo(found.timezone)
        inside = self._inside(found, window, lambda item: _takes_part(item, member, None))
        result = []
        for number in range(days):
            day = window[0].date() + timedelta(days=number)
            todays = [item for item in inside if item.at.astimezone(zone).date() == day]
            mine = _row_of(todays, by, who) if who else []
            rows = [{"id": who, **_numbers(mine, by, who)}] if who and mine else []
            result.append({"day": day.isoformat(), "total": _numbers(todays, by, ""), "rows": rows})
        return {"window": {}, "days": result}

    def health(self, tenant: str, now: datetime, days: int = 180, limit: int = 20) -> Any:
        """What the test said it is, and else nothing."""
        found = self._tenant(tenant)
        start, end = self._window(found, days, None, now)
        window = {"from": start.isoformat(), "to": end.isoformat(), "timezone": found.timezone}
        return {
            "window": window,
            "domains": [],
            "addresses": [],
            "ambiguous": [],
            "floods": [],
            **found.health,
        }

    def names(self, tenant: str, by: Any) -> Mapping[str, str]:
        """Names by id."""
        return self._tenant(tenant).names.get(by, {})

    def timezone(self, tenant: str) -> str:
        """The tenant's zone."""
        return self._tenant(tenant).timezone

    def away(self, tenant: str, now: datetime) -> Mapping[str, Any]:
        """Whom the test sent away."""
        assert now.tzinfo is not None
        return self._tenant(tenant).away

    def generation(self, tenant: str) -> int:
        """Always the first."""
        if self.fail is not None:
            raise self.fail
        return len(tenant) * 0 + 1


def _row(member: str | None, customer: str | None) -> tuple[str, str]:
    if customer is not None:
        return "customer", customer
    return ("customer", "") if member is None else ("member", member)


def _subjects(item: FakeItem, by: str) -> tuple[str, ...]:
    subjects: tuple[str, ...] = getattr(item, f"{by}s")
    return tuple(who for who in subjects if by != "member" or who not in item.declined)


def _row_of(items: list[FakeItem], by: str, who: str) -> list[FakeItem]:
    return [item for item in items if not who or who in _subjects(item, by)]


def _takes_part(item: FakeItem, member: str | None, customer: str | None) -> bool:
    return member in (None, *_subjects(item, "member")) and customer in (None, *item.customers)


def _direction(item: FakeItem, by: str, who: str) -> str:
    if by == "member" and who:
        return "sent" if who in item.author_members else "received"
    return "sent" if item.author_members else "received"


def _numbers(items: list[FakeItem], by: str, who: str) -> dict[str, int]:
    emails = [item for item in items if item.kind == "email"]
    sent = sum(_direction(item, by, who) == "sent" for item in emails)
    return {
        "emails": len(emails),
        "sent": sent,
        "received": len(emails) - sent,
        "meetings": len(items) - len(emails),
        "conversations": len({item.thread for item in emails}),
    }


def _last(items: list[FakeItem]) -> str | None:
    return max(item.at for item in items).isoformat() if items else None


def _listed(item: FakeItem, by: str, who: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "kind": item.kind,
        "at": item.at.isoformat(),
        "subject": item.subject,
        "direction": _direction(item, by, who) if item.kind == "email" else "",
        "author": item.author,
        "members": list(item.members),
        "customers": list(item.customers),
        "contacts": list(item.contacts),
        "thread": item.thread,
        "message_id": f"{item.id}@mail",
        "preview": item.preview,
        "ends": item.ends.isoformat() if item.ends else None,
        "all_day": item.all_day,
        "cancelled": item.cancelled,
        "private": item.private,
        "location": item.location,
        "declined_members": list(item.declined),
    }


def _person(role: str, address: str, name: str, answer: str = "") -> dict[str, str]:
    return {"role": role, "address": address, "name": name, "answer": answer}


def _whole(item: FakeItem) -> dict[str, Any]:
    return {
        **_listed(item, "customer", ""),
        "mail_class": item.mail_class,
        "ambiguous": item.ambiguous,
        "author_name": item.author_name,
        "people": [_person(*person) for person in item.people],
        "series": item.series,
        "copies": item.copies,
        "reason": {"rule": item.rule, "entries": [dict(entry) for entry in item.entries]},
    }
