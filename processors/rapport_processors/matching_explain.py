"""Contract 6.10: why an item is here, or is not, and what would turn it. Pure; reads everything `decide` reads."""

from __future__ import annotations

from collections.abc import Iterable

from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_facts import Facts, Side, used_entry
from rapport_processors.directory_records import Ref
from rapport_processors.directory_settings import OVERRIDABLE, TenantSettings, settings_json
from rapport_processors.mail.addresses import domain_of
from rapport_processors.matching import SYNCED, Rule, decide, verdict
from rapport_processors.matching_changes import would_turn
from rapport_processors.matching_parties import Parties, parties_of
from rapport_processors.model import Decision, Meeting, Message
from rapport_processors.public_providers import is_public
from rapport_schemas.records import Copy

_TENANT_ONLY = ("ambiguous", "contact_history", "count_list_delivery", "private_meetings")
"""Settings that take part in deciding and that no connection may override."""

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


def explain(message: Message | Meeting, directory: TenantDirectory) -> dict[str, object]:
    """The whole answer, JSON-ready: rule, people, copies, entries used, losing candidates, `would_turn`, and the settings.

    `settings` are the tenant's; each copy has its connection's, with the names of those that it overrides.
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
        "settings": _values(directory.settings, _TENANT_ONLY),
        "losing": _losing(message, parties, decision, directory),
        "would_turn": would_turn(message, parties, decision, directory),
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
            "settings": _values(directory.settings_of(copy["connection"]), OVERRIDABLE),
            "overrides": sorted(directory.overrides().get(copy["connection"], {})),
        }
        for copy in message.copies
    ]


def _values(settings: TenantSettings, names: Iterable[str]) -> dict[str, object]:
    """Settings by name, as a tenant's file has them."""
    said = settings_json(settings)
    return {name: said.get(name, getattr(settings, name)) for name in sorted(names)}


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
            {**used_entry(ref), "for": address, "why": _why_lost(ref, side, decision, directory)}
            for side in (facts.contact, facts.customer)
            for ref in side.candidates
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


def _why_lost(ref: Ref, side: Side, decision: Decision, directory: TenantDirectory) -> str:
    if not decision.synced:
        return "the item is not synced"
    if ref.owner.kind == "customer" and decision.rule != Rule.CUSTOMER_DOMAIN:
        return "domains count with match_by: domain only"
    if ref not in side.possible:
        return "a person chose another"
    return f"several have it, and ambiguous is {directory.settings.ambiguous}"
