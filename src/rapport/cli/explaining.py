"""What `rapport explain` says: which item it is, whether it is in the numbers, and by which rule."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypedDict

from rich.markup import escape

from rapport.cli.tables import console, shown_subject
from rapport_core.ids import keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors.mail.addresses import comparable
from rapport_processors.mail.references import identifier
from rapport_processors.meetings.uid import canonical_uid
from rapport_sinks.clickhouse.lookups import Decided, Hashed, Tally, WholeItem
from rapport_sinks.clickhouse.predicate import Kind
from rapport_sinks.clickhouse.queries import Impact

_MOST_ITEMS = 20
_ITEM_ID = re.compile(r"[0-9a-f]{32}")

_MAIL_RULES = {
    "contact_address": "an address in it is a contact's, and its author is a team member or a contact",
    "customer_domain": "an address in it lies in a customer's domain, and its author is a team member or a customer's",
    "sync_unknown_sender": "its author is unknown, but a listed member and a matching address both receive it",
    "internal": "everybody in it belongs to the team",
    "excluded": "an exclusion in the directory covers somebody in it",
    "no_customer": "nobody in it is a contact or lies in a customer's domain, whichever the tenant matches by",
    "unknown_sender": "its author is neither a team member nor a customer's; the setting sync_unknown_sender would take it",
    "owner_not_listed": "the mailbox's owner is in none of its To, Cc and From, and owner_must_be_listed is on",
}
_MEETING_RULES = {
    "contact_address": "an address in it is a contact's, and a team member or a contact organises it",
    "customer_domain": "an address in it lies in a customer's domain, and a team member or that side organises it",
    "sync_unknown_organizer": "its organiser is unknown, but a listed member and a matching address are both invited",
    "internal": _MAIL_RULES["internal"],
    "excluded": _MAIL_RULES["excluded"],
    "no_customer": _MAIL_RULES["no_customer"],
    "unknown_organizer": "its organiser is neither a team member nor a customer's; the setting sync_unknown_organizer would "
    "take it",
    "owner_not_listed": "the calendar's owner neither organises nor attends it, and owner_must_be_listed is on",
    "not_a_meeting": "it is an entry of a calendar that is no meeting: focus time, out of office, a birthday, a busy block",
    "private_meeting": "it is private, and the setting private_meetings skips those",
}
_NOTHING_KNOWN = (
    "Nothing is known about this here. Check the spelling and the tenant; that its mailbox was ingested and nothing waits "
    "(rapport status); and that it was not set aside as unreadable (rapport dlq list)."
)


class ExplainedItem(Decided):
    """A decision in words; the lists are empty and the subject null where the item is left out.

    `counted` says whether it is in the numbers of a window that holds its time; a planned meeting is not yet.
    """

    sentence: str
    counted: bool
    subject: str | None
    members: list[str]
    declined_members: list[str]
    customers: list[str]
    contacts: list[str]
    reason: dict[str, Any]


class Explanation(TypedDict):
    """What is known about an id, a Message-ID, a meeting's UID or an address. `found_as` says which it was taken for."""

    query: str
    known: bool
    found_as: str | None
    decisions: list[Tally]
    items: list[ExplainedItem]
    advice: str | None


class Explainer:
    """Answers for one tenant. Raises ConfigError for a tenant that is not there, UnavailableError like Impact."""

    def __init__(self, impact: Impact, tenant: str, keys: TenantKeys, now: datetime) -> None:
        self._impact = impact
        self._tenant = tenant
        self._keys = keys
        self._now = now
        self._classes = impact.scope(tenant, now).classes

    def explain(self, what: str) -> Explanation:
        """Looks for an item of this id, then for items with this Message-ID or UID, then for items that name this address."""
        query = what.strip()
        if _ITEM_ID.fullmatch(query) and (decided := self._impact.decision(self._tenant, query)):
            tally: Tally = {"matched": decided["matched"], "rule": decided["rule"], "items": 1}
            return self._found(query, "item", [tally], [decided])
        for hashed, digest in _digests(query, self._keys):
            tallies = self._impact.tally(self._tenant, hashed, digest)
            if tallies:
                newest = self._impact.decisions_with(self._tenant, hashed, digest, _MOST_ITEMS)
                return self._found(query, _found_as(hashed, newest), tallies, newest)
        return {
            "query": query,
            "known": False,
            "found_as": None,
            "decisions": [],
            "items": [],
            "advice": _NOTHING_KNOWN,
        }

    def _found(self, query: str, found_as: str, decisions: list[Tally], newest: list[Decided]) -> Explanation:
        return {
            "query": query,
            "known": True,
            "found_as": found_as,
            "decisions": decisions,
            "items": [self._explained(decided) for decided in newest],
            "advice": None,
        }

    def _explained(self, decided: Decided) -> ExplainedItem:
        whole = self._impact.item(self._tenant, decided["id"]) if decided["matched"] else None
        obstacle = self._obstacle(decided, whole)
        return {
            **decided,
            "counted": decided["matched"] and not obstacle,
            "sentence": _sentence(decided, obstacle),
            "subject": shown_subject(whole) if whole else None,
            "members": whole["members"] if whole else [],
            "declined_members": whole["declined_members"] if whole else [],
            "customers": whole["customers"] if whole else [],
            "contacts": whole["contacts"] if whole else [],
            "reason": whole["reason"] if whole else {},
        }

    def _obstacle(self, decided: Decided, whole: WholeItem | None) -> str:
        """What keeps an item that belongs here out of the numbers; empty for one that is counted."""
        if decided["at"] is None:
            return "it is never counted, because it has no readable time"
        if decided["kind"] == Kind.EMAIL:
            counted = decided["mail_class"] in self._classes
            return "" if counted else f"it is not counted, because its class is {decided['mail_class']}"
        if whole and whole["cancelled"]:
            return "it is not counted, because it was cancelled"
        if datetime.fromisoformat(decided["at"]) >= self._now:
            return "it is planned, and counted from its start on"
        return ""


def print_explanation(found: Explanation) -> None:
    """The same in sentences."""
    out = console()
    if not found["known"]:
        out.print(found["advice"])
        return
    total = sum(tally["items"] for tally in found["decisions"])
    if found["found_as"] == "address":
        out.print(f"{total} item{'' if total == 1 else 's'} name{'s' if total == 1 else ''} this address:")
        for tally in found["decisions"]:
            out.print(
                f"{tally['items']:8} {'belonging' if tally['matched'] else 'left out'}, {tally['rule']}"
            )
    for item in found["items"]:
        _print_item(item)
    if total > len(found["items"]):
        out.print(f"Those were the newest {len(found['items'])} of {total}.")


def _digests(query: str, keys: TenantKeys) -> list[tuple[Hashed, str]]:
    # Meetings have their UID where mail has its Message-ID.
    names = dict.fromkeys(name for name in (identifier(query), canonical_uid(query)) if name)
    wanted = [(Hashed.MESSAGE_ID, keyed_hash(keys.hash, "message-id", name).hex()) for name in names]
    if address := comparable(query):
        wanted.append((Hashed.ADDRESS, keyed_hash(keys.hash, "address", address).hex()))
    return wanted


def _found_as(hashed: Hashed, found: list[Decided]) -> str:
    if hashed is Hashed.ADDRESS:
        return "address"
    return "uid" if found and found[0]["kind"] == Kind.MEETING else "message_id"


def _sentence(decided: Decided, obstacle: str) -> str:
    rules = _MAIL_RULES if decided["kind"] == Kind.EMAIL else _MEETING_RULES
    why = rules.get(decided["rule"], f"the rule {decided['rule']} decided")
    if not decided["matched"]:
        return f"It is left out: {why}."
    return f"It belongs here, because {why}; {obstacle}." if obstacle else f"It is counted: {why}."


def _print_item(item: ExplainedItem) -> None:
    out = console()
    kind = f"{item['mail_class']} {item['kind']}".strip()
    out.print(f"\n[bold]{item['id']}[/]  {kind}, {item['at'] or 'without a time'}")
    if item["subject"] is not None:
        out.print(escape(item["subject"]), no_wrap=True, overflow="ellipsis")
    out.print(item["sentence"])
    for name, ids in (
        ("members", item["members"]),
        ("declined", item["declined_members"]),
        ("customers", item["customers"]),
        ("contacts", item["contacts"]),
    ):
        if ids:
            out.print(escape(f"  {name}: {', '.join(ids)}"))
    if item["ambiguous"]:
        out.print("  An address or domain in it has several owners in the directory.")
    out.print(escape(f"  conversation {item['thread']}, read at {item['origin'] or 'an unknown place'}"))
