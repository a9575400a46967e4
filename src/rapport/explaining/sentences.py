"""Decisions in words: one sentence for each rule, and what each thing that could not be read means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rapport.explaining.log import PageState
from rapport_processors.matching import Rule
from rapport_sinks.clickhouse.lookups import Decided
from rapport_sinks.clickhouse.predicate import Kind

_MAIL_RULES: Final = {
    "contact_address": "an address in it is a contact's, and its author is a team member or a contact",
    "customer_domain": "an address in it lies in a customer's domain, and its author is a team member or a customer's",
    "sync_unknown_sender": "its author is unknown, but a listed member and a matching address both receive it",
    "internal": "everybody in it belongs to the team",
    "excluded": "an exclusion in the directory covers somebody in it",
    "no_customer": "nobody in it is a contact or lies in a customer's domain, whichever the tenant matches by",
    "unknown_sender": "its author is neither a team member nor a customer's; the setting sync_unknown_sender would take it",
    "owner_not_listed": "the mailbox's owner is in none of its To, Cc and From, and owner_must_be_listed is on",
    Rule.COUNTS_KEPT: "its content was erased with a mailbox whose counts are kept; no change of the directory touches it any more",
}
_MEETING_RULES: Final = {
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
    Rule.COUNTS_KEPT: _MAIL_RULES[Rule.COUNTS_KEPT],
    "private_meeting": "it is private, and the setting private_meetings skips those",
}

_SAID_BY_AUTHOR: Final = ("from", "organizer")

OF_PAGES: Final = {
    PageState.ERASED: "Its page was erased: the key is destroyed, and nothing of it can be read any more.",
    PageState.GONE: "The page it was read from is not in the log any more.",
    PageState.UNREADABLE: "The page it was read from cannot be opened with the keys of this store.",
}
NO_RECORD: Final = (
    "Its newest record is not in the log; only the copy at the place named below was looked at, and others may decide "
    "otherwise."
)
CUT: Final = "Its record does not name everybody, or not every holder; what is said of people and changes is of those it names."
NO_LOG: Final = "Kafka does not answer, so nothing sealed was opened and the present directory was not asked."
NOTHING_KNOWN: Final = (
    "Nothing is known about this here. Check the spelling and the tenant; that its mailbox was ingested and nothing waits "
    "(rapport status); and that it was not set aside as unreadable (rapport dlq list)."
)
NO_ITEM_NOW: Final = (
    "No item has this id any more: its copies were removed or purged, or are part of another item now."
)


def sentence_of(decided: Decided, obstacle: str) -> str:
    """Whether an item is in the numbers and by which rule. `obstacle`: what keeps one that belongs there out of them."""
    rules = _MAIL_RULES if decided["kind"] == Kind.EMAIL else _MEETING_RULES
    why = rules.get(decided["rule"], f"the rule {decided['rule']} decided")
    if not decided["matched"]:
        return f"It is left out: {why}."
    return f"It belongs here, because {why}; {obstacle}." if obstacle else f"It is counted: {why}."


def roles_of(person: Mapping[str, Any]) -> str:
    """In which roles somebody is in it; who is the author is said once."""
    roles = person["roles"]
    return ", ".join(role for role in roles if role not in _SAID_BY_AUTHOR or "author" not in roles)
