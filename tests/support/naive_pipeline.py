"""The contract's mail part once more: slow, in memory, standard library only, for checking the demo's truth.

Written from `contract.md` parts 3, 4, 6 and 7, sharing no line with the processors and none with the story, save the list
of public mail providers. It knows archives only: no provider time, no folders, no provider conversations, one generation, default settings and `match_by`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from naive_mail import GMAIL, Copy, Mail, comparable, group, mails, read_copy, threads
from rapport_processors.public_providers import public_providers


@dataclass
class Book:
    """The directory file, as part 6 reads it."""

    data: dict[str, Any]
    members: dict[str, set[str]] = field(default_factory=dict)
    contacts: dict[str, set[str]] = field(default_factory=dict)
    domains: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, found in (("members", self.members), ("contacts", self.contacts)):
            for person in self.data[kind]:
                for entry in person["addresses"]:
                    address = comparable(entry if isinstance(entry, str) else entry["address"])
                    found.setdefault(address, set()).add(person["id"])
        self.customer_of = {p["id"]: p["customer"] for p in self.data["contacts"]}
        for customer in self.data["customers"]:
            for domain in customer["domains"]:
                self.domains.setdefault(comparable(f"x@{domain}")[2:], set()).add(customer["id"])
        own = {a.rpartition("@")[2] for a in self.members} - public_providers()
        self.own = own | {comparable(f"x@{d}")[2:] for d in self.data["tenant"]["own_domains"]}
        self.by_domain = self.data["tenant"]["settings"].get("match_by") == "domain"
        self.exclusions: list[dict[str, str]] = self.data["exclusions"]

    def find(self, book: dict[str, set[str]], address: str) -> set[str]:
        """Exact match first, then without the tag; dots are nothing at Gmail. Several may have the address."""
        local, _, domain = address.rpartition("@")
        if address in book:
            return book[address]
        if domain in GMAIL:
            plain = {
                k.rpartition("@")[0].replace(".", "") + "@" + k.rpartition("@")[2]: v
                for k, v in book.items()
                if k.endswith(domain)
            }
            return plain.get(local.split("+")[0].replace(".", "") + "@" + domain, set())
        return book.get(f"{local.split('+')[0]}@{domain}", set())

    def suffixes(self, address: str) -> list[str]:
        """The domain and the domains it lies in, longest first."""
        labels = address.rpartition("@")[2].split(".")
        return [".".join(labels[start:]) for start in range(len(labels))]

    def is_internal(self, address: str) -> bool:
        """Whether it is one of ours: in an own domain, or a member's wherever it is."""
        return any(s in self.own for s in self.suffixes(address)) or bool(self.find(self.members, address))

    def customers(self, address: str) -> set[str]:
        """The customers an address stands for."""
        if self.is_internal(address):
            return set()
        if self.by_domain:
            return self._by_domain(address)
        return {self.customer_of[contact] for contact in self.find(self.contacts, address)}

    def _by_domain(self, address: str) -> set[str]:
        """The longest domain wins; a public provider's ends the search, whatever lies above it."""
        for domain in self.suffixes(address):
            if domain in public_providers():
                break
            if domain in self.domains:
                return self.domains[domain]
        return set()

    def excludes(self, mail: Mail, members: set[str], contacts: set[str]) -> bool:
        """Whether an exclusion leaves the mail out."""
        for rule in self.exclusions:
            if "address" in rule and comparable(rule["address"]) in mail.named:
                return True
            if "domain" in rule and any(rule["domain"] in self.suffixes(a) for a in mail.named):
                return True
            if "member" in rule and rule["member"] in members and rule["contact"] in contacts:
                return True
        return False


@dataclass
class Fact:
    """One message as it counts."""

    at: int | None
    thread: str
    counted: bool
    members: set[str]
    contacts: set[str]
    customers: set[str]
    author: dict[str, set[str]]


def decide(mail: Mail, book: Book, thread: str) -> Fact:
    members = {m for a in mail.named for m in book.find(book.members, a)}
    for copy in mail.copies:
        if copy.mail_class != "list":
            members.add(copy.owner)
    contacts = {c for a in mail.named if not book.is_internal(a) for c in book.find(book.contacts, a)}
    customers = {c for a in mail.named for c in book.customers(a)}
    author = {
        "member": book.find(book.members, mail.author),
        "contact": book.find(book.contacts, mail.author),
        "customer": book.customers(mail.author) if mail.author else set(),
    }
    synced = (
        bool(customers)
        and bool(author["member"] or author["customer"])
        and not book.excludes(mail, members, contacts)
    )
    counted = synced and mail.mail_class in ("human", "list") and mail.at is not None
    return Fact(mail.at, thread, counted, members, contacts, customers, author)


# -- counting ---------------------------------------------------------------------------------------------------


class NaivePipeline:
    """Everything at once: read mailboxes, ask for counts."""

    def __init__(self, directory: Path, mailboxes: dict[str, Path]) -> None:
        self.book = Book(json.loads(directory.read_text(encoding="utf-8")))
        self.copies: list[Copy] = []
        self.collect(mailboxes)

    def collect(self, mailboxes: dict[str, Path]) -> None:
        """Read what lies in the mailboxes now; what was read before stays. A copy read again changes nothing."""
        self.copies += (read_copy(owner, mail) for owner, path in mailboxes.items() for mail in mails(path))
        self.mails = group(self.copies)
        roots = threads(self.copies)
        self.threads = len({roots[m.copies[0].identity] for m in self.mails})
        self.facts = [decide(m, self.book, roots[m.copies[0].identity]) for m in self.mails]

    def counts(self, by: str, days: int, until: date | None, now: datetime) -> dict[str, Any]:
        """What `rapport counts --json` must say."""
        zone = ZoneInfo(self.book.data["tenant"]["timezone"])
        last = until or now.astimezone(zone).date()
        day = datetime(last.year, last.month, last.day)
        since = (day - timedelta(days=days - 1)).replace(tzinfo=zone).timestamp()
        before = min((day + timedelta(days=1)).replace(tzinfo=zone).timestamp(), now.timestamp())
        known = [f for f in self.facts if f.counted and f.at is not None and f.at < before]
        window = [f for f in known if f.at is not None and f.at >= since]
        subjects = self.book.data[f"{by}s"]
        rows = [
            self._row(by, s, [f for f in known if s["id"] in getattr(f, f"{by}s")], known, since)
            for s in subjects
        ]
        return {"total": numbers(window, None, None), "rows": rows}

    def _row(
        self, by: str, subject: dict[str, Any], mine: list[Fact], known: list[Fact], since: float
    ) -> dict[str, Any]:
        key = subject["id"]
        times = [f.at for f in mine if f.at is not None]
        replies = (
            []
            if by == "member"
            else [f.at for f in mine if key in f.author[by] and f.at is not None and _answers(f, known)]
        )
        return {
            "id": key,
            "name": subject["name"],
            **numbers([f for f in mine if f.at is not None and f.at >= since], by, key),
            "last_interaction": _iso(max(times, default=None)),
            "last_email_reply": _iso(max(replies, default=None)),
        }


def _answers(fact: Fact, known: list[Fact]) -> bool:
    return any(f.thread == fact.thread and f.author["member"] and (f.at or 0) < (fact.at or 0) for f in known)


def numbers(window: list[Fact], by: str | None, key: str | None) -> dict[str, int]:
    """A row's numbers; of the total when `by` and `key` are None."""
    sent = sum(key in f.author["member"] if by == "member" else bool(f.author["member"]) for f in window)
    return {
        "emails": len(window),
        "sent": sent,
        "received": len(window) - sent,
        "meetings": 0,
        "conversations": len({f.thread for f in window}),
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
