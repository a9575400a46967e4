"""Contract 6.10: why an item is here, or is not, and what would turn it. Pure; reads everything `decide` reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_facts import Facts, used_entry
from rapport_processors.directory_records import Ref, Subject, subject_of
from rapport_processors.directory_settings import TenantSettings
from rapport_processors.mail.addresses import domain_of
from rapport_processors.matching import SYNCED, Rule, decide, exclusion_of, verdict
from rapport_processors.matching_parties import Parties, parties_of
from rapport_processors.model import Decision, Meeting, Message
from rapport_processors.public_providers import is_public
from rapport_schemas.records import Copy, DirectoryEntry, Entry

_MOST_ADDRESSES = 10
"""Changes are tried for so many external addresses; a mail to a thousand people is not explained a thousand times."""

_SENTENCES = {
    Rule.CONTACT_ADDRESS: "It is here: the author and an address of a contact make it an interaction.",
    Rule.CUSTOMER_DOMAIN: "It is here: the author and an address in a customer's domain make it an interaction.",
    Rule.SYNC_UNKNOWN_SENDER: "It is here although nobody knows the author: a member and a customer's address both received it, and sync_unknown_sender is on.",
    Rule.SYNC_UNKNOWN_ORGANIZER: "It is here although nobody knows the organiser: a member and a customer's address are both invited, and sync_unknown_organizer is on.",
    Rule.OWNER_NOT_LISTED: "It is not here: owner_must_be_listed is on, and no mailbox that holds it belongs to somebody in To, Cc or From.",
    Rule.UNKNOWN_SENDER: "It is not here: the author is neither a team member nor on the customer side.",
    Rule.UNKNOWN_ORGANIZER: "It is not here: the organiser is neither a team member nor on the customer side.",
    Rule.NO_CUSTOMER: "It is not here: nobody in it is on the customer side.",
    Rule.INTERNAL: "It is not here: everybody in it is internal.",
    Rule.EXCLUDED: "It is not here: an exclusion names somebody in it.",
    Rule.NOT_A_MEETING: "It is not here: the calendar says that it is no meeting, such as focus time or an absence.",
    Rule.PRIVATE_MEETING: "It is not here: it is private, and private_meetings is skip.",
}


@dataclass(frozen=True, slots=True)
class _Change:
    """One thing a person could do: what it is in JSON, in words, and what it makes of the directory."""

    what: dict[str, str]
    sentence: str
    settings: dict[str, object] = field(default_factory=dict)
    adds: tuple[Subject, ...] = ()
    deletes: tuple[Subject, ...] = ()


def explain(message: Message | Meeting, directory: TenantDirectory) -> dict[str, object]:
    """The whole answer, JSON-ready: rule, people, copies, entries used, losing candidates, `would_turn`.

    Each element of `would_turn` was tried: making its `changes`, all of them, turns the decision. It holds addresses:
    for entitled roles only, and audited by the caller.
    """
    decision = decide(message, directory)
    parties = parties_of(message, directory.facts_at(message.at_ms))
    return {
        **decision.reason,
        "synced": decision.synced,
        "sentence": _SENTENCES[decision.rule],
        "people": _people(message, parties),
        "copies": _copies(message, parties, directory),
        "losing": _losing(message, parties, decision, directory),
        "would_turn": _would_turn(message, parties, decision, directory),
    }


def _people(message: Message | Meeting, parties: Parties) -> list[dict[str, object]]:
    roles: dict[str, set[str]] = {message.author: {"author"}} if message.author else {}
    for person in message.people:
        roles.setdefault(person["address"], set()).add(person["role"])
    return [
        {"address": address, "roles": sorted(has), **_standing(parties.people.get(address))}
        for address, has in sorted(roles.items())
    ]


def _standing(facts: Facts | None) -> dict[str, object]:
    if facts is None:
        return {"standing": "not a participant"}
    known = {
        "members": list(facts.members),
        "contacts": [ref.owner.id for ref in facts.contact.candidates],
        "customers": [ref.owner.id for ref in facts.customer.candidates],
        "excluded_by": [facts.excluded.owner.id] if facts.excluded else [],
    }
    standing = "internal" if facts.internal else "external"
    return {"standing": standing, **{name: ids for name, ids in known.items() if ids}}


def _copies(
    message: Message | Meeting, parties: Parties, directory: TenantDirectory
) -> list[dict[str, object]]:
    return [
        {
            "connection": copy["connection"],
            "member": copy["member"],
            "rule": _copy_rule(copy, parties, directory.settings_of(copy["connection"])),
            "named": copy["member"] in parties.named,
            "mail_class": copy["message"]["mail_class"] if copy["message"] else "",
        }
        for copy in message.copies
    ]


def _copy_rule(copy: Copy, parties: Parties, settings: TenantSettings) -> str:
    rule = verdict(parties, settings, meeting=copy["meeting"] is not None)
    unlisted = settings.owner_must_be_listed and copy["member"] not in parties.listed
    return Rule.OWNER_NOT_LISTED if rule in SYNCED and unlisted else rule


def _losing(
    message: Message | Meeting, parties: Parties, decision: Decision, directory: TenantDirectory
) -> list[dict[str, str]]:
    lookup = directory.lookup(message.at_ms)
    won = {*decision.contacts, *decision.customers}
    losing: list[dict[str, str]] = []
    for address, facts in sorted(parties.people.items()):
        losing += [
            {**used_entry(ref), "for": address, "why": _why_passed_over(ref, facts)}
            for ref in lookup.passed_over(address)
        ]
        losing += [
            {**used_entry(ref), "for": address, "why": _why_lost(ref, decision, directory)}
            for ref in (*facts.contact.candidates, *facts.customer.candidates)
            if ref.owner.id not in won
        ]
    return losing


def _why_passed_over(ref: Ref, facts: Facts) -> str:
    if facts.internal:
        return "an internal address is never a contact"
    if ref.owner.kind == "customer" and is_public(domain_of(ref.value) or ref.value):
        return "a public mail provider's domain never matches"
    better = facts.customer if ref.owner.kind == "customer" else facts.contact
    return "another entry fits better" if better.candidates else "not valid for this item's time"


def _why_lost(ref: Ref, decision: Decision, directory: TenantDirectory) -> str:
    if not decision.synced:
        return "the item is not synced"
    if ref.owner.kind == "customer" and decision.rule != Rule.CUSTOMER_DOMAIN:
        return "domains count with match_by: domain only"
    return f"several have it, and ambiguous is {directory.settings.ambiguous}"


def _would_turn(
    message: Message | Meeting, parties: Parties, decision: Decision, directory: TenantDirectory
) -> list[dict[str, object]]:
    """The single changes that turn the decision; where there is none, the pairs that do. Each is really tried."""
    addresses = {message.author, *(person["address"] for person in message.people)} - {""}
    owners = {copy["member"] for copy in message.copies}
    part = directory.part(addresses, owners, message.at_ms)
    changes = list(_changes(message, parties, decision, directory))
    for size in (1, 2):
        turning = [
            tried
            for tried in combinations(changes, size)
            if decide(message, _changed(directory, part, tried)).synced != decision.synced
        ]
        if turning:
            return [
                {
                    "changes": [change.what for change in tried],
                    "sentence": " and ".join(change.sentence for change in tried),
                }
                for tried in turning
            ]
    return []


def _changed(directory: TenantDirectory, part: set[Subject], tried: tuple[_Change, ...]) -> TenantDirectory:
    subjects = part.difference(*(change.deletes for change in tried)).union(
        *(change.adds for change in tried)
    )
    return directory.supposing(subjects, {k: v for change in tried for k, v in change.settings.items()})


def _changes(
    message: Message | Meeting, parties: Parties, decision: Decision, directory: TenantDirectory
) -> Iterator[_Change]:
    outside = sorted(parties.outside.items())[:_MOST_ADDRESSES]
    if decision.synced:
        for address, facts in outside:
            if facts.contact.candidates or facts.customer.candidates:
                yield _exclude(address)
    else:
        excluded = exclusion_of(message, parties, directory)
        if excluded is not None:
            yield _lift(excluded.owner)
        if parties.author is not None and not parties.author.members:
            yield _add("member", "address", message.author, f"add {message.author} to a team member")
        for address, facts in outside:
            yield from _customer_side(address, facts, directory.settings)
    yield from _switches(message, directory.settings)


def _exclude(address: str) -> _Change:
    new = _new_subject("exclusion", "address", address)
    return _Change({"do": "exclude", "address": address}, f"exclude {address}", adds=(new,))


def _lift(subject: Subject) -> _Change:
    what = {"do": "delete", "kind": "exclusion", "id": subject.id}
    return _Change(what, f"delete the exclusion {subject.id}", deletes=(subject,))


def _customer_side(address: str, facts: Facts, settings: TenantSettings) -> Iterator[_Change]:
    domain = domain_of(address)
    if settings.match_by == "address" and not facts.contact.candidates:
        yield _add("contact", "address", address, f"add {address} to a contact")
    if settings.match_by == "domain" and not facts.customer.candidates and domain and not is_public(domain):
        yield _add("customer", "domain", domain, f"give a customer the domain {domain}")


def _add(kind: str, what: str, value: str, sentence: str) -> _Change:
    return _Change(
        {"do": "add", "kind": kind, what: value}, sentence, adds=(_new_subject(kind, what, value),)
    )


def _switches(message: Message | Meeting, settings: TenantSettings) -> Iterator[_Change]:
    unknown = "sync_unknown_sender"
    if isinstance(message, Meeting):
        unknown = "sync_unknown_organizer"
        if message.private:
            other = "count" if settings.private_meetings == "skip" else "skip"
            yield _setting("private_meetings", other, f"set private_meetings to {other}")
    for name in (unknown, "owner_must_be_listed"):
        value = not getattr(settings, name)
        yield _setting(name, value, f"turn {'on' if value else 'off'} {name}")
    other = "address" if settings.match_by == "domain" else "domain"
    yield _setting("match_by", other, f"set match_by to {other}")
    if settings.contact_history != "current":
        yield _setting("contact_history", "current", "set contact_history to current")


def _setting(name: str, value: object, sentence: str) -> _Change:
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return _Change({"do": "set", "setting": name, "value": shown}, sentence, settings={name: value})


def _new_subject(kind: str, what: str, value: str) -> Subject:
    """A subject of one entry that is always valid."""
    always: Entry = {"value": value, "valid_from": None, "valid_to": None, "recorded_at": 0, "ended_at": None}
    entry: DirectoryEntry = {
        "tenant": "",
        "kind": kind,
        "id": f"(new) {value}",
        "name": "",
        "customer": "",
        "addresses": [always] if what == "address" else [],
        "domains": [always] if what == "domain" else [],
        "member": "",
        "contact": "",
        "settings": "",
        "recorded_at": 0,
        "deleted": False,
        "mark": None,
        "former": [],
    }
    return subject_of(entry, 0)
